//! The fields of reports: `Name: value`, folded, in groups that blank lines part (RFC 3464 section 2.1).

/// One field, or the end of a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The name in small letters, and the value on one line.
    Field(String, String),
    /// One blank line or more.
    Blank,
}

/// Fields of a report that are read, at most.
const MOST: usize = 2_000;

/// Reads a report. What is no field is passed over.
pub(super) fn read(report: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for written in report.lines().take(MOST) {
        let text = written.trim_end();
        if text.trim_start().is_empty() {
            if !matches!(lines.last(), None | Some(Line::Blank)) {
                lines.push(Line::Blank);
            }
        } else if text.starts_with([' ', '\t']) {
            if let Some(Line::Field(_, value)) = lines.last_mut() {
                value.push(' ');
                value.push_str(text.trim_start());
            }
        } else if let Some((name, value)) = text.split_once(':')
            && !name.contains(' ')
        {
            lines.push(Line::Field(name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    lines
}

/// The values of the fields with these names (in small letters), in the order of the report.
pub(super) fn texts(report: &str, names: &[&str]) -> Vec<String> {
    let of = |line| match line {
        Line::Field(name, value) if names.contains(&name.as_str()) => Some(value),
        _ => None,
    };
    read(report).into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_unfolded_and_blank_lines_part_groups() {
        let report = "\n\nReporting-MTA: dns; a\r\n\r\nStatus:5.1.1\nDiagnostic-Code: smtp; 550\n  no\n\tsuch user\n\n\nno field\n";
        let field = |name: &str, value: &str| Line::Field(name.to_owned(), value.to_owned());
        assert_eq!(
            read(report),
            [
                field("reporting-mta", "dns; a"),
                Line::Blank,
                field("status", "5.1.1"),
                field("diagnostic-code", "smtp; 550 no such user"),
                Line::Blank,
            ]
        );
        assert_eq!(texts(report, &["status"]), ["5.1.1"]);
    }
}
