//! Escaping, and the characters that may stand in XML.

use std::borrow::Cow;

/// The same text with only characters that XML 1.0 and strict feed readers take:
///
/// * what is no `Char` (XML 1.0, section 2.2), noncharacters, DEL and the C1 controls go;
/// * line ends become `\n`, as an XML parser would make them (section 2.11), so that JSON says the same as XML;
/// * bidirectional controls come in pairs (UAX #9): what is left open is closed at the end, a stray closer goes, so that
///   a headline cannot turn the text around it.
///
/// Borrows when nothing has to change, which is nearly always.
pub fn xml_chars(text: &str) -> Cow<'_, str> {
    if !suspicious(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut open: Vec<Bidi> = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' {
            if rest.peek() != Some(&'\n') {
                out.push('\n');
            }
        } else if let Some(opener) = Bidi::opened_by(c) {
            // UAX #9 BD9/BD11: beyond its depth an opener has no effect; neither has it a place here.
            if open.len() < BIDI_DEPTH {
                open.push(opener);
                out.push(c);
            }
        } else if let Some(closer) = Bidi::closed_by(c) {
            // A PDI also ends the embeddings inside its isolate; a PDF ends only the innermost embedding.
            let matching = match closer {
                Bidi::Isolate => open.iter().rposition(|o| *o == Bidi::Isolate),
                Bidi::Embedding => open.len().checked_sub(1).filter(|at| open[*at] == Bidi::Embedding),
            };
            if let Some(at) = matching {
                for inner in open.drain(at..).rev() {
                    out.push(inner.closer());
                }
            }
        } else if allowed(c) {
            out.push(c);
        }
    }
    out.extend(open.into_iter().rev().map(Bidi::closer));
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// UAX #9, `max_depth`.
const BIDI_DEPTH: usize = 125;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bidi {
    Embedding,
    Isolate,
}

impl Bidi {
    fn opened_by(c: char) -> Option<Self> {
        match c {
            '\u{202A}' | '\u{202B}' | '\u{202D}' | '\u{202E}' => Some(Bidi::Embedding),
            '\u{2066}'..='\u{2068}' => Some(Bidi::Isolate),
            _ => None,
        }
    }

    fn closed_by(c: char) -> Option<Self> {
        match c {
            '\u{202C}' => Some(Bidi::Embedding),
            '\u{2069}' => Some(Bidi::Isolate),
            _ => None,
        }
    }

    fn closer(self) -> char {
        match self {
            Bidi::Embedding => '\u{202C}',
            Bidi::Isolate => '\u{2069}',
        }
    }
}

fn allowed(c: char) -> bool {
    match c {
        '\t' | '\n' => true,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{FDD0}'..='\u{FDEF}' => false,
        _ => u32::from(c) & 0xFFFE != 0xFFFE,
    }
}

/// Whether a text may hold something that [`xml_chars`] changes; cheap, and never wrongly `false`.
fn suspicious(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut from = 0;
    // Whole stretches first: the compiler looks at many bytes at once there.
    while let Some(stretch) = bytes.get(from..from + STRETCH + 2).and_then(|s| <&[u8; STRETCH + 2]>::try_from(s).ok()) {
        if stretch[..STRETCH].iter().fold(0, |any, byte| any | u8::from(begins(*byte))) != 0 {
            let unusual = |at: usize| unusual(stretch[at], stretch[at + 1], stretch[at + 2]);
            let any = (0..STRETCH).fold(0, |any, at| any | u8::from(unusual(at)));
            if any != 0 && (from..from + STRETCH).any(|at| suspicious_at(bytes, at)) {
                return true;
            }
        }
        from += STRETCH;
    }
    (from..bytes.len()).any(|at| suspicious_at(bytes, at))
}

/// Bytes that are looked at together.
const STRETCH: usize = 32;

/// Whether a byte may begin what [`suspicious_at`] looks for. Without branches, so that many are compared at once.
#[allow(clippy::needless_bitwise_bool)]
fn begins(byte: u8) -> bool {
    let control = (byte < b' ') & (byte != b'\n') & (byte != b'\t') | (byte == 0x7F);
    control | (byte == 0xC2) | (byte == 0xE2) | (byte >= 0xEF)
}

