//! Reply lines as lettre reads them.
//!
//! lettre knows the second digits that RFC 5321 section 4.2.3 names, wants a space after a code that stands alone, and the line
//! ends of the standard; what differs is a broken line to it, and after the dot a broken line is a mail that nobody can tell of.
//! Servers of the world differ: `571 5.7.1 spam`, `250` and nothing else. So lines are put right on their way, and a code that
//! lettre does not know goes with the text.

use std::io::Read;

/// Stands before a true code in the text. No server's own text has it.
const MARK: u8 = 0x01;
/// Bytes of a line that are kept; lettre takes 1,000.
const LONGEST: usize = 900;

/// Lines that are being put right.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that is being read.
    line: Vec<u8>,
    /// The reply has begun in a line before.
    continues: bool,
    /// What lettre may read.
    ready: Vec<u8>,
    /// So much of it was read.
    taken: usize,
}

impl Lines {
    /// Ready before anything is read.
    pub(super) fn after(first: &[u8]) -> Self {
        Lines { ready: first.to_vec(), ..Lines::default() }
    }

    /// What the server sent.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                // Some servers answer in Latin-1; to lettre, what is not UTF-8 is a broken line.
                byte if self.line.len() < LONGEST => {
                    self.line.push(if byte.is_ascii() && *byte != MARK { *byte } else { b'?' });
                }
                _ => {}
            }
        }
    }

    /// The server says no more: what has no end is left as it is.
    pub(super) fn end(&mut self) {
        self.ready.append(&mut self.line);
    }

    /// Takes what is ready, as much as there is room for.
    pub(super) fn take(&mut self, room: &mut [u8]) -> usize {
        let taken = (&self.ready[self.taken..]).read(room).unwrap_or(0);
        self.taken += taken;
        if self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
        }
        taken
    }

    fn end_line(&mut self) {
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        let begins = !std::mem::take(&mut self.continues);
        match self.line.as_slice() {
            [class, group, detail, rest @ ..] if [class, group, detail].iter().all(|digit| digit.is_ascii_digit()) => {
                let (separator, text) = rest.split_first().map_or((b' ', rest), |(first, text)| (*first, text));
                self.continues = separator == b'-';
                let known = *group <= b'5';
                self.ready.extend([*class, if known { *group } else { b'5' }, *detail, separator]);
                if begins && !known {
                    self.ready.extend([MARK, *class, *group, *detail, b' ']);
                }
                self.ready.extend(text);
            }
            other => self.ready.extend(other),
        }
        self.ready.extend(b"\r\n");
        self.line.clear();
    }
}

/// The code that a server said in truth, and its text, where it was one that lettre does not know.
pub(super) fn true_code(text: &str) -> Option<(u16, &str)> {
    let (code, text) = text.strip_prefix(char::from(MARK))?.split_at_checked(3)?;
    Some((code.parse().ok()?, text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What lettre gets, however the bytes arrive.
    fn passed(said: &[u8]) -> String {
        let mut whole = None;
        for piece in [1, 2, 7, said.len().max(1)] {
            let (mut lines, mut got) = (Lines::default(), vec![]);
            let mut room = [0; 5];
            for bytes in said.chunks(piece) {
                lines.push(bytes);
                while let n @ 1.. = lines.take(&mut room) {
                    got.extend(&room[..n]);
                }
            }
            lines.end();
            while let n @ 1.. = lines.take(&mut room) {
                got.extend(&room[..n]);
            }
            assert_eq!(*whole.get_or_insert_with(|| got.clone()), got);
        }
        String::from_utf8(whole.unwrap()).unwrap()
    }

    #[test]
    fn lines_of_the_standard_pass_as_they_are() {
        for said in
            ["250 ok\r\n", "250-one\r\n250-two\r\n250 \r\n", "354 go\r\n250-\r\n250 ok\r\n", "what?\r\n", "25\r\n", ""]
        {
            assert_eq!(passed(said.as_bytes()), said);
        }
    }

    #[test]
    fn what_servers_do_otherwise_is_put_right() {
        assert_eq!(passed(b"250\r\n"), "250 \r\n");
        assert_eq!(passed(b"250-a\n250 b\n"), "250-a\r\n250 b\r\n");
        assert_eq!(passed(b"250 re\xe7u\x01\r\n"), "250 re?u?\r\n");
        assert_eq!(passed(b"571 5.7.1 spam\r\n250 ok\r\n"), "551 \x01571 5.7.1 spam\r\n250 ok\r\n");
        assert_eq!(passed(b"471-a\r\n471 b\r\n472\r\n"), "451-\x01471 a\r\n451 b\r\n452 \x01472 \r\n");
        assert_eq!(passed(b"250 and then noth"), "250 and then noth");
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let said = format!("250-{}\r\n250 ok\r\n", "x".repeat(100_000));
        let passed = passed(said.as_bytes());
        assert!(passed.len() < 1000 && passed.ends_with("x\r\n250 ok\r\n"), "{}", passed.len());
    }

    #[test]
    fn a_true_code_is_found_where_it_was_put() {
        assert_eq!(true_code("\x01571 5.7.1 spam"), Some((571, " 5.7.1 spam")));
        assert_eq!(true_code("571 5.7.1 spam"), None);
        assert_eq!(true_code("\x0157"), None);
    }
}
