//! Builds what changed, and remembers the rest.
//!
//! A build walks through the articles and holds every file's stamp against that of the last build. Where nothing but the
//! text of some articles changed, only those are read, and only the documents that carry them are made: see
//! `incremental::quick`. Otherwise the whole newsroom is put together again, but still no unchanged article is parsed and no
//! document is rendered that would come out the same.
//!
//! What is remembered stands in one file, which is never trusted further than its checksums go, and never needed.

// What is remembered, and its file.
mod cache;
// The small change: articles that stay what they are and where they are.
mod quick;

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use crate::error::Failure;
use crate::feed::{self, archive, page};
use crate::newsroom::manuscript::Read;
use crate::newsroom::{Newsroom, Problem};
use crate::publish::build::{self, BuildError, BuildReport, Known, Order, Scope};
use crate::publish::directory;
use crate::source::directory::{Folder, Listed, finish, read_one, walk};
use crate::source::{self, Material, register};
use crate::stamp::Stamp;
use cache::{Books, Cache, Entry, Kept, SetupHash, Writer};

/// Articles that are read before they are written to the cache.
const CHUNK: usize = 4096;

/// Everything that a build depends on, beside the articles.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// How articles are read.
    pub source: &'a source::Options,
    /// How feeds are made.
    pub feed: &'a feed::Options,
    /// Of the pages.
    pub templates: &'a page::Templates,
    /// The folder of feeds.
    pub folder: &'a Path,
    /// The cache's file; it need not be there.
    pub cache: &'a Path,
}

/// What somebody needs of a build beside the feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Feeds,
    /// The whole newsroom.
    Newsroom,
}

/// Why nothing could be built.
#[derive(Debug)]
pub enum Refused {
    /// The articles cannot be read, or their ids not be kept.
    Articles(Failure),
    /// The feeds cannot be written.
    Feeds(BuildError),
}

/// A build whose articles have been read and whose documents have not been written yet. Nobody else builds meanwhile.
pub struct Work<'a> {
    setup: Setup<'a>,
    folder: directory::Folder,
    there: BTreeMap<String, Stamp>,
    now: DateTime<Utc>,
    kind: Kind,
}

enum Kind {
    Quick {
        edit: Box<quick::Edit>,
        cache: Cache,
        problems: Vec<Problem>,
    },
    Whole {
        material: Box<Material<Folder>>,
        entries: Vec<Entry>,
        writer: Option<Writer>,
        known: Known,
        walked: Vec<Kept>,
    },
}

/// What a build left.
pub struct Built {
    /// For people.
    pub report: BuildReport,
    /// How many articles are published.
    pub articles: usize,
    /// The newsroom; always there where it was [`Need::Newsroom`].
    pub material: Option<Material<Folder>>,
    /// For [`Memory::prepare`].
    pub memory: Option<Memory>,
}

/// What a build left for the next one of the same process, which then need not look at every file.
pub struct Memory(Cache);

impl Memory {
    /// The moment at which something is published or withdrawn by its date.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.0.books.next.and_then(|second| DateTime::from_timestamp(second, 0))
    }

    /// As [`prepare`], where no file has changed since the last build but those at `paths`, in the folder of articles.
    ///
    /// # Errors
    /// As [`prepare`].
    pub fn prepare<'a>(
        self,
        setup: Setup<'a>,
        paths: &BTreeSet<String>,
        clock: impl Fn() -> DateTime<Utc>,
        on_wait: impl Fn(),
    ) -> Result<Work<'a>, Refused> {
        let folder = directory::Folder::open(setup.folder, &on_wait).map_err(Refused::Feeds)?;
        let (now, begun) = (clock(), SystemTime::now());
        let edited = if quick::as_before(&setup, &self.0, now) { quick::touched(&setup, &self.0, paths) } else { None };
        if let Some(edit) = edited.and_then(|edited| quick::edit(&setup, &self.0, edited, begun)) {
            return Ok(Work { setup, folder, there: BTreeMap::new(), now, kind: Kind::quick(edit, self.0) });
        }
        drop(folder);
        prepare(setup, Need::Feeds, clock, on_wait)
    }
}

