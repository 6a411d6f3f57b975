//! `build --watch`, from outside: save as editors do, and see the feed change.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::support::room::Room;

/// Nothing here takes so long, however busy the machine is.
const LONG: Duration = Duration::from_secs(30);

struct Watch {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    /// Starts watching, and waits until the feeds stand.
    fn start(room: &Room) -> Self {
        Self::with(room, &["build", "--watch"])
    }

    fn with(room: &Room, arguments: &[&str]) -> Self {
        let mut child = room.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::default();
        listen(child.stdout.take().unwrap(), &said);
        listen(child.stderr.take().unwrap(), &said);
        let watch = Watch { child, said };
        until("the first build", || room.path("feeds/rss.xml").exists() && room.path("var/build.cache").exists());
        // The watch begins before the build does.
        watch
    }

    /// All that it has said.
    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
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

fn listen(stream: impl Read + Send + 'static, said: &Arc<Mutex<Vec<String>>>) {
    let said = said.clone();
    std::thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line));
    });
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

#[test]
fn a_folder_of_articles_that_is_put_in_the_place_of_another_is_watched() {
    let room = Room::small(0);
    let watch = Watch::start(&room);
    // As a branch is changed: away, and there again with something else in it.
    fs::remove_dir_all(room.path("articles")).unwrap();
    room.article("other", "Another branch", "2026-03-02T08:00:00Z", "Text of the branch.");
    until("the other branch", || feed_says(&room, "Text of the branch.") && !feed_says(&room, "A short text"));
    room.article("other", "Another branch", "2026-03-02T08:00:00Z", "Edited on the branch.");
    until("an edit there", || feed_says(&room, "Edited on the branch."));
    // And moved away and back.
    fs::rename(room.path("articles"), room.path("elsewhere")).unwrap();
    until("the failure", || watch.said().contains("the folder of articles, articles, cannot be read"));
    fs::rename(room.path("elsewhere"), room.path("articles")).unwrap();
    room.article("third", "A third", "2026-03-03T08:00:00Z", "A third text.");
    until("the third", || feed_says(&room, "A third text."));
    room.article("third", "A third", "2026-03-03T08:00:00Z", "And edited.");
    until("its edit", || feed_says(&room, "And edited."));
    assert_eq!(watch.end(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_to_another_folder_of_articles_is_followed() {
    let room = Room::small(0);
    fs::rename(room.path("articles"), room.path("old")).unwrap();
    std::os::unix::fs::symlink("old", room.path("articles")).unwrap();
    let watch = Watch::start(&room);
    fs::create_dir_all(room.path("new/news")).unwrap();
    let text = |words: &str| format!("---\ntitle: New\ndate: 2026-03-02T08:00:00Z\n---\n\n{words}\n");
    fs::write(room.path("new/news/new.md"), text("Text in the new one.")).unwrap();
    std::os::unix::fs::symlink("new", room.path("articles.next")).unwrap();
    fs::rename(room.path("articles.next"), room.path("articles")).unwrap();
    until("the new folder", || feed_says(&room, "Text in the new one."));
    fs::write(room.path("new/news/new.md"), text("Edited in the new one.")).unwrap();
    until("an edit there", || feed_says(&room, "Edited in the new one."));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn templates_that_are_made_later_are_watched() {
    let room = Room::small(0);
    let watch = Watch::start(&room);
    let page = |words: &str| format!("<!doctype html><title>{words}</title>{{{{newsroom}}}}\n");
    room.write("templates/feeds/index.html.hbs", &page("Made later"));
    until("the template", || room.read("feeds/index.html").contains("Made later"));
    room.write("templates/feeds/index.html.hbs", &page("Changed again"));
    until("the changed template", || room.read("feeds/index.html").contains("Changed again"));
    until("what changed", || watch.said().contains("changed    templates/feeds/index.html.hbs"));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn folders_may_be_named_like_files() {
    let room = Room::small(0);
    let text = |words: &str| format!("---\ntitle: {words}\ndate: 2026-03-02T08:00:00Z\n---\n\n{words}\n");
    room.write("beside/a.md", &text("Moved in."));
    room.write("beside/deep/b.md", &text("Moved in below."));
    let watch = Watch::start(&room);
    fs::rename(room.path("beside"), room.path("articles/news/2026.03")).unwrap();
    until("what was moved in", || feed_says(&room, "Moved in.") && feed_says(&room, "Moved in below."));
    fs::rename(room.path("articles/news/2026.03"), room.path("articles/news/2026.04")).unwrap();
    until("the new name", || watch.said().contains("articles/news/2026.04/"));
    fs::write(room.path("articles/news/2026.04/a.md"), text("Edited there.")).unwrap();
    until("an edit there", || feed_says(&room, "Edited there."));
    fs::rename(room.path("articles/news/2026.04"), room.path("beside")).unwrap();
    until("what was moved out", || !feed_says(&room, "Edited there.") && !feed_says(&room, "Moved in below."));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_build_that_could_not_write_is_tried_again_without_a_save() {
    let room = Room::small(0);
    let watch = Watch::start(&room);
    fs::remove_dir_all(room.path("feeds")).unwrap();
    fs::write(room.path("feeds"), "in the way").unwrap();
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "Another text.");
    until("the failure", || watch.said().contains("cannot write the feed"));
    fs::remove_file(room.path("feeds")).unwrap();
    until("the next attempt", || room.path("feeds/news/feed.json").exists() && feed_says(&room, "Another text."));
    assert_eq!(watch.said().matches("cannot write the feed").count(), 1, "{}", watch.said());
    assert_eq!(watch.end(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn half_an_article_is_not_published_while_the_other_half_is_written() {
    let room = Room::small(0);
    let watch = Watch::start(&room);
    for name in ["first", "new"] {
        let mut file = fs::File::create(room.path(&format!("articles/news/{name}.md"))).unwrap();
        let head = format!("---\ntitle: The {name} piece\ndate: 2026-03-01T08:00:00Z\n---\n\nOne half of {name}.\n");
        file.write_all(head.as_bytes()).unwrap();
        // Another article shows that the watch is awake; it waits for this one.
        room.article("awake", "Awake", "2026-03-02T08:00:00Z", &format!("Awake at {name}."));
        std::thread::sleep(Duration::from_millis(600));
        assert!(!room.read("feeds/rss.xml").contains(&format!("One half of {name}.")), "{}", watch.said());
        writeln!(file, "The other half of {name}.").unwrap();
        drop(file);
        until("the whole", || feed_says(&room, &format!("The other half of {name}.")));
        until("the other one", || feed_says(&room, &format!("Awake at {name}.")));
    }
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_watch_says_what_was_saved_and_which_files_that_changed() {
    for form in ["plain", "json"] {
        let room = Room::small(0);
        let json = form == "json";
        let watch = if json { Watch::with(&room, &["--json", "build", "--watch"]) } else { Watch::start(&room) };
        room.article("first", "The first piece", "2026-03-01T08:00:00Z", "Another text.");
        until("the edit", || feed_says(&room, "Another text."));
        let last = |word: &str| watch.said().lines().rfind(|line| line.contains(word)).map(str::to_owned);
        let documents = "atom.xml, feed.json, news/atom.xml, news/feed.json, news/rss.xml, rss.xml";
        if json {
            until("the event", || last("\"changed\"").is_some());
            let event: serde_json::Value = serde_json::from_str(&last("\"changed\"").unwrap()).unwrap();
            assert_eq!(event["because"], serde_json::json!(["articles/news/first.md"]), "{event}");
            let files = event["files"].as_array().unwrap();
            let files: Vec<&str> = files.iter().map(|file| file.as_str().unwrap()).collect();
            assert_eq!((files.join(", ").as_str(), &event["more"]), (documents, &serde_json::json!(0)));
        } else {
            until("the words", || watch.said().contains(documents));
            let said = watch.said();
            assert!(said.contains("changed    articles/news/first.md\n"), "{said}");
        }
        room.replace("config.yaml", "title: The Small Paper", "title: The Smaller Paper");
        until("a changed configuration", || feed_says(&room, "The Smaller Paper"));
        let named = if json { "\"because\":[\"config.yaml\"]" } else { "changed    config.yaml" };
        until("its name", || watch.said().contains(named));
        assert_eq!(watch.end(), Some(0));
    }
}
