//! Several runs at once: who is second waits and says so, and what one writes the other does not take away.
#![cfg(unix)]

use crate::support::room::{self, Room};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Another newsroom's configuration in the same room: the same articles, other feeds, another cache.
fn second_newsroom(room: &Room) {
    let text = room.read("config.yaml");
    let text = text.replace("feeds:\n", "feeds:\n  folder: other-feeds\n");
    room.write("other.yaml", &format!("ledger: other/ledger.sqlite\n{text}"));
}

fn line(slug: &str) -> String {
    format!(
        r#"{{"slug":"{slug}","section":"news","title":"Piece {slug}","date":"2026-02-24T08:00:00Z","format":"html","body":"<p>{slug}</p>"}}"#
    )
}

/// The paths that the register knows, sorted.
fn known(room: &Room) -> Vec<String> {
    let text = room.read("articles/ids.csv");
    let mut register = csv::Reader::from_reader(text.as_bytes());
    let mut paths: Vec<String> = register.records().map(|record| record.unwrap()[1].to_owned()).collect();
    paths.sort();
    paths
}

/// Nothing here takes so long, however busy the machine is.
const LONG: Duration = Duration::from_secs(30);

/// A command, and its first line; the rest comes at the end.
struct Started {
    child: Child,
    first: String,
    lines: Receiver<String>,
}

impl Started {
    #[track_caller]
    fn of(command: &mut Command) -> Started {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().try_for_each(|line| sender.send(line.unwrap())));
        let Ok(first) = lines.recv_timeout(LONG) else {
            child.kill().unwrap();
            panic!("{command:?} said nothing");
        };
        Started { child, first, lines }
    }

    #[track_caller]
    fn end(self) -> String {
        let ended = self.child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        self.lines.iter().collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn whoever_finds_the_register_taken_waits_says_so_and_then_reads_what_stands_there() {
    for (arguments, says) in [
        (&["build"][..], "another run is writing ids into articles/ids.csv: waiting for it"),
        (&["--json", "build"], r#"{"event":"waiting","for":"articles/ids.csv"}"#),
        (&["edition", "new", "news"], "another run is writing ids into articles/ids.csv: waiting for it"),
    ] {
        let room = Room::small(0);
        let folder = fs::File::open(room.path("articles")).unwrap();
        folder.lock().unwrap();
        let second = Started::of(&mut room.command(arguments));
        assert!(second.first.contains(says), "{arguments:?}: {}", second.first);
        room.write(
            "articles/ids.csv",
            "id,path,section,slug,date,body,title\n\"tag:small-paper.example,2026:other\",stream:other,news,other,2026-02-01,,Other\n",
        );
        drop(folder);
        second.end();
        assert_eq!(known(&room), ["news/first.md", "stream:other"], "{arguments:?}");
    }
}

#[test]
fn the_second_small_change_waits_for_the_register_too() {
    let room = Room::small(0);
    room.run(&["build"]).fine();
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "Another text.");
    let folder = fs::File::open(room.path("articles")).unwrap();
    folder.lock().unwrap();
    let second = Started::of(&mut room.command(&["build"]));
    assert!(second.first.contains("waiting for it"), "{}", second.first);
    let others = "\"tag:small-paper.example,2026:other\",stream:other,news,other,2026-02-01,,Other\n";
    room.write("articles/ids.csv", &format!("{}{others}", room.read("articles/ids.csv")));
    drop(folder);
    second.end();
    assert_eq!(known(&room), ["news/first.md", "news/second.md", "stream:other"]);
    assert!(room.read("feeds/rss.xml").contains("Another text."));
}

#[test]
fn the_second_build_says_that_it_waits_for_the_first() {
    let waits = "another build is at work in feeds/: waiting for it";
    for (arguments, says) in [
        (&["build"][..], waits),
        (&["--json", "build"], r#"{"event":"waiting","for":"feeds/"}"#),
        (&["build", "--articles", "stream.jsonl"], waits),
    ] {
        let room = Room::small(0);
        room.write("stream.jsonl", &line("a"));
        fs::create_dir(room.path("feeds")).unwrap();
        let first = fs::File::open(room.path("feeds")).unwrap();
        first.lock().unwrap();
        let second = Started::of(&mut room.command(arguments));
        assert!(second.first.contains(says), "{arguments:?}: {}", second.first);
        assert!(!room.path("feeds/rss.xml").exists());
        drop(first);
        let rest = second.end();
        assert!(
            rest.contains(if arguments[0] == "--json" { r#""event":"feeds""# } else { "feeds/index.html" }),
            "{rest}"
        );
        assert!(room.path("feeds/rss.xml").exists());
    }
}

#[test]
fn many_builds_at_once_leave_what_one_leaves_and_every_id() {
    let room = Room::small(0);
    second_newsroom(&room);
    let mut wanted = vec!["news/first.md".to_owned()];
    for n in 0..40 {
        room.article(&format!("piece-{n}"), &format!("Piece {n}"), "2026-03-02T08:00:00Z", &format!("Text {n}."));
        wanted.push(format!("news/piece-{n}.md"));
    }
    for n in 0..4 {
        room.write(&format!("{n}.jsonl"), &line(&n.to_string()));
        wanted.push(format!("stream:news/{n}"));
    }
    let streams: Vec<String> = (0..4).map(|n| format!("{n}.jsonl")).collect();
    let mut commands = vec![room.command(&["build"]), room.command(&["--config", "other.yaml", "build"])];
    commands.extend((0..2).map(|_| room.command(&["build"])));
    // Editions have no folder of feeds; what they say does not matter here.
    commands.extend(streams.iter().map(|stream| room.command(&["edition", "new", "news", "--articles", stream])));
    let children: Vec<(Child, bool)> = commands
        .iter_mut()
        .enumerate()
        .map(|(at, command)| (command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), at < 4))
        .collect();
    for (child, is_build) in children {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success() || !is_build);
    }
    wanted.sort();
    assert_eq!(known(&room), wanted);
    let (left, other) = (room::files(&room.path("feeds")), room::files(&room.path("other-feeds")));
    assert_eq!(left.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    fs::remove_dir_all(room.path("feeds")).unwrap();
    fs::remove_file(room.path("var/build.cache")).unwrap();
    room.run(&["build"]).fine();
    assert!(room::files(&room.path("feeds")) == left, "a build by itself leaves something else");
}

#[test]
fn who_only_looks_writes_no_ids_and_waits_for_nobody() {
    let room = Room::small(1);
    room.write("broken.jsonl", "{\"slug\":\"a\"}\n");
    room.write("stream.jsonl", &line("a"));
    let folder = fs::File::open(room.path("articles")).unwrap();
    folder.lock().unwrap();
    room.run(&["check"]).fine();
    room.run(&["check", "--articles", "stream.jsonl"]).fine();
    room.run(&["send", "news", "--dry-run"]).fine();
    room.run(&["preview", "news"]).fine();
    drop(folder);
    let all = format!("{}\n{}", line("b"), room.read("broken.jsonl"));
    room.write("broken.jsonl", &all);
    room.run(&["build", "--strict", "--articles", "broken.jsonl"]).failed(1, &["nothing was written"]);
    room.article("broken", "No date", "not a date", "Text.");
    room.run(&["build", "--strict"]).failed(1, &["nothing was written"]);
    assert!(!room.path("articles/ids.csv").exists());
    let event = room.run(&["--json", "build", "--strict", "--articles", "broken.jsonl"]);
    assert!(event.out.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) && event.code == Some(1));
    assert!(!room.path("articles/ids.csv").exists() && !room.path("feeds/rss.xml").exists());
}
