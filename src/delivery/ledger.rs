//! The ledger's contract: never silently twice, never silently not.

use chrono::{DateTime, Utc};
use std::future::Future;
use std::time::Duration;

use super::history::PastDelivery;
use super::pace::Rest;
use super::{Claimed, DeliveryId, DeliveryRecord, DeliveryState, Settlement};
use crate::digest::EditionId;
use crate::subscriber::Address;

/// How many deliveries stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Waiting, of these [`Counts::deferred`] were tried.
    pub waiting: u64,
    /// Waiting after a try.
    pub deferred: u64,
    /// Claimed or in flight.
    pub under_way: u64,
    /// Accepted, and neither bounced nor complained of.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
    /// Expired.
    pub expired: u64,
    /// Uncertain.
    pub uncertain: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// Accepted, and came back.
    pub bounced: u64,
    /// Accepted, and complained of.
    pub complained: u64,
    /// Of all these: became uncertain at some time, and so may have been delivered twice.
    pub doubtful: u64,
}

impl Counts {
    /// All deliveries.
    pub fn total(&self) -> u64 {
        let ended = self.accepted + self.rejected + self.expired + self.withdrawn;
        self.waiting + self.under_way + self.uncertain + ended + self.bounced + self.complained
    }
}

/// Names one run of one press, for leases.
pub type PressId = String;

/// What to do with deliveries that may have gone out and may have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UncertainPolicy {
    /// They stay uncertain until an operator decides.
    Hold,
    /// They are sent again, with the same Message-ID, and stay marked; [`MOST_DOUBTS`] times at most.
    Resend,
}

/// A delivery that was uncertain so often is not sent again by itself: as many copies may have gone out as doubts.
pub const MOST_DOUBTS: u32 = 8;

/// What an operator says of an uncertain delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It arrived.
    Accepted,
    /// It is to be sent again.
    Resend,
}

/// The durable record of deliveries. Implemented by every store; held by one conformance suite.
///
/// Everything answered is durable: a crash the moment after loses nothing of it.
pub trait Ledger: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Claims up to `limit` deliveries of an edition that wait and are due. A subscriber who left or is suppressed is not
    /// claimed: her delivery becomes *withdrawn* in the same transaction.
    fn claim(
        &self,
        press: &PressId,
        edition: EditionId,
        limit: u32,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<Claimed>, Self::Error>> + Send;

    /// In one durable step: settles what has ended and marks *in flight* what is about to go on the wire. A settlement for a
    /// delivery that this press no longer holds changes nothing but adds to its attempts. A reader whose address is refused as
    /// none ([`super::verdict::refusal`]) is suppressed in the same step. Answers those of
    /// `begin` that may go: still claimed by this press, and not withdrawn meanwhile; their lease begins anew.
    fn turn(
        &self,
        press: &PressId,
        settle: Vec<Settlement>,
        begin: Vec<DeliveryId>,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<DeliveryId>, Self::Error>> + Send;

    /// A press that is alive says so: what it holds, claimed or in flight, is its own for so long from now.
    fn renew(
        &self,
        press: &PressId,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Gives back what was claimed and not begun.
    fn release(&self, press: &PressId) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Deliveries whose press is gone (`alone`: whatever their lease says, for the caller knows that no other press runs):
    /// *claimed* waits again, *in flight* becomes *uncertain*, and with [`UncertainPolicy::Resend`] *uncertain* waits again: not
    /// what has been uncertain [`MOST_DOUBTS`] times, and nothing of a paused edition, for there a person decides. Answers how
    /// many became uncertain.
    fn rescue(
        &self,
        alone: bool,
        policy: UncertainPolicy,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Approved and unfinished editions, oldest first.
    fn unfinished(&self) -> impl Future<Output = Result<Vec<EditionId>, Self::Error>> + Send;

    /// Marks an edition *sent* if nothing of it waits, is under way or is uncertain. Answers whether it is sent.
    fn finish(&self, edition: EditionId, now: DateTime<Utc>) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// How an edition stands.
    fn counts(&self, edition: EditionId) -> impl Future<Output = Result<Counts, Self::Error>> + Send;

    /// When the next waiting delivery of the edition is due; `None` where none waits.
    fn next_due(&self, edition: EditionId) -> impl Future<Output = Result<Option<DateTime<Utc>>, Self::Error>> + Send;

    /// Pauses an edition (`why` is told to people) or, with `None`, resumes it. While it is paused nothing of it is claimed or
    /// begun; what is in flight is settled. `false` where nothing changed, or it is not under way.
    fn pause(&self, edition: EditionId, why: Option<&str>) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Why an edition is paused; `None` where it is not.
    fn paused(&self, edition: EditionId) -> impl Future<Output = Result<Option<String>, Self::Error>> + Send;

    /// One delivery with all its attempts: "did she get it, when, what did the server say".
    fn record(
        &self,
        edition: EditionId,
        to: &Address,
    ) -> impl Future<Output = Result<Option<DeliveryRecord>, Self::Error>> + Send;

    /// All deliveries to an address, the oldest edition first.
    fn history(&self, to: &Address) -> impl Future<Output = Result<Vec<PastDelivery>, Self::Error>> + Send;

    /// Deliveries of an edition in the order of their numbers, after `after`, at most `limit`; only those in `state` where
    /// it is named.
    fn records(
        &self,
        edition: EditionId,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DeliveryRecord>, Self::Error>> + Send;

    /// As [`Ledger::records`]: those that became uncertain at some time, whatever their state is now.
    fn doubtful(
        &self,
        edition: EditionId,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DeliveryRecord>, Self::Error>> + Send;

    /// An operator decides about one uncertain delivery of an edition, or about all. Answers about how many.
    fn resolve(
        &self,
        edition: EditionId,
        only: Option<DeliveryId>,
        resolution: Resolution,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Destinations that have said "too fast" lately (their rest is not over since [`super::pace::FORGOTTEN`]), whichever
    /// press heard it.
    fn rests(&self, now: DateTime<Utc>) -> impl Future<Output = Result<Vec<Rest>, Self::Error>> + Send;

    /// Writes down that a destination wants to be left alone; the longer rest of several holds.
    fn rest(&self, rest: &Rest) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// How many presses are at work on this ledger now, this one among them: each keeps to its part of the limits. At least 1.
    /// Whoever has asked so counts for some seconds, or until [`Ledger::release`].
    fn presses(&self, press: &PressId, now: DateTime<Utc>) -> impl Future<Output = Result<u32, Self::Error>> + Send;

    /// How many deliveries of all editions were accepted in the last 24 hours, in the 24 hours before, and so on: so many
    /// numbers.
    fn accepted_by_day(
        &self,
        days: usize,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<u64>, Self::Error>> + Send;
}
