//! What the lines of one press share: the tally, the reasons to stop, the pace.

use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use super::{End, Tally};
use crate::delivery::pace::{Pace, Rest};
use crate::delivery::verdict::Advice;
use crate::delivery::{Claimed, DeliveryId, Outcome};
use crate::press::Stop;

/// Of so many deliveries in a row…
pub const REFUSED_OF: u32 = 100;
/// …so many refusals pause an edition: the list, or the mail, is not what it should be.
pub const REFUSED_PAUSE: u32 = 50;
/// So many refusals in a row that blame us and not the reader pause it sooner.
pub const ACCUSED_PAUSE: u32 = 20;
/// So many of the last that nobody can tell of pause it too, and one more for each line: what breaks once breaks on all.
pub const UNCERTAIN_PAUSE: u32 = 30;
/// So many connections in a row that carried nothing are as bad as none, and two more for each line, for the same reason.
pub const FRUITLESS: u64 = 20;
/// So often in a row the relay may say that we are too fast, and take nothing after a breath, before it is left alone.
pub const BREATHS: u64 = 12;

/// Shared by all lines of one press.
#[derive(Debug)]
pub(super) struct Course<E> {
    /// Set when everything must end, whatever the reason.
    pub(super) halt: Stop,
    /// Something was put back, or nothing is under way any more.
    pub(super) stirred: Notify,
    /// Lines that are open.
    pub(super) lines: AtomicUsize,
    /// Lines that were opened so far.
    pub(super) opened: AtomicU64,
    inner: Mutex<Inner<E>>,
    pace: Mutex<Pace>,
    /// What is claimed and not yet settled, or known to be lost; beside it, where it was claimed anew meanwhile (its lease had run
    /// out, or its settlement is durable and not yet heard of), how it was then. Only one of the two is in the lines' hands: both
    /// at once could go out twice, and nobody would know.
    held: Mutex<HashMap<DeliveryId, Option<Claimed>>>,
    fruitless: AtomicU64,
    breaths: AtomicU64,
    /// As many as are wanted, open or not.
    wanted: u16,
}

#[derive(Debug)]
struct Inner<E> {
    end: Option<End<E>>,
    tally: Tally,
    /// The last outcomes as bits, the newest lowest: refused, refused for a fault of ours, and uncertain.
    refused: u128,
    accused: u128,
    uncertain: u128,
    /// Mails that may still go, where a new sender has a ceiling.
    left: Option<u64>,
}

