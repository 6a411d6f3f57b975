//! What the cache keeps beside the articles as read, and how it changes from one build to the next.
//!
//! Every article has a number that it keeps as long as it is there. Those of a whole build are numbered in the order of
//! their paths; one that comes later gets the next number, and the number of one that goes is not given again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::cmp::{Ordering, Reverse};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::raw;
use crate::feed::plan::Plan;
use crate::newsroom::manuscript::Manuscript;
use crate::newsroom::{Place, Problem, Severity, Withdrawn, identity};
use crate::publish::build::{Known, Printed};
use crate::source::directory::Listed;
use crate::stamp::Stamp;

/// What every build reads of the cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::incremental) struct Books {
    /// When it was built, in seconds since 1970; also a small change.
    pub(in crate::incremental) built: i64,
    /// The second at which something is published or withdrawn by its date.
    pub(in crate::incremental) next: Option<i64>,
    /// Whether there was no problem when documents were made.
    pub(in crate::incremental) calm: bool,
    /// What was wrong with the articles, to be told again.
    pub(in crate::incremental) problems: Vec<Kept>,
    /// Those that the walk found: they must be the same in the next one.
    pub(in crate::incremental) walked: Vec<Kept>,
    /// The register of ids,
    pub(in crate::incremental) register: Option<Stamp>,
    /// and what it remembers of articles that are no more, or are not published.
    pub(in crate::incremental) loose: Vec<identity::Entry>,
    /// Which article stands in which feed: by number, newest first. The first feed has them all.
    pub(in crate::incremental) plan: Plan,
    pub(in crate::incremental) withdrawn: Vec<Withdrawn>,
    /// The files of the feeds.
    pub(in crate::incremental) documents: Known,
    /// By number: a hash of the article's files, see [`Entry::mark`]; 0 where the article is no more.
    #[serde(with = "raw")]
    pub(in crate::incremental) marks: Vec<u64>,
}

/// What only those builds read in which an article comes, goes, or changes what it is known by.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::incremental) struct Index {
    /// By number: a hash of the article's id; 0 where it has none.
    #[serde(with = "raw")]
    pub(in crate::incremental) ids: Vec<u64>,
    /// By number: a hash of the article's address; 0 where it has none that others could be in the way of.
    #[serde(with = "raw")]
    pub(in crate::incremental) addresses: Vec<u64>,
    /// Hashes of the files that articles link to; perhaps of some more.
    #[serde(with = "raw")]
    pub(in crate::incremental) links: Vec<u64>,
}

/// One article's file or files, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::incremental) struct Entry {
    pub(in crate::incremental) path: String,
    /// The default where the file has to be read again in any case.
    pub(in crate::incremental) body: Option<Stamp>,
    pub(in crate::incremental) sidecar: Option<(String, Stamp)>,
    /// `None` where the article could not be read.
    pub(in crate::incremental) head: Option<Head>,
    /// Whether it has a problem of its own; a whole build tells it again by reading the article again.
    pub(in crate::incremental) troubled: bool,
    /// Empty where it has none: it could not be read, or is a draft that brings none.
    pub(in crate::incremental) id: String,
    /// Together with the addresses of the articles it links to.
    #[serde(with = "postcard::fixint::le")]
    pub(in crate::incremental) fingerprint: u64,
    pub(in crate::incremental) standing: Standing,
    /// When it was or will be published: seconds since 1970, and nanoseconds.
    pub(in crate::incremental) published: (i64, u32),
    /// A hash of its address; 0 where no other article can be in its way.
    #[serde(with = "postcard::fixint::le")]
    pub(in crate::incremental) address: u64,
}

/// What became of an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::incremental) enum Standing {
    /// It could not be read, is withdrawn, or another article is in its way.
    Aside,
    /// A draft.
    Draft,
    /// Its date has not come yet.
    Waits,
    /// Published.
    Shown,
}

/// Where an article as read stands in the cache's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::incremental) struct Head {
    pub(super) at: u64,
    pub(super) length: u32,
    #[serde(with = "postcard::fixint::le")]
    pub(super) sum: u32,
}

/// What changed since the books were written.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::incremental) struct Change {
    /// As [`Books::built`].
    pub(in crate::incremental) built: i64,
    pub(in crate::incremental) register: Option<Stamp>,
    pub(in crate::incremental) next: Option<i64>,
    /// Where these are others than before.
    pub(in crate::incremental) loose: Option<Vec<identity::Entry>>,
    /// By number; `None` where the article is no more.
    pub(in crate::incremental) entries: Vec<(u32, Option<Entry>)>,
    /// Hashes of files that articles link to now.
    pub(in crate::incremental) links: Vec<u64>,
    pub(in crate::incremental) turns: Vec<Turn>,
    /// Files of the feeds that were made, and those that are no more.
    pub(in crate::incremental) documents: Vec<(String, Printed)>,
    pub(in crate::incremental) gone: Vec<String>,
}

/// What changed in one feed: articles leave their places, then others take theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::incremental) struct Turn {
    /// The number of the feed in the plan.
    pub(in crate::incremental) feed: u32,
    /// Places that were taken, in order.
    pub(in crate::incremental) out: Vec<u32>,
    /// Places that are taken now, in order, and by whom.
    pub(in crate::incremental) into: Vec<(u32, u32)>,
}

/// A problem as it is kept: every field of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::incremental) struct Kept(Severity, Place, u32, String, u32, String, Option<String>);

impl Kept {
    pub(in crate::incremental) fn of(problem: &Problem) -> Kept {
        let Problem { severity, place, span, line, skipped, what, help } = problem.clone();
        Kept(severity, place, span, line, skipped, what, help)
    }

