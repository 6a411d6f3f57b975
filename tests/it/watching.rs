//! `build --watch`, from outside: save as editors do, and see the feed change.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::room::Room;

/// Nothing here takes so long, however busy the machine is.
const LONG: Duration = Duration::from_secs(30);

struct Watch {
    child: Child,
}

impl Watch {
    /// Starts watching, and waits until the feeds stand.
    fn start(room: &Room) -> Self {
        let child = room.start(&["build", "--watch"]);
        let watch = Watch { child };
        until("the first build", || room.path("feeds/rss.xml").exists() && room.path("var/build.cache").exists());
        // The watch begins before the build does.
        watch
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).stdin(Stdio::null()).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn feed_says(room: &Room, words: &str) -> bool {
    ["rss.xml", "news/feed.json"].iter().all(|name| room.read(&format!("feeds/{name}")).contains(words))
}

#[test]
fn whatever_way_an_article_is_saved_the_feed_shows_it() {
    let room = Room::small(0);
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "Another text.");
    let watch = Watch::start(&room);
    let path = room.path("articles/news/first.md");
    let save = |words: &str| format!("---\ntitle: The first piece\ndate: 2026-03-01T08:00:00Z\n---\n\n{words}\n");

    fs::write(&path, save("Written in place.")).unwrap();
    until("what was written in place", || feed_says(&room, "Written in place."));

    // vim: a probe, the old file aside, a new one in its place.
    fs::write(room.path("articles/news/4913"), "").unwrap();
    fs::remove_file(room.path("articles/news/4913")).unwrap();
    fs::rename(&path, room.path("articles/news/first.md~")).unwrap();
    fs::write(&path, save("Put in its place.")).unwrap();
    fs::remove_file(room.path("articles/news/first.md~")).unwrap();
    until("what was put in its place", || feed_says(&room, "Put in its place."));

    // Others: a hidden file moved over it.
    fs::write(room.path("articles/news/.first.md.tmp"), save("Moved over it.")).unwrap();
    fs::rename(room.path("articles/news/.first.md.tmp"), &path).unwrap();
    until("what was moved over it", || feed_says(&room, "Moved over it."));

    room.article("third", "The third piece", "2026-03-03T08:00:00Z", "A new one.");
    until("a new article", || feed_says(&room, "A new one."));
    fs::remove_file(&path).unwrap();
    until("an article's end", || !feed_says(&room, "Moved over it."));

    room.replace("config.yaml", "title: The Small Paper", "title: The Smaller Paper");
    until("a changed configuration", || feed_says(&room, "The Smaller Paper"));
    room.article("third", "The third piece", "2026-03-03T08:00:00Z", "And edited again.");
    until("an edit after that", || feed_says(&room, "And edited again."));
    assert_eq!(watch.end(), Some(0));

    // What it left is what a build leaves that has seen none of this.
    let names = ["feeds/rss.xml", "feeds/news/feed.json", "feeds/atom.xml", "feeds/index.html"];
    let left = names.map(|name| room.read(name));
    fs::remove_dir_all(room.path("feeds")).unwrap();
    fs::remove_file(room.path("var/build.cache")).unwrap();
    room.run(&["build"]).fine();
    assert_eq!(names.map(|name| room.read(name)), left);
}

#[test]
fn a_broken_article_does_not_end_the_watch() {
    let room = Room::small(0);
    let watch = Watch::start(&room);
    room.article("second", "The second piece", "not a date", "Another text.");
    room.article("third", "The third piece", "2026-03-03T08:00:00Z", "A third text.");
    until("the sound one", || feed_says(&room, "A third text."));
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "Mended text.");
    until("the mended one", || feed_says(&room, "Mended text."));
    assert_eq!(watch.end(), Some(0));
}
