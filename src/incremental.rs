//! Builds what changed, and remembers the rest.
//!
//! A build walks through the articles and holds every file's stamp against that of the last build. Where some articles came,
//! went or changed, only those are read, and only the documents that carry them are made: see `incremental::quick`. Where
//! that cannot be told from them alone, the whole newsroom is put together again, but still no unchanged article is parsed
//! and no document is rendered that would come out the same.
//!
//! What is remembered stands in one file, which is never trusted further than its checksums go, and never needed.

// What is remembered, and its file.
mod cache;
// The small change: some articles came, went, or were edited.
mod quick;

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use crate::error::Failure;
use crate::feed::{self, page, plan::Plan};
use crate::newsroom::manuscript::Read;
use crate::newsroom::{Newsroom, Problem};
use crate::publish::build::{self, BuildError, BuildReport, Known, Order, Scope};
use crate::publish::directory;
use crate::source::directory::{Folder, Listed, finish, read_one, walk, walk_without};
use crate::source::{self, Material, Purpose};
use crate::stamp::Stamp;
use cache::{Books, Cache, Entry, Kept, SetupHash, Standing, Writer, hash_of, mark};
use quick::{Difference, Sieve};

/// Articles that are read before they are written to the cache.
const CHUNK: usize = 4096;

/// Articles that one thread reads at a time.
const SHARE: usize = 16;

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

/// What another run is at work on, and is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// The folder of feeds.
    Feeds,
    /// The register of the articles' ids.
    Register,
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
    Quick { edit: Box<quick::Edit>, cache: Box<Cache>, problems: Vec<Problem> },
    Whole { material: Box<Material<Folder>>, taken: Taken, known: Known, walked: Vec<Kept> },
}

/// What a build left.
pub struct Built {
    /// For people.
    pub report: BuildReport,
    /// How many articles are published.
    pub articles: usize,
    /// The next moment at which something is published or withdrawn by its date.
    pub next: Option<DateTime<Utc>>,
    /// The newsroom; always there where it was [`Need::Newsroom`].
    pub material: Option<Material<Folder>>,
    /// For [`Memory::prepare`].
    pub memory: Option<Memory>,
}

/// What a build left for the next one of the same process, which then need not look at every file.
pub struct Memory(Cache);

impl Memory {
    fn open(setup: &Setup<'_>) -> Option<Memory> {
        Cache::open(setup.cache, &setup.hash()).map(Memory)
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
        on_wait: impl Fn(Busy),
    ) -> Result<Work<'a>, Refused> {
        let folder = directory::Folder::open(setup.folder, || on_wait(Busy::Feeds)).map_err(Refused::Feeds)?;
        let (now, begun) = (clock(), SystemTime::now());
        let cache = self.0;
        let difference =
            if quick::as_before(&setup, &cache, now) { Difference::at(&setup, &cache, paths) } else { None };
        let for_register = || on_wait(Busy::Register);
        let edit = |difference| quick::edit(&setup, &cache, difference, now, begun, &for_register);
        if let Some(edit) = difference.and_then(edit) {
            // Nobody has looked into the folder; what is to go is said to be there.
            let there = edit.change.gone.iter().map(|path| (path.clone(), Stamp::default())).collect();
            return Ok(Work { setup, folder, there, now, kind: Kind::quick(edit, cache) });
        }
        drop(folder);
        prepare(setup, Need::Feeds, clock, on_wait)
    }
}

/// Reads what changed. If another build has the folder of feeds, calls `on_wait` and waits; asks `clock` afterwards. So it
/// does if another run has the register of ids.
///
/// # Errors
/// [`Refused`]; nothing was written.
pub fn prepare(
    setup: Setup<'_>,
    need: Need,
    clock: impl FnOnce() -> DateTime<Utc>,
    on_wait: impl Fn(Busy),
) -> Result<Work<'_>, Refused> {
    let folder = directory::Folder::open(setup.folder, || on_wait(Busy::Feeds)).map_err(Refused::Feeds)?;
    let for_register = || on_wait(Busy::Register);
    let now = clock();
    let begun = SystemTime::now();
    let mut edit = None;
    let (known, there) = rayon::join(
        || Cache::open(setup.cache, &setup.hash()).map(|cache| (Sieve::new(&cache), cache)),
        || folder.files(),
    );
    let there = there.map_err(Refused::Feeds)?;
    let (sieve, cache) = known.unzip();
    if let (Some(cache), Some(sieve)) = (&cache, sieve)
        && need == Need::Feeds
        && quick::as_before(&setup, cache, now)
        && build::untouched(&there, &cache.books.documents)
    {
        let (listed, problems) =
            walk_without(setup.source, &|listed| sieve.knows(listed)).map_err(Refused::Articles)?;
        let calm = problems.iter().map(Kept::of).eq(cache.books.walked.iter().cloned());
        let difference = if calm { sieve.difference(cache, listed) } else { None };
        edit = difference.and_then(|difference| quick::edit(&setup, cache, difference, now, begun, &for_register));
    }
    let kind = match (edit, cache) {
        (Some(edit), Some(cache)) => Kind::quick(edit, cache),
        (_, cache) => {
            let (listed, problems) = walk(setup.source).map_err(Refused::Articles)?;
            let purpose = Purpose::Publish(&for_register);
            whole(&setup, cache, (listed, problems), (now, begun), purpose).map_err(Refused::Articles)?
        }
    };
    Ok(Work { setup, folder, there, now, kind })
}

