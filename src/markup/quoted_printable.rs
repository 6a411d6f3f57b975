//! Text as quoted-printable (RFC 2045, section 6.7), the coding of both parts of every mail.

/// The longest line made, without its line end; one below the RFC's 76, so that a piece may be followed by a soft break.
pub const LINE: usize = 75;

/// A soft line break: joins two pieces that were encoded apart.
pub const SOFT_BREAK: &[u8] = b"=\r\n";

/// Appends `text` as quoted-printable. `\n` and `\r\n` become CRLF; a lone carriage return is encoded.
///
/// The piece must begin a line and may be followed by [`SOFT_BREAK`]. A character is never cut by a soft break, and no
/// line begins with a dot or with `From `, which transports have to change (RFC 5321, section 4.5.2).
pub fn encode(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + text.len() / 8);
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        encode_line(if last { line } else { line.strip_suffix('\r').unwrap_or(line) }, out);
        if !last {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// How many bytes [`encode`] makes of it.
pub fn encoded_len(text: &str) -> usize {
    let mut out = Vec::new();
    encode(text, &mut out);
    out.len()
}

fn encode_line(line: &str, out: &mut Vec<u8>) {
    // Words, and most addresses: nothing to look at closely.
    if line.len() <= LINE && !line.starts_with(['.', 'F']) && line.bytes().all(is_plain) {
        out.extend_from_slice(line.as_bytes());
        return;
    }
    let (mut column, mut at) = (0, 0);
    while let Some(c) = line[at..].chars().next() {
        // What can be copied together: nearly all of an address, but for the places where a line begins.
        if column > 0 {
            let room = &line.as_bytes()[at..line.len().min(at + LINE - column)];
            let plain = room.iter().position(|b| !is_plain(*b)).unwrap_or(room.len());
            if plain > 0 {
                out.extend_from_slice(&room[..plain]);
                (column, at) = (column + plain, at + plain);
                continue;
            }
        }
        at += c.len_utf8();
        let rest = &line[at..];
        let literal = match c {
            ' ' | '\t' => !rest.is_empty(),
            '=' => false,
            '!'..='~' => true,
            _ => false,
        };
        let width = if literal { 1 } else { 3 * c.len_utf8() };
        if column + width > LINE {
            out.extend_from_slice(SOFT_BREAK);
            column = 0;
        }
        let changed_by_transports = column == 0 && (c == '.' || c == 'F' && rest.starts_with("rom "));
        if literal && !changed_by_transports {
            out.push(c as u8);
            column += 1;
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.extend_from_slice(&[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                column += 3;
            }
        }
    }
}

/// Stands for itself wherever it is in a line, but perhaps at its beginning.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'='
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        encode(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn decoded(wire: &str) -> String {
        String::from_utf8(mail_parser::decoders::quoted_printable::quoted_printable_decode(wire.as_bytes()).unwrap())
            .unwrap()
    }

    #[test]
    fn plain_words_stay_and_the_rest_is_encoded() {
        assert_eq!(encoded("a=b – ü"), "a=3Db =E2=80=93 =C3=BC");
        assert_eq!(encoded("end \nnext\t"), "end=20\r\nnext=09");
        assert_eq!(encoded("a\rb\r\nc\0"), "a=0Db\r\nc=00");
    }

    #[test]
    fn no_line_begins_as_transports_would_change_it() {
        assert_eq!(encoded(".\n.a\nFrom me\nFromage"), "=2E\r\n=2Ea\r\n=46rom me\r\nFromage");
        let long = format!("{}.b", "a".repeat(LINE));
        assert_eq!(encoded(&long), format!("{}=\r\n=2Eb", "a".repeat(LINE)));
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_not_broken() {
        assert_eq!(encoded(&"a".repeat(LINE)), "a".repeat(LINE));
        assert_eq!(encoded(&"a".repeat(LINE + 1)), format!("{}=\r\na", "a".repeat(LINE)));
        assert_eq!(encoded(&format!("{}é", "a".repeat(LINE - 5))), format!("{}=\r\n=C3=A9", "a".repeat(LINE - 5)));
    }

    proptest! {
        #[test]
        fn others_read_back_what_was_written(text in "([ -~]|\n|=|\\.|[à-ÿ]|[ء-ي]|🗞){0,300}") {
            let wire = encoded(&text);
            prop_assert!(wire.is_ascii());
            prop_assert_eq!(wire.len(), encoded_len(&text));
            for line in wire.split("\r\n") {
                prop_assert!(line.len() <= LINE + 1 && !line.ends_with([' ', '\t']) && !line.starts_with('.'));
            }
            prop_assert_eq!(decoded(&wire).replace("\r\n", "\n"), text);
        }
    }
}
