//! What was sent to somebody, for whoever asks for her own.

use serde::Serialize;

use super::DeliveryRecord;
use crate::subscriber::Held;

/// A delivery, with what it was of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastDelivery {
    /// The digest's slug.
    pub digest: String,
    /// The edition's number in its digest.
    pub number: u32,
    /// The edition's subject.
    pub subject: String,
    /// How it stands, and what was tried.
    #[serde(flatten)]
    pub delivery: DeliveryRecord,
}

/// All that is held about somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Everything {
    /// The person, subscriptions, consents, suppression.
    #[serde(flatten)]
    pub held: Held,
    /// By edition, the oldest first.
    pub deliveries: Vec<PastDelivery>,
}
