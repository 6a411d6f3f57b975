//! A section as machines read it. Pure: a [`crate::newsroom::Newsroom`] in, documents out.

/// RFC 5005: which article stands in which document.
pub mod archive;
/// Atom 1.0 (RFC 4287).
pub mod atom;
/// JSON Feed 1.1.
pub mod json;
/// What a built file is to HTTP: its media type, how long it may be kept, when it is published.
pub mod media;
/// OPML 2.0: the list of all feeds.
pub mod opml;
/// The pages for people.
pub mod page;
/// RSS 2.0.
pub mod rss;

use url::Url;

/// How feeds are made, as the configuration says.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The current document carries at least this many of the newest articles; every archive page exactly as many.
    pub items: usize,
    /// Whole texts or summaries.
    pub content: Content,
    /// RSS `ttl`: minutes a reader may wait before asking again.
    pub ttl: u32,
    /// WebSub hubs.
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
