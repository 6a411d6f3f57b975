//! Reading and writing lists of subscribers.
//!
//! A list is CSV as people have it: out of a spreadsheet, or another program's export. The sound rows become entries; what
//! is wrong with the others is said with line and column. Memory is bounded but for one number a row, by which doubles are
//! found: about 40 MB for a million rows.

mod columns;
mod dates;
mod lines;
mod row;
mod write;

pub use write::Writer;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};

use self::columns::Columns;
use self::lines::{Line, Lines, Record, Taken};
use super::unseen::is_unseen;
use super::{Address, Entry, SubscriptionState};
use crate::newsroom::{Place, Problem};

/// Characters of a problem's line that are shown.
const MAX_SHOWN: usize = 400;

/// What holds for rows that don't say it themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// A digest's slug. A newsroom with one digest needs none.
    pub digest: Option<String>,
    /// Where the consent comes from, in the operator's words.
    pub consent: Option<String>,
    /// How the subscriptions stand.
    pub state: SubscriptionState,
}

impl Default for Defaults {
    /// Nothing is assumed: rows without a state are pending, so nobody is mailed by mistake.
    fn default() -> Self {
        Self { digest: None, consent: None, state: SubscriptionState::Pending }
    }
}

/// What a list, or a part of one, holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// The sound rows.
    pub entries: Vec<Entry>,
    /// The rows that were refused, and why.
    pub problems: Vec<Problem>,
    /// What was done or noticed beside: doubles, columns that are not read, addresses of offices.
    pub notes: Vec<Problem>,
}

/// One thing that was found in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A sound row.
    Entry(Box<Entry>),
    /// A row that was refused, and why.
    Problem(Problem),
    /// Something to know that stops nothing.
    Note(Problem),
}

/// Reads a whole list. A row that says *no* counts more than a row that says *yes*, in whichever order they stand: of two
/// rows with the same address and digest the stricter one is kept (suppressed, ended, confirmed, pending).
///
/// # Errors
/// Only what `reader` itself says; whatever is wrong in the text is a problem in the result.
pub fn read(reader: impl Read, file_name: &str, defaults: &Defaults, digests: &[&str]) -> io::Result<List> {
    let mut list = List::default();
    let mut places: HashMap<(Address, String), usize> = HashMap::new();
    for found in Reader::new(reader, file_name, defaults, digests) {
        match found? {
            Found::Entry(entry) => {
                let next = list.entries.len();
                let place = *places.entry((entry.address.clone(), entry.digest.clone())).or_insert(next);
                if place == next {
                    list.entries.push(*entry);
                } else {
                    list.entries[place] = *entry;
                }
            }
            Found::Problem(problem) => list.problems.push(problem),
            Found::Note(note) => list.notes.push(note),
        }
    }
    Ok(list)
}

/// Reads a list row by row. Of doubles only the first comes, and later ones that are stricter: added to a ledger in this
/// order they leave what [`read`] would.
pub struct Reader<'a, R> {
    lines: Lines<R>,
    context: Context<'a>,
    columns: Option<Columns>,
    queue: VecDeque<Found>,
    seen: HashMap<u64, Seen>,
    hasher: RandomState,
    said_encoding: bool,
    ended: bool,
}

/// What every row is judged by.
struct Context<'a> {
    file: &'a str,
    defaults: &'a Defaults,
    digests: &'a [&'a str],
}

/// The first row with an address and digest.
struct Seen {
    line: u32,
    strictness: u8,
}

