//! `web`: a plain request for a feed is answered without hyper, and so is every answer the one that hyper would have sent.

use crate::wire::{PUBLIC, Served, build, write};
use pressrun::web::Options;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// Two servers of one folder, which has been built anew since they first looked: they know the older feeds.
struct Both {
    _folder: tempfile::TempDir,
    express: Served,
    hyper: Served,
    /// What may stand in `If-None-Match` and `If-Modified-Since`.
    tags: Vec<String>,
    dates: Vec<String>,
}

fn serve(folder: &Path, express: bool) -> Served {
    let mut options = Options::new(folder.to_owned(), Url::parse(PUBLIC).unwrap());
    options.express = express;
    options.hubs = vec![Url::parse("https://hub.example/").unwrap()];
    let who = axum::routing::any(|method: axum::http::Method, body: String| async move { format!("{method} {body}") });
    Served::beside(options, axum::Router::new().route("/page", who))
}

const ENCODINGS: [&str; 4] = ["identity", "gzip", "br", "zstd"];

impl Both {
    fn new() -> Both {
        let folder = tempfile::tempdir().unwrap();
        build(folder.path(), 8);
        write(folder.path(), "campus/index.html", "<!doctype html><title>Campus</title>");
        write(folder.path(), "caf\u{e9}.xml", "<rss/>");
        write(folder.path(), "empty.txt", "");
        write(folder.path(), "large.xml", &"<large/>".repeat(30_000));
        let (express, hyper) = (serve(folder.path(), true), serve(folder.path(), false));
        let (mut tags, mut dates) = (Vec::new(), Vec::new());
        let mut learn = || {
            for encoding in ENCODINGS {
                for path in ["rss.xml", "atom.xml", "archive/rss-0001.xml", "large.xml"] {
                    let ask = |served: &Served| served.get(&format!("/feeds/{path}"), &[("Accept-Encoding", encoding)]);
                    let (one, other) = (ask(&express), ask(&hyper));
                    assert_eq!(one.header("etag"), other.header("etag"));
                    tags.push(one.header("etag").to_owned());
                    dates.push(one.header("last-modified").to_owned());
                }
            }
        };
        learn();
        build(folder.path(), 9);
        std::thread::sleep(Duration::from_millis(1_050));
        learn();
        Both { _folder: folder, express, hyper, tags, dates }
    }
}

/// These bytes, with every date that is one told only as such, and two lines, which hyper writes in either order, in one.
fn without_dates(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Some(at) = bytes.windows(8).position(|eight| eight == b"\r\ndate: ") {
        let (before, after) = bytes.split_at(at + 8);
        text.push_str(&String::from_utf8_lossy(before));
        let end = after.windows(2).position(|two| two == b"\r\n").expect("a whole line");
        let date = httpdate::parse_http_date(std::str::from_utf8(&after[..end]).unwrap());
        text.push_str(if date.is_ok() { "now" } else { "not a date" });
        bytes = &after[end..];
    }
    text.push_str(&String::from_utf8_lossy(bytes));
    text.replace("\r\nconnection: close\r\ncontent-length: 0\r\n", "\r\ncontent-length: 0\r\nconnection: close\r\n")
}

fn target() -> impl Strategy<Value = String> {
    let known = [
        "/feeds/rss.xml",
        "/feeds/atom.xml",
        "/feeds/feed.json",
        "/feeds/large.xml",
        "/feeds/empty.txt",
        "/feeds/",
        "/feeds/index.html",
        "/feeds/archive/rss-0001.xml",
        "/feeds/rss.xml?since=yesterday",
        "/feeds/rss.xml?a=b/../c",
    ];
    let odd = [
        "/feeds",
        "/feeds/campus",
        "/feeds/campus/",
        "/feeds/archive",
        "/feeds/nothing.xml",
        "/feeds/caf%C3%A9.xml",
        "/feeds/caf\u{e9}.xml",
        "/feeds/%72ss.xml",
        "/feeds/../rss.xml",
        "/feeds/%2e%2e/rss.xml",
        "/feeds/a%00b",
        "/feeds//rss.xml",
        "/feeds/rss.xml/",
        "/feeds/rss.xml#top",
        "/feeds/rss.xml?a b",
        "/feeds/a\\b",
        "/feeds/\"",
        "//feeds/rss.xml",
        "http://x/feeds/rss.xml",
        "*",
        "feeds/rss.xml",
        "/healthz",
        "/page",
        "/nothing",
        "/",
        "/feeds/rss.xml?\"<>",
        "/feeds/{rss}.xml",
        "/feeds/a^b|c`d",
        "/feeds/%",
        "/feeds/%zz",
        "/feeds/rss.xml;x=y",
    ];
    let long = (0..3_000_usize).prop_map(|n| format!("/feeds/{}", "a".repeat(n)));
    prop_oneof![
        8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        3 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        1 => long,
        1 => "/feeds/[ -~]{0,12}",
    ]
}

