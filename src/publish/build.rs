//! From a newsroom to a folder of feeds.
//!
//! Articles pass once, oldest first, a chunk at a time: while the fragments of one chunk are rendered on all cores, those
//! of the chunk before go into the documents that carry them. A document is written as soon as it is complete; archive
//! pages come before the current document that points to them. So what is in memory are two chunks and one open document
//! of each feed, whatever the size of the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use super::directory::BuildError;
use super::directory::{self, Folder, Laid, Lay};
use crate::feed::archive::{self, Document, Feed, Plan};
use crate::feed::page::{Draft, HEADLINES, Templates};
use crate::feed::{self, Content, Format, Fragments, Options, opml};
use crate::newsroom::fingerprint::fingerprint;
use crate::newsroom::{Article, Bodies, Body, Newsroom, Problem};
use crate::stamp::Stamp;

/// Articles that are rendered at once.
const CHUNK: usize = 128;

/// Articles that may wait in open documents. A newsroom with so many feeds that theirs are more (one for each of its tags,
/// say) is built in several rounds: its articles are rendered more than once, and memory stays bounded.
const OPEN_ARTICLES: usize = 8192;

/// So many files that replace others are waited for together, until the disk has them.
const COMPANY: usize = 96;

/// What a build did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildReport {
    /// Files of the plan: documents, pages, the list.
    pub documents: usize,
    /// How many of them are new or changed.
    pub written: usize,
    /// How many are as they were.
    pub unchanged: usize,
    /// How many files of earlier builds went away.
    pub removed: usize,
    /// The paths of what was written or removed, below the folder of feeds, in order.
    pub changed: Vec<String>,
    /// Articles whose bodies could not be read (they are in no feed) or are too long for one.
    pub problems: Vec<Problem>,
}

/// What is to be built.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// What the feeds tell. A build of few documents looks only at their articles and at those of [`headlines`].
    pub newsroom: &'a Newsroom,
    /// Of this newsroom.
    pub plan: &'a Plan,
    /// Where the texts come from.
    pub bodies: &'a dyn Bodies,
    /// As the configuration says.
    pub options: &'a Options,
    /// Of the pages.
    pub templates: &'a Templates,
}

/// What is known of the files of an earlier build, by path.
pub type Known = BTreeMap<String, Printed>;

/// A document, a page or a list as it was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// A hash of all that the file was made from, except for the options and the masthead; 0 where it must be made
    /// again whatever happens, because there was a problem that has to be told again.
    pub key: u64,
    /// Its file.
    pub stamp: Stamp,
}

/// What a build did, and what is known of documents now.
#[derive(Debug)]
pub struct Rebuilt {
    /// For people.
    pub report: BuildReport,
    /// Every document of the [`Scope`].
    pub printed: Known,
}

/// Which documents may have to be built.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All of them: each is looked at.
    All,
    /// These: the number of the feed in the plan, and the page. All others are known and as they were (see [`untouched`]).
    Only(&'a BTreeSet<Sheaf>),
}

/// The three documents that tell the same: the number of the feed in the plan, and the archive page (`None` for the current
/// documents).
pub type Sheaf = (usize, Option<usize>);

/// Builds every feed, page and list of a newsroom into a folder. If another build has the folder, calls `on_wait` and waits.
///
/// The same newsroom gives the same bytes. The folder's other files are left alone.
///
/// # Errors
/// [`BuildError`]; every document is then either the old or the new one.
pub fn build(
    newsroom: &Newsroom,
    bodies: &dyn Bodies,
    options: &Options,
    templates: &Templates,
    folder: &Path,
    on_wait: impl FnOnce(),
) -> Result<BuildReport, BuildError> {
    let plan = archive::plan(newsroom, options);
    let folder = Folder::open(folder, on_wait)?;
    let there = folder.files()?;
    let order = Order { newsroom, plan: &plan, bodies, options, templates };
    rebuild(order, &folder, &there, &Known::new(), Scope::All).map(|rebuilt| rebuilt.report)
}

