//! Which feeds change, and which of their documents.

use std::collections::{BTreeMap, BTreeSet};

use super::{Before, Piece};
use crate::feed::archive::spans;
use crate::feed::plan::{Feed, Plan};
use crate::feed::{Format, Options};
use crate::incremental::cache::{Cache, Entry, Standing, Turn};
use crate::publish::build::Sheaf;

/// The feeds as they are now, by number.
pub(super) struct Turned {
    pub(super) plan: Plan,
    pub(super) turns: Vec<Turn>,
    /// Documents that may have changed,
    pub(super) sheaves: BTreeSet<Sheaf>,
    /// and those that are no more.
    pub(super) gone: Vec<String>,
}

/// Takes articles out of their feeds and puts them where they belong now. `None` where there would be other feeds than
/// before, or others by name.
pub(super) fn turn(cache: &Cache, before: &[Before], pieces: &[Piece], options: &Options) -> Option<Turned> {
    let old = &cache.books.plan;
    let ours: BTreeMap<u32, &Piece> = pieces.iter().map(|piece| (piece.number, piece)).collect();
    // Shown pieces that stay where they are, and those that do not.
    let stays = |piece: &Piece| {
        piece.before.and_then(|at| before.get(at)).is_some_and(|was| {
            let articles = (&was.manuscript.article, &piece.manuscript.article);
            was.entry.standing == Standing::Shown
                && was.entry.rank() == piece.entry.rank()
                && articles.0.section == articles.1.section
                && articles.0.authors == articles.1.authors
                && articles.0.tags == articles.1.tags
        })
    };
    let shown = |piece: &&Piece| piece.entry.standing == Standing::Shown;
    let (edited, moved): (Vec<&Piece>, Vec<&Piece>) = pieces.iter().filter(shown).partition(|piece| stays(piece));
    let edited: BTreeSet<u32> = edited.into_iter().map(|piece| piece.number).collect();
    let leaving: BTreeSet<u32> = before
        .iter()
        .filter(|was| was.entry.standing == Standing::Shown && !edited.contains(&was.number))
        .map(|was| was.number)
        .collect();
    if !moved.iter().all(|piece| old.has_feeds_for(&piece.manuscript.article, options)) {
        return None;
    }
    let entry = |number: u32| match ours.get(&number) {
        Some(piece) => Some(piece.entry.clone()),
        None => cache.entry(number),
    };
    let mut turned = Turned { plan: old.clone(), turns: Vec::new(), sheaves: BTreeSet::new(), gone: Vec::new() };
    for ((number, was), is) in (0..=u32::MAX).zip(&old.feeds).zip(&mut turned.plan.feeds) {
        let at = number as usize;
        let coming: Vec<&Piece> = moved.iter().copied().filter(|piece| was.takes(&piece.manuscript.article)).collect();
        let turn = turn_of(number, was, &leaving, &coming, entry)?;
        let touches = !turn.out.is_empty() || !turn.into.is_empty();
        if !touches && !was.articles.iter().any(|number| edited.contains(number)) {
            // A feed of nothing has the date of the newsroom's first article.
            turned.sheaves.extend(was.articles.is_empty().then_some((at, None)));
            continue;
        }
        turn.apply(&mut is.articles)?;
        if touches {
            turned.turns.push(turn);
        }
        if !is_called_the_same(cache, &ours, &leaving, was, is)? {
            return None;
        }
        let (sheaves, gone) = changed(was, is, options.items, |number| ours.contains_key(&number));
        turned.sheaves.extend(sheaves.into_iter().map(|page| (at, page)));
        turned.gone.extend(gone.into_iter().flat_map(|page| Format::ALL.map(|format| was.path(Some(page), format))));
    }
    Some(turned)
}

/// What changes in one feed.
fn turn_of(
    number: u32,
    feed: &Feed,
    leaving: &BTreeSet<u32>,
    coming: &[&Piece],
    entry: impl Fn(u32) -> Option<Entry>,
) -> Option<Turn> {
    let mut turn = Turn { feed: number, out: Vec::new(), into: Vec::new() };
    if !leaving.is_empty() {
        let places = (0..=u32::MAX).zip(&feed.articles).filter(|(_, number)| leaving.contains(number));
        turn.out = places.map(|(place, _)| place).collect();
    }
    if coming.is_empty() {
        return Some(turn);
    }
    let mut rest = feed.articles.clone();
    turn.apply(&mut rest)?;
    let mut coming = coming.to_vec();
    coming.sort_by(|a, b| a.entry.rank().cmp(&b.entry.rank()));
    for (before, piece) in (0..=u32::MAX).zip(coming) {
        let (mut from, mut to) = (0, rest.len());
        while from < to {
            let middle = from + (to - from) / 2;
            if entry(rest[middle])?.rank() < piece.entry.rank() {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        turn.into.push((u32::try_from(from).ok()? + before, piece.number));
    }
    Some(turn)
}

/// Whether a feed of a family still has the name that its newest article gives it.
fn is_called_the_same(
    cache: &Cache,
    ours: &BTreeMap<u32, &Piece>,
    leaving: &BTreeSet<u32>,
    was: &Feed,
    is: &Feed,
) -> Option<bool> {
    let Some(newest) = is.articles.first() else {
        // A family has no feed of nothing.
        return Some(!is.is_of_family());
    };
    match ours.get(newest) {
        Some(piece) => Some(is.is_named_by(&piece.manuscript.article)),
        None if was.articles.first() == Some(newest) && !leaving.contains(newest) => Some(true),
        None => Some(is.is_named_by(&cache.manuscript(&cache.entry(*newest)?)?.article)),
    }
}

/// The pages of a feed that may have changed, and the archive pages that are no more.
fn changed(was: &Feed, is: &Feed, items: usize, is_edited: impl Fn(u32) -> bool) -> (Vec<Option<usize>>, Vec<usize>) {
    let [old, new] = [was, is].map(|feed| spans(feed.articles.len(), items).collect::<Vec<_>>());
    let (old_pages, new_pages) = (old.len() - 1, new.len() - 1);
    let same = |page: Option<usize>, range: &std::ops::Range<usize>| {
        let number = page.map_or(old_pages, |page| page - 1);
        let articles = &is.articles[range.clone()];
        // An archive page says whether it is the last one, and the current document which one is.
        let frame = match page {
            Some(page) => (page == old_pages) == (page == new_pages),
            // Without articles, its date is that of the newsroom's first.
            None => old_pages == new_pages && !articles.is_empty(),
        };
        let before = old.get(number).filter(|(other, _)| *other == page).map(|(_, range)| &was.articles[range.clone()]);
        frame && before == Some(articles) && !articles.iter().any(|number| is_edited(*number))
    };
    let pages = new.iter().filter(|(page, range)| !same(*page, range)).map(|(page, _)| *page).collect();
    (pages, (new_pages + 1..=old_pages).collect())
}
