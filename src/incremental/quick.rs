//! The small change: some articles came, went, or were edited.
//!
//! Then the rest of the newsroom is what it was, and so are most documents. Only what changed is read; ids are given among
//! what the register says of these articles (`ids`), they are taken out of their feeds and put where they belong now
//! (`turning`), and only articles of documents that may differ are taken from the cache (`desk`).
//!
//! All this is exact or not done at all: where an article is, or was, anything else than plainly published, waiting for its
//! date, or a draft; where it has a problem, or is named in one; where another may be in its way, or links to a file that
//! came or went; where there would be another feed than before: there the whole newsroom is put together. What is wrong with
//! other articles stays wrong, and is told again from the cache.

// Articles, and where their links lead.
mod desk;
// What came, went, and changed.
mod difference;
// Ids of articles in question.
mod ids;
// What other articles have to be asked about.
mod look;
// Which feeds change, and which of their documents.
mod turning;

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;
use url::Url;

use super::cache::{Cache, Change, Entry, Standing, encoded, hash_of};
use super::{Setup, settled};
use crate::feed::plan::Plan;
use crate::newsroom::assemble::with_links;
use crate::newsroom::manuscript::Manuscript;
use crate::newsroom::{Article, Newsroom};
use crate::publish::build::{Sheaf, headlines};
use crate::source::directory::{Folder, read_one};
use crate::source::register::{self, Amendment};
use desk::{Desk, address_of};
use look::Look;

pub(super) use difference::{Difference, Sieve};

/// Where more articles than these are looked at, and more than this part of all, the whole is less work.
const MANY: usize = 1024;
const SHARE: usize = 4;

/// A small change.
pub(super) struct Edit {
    /// Has only the articles that are looked at; in every other place stands any of them.
    pub(super) newsroom: Newsroom,
    pub(super) bodies: Folder,
    /// Of this newsroom.
    pub(super) plan: Plan,
    /// Documents that may have changed,
    pub(super) sheaves: BTreeSet<Sheaf>,
    /// The register of ids is to be changed.
    pub(super) register: Option<Amendment>,
    pub(super) change: Change,
    /// Articles as read, by number.
    pub(super) heads: BTreeMap<u32, Vec<u8>>,
}

/// An article as it was.
struct Before {
    number: u32,
    entry: Entry,
    manuscript: Manuscript,
}

/// An article as it is.
struct Piece {
    number: u32,
    entry: Entry,
    manuscript: Manuscript,
    /// Which it was.
    before: Option<usize>,
}

/// Whether all is as it was when the cache was written, beside the articles and the feeds.
pub(super) fn as_before(setup: &Setup<'_>, cache: &Cache, now: DateTime<Utc>) -> bool {
    let (books, now) = (&cache.books, now.timestamp());
    books.calm
        && books.built <= now
        && books.next.is_none_or(|next| now < next)
        && books.register == register::stamp(&setup.source.folder)
}

