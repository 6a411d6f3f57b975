//! `pressrun build`, `publish` and `serve` together: what is written reaches readers.

use crate::support::room::Room;
use crate::wire::Answer;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

/// A file is looked after at most once a second.
const A_LOOK: Duration = Duration::from_millis(1_050);

/// `pressrun serve` in its own process.
struct Serving {
    process: Child,
    at: SocketAddr,
}

impl Serving {
    fn start(room: &Room) -> Serving {
        let mut command = room.command(&["--json", "serve", "--bind", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        Serving { process, at: event["address"].as_str().unwrap().parse().unwrap() }
    }

    fn get(&self, path: &str, headers: &str) -> Answer {
        let mut socket = TcpStream::connect(self.at).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        Answer::read(&answer)
    }

    /// Asks it to end as systemd would; its exit code.
    fn terminate(mut self) -> Option<i32> {
        let killed = std::process::Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(killed.success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_reader_sees_a_new_article_a_correction_and_a_withdrawal() {
    let room = Room::small(0);
    room.run(&["build"]).fine();
    let serving = Serving::start(&room);
    let first = serving.get("/feeds/atom.xml", "");
    assert_eq!((first.status, first.header("content-type")), (200, "application/atom+xml; charset=utf-8"));
    let tag = |answer: &Answer| format!("If-None-Match: {}\r\n", answer.header("etag"));
    assert_eq!(serving.get("/feeds/atom.xml", &tag(&first)).status, 304);
    room.run(&["build"]).fine();
    std::thread::sleep(A_LOOK);
    assert_eq!(serving.get("/feeds/atom.xml", &tag(&first)).status, 304, "built again, and nothing has changed");

    let news = |before: &Answer| {
        std::thread::sleep(A_LOOK);
        serving.get("/feeds/atom.xml", &format!("A-IM: feed\r\n{}", tag(before)))
    };
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "Another text.");
    room.run(&["build"]).fine();
    let second = news(&first);
    assert_eq!((second.status, second.text().matches("<entry").count()), (226, 1));
    assert!(second.text().contains("The second piece"));

    room.article("first", "The first piece, mended", "2026-03-01T08:00:00Z", "A better text.");
    room.run(&["build"]).fine();
    let mended = news(&second);
    assert_eq!((mended.status, mended.text().matches("<entry").count()), (226, 1));
    assert!(mended.text().contains("The first piece, mended"));
    let ids = |answer: &Answer| {
        let text = answer.text();
        let entries = text.split("<entry").skip(1);
        entries.map(|e| e.split("<id>").nth(1).unwrap().split("</id>").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), ids(&mended), "a correction is the same article");

    std::fs::remove_file(room.path("articles/news/second.md")).unwrap();
    room.run(&["build"]).fine();
    let withdrawn = news(&mended);
    assert_eq!(withdrawn.status, 200, "that something is gone only the whole feed can say");
    assert_eq!(ids(&withdrawn), ids(&first));
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn the_sample_newsroom_is_published_once_and_then_only_what_changed() {
    let room = Room::sample();
    room.run(&["build"]).fine();
    let rehearsed = room.run(&["publish", "--dry-run"]).fine();
    assert!(rehearsed.out.contains("rss.xml") && !room.path("www").exists());
    room.run(&["publish"]).fine();
    for file in ["rss.xml", "index.html", "campus/feed.json"] {
        assert_eq!(room.read(&format!("www/feeds/{file}")), room.read(&format!("feeds/{file}")), "{file}");
    }
    let again = room.run(&["--json", "publish", "directory:www/feeds"]).fine();
    let told: serde_json::Value = serde_json::from_str(again.out.lines().last().unwrap()).unwrap();
    assert_eq!((&told["event"], &told["sent"]), (&"published".into(), &0.into()), "{told}");
    room.run(&["publish", "s3://elsewhere"]).failed(2, &["no such target", "directory:www/feeds"]);
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let room = Room::small(0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    room.run(&["serve", "--bind", &address]).failed(4, &["cannot listen", "--bind"]);
}
