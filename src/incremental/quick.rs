//! The small change: some articles were edited, and stay what they are and where they are.
//!
//! Then the feeds and the order of articles are those of the last build, and only the documents that carry an edited
//! article are made again. Whatever else happens (an article comes, goes, moves, or changes what it is known by; a date
//! arrives; it has a problem, or is named in one) is left to the whole build: the conditions stand in [`as_before`],
//! [`edited`], [`edit`] and [`stays`]. What is wrong with other articles stays wrong, and is told again from the cache.

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;
use url::Url;

use super::cache::{Cache, Change, Entry, encoded};
use super::{Setup, settled};
use crate::newsroom::assemble::with_links;
use crate::newsroom::identity::{self, Candidate};
use crate::newsroom::link::BODY_ENDINGS;
use crate::newsroom::manuscript::Manuscript;
use crate::newsroom::{Article, Newsroom};
use crate::publish::build::{headlines, neighbours};
use crate::source::directory::{self, Folder, Listed, read_one};
use crate::source::register;
use crate::stamp::Stamp;

/// With more articles than these, the whole is not much more work.
const MOST: usize = 256;

/// A small change.
pub(super) struct Edit {
    /// Has only the articles that are looked at; in every other place stands any of them.
    pub(super) newsroom: Newsroom,
    pub(super) bodies: Folder,
    /// Of the edited articles.
    pub(super) places: BTreeSet<u32>,
    pub(super) changes: Vec<Change>,
    /// The register of ids as it is now.
    pub(super) register: Option<Stamp>,
}

/// Whether all is as it was when the cache was written, beside the articles and the feeds.
pub(super) fn as_before(setup: &Setup<'_>, cache: &Cache, now: DateTime<Utc>) -> bool {
    let (books, now) = (&cache.books, now.timestamp());
    books.calm
        && books.built <= now
        && books.next.is_none_or(|next| now < next)
        && books.register == register::stamp(&setup.source.folder)
}

/// The articles whose files have changed, by their numbers; `None` where there are others than before, or too many.
pub(super) fn edited(cache: &Cache, listed: &[Listed]) -> Option<Vec<(u32, Listed)>> {
    let entries = &cache.books.entries;
    if entries.len() != listed.len() {
        return None;
    }
    let mut edited = Vec::new();
    for (number, (entry, listed)) in (0..=u32::MAX).zip(entries.iter().zip(listed)) {
        if !entry.is(listed) {
            let sidecar = |sidecar: &Option<(String, Stamp)>| sidecar.as_ref().map(|(path, _)| path.clone());
            let same = entry.path == listed.path
                && entry.body.is_some() == listed.body.is_some()
                && sidecar(&entry.sidecar) == sidecar(&listed.sidecar);
            if !same || edited.len() == MOST {
                return None;
            }
            edited.push((number, listed.clone()));
        }
    }
    Some(edited)
}

/// The same for files that are said to have changed, by their paths in the folder of articles.
pub(super) fn touched(setup: &Setup<'_>, cache: &Cache, paths: &BTreeSet<String>) -> Option<Vec<(u32, Listed)>> {
    let entries = &cache.books.entries;
    let find = |path: &str| entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok();
    let beside = |path: &str| {
        let (stem, _) = path.rsplit_once('.')?;
        let is_its = |at: &usize| entries[*at].sidecar.as_ref().is_some_and(|(sidecar, _)| sidecar == path);
        BODY_ENDINGS.iter().filter_map(|ending| find(&format!("{stem}.{ending}"))).find(is_its)
    };
    let numbers: Option<BTreeSet<usize>> = paths.iter().map(|path| find(path).or_else(|| beside(path))).collect();
    let stamp = |path: &String| directory::stamp(setup.source, path).ok();
    let listed = |at: usize| {
        let Entry { path, body, sidecar, .. } = &entries[at];
        Some((
            u32::try_from(at).ok()?,
            Listed {
                path: path.clone(),
                body: if body.is_some() { Some(stamp(path)?) } else { None },
                sidecar: match sidecar {
                    Some((path, _)) => Some((path.clone(), stamp(path)?)),
                    None => None,
                },
            },
        ))
    };
    numbers.filter(|numbers| numbers.len() <= MOST)?.into_iter().map(listed).collect()
}

