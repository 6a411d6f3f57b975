//! Markdown and plain text to HTML.

use comrak::nodes::{NodeLink, NodeValue};
use comrak::{Arena, Node, Options};
use url::Url;

use super::{absolute, escape, nesting, sanitize};

/// An article's Markdown (`CommonMark` with tables, footnotes, strikethrough, bare links, description lists and English
/// typographic quotes) as HTML that is as safe as that of [`sanitize::html`]: links and pictures absolute against `base`,
/// which is the article's own address.
///
/// Most articles hold no HTML of their own. What the formatter writes for those is sound by construction, once the
/// addresses in the tree are; only the others pay for the sanitiser. The tests hold both ways against each other.
pub fn to_html(text: &str, base: &Url) -> String {
    let (html, sound) = written(text, base);
    if sound { html } else { sanitize::html(&html, base) }
}

/// What the formatter writes, and whether it is sound as it is.
pub(super) fn written(text: &str, base: &Url) -> (String, bool) {
    let text = escape::xml_chars(text);
    formatted(&text, base, false).or_else(|| formatted(&text, base, true)).unwrap_or_default()
}

/// As [`written`]. Looking for bare links costs the parser an eighth of its time, for it stops at every `w` and every `:`,
/// and most texts have none. So it looks only where `bare_links` says so; without, `None` where there may be some.
pub(super) fn formatted(text: &str, base: &Url, bare_links: bool) -> Option<(String, bool)> {
    if !bare_links && memchr::memmem::find(text.as_bytes(), b"www.").is_some() {
        return None;
    }
    let options = options(bare_links);
    let arena = Arena::new();
    let root = comrak::parse_document(&arena, text, &options);
    let key = sanitize::footnote_key(base);
    let shape = settle(root, base, &key);
    if shape.bare_links && !bare_links {
        return None;
    }
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    // Writing into a String does not fail.
    let _ = comrak::format_html(root, &options, &mut out);
    if shape.footnotes {
        // The formatter's own links, the only relative ones that are left: text and attributes have no bare `"`.
        out = out.replace(
            " href=\"#",
            &format!(" href=\"{}#", escape::attribute(&absolute::written(&without_fragment(base)))),
        );
    }
    if shape.raw || shape.deep {
        return Some((out, false));
    }
    // A character reference may have brought a forbidden character in.
    match escape::xml_chars(&out) {
        std::borrow::Cow::Borrowed(_) => Some((out, true)),
        std::borrow::Cow::Owned(sound) => Some((sound, true)),
    }
}

/// Plain text as HTML: an empty line parts paragraphs, a line end is a line break, addresses become links.
pub fn plain_text_to_html(text: &str) -> String {
    let text = escape::xml_chars(text);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().chain([""]) {
        let line = line.trim();
        if !line.is_empty() {
            lines.push(line);
        } else if !lines.is_empty() {
            let written: Vec<String> = lines.iter().map(|line| linked(line)).collect();
            out.push_str("<p>");
            out.push_str(&written.join("<br>\n"));
            out.push_str("</p>\n");
            lines.clear();
        }
    }
    out
}

fn options(bare_links: bool) -> Options<'static> {
    let mut options = Options::default();
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.autolink = bare_links;
    options.extension.footnotes = true;
    options.extension.description_lists = true;
    options.parse.smart = true;
    options.render.r#unsafe = true;
    options
}

/// What the formatter's output will hold.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)]
struct Shape {
    raw: bool,
    footnotes: bool,
    deep: bool,
    /// Text that may be a link without saying so.
    bare_links: bool,
}

/// Whether the parser, if it looked for bare links, could find one in a piece of text: it begins them at `://` and `@`. (Also
/// at `www.`, but of `www...` typography leaves no dot; so that one is looked for in what was written.)
fn may_link(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'@', b':', bytes).any(|at| bytes[at] == b'@' || bytes[at..].starts_with(b"://"))
}

/// Makes every address of the tree absolute and harmless (a bad link becomes its words, a bad picture its description),
/// and footnotes this article's own.
fn settle<'a>(root: Node<'a>, base: &Url, key: &str) -> Shape {
    let mut shape = Shape::default();
    let mut bad: Vec<Node<'a>> = Vec::new();
    let mut depth = 0_usize;
    for edge in root.traverse() {
        let node = match edge {
            comrak::arena_tree::NodeEdge::Start(node) => {
                depth += 1;
                // A list item, a cell of a table: no node makes more than three elements of itself.
                shape.deep |= depth > nesting::DEEPEST / 4;
                node
            }
            comrak::arena_tree::NodeEdge::End(_) => {
                depth -= 1;
                continue;
            }
        };
        match &mut node.data_mut().value {
            NodeValue::HtmlBlock(_) | NodeValue::HtmlInline(_) | NodeValue::Raw(_) => shape.raw = true,
            NodeValue::FootnoteDefinition(note) => {
                shape.footnotes = true;
                note.name = own(&note.name, key);
            }
            NodeValue::FootnoteReference(note) => {
                shape.footnotes = true;
                note.name = own(&note.name, key);
            }
            NodeValue::Text(text) => shape.bare_links |= may_link(text),
            NodeValue::Link(link) => bad.extend((!point(link, absolute::link(base, &link.url))).then_some(node)),
            NodeValue::Image(link) => bad.extend((!point(link, absolute::picture(base, &link.url))).then_some(node)),
            NodeValue::CodeBlock(code) => code.info = language(&code.info),
            _ => {}
        }
    }
    for node in bad {
        while let Some(child) = node.first_child() {
            node.insert_before(child);
        }
        node.detach();
    }
    shape
}

fn point(link: &mut NodeLink, to: Option<String>) -> bool {
    if let Some(to) = to {
        link.url = to;
        return true;
    }
    false
}

/// Footnotes are named by their authors, and the name becomes an id; only harmless characters go into it.
fn own(name: &str, key: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    format!("{key}-{name}")
}

/// The language of a code block; anything else in its info string is for other programs.
fn language(info: &str) -> String {
    let word = info.split(|c: char| c.is_whitespace() || c == ',' || c == '{').next().unwrap_or_default();
    word.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '#' | '_')).collect()
}

fn without_fragment(base: &Url) -> Url {
    let mut base = base.clone();
    base.set_fragment(None);
    base
}

/// A line of plain text, escaped, with its addresses as links.
fn linked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("https://").into_iter().chain(rest.find("http://")).min() {
        out.push_str(&escape::html(&rest[..at]));
        let end =
            rest[at..].find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).map_or(rest.len(), |n| at + n);
        let mut address = rest[at..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '’', '”', '»']);
        if address.ends_with(')') && !address.contains('(') {
            address = address.trim_end_matches(')');
        }
        match Url::parse(address) {
            Ok(url) if url.host_str().is_some_and(|h| !h.is_empty()) => {
                out.push_str("<a href=\"");
                out.push_str(&escape::attribute(&absolute::written(&url)));
                out.push_str("\">");
                out.push_str(&escape::html(address));
                out.push_str("</a>");
                rest = &rest[at + address.len()..];
            }
            _ => {
                // Not an address after all; `http` is at least four bytes of it.
                out.push_str(&escape::html(&rest[at..at + 4]));
                rest = &rest[at + 4..];
            }
        }
    }
    out.push_str(&escape::html(rest));
    out
}
