//! `web`: clients that are broken, slow, or mean. Beside `serve.rs`, where the server answers those who mean well.

use crate::wire::{Answer, PUBLIC, Served, build, write};
use axum::routing::{get, post};
use pressrun::web::{Limits, Options};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::time::{Duration, Instant};
use url::Url;

/// Longer than a limit and the quarter of a second within which it is kept.
const LIMIT: Duration = Duration::from_millis(500);
const OVER: Duration = Duration::from_secs(1);

fn options(folder: &Path) -> Options {
    build(folder, 8);
    Options::new(folder.to_owned(), Url::parse(PUBLIC).unwrap())
}

fn impatient(folder: &Path) -> Options {
    let mut options = options(folder);
    options.limits =
        Limits { idle: LIMIT, head: LIMIT, answer: LIMIT, stalled: LIMIT, stop: LIMIT, ..Limits::default() };
    options
}

fn served() -> (tempfile::TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    let pages = axum::Router::new().route("/echo", post(|body: String| async move { body }));
    let served = Served::beside(options(folder.path()), pages);
    (folder, served)
}

/// The statuses of the answers to these bytes, sent whole by a client that then says that it has no more.
fn statuses(served: &Served, bytes: &[u8]) -> Vec<String> {
    let mut socket = served.connect();
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    let _ = socket.read_to_end(&mut answers);
    let answers = String::from_utf8_lossy(&answers).into_owned();
    let lines = answers.lines().filter_map(|line| line.strip_prefix("HTTP/1."));
    lines.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_request_names_its_host_once_as_the_rfc_demands() {
    let (_folder, served) = served();
    for (request, wanted) in [
        ("GET /feeds/rss.xml HTTP/1.1\r\n\r\n", "400"),
        ("GET /feeds/rss.xml HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
        ("GET /feeds/rss.xml HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET /feeds/rss.xml HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
        ("GET /feeds/rss.xml HTTP/1.1\r\nHost: me@a\r\n\r\n", "400"),
        ("GET /feeds/rss.xml HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\n\r\n", "400"),
        ("GET http://a/feeds/rss.xml HTTP/1.1\r\n\r\n", "400"),
        ("GET /feeds/rss.xml HTTP/1.0\r\n\r\n", "200"),
        ("GET /feeds/rss.xml HTTP/1.1\r\nHost:\r\n\r\n", "200"),
        ("GET /feeds/rss.xml HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n", "200"),
        ("GET http://a/feeds/rss.xml HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
        ("GET http://a/feeds/../rss.xml HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
    ] {
        assert_eq!(statuses(&served, request.as_bytes()), [wanted], "{request:?}");
    }
}

#[test]
fn a_name_longer_than_any_file_has_is_not_found() {
    let (_folder, served) = served();
    for length in [255, 256, 1_000] {
        let path = format!("/feeds/{}", "a".repeat(length));
        assert_eq!(served.get(&path, &[]).status, 404, "{length}");
        assert_eq!(served.get(&format!("{path}/rss.xml"), &[]).status, 404, "{length}");
    }
    let deep = format!("/feeds/{}rss.xml", "a/".repeat(500));
    assert_eq!(served.get(&deep, &[]).status, 404);
}

#[test]
fn what_is_no_request_is_refused_and_nothing_after_it_is_taken_for_one() {
    let (_folder, served) = served();
    let good = "GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n\r\n";
    for bad in [
        "GET /feeds/rss.xml\r\n\r\n",
        "GET /feeds/rss.xml\r\n",
        "GET  /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET /feeds/rss.xml HTTP/2.0\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\nX\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        "G\u{e9}T /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n",
        "GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
    ] {
        let alone = statuses(&served, bad.as_bytes());
        assert!(alone.is_empty() || alone == ["400"], "{bad:?}: {alone:?}");
        let with_more = statuses(&served, format!("{bad}{good}").as_bytes());
        assert!(with_more.is_empty() || with_more == ["400"], "{bad:?}: {with_more:?}");
        let after_good = statuses(&served, format!("{good}{bad}{good}").as_bytes());
        assert_eq!(after_good.first().map(String::as_str), Some("200"), "{bad:?}");
        assert!(after_good.len() == 1 || after_good[1..] == ["400"], "{bad:?}: {after_good:?}");
    }
    assert_eq!(statuses(&served, good.as_bytes()), ["200"]);
}

#[test]
fn a_body_that_nobody_reads_smuggles_no_request() {
    let (_folder, served) = served();
    let inner = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = inner.len();
    let last = "GET /feeds/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (method, path, status) in
        [("GET", "/feeds/rss.xml", "200"), ("HEAD", "/feeds/rss.xml", "200"), ("POST", "/feeds/rss.xml", "405")]
    {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{inner}{last}");
        let statuses = statuses(&served, request.as_bytes());
        assert_eq!(statuses[0], status, "{method}");
        assert!(
            statuses.len() == 1 || statuses[1..] == ["404"],
            "{method}: the body was taken for a request: {statuses:?}"
        );
        let chunked = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n{last}"
        );
        let statuses = self::statuses(&served, chunked.as_bytes());
        assert_eq!(statuses[0], status, "{method}");
        assert!(statuses.len() == 1 || statuses[1..] == ["404"], "{method}, chunked: {statuses:?}");
    }
    let both = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    );
    let statuses = statuses(&served, both.as_bytes());
    assert!(statuses.len() <= 1 || !statuses.contains(&"400".to_owned()), "{statuses:?}");
}

#[test]
fn who_says_that_he_has_no_more_to_say_still_gets_his_answers() {
    let (folder, served) = served();
    let large = "<x/>".repeat(1 << 20);
    write(folder.path(), "large.xml", &large);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    for _ in 0..12 {
        let mut socket = served.connect();
        let requests = [request("/feeds/rss.xml"), request("/feeds/large.xml"), request("/healthz")].concat();
        socket.write_all(requests.as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let mut answers = Vec::new();
        socket.read_to_end(&mut answers).unwrap();
        assert!(answers.len() > large.len() && answers.ends_with(b"\r\n\r\nok\n"), "{}", answers.len());
    }
}

#[test]
fn a_head_that_comes_in_pieces_is_one_request() {
    let (_folder, served) = served();
    let request = "GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /feeds/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for cut in 1..request.len() {
        let mut socket = served.connect();
        socket.set_nodelay(true).unwrap();
        // A whole one before it, so that the connection has gone the short way for a while.
        socket.write_all(format!("{request}{}", &request[..cut]).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        socket.write_all(format!("{}{last}", &request[cut..]).as_bytes()).unwrap();
        let mut answers = String::new();
        socket.read_to_string(&mut answers).unwrap();
        let found: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(found, ["200", "200", "404"], "cut after {cut}");
    }
}

#[test]
fn a_body_that_drips_in_is_not_waited_for_longer_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let pages = axum::Router::new().route("/echo", post(|body: String| async move { body }));
    let served = Served::beside(impatient(folder.path()), pages);
    let mut drip = served.connect();
    drip.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    let begun = Instant::now();
    drip.set_nonblocking(true).unwrap();
    let ended = loop {
        let _ = drip.write_all(b"x");
        match drip.read(&mut [0; 512]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => break begun.elapsed(),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "still listened to");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(ended + Duration::from_millis(50) >= LIMIT, "{ended:?}");
    let post = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(Answer::read(&served.send(post)).text(), "hello", "others are");
}

#[test]
fn an_answer_that_takes_too_long_to_make_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let pages = axum::Router::new().route("/for-ever", get(std::future::pending::<String>));
    let served = Served::beside(impatient(folder.path()), pages);
    let begun = Instant::now();
    assert_eq!(served.send(b"GET /for-ever HTTP/1.1\r\nHost: x\r\n\r\n"), b"");
    assert!(begun.elapsed() >= LIMIT && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn limits_hold_on_the_short_way_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let options = impatient(folder.path());
    write(folder.path(), "large.xml", &"<x/>".repeat(8 << 20));
    let served = Served::with(options);
    let closed_within = |mut socket: std::net::TcpStream, what: &str| {
        let begun = Instant::now();
        let mut rest = Vec::new();
        // Reset or closed: over either way.
        let _ = socket.read_to_end(&mut rest);
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {:?}", begun.elapsed());
        rest
    };
    // Says nothing at all.
    assert_eq!(closed_within(served.connect(), "silent"), b"");
    // Has asked, and stays.
    let mut idle = served.connect();
    idle.write_all(b"GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&closed_within(idle, "idle")).status, 200);
    // Goes on asking: not idle, however long it does.
    let mut busy = served.connect();
    let begun = Instant::now();
    while begun.elapsed() < LIMIT * 3 {
        busy.write_all(b"HEAD /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(busy.read(&mut [0; 4_096]).unwrap() > 0, "after {:?}", begun.elapsed());
        std::thread::sleep(LIMIT / 5);
    }
    // Takes nothing of what it asked for, and asks on.
    let mut stalled = served.connect();
    for _ in 0..100 {
        stalled.write_all(b"GET /feeds/large.xml HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    std::thread::sleep(OVER * 2);
    assert!(closed_within(stalled, "stalled").len() < 100 << 20);
    assert!(served.get("/metrics", &[]).text().contains("pressrun_http_overdue_total 2"), "the silent and the stalled");
}

#[test]
fn one_who_asks_without_end_does_not_keep_others_waiting() {
    let (_folder, served) = served();
    let requests = b"GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut sends = served.connect();
            let mut reads = sends.try_clone().unwrap();
            let (ended, requests) = (&ended, &requests);
            scope.spawn(move || {
                while !ended.load(std::sync::atomic::Ordering::Relaxed) && sends.write_all(requests).is_ok() {}
            });
            scope.spawn(move || {
                let mut piece = vec![0; 1 << 20];
                while !ended.load(std::sync::atomic::Ordering::Relaxed) && reads.read(&mut piece).is_ok() {}
                let _ = reads.shutdown(Shutdown::Both);
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        let mut longest = Duration::ZERO;
        for _ in 0..50 {
            let begun = Instant::now();
            assert_eq!(served.get("/feeds/rss.xml", &[]).status, 200);
            longest = longest.max(begun.elapsed());
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(longest < Duration::from_secs(2), "{longest:?}");
    });
}

#[test]
fn stopping_tells_those_who_are_being_answered_that_it_was_the_last_time() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    write(folder.path(), "large.xml", &"<x/>".repeat(4 << 20));
    let mut served = Served::with(options);
    let mut under_way = served.connect();
    // Two requests: the first answer is under way, so it comes whole; the second is not begun.
    let request = b"GET /feeds/large.xml HTTP/1.1\r\nHost: x\r\n\r\n";
    under_way.write_all(&request.repeat(2)).unwrap();
    let mut first = [0; 4_096];
    let read = under_way.read(&mut first).unwrap();
    let stopping = std::thread::spawn(move || served.stop());
    std::thread::sleep(Duration::from_millis(100));
    let mut rest = first[..read].to_vec();
    under_way.read_to_end(&mut rest).unwrap();
    let length = Answer::read(&rest).body.len();
    assert_eq!(length, 16 << 20, "whole, and nothing after it");
    stopping.join().unwrap();
}
