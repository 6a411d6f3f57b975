//! The articles that a small change looks at.

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use url::Url;

use crate::incremental::cache::{Cache, Entry, Found};
use crate::newsroom::Article;
use crate::newsroom::manuscript::Manuscript;

/// Articles, and where their links to files lead.
pub(super) struct Desk<'a> {
    cache: &'a Cache,
    /// What articles say of later changes is not told yet.
    time: DateTime<Utc>,
    /// The addresses of the files in question as they are now; `None` where there is none.
    now: HashMap<String, Option<Url>>,
    /// Of articles that others link to by file.
    pub(super) addresses: HashMap<String, Url>,
    /// By number.
    pub(super) read: BTreeMap<u32, Arc<Article>>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(cache: &'a Cache, time: DateTime<Utc>, now: HashMap<String, Option<Url>>) -> Desk<'a> {
        Desk { cache, time, now, addresses: HashMap::new(), read: BTreeMap::new() }
    }

    /// Looks up where an article's links to files lead.
    pub(super) fn learn(&mut self, manuscript: &Manuscript) -> Option<()> {
        for link in &manuscript.links {
            if self.addresses.contains_key(link) {
                continue;
            }
            let address = match self.now.get(link) {
                Some(address) => address.clone(),
                None => match self.cache.find(link) {
                    Found::Here(_, entry) => address_of(&self.cache.manuscript(&entry)?),
                    Found::Nowhere => None,
                    Found::Unknown => return None,
                },
            };
            self.addresses.extend(address.map(|address| (link.clone(), address)));
        }
        Some(())
    }

    /// Reads these articles as they stand in the cache, those aside that have been read.
    pub(super) fn fetch(&mut self, numbers: &BTreeSet<u32>) -> Option<()> {
        let missing: Vec<u32> = numbers.iter().copied().filter(|number| !self.read.contains_key(number)).collect();
        let cache = self.cache;
        let fetched = missing.into_par_iter().map(|number| {
            let entry = cache.entry(number)?;
            Some((number, cache.manuscript(&entry)?, entry))
        });
        for (number, manuscript, entry) in fetched.collect::<Option<Vec<_>>>()? {
            self.learn(&manuscript)?;
            self.put(number, manuscript, &entry);
        }
        Some(())
    }

    /// An article as it stands in the newsroom.
    pub(super) fn put(&mut self, number: u32, manuscript: Manuscript, entry: &Entry) {
        let mut article = manuscript.article;
        article.id.0.clone_from(&entry.id);
        article.put_off(self.time);
        article.fingerprint = entry.fingerprint;
        self.read.insert(number, Arc::new(article));
    }
}

/// Where links to an article's file lead; drafts have no address for others.
pub(super) fn address_of(manuscript: &Manuscript) -> Option<Url> {
    (!manuscript.draft).then(|| manuscript.article.url.clone())
}
