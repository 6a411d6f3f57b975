//! Reads feeds as a feed reader does, and holds them against the articles.
//!
//! Another program's parser (feed-rs) reads what we wrote; it follows the archives from the current document back to the
//! first article, as RFC 5005 says for XML and JSON Feed's `next_url` for JSON.

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use crate::feed::item::Item;
use crate::feed::plan::{Feed, Plan};
use crate::feed::{Content, Format};
use crate::markup::{absolute, plain};
use crate::newsroom::{Bodies, Newsroom, Problem};

/// What all problems of this kind need.
const HELP: &str = "`pressrun build` makes the feeds anew";

/// Reads every feed of a plan below `folder`, which people call `name`. What is wrong is told once a feed and format: what
/// comes after the first difference is different too.
pub fn read_back(newsroom: &Newsroom, plan: &Plan, bodies: &dyn Bodies, folder: &Path, name: &str) -> Vec<Problem> {
    let base = newsroom.masthead.feeds_url.as_str();
    let back = ReadBack { newsroom, bodies, folder, name, base };
    let mut problems: Vec<Problem> = plan.feeds.par_iter().flat_map_iter(|feed| back.feed(feed)).collect();
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    problems
}

struct ReadBack<'a> {
    newsroom: &'a Newsroom,
    bodies: &'a dyn Bodies,
    folder: &'a Path,
    name: &'a str,
    base: &'a str,
}

/// A feed in one format, being read from its newest article to its oldest.
struct Reader {
    format: Format,
    /// The next document, below the folder of feeds.
    next: Option<String>,
    read: HashSet<String>,
    /// How many articles have been read.
    at: usize,
    problem: Option<Problem>,
}

/// An article as a reader sees it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    id: String,
    title: String,
    url: String,
    published: Option<DateTime<Utc>>,
    updated: Option<DateTime<Utc>>,
    text: String,
    /// By their names.
    authors: Vec<String>,
    /// As people read them.
    categories: Vec<String>,
    /// An attached file: its address and size.
    attached: Option<(String, u64)>,
}

/// A document as a reader sees it, and the address of the next older one.
type Document = (Vec<Seen>, Option<String>);

impl ReadBack<'_> {
    fn feed(&self, feed: &Feed) -> Vec<Problem> {
        let mut readers = Format::ALL.map(|format| Reader {
            format,
            next: Some(feed.path(None, format)),
            read: HashSet::new(),
            at: 0,
            problem: None,
        });
        // The formats go side by side, so that each text is rendered once.
        let mut texts: HashMap<u32, Result<Seen, Problem>> = HashMap::new();
        while readers.iter().any(|reader| reader.next.is_some()) {
            for reader in &mut readers {
                if let Some(path) = reader.next.take() {
                    let done = self.document(feed, reader, &path, &mut texts);
                    reader.problem = done.err().map(|what| Problem::new(self.shown(&path), what).help(HELP));
                    reader.next = reader.next.take().filter(|_| reader.problem.is_none());
                }
            }
            texts.clear();
        }
        readers.into_iter().filter_map(|reader| reader.problem).collect()
    }

    /// Reads one document and compares it; `Err` tells the first difference.
    fn document(
        &self,
        feed: &Feed,
        reader: &mut Reader,
        path: &str,
        texts: &mut HashMap<u32, Result<Seen, Problem>>,
    ) -> Result<(), String> {
        if !reader.read.insert(path.to_owned()) {
            return Err("its archives lead in a circle".to_owned());
        }
        let bytes = fs::read(self.folder.join(path)).map_err(|error| format!("this cannot be read: {error}"))?;
        let (entries, older) = parsed(&bytes, reader.format)?;
        for seen in entries {
            let Some(&at) = feed.articles.get(reader.at) else {
                return Err(format!("`{}` stands here, and no article should", seen.title));
            };
            reader.at += 1;
            // An article whose text cannot be read has been told of elsewhere, and stands in no feed.
            let wanted = texts.entry(at).or_insert_with(|| self.wanted(at, feed.content));
            if let Ok(wanted) = wanted {
                differs(&seen, wanted, reader.format).map_or(Ok(()), Err)?;
            }
        }
        reader.next = match older {
            Some(url) => match url.strip_prefix(self.base) {
                Some(path) => Some(path.to_owned()),
                None => {
                    return Err(format!("the older articles are said to be at {url}, which is not one of these feeds"));
                }
            },
            None => None,
        };
        match feed.articles.get(reader.at) {
            Some(&missing) if reader.next.is_none() => {
                let missing = &self.newsroom.articles[missing as usize];
                Err(format!(
                    "it ends too early: `{}` ({}) and all that is older is missing",
                    missing.title, missing.place.file
                ))
            }
            _ => Ok(()),
        }
    }

    /// The article as it should be seen.
    fn wanted(&self, at: u32, content: Content) -> Result<Seen, Problem> {
        let article = &self.newsroom.articles[at as usize];
        let body = self.bodies.body(article)?;
        let item = Item::new(self.newsroom, article, Some(&body), content);
        Ok(Seen {
            id: item.id.clone().into_owned(),
            title: item.title.clone().into_owned(),
            url: item.url.clone(),
            published: Some(item.published.to_utc()),
            updated: Some(item.updated.to_utc()),
            text: item.html.as_deref().unwrap_or(&item.summary).to_owned(),
            authors: item.authors.iter().map(|person| person.name.clone().into_owned()).collect(),
            categories: item.categories.iter().map(|category| category.label.clone().into_owned()).collect(),
            attached: item.enclosure.map(|enclosure| (absolute::written(&enclosure.url), enclosure.length)),
        })
    }

    fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.name)
    }
}

