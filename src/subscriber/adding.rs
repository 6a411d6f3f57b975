//! What adding an [`Entry`] does: the last word of somebody who said no is no, whatever a list says.

use super::{Added, Entry, SubscriptionState};

/// What the ledger knows of an entry's address and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// How the subscription stands; `None` where there is none.
    pub state: Option<SubscriptionState>,
    /// The address must not be mailed.
    pub suppressed: bool,
    /// The person was erased.
    pub erased: bool,
}

/// What is to be written about the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// It is new, and stands so.
    Begin(SubscriptionState),
    /// It was pending and is confirmed.
    Confirm,
    /// It ends.
    End,
}

/// What is answered, what becomes of the subscription, and whether a suppression is to be written.
pub fn judge(known: Known, entry: &Entry) -> (Added, Step, bool) {
    use SubscriptionState::{Confirmed, Ended, Pending};
    let (barred, suppresses) = (known.suppressed || known.erased, entry.suppressed.is_some());
    let wanted = if suppresses { Ended } else { entry.state };
    let step = match (known.state, wanted) {
        (None, _) if barred => Step::Nothing,
        (None, state) => Step::Begin(state),
        (Some(Pending | Confirmed), Ended) => Step::End,
        (Some(Pending), Confirmed) if !barred => Step::Confirm,
        (Some(_), _) => Step::Nothing,
    };
    let added = match step {
        _ if barred || suppresses => Added::Suppressed,
        _ if wanted == Ended || known.state == Some(Ended) => Added::Left,
        Step::Begin(_) => Added::New,
        Step::Confirm => Added::Confirmed,
        Step::Nothing | Step::End => Added::Unchanged,
    };
    (added, step, suppresses && !barred)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::subscriber::{Consent, SuppressionReason};
    use SubscriptionState::{Confirmed, Ended, Pending};

    fn entry(state: SubscriptionState, suppressed: Option<SuppressionReason>) -> Entry {
        Entry {
            address: "nadia@example.org".parse().unwrap(),
            name: String::new(),
            language: None,
            digest: "weekly".into(),
            state,
            since: None,
            consent: Consent { source: "sheet".into(), when: None },
            suppressed,
            note: String::new(),
        }
    }

    /// Everything that the ledger can know, with everything that a row can say.
    fn all() -> impl Iterator<Item = (Known, Entry)> {
        let states = [None, Some(Pending), Some(Confirmed), Some(Ended)];
        let known = states.into_iter().flat_map(|state| {
            [(false, false), (true, false), (false, true), (true, true)].map(|(suppressed, erased)| Known {
                state,
                suppressed,
                erased,
            })
        });
        known.flat_map(|known| {
            [Pending, Confirmed, Ended].into_iter().flat_map(move |state| {
                [None, Some(SuppressionReason::Bounced)].map(|reason| (known, entry(state, reason)))
            })
        })
    }

    fn after(known: Known, step: Step, suppressed: bool) -> Known {
        let state = match step {
            Step::Nothing => known.state,
            Step::Begin(state) => Some(state),
            Step::Confirm => Some(Confirmed),
            Step::End => Some(Ended),
        };
        Known { state, suppressed: known.suppressed || suppressed, ..known }
    }

    #[test]
    fn adding_again_writes_nothing() {
        for (known, entry) in all() {
            let (_, step, suppresses) = judge(known, &entry);
            let (_, again, suppresses_again) = judge(after(known, step, suppresses), &entry);
            assert_eq!((again, suppresses_again), (Step::Nothing, false), "{known:?} {entry:?}");
        }
    }

    #[test]
    fn no_row_turns_a_no_into_a_yes() {
        for (known, entry) in all() {
            let no = known.state == Some(Ended) || known.suppressed || known.erased;
            let (_, step, _) = judge(known, &entry);
            assert!(!no || matches!(step, Step::Nothing | Step::End), "{known:?} {entry:?}");
        }
    }

    #[test]
    fn every_row_that_says_no_leaves_nobody_who_is_mailed() {
        for (known, entry) in all().filter(|(_, entry)| entry.state == Ended || entry.suppressed.is_some()) {
            let (added, step, suppresses) = judge(known, &entry);
            assert!(matches!(added, Added::Left | Added::Suppressed));
            assert!(matches!(after(known, step, suppresses).state, None | Some(Ended)), "{known:?} {entry:?}");
        }
    }

    #[test]
    fn the_answer_says_what_is_written() {
        for (known, entry) in all() {
            let (added, step, _) = judge(known, &entry);
            match added {
                Added::New => assert_eq!(step, Step::Begin(entry.state)),
                Added::Confirmed => assert_eq!(step, Step::Confirm),
                Added::Unchanged => assert_eq!(step, Step::Nothing),
                Added::Left | Added::Suppressed => assert_ne!(step, Step::Confirm),
            }
        }
    }
}
