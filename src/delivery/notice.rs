//! What editors are told by mail about an edition.

// How a letter reads.
pub mod letter;

use chrono::{DateTime, Utc};
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use crate::digest::EditionId;
use crate::subscriber::Address;

/// Something that editors hear of, once for each edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A draft waits for them.
    Draft,
    /// Every delivery has ended.
    Sent,
    /// Every delivery has ended, but some are uncertain, and a person must decide.
    Uncertain,
    /// The press leaves the edition alone, after so many deliveries had ended: paused again after more of them is another
    /// event, found paused once more is the same.
    Paused(u64),
}

/// One letter that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// About which edition.
    pub edition: EditionId,
    /// What happened.
    pub event: Event,
    /// To whom.
    pub to: Address,
    /// When it happened.
    pub since: DateTime<Utc>,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Draft => f.write_str("draft"),
            Event::Sent => f.write_str("sent"),
            Event::Uncertain => f.write_str("uncertain"),
            Event::Paused(after) => write!(f, "paused {after}"),
        }
    }
}

/// A text that names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no event that editors are told of")]
pub struct NoEvent;

impl FromStr for Event {
    type Err = NoEvent;

    fn from_str(text: &str) -> Result<Self, NoEvent> {
        match text {
            "draft" => Ok(Event::Draft),
            "sent" => Ok(Event::Sent),
            "uncertain" => Ok(Event::Uncertain),
            _ => {
                let after = text.strip_prefix("paused ").and_then(|after| after.parse().ok());
                after.map(Event::Paused).ok_or(NoEvent)
            }
        }
    }
}

/// The durable record of letters to editors.
pub trait Notices: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes down that these are to be told. What was written down before stays as it is, sent or not.
    fn notify(
        &self,
        edition: EditionId,
        event: Event,
        to: Vec<Address>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// What is still to be sent, oldest first.
    fn unsent(&self) -> impl Future<Output = Result<Vec<Notice>, Self::Error>> + Send;

    /// Takes a letter, to send it: for so long nobody else can. `alone`: whoever had taken it is gone. Answers how often it
    /// was taken, this time among them: the second time it may have gone out the first time. `None` where somebody else has
    /// it, or it is told.
    fn take(
        &self,
        notice: &Notice,
        alone: bool,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Option<u32>, Self::Error>> + Send;

    /// Gives back a letter that was `taken` so often, and this time has not gone out: the next may take it at once.
    fn give_back(&self, notice: &Notice, taken: u32) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A letter was sent, or nobody needs it any more.
    fn told(&self, notice: &Notice, now: DateTime<Utc>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_written() {
        for event in [Event::Draft, Event::Sent, Event::Uncertain, Event::Paused(0), Event::Paused(1_000_000)] {
            assert_eq!(event.to_string().parse(), Ok(event));
        }
        for text in ["", "paused", "paused x", "sent twice"] {
            assert_eq!(text.parse::<Event>(), Err(NoEvent));
        }
    }
}
