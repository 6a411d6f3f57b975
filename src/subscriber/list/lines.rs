//! From bytes to rows of cells (RFC 4180, leniently), with the place of every cell.

use encoding_rs::WINDOWS_1252;
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

/// Octets of one line; a longer one is no row of a list.
pub(super) const MAX_LINE: usize = 64 * 1024;
/// Lines that one row may span by line ends between quotation marks. A mark that is not closed by then never is.
pub(super) const MAX_ROW_LINES: usize = 20;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u32,
    pub(super) text: String,
    /// It was not UTF-8 and is read as Windows-1252.
    pub(super) legacy: bool,
    too_long: bool,
}

/// A cell, without its quotation marks and the spaces around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Which of the row's lines it begins in, from 0.
    line: usize,
    /// In characters from 1.
    pub(super) column: u32,
    /// Characters of the line that it takes.
    pub(super) span: u32,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    lines: Vec<Line>,
    pub(super) cells: Vec<Cell>,
}

impl Line {
    /// What the file is if it begins with this line and is no text at all, and what to do.
    pub(super) fn foreign_format(&self) -> Option<(&'static str, &'static str)> {
        let save = "open it and save it as “CSV UTF-8”";
        // ZIP (xlsx, ods), and the older xls, whose first octets are D0 CF 11 E0.
        if self.text.starts_with("PK\u{3}\u{4}") || self.text.starts_with("ÐÏ\u{11}à") {
            Some(("this is a spreadsheet's own file, not CSV", save))
        } else if self.text.starts_with("%PDF") {
            Some(("this is a PDF, not CSV", "export the list as “CSV UTF-8”"))
        } else if self.text.contains('\0') {
            Some(("this is no text, or UTF-16 without its mark at the beginning", save))
        } else {
            None
        }
    }
}

impl Record {
    pub(super) fn first(&self) -> &Line {
        &self.lines[0]
    }

    /// The line that a cell begins in.
    pub(super) fn line_of(&self, cell: &Cell) -> &Line {
        &self.lines[cell.line]
    }

    pub(super) fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.is_empty())
    }
}

/// What came next.
pub(super) enum Taken {
    Record(Record),
    /// A quotation mark opens at this column and is never closed; only this line is given up.
    Unclosed(Line, u32),
    TooLong(Line),
    End,
}

/// The lines of a file in UTF-8, UTF-16 (with its mark), or Windows-1252; line ends of all systems.
pub(super) struct Lines<R> {
    reader: BufReader<DecodeReaderBytes<R, Vec<u8>>>,
    put_back: VecDeque<Line>,
    number: u32,
    after_return: bool,
    /// Known once the first line was seen.
    pub(super) delimiter: Option<char>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        let decoded = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(reader);
        Self {
            reader: BufReader::new(decoded),
            put_back: VecDeque::new(),
            number: 0,
            after_return: false,
            delimiter: None,
        }
    }

    /// Excel's first line `sep=;` names the delimiter.
    pub(super) fn takes_delimiter_from(&mut self, line: &Line) -> bool {
        let named = line.text.trim().strip_prefix("sep=").and_then(|rest| {
            let mut rest = rest.chars();
            rest.next().filter(|_| rest.next().is_none())
        });
        self.delimiter = self.delimiter.or(named);
        named.is_some()
    }

    pub(super) fn put_back(&mut self, line: Line) {
        self.put_back.push_front(line);
    }

    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.put_back.pop_front() {
            return Ok(Some(line));
        }
        let mut octets = Vec::new();
        let mut too_long = false;
        let mut begun = false;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                if begun {
                    break;
                }
                return Ok(None);
            }
            if std::mem::take(&mut self.after_return) && available[0] == b'\n' {
                self.reader.consume(1);
                continue;
            }
            begun = true;
            let end = available.iter().position(|octet| matches!(octet, b'\n' | b'\r'));
            let part = &available[..end.unwrap_or(available.len())];
            let room = MAX_LINE - octets.len();
            too_long |= part.len() > room;
            octets.extend_from_slice(&part[..part.len().min(room)]);
            self.after_return = end.is_some_and(|end| available[end] == b'\r');
            let used = end.map_or(available.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number = self.number.saturating_add(1);
        let (text, legacy) = match String::from_utf8(octets) {
            Ok(text) => (text, false),
            // A cut through a letter is no sign of another encoding.
            Err(error) if too_long => (String::from_utf8_lossy(error.as_bytes()).into_owned(), false),
            Err(error) => (WINDOWS_1252.decode_without_bom_handling(error.as_bytes()).0.into_owned(), true),
        };
        Ok(Some(Line { number: self.number, text, legacy, too_long }))
    }

    pub(super) fn next_record(&mut self) -> io::Result<Taken> {
        let delimiter = self.delimiter.unwrap_or(',');
        let Some(first) = self.next_line()? else {
            return Ok(Taken::End);
        };
        if first.too_long {
            return Ok(Taken::TooLong(first));
        }
        let mut parsed = cells(&first.text, delimiter);
        let mut text = first.text.clone();
        let mut lines = vec![first];
        while parsed.open.is_some() && lines.len() < MAX_ROW_LINES && text.len() < MAX_LINE {
            let Some(next) = self.next_line()? else { break };
            text.push('\n');
            text.push_str(&next.text);
            lines.push(next);
            parsed = cells(&text, delimiter);
        }
        // Over several lines, a mark that is closed in the middle of a word, or behind an address, was closed by the next row's.
        let lost = parsed.open.or(parsed.ragged.filter(|_| lines.len() > 1));
        let Some((line, column)) = lost else {
            return Ok(Taken::Record(Record { lines, cells: parsed.cells }));
        };
        let rest = lines.split_off(line + 1);
        rest.into_iter().rev().for_each(|line| self.put_back.push_front(line));
        Ok(lines.pop().map_or(Taken::End, |line| Taken::Unclosed(line, column)))
    }
}

