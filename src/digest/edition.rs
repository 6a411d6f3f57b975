//! One digest sealed at one moment.
//!
//! ```text
//!   Draft ──approve──▶ Approved ──first claim──▶ Sending ──nothing waits──▶ Sent
//!     │                   │                         │
//!     └──────────────────▶└── withdraw ────────────▶└──▶ Withdrawn
//! ```

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::future::Future;

use crate::newsroom::ArticleId;

/// An edition's number in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EditionId(pub i64);

/// How an edition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EditionState {
    /// An editor may change it.
    Draft,
    /// Its bytes are fixed and its deliveries are written.
    Approved,
    /// Mails are going out.
    Sending,
    /// No delivery waits any more.
    Sent,
    /// Nobody (else) gets it.
    Withdrawn,
}

/// One piece an edition carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditionPiece {
    /// The article.
    pub id: ArticleId,
    /// Its title when the edition was made, for lists.
    pub title: String,
    /// What the editor decided.
    pub choice: Choice,
}

/// What the editor decided about a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// It goes out with this edition.
    Carried,
    /// Left out; it stays new and is offered again with the next edition.
    Later,
    /// Left out for good; it is not new any more.
    Never,
    /// Nobody decided: it was published before the digest began, which is with this edition.
    Passed,
}

/// What an editor may change before approving.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Edits {
    /// Instead of the digest's pattern.
    pub subject: Option<String>,
    /// Instead of the digest's pattern.
    pub preheader: Option<String>,
    /// Markdown that stands before the pieces.
    pub introduction: Option<String>,
}

/// What every reader gets, but for the marked places. See [`crate::mail::compose`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The subject line.
    pub subject: String,
    /// The line that mail programs show after the subject.
    pub preheader: String,
    /// The HTML part, marks in it.
    pub html: String,
    /// The text part, marks in it.
    pub text: String,
    /// What the marks begin with; occurs nowhere else in the texts.
    pub mark: String,
    /// Full texts had to become summaries to stay below the size that mail programs show.
    pub shortened: bool,
    /// Headers that are the same for every reader: From, Reply-To, List-Id…, as `(name, value)`.
    pub headers: Vec<(String, String)>,
    /// The Date header: the moment of approval.
    pub date: DateTime<Utc>,
}

/// One digest sealed at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Edition {
    /// In the ledger.
    pub id: EditionId,
    /// The digest's slug.
    pub digest: String,
    /// 1, 2, 3… within the digest.
    pub number: u32,
    /// How it stands.
    pub state: EditionState,
    /// How often an editor has changed it: whoever changes or approves it says what was looked at.
    pub revision: u32,
    /// It was withdrawn when some reader had it, or may have had it.
    pub reached: bool,
    /// Why the press leaves it alone, where it is paused.
    pub paused: Option<String>,
    /// The due time of the schedule that it was made for; `None` where a person asked for it.
    pub due: Option<DateTime<Utc>>,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// When it was approved.
    pub approved: Option<DateTime<Utc>>,
    /// In order.
    pub pieces: Vec<EditionPiece>,
    /// The editor's changes.
    pub edits: Edits,
    /// As last rendered; fixed once approved.
    pub sealed: Sealed,
    /// SHA-256 of `sealed`, in hexadecimal, taken when it was approved.
    pub seal: Option<String>,
}

impl Edition {
    /// Whether it counts: it may yet go out, or has reached somebody.
    pub fn counts(&self) -> bool {
        self.state != EditionState::Withdrawn || self.reached
    }
}

/// Why an edition was not changed, or not approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// It stands otherwise.
    State(EditionState),
    /// Somebody has changed it since it was read.
    Revised,
}

/// What became of a draft that was to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Drafted {
    /// It is written.
    Made(Box<Edition>),
    /// Nothing: its due time had been handled before.
    Handled,
    /// Nothing: its number is not the digest's next one. Somebody has made an edition meanwhile, and what was new may not be so
    /// any more.
    Outrun,
}

/// The durable record of editions. Implemented by every store; held by one conformance suite.
pub trait Editions: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Of these articles, those that are not new for the digest: an edition carries them or began the digest after them (a
    /// withdrawn one only if a mail of it had begun), or an editor said *never*.
    fn known(
        &self,
        digest: &str,
        ids: Vec<ArticleId>,
    ) -> impl Future<Output = Result<std::collections::HashSet<ArticleId>, Self::Error>> + Send;

    /// Writes a draft that was chosen and rendered as the digest's edition `number`. Where it is for a due time of the schedule,
    /// the same transaction records that this was handled. Of several that try at once, on whatever machine, one makes it.
    fn draft(
        &self,
        digest: &str,
        number: u32,
        due: Option<DateTime<Utc>>,
        pieces: Vec<EditionPiece>,
        sealed: Sealed,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Drafted, Self::Error>> + Send;

    /// Gives a draft other pieces, edits and bytes: `edition` is as it was read, but for these.
    fn revise(&self, edition: Edition) -> impl Future<Output = Result<Result<(), Stale>, Self::Error>> + Send;

    /// Fixes a draft's pieces and bytes with their seal and writes one delivery for each confirmed, unsuppressed subscriber,
    /// in one transaction: `edition` is as it was read, but for these. Doing it again changes nothing. Answers the number of
    /// deliveries.
    fn approve(
        &self,
        edition: Edition,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Result<u64, Stale>, Self::Error>> + Send;

    /// Withdraws an edition and its deliveries that have not begun. Answers how many deliveries were withdrawn;
    /// `None` where all had been sent.
    fn withdraw(
        &self,
        id: EditionId,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Option<u64>, Self::Error>> + Send;

    /// One edition.
    fn edition(&self, id: EditionId) -> impl Future<Output = Result<Option<Edition>, Self::Error>> + Send;

    /// Editions of one digest or of all, newest first, without their bytes.
    fn editions(&self, digest: Option<&str>) -> impl Future<Output = Result<Vec<Edition>, Self::Error>> + Send;

    /// The due time that was handled last.
    fn last_run(&self, digest: &str) -> impl Future<Output = Result<Option<DateTime<Utc>>, Self::Error>> + Send;

    /// Records that the due time `due` was handled. Later ones that stand in the record come from a clock that was ahead, and
    /// are forgotten.
    fn ran(&self, digest: &str, due: DateTime<Utc>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
