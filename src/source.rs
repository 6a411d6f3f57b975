//! Where articles come from.

// A folder of files.
pub mod directory;
// The register of ids, kept beside the articles.
pub mod register;
// JSON Lines, from a file or standard input.
pub mod stream;

use chrono::{DateTime, Utc};
use std::path::PathBuf;

use crate::newsroom::manuscript::Context;
use crate::newsroom::{Article, Masthead, Newsroom, Problem, Section};

/// What reading articles needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of articles.
    pub folder: PathBuf,
    /// As a person would name that folder: `articles`.
    pub name: String,
    /// The newsroom's own data.
    pub masthead: Masthead,
    /// In order.
    pub sections: Vec<Section>,
    /// Dates without an offset are meant here.
    pub time_zone: chrono_tz::Tz,
}

/// Why articles are read.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// To look at them. The register of ids is read and left as it is.
    Look,
    /// To publish them. From the reading of the register until the ids are kept, nobody else changes it; where somebody else
    /// is at it, this is called, and then waited.
    Publish(&'a dyn Fn()),
}

/// Articles as read.
#[derive(Debug)]
pub struct Material<B> {
    /// What is published now.
    pub newsroom: Newsroom,
    /// Where the bodies come from; implements [`crate::newsroom::Bodies`].
    pub bodies: B,
    /// All that is wrong, in the order of files and lines.
    pub problems: Vec<Problem>,
    /// The next moment at which something is published or withdrawn by its date.
    pub next: Option<DateTime<Utc>>,
    /// The register of ids; save it before anything is published.
    pub ids: register::Ids,
}

impl Options {
    /// What reading one article depends on.
    pub fn context(&self) -> Context {
        Context {
            site: self.masthead.url.clone(),
            house: self.masthead.title.clone(),
            time_zone: self.time_zone,
            sections: self.sections.iter().map(|section| section.slug.clone()).collect(),
        }
    }

    /// The language of an article: its own, its section's, or the newsroom's.
    fn language<'a>(&'a self, article: &'a Article) -> &'a str {
        let section = self.sections.iter().find(|section| section.slug == article.section);
        let section = section.and_then(|section| section.language.as_deref());
        article.language.as_deref().or(section).unwrap_or(&self.masthead.language)
    }
}
