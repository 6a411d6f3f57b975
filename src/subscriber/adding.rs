//! What adding an [`Entry`] does: the last word of somebody who said no is no, whatever a list says.
//!
//! | the list says | of whom | what becomes of it |
//! |---|---|---|
//! | yes | left this digest, or everything | nothing: only the reader can come back |
//! | yes | suppressed, erased | nothing; with [`Force`] a suppression is lifted, if it is of a kind that may be |
//! | no | has a subscription by a list | it ends |
//! | no, dated | confirmed on our page after that day | nothing: she has come back since |
//! | no, dated | confirmed on our page on that day, or before | it ends |
//! | no, undated | confirmed on our page | it ends, unless the list has said the same since before she came back |
//!
//! Only what a reader has done herself outweighs a list's no, and only where it is certainly the later word.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::force::Force;
use super::{Added, Entry, SubscriptionState, SuppressionReason};

/// What the ledger knows of an entry's address and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// How the subscription stands; `None` where there is none.
    pub state: Option<SubscriptionState>,
    /// She has left everything there is and will be ([`super::EVERYTHING`]).
    pub left: bool,
    /// When she last confirmed this subscription on our page, or moved it to this address.
    pub herself: Option<DateTime<Utc>>,
    /// When a list first said without a day that it has ended, if it has said so ever since.
    pub heard: Option<DateTime<Utc>>,
    /// Why the address must not be mailed.
    pub suppressed: Option<SuppressionReason>,
    /// Which suppression was last lifted by an operator, and when.
    pub lifted: Option<(SuppressionReason, DateTime<Utc>)>,
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

/// What becomes of [`Known::heard`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It stays.
    Same,
    /// It is heard now for the first time.
    First,
    /// The list says something else: the next time is the first again.
    Gone,
}

/// What is to be done with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The answer.
    pub added: Added,
    /// What becomes of the subscription.
    pub step: Step,
    /// The entry's suppression is to be written, in the place of a milder one.
    pub suppresses: bool,
    /// The suppression there is is to be taken away first.
    pub lifts: bool,
    /// What becomes of [`Known::heard`], where there is a subscription afterwards.
    pub hearing: Hearing,
}

/// What is to be done with an entry, by what is known.
pub fn judge(known: &Known, entry: &Entry, force: Option<&Force>) -> Judgement {
    use SubscriptionState::{Confirmed, Ended, Pending};
    let says_no = entry.suppressed.is_some() || entry.state == Ended;
    let outdated = says_no && is_outdated(known, entry);
    let lifts = !known.erased
        && !says_no
        && entry.state == Confirmed
        && known.suppressed.is_some_and(|kind| force.is_some_and(|force| force.lifts(kind)));
    let barred = known.erased || known.suppressed.is_some() && !lifts;
    let suppresses = !outdated
        && !known.erased
        && entry.suppressed.is_some_and(|kind| known.suppressed.is_none_or(|old| old < kind));
    let wanted = if says_no { Ended } else { entry.state };
    let step = match (known.state, wanted) {
        _ if outdated => Step::Nothing,
        (None, _) if barred => Step::Nothing,
        (None, Pending | Confirmed) if known.left => Step::Nothing,
        (None, state) => Step::Begin(state),
        (Some(Pending | Confirmed), Ended) => Step::End,
        // Pending again since she left: anybody may have typed her address into the form.
        (Some(Pending), Confirmed) if !barred && !known.left => Step::Confirm,
        (Some(_), _) => Step::Nothing,
    };
    let has_left = known.state == Some(Ended) || known.state != Some(Confirmed) && known.left;
    let added = match step {
        _ if barred || suppresses => Added::Suppressed,
        _ if outdated => Added::Unchanged,
        _ if wanted == Ended || has_left => Added::Left,
        _ if lifts => Added::Lifted,
        Step::Begin(_) => Added::New,
        Step::Confirm => Added::Confirmed,
        Step::Nothing | Step::End => Added::Unchanged,
    };
    let undated_end = entry.suppressed.is_none() && entry.state == Ended && entry.since.is_none();
    let hearing = match known.heard {
        None if undated_end => Hearing::First,
        Some(_) if !undated_end => Hearing::Gone,
        _ => Hearing::Same,
    };
    Judgement { added, step, suppresses, lifts, hearing }
}

/// Whether a row's no was said before something that outweighs it: the reader's own yes, or the operator's decision about
/// this very suppression. What the operator has decided by hand no reader outweighs.
fn is_outdated(known: &Known, entry: &Entry) -> bool {
    let said = entry.since.map(latest);
    match entry.suppressed {
        None if known.state == Some(SubscriptionState::Ended) => false,
        None => known.herself.is_some_and(|herself| said.or(known.heard).is_some_and(|said| said < herself)),
        Some(kind) => {
            let lifted = known.lifted.filter(|(lifted, _)| *lifted == kind).map(|(_, when)| when);
            let by_operator = lifted.is_some_and(|lifted| said.is_none_or(|said| said < lifted));
            let by_reader = kind != SuppressionReason::Manual
                && known.herself.is_some_and(|herself| said.is_some_and(|said| said < herself));
            by_operator || by_reader
        }
    }
}

