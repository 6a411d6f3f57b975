//! What every store holds to, whatever its SQL.

use chrono::{DateTime, Utc};

use crate::delivery::bounce::Weight;
use crate::delivery::returns::Past;
use crate::delivery::verdict::refusal;
use crate::delivery::{AttemptOutcome, DeliveryState, Outcome, Reply, Settlement};
use crate::store::{StoreError, row};

/// A delivery that became uncertain more often than this is sent again only after [`DOUBTFUL_WAIT`]: a relay that breaks
/// after every dot would otherwise be sent the same mail as fast as the line allows. It is never sent again by itself after
/// [`crate::delivery::ledger::MOST_DOUBTS`].
pub(in crate::store) const QUICK_RESENDS: i64 = 5;
/// Milliseconds.
pub(in crate::store) const DOUBTFUL_WAIT: i64 = 10 * 60 * 1000;

/// Where a consent comes from that was given to us.
pub(in crate::store) const PAGE: &str = "confirmed on our page";
/// The same, where only the address is new.
pub(in crate::store) const MOVED: &str = "change of address, confirmed on our page";

/// The reply of an attempt that nobody wrote down.
pub(in crate::store) fn lost() -> Reply {
    Reply { code: 0, status: None, text: "the press stopped before the answer was written down".to_owned() }
}

/// What stands in place of a server's reply where a person has said that a mail had arrived.
pub(in crate::store) fn arrived() -> Reply {
    Reply { code: 0, status: None, text: "no answer was heard; an operator said that it had arrived".to_owned() }
}

/// Whether the relay has said, when it was to be sent, that the reader's address is none any more.
pub(in crate::store) fn is_gone(settlement: &Settlement) -> bool {
    settlement.outcome == Outcome::Rejected
        && refusal(&settlement.reply).is_some_and(|cause| cause.weight() == Weight::Hard)
}

/// What a delivery says to our patience that was refused when it was to be sent, then.
pub(in crate::store) fn refused(reply: &Reply, when: DateTime<Utc>) -> Past {
    if refusal(reply).is_some() { Past::Bounced(when) } else { Past::Refused }
}

/// In the order of the column's numbers.
const STATES: [DeliveryState; 10] = [
    DeliveryState::Waiting,
    DeliveryState::Claimed,
    DeliveryState::InFlight,
    DeliveryState::Accepted,
    DeliveryState::Rejected,
    DeliveryState::Expired,
    DeliveryState::Uncertain,
    DeliveryState::Withdrawn,
    DeliveryState::Bounced,
    DeliveryState::Complained,
];

/// A delivery's state by its number in the database.
pub(in crate::store) fn state_of(number: i64) -> Result<DeliveryState, StoreError> {
    usize::try_from(number)
        .ok()
        .and_then(|n| STATES.get(n).copied())
        .ok_or_else(|| StoreError::Damaged(format!("no state: {number}")))
}

/// A state's number in the database.
pub(in crate::store) fn number_of(state: DeliveryState) -> Option<i64> {
    STATES.iter().position(|of| *of == state).and_then(|n| i64::try_from(n).ok())
}

/// What a settlement writes to its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct End {
    /// The state's number; 0 is written as 7 where the edition is withdrawn.
    pub(in crate::store) state: i64,
    /// When it is due again, where it waits.
    pub(in crate::store) due: Option<i64>,
    /// Added to the tries.
    pub(in crate::store) tries: i64,
    /// Added to the doubts.
    pub(in crate::store) doubts: i64,
    /// What the attempt is called; `None` where none is written.
    pub(in crate::store) attempt: Option<AttemptOutcome>,
}

impl End {
    /// What becomes of a delivery.
    pub(in crate::store) fn of(settlement: &Settlement) -> End {
        let (state, due, tries, doubts) = match &settlement.outcome {
            Outcome::Accepted => (3, None, 1, 0),
            Outcome::Rejected => (4, None, 1, 0),
            Outcome::Expired => (5, None, 1, 0),
            Outcome::Uncertain => (6, None, 1, 1),
            Outcome::Deferred(due) => (0, Some(*due), 1, 0),
            Outcome::Untried => (0, Some(settlement.when), 0, 0),
            Outcome::Postponed(due) => (0, Some(*due), 0, 0),
        };
        End { state, due: due.map(row::millis), tries, doubts, attempt: AttemptOutcome::of(&settlement.outcome) }
    }
}
