//! An article's body as mail programs can show it.
//!
//! What comes in is sanitised, so tags are well formed and attributes are in double quotes; what goes out has no classes
//! but those the template styles: `figure`, `caption`, `scroll`, `data`, `wide`, `notes`.

use std::fmt::Write;
use url::Url;

/// The width of a column of text, in pixels: Outlook on Windows shows a picture as wide as it says, whatever the style.
const COLUMN: u32 = 536;
/// A table with more columns scrolls on a phone instead of becoming narrower.
const NARROW_COLUMNS: usize = 4;
/// Headings of a body begin below the piece's own title, which is an `h2`.
const TOP_HEADING: u8 = 3;

/// Rewrites a body for a mail.
///
/// - Headings begin at `h3`.
/// - A link within the page (footnotes) is only its words: in most mail programs it would lead nowhere. The sign for
///   "back to the text" goes.
/// - Pictures have a width and an `alt`; tables are wrapped so that they can scroll.
/// - Sound and film become links; `figure`, `details` and other elements that Outlook does not know become `div`.
/// - A passage in a language that is written from right to left says so.
pub(super) fn for_mail(html: &str, page: &Url) -> String {
    let mut out = String::with_capacity(html.len() + html.len() / 4);
    let mut rest = html;
    // For each open `a`: whether it is written.
    let mut links: Vec<bool> = Vec::new();
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let Some((tag, after)) = Tag::read(rest) else {
            out.push_str("&lt;");
            rest = &rest[1..];
            continue;
        };
        rest = after;
        if tag.closing {
            match tag.name {
                "a" => {
                    if links.pop().unwrap_or(false) {
                        out.push_str("</a>");
                    }
                }
                "table" => out.push_str("</table></div>"),
                "picture" | "source" | "track" | "audio" | "video" | "img" | "br" | "hr" => {}
                name => {
                    let _ = write!(out, "</{}>", renamed(name));
                }
            }
            continue;
        }
        match tag.name {
            "a" => {
                let written = tag.get("href").is_some_and(|href| leads_out(href, page));
                if !written && rest.trim_start().starts_with('↩') {
                    rest = rest.find("</a>").map_or("", |end| &rest[end + 4..]);
                    continue;
                }
                links.push(written);
                if written {
                    tag.write(&mut out, "a", &[]);
                }
            }
            "img" => picture(&tag, &mut out),
            "table" => {
                let first_row = rest.split("</tr>").next().unwrap_or_default();
                let columns = first_row.matches("<td").count() + first_row.matches("<th").count()
                    - first_row.matches("<thead").count();
                let class = if columns > NARROW_COLUMNS { "data wide" } else { "data" };
                // One that scrolls can be reached by keyboard (WCAG 2.1.1).
                let reach = if class == "data" { "" } else { " tabindex=\"0\" role=\"region\" aria-label=\"Table\"" };
                let _ = write!(out, "<div class=\"scroll\"{reach}>");
                tag.write(
                    &mut out,
                    "table",
                    &[("class", class), ("border", "0"), ("cellpadding", "0"), ("cellspacing", "0"), ("width", "100%")],
                );
            }
            "audio" | "video" => {
                let end = format!("</{}>", tag.name);
                let (inner, after) = rest.split_once(end.as_str()).unwrap_or((rest, ""));
                let source = inner.find("<source").and_then(|at| Tag::read(&inner[at..])).map(|(source, _)| source);
                if let Some(src) = tag.get("src").or(source.as_ref().and_then(|s| s.get("src"))) {
                    let name = src.rsplit('/').next().unwrap_or(src);
                    let _ = write!(out, "<p><a href=\"{src}\">▶ {name}</a></p>");
                }
                rest = after;
            }
            "picture" | "source" | "track" => {}
            "ol" if rest.trim_start().starts_with("<li id=\"fn") => tag.write(&mut out, "ol", &[("class", "notes")]),
            "figure" => tag.write(&mut out, "div", &[("class", "figure")]),
            "figcaption" => tag.write(&mut out, "div", &[("class", "caption")]),
            name => tag.write(&mut out, renamed(name), &[]),
        }
    }
    out.push_str(rest);
    out
}

