//! From bytes to lines.

use encoding_rs::WINDOWS_1252;
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

/// Octets of one line; a longer one is no row of a list.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u32,
    pub(super) text: String,
    /// It was not UTF-8 and is read as Windows-1252.
    pub(super) legacy: bool,
    /// The rest of it was not kept.
    pub(super) too_long: bool,
}

impl Line {
    /// Excel's first line `sep=;` names the delimiter.
    pub(super) fn named_delimiter(&self) -> Option<u8> {
        match self.text.trim_end_matches(['\r', '\n', ' ']).strip_prefix("sep=")?.as_bytes() {
            [delimiter] if delimiter.is_ascii() => Some(*delimiter),
            _ => None,
        }
    }

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

/// The lines of a file in UTF-8, UTF-16 (with its mark), or Windows-1252; line ends of all systems.
pub(super) struct Lines<R> {
    reader: BufReader<DecodeReaderBytes<R, Vec<u8>>>,
    put_back: VecDeque<Line>,
    number: u32,
    after_return: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        let decoded = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(reader);
        Self { reader: BufReader::new(decoded), put_back: VecDeque::new(), number: 0, after_return: false }
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
}
