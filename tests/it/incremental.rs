//! A build that remembers is held against one that does not: whole folders, byte for byte.

use chrono::{DateTime, Utc};
use pressrun::feed::page::Templates;
use pressrun::feed::{By, Content, Extra, Options};
use pressrun::incremental::{Built, Need, Setup, prepare};
use pressrun::newsroom::{Masthead, Problem, Section};
use pressrun::source;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than a file's time may lag behind.
const TICK: Duration = Duration::from_millis(25);
const SECTIONS: [&str; 3] = ["campus", "culture", "sports"];

fn now(hour: u32) -> DateTime<Utc> {
    "2026-03-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::Duration::hours(i64::from(hour))
}

/// A newsroom on disk, and what stands in its files.
struct Room {
    folder: tempfile::TempDir,
    pieces: Vec<Piece>,
    made: u32,
    items: usize,
    title: String,
    section_title: String,
    hour: u32,
    /// Whether there are feeds by tag, author and year, too.
    families: bool,
}

#[derive(Clone)]
struct Piece {
    path: String,
    id: Option<String>,
    title: String,
    date: String,
    tags: String,
    author: String,
    body: String,
    more: String,
    broken: bool,
}

impl Room {
    fn new() -> Self {
        let mut room = Room {
            folder: tempfile::tempdir().unwrap(),
            pieces: Vec::new(),
            made: 0,
            items: 3,
            title: "The Paper".into(),
            section_title: "Campus".into(),
            hour: 0,
            families: true,
        };
        (0..20).for_each(|_| room.add());
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn add(&mut self) {
        self.made += 1;
        let n = self.made;
        let section = SECTIONS[n as usize % SECTIONS.len()];
        self.pieces.push(Piece {
            path: format!("{section}/piece-{n}.md"),
            id: n.is_multiple_of(3).then(|| format!("tag:paper.example,2026:{n}")),
            title: format!("Piece {n}"),
            date: format!("2026-02-{:02}T{:02}:00:00Z", 1 + n % 28, n % 24),
            tags: format!("[t{}, all]", n % 4),
            author: format!("Author {}", n % 3),
            body: format!("Text of the *{n}th* piece with a [link](https://example.org/{n}).\n"),
            more: String::new(),
            broken: false,
        });
        self.save(self.pieces.len() - 1);
    }

    fn save(&self, at: usize) {
        let Piece { path, id, title, date, tags, author, body, more, broken } = &self.pieces[at];
        let id = id.as_ref().map(|id| format!("id: \"{id}\"\n")).unwrap_or_default();
        let broken = if *broken { "nonsense: [\n" } else { "" };
        let text = format!(
            "---\n{id}title: {title}\ndate: {date}\ntags: {tags}\nauthors: [{author}]\n{more}{broken}---\n{body}"
        );
        write(&self.path("articles").join(path), &text);
    }

    fn rename(&mut self, at: usize, path: String) {
        let (from, to) = (self.path("articles").join(&self.pieces[at].path), self.path("articles").join(&path));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(from, to).unwrap();
        self.pieces[at].path = path;
    }

    /// Does one thing that newsrooms do, or that happens to them.
    fn happen(&mut self, what: u8, which: u16) {
        let n = self.made;
        self.made += 1;
        if self.pieces.is_empty() {
            return self.add();
        }
        let at = usize::from(which) % self.pieces.len();
        let piece = &mut self.pieces[at];
        match what {
            0..=3 => piece.body = format!("{}\nAnother paragraph, no. {n}.\n", piece.body),
            4 => piece.title = format!("Retitled {n}"),
            5 => (piece.title, piece.body) = (format!("New {n}"), format!("All new {n}.\n")),
            6 => return self.add(),
            7 => {
                let gone = self.pieces.remove(at);
                return fs::remove_file(self.path("articles").join(gone.path)).unwrap();
            }
            8 => {
                let name = piece.path.rsplit('/').next().unwrap().to_owned();
                return self.rename(at, format!("{}/{name}", SECTIONS[usize::from(which) % 3]));
            }
            9 => {
                let section = piece.path.split('/').next().unwrap().to_owned();
                return self.rename(at, format!("{section}/renamed-{n}.md"));
            }
            10 => piece.date = format!("2026-0{}-{:02}T08:00:00Z", 1 + which % 3, 1 + which % 28),
            11 => piece.more = "withdrawn: { date: 2026-02-20, reason: Wrong }\n".into(),
            12 => piece.more = if piece.more.is_empty() { "draft: true\n".into() } else { String::new() },
            13 => piece.tags = format!("[t{}, new]", n % 5),
            14 => piece.author = format!("Author {}", n % 4),
            15 => piece.more = format!("updated: 2026-02-28T{:02}:00:00Z\n", n % 24),
            16 => piece.more = "corrections: [{ date: 2026-02-27, text: It was Tuesday. }]\n".into(),
            17 => piece.broken = !piece.broken,
            // As long as it was.
            18 => piece.body = piece.body.chars().map(|c| if c == 'e' { 'o' } else { c }).collect(),
            19 => {
                let target = self.pieces[usize::from(which / 7) % self.pieces.len()].path.clone();
                let piece = &mut self.pieces[at];
                piece.body = format!("{}\nSee [there](../{target}).\n", piece.body);
            }
            20 => return self.items = 2 + usize::from(which % 3),
            21 => return self.title = format!("The Paper no. {n}"),
            22 => return self.section_title = format!("Campus {n}"),
            23 => return self.hour += 1 + u32::from(which % 900),
            24 => return Self::damage(&self.some_document(which), which),
            25 => return fs::remove_file(self.some_document(which)).unwrap(),
            26 => return Self::damage(&self.path("var/build.cache"), which),
            27 => {
                return write(
                    &self.path("articles/ids.csv"),
                    &fs::read_to_string(self.path("articles/ids.csv")).unwrap(),
                );
            }
            28 => {
                // Another file in its place, with its size and time.
                piece.body = piece.body.to_uppercase();
                let path = self.path("articles").join(&self.pieces[at].path);
                let time = fs::metadata(&path).unwrap().modified().unwrap();
                self.save(at);
                return fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            }
            // Perhaps in the future, until some hours have passed.
            29 => {
                let day = 1 + which % 28;
                piece.more = format!("corrections: [{{ date: 2026-03-{day:02}, text: It was day {day}. }}]\n");
            }
            // The id that another article was given.
            30 => {
                let register = fs::read_to_string(self.path("articles/ids.csv")).unwrap();
                let known: Vec<&str> = register.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
                let id = known.get(usize::from(which / 7) % known.len().max(1)).map(|id| (*id).to_owned());
                self.pieces[at].id = id;
            }
            // Another article takes its name and its title.
            31 => {
                let old = piece.clone();
                self.rename(at, old.path.replace(".md", &format!("-{n}.md")));
                self.pieces.push(Piece { id: None, body: format!("The next one, {n}.\n"), ..old });
                return self.save(self.pieces.len() - 1);
            }
            _ => return,
        }
        self.save(at);
    }

    fn some_document(&self, which: u16) -> PathBuf {
        let all: Vec<String> = files(&self.path("feeds")).into_keys().collect();
        self.path("feeds").join(&all[usize::from(which) % all.len()])
    }

    /// Cuts a file short, turns one bit of it, or adds to it.
    fn damage(path: &Path, which: u16) {
        let mut bytes = fs::read(path).unwrap();
        let at = usize::from(which) * 7919 % bytes.len();
        match which % 3 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << (which % 8),
            _ => bytes.extend_from_slice(b"more"),
        }
        fs::write(path, bytes).unwrap();
    }

