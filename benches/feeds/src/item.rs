//! An article as an item of the three formats.

use crate::head::Head;
use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};
use std::fmt::Write as _;

/// The corpus's home page.
pub const SITE: &str = "https://acero-advocate.example/";

/// One article, ready to be put into any document of each format.
#[derive(Debug, Clone, Default)]
pub struct Item {
    /// `<item>…</item>`.
    pub rss: String,
    /// `<entry>…</entry>`.
    pub atom: String,
    /// `{…}`.
    pub json: String,
}

/// How HTML is made safe, and its links absolute.
#[derive(Debug)]
pub enum Gate {
    /// Markdown becomes HTML, which ammonia parses and cleans, with its defaults: holds whatever the HTML's origin.
    Sanitiser(Box<Builder<'static>>),
    /// Nothing unsafe is written in the first place: HTML within the Markdown becomes text, and addresses are held to a
    /// list of schemes. Holds for Markdown only, and is the least that can be done.
    Construction,
}

impl Gate {
    /// The gate through ammonia.
    ///
    /// # Errors
    /// When [`SITE`] is no address.
    pub fn sanitiser() -> Result<Self, String> {
        let mut builder = Builder::default();
        builder.url_relative(UrlRelative::RewriteWithBase(SITE.parse().map_err(|error| format!("{SITE}: {error}"))?));
        Ok(Gate::Sanitiser(Box::new(builder)))
    }

    fn html(&self, markdown: &str) -> String {
        let mut html = String::with_capacity(markdown.len() * 3 / 2);
        let events = Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
        match self {
            Gate::Sanitiser(builder) => {
                html::push_html(&mut html, events);
                builder.clean(&html).to_string()
            }
            Gate::Construction => {
                html::push_html(&mut html, events.map(safe));
                html
            }
        }
    }
}

fn safe(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: safe_address(dest_url), title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: safe_address(dest_url), title, id })
        }
        other => other,
    }
}

/// Absolute, read against the home page; empty where it is neither of the web nor of mail.
fn safe_address(address: CowStr<'_>) -> CowStr<'_> {
    if let Some(path) = address.strip_prefix('/') {
        return format!("{SITE}{path}").into();
    }
    if ["https:", "http:", "mailto:"].iter().any(|scheme| address.starts_with(scheme)) {
        address
    } else {
        CowStr::Borrowed("")
    }
}

/// Markdown to safe HTML, and that into the three formats.
pub fn item(head: &Head<'_>, body: &str, gate: &Gate) -> Item {
    let html = gate.html(body);
    let url = format!("{SITE}{}/{}/", head.section, head.slug);
    Item { rss: rss(head, &url, &html), atom: atom(head, &url, &html), json: json(head, &url, &html) }
}

fn rss(head: &Head<'_>, url: &str, html: &str) -> String {
    let mut out = String::with_capacity(html.len() + 1024);
    let _ = write!(
        out,
        "<item><title>{}</title><link>{url}</link><description>{}</description>",
        Xml(head.title),
        Xml(head.summary)
    );
    for tag in &head.tags {
        let _ = write!(out, "<category>{}</category>", Xml(tag));
    }
    let _ =
        write!(out, "<guid isPermaLink=\"false\">{}</guid><pubDate>{}</pubDate>", Xml(head.id), mail_date(head.date));
    for author in &head.authors {
        let _ = write!(out, "<dc:creator>{}</dc:creator>", Xml(author));
    }
    // Every `>` of the text has been escaped, so no `]]>` can stand in it.
    let _ = write!(out, "<content:encoded><![CDATA[{html}]]></content:encoded></item>");
    out
}

fn atom(head: &Head<'_>, url: &str, html: &str) -> String {
    let mut out = String::with_capacity(html.len() * 5 / 4 + 1024);
    let _ = write!(
        out,
        "<entry><title>{}</title><id>{}</id><updated>{}</updated>",
        Xml(head.title),
        Xml(head.id),
        head.date
    );
    for author in &head.authors {
        let _ = write!(out, "<author><name>{}</name></author>", Xml(author));
    }
    for tag in &head.tags {
        let _ = write!(out, "<category term=\"{}\"/>", Xml(tag));
    }
    let _ = write!(
        out,
        "<link href=\"{url}\" rel=\"alternate\"/><published>{}</published><summary>{}</summary><content type=\"html\">{}</content></entry>",
        head.date,
        Xml(head.summary),
        Xml(html)
    );
    out
}

fn json(head: &Head<'_>, url: &str, html: &str) -> String {
    let mut out = String::with_capacity(html.len() * 5 / 4 + 1024);
    let _ = write!(
        out,
        "{{\"id\":{},\"url\":{},\"title\":{},\"content_html\":{},\"summary\":{},\"date_published\":\"{}\",\"authors\":[",
        Json(head.id),
        Json(url),
        Json(head.title),
        Json(html),
        Json(head.summary),
        head.date
    );
    for (n, author) in head.authors.iter().enumerate() {
        let _ = write!(out, "{}{{\"name\":{}}}", if n == 0 { "" } else { "," }, Json(author));
    }
    out.push_str("],\"tags\":[");
    for (n, tag) in head.tags.iter().enumerate() {
        let _ = write!(out, "{}{}", if n == 0 { "" } else { "," }, Json(tag));
    }
    out.push_str("]}");
    out
}

/// `1996-01-01T00:15:00+00:00` as `Mon, 01 Jan 1996 00:15:00 +0000`; anything else as it is.
fn mail_date(date: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    // Sakamoto's offsets of the months for the day of the week.
    const OFFSETS: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let number = |range: std::ops::Range<usize>| date.get(range).and_then(|digits| digits.parse::<usize>().ok());
    let (Some(year), Some(month @ 1..=12), Some(day), Some(time)) =
        (number(0..4), number(5..7), number(8..10), date.get(11..19))
    else {
        return date.to_owned();
    };
    let y = if month < 3 { year - 1 } else { year };
    let weekday = (y + y / 4 - y / 100 + y / 400 + OFFSETS[month - 1] + day) % 7;
    format!("{}, {day:02} {} {year} {time} +0000", DAYS[weekday], MONTHS[month - 1])
}

/// Text as it stands in XML, between tags or in quotation marks.
struct Xml<'a>(&'a str);

