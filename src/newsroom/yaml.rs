//! YAML with places. The only module that knows the YAML library.
//!
//! [`parse`] reports all that can be seen in one go: after an entry that cannot be used, it reads the document again
//! without that entry. Values that are well-formed and wrong are the caller's business; [`Locate`] finds where
//! they stand.

// Our words for the library's errors.
mod explain;
// A document's places.
mod tree;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location, Options, Spanned};
use std::ops::Range;

use super::problem::{Place, Problem, closest};
use explain::explain;
use tree::Node;

/// A front matter or a configuration has fewer nodes than this; more is an attack or an accident.
pub const MAX_NODES: usize = 20_000;
/// Anchors are rare in articles and configurations.
const MAX_ALIASES: usize = 100;
/// Deep enough for every document of ours.
const MAX_DEPTH: usize = 16;
/// Text in one document.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// So many unusable entries of one document are reported.
const MAX_PROBLEMS: usize = 20;

/// A text and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The YAML document.
    pub text: &'a str,
    /// The file's name, for problems.
    pub file: &'a str,
    /// The line of the file on which `text` begins, from 1.
    pub first_line: u32,
}

/// Finds the place of a value by its path, for problems that only its meaning shows.
pub trait Locate {
    /// A problem with the value at `path`: keys and numbers of items joined by dots, for instance `sections.0.slug`.
    /// Where there is no such value, it is a problem with the nearest one around it.
    /// The empty path is the whole document.
    fn problem(&self, path: &str, what: String) -> Problem;

    /// The file, as a person would name it.
    fn file(&self) -> &str;

    /// The line of a key of the outermost mapping, found cheaply; 0 where it is not seen.
    fn line_of(&self, key: &str) -> u32;
}

/// What could be read of a document.
#[derive(Debug)]
pub struct Document<T> {
    /// The sound entries; `None` where the text is no YAML at all.
    pub value: Option<T>,
    /// Keys whose values could not be used; they are not in `value`, and they are not missing.
    pub unusable: Vec<String>,
    /// In the order they were found.
    pub problems: Vec<Problem>,
}

/// Reads a document. Every field of `T` must have a default: what is required is for the caller to say, with
/// [`Source::problem`], so that everything is reported together. Keys of `hidden` are not suggested to anybody.
pub fn parse<T: DeserializeOwned + Default>(source: Source<'_>, hidden: &[&str]) -> Document<T> {
    let mut document = Document { value: None, unusable: Vec::new(), problems: Vec::new() };
    if source.text.len() > MAX_BYTES {
        document.problems.push(
            Problem::new(source.file, format!("more than {} MB of metadata", MAX_BYTES >> 20))
                .help("long texts belong in the body"),
        );
        return document;
    }
    if is_blank(source.text) {
        document.value = Some(T::default());
        return document;
    }
    let mut text = std::borrow::Cow::Borrowed(source.text);
    loop {
        let error = match serde_saphyr::from_str_with_options::<T>(&text, options()) {
            Ok(value) => {
                document.value = Some(value);
                return document;
            }
            Err(error) => error,
        };
        let error = error.without_snippet();
        let recovery = recoverable(error).then(|| entry_around(&text, error)).flatten();
        // After an entry was taken out, only further entries are believed: anything else may be the cut's fault.
        if recovery.is_some() || document.problems.is_empty() {
            document.problems.push(explain(source, error, hidden));
        }
        // A misspelt key is not missing as well.
        if let Error::SerdeUnknownField { field, expected, .. } = error {
            document.unusable.extend(closest(field, expected.iter().copied()).map(str::to_owned));
        }
        match recovery {
            Some((range, key)) if document.problems.len() < MAX_PROBLEMS => {
                document.unusable.extend(key);
                let without = blank(&text, range);
                if is_blank(&without) {
                    document.value = Some(T::default());
                    return document;
                }
                text = without.into();
            }
            _ => return document,
        }
    }
}

