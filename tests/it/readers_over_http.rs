//! Real feed readers over HTTP: newsboat, and Python's feedparser.

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
        let newsboat = Newsboat { program: program.clone(), home: tempfile::tempdir().unwrap() };
        fs::write(newsboat.home.path().join("urls"), format!("{public}{feed}\n")).unwrap();
        fs::write(newsboat.home.path().join("config"), "").unwrap();
        let unread = || {
            let said = newsboat.run(&["-x", "reload", "print-unread"]);
            said.split_whitespace().find_map(|word| word.parse::<u32>().ok()).unwrap_or_else(|| panic!("{said}"))
        };
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
                  'prev': prev[0] if prev else None}))
";
    let arguments = ["-c", SCRIPT, url, etag.unwrap_or_default(), modified.unwrap_or_default()];
    let output = Command::new(python).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
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
