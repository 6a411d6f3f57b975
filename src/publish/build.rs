//! From a newsroom to a folder of feeds.
//!
//! Articles pass once, oldest first, a chunk at a time: while the fragments of one chunk are rendered on all cores, those
//! of the chunk before go into the documents that carry them. A document is written as soon as it is complete; archive
//! pages come before the current document that points to them. So what is in memory are two chunks and one open document
//! of each feed, whatever the size of the archive.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

pub use super::directory::BuildError;
use super::directory::Folder;
use crate::feed::archive::{self, Document, Feed};
use crate::feed::page::Templates;
use crate::feed::{self, Content, Format, Fragments, Options, opml};
use crate::newsroom::{Article, Bodies, Body, Newsroom, Problem};

/// Articles that are rendered at once.
const CHUNK: usize = 64;

/// Articles that may wait in open documents. A newsroom with so many feeds that theirs are more (one for each of its tags,
/// say) is built in several rounds: its articles are rendered more than once, and memory stays bounded.
const OPEN_ARTICLES: usize = 8192;

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
    // Templates first: a fault in one must not leave half of the folder new.
    let plan = archive::plan(newsroom, options);
    let template = |problem| BuildError::Template(Box::new(problem));
    let mut pages = vec![
        ("index.html".to_owned(), templates.index(newsroom, &plan).map_err(template)?),
        (opml::FILE.to_owned(), opml::write(newsroom, &plan)),
    ];
    for feed in plan.feeds.iter().filter(|feed| matches!(feed.of, archive::Of::Section(_))) {
        if let Some(path) = feed.page_path() {
            pages.push((path, templates.section(newsroom, feed).map_err(template)?));
        }
    }
    let press = Press { newsroom, bodies, options, folder: Folder::open(folder, on_wait)?, done: Mutex::default() };
    for feeds in rounds(&plan.feeds, options.items) {
        press.round(feeds)?;
    }
    pages.into_par_iter().try_for_each(|(path, text)| press.put(path, text.as_bytes()))?;
    let done = press.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let removed = press.folder.sweep(&done.paths)?;
    let mut report = BuildReport {
        documents: done.paths.len(),
        written: done.written.len(),
        unchanged: done.paths.len() - done.written.len(),
        removed: removed.len(),
        changed: done.written.into_iter().chain(removed).collect(),
        problems: done.problems,
    };
    report.changed.sort();
    report.problems.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
    // An article of several rounds was read several times.
    report.problems.dedup();
    Ok(report)
}

struct Press<'a> {
    newsroom: &'a Newsroom,
    bodies: &'a dyn Bodies,
    options: &'a Options,
    folder: Folder,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    paths: BTreeSet<String>,
    written: Vec<String>,
    problems: Vec<Problem>,
}

/// An article in the forms that a round needs; `None` where its body could not be read.
struct Rendered {
    at: u32,
    full: Option<Arc<Fragments>>,
    summary: Option<Arc<Fragments>>,
}

/// A feed that is being written.
struct Pen<'a> {
    feed: &'a Feed,
    documents: std::vec::IntoIter<Document<'a>>,
    open: Option<Document<'a>>,
    /// How many articles the open document still waits for.
    wanted: usize,
    /// The open document's, oldest first.
    fragments: Vec<Arc<Fragments>>,
    /// How many of the feed's articles are still to come.
    left: usize,
}

impl Press<'_> {
    fn round(&self, feeds: &[Feed]) -> Result<(), BuildError> {
        let needs = self.needs(feeds);
        let mut pens: Vec<Pen> = feeds.iter().map(|feed| Pen::new(feed, self)).collect();
        let mut chunks = needs.chunks(CHUNK);
        let mut rendered = chunks.next().map(|chunk| self.rendered(chunk)).unwrap_or_default();
        loop {
            let next = chunks.next();
            let (ahead, taken) = rayon::join(
                || next.map(|chunk| self.rendered(chunk)),
                || pens.par_iter_mut().try_for_each(|pen| pen.take(&rendered, self)),
            );
            taken?;
            match ahead {
                Some(ahead) => rendered = ahead,
                None => return Ok(()),
            }
        }
    }

    /// Which articles a round needs, oldest first, and in which forms.
    fn needs(&self, feeds: &[Feed]) -> Vec<(u32, bool, bool)> {
        let mut forms = vec![(false, false); self.newsroom.articles.len()];
        for feed in feeds {
            for at in &feed.articles {
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
            .map(|&(at, full, summary)| {
                let article = &self.newsroom.articles[at as usize];
                // A summary that the article does not give is made from its body.
                let body = (full || article.summary.trim().is_empty()).then(|| self.bodies.body(article)).transpose();
                let body = match body {
                    Ok(body) => body,
                    Err(problem) => {
                        self.problem(problem);
                        return Rendered { at, full: None, summary: None };
                    }
                };
                if let Some(body) = body.as_ref().filter(|body| full && body.html.len() > feed::item::LONGEST) {
                    self.problem(too_long(article, body));
                }
                let form = |content| Arc::new(feed::render(self.newsroom, article, body.as_ref(), content));
                Rendered {
                    at,
                    full: full.then(|| form(Content::Full)),
                    summary: summary.then(|| form(Content::Summary)),
                }
            })
            .collect()
    }

    fn problem(&self, problem: Problem) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).problems.push(problem);
    }

    fn put(&self, path: String, bytes: &[u8]) -> Result<(), BuildError> {
        let written = self.folder.put(&path, bytes)?;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if written {
            done.written.push(path.clone());
        }
        done.paths.insert(path);
        Ok(())
    }
}