/// What a difference changes, if that is no more than a small change.
pub(super) fn edit(
    setup: &Setup<'_>,
    cache: &Cache,
    difference: Difference,
    now: DateTime<Utc>,
    begun: SystemTime,
    on_wait: &dyn Fn(),
) -> Option<Edit> {
    let Read { before, mut pieces, mut entries, mut next } = read(setup, cache, difference, now, begun)?;
    let touched = before.iter().map(|before| before.number).collect();
    let look = Look::new(cache, touched);
    let given = ids::give(&look, &before, &mut pieces, &setup.source.masthead.authority)?;
    let addresses = addresses(&look, &before, &pieces)?;

    let mut desk = Desk::new(cache, now, addresses);
    let (mut heads, mut links) = (BTreeMap::new(), Vec::new());
    for Piece { number, entry, manuscript, .. } in &mut pieces {
        desk.learn(manuscript)?;
        entry.fingerprint =
            with_links(manuscript.article.fingerprint, &manuscript.links, |link| desk.addresses.get(link));
        links.extend(manuscript.links.iter().map(|link| hash_of(link)));
        heads.insert(*number, encoded(manuscript));
    }
    let turned = turning::turn(cache, &before, &pieces, setup.feed)?;
    for Piece { number, entry, manuscript, .. } in pieces {
        if entry.standing == Standing::Waits {
            let moment = manuscript.article.published.timestamp();
            next = Some(next.map_or(moment, |next: i64| next.min(moment)));
        }
        desk.put(number, manuscript, &entry);
        entries.push((number, Some(entry)));
    }

    let plan = by_place(&turned.plan, cache.books.marks.len() + entries.len());
    let order = &turned.plan.feeds.first()?.articles;
    let mut places: BTreeSet<u32> = headlines(&plan).collect();
    for (feed, page) in &turned.sheaves {
        places.extend(plan.feeds.get(*feed)?.carried(*page, setup.feed.items));
    }
    if places.len() > MANY.max(order.len() / SHARE) {
        return None;
    }
    desk.fetch(&places.iter().map(|place| order[*place as usize]).collect())?;
    let articles = seated(order, &places, &desk.read)?;
    let register = if given.out.is_empty() && given.into.is_empty() {
        None
    } else {
        let known = cache.books.register;
        Some(register::amendment(&setup.source.folder, known, &given.out, &given.into, on_wait).ok()??)
    };
    let newsroom = Newsroom {
        masthead: setup.source.masthead.clone(),
        sections: setup.source.sections.clone(),
        articles,
        withdrawn: cache.books.withdrawn.clone(),
    };
    let change = Change {
        built: now.timestamp(),
        register: cache.books.register,
        next,
        loose: (given.loose != cache.books.loose).then_some(given.loose),
        entries,
        links,
        turns: turned.turns,
        documents: Vec::new(),
        gone: turned.gone,
    };
    let bodies = Folder::new(setup.source, desk.addresses, begun);
    Some(Edit { newsroom, bodies, plan, sheaves: turned.sheaves, register, change, heads })
}

/// What was read of a difference.
struct Read {
    before: Vec<Before>,
    /// In the order of paths.
    pieces: Vec<Piece>,
    /// Of articles that are no more, and of those of which only a file's stamp has changed.
    entries: Vec<(u32, Option<Entry>)>,
    next: Option<i64>,
}

fn read(
    setup: &Setup<'_>,
    cache: &Cache,
    difference: Difference,
    now: DateTime<Utc>,
    begun: SystemTime,
) -> Option<Read> {
    let Difference { changed, gone, new } = difference;
    let books = &cache.books;
    let file = |path: &str| format!("{}/{path}", setup.source.name);
    let paths = changed.iter().map(|(_, entry, _)| &entry.path).chain(gone.iter().map(|(_, entry)| &entry.path));
    let mut files = paths.chain(new.iter().map(|listed| &listed.path)).map(|path| file(path));
    if files.any(|file| books.problems.iter().any(|problem| problem.concerns(&file))) {
        return None;
    }
    let was = |number: u32, entry: Entry| {
        let manuscript = cache.manuscript(&entry)?;
        (!entry.troubled).then_some(Before { number, entry, manuscript })
    };
    let mut read = Read { before: Vec::new(), pieces: Vec::new(), entries: Vec::new(), next: books.next };
    for (number, entry) in gone {
        read.before.push(was(number, entry)?);
        read.entries.push((number, None));
    }
    let first_new = u32::try_from(books.marks.len()).ok()?;
    let listed = changed.iter().map(|(number, _, listed)| (*number, listed)).chain((first_new..).zip(&new));
    let context = setup.source.context();
    let manuscripts = listed.collect::<Vec<_>>().into_par_iter().map(|(number, listed)| {
        let read = read_one(setup.source, &context, listed);
        let manuscript = *read.manuscript.filter(|_| read.problems.is_empty())?;
        let entry = Entry::of(listed, Some(&manuscript), now, |stamp| settled(stamp, begun));
        Some((number, entry, manuscript))
    });
    let manuscripts: Vec<(u32, Entry, Manuscript)> = manuscripts.collect::<Option<_>>()?;
    let mut olds = changed.into_iter().map(|(number, entry, _)| was(number, entry));
    for (number, entry, manuscript) in manuscripts {
        let before = if number < first_new { Some(olds.next()??) } else { None };
        if let Some(before) = before.as_ref().filter(|before| before.manuscript == manuscript) {
            let old = &before.entry;
            let files = (entry.body, entry.sidecar);
            read.entries.push((number, Some(Entry { body: files.0, sidecar: files.1, ..old.clone() })));
            continue;
        }
        if manuscript.withdrawn != before.as_ref().and_then(|before| before.manuscript.withdrawn.clone()) {
            return None;
        }
        // It is a problem, and its time decides when the next build is due.
        if entry.standing == Standing::Shown && manuscript.article.is_ahead(now) {
            return None;
        }
        read.pieces.push(Piece { number, entry, manuscript, before: before.is_some().then_some(read.before.len()) });
        read.before.extend(before);
    }
    // What waits for its date, or for its withdrawal, decides when the next build is due; it may only be edited.
    let is_edited = |at: usize| {
        let mut same = read.pieces.iter().filter(|piece| piece.before == Some(at));
        same.any(|piece| piece.entry.standing == Standing::Shown)
    };
    let sound = (0..).zip(&read.before).all(|(at, Before { entry, manuscript, .. })| match entry.standing {
        Standing::Draft => manuscript.withdrawn.is_none(),
        Standing::Shown => manuscript.withdrawn.is_none() || is_edited(at),
        Standing::Waits | Standing::Aside => false,
    });
    read.pieces.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
    sound.then_some(read)
}

