//! The configured store, whichever it is.

use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::time::Duration;

use super::{PostgresStore, SqliteStore, StoreError};
use crate::delivery::history::PastDelivery;
use crate::delivery::ledger::{Counts, Ledger, PressId, Resolution, UncertainPolicy};
use crate::delivery::notice::{Event, Notice, Notices};
use crate::delivery::pace::Rest;
use crate::delivery::returns::{Filed, Patience, Return, Returns};
use crate::delivery::signatures::{Signatures, Unsigned};
use crate::delivery::{Claimed, DeliveryId, DeliveryRecord, DeliveryState, Settlement};
use crate::digest::edition::Stale;
use crate::digest::{Drafted, Edition, EditionId, EditionPiece, Editions, Sealed};
use crate::newsroom::ArticleId;
use crate::subscriber::key_ring::{KeyNames, KeyRing};
use crate::subscriber::request::{Ask, Request, RequestId, Requests, Terms};
use crate::subscriber::{
    Added, Address, Entry, ErasureKey, Force, Held, Listed, Subscriber, SubscriberId, Subscribers, SubscriptionState,
    SuppressionReason,
};

/// A ledger in one of the databases. It keeps every contract by handing it on.
#[derive(Debug)]
pub enum Store {
    /// In one file.
    Sqlite(SqliteStore),
    /// On a server.
    Postgres(PostgresStore),
}

impl Store {
    /// With the key under which erased people are remembered, as [`SqliteStore::with_erasure_key`].
    #[must_use]
    pub fn with_erasure_key(self, key: ErasureKey) -> Self {
        match self {
            Store::Sqlite(store) => Store::Sqlite(store.with_erasure_key(key)),
            Store::Postgres(store) => Store::Postgres(store.with_erasure_key(key)),
        }
    }
}

