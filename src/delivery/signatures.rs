//! Signatures that are made ahead, between an edition's approval and its sending.

use chrono::{DateTime, Utc};
use std::future::Future;

use super::DeliveryId;
use crate::digest::EditionId;
use crate::subscriber::{Address, SubscriberId};

/// A delivery that waits and has no signature: all that is needed to sign its mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Which.
    pub id: DeliveryId,
    /// When it is due.
    pub due: DateTime<Utc>,
    /// To whom.
    pub subscriber: SubscriberId,
    /// Where.
    pub address: Address,
    /// How the person wants to be called; may be empty.
    pub name: String,
}

/// Keeps signatures beside the deliveries, until nobody needs them. They are a store of work and nothing else: whoever
/// sends asks whether one fits, and where one is missing signs anew.
pub trait Signatures: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Of an approved edition: deliveries that wait and have no signature, up to `limit`. Those that are claimed last come
    /// first, so that who signs and who sends at the same time meet only once. `before` is the last of the page before.
    fn unsigned(
        &self,
        edition: EditionId,
        before: Option<&Unsigned>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Unsigned>, Self::Error>> + Send;

    /// Keeps signatures, all in one transaction, of those deliveries that still wait.
    fn keep(&self, signatures: Vec<(DeliveryId, Vec<u8>)>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
