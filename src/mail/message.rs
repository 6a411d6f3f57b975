//! A message's bytes, of which most may be other messages' too.

use memchr::memmem::Finder;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// What ends a message that does not end a line itself.
const END: &[u8] = b"\r\n.\r\n";

/// Bytes in pieces, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pieces {
    bytes: Vec<u8>,
    /// Where in `bytes` each ends.
    ends: Vec<usize>,
}

impl Pieces {
    /// None yet, with room for so many of them and for so many bytes.
    pub fn with_capacity(pieces: usize, bytes: usize) -> Self {
        Pieces { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(pieces) }
    }

    /// One more: what `write` appends.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// In order, as [`super::dkim::Prepared`] takes them.
    pub fn as_slices(&self) -> Vec<&[u8]> {
        self.iter().collect()
    }

    /// All are ASCII.
    fn is_ascii(&self) -> bool {
        self.bytes.is_ascii()
    }
}

/// Pieces that many messages share, and what is asked of each of these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shared {
    pieces: Pieces,
    ascii: bool,
    dots: bool,
}

impl From<Pieces> for Shared {
    fn from(pieces: Pieces) -> Self {
        let dots = pieces.iter().any(|piece| DOTS.find(piece).is_some());
        Shared { ascii: pieces.is_ascii(), dots, pieces }
    }
}

impl Shared {
    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter()
    }
}

/// A dot at a line's beginning, but for one at a piece's.
static DOTS: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\n."));

/// A message with CRLF line ends, not dot-stuffed. An edition's mails share what is the same for every reader, so that one takes a
/// few hundred bytes of its own, and is copied once: where it is sent.
#[derive(Clone, Default)]
pub struct Message {
    head: Vec<u8>,
    shared: Arc<Shared>,
    own: Pieces,
    ascii: bool,
}

impl Message {
    /// `head`, and then by turns a piece of `shared` and one of `own`, which has one less.
    pub fn spliced(head: Vec<u8>, shared: Arc<Shared>, own: Pieces) -> Self {
        let ascii = shared.ascii && own.is_ascii() && head.is_ascii();
        Message { head, shared, own, ascii }
    }

    /// Puts header fields before the others.
    pub fn prepend(&mut self, fields: &str) {
        self.head.splice(..0, fields.bytes());
        self.ascii &= fields.is_ascii();
    }

    /// The bytes in pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut own = self.own.iter();
        let body = self.shared.iter().flat_map(move |shared| [shared, own.next().unwrap_or_default()]);
        std::iter::once(self.head.as_slice()).chain(body)
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.head.len() + self.shared.pieces.bytes.len() + self.own.bytes.len()
    }

    /// It has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// It has no 8-bit text.
    pub fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// Appends it as DATA carries it (RFC 5321 section 4.5.2): a dot at a line's beginning doubled, CRLF at the end, and the final
    /// dot.
    pub fn append_content(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(self.len() + END.len());
        let mut begins = true;
        let mut append = |piece: &[u8], dots: bool| {
            if begins && piece.starts_with(b".") {
                out.push(b'.');
            }
            let mut from = 0;
            for at in dots.then(|| DOTS.find_iter(piece)).into_iter().flatten() {
                out.extend_from_slice(&piece[from..=at]);
                out.push(b'.');
                from = at + 1;
            }
            out.extend_from_slice(&piece[from..]);
            begins = piece.last().map_or(begins, |last| *last == b'\n');
        };
        append(&self.head, true);
        let mut own = self.own.iter();
        for shared in self.shared.iter() {
            append(shared, self.shared.dots);
            append(own.next().unwrap_or_default(), true);
        }
        let whole = out.len() == start || out.ends_with(b"\r\n");
        out.extend_from_slice(if whole { &END[2..] } else { END });
    }

    /// The bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.pieces().for_each(|piece| bytes.extend_from_slice(piece));
        bytes
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message { ascii: bytes.is_ascii(), head: bytes, ..Message::default() }
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.pieces().flatten().eq(other.pieces().flatten())
    }
}

impl Eq for Message {}

/// Addresses stay out of logs.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("bytes", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(message: &Message) -> String {
        let mut out = vec![];
        message.append_content(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dots_at_the_beginning_of_lines_are_doubled() {
        let stuffed = |text: &str| stuffed(&text.as_bytes().to_vec().into());
        assert_eq!(stuffed("a.b\r\n.c\r\n..\r\n"), "a.b\r\n..c\r\n...\r\n.\r\n");
        assert_eq!(stuffed(".\r\n"), "..\r\n.\r\n");
        assert_eq!(stuffed("no end"), "no end\r\n.\r\n");
        assert_eq!(stuffed(""), ".\r\n");
    }

    proptest! {
        #[test]
        fn pieces_are_stuffed_as_the_whole_is(texts in proptest::collection::vec("[.a\r\n]{0,5}", 0..8)) {
            let by_turns = |turn: usize| {
                let texts: Vec<&str> = texts.iter().map(String::as_str).skip(turn).step_by(2).collect();
                pieces(&texts)
            };
            let message = Message::spliced(b".".to_vec(), Arc::new(by_turns(0).into()), by_turns(1));
            let whole = message.to_vec();
            prop_assert_eq!(String::from_utf8_lossy(&whole), format!(".{}", texts.concat()));
            prop_assert_eq!(stuffed(&message), stuffed(&whole.into()));
        }

        #[test]
        fn what_is_stuffed_comes_out_again_and_never_ends_early(lines in proptest::collection::vec("[.a]{0,4}", 0..20)) {
            let message: String = lines.iter().flat_map(|l| [l, "\r\n"]).collect();
            let wire = stuffed(&message.clone().into_bytes().into());
            let body = wire.strip_suffix(".\r\n").unwrap();
            prop_assert!(!body.split_inclusive("\r\n").any(|line| line == ".\r\n"));
            let back: String = body.split_inclusive("\r\n").map(|l| l.strip_prefix('.').unwrap_or(l)).collect();
            prop_assert_eq!(back, message);
        }
    }

    fn pieces(texts: &[&str]) -> Pieces {
        let mut pieces = Pieces::default();
        for text in texts {
            pieces.push(|out| out.extend_from_slice(text.as_bytes()));
        }
        pieces
    }

    #[test]
    fn pieces_stand_by_turns_and_a_head_before_them() {
        let shared = Arc::new(Shared::from(pieces(&["To: ", "\r\n\r\nDear ", ".\r\n"])));
        let mut message = Message::spliced(b"A: 1\r\n".to_vec(), shared, pieces(&["a@b.example", ""]));
        let whole = b"A: 1\r\nTo: a@b.example\r\n\r\nDear .\r\n".to_vec();
        assert_eq!(message.to_vec(), whole);
        assert_eq!((message.len(), message.is_ascii()), (whole.len(), true));
        assert_eq!(message, Message::from(whole));
        message.prepend("B: \u{e9}\r\n");
        assert!(message.to_vec().starts_with("B: \u{e9}\r\nA: 1\r\n".as_bytes()) && !message.is_ascii());
    }

    #[test]
    fn text_beyond_ascii_is_known_wherever_it_stands() {
        let ascii = |head: &str, shared: &str, own: &str| {
            Message::spliced(head.into(), Arc::new(pieces(&[shared, ""]).into()), pieces(&[own])).is_ascii()
        };
        assert!(ascii("a", "b", "c"));
        assert!(!ascii("\u{e9}", "b", "c") && !ascii("a", "\u{e9}", "c") && !ascii("a", "b", "\u{e9}"));
        assert!(Message::default().is_empty() && !Message::from("\u{e9}".as_bytes().to_vec()).is_ascii());
    }
}