/// A day without a time may mean its last moment.
fn latest(since: DateTime<Utc>) -> DateTime<Utc> {
    if since.time() == NaiveTime::MIN { since + TimeDelta::days(1) - TimeDelta::milliseconds(1) } else { since }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::subscriber::Consent;
    use SubscriptionState::{Confirmed, Ended, Pending};
    use SuppressionReason::{Bounced, Complained, Erased, Manual};

    fn day(text: &str) -> DateTime<Utc> {
        let text = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
        text.parse().unwrap()
    }

    fn entry(state: SubscriptionState, suppressed: Option<SuppressionReason>, since: Option<&str>) -> Entry {
        Entry {
            address: "nadia@example.org".parse().unwrap(),
            name: String::new(),
            language: None,
            digest: "weekly".into(),
            state,
            since: since.map(day),
            consent: Consent { source: "sheet".into(), when: None },
            suppressed,
            note: String::new(),
        }
    }

    const STATES: [Option<SubscriptionState>; 4] = [None, Some(Pending), Some(Confirmed), Some(Ended)];
    const REASONS: [Option<SuppressionReason>; 5] = [None, Some(Bounced), Some(Manual), Some(Complained), Some(Erased)];

    fn forces() -> [Option<Force>; 3] {
        [None, Force::new(&[], "mended").ok(), Force::new(&[Bounced, Manual, Complained], "mended").ok()]
    }

    /// Everything that the ledger can know, with everything that a row can say.
    fn all() -> impl Iterator<Item = (Known, Entry, Option<Force>)> {
        let times = [None, Some(day("2026-03-01T12:00:00Z")), Some(day("2026-05-01T12:00:00Z"))];
        let mut known = vec![];
        for state in STATES {
            for suppressed in REASONS {
                for (erased, left) in [(false, false), (true, false), (false, true), (true, true)] {
                    for (herself, heard) in times.iter().flat_map(|a| times.iter().map(|b| (*a, *b))) {
                        for lifted in [None, Some((Bounced, day("2026-04-01")))] {
                            known.push(Known { state, left, herself, heard, suppressed, lifted, erased });
                        }
                    }
                }
            }
        }
        known.into_iter().flat_map(|known| {
            let rows = [Pending, Confirmed, Ended].into_iter().flat_map(|state| {
                REASONS.into_iter().flat_map(move |reason| {
                    [None, Some("2026-02-01"), Some("2026-06-01")].map(|since| entry(state, reason, since))
                })
            });
            rows.flat_map(move |entry| forces().map(|force| (known, entry.clone(), force))).collect::<Vec<_>>()
        })
    }

    fn after(known: &Known, judgement: Judgement, entry: &Entry, now: DateTime<Utc>) -> Known {
        let state = match judgement.step {
            Step::Nothing => known.state,
            Step::Begin(state) => Some(state),
            Step::Confirm => Some(Confirmed),
            Step::End => Some(Ended),
        };
        let heard = match judgement.hearing {
            Hearing::Same => known.heard,
            Hearing::First => Some(now),
            Hearing::Gone => None,
        };
        let kept = known.suppressed.filter(|_| !judgement.lifts);
        let lifted = known.suppressed.filter(|_| judgement.lifts).map(|kind| (kind, now)).or(known.lifted);
        let suppressed = if judgement.suppresses { entry.suppressed } else { kept };
        Known { state, heard, suppressed, lifted, ..*known }
    }

    fn is_mailed(known: &Known) -> bool {
        known.state == Some(Confirmed) && known.suppressed.is_none()
    }

    #[test]
    fn adding_again_writes_nothing() {
        for (known, entry, force) in all() {
            let now = day("2026-07-01");
            let known = after(&known, judge(&known, &entry, force.as_ref()), &entry, now);
            let again = judge(&known, &entry, force.as_ref());
            let wrote = (again.step, again.suppresses, again.lifts, again.hearing);
            assert_eq!(wrote, (Step::Nothing, false, false, Hearing::Same), "{known:?} {entry:?}");
        }
    }

    #[test]
    fn no_row_turns_a_no_into_a_yes() {
        for (known, entry, force) in all() {
            let no = known.state == Some(Ended) || known.state != Some(Confirmed) && known.left || known.erased;
            let suppressed = known.suppressed.is_some_and(|kind| !force.as_ref().is_some_and(|f| f.lifts(kind)));
            let then = after(&known, judge(&known, &entry, force.as_ref()), &entry, day("2026-07-01"));
            assert!(!is_mailed(&then) || is_mailed(&known) || !(no || suppressed), "{known:?} {entry:?}");
        }
    }

    #[test]
    fn every_row_that_says_no_leaves_nobody_who_is_mailed_but_who_or_what_has_overruled_it_since() {
        for (known, entry, force) in all().filter(|(_, entry, _)| entry.state == Ended || entry.suppressed.is_some()) {
            let judged = judge(&known, &entry, force.as_ref());
            let then = after(&known, judged, &entry, day("2026-07-01"));
            if is_mailed(&then) {
                let said = entry.since.or(known.heard);
                let herself = known.herself.is_some_and(|herself| said.is_some_and(|said| said < herself));
                let operator = known.lifted.is_some_and(|(kind, _)| entry.suppressed == Some(kind));
                assert!(herself || operator, "{known:?} {entry:?}");
                assert!(judged.added == Added::Unchanged || known.erased);
            } else {
                assert!(matches!(judged.added, Added::Left | Added::Suppressed | Added::Unchanged));
            }
        }
    }

    #[test]
    fn the_answer_says_what_is_written() {
        for (known, entry, force) in all() {
            let judged = judge(&known, &entry, force.as_ref());
            match judged.added {
                Added::New => assert_eq!(judged.step, Step::Begin(entry.state)),
                Added::Confirmed => assert_eq!(judged.step, Step::Confirm),
                Added::Unchanged => assert_eq!(judged.step, Step::Nothing),
                Added::Lifted => assert!(judged.lifts),
                Added::Left | Added::Suppressed => assert_ne!(judged.step, Step::Confirm),
            }
        }
    }

    /// The table of `docs/LISTS.md`.
    #[test]
    fn a_lists_no_is_held_against_what_the_reader_has_done_herself_by_their_days() {
        let came_back = Some(day("2026-05-01T12:00:00Z"));
        let march = Some(day("2026-03-01T12:00:00Z"));
        for (herself, heard, row, ends) in [
            // By a list only: a no is a no, of whatever day.
            (None, None, None, true),
            (None, None, Some("2020-01-01"), true),
            // She has confirmed on our page.
            (came_back, None, Some("2026-04-30"), false),
            (came_back, None, Some("2026-05-01"), true),
            (came_back, None, Some("2026-05-01T12:00:00Z"), true),
            (came_back, None, Some("2026-05-01T11:59:59Z"), false),
            (came_back, None, Some("2026-05-02"), true),
            // Without a day: new, or the same as ever.
            (came_back, None, None, true),
            (came_back, march, None, false),
            (came_back, Some(day("2026-06-01")), None, true),
            // A day says more than what was heard.
            (came_back, march, Some("2026-06-01"), true),
        ] {
            let known = Known { state: Some(Confirmed), herself, heard, ..Known::default() };
            let judged = judge(&known, &entry(Ended, None, row), None);
            assert_eq!(judged.step == Step::End, ends, "{herself:?} {heard:?} {row:?}");
        }
    }

    #[test]
    fn a_lists_suppression_is_held_against_the_days_but_never_the_operators_own() {
        let came_back = Some(day("2026-05-01T12:00:00Z"));
        let known = Known { state: Some(Confirmed), herself: came_back, ..Known::default() };
        for (reason, row, suppresses) in [
            (Bounced, Some("2026-04-01"), false),
            (Bounced, Some("2026-06-01"), true),
            (Bounced, None, true),
            (Complained, Some("2026-04-01"), false),
            (Manual, Some("2026-04-01"), true),
        ] {
            let judged = judge(&known, &entry(Ended, Some(reason), row), None);
            assert_eq!(judged.suppresses, suppresses, "{reason:?} {row:?}");
        }
    }

    #[test]
    fn what_was_lifted_is_not_written_again_by_the_same_list() {
        let known =
            Known { state: Some(Confirmed), lifted: Some((Bounced, day("2026-05-01T12:00:00Z"))), ..Known::default() };
        for (reason, row, suppresses) in [
            (Bounced, None, false),
            (Bounced, Some("2026-04-01"), false),
            (Bounced, Some("2026-05-01"), true),
            (Complained, None, true),
        ] {
            let judged = judge(&known, &entry(Ended, Some(reason), row), None);
            assert_eq!(judged.suppresses, suppresses, "{reason:?} {row:?}");
        }
    }

    #[test]
    fn a_stricter_suppression_takes_the_place_of_a_milder_one() {
        for (old, new, suppresses) in [
            (Bounced, Complained, true),
            (Bounced, Manual, true),
            (Complained, Bounced, false),
            (Erased, Manual, false),
        ] {
            let known = Known { suppressed: Some(old), ..Known::default() };
            assert_eq!(judge(&known, &entry(Ended, Some(new), None), None).suppresses, suppresses, "{old:?} {new:?}");
        }
    }
}
