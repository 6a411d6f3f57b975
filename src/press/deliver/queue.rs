//! What was claimed and not begun, between those who claim and write and those who send.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Deliveries claimed at once. All lines wait for the ledger while it claims: so few that they hardly notice, and enough that a
/// claim costs little beside them.
pub(super) const BATCH: u32 = 32;
/// So many are left for each line when the next are claimed…
const LOW_A_LINE: usize = 4;
/// …and at least so many, unless others share the work: some milliseconds' work for one that is fast. Where they do, one would
/// still be at work when they have nothing left.
const LOW: usize = 64;
/// Of one destination, so many are kept aside while its connections are busy; those beyond come again later.
const ASIDE: usize = 16;
/// And so many in all.
const ASIDE_IN_ALL: usize = 256;

#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// When this is left, more is wanted.
    mark: usize,
    filled: Notify,
    low: Notify,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// By destination: for whom a connection must be free first.
    aside: HashMap<String, VecDeque<T>>,
    kept: usize,
    /// Claimed, and being written.
    coming: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(lines: u16, alone: bool) -> Self {
        let state =
            Mutex::new(State { waiting: VecDeque::new(), aside: HashMap::new(), kept: 0, coming: 0, closed: false });
        let mark = LOW_A_LINE * usize::from(lines);
        Queue { state, mark: if alone { mark.max(LOW) } else { mark }, filled: Notify::new(), low: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many will come by [`Queue::arrived`]: as far as more is wanted, they count already.
    pub(super) fn expect(&self, coming: usize) {
        self.state().coming += coming;
    }

    /// Some of those that were expected.
    pub(super) fn arrived(&self, more: Vec<T>) {
        {
            let mut state = self.state();
            state.coming = state.coming.saturating_sub(more.len());
        }
        self.fill(more);
    }

    /// Adds some; to a closed one nothing.
    pub(super) fn fill(&self, more: Vec<T>) {
        let mut state = self.state();
        if !state.closed {
            state.waiting.extend(more);
        }
        drop(state);
        self.filled.notify_waiters();
    }

    /// What is taken after this is `None`.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        state.aside.clear();
        state.kept = 0;
        drop(state);
        self.filled.notify_waiters();
        self.low.notify_one();
    }

    /// Keeps one until its destination has a connection free; gives it back where there are enough of them.
    pub(super) fn set_aside(&self, destination: &str, one: T) -> Result<(), T> {
        let mut state = self.state();
        let kept = state.aside.get(destination).map_or(0, VecDeque::len);
        if state.closed || kept >= ASIDE || state.kept >= ASIDE_IN_ALL {
            return Err(one);
        }
        state.kept += 1;
        state.aside.entry(destination.to_owned()).or_default().push_back(one);
        Ok(())
    }

    /// A destination may have a connection free that had none.
    pub(super) fn stir(&self) {
        if self.state().kept > 0 {
            self.filled.notify_waiters();
        }
    }

    /// The next one, if there is one now; first of those that were set aside and whose destination has room.
    pub(super) fn take_now(&self, has_room: impl Fn(&str) -> bool) -> Option<T> {
        let mut state = self.state();
        let taken = state.take_aside(has_room).or_else(|| state.waiting.pop_front());
        if state.left() <= self.mark {
            self.low.notify_one();
        }
        taken
    }

    /// The next one; `None` when it is closed.
    pub(super) async fn take(&self, has_room: impl Fn(&str) -> bool) -> Option<T> {
        loop {
            let filled = self.filled.notified();
            if let Some(taken) = self.take_now(&has_room) {
                return Some(taken);
            }
            if self.state().closed {
                return None;
            }
            filled.await;
        }
    }

    /// Comes back when it is closed.
    pub(super) async fn closed(&self) {
        loop {
            let filled = self.filled.notified();
            if self.state().closed {
                return;
            }
            filled.await;
        }
    }

    /// Waits until more can be used.
    pub(super) async fn low(&self) {
        while self.state().left() > self.mark {
            self.low.notified().await;
        }
    }
}

impl<T> State<T> {
    /// What there is for those who send, now or soon.
    fn left(&self) -> usize {
        self.waiting.len() + self.coming
    }

    fn take_aside(&mut self, has_room: impl Fn(&str) -> bool) -> Option<T> {
        if self.kept == 0 {
            return None;
        }
        let destination = self.aside.keys().find(|destination| has_room(destination))?.clone();
        let kept = self.aside.get_mut(&destination)?;
        let taken = kept.pop_front();
        if kept.is_empty() {
            self.aside.remove(&destination);
        }
        self.kept -= usize::from(taken.is_some());
        taken
    }
}
