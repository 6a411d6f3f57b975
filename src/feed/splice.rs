//! An item's long text, put into what a crate wrote around it.
//!
//! On its way through a crate that writes an item, a text is copied four or five times, and most of an item is its text. So
//! the crates are given a mark in its place, and the text is written where the mark stands, once, as they would have
//! written it. The tests hold both ways against each other.

use memchr::memmem;

/// Stands for the text. A noncharacter: no text of ours has it (see [`crate::markup::escape::xml_chars`]), and no
/// escaping changes it.
pub(super) const MARK: &str = "\u{FDD0}";

/// How a format writes a text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writing {
    /// XML's text.
    Xml,
    /// XML's text in `CDATA` sections, whose beginning and end stand in what is around.
    Cdata,
    /// A JSON string, whose quotation marks stand in what is around.
    Json,
}

/// What is `around`, with `text` in the place of the mark; as it is, where there is no mark.
pub(super) fn splice(around: &str, text: &str, writing: Writing) -> Vec<u8> {
    let Some(at) = memmem::find(around.as_bytes(), MARK.as_bytes()) else { return around.as_bytes().to_vec() };
    let (before, after) = (&around[..at], &around[at + MARK.len()..]);
    let escapes = match writing {
        Writing::Cdata => 0,
        Writing::Xml | Writing::Json => text.len() / 4,
    };
    let mut out = Vec::with_capacity(around.len() + text.len() + escapes);
    out.extend_from_slice(before.as_bytes());
    match writing {
        Writing::Xml => escaped(&mut out, text, &XML, in_xml),
        // The sequence that ends a section is parted between two.
        Writing::Cdata => {
            let mut copied = 0;
            for at in memmem::find_iter(text.as_bytes(), b"]]>") {
                out.extend_from_slice(&text.as_bytes()[copied..at]);
                out.extend_from_slice(b"]]]]><![CDATA[");
                copied = at + 2;
            }
            out.extend_from_slice(&text.as_bytes()[copied..]);
        }
        Writing::Json => escaped(&mut out, text, &JSON, in_json),
    }
    out.extend_from_slice(after.as_bytes());
    out
}

/// Text that is escaped before it is copied: small enough to stay where the processor has it at hand.
const WINDOW: usize = 256;

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// The longest replacement, filled up to a size that is copied at once.
const LONGEST: usize = 8;

/// For each byte what is written for it, and how much of that counts. All that is replaced is ASCII, so the cuts fall
/// between characters.
type Replacements = [([u8; LONGEST], u8); 256];

static XML: Replacements =
    replacements(&[(b'&', b"&amp;"), (b'<', b"&lt;"), (b'>', b"&gt;"), (b'"', b"&quot;"), (b'\'', b"&apos;")]);

// No text of ours has other control characters.
static JSON: Replacements = replacements(&[(b'"', b"\\\""), (b'\\', b"\\\\"), (b'\n', b"\\n"), (b'\t', b"\\t")]);

const fn replacements(pairs: &[(u8, &[u8])]) -> Replacements {
    let mut all = [([0; LONGEST], 1); 256];
    let mut byte = u8::MAX;
    while byte > 0 {
        all[byte as usize].0[0] = byte;
        byte -= 1;
    }
    let mut pair = 0;
    while pair < pairs.len() {
        let (byte, replacement) = pairs[pair];
        let mut at = 0_u8;
        while (at as usize) < replacement.len() {
            all[byte as usize].0[at as usize] = replacement[at as usize];
            at += 1;
        }
        all[byte as usize].1 = at;
        pair += 1;
    }
    all
}

/// What [`XML`] replaces. Written out, and without branches, so that the compiler looks at a whole block at once.
#[allow(clippy::needless_bitwise_bool)]
fn in_xml(byte: u8) -> bool {
    (byte == b'&') | (byte == b'<') | (byte == b'>') | (byte == b'"') | (byte == b'\'')
}