/// The same of three bytes.
#[allow(clippy::needless_bitwise_bool)]
fn unusual(a: u8, b: u8, c: u8) -> bool {
    let control = (a < b' ') & (a != b'\n') & (a != b'\t') | (a == 0x7F) | (a == 0xC2) & (b < 0xA0);
    control | (a == 0xE2) & (b < 0x82) & (c >= 0xA6) | (a == 0xEF) & (b >= 0xB7) | (a >= 0xF0) & (c == 0xBF)
}

fn suspicious_at(bytes: &[u8], at: usize) -> bool {
    let next = |n: usize| bytes.get(at + n).copied().unwrap_or(0);
    match bytes[at] {
        b'\t' | b'\n' => false,
        0..=0x1F | 0x7F => true,
        0xC2 => next(1) < 0xA0,
        // U+202A–202E are E2 80 AA–AE, U+2066–2069 are E2 81 A6–A9.
        0xE2 => matches!((next(1), next(2)), (0x80, 0xAA..=0xAE) | (0x81, 0xA6..=0xA9)),
        // U+FDD0–FDEF are EF B7 90–AF, U+FFFE and U+FFFF are EF BF BE and EF BF BF.
        0xEF => matches!((next(1), next(2)), (0xB7, _) | (0xBF, 0xBE | 0xBF)),
        // The last two of every higher plane end in BF BE and BF BF.
        0xF0..=0xF4 => matches!((next(2), next(3)), (0xBF, 0xBE | 0xBF)),
        _ => false,
    }
}

/// Text as it may stand between HTML tags.
pub fn html(text: &str) -> String {
    escape(text, false)
}

/// Text as it may stand in a quoted HTML attribute.
pub fn attribute(text: &str) -> String {
    escape(text, true)
}

fn escape(text: &str, quotes: bool) -> String {
    // Most texts have nothing of it.
    if !text.bytes().any(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if quotes => out.push_str("&quot;"),
            '\'' if quotes => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_characters_of_xml_are_left() {
        for (text, wanted) in [
            ("plain — “quoted” 🗞️ العربية", "plain — “quoted” 🗞️ العربية"),
            ("bell\u{7} nul\0 esc\u{1b}[0m", "bell nul esc[0m"),
            ("tab\tline\nstays", "tab\tline\nstays"),
            ("a\r\nb\rc\r", "a\nb\nc\n"),
            ("\u{FFFE}\u{FFFF}\u{FDD0}\u{FDEF}\u{1FFFE}\u{10FFFF}x", "x"),
            ("del\u{7f} c1\u{85}\u{9f} nbsp\u{a0}", "del c1 nbsp\u{a0}"),
            ("\u{FFFD}\u{FEFF}", "\u{FFFD}\u{FEFF}"),
            ("\u{2028}", "\u{2028}"),
        ] {
            assert_eq!(xml_chars(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn bidirectional_controls_come_in_pairs() {
        for (text, wanted) in [
            ("a\u{202E}b", "a\u{202E}b\u{202C}"),
            ("\u{2067}x\u{2069}", "\u{2067}x\u{2069}"),
            ("x\u{2069}\u{202C}y", "xy"),
            ("\u{2066}\u{202B}x\u{2069}", "\u{2066}\u{202B}x\u{202C}\u{2069}"),
            ("\u{202B}\u{2066}x\u{202C}y", "\u{202B}\u{2066}xy\u{2069}\u{202C}"),
        ] {
            assert_eq!(xml_chars(text), wanted, "{text:?}");
        }
        let deep = xml_chars(&"\u{202A}".repeat(BIDI_DEPTH + 1)).into_owned();
        assert_eq!(deep.chars().count(), 2 * BIDI_DEPTH);
    }

    #[test]
    fn markup_characters_are_escaped() {
        assert_eq!(html("a < b & \"c\""), "a &lt; b &amp; \"c\"");
        assert_eq!(attribute("a<'\">&"), "a&lt;&#39;&quot;&gt;&amp;");
    }

    proptest! {
        #[test]
        fn what_is_clean_stays_clean(text in ".*") {
            let once = xml_chars(&text).into_owned();
            prop_assert!(matches!(xml_chars(&once), Cow::Borrowed(_)), "{once:?}");
            prop_assert!(once.chars().all(allowed));
        }

        #[test]
        fn nothing_suspicious_is_overlooked(c: char, before in 0..2 * STRETCH) {
            let text = format!("{}{c}", "x".repeat(before));
            let sound = allowed(c) && Bidi::opened_by(c).is_none() && Bidi::closed_by(c).is_none();
            prop_assert_eq!(xml_chars(&text) == text, sound);
        }
    }
}
