//! What became of each edition × subscriber. Pure, but for the ledger's contract.
//!
//! ```text
//!               claim              begin                settle
//!   Waiting ───────────▶ Claimed ─────────▶ InFlight ─────────────▶ Accepted
//!    ▲  │                   │                  │  ├───▶ Rejected
//!    │  └▶ Withdrawn        │ lease over       │  └───▶ Waiting (deferred, with backoff) ──▶ Expired
//!    └──────────────────────┘                  │ lease over, or the line broke after the final dot
//!    ▲                                         ▼
//!    └──── an operator, or policy, says ─── Uncertain
//! ```

/// The ledger's contract.
pub mod ledger;
/// How long to wait before the next try.
pub mod retry;
/// It went wrong: now what?
pub mod verdict;

pub use ledger::Ledger;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::EditionId;
use crate::subscriber::{Address, SubscriberId};

/// A delivery's number in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub i64);

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Its turn has not come, or it was put off.
    Waiting,
    /// A press has it, and has not begun.
    Claimed,
    /// It may be on the wire.
    InFlight,
    /// The relay took it.
    Accepted,
    /// The relay refused it for good.
    Rejected,
    /// It was put off until it was too late.
    Expired,
    /// It may have gone out and may have not.
    Uncertain,
    /// The reader left, or the edition was withdrawn, before its turn.
    Withdrawn,
}

/// A delivery that a press has claimed: all that is needed to write the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Which.
    pub id: DeliveryId,
    /// Of which edition.
    pub edition: EditionId,
    /// To whom.
    pub subscriber: SubscriberId,
    /// Where.
    pub address: Address,
    /// How the person wants to be called; may be empty.
    pub name: String,
    /// Tries before this one.
    pub tries: u32,
    /// When its first try was begun, for giving up.
    pub first_try: Option<DateTime<Utc>>,
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// For instance 250; 0 where no reply came.
    pub code: u16,
    /// Enhanced status (RFC 3463), for instance `5.1.1`.
    pub status: Option<String>,
    /// The text, one line, without control characters, at most [`Reply::MAX_TEXT`] characters.
    pub text: String,
}

/// How far an SMTP transaction came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Connecting, EHLO, TLS, AUTH.
    Greeting,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`, and the message up to, not including, its final dot.
    Data,
    /// The final dot may have been sent.
    Dot,
}

/// How one attempt ended, as the transport saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The server replied at this step.
    Replied(Step, Reply),
    /// The line broke, or a time limit ran out, at this step.
    Broke(Step, String),
}

/// What becomes of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The relay took it.
    Accepted,
    /// Not now: again at this moment.
    Deferred(DateTime<Utc>),
    /// Refused for good.
    Rejected,
    /// Put off until it was too late.
    Expired,
    /// It may have gone out and may have not.
    Uncertain,
    /// Nothing was said about this mail (the connection failed before its turn): waiting again at once.
    Untried,
}

/// An attempt's end, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which.
    pub id: DeliveryId,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What the server said, or what broke.
    pub reply: Reply,
    /// When.
    pub when: DateTime<Utc>,
}