impl std::fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        escape(f, self.0, |byte| match byte {
            b'<' => Some("&lt;"),
            b'>' => Some("&gt;"),
            b'&' => Some("&amp;"),
            b'"' => Some("&quot;"),
            _ => None,
        })
    }
}

/// Text as a JSON string, with its quotation marks.
struct Json<'a>(&'a str);

impl std::fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"")?;
        escape(f, self.0, |byte| match byte {
            b'"' => Some("\\\""),
            b'\\' => Some("\\\\"),
            b'\n' => Some("\\n"),
            b'\t' => Some("\\t"),
            b'\r' => Some("\\r"),
            // The corpus has no other control characters.
            0..0x20 => Some(" "),
            _ => None,
        })?;
        f.write_str("\"")
    }
}

/// Copies whole stretches; every byte that `replace` knows is ASCII, so the cuts fall between characters.
fn escape(
    f: &mut std::fmt::Formatter<'_>,
    text: &str,
    replace: impl Fn(u8) -> Option<&'static str>,
) -> std::fmt::Result {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(replacement) = replace(byte) {
            f.write_str(&text[copied..at])?;
            f.write_str(replacement)?;
            copied = at + 1;
        }
    }
    f.write_str(&text[copied..])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_sanitised_absolute_and_escaped() {
        let head = Head {
            title: "A & \"b\"",
            section: "campus",
            slug: "b",
            date: "1996-02-29T23:45:00+00:00",
            ..Head::default()
        };
        for gate in [Gate::sanitiser().unwrap(), Gate::Construction] {
            let made = item(
                &head,
                "See [x](/y/) [y](javascript:z) `<` \"z\"<script>bad()</script>\n\n<b onclick=\"z\">\n",
                &gate,
            );
            assert!(made.rss.contains("<a href=\"https://acero-advocate.example/y/\""), "{}", made.rss);
            assert!(made.rss.contains("<title>A &amp; &quot;b&quot;</title>"));
            assert!(made.rss.contains("<pubDate>Thu, 29 Feb 1996 23:45:00 +0000</pubDate>"));
            assert!(made.atom.contains("&lt;code&gt;&amp;lt;&lt;/code&gt;"), "{}", made.atom);
            assert!(made.json.contains("\\\"z\\\""), "{}", made.json);
            for unsafe_ in ["<script", "<b onclick", "javascript:"] {
                assert!(!made.rss.contains(unsafe_), "{}", made.rss);
            }
        }
    }

    #[test]
    fn days_of_the_week_are_right_around_a_leap_day() {
        assert_eq!(mail_date("1996-01-01T00:15:00+00:00"), "Mon, 01 Jan 1996 00:15:00 +0000");
        assert_eq!(mail_date("2000-03-01T00:00:00+00:00"), "Wed, 01 Mar 2000 00:00:00 +0000");
    }
}