macro_rules! hand_on {
    ($contract:ident: $(fn $name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl $contract for Store {
            type Error = StoreError;
            $(async fn $name(&self, $($value: $kind),*) -> Result<$answer, StoreError> {
                match self {
                    Store::Sqlite(store) => $contract::$name(store, $($value),*).await,
                    Store::Postgres(store) => $contract::$name(store, $($value),*).await,
                }
            })*
        }
    };
}

hand_on! {
    Subscribers:
    fn add(entries: Vec<Entry>, now: DateTime<Utc>) -> Vec<Added>;
    fn add_by_force(entries: Vec<Entry>, force: Force, now: DateTime<Utc>) -> Vec<Added>;
    fn differences(entries: Vec<Entry>, force: Option<Force>) -> Vec<Added>;
    fn end(address: &Address, digest: Option<&str>, now: DateTime<Utc>) -> bool;
    fn suppress(address: &Address, reason: SuppressionReason, note: &str, now: DateTime<Utc>) -> ();
    fn list(digest: Option<&str>, after: Option<(String, String)>, limit: u32) -> Vec<Listed>;
    fn show(address: &Address) -> Option<Held>;
    fn forget(address: &Address, now: DateTime<Utc>) -> bool;
}

hand_on! {
    KeyRing:
    fn key_names(ours: KeyNames) -> KeyNames;
}

hand_on! {
    Requests:
    fn ask(ask: Ask, terms: Terms, now: DateTime<Utc>) -> bool;
    fn request(id: RequestId, now: DateTime<Utc>) -> Option<Request>;
    fn confirm(id: RequestId, network: &str, now: DateTime<Utc>) -> Option<Subscriber>;
    fn person(id: SubscriberId) -> Option<Held>;
    fn leave(id: SubscriberId, digest: Option<&str>, now: DateTime<Utc>) -> bool;
    fn take_break(id: SubscriberId, until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> ();
    fn letters(limit: u32, now: DateTime<Utc>) -> Vec<Request>;
    fn is_wanted(id: RequestId, now: DateTime<Utc>) -> bool;
    fn posted(id: RequestId, again: Option<DateTime<Utc>>) -> ();
    fn expire(terms: Terms, now: DateTime<Utc>) -> u64;
    fn standing() -> Vec<(SubscriptionState, u64)>;
}

hand_on! {
    Editions:
    fn known(digest: &str, ids: Vec<ArticleId>) -> HashSet<ArticleId>;
    fn draft(digest: &str, number: u32, due: Option<DateTime<Utc>>, pieces: Vec<EditionPiece>, sealed: Sealed, now: DateTime<Utc>) -> Drafted;
    fn revise(edition: Edition) -> Result<(), Stale>;
    fn approve(edition: Edition, now: DateTime<Utc>) -> Result<u64, Stale>;
    fn withdraw(id: EditionId, now: DateTime<Utc>) -> Option<u64>;
    fn edition(id: EditionId) -> Option<Edition>;
    fn editions(digest: Option<&str>) -> Vec<Edition>;
    fn last_run(digest: &str) -> Option<DateTime<Utc>>;
    fn ran(digest: &str, due: DateTime<Utc>) -> ();
}

hand_on! {
    Ledger:
    fn claim(press: &PressId, edition: EditionId, limit: u32, lease: Duration, now: DateTime<Utc>) -> Vec<Claimed>;
    fn turn(press: &PressId, settle: Vec<Settlement>, begin: Vec<DeliveryId>, lease: Duration, now: DateTime<Utc>) -> Vec<DeliveryId>;
    fn renew(press: &PressId, lease: Duration, now: DateTime<Utc>) -> ();
    fn release(press: &PressId) -> ();
    fn rescue(alone: bool, policy: UncertainPolicy, now: DateTime<Utc>) -> u64;
    fn unfinished() -> Vec<EditionId>;
    fn finish(edition: EditionId, now: DateTime<Utc>) -> bool;
    fn counts(edition: EditionId) -> Counts;
    fn next_due(edition: EditionId) -> Option<DateTime<Utc>>;
    fn pause(edition: EditionId, why: Option<&str>) -> bool;
    fn paused(edition: EditionId) -> Option<String>;
    fn record(edition: EditionId, to: &Address) -> Option<DeliveryRecord>;
    fn history(to: &Address) -> Vec<PastDelivery>;
    fn records(edition: EditionId, state: Option<DeliveryState>, after: Option<DeliveryId>, limit: u32) -> Vec<DeliveryRecord>;
    fn doubtful(edition: EditionId, after: Option<DeliveryId>, limit: u32) -> Vec<DeliveryRecord>;
    fn resolve(edition: EditionId, only: Option<DeliveryId>, resolution: Resolution, now: DateTime<Utc>) -> u64;
    fn rests(now: DateTime<Utc>) -> Vec<Rest>;
    fn rest(rest: &Rest) -> ();
    fn presses(press: &PressId, now: DateTime<Utc>) -> u32;
    fn accepted_by_day(days: usize, now: DateTime<Utc>) -> Vec<u64>;
}

hand_on! {
    Signatures:
    fn unsigned(edition: EditionId, before: Option<&Unsigned>, limit: u32) -> Vec<Unsigned>;
    fn keep(signatures: Vec<(DeliveryId, Vec<u8>)>) -> ();
}

hand_on! {
    Notices:
    fn notify(edition: EditionId, event: Event, to: Vec<Address>, now: DateTime<Utc>) -> ();
    fn unsent() -> Vec<Notice>;
    fn take(notice: &Notice, alone: bool, lease: Duration, now: DateTime<Utc>) -> Option<u32>;
    fn give_back(notice: &Notice, taken: u32) -> ();
    fn told(notice: &Notice, now: DateTime<Utc>) -> ();
}

hand_on! {
    Returns:
    fn file(returns: Vec<Return>, patience: Patience, now: DateTime<Utc>) -> Vec<Filed>;
    fn delivery_of(edition: EditionId, subscriber: SubscriberId) -> Option<DeliveryId>;
    fn reader_of(delivery: DeliveryId) -> Option<(EditionId, SubscriberId)>;
}
