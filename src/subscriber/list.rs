//! Reading and writing lists of subscribers.
//!
//! A list is CSV as people have it: out of a spreadsheet, or another program's export. The sound rows become entries; what
//! is wrong with the others is said with line and column. Memory is bounded but for one number a row, by which doubles are
//! found: about 40 MB for a million rows.

mod columns;
mod dates;
mod lines;
mod record;
mod row;
mod write;

pub use write::Writer;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::ops::Range;

use self::columns::Columns;
use self::lines::Lines;
use self::record::{Cell, Record, Splitter, Taken};
use super::unseen::is_unseen;
use super::{Address, Entry, SubscriptionState};
use crate::newsroom::{Place, Problem};

/// Characters of a cell that a problem repeats.
const MAX_QUOTED: usize = 60;

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
    rows: Splitter,
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
            rows: Splitter::new(b','),
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
        let mut named = None;
        let first = loop {
            let Some(line) = self.lines.next_line()? else {
                let help = "put the columns in the first line: `email,name,digest,state,since,consent`";
                self.give_up(Problem::new(self.context.file, "the list is empty").help(help));
                return Ok(());
            };
            match line.named_delimiter() {
                None if line.text.trim().is_empty() => {}
                None => break line,
                delimiter => named = delimiter,
            }
        };
        if let Some((what, help)) = first.foreign_format() {
            self.give_up(Problem::new(self.context.file, what).help(help));
            return Ok(());
        }
        match columns::find(&first, named, &self.context) {
            Ok((columns, notes)) => {
                self.rows = Splitter::new(columns.delimiter);
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
        match self.rows.next(&mut self.lines)? {
            Taken::End => self.ended = true,
            Taken::Unclosed(line, at) => {
                let problem =
                    self.context.in_text(&line.text, line.number, at..at + 1, "this quotation mark is never closed");
                let help = "close it, or write it twice if it belongs to the text";
                self.queue.push_back(Found::Problem(problem.help(help)));
            }
            Taken::TooLong(line) => {
                let what = "this line is longer than any row can be";
                let problem = self.context.on_line(&line.text, line.number, what).help("is the file a list at all?");
                self.queue.push_back(Found::Problem(problem));
            }
            Taken::Record(record) if record.is_blank() => {}
            Taken::Record(record) => {
                if record.legacy && !self.said_encoding {
                    self.said_encoding = true;
                    let note = self.context.on_row(&record, "the list is not in UTF-8; it is read as Windows-1252");
                    let help = "look at the accents, or save it as “CSV UTF-8”";
                    self.queue.push_back(Found::Note(note.help(help).warning()));
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
        let strictness = strictness(&entry);
        // Among a million rows, two that differ share a hash once in 37 million lists; it would be noted like any double.
        let hash = self.hasher.hash_one((&entry.address, &entry.digest));
        if let Some(earlier) = self.seen.get_mut(&hash) {
            let stricter = strictness > earlier.strictness;
            let help = if stricter { "this row is stricter and counts" } else { "the row above counts" };
            let what = format!("the same address and digest stand in line {}", earlier.line);
            self.queue.push_back(Found::Note(self.context.on_row(record, what).help(help).warning()));
            if !stricter {
                return;
            }
            earlier.strictness = strictness;
        } else {
            self.seen.insert(hash, Seen { line: record.number, strictness });
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
    /// A problem with the bytes `range` of a text that begins in the line `first`.
    fn in_text(&self, text: &str, first: u32, range: Range<usize>, what: impl Into<String>) -> Problem {
        let problem = Problem::in_text(self.file, text, first, range, what);
        Problem { line: harmless(&problem.line), ..problem }
    }

    fn on_cell(&self, record: &Record, cell: &Cell, what: impl Into<String>) -> Problem {
        self.in_text(&record.text, record.number, cell.written.clone(), what)
    }

    /// A problem with a whole line.
    fn on_line(&self, text: &str, number: u32, what: impl Into<String>) -> Problem {
        let place = Place { file: self.file.to_owned(), line: number, column: 0 };
        Problem::at(place, 1, &harmless(text), what)
    }

    /// A problem with a whole row; its first line is shown.
    fn on_row(&self, record: &Record, what: impl Into<String>) -> Problem {
        self.on_line(record.text.lines().next().unwrap_or_default(), record.number, what)
    }
}

/// A text from a list as it may be printed on a terminal: what nobody sees, controls among it, is made visible, character by
/// character.
fn harmless(text: &str) -> String {
    let visible = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if is_unseen(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}

/// A cell as it is repeated in a problem: harmless, not too long, in quotes.
fn quoted(cell: &str) -> String {
    let cut = cell.char_indices().nth(MAX_QUOTED).map(|(at, _)| at);
    format!("`{}{}`", harmless(&cell[..cut.unwrap_or(cell.len())]), if cut.is_some() { "…" } else { "" })
}

#[cfg(test)]
mod tests;
