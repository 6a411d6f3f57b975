//! An article as every format tells it: one value, so that the three cannot differ.

use std::borrow::Cow;

use chrono::{DateTime, FixedOffset};

use super::{Content, language};
use crate::markup::{absolute, escape, plain};
use crate::newsroom::{Article, Author, Body, Enclosure, Image, Newsroom};

/// How long a summary is that had to be made, in characters.
const SUMMARY: usize = 280;

/// The longest text that a feed carries, in bytes of HTML. libxml2, and with it much software that reads feeds, refuses a
/// whole document over one text of 10,000,000 bytes; Atom's escaping makes a text longer.
pub const LONGEST: usize = 5_000_000;

/// An article with every text cleaned for XML (see [`escape::xml_chars`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Item<'a> {
    /// Never changes.
    pub id: Cow<'a, str>,
    /// Plain text.
    pub title: Cow<'a, str>,
    /// The page on the newsroom's site.
    pub url: String,
    /// For a link post: what it points to.
    pub external_url: Option<String>,
    /// When it was first published.
    pub published: DateTime<FixedOffset>,
    /// When it was last changed; `published` if never.
    pub updated: DateTime<FixedOffset>,
    /// At least one.
    pub authors: Vec<Person<'a>>,
    /// Atom and RSS tell them; JSON Feed has no place for people who are not authors.
    pub contributors: Vec<Person<'a>>,
    /// Plain text; may be empty.
    pub summary: Cow<'a, str>,
    /// The whole text as HTML (beyond [`LONGEST`] the summary and a link); `None` where the feed tells summaries.
    pub html: Option<Cow<'a, str>>,
    /// The section's title and the tags.
    pub categories: Vec<Category<'a>>,
    /// The leading picture.
    pub image: Option<&'a Image>,
    /// An attached file.
    pub enclosure: Option<&'a Enclosure>,
    /// Where it differs from the newsroom's or its section's.
    pub language: Option<&'a str>,
}

/// Who wrote it, or had a part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person<'a> {
    /// As it is printed.
    pub name: Cow<'a, str>,
    /// A page about them.
    pub url: Option<String>,
}

/// The section, or a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category<'a> {
    /// To people.
    pub label: Cow<'a, str>,
    /// To machines, unique within the scheme.
    pub term: String,
    /// An address that names the kind.
    pub scheme: String,
}

impl<'a> Item<'a> {
    /// An article with its body, which may be left out where `content` is the summary.
    pub fn new(newsroom: &'a Newsroom, article: &'a Article, body: Option<&'a Body>, content: Content) -> Self {
        let section = newsroom.section(&article.section);
        let section_language = section.and_then(|s| s.language.as_deref());
        let own = article.language.as_deref().or(section_language).unwrap_or(&newsroom.masthead.language);
        let foreign = !own.eq_ignore_ascii_case(&newsroom.masthead.language)
            || section_language.is_some_and(|s| !own.eq_ignore_ascii_case(s));
        let title = clean(&article.title);
        let html = body.filter(|b| content == Content::Full && !b.html.trim().is_empty());
        let summary = if !article.summary.trim().is_empty() {
            clean(&article.summary)
        } else if let Some(body) = body.filter(|b| !b.html.trim().is_empty()) {
            Cow::Owned(plain::summary(&body.html, SUMMARY))
        } else {
            title.clone()
        };
        let url = absolute::written(&article.url);
        let html = match (content, html) {
            (Content::Summary, _) => None,
            (Content::Full, Some(body)) if body.html.len() > LONGEST => {
                let (summary, url, title) = (escape::html(&summary), escape::attribute(&url), escape::html(&title));
                Some(Cow::Owned(format!("<p>{summary}</p>\n<p>→ <a href=\"{url}\">{title}</a></p>")))
            }
            (Content::Full, Some(body)) => Some(escape::xml_chars(&body.html)),
            (Content::Full, None) => Some(Cow::Owned(format!("<p>{}</p>", escape::html(&summary)))),
        };
        let html = html.map(|html| in_its_language(html, own, foreign));
        let mut authors: Vec<_> = article.authors.iter().filter_map(Person::of).collect();
        if authors.is_empty() {
            let masthead = &newsroom.masthead;
            authors.push(Person { name: clean(&masthead.title), url: Some(absolute::written(&masthead.url)) });
        }
        Item {
            id: clean(&article.id.0),
            title,
            url,
            external_url: article.external_url.as_deref().map(absolute::written),
            published: article.published,
            updated: article.changed(),
            authors,
            contributors: article.contributors.iter().filter_map(Person::of).collect(),
            summary,
            html,
            categories: categories(newsroom, article),
            image: article.image.as_deref(),
            enclosure: article.enclosure.as_deref(),
            language: foreign.then_some(own),
        }
    }
}

impl Item<'_> {
    /// The summary as HTML, which says its language where that is not plainly the feed's.
    pub fn summary_html(&self) -> String {
        let text = escape::html(&self.summary);
        match self.language {
            Some(tag) => {
                let (tag, direction) = (escape::attribute(tag), language::direction(tag));
                format!("<span lang=\"{tag}\" dir=\"{direction}\">{text}</span>")
            }
            None => text,
        }
    }
}

impl<'a> Person<'a> {
    fn of(author: &'a Author) -> Option<Self> {
        let name = clean(&author.name);
        (!name.is_empty()).then(|| Person { name, url: author.url.as_deref().map(absolute::written) })
    }
}

/// A line of text: clean, without white space around.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    match escape::xml_chars(text) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Formats say a language in different places, or nowhere; the text itself says it in all of them.
fn in_its_language<'a>(html: Cow<'a, str>, tag: &str, foreign: bool) -> Cow<'a, str> {
    if foreign {
        let tag_escaped = escape::attribute(tag);
        Cow::Owned(format!("<div lang=\"{tag_escaped}\" dir=\"{}\">{html}</div>", language::direction(tag)))
    } else {
        html
    }
}

fn categories<'a>(newsroom: &'a Newsroom, article: &'a Article) -> Vec<Category<'a>> {
    let scheme = |kind: &str| absolute::written(&newsroom.masthead.feeds_url) + kind;
    let section = newsroom.section(&article.section).map(|section| Category {
        label: clean(&section.title),
        term: section.slug.clone(),
        scheme: scheme("#section"),
    });
    let tags = article.tags.iter().map(|tag| Category {
        label: clean(tag),
        term: super::slug::slug(tag),
        scheme: scheme("#tag"),
    });
    let mut all: Vec<Category> = Vec::with_capacity(article.tags.len() + 1);
    for category in section.into_iter().chain(tags) {
        let double = all.iter().any(|c| c.label.to_lowercase() == category.label.to_lowercase());
        if !category.label.is_empty() && !double {
            all.push(category);
        }
    }
    all
}
