//! A new sender begins with few mails a day: providers distrust an address that sends many out of nothing.
//!
//! What was sent before is read from the ledger. A ceiling that grew with the calendar would be high for a paper that has
//! sent nothing for weeks; this one grows with what was sent: so many times the best day before.

use std::num::NonZeroU32;

/// Days (of 24 hours, counted back from now) that are looked at.
pub const DAYS: usize = 31;

/// How a sender grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    /// Mails in the first 24 hours.
    pub start: NonZeroU32,
    /// In 24 hours, at most so many times as many as in any 24 hours of the month before.
    pub factor: f64,
    /// Who may send so many needs no ceiling any more.
    pub until: NonZeroU32,
}

impl WarmUp {
    /// Mails that may still go now; `None` where there is no ceiling any more. `accepted` are those that were accepted in the
    /// last 24 hours, in the 24 hours before, and so on.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    pub fn left(&self, accepted: &[u64]) -> Option<u64> {
        let (today, before) = accepted.split_first().map_or((0, accepted), |(today, before)| (*today, before));
        let best = before.iter().take(DAYS).copied().max().unwrap_or(0);
        let ceiling = (best as f64 * self.factor.max(1.0)) as u64;
        let ceiling = ceiling.max(u64::from(self.start.get()));
        (ceiling < u64::from(self.until.get())).then(|| ceiling.saturating_sub(today))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn warm_up(factor: f64) -> WarmUp {
        WarmUp { start: NonZeroU32::new(200).unwrap(), factor, until: NonZeroU32::new(10_000).unwrap() }
    }

    #[test]
    fn a_new_sender_has_the_start_and_what_is_left_of_it() {
        assert_eq!(warm_up(2.0).left(&[]), Some(200));
        assert_eq!(warm_up(2.0).left(&[150]), Some(50));
        assert_eq!(warm_up(2.0).left(&[900]), Some(0));
    }

    #[test]
    fn the_ceiling_grows_with_what_was_sent_and_not_with_the_calendar() {
        assert_eq!(warm_up(2.0).left(&[0, 200]), Some(400));
        assert_eq!(warm_up(2.0).left(&[100, 0, 0, 0, 0, 0, 0, 800]), Some(1500));
        assert_eq!(warm_up(2.0).left(&[0, 30]), Some(200));
        let long_ago: Vec<u64> =
            (0..=DAYS as u64 + 1).map(|day| if day == DAYS as u64 + 1 { 4000 } else { 0 }).collect();
        assert_eq!(warm_up(2.0).left(&long_ago), Some(200));
        assert_eq!(warm_up(0.0).left(&[0, 300]), Some(300), "it never shrinks");
    }

    #[test]
    fn who_sends_enough_has_no_ceiling() {
        assert_eq!(warm_up(2.0).left(&[4000, 4999]), Some(5998));
        assert_eq!(warm_up(2.0).left(&[4000, 5000]), None);
    }

    #[test]
    fn an_edition_for_ten_thousand_takes_a_week() {
        let (mut left, mut days, mut history) = (10_000_u64, 0, vec![]);
        while left > 0 {
            let now = warm_up(2.0).left(&[&[0], history.as_slice()].concat()).unwrap_or(u64::MAX).min(left);
            left -= now;
            history.insert(0, now);
            days += 1;
        }
        assert_eq!(days, 6);
    }
}