/// Whether a language is written from right to left.
pub(super) fn is_right_to_left(language: &str) -> bool {
    let mut subtags = language.split('-');
    let primary = subtags.next().unwrap_or_default().to_ascii_lowercase();
    match subtags.find(|s| s.len() == 4) {
        Some(script) => {
            ["arab", "hebr", "syrc", "thaa", "nkoo", "adlm"].contains(&script.to_ascii_lowercase().as_str())
        }
        None => ["ar", "arc", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "syr", "ug", "ur", "yi"]
            .contains(&primary.as_str()),
    }
}

/// A link that a mail can have: to somewhere else, or to another page of ours.
fn leads_out(href: &str, page: &Url) -> bool {
    let away = ["https://", "http://", "mailto:", "tel:"].iter().any(|scheme| href.starts_with(scheme));
    let here = href.split_once('#').is_some_and(|(to, _)| to.is_empty() || to == page.as_str());
    away && !here
}

fn renamed(name: &str) -> &str {
    match name {
        "h1" | "h2" => heading(TOP_HEADING - 2, 2),
        "h3" => heading(TOP_HEADING - 2, 3),
        "h4" => heading(TOP_HEADING - 2, 4),
        "h5" | "h6" => "h6",
        "figure" | "figcaption" | "details" | "summary" | "article" | "section" | "aside" | "header" | "footer"
        | "main" | "nav" => "div",
        other => other,
    }
}

fn heading(shift: u8, level: u8) -> &'static str {
    ["h1", "h2", "h3", "h4", "h5", "h6"][usize::from((level + shift).clamp(TOP_HEADING, 6) - 1)]
}

fn picture(tag: &Tag, out: &mut String) {
    let width = tag.get("width").and_then(|w| w.parse::<u32>().ok()).filter(|w| (1..COLUMN).contains(w));
    let width = width.unwrap_or(COLUMN).to_string();
    let alt = tag.get("alt").unwrap_or_default();
    tag.write(out, "img", &[("alt", alt), ("width", &width)]);
}

/// A start or end tag of sanitised HTML.
struct Tag<'a> {
    name: &'a str,
    closing: bool,
    /// Values are escaped as they stand in the source.
    attributes: Vec<(&'a str, &'a str)>,
}

/// What is kept of a stranger's attributes.
const KEPT: [&str; 14] = [
    "href", "src", "title", "lang", "dir", "align", "valign", "colspan", "rowspan", "scope", "start", "type",
    "reversed", "datetime",
];