impl<'a, R: Read> Reader<'a, R> {
    /// `file_name` is how problems name the list; `digests` are the slugs there are.
    pub fn new(reader: R, file_name: &'a str, defaults: &'a Defaults, digests: &'a [&'a str]) -> Self {
        Self {
            lines: Lines::new(reader),
            context: Context { file: file_name, defaults, digests },
            columns: None,
            queue: VecDeque::new(),
            seen: HashMap::new(),
            hasher: RandomState::new(),
            said_encoding: false,
            ended: false,
        }
    }

    /// The next part of the list: at most `size` entries, problems and notes together; `None` at the end.
    ///
    /// # Errors
    /// What the reader says.
    pub fn next_batch(&mut self, size: usize) -> io::Result<Option<List>> {
        let mut batch = List::default();
        for _ in 0..size.max(1) {
            match self.next().transpose()? {
                Some(Found::Entry(entry)) => batch.entries.push(*entry),
                Some(Found::Problem(problem)) => batch.problems.push(problem),
                Some(Found::Note(note)) => batch.notes.push(note),
                None if batch == List::default() => return Ok(None),
                None => break,
            }
        }
        Ok(Some(batch))
    }

    /// Finds the columns: by the first line, or by guessing where that line is an address already.
    fn begin(&mut self) -> io::Result<()> {
        let first = loop {
            match self.lines.next_line()? {
                None => {
                    let help = "put the columns in the first line: `email,name,digest,state,since,consent`";
                    self.give_up(self.context.whole_file("the list is empty", help));
                    return Ok(());
                }
                Some(line) if self.lines.takes_delimiter_from(&line) => {}
                Some(line) if line.text.trim().is_empty() => {}
                Some(line) => break line,
            }
        };
        if let Some((what, help)) = first.foreign_format() {
            self.give_up(self.context.whole_file(what, help));
            return Ok(());
        }
        match columns::find(&first, &self.context) {
            Ok((delimiter, columns, notes)) => {
                self.lines.delimiter = self.lines.delimiter.or(Some(delimiter));
                if columns.headless {
                    self.lines.put_back(first);
                }
                self.columns = Some(columns);
                self.queue.extend(notes.into_iter().map(Found::Note));
            }
            Err(problem) => self.give_up(problem),
        }
        Ok(())
    }

    fn give_up(&mut self, problem: Problem) {
        self.ended = true;
        self.queue.push_back(Found::Problem(problem));
    }

    fn step(&mut self) -> io::Result<()> {
        let Some(columns) = &self.columns else {
            return self.begin();
        };
        match self.lines.next_record()? {
            Taken::End => self.ended = true,
            Taken::Unclosed(line, column) => self.queue.push_back(Found::Problem(self.context.problem(
                &line,
                (column, 1),
                "this quotation mark is never closed",
                Some("close it, or write it twice if it belongs to the text".into()),
            ))),
            Taken::TooLong(line) => self.queue.push_back(Found::Problem(self.context.problem(
                &line,
                (0, 1),
                "this line is longer than any row can be",
                Some("is the file a list at all?".into()),
            ))),
            Taken::Record(record) if record.is_blank() => {}
            Taken::Record(record) => {
                if record.first().legacy && !self.said_encoding {
                    self.said_encoding = true;
                    self.queue.push_back(Found::Note(self.context.problem(
                        record.first(),
                        (0, 1),
                        "the list is not in UTF-8; it is read as Windows-1252",
                        Some("look at the accents, or save it as “CSV UTF-8”".into()),
                    )));
                }
                match row::entry(&record, columns, &self.context) {
                    Ok((entry, notes)) => self.take(&record, entry, notes),
                    Err(problems) => self.queue.extend(problems.into_iter().map(Found::Problem)),
                }
            }
        }
        Ok(())
    }

    /// Hands a sound row on, unless it says nothing that an earlier one did not.
    fn take(&mut self, record: &Record, entry: Entry, notes: Vec<Problem>) {
        let line = record.first();
        let strictness = strictness(&entry);
        // Among a million rows, two that differ share a hash once in 37 million lists; it would be noted like any double.
        let hash = self.hasher.hash_one((&entry.address, &entry.digest));
        if let Some(earlier) = self.seen.get_mut(&hash) {
            let stricter = strictness > earlier.strictness;
            let help = if stricter { "this row is stricter and counts" } else { "the row above counts" };
            let what = format!("the same address and digest stand in line {}", earlier.line);
            self.queue.push_back(Found::Note(self.context.problem(line, (0, 1), what, Some(help.into()))));
            if !stricter {
                return;
            }
            earlier.strictness = strictness;
        } else {
            self.seen.insert(hash, Seen { line: line.number, strictness });
        }
        self.queue.extend(notes.into_iter().map(Found::Note));
        self.queue.push_back(Found::Entry(Box::new(entry)));
    }
}

impl<R: Read> Iterator for Reader<'_, R> {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.queue.pop_front() {
                return Some(Ok(found));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.step() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

/// The last word of somebody who said yes and no is no.
fn strictness(entry: &Entry) -> u8 {
    match (entry.suppressed, entry.state) {
        (Some(_), _) => 3,
        (None, SubscriptionState::Ended) => 2,
        (None, SubscriptionState::Confirmed) => 1,
        (None, SubscriptionState::Pending) => 0,
    }
}

impl Context<'_> {
    fn whole_file(&self, what: &str, help: &str) -> Problem {
        Problem::new(self.file, what).help(help)
    }

    /// `at`: column and length in characters; column 0 means the whole line.
    fn problem(&self, line: &Line, at: (u32, u32), what: impl Into<String>, help: Option<String>) -> Problem {
        let place = Place { file: self.file.to_owned(), line: line.number, column: at.0 };
        let mut problem = Problem::at(place, at.1, &harmless(&line.text, MAX_SHOWN), what);
        problem.help = help;
        problem
    }
}

/// A text from a list as it may be printed on a terminal: what nobody sees, controls among it, is made visible, character by
/// character; not too long.
fn harmless(text: &str, most: usize) -> String {
    let visible = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if is_unseen(c) => '\u{fffd}',
        c => c,
    };
    let mut shown: String = text.chars().take(most).map(visible).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// The option that is probably meant: at most a third of its letters are wrong.
fn did_you_mean<'o>(word: &str, options: impl IntoIterator<Item = &'o str>) -> Option<&'o str> {
    let word = word.to_lowercase();
    options
        .into_iter()
        .map(|option| (strsim::damerau_levenshtein(&word, option), option))
        .filter(|(distance, option)| *distance <= (option.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, option)| option)
}

#[cfg(test)]
mod tests;
