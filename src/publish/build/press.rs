//! Makes documents and pages, and puts them into their places: an archive page before the document that links to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::sheets::{Leaf, Sheet};
use super::{BuildError, Known, Order, Printed};
use crate::feed::archive::Document;
use crate::feed::media::LARGEST_FILE;
use crate::feed::plan::Feed;
use crate::feed::{self, Content, Format, Fragments};
use crate::newsroom::{Article, Body, Problem};
use crate::publish::directory::{Folder, Laid, Lay};
use crate::stamp::Stamp;

/// Articles that are rendered at once.
const CHUNK: usize = 128;

/// Articles that may wait in open documents. A newsroom with so many feeds that theirs are more (one for each of its tags,
/// say) is built in several rounds: its articles are rendered more than once, and memory stays bounded.
const OPEN_ARTICLES: usize = 8192;

/// So many files that replace others are waited for together, until the disk has them.
const COMPANY: usize = 96;

struct Press<'a> {
    order: Order<'a>,
    folder: &'a Folder,
    done: Mutex<Done>,
    waiting: Mutex<Waiting>,
    /// Whoever has it puts files into their places. One at a time, so that none comes before what it links to.
    settling: Mutex<()>,
}

/// What has been made and may not be on the disk yet.
#[derive(Default)]
struct Waiting {
    /// Files that replace others, in the order in which they were made.
    laid: Vec<(String, u64, Laid)>,
    /// Files that are new and in their places.
    new: Vec<String>,
}

/// What was made.
#[derive(Default)]
pub(super) struct Done {
    pub(super) printed: Known,
    pub(super) written: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

/// Makes these documents and pages.
pub(super) fn make(
    order: Order<'_>,
    folder: &Folder,
    sheets: &[Sheet<'_>],
    leaves: &[Leaf],
) -> Result<Done, BuildError> {
    let press = Press { order, folder, done: Mutex::default(), waiting: Mutex::default(), settling: Mutex::new(()) };
    rounds(sheets, order.options.items).into_iter().try_for_each(|sheets| press.round(sheets))?;
    leaves.par_iter().try_for_each(|leaf| press.put_leaf(leaf))?;
    press.settle()?;
    Ok(press.done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// An article in the forms that a round needs; `None` where its body could not be read.
struct Rendered {
    at: u32,
    full: Option<Arc<Fragments>>,
    summary: Option<Arc<Fragments>>,
    /// Whether there was no problem with it, and its body belongs to it.
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
                let is_late = body.as_ref().is_some_and(|body| body.late);
                let form = |content| Arc::new(feed::render(self.order.newsroom, article, body.as_ref(), content));
                Rendered {
                    at,
                    full: full.then(|| form(Content::Full)),
                    summary: summary.then(|| form(Content::Summary)),
                    sound: long.is_none() && !is_late,
                }
            })
            .collect()
    }

    fn problem(&self, problem: Problem) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).problems.push(problem);
    }

    /// Makes a file hold these pieces. What replaces another file waits for company: see [`Press::settle`].
    fn put(&self, path: &str, pieces: &[&[u8]], mut key: u64) -> Result<(), BuildError> {
        let size: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        if size > LARGEST_FILE {
            self.problem(too_large(path, size));
            // Until it is smaller it is told again.
            key = 0;
        }
        let full = match self.folder.lay(path, pieces)? {
            Lay::Unchanged(stamp) => {
                self.done(path.to_owned(), key, stamp, false);
                return Ok(());
            }
            Lay::New(stamp) => {
                self.waiting().new.push(path.to_owned());
                self.done(path.to_owned(), key, stamp, true);
                return Ok(());
            }
            Lay::Waits(laid) => {
                let mut waiting = self.waiting();
                waiting.laid.push((path.to_owned(), key, laid));
                waiting.laid.len() >= COMPANY
            }
        };
        if full { self.settle() } else { Ok(()) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what waits into its place, in the order in which it was made, when all of it is on the disk, and all that was
    /// new before.
    fn settle(&self) -> Result<(), BuildError> {
        let _alone = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { laid, new } = std::mem::take(&mut *self.waiting());
        if laid.is_empty() {
            return Ok(());
        }
        self.folder.sync(laid.iter().map(|(_, _, laid)| laid), &new)?;
        for (path, key, laid) in laid {
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

fn too_large(path: &str, size: u64) -> Problem {
    let what =
        format!("the document has {} MB; `pressrun serve` gives out no more than {}", size >> 20, LARGEST_FILE >> 20);
    let help = "lower `feeds.items`, or let the feed tell summaries: readers refuse one of this size, too";
    Problem::new(path, what).help(help).warning()
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
