//! What is written down of the articles that got their ids here: a CSV file that is committed with them, sorted by id so that
//! a change is one line in a diff.

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;

use super::Candidate;
use crate::newsroom::problem::{Place, Problem};

/// The register's columns.
const COLUMNS: [&str; 7] = ["id", "path", "section", "slug", "date", "body", "title"];

/// What the paths of a stream's articles begin with.
pub const STREAM: &str = "stream:";

/// What the register remembers of an article that has no id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Never changes.
    pub id: String,
    /// The file, relative to the folder of articles; in streams [`STREAM`] and section and slug, or what follows the host
    /// in a `url` of its own. Empty where another article has taken the file's name.
    pub path: String,
    /// The section's slug.
    pub section: String,
    /// The article's slug.
    pub slug: String,
    /// The day it was published, `2026-02-24`.
    pub date: String,
    /// Hash of the body; `None` for an empty one.
    pub body: Option<u64>,
    /// The headline.
    pub title: String,
}

/// The register of ids that were made here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// Sorted by id.
    entries: Vec<Entry>,
}

impl Entry {
    /// What the register remembers of an article with this id.
    pub fn new(id: String, candidate: &Candidate<'_>) -> Entry {
        Entry {
            id,
            path: candidate.path.to_owned(),
            section: candidate.section.to_owned(),
            slug: candidate.slug.to_owned(),
            date: day(candidate.published),
            body: candidate.body,
            title: candidate.title.to_owned(),
        }
    }

    /// Its path as it would be written now: a stream's articles were once registered by the slug alone.
    pub fn path_now(&self) -> Cow<'_, str> {
        match self.path.strip_prefix(STREAM) {
            Some(rest) if rest == self.slug => format!("{STREAM}{}/{}", self.section, self.slug).into(),
            _ => Cow::Borrowed(&self.path),
        }
    }

    /// Its line in the register's file, with the line end.
    pub fn line(&self) -> String {
        lines([self.record()])
    }

    fn record(&self) -> [Cow<'_, str>; COLUMNS.len()] {
        let body = self.body.map(|body| format!("{body:016x}")).unwrap_or_default();
        let [id, path, section, slug, date, title] =
            [&self.id, &self.path, &self.section, &self.slug, &self.date, &self.title]
                .map(|field| Cow::Borrowed(field.as_str()));
        [id, path, section, slug, date, body.into(), title]
    }
}

impl Register {
    /// Reads a register as [`Register::to_csv`] writes it.
    ///
    /// # Errors
    /// It is broken. Going on without it would make new ids, and every reader would get every article again.
    pub fn parse(text: &str, file: &str) -> Result<Register, Problem> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let at = |line: u64, what: String| {
            let number = u32::try_from(line).unwrap_or(u32::MAX);
            let place = Place { file: file.to_owned(), line: number, column: 0 };
            let shown = text.lines().nth((number.max(1) - 1) as usize).unwrap_or_default();
            Problem::at(place, 1, shown, what)
        };
        if let Some(i) = text.lines().position(|l| l.starts_with("<<<<<<<") || l.starts_with(">>>>>>>")) {
            return Err(at(i as u64 + 1, "an unfinished merge stands in the register of ids".into())
                .help("keep the lines of both sides, and drop the marks"));
        }
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        let mut header = false;
        for record in reader.records() {
            let record = record.map_err(|error| {
                at(
                    error.position().map_or(1, csv::Position::line),
                    "this line of the register of ids cannot be read".into(),
                )
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            if !header {
                if record.iter().ne(COLUMNS) {
                    return Err(at(line, format!("the register of ids does not begin with `{}`", COLUMNS.join(","))));
                }
                header = true;
                continue;
            }
            let field = |i: usize| record.get(i).unwrap_or_default().to_owned();
            let body = match record.get(5).unwrap_or_default() {
                "" => None,
                hex => Some(u64::from_str_radix(hex, 16).map_err(|_| at(line, "`body` is no hash".into()))?),
            };
            let entry = Entry {
                id: field(0),
                path: field(1),
                section: field(2),
                slug: field(3),
                date: field(4),
                body,
                title: field(6),
            };
            if entry.id.is_empty() {
                return Err(at(line, "the id is missing".into()));
            }
            if !seen.insert(entry.id.clone()) {
                return Err(at(line, format!("the id {} stands here a second time", entry.id)));
            }
            entries.push(entry);
        }
        if !header && !text.trim().is_empty() {
            return Err(at(1, "this is no register of ids".into()));
        }
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Register { entries })
    }

    /// The register's file: the same entries give the same bytes.
    pub fn to_csv(&self) -> String {
        let header = COLUMNS.map(Cow::Borrowed);
        lines(std::iter::once(header).chain(self.entries.iter().map(Entry::record)))
    }

    /// A register of these entries, no two of which have one id.
    pub fn of(mut entries: Vec<Entry>) -> Register {
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Register { entries }
    }

    /// The articles it remembers.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether it remembers an article by this id.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.binary_search_by(|entry| entry.id.as_str().cmp(id)).is_ok()
    }

    /// Forgets these.
    pub fn forget(&mut self, ids: &HashSet<&str>) {
        self.entries.retain(|entry| !ids.contains(entry.id.as_str()));
    }
}

/// The day that is written down, which is the one where it was published.
pub(super) fn day(date: DateTime<FixedOffset>) -> String {
    date.format("%Y-%m-%d").to_string()
}

fn lines<'a>(records: impl IntoIterator<Item = [Cow<'a, str>; COLUMNS.len()]>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        // Memory takes everything.
        let _ = writer.write_record(record.iter().map(|field| field.as_bytes()));
    }
    let written = writer.into_inner().unwrap_or_default();
    String::from_utf8(written).unwrap_or_else(|other| String::from_utf8_lossy(other.as_bytes()).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_register_is_refused_with_its_line() {
        let good = "id,path,section,slug,date,body,title\n";
        for (text, line) in [
            ("path,id\nx,y\n".to_owned(), 1),
            (format!("{good}a,b\n"), 2),
            (format!("{good}a,p,s,s,2026-01-01,zz,T\n"), 2),
            (format!("{good}a,p,s,s,2026-01-01,,T\na,q,s,s,2026-01-01,,T\n"), 3),
            (format!("{good}<<<<<<< HEAD\na,p,s,s,2026-01-01,,T\n"), 2),
            (format!("{good},p,s,s,2026-01-01,,T\n"), 2),
        ] {
            assert_eq!(Register::parse(&text, "ids.csv").unwrap_err().place.line, line, "{text}");
        }
        assert_eq!(Register::parse("", "ids.csv").unwrap(), Register::default());
    }
}
