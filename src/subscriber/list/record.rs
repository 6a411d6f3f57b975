//! From lines to rows of cells. The `csv` crate's parser takes them apart (RFC 4180, leniently); what is ours is where a row
//! ends whose quotation mark is never closed: it costs that one line and not the rest of the list.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use std::io::{self, Read};
use std::ops::Range;

use super::lines::{Line, Lines, MAX_LINE};

/// Lines that one row may span by line ends between quotation marks. A mark that is not closed by then never is.
pub(super) const MAX_ROW_LINES: usize = 20;

/// A cell, without its quotation marks and the spaces around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The bytes of the row that it was written in, quotation marks included.
    pub(super) written: Range<usize>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its first line.
    pub(super) number: u32,
    /// All its lines.
    pub(super) text: String,
    pub(super) cells: Vec<Cell>,
    /// See [`Line::legacy`].
    pub(super) legacy: bool,
}

impl Record {
    pub(super) fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.is_empty())
    }
}

/// What came next.
pub(super) enum Taken {
    Record(Record),
    /// A quotation mark opens at this byte and is never closed; only this line is given up.
    Unclosed(Line, usize),
    TooLong(Line),
    End,
}

/// Takes rows apart, line after line.
pub(super) struct Splitter {
    csv: Reader,
    text: String,
    /// How much of `text` is parsed, and where the cell begins that is being parsed.
    parsed: usize,
    begin: usize,
    /// That cell as far as it is known.
    cell: Vec<u8>,
    length: usize,
    cells: Vec<Cell>,
}

impl Splitter {
    pub(super) fn new(delimiter: u8) -> Self {
        let csv = ReaderBuilder::new().delimiter(delimiter).build();
        Self { csv, text: String::new(), parsed: 0, begin: 0, cell: Vec::new(), length: 0, cells: Vec::new() }
    }

    /// The cells of one line, whatever the next line would say.
    pub(super) fn line(&mut self, line: &Line) -> Record {
        if !self.feed(&line.text) {
            self.end_cell(self.text.len());
        }
        self.finish(line)
    }

    /// Parses one more line of the row. `true` where the row ends with it, `false` where a quotation mark is open.
    fn feed(&mut self, line: &str) -> bool {
        self.text.push_str(line);
        // The parser knows no row without a cell.
        if self.text.trim().is_empty() {
            return true;
        }
        self.text.push('\n');
        loop {
            let rest = &self.text.as_bytes()[self.parsed..];
            self.cell.resize(self.length + rest.len() + 1, 0);
            let (result, read, written) = self.csv.read_field(rest, &mut self.cell[self.length..]);
            self.parsed += read;
            self.length += written;
            match result {
                ReadFieldResult::Field { record_end } => {
                    self.end_cell(self.parsed - 1);
                    if record_end {
                        return true;
                    }
                }
                ReadFieldResult::InputEmpty => return false,
                ReadFieldResult::OutputFull => {}
                ReadFieldResult::End => return true,
            }
        }
    }

    fn end_cell(&mut self, end: usize) {
        let raw = &self.text[self.begin..end];
        let begin = self.begin + raw.len() - raw.trim_start().len();
        let written = begin..begin + raw.trim().len();
        let text = String::from_utf8_lossy(&self.cell[..self.length]).trim().to_owned();
        self.cells.push(Cell { text, written });
        (self.begin, self.length) = (self.parsed, 0);
    }

    /// Where the first quotation mark stands that was lost: it is open, or closed by another row's. Over several lines, one
    /// that is closed in the middle of a word, or behind an address, is the latter.
    fn lost(&self, ended: bool) -> Option<usize> {
        let borrowed = self.cells.iter().find(|cell| {
            let written = &self.text[cell.written.clone()];
            let (_, later) = written.split_once('\n').unwrap_or_default();
            !later.is_empty() && (!written.ends_with('"') || later.contains('@'))
        });
        let open = || self.begin + self.text[self.begin..].find('"').unwrap_or_default();
        borrowed.map(|cell| cell.written.start).or_else(|| (!ended).then(open))
    }

    /// The row, and ready for the next.
    fn finish(&mut self, first: &Line) -> Record {
        self.csv.reset();
        (self.parsed, self.begin, self.length) = (0, 0, 0);
        let (text, cells) = (std::mem::take(&mut self.text), std::mem::take(&mut self.cells));
        Record { number: first.number, text, cells, legacy: first.legacy }
    }

    /// The next row of the list.
    pub(super) fn next<R: Read>(&mut self, lines: &mut Lines<R>) -> io::Result<Taken> {
        let Some(first) = lines.next_line()? else {
            return Ok(Taken::End);
        };
        if first.too_long {
            return Ok(Taken::TooLong(first));
        }
        let mut ended = self.feed(&first.text);
        let mut row = vec![first];
        while !ended && row.len() < MAX_ROW_LINES && self.text.len() < MAX_LINE {
            let Some(next) = lines.next_line()? else { break };
            ended = self.feed(&next.text);
            row.push(next);
        }
        let lost = self.lost(ended);
        let record = self.finish(&row[0]);
        let Some(lost) = lost else {
            return Ok(Taken::Record(record));
        };
        let before = &record.text[..lost];
        let rest = row.split_off(before.matches('\n').count() + 1);
        rest.into_iter().rev().for_each(|line| lines.put_back(line));
        let at = lost - before.rfind('\n').map_or(0, |end| end + 1);
        Ok(row.pop().map_or(Taken::End, |line| Taken::Unclosed(line, at)))
    }
}
