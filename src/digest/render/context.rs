//! What templates can show. Documented for their authors in `docs/TEMPLATES.md`.

use chrono::{DateTime, Datelike, FixedOffset};
use serde::Serialize;

use super::body;
use super::{Contents, Length};
use crate::markup::{markdown, plain};
use crate::newsroom::{Article, Author, Body};

/// The width of the text part.
pub(super) const TEXT_WIDTH: usize = 72;
/// A title or a summary longer than this, in characters, is cut in the mail.
const LONGEST_TITLE: usize = 300;
const LONGEST_SUMMARY: usize = 800;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Context {
    pub(super) subject: String,
    pub(super) preheader: String,
    language: String,
    dir: &'static str,
    digest: DigestValues,
    newsroom: NewsroomValues,
    number: u32,
    date: String,
    date_iso: String,
    count: usize,
    others: usize,
    /// The first of `pieces`, in short, for patterns.
    first: First,
    introduction_html: String,
    introduction_text: String,
    introduction_links: Vec<Link>,
    pieces: Vec<Piece>,
    left_out: usize,
    shortened: bool,
    sections: bool,
    view_url: String,
    postal_address: Option<String>,
    pub(super) unsubscribe: String,
    pub(super) preferences: String,
    pub(super) address: String,
    pub(super) name: String,
}

#[derive(Debug, Clone, Serialize)]
struct DigestValues {
    slug: String,
    title: String,
    description: String,
}

#[derive(Debug, Clone, Serialize)]
struct NewsroomValues {
    title: String,
    description: String,
    url: String,
    logo: Option<String>,
    copyright: Option<String>,
}

#[derive(Debug, Clone, Serialize, Default)]
struct First {
    title: String,
    summary: String,
}

#[derive(Debug, Clone, Serialize)]
struct Link {
    number: usize,
    url: String,
}

#[derive(Debug, Clone, Serialize)]
struct Piece {
    number: usize,
    title: String,
    url: String,
    authors: String,
    date: String,
    date_iso: String,
    section: String,
    tags: Vec<String>,
    language: String,
    dir: &'static str,
    whole: bool,
    summary: String,
    html: String,
    text: String,
    links: Vec<Link>,
    image: Option<ImageValues>,
    enclosure: Option<EnclosureValues>,
    external_url: Option<String>,
    corrections: Vec<CorrectionValues>,
}

#[derive(Debug, Clone, Serialize)]
struct ImageValues {
    url: String,
    alt: String,
    caption: String,
    credit: String,
}

