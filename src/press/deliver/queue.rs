//! What was claimed and not begun, between the one who claims and those who send.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Deliveries claimed at once. All lines wait for the ledger while it claims: so few that they hardly notice, and enough that a
/// claim costs little beside them.
pub(super) const BATCH: u32 = 32;
/// So many are left for each line when the next are claimed…
const LOW_A_LINE: usize = 4;
/// …and at least so many: some milliseconds' work for one that is fast.
const LOW: usize = 64;

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
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(lines: u16) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), closed: false });
        Queue { state, mark: LOW.max(LOW_A_LINE * usize::from(lines)), filled: Notify::new(), low: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fill(&self, more: Vec<T>) {
        self.state().waiting.extend(more);
        self.filled.notify_waiters();
    }

    /// What is taken after this is `None`.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.filled.notify_waiters();
    }

    /// The next one, if there is one now.
    pub(super) fn take_now(&self) -> Option<T> {
        let mut state = self.state();
        let taken = state.waiting.pop_front();
        if state.waiting.len() <= self.mark {
            self.low.notify_one();
        }
        taken
    }

    /// The next one; `None` when it is closed.
    pub(super) async fn take(&self) -> Option<T> {
        loop {
            let filled = self.filled.notified();
            if let Some(taken) = self.take_now() {
                return Some(taken);
            }
            if self.state().closed {
                return None;
            }
            filled.await;
        }
    }

    /// Waits until more can be used.
    pub(super) async fn low(&self) {
        while self.state().waiting.len() > self.mark {
            self.low.notified().await;
        }
    }
}