    fn source(&self, articles: PathBuf) -> source::Options {
        let url: url::Url = "https://paper.example/".parse().unwrap();
        let title = |slug: &str| if slug == "campus" { self.section_title.clone() } else { slug.to_uppercase() };
        source::Options {
            folder: articles,
            name: "articles".into(),
            masthead: Masthead {
                title: self.title.clone(),
                description: "A paper for tests.".into(),
                feeds_url: url.join("feeds/").unwrap(),
                url,
                language: "en".into(),
                copyright: None,
                authority: "paper.example".into(),
                icon: None,
                logo: None,
            },
            sections: SECTIONS
                .map(|slug| Section {
                    slug: slug.into(),
                    title: title(slug),
                    description: String::new(),
                    language: None,
                })
                .to_vec(),
            time_zone: chrono_tz::UTC,
        }
    }

    fn families() -> Vec<Extra> {
        let extra = |by, content| Extra { by, content };
        vec![
            extra(By::Tag, Content::Full),
            extra(By::Author, Content::Summary),
            extra(By::Year, Content::Summary),
            extra(By::Section, Content::Summary),
        ]
    }

    fn build(&self, articles: &str, feeds: &str, cache: &str) -> Built {
        self.build_and_tell(articles, feeds, cache).0
    }

    /// Builds; answers what is wrong with the articles, too.
    fn build_and_tell(&self, articles: &str, feeds: &str, cache: &str) -> (Built, Vec<Problem>) {
        self.build_while(articles, feeds, cache, || {})
    }

