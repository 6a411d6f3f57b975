//! `check --feeds`, and other programs that read the sample's feeds.

use std::path::Path;
use std::process::Command;

use super::feeds::{Sample, between};
use super::support::room::{Room, files};

#[test]
fn the_feeds_as_built_are_those_of_the_articles() {
    let room = Room::sample();
    room.run(&["build"]).fine();
    room.run(&["check", "--feeds"]).fine();
}

#[test]
fn a_feed_that_is_not_as_it_should_be_is_told_of() {
    let room = Room::small(0);
    for n in 1..10 {
        room.article(&format!("n{n}"), &format!("Piece {n}"), &format!("2026-03-0{n}T09:00:00Z"), "Some *text*.");
    }
    room.replace("config.yaml", "feeds:\n", "feeds:\n  items: 2\n");
    room.run(&["build"]).fine();
    room.run(&["check", "--feeds"]).fine();
    let told = |name: &str, from: &str, to: &str, words: &[&str]| {
        let good = room.read(name);
        room.replace(name, from, to);
        room.run(&["check", "--feeds"]).failed(1, words);
        room.write(name, &good);
    };
    told("feeds/rss.xml", "Some <em>text", "Some <em>other", &["feeds/rss.xml", "the text of `Piece 9`"]);
    told("feeds/atom.xml", "Piece 9", "Piece 99", &["feeds/atom.xml", "the title of `Piece 9`"]);
    told("feeds/news/feed.json", "2026-03-09T", "2026-03-19T", &["feeds/news/feed.json", "the date of `Piece 9`"]);
    told(
        "feeds/atom.xml",
        "<author><name>A. Rep",
        "<author><name>B. Rep",
        &["feeds/atom.xml", "the authors of `Piece 9`"],
    );
    told("feeds/rss.xml", ">News</category>", ">Olds</category>", &["feeds/rss.xml", "the categories of `Piece 9`"]);
    told("feeds/archive/atom-0002.xml", "Piece 3", "Piece 33", &["feeds/archive/atom-0002.xml", "the title of"]);
    told("feeds/archive/rss-0001.xml", "<item>", "<item", &["feeds/archive/rss-0001.xml", "cannot read this"]);
    told("feeds/archive/feed-0003.json", "feed-0002.json", "feed-0003.json", &["lead in a circle"]);
    told("feeds/rss.xml", "rel=\"prev-archive\"", "rel=\"nothing\"", &["feeds/rss.xml", "ends too early"]);
    std::fs::remove_file(room.path("feeds/archive/rss-0002.xml")).unwrap();
    room.run(&["check", "--feeds"]).failed(1, &["feeds/archive/rss-0002.xml", "cannot be read"]);
    room.run(&["build"]).fine();
    room.run(&["check", "--feeds"]).fine();
}

#[test]
fn feeds_that_are_older_than_the_articles_are_told_of() {
    let room = Room::small(0);
    room.run(&["build"]).fine();
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "Another text.");
    room.run(&["check", "--feeds"]).failed(1, &["feeds/rss.xml", "stands where `The second piece`", "pressrun build"]);
}

#[test]
fn two_articles_with_one_id_or_one_address_are_told_with_both_places() {
    let room = Room::small(0);
    for (name, slug) in [("one", "one"), ("two", "two"), ("three", "one")] {
        let id = if slug == name { "id: \"tag:small-paper.example,2026:same\"\n" } else { "" };
        let text = format!("---\n{id}slug: {slug}\ntitle: {name}\ndate: 2026-03-01T08:00:00Z\n---\n\nText.\n");
        room.write(&format!("articles/news/{name}.md"), &text);
    }
    let ran = room.run(&["build"]).fine();
    for words in [
        "articles/news/two.md:2",
        "articles/news/one.md:2",
        "articles/news/three.md:3",
        "another `id`",
        "another `slug`",
    ] {
        assert!(ran.err.contains(words), "{words:?} is not in {}", ran.err);
    }
    room.run(&["build", "--strict"]).failed(1, &["nothing was written"]);
}

/// Whether a tool is there; the complete tests do not do without.
fn there(tool: &str, mut command: Command) -> bool {
    let there = command.output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("PRESSRUN_TESTS_COMPLETE").is_none(), "{tool} is missing");
    there
}

