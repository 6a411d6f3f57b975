//! Addresses: absolute, of a harmless kind, and written so that the strictest reader takes them.

use std::fmt::Write as _;

use url::Url;

/// Where a link may lead.
const LINK_SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

/// What a reader's program may load by itself.
const LOADED_SCHEMES: [&str; 2] = ["http", "https"];

/// Pictures that may be written into the text itself (`data:`, base64). No SVG: it can hold scripts.
const INLINE_PICTURES: [&str; 5] = ["png", "gif", "jpeg", "jpg", "webp"];

/// Where this link leads, seen from `base`; `None` where it leads nowhere a reader should go.
pub fn link(base: &Url, address: &str) -> Option<String> {
    resolve(base, address, &LINK_SCHEMES)
}

/// A picture, sound or film, seen from `base`; `None` where no reader should load it.
pub fn loaded(base: &Url, address: &str) -> Option<String> {
    resolve(base, address, &LOADED_SCHEMES)
}

/// A picture: as [`loaded`], or small and inline.
pub fn picture(base: &Url, address: &str) -> Option<String> {
    if inline_picture(address) { Some(address.trim().to_owned()) } else { loaded(base, address) }
}

/// A `srcset` (HTML, section 4.8.4.2.1): its sound candidates, or `None` if there are none.
pub fn source_set(base: &Url, candidates: &str) -> Option<String> {
    let mut rest = candidates;
    let mut sound = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            break;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (address, after) = rest.split_at(end);
        let bare = address.trim_end_matches(',');
        let descriptor = if bare.len() == address.len() {
            let end = after.find(',').unwrap_or(after.len());
            let (descriptor, behind) = after.split_at(end);
            rest = behind;
            descriptor.trim()
        } else {
            rest = after;
            ""
        };
        let plain = descriptor.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == ' ');
        if let Some(url) = loaded(base, bare).filter(|_| plain) {
            // A comma parts the candidates, and simple readers part at every one.
            let url = url.replace(',', "%2C");
            sound.push(if descriptor.is_empty() { url } else { format!("{url} {descriptor}") });
        }
    }
    (!sound.is_empty()).then(|| sound.join(", "))
}

fn resolve(base: &Url, address: &str, schemes: &[&str]) -> Option<String> {
    if address.trim().is_empty() {
        return None;
    }
    let url = base.join(address).ok()?;
    if !schemes.contains(&url.scheme()) {
        return None;
    }
    let there =
        if url.cannot_be_a_base() { !url.path().is_empty() } else { url.host_str().is_some_and(|h| !h.is_empty()) };
    there.then(|| written(&url))
}

/// The address with every character escaped that RFC 3986 does not allow; the URL Standard leaves some as they are.
pub fn written(url: &Url) -> String {
    let text = url.as_str();
    if text.bytes().all(is_uri_byte) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_uri_byte(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'{' | b'}' | b'|' | b'\\' | b'^' | b'`')
}

fn inline_picture(address: &str) -> bool {
    let Some((head, data)) = address.trim().split_once(',') else { return false };
    let head = head.to_ascii_lowercase();
    let kind = head.strip_prefix("data:image/").and_then(|h| h.strip_suffix(";base64"));
    kind.is_some_and(|k| INLINE_PICTURES.contains(&k))
        && !data.is_empty()
        && data.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://acero-advocate.example/world/piece?x=1").unwrap()
    }

    #[test]
    fn links_are_absolute_and_harmless() {
        for (address, wanted) in [
            ("other", Some("https://acero-advocate.example/world/other")),
            ("/top", Some("https://acero-advocate.example/top")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            ("#part", Some("https://acero-advocate.example/world/piece?x=1#part")),
            ("?q=a|b", Some("https://acero-advocate.example/world/piece?q=a%7Cb")),
            ("https://bücher.example/straße", Some("https://xn--bcher-kva.example/stra%C3%9Fe")),
            ("mailto:a@b.example", Some("mailto:a@b.example")),
            ("tel:+49 30", Some("tel:+49%2030")),
            ("mailto:", None),
            ("", None),
            ("  ", None),
            ("javascript:alert(1)", None),
            ("JaVaScRiPt:alert(1)", None),
            ("java\nscript:alert(1)", None),
            ("\u{1}javascript:alert(1)", None),
            ("vbscript:x", None),
            ("data:text/html,<script>", None),
            ("file:///etc/passwd", None),
            ("blob:https://x.example/1", None),
            ("http://[broken", None),
            ("ftp://x.example/", None),
        ] {
            assert_eq!(link(&base(), address).as_deref(), wanted, "{address:?}");
        }
    }

    #[test]
    fn pictures_may_be_inline_but_not_active() {
        let png = "data:image/png;base64,iVBORw0KGgo=";
        assert_eq!(picture(&base(), png).as_deref(), Some(png));
        assert_eq!(picture(&base(), "data:image/svg+xml;base64,PHN2Zz4="), None);
        assert_eq!(picture(&base(), "data:image/png,\"><script>"), None);
        assert_eq!(picture(&base(), "mailto:x@y.example"), None);
        assert_eq!(link(&base(), png), None);
    }

    #[test]
    fn a_source_set_keeps_its_sound_candidates() {
        for (set, wanted) in [
            ("a.jpg", Some("https://acero-advocate.example/world/a.jpg")),
            (
                "a.jpg 1x,  /b.jpg 2x",
                Some("https://acero-advocate.example/world/a.jpg 1x, https://acero-advocate.example/b.jpg 2x"),
            ),
            ("a,b.jpg 300w", Some("https://acero-advocate.example/world/a%2Cb.jpg 300w")),
            ("javascript:x 1x, ok.png 2x", Some("https://acero-advocate.example/world/ok.png 2x")),
            ("x.png, ,", Some("https://acero-advocate.example/world/x.png")),
            ("", None),
            ("javascript:x", None),
        ] {
            assert_eq!(source_set(&base(), set).as_deref(), wanted, "{set:?}");
        }
    }
}