#[derive(Debug, Clone, Serialize)]
struct EnclosureValues {
    url: String,
    kind: &'static str,
    size: String,
    minutes: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
struct CorrectionValues {
    date: String,
    text: String,
}

impl Context {
    /// Everything but subject, preheader and the readers' places.
    pub(super) fn new(contents: &Contents, length: Length) -> Self {
        let digest = contents.digest;
        let masthead = contents.masthead;
        let date = contents.date.with_timezone(&digest.time_zone).fixed_offset();
        let room = match length {
            Length::Titles(room) => room.min(contents.pieces.len()),
            _ => contents.pieces.len(),
        };
        let introduction = contents.edits.introduction.as_deref().unwrap_or_default();
        let introduction_html = match introduction.trim() {
            "" => String::new(),
            text => body::for_mail(&markdown::to_html(text, &masthead.url), &masthead.url),
        };
        let introduction = plain::text(&introduction_html, TEXT_WIDTH);
        Context {
            subject: String::new(),
            preheader: String::new(),
            language: digest.language.clone(),
            dir: direction(&digest.language),
            digest: DigestValues {
                slug: digest.slug.clone(),
                title: digest.title.clone(),
                description: digest.description.clone(),
            },
            newsroom: NewsroomValues {
                title: masthead.title.clone(),
                description: masthead.description.clone(),
                url: masthead.url.to_string(),
                logo: masthead.logo.as_ref().map(ToString::to_string),
                copyright: masthead.copyright.clone(),
            },
            number: contents.number,
            date: in_words(date, &digest.language),
            date_iso: date.format("%F").to_string(),
            count: contents.pieces.len(),
            others: contents.pieces.len().saturating_sub(1),
            first: contents.pieces.first().map_or_else(First::default, |(article, _)| First {
                title: cut(&article.title, LONGEST_TITLE),
                summary: cut(&article.summary, LONGEST_SUMMARY),
            }),
            introduction_html,
            introduction_text: introduction.text,
            introduction_links: numbered(introduction.links),
            pieces: contents.pieces[..room]
                .iter()
                .enumerate()
                .map(|(index, (article, body))| Piece::new(contents, index + 1, article, body, length))
                .collect(),
            left_out: contents.pieces.len() - room,
            shortened: length != Length::of(digest),
            sections: digest.sections.len() > 1,
            view_url: contents.view_url.to_string(),
            postal_address: digest.postal_address.clone(),
            unsubscribe: String::new(),
            preferences: String::new(),
            address: String::new(),
            name: String::new(),
        }
    }
}

impl Piece {
    fn new(contents: &Contents, number: usize, article: &Article, body: &Body, length: Length) -> Self {
        let section = contents.sections.iter().find(|s| s.slug == article.section);
        let language = article
            .language
            .as_ref()
            .or(section.and_then(|s| s.language.as_ref()))
            .unwrap_or(&contents.masthead.language);
        let whole = length == Length::Whole;
        let html = if whole { body::for_mail(&body.html, &article.url) } else { String::new() };
        let text = plain::text(&html, TEXT_WIDTH);
        let summary =
            if matches!(length, Length::Titles(_)) { String::new() } else { cut(&article.summary, LONGEST_SUMMARY) };
        let date = |date| in_words(date, &contents.digest.language);
        Piece {
            number,
            title: cut(&article.title, LONGEST_TITLE),
            url: article.url.to_string(),
            authors: names(&article.authors, &contents.digest.language),
            date: date(article.published),
            date_iso: article.published.format("%F").to_string(),
            section: section.map(|s| s.title.clone()).unwrap_or_default(),
            tags: article.tags.clone(),
            dir: direction(language),
            language: language.clone(),
            whole,
            summary,
            html,
            text: text.text,
            links: numbered(text.links),
            image: article.image.as_ref().filter(|_| length == Length::Summaries).map(|image| ImageValues {
                url: image.url.to_string(),
                alt: image.alt.clone(),
                caption: image.caption.clone().unwrap_or_default(),
                credit: image.credit.clone().unwrap_or_default(),
            }),
            enclosure: article.enclosure.as_ref().map(|e| EnclosureValues {
                url: e.url.to_string(),
                kind: match e.media_type.split('/').next() {
                    Some("audio") => "audio",
                    Some("video") => "video",
                    _ => "file",
                },
                size: size(e.length),
                minutes: e.duration.map(|seconds| seconds.div_ceil(60).max(1)),
            }),
            external_url: article.external_url.as_ref().map(ToString::to_string),
            corrections: article
                .corrections
                .iter()
                .map(|c| CorrectionValues { date: date(c.date), text: c.text.clone() })
                .collect(),
        }
    }
}

fn numbered(links: Vec<String>) -> Vec<Link> {
    links.into_iter().enumerate().map(|(index, url)| Link { number: index + 1, url }).collect()
}

fn direction(language: &str) -> &'static str {
    if body::is_right_to_left(language) { "rtl" } else { "ltr" }
}

/// `22 November 2026` in English; elsewhere as ISO 8601 has it, which everybody reads.
fn in_words(date: DateTime<FixedOffset>, language: &str) -> String {
    if language.split('-').next() == Some("en") {
        date.format("%-d %B %Y").to_string()
    } else {
        format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
    }
}

/// `A, B and C` in English, `A, B, C` elsewhere.
fn names(authors: &[Author], language: &str) -> String {
    let names: Vec<&str> = authors.iter().map(|a| a.name.as_str()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) if language.split('-').next() == Some("en") => format!("{} and {last}", others.join(", ")),
        _ => names.join(", "),
    }
}

/// A file's size as people say it.
#[allow(clippy::cast_precision_loss)] // one decimal of a file's size
fn size(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        1..1_000_000 => format!("{} KB", bytes.div_ceil(1_000)),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// At most `longest` characters, cut at a word, with an ellipsis.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = text.char_indices().nth(longest) else { return text };
    let kept = &text[..end];
    let kept = kept.rfind(' ').filter(|at| *at > end / 2).map_or(kept, |at| &kept[..at]);
    format!("{}…", kept.trim_end_matches([' ', ',', ';', ':', '–', '—', '-']))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_words() {
        assert_eq!(cut("one two three", 13), "one two three");
        assert_eq!(cut("one two three", 12), "one two…");
        assert_eq!(cut("one, two", 5), "one…");
        assert_eq!(cut("ééééé", 3), "ééé…");
    }

    #[test]
    fn names_and_dates_are_english_where_the_digest_is() {
        let author = |name: &str| Author { name: name.into(), url: None };
        let three = [author("A"), author("B"), author("C")];
        assert_eq!(names(&three, "en-US"), "A, B and C");
        assert_eq!(names(&three, "fr"), "A, B, C");
        assert_eq!(names(&three[..1], "fr"), "A");
        let date = "2026-11-02T23:30:00-06:00".parse().unwrap();
        assert_eq!((in_words(date, "en"), in_words(date, "de")), ("2 November 2026".into(), "2026-11-02".into()));
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        assert_eq!((size(1), size(999_999), size(4_210_000)), ("1 KB".into(), "1000 KB".into(), "4.2 MB".into()));
    }
}