/// One header line; `tags` and `dates` are what the server has told.
fn line(tags: Vec<String>, dates: Vec<String>) -> impl Strategy<Value = (String, String)> {
    let one = |name: &'static str, values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        prop::sample::select(values).prop_map(move |value| (name.to_owned(), value)).boxed()
    };
    let tag = prop_oneof![
        6 => prop::sample::select(tags.clone()),
        1 => prop::sample::select(tags).prop_map(|tag| format!("W/{tag}")),
        1 => prop::sample::select(vec!["*", "\"x\"", "x", "", "\"a\", \"b", "W/\"\"", "\u{e9}"]).prop_map(str::to_owned),
    ];
    let list = prop::collection::vec(tag, 1..4).prop_map(|tags| ("If-None-Match".to_owned(), tags.join(", ")));
    let date = prop_oneof![
        3 => prop::sample::select(dates),
        1 => prop::sample::select(vec![
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
            "Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 31 Feb 2100 99:00:00 GMT", "yesterday", "", "0", "\u{e9}",
        ]).prop_map(str::to_owned),
    ];
    let date = date.prop_map(|date| ("If-Modified-Since".to_owned(), date));
    let accept = one(
        "Accept-Encoding",
        &[
            "gzip",
            "br",
            "zstd",
            "identity",
            "gzip, deflate, br, zstd",
            "x-gzip",
            "*",
            "*;q=0",
            "identity;q=0",
            "br;q=0.5, gzip",
            "gzip;q=0",
            "",
            "deflate",
            ";q=",
            "gzip;q=x",
            "\u{e9}",
        ],
    );
    let manner = one("A-IM", &["feed", "feed, vcdiff", "vcdiff", "feed;q=0", "FEED", "diffe", "", ",,"]);
    let connection = one("Connection", &["close", "keep-alive", "Close", "keep-alive, close", "x", "", "upgrade"]);
    let other = prop_oneof![
        one("User-Agent", &["newsboat/2.30", "Mozilla/5.0 (\u{e9})", ""]),
        one("Range", &["bytes=0-99", "bytes=-1"]),
        one("If-Range", &["\"x\""]),
        one("If-Match", &["\"x\""]),
        one("Accept", &["*/*", "application/rss+xml;q=0.9"]),
        one("Cookie", &["a=b; c=d"]),
        one("X-Forwarded-For", &["192.0.2.1"]),
    ];
    let odd = prop_oneof![
        one("Host", &["x", "", "a b", "a@b", "x:80", "[::1]:80"]),
        one("Content-Length", &["0", "3", "x", "-1"]),
        one("Expect", &["100-continue"]),
        one("Upgrade", &["h2c"]),
        one("Bad Name", &["x"]),
        one("X-Folded", &["a\r\n b"]),
        one("", &["x"]),
    ];
    let case = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2)];
    let any = prop_oneof![4 => accept, 4 => list, 3 => date, 2 => manner, 1 => connection, 8 => other, 1 => odd];
    (any, case).prop_map(|((name, value), case)| {
        let name = match case {
            0 => name,
            1 => name.to_lowercase(),
            _ => name.to_uppercase(),
        };
        (name, value)
    })
}

fn request(tags: Vec<String>, dates: Vec<String>) -> impl Strategy<Value = String> {
    let method = prop_oneof![
        12 => Just("GET"), 5 => Just("HEAD"), 1 => Just("OPTIONS"), 1 => Just("POST"), 1 => Just("get"), 1 => Just("BREW"),
    ];
    let version = prop_oneof![24 => Just("HTTP/1.1"), 2 => Just("HTTP/1.0"), 1 => Just("HTTP/2.0"), 1 => Just("")];
    let end = prop_oneof![12 => Just("\r\n"), 1 => Just("\n")];
    let hosts = prop_oneof![16 => Just(1), 1 => Just(0), 1 => Just(2), 1 => Just(40)];
    // Who had the feed before it was built anew, and asks for what is new.
    let before = tags[..tags.len() / 2].to_vec();
    let news = prop::option::weighted(0.2, prop::sample::select(before));
    let lines = prop::collection::vec(line(tags, dates), 0..6);
    (method, target(), version, end, hosts, lines, news).prop_map(
        |(method, target, version, end, hosts, lines, news)| {
            let mut text = format!("{method} {target} {version}{end}");
            // Forty are a host and many lines of something else.
            text.push_str(&format!("Host: acero-advocate.example{end}").repeat(if hosts == 40 { 1 } else { hosts }));
            if hosts == 40 {
                text.push_str(&format!("X-Many: lines{end}").repeat(40));
            }
            for (name, value) in lines {
                write!(text, "{name}: {value}{end}").unwrap();
            }
            if let Some(tag) = news {
                write!(text, "A-IM: feed{end}If-None-Match: {tag}{end}").unwrap();
            }
            text + end
        },
    )
}

#[test]
fn whoever_sends_an_answer_it_is_the_same() {
    let both = Both::new();
    let request = request(both.tags.clone(), both.dates.clone());
    let conversation = prop::collection::vec(request, 1..5);
    let seen = std::cell::RefCell::new(BTreeMap::<String, usize>::new());
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = prop::test_runner::TestRunner::new(config);
    let result = runner.run(&conversation, |requests| {
        let mut bytes = requests.concat();
        bytes.push_str("GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let ask = |served: &Served| without_dates(&served.send(bytes.as_bytes()));
        let (express, hyper) = (ask(&both.express), ask(&both.hyper));
        for answer in express.split("HTTP/1.").skip(1) {
            *seen.borrow_mut().entry(answer[2..5].to_owned()).or_default() += 1;
        }
        prop_assert_eq!(express, hyper);
        Ok(())
    });
    let seen = seen.into_inner();
    println!("{seen:?}");
    result.unwrap();
    for status in ["200", "204", "226", "304", "308", "400", "404", "405", "406", "414"] {
        assert!(seen.contains_key(status), "{status} was never answered: {seen:?}");
    }
    assert!(!seen.contains_key("500"), "{seen:?}");
}
