//! Hours of the day in which nothing is sent.

use chrono::{DateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use std::fmt;

/// From one time of day to another, on the clock of a place; over midnight where the second is the earlier one.
///
/// Whether it is quiet is read off the clock on the wall, whatever summer time does to it. Minutes are the smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    from: NaiveTime,
    until: NaiveTime,
    time_zone: Tz,
}

/// Why a text does not say when it is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuietError {
    /// Not two times of day.
    #[error("two times of day with a hyphen between them are needed")]
    Form,
    /// From and until are the same.
    #[error("quiet hours that end where they begin would never end, or never begin")]
    Empty,
}

/// The clock shows every minute of the day within so many minutes: a day, and the hours by which clocks are set.
const SOON: i64 = 2 * 24 * 60;

impl Quiet {
    /// Reads `22:00-07:00`.
    ///
    /// # Errors
    /// [`QuietError`].
    pub fn new(text: &str, time_zone: Tz) -> Result<Self, QuietError> {
        let (from, until) = text.split_once(['-', '–']).ok_or(QuietError::Form)?;
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| QuietError::Form);
        let (from, until) = (time(from)?, time(until)?);
        if from == until { Err(QuietError::Empty) } else { Ok(Quiet { from, until, time_zone }) }
    }

    /// Where its clock hangs.
    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }

    /// Whether it is quiet.
    pub fn at(&self, now: DateTime<Utc>) -> bool {
        let clock = now.with_timezone(&self.time_zone).time();
        if self.from < self.until {
            self.from <= clock && clock < self.until
        } else {
            self.from <= clock || clock < self.until
        }
    }

    /// When it ends to be quiet; `None` where it is not quiet now.
    pub fn ends(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.at(now).then(|| self.change(now))
    }

    /// When it begins to be quiet; `None` where it is quiet now.
    pub fn begins(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (!self.at(now)).then(|| self.change(now))
    }

    /// The first whole minute after `now` at which it is otherwise.
    fn change(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let minute = now - TimeDelta::seconds(now.second().into()) - TimeDelta::nanoseconds(now.nanosecond().into());
        let mut minutes = (1..=SOON).map(|n| minute + TimeDelta::minutes(n));
        minutes.find(|then| self.at(*then) != self.at(now)).unwrap_or(minute + TimeDelta::minutes(SOON))
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.from.format("%H:%M"), self.until.format("%H:%M"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chrono_tz::{Asia::Kolkata, Europe::Berlin};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse::<DateTime<chrono::FixedOffset>>().unwrap().with_timezone(&Utc)
    }

    #[test]
    fn a_night_goes_over_midnight() {
        let night = Quiet::new("22:00-07:00", Berlin).unwrap();
        for (now, ends) in [
            ("2026-11-22T21:59:59+01:00", None),
            ("2026-11-22T22:00:00+01:00", Some("2026-11-23T07:00:00+01:00")),
            ("2026-11-23T00:00:00+01:00", Some("2026-11-23T07:00:00+01:00")),
            ("2026-11-23T06:59:59.5+01:00", Some("2026-11-23T07:00:00+01:00")),
            ("2026-11-23T07:00:00+01:00", None),
        ] {
            assert_eq!(night.ends(at(now)), ends.map(at), "{now}");
        }
        assert_eq!(night.begins(at("2026-11-22T21:59:59+01:00")), Some(at("2026-11-22T22:00:00+01:00")));
        assert_eq!(night.begins(at("2026-11-22T22:00:00+01:00")), None);
    }

    #[test]
    fn a_midday_rest_stays_within_the_day_and_on_its_clock() {
        let rest = Quiet::new(" 12:30 – 14:00 ", Kolkata).unwrap();
        assert_eq!(rest.ends(at("2026-11-22T12:30:00+05:30")), Some(at("2026-11-22T14:00:00+05:30")));
        assert_eq!(rest.ends(at("2026-11-22T12:30:00Z")), None);
        assert_eq!(rest.begins(at("2026-11-22T14:00:00+05:30")), Some(at("2026-11-23T12:30:00+05:30")));
        assert_eq!(rest.to_string(), "12:30–14:00");
    }

    #[test]
    fn where_clocks_are_set_the_wall_says_what_is_quiet() {
        let night = Quiet::new("22:00-02:30", Berlin).unwrap();
        // 02:00 to 03:00 is skipped: the night ends where the skipped hour would have begun.
        assert_eq!(night.ends(at("2026-03-29T01:00:00+01:00")), Some(at("2026-03-29T03:00:00+02:00")));
        // 02:00 to 03:00 comes twice, and so does the rest of the night.
        assert_eq!(night.ends(at("2026-10-25T01:00:00+02:00")), Some(at("2026-10-25T02:30:00+02:00")));
        assert_eq!(night.begins(at("2026-10-25T02:30:00+02:00")), Some(at("2026-10-25T02:00:00+01:00")));
        assert_eq!(night.ends(at("2026-10-25T02:00:00+01:00")), Some(at("2026-10-25T02:30:00+01:00")));
        // Hours that lie within the skipped one do not come that day.
        let skipped = Quiet::new("02:10-02:50", Berlin).unwrap();
        assert_eq!(skipped.begins(at("2026-03-28T12:00:00+01:00")), Some(at("2026-03-30T02:10:00+02:00")));
    }

    #[test]
    fn what_does_not_say_when_is_refused() {
        for text in ["", "22:00", "22-7", "22:00 07:00", "25:00-07:00", "22:00-07:60", "at night"] {
            assert_eq!(Quiet::new(text, Berlin), Err(QuietError::Form), "{text}");
        }
        assert_eq!(Quiet::new("07:00-07:00", Berlin), Err(QuietError::Empty));
    }
}
