//! Who asked for mail.

// What adding an entry does.
pub mod adding;
// An e-mail address, parsed once.
pub mod address;
// The record that somebody asked.
pub mod consent;
// Knowing the erased again.
pub mod erasure;
// Many spellings, one mailbox: for limits only.
pub mod fold;
// What an operator may overrule.
pub mod force;
// All that is held about somebody.
// Which keys a ledger's links are signed with.
pub mod key_ring;
pub mod held;
// Reading and writing lists of subscribers.
pub mod list;
// What readers ask for on the public pages.
pub mod request;
// Subscriber × digest.
pub mod subscription;
// Addresses never to be mailed.
pub mod suppression;
// Signed links.
pub mod token;

mod unseen;

pub use address::{Address, AddressError, Warning};
pub use consent::Consent;
pub use erasure::ErasureKey;
pub use force::Force;
pub use held::Held;
pub use subscription::{EVERYTHING, Subscriber, SubscriberId, Subscription, SubscriptionState};
pub use suppression::{Lifted, Suppression, SuppressionReason};

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
    /// The digest's slug; or [`EVERYTHING`], which a list may only say has ended.
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
    /// The address may be mailed again, because an operator has said so.
    Lifted,
    /// Its last word is no, in the ledger or now in the list.
    Left,
    /// The address must not be mailed, by the ledger or now by the list; or it was erased.
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

    /// Adds all entries in one transaction, one answer an entry, in order, as [`adding::judge`] says. Adding again changes
    /// nothing. Never revives a subscription that has ended, never lifts a suppression, never brings back the erased.
    fn add(
        &self,
        entries: Vec<Entry>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<Added>, Self::Error>> + Send;

    /// As [`Subscribers::add`]; a confirmed entry lifts a suppression of the kinds that `force` names, and the ledger keeps
    /// what was lifted, and why. What has ended stays so, and the erased stay so.
    fn add_by_force(
        &self,
        entries: Vec<Entry>,
        force: Force,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<Added>, Self::Error>> + Send;

    /// What [`Subscribers::add`] or [`Subscribers::add_by_force`] would answer; nothing is written. Each entry is judged by
    /// the ledger as it stands, not by the entries before it.
    fn differences(
        &self,
        entries: Vec<Entry>,
        force: Option<Force>,
    ) -> impl Future<Output = Result<Vec<Added>, Self::Error>> + Send;

    /// Ends the subscription to one digest, or to all; withdraws deliveries that have not begun. Of somebody we know, to leave
    /// all is written down even where she has none ([`EVERYTHING`]): no list begins her later. `false` where nothing changed.
    fn end(
        &self,
        address: &Address,
        digest: Option<&str>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Suppresses an address, or writes a stricter reason in the place of a milder one; withdraws deliveries that have not
    /// begun. A bounce says nothing of what the reader wants: her open change of address stays open.
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

    /// All that is held about an address; `None` where nothing is.
    fn show(&self, address: &Address) -> impl Future<Output = Result<Option<Held>, Self::Error>> + Send;

    /// Erases a person; `false` where nothing was held. What remains: the mark by which a list does not bring her back (see
    /// [`ErasureKey`]), and her deliveries as numbers, without her.
    ///
    /// # Errors
    /// Without the ledger's key nobody can be erased.
    fn forget(&self, address: &Address, now: DateTime<Utc>) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}