/// Reads what changed. If another build has the folder of feeds, calls `on_wait` and waits; asks `clock` afterwards.
///
/// # Errors
/// [`Refused`]; nothing was written.
pub fn prepare(
    setup: Setup<'_>,
    need: Need,
    clock: impl FnOnce() -> DateTime<Utc>,
    on_wait: impl FnOnce(),
) -> Result<Work<'_>, Refused> {
    let folder = directory::Folder::open(setup.folder, on_wait).map_err(Refused::Feeds)?;
    let now = clock();
    let begun = SystemTime::now();
    let (walked, (cache, there)) = rayon::join(
        || walk(setup.source),
        || rayon::join(|| Cache::open(setup.cache, &setup.hash()), || folder.files()),
    );
    let (listed, problems) = walked.map_err(Refused::Articles)?;
    let there = there.map_err(Refused::Feeds)?;
    let cache = match cache {
        Some(cache) if need == Need::Feeds => {
            let small = quick::as_before(&setup, &cache, now)
                && problems.iter().map(Kept::of).eq(cache.books.walked.iter().cloned())
                && build::untouched(&there, &cache.books.documents);
            let edited = if small { quick::edited(&cache, &listed) } else { None };
            match edited.and_then(|edited| quick::edit(&setup, &cache, edited, begun)) {
                Some(edit) => return Ok(Work { setup, folder, there, now, kind: Kind::quick(edit, cache) }),
                None => Some(cache),
            }
        }
        cache => cache,
    };
    let kind = whole(&setup, cache, listed, problems, now, begun).map_err(Refused::Articles)?;
    Ok(Work { setup, folder, there, now, kind })
}

impl Kind {
    fn quick(edit: quick::Edit, cache: Cache) -> Kind {
        let problems = cache.books.problems.iter().map(Kept::again).collect();
        Kind::Quick { edit: Box::new(edit), cache, problems }
    }
}

impl Work<'_> {
    /// What is wrong with the articles.
    pub fn problems(&self) -> &[Problem] {
        match &self.kind {
            Kind::Quick { problems, .. } => problems,
            Kind::Whole { material, .. } => &material.problems,
        }
    }

    /// Keeps the ids, builds the documents, and remembers what was built.
    ///
    /// # Errors
    /// [`Refused`]; every document is then either the old or the new one.
    pub fn publish(self) -> Result<Built, Refused> {
        let Work { setup, folder, there, now, kind } = self;
        match kind {
            Kind::Quick { edit, cache, .. } => {
                let quick::Edit { newsroom, bodies, places, changes, register } = *edit;
                let order = order(&setup, &newsroom, &cache.books.plan, &bodies);
                let rebuilt = build::rebuild(order, &folder, &there, &cache.books.documents, Scope::Around(&places));
                let rebuilt = rebuilt.map_err(Refused::Feeds)?;
                let articles = newsroom.articles.len();
                let cache = cache.add(register, changes, rebuilt.printed);
                Ok(Built {
                    report: rebuilt.report,
                    articles,
                    material: None,
                    memory: told(cache).flatten().map(Memory),
                })
            }
            Kind::Whole { material, mut entries, writer, known, walked } => {
                material.ids.save().map_err(Refused::Articles)?;
                let plan = archive::plan(&material.newsroom, setup.feed);
                let order = order(&setup, &material.newsroom, &plan, &material.bodies);
                let rebuilt = build::rebuild(order, &folder, &there, &known, Scope::All).map_err(Refused::Feeds)?;
                drop(known);
                complete(&mut entries, &material.newsroom, &setup.source.name);
                let books = Books {
                    built: now.timestamp(),
                    next: material.next.map(|next| next.timestamp()),
                    calm: rebuilt.report.problems.is_empty(),
                    problems: material.problems.iter().map(Kept::of).collect(),
                    walked,
                    register: register::stamp(&setup.source.folder),
                    entries,
                    plan,
                    withdrawn: material.newsroom.withdrawn.clone(),
                    documents: rebuilt.printed,
                };
                let cache = writer.and_then(|writer| told(writer.finish(&setup.hash(), books)));
                let articles = material.newsroom.articles.len();
                Ok(Built { report: rebuilt.report, articles, material: Some(*material), memory: cache.map(Memory) })
            }
        }
    }
}

