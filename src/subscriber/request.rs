//! What readers ask for on the public pages. Nothing of it counts before the mail that it causes has been answered.
//!
//! ```text
//!   ask ──▶ open ──confirm──▶ confirmed
//!            │ expires, or she leaves
//!            └──────────────▶ over
//! ```

use chrono::{DateTime, Utc};
use serde::Serialize;
use std::future::Future;
use std::time::Duration;

use super::{Address, Held, Subscriber, SubscriberId, SubscriptionState};

/// A request's number in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RequestId(pub i64);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To get these digests, by their slugs.
    Subscribe(Vec<String>),
    /// The link to one's preferences.
    Link,
    /// That what this subscriber gets goes to the address from now on.
    Move(SubscriberId),
}

/// Somebody asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where the mail goes that has to be answered.
    pub address: Address,
    /// What for.
    pub wish: Wish,
    /// Of the page on which it was asked; BCP 47.
    pub language: String,
    /// The client's network: `192.0.2.0/24`, `2001:db8:1::/48`.
    pub network: String,
    /// The words that were agreed to.
    pub wording: String,
}

/// How long things hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// An inbox gets one mail in this time, whatever is asked.
    pub every: Duration,
    /// A request that is not confirmed within this time is over.
    pub within: Duration,
}

/// What a mail is about that a request causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// To confirm a subscription.
    Subscribe,
    /// To confirm nothing: the way to one's preferences.
    Link,
    /// To confirm a new address.
    Move,
}

/// A request that can be confirmed, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// In the ledger.
    pub id: RequestId,
    /// Who asked; of a move: who has the old address.
    pub subscriber: SubscriberId,
    /// What for.
    pub kind: RequestKind,
    /// Where its mail goes.
    pub to: Address,
    /// The slugs of the digests.
    pub digests: Vec<String>,
    /// BCP 47.
    pub language: String,
    /// When it was asked.
    pub asked: DateTime<Utc>,
    /// How often its mail was tried.
    pub tries: u32,
}

/// The durable record of what readers ask for. Implemented by every store.
pub trait Requests: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes a request down, with the mail that it causes. `false` where no mail goes out: the inbox had one a short while
    /// ago, the address is suppressed, or there is nothing to say to it. The page must not tell which.
    fn ask(&self, ask: Ask, terms: Terms, now: DateTime<Utc>)
    -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// A request that is open or was confirmed.
    fn request(
        &self,
        id: RequestId,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Option<Request>, Self::Error>> + Send;

    /// Does what was asked; who has it now. Doing it again changes nothing, also after she has left again. `None` where it
    /// is over, or where the address must not be mailed. `network` is that of whoever confirms.
    fn confirm(
        &self,
        id: RequestId,
        network: &str,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Option<Subscriber>, Self::Error>> + Send;

    /// All that is held about a subscriber; `None` where she was erased.
    fn person(&self, id: SubscriberId) -> impl Future<Output = Result<Option<Held>, Self::Error>> + Send;

    /// Ends the subscription to one digest or to all, as [`super::Subscribers::end`] does.
    fn leave(
        &self,
        id: SubscriberId,
        digest: Option<&str>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Nothing goes to her until then (`None`: everything again); withdraws deliveries that have not begun.
    fn take_break(
        &self,
        id: SubscriberId,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Requests whose mail is due, the oldest first, at most `limit`.
    fn letters(&self, limit: u32, now: DateTime<Utc>)
    -> impl Future<Output = Result<Vec<Request>, Self::Error>> + Send;

    /// Whether the mail of a request may go out still: nobody has called it off or been forgotten since it was read, and the
    /// inbox may be written to.
    fn is_wanted(&self, id: RequestId, now: DateTime<Utc>) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// The mail of a request was tried: sent or given up, or to be tried again.
    fn posted(
        &self,
        id: RequestId,
        again: Option<DateTime<Utc>>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes away requests that are over, and who was only written down because of them; how many.
    fn expire(&self, terms: Terms, now: DateTime<Utc>) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// How many subscriptions stand how.
    fn standing(&self) -> impl Future<Output = Result<Vec<(SubscriptionState, u64)>, Self::Error>> + Send;
}
