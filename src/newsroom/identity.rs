//! How an article keeps its id.
//!
//! An article that brings an `id` has that one. Every other gets a tag URI (RFC 4151) when it is first seen, and it is
//! written down with what the article looked like: path, section and slug, body, title, date. Later it is recognised, in
//! this order, by
//!
//! 1. its path and body,
//! 2. its body and title, or its body and day, where only one article has them (a renamed or moved file),
//! 3. its path and title (its text was rewritten in place),
//! 4. its path and day (title and text were; in a stream the path, which is its address, says enough),
//! 5. its section, slug and day (moved and rewritten),
//! 6. its title and day, where only one article has them; not in a stream.
//!
//! A body alone says too little: of some series every piece has the same (a crossword, a picture). A stream often holds the
//! latest pieces only, so one with the title and the day of one that is gone may well be the next (“Traffic update”).
//!
//! So a file in which text, title and day are all others than before is another article: with the old id, readers would
//! take it for a change of the old one, and editions for one that they have carried.
//!
//! An article whose file is there and cannot be read keeps its entry; nobody else gets it. An id that an article brings
//! belongs to that article, unless the one that is registered by it still stands in its place: then both have it, and
//! [`super::assemble`] tells of the two.

// What is written down.
mod register;

use chrono::{DateTime, FixedOffset};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hash;

use super::article::ArticleId;
use register::day;
pub use register::{Entry, Register, STREAM};

/// An article that needs an id.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// See [`Entry::path`].
    pub path: &'a str,
    /// The section's slug.
    pub section: &'a str,
    /// The article's slug.
    pub slug: &'a str,
    /// When it was first published.
    pub published: DateTime<FixedOffset>,
    /// Hash of the body.
    pub body: Option<u64>,
    /// The headline.
    pub title: &'a str,
}

/// What else stands in the folder.
#[derive(Debug, Default)]
pub struct Others<'a> {
    /// Ids that articles bring themselves.
    pub given: HashSet<&'a str>,
    /// Paths of the articles that bring them.
    pub own: HashSet<&'a str>,
    /// Paths whose entries nobody may take: files that are there and are not candidates, broken ones and drafts.
    pub held: HashSet<&'a str>,
}