/// As [`build`], but documents that are `known`, are still as they were, and would be made from the same things again are
/// neither rendered nor written. `there` are the folder's files.
///
/// # Errors
/// As [`build`]. What is known of documents that were written all the same is then wrong, and their stamps tell.
pub fn rebuild(
    order: Order<'_>,
    folder: &Folder,
    there: &BTreeMap<String, Stamp>,
    known: &Known,
    scope: Scope<'_>,
) -> Result<Rebuilt, BuildError> {
    let is_fresh = |path: &String, key: u64| {
        known.get(path).is_some_and(|known| {
            known.key == key && (matches!(scope, Scope::Only(_)) || there.get(path) == Some(&known.stamp))
        })
    };
    // Pages first: a fault in a template must not leave half of the folder new.
    let leaves = leaves(&order, is_fresh).map_err(|problem| BuildError::Template(Box::new(problem)))?;
    let sheets = sheets(&order, is_fresh, scope);
    let (stale, fresh): (Vec<Sheet>, Vec<Sheet>) = sheets.into_iter().partition(|sheet| sheet.stale);
    let unchanged = leaves.iter().filter(|leaf| leaf.text.is_none()).map(|leaf| leaf.path.clone());
    let mut printed: Known = fresh
        .into_iter()
        .flat_map(|sheet| sheet.paths)
        .chain(unchanged)
        .filter_map(|path| known.get_key_value(&path))
        .map(|(path, printed)| (path.clone(), *printed))
        .collect();
    let press = Press { order, folder, done: Mutex::default(), laid: Mutex::default() };
    let built = rounds(&stale, order.options.items)
        .into_iter()
        .try_for_each(|sheets| press.round(sheets))
        .and_then(|()| leaves.par_iter().try_for_each(|leaf| press.put_leaf(leaf)))
        .and_then(|()| press.settle());
    let done = press.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    built?;
    printed.extend(done.printed);
    let untouched = known.keys().filter(|_| matches!(scope, Scope::Only(_)));
    let kept = printed.keys().chain(untouched).map(String::as_str).collect::<BTreeSet<_>>();
    let removed = folder.sweep(there.keys(), &kept)?;
    let mut report = BuildReport {
        documents: kept.len(),
        written: done.written.len(),
        unchanged: kept.len() - done.written.len(),
        removed: removed.len(),
        changed: done.written.into_iter().chain(removed).collect(),
        problems: done.problems,
    };
    report.changed.sort();
    report.problems.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
    // An article of several rounds was read several times.
    report.problems.dedup();
    Ok(Rebuilt { report, printed })
}

/// Whether the folder holds every document that is known, as it was, and nothing has to be made again in any case.
pub fn untouched(there: &BTreeMap<String, Stamp>, known: &Known) -> bool {
    let mut there = there.iter();
    // Both are in order.
    known.iter().all(|(path, printed)| {
        printed.key != 0
            && there.find(|(other, _)| *other >= path).is_some_and(|(p, s)| p == path && *s == printed.stamp)
    })
}

/// The places of all articles that are looked at whatever is built: those that pages name, and the oldest, with which the
/// newsroom begins.
pub fn headlines(plan: &Plan) -> impl Iterator<Item = u32> {
    let is_page = |feed: &&Feed| feed.page_path().is_some();
    let named = plan.feeds.iter().filter(is_page).flat_map(|feed| feed.articles.iter().copied().take(HEADLINES));
    named.chain(plan.feeds.iter().filter_map(|feed| feed.articles.last().copied()).max())
}

/// A page for people, or the list of feeds.
struct Leaf {
    path: String,
    key: u64,
    /// `None` where it is as it would be made again.
    text: Option<String>,
}

/// Every page and the list. Only pages that have to be made are rendered.
fn leaves(order: &Order<'_>, is_fresh: impl Fn(&String, u64) -> bool + Sync) -> Result<Vec<Leaf>, Problem> {
    let Order { newsroom, plan, templates, .. } = order;
    let page = |path: String, draft: Draft<'_>| {
        let key = templates.key(&draft);
        let text = if is_fresh(&path, key) { None } else { Some(templates.render(&draft)?) };
        Ok(Leaf { path, key, text })
    };
    let list = opml::write(newsroom, plan);
    let (path, key) = (opml::FILE.to_owned(), fingerprint([list.as_bytes()]).max(1));
    let text = (!is_fresh(&path, key)).then_some(list);
    let mut leaves = vec![page("index.html".to_owned(), Draft::index(newsroom, plan))?, Leaf { path, key, text }];
    let sections = plan.feeds.par_iter().filter(|feed| matches!(feed.of, archive::Of::Section(_)));
    let of_section = |feed: &Feed| Some(page(feed.page_path()?, Draft::section(newsroom, feed)));
    for leaf in sections.filter_map(of_section).collect::<Vec<_>>() {
        leaves.push(leaf?);
    }
    Ok(leaves)
}