fn parsed(bytes: &[u8], format: Format) -> Result<Document, String> {
    let parser = feed_rs::parser::Builder::new().sanitize_content(false).build();
    let feed = parser.parse(bytes).map_err(|error| format!("feed readers cannot read this: {error}"))?;
    let older = match format {
        Format::Json => {
            let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            value.get("next_url").and_then(|url| url.as_str()).map(str::to_owned)
        }
        Format::Rss | Format::Atom => {
            let previous = feed.links.iter().find(|link| link.rel.as_deref() == Some("prev-archive"));
            previous.map(|link| link.href.clone())
        }
    };
    let seen = feed.entries.into_iter().map(|entry| {
        let attached = attached(&entry);
        let summary = entry.summary.map(|summary| summary.content);
        Seen {
            attached,
            authors: entry.authors.into_iter().map(|person| person.name).collect(),
            categories: entry.categories.into_iter().map(|category| category.label.unwrap_or(category.term)).collect(),
            id: entry.id,
            title: entry.title.map(|title| title.content).unwrap_or_default(),
            url: entry.links.into_iter().next().map(|link| link.href).unwrap_or_default(),
            published: entry.published,
            updated: entry.updated,
            text: entry.content.and_then(|content| content.body).or(summary).unwrap_or_default(),
        }
    });
    Ok((seen.collect(), older))
}

/// Atom and JSON Feed have files among the links, RSS among what Media RSS calls contents; only files have a size.
fn attached(entry: &feed_rs::model::Entry) -> Option<(String, u64)> {
    let links = entry.links.iter().filter_map(|link| Some((link.href.clone(), link.length?)));
    let contents = entry.media.iter().flat_map(|media| &media.content);
    links.chain(contents.filter_map(|content| Some((content.url.as_ref()?.to_string(), content.size?)))).next()
}

/// The first thing in which an article differs from what it should be.
fn differs(seen: &Seen, wanted: &Seen, format: Format) -> Option<String> {
    if seen.id != wanted.id {
        return Some(format!("`{}` ({}) stands where `{}` ({}) should", seen.title, seen.id, wanted.title, wanted.id));
    }
    let seconds = |moment: Option<DateTime<Utc>>| moment.map(|moment| moment.timestamp());
    // RSS does not tell changes, and JSON Feed only where there was one.
    let updated = format == Format::Atom || (format == Format::Json && seen.updated.is_some());
    let what = if words(&seen.title) != words(&wanted.title) {
        "title"
    } else if seen.url != wanted.url {
        "address"
    } else if seconds(seen.published) != seconds(wanted.published) {
        "date"
    } else if updated && seconds(seen.updated) != seconds(wanted.updated) {
        "date of change"
    } else if seen.text.trim() != wanted.text.trim() && words(&seen.text) != words(&wanted.text) {
        "text"
    } else if !seen.authors.iter().map(|name| words(name)).eq(wanted.authors.iter().map(|name| words(name))) {
        "authors"
    } else if !seen.categories.iter().map(|name| words(name)).eq(wanted.categories.iter().map(|name| words(name))) {
        "categories"
    } else if seen.attached != wanted.attached {
        "attached file"
    } else {
        return None;
    };
    Some(format!("the {what} of `{}` ({}) is not that of the article", wanted.title, wanted.id))
}

/// A text's words: how the formats escape it, and how it is laid out, is no difference.
fn words(html: &str) -> Vec<String> {
    plain::strip(html).split_whitespace().map(str::to_owned).collect()
}
