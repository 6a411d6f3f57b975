//! How long to wait before the next try.

use std::time::Duration;

/// When to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Wait after the first deferral.
    pub first: Duration,
    /// Each further wait is this many times as long.
    pub factor: f64,
    /// No wait is longer.
    pub longest: Duration,
    /// A delivery that was first tried so long ago expires.
    pub give_up_after: Duration,
}
