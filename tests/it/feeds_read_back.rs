//! `check --feeds`, and other programs that read the sample's feeds.

use std::process::Command;

use super::support::room::Room;

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

#[test]
fn feedparser_reads_the_samples_feeds() {
    let complete = std::env::var_os("PRESSRUN_TESTS_COMPLETE").is_some();
    let python = std::env::var("PRESSRUN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import feedparser"]).output().is_ok_and(|o| o.status.success());
    if !there {
        assert!(!complete, "Python's feedparser is missing");
        return;
    }
    let room = Room::sample();
    room.run(&["build"]).fine();
    let script = "import sys, feedparser\n\
        told = [feedparser.parse(open(name, 'rb').read()) for name in ('feeds/rss.xml', 'feeds/atom.xml')]\n\
        for feed in told:\n\
        \x20   assert not feed.bozo, feed.bozo_exception\n\
        \x20   assert feed.entries and all(e.id and e.title and e.link and e.published_parsed for e in feed.entries)\n\
        rows = [[(e.id, e.title, e.link, e.published_parsed) for e in feed.entries] for feed in told]\n\
        assert rows[0] == rows[1], rows\n\
        print(len(rows[0]))\n";
    let ran = Command::new(python).args(["-c", script]).current_dir(room.path("")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let wanted = room.read("feeds/feed.json").matches("\"date_published\"").count();
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), wanted.to_string());
}

#[test]
fn newsboat_reads_the_samples_feeds() {
    let complete = std::env::var_os("PRESSRUN_TESTS_COMPLETE").is_some();
    if Command::new("newsboat").arg("--version").output().is_err() {
        assert!(!complete, "newsboat is missing");
        return;
    }
    let room = Room::sample();
    room.run(&["build"]).fine();
    let wanted = room.read("feeds/feed.json").matches("\"date_published\"").count().to_string();
    for name in ["rss.xml", "atom.xml"] {
        room.write("urls", &format!("file://{}\n", room.path("feeds").join(name).display()));
        room.write("newsboat.conf", "");
        let newsboat = |arguments: &[&str]| {
            let mut command = Command::new("newsboat");
            command
                .env("HOME", room.path(""))
                .arg("-u")
                .arg(room.path("urls"))
                .arg("-C")
                .arg(room.path("newsboat.conf"));
            command.arg("-c").arg(room.path(&format!("{name}.db"))).args(arguments).output().unwrap()
        };
        let reloaded = newsboat(&["-x", "reload"]);
        assert!(reloaded.status.success(), "{name}: {}", String::from_utf8_lossy(&reloaded.stderr));
        let told = String::from_utf8_lossy(&newsboat(&["-x", "print-unread"]).stdout).into_owned();
        assert_eq!(told.split_whitespace().next(), Some(wanted.as_str()), "{name}: {told}");
    }
}
