//! What we hold about somebody, for whoever asks for her own.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::request::RequestKind;
use super::{Consent, Lifted, Subscriber, Subscription, Suppression};

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
    /// The network it was given from, where it was given to us: `192.0.2.0/24`.
    pub network: String,
    /// The words that were agreed to, where it was given to us.
    pub wording: String,
}

/// Something that was asked for on the public pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// What for.
    pub kind: RequestKind,
    /// The slugs of the digests.
    pub digests: Vec<String>,
    /// Of a change of address: the new one.
    pub address: Option<String>,
    /// The network it was asked from.
    pub network: String,
    /// When it was asked.
    pub asked: DateTime<Utc>,
    /// When it is thrown away.
    pub kept_until: DateTime<Utc>,
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
    /// Oldest first.
    pub requests: Vec<RequestRecord>,
    /// She wants no edition until then.
    pub paused_until: Option<DateTime<Utc>>,
    /// Set when the address must not be mailed.
    pub suppression: Option<Suppression>,
    /// What an operator has lifted, oldest first.
    pub lifted: Vec<Lifted>,
    /// When the address was erased, where it was.
    pub erased: Option<DateTime<Utc>>,
}
