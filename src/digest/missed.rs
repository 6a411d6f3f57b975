//! What happens to an edition whose hour has passed, because the machine was off or nobody ran the program.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a run does that comes too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// Makes the edition, once however many were missed; a person decides whether it goes out.
    Once,
    /// Makes none; the pieces stay new and come with the next.
    Skip,
}

/// What is to be done about an edition that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// As the digest says.
    Make,
    /// A draft for the editor, even where nobody else has to approve: mail at an hour that nobody chose is a person's
    /// decision.
    Ask,
    /// Nothing; the due time counts as handled.
    Skip,
}

impl Missed {
    /// Later than this is too late, where the configuration says nothing: an evening's mail may come at night, and a
    /// morning's before the evening; neither comes on another day.
    pub const LATE: Duration = Duration::from_hours(6);

    /// What a run at `now` does about an edition that was due at `due`. Exactly `late` after it is not too late.
    pub fn turn(self, late: Duration, due: DateTime<Utc>, now: DateTime<Utc>) -> Turn {
        if now - due <= TimeDelta::from_std(late).unwrap_or(TimeDelta::MAX) {
            return Turn::Make;
        }
        match self {
            Missed::Once => Turn::Ask,
            Missed::Skip => Turn::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_it_is_in_time_and_a_moment_after_it_is_too_late() {
        let due = DateTime::UNIX_EPOCH;
        let limit = due + TimeDelta::hours(6);
        let after = limit + TimeDelta::milliseconds(1);
        for (missed, late) in [(Missed::Once, Turn::Ask), (Missed::Skip, Turn::Skip)] {
            assert_eq!(missed.turn(Missed::LATE, due, due), Turn::Make);
            assert_eq!(missed.turn(Missed::LATE, due, limit), Turn::Make);
            assert_eq!(missed.turn(Missed::LATE, due, after), late);
            assert_eq!(missed.turn(Duration::MAX, due, after), Turn::Make);
        }
    }
}
