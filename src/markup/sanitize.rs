//! Makes HTML from strangers safe to show, and its links absolute.
//!
//! What stays is what an article needs and every feed reader and mail program shows; there is no script, no form, no
//! frame, no style and no address that is relative or of an active kind.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ammonia::Builder;
use url::Url;

use super::{absolute, escape, nesting};

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "article",
    "aside",
    "audio",
    "b",
    "bdi",
    "bdo",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "picture",
    "pre",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "section",
    "small",
    "source",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "u",
    "ul",
    "var",
    "video",
    "wbr",
];

/// These go with all that is in them; of any other unknown element the words stay.
const GONE_WITH_CONTENT: &[&str] = &[
    "script",
    "style",
    "template",
    "noscript",
    "iframe",
    "frame",
    "frameset",
    "noframes",
    "object",
    "embed",
    "applet",
    "svg",
    "math",
    "textarea",
    "select",
    "title",
    "head",
    "xmp",
    "noembed",
    "plaintext",
];

const ANYWHERE: &[&str] = &[
    "lang",
    "dir",
    "title",
    "class",
    "id",
    "aria-label",
    "data-footnotes",
    "data-footnote-ref",
    "data-footnote-backref",
    "data-footnote-backref-idx",
];

const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href", "hreflang"]),
    ("audio", &["src", "controls"]),
    ("blockquote", &["cite"]),
    ("col", &["span", "align"]),
    ("colgroup", &["span", "align"]),
    ("del", &["cite", "datetime"]),
    ("img", &["src", "srcset", "sizes", "alt", "width", "height"]),
    ("ins", &["cite", "datetime"]),
    ("li", &["value"]),
    ("ol", &["start", "type", "reversed"]),
    ("q", &["cite"]),
    ("source", &["src", "srcset", "sizes", "type", "media"]),
    ("td", &["align", "colspan", "rowspan", "headers"]),
    ("th", &["align", "colspan", "rowspan", "headers", "scope"]),
    ("time", &["datetime"]),
    ("tr", &["align"]),
    ("video", &["src", "poster", "controls", "width", "height"]),
];

/// Schemes that reach the attribute filter, which knows which of them may stand where.
const SCHEMES: &[&str] = &["http", "https", "mailto", "tel", "data"];

/// Classes that mean something: Markdown's footnotes. Those of code (`language-rust`) stay too.
const CLASSES: &[&str] = &["footnotes", "footnote-ref", "footnote-backref"];

/// HTML from outside, made safe: nothing active, every address absolute against `base`, not nested deeper than
/// [`nesting::DEEPEST`], only characters that XML takes.
pub fn html(text: &str, base: &Url) -> String {
    // First of all: the parser would turn a forbidden character into something else, and a line end counts as one.
    let text = escape::xml_chars(text);
    let text = nesting::cap_outside(&text);
    let (key, own_base) = (footnote_key(base), base.clone());
    let mut builder = Builder::empty();
    builder
        .tags(set(TAGS))
        .clean_content_tags(set(GONE_WITH_CONTENT))
        .generic_attributes(set(ANYWHERE))
        .tag_attributes(ATTRIBUTES.iter().map(|(tag, names)| (*tag, set(names))).collect::<HashMap<_, _>>())
        .url_schemes(set(SCHEMES))
        .link_rel(None)
        .attribute_filter(move |tag, name, value| attribute(tag, name, value, &own_base, &key));
    let clean = builder.clean(&text).to_string();
    // A character reference may have brought a forbidden character in.
    let clean = match nesting::cap_written(&clean) {
        Cow::Borrowed(_) => clean,
        Cow::Owned(capped) => capped,
    };
    match escape::xml_chars(&clean) {
        Cow::Borrowed(_) => clean,
        Cow::Owned(sound) => sound,
    }
}

/// What the ids of an article's footnotes begin with, so that several articles can stand on one page.
/// Made from the article's address; FNV-1a, because it must never change.
pub(super) fn footnote_key(base: &Url) -> String {
    let hash =
        base.as_str().bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

fn set(names: &[&'static str]) -> HashSet<&'static str> {
    names.iter().copied().collect()
}

fn attribute<'v>(tag: &str, name: &str, value: &'v str, base: &Url, key: &str) -> Option<Cow<'v, str>> {
    match (tag, name) {
        ("a", "href") | (_, "cite") => absolute::link(base, value).map(Cow::Owned),
        ("img", "src") => absolute::picture(base, value).map(Cow::Owned),
        (_, "src" | "poster") => absolute::loaded(base, value).map(Cow::Owned),
        (_, "srcset") => absolute::source_set(base, value).map(Cow::Owned),
        (_, "dir") => {
            ["ltr", "rtl", "auto"].contains(&value.to_ascii_lowercase().as_str()).then_some(Cow::Borrowed(value))
        }
        (_, "class") => {
            let kept: Vec<_> = value.split_ascii_whitespace().filter(|class| meaningful(class)).collect();
            (!kept.is_empty()).then(|| Cow::Owned(kept.join(" ")))
        }
        // Ids of the text itself would collide with those of the page it is shown on; a link to one leads to the site.
        (_, "id") => ["fn-", "fnref-"]
            .iter()
            .any(|kind| value.strip_prefix(kind).and_then(|v| v.strip_prefix(key)).is_some_and(|v| v.starts_with('-')))
            .then_some(Cow::Borrowed(value)),
        _ => Some(Cow::Borrowed(value)),
    }
}

fn meaningful(class: &str) -> bool {
    CLASSES.contains(&class)
        || class
            .strip_prefix("language-")
            .is_some_and(|l| l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'#' | b'_')))
}
