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
pub(super) fn splice(around: &str, text: &str, writing: Writing) -> String {
    let Some(at) = memmem::find(around.as_bytes(), MARK.as_bytes()) else { return around.to_owned() };
    let (before, after) = (&around[..at], &around[at + MARK.len()..]);
    let escapes = match writing {
        Writing::Cdata => 0,
        Writing::Xml | Writing::Json => text.len() / 4,
    };
    let mut out = String::with_capacity(around.len() + text.len() + escapes);
    out.push_str(before);
    match writing {
        Writing::Xml => escaped(&mut out, text, |byte| match byte {
            b'&' => Some("&amp;"),
            b'<' => Some("&lt;"),
            b'>' => Some("&gt;"),
            b'"' => Some("&quot;"),
            b'\'' => Some("&apos;"),
            _ => None,
        }),
        // The sequence that ends a section is parted between two.
        Writing::Cdata => {
            let mut copied = 0;
            for at in memmem::find_iter(text.as_bytes(), b"]]>") {
                out.push_str(&text[copied..at]);
                out.push_str("]]]]><![CDATA[");
                copied = at + 2;
            }
            out.push_str(&text[copied..]);
        }
        Writing::Json => escaped(&mut out, text, |byte| match byte {
            b'"' => Some("\\\""),
            b'\\' => Some("\\\\"),
            b'\n' => Some("\\n"),
            b'\t' => Some("\\t"),
            // No text of ours has other control characters.
            _ => None,
        }),
    }
    out.push_str(after);
    out
}

/// Copies whole stretches. Every byte that `replaced` knows is ASCII, so the cuts fall between characters.
fn escaped(out: &mut String, text: &str, replaced: impl Fn(u8) -> Option<&'static str>) {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(replacement) = replaced(byte) {
            out.push_str(&text[copied..at]);
            out.push_str(replacement);
            copied = at + 1;
        }
    }
    out.push_str(&text[copied..]);
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

    fn both_ways_are_equal(text: &str) {
        let around = by_the_crates(MARK);
        let wanted = by_the_crates(text);
        for ((around, wanted), writing) in around.iter().zip(&wanted).zip([Writing::Cdata, Writing::Xml, Writing::Json])
        {
            assert_eq!(splice(around, text, writing), *wanted, "{writing:?} of {text:?}");
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
        assert_eq!(splice("<item></item>", "text", Writing::Xml), "<item></item>");
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_the_crates_write_it(
            text in prop::collection::vec(
                prop_oneof![Just("]]>".to_owned()), Just("]".to_owned()), "[<>&\"'\\\\\n\t\\]]{0,3}", ".{0,4}"],
                0..30,
            ),
        ) {
            both_ways_are_equal(&xml_chars(&text.concat()));
        }
    }
}