impl<'a> Tag<'a> {
    /// Reads the tag that `html` begins with; answers what follows it.
    fn read(html: &'a str) -> Option<(Tag<'a>, &'a str)> {
        let inner = html.strip_prefix('<')?;
        let (closing, inner) = inner.strip_prefix('/').map_or((false, inner), |rest| (true, rest));
        let name_end = inner.find(|c: char| !c.is_ascii_alphanumeric())?;
        let (name, mut rest) = inner.split_at(name_end);
        if name.is_empty() {
            return None;
        }
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if let Some(after) = rest.strip_prefix('>') {
                return Some((Tag { name, closing, attributes }, after));
            }
            let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'))?;
            if end == 0 {
                return None;
            }
            let key = &rest[..end];
            rest = &rest[end..];
            let Some(value) = rest.strip_prefix('=') else {
                attributes.push((key, ""));
                continue;
            };
            let value = value.strip_prefix('"')?;
            let end = value.find('"')?;
            attributes.push((key, &value[..end]));
            rest = &value[end + 1..];
        }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.attributes.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
    }

    /// Writes a start tag under a name, with what is kept of the attributes, and `more`.
    fn write(&self, out: &mut String, name: &str, more: &[(&str, &str)]) {
        let _ = write!(out, "<{name}");
        for (key, value) in self.attributes.iter().filter(|(key, _)| KEPT.contains(key)).chain(more) {
            let _ = write!(out, " {key}=\"{value}\"");
        }
        if self.get("dir").is_none() && self.get("lang").is_some_and(is_right_to_left) {
            out.push_str(" dir=\"rtl\"");
        }
        out.push('>');
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(html: &str, expected: &str) {
        assert_eq!(for_mail(html, &"https://paper.example/a".parse().unwrap()), expected);
    }

    #[test]
    fn headings_begin_below_the_title_of_the_piece() {
        becomes(
            "<h1>a</h1><h2>b</h2><h3>c</h3><h4>d</h4><h5>e</h5><h6>f</h6>",
            "<h3>a</h3><h3>b</h3><h4>c</h4><h5>d</h5><h6>e</h6><h6>f</h6>",
        );
    }

    #[test]
    fn footnotes_keep_their_numbers_and_lose_links_that_lead_nowhere() {
        becomes("<p>Word<sup><a href=\"#fn-1\" id=\"fnref-1\">1</a></sup></p>", "<p>Word<sup>1</sup></p>");
        becomes(
            "<li id=\"fn-1\"><p>Note. <a href=\"https://paper.example/a#fnref-1\">↩</a></p></li>",
            "<li><p>Note. </p></li>",
        );
        becomes("<a href=\"https://paper.example/b#x\">b</a>", "<a href=\"https://paper.example/b#x\">b</a>");
        becomes("<a href=\"ftp://x.example/\">x</a> <a>y</a>", "x y");
    }

    #[test]
    fn pictures_have_a_width_and_an_alt() {
        becomes(
            "<figure><img src=\"https://p.example/a.png\" class=\"x\" height=\"900\" srcset=\"b\"><figcaption>C</figcaption></figure>",
            "<div class=\"figure\"><img src=\"https://p.example/a.png\" alt=\"\" width=\"536\"><div class=\"caption\">C</div></div>",
        );
        becomes(
            "<img width=\"120\" alt=\"An &quot;A&quot;\" src=\"s\">",
            "<img src=\"s\" alt=\"An &quot;A&quot;\" width=\"120\">",
        );
        becomes(
            "<picture><source srcset=\"a\"><img src=\"s\" alt=\"A\" width=\"4000\"></picture>",
            "<img src=\"s\" alt=\"A\" width=\"536\">",
        );
    }

    #[test]
    fn tables_can_scroll() {
        let table = "class=\"data\" border=\"0\" cellpadding=\"0\" cellspacing=\"0\" width=\"100%\"";
        becomes(
            "<table><thead><tr><th align=\"right\">a</th></tr></thead></table>",
            &format!(
                "<div class=\"scroll\"><table {table}><thead><tr><th align=\"right\">a</th></tr></thead></table></div>"
            ),
        );
        let wide = format!("<table><tr>{}</tr></table>", "<td>1</td>".repeat(5));
        assert!(for_mail(&wide, &"https://paper.example/".parse().unwrap()).contains("class=\"data wide\""));
    }

    #[test]
    fn passages_from_right_to_left_say_so() {
        becomes(
            "<p lang=\"ar\">x</p><p lang=\"ar-Latn\">y</p><p lang=\"ar\" dir=\"ltr\">z</p>",
            "<p lang=\"ar\" dir=\"rtl\">x</p><p lang=\"ar-Latn\">y</p><p lang=\"ar\" dir=\"ltr\">z</p>",
        );
    }

    #[test]
    fn sound_becomes_a_link_and_stray_signs_stay_text() {
        becomes(
            "<audio controls><source src=\"https://p.example/a.mp3\">No.</audio>b",
            "<p><a href=\"https://p.example/a.mp3\">▶ a.mp3</a></p>b",
        );
        becomes("1 < 2<!-- x --> <", "1 &lt; 2 &lt;");
    }
}
