//! The relaxed canonical form of headers and bodies (RFC 6376, section 3.4), as a stream.

use aws_lc_rs::digest::{Context, SHA256};

/// A line break that is not CRLF stands in what is to be signed. On its way it would be changed, and the signature broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareLineBreak;

/// Takes a body in pieces of any cut and answers SHA-256 of its relaxed canonical form.
///
/// A clone goes on from where the original stands: what many mails begin with is hashed once.
#[derive(Clone)]
pub struct BodyHasher {
    sha256: Context,
    /// White space that was read and not hashed: what it becomes depends on what follows.
    held: Held,
    /// Whether anything but white space was read.
    has_text: bool,
    bare_line_break: bool,
}

#[derive(Clone, Copy, Default)]
struct Held {
    line_breaks: usize,
    carriage_return: bool,
    space: bool,
}

impl Held {
    fn is_nothing(self) -> bool {
        self.line_breaks == 0 && !self.carriage_return && !self.space
    }
}

impl Default for BodyHasher {
    fn default() -> Self {
        let sha256 = Context::new(&SHA256);
        BodyHasher { sha256, held: Held::default(), has_text: false, bare_line_break: false }
    }
}

impl BodyHasher {
    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        // What is canonical as it stands is hashed in long runs: `run` is where the current one begins.
        let (mut run, mut at) = (0, 0);
        while at < bytes.len() {
            if is_white(bytes[at]) {
                let end = end_of(&bytes[at..], is_white) + at;
                let white = &bytes[at..end];
                if end == bytes.len() || !self.held.is_nothing() || !(white == b" " || white == CRLF) {
                    self.sha256.update(&bytes[run..at]);
                    self.hold(white);
                    run = end;
                }
                at = end;
            } else {
                self.release();
                at += end_of(&bytes[at..], |byte| !is_white(byte));
            }
        }
        self.sha256.update(&bytes[run..]);
    }

    /// The same for a piece that was brought into canonical form before.
    pub fn update_prepared(&mut self, piece: &Piece) {
        self.update(&piece.before);
        if !piece.text.is_empty() {
            self.release();
            self.sha256.update(&piece.text);
        }
        self.update(&piece.after);
    }

    /// SHA-256 of the whole body.
    ///
    /// # Errors
    /// [`BareLineBreak`].
    pub fn finish(mut self) -> Result<[u8; 32], BareLineBreak> {
        if self.bare_line_break || self.held.carriage_return {
            return Err(BareLineBreak);
        }
        // One line end, whether there were none or many; and a body of nothing but white space is empty.
        if self.has_text {
            self.sha256.update(CRLF);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(self.sha256.finish().as_ref());
        Ok(hash)
    }

    fn hold(&mut self, white: &[u8]) {
        let held = &mut self.held;
        for byte in white {
            self.bare_line_break |= held.carriage_return != (*byte == b'\n');
            held.carriage_return = false;
            match byte {
                b'\r' => held.carriage_return = true,
                b'\n' => {
                    held.line_breaks += 1;
                    held.space = false;
                }
                _ => held.space = true,
            }
        }
    }

    /// Hashes what was held, since text follows.
    fn release(&mut self) {
        self.has_text = true;
        if self.held.is_nothing() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.bare_line_break |= held.carriage_return;
        for _ in 0..held.line_breaks {
            self.sha256.update(CRLF);
        }
        if held.space {
            self.sha256.update(b" ");
        }
    }
}

/// A piece of a body that stands in many mails: its text in canonical form, and the white space at its ends, whose form
/// depends on the neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    before: Vec<u8>,
    text: Vec<u8>,
    after: Vec<u8>,
}

impl Piece {
    /// Brings a piece into canonical form.
    ///
    /// # Errors
    /// [`BareLineBreak`], inside the piece; at its ends it is found when hashing.
    pub fn new(bytes: &[u8]) -> Result<Self, BareLineBreak> {
        let begin = end_of(bytes, is_white);
        let end = bytes.iter().rposition(|byte| !is_white(*byte)).map_or(begin, |last| last + 1);
        let mut text = Vec::with_capacity(end - begin);
        let mut rest = &bytes[begin..end];
        while !rest.is_empty() {
            let (word, white_on) = rest.split_at(end_of(rest, |byte| !is_white(byte)));
            let (white, after) = white_on.split_at(end_of(white_on, is_white));
            text.extend_from_slice(word);
            canonical_white(white, &mut text)?;
            rest = after;
        }
        Ok(Piece { before: bytes[..begin].to_vec(), text, after: bytes[end..].to_vec() })
    }
}

