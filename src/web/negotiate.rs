//! What a request's headers ask for. Pure.

use hyper::header::{HeaderName, HeaderValue};
use std::str;
use std::time::SystemTime;

/// What of a request for a file decides the answer. Whoever parsed the request, this is made of it in one way, so the
/// answer is the same.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    /// The target's path, as it was written.
    pub(crate) path: &'a str,
    accept_encoding: Lines<'a>,
    if_none_match: Lines<'a>,
    if_modified_since: Lines<'a>,
    a_im: Lines<'a>,
}

/// The values of a header that may come on several lines; nearly always it comes on one.
#[derive(Debug, Default)]
struct Lines<'a> {
    first: Option<&'a [u8]>,
    more: Vec<&'a [u8]>,
}

impl<'a> Asked<'a> {
    /// A request for this path, without headers.
    pub(crate) fn new(path: &'a str) -> Asked<'a> {
        Asked { path, ..Asked::default() }
    }

    /// Takes notice of a header, if it is one that matters; `name` in letters of any case.
    pub(crate) fn note(&mut self, name: &str, value: &'a [u8]) {
        let (lines, known) = match name.len() {
            4 => (&mut self.a_im, "a-im"),
            13 => (&mut self.if_none_match, "if-none-match"),
            15 => (&mut self.accept_encoding, "accept-encoding"),
            17 => (&mut self.if_modified_since, "if-modified-since"),
            _ => return,
        };
        if name.eq_ignore_ascii_case(known) {
            match lines.first {
                None => lines.first = Some(value),
                Some(_) => lines.more.push(value),
            }
        }
    }
}

impl<'a> Lines<'a> {
    fn each(&self) -> impl Iterator<Item = &'a [u8]> {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    /// Those that are text.
    fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.each().filter_map(|value| str::from_utf8(value).ok())
    }
}

/// How a body is coded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl Encoding {
    /// In the order of preference where a request has none: the smallest first.
    pub(crate) const ALL: [Encoding; 4] = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip, Encoding::Identity];

    /// The name in `Content-Encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
        }
    }

    fn named(name: &str) -> Option<Encoding> {
        let name = name.strip_prefix("x-").unwrap_or(name);
        Encoding::ALL.into_iter().find(|encoding| encoding.name().eq_ignore_ascii_case(name))
    }
}

/// The encodings that a request accepts, each with its weight in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted([u16; 4]);

impl Accepted {
    /// Reads `Accept-Encoding` (RFC 9110, section 12.5.3). Without the header anything may be sent, and identity is what
    /// every reader understands.
    pub(crate) fn of(asked: &Asked<'_>) -> Accepted {
        let mut weights: [Option<u16>; 4] = [None; 4];
        let mut rest = None;
        for text in asked.accept_encoding.texts() {
            for element in text.split(',') {
                let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
                let weight = weight(parameters);
                if name.trim() == "*" {
                    rest = Some(weight);
                } else if let Some(encoding) = Encoding::named(name.trim()) {
                    weights[encoding as usize] = Some(weight);
                }
            }
        }
        let mut accepted = [0; 4];
        for encoding in Encoding::ALL {
            // Identity is acceptable unless it is named with zero, or `*` is; it weighs least unless named.
            let unnamed = match (encoding, rest) {
                (_, Some(weight)) => weight,
                (Encoding::Identity, None) => 1,
                (_, None) => 0,
            };
            accepted[encoding as usize] = weights[encoding as usize].unwrap_or(unnamed);
        }
        Accepted(accepted)
    }

    /// The one to send, of those there are: the heaviest, and of equals the smallest. `None`: there is none that the
    /// request accepts.
    pub(crate) fn best(self, exists: impl Fn(Encoding) -> bool) -> Option<Encoding> {
        let mut best: Option<Encoding> = None;
        for encoding in Encoding::ALL {
            let weight = self.0[encoding as usize];
            if weight > 0 && exists(encoding) && best.is_none_or(|b| weight > self.0[b as usize]) {
                best = Some(encoding);
            }
        }
        best
    }
}

/// `q=0.5` in thousandths; a weight that cannot be read is 1.
fn weight(parameters: &str) -> u16 {
    for parameter in parameters.split(';') {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if !name.trim().eq_ignore_ascii_case("q") {
            continue;
        }
        let Ok(q) = value.trim().parse::<f32>() else { return 1000 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1000
        return (q.clamp(0.0, 1.0) * 1000.0) as u16;
    }
    1000
}

/// Whether the client has this representation already (RFC 9110, section 13.2.2): `If-None-Match` decides if it is
/// there, `If-Modified-Since` only if it is not.
///
/// `tag` is the representation's entity tag with its quotation marks; `modified` is in whole seconds, and
/// `modified_text` is the same as we write it.
pub(crate) fn has_it(asked: &Asked<'_>, tag: &HeaderValue, modified: SystemTime, modified_text: &HeaderValue) -> bool {
    if asked.if_none_match.first.is_some() {
        return tags(asked).any(|given| given == b"*" || given == tag.as_bytes());
    }
    let Some(since) = asked.if_modified_since.first else { return false };
    // Nearly always it is the very text that we sent.
    since == modified_text.as_bytes()
        || str::from_utf8(since)
            .ok()
            .and_then(|s| httpdate::parse_http_date(s).ok())
            .is_some_and(|since| modified <= since)
}

/// The entity tags of `If-None-Match`, with their quotation marks and without `W/`: the comparison is the weak one.
pub(crate) fn tags<'a>(asked: &Asked<'a>) -> impl Iterator<Item = &'a [u8]> {
    asked.if_none_match.each().flat_map(Tags)
}

