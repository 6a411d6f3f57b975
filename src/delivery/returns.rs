//! What came back by mail, after the relay had taken it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::time::Duration;

use super::bounce::{Cause, Weight};
use super::{DeliveryId, Reply};
use crate::digest::EditionId;
use crate::subscriber::SubscriberId;
use crate::subscriber::request::RequestId;

/// A delivery of which nothing has come back for so long is a success: mail servers give up after five days at the latest
/// (RFC 5321 section 4.5.4.1).
const SILENCE: TimeDelta = TimeDelta::days(5);

/// What makes a mail that came back the same as one that was read before: a SHA-256 hash.
pub type ReturnMark = [u8; 32];

/// A mail of ours, as the token in its return path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mailed {
    /// An edition to a reader.
    Delivery(DeliveryId),
    /// The letter that a reader's request has caused: to confirm something, or with the way to her preferences.
    Request(RequestId),
    /// A letter to an editor about an edition.
    Notice(EditionId),
}

impl Mailed {
    /// The number that stands for it in a token. Deliveries stand for themselves, as tokens did before there were others;
    /// what comes of the ledger is above 0.
    pub fn number(self) -> i64 {
        match self {
            Mailed::Delivery(DeliveryId(id)) => id,
            Mailed::Request(RequestId(id)) => id.saturating_mul(-2),
            Mailed::Notice(EditionId(id)) => id.saturating_mul(-2).saturating_add(1),
        }
    }

    /// What a number stands for.
    pub fn of(number: i64) -> Self {
        match (number > 0, number % 2 == 0) {
            (true, _) => Mailed::Delivery(DeliveryId(number)),
            (false, true) => Mailed::Request(RequestId(number / -2)),
            (false, false) => Mailed::Notice(EditionId(1 - number / 2)),
        }
    }
}

/// What a mail that came back says of its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum News {
    /// Not there yet; somebody still tries.
    Delayed,
    /// It has arrived, or was handed on to where nothing is reported.
    Arrived,
    /// It will not arrive.
    Bounced,
    /// It has arrived, and the reader pressed "spam".
    Complained,
}

/// One mail that came back, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// By which it is known again.
    pub mark: ReturnMark,
    /// Of which mail of ours; whoever says so has verified it.
    pub of: Mailed,
    /// What it says.
    pub news: News,
    /// Why it bounced; `None` of anything else.
    pub cause: Option<Cause>,
    /// What the other server said.
    pub reply: Reply,
}

/// One mail that came back, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnRecord {
    /// When it was read.
    pub when: DateTime<Utc>,
    /// What it says.
    pub news: News,
    /// Why it bounced.
    pub cause: Option<Cause>,
    /// What the other server said.
    pub reply: Reply,
}

/// What became of a mail that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filed {
    /// It is written down.
    Noted,
    /// It is written down, and its reader is suppressed from now on.
    Suppressed,
    /// It was written down before; nothing changed.
    Again,
    /// There is no such delivery or request (any more); nothing changed.
    Nobody,
}

/// When bounces that are not final become so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// So many deliveries in a row have to bounce.
    pub bounces: u32,
    /// Within this time.
    pub within: Duration,
}

/// A delivery to somebody that the relay had taken or refused, for [`Patience::ends`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// It bounced or was refused, then, and the cause counts ([`Cause::counts`]).
    Bounced(DateTime<Utc>),
    /// It bounced or was refused, and the cause says nothing of the reader.
    Refused,
    /// Nothing has come back of it. The relay took it then.
    Silent(DateTime<Utc>),
}

impl Patience {
    /// Whether somebody is to be given up. `past` are deliveries to her, the newest first, the one that bounced just now among
    /// them. Bounces are counted back to the last success.
    pub fn ends(&self, past: impl IntoIterator<Item = Past>, now: DateTime<Utc>) -> bool {
        let since = now - TimeDelta::from_std(self.within).unwrap_or(TimeDelta::MAX);
        let mut bounces = 0;
        for one in past {
            match one {
                Past::Bounced(when) if when >= since => bounces += 1,
                Past::Silent(taken) if now - taken >= SILENCE => break,
                Past::Bounced(_) | Past::Silent(_) | Past::Refused => {}
            }
            if bounces >= self.bounces {
                return true;
            }
        }
        false
    }

