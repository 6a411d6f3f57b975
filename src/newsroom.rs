//! Everything published.

// One piece, and its body.
pub mod article;
// From manuscripts to a newsroom.
pub mod assemble;
// From a body as written to HTML with its picture and corrections.
pub mod body;
// Dates as people write them.
pub mod date;
// Short hashes that tell a changed text from an unchanged one.
pub mod fingerprint;
// The metadata at the head of an article's file.
pub mod front_matter;
// How an article keeps its id through changes of title, slug and file.
pub mod identity;
// JSON with places: one object in one line.
pub mod json;
// Links from one article's file to another's.
pub mod link;
// One article as read and checked by itself.
pub mod manuscript;
// What a text must look like to be taken for an address, a language, a line.
pub mod plausible;
// What is wrong in the material, and where.
pub mod problem;
// A named part of the newsroom.
pub mod section;
// The last part of an address.
pub mod slug;
// YAML with places: every error has its line and a suggestion.
pub mod yaml;

pub use article::{Article, ArticleId, Author, Body, Correction, Enclosure, Image};
pub use problem::{Place, Problem, Severity};
pub use section::Section;

use std::sync::Arc;
use url::Url;

/// Everything published, as one value. Bodies are not in it: an archive may have a million of them;
/// they are read one by one through [`Bodies`].
#[derive(Debug, Clone)]
pub struct Newsroom {
    /// What the newsroom calls itself.
    pub masthead: Masthead,
    /// In the order of the configuration.
    pub sections: Vec<Section>,
    /// Published articles, newest first (then by id): no draft, none for a future date.
    pub articles: Vec<Arc<Article>>,
    /// Withdrawn articles, latest withdrawal first: they leave a tombstone in Atom (RFC 6721) and disappear elsewhere.
    pub withdrawn: Vec<Withdrawn>,
}

/// The newsroom's own data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masthead {
    /// For instance `Acero Advocate`.
    pub title: String,
    /// One or two sentences.
    pub description: String,
    /// The home page.
    pub url: Url,
    /// The public address of the folder of feeds; ends in `/`.
    pub feeds_url: Url,
    /// BCP 47, for instance `en`.
    pub language: String,
    /// The rights line of every feed.
    pub copyright: Option<String>,
    /// The domain in tag URIs (RFC 4151) of articles that have no id of their own. Never changes.
    pub authority: String,
    /// A square picture, at least 144 px.
    pub icon: Option<Url>,
    /// A wide picture.
    pub logo: Option<Url>,
}

/// An article that was published and is no more.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Withdrawn {
    /// The id it had.
    pub id: ArticleId,
    /// The section it stood in.
    pub section: String,
    /// The names of its authors.
    pub authors: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it was published.
    pub published: chrono::DateTime<chrono::FixedOffset>,
    /// When it was withdrawn.
    pub when: chrono::DateTime<chrono::FixedOffset>,
    /// Why, for readers.
    pub reason: Option<String>,
}

/// Where bodies come from. Implemented by `source`; called from many threads.
pub trait Bodies: Sync {
    /// Reads, converts and sanitises one article's body.
    ///
    /// # Errors
    /// A [`Problem`] when the file has gone or changed shape since it was listed.
    fn body(&self, article: &Article) -> Result<Body, Problem>;
}

impl Newsroom {
    /// The section with this slug.
    pub fn section(&self, slug: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.slug == slug)
    }

    /// The published articles of a section, newest first.
    pub fn in_section<'a>(&'a self, slug: &'a str) -> impl Iterator<Item = &'a Arc<Article>> {
        self.articles.iter().filter(move |a| a.section == slug)
    }
}