/// A document of the plan.
struct Sheet<'a> {
    feed: usize,
    document: Document<'a>,
    /// In the order of [`Format::ALL`].
    paths: [String; 3],
    key: u64,
    stale: bool,
}

/// Every document in question, and whether it has to be made.
fn sheets<'a>(order: &Order<'a>, is_fresh: impl Fn(&String, u64) -> bool + Sync, scope: Scope<'_>) -> Vec<Sheet<'a>> {
    let keys: Vec<u64> = match scope {
        Scope::All => order.newsroom.articles.par_iter().map(|article| key_of(article)).collect(),
        Scope::Only(_) => Vec::new(),
    };
    let key = |at: u32| keys.get(at as usize).copied().unwrap_or_else(|| key_of(&order.newsroom.articles[at as usize]));
    let items = order.options.items;
    let of_feed = |(at, feed): (usize, &'a Feed)| {
        let left_out = |page| matches!(scope, Scope::Only(sheaves) if !sheaves.contains(&(at, page)));
        let sheet = |document: Document<'a>| {
            let key = document_key(order.newsroom, &document, key);
            let paths = Format::ALL.map(|format| document.path(format));
            let stale = !paths.iter().all(|path| is_fresh(path, key));
            Sheet { feed: at, document, paths, key, stale }
        };
        let spans = archive::spans(feed.articles.len(), items).filter(|(page, _)| !left_out(*page));
        let documents = spans.map(|(page, range)| feed.document(order.newsroom, items, page, range));
        documents.map(sheet).collect::<Vec<_>>()
    };
    order.plan.feeds.par_iter().enumerate().flat_map_iter(of_feed).collect()
}

/// A hash of all that an article's part of a document is made from. Its file's name stands for what the name decides:
/// section, slug, and how the body is written.
fn key_of(article: &Article) -> u64 {
    fingerprint([article.id.0.as_bytes(), article.place.file.as_bytes(), &article.fingerprint.to_le_bytes()])
}

/// A hash of all that a document is made from; never 0.
fn document_key(newsroom: &Newsroom, document: &Document<'_>, key: impl Fn(u32) -> u64) -> u64 {
    let mut bytes: Vec<u8> = Vec::with_capacity(8 * document.range.len());
    for at in &document.feed.articles[document.range.clone()] {
        bytes.extend(key(*at).to_le_bytes());
    }
    // What stands around the articles.
    let gone = document.withdrawn(newsroom);
    let first = newsroom.articles.last().filter(|_| document.range.is_empty()).map(|article| article.published);
    let successor = document.page.map(|page| page < document.pages);
    let pages = document.page.unwrap_or(document.pages);
    let frame = format!("{:?} {:?} {successor:?} {pages} {gone:?} {first:?}", document.feed.content, document.feed.of);
    fingerprint([&bytes, frame.as_bytes(), document.feed.title.as_bytes(), document.feed.description.as_bytes()]).max(1)
}

struct Press<'a> {
    order: Order<'a>,
    folder: &'a Folder,
    done: Mutex<Done>,
    /// Files that replace others, in the order in which they were made.
    laid: Mutex<Vec<(String, u64, Laid)>>,
}

#[derive(Default)]
struct Done {
    printed: Known,
    written: Vec<String>,
    problems: Vec<Problem>,
}

/// An article in the forms that a round needs; `None` where its body could not be read.
struct Rendered {
    at: u32,
    full: Option<Arc<Fragments>>,
    summary: Option<Arc<Fragments>>,
    /// Whether there was no problem with it.
    sound: bool,
}

/// A feed that is being written.
struct Pen<'a> {
    feed: &'a Feed,
    /// Those still to be made, oldest first.
    sheets: std::slice::Iter<'a, Sheet<'a>>,
    open: Option<&'a Sheet<'a>>,
    /// How many articles the open document still waits for.
    wanted: usize,
    /// The open document's, oldest first.
    fragments: Vec<Arc<Fragments>>,
    /// Whether all of them are as they should be.
    sound: bool,
}