impl Setup<'_> {
    /// The program and the configuration. Templates are not in it: they are in the pages' keys.
    fn hash(&self) -> SetupHash {
        // Between two versions, programs differ by their file; an unknown file is as good as none.
        let program = std::env::current_exe().and_then(std::fs::metadata).map(|program| Stamp::of(&program));
        let source::Options { folder, name, masthead, sections, time_zone } = self.source;
        let all = format!(
            "{:?}",
            (
                env!("CARGO_PKG_VERSION"),
                program.ok(),
                folder,
                name,
                masthead,
                sections,
                time_zone,
                self.feed,
                self.folder
            )
        );
        let mut hash = SetupHash::default();
        hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, all.as_bytes()).as_ref());
        hash
    }
}

fn order<'a>(setup: &Setup<'a>, newsroom: &'a Newsroom, plan: &'a archive::Plan, bodies: &'a Folder) -> Order<'a> {
    Order { newsroom, plan, bodies, options: setup.feed, templates: setup.templates }
}

/// Puts the newsroom together; takes articles whose files have not changed from the cache.
fn whole(
    setup: &Setup<'_>,
    cache: Option<Cache>,
    listed: Vec<Listed>,
    problems: Vec<Problem>,
    now: DateTime<Utc>,
    begun: SystemTime,
) -> Result<Kind, Failure> {
    let context = setup.source.context();
    let mut writer = told(Writer::create(setup.cache));
    let mut entries = Vec::with_capacity(listed.len());
    let mut all = Vec::with_capacity(listed.len());
    let walked = problems.iter().map(Kept::of).collect();
    let mut rest = listed.into_iter();
    loop {
        let chunk: Vec<Listed> = rest.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        let read = chunk.par_iter().map(|listed| {
            let known = cache.as_ref().and_then(|cache| remembered(cache, listed));
            known.unwrap_or_else(|| {
                let read = read_one(setup.source, &context, listed);
                let head = read.manuscript.as_ref().map(|read| cache::encoded(read));
                (read, head)
            })
        });
        let read: Vec<(Read, Option<Vec<u8>>)> = read.collect();
        for (listed, (read, head)) in chunk.into_iter().zip(read) {
            let pushed = match (&mut writer, head) {
                (Some(open), Some(head)) => match told(open.push(&head)) {
                    None => {
                        writer = None;
                        None
                    }
                    pushed => pushed,
                },
                _ => None,
            };
            entries.push(Entry {
                path: listed.path.clone(),
                body: listed.body.map(|stamp| settled(stamp, begun)),
                sidecar: listed.sidecar.clone().map(|(path, stamp)| (path, settled(stamp, begun))),
                head: pushed,
                troubled: !read.problems.is_empty(),
                id: String::new(),
                fingerprint: 0,
                place: None,
            });
            all.push((listed, read));
        }
    }
    let known = cache.map(|cache| cache.books.documents).unwrap_or_default();
    let material = Box::new(finish(setup.source, all, problems, now)?);
    Ok(Kind::Whole { material, entries, writer, known, walked })
}

/// An article whose files have not changed since the cache was written.
fn remembered(cache: &Cache, listed: &Listed) -> Option<(Read, Option<Vec<u8>>)> {
    let entries = &cache.books.entries;
    let at = entries.binary_search_by(|entry| entry.path.as_str().cmp(&listed.path)).ok()?;
    let entry = entries.get(at).filter(|entry| entry.is(listed) && !entry.troubled)?;
    let (manuscript, head) = (cache.manuscript(entry)?, cache.head(entry)?);
    Some((Read { manuscript: Some(Box::new(manuscript)), problems: Vec::new() }, Some(head)))
}

/// A file that may have changed after it was read without a trace gets a stamp that no file has.
fn settled(stamp: Stamp, begun: SystemTime) -> Stamp {
    if stamp.settled(begun) { stamp } else { Stamp::default() }
}

/// Notes what became of articles when they were put together.
fn complete(entries: &mut [Entry], newsroom: &Newsroom, name: &str) {
    for (article, place) in newsroom.articles.iter().zip(0..=u32::MAX) {
        let path = article.place.file.strip_prefix(name).unwrap_or_default().trim_start_matches('/');
        if let Ok(at) = entries.binary_search_by(|entry| entry.path.as_str().cmp(path)) {
            entries[at].id.clone_from(&article.id.0);
            entries[at].fingerprint = article.fingerprint;
            entries[at].place = Some(place);
        }
    }
}

/// A cache that cannot be written is no reason not to build; somebody should know, though.
fn told<T>(done: std::io::Result<T>) -> Option<T> {
    done.inspect_err(|error| tracing::warn!("the build cache cannot be written: {error}")).ok()
}
