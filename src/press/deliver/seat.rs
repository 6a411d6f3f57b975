//! A mail's place among those of its destination that are in hand.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::Instant;

use super::course::{Course, domain};
use super::queue::Queue;
use super::writing::Written;
use crate::delivery::Claimed;
use crate::delivery::pace::Turn;

/// Kept as long as a line has the mail; given back however that ends.
#[derive(Debug)]
pub(super) struct Seat<E> {
    course: Arc<Course<E>>,
    queue: Arc<Queue<Written>>,
    domain: String,
    line: usize,
    since: Instant,
}

impl<E> Seat<E> {
    /// A seat for this mail on this line, or why there is none now.
    pub(super) fn take(
        course: &Arc<Course<E>>,
        queue: &Arc<Queue<Written>>,
        to: &Claimed,
        line: usize,
        now: DateTime<Utc>,
    ) -> Result<Self, Turn> {
        match course.pace().turn(domain(to), line, now) {
            Turn::Now => Ok(Seat {
                course: Arc::clone(course),
                queue: Arc::clone(queue),
                domain: domain(to).to_owned(),
                line,
                since: Instant::now(),
            }),
            held => Err(held),
        }
    }
}

impl<E> Drop for Seat<E> {
    fn drop(&mut self) {
        self.course.pace().left(&self.domain, self.line, self.since.elapsed());
        self.queue.stir();
    }
}
