//! How an article keeps its id.
//!
//! An article that brings an `id` has that one. Every other gets a tag URI (RFC 4151) when it is first seen, and it is
//! written down with what the article looked like: path, section and slug, body, title, date. Later it is recognised, in
//! this order, by
//!
//! 1. its path and body,
//! 2. its body, where only one article has it (a renamed or moved file),
//! 3. its path and title (its text was rewritten in place),
//! 4. its path and day (title and text were; in a stream the path, which is its slug, says enough),
//! 5. its section, slug and day (moved and rewritten),
//! 6. its title and day, where only one article has them.
//!
//! So a file in which text, title and day are all others than before is another article: with the old id, readers would
//! take it for a change of the old one, and editions for one that they have carried.
//!
//! An article whose file is there and cannot be read keeps its entry; nobody else gets it. An id that an article brings
//! belongs to that article, unless the one that is registered by it still stands in its place: then both have it, and
//! [`super::assemble`] tells of the two. The register is a CSV file that is committed with the articles, sorted by id so
//! that a change is one line in a diff.

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hash;

use super::article::ArticleId;
use super::problem::{Place, Problem};

/// The register's columns.
const COLUMNS: [&str; 7] = ["id", "path", "section", "slug", "date", "body", "title"];

/// What the paths of a stream's articles begin with.
pub const STREAM: &str = "stream:";

/// What the register remembers of an article that has no id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Never changes.
    pub id: String,
    /// The file, relative to the folder of articles; in streams [`STREAM`] and the slug. Empty where another article has
    /// taken the file's name.
    pub path: String,
    /// The section's slug.
    pub section: String,
    /// The article's slug.
    pub slug: String,
    /// The day it was published, `2026-02-24`.
    pub date: String,
    /// Hash of the body; `None` for an empty one.
    pub body: Option<u64>,
    /// The headline.
    pub title: String,
}

/// The register of ids that were made here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// Sorted by id.
    entries: Vec<Entry>,
}

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

impl Entry {
    /// What the register remembers of an article with this id.
    pub fn new(id: String, candidate: &Candidate<'_>) -> Entry {
        Entry {
            id,
            path: candidate.path.to_owned(),
            section: candidate.section.to_owned(),
            slug: candidate.slug.to_owned(),
            date: day(candidate.published),
            body: candidate.body,
            title: candidate.title.to_owned(),
        }
    }

    /// Its line in the register's file, with the line end.
    pub fn write(&self, text: &mut String) {
        for field in [&self.id, &self.path, &self.section, &self.slug, &self.date] {
            push_field(text, field);
            text.push(',');
        }
        if let Some(body) = self.body {
            let _ = write!(text, "{body:016x}");
        }
        text.push(',');
        push_field(text, &self.title);
        text.push('\n');
    }
}

impl Register {
    /// Reads a register as [`Register::to_csv`] writes it.
    ///
    /// # Errors
    /// It is broken. Going on without it would make new ids, and every reader would get every article again.
    pub fn parse(text: &str, file: &str) -> Result<Register, Problem> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let at = |line: u64, what: String| {
            let number = u32::try_from(line).unwrap_or(u32::MAX);
            let place = Place { file: file.to_owned(), line: number, column: 0 };
            let shown = text.lines().nth((number.max(1) - 1) as usize).unwrap_or_default();
            Problem::at(place, 1, shown, what)
        };
        if let Some(i) = text.lines().position(|l| l.starts_with("<<<<<<<") || l.starts_with(">>>>>>>")) {
            return Err(at(i as u64 + 1, "an unfinished merge stands in the register of ids".into())
                .help("keep the lines of both sides, and drop the marks"));
        }
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        let mut header = false;
        for record in reader.records() {
            let record = record.map_err(|error| {
                at(
                    error.position().map_or(1, csv::Position::line),
                    "this line of the register of ids cannot be read".into(),
                )
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            if !header {
                if record.iter().ne(COLUMNS) {
                    return Err(at(line, format!("the register of ids does not begin with `{}`", COLUMNS.join(","))));
                }
                header = true;
                continue;
            }
            let field = |i: usize| record.get(i).unwrap_or_default().to_owned();
            let body = match record.get(5).unwrap_or_default() {
                "" => None,
                hex => Some(u64::from_str_radix(hex, 16).map_err(|_| at(line, "`body` is no hash".into()))?),
            };
            let entry = Entry {
                id: field(0),
                path: field(1),
                section: field(2),
                slug: field(3),
                date: field(4),
                body,
                title: field(6),
            };
            if entry.id.is_empty() {
                return Err(at(line, "the id is missing".into()));
            }
            if !seen.insert(entry.id.clone()) {
                return Err(at(line, format!("the id {} stands here a second time", entry.id)));
            }
            entries.push(entry);
        }
        if !header && !text.trim().is_empty() {
            return Err(at(1, "this is no register of ids".into()));
        }
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Register { entries })
    }