/// What articles that were edited change, if that is no more than a small change.
pub(super) fn edit(setup: &Setup<'_>, cache: &Cache, edited: Vec<(u32, Listed)>, begun: SystemTime) -> Option<Edit> {
    let books = &cache.books;
    let context = setup.source.context();
    let mut desk = Desk { cache, addresses: HashMap::new(), read: HashMap::new() };
    let (mut changes, mut places, mut ids) = (Vec::new(), BTreeSet::new(), Vec::new());
    for (number, listed) in edited {
        let entry = books.entries.get(number as usize)?;
        let file = format!("{}/{}", setup.source.name, listed.path);
        if entry.troubled || books.problems.iter().any(|problem| problem.concerns(&file)) {
            return None;
        }
        let read = read_one(setup.source, &context, &listed);
        let new = *read.manuscript.filter(|_| read.problems.is_empty())?;
        let old = cache.manuscript(entry)?;
        let mut entry = Entry {
            body: listed.body.map(|stamp| settled(stamp, begun)),
            sidecar: listed.sidecar.map(|(path, stamp)| (path, settled(stamp, begun))),
            ..entry.clone()
        };
        if new == old {
            if books.entries[number as usize] != entry {
                changes.push(Change { number, entry, head: None });
            }
            continue;
        }
        if !stays(&old, &new) {
            return None;
        }
        if !new.has_id {
            let [was, is] = [&old, &new].map(|manuscript| remembered(&entry, manuscript));
            ids.extend((was != is).then_some((was, is)));
        }
        let place = entry.place?;
        places.insert(place);
        desk.learn(&new)?;
        entry.fingerprint = with_links(new.article.fingerprint, &new.links, |link| desk.addresses.get(link));
        changes.push(Change { number, head: Some(encoded(&new)), entry: entry.clone() });
        desk.read.insert(place, article(new, &entry));
    }

    let mut looked_at = neighbours(&books.plan, &places, setup.feed.items);
    looked_at.extend(headlines(&books.plan));
    let published = desk.fill(&looked_at)?;
    if !ids.is_empty() && !register::amend(&setup.source.folder, &ids).unwrap_or(false) {
        return None;
    }
    let newsroom = Newsroom {
        masthead: setup.source.masthead.clone(),
        sections: setup.source.sections.clone(),
        articles: published,
        withdrawn: books.withdrawn.clone(),
    };
    let bodies = Folder::new(setup.source, desk.addresses);
    Some(Edit { newsroom, bodies, places, changes, register: register::stamp(&setup.source.folder) })
}

/// Whether an article, as it was and as it is, has the same id and address, and the same place in the same feeds.
fn stays(old: &Manuscript, new: &Manuscript) -> bool {
    let (was, is) = (&old.article, &new.article);
    let known = match (old.has_id, new.has_id) {
        (true, true) => was.id == is.id,
        (false, false) => was.title == is.title || old.body_fingerprint == new.body_fingerprint,
        _ => false,
    };
    known
        && !old.draft
        && !new.draft
        && old.withdrawn == new.withdrawn
        && old.links == new.links
        && (&was.url, &was.section, &was.slug, was.published) == (&is.url, &is.section, &is.slug, is.published)
        && (&was.authors, &was.tags) == (&is.authors, &is.tags)
}

/// What the register of ids says of an article.
fn remembered(entry: &Entry, manuscript: &Manuscript) -> identity::Entry {
    let article = &manuscript.article;
    let candidate = Candidate {
        path: &entry.path,
        section: &article.section,
        slug: &article.slug,
        published: article.published,
        body: manuscript.body_fingerprint,
        title: &article.title,
    };
    identity::Entry::new(entry.id.clone(), &candidate)
}

/// As it stands in the newsroom.
fn article(manuscript: Manuscript, entry: &Entry) -> Article {
    let mut article = manuscript.article;
    article.id.0.clone_from(&entry.id);
    article.fingerprint = entry.fingerprint;
    article
}

/// The articles that a small change looks at.
struct Desk<'a> {
    cache: &'a Cache,
    /// Of articles that others link to by file.
    addresses: HashMap<String, Url>,
    /// By place.
    read: HashMap<u32, Article>,
}

impl Desk<'_> {
    /// Looks up where an article's links to files lead.
    fn learn(&mut self, manuscript: &Manuscript) -> Option<()> {
        for link in &manuscript.links {
            let entries = &self.cache.books.entries;
            if !self.addresses.contains_key(link)
                && let Ok(at) = entries.binary_search_by(|entry| entry.path.cmp(link))
            {
                let target = self.cache.manuscript(&entries[at])?;
                if !target.draft {
                    self.addresses.insert(link.clone(), target.article.url);
                }
            }
        }
        Some(())
    }

    /// The articles at these places, and any of them in all others.
    fn fill(&mut self, places: &BTreeSet<u32>) -> Option<Vec<Arc<Article>>> {
        let entries = &self.cache.books.entries;
        let published = entries.iter().filter(|entry| entry.place.is_some()).count();
        let wanted = |entry: &&Entry| {
            entry.place.is_some_and(|place| places.contains(&place) && !self.read.contains_key(&place))
        };
        let missing: Vec<(u32, &Entry)> =
            entries.iter().filter(wanted).filter_map(|entry| entry.place.map(|place| (place, entry))).collect();
        let found: Option<Vec<(u32, Manuscript, &Entry)>> = missing
            .into_par_iter()
            .map(|(place, entry)| self.cache.manuscript(entry).map(|manuscript| (place, manuscript, entry)))
            .collect();
        for (place, manuscript, entry) in found? {
            self.learn(&manuscript)?;
            self.read.insert(place, article(manuscript, entry));
        }
        let mut read = std::mem::take(&mut self.read).into_iter().map(|(place, article)| (place, Arc::new(article)));
        let Some((place, any)) = read.next() else { return (published == 0).then(Vec::new) };
        let mut all = vec![any.clone(); published];
        for (place, article) in read.chain([(place, any)]) {
            *all.get_mut(place as usize)? = article;
        }
        Some(all)
    }
}
