//! Subscriber × digest.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::address::Address;

/// A subscriber's number in the ledger. Never shown to anybody outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubscriberId(pub i64);

/// One address that asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscriber {
    /// In the ledger.
    pub id: SubscriberId,
    /// Unique.
    pub address: Address,
    /// How the person wants to be called; may be empty.
    pub name: String,
    /// BCP 47, where it is known.
    pub language: Option<String>,
}

/// In the place of a digest's slug: every digest there is and will be. Such a subscription is only ever *ended*: it stands for
/// a reader who has left everything, so that no list begins her anywhere. The page still lets her come back to single digests.
pub const EVERYTHING: &str = "*";

/// How a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionState {
    /// Asked, and has not confirmed: gets no edition.
    Pending,
    /// Asked and confirmed.
    Confirmed,
    /// Left. Only the reader can come back.
    Ended,
}

/// Subscriber × digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// The digest's slug, or [`EVERYTHING`].
    pub digest: String,
    /// How it stands.
    pub state: SubscriptionState,
    /// Since when it stands so.
    pub since: DateTime<Utc>,
}
