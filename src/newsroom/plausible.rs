//! What a text must look like to be taken for an address, a language, a line.

use url::Url;

/// One line of plain text: no control characters, no spaces at its ends, single spaces inside.
pub fn line_of(text: &str) -> String {
    if is_line(text) {
        return text.to_owned();
    }
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text is a line already, and that is cheap to see: nothing but single spaces between visible characters, and no
/// character beyond ASCII that could be a space or a control.
fn is_line(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Spaces and controls beyond ASCII begin with one of these.
    let beyond = |byte: u8| matches!(byte, 0xC2 | 0xE1..=0xE3);
    bytes.first().is_none_or(|byte| *byte != b' ')
        && bytes.last().is_none_or(|byte| *byte != b' ')
        && !bytes.iter().any(|byte| *byte < b' ' || *byte == 0x7F || beyond(*byte))
        && !bytes.windows(2).any(|pair| pair == b"  ")
}

/// Whether a text looks like a language tag (BCP 47): a language of two or three letters, and subtags.
pub fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().is_some_and(|l| matches!(l.len(), 2 | 3) && l.chars().all(|c| c.is_ascii_alphabetic()));
    language && parts.all(|p| (1..=8).contains(&p.len()) && p.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// An http(s) address, relative to `base` or whole.
pub fn web_address(base: &Url, text: &str) -> Option<Url> {
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return None;
    }
    base.join(text).ok().filter(is_web)
}

/// Whether an address is an http(s) one with a host.
pub fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http") && url.has_host()
}

/// Whether a text looks like a media type: `audio/mpeg`.
pub fn is_media_type(text: &str) -> bool {
    let token = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c));
    text.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_has_single_spaces_and_no_controls() {
        for (text, line) in [
            ("", ""),
            (" a", "a"),
            ("a  b\tc\n", "a b c"),
            ("a\u{85}b\u{3000}c\u{2003}d\u{1680}e", "a b c d e"),
            ("é – 日本", "é – 日本"),
        ] {
            assert_eq!(line_of(text), line);
        }
    }

    #[test]
    fn no_space_or_control_is_overlooked() {
        let spaces = (char::MIN..=char::MAX).filter(|c| c.is_control() || c.is_whitespace() && *c != ' ');
        assert_eq!(spaces.filter(|c| is_line(&format!("a{c}b"))).count(), 0);
    }

    proptest! {
        #[test]
        fn what_is_a_line_already_stays_as_it_is(
            text in prop_oneof!["\\PC{0,8}", "[ a-zé\u{85}\u{a0}\u{2000}-\u{206f}\t日]{0,8}", any::<String>()],
        ) {
            let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            prop_assert_eq!(line_of(&text), spaced.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
