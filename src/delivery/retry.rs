//! How long to wait before the next try.

use std::time::Duration;

/// A wait is this much shorter or longer by chance, so that deferred mails do not come back as one wave.
const SPREAD: f64 = 0.2;

/// When to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Wait after the first deferral.
    pub first: Duration,
    /// Each further wait is this many times as long.
    pub factor: f64,
    /// No wait is longer (but for the spread).
    pub longest: Duration,
    /// A delivery that was first tried so long ago expires.
    pub give_up_after: Duration,
}

impl Policy {
    /// The wait after try number `tries` (from 1). `jitter` is a number from 0 to 1, by chance.
    pub fn backoff(&self, tries: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let wait = grown.min(self.longest.as_secs_f64());
        Duration::try_from_secs_f64(wait * (1.0 + SPREAD * (2.0 * jitter.clamp(0.0, 1.0) - 1.0)))
            .unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn policy() -> Policy {
        Policy { first: 5 * MINUTE, factor: 2.0, longest: 120 * MINUTE, give_up_after: 5000 * MINUTE }
    }

    #[test]
    fn waits_grow_to_the_longest() {
        let minutes: Vec<u64> = (1..8).map(|tries| policy().backoff(tries, 0.5).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 120, 120]);
        assert_eq!(policy().backoff(u32::MAX, 0.5), 120 * MINUTE);
        assert_eq!(policy().backoff(0, 0.5), 5 * MINUTE);
    }

    #[test]
    fn chance_spreads_a_wait_by_a_fifth() {
        assert_eq!(policy().backoff(1, 0.0), 4 * MINUTE);
        assert_eq!(policy().backoff(1, 1.0), 6 * MINUTE);
        assert_eq!(policy().backoff(1, f64::INFINITY), 6 * MINUTE);
    }

    #[test]
    fn a_senseless_policy_still_gives_a_wait() {
        let odd = Policy { factor: f64::MAX, ..policy() };
        assert_eq!(odd.backoff(50, 0.5), 120 * MINUTE);
    }
}
