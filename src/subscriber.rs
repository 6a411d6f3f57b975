//! Who asked for mail.

/// An e-mail address, parsed once.
pub mod address;
/// The record that somebody asked.
pub mod consent;
/// Many spellings, one mailbox: for limits only.
pub mod fold;
/// Reading and writing lists of subscribers.
pub mod list;
/// Subscriber × digest.
pub mod subscription;
/// Addresses never to be mailed.
pub mod suppression;
/// Signed links.
pub mod token;

mod unseen;

pub use address::{Address, AddressError, Warning};
pub use consent::Consent;
pub use subscription::{Subscriber, SubscriberId, Subscription, SubscriptionState};
pub use suppression::{Suppression, SuppressionReason};

use chrono::{DateTime, Utc};
use std::future::Future;

/// One sound row of a list that asks to be subscribed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub address: Address,
    /// How the person wants to be called; may be empty.
    pub name: String,
    /// BCP 47, where it is known.
    pub language: Option<String>,
    /// The digest's slug.
    pub digest: String,
    /// What the list says of it.
    pub state: SubscriptionState,
    /// Since when it stands so, where the list says it.
    pub since: Option<DateTime<Utc>>,
    /// Where the consent comes from. Its source is empty only where the row asks for no mail: ended or suppressed.
    pub consent: Consent,
    /// The list says that this address must never be mailed.
    pub suppressed: Option<SuppressionReason>,
    /// The operator's words, kept with a suppression; may be empty.
    pub note: String,
}

/// What adding an [`Entry`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Added {
    /// A new subscription.
    New,
    /// A pending subscription is confirmed now.
    Confirmed,
    /// It was there already, or the ledger knows better than the list.
    Unchanged,
    /// Its last word was no: it is left alone.
    Left,
    /// The address is suppressed: it is left alone.
    Suppressed,
}

/// One subscription as it is listed and exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub subscriber: Subscriber,
    /// To what, and how it stands.
    pub subscription: Subscription,
    /// Where the consent came from.
    pub consent: Option<Consent>,
    /// Set when the address must not be mailed.
    pub suppression: Option<Suppression>,
}

/// The durable record of subscribers. Implemented by every store; held by one conformance suite.
pub trait Subscribers: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Adds all entries in one transaction, one answer an entry, in order. Adding again changes nothing.
    /// Never revives a subscription that has ended and never lifts a suppression.
    fn add(
        &self,
        entries: Vec<Entry>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<Added>, Self::Error>> + Send;

    /// Ends the subscription to one digest, or to all; withdraws deliveries that have not begun. `false` where none was.
    fn end(
        &self,
        address: &Address,
        digest: Option<&str>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Suppresses an address; withdraws deliveries that have not begun.
    fn suppress(
        &self,
        address: &Address,
        reason: SuppressionReason,
        note: &str,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Subscriptions after `after` in the order of (address, digest), at most `limit`; of one digest where named.
    fn list(
        &self,
        digest: Option<&str>,
        after: Option<(String, String)>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Listed>, Self::Error>> + Send;
}
