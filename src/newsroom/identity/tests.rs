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
    let others =
        Others { given: HashSet::from([ids[0].as_str()]), own: HashSet::from(["campus/p2.md"]), ..Others::default() };
    let (_, register) = assign(&register, &[], &others, "a.example");
    assert!(register.entries().is_empty());
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

fn streamed(n: u64, path: &str) -> Piece {
    Piece { path: format!("{STREAM}{path}"), ..piece(n) }
}

#[test]
fn the_next_of_a_series_is_not_the_one_that_is_gone() {
    let first = Piece { title: "Crossword 1".into(), ..streamed(1, "campus/p1") };
    let (ids, register) = run(&Register::default(), std::slice::from_ref(&first), "a.example");
    // The same text, and all else another.
    let next = Piece { title: "Crossword 2".into(), day: 27, body: first.body, ..streamed(2, "campus/p2") };
    assert_ne!(run(&register, std::slice::from_ref(&next), "a.example").0, ids);
    let file = Piece { path: "campus/p2.md".into(), ..next };
    assert_ne!(run(&register, &[file], "a.example").0, ids);
    // The same title and day, and another text.
    let second = Piece { title: first.title.clone(), ..streamed(2, "campus/p2") };
    assert_ne!(run(&register, &[second], "a.example").0, ids);
    // Renamed, it is the same.
    for same in [
        Piece { title: "Crossword no. 1".into(), slug: "x".into(), ..streamed(1, "campus/x") },
        Piece { title: first.title, slug: "x".into(), day: 27, ..streamed(1, "campus/x") },
    ] {
        assert_eq!(run(&register, &[same], "a.example").0, ids);
    }
}

#[test]
fn an_entry_with_the_slug_alone_is_understood() {
    let old = streamed(1, "p1");
    let (ids, register) = run(&Register::default(), std::slice::from_ref(&old), "a.example");
    let now = streamed(1, "campus/p1");
    let rewritten = Piece { body: Some(77), ..now.clone() };
    let quite = Piece { title: "Another".into(), day: 27, ..rewritten.clone() };
    let with_url = Piece { body: Some(77), ..streamed(1, "/2026/02/p1") };
    for piece in [now.clone(), rewritten, quite, with_url] {
        let (got, after) = run(&register, std::slice::from_ref(&piece), "a.example");
        assert_eq!((got, after.entries().len()), (ids.clone(), 1), "{piece:?}");
        assert_eq!(after.entries()[0].path, piece.path);
    }
    let others = Others { held: HashSet::from(["stream:campus/p1"]), ..Others::default() };
    let other = Piece { path: "campus/new.md".into(), ..now.clone() };
    let (got, kept) = assign(&register, &[other.candidate()], &others, "a.example");
    assert_ne!(got[0].0, ids[0]);
    assert_eq!(kept.entries()[0], register.entries()[0]);
    // In another section, or at another address of another month, it is another article.
    let elsewhere = Piece { section: "arts".into(), title: "Other".into(), body: Some(77), ..streamed(1, "arts/p1") };
    let later = Piece { body: Some(77), day: 27, ..streamed(1, "/2026/03/p1") };
    for piece in [elsewhere, later] {
        assert_ne!(run(&register, &[piece], "a.example").0, ids);
    }
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