impl<E> Course<E> {
    pub(super) fn new(pace: Pace, lines: u16) -> Self {
        let inner = Inner { end: None, tally: Tally::default(), refused: 0, accused: 0, uncertain: 0, left: None };
        Course {
            halt: Stop::default(),
            stirred: Notify::new(),
            lines: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            inner: Mutex::new(inner),
            pace: Mutex::new(pace),
            held: Mutex::default(),
            fruitless: AtomicU64::new(0),
            breaths: AtomicU64::new(0),
            wanted: lines,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fast mails may go.
    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more than so many mails may go.
    pub(super) fn ceiling(&self, left: Option<u64>) {
        self.inner().left = left;
    }

    /// One mail is to go; `false`: none may any more.
    pub(super) fn spend(&self) -> bool {
        match &mut self.inner().left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    /// It did not go.
    pub(super) fn unspend(&self) {
        if let Some(left) = &mut self.inner().left {
            *left += 1;
        }
    }

    /// Everything ends; the first reason is the one that is told.
    pub(super) fn end(&self, why: End<E>) {
        self.inner().end.get_or_insert(why);
        self.halt.set();
    }

    /// Nothing more is begun, but what is in hand goes.
    pub(super) fn wind_up(&self, why: End<E>) {
        self.inner().end.get_or_insert(why);
    }

    /// An end is near.
    pub(super) fn is_ending(&self) -> bool {
        self.inner().end.is_some()
    }

    pub(super) fn take_end(&self) -> Option<End<E>> {
        self.inner().end.take()
    }

    pub(super) fn tally(&self) -> Tally {
        self.inner().tally
    }

    fn held(&self) -> MutexGuard<'_, HashMap<DeliveryId, Option<Claimed>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held().is_empty()
    }

    /// Takes what was claimed into hand; answers those whose turn may come now.
    pub(super) fn claimed(&self, claimed: Vec<Claimed>) -> Vec<Claimed> {
        let mut held = self.held();
        let mut fresh = Vec::with_capacity(claimed.len());
        for one in claimed {
            match held.entry(one.id) {
                Entry::Vacant(place) => {
                    place.insert(None);
                    fresh.push(one);
                }
                Entry::Occupied(mut place) => {
                    place.insert(Some(one));
                }
            }
        }
        fresh
    }

    /// These are in the ledger, or not ours any more. Answers those that were claimed anew: their turn may come now.
    pub(super) fn done(&self, ids: impl IntoIterator<Item = DeliveryId>, stir: bool) -> Vec<Claimed> {
        let mut held = self.held();
        let mut anew = Vec::new();
        for id in ids {
            if let Some(again) = held.remove(&id).flatten() {
                held.insert(id, None);
                anew.push(again);
            }
        }
        if stir || held.is_empty() {
            self.stirred.notify_one();
        }
        anew
    }

    /// So many had been left in flight by a press that is gone.
    pub(super) fn found_uncertain(&self, n: u64) {
        self.inner().tally.uncertain += n;
    }

    /// Counts an outcome. Answers why the edition must pause, where it must.
    pub(super) fn count(&self, outcome: &Outcome, advice: Advice) -> Option<String> {
        let mut inner = self.inner();
        match outcome {
            Outcome::Accepted => inner.tally.accepted += 1,
            Outcome::Deferred(_) => inner.tally.deferred += 1,
            Outcome::Rejected => inner.tally.rejected += 1,
            Outcome::Expired => inner.tally.expired += 1,
            Outcome::Uncertain => inner.tally.uncertain += 1,
            Outcome::Untried | Outcome::Postponed(_) => return None,
        }
        self.fruitless.store(0, Ordering::Relaxed);
        if *outcome == Outcome::Accepted {
            self.breaths.store(0, Ordering::Relaxed);
        }
        inner.refused = inner.refused << 1 | u128::from(*outcome == Outcome::Rejected);
        inner.uncertain = inner.uncertain << 1 | u128::from(*outcome == Outcome::Uncertain);
        inner.accused = inner.accused << 1 | u128::from(advice == Advice::Accused);
        let last = |bits: u128, n: u32| (bits & ((1 << n) - 1)).count_ones();
        if last(inner.accused, ACCUSED_PAUSE) == ACCUSED_PAUSE {
            return Some(format!(
                "the last {ACCUSED_PAUSE} mails were refused for a fault of the sender, not of the readers"
            ));
        }
        let uncertain = last(inner.uncertain, REFUSED_OF);
        if uncertain >= (UNCERTAIN_PAUSE + u32::from(self.wanted)).min(REFUSED_OF) {
            return Some(format!(
                "of the last {REFUSED_OF} mails {uncertain} may have gone out and may have not: the mail server breaks off \
                 when it has a mail"
            ));
        }
        let refused = last(inner.refused, REFUSED_OF);
        (refused >= REFUSED_PAUSE).then(|| format!("{refused} of the last {REFUSED_OF} mails were refused"))
    }

    /// A connection carried nothing; answers how many did so in a row, and whether they are too many.
    pub(super) fn fruitless(&self) -> (u64, bool) {
        let times = self.fruitless.fetch_add(1, Ordering::Relaxed) + 1;
        (times, times >= FRUITLESS + 2 * u64::from(self.wanted))
    }

    /// How often in a row the relay has said that we are too fast, where that is too often.
    pub(super) fn breathless(&self) -> Option<u64> {
        Some(self.breaths.load(Ordering::Relaxed)).filter(|times| *times >= BREATHS)
    }

    /// What a delivery's end says of the pace. Answers what other presses must know.
    pub(super) fn heard(&self, to: &Claimed, outcome: &Outcome, advice: Advice, now: DateTime<Utc>) -> Option<Rest> {
        match (outcome, advice) {
            (_, Advice::PauseDomain(wait)) => return self.pace().too_fast(domain(to), wait, now),
            (_, Advice::SlowDown) => {
                let news = self.pace().too_fast_for_all(now);
                self.breaths.fetch_add(u64::from(news), Ordering::Relaxed);
            }
            (Outcome::Accepted, _) => self.pace().accepted(domain(to), now),
            _ => {}
        }
        None
    }
}

/// Where a mail goes, as its address says.
pub(super) fn domain(to: &Claimed) -> &str {
    to.address.as_str().rsplit_once('@').map_or("", |(_, domain)| domain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::delivery::pace::Limits;
    use crate::digest::EditionId;
    use crate::subscriber::SubscriberId;
    use chrono::Utc;

    fn claimed(id: i64, tries: u32) -> Claimed {
        Claimed {
            id: DeliveryId(id),
            edition: EditionId(1),
            subscriber: SubscriberId(id),
            address: "ana@example.org".parse().unwrap(),
            name: String::new(),
            tries,
            first_try: None,
            signature: None,
        }
    }

    #[test]
    fn what_is_claimed_anew_while_it_is_in_hand_has_its_turn_afterwards() {
        let course = Course::<std::io::Error>::new(Pace::new(Limits::default(), 1, 1, Utc::now()), 1);
        assert_eq!(course.claimed(vec![claimed(1, 0), claimed(2, 0)]).len(), 2);
        assert_eq!(course.claimed(vec![claimed(1, 1), claimed(3, 0)]), [claimed(3, 0)], "one of it is in hand");
        assert_eq!(course.claimed(vec![claimed(1, 2)]), []);
        assert_eq!(course.done([DeliveryId(1), DeliveryId(2)], false), [claimed(1, 2)], "the last is how it stands");
        assert!(!course.is_idle());
        assert_eq!(course.done([DeliveryId(1), DeliveryId(3)], false), []);
        assert!(course.is_idle());
    }

    #[test]
    fn a_relay_that_says_too_fast_for_itself_and_takes_nothing_has_so_many_breaths() {
        let now = Utc::now();
        let course = Course::<std::io::Error>::new(Pace::new(Limits::default(), 1, 1, now), 1);
        let mut at = now;
        let mut complain = || {
            at += chrono::TimeDelta::seconds(11);
            course.heard(&claimed(1, 0), &Outcome::Untried, Advice::SlowDown, at);
            // What had been under way says the same.
            course.heard(&claimed(2, 0), &Outcome::Untried, Advice::SlowDown, at);
            course.breathless()
        };
        assert!((1..BREATHS).all(|_| complain().is_none()));
        assert_eq!(course.count(&Outcome::Accepted, Advice::GoOn), None);
        assert!((1..BREATHS).all(|_| complain().is_none()));
        assert_eq!(complain(), Some(BREATHS));
    }

    #[test]
    fn many_that_nobody_can_tell_of_pause_and_what_breaks_once_on_all_lines_does_not() {
        for lines in [4_u16, 40, 200] {
            let course = Course::<std::io::Error>::new(Pace::new(Limits::default(), lines, 1, Utc::now()), lines);
            let doubts = |n| (0..n).find_map(|_| course.count(&Outcome::Uncertain, Advice::NewLine));
            let most = (UNCERTAIN_PAUSE + u32::from(lines)).min(REFUSED_OF);
            assert_eq!(doubts(most - 1), None, "{lines}");
            assert!((0..REFUSED_OF).all(|_| course.count(&Outcome::Accepted, Advice::GoOn).is_none()));
            assert_eq!(doubts(most - 1), None, "{lines}");
            assert!(doubts(1).unwrap().contains("may have gone out"), "{lines}");
        }
    }
}
