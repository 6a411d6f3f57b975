//! What we hold about somebody, for whoever asks for her own.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Consent, Subscriber, Subscription, Suppression};

/// A consent and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsentRecord {
    /// The digest's slug.
    pub digest: String,
    /// Where it comes from, and when it was given.
    #[serde(flatten)]
    pub consent: Consent,
    /// When it was written down.
    pub recorded: DateTime<Utc>,
}

/// All that is held about an address, but for its deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Held {
    /// The person, where she was ever subscribed.
    pub subscriber: Option<Subscriber>,
    /// When she was added.
    pub added: Option<DateTime<Utc>>,
    /// By digest.
    pub subscriptions: Vec<Subscription>,
    /// Oldest first.
    pub consents: Vec<ConsentRecord>,
    /// Set when the address must not be mailed.
    pub suppression: Option<Suppression>,
    /// When the address was erased, where it was.
    pub erased: Option<DateTime<Utc>>,
}