/// Gives each candidate its id: the one it had, or a new one. Candidates come in a fixed order (by path), so that the same
/// articles get the same ids on every machine. Returns the ids in the same order, and the register as it is now.
pub fn assign(
    register: &Register,
    candidates: &[Candidate<'_>],
    others: &Others<'_>,
    authority: &str,
) -> (Vec<ArticleId>, Register) {
    assign_some(register, candidates, others, authority, |_| false)
}

/// As [`assign`], where all other candidates are known to be what the register says they are: `register` then holds the
/// entries that none of them has, and `elsewhere` tells whether an id is one of theirs, or one that they bring.
pub fn assign_some(
    register: &Register,
    candidates: &[Candidate<'_>],
    others: &Others<'_>,
    authority: &str,
    elsewhere: impl Fn(&str) -> bool,
) -> (Vec<ArticleId>, Register) {
    let entries = register.entries();
    let Others { given, own, held } = others;
    let is_given = |e: &Entry| given.contains(e.id.as_str());
    let mut matching = Matching {
        entry_of: vec![None; candidates.len()],
        free: entries.iter().map(|e| !held.contains(&*e.path_now())).collect(),
    };
    let by_path: HashMap<Cow<'_, str>, usize> = entries.iter().enumerate().map(|(i, e)| (e.path_now(), i)).collect();
    let in_stream = |c: &Candidate<'_>| c.path.starts_with(STREAM);
    let same_title = |c: &Candidate<'_>, e: &Entry| e.title == c.title;
    let same_day = |c: &Candidate<'_>, e: &Entry| e.date == day(c.published);
    // Without a body, the title has to do.
    matching.in_place(entries, candidates, &by_path, |c, e| e.body == c.body && (c.body.is_some() || same_title(c, e)));
    if matching.is_open() {
        // What an article brings as its own is another's only where the other plainly is what it was.
        matching.in_place(entries, candidates, &by_path, |c, e| is_given(e) && same_title(c, e) && same_day(c, e));
        matching.free.iter_mut().zip(entries).for_each(|(free, entry)| *free &= !is_given(entry));
        matching.unique(
            entries,
            candidates,
            |e| e.body.map(|body| (body, e.title.as_str())),
            |c| c.body.map(|body| (body, c.title)),
        );
        matching.unique(
            entries,
            candidates,
            |e| e.body.map(|body| (body, e.date.clone())),
            |c| c.body.map(|body| (body, day(c.published))),
        );
        matching.in_place(entries, candidates, &by_path, same_title);
        matching.in_place(entries, candidates, &by_path, |c, e| in_stream(c) || same_day(c, e));
        matching.unique(
            entries,
            candidates,
            |e| Some((e.section.as_str(), e.slug.as_str(), e.date.clone())),
            |c| Some((c.section, c.slug, day(c.published))),
        );
        matching.unique(
            entries,
            candidates,
            |e| Some((e.title.as_str(), e.date.clone())),
            |c| (!in_stream(c)).then(|| (c.title, day(c.published))),
        );
    }

    let mut taken: HashSet<String> = HashSet::new();
    if matching.is_open() {
        taken.extend(entries.iter().map(|e| e.id.clone()));
        taken.extend(given.iter().map(|&id| id.to_owned()));
    }
    let mut ids = Vec::with_capacity(candidates.len());
    // What nobody claimed is kept: a file that comes back has its old id again.
    let claimed: HashSet<usize> = matching.entry_of.iter().flatten().copied().collect();
    let stays = |(i, e): &(usize, &Entry)| {
        let path = e.path_now();
        !claimed.contains(i) && !own.contains(&*path) && (!is_given(e) || held.contains(&*path))
    };
    let mut now: Vec<Entry> = entries.iter().enumerate().filter(stays).map(|(_, e)| e.clone()).collect();
    if matching.is_open() && !now.is_empty() {
        // The file's name is another article's now, and would lead to the wrong one of two entries.
        let paths: HashSet<&str> = candidates.iter().map(|candidate| candidate.path).collect();
        now.iter_mut().filter(|entry| paths.contains(&*entry.path_now())).for_each(|entry| entry.path.clear());
    }
    for (candidate, entry) in candidates.iter().zip(&matching.entry_of) {
        let id = match entry {
            Some(e) => entries[*e].id.clone(),
            None => mint(candidate, authority, |id| !elsewhere(id) && taken.insert(id.to_owned())),
        };
        ids.push(ArticleId(id.clone()));
        now.push(Entry::new(id, candidate));
    }
    (ids, Register::of(now))
}

struct Matching {
    /// For each candidate, the entry it is.
    entry_of: Vec<Option<usize>>,
    /// For each entry, whether it may still be taken.
    free: Vec<bool>,
}

impl Matching {
    fn join(&mut self, candidate: usize, entry: usize) {
        if self.free[entry] && self.entry_of[candidate].is_none() {
            self.entry_of[candidate] = Some(entry);
            self.free[entry] = false;
        }
    }

    /// Joins candidates with the entries of their paths, where they are also alike in what `alike` looks at.
    fn in_place(
        &mut self,
        entries: &[Entry],
        candidates: &[Candidate<'_>],
        by_path: &HashMap<Cow<'_, str>, usize>,
        alike: impl Fn(&Candidate<'_>, &Entry) -> bool,
    ) {
        for (c, candidate) in candidates.iter().enumerate() {
            if let Some(&e) = by_path.get(candidate.path).filter(|e| alike(candidate, &entries[**e])) {
                self.join(c, e);
            }
        }
    }

    fn is_open(&self) -> bool {
        self.entry_of.iter().any(Option::is_none)
    }

    /// Joins candidates and entries that share a feature which no other open candidate and no other free entry has.
    fn unique<'a, K: Eq + Hash>(
        &mut self,
        entries: &'a [Entry],
        candidates: &'a [Candidate<'a>],
        of_entry: impl Fn(&'a Entry) -> Option<K>,
        of_candidate: impl Fn(&'a Candidate<'a>) -> Option<K>,
    ) {
        let mut pairs: HashMap<K, (Vec<usize>, Vec<usize>)> = HashMap::new();
        for (i, candidate) in candidates.iter().enumerate().filter(|(i, _)| self.entry_of[*i].is_none()) {
            if let Some(key) = of_candidate(candidate) {
                pairs.entry(key).or_default().0.push(i);
            }
        }
        for (i, entry) in entries.iter().enumerate().filter(|(i, _)| self.free[*i]) {
            if let Some(pair) = of_entry(entry).and_then(|key| pairs.get_mut(&key)) {
                pair.1.push(i);
            }
        }
        let mut joined: Vec<(usize, usize)> = pairs
            .into_values()
            .filter_map(|(c, e)| match (c.as_slice(), e.as_slice()) {
                ([c], [e]) => Some((*c, *e)),
                _ => None,
            })
            .collect();
        joined.sort_unstable();
        for (c, e) in joined {
            self.join(c, e);
        }
    }
}

/// `tag:<authority>,<day>:<section>/<slug>`, with a number where that is taken.
fn mint(candidate: &Candidate<'_>, authority: &str, mut is_free: impl FnMut(&str) -> bool) -> String {
    let escape = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    };
    let day = day(candidate.published);
    let base = format!("tag:{authority},{day}:{}/{}", escape(candidate.section), escape(candidate.slug));
    let mut id = base.clone();
    let mut number = 2;
    while !is_free(&id) {
        id = format!("{base}-{number}");
        number += 1;
    }
    id
}

#[cfg(test)]
mod tests;