    /// The register's file: the same entries give the same bytes.
    pub fn to_csv(&self) -> String {
        let mut text = COLUMNS.join(",");
        text.push('\n');
        for entry in &self.entries {
            entry.write(&mut text);
        }
        text
    }

    /// A register of these entries, no two of which have one id.
    pub fn of(mut entries: Vec<Entry>) -> Register {
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Register { entries }
    }

    /// The articles it remembers.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether it remembers an article by this id.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.binary_search_by(|entry| entry.id.as_str().cmp(id)).is_ok()
    }

    /// Forgets these.
    pub fn forget(&mut self, ids: &HashSet<&str>) {
        self.entries.retain(|entry| !ids.contains(entry.id.as_str()));
    }
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
    let entries = &register.entries;
    let Others { given, own, held } = others;
    let is_given = |e: &Entry| given.contains(e.id.as_str());
    let mut matching = Matching {
        entry_of: vec![None; candidates.len()],
        free: entries.iter().map(|e| !held.contains(e.path.as_str())).collect(),
    };
    let by_path: HashMap<&str, usize> = entries.iter().enumerate().map(|(i, e)| (e.path.as_str(), i)).collect();
    let same_title = |c: &Candidate<'_>, e: &Entry| e.title == c.title;
    let same_day = |c: &Candidate<'_>, e: &Entry| e.date == day(c.published);
    // Without a body, the title has to do.
    matching.in_place(entries, candidates, &by_path, |c, e| e.body == c.body && (c.body.is_some() || same_title(c, e)));
    if matching.is_open() {
        // What an article brings as its own is another's only where the other plainly is what it was.
        matching.in_place(entries, candidates, &by_path, |c, e| is_given(e) && same_title(c, e) && same_day(c, e));
        matching.free.iter_mut().zip(entries).for_each(|(free, entry)| *free &= !is_given(entry));
        matching.unique(entries, candidates, |e| e.body, |c| c.body);
        matching.in_place(entries, candidates, &by_path, same_title);
        matching.in_place(entries, candidates, &by_path, |c, e| c.path.starts_with(STREAM) || same_day(c, e));
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
            |c| Some((c.title, day(c.published))),
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
        !claimed.contains(i) && !own.contains(e.path.as_str()) && (!is_given(e) || held.contains(e.path.as_str()))
    };
    let mut now: Vec<Entry> = entries.iter().enumerate().filter(stays).map(|(_, e)| e.clone()).collect();
    if matching.is_open() && !now.is_empty() {
        // The file's name is another article's now, and would lead to the wrong one of two entries.
        let paths: HashSet<&str> = candidates.iter().map(|candidate| candidate.path).collect();
        now.iter_mut().filter(|entry| paths.contains(entry.path.as_str())).for_each(|entry| entry.path.clear());
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
        by_path: &HashMap<&str, usize>,
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

fn day(date: DateTime<FixedOffset>) -> String {
    date.format("%Y-%m-%d").to_string()
}

fn push_field(text: &mut String, field: &str) {
    if field.contains([',', '"', '\n', '\r']) || field.starts_with(' ') || field.ends_with(' ') {
        let _ = write!(text, "\"{}\"", field.replace('"', "\"\""));
    } else {
        text.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Piece {
        path: String,
        section: String,
        slug: String,
        body: Option<u64>,
        title: String,
        day: u32,
    }

    impl Piece {
        fn candidate(&self) -> Candidate<'_> {
            Candidate {
                path: &self.path,
                section: &self.section,
                slug: &self.slug,
                published: format!("2026-02-{:02}T07:30:00-06:00", self.day).parse().unwrap(),
                body: self.body,
                title: &self.title,
            }
        }
    }

    fn piece(n: u64) -> Piece {
        Piece {
            path: format!("campus/p{n}.md"),
            section: "campus".into(),
            slug: format!("p{n}"),
            body: Some(n + 1000),
            title: format!("Title, \"{n}\""),
            day: 24,
        }
    }

    fn run(register: &Register, pieces: &[Piece], authority: &str) -> (Vec<String>, Register) {
        let candidates: Vec<Candidate> = pieces.iter().map(Piece::candidate).collect();
        let (ids, register) = assign(register, &candidates, &Others::default(), authority);
        (ids.into_iter().map(|id| id.0).collect(), register)
    }

    #[test]
    fn a_new_article_gets_a_tag_uri_of_its_day_section_and_slug() {
        let (ids, _) = run(&Register::default(), &[piece(1)], "paper.example");
        assert_eq!(ids, ["tag:paper.example,2026-02-24:campus/p1"]);
    }

    #[test]
    fn two_articles_never_get_one_id() {
        let mut other = piece(1);
        other.path = "elsewhere.md".into();
        let (ids, _) = run(&Register::default(), &[piece(1), other], "a.example");
        assert_eq!(ids, ["tag:a.example,2026-02-24:campus/p1", "tag:a.example,2026-02-24:campus/p1-2"]);
    }

    #[test]
    fn a_renamed_file_keeps_its_id_although_another_took_its_name() {
        let (ids, register) = run(&Register::default(), &[piece(1)], "a.example");
        let renamed = Piece { path: "campus/old.md".into(), slug: "old".into(), ..piece(1) };
        let newcomer = Piece { body: Some(77), title: "Quite another".into(), ..piece(1) };
        let (after, _) = run(&register, &[renamed, newcomer], "a.example");
        assert_eq!(after[0], ids[0]);
        assert_ne!(after[1], ids[0]);
    }

    #[test]
    fn a_recurring_title_does_not_carry_an_id_to_the_next_article() {
        let letters = Piece { title: "Letters".into(), ..piece(1) };
        let (ids, register) = run(&Register::default(), std::slice::from_ref(&letters), "a.example");
        let renamed = Piece { path: "campus/letters-1.md".into(), slug: "letters-1".into(), ..letters.clone() };
        let next = Piece { body: Some(77), day: 27, ..letters };
        let (after, _) = run(&register, &[renamed, next], "a.example");
        assert_eq!(after[0], ids[0]);
        assert_ne!(after[1], ids[0]);
    }

    #[test]
    fn a_file_with_another_text_title_and_day_is_another_article() {
        let (ids, register) = run(&Register::default(), &[piece(1)], "a.example");
        let reused = Piece { body: Some(77), title: "Quite another".into(), day: 27, ..piece(1) };
        let (after, register) = run(&register, std::slice::from_ref(&reused), "a.example");
        assert_ne!(after[0], ids[0]);
        // The old one is still known, by its text, when it comes back under another name.
        let back = Piece { path: "campus/back.md".into(), slug: "back".into(), ..piece(1) };
        let (again, second) = run(&register, &[back, reused.clone()], "a.example");
        assert_eq!(again, [ids[0].clone(), after[0].clone()]);
        assert_eq!(run(&second, &[reused], "a.example").0, after);
        // What is left of the old one is enough.
        let rewritten = Piece { body: Some(78), title: "Rewritten".into(), ..piece(1) };
        let (kept, _) = run(&run(&Register::default(), &[piece(1)], "a.example").1, &[rewritten], "a.example");
        assert_eq!(kept, ids);
    }

    #[test]
    fn an_id_that_another_article_brings_stays_with_the_one_that_has_it() {
        let (ids, register) = run(&Register::default(), &[piece(1)], "a.example");
        let others = || Others { given: HashSet::from([ids[0].as_str()]), ..Others::default() };
        let same = |piece: &Piece| assign(&register, &[piece.candidate()], &others(), "a.example");
        for piece in [piece(1), Piece { body: Some(77), ..piece(1) }] {
            let (got, kept) = same(&piece);
            assert_eq!((&got[0].0, kept.entries().len()), (&ids[0], 1), "{piece:?}");
        }
        // Another article in its old place is not meant: the id has moved with the article that brings it.
        let (got, kept) = same(&Piece { body: Some(77), title: "Quite another".into(), ..piece(1) });
        assert_ne!(got[0].0, ids[0]);
        assert_eq!(kept.entries().len(), 1);
        // One that cannot be read, or is a draft, keeps its own.
        let held = Others { held: HashSet::from(["campus/p1.md"]), ..others() };
        assert_eq!(assign(&register, &[], &held, "a.example").1, register);
    }

    #[test]
    fn a_copied_file_gets_an_id_of_its_own() {
        let (ids, register) = run(&Register::default(), &[piece(1)], "a.example");
        let copy = Piece { path: "campus/a-copy.md".into(), slug: "a-copy".into(), ..piece(1) };
        let (after, _) = run(&register, &[copy, piece(1)], "a.example");
        assert_eq!(after[1], ids[0]);
        assert_ne!(after[0], ids[0]);
    }

    #[test]
    fn an_unreadable_or_returning_file_does_not_lose_its_id() {
        let (ids, register) = run(&Register::default(), &[piece(1)], "a.example");
        let thief = Piece { path: "campus/new.md".into(), ..piece(1) };
        let candidates = [thief.candidate()];
        let others = Others { held: HashSet::from(["campus/p1.md"]), ..Others::default() };
        let (got, register) = assign(&register, &candidates, &others, "a.example");
        assert_ne!(got[0].0, ids[0]);
        let (back, _) = run(&register, &[thief, piece(1)], "a.example");
        assert_eq!(back[1], ids[0]);
    }

    #[test]
    fn an_id_that_an_article_brings_is_not_in_the_register() {
        let (ids, register) = run(&Register::default(), &[piece(1), piece(2)], "a.example");
        let others = Others {
            given: HashSet::from([ids[0].as_str()]),
            own: HashSet::from(["campus/p2.md"]),
            ..Others::default()
        };
        let (_, register) = assign(&register, &[], &others, "a.example");
        assert!(register.entries().is_empty());
    }

    #[test]
    fn a_broken_register_is_refused_with_its_line() {
        let good = "id,path,section,slug,date,body,title\n";
        for (text, line) in [
            ("path,id\nx,y\n".to_owned(), 1),
            (format!("{good}a,b\n"), 2),
            (format!("{good}a,p,s,s,2026-01-01,zz,T\n"), 2),
            (format!("{good}a,p,s,s,2026-01-01,,T\na,q,s,s,2026-01-01,,T\n"), 3),
            (format!("{good}<<<<<<< HEAD\na,p,s,s,2026-01-01,,T\n"), 2),
            (format!("{good},p,s,s,2026-01-01,,T\n"), 2),
        ] {
            assert_eq!(Register::parse(&text, "ids.csv").unwrap_err().place.line, line, "{text}");
        }
        assert_eq!(Register::parse("", "ids.csv").unwrap(), Register::default());
    }

    fn change(piece: &Piece, how: usize, n: u64) -> Piece {
        let mut p = piece.clone();
        match how {
            0 => p.title = format!("Retitled {n}"),
            1 => p.slug = format!("other-{n}"),
            2 => p.path = format!("campus/renamed-{n}.md"),
            3 => (p.section, p.path) = ("politics".into(), format!("politics/p{n}.md")),
            4 => p.body = Some(n + 500_000),
            5 => (p.title, p.slug, p.path) = (format!("New {n}"), format!("new-{n}"), format!("x/new-{n}.md")),
            6 => (p.body, p.path) = (Some(n + 900_000), format!("moved/{n}.md")),
            7 => (p.body, p.title) = (None, format!("Emptied {n}")),
            8 => p.day = 27,
            9 => (p.day, p.title) = (27, format!("Re-dated {n}")),
            10 => (p.day, p.body) = (27, Some(n + 700_000)),
            _ => {}
        }
        p
    }

    proptest! {
        #[test]
        fn an_id_survives_every_change(changes in prop::collection::vec(0_usize..12, 1..30), domain in any::<bool>()) {
            let pieces: Vec<Piece> = (0..changes.len() as u64).map(piece).collect();
            let (before, register) = run(&Register::default(), &pieces, "a.example");
            let again = Register::parse(&register.to_csv(), "ids.csv").unwrap();
            prop_assert_eq!(&again, &register);
            let changed: Vec<Piece> =
                pieces.iter().zip(&changes).enumerate().map(|(n, (p, how))| change(p, *how, n as u64)).collect();
            let (after, second) = run(&again, &changed, if domain { "b.example" } else { "a.example" });
            prop_assert_eq!(&before, &after);
            // Nothing changed: the register is the same, byte for byte.
            prop_assert_eq!(run(&second, &changed, "a.example").1.to_csv(), second.to_csv());
        }
    }
}
