//! JSON Feed 1.1 (<https://www.jsonfeed.org/version/1.1/>).

use std::borrow::Cow;

use serde::Serialize;

use super::archive::Document;
use super::item::{self, Item, clean};
use super::splice::{MARK, Writing, splice};
use super::{Format, Frame, GENERATOR, Options};
use crate::markup::absolute;
use crate::newsroom::Newsroom;

/// The end of a feed without items; the items go between its brackets.
const TAIL: &str = "]}";

/// An item object.
pub fn fragment(item: &Item) -> Vec<u8> {
    // An item must have content; a feed of summaries has nothing else. As HTML: `content_text` is shown as such by some.
    let summary = || Cow::Owned(format!("<p>{}</p>", item.summary_html()));
    let written = Entry {
        id: &item.id,
        url: &item.url,
        external_url: item.external_url.as_deref(),
        title: &item.title,
        content_html: item.html.as_ref().map_or_else(summary, |_| Cow::Borrowed(MARK)),
        summary: item.html.is_some().then_some(&*item.summary).filter(|s| !s.is_empty()),
        image: item.image.map(|image| absolute::written(&image.url)),
        date_published: item.published.to_rfc3339(),
        date_modified: (item.updated != item.published).then(|| item.updated.to_rfc3339()),
        authors: item.authors.iter().map(author).collect(),
        tags: item.categories.iter().map(|c| &*c.label).collect(),
        language: item.language,
        attachments: item
            .enclosure
            .iter()
            .map(|e| Attachment {
                url: absolute::written(&e.url),
                mime_type: clean(&e.media_type).into_owned(),
                size_in_bytes: e.length,
                duration_in_seconds: e.duration,
            })
            .collect(),
    };
    // Strings and numbers only: it cannot fail.
    let around = serde_json::to_string(&written).unwrap_or_default();
    splice(&around, item.html.as_deref().unwrap_or_default(), Writing::Json)
}

/// What stands around the items of a document.
pub fn frame(newsroom: &Newsroom, options: &Options, document: &Document) -> Frame {
    let masthead = &newsroom.masthead;
    let home = absolute::written(&masthead.url);
    // The feed's identity, and so that of its archive pages.
    let url = document.feed.url(masthead, None, Format::Json);
    let name = clean(&masthead.title);
    let feed = Feed {
        version: "https://jsonfeed.org/version/1.1",
        title: &clean(&document.feed.title),
        home_page_url: &home,
        feed_url: &url,
        description: &clean(&document.feed.description),
        user_comment: &format!("Made by {GENERATOR}. To follow it, give its address to a feed reader: {url}"),
        next_url: document.older(masthead, Format::Json),
        icon: masthead.icon.as_ref().or(masthead.logo.as_ref()).map(absolute::written),
        favicon: masthead.icon.as_ref().map(absolute::written),
        authors: vec![Author { name: &name, url: Some(&home) }],
        language: &document.feed.language,
        hubs: options.hubs.iter().map(|hub| Hub { kind: "WebSub", url: absolute::written(hub) }).collect(),
        items: [],
    };
    let mut head = serde_json::to_string(&feed).unwrap_or_default();
    head.truncate(head.rfind(TAIL).unwrap_or(head.len()));
    head.push('\n');
    Frame { head, between: ",\n", tail: "\n]}\n" }
}

fn author<'a>(person: &'a item::Person) -> Author<'a> {
    Author { name: &person.name, url: person.url.as_deref() }
}

/// Keys in the order of the specification.
#[derive(Serialize)]
#[allow(clippy::struct_field_names)]
struct Feed<'a> {
    version: &'a str,
    title: &'a str,
    home_page_url: &'a str,
    feed_url: &'a str,
    description: &'a str,
    user_comment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    favicon: Option<String>,
    authors: Vec<Author<'a>>,
    language: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hubs: Vec<Hub<'a>>,
    items: [(); 0],
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_url: Option<&'a str>,
    title: &'a str,
    content_html: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    date_published: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    authors: Vec<Author<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment>,
}

#[derive(Serialize)]
struct Author<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct Attachment {
    url: String,
    mime_type: String,
    size_in_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_in_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Hub<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    url: String,
}
