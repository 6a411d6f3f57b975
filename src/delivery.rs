//! What became of each edition × subscriber. Pure, but for the ledger's contract.
//!
//! ```text
//!               claim              begin                settle
//!   Waiting ───────────▶ Claimed ─────────▶ InFlight ─────────────▶ Accepted ───▶ Bounced | Complained
//!    ▲  │                   │                  │  ├───▶ Rejected                  (later, by returned mail)
//!    │  └▶ Withdrawn        │ lease over       │  └───▶ Waiting (deferred, with backoff) ──▶ Expired
//!    └──────────────────────┘                  │ lease over, or the line broke after the final dot
//!    ▲                                         ▼
//!    └──── an operator, or policy, says ─── Uncertain
//! ```

// Why a mail bounced.
pub mod bounce;
// Everything about somebody.
pub mod history;
// The ledger's contract.
pub mod ledger;
// What editors are told.
pub mod notice;
// How fast mails may go.
pub mod pace;
// How long to wait before the next try.
pub mod retry;
// What came back by mail.
pub mod returns;
// Signatures that are made ahead.
pub mod signatures;
// A new sender begins slowly.
pub mod warm_up;
// It went wrong: now what?
pub mod verdict;

pub use ledger::Ledger;
pub use returns::Returns;
pub use signatures::{Signatures, Unsigned};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::EditionId;
use crate::mail::returned::Said;
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
    /// The relay had taken it, and it came back.
    Bounced,
    /// It arrived, and the reader pressed "spam".
    Complained,
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
    /// The signature that was made ahead, where one is kept.
    pub signature: Option<Vec<u8>>,
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
    /// Nothing was said about this mail (the connection failed before its turn): waiting again at once. No try is counted.
    Untried,
    /// It was not its turn (its domain wants to be left alone): again at this moment. No try is counted or recorded.
    Postponed(DateTime<Utc>),
}

/// [`Outcome`] as an attempt records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// See [`Outcome::Accepted`].
    Accepted,
    /// See [`Outcome::Deferred`].
    Deferred,
    /// See [`Outcome::Rejected`].
    Rejected,
    /// See [`Outcome::Expired`].
    Expired,
    /// See [`Outcome::Uncertain`].
    Uncertain,
    /// See [`Outcome::Untried`].
    Untried,
}

impl AttemptOutcome {
    /// What an outcome is recorded as; `None` where there was no attempt.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Accepted => AttemptOutcome::Accepted,
            Outcome::Deferred(_) => AttemptOutcome::Deferred,
            Outcome::Rejected => AttemptOutcome::Rejected,
            Outcome::Expired => AttemptOutcome::Expired,
            Outcome::Uncertain => AttemptOutcome::Uncertain,
            Outcome::Untried => AttemptOutcome::Untried,
            Outcome::Postponed(_) => return None,
        })
    }

    /// Its name in the ledger and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Accepted => "accepted",
            AttemptOutcome::Deferred => "deferred",
            AttemptOutcome::Rejected => "rejected",
            AttemptOutcome::Expired => "expired",
            AttemptOutcome::Uncertain => "uncertain",
            AttemptOutcome::Untried => "untried",
        }
    }
}

/// One attempt, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When it was marked *in flight*; unknown where it never was.
    pub begun: Option<DateTime<Utc>>,
    /// When its end was known.
    pub ended: DateTime<Utc>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// `false` where the press had lost the delivery when it reported, so that this changed nothing.
    pub held: bool,
    /// What the server said, or what broke.
    pub reply: Reply,
}

/// A delivery as people ask for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryRecord {
    /// Which.
    pub id: DeliveryId,
    /// To whom.
    pub address: Address,
    /// How it stands.
    pub state: DeliveryState,
    /// When its next try is due, where it waits.
    pub due: DateTime<Utc>,
    /// How often it became uncertain; above 0 the reader may have it twice.
    pub doubts: u32,
    /// Oldest first.
    pub attempts: Vec<Attempt>,
    /// What came back of it by mail, oldest first.
    pub returned: Vec<returns::ReturnRecord>,
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

impl Reply {
    /// Characters of [`Reply::text`], at most.
    pub const MAX_TEXT: usize = 500;

