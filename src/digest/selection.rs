//! Which pieces an edition carries.
//!
//! *New* is a fact of the ledger, not of the calendar: an article is new for a digest while no edition of that digest
//! carries it. So a late or back-dated article is not lost (it is not known), and a corrected one is not repeated (its id
//! is known, whatever `updated` says).
//!
//! **More new pieces than an edition holds.** The oldest go first and the rest stays new for the next edition. Taking the
//! newest first would let a piece wait for ever in a newsroom that always writes a little more than its digest carries;
//! oldest first, every piece's turn comes. An editor who thinks otherwise leaves pieces out of the draft (`later`).
//! In the edition itself the newest piece stands on top.
//!
//! **The first edition** of a digest begins it: it takes the newest pieces, and what is older was published before the
//! digest began. Those are `Selection::passed`, to be recorded as `crate::digest::edition::Choice::Passed`; otherwise a new
//! digest would mail ten years of archive, a handful of pieces a week.

use std::collections::HashSet;
use std::sync::Arc;

use super::Digest;
use crate::newsroom::{Article, ArticleId};

/// What [`select`] found. Every new article of the digest's sections is in exactly one of the three.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// The edition's pieces, newest first.
    pub carried: Vec<Arc<Article>>,
    /// New, with no room in this edition; they stay new. Newest first.
    pub later: Vec<Arc<Article>>,
    /// Published before the digest began; known from now on. Only at the first edition. Newest first.
    pub passed: Vec<Arc<Article>>,
}

impl Selection {
    /// Whether there is enough for an edition ([`Digest::at_least`]).
    pub fn is_enough(&self, digest: &Digest) -> bool {
        self.carried.len() >= digest.at_least.max(1)
    }
}

/// Chooses the pieces of a digest's next edition.
///
/// `articles` is newest first, as in [`crate::newsroom::Newsroom::articles`]; `known` holds the articles that are not new
/// for this digest; `first` says that no edition of the digest counts yet.
#[allow(clippy::implicit_hasher)] // the ledger answers with this one
pub fn select(articles: &[Arc<Article>], known: &HashSet<ArticleId>, digest: &Digest, first: bool) -> Selection {
    let mut new: Vec<Arc<Article>> = articles
        .iter()
        .filter(|a| digest.sections.contains(&a.section) && !known.contains(&a.id))
        .map(Arc::clone)
        .collect();
    let room = digest.pieces.min(new.len());
    if first {
        let passed = new.split_off(room);
        return Selection { carried: new, later: Vec::new(), passed };
    }
    let carried = new.split_off(new.len() - room);
    Selection { carried, later: new, passed: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::specimen;

    /// Articles `n`…`1`, newest first, in one section.
    fn archive(n: u32) -> Vec<Arc<Article>> {
        (1..=n).rev().map(|day| Arc::new(specimen::article(day))).collect()
    }

    fn titles(pieces: &[Arc<Article>]) -> Vec<&str> {
        pieces.iter().map(|a| a.title.as_str()).collect()
    }

    fn knowing(pieces: &[Arc<Article>]) -> HashSet<ArticleId> {
        pieces.iter().map(|a| a.id.clone()).collect()
    }

    fn digest(pieces: usize) -> Digest {
        Digest { pieces, ..specimen::digest() }
    }

    #[test]
    fn the_first_edition_takes_the_newest_and_the_archive_counts_as_known() {
        let found = select(&archive(5), &HashSet::new(), &digest(2), true);
        assert_eq!(titles(&found.carried), ["Piece 5", "Piece 4"]);
        assert_eq!(titles(&found.passed), ["Piece 3", "Piece 2", "Piece 1"]);
        assert!(found.later.is_empty());
    }

    #[test]
    fn with_more_new_pieces_than_room_the_oldest_go_and_the_rest_stays_new() {
        let all = archive(5);
        let found = select(&all, &knowing(&all[4..]), &digest(3), false);
        assert_eq!(titles(&found.carried), ["Piece 4", "Piece 3", "Piece 2"]);
        assert_eq!(titles(&found.later), ["Piece 5"]);
        assert!(found.passed.is_empty());
    }

    #[test]
    fn a_busy_newsroom_starves_no_piece() {
        let mut known = HashSet::new();
        let mut carried = Vec::new();
        for edition in 1..=10 {
            let found = select(&archive(edition * 3), &known, &digest(2), false);
            known.extend(knowing(&found.carried));
            carried.extend(found.carried.iter().rev().map(|a| a.title.clone()));
        }
        let expected: Vec<String> = (1..=20).map(|n| format!("Piece {n}")).collect();
        assert_eq!(carried, expected);
    }

    #[test]
    fn a_back_dated_piece_is_not_lost() {
        let all = archive(4);
        let known = knowing(&all[..3]);
        assert_eq!(titles(&select(&all, &known, &digest(9), false).carried), ["Piece 1"]);
    }

    #[test]
    fn a_corrected_piece_is_not_repeated() {
        let all = archive(1);
        let known = knowing(&all);
        let corrected = Article { updated: Some(all[0].published + chrono::TimeDelta::days(3)), ..(*all[0]).clone() };
        assert_eq!(select(&[Arc::new(corrected)], &known, &digest(9), false), Selection::default());
    }

    #[test]
    fn other_sections_are_left_alone() {
        let other = Article { section: "sports".into(), ..specimen::article(1) };
        assert_eq!(select(&[Arc::new(other)], &HashSet::new(), &digest(9), true), Selection::default());
    }

    #[test]
    fn fewer_pieces_than_the_digest_asks_for_are_not_enough() {
        let at_least = |n| Digest { at_least: n, ..digest(9) };
        let found = select(&archive(2), &HashSet::new(), &digest(9), true);
        assert!(found.is_enough(&at_least(2)) && !found.is_enough(&at_least(3)));
        assert!(!Selection::default().is_enough(&at_least(0)), "an edition without pieces is never made");
    }
}
