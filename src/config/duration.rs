//! Times as people write them: `30s`, `5m`, `4h`, `3d`, `250ms`.

use std::time::Duration;

/// Longer times are mistakes.
const LONGEST: Duration = Duration::from_hours(8784);

/// Reads a whole number and its unit.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let millis: u64 = match text[digits..].trim() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis).filter(|duration| *duration <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        for (text, millis) in
            [("30s", 30_000), ("5m", 300_000), ("4h", 14_400_000), ("3d", 259_200_000), ("250ms", 250), ("0s", 0)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "5 weeks", "-5m", "1.5h", "99999999999999999999s", "367d"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse("366d").is_some());
    }
}