/// White space between two words: its line breaks, and one space if the last line has any.
fn canonical_white(white: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineBreak> {
    let mut lines = white.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        let inner = if last { line } else { line.strip_suffix(b"\r").ok_or(BareLineBreak)? };
        if inner.contains(&b'\r') {
            return Err(BareLineBreak);
        }
        if !last {
            out.extend_from_slice(CRLF);
        } else if !inner.is_empty() {
            out.push(b' ');
        }
    }
    Ok(())
}

/// Appends a header field in relaxed canonical form, without its line break (section 3.4.2). `value` is what follows the
/// colon, folds and all.
pub fn header(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut words = value.split(|byte| is_white(*byte)).filter(|word| !word.is_empty());
    out.extend_from_slice(words.next().unwrap_or_default());
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

pub(super) const CRLF: &[u8] = b"\r\n";

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// How many of the first bytes are such.
fn end_of(bytes: &[u8], such: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !such(*byte)).unwrap_or(bytes.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::digest;
    use proptest::prelude::*;

    /// The words of section 3.4.4, done in the plainest way.
    fn plain(body: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for line in String::from_utf8_lossy(body).split("\r\n") {
            let words: Vec<&str> = line.split([' ', '\t']).collect();
            let begins = line.starts_with([' ', '\t']);
            let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
            let joined = words.join(" ");
            lines.push(if begins && !words.is_empty() { format!(" {joined}") } else { joined }.into_bytes());
        }
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines.into_iter().flat_map(|line| [line, CRLF.to_vec()].concat()).collect()
    }

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        digest(&SHA256, bytes).as_ref().try_into().unwrap()
    }

    fn hash(body: &[u8]) -> Result<[u8; 32], BareLineBreak> {
        let mut hasher = BodyHasher::default();
        hasher.update(body);
        hasher.finish()
    }

    #[test]
    fn the_example_of_rfc_6376_section_3_4_5() {
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(hash(body), Ok(sha256(b" C\r\nD E\r\n")));
        let mut out = Vec::new();
        header(b"A", b" X", &mut out);
        out.extend_from_slice(CRLF);
        header(b"B ", b" Y\t\r\n\tZ  ", &mut out);
        assert_eq!(out, b"a:X\r\nb:Y Z");
    }

    #[test]
    fn a_body_of_nothing_but_white_space_is_empty() {
        for body in [&b""[..], b"\r\n", b" \t\r\n\r\n  ", b" "] {
            assert_eq!(hash(body), Ok(sha256(b"")), "{body:?}");
        }
        // The value that section 3.4.4 gives.
        let empty = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hash(b"").unwrap());
        assert_eq!(empty, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn a_last_line_without_end_gets_one() {
        assert_eq!(hash(b"a"), hash(b"a\r\n \r\n"));
    }

    #[test]
    fn bare_line_breaks_are_refused_wherever_they_stand() {
        for body in ["\n", "\r", "a\n", "a\r", "a\rb", "a\r \nb", "a\r\r\n", "\r\n\n", "a\n\r\nb"] {
            assert_eq!(hash(body.as_bytes()), Err(BareLineBreak), "{body:?}");
            let prepared = Piece::new(body.as_bytes()).and_then(|piece| {
                let mut hasher = BodyHasher::default();
                hasher.update_prepared(&piece);
                hasher.finish()
            });
            assert_eq!(prepared, Err(BareLineBreak), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_what_the_plain_way_gives(parts in proptest::collection::vec("(a|é|=| |\t|\r\n|  |\r\n\r\n){0,6}", 0..8), cut in 0_usize..40) {
            let body = parts.concat().into_bytes();
            let wanted = Ok(sha256(&plain(&body)));
            prop_assert_eq!(hash(&body), wanted);
            // Even between CR and LF.
            let (first, second) = body.split_at(cut.min(body.len()));
            let mut hasher = BodyHasher::default();
            hasher.update(first);
            let mut prepared = hasher.clone();
            hasher.update(second);
            prop_assert_eq!(hasher.finish(), wanted);
            prepared.update_prepared(&Piece::new(second).unwrap());
            prop_assert_eq!(prepared.finish(), wanted);
            let mut hasher = BodyHasher::default();
            for part in &parts {
                hasher.update_prepared(&Piece::new(part.as_bytes()).unwrap());
            }
            prop_assert_eq!(hasher.finish(), wanted);
        }
    }
}
