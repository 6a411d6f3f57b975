//! The next due times, and what summer time does to them.

use chrono::offset::LocalResult;
use chrono::{DateTime, TimeZone, Utc};
use serde::Serialize;

use super::Schedule;

/// A due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Date {
    /// When.
    pub at: DateTime<Utc>,
    /// What summer time does to it.
    pub note: Option<ClockNote>,
}

/// What summer time does to a due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockNote {
    /// Its hour is skipped that day; it is due where the skipped hour ends.
    Skipped,
    /// Its hour comes twice that day, and this is the first time.
    First,
    /// Its hour comes twice that day, and this is the second time, for the schedule goes through all hours.
    Second,
    /// Since the due time before (or now) the clocks have been set.
    Changed,
}

impl Schedule {
    /// The due times after `after`, at most so many.
    pub fn dates(&self, after: DateTime<Utc>, count: usize) -> Vec<Date> {
        let mut before = after;
        let mut dates = Vec::with_capacity(count);
        while dates.len() < count {
            let Some(at) = self.next(before) else { break };
            dates.push(Date { at, note: self.note(before, at) });
            before = at;
        }
        dates
    }

    fn note(&self, before: DateTime<Utc>, at: DateTime<Utc>) -> Option<ClockNote> {
        use chrono::Offset;
        let offset = |t: DateTime<Utc>| self.time_zone.offset_from_utc_datetime(&t.naive_utc()).fix();
        let local = at.with_timezone(&self.time_zone);
        if !self.cron.is_time_matching(&local).unwrap_or(true) {
            return Some(ClockNote::Skipped);
        }
        match self.time_zone.from_local_datetime(&local.naive_local()) {
            LocalResult::Ambiguous(first, _) if first == local => Some(ClockNote::First),
            LocalResult::Ambiguous(..) => Some(ClockNote::Second),
            _ if offset(before) != offset(at) => Some(ClockNote::Changed),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chrono_tz::{Asia::Kolkata, Europe::Berlin, Tz};

    fn dates(pattern: &str, zone: Tz, after: &str, count: usize) -> Vec<(String, Option<ClockNote>)> {
        let after = after.parse::<DateTime<chrono::FixedOffset>>().unwrap().with_timezone(&Utc);
        let dates = Schedule::new(pattern, zone).unwrap().dates(after, count);
        let local = |d: Date| (d.at.with_timezone(&zone).format("%d %H:%M%:z").to_string(), d.note);
        dates.into_iter().map(local).collect()
    }

    #[test]
    fn a_skipped_hour_is_noted_and_so_is_a_changed_clock() {
        let found = dates("30 2 * * *", Berlin, "2026-03-27T12:00:00+01:00", 4);
        let wanted = [
            ("28 02:30+01:00", None),
            ("29 03:00+02:00", Some(ClockNote::Skipped)),
            ("30 02:30+02:00", None),
            ("31 02:30+02:00", None),
        ];
        assert_eq!(found, wanted.map(|(at, note)| (at.to_owned(), note)));
        let found = dates("0 7 * * *", Berlin, "2026-03-28T12:00:00+01:00", 2);
        assert_eq!(found[0], ("29 07:00+02:00".to_owned(), Some(ClockNote::Changed)));
        assert_eq!(found[1].1, None);
    }

    #[test]
    fn an_hour_that_comes_twice_is_noted() {
        let nightly = dates("30 2 * * *", Berlin, "2026-10-24T12:00:00+02:00", 2);
        assert_eq!(nightly[0], ("25 02:30+02:00".to_owned(), Some(ClockNote::First)));
        assert_eq!(nightly[1], ("26 02:30+01:00".to_owned(), Some(ClockNote::Changed)));
        let hourly = dates("0 * * * *", Berlin, "2026-10-25T01:30:00+02:00", 3);
        assert_eq!(hourly[0], ("25 02:00+02:00".to_owned(), Some(ClockNote::First)));
        assert_eq!(hourly[1], ("25 02:00+01:00".to_owned(), Some(ClockNote::Second)));
        assert_eq!(hourly[2].0, "25 03:00+01:00");
    }

    #[test]
    fn where_clocks_are_never_set_nothing_is_noted() {
        let found = dates("0 7 1 * *", Kolkata, "2026-01-01T12:00:00Z", 24);
        assert_eq!(found.len(), 24);
        assert!(found.iter().all(|(_, note)| note.is_none()), "{found:?}");
    }
}