    /// A reply of `code`: the enhanced status (RFC 3463) is taken off the text's beginning where it fits the code (RFC 2034
    /// section 4). Control characters become spaces, and what is too long is cut.
    pub fn new(code: u16, text: &str) -> Self {
        let (status, rest) = match text.trim_start().split_once(' ').unwrap_or((text.trim(), "")) {
            (word, rest) if is_status(word, code) => (Some(word.to_owned()), rest),
            _ => (None, text),
        };
        Reply { code, status, text: if is_tidy(rest) { rest.to_owned() } else { tidied(rest) } }
    }

    /// A line as it stands in a log: `550 5.1.1 No such user`.
    pub fn read(line: &str) -> Self {
        let (code, text) = line.split_at_checked(3).unwrap_or(("", line));
        Reply::new(code.parse().unwrap_or(0), text.trim_start_matches(['-', ' ']))
    }

    /// What a server said in a mail that came back. Its status need not fit the code: it may be another server's.
    pub fn of_return(said: &Said) -> Self {
        // The text begins with code and status, where it has them.
        let read = Reply::read(&said.text);
        let read = if read.code == 0 { Reply::none(&said.text) } else { read };
        Reply { code: said.code, status: said.status.clone(), ..read }
    }

    /// Something that broke: no reply came.
    pub fn none(what: &str) -> Self {
        Reply { status: None, ..Reply::new(0, what) }
    }
}

impl Fate {
    /// The message was taken. RFC 5321 has 250 for it (section 4.3.2), and tells a reply by its first digits where the last is
    /// unknown (section 4.2.1); but what says something of the server (21x) or of the line (22x) was no answer to the message.
    pub fn is_acceptance(&self) -> bool {
        matches!(self, Fate::Replied(Step::Dot, reply) if matches!(reply.code, 200..210 | 230..300))
    }

    /// What the ledger keeps of it.
    pub fn reply(&self) -> Reply {
        match self {
            Fate::Replied(_, reply) => reply.clone(),
            Fate::Broke(_, what) => Reply::none(what),
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.code > 0 {
            write!(f, "{} ", self.code)?;
        }
        if let Some(status) = &self.status {
            write!(f, "{status} ")?;
        }
        f.write_str(&self.text)
    }
}

/// `5.7.26` after a 550.
fn is_status(word: &str, code: u16) -> bool {
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = word.split('.');
    let class = parts.next().filter(|part| part.len() == 1).and_then(|part| part.parse().ok());
    let (subject, detail) = (parts.next(), parts.next());
    class == Some(code / 100) && subject.is_some_and(number) && detail.is_some_and(number) && parts.next().is_none()
}

/// As [`tidied`] makes a text. Nearly every reply is.
fn is_tidy(text: &str) -> bool {
    let seen = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let spaced = text.starts_with(' ') || text.ends_with(' ') || text.contains("  ");
    text.len() <= Reply::MAX_TEXT && text.bytes().all(seen) && !spaced
}

fn tidied(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(Reply::MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tidy_text_is_one_that_tidying_leaves_as_it_is(text in "[a .\\PC\t\r\u{0}\u{a0}]{0,12}|[a-c ]{495,505}") {
            let left = tidied(&text) == text;
            prop_assert!(!is_tidy(&text) || left, "{text:?}");
            prop_assert!(is_tidy(&text) || !left || !text.is_ascii(), "{text:?}");
        }
    }

    #[test]
    fn a_reply_is_taken_apart() {
        let reply = Reply::read("550-5.1.1 No\r\nsuch\tuser ");
        assert_eq!((reply.code, reply.status.as_deref(), reply.text.as_str()), (550, Some("5.1.1"), "No such user"));
        assert_eq!(reply.to_string(), "550 5.1.1 No such user");
    }

    #[test]
    fn a_status_of_another_class_is_text() {
        assert_eq!(Reply::read("450 5.1.1 odd"), Reply { code: 450, status: None, text: "5.1.1 odd".to_owned() });
        assert_eq!(Reply::read("250 1.2.3.4 is fine").status, None);
        assert_eq!(Reply::read("250 2.0.0").status.as_deref(), Some("2.0.0"));
    }

    #[test]
    fn a_long_or_broken_text_is_kept_short_and_whole() {
        assert_eq!(Reply::new(250, &"é".repeat(2000)).text.chars().count(), Reply::MAX_TEXT);
        assert_eq!(Reply::read("").code, 0);
        assert_eq!(Reply::read("é").text, "é");
    }
}
