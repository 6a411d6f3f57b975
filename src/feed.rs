//! A section as machines read it. Pure: a [`crate::newsroom::Newsroom`] in, documents out.

// RFC 5005: which article stands in which document.
pub mod archive;
// Atom 1.0 (RFC 4287).
pub mod atom;
// An article as every format tells it.
pub mod item;
// JSON Feed 1.1.
pub mod json;
// Languages and the directions they are written in.
pub mod language;
// What a built file is to HTTP: its media type, how long it may be kept, when it is published.
pub mod media;
// OPML 2.0: the list of all feeds.
pub mod opml;
// The pages for people.
pub mod page;
// Which feeds there are.
pub mod plan;
// RSS 2.0.
pub mod rss;
// Names in addresses.
pub mod slug;
// The long text of an item, put in its place.
mod splice;

use url::Url;

use crate::newsroom::{Article, Body, Newsroom};

/// How feeds are made, as the configuration says.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The current document carries at least this many of the newest articles; every archive page exactly as many.
    pub items: usize,
    /// Whole texts or summaries.
    pub content: Content,
    /// RSS `ttl`: minutes a reader may wait before asking again.
    pub ttl: u32,
    /// `WebSub` hubs.
    pub hubs: Vec<Url>,
    /// More feeds beside those of the sections and the whole.
    pub extra: Vec<Extra>,
}

impl Default for Options {
    fn default() -> Self {
        Options { items: 50, content: Content::Full, ttl: 60, hubs: Vec::new(), extra: Vec::new() }
    }
}

/// Whole texts or summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The whole text.
    Full,
    /// The summary.
    Summary,
}

/// One more family of feeds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    /// One feed for each of these.
    pub by: By,
    /// Whole texts or summaries.
    pub content: Content,
}

/// What an extra family of feeds is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// `feeds/author/<slug>/`.
    Author,
    /// `feeds/tag/<slug>/`.
    Tag,
    /// `feeds/year/<year>/`.
    Year,
    /// `feeds/<section>/summary/` and `feeds/summary/`: the section feeds once more with other content.
    Section,
}

/// The three formats; each tells the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// RSS 2.0.
    Rss,
    /// Atom 1.0.
    Atom,
    /// JSON Feed 1.1.
    Json,
}

impl Format {
    /// In the order in which they are listed for people.
    pub const ALL: [Format; 3] = [Format::Rss, Format::Atom, Format::Json];

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Rss => "RSS",
            Format::Atom => "Atom",
            Format::Json => "JSON Feed",
        }
    }

    /// The media type that a server should say.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Rss => "application/rss+xml",
            Format::Atom => "application/atom+xml",
            Format::Json => "application/feed+json",
        }
    }

    /// The current document's file: `rss.xml`.
    pub fn file(self) -> &'static str {
        match self {
            Format::Rss => "rss.xml",
            Format::Atom => "atom.xml",
            Format::Json => "feed.json",
        }
    }

    /// What archive pages are named by, and how they end: `rss-0001.xml`.
    pub fn stem_and_extension(self) -> (&'static str, &'static str) {
        match self {
            Format::Rss => ("rss", "xml"),
            Format::Atom => ("atom", "xml"),
            Format::Json => ("feed", "json"),
        }
    }
}

/// What stands in every document that this program makes, near its beginning.
pub const GENERATOR: &str = "Pressrun";

/// One article in the three formats, as UTF-8, ready to be put into any document that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragments {
    /// An RSS `item`.
    pub rss: Vec<u8>,
    /// An Atom `entry`.
    pub atom: Vec<u8>,
    /// A JSON Feed item.
    pub json: Vec<u8>,
}

impl Fragments {
    /// The fragment of one format.
    pub fn get(&self, format: Format) -> &[u8] {
        match format {
            Format::Rss => &self.rss,
            Format::Atom => &self.atom,
            Format::Json => &self.json,
        }
    }
}

/// Renders an article once; `body` may be left out where only the summary is told.
pub fn render(newsroom: &Newsroom, article: &Article, body: Option<&Body>, content: Content) -> Fragments {
    let item = item::Item::new(newsroom, article, body, content);
    Fragments { rss: rss::fragment(&item), atom: atom::fragment(&item), json: json::fragment(&item) }
}

/// What stands before and after the fragments of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Before the first.
    pub head: String,
    /// Between two.
    pub between: &'static str,
    /// After the last.
    pub tail: &'static str,
}

/// The frame of one document of a plan.
pub fn frame(newsroom: &Newsroom, options: &Options, document: &archive::Document, format: Format) -> Frame {
    match format {
        Format::Rss => rss::frame(newsroom, options, document),
        Format::Atom => atom::frame(newsroom, options, document),
        Format::Json => json::frame(newsroom, options, document),
    }
}
