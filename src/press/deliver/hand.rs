//! What one line has in hand, and how much of it may be *in flight*.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::seat::Seat;
use crate::delivery::{Claimed, DeliveryId, Settlement};
use crate::mail::Mail;

/// A delivery and its mail.
pub(super) struct Ready<E> {
    pub(super) claimed: Claimed,
    pub(super) mail: Arc<Mail>,
    pub(super) _seat: Seat<E>,
}

impl<E> Borrow<DeliveryId> for Ready<E> {
    fn borrow(&self) -> &DeliveryId {
        &self.claimed.id
    }
}

/// From `ready` a delivery (`R`) goes to `beginning`, `begun`, the wire, `ended`.
pub(super) struct Hand<R> {
    /// Claimed, and not yet begun.
    pub(super) ready: VecDeque<R>,
    /// The ledger is being told.
    beginning: VecDeque<R>,
    /// *In flight* in the ledger, and not yet sent.
    pub(super) begun: VecDeque<R>,
    /// Not yet settled in the ledger.
    pub(super) ended: Vec<Settlement>,
    /// How many of `ended` were sent.
    landed: usize,
    /// How many may be *in flight* in the ledger, whichever of the turns under way are durable already.
    flying: usize,
}

/// One step of the ledger.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) settle: Vec<Settlement>,
    pub(super) begin: Vec<DeliveryId>,
    /// How many of `settle` were sent.
    landed: usize,
}

impl<R> Default for Hand<R> {
    fn default() -> Self {
        let (ready, beginning, begun) = Default::default();
        Hand { ready, beginning, begun, ended: vec![], landed: 0, flying: 0 }
    }
}

impl<R: Borrow<DeliveryId>> Hand<R> {
    /// The one that will be sent next.
    pub(super) fn next(&self) -> Option<&R> {
        self.begun.front().or(self.beginning.front()).or(self.ready.front())
    }

    /// One was sent, and this came of it.
    pub(super) fn landed(&mut self, settlement: Settlement) {
        self.ended.push(settlement);
        self.landed += 1;
    }

    /// Settles what has ended and begins the next ones, so that no more than `most` are *in flight*. `None`: that would do
    /// nothing, or nothing that could not wait for the next turn.
    pub(super) fn turn(&mut self, most: usize) -> Option<Turn> {
        let room = most.saturating_sub(self.flying - self.landed).min(self.ready.len());
        if room == 0 && self.landed == 0 && (self.ended.is_empty() || !self.begun.is_empty()) {
            return None;
        }
        let landed = std::mem::take(&mut self.landed);
        // Turns may become durable in any order: what one settles makes room for what the same one begins, and for others only
        // when it is durable.
        self.flying += room.saturating_sub(landed);
        let begin = self.ready.range(..room).map(|ready| *ready.borrow()).collect();
        self.beginning.extend(self.ready.drain(..room));
        Some(Turn { settle: std::mem::take(&mut self.ended), begin, landed })
    }

    /// The oldest turn under way is durable; `begun` of it may go.
    pub(super) fn turned(&mut self, turn: &Turn, begun: &[DeliveryId]) {
        let asked = turn.begin.len();
        self.flying -= turn.landed.saturating_sub(asked) + asked - begun.len();
        self.begun.extend(self.beginning.drain(..asked).filter(|ready| begun.contains((*ready).borrow())));
    }

    /// The oldest turn under way has failed: nobody knows what it has done, so nothing of it may go.
    pub(super) fn failed(&mut self, turn: Turn) {
        self.beginning.drain(..turn.begin.len());
        self.ended.extend(turn.settle);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::delivery::{Outcome, Reply};
    use chrono::Utc;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn landed(id: DeliveryId) -> Settlement {
        Settlement { id, outcome: Outcome::Accepted, reply: Reply::none("so"), when: Utc::now() }
    }

    /// What the ledger holds *in flight* after these turns.
    fn in_flight<'a>(before: &HashSet<DeliveryId>, turns: impl Iterator<Item = &'a Turn>) -> usize {
        let mut after = before.clone();
        for turn in turns {
            after.retain(|id| !turn.settle.iter().any(|s| s.id == *id));
            after.extend(&turn.begin);
        }
        after.len()
    }

    proptest! {
        /// Whichever of the turns under way are durable when the press is killed.
        #[test]
        fn no_more_are_in_flight_than_may_be(steps in proptest::collection::vec((0..4_u8, 1..3_usize, any::<bool>()), 1..60)) {
            let (mut hand, mut ledger, mut under_way) = (Hand::<DeliveryId>::default(), HashSet::new(), VecDeque::<Turn>::new());
            let mut next = 0;
            for (step, most, withdrawn) in steps {
                match step {
                    0 => {
                        next += 1;
                        hand.ready.push_back(DeliveryId(next));
                    }
                    1 => under_way.extend(hand.turn(most)),
                    2 => if let Some(sent) = hand.begun.pop_front() {
                        hand.landed(landed(sent));
                    },
                    _ => if let Some(turn) = under_way.pop_front() {
                        ledger.retain(|id| !turn.settle.iter().any(|s| s.id == *id));
                        let begun: Vec<_> = turn.begin.iter().skip(usize::from(withdrawn)).copied().collect();
                        ledger.extend(&begun);
                        hand.turned(&turn, &begun);
                    },
                }
                for chosen in 0..1_u32 << under_way.len().min(6) {
                    let durable = under_way.iter().take(6).enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, t)| t);
                    prop_assert!(in_flight(&ledger, durable) <= hand.flying);
                }
                prop_assert!(hand.flying <= 2);
            }
        }
    }

    #[test]
    fn what_has_landed_makes_room_in_the_same_turn_and_for_others_when_that_is_durable() {
        let mut hand = Hand::<DeliveryId>::default();
        hand.ready.extend((1..=2).map(DeliveryId));
        let first = hand.turn(2).unwrap();
        assert_eq!(first.begin, [DeliveryId(1), DeliveryId(2)]);
        assert!(hand.turn(2).is_none(), "two are in flight");
        hand.turned(&first, &first.begin);
        let sent = hand.begun.pop_front().unwrap();
        hand.landed(landed(sent));
        // Nothing was ready: it is settled alone, and gives its room only when that is durable.
        let second = hand.turn(2).unwrap();
        hand.ready.extend((3..=4).map(DeliveryId));
        assert!(hand.turn(2).is_none());
        let sent = hand.begun.pop_front().unwrap();
        hand.landed(landed(sent));
        let third = hand.turn(2).unwrap();
        assert_eq!((third.settle.len(), third.begin.as_slice()), (1, [DeliveryId(3)].as_slice()));
        assert!(hand.turn(2).is_none());
        hand.turned(&second, &[]);
        assert_eq!(hand.turn(2).unwrap().begin, [DeliveryId(4)]);
    }

    #[test]
    fn a_turn_that_failed_lets_nothing_go_and_forgets_nothing() {
        let mut hand = Hand::<DeliveryId>::default();
        hand.ready.push_back(DeliveryId(1));
        hand.ended.push(landed(DeliveryId(9)));
        let turn = hand.turn(1).unwrap();
        hand.failed(turn);
        assert_eq!((hand.begun.len(), hand.next(), hand.ended.len()), (0, None, 1));
    }
}