/// Cells, and where it went wrong.
pub(super) struct Parsed {
    pub(super) cells: Vec<Cell>,
    /// A quotation mark that is open at the end: line from 0, column from 1.
    open: Option<(usize, u32)>,
    /// A quotation mark that is closed before the cell ends, or behind what looks like the next row.
    ragged: Option<(usize, u32)>,
}

/// A reader of characters that knows its place.
struct Cursor<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
    column: u32,
}

impl Cursor<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(c)
    }
}

/// Takes a row apart. Spaces around cells and their quotation marks are not part of them; a quotation mark inside a cell that
/// does not begin with one is a character like any other.
pub(super) fn cells(text: &str, delimiter: char) -> Parsed {
    let mut cursor = Cursor { rest: text.chars().peekable(), line: 0, column: 1 };
    let mut parsed = Parsed { cells: Vec::new(), open: None, ragged: None };
    loop {
        while cursor.peek().is_some_and(|c| c.is_whitespace() && c != delimiter) {
            cursor.take();
        }
        let begin = (cursor.line, cursor.column);
        let mut end = begin;
        let mut cell = String::new();
        if cursor.peek() == Some('"') {
            cursor.take();
            loop {
                match cursor.take() {
                    Some('"') if cursor.peek() == Some('"') => cell.extend(cursor.take()),
                    Some('"') => break,
                    Some(c) => cell.push(c),
                    None => {
                        parsed.open = Some(begin);
                        break;
                    }
                }
            }
            end = (cursor.line, cursor.column);
            let swallowed_a_row = cell.split_once('\n').is_some_and(|(_, later)| later.contains('@'));
            let inside = cell.len();
            while let Some(c) = cursor.peek().filter(|c| *c != delimiter) {
                cursor.take();
                cell.push(c);
                end = if c.is_whitespace() { end } else { (cursor.line, cursor.column) };
            }
            let ends_well = cell[inside..].trim().is_empty();
            if ends_well {
                cell.truncate(inside);
            }
            if parsed.ragged.is_none() && (swallowed_a_row || !ends_well) {
                parsed.ragged = Some(begin);
            }
        } else {
            while let Some(c) = cursor.peek().filter(|c| *c != delimiter) {
                cursor.take();
                cell.push(c);
                end = if c.is_whitespace() { end } else { (cursor.line, cursor.column) };
            }
        }
        let span = if end.0 == begin.0 { (end.1 - begin.1).max(1) } else { 1 };
        let text = cell.trim();
        parsed.cells.push(Cell { text: text.to_owned(), line: begin.0, column: begin.1, span });
        if cursor.take().is_none() {
            return parsed;
        }
    }
}
