//! From a newsroom to a folder of feeds.
//!
//! Articles pass once, oldest first, a chunk at a time: while the fragments of one chunk are rendered on all cores, those
//! of the chunk before go into the documents that carry them. A document is written as soon as it is complete; archive
//! pages come before the current document that points to them. So what is in memory are two chunks and one open document
//! of each feed, whatever the size of the archive.

// Makes what has to be made, and puts it into its place.
mod press;
// Which files there are, and which of them have to be made.
mod sheets;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use super::directory::BuildError;
use super::directory::Folder;
use crate::feed::Options;
use crate::feed::page::{HEADLINES, Templates};
use crate::feed::plan::{Feed, Plan};
use crate::newsroom::{Bodies, Newsroom, Problem};
use crate::stamp::Stamp;
use sheets::{Sheet, leaves, sheets};

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
    /// again whatever happens: there was a problem that has to be told again, or a text was saved while it was read.
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
    let plan = Plan::of(newsroom, options);
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
    let leaves = leaves(&order, is_fresh, scope).map_err(|problem| BuildError::Template(Box::new(problem)))?;
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
    let done = press::make(order, folder, &stale, &leaves)?;
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
