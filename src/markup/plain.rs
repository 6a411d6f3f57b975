//! HTML to plain text, for mails.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::nesting::{self, Tags};
use decorator::{Decorator, EMPTY, HEADING};
use layout::{columns, wrapped};
pub use words::{shortened, strip, summary};

mod decorator;
mod layout;
mod table;
mod words;

/// A text for people without pictures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlainText {
    /// Wrapped; no line ends in a space. `[3]` after a link's words stands for `links[2]`.
    pub text: String,
    /// Where the links lead, in the order of their numbers, each once.
    pub links: Vec<String>,
}

/// The narrowest text that is still wrapped; below it words break.
const NARROWEST: usize = 20;

/// Quotations and lists in each other: deeper ones would leave no room for words.
const DEEPEST: usize = 12;

/// Sanitised HTML as text of at most `width` columns (an address or a long word may stick out): headings underlined,
/// lists, quotations with `>`, tables in columns, links numbered. The caller prints the list of links.
pub fn text(html: &str, width: usize) -> PlainText {
    numbered(html, width, &mut Vec::new())
}

/// The same for one of several texts that share one list of links: numbers go on where `links` ends. Only `text` and the
/// longer `links` are of interest afterwards.
pub fn text_with_links(html: &str, width: usize, links: &mut Vec<String>) -> String {
    numbered(html, width, links).text
}

fn numbered(html: &str, width: usize, links: &mut Vec<String>) -> PlainText {
    let width = width.max(NARROWEST);
    let html = simplified(&nesting::cap_outside_at(html, DEEPEST), width);
    let decorator = Decorator { links: Rc::new(RefCell::new(links.clone())), open: Vec::new() };
    let found = decorator.links.clone();
    // html2text panics on some tables (rust-html2text#246, #274, #93); the words alone are better than none.
    let drawn = catch_unwind(AssertUnwindSafe(|| {
        html2text::config::with_decorator(decorator)
            .no_table_borders()
            .no_link_wrapping()
            .unicode_strikeout(false)
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), width)
            .ok()
    }));
    if let Ok(Some(drawn)) = drawn {
        links.clone_from(&found.borrow());
        PlainText { text: finished(&drawn), links: links.clone() }
    } else {
        PlainText { text: wrapped(&strip(&html), width), links: links.clone() }
    }
}

/// Without what plain text cannot show or html2text cannot take: tables are drawn here (html2text breaks words in narrow
/// columns and panics on joined cells), ways back from footnotes go, footnotes are set apart.
fn simplified(html: &str, width: usize) -> String {
    let html = &html.replace([HEADING[0], HEADING[1], EMPTY], "");
    let empty = format!("<p>{EMPTY}</p>");
    let mut out = String::with_capacity(html.len());
    let (mut at, mut back, mut tables, mut table_at, mut lists) = (0, false, 0_usize, 0, 0_usize);
    for tag in Tags(html, 0) {
        let (name, whole) = (tag.name.to_ascii_lowercase(), &html[tag.start..tag.end]);
        let kept = !back && tables == 0;
        if kept {
            out.push_str(&html[at..tag.start]);
        }
        at = tag.end;
        match (name.as_str(), tag.closes) {
            ("a", false) if whole.contains("class=\"footnote-backref\"") => back = true,
            ("a", true) if back => back = false,
            ("table", false) => {
                if tables == 0 {
                    table_at = tag.end;
                }
                tables += 1;
            }
            ("table", true) if tables > 0 => {
                tables -= 1;
                if tables == 0 {
                    out.push_str(&empty);
                    out.push_str(&table::drawn(&html[table_at..tag.start], width));
                }
            }
            ("section", false) if kept && whole.contains("class=\"footnotes\"") => out.push_str("<p>—————</p>"),
            ("ul" | "ol" | "dl" | "pre", closes) if kept => {
                if lists == 0 && !closes {
                    out.push_str(&empty);
                }
                if name != "pre" {
                    lists = if closes { lists.saturating_sub(1) } else { lists + 1 };
                }
                out.push_str(whole);
            }
            _ if kept => out.push_str(whole),
            _ => {}
        }
    }
    if tables > 0 {
        out.push_str(&table::drawn(&html[table_at..], width));
    } else if !back {
        out.push_str(&html[at..]);
    }
    out
}