/// Splits a list of entity tags; a comma may stand inside one.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        if let [b'W', b'/', rest @ ..] = self.0 {
            self.0 = rest;
        }
        match self.0 {
            [b'*', rest @ ..] => {
                self.0 = rest;
                Some(b"*")
            }
            [b'"', rest @ ..] => {
                let end = rest.iter().position(|&b| b == b'"')? + 2;
                let (tag, after) = self.0.split_at(end);
                self.0 = after;
                Some(tag)
            }
            // Not an entity tag; some clients forget the quotation marks, and that is no match.
            _ => None,
        }
    }
}

/// `A-IM` (RFC 3229).
pub(crate) const A_IM: HeaderName = HeaderName::from_static("a-im");

/// `IM` (RFC 3229).
pub(crate) const IM: HeaderName = HeaderName::from_static("im");

/// Whether the client takes the instance manipulation `feed`: only the items that it has not.
pub(crate) fn wants_only_new(asked: &Asked<'_>) -> bool {
    asked.a_im.texts().flat_map(|text| text.split(',')).any(|element| {
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        name.trim().eq_ignore_ascii_case("feed") && weight(parameters) > 0
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const IF_NONE_MATCH: &str = "If-None-Match";
    const IF_MODIFIED_SINCE: &str = "if-modified-since";

    fn asked<'a>(pairs: &[(&str, &'a str)]) -> Asked<'a> {
        let mut asked = Asked::new("/feeds/rss.xml");
        for (name, value) in pairs {
            asked.note(name, value.as_bytes());
        }
        asked
    }

    #[test]
    fn the_heaviest_encoding_wins_and_of_equals_the_smallest() {
        let all = |_| true;
        for (value, wanted) in [
            ("", Some(Encoding::Identity)),
            ("gzip", Some(Encoding::Gzip)),
            ("x-gzip", Some(Encoding::Gzip)),
            ("GZIP;Q=0.5", Some(Encoding::Gzip)),
            ("gzip, deflate, br", Some(Encoding::Brotli)),
            ("gzip, deflate, br, zstd", Some(Encoding::Brotli)),
            ("gzip;q=1.0, br;q=0.8", Some(Encoding::Gzip)),
            ("gzip;q=0", Some(Encoding::Identity)),
            ("gzip;q=0.001", Some(Encoding::Gzip)),
            ("*", Some(Encoding::Brotli)),
            ("*;q=0.1, gzip;q=0.2", Some(Encoding::Gzip)),
            ("br;q=0, *", Some(Encoding::Zstd)),
            ("identity", Some(Encoding::Identity)),
            ("identity, gzip;q=0.9", Some(Encoding::Identity)),
            ("deflate", Some(Encoding::Identity)),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("*;q=0, gzip", Some(Encoding::Gzip)),
            ("gzip;q=nonsense", Some(Encoding::Gzip)),
            (";;,,=", Some(Encoding::Identity)),
        ] {
            assert_eq!(Accepted::of(&asked(&[("Accept-Encoding", value)])).best(all), wanted, "{value:?}");
        }
        assert_eq!(Accepted::of(&asked(&[])).best(all), Some(Encoding::Identity));
    }

    #[test]
    fn what_is_not_there_is_not_chosen() {
        let accepted =
            Accepted::of(&asked(&[("accept-encoding", "br, gzip;q=0.5"), ("ACCEPT-ENCODING", "identity;q=0.4")]));
        assert_eq!(accepted.best(|e| e != Encoding::Brotli), Some(Encoding::Gzip));
        assert_eq!(accepted.best(|e| e == Encoding::Identity), Some(Encoding::Identity));
        assert_eq!(accepted.best(|e| e == Encoding::Zstd), None);
    }

    #[test]
    fn if_none_match_is_a_list_compared_weakly_and_wins_over_the_date() {
        let modified = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let text = HeaderValue::from_str(&httpdate::fmt_http_date(modified)).unwrap();
        let later = httpdate::fmt_http_date(modified + Duration::from_secs(1));
        let earlier = httpdate::fmt_http_date(modified - Duration::from_secs(1));
        let tag = HeaderValue::from_static("\"a,b\"");
        let check = |pairs: &[(&str, &str)]| has_it(&asked(pairs), &tag, modified, &text);
        assert!(check(&[(IF_NONE_MATCH, "\"a,b\"")]));
        assert!(check(&[(IF_NONE_MATCH, "W/\"a,b\"")]));
        assert!(check(&[(IF_NONE_MATCH, "\"x\", W/\"y\" ,\"a,b\"")]));
        assert!(check(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a,b\"")]));
        assert!(check(&[(IF_NONE_MATCH, "*")]));
        for other in ["\"a\"", "\"x\", \"b\"", "a,b", "\"a,b", "", "\"\"", "w/\"a,b\"", "\"W/a,b\""] {
            assert!(!check(&[(IF_NONE_MATCH, other)]), "{other:?}");
        }
        assert!(check(&[(IF_MODIFIED_SINCE, text.to_str().unwrap())]));
        assert!(check(&[(IF_MODIFIED_SINCE, &later)]));
        assert!(!check(&[(IF_MODIFIED_SINCE, &earlier)]));
        assert!(!check(&[(IF_MODIFIED_SINCE, "yesterday")]));
        assert!(!check(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, &later)]), "the tag decides");
        assert!(check(&[(IF_NONE_MATCH, "\"a,b\""), (IF_MODIFIED_SINCE, &earlier)]), "the tag decides");
        assert!(!check(&[]));
    }

    #[test]
    fn only_the_word_feed_asks_for_what_is_new() {
        for (value, wanted) in [("feed", true), ("vcdiff, Feed;q=0.5", true), ("feed;q=0", false), ("feeds", false)] {
            assert_eq!(wants_only_new(&asked(&[("A-IM", value)])), wanted, "{value}");
        }
    }
}
