//! When a digest is due.

// The next due times.
pub mod calendar;
// A schedule in words.
mod words;

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use std::str::FromStr;

/// A cron expression in a time zone: five fields as in crontab(5), or `@daily`, `@weekly`…
///
/// Summer time: what falls into the hour that is skipped is due once, at its end; what falls into the hour that comes
/// twice is due once, the first time.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pattern: String,
    time_zone: chrono_tz::Tz,
    cron: Cron,
    /// It names times of day, and does not go through all hours.
    of_day: bool,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ScheduleError {
    /// What is wrong.
    pub what: String,
}

impl Schedule {
    /// Reads a cron expression and checks that it ever falls due.
    ///
    /// # Errors
    /// What is wrong with it: a field out of range, a sixth field, a date that never comes.
    pub fn new(pattern: &str, time_zone: chrono_tz::Tz) -> Result<Self, ScheduleError> {
        let wrong = |what: String| ScheduleError { what };
        let pattern = pattern.trim();
        let fields = pattern.split_whitespace().count();
        if !pattern.starts_with('@') && fields != 5 {
            return Err(wrong(format!(
                "a schedule has five fields (minute, hour, day, month, weekday); this one has {fields}"
            )));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parse = |text: &str| parser.parse(text).map_err(|e| wrong(e.to_string().trim_end_matches('.').to_owned()));
        let cron = parse(pattern)?;
        let schedule = Schedule { pattern: pattern.to_owned(), time_zone, cron, of_day: names_times(pattern) };
        match schedule.next(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(wrong("it names a date that never comes".into())),
        }
    }

    /// The cron expression as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Where its clock stands.
    pub fn time_zone(&self) -> chrono_tz::Tz {
        self.time_zone
    }

    /// The due moment that `now` should handle, if there is one; `last` is the due moment handled last.
    ///
    /// Runs that were missed (the machine was off) are made up for by one, not by one each: the answer is the latest due
    /// moment. Without a `last` the answer is `now`: a digest that has never run is due at once, so that the first
    /// `pressrun run` of a new newsroom makes an edition. A `last` in the future (the clock was set back) is waited out.
    pub fn due(&self, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let Some(last) = last else { return Some(now) };
        let latest = if self.of_day {
            self.latest_of_day(now)?
        } else {
            let now = now.with_timezone(&self.time_zone);
            self.cron.find_previous_occurrence(&now, true).ok()?.with_timezone(&Utc)
        };
        (latest > last).then_some(latest)
    }

    /// The first due moment after `after`.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if !self.of_day {
            let after = after.with_timezone(&self.time_zone);
            return Some(self.cron.find_next_occurrence(&after, false).ok()?.with_timezone(&Utc));
        }
        let mut clock = after.with_timezone(&self.time_zone).naive_local();
        loop {
            clock = self.cron.find_next_occurrence(&clock.and_utc(), false).ok()?.naive_utc();
            let moment = self.moment(clock)?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// The last due moment until `now`, where the pattern names times of day.
    fn latest_of_day(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // In an hour that comes again, the clock had shown more than it does.
        let clocks = [now, now - TimeDelta::days(1)]
            .map(|then| self.time_zone.offset_from_utc_datetime(&then.naive_utc()).fix());
        let mut clock = clocks.into_iter().filter_map(|offset| now.naive_utc().checked_add_offset(offset)).max()?;
        let mut inclusive = true;
        loop {
            clock = self.cron.find_previous_occurrence(&clock.and_utc(), inclusive).ok()?.naive_utc();
            inclusive = false;
            let moment = self.moment(clock)?;
            if moment <= now {
                return Some(moment);
            }
        }
    }

    /// When the clock on the wall shows this: the first time, or where it never does, as soon as it shows more.
    fn moment(&self, clock: NaiveDateTime) -> Option<DateTime<Utc>> {
        /// One island has left out a whole day.
        const LONGEST_GAP: i64 = 24 * 60;
        let after = |minutes| clock.checked_add_signed(TimeDelta::minutes(minutes));
        let shown = |clock: NaiveDateTime| self.time_zone.from_local_datetime(&clock).earliest();
        (0..=LONGEST_GAP).find_map(|minutes| shown(after(minutes)?)).map(|moment| moment.with_timezone(&Utc))
    }
}

/// Whether a pattern that croner has read names times of day. To croner itself only one with one minute and one hour does; all
/// others would lose the hour that is skipped and go twice through the one that comes twice, and a weekday whose last hour is
/// skipped would not come at all.
fn names_times(pattern: &str) -> bool {
    match pattern.strip_prefix('@') {
        Some(name) => !name.eq_ignore_ascii_case("hourly"),
        None => !matches!(pattern.split_whitespace().nth(1), Some("*" | "*/1" | "?")),
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    /// Reads a cron expression on the clock of UTC.
    fn from_str(pattern: &str) -> Result<Self, ScheduleError> {
        Schedule::new(pattern, chrono_tz::UTC)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chrono_tz::{America::Chicago, Europe::Berlin, Tz};
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse::<DateTime<chrono::FixedOffset>>().unwrap().with_timezone(&Utc)
    }

    fn schedule(pattern: &str, zone: Tz) -> Schedule {
        Schedule::new(pattern, zone).unwrap()
    }

    #[test]
    fn a_digest_that_never_ran_is_due_at_once() {
        let now = at("2026-11-22T10:03:07Z");
        assert_eq!(schedule("0 7 * * MON", Chicago).due(None, now), Some(now));
    }

    #[test]
    fn it_is_due_from_its_moment_on_and_only_once() {
        let weekly = schedule("0 7 * * FRI", Chicago);
        let last = Some(at("2026-11-13T13:00:00Z"));
        assert_eq!(weekly.due(last, at("2026-11-20T12:59:59Z")), None);
        assert_eq!(weekly.due(last, at("2026-11-20T13:00:00Z")), Some(at("2026-11-20T13:00:00Z")));
        assert_eq!(weekly.due(last, at("2026-11-21T09:00:00Z")), Some(at("2026-11-20T13:00:00Z")));
        assert_eq!(weekly.due(Some(at("2026-11-20T13:00:00Z")), at("2026-11-27T12:00:00Z")), None);
    }

    #[test]
    fn missed_runs_are_made_up_for_by_one() {
        let daily = schedule("30 6 * * *", Berlin);
        let due = daily.due(Some(at("2026-11-01T05:30:00Z")), at("2026-11-22T20:00:00Z")).unwrap();
        assert_eq!(due, at("2026-11-22T05:30:00Z"));
        assert_eq!(daily.due(Some(due), at("2026-11-22T20:00:00Z")), None);
    }

    #[test]
    fn a_first_run_between_two_moments_does_not_hide_the_next() {
        let daily = schedule("30 6 * * *", Berlin);
        let first = daily.due(None, at("2026-11-22T05:00:00Z"));
        assert_eq!(daily.due(first, at("2026-11-22T05:30:00Z")), Some(at("2026-11-22T05:30:00Z")));
    }

    #[test]
    fn a_clock_set_back_is_waited_out() {
        let daily = schedule("30 6 * * *", Berlin);
        assert_eq!(daily.due(Some(at("2027-01-01T00:00:00Z")), at("2026-11-22T20:00:00Z")), None);
    }

    #[test]
    fn what_falls_into_the_skipped_hour_is_due_once_at_its_end() {
        let nightly = schedule("30 2 * * *", Berlin);
        let gap = nightly.next(at("2026-03-28T12:00:00+01:00")).unwrap();
        assert_eq!(gap, at("2026-03-29T03:00:00+02:00"));
        assert_eq!(nightly.next(gap), Some(at("2026-03-30T02:30:00+02:00")));
        let before = Some(at("2026-03-28T02:30:00+01:00"));
        assert_eq!(nightly.due(before, at("2026-03-29T01:59:59+01:00")), None);
        assert_eq!(nightly.due(before, at("2026-03-29T03:30:00+02:00")), Some(gap));
        assert_eq!(nightly.due(Some(gap), at("2026-03-29T23:00:00+02:00")), None);
    }

    #[test]
    fn what_falls_into_the_doubled_hour_is_due_once_the_first_time() {
        let nightly = schedule("30 2 * * *", Berlin);
        let fold = nightly.next(at("2026-10-24T12:00:00+02:00")).unwrap();
        assert_eq!(fold, at("2026-10-25T02:30:00+02:00"));
        assert_eq!(nightly.next(fold), Some(at("2026-10-26T02:30:00+01:00")));
        assert_eq!(nightly.due(Some(fold), at("2026-10-25T02:45:00+01:00")), None);
    }

    /// Each due time of a day, as `HH:MM+offset`.
    fn day(pattern: &str, zone: Tz, day: &str) -> Vec<String> {
        let schedule = schedule(pattern, zone);
        let day: chrono::NaiveDate = day.parse().unwrap();
        let begin = at(&format!("{day}T00:00:00Z")) - TimeDelta::days(1);
        let next = std::iter::successors(schedule.next(begin), |due| schedule.next(*due));
        let local = next.take(2_000).map(|due| due.with_timezone(&zone));
        let of_day = local.skip_while(|due| due.date_naive() < day).take_while(|due| due.date_naive() == day);
        of_day.map(|due| due.format("%H:%M%:z").to_string()).collect()
    }

    #[test]
    fn lists_and_ranges_of_times_are_due_once_each_whatever_the_clocks_do() {
        for (pattern, gap, fold) in [
            ("30 2,14 * * *", "03:00+02:00 14:30+02:00", "02:30+02:00 14:30+01:00"),
            // Both fall to the end of the skipped hour, and are due there once.
            ("0,30 2 * * *", "03:00+02:00", "02:00+02:00 02:30+02:00"),
            ("30 1-3 * * *", "01:30+01:00 03:00+02:00 03:30+02:00", "01:30+02:00 02:30+02:00 03:30+01:00"),
            ("*/30 2 * * *", "03:00+02:00", "02:00+02:00 02:30+02:00"),
            (
                "15,45 2-3,8 * * SUN",
                "03:00+02:00 03:15+02:00 03:45+02:00 08:15+02:00 08:45+02:00",
                "02:15+02:00 02:45+02:00 03:15+01:00 03:45+01:00 08:15+01:00 08:45+01:00",
            ),
        ] {
            assert_eq!(day(pattern, Berlin, "2026-03-29").join(" "), gap, "{pattern}");
            assert_eq!(day(pattern, Berlin, "2026-10-25").join(" "), fold, "{pattern}");
        }
        let sunday = "2026-03-29T00:00:00+01:00";
        for (pattern, wanted) in [("30 2,14 * * *", 2), ("0,30 2 * * *", 1), ("30 1-3 * * *", 3)] {
            let handled = run_every(pattern, Berlin, sunday, "2026-03-29T23:59:00+02:00", TimeDelta::minutes(5));
            assert_eq!(handled.len(), wanted, "{pattern}: {handled:?}");
        }
    }

    #[test]
    fn steps_through_a_day_are_times_of_day_too() {
        let gap = "00:00+01:00 03:00+02:00 04:00+02:00 06:00+02:00";
        let fold = "00:00+02:00 02:00+02:00 04:00+01:00 06:00+01:00";
        let morning = |date| day("0 */2 * * *", Berlin, date)[..4].join(" ");
        assert_eq!((morning("2026-03-29").as_str(), morning("2026-10-25").as_str()), (gap, fold));
        let cairo = day("0 */6 * * *", chrono_tz::Africa::Cairo, "2027-04-30");
        assert_eq!(cairo[0], "01:00+03:00", "{cairo:?}");
    }

    #[test]
    fn a_weekday_whose_last_hour_is_skipped_has_its_turn_at_midnight() {
        let weekly = schedule("30 23 * * SAT", chrono_tz::America::Nuuk);
        let before = at("2027-03-27T12:00:00-02:00");
        let due = at("2027-03-28T00:00:00-01:00");
        assert_eq!(weekly.next(before), Some(due));
        assert_eq!(weekly.due(Some(before), at("2027-03-28T08:00:00-01:00")), Some(due));
    }

    #[test]
    fn a_day_that_was_left_out_has_its_turns_on_the_next() {
        let daily = schedule("0 7 * * *", chrono_tz::Pacific::Apia);
        let turns: Vec<_> = std::iter::successors(daily.next(at("2011-12-29T07:00:00-10:00")), |due| daily.next(*due))
            .take(2)
            .collect();
        assert_eq!(turns, [at("2011-12-31T00:00:00+14:00"), at("2011-12-31T07:00:00+14:00")]);
    }

    #[test]
    fn a_day_that_begins_at_one_has_its_midnight_then() {
        use chrono_tz::{Africa::Cairo, America::Santiago, Asia::Beirut};
        for (zone, date) in [(Cairo, "2026-04-24"), (Beirut, "2026-03-29"), (Santiago, "2026-09-06")] {
            for pattern in ["0 0 * * *", "30 0 * * *", "0,30 0 * * *"] {
                let found = day(pattern, zone, date);
                assert!(found.len() == 1 && found[0].starts_with("01:00"), "{pattern} in {zone}: {found:?}");
                let midnight = at(&format!("{date}T00:00:00Z"));
                let (from, until) = (midnight - TimeDelta::days(1), midnight + TimeDelta::days(2));
                let handled = run_every(pattern, zone, &from.to_rfc3339(), &until.to_rfc3339(), TimeDelta::minutes(10));
                let of_day = |due: &&DateTime<Utc>| due.with_timezone(&zone).date_naive().to_string() == date;
                assert_eq!(handled.iter().filter(of_day).count(), 1, "{pattern} in {zone}: {handled:?}");
            }
        }
    }

    #[test]
    fn half_hours_run_through_the_doubled_hour() {
        let often = schedule("*/30 * * * *", Berlin);
        let mut moment = at("2026-10-25T01:45:00+02:00");
        for expected in ["02:00:00+02:00", "02:30:00+02:00", "02:00:00+01:00", "02:30:00+01:00", "03:00:00+01:00"] {
            moment = often.next(moment).unwrap();
            assert_eq!(moment, at(&format!("2026-10-25T{expected}")));
        }
    }

    #[test]
    fn due_and_next_agree_all_year_long() {
        let nightly = schedule("30 2 * * *", Berlin);
        let mut last = at("2026-01-01T00:00:00Z");
        for _ in 0..365 {
            let next = nightly.next(last).unwrap();
            assert_eq!(nightly.due(Some(last), next - chrono::TimeDelta::seconds(1)), None, "before {next}");
            assert_eq!(nightly.due(Some(last), next), Some(next));
            last = next;
        }
    }

    /// What the ledger and a run do with a schedule: the record, and each due time that was handled, in order.
    #[derive(Default)]
    struct Record {
        last: Option<DateTime<Utc>>,
        handled: Vec<DateTime<Utc>>,
    }

    impl Record {
        fn run(&mut self, schedule: &Schedule, now: DateTime<Utc>) {
            if let Some(due) = schedule.due(self.last, now) {
                self.last = Some(due);
                self.handled.push(due);
            }
        }
    }

    fn run_every(pattern: &str, zone: Tz, from: &str, until: &str, step: TimeDelta) -> Vec<DateTime<Utc>> {
        let schedule = schedule(pattern, zone);
        let (mut now, until) = (at(from), at(until));
        let mut record = Record { last: Some(now), handled: Vec::new() };
        while now <= until {
            record.run(&schedule, now);
            now += step;
        }
        record.handled
    }

    #[test]
    fn runs_through_a_skipped_hour_make_one_edition() {
        let handled = run_every(
            "30 2 * * *",
            Berlin,
            "2026-03-28T12:00:00+01:00",
            "2026-03-30T12:00:00+02:00",
            TimeDelta::minutes(10),
        );
        assert_eq!(handled, [at("2026-03-29T03:00:00+02:00"), at("2026-03-30T02:30:00+02:00")]);
    }

    #[test]
    fn runs_through_a_doubled_hour_make_one_edition() {
        let handled = run_every(
            "30 2 * * *",
            Berlin,
            "2026-10-24T12:00:00+02:00",
            "2026-10-26T12:00:00+01:00",
            TimeDelta::minutes(10),
        );
        assert_eq!(handled, [at("2026-10-25T02:30:00+02:00"), at("2026-10-26T02:30:00+01:00")]);
    }

    proptest! {
        #[test]
        fn however_runs_fall_no_due_time_is_handled_twice_and_the_latest_is_never_lost(
            pattern in prop::sample::select(vec![
                "30 2 * * *", "0 7 * * FRI", "*/30 * * * *", "0 0 1 * *", "15 3 29 2 *", "0,30 2,14 * * *", "30 0-3 * * *",
                "0 */2 * * *", "*/30 2 * * *", "30 23 * * SAT", "@daily",
            ]),
            zone in prop::sample::select(vec![
                Berlin, Chicago, Tz::UTC, Tz::Australia__Lord_Howe, Tz::Africa__Casablanca, Tz::Africa__Cairo,
                Tz::America__Santiago, Tz::America__Nuuk,
            ]),
            // From 2025 on, so that clocks are set a few times; some runs close together, some the same, some set back.
            begin in 0_i64..40_000_000,
            steps in prop::collection::vec(prop_oneof![0_i64..7_200, 0_i64..2_000_000, -100_000_i64..0], 1..60),
        ) {
            let schedule = schedule(pattern, zone);
            let mut now = at("2025-01-01T00:00:00Z") + TimeDelta::seconds(begin);
            let begun = now;
            let mut latest_run = now;
            let mut record = Record { last: Some(now), handled: Vec::new() };
            for step in steps {
                now += TimeDelta::seconds(step);
                let before = record.handled.len();
                record.run(&schedule, now);
                latest_run = latest_run.max(now);
                // What was handled has been due, and is the latest of all that were.
                if let Some(due) = record.handled.get(before) {
                    prop_assert!(*due <= now);
                    prop_assert!(schedule.next(*due).is_none_or(|next| next > now));
                }
            }
            let mut once = record.handled.clone();
            once.dedup();
            prop_assert!(once.is_sorted());
            prop_assert_eq!(once.len(), record.handled.len());
            // The latest due time before the last run, found by walking forward.
            let due: Vec<_> = std::iter::successors(schedule.next(begun), |d| schedule.next(*d))
                .take_while(|d| *d <= latest_run).collect();
            prop_assert_eq!(record.handled.last(), due.last());
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_a_reason() {
        for (pattern, reason) in [
            ("", "five fields"),
            ("0 7 * *", "this one has 4"),
            ("0 0 7 * * MON", "this one has 6"),
            ("61 7 * * *", "out of bounds"),
            ("0 7 30 2 *", "never comes"),
            ("every friday at seven o'clock", "Pattern"),
        ] {
            let error = Schedule::new(pattern, Chicago).unwrap_err().to_string();
            assert!(error.contains(reason), "{pattern:?}: {error}");
        }
    }
}