impl Kind {
    fn quick(edit: quick::Edit, cache: Cache) -> Kind {
        let problems = cache.books.problems.iter().map(Kept::again).collect();
        Kind::Quick { edit: Box::new(edit), cache: Box::new(cache), problems }
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
            Kind::Quick { edit, mut cache, .. } => {
                let quick::Edit { newsroom, bodies, plan, sheaves, register, mut change, heads } = *edit;
                if let Some(amendment) = register {
                    change.register = amendment.save().map_err(Refused::Articles)?;
                }
                for path in &change.gone {
                    cache.books.documents.remove(path);
                }
                let order = order(&setup, &newsroom, &plan, &bodies);
                let rebuilt = build::rebuild(order, &folder, &there, &cache.books.documents, Scope::Only(&sheaves));
                let rebuilt = rebuilt.map_err(Refused::Feeds)?;
                let known = &cache.books.documents;
                let is_final = is_final(&rebuilt.printed);
                let documents = rebuilt.printed.into_iter().filter(|(path, printed)| known.get(path) != Some(printed));
                change.documents = documents.collect();
                let next = change.next.and_then(|second| DateTime::from_timestamp(second, 0));
                let cache = told(cache.add(change, &heads)).flatten();
                Ok(Built {
                    report: rebuilt.report,
                    articles: newsroom.articles.len(),
                    next,
                    material: None,
                    memory: cache.filter(|_| is_final).map(Memory),
                })
            }
            Kind::Whole { mut material, taken, known, walked } => {
                let register = material.ids.save().map_err(Refused::Articles)?;
                let plan = Plan::of(&material.newsroom, setup.feed);
                let order = order(&setup, &material.newsroom, &plan, &material.bodies);
                let rebuilt = build::rebuild(order, &folder, &there, &known, Scope::All).map_err(Refused::Feeds)?;
                drop(known);
                let BuildReport { problems, .. } = &rebuilt.report;
                let books = Books {
                    built: now.timestamp(),
                    next: material.next.map(|next| next.timestamp()),
                    calm: problems.is_empty(),
                    problems: material.problems.iter().map(Kept::of).collect(),
                    walked,
                    register,
                    loose: Vec::new(),
                    plan,
                    withdrawn: material.newsroom.withdrawn.clone(),
                    documents: rebuilt.printed,
                    marks: Vec::new(),
                };
                let is_final = is_final(&books.documents);
                remember(&setup, taken, &material, books);
                Ok(Built {
                    report: rebuilt.report,
                    articles: material.newsroom.articles.len(),
                    next: material.next,
                    material: Some(*material),
                    memory: if is_final { Memory::open(&setup) } else { None },
                })
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

/// Whether none of these has to be made again whatever happens: otherwise the next build has more to look at than what it is
/// told of.
fn is_final(documents: &Known) -> bool {
    documents.values().all(|printed| printed.key != 0)
}

fn order<'a>(setup: &Setup<'a>, newsroom: &'a Newsroom, plan: &'a Plan, bodies: &'a Folder) -> Order<'a> {
    Order { newsroom, plan, bodies, options: setup.feed, templates: setup.templates }
}

/// What was taken down of articles while they were read.
struct Taken {
    entries: Vec<Entry>,
    /// Hashes of files that articles link to.
    links: Vec<u64>,
    writer: Option<Writer>,
}

/// Puts the newsroom together; takes articles whose files have not changed from the cache.
fn whole(
    setup: &Setup<'_>,
    cache: Option<Cache>,
    (listed, problems): (Vec<Listed>, Vec<Problem>),
    (now, begun): (DateTime<Utc>, SystemTime),
    purpose: Purpose<'_>,
) -> Result<Kind, Failure> {
    let context = setup.source.context();
    let mut taken = Taken {
        entries: Vec::with_capacity(listed.len()),
        links: Vec::new(),
        writer: told(Writer::create(setup.cache)),
    };
    let mut all = Vec::with_capacity(listed.len());
    let walked = problems.iter().map(Kept::of).collect();
    let marks = cache.as_ref().map(Cache::marks).unwrap_or_default();
    let mut rest = listed.into_iter();
    loop {
        let chunk: Vec<Listed> = rest.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        let read = chunk.par_iter().with_max_len(SHARE).map(|listed| {
            let number = marks.get(&mark(listed));
            let known = cache.as_ref().zip(number).and_then(|(cache, number)| remembered(cache, *number, listed));
            known.unwrap_or_else(|| {
                let read = read_one(setup.source, &context, listed);
                let head = read.manuscript.as_ref().map(|read| cache::encoded(read));
                (read, head)
            })
        });
        let read: Vec<(Read, Option<Vec<u8>>)> = read.collect();
        for (listed, (read, head)) in chunk.into_iter().zip(read) {
            taken.down(&listed, &read, head, now, begun);
            all.push((listed, read));
        }
    }
    let known = cache.map(|cache| cache.books.documents).unwrap_or_default();
    let material = Box::new(finish(setup.source, all, problems, (now, begun), purpose)?);
    Ok(Kind::Whole { material, taken, known, walked })
}

/// An article whose files have not changed since the cache was written.
fn remembered(cache: &Cache, number: u32, listed: &Listed) -> Option<(Read, Option<Vec<u8>>)> {
    let entry = cache.entry(number).filter(|entry| entry.is(listed) && !entry.troubled)?;
    let (manuscript, head) = (cache.manuscript(&entry)?, cache.head(&entry)?);
    Some((Read { manuscript: Some(Box::new(manuscript)), problems: Vec::new() }, Some(head)))
}

impl Taken {
    fn down(&mut self, listed: &Listed, read: &Read, head: Option<Vec<u8>>, now: DateTime<Utc>, begun: SystemTime) {
        let pushed = match (&mut self.writer, head) {
            (Some(open), Some(head)) => {
                let pushed = told(open.push(&head));
                if pushed.is_none() {
                    self.writer = None;
                }
                pushed
            }
            _ => None,
        };
        let manuscript = read.manuscript.as_deref();
        self.links.extend(manuscript.into_iter().flat_map(|manuscript| &manuscript.links).map(|link| hash_of(link)));
        let entry = Entry::of(listed, manuscript, now, |stamp| settled(stamp, begun));
        self.entries.push(Entry { head: pushed, troubled: !read.problems.is_empty(), ..entry });
    }
}

/// Writes a new cache.
fn remember(setup: &Setup<'_>, taken: Taken, material: &Material<Folder>, mut books: Books) {
    let Taken { mut entries, links, writer: Some(writer) } = taken else { return };
    let at = |entries: &[Entry], path: &str| entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok();
    for known in material.ids.register().entries() {
        let candidate = at(&entries, &known.path).filter(|at| {
            let entry = &entries[*at];
            entry.head.is_some() && entry.standing != Standing::Draft && entry.id.is_empty()
        });
        match candidate {
            Some(at) => entries[at].id.clone_from(&known.id),
            None => books.loose.push(known.clone()),
        }
    }
    // Which of those that could be published are, is known only now.
    for entry in entries.iter_mut().filter(|entry| entry.standing == Standing::Shown) {
        entry.standing = Standing::Aside;
    }
    let mut numbers = vec![u32::MAX; material.newsroom.articles.len()];
    for (article, number) in material.newsroom.articles.iter().zip(&mut numbers) {
        let path = article.place.file.strip_prefix(setup.source.name.as_str()).unwrap_or_default();
        if let Some(at) = at(&entries, path.trim_start_matches('/')) {
            *number = u32::try_from(at).unwrap_or(u32::MAX);
            let entry = &mut entries[at];
            entry.id.clone_from(&article.id.0);
            (entry.fingerprint, entry.standing) = (article.fingerprint, Standing::Shown);
        }
    }
    for article in books.plan.feeds.iter_mut().flat_map(|feed| &mut feed.articles) {
        *article = numbers[*article as usize];
    }
    told(writer.finish(&setup.hash(), &entries, links, &mut books));
}

/// A file that may have changed after it was read without a trace gets a stamp that no file has.
fn settled(stamp: Stamp, begun: SystemTime) -> Stamp {
    if stamp.settled(begun) { stamp } else { Stamp::default() }
}

/// A cache that cannot be written is no reason not to build; somebody should know, though.
fn told<T>(done: std::io::Result<T>) -> Option<T> {
    done.inspect_err(|error| tracing::warn!("the build cache cannot be written: {error}")).ok()
}
