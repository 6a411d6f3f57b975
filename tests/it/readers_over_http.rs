//! Real feed readers over HTTP: newsboat, and Python's feedparser.

use crate::support::room::Room;
use crate::wire::{Served, build, build_titled};
use pressrun::web;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A file is looked after at most once a second.
const A_LOOK: Duration = Duration::from_millis(1_050);

/// The program that this variable names, or else the one in the path. `None` if there is none and that is allowed.
fn program(variable: &str, name: &str) -> Option<String> {
    let program = std::env::var(variable).unwrap_or_else(|_| name.to_owned());
    if Command::new(&program).arg("--version").output().is_ok_and(|o| o.status.success()) {
        return Some(program);
    }
    assert!(std::env::var("PRESSRUN_TESTS_COMPLETE").is_err(), "{program} is missing");
    eprintln!("not tested: {program} is missing (scripts/test installs it)");
    None
}

fn serve(feeds: &Path) -> (Served, String) {
    build(feeds, 8);
    serve_built(feeds)
}

fn serve_built(feeds: &Path) -> (Served, String) {
    let folder = feeds.to_owned();
    let served = Served::at(
        move |at| web::Options::new(folder, format!("http://{at}/feeds/").parse().unwrap()),
        axum::Router::new(),
    );
    let public = format!("http://{}/feeds/", served.at);
    (served, public)
}

/// How many requests were answered with this status.
fn answered(served: &Served, status: u16) -> u64 {
    let wanted = format!("pressrun_http_requests_total{{status=\"{status}\"}} ");
    let text = served.get("/metrics", &[]).text();
    text.lines().find_map(|line| line.strip_prefix(&wanted)).map_or(0, |count| count.parse().unwrap())
}

/// One user's newsboat.
struct Newsboat {
    program: String,
    home: tempfile::TempDir,
}