impl Locate for Source<'_> {
    fn problem(&self, path: &str, what: String) -> Problem {
        let tree = serde_saphyr::from_str_with_options::<Spanned<Node>>(self.text, options()).ok();
        let location = tree.as_ref().and_then(|root| {
            let mut here = root;
            let mut found = None;
            for step in path.split('.') {
                match here.value.child(step) {
                    Some((at, child)) => {
                        found = Some(if matches!(child.value, Node::Scalar) { child.referenced } else { at });
                        here = child;
                    }
                    None => break,
                }
            }
            found
        });
        match location {
            Some(location) => self.at(location, what),
            None => Problem::new(self.file, what),
        }
    }

    fn file(&self) -> &str {
        self.file
    }

    fn line_of(&self, key: &str) -> u32 {
        let begins = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
        let line = self.text.lines().position(begins).and_then(|i| u32::try_from(i).ok());
        line.map_or(0, |i| self.first_line + i)
    }
}

impl Source<'_> {
    fn at(&self, location: Location, what: String) -> Problem {
        let number = usize::try_from(location.line()).unwrap_or(0);
        if number == 0 {
            return Problem::new(self.file, what);
        }
        let line = self.text.lines().nth(number - 1).unwrap_or_default();
        let column = u32::try_from(location.column()).unwrap_or(1).max(1);
        let rest = line.chars().skip(column as usize - 1).collect::<String>();
        let length = usize::try_from(location.span().len()).unwrap_or(1).min(rest.trim_end().chars().count());
        let line_number = self.first_line + u32::try_from(number - 1).unwrap_or(0);
        let place = Place { file: self.file.to_owned(), line: line_number, column };
        Problem::at(place, u32::try_from(length).unwrap_or(1), line, what)
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 3,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: MAX_BYTES,
        },
        with_snippet: false,
    }
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// The document without the entry: line numbers stay, the place is filled with spaces.
fn blank(text: &str, range: Range<usize>) -> String {
    let spaces: String = text[range.clone()].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
    [&text[..range.start], &spaces, &text[range.end..]].concat()
}

fn recoverable(error: &Error) -> bool {
    if matches!(error, Error::Unexpected { expected: "mapping start", location } if location.column() == 1) {
        return false; // the document as a whole is something else
    }
    matches!(
        error,
        Error::SerdeUnknownField { .. }
            | Error::SerdeUnknownVariant { .. }
            | Error::SerdeInvalidType { .. }
            | Error::SerdeInvalidValue { .. }
            | Error::InvalidScalar { .. }
            | Error::InvalidBooleanStrict { .. }
            | Error::NullIntoString { .. }
            | Error::Unexpected { .. }
            | Error::Message { .. }
    )
}

/// The bytes of the block-style entry (`key: value`, or `- item`) that an error stands in, and its key.
fn entry_around(text: &str, error: &Error) -> Option<(Range<usize>, Option<String>)> {
    let location = error.location()?;
    let number = usize::try_from(location.line()).ok()?.checked_sub(1)?;
    let mut start = 0;
    let mut lines = text.split_inclusive('\n');
    for _ in 0..number {
        start += lines.next()?.len();
    }
    let line = lines.next()?;
    let before: String = line.chars().take(usize::try_from(location.column()).ok()?.saturating_sub(1)).collect();
    if before.contains(['{', '[']) {
        return None; // inside a flow collection an entry has no line of its own
    }
    let indent = line.len() - line.trim_start_matches([' ', '-']).len();
    let entry = &line[indent..];
    let key = entry.split_once(':').map(|(key, _)| key.trim().trim_matches(['"', '\'']).to_owned());
    // An item without a key goes with its dash; a key leaves the dash before it standing.
    let column = if key.is_some() { indent } else { line.len() - line.trim_start().len() };
    let mut end = start + line.len();
    for line in lines {
        let depth = line.len() - line.trim_start().len();
        let deeper = depth > column || (key.is_some() && depth == column && line.trim_start().starts_with("- "));
        if !line.trim().is_empty() && !deeper {
            break;
        }
        end += line.len();
    }
    Some((start + column..end, key))
}
