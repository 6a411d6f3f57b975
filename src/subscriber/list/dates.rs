//! Dates as spreadsheets and other programs write them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};

const WITH_ZONE: &[&str] = &["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"];
const WITH_TIME: &[&str] = &[
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
];
const DAYS: &[&str] = &["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y"];

/// A date or a moment; without a zone it is UTC, without a time it is midnight.
///
/// # Errors
/// What to do: for what is no date, and for what could be two.
pub(super) fn parse(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let moment = read(text)?;
    // Two-digit years and slips of the finger; e-mail is younger than the epoch.
    if (1970..=9999).contains(&moment.year()) {
        Ok(moment)
    } else {
        Err("write the year with four digits, as in 2026-11-22")
    }
}

fn read(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let text = text.trim_end_matches("UTC").trim_end();
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    if let Some(moment) = WITH_ZONE.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()) {
        return Ok(moment.to_utc());
    }
    if let Some(moment) = WITH_TIME.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) {
        return Ok(moment.and_utc());
    }
    if let Some(day) = DAYS.iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok()) {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let slashes = |form| NaiveDate::parse_from_str(text, form).ok();
    match (slashes("%d/%m/%Y"), slashes("%m/%d/%Y")) {
        (Some(one), Some(other)) if one != other => Err("day or month first? write it as in 2026-11-22"),
        (Some(day), _) | (None, Some(day)) => Ok(day.and_time(NaiveTime::MIN).and_utc()),
        (None, None) => Err("write it as in 2026-11-22 or 2026-11-22T17:30:00Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_forms_that_programs_write() {
        for (text, wanted) in [
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-11-22T17:30:00Z", "2026-11-22T17:30:00Z"),
            ("2026-11-22T17:30:00+02:00", "2026-11-22T15:30:00Z"),
            ("2026-11-22 17:30", "2026-11-22T17:30:00Z"),
            ("2026-11-22 17:30:05", "2026-11-22T17:30:05Z"),
            ("2026-11-22 17:30:05.25", "2026-11-22T17:30:05.250Z"),
            ("2026-11-22 17:30:05.25+00", "2026-11-22T17:30:05.250Z"),
            ("2026-11-22 17:30:05 UTC", "2026-11-22T17:30:05Z"),
            ("2026/11/22", "2026-11-22T00:00:00Z"),
            ("22.11.2026", "2026-11-22T00:00:00Z"),
            ("22.11.2026 17:30", "2026-11-22T17:30:00Z"),
            ("22/11/2026", "2026-11-22T00:00:00Z"),
            ("11/22/2026", "2026-11-22T00:00:00Z"),
            ("11/11/2026", "2026-11-11T00:00:00Z"),
        ] {
            assert_eq!(parse(text), Ok(wanted.parse().unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn what_could_be_two_dates_or_is_none_is_refused() {
        assert!(parse("03/04/2026").is_err_and(|help| help.contains("day or month first")));
        assert!(parse("22.11.26").is_err_and(|help| help.contains("four digits")));
        assert!(parse("1969-12-31").is_err());
        for text in ["yesterday", "2026-02-30", "2026-13-01", "46348", "-"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