/// Lines without spaces at their ends, headings underlined, never more than one empty line.
fn finished(drawn: &str) -> String {
    let mut out = String::with_capacity(drawn.len());
    let (mut underline, mut empty): (Option<(char, usize)>, bool) = (None, true);
    for line in drawn.lines().map(|line| line.trim_end().replace('\u{A0}', " ")) {
        let level = HEADING.iter().position(|mark| line.contains(*mark));
        let line = if level.is_some() { line.replace(HEADING, "") } else { line };
        let line = line.replace(EMPTY, "");
        let line = line.trim_end();
        if let (None, Some((c, wide))) = (level, underline) {
            out.extend(std::iter::repeat_n(c, wide));
            out.push('\n');
            underline = None;
            out.push('\n');
            empty = true;
        }
        if let Some(level) = level {
            if underline.is_none() && !empty {
                out.push('\n');
            }
            let wide = columns(line).max(underline.map_or(0, |(_, wide)| wide));
            underline = Some((['=', '-'][level], wide));
        }
        if line.is_empty() && empty {
            continue;
        }
        empty = line.is_empty();
        out.push_str(line);
        out.push('\n');
    }
    if let Some((c, wide)) = underline {
        out.extend(std::iter::repeat_n(c, wide));
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_well_without_pictures() {
        let html = "<h1>The <em>head</em></h1><p>A <a href=\"https://x.example/\">link</a>, <strong>bold</strong>.</p>\
                    <ul><li>one</li><li>two, <a href=\"https://y.example/\">other</a> and \
                    <a href=\"https://x.example/\">again</a></li></ul><blockquote><p>said</p></blockquote>\
                    <p><img src=\"https://x.example/i.png\" alt=\"A cat\"></p>";
        let plain = text(html, 40);
        assert_eq!(
            plain.text,
            "The _head_\n==========\n\nA link [1], *bold*.\n\n- one\n- two, other [2] and again [1]\n\n> said\n\n[Picture: A cat]"
        );
        assert_eq!(plain.links, ["https://x.example/", "https://y.example/"]);
    }

    #[test]
    fn tables_stand_in_columns_or_else_in_records() {
        let html = "<table><thead><tr><th>Party</th><th align=\"right\">Votes</th></tr></thead><tbody>\
                    <tr><td>Greens</td><td align=\"right\">1,234</td></tr><tr><td>Left</td><td align=\"right\">99</td></tr>\
                    </tbody></table>";
        assert_eq!(text(html, 40).text, "Party   Votes\n-------------\nGreens  1,234\nLeft       99");
        let wide = "<table><tr><th>Parliamentary</th><th>Representation</th></tr><tr><td>x</td><td>y</td></tr></table>";
        assert_eq!(text(wide, 20).text, "Parliamentary: x\nRepresentation: y");
    }

    #[test]
    fn the_tables_that_html2text_panics_on_are_read() {
        let plain = text("<table><tr><td colspan=3>a<td rowspan=2>b</table><table><tr><td>", 72);
        assert_eq!(plain.text, "a  b");
    }

    #[test]
    fn several_texts_share_one_list_of_links() {
        let mut links = vec!["https://x.example/".to_owned()];
        assert_eq!(text_with_links("<p><a href=\"https://y.example/\">y</a></p>", 72, &mut links), "y [2]");
        assert_eq!(links.len(), 2);
    }

    #[test]
    fn a_summary_is_the_first_real_paragraph() {
        let html = "<figure><figcaption><p>Caption that is long enough to be taken for a paragraph.</p></figcaption></figure>\
                    <p>By Nadia</p><p>The camp holds &lt;40,000&gt; people<sup class=\"footnote-ref\"><a>1</a></sup>. Most of them \
                    are children. Nobody knows how many will leave.</p>";
        assert_eq!(
            summary(html, 200),
            "The camp holds <40,000> people. Most of them are children. Nobody knows how many will leave."
        );
        assert_eq!(summary(html, 70), "The camp holds <40,000> people. Most of them are children.");
        assert_eq!(summary(html, 45), "The camp holds <40,000> people.");
        assert_eq!(
            summary("<p>Schwarzwälder Kirschtorte, gegessen mit Sahne und Kaffee</p>", 40),
            "Schwarzwälder Kirschtorte, gegessen mit…"
        );
        assert_eq!(summary("<ul><li>only</li><li>items</li></ul>", 40), "only items");
        assert_eq!(summary("", 40), "");
    }
}
