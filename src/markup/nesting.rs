//! Depth of HTML. Programs that read it recursively fall over when it is nested some thousand times, and the fastest
//! sanitiser becomes slow; no text needs it.

use std::borrow::Cow;

/// Elements deeper than this lose their tags; their words stay.
pub const DEEPEST: usize = 200;

const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];

/// Elements that people leave open (HTML, section 13.1.2.4): in what comes from outside, an opened one says nothing
/// about depth, and each can only nest inside one that is counted.
const LEFT_OPEN: [&str; 18] = [
    "body", "caption", "colgroup", "dd", "dt", "head", "html", "li", "optgroup", "option", "p", "rp", "rt", "tbody",
    "td", "tfoot", "th", "tr",
];

/// What comes from outside: tags may be missing, so only those that must be closed count.
pub fn cap_outside(html: &str) -> Cow<'_, str> {
    cap_outside_at(html, DEEPEST)
}

/// The same with another limit.
pub fn cap_outside_at(html: &str, deepest: usize) -> Cow<'_, str> {
    cap(html, deepest, &|name| LEFT_OPEN.contains(&name))
}

/// What a serialiser wrote: every element is closed, so all of them count.
pub fn cap_written(html: &str) -> Cow<'_, str> {
    cap(html, DEEPEST, &|_| false)
}

fn cap<'a>(html: &'a str, deepest: usize, ignored: &dyn Fn(&str) -> bool) -> Cow<'a, str> {
    let mut open: Vec<String> = Vec::new();
    let mut beyond = 0_usize;
    let mut out: Option<String> = None;
    let mut kept = 0;
    for tag in Tags(html, 0) {
        let name = tag.name.to_ascii_lowercase();
        if VOID.contains(&name.as_str()) || ignored(&name) {
            continue;
        }
        let drop = if tag.closes {
            if beyond > 0 {
                beyond -= 1;
                true
            } else {
                if let Some(at) = open.iter().rposition(|o| *o == name) {
                    open.truncate(at);
                }
                false
            }
        } else if open.len() >= deepest {
            beyond += 1;
            true
        } else {
            open.push(name);
            false
        };
        if drop {
            let out = out.get_or_insert_with(|| String::with_capacity(html.len()));
            out.push_str(&html[kept..tag.start]);
            kept = tag.end;
        }
    }
    match out {
        None => Cow::Borrowed(html),
        Some(mut out) => {
            out.push_str(&html[kept..]);
            Cow::Owned(out)
        }
    }
}

/// A tag as it stands in the text.
pub(super) struct Tag<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) name: &'a str,
    pub(super) closes: bool,
}

/// The tags of a text, one after the other; comments and declarations are passed over.
pub(super) struct Tags<'a>(pub(super) &'a str, pub(super) usize);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let text = self.0;
        let bytes = text.as_bytes();
        loop {
            let start = self.1 + text.get(self.1..)?.find('<')?;
            let after = &text[start + 1..];
            if after.starts_with("!--") {
                self.1 = after.find("-->").map_or(text.len(), |n| start + 1 + n + 3);
                continue;
            }
            if after.starts_with(['!', '?']) {
                self.1 = after.find('>').map_or(text.len(), |n| start + 1 + n + 1);
                continue;
            }
            let closes = after.starts_with('/');
            let name_at = start + 1 + usize::from(closes);
            if !bytes.get(name_at).is_some_and(u8::is_ascii_alphabetic) {
                self.1 = start + 1;
                continue;
            }
            let name_end = name_at
                + text[name_at..]
                    .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')
                    .unwrap_or(text.len() - name_at);
            let mut quote = None;
            let mut end = text.len();
            for (at, byte) in bytes.iter().enumerate().skip(name_end) {
                match (quote, byte) {
                    (None, b'>') => {
                        end = at + 1;
                        break;
                    }
                    // A quote begins a value only after `=`; elsewhere it is part of a name.
                    (None, b'"' | b'\'') if text[..at].trim_end().ends_with('=') => quote = Some(byte),
                    (Some(q), byte) if q == byte => quote = None,
                    _ => {}
                }
            }
            self.1 = end;
            return Some(Tag { start, end, name: &text[name_at..name_end], closes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_deep_stays_as_it_is() {
        let deep = format!("{}x{}", "<div>".repeat(DEEPEST), "</div>".repeat(DEEPEST));
        for html in ["<p>a<br>b", "<li>".repeat(5000).as_str(), "<b>".repeat(DEEPEST).as_str(), "a < b", &deep] {
            assert!(matches!(cap_outside(html), Cow::Borrowed(_)), "{}", &html[..html.len().min(40)]);
        }
        assert!(matches!(cap_written(&deep), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_deeper_loses_its_tags_but_not_its_words() {
        let deep = format!("{}x{}y", "<div>".repeat(DEEPEST + 1), "</div>".repeat(DEEPEST + 1));
        let capped = cap_written(&deep);
        assert_eq!(capped.matches("<div>").count(), DEEPEST);
        assert_eq!(capped.matches("</div>").count(), DEEPEST);
        assert!(capped.contains('x') && capped.ends_with('y'));
    }

    #[test]
    fn stray_ends_do_not_hide_depth() {
        let sly = "<div></b>".repeat(1000);
        assert_eq!(cap_outside(&sly).matches("<div>").count(), DEEPEST);
    }

    #[test]
    fn tags_are_found_where_a_browser_finds_them() {
        let found: Vec<_> =
            Tags("a<b c='>'>d</b><!-- <i> --><!doctype x><3 <u", 0).map(|t| (t.name, t.closes)).collect();
        assert_eq!(found, [("b", false), ("b", true), ("u", false)]);
    }
}
