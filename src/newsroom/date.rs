//! Dates as people write them.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

/// Forms without an offset.
const FORMS: [&str; 4] = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];

/// What to write instead.
pub const HELP: &str = "write it like 2026-02-24T07:30:00-06:00, or 2026-02-24 07:30 in the newsroom's time zone";

/// Reads RFC 3339 (`2026-02-24T07:30:00-06:00`; a space may stand for the `T`), or a date with or without a time of
/// day, which is meant in `zone`. A date alone is its first moment. A time that a clock change skips is an hour later;
/// one that it repeats is the first of the two.
pub fn parse(text: &str, zone: Tz) -> Option<DateTime<FixedOffset>> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Some(date);
    }
    if let Ok(date) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S %z") {
        return Some(date);
    }
    let naive = FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN)))?;
    let date = match zone.from_local_datetime(&naive) {
        LocalResult::Single(date) | LocalResult::Ambiguous(date, _) => date.fixed_offset(),
        LocalResult::None => {
            let later = naive.checked_add_signed(chrono::TimeDelta::hours(1))?;
            zone.from_local_datetime(&later).earliest()?.fixed_offset()
        }
    };
    in_whole_minutes(date)
}

/// The same time of day with an offset that can be written: RFC 3339 and RFC 822 have hours and minutes. Before there was
/// standard time every town had its own noon, to the second.
fn in_whole_minutes(date: DateTime<FixedOffset>) -> Option<DateTime<FixedOffset>> {
    let seconds = date.offset().local_minus_utc();
    if seconds % 60 == 0 {
        return Some(date);
    }
    let rounded = (seconds + 30).div_euclid(60) * 60;
    FixedOffset::east_opt(rounded)?.from_local_datetime(&date.naive_local()).single()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_with_their_offset_or_in_the_newsrooms_zone() {
        for (text, meant) in [
            ("2026-02-24T07:30:00-06:00", "2026-02-24T07:30:00-06:00"),
            ("2026-02-24T13:30:00Z", "2026-02-24T13:30:00+00:00"),
            ("2026-02-24 07:30:00 -0600", "2026-02-24T07:30:00-06:00"),
            ("2026-02-24 07:30", "2026-02-24T07:30:00-06:00"),
            ("2026-07-24 07:30", "2026-07-24T07:30:00-05:00"),
            ("2026-02-24", "2026-02-24T00:00:00-06:00"),
            ("2026-03-08 02:30", "2026-03-08T03:30:00-05:00"),
            ("2026-11-01 01:30", "2026-11-01T01:30:00-05:00"),
            ("1870-03-01 07:30", "1870-03-01T07:30:00-05:51"),
        ] {
            assert_eq!(parse(text, chrono_tz::America::Chicago).map(|d| d.to_rfc3339()).as_deref(), Some(meant));
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "yesterday", "24.2.2026", "2026-02-30", "2026-13-01", "2026-02-24 25:00", "20260224"] {
            assert_eq!(parse(text, chrono_tz::UTC), None, "{text}");
        }
    }
}