    /// Deliveries that were begun before then need not be looked at.
    pub fn horizon(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - TimeDelta::from_std(self.within).unwrap_or(TimeDelta::MAX) - SILENCE
    }
}

impl Return {
    /// Whether its reader is suppressed whatever was before.
    pub fn is_final(&self) -> bool {
        match self.news {
            News::Complained => true,
            News::Bounced => self.cause.is_some_and(|cause| cause.weight() == Weight::Hard),
            News::Delayed | News::Arrived => false,
        }
    }

    /// Whether it counts towards [`Patience`].
    pub fn counts(&self) -> bool {
        self.news == News::Bounced && self.cause.is_none_or(Cause::counts)
    }
}

/// The durable record of what came back. Implemented by every store; held by one conformance suite.
pub trait Returns: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes down what came back, all in one transaction, one answer each, in order. A mark that is known changes nothing.
    ///
    /// A bounce makes an accepted (or uncertain) delivery *bounced*, a complaint makes it *complained*; a complaint is not
    /// undone by a bounce. Complaints and final bounces suppress the reader's address, others where [`Patience`] ends; the
    /// deliveries to her that have not begun are withdrawn. Of a reader who was erased no address and no text is written.
    ///
    /// A complaint about the letter of a request suppresses the address that it went to, and so does its final bounce, unless
    /// the request was confirmed: then it had arrived. The request is over. Of a letter to an editor it is only known that it
    /// came back.
    fn file(
        &self,
        returns: Vec<Return>,
        patience: Patience,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<Filed>, Self::Error>> + Send;

    /// The delivery of an edition to a subscriber.
    fn delivery_of(
        &self,
        edition: EditionId,
        subscriber: SubscriberId,
    ) -> impl Future<Output = Result<Option<DeliveryId>, Self::Error>> + Send;

    /// Whom a delivery was for.
    fn reader_of(
        &self,
        delivery: DeliveryId,
    ) -> impl Future<Output = Result<Option<(EditionId, SubscriberId)>, Self::Error>> + Send;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_mail_of_ours_has_a_number_of_its_own() {
        for id in [1, 2, 3, 1 << 40] {
            for mailed in
                [Mailed::Delivery(DeliveryId(id)), Mailed::Request(RequestId(id)), Mailed::Notice(EditionId(id))]
            {
                assert_eq!(Mailed::of(mailed.number()), mailed);
            }
            assert_eq!(Mailed::Delivery(DeliveryId(id)).number(), id);
        }
        // A token is signed, so none of ours has these; they must do no harm all the same.
        for number in [0, i64::MIN, -i64::MAX, i64::MAX] {
            let _ = Mailed::of(number);
        }
    }

    fn day(n: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + n)
    }

    const THREE: Patience = Patience { bounces: 3, within: Duration::from_hours(30 * 24) };

    #[test]
    fn patience_ends_with_the_last_of_so_many_bounces_in_a_row() {
        let past = [day(30), day(20), day(0)].map(Past::Bounced);
        assert!(THREE.ends(past, day(30)));
        assert!(!THREE.ends(past[..2].to_vec(), day(30)));
    }

    #[test]
    fn bounces_of_long_ago_do_not_count() {
        let past = [day(31), day(20), day(0)].map(Past::Bounced);
        assert!(!THREE.ends(past, day(31)));
    }

    #[test]
    fn a_success_in_between_begins_anew_and_a_mail_that_may_still_bounce_is_none() {
        let past =
            |taken| [Past::Bounced(day(30)), Past::Bounced(day(29)), Past::Silent(taken), Past::Bounced(day(20))];
        assert!(!THREE.ends(past(day(25)), day(30)));
        assert!(THREE.ends(past(day(26)), day(30)));
    }

    #[test]
    fn what_was_refused_because_of_us_neither_counts_nor_is_a_success() {
        let past = [Past::Bounced(day(30)), Past::Refused, Past::Bounced(day(28)), Past::Refused, Past::Refused];
        assert!(!THREE.ends(past, day(30)));
        assert!(THREE.ends([past[0], past[1], past[2], Past::Bounced(day(27))], day(30)));
    }
}
