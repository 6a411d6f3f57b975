//! A schedule in words, for people who don't read crontabs.

use super::Schedule;

const DAYS: [(&str, &str); 7] = [
    ("SUN", "Sunday"),
    ("MON", "Monday"),
    ("TUE", "Tuesday"),
    ("WED", "Wednesday"),
    ("THU", "Thursday"),
    ("FRI", "Friday"),
    ("SAT", "Saturday"),
];

impl Schedule {
    /// What nearly all newsletters have (a time of day, every day, on weekdays or on days of the month) in plain words;
    /// anything else as the fields say it.
    pub fn words(&self) -> String {
        simple(&self.pattern).unwrap_or_else(|| self.cron.describe().trim_end_matches('.').to_owned())
    }
}

fn simple(pattern: &str) -> Option<String> {
    let fields: Vec<&str> = pattern.split_whitespace().collect();
    let &[minute, hour, day, "*", weekday] = fields.as_slice() else { return None };
    let (minute, hour): (u8, u8) = (minute.parse().ok()?, hour.parse().ok()?);
    let days = match (day, weekday) {
        ("*", "*") => "every day".to_owned(),
        ("*", "1-5" | "MON-FRI") => "Mondays to Fridays".to_owned(),
        ("*", days) => format!("every {}", joined(days.split(',').map(weekday_name).collect::<Option<Vec<_>>>()?)),
        (days, "*") => {
            let days = days.split(',').map(|day| day.parse().ok().map(ordinal)).collect::<Option<Vec<_>>>()?;
            format!("on the {} of every month", joined(days))
        }
        _ => return None,
    };
    Some(format!("{days} at {hour:02}:{minute:02}"))
}

fn weekday_name(field: &str) -> Option<String> {
    let (_, name) = match field.parse::<usize>() {
        Ok(number) => *DAYS.get(number % 7).filter(|_| number <= 7)?,
        Err(_) => *DAYS.iter().find(|(short, _)| short.eq_ignore_ascii_case(field))?,
    };
    Some(name.to_owned())
}

fn ordinal(n: u8) -> String {
    let ending = match (n % 10, n % 100) {
        (1, 1 | 21 | 31) => "st",
        (2, 2 | 22) => "nd",
        (3, 3 | 23) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// `a`, `a and b`, `a, b, and c`.
fn joined(mut parts: Vec<String>) -> String {
    let last = parts.pop().unwrap_or_default();
    match parts.len() {
        0 => last,
        1 => format!("{} and {last}", parts[0]),
        _ => format!("{}, and {last}", parts.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn usual_schedules_read_like_an_appointment() {
        for (pattern, words) in [
            ("0 7 * * FRI", "every Friday at 07:00"),
            ("30 16 * * 0", "every Sunday at 16:30"),
            ("30 16 * * 7", "every Sunday at 16:30"),
            ("5 6 * * *", "every day at 06:05"),
            ("0 8 * * MON-FRI", "Mondays to Fridays at 08:00"),
            ("0 8 * * tue,thu", "every Tuesday and Thursday at 08:00"),
            ("0 8 * * 1,3,5", "every Monday, Wednesday, and Friday at 08:00"),
            ("0 17 1 * *", "on the 1st of every month at 17:00"),
            ("0 17 2,13,23 * *", "on the 2nd, 13th, and 23rd of every month at 17:00"),
        ] {
            assert_eq!(pattern.parse::<Schedule>().unwrap().words(), words, "{pattern}");
        }
    }

    #[test]
    fn an_unusual_one_is_told_all_the_same() {
        for pattern in ["*/10 * * * *", "0 8 * JAN MON#1", "@weekly", "0 0 13 * FRI", "0 8 * * MON-WED"] {
            let words = pattern.parse::<Schedule>().unwrap().words();
            assert!(words.len() > 8 && !words.ends_with('.'), "{pattern}: {words}");
        }
    }
}