/// Reads both XML feeds of a folder with Python's feedparser, and compares what it saw.
fn feedparser_reads(feeds: &Path) {
    let python = std::env::var("PRESSRUN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut import = Command::new(&python);
    import.args(["-c", "import feedparser"]);
    if !there("Python's feedparser", import) {
        return;
    }
    let script = "import sys, feedparser\n\
        told = [feedparser.parse(open(name, 'rb').read()) for name in ('rss.xml', 'atom.xml')]\n\
        for feed in told:\n\
        \x20   assert not feed.bozo, feed.bozo_exception\n\
        \x20   assert feed.entries and all(e.id and e.title and e.link and e.published_parsed for e in feed.entries)\n\
        rows = [[(e.id, e.title, e.link, e.published_parsed) for e in feed.entries] for feed in told]\n\
        assert rows[0] == rows[1], rows\n\
        print(len(rows[0]))\n";
    let ran = Command::new(python).args(["-c", script]).current_dir(feeds).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), articles(feeds));
}

/// Lets newsboat subscribe to both XML feeds of a folder.
fn newsboat_reads(feeds: &Path) {
    let mut version = Command::new("newsboat");
    version.arg("--version");
    if !there("newsboat", version) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for name in ["rss.xml", "atom.xml"] {
        let file = |name: &str| home.path().join(name);
        std::fs::write(file("urls"), format!("file://{}\n", feeds.join(name).display())).unwrap();
        std::fs::write(file("newsboat.conf"), "").unwrap();
        let newsboat = |arguments: &[&str]| {
            let mut command = Command::new("newsboat");
            command.env("HOME", home.path()).arg("-u").arg(file("urls")).arg("-C").arg(file("newsboat.conf"));
            command.arg("-c").arg(file(&format!("{name}.db"))).args(arguments).output().unwrap()
        };
        let reloaded = newsboat(&["-x", "reload"]);
        assert!(reloaded.status.success(), "{name}: {}", String::from_utf8_lossy(&reloaded.stderr));
        let told = String::from_utf8_lossy(&newsboat(&["-x", "print-unread"]).stdout).into_owned();
        assert_eq!(told.split_whitespace().next(), Some(articles(feeds).as_str()), "{name}: {told}");
    }
}

/// How many articles the folder's current document has.
fn articles(feeds: &Path) -> String {
    let feed = std::fs::read_to_string(feeds.join("feed.json")).unwrap();
    feed.matches("\"date_published\"").count().to_string()
}

#[test]
fn feedparser_and_newsboat_read_the_samples_feeds() {
    let room = Room::sample();
    room.run(&["build"]).fine();
    feedparser_reads(&room.path("feeds"));
    newsboat_reads(&room.path("feeds"));
}

#[test]
fn feedparser_and_newsboat_read_what_feeds_have_ever_broken_on() {
    let folder = tempfile::tempdir().unwrap();
    Sample::torture().build(folder.path());
    for section in ["", "politics", "kalimat"] {
        feedparser_reads(&folder.path().join(section));
        newsboat_reads(&folder.path().join(section));
    }
}

/// What the W3C's feed validator remarks on, as far as it can be seen without it. It knows the namespaces but that of
/// tombstones (docs/decisions/0026).
#[test]
fn the_samples_feeds_give_a_validator_nothing_to_remark_on() {
    let room = Room::sample();
    room.replace("config.yaml", "  items: 50\n", "  items: 3\n");
    room.run(&["build"]).fine();
    let known = [
        "http://www.w3.org/2005/Atom",
        "http://purl.org/rss/1.0/modules/content/",
        "http://purl.org/dc/elements/1.1/",
        "http://purl.org/syndication/history/1.0",
        "http://search.yahoo.com/mrss/",
        "http://purl.org/atompub/tombstones/1.0",
    ];
    let (mut archives, mut entries) = (0, 0);
    for (name, bytes) in files(&room.path("feeds")) {
        let text = String::from_utf8_lossy(&bytes);
        if name.contains(".opml") {
            let head = between(&text, "<head>", "</head>").remove(0);
            let elements = between(&head, "</", ">");
            assert_eq!(elements, ["title", "ownerName", "ownerId"], "OPML 2.0 has more, and the validator does not");
        }
        if !name.contains(".xml") {
            continue;
        }
        let mut namespaces = between(&text, "xmlns:", ">").concat();
        namespaces.push_str(&between(&text, "<feed xmlns=", ">").concat());
        for namespace in between(&namespaces, "=\"", "\"").iter().filter(|value| value.starts_with("http")) {
            assert!(known.contains(&namespace.as_str()), "{name}: {namespace}");
        }
        if name.contains("archive/") {
            assert!(text.contains("rel=\"current\""), "{name}");
            assert!(text.contains("-archive\""), "{name} has no neighbour");
            archives += 1;
        }
        let mut dates = between(&text, "<entry", "</entry>");
        dates = dates.iter().flat_map(|entry| between(entry, "<updated>", "</updated>")).collect();
        entries += dates.len();
        dates.sort();
        assert!(dates.windows(2).all(|two| two[0] != two[1]), "{name} changed twice at one moment: {dates:?}");
    }
    assert!(archives > 10 && entries > 50, "{archives} {entries}");
}
