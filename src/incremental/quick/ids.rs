//! Ids of articles that come, go or change.
//!
//! The register of ids knows all other articles as they are: it was written when they were read, and neither has changed
//! since. So each of them has its own entry, and ids are given among the rest: the entries that nobody has (the books keep
//! them apart) and those of the articles in question.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::look::Look;
use super::{Before, Piece};
use crate::incremental::cache::Found;
use crate::newsroom::identity::{self, Candidate, Others, Register, assign_some};
use crate::newsroom::manuscript::Manuscript;

/// What becomes of the register.
pub(super) struct Given {
    /// What it says no more,
    pub(super) out: Vec<identity::Entry>,
    /// and what it says instead.
    pub(super) into: Vec<identity::Entry>,
    /// What it says of articles that are not there, or not published.
    pub(super) loose: Vec<identity::Entry>,
}

/// Gives each piece its id. Pieces come in the order of their paths. `None` where other articles may be concerned, too.
pub(super) fn give(look: &Look<'_>, before: &[Before], pieces: &mut [Piece], authority: &str) -> Option<Given> {
    let cache = look.cache;
    let mut known = cache.books.loose.clone();
    for Before { entry, manuscript, .. } in before.iter().filter(|before| is_candidate(&before.manuscript)) {
        known.push(identity::Entry::new(entry.id.clone(), &candidate(&entry.path, manuscript)));
    }
    let register = Register::of(known);
    let ours: BTreeSet<&str> = pieces.iter().map(|piece| piece.entry.path.as_str()).collect();
    let mut held = Vec::new();
    for path in register.entries().iter().map(|entry| entry.path.as_str()).filter(|path| !ours.contains(path)) {
        match cache.find(path) {
            Found::Nowhere => {}
            Found::Here(number, _) if look.touched.contains(&number) => {}
            // It is there and cannot be read, or is a draft: nobody gets its entry.
            Found::Here(_, entry) if entry.id.is_empty() => held.push(entry.path),
            // Two entries with one path; who has which is not said here.
            _ => return None,
        }
    }
    let mut others = Others { held: held.iter().map(String::as_str).collect(), ..Others::default() };
    let mut wanting = Vec::new();
    for Piece { entry, manuscript, before: was, .. } in &*pieces {
        let id = &manuscript.article.id.0;
        if manuscript.has_id {
            // Two articles with one id are a problem, which names the places of both.
            let kept = was.and_then(|was| before.get(was)).is_some_and(|before| before.entry.id == *id);
            if !others.given.insert(id) || !kept && look.has_id(id)? {
                return None;
            }
            others.own.insert(&entry.path);
        } else if manuscript.draft {
            others.held.insert(&entry.path);
        } else {
            wanting.push(candidate(&entry.path, manuscript));
        }
    }
    let unknown = Cell::new(false);
    let elsewhere = |id: &str| {
        look.has_id(id).unwrap_or_else(|| {
            unknown.set(true);
            false
        })
    };
    let (ids, now) = assign_some(&register, &wanting, &others, authority, elsewhere);
    // Two articles with one id, again.
    let double = ids.iter().any(|id| others.given.contains(id.0.as_str()));
    if unknown.get() || double {
        return None;
    }
    let claimed: BTreeSet<&str> = ids.iter().map(|id| id.0.as_str()).collect();
    let loose = now.entries().iter().filter(|entry| !claimed.contains(entry.id.as_str())).cloned().collect();
    let not_in = |other: &Register, entry: &&identity::Entry| {
        let found = other.entries().binary_search_by(|other| other.id.cmp(&entry.id));
        found.is_err() || found.is_ok_and(|at| other.entries()[at] != **entry)
    };
    let out = register.entries().iter().filter(|entry| not_in(&now, entry)).cloned().collect();
    let into = now.entries().iter().filter(|entry| not_in(&register, entry)).cloned().collect();
    let mut ids = ids.into_iter();
    for piece in pieces {
        let manuscript = &piece.manuscript;
        piece.entry.id = match manuscript {
            Manuscript { has_id: true, .. } => manuscript.article.id.0.clone(),
            Manuscript { draft: true, .. } => String::new(),
            _ => ids.next()?.0,
        };
    }
    Some(Given { out, into, loose })
}

/// Whether it has an id because the register says so.
fn is_candidate(manuscript: &Manuscript) -> bool {
    !manuscript.has_id && !manuscript.draft
}

fn candidate<'a>(path: &'a str, manuscript: &'a Manuscript) -> Candidate<'a> {
    let article = &manuscript.article;
    Candidate {
        path,
        section: &article.section,
        slug: &article.slug,
        published: article.published,
        body: manuscript.body_fingerprint,
        title: &article.title,
    }
}
