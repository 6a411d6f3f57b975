//! JSON with places: one object in one line.

use serde::de::DeserializeOwned;
use std::ops::Range;

use super::problem::{Problem, suggest};
use super::yaml::Locate;

const ONE_LINE: &str = "each line is one whole JSON object; a line break inside a text is written \\n";

/// A line and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// One JSON object.
    pub text: &'a str,
    /// The file's name, for problems.
    pub file: &'a str,
    /// Its number, from 1.
    pub number: u32,
}

impl Line<'_> {
    /// Reads the object.
    ///
    /// # Errors
    /// It is no JSON, or not of this form.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if !self.text.trim_start().starts_with('{') {
            let start = self.text.len() - self.text.trim_start().len();
            return Err(Problem::in_text(
                self.file,
                self.text,
                self.number,
                start..start + 1,
                "this is no JSON object",
            )
            .help(ONE_LINE));
        }
        serde_json::from_str(self.text).map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &serde_json::Error) -> Problem {
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        let column = error.column().saturating_sub(1);
        let at = |range: Range<usize>, what: String| Problem::in_text(self.file, self.text, self.number, range, what);
        let before = |field: &str| {
            let found = self.text.get(..column).and_then(|text| text.rfind(field));
            found.map_or(column..column + 1, |start| start..start + field.len())
        };
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let mut quoted = rest.split('`');
            let field = quoted.next().unwrap_or_default();
            let expected: Vec<&str> = quoted.skip(1).step_by(2).collect();
            return at(before(field), format!("unknown key `{field}`")).help(suggest(field, expected.iter().copied()));
        }
        if let Some(rest) = message.strip_prefix("duplicate field `") {
            let field = rest.trim_end_matches('`');
            return at(before(field), format!("the key `{field}` stands here a second time"))
                .help("keep one of the two");
        }
        match error.classify() {
            serde_json::error::Category::Eof => {
                at(self.text.len().saturating_sub(1)..self.text.len(), "the line ends before its object does".into())
                    .help(ONE_LINE)
            }
            serde_json::error::Category::Data => at(column..column + 1, message.to_owned()),
            _ if message.contains("surrogate") || message.contains("hex escape") => {
                at(column..column + 1, format!("this is no character: {message}"))
                    .help("characters beyond U+FFFF are written as two \\u escapes, a high and a low one")
            }
            _ => at(column..column + 1, format!("this is not JSON: {message}")).help(ONE_LINE),
        }
    }
}

impl Locate for Line<'_> {
    fn problem(&self, path: &str, what: String) -> Problem {
        let bytes = self.text.as_bytes();
        let mut range = 0..bytes.len();
        let mut found = None;
        for step in path.split('.').filter(|step| !step.is_empty()) {
            match child(bytes, range.start, step) {
                Some(value) => {
                    found = Some(value.clone());
                    range = value;
                }
                None => break,
            }
        }
        match found {
            Some(range) => Problem::in_text(self.file, self.text, self.number, range, what),
            None => Problem::in_text(self.file, self.text, self.number, 0..1, what),
        }
    }

    fn file(&self) -> &str {
        self.file
    }

    fn line_of(&self, _key: &str) -> u32 {
        self.number
    }
}

/// The bytes of a member's value, or of an item, in the object or list that begins at `at`. The text is valid JSON.
fn child(bytes: &[u8], at: usize, step: &str) -> Option<Range<usize>> {
    let mut at = space(bytes, at);
    let open = *bytes.get(at)?;
    let number: Option<usize> = step.parse().ok();
    at += 1;
    let mut index = 0;
    loop {
        at = space(bytes, at);
        if open == b'{' {
            let key = at..value_end(bytes, at)?;
            let wanted = bytes.get(key.start + 1..key.end.checked_sub(1)?)? == step.as_bytes();
            at = space(bytes, key.end);
            (bytes.get(at)? == &b':').then_some(())?;
            at = space(bytes, at + 1);
            let end = value_end(bytes, at)?;
            if wanted {
                return Some(at..end);
            }
            at = end;
        } else if open == b'[' {
            let end = value_end(bytes, at)?;
            if Some(index) == number {
                return Some(at..end);
            }
            index += 1;
            at = end;
        } else {
            return None;
        }
        at = space(bytes, at);
        (bytes.get(at)? == &b',').then_some(())?;
        at += 1;
    }
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`.
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match *bytes.get(at)? {
            b'"' => {
                at += 1;
                while *bytes.get(at)? != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return None,
            b'}' | b']' => depth -= 1,
            _ if depth == 0 => {
                let ends = |b: &u8| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace();
                return Some(bytes[at..].iter().position(ends).map_or(bytes.len(), |n| at + n));
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(text: &str, path: &str) -> (u32, u32) {
        let problem = Line { text, file: "a.jsonl", number: 3 }.problem(path, "wrong".into());
        (problem.place.column, problem.span)
    }

    #[test]
    fn a_path_leads_to_the_very_value() {
        let text = r#"{"a": "x\"}", "b": [1, {"c": true}], "ü": null, "d": {"e": "f"}}"#;
        assert_eq!(column(text, "a"), (7, 6));
        assert_eq!(column(text, "b.0"), (21, 1));
        assert_eq!(column(text, "b.1.c"), (30, 4));
        assert_eq!(column(text, "d.e"), (60, 3));
        assert_eq!(column(text, "d.missing"), (54, 10));
        assert_eq!(column(text, "missing"), (1, 1));
    }

    #[test]
    fn broken_text_never_leads_out_of_it() {
        for text in ["", "{", "{\"a", "{\"a\":", "[", "[1,", "{\"a\\", "]", "{1:2}", "{\"a\" 1}"] {
            for path in ["a", "0", "a.b"] {
                let _ = column(text, path);
            }
        }
    }
}
