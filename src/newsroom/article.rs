//! One piece, and its body.

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use url::Url;

use super::fingerprint::fingerprint;
use super::problem::Place;

/// An article's identity in every feed and edition; a URI, by default a tag URI (RFC 4151).
/// It never changes; see [`super::identity`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArticleId(pub String);

impl fmt::Display for ArticleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All of an article but its body. There may be a million of them in memory; so what most do not have is in boxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Article {
    /// Never changes.
    pub id: ArticleId,
    /// Plain text with typographic quotes.
    pub title: String,
    /// The page on the newsroom's site; absolute.
    pub url: Url,
    /// For a link post: what the piece points to.
    pub external_url: Option<Box<Url>>,
    /// When it was first published.
    pub published: DateTime<FixedOffset>,
    /// When it was last changed for readers; never before `published`.
    pub updated: Option<DateTime<FixedOffset>>,
    /// At least one.
    pub authors: Vec<Author>,
    /// Who had a part in it without being an author.
    pub contributors: Vec<Author>,
    /// The slug of its section.
    pub section: String,
    /// The last part of its address.
    pub slug: String,
    /// Plain text, one or two sentences. Made from the body where the article gives none.
    pub summary: String,
    /// In the order given, without doubles.
    pub tags: Vec<String>,
    /// The leading picture.
    pub image: Option<Box<Image>>,
    /// An attached sound or film.
    pub enclosure: Option<Box<Enclosure>>,
    /// BCP 47, where it differs from its section's.
    pub language: Option<String>,
    /// What was wrong and is right now, oldest first.
    pub corrections: Vec<Correction>,
    /// Changes exactly when the file does: a hash of metadata and body as written.
    pub fingerprint: u64,
    /// Where it was read from.
    pub place: Place,
}

impl Article {
    /// When it was last changed for readers: the latest of `published`, `updated` and the corrections.
    pub fn changed(&self) -> DateTime<FixedOffset> {
        self.changes().fold(self.published, |last, (_, change)| if change > last { change } else { last })
    }

    /// Whether it tells of changes after `now`.
    pub fn is_ahead(&self, now: DateTime<Utc>) -> bool {
        self.changes().any(|(_, change)| change > now)
    }

    /// Leaves out the changes after `now`, which nobody is to be told before their time. Answers what they are called, and
    /// when they come.
    pub fn put_off(&mut self, now: DateTime<Utc>) -> Vec<(&'static str, DateTime<FixedOffset>)> {
        let ahead: Vec<_> = self.changes().filter(|(_, change)| *change > now).collect();
        if !ahead.is_empty() {
            self.updated = self.updated.filter(|updated| *updated <= now);
            self.corrections.retain(|correction| correction.date <= now);
            // It is another text until they come.
            let told = [u8::from(self.updated.is_some())];
            let corrections = self.corrections.len().to_le_bytes();
            self.fingerprint = fingerprint([&self.fingerprint.to_le_bytes(), &told, &corrections]);
        }
        ahead
    }

    fn changes(&self) -> impl Iterator<Item = (&'static str, DateTime<FixedOffset>)> {
        let corrections = self.corrections.iter().map(|correction| ("corrections", correction.date));
        self.updated.map(|updated| ("updated", updated)).into_iter().chain(corrections)
    }
}

/// Who wrote it, or had a part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// As it is printed: `Nadia Cavner`.
    pub name: String,
    /// A page about them.
    pub url: Option<Box<Url>>,
}

/// A picture with what a reader needs who cannot see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Absolute.
    pub url: Url,
    /// What is to be seen.
    pub alt: String,
    /// Printed below it; plain text.
    pub caption: Option<String>,
    /// Who made it.
    pub credit: Option<String>,
}

/// An attached file (RSS `enclosure`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosure {
    /// Absolute.
    pub url: Url,
    /// Bytes.
    pub length: u64,
    /// Media type, for instance `audio/mpeg`.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Playing time in seconds.
    pub duration: Option<u64>,
}

/// What was wrong and is right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// When it was corrected.
    pub date: DateTime<FixedOffset>,
    /// One or two sentences of plain text.
    pub text: String,
}

/// What the article says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Sanitised HTML with absolute links; without the title, with the leading picture and the corrections.
    pub html: String,
    /// Whether its file was saved between the reading of the article and of the body: the two may not belong together.
    pub late: bool,
}