/// The addresses of the files in question as they are now. `None` where an address is taken, or where another article links
/// to a file that has another address than before.
fn addresses(look: &Look<'_>, before: &[Before], pieces: &[Piece]) -> Option<HashMap<String, Option<Url>>> {
    let mut then: HashMap<&str, Option<Url>> =
        before.iter().map(|before| (before.entry.path.as_str(), address_of(&before.manuscript))).collect();
    let mut now: HashMap<String, Option<Url>> = then.keys().map(|path| ((*path).to_owned(), None)).collect();
    let mut taken = BTreeSet::new();
    for Piece { entry, manuscript, before: was, .. } in pieces {
        let kept = was.and_then(|at| before.get(at)).is_some_and(|before| before.entry.address == entry.address);
        if entry.address != 0 && (!taken.insert(entry.address) || !kept && look.may_be_at(entry.address)?) {
            return None;
        }
        now.insert(entry.path.clone(), address_of(manuscript));
    }
    for (path, address) in &now {
        if then.remove(path.as_str()).flatten() != *address && look.may_be_linked(path)? {
            return None;
        }
    }
    Some(now)
}

/// A plan of numbers as a plan of places in the newsroom, which is the order of its first feed.
fn by_place(plan: &Plan, numbers: usize) -> Plan {
    let mut places = vec![u32::MAX; numbers];
    let order = plan.feeds.first().map(|feed| feed.articles.as_slice()).unwrap_or_default();
    for (place, number) in (0..=u32::MAX).zip(order) {
        if let Some(known) = places.get_mut(*number as usize) {
            *known = place;
        }
    }
    let mut plan = plan.clone();
    for article in plan.feeds.iter_mut().flat_map(|feed| &mut feed.articles) {
        *article = places.get(*article as usize).copied().unwrap_or(u32::MAX);
    }
    plan
}

/// The articles, each in its place, where it is looked at.
fn seated(order: &[u32], looked_at: &BTreeSet<u32>, read: &BTreeMap<u32, Arc<Article>>) -> Option<Vec<Arc<Article>>> {
    let article = |place: u32| order.get(place as usize).and_then(|number| read.get(number));
    let Some(any) = looked_at.first() else { return order.is_empty().then(Vec::new) };
    let mut articles = vec![article(*any)?.clone(); order.len()];
    for place in looked_at {
        articles[*place as usize] = article(*place)?.clone();
    }
    Some(articles)
}