impl<'a> Pen<'a> {
    fn new(feed: &'a Feed, press: &Press) -> Self {
        let documents = feed.documents(press.newsroom, press.options.items).into_iter();
        let mut pen = Pen { feed, documents, open: None, wanted: 0, fragments: Vec::new(), left: feed.articles.len() };
        pen.turn();
        pen
    }

    /// Opens the next document.
    fn turn(&mut self) {
        self.open = self.documents.next();
        self.wanted = self.open.as_ref().map_or(0, |document| document.range.len());
    }

    /// Takes what is this feed's out of a chunk (oldest first), and writes the documents that it completes.
    fn take(&mut self, chunk: &[Rendered], press: &Press) -> Result<(), BuildError> {
        let last = chunk.last().map_or(0, |rendered| rendered.at);
        loop {
            while self.wanted == 0 && self.open.is_some() {
                self.write(press)?;
                self.turn();
            }
            let Some(at) = self.left.checked_sub(1).map(|place| self.feed.articles[place]).filter(|at| *at >= last)
            else {
                return Ok(());
            };
            self.left -= 1;
            self.wanted -= 1;
            // The places in a chunk fall.
            if let Ok(found) = chunk.binary_search_by(|rendered| at.cmp(&rendered.at)) {
                let form = match self.feed.content {
                    Content::Full => &chunk[found].full,
                    Content::Summary => &chunk[found].summary,
                };
                self.fragments.extend(form.clone());
            }
        }
    }

    fn write(&mut self, press: &Press) -> Result<(), BuildError> {
        let fragments = std::mem::take(&mut self.fragments);
        let Some(document) = &self.open else { return Ok(()) };
        Format::ALL.into_par_iter().try_for_each(|format| {
            let frame = feed::frame(press.newsroom, press.options, document, format);
            press.put(document.path(format), assembled(&frame, &fragments, format).as_bytes())
        })
    }
}

fn too_long(article: &Article, body: &Body) -> Problem {
    let what = format!("the text has {} bytes of HTML; feeds carry its summary and a link", body.html.len());
    let help =
        format!("keep it under {} bytes, or part it in two: readers refuse a feed with more", feed::item::LONGEST);
    Problem::new(article.place.file.as_str(), what).help(help).warning()
}

/// A document's text, newest article first.
fn assembled(frame: &feed::Frame, fragments: &[Arc<Fragments>], format: Format) -> String {
    let size = fragments.iter().map(|f| f.get(format).len() + frame.between.len()).sum::<usize>();
    let mut text = String::with_capacity(frame.head.len() + size + frame.tail.len());
    text.push_str(&frame.head);
    for (at, fragment) in fragments.iter().rev().enumerate() {
        if at > 0 {
            text.push_str(frame.between);
        }
        text.push_str(fragment.get(format));
    }
    text.push_str(frame.tail);
    text
}

/// Parts the feeds so that the open documents of each part hold no more than [`OPEN_ARTICLES`].
fn rounds(feeds: &[Feed], items: usize) -> Vec<&[Feed]> {
    let mut rounds = Vec::new();
    let (mut from, mut open) = (0, 0);
    for (at, feed) in feeds.iter().enumerate() {
        let weight = feed.articles.len().min(2 * items.max(1));
        if at > from && open + weight > OPEN_ARTICLES {
            rounds.push(&feeds[from..at]);
            (from, open) = (at, 0);
        }
        open += weight;
    }
    rounds.push(&feeds[from..]);
    rounds
}