impl Newsboat {
    /// A user who has subscribed to this feed and nothing else.
    fn subscribed(program: &str, feed: &str) -> Newsboat {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("urls"), format!("{feed}\n")).unwrap();
        fs::write(home.path().join("config"), "").unwrap();
        Newsboat { program: program.to_owned(), home }
    }

    /// Looks for news; how many articles are unread then.
    fn reload(&self) -> u32 {
        let said = self.run(&["-x", "reload", "print-unread"]);
        said.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{said}"))
    }

    /// What its user sees of the article with this id: title, address, and text.
    fn article(&self, id: &str) -> (String, String, String) {
        let cache = rusqlite::Connection::open(self.home.path().join("cache.db")).unwrap();
        let columns = "SELECT title, url, content FROM rss_item WHERE guid = ?1";
        cache.query_row(columns, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let file = |name: &str| self.home.path().join(name);
        let output = Command::new(&self.program)
            .env("HOME", self.home.path())
            .arg("-u")
            .arg(file("urls"))
            .arg("-c")
            .arg(file("cache.db"))
            .arg("-C")
            .arg(file("config"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn newsboat_subscribes_sees_304_and_then_exactly_one_new_article() {
    let Some(program) = program("PRESSRUN_NEWSBOAT", "newsboat") else { return };
    for feed in ["rss.xml", "atom.xml"] {
        let feeds = tempfile::tempdir().unwrap();
        let (served, public) = serve(feeds.path());
        let newsboat = Newsboat::subscribed(&program, &format!("{public}{feed}"));
        let unread = || newsboat.reload();
        assert_eq!(unread(), 3, "{feed}");
        // It asks unconditionally twice (newsboat/newsboat#2734), and from then on as it should.
        assert_eq!(unread(), 3, "{feed}");
        assert_eq!(answered(&served, 304), 0, "{feed}");
        assert_eq!(unread(), 3, "{feed}");
        assert_eq!(answered(&served, 304), 1, "{feed}");
        build(feeds.path(), 9);
        std::thread::sleep(A_LOOK);
        assert_eq!(unread(), 4, "{feed}: one new article, and none twice");
        assert_eq!(answered(&served, 226), 1, "{feed}: it says A-IM: feed, and is sent only that one");

        // A correction is the same article, not another one.
        let titles = ["Article 9 (corrected)", "Article 8", "Article 7", "Article 6", "5", "4", "3", "2", "1"];
        build_titled(feeds.path(), &titles.map(str::to_owned));
        std::thread::sleep(A_LOOK);
        assert_eq!(unread(), 4, "{feed}");
    }
}

/// What feedparser makes of one visit, with the etag or the date of the last one.
#[derive(Debug, serde::Deserialize)]
struct Visit {
    status: u16,
    bozo: bool,
    etag: Option<String>,
    modified: Option<String>,
    ids: Vec<String>,
    titles: Vec<String>,
    updated: Vec<Option<String>>,
    prev: Option<String>,
}

fn visit(python: &str, url: &str, etag: Option<&str>, modified: Option<&str>) -> Visit {
    const SCRIPT: &str = "
import feedparser, json, sys
url, etag, modified = sys.argv[1:4]
d = feedparser.parse(url, etag=etag or None, modified=modified or None)
prev = [l.href for l in d.feed.get('links', []) if l.get('rel') == 'prev-archive']
print(json.dumps({'status': d.status, 'bozo': bool(d.bozo), 'etag': d.get('etag'), 'modified': d.get('modified'),
                  'ids': [e.id for e in d.entries], 'titles': [e.title for e in d.entries],
                  'updated': [e.get('updated') for e in d.entries],
                  'prev': prev[0] if prev else None}))
";
    let arguments = ["-c", SCRIPT, url, etag.unwrap_or_default(), modified.unwrap_or_default()];
    let output = Command::new(python).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A newsroom of three articles, the second of which is about to be renamed, moved, corrected and withdrawn.
fn paper() -> Room {
    let room = Room::small(0);
    let news = "  - { slug: news, title: News, description: What is new. }";
    room.replace("config.yaml", news, &format!("{news}\n  - {{ slug: sport, title: Sport, description: Games. }}"));
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "Another text.");
    room.article("third", "The third piece", "2026-03-03T08:00:00Z", "A third text.");
    room.run(&["build"]).fine();
    room
}

/// What happens to the second article, one after the other.
const RENAMED: &str = "---\ntitle: The renamed piece\ndate: 2026-03-02T08:00:00Z\nauthors: [A. Reporter]\n";

fn rename(room: &Room) {
    fs::remove_file(room.path("articles/news/second.md")).unwrap();
    room.write("articles/news/renamed.md", &format!("{RENAMED}---\n\nAnother text.\n"));
    room.run(&["build"]).fine();
}

fn move_to_sport(room: &Room) {
    fs::create_dir_all(room.path("articles/sport")).unwrap();
    fs::rename(room.path("articles/news/renamed.md"), room.path("articles/sport/renamed.md")).unwrap();
    room.run(&["build"]).fine();
}

fn correct(room: &Room) {
    let corrections = "corrections: [{date: 2026-03-04T08:00:00Z, text: The text was another.}]\n";
    room.write("articles/sport/renamed.md", &format!("{RENAMED}{corrections}---\n\nThe right text.\n"));
    room.run(&["build"]).fine();
}

fn withdraw(room: &Room) {
    let withdrawn = "withdrawn: {date: 2026-03-05T08:00:00Z, reason: It was not so.}\n";
    room.write("articles/sport/renamed.md", &format!("{RENAMED}{withdrawn}---\n\nThe right text.\n"));
    room.run(&["build"]).fine();
}

#[test]
fn newsboat_keeps_one_article_through_a_rename_a_move_a_correction_and_a_withdrawal() {
    let Some(program) = program("PRESSRUN_NEWSBOAT", "newsboat") else { return };
    let Some(python) = self::program("PRESSRUN_PYTHON", "/usr/bin/python3") else { return };
    for feed in ["rss.xml", "atom.xml"] {
        let room = paper();
        let (served, public) = serve_built(&room.path("feeds"));
        let newsboat = Newsboat::subscribed(&program, &format!("{public}{feed}"));
        let id = visit(&python, &format!("{public}{feed}"), None, None).ids.remove(1);
        // It asks conditionally from the third time on.
        assert_eq!((newsboat.reload(), newsboat.reload()), (3, 3), "{feed}");
        assert_eq!(newsboat.article(&id).0, "The second piece");
        let after = |change: fn(&Room)| {
            change(&room);
            std::thread::sleep(A_LOOK);
            assert_eq!(newsboat.reload(), 3, "{feed}: no article twice, and none lost");
            newsboat.article(&id)
        };
        let (title, url, _) = after(rename);
        assert_eq!(title, "The renamed piece", "{feed}");
        assert!(url.contains("/news/renamed"), "{feed}: {url}");
        assert!(after(move_to_sport).1.contains("/sport/renamed"), "{feed}");
        let (_, _, text) = after(correct);
        assert!(text.contains("The right text.") && text.contains("The text was another."), "{feed}: {text}");
        // It is a reader's own archive: what was there stays, and nothing comes in its place.
        assert_eq!(after(withdraw).0, "The renamed piece", "{feed}");
        assert!(answered(&served, 226) >= 3, "{feed}: it was sent only what had changed");
    }
}

#[test]
fn feedparser_sees_a_rename_a_move_a_correction_and_a_withdrawal() {
    let Some(python) = program("PRESSRUN_PYTHON", "/usr/bin/python3") else { return };
    for feed in ["rss.xml", "atom.xml"] {
        let room = paper();
        let (_served, public) = serve_built(&room.path("feeds"));
        let section = |slug: &str| visit(&python, &format!("{public}{slug}/{feed}"), None, None);
        let ids = |visit: &Visit| visit.ids.clone();
        let first = visit(&python, &format!("{public}{feed}"), None, None);
        let id = first.ids[1].clone();
        let mut last = first;
        for (change, title, updated, news, sport) in [
            (rename as fn(&Room), "The renamed piece", "2026-03-02T08:00:00+00:00", 3, 0),
            (move_to_sport, "The renamed piece", "2026-03-02T08:00:00+00:00", 2, 1),
            (correct, "The renamed piece", "2026-03-04T08:00:00+00:00", 2, 1),
        ] {
            change(&room);
            std::thread::sleep(A_LOOK);
            let url = format!("{public}{feed}");
            // By the tag: only the article that changed, and it is the same one.
            let told = visit(&python, &url, last.etag.as_deref(), None);
            assert_eq!((told.status, told.bozo), (226, false), "{feed}");
            assert_eq!((ids(&told), told.titles), (vec![id.clone()], vec![title.to_owned()]), "{feed}");
            // RSS has no date of changes.
            let said = told.updated[0].as_deref().filter(|_| feed == "atom.xml");
            assert_eq!(said, Some(updated).filter(|_| feed == "atom.xml"));
            assert_eq!(visit(&python, &url, told.etag.as_deref(), None).status, 304, "{feed}");
            // By the date: the whole.
            let whole = visit(&python, &url, None, last.modified.as_deref());
            assert_eq!((whole.status, whole.ids.len()), (200, 3), "{feed}");
            assert_eq!(visit(&python, &url, None, whole.modified.as_deref()).status, 304, "{feed}");
            assert_eq!((section("news").ids.len(), section("sport").ids.len()), (news, sport), "{feed}");
            last = whole;
        }
        withdraw(&room);
        std::thread::sleep(A_LOOK);
        let url = format!("{public}{feed}");
        let whole = visit(&python, &url, last.etag.as_deref(), None);
        assert_eq!((whole.status, whole.bozo, whole.ids.len()), (200, false, 2), "{feed}: only the whole can say so");
        assert!(!whole.ids.contains(&id), "{feed}");
        assert_eq!(visit(&python, &url, None, last.modified.as_deref()).status, 200, "{feed}");
        assert_eq!(visit(&python, &url, whole.etag.as_deref(), None).status, 304, "{feed}");
        assert_eq!((section("news").ids.len(), section("sport").ids.len()), (2, 0), "{feed}");
    }
}

#[test]
fn feedparser_is_told_by_etag_and_by_date_that_nothing_is_new() {
    let Some(python) = program("PRESSRUN_PYTHON", "/usr/bin/python3") else { return };
    let feeds = tempfile::tempdir().unwrap();
    let (_served, public) = serve(feeds.path());
    for feed in ["rss.xml", "atom.xml"] {
        build(feeds.path(), 8);
        std::thread::sleep(A_LOOK);
        let url = format!("{public}{feed}");
        let first = visit(&python, &url, None, None);
        assert_eq!((first.status, first.bozo, first.ids.len()), (200, false, 3), "{feed}");
        assert_eq!(visit(&python, &url, first.etag.as_deref(), None).status, 304, "{feed}");
        assert_eq!(visit(&python, &url, None, first.modified.as_deref()).status, 304, "{feed}");
        build(feeds.path(), 9);
        std::thread::sleep(A_LOOK);
        // feedparser says `A-IM: feed` by itself, so it is sent the one new article.
        let news = visit(&python, &url, first.etag.as_deref(), None);
        assert_eq!((news.status, news.titles), (226, vec!["Article 9".to_owned()]), "{feed}");
        let whole = visit(&python, &url, None, first.modified.as_deref());
        assert_eq!((whole.status, whole.ids.len()), (200, 3), "{feed}");
    }
}

#[test]
fn a_walk_through_the_archives_ends_at_the_first_article() {
    let Some(python) = program("PRESSRUN_PYTHON", "/usr/bin/python3") else { return };
    let feeds = tempfile::tempdir().unwrap();
    let (_served, public) = serve(feeds.path());
    for feed in ["rss.xml", "atom.xml"] {
        let (mut next, mut ids) = (Some(format!("{public}{feed}")), Vec::new());
        while let Some(url) = next {
            let page = visit(&python, &url, None, None);
            assert_eq!((page.status, page.bozo), (200, false), "{url}");
            ids.extend(page.ids);
            // These hand-made feeds name the newsroom's public address; the server is elsewhere today.
            next = page.prev.map(|url| url.replace(crate::wire::PUBLIC, &public));
        }
        ids.dedup();
        assert_eq!(ids.first().unwrap(), "tag:acero-advocate.example,2026:8", "{feed}");
        assert_eq!(ids.last().unwrap(), "tag:acero-advocate.example,2026:1", "{feed}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 8, "{feed}: every article was met");
    }
}