/// What [`JSON`] replaces.
#[allow(clippy::needless_bitwise_bool)]
fn in_json(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte == b'\n') | (byte == b'\t')
}

/// Appends the text, escaped. In most blocks there is nothing to do; the others are written byte by byte, each with as
/// many bytes as the longest replacement has, over whose end the next one is written: without a branch to be guessed wrong.
fn escaped(out: &mut Vec<u8>, text: &str, replacements: &Replacements, is_replaced: impl Fn(u8) -> bool) {
    let mut scratch = [0; WINDOW * LONGEST];
    for window in text.as_bytes().chunks(WINDOW) {
        let mut end = 0;
        for block in window.chunks(BLOCK) {
            if let Ok(block) = <&[u8; BLOCK]>::try_from(block)
                && block.iter().fold(0, |any, byte| any | u8::from(is_replaced(*byte))) == 0
            {
                scratch[end..end + BLOCK].copy_from_slice(block);
                end += BLOCK;
                continue;
            }
            for byte in block {
                let (written, length) = &replacements[usize::from(*byte)];
                scratch[end..end + LONGEST].copy_from_slice(written);
                end += usize::from(*length);
            }
        }
        out.extend_from_slice(&scratch[..end]);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::markup::escape::xml_chars;

    /// The same text, written by the crates.
    fn by_the_crates(text: &str) -> [String; 3] {
        let rss = rss::Item { content: Some(text.to_owned()), ..rss::Item::default() };
        let rss = rss::Channel { items: vec![rss], ..rss::Channel::default() }.to_string();
        let content = atom_syndication::Content {
            value: Some(text.to_owned()),
            content_type: Some("html".to_owned()),
            ..atom_syndication::Content::default()
        };
        let entry = atom_syndication::Entry { content: Some(content), ..atom_syndication::Entry::default() };
        let atom = atom_syndication::Feed { entries: vec![entry], ..atom_syndication::Feed::default() }.to_string();
        [rss, atom, serde_json::to_string(&serde_json::json!({ "content_html": text })).unwrap()]
    }

    #[test]
    fn what_is_replaced_is_told_twice_and_alike() {
        for (replacements, is_replaced) in [(&XML, in_xml as fn(u8) -> bool), (&JSON, in_json)] {
            for byte in 0..=u8::MAX {
                let (written, length) = replacements[usize::from(byte)];
                assert_eq!(is_replaced(byte), (written[0], length) != (byte, 1), "{byte}");
            }
        }
    }

    fn both_ways_are_equal(text: &str) {
        let around = by_the_crates(MARK);
        let wanted = by_the_crates(text);
        for ((around, wanted), writing) in around.iter().zip(&wanted).zip([Writing::Cdata, Writing::Xml, Writing::Json])
        {
            let spliced = String::from_utf8(splice(around, text, writing)).unwrap();
            assert_eq!(spliced, *wanted, "{writing:?} of {text:?}");
        }
    }

    #[test]
    fn a_text_is_written_as_the_crates_write_it() {
        for text in ["", "x", "]]>", "]]]>]]>", "]]", ">", "a\tb\n\"c\" 'd' \\ & < é 🗞 ]]&gt;", "\u{2028}\u{7e}"] {
            both_ways_are_equal(text);
        }
    }

    #[test]
    fn without_a_mark_nothing_happens() {
        assert_eq!(splice("<item></item>", "text", Writing::Xml), b"<item></item>");
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_the_crates_write_it(
            text in prop::collection::vec(
                prop_oneof![
                    Just("]]>".to_owned()),
                    Just("]".to_owned()),
                    "[<>&\"'\\\\\n\t\\]]{0,3}",
                    ".{0,4}",
                    // Blocks and windows with nothing in them, and with nothing else.
                    "[a-z ]{10,40}",
                    "\"{10,40}",
                    "[&'é]{200,300}",
                ],
                0..30,
            ),
        ) {
            both_ways_are_equal(&xml_chars(&text.concat()));
        }
    }
}