impl Press<'_> {
    /// Makes documents; those of one feed stand together, oldest first.
    fn round(&self, sheets: &[Sheet<'_>]) -> Result<(), BuildError> {
        let needs = self.needs(sheets);
        let mut pens: Vec<Pen> = sheets.chunk_by(|a, b| a.feed == b.feed).map(Pen::new).collect();
        let mut chunks = needs.chunks(CHUNK);
        let mut rendered = chunks.next().map(|chunk| self.rendered(chunk)).unwrap_or_default();
        loop {
            let next = chunks.next();
            let (ahead, taken) = rayon::join(
                || next.map(|chunk| self.rendered(chunk)),
                || pens.par_iter_mut().with_max_len(1).try_for_each(|pen| pen.take(&rendered, self)),
            );
            taken?;
            match ahead {
                Some(ahead) => rendered = ahead,
                None => return Ok(()),
            }
        }
    }

    /// Which articles a round needs, oldest first, and in which forms.
    fn needs(&self, sheets: &[Sheet<'_>]) -> Vec<(u32, bool, bool)> {
        let mut forms = vec![(false, false); self.order.newsroom.articles.len()];
        for Document { feed, range, .. } in sheets.iter().map(|sheet| &sheet.document) {
            for at in &feed.articles[range.clone()] {
                let (full, summary) = &mut forms[*at as usize];
                match feed.content {
                    Content::Full => *full = true,
                    Content::Summary => *summary = true,
                }
            }
        }
        let numbered = forms.into_iter().zip(0..=u32::MAX);
        let mut needs: Vec<_> =
            numbered.filter(|(f, _)| f.0 || f.1).map(|((full, summary), at)| (at, full, summary)).collect();
        needs.reverse();
        needs
    }

    fn rendered(&self, needs: &[(u32, bool, bool)]) -> Vec<Rendered> {
        needs
            .par_iter()
            // One by one: whoever is done first takes the next, and nobody waits long for the last.
            .with_max_len(1)
            .map(|&(at, full, summary)| {
                let article = &self.order.newsroom.articles[at as usize];
                // A summary that the article does not give is made from its body.
                let body =
                    (full || article.summary.trim().is_empty()).then(|| self.order.bodies.body(article)).transpose();
                let body = match body {
                    Ok(body) => body,
                    Err(problem) => {
                        self.problem(problem);
                        return Rendered { at, full: None, summary: None, sound: false };
                    }
                };
                let long = body.as_ref().filter(|body| full && body.html.len() > feed::item::LONGEST);
                if let Some(body) = long {
                    self.problem(too_long(article, body));
                }
                let form = |content| Arc::new(feed::render(self.order.newsroom, article, body.as_ref(), content));
                Rendered {
                    at,
                    full: full.then(|| form(Content::Full)),
                    summary: summary.then(|| form(Content::Summary)),
                    sound: long.is_none(),
                }
            })
            .collect()
    }

    fn problem(&self, problem: Problem) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).problems.push(problem);
    }

    /// Makes a file hold these pieces. What replaces another file waits for company: see [`Press::settle`].
    fn put(&self, path: &str, pieces: &[&[u8]], key: u64) -> Result<(), BuildError> {
        let full = match self.folder.lay(path, pieces)? {
            Lay::Unchanged(stamp) => {
                self.done(path.to_owned(), key, stamp, false);
                return Ok(());
            }
            Lay::New(stamp) => {
                self.done(path.to_owned(), key, stamp, true);
                return Ok(());
            }
            Lay::Waits(laid) => {
                let mut waiting = self.laid.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.push((path.to_owned(), key, laid));
                waiting.len() >= COMPANY
            }
        };
        if full { self.settle() } else { Ok(()) }
    }

    /// Puts what waits into its place, in the order in which it was made, when all of it is on the disk.
    fn settle(&self) -> Result<(), BuildError> {
        let waiting = std::mem::take(&mut *self.laid.lock().unwrap_or_else(PoisonError::into_inner));
        directory::sync(waiting.iter().map(|(_, _, laid)| laid))?;
        for (path, key, laid) in waiting {
            let stamp = laid.settle()?;
            self.done(path, key, stamp, true);
        }
        Ok(())
    }

    fn done(&self, path: String, key: u64, stamp: Stamp, written: bool) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.written.extend(written.then(|| path.clone()));
        done.printed.insert(path, Printed { key, stamp });
    }

    fn put_leaf(&self, leaf: &Leaf) -> Result<(), BuildError> {
        leaf.text.as_ref().map_or(Ok(()), |text| self.put(&leaf.path, &[text.as_bytes()], leaf.key))
    }
}

