//! What a text must look like to be taken for an address, a language, a line.

use url::Url;

/// One line of plain text: no control characters, no spaces at its ends, single spaces inside.
pub fn line_of(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
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