    /// The problem, as it was.
    pub(in crate::incremental) fn again(&self) -> Problem {
        let Kept(severity, place, span, line, skipped, what, help) = self.clone();
        Problem { severity, place, span, line, skipped, what, help }
    }

    /// Whether it may be about this file, or name it.
    pub(in crate::incremental) fn concerns(&self, file: &str) -> bool {
        let Kept(_, place, _, _, _, what, help) = self;
        place.file == file || what.contains(file) || help.as_deref().is_some_and(|help| help.contains(file))
    }
}

impl Entry {
    /// An article's entry as far as the article alone decides: it may be that it cannot be published although its date has
    /// come. `settled` gives a stamp that no file has where a file may have changed unseen.
    pub(in crate::incremental) fn of(
        listed: &Listed,
        manuscript: Option<&Manuscript>,
        now: DateTime<Utc>,
        settled: impl Fn(Stamp) -> Stamp,
    ) -> Entry {
        let mut entry = Entry {
            path: listed.path.clone(),
            body: listed.body.map(&settled),
            sidecar: listed.sidecar.clone().map(|(path, stamp)| (path, settled(stamp))),
            head: None,
            troubled: false,
            id: String::new(),
            fingerprint: 0,
            standing: Standing::Aside,
            published: (0, 0),
            address: 0,
        };
        if let Some(Manuscript { article, has_id, draft, .. }) = manuscript {
            let published = article.published;
            entry.published = (published.timestamp(), published.timestamp_subsec_nanos());
            if *has_id {
                entry.id.clone_from(&article.id.0);
            }
            if !draft {
                entry.address = hash_of(article.url.as_str());
            }
            entry.standing = match published {
                _ if *draft => Standing::Draft,
                published if published > now => Standing::Waits,
                _ => Standing::Shown,
            };
        }
        entry
    }

    /// Whether these are the same files, and they have not changed.
    pub(in crate::incremental) fn is(&self, listed: &Listed) -> bool {
        self.path == listed.path && self.body == listed.body && self.sidecar == listed.sidecar
    }

    /// As [`mark`].
    pub(in crate::incremental) fn mark(&self) -> u64 {
        mark_of(&self.path, self.body.as_ref(), self.sidecar.as_ref())
    }

    /// Where it stands in the order of the newsroom: newest first, then by id.
    pub(in crate::incremental) fn rank(&self) -> (Reverse<(i64, u32)>, &str) {
        (Reverse(self.published), self.id.as_str())
    }
}

/// A hash of an article's files, by which an unchanged one is known: never 0. The cache is that of one program, so the
/// function may be another one in the next.
pub(in crate::incremental) fn mark(listed: &Listed) -> u64 {
    mark_of(&listed.path, listed.body.as_ref(), listed.sidecar.as_ref())
}

fn mark_of(path: &str, body: Option<&Stamp>, sidecar: Option<&(String, Stamp)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (path, body, sidecar).hash(&mut hasher);
    hasher.finish().max(1)
}

/// A hash of a name; never 0.
pub(in crate::incremental) fn hash_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish().max(1)
}

impl Books {
    pub(super) fn empty() -> Books {
        Books {
            built: 0,
            next: None,
            calm: false,
            problems: Vec::new(),
            walked: Vec::new(),
            register: None,
            loose: Vec::new(),
            plan: Plan { feeds: Vec::new() },
            withdrawn: Vec::new(),
            documents: Known::new(),
            marks: Vec::new(),
        }
    }

    /// Brings the books up to date, except for what stands in entries. `None` where the change is not one of these books.
    pub(super) fn apply(&mut self, change: &mut Change) -> Option<()> {
        self.built = self.built.max(change.built);
        self.register = change.register;
        self.next = change.next;
        if let Some(loose) = change.loose.take() {
            self.loose = loose;
        }
        for (number, entry) in &change.entries {
            set(&mut self.marks, *number, entry.as_ref().map_or(0, Entry::mark))?;
        }
        for turn in &change.turns {
            turn.apply(&mut self.plan.feeds.get_mut(turn.feed as usize)?.articles)?;
        }
        for path in &change.gone {
            self.documents.remove(path);
        }
        self.documents.extend(change.documents.drain(..));
        Some(())
    }
}

impl Index {
    /// Brings it up to date.
    pub(super) fn apply(&mut self, entries: &[(u32, Option<Entry>)], links: &[u64]) -> Option<()> {
        for (number, entry) in entries {
            let (id, address) = entry.as_ref().map_or((0, 0), Entry::hashes);
            set(&mut self.ids, *number, id)?;
            set(&mut self.addresses, *number, address)?;
        }
        self.links.extend(links);
        Some(())
    }
}

impl Entry {
    /// As they stand in the [`Index`]: of its id, and of its address.
    pub(super) fn hashes(&self) -> (u64, u64) {
        (if self.id.is_empty() { 0 } else { hash_of(&self.id) }, self.address)
    }
}

impl Turn {
    /// Changes a feed. `None` where it is not one of this feed's.
    pub(in crate::incremental) fn apply(&self, articles: &mut Vec<u32>) -> Option<()> {
        for place in self.out.iter().rev() {
            let place = *place as usize;
            if place >= articles.len() {
                return None;
            }
            articles.remove(place);
        }
        for (place, number) in &self.into {
            let place = *place as usize;
            if place > articles.len() {
                return None;
            }
            articles.insert(place, *number);
        }
        Some(())
    }
}

/// The next number may be given; others are there already.
fn set(column: &mut Vec<u64>, number: u32, value: u64) -> Option<()> {
    match column.len().cmp(&(number as usize)) {
        Ordering::Equal => column.push(value),
        _ => *column.get_mut(number as usize)? = value,
    }
    Some(())
}