impl<'a> Pen<'a> {
    /// For documents of one feed, of which there is at least one.
    fn new(sheets: &'a [Sheet<'a>]) -> Self {
        let feed = sheets[0].document.feed;
        let mut pen = Pen { feed, sheets: sheets.iter(), open: None, wanted: 0, fragments: Vec::new(), sound: true };
        pen.turn();
        pen
    }

    /// Opens the next document.
    fn turn(&mut self) {
        self.open = self.sheets.next();
        self.wanted = self.open.map_or(0, |sheet| sheet.document.range.len());
        self.sound = true;
    }

    /// Takes what is this feed's out of a chunk (oldest first), and writes the documents that it completes.
    fn take(&mut self, chunk: &[Rendered], press: &Press) -> Result<(), BuildError> {
        let last = chunk.last().map_or(0, |rendered| rendered.at);
        while let Some(sheet) = self.open {
            if self.wanted == 0 {
                self.write(sheet, press)?;
                self.turn();
                continue;
            }
            let at = self.feed.articles[sheet.document.range.start + self.wanted - 1];
            if at < last || chunk.is_empty() {
                break;
            }
            self.wanted -= 1;
            // The places in a chunk fall.
            if let Ok(found) = chunk.binary_search_by(|rendered| at.cmp(&rendered.at)) {
                let form = match self.feed.content {
                    Content::Full => &chunk[found].full,
                    Content::Summary => &chunk[found].summary,
                };
                self.fragments.extend(form.clone());
                self.sound &= chunk[found].sound;
            }
        }
        Ok(())
    }

    fn write(&mut self, sheet: &Sheet, press: &Press) -> Result<(), BuildError> {
        let fragments = std::mem::take(&mut self.fragments);
        let key = if self.sound { sheet.key } else { 0 };
        let Order { newsroom, options, .. } = press.order;
        Format::ALL.into_par_iter().zip(&sheet.paths).try_for_each(|(format, path)| {
            let frame = feed::frame(newsroom, options, &sheet.document, format);
            press.put(path, &pieces(&frame, &fragments, format), key)
        })
    }
}

fn too_long(article: &Article, body: &Body) -> Problem {
    let what = format!("the text has {} bytes of HTML; feeds carry its summary and a link", body.html.len());
    let help =
        format!("keep it under {} bytes, or part it in two: readers refuse a feed with more", feed::item::LONGEST);
    Problem::new(article.place.file.as_str(), what).help(help).warning()
}

/// A document's text in pieces, newest article first.
fn pieces<'a>(frame: &'a feed::Frame, fragments: &'a [Arc<Fragments>], format: Format) -> Vec<&'a [u8]> {
    let mut pieces = Vec::with_capacity(2 * fragments.len() + 2);
    pieces.push(frame.head.as_bytes());
    for (at, fragment) in fragments.iter().rev().enumerate() {
        if at > 0 {
            pieces.push(frame.between.as_bytes());
        }
        pieces.push(fragment.get(format));
    }
    pieces.push(frame.tail.as_bytes());
    pieces
}

/// Parts documents so that those of each part that are open at one time hold no more than [`OPEN_ARTICLES`]. Those of one
/// feed stay together.
fn rounds<'s, 'a>(sheets: &'s [Sheet<'a>], items: usize) -> Vec<&'s [Sheet<'a>]> {
    let mut rounds = Vec::new();
    let (mut from, mut at, mut open) = (0, 0, 0);
    for of_feed in sheets.chunk_by(|a, b| a.feed == b.feed) {
        let weight = of_feed[0].document.feed.articles.len().min(3 * items.max(1));
        if at > from && open + weight > OPEN_ARTICLES {
            rounds.push(&sheets[from..at]);
            (from, open) = (at, 0);
        }
        open += weight;
        at += of_feed.len();
    }
    if at > from {
        rounds.push(&sheets[from..]);
    }
    rounds
}