    /// Builds; between the reading of the articles and the making of the feeds, this happens.
    fn build_while(&self, articles: &str, feeds: &str, cache: &str, happens: impl FnOnce()) -> (Built, Vec<Problem>) {
        let source = self.source(self.path(articles));
        let templates = Templates::embedded();
        let feed = Options {
            items: self.items,
            extra: if self.families { Self::families() } else { Vec::new() },
            ..Options::default()
        };
        let (folder, cache) = (self.path(feeds), self.path(cache));
        let setup = Setup { source: &source, feed: &feed, templates: &templates, folder: &folder, cache: &cache };
        let work = prepare(setup, Need::Feeds, || now(self.hour), |_| {}).unwrap();
        let problems = work.problems().to_vec();
        happens();
        (work.publish().unwrap(), problems)
    }

    /// Builds here with the cache, and the same articles without one, from the same register of ids.
    fn compare(&self) -> Result<Built, TestCaseError> {
        for name in ["clean", "clean-feeds"] {
            let _ = fs::remove_dir_all(self.path(name));
        }
        let _ = fs::remove_file(self.path("clean.cache"));
        for (name, bytes) in files(&self.path("articles")) {
            let path = self.path("clean").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let (built, problems) = self.build_and_tell("articles", "feeds", "var/build.cache");
        let (clean, all_problems) = self.build_and_tell("clean", "clean-feeds", "clean.cache");
        prop_assert_eq!(problems, all_problems);
        prop_assert_eq!(built.articles, clean.articles);
        prop_assert_eq!(built.report.documents, clean.report.documents);
        for (mine, other) in [("feeds", "clean-feeds"), ("articles", "clean")] {
            let (mine, other) = (files(&self.path(mine)), files(&self.path(other)));
            prop_assert_eq!(mine.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
            for (name, bytes) in &mine {
                prop_assert!(bytes == &other[name], "{} differs", name);
            }
        }
        Ok(built)
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_build_with_a_cache_leaves_what_a_build_without_one_leaves() {
    let steps = prop::collection::vec((prop::collection::vec((0_u8..33, any::<u16>()), 1..3), 0_u8..4), 8);
    let config = Config { cases: 8, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    TestRunner::new(config)
        .run(&steps, |steps| {
            let mut room = Room::new();
            room.compare()?;
            for (happenings, haste) in steps {
                if haste > 0 {
                    std::thread::sleep(TICK);
                }
                for (what, which) in happenings {
                    room.happen(what, which);
                }
                if haste > 1 {
                    std::thread::sleep(TICK);
                }
                room.compare()?;
            }
            Ok(())
        })
        .unwrap();
}

/// What happens every day: a text, a title, an author, a tag, a section, a file's name or a date changes; an article comes,
/// goes, is a draft, or waits for its date.
fn an_everyday_step(room: &mut Room, what: u8, which: u16) {
    let n = room.made;
    let at = usize::from(which) % room.pieces.len().max(1);
    match what {
        0..=10 => room.happen([0, 4, 5, 6, 7, 8, 9, 13, 14, 15, 18][usize::from(what)], which),
        // Not in the future, where it would wait.
        11 if !room.pieces.is_empty() => {
            room.pieces[at].date = format!("2026-0{}-{:02}T08:00:00Z", 1 + which % 2, 1 + which % 28);
            room.save(at);
        }
        12 if !room.pieces.is_empty() => {
            room.pieces[at].more = if room.pieces[at].more.is_empty() { "draft: true\n" } else { "" }.into();
            room.save(at);
        }
        13 if !room.pieces.is_empty() => {
            room.pieces[at].title = format!("Retitled without an id {n}");
            room.pieces[at].id = None;
            room.save(at);
        }
        14 => {
            // It stands beside all others, and waits.
            room.add();
            let at = room.pieces.len() - 1;
            room.pieces[at].date = "2027-01-01T00:00:00Z".into();
            room.save(at);
            room.pieces.pop();
        }
        _ => room.add(),
    }
}

/// Only one that reaches over much of the archive, such as a new date far from the old one, may put all together.
#[test]
fn everyday_changes_seldom_put_the_newsroom_together() {
    let steps = prop::collection::vec(prop::collection::vec((0_u8..16, any::<u16>()), 1..4), 10);
    let config = Config { cases: 8, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let (small, all) = (Cell::new(0), Cell::new(0));
    TestRunner::new(config)
        .run(&steps, |steps| {
            let mut room = Room::new();
            room.families = false;
            std::thread::sleep(TICK);
            room.compare()?;
            for happenings in steps {
                std::thread::sleep(TICK);
                for (what, which) in &happenings {
                    an_everyday_step(&mut room, *what, *which);
                }
                std::thread::sleep(TICK);
                small.set(small.get() + u32::from(room.compare()?.material.is_none()));
                all.set(all.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    let (small, all) = (small.get(), all.get());
    assert!(small * 10 >= all * 9, "only {small} of {all} builds did what changed and no more");
}

#[test]
fn everyday_changes_reach_the_feeds_of_tags_authors_and_years() {
    let steps = prop::collection::vec(prop::collection::vec((0_u8..16, any::<u16>()), 1..3), 10);
    let config = Config { cases: 8, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let (small, all) = (Cell::new(0), Cell::new(0));
    TestRunner::new(config)
        .run(&steps, |steps| {
            let mut room = Room::new();
            std::thread::sleep(TICK);
            room.compare()?;
            for happenings in steps {
                std::thread::sleep(TICK);
                for (what, which) in happenings {
                    an_everyday_step(&mut room, what, which);
                }
                std::thread::sleep(TICK);
                // A tag's, an author's or a year's first or last article makes another list of feeds.
                small.set(small.get() + u32::from(room.compare()?.material.is_none()));
                all.set(all.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    let (small, all) = (small.get(), all.get());
    assert!(small * 2 > all, "only {small} of {all} builds did what changed and no more");
}

#[test]
fn a_new_article_touches_the_current_documents_until_a_page_is_full() {
    let mut room = Room::new();
    room.families = false;
    std::thread::sleep(TICK);
    room.compare().unwrap();
    let mut pages = 0;
    for hour in 0..8 {
        std::thread::sleep(TICK);
        room.add();
        let at = room.pieces.len() - 1;
        room.pieces[at].date = format!("2026-02-28T{:02}:30:00Z", 10 + hour);
        room.save(at);
        let section = room.pieces[at].path.split('/').next().unwrap().to_owned();
        std::thread::sleep(TICK);
        let before = stamps(&room.path("feeds"));
        let built = room.compare().unwrap();
        assert!(built.material.is_none(), "the newsroom was put together for one new article");
        let current = ["rss.xml", "atom.xml", "feed.json", "index.html"].map(String::from);
        let current: Vec<String> =
            current.iter().cloned().chain(current.iter().map(|name| format!("{section}/{name}"))).collect();
        let (new, old): (Vec<String>, Vec<String>) = built
            .report
            .changed
            .into_iter()
            .filter(|name| !current.contains(name))
            .partition(|name| !before.contains_key(name));
        pages += new.len();
        assert!(new.iter().all(|name| name.contains("archive/")), "{new:?}");
        // The page that was the newest points to the one after it from now on; JSON Feed knows no such link. The first two
        // pages come together, and none was before them.
        let next = new.len() - 2 * new.iter().filter(|name| name.contains("-0001.")).count();
        assert!(old.len() * 3 == next * 2 && old.iter().all(|name| name.contains("archive/")), "{old:?} {new:?}");
    }
    assert!(pages >= 6 && pages.is_multiple_of(3), "{pages} archive documents for eight articles");

    // It is withdrawn from sight, and appears with another date; nothing old is touched.
    let newest = room.pieces.len() - 1;
    for date in ["2026-02-28T23:00:00Z", "2026-02-28T17:10:00Z"] {
        std::thread::sleep(TICK);
        room.pieces[newest].date = date.into();
        room.save(newest);
        std::thread::sleep(TICK);
        let built = room.compare().unwrap();
        assert!(built.material.is_none() && built.report.changed.iter().all(|name| !name.contains("archive/")));
    }
}

#[test]
fn a_link_to_an_article_that_comes_or_goes_is_followed() {
    let mut room = Room::new();
    room.families = false;
    room.pieces[0].body = "See [there](../culture/later.md) and [here](piece-3.md).\n".into();
    room.save(0);
    std::thread::sleep(TICK);
    room.compare().unwrap();
    room.add();
    let (at, path) = (room.pieces.len() - 1, "culture/later.md".to_owned());
    room.rename(at, path);
    std::thread::sleep(TICK);
    room.compare().unwrap();
    assert!(fs::read_to_string(room.path("feeds/atom.xml")).unwrap().contains("paper.example/culture/later"));
    std::thread::sleep(TICK);
    room.rename(at, "culture/never.md".to_owned());
    std::thread::sleep(TICK);
    room.compare().unwrap();
    // One comes whose address is taken, and goes again.
    std::thread::sleep(TICK);
    room.pieces[3].more = "url: https://paper.example/one\n".into();
    room.pieces[4].more = "url: https://paper.example/one\n".into();
    room.save(3);
    std::thread::sleep(TICK);
    room.compare().unwrap();
    room.save(4);
    std::thread::sleep(TICK);
    room.compare().unwrap();
    room.pieces[4].more = String::new();
    room.save(4);
    std::thread::sleep(TICK);
    room.compare().unwrap();
    // And one that brings another's id.
    room.pieces[5].id = Some("tag:paper.example,2026:3".into());
    room.save(5);
    std::thread::sleep(TICK);
    room.compare().unwrap();
}

#[test]
fn an_edited_article_touches_only_the_documents_that_carry_it() {
    let mut room = Room::new();
    std::thread::sleep(TICK);
    room.compare().unwrap();
    let before = stamps(&room.path("feeds"));
    let again = room.compare().unwrap();
    assert_eq!((again.report.written, again.report.changed.len()), (0, 0));
    assert!(again.material.is_none(), "the newsroom was put together although nothing changed");
    assert_eq!(stamps(&room.path("feeds")), before);

    std::thread::sleep(TICK);
    // One with an id of its own, and one whose id stands in the register.
    for at in [2, 0] {
        room.happen(0, at);
        std::thread::sleep(TICK);
        let title = &room.pieces[usize::from(at)].title;
        let built = room.compare().unwrap();
        assert!(built.material.is_none(), "the newsroom was put together although {title} is what and where it was");
        let carrying: Vec<String> = files(&room.path("feeds"))
            .into_iter()
            .filter(|(name, bytes)| {
                !name.contains("html") && String::from_utf8_lossy(bytes).contains(&format!("{title}<"))
            })
            .map(|(name, _)| name)
            .collect();
        let xml: Vec<&String> = built.report.changed.iter().filter(|name| name.contains(".xml")).collect();
        assert!(!xml.is_empty() && xml.len() * 10 < before.len() * 4, "{xml:?}");
        assert!(xml.iter().all(|name| carrying.contains(name)), "{xml:?} {carrying:?}");
    }
    // Many small changes one after the other, read back from the end of the cache each time.
    for at in 0..30 {
        room.happen(0, at);
        std::thread::sleep(TICK);
        room.compare().unwrap();
    }
}

#[test]
fn a_text_that_is_saved_and_put_back_in_the_middle_of_a_build_is_read_again() {
    let mut room = Room::new();
    for whole in [true, false] {
        if !whole {
            room.compare().unwrap();
        }
        room.pieces[7].body = format!("The text as it is meant, {whole}.\n");
        room.save(7);
        std::thread::sleep(TICK);
        let path = room.path("articles").join(&room.pieces[7].path);
        let meant = fs::read_to_string(&path).unwrap();
        let (built, _) = room.build_while("articles", "feeds", "var/build.cache", || {
            write(&path, &meant.replace("as it is meant", "of a slip"));
        });
        assert!(built.memory.is_none(), "whoever watches would look at what is saved, and at nothing else");
        write(&path, &meant);
        std::thread::sleep(TICK);
        room.compare().unwrap();
    }
    // Just saved is not saved meanwhile: builds after it stay small.
    room.pieces[7].body = "Saved a moment ago.\n".into();
    room.save(7);
    assert!(room.build("articles", "feeds", "var/build.cache").memory.is_some());
    assert!(room.build("articles", "feeds", "var/build.cache").material.is_none());
}

#[test]
fn a_cache_that_is_cut_short_or_damaged_anywhere_is_not_used() {
    let mut room = Room::new();
    std::thread::sleep(TICK);
    room.compare().unwrap();
    room.happen(0, 3);
    std::thread::sleep(TICK);
    assert!(room.compare().unwrap().material.is_none(), "nothing was added to the cache");
    let good = fs::read(room.path("var/build.cache")).unwrap();
    let clean = files(&room.path("feeds"));
    for at in (0..good.len()).step_by(good.len() / 60) {
        for cut in [true, false] {
            let mut bytes = good.clone();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << (at % 8);
            }
            fs::write(room.path("var/build.cache"), bytes).unwrap();
            room.build("articles", "feeds", "var/build.cache");
            assert!(files(&room.path("feeds")) == clean, "byte {at}, cut: {cut}");
        }
    }
}

#[test]
fn a_problem_elsewhere_is_told_again_and_does_not_make_builds_slow() {
    let mut room = Room::new();
    // Something is wrong with one article, another may not be published beside a third, and one earns a warning.
    room.pieces[3].broken = true;
    room.pieces[4].more = "url: https://paper.example/one\n".into();
    room.pieces[5].more = "url: https://paper.example/one\n".into();
    room.pieces[6].more = "image: /picture.png\n".into();
    (3..7).for_each(|at| room.save(at));
    std::thread::sleep(TICK);
    room.compare().unwrap();
    for at in [0, 8] {
        room.happen(0, at);
        std::thread::sleep(TICK);
        let built = room.compare().unwrap();
        assert!(built.material.is_none(), "the newsroom was put together because of problems elsewhere");
    }
    // A problem names the article that is first at an address, and the line that says so.
    for at in [4, 5] {
        let path = room.path("articles").join(&room.pieces[at].path);
        let text = fs::read_to_string(&path).unwrap();
        write(&path, &text.replacen("---\n", "---\n# A remark.\n", 1));
        std::thread::sleep(TICK);
        room.compare().unwrap();
    }
    // It is mended, and nobody tells of it any more.
    room.pieces[3].broken = false;
    room.save(3);
    std::thread::sleep(TICK);
    let told = room.build_and_tell("articles", "feeds", "var/build.cache").1;
    assert_eq!(told.len(), 2, "{told:?}");
    room.compare().unwrap();
}

#[test]
fn a_cache_of_another_program_or_of_another_form_is_not_used() {
    let room = Room::new();
    std::thread::sleep(TICK);
    room.compare().unwrap();
    std::thread::sleep(TICK);
    assert!(room.compare().unwrap().material.is_none(), "its own cache was not used");
    let good = fs::read(room.path("var/build.cache")).unwrap();
    // The form's number stands in the first eight bytes, the program's and the configuration's mark in the next 32.
    for at in [7, 8, 39] {
        let mut other = good.clone();
        other[at] = other[at].wrapping_add(1);
        fs::write(room.path("var/build.cache"), other).unwrap();
        let built = room.compare().unwrap();
        assert!(built.material.is_some(), "byte {at}: a cache of another program was used");
        assert_eq!(built.report.written, 0, "byte {at}");
        assert!(fs::read(room.path("var/build.cache")).unwrap()[..40] == good[..40], "byte {at}: it was not replaced");
    }
}

#[test]
fn a_date_that_comes_and_a_reason_that_changes_reach_the_feeds() {
    let mut room = Room::new();
    room.pieces[1].more = "withdrawn: { date: 2026-02-20, reason: Wrong }\n".into();
    room.pieces[2].date = "2026-03-01T05:00:00Z".into();
    (1..3).for_each(|at| room.save(at));
    std::thread::sleep(TICK);
    let before = room.compare().unwrap();
    room.pieces[1].more = "withdrawn: { date: 2026-02-20, reason: Quite wrong }\n".into();
    room.save(1);
    std::thread::sleep(TICK);
    room.compare().unwrap();
    assert!(fs::read_to_string(room.path("feeds/atom.xml")).unwrap().contains("Quite wrong"));
    // Nothing is saved; it is only later.
    room.hour = 6;
    let after = room.compare().unwrap();
    assert_eq!(after.articles, before.articles + 1);
}

#[test]
fn a_clock_that_was_ahead_publishes_nothing_before_its_time() {
    let mut room = Room::new();
    room.pieces[2].date = "2026-03-01T05:00:00Z".into();
    room.save(2);
    std::thread::sleep(TICK);
    let before = room.compare().unwrap();
    // A new article is a small change, and its date has come by a clock that is wrong.
    room.hour = 4;
    room.add();
    room.pieces[20].date = "2026-03-01T03:00:00Z".into();
    room.save(20);
    std::thread::sleep(TICK);
    assert_eq!(room.compare().unwrap().articles, before.articles + 1);
    room.hour = 0;
    assert_eq!(room.compare().unwrap().articles, before.articles);
}

#[test]
fn a_cache_of_another_configuration_is_not_used() {
    let mut room = Room::new();
    std::thread::sleep(TICK);
    room.compare().unwrap();
    room.title = "Another Paper".into();
    let built = room.compare().unwrap();
    assert!(built.material.is_some() && built.report.written == built.report.documents, "{:?}", built.report);
}

fn stamps(folder: &Path) -> BTreeMap<String, std::time::SystemTime> {
    let time = |name: &String| fs::metadata(folder.join(name)).unwrap().modified().unwrap();
    files(folder).into_keys().map(|name| (name.clone(), time(&name))).collect()
}
