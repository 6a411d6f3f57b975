//! `web`: the feeds over real sockets, to friendly and to unfriendly clients.

use crate::wire::{Answer, PUBLIC, Served, build, build_titled, write};
use pressrun::web::{Limits, Options};
use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use url::Url;

/// A file is looked after at most once a second; after this a change is seen.
const A_LOOK: Duration = Duration::from_millis(1_050);

/// A large feed that is asked for so often is sent from an open file.
const OFTEN: usize = 12;

fn small() -> (tempfile::TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    let served = Served::folder(folder.path());
    (folder, served)
}

fn impatient(folder: &Path) -> Options {
    let mut options = Options::new(folder.to_owned(), Url::parse(PUBLIC).unwrap());
    options.limits = Limits {
        idle: Duration::from_millis(800),
        head: Duration::from_millis(600),
        stalled: Duration::from_millis(800),
        answer: Duration::from_millis(800),
        stop: Duration::from_millis(500),
        ..Limits::default()
    };
    options
}

#[test]
fn every_file_has_its_type_and_says_how_long_it_may_be_kept() {
    let (_folder, served) = small();
    for (path, content_type, cache) in [
        ("rss.xml", "application/rss+xml; charset=utf-8", "max-age=60,"),
        ("atom.xml", "application/atom+xml; charset=utf-8", "max-age=60,"),
        ("feed.json", "application/feed+json; charset=utf-8", "max-age=60,"),
        ("feeds.opml", "text/x-opml; charset=utf-8", "max-age=300,"),
        ("", "text/html; charset=utf-8", "max-age=300,"),
        ("index.html", "text/html; charset=utf-8", "max-age=300,"),
        ("archive/rss-0001.xml", "application/rss+xml; charset=utf-8", "max-age=86400,"),
    ] {
        let answer = served.get(&format!("/feeds/{path}"), &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{path}");
        assert!(answer.header("cache-control").contains(cache), "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-expose-headers"), "ETag, Link");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        assert!(answer.header("etag").starts_with('"') && answer.header("last-modified").ends_with(" GMT"));
    }
}

#[test]
fn every_encoding_is_the_same_feed_under_its_own_tag() {
    let (folder, served) = small();
    let wanted = fs::read(folder.path().join("rss.xml")).unwrap();
    let mut tags = HashSet::new();
    for (accept, encoding) in [("identity", ""), ("gzip", "gzip"), ("gzip, deflate, br", "br"), ("zstd", "zstd")] {
        let answer = served.get("/feeds/rss.xml", &[("Accept-Encoding", accept)]);
        assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding), "{accept}");
        assert_eq!(decode(&answer), wanted, "{accept}");
        assert!(encoding.is_empty() || answer.body.len() < wanted.len() / 2);
        assert!(answer.header("vary").contains("Accept-Encoding"));
        let tag = answer.header("etag").to_owned();
        let again = served.get("/feeds/rss.xml", &[("Accept-Encoding", accept), ("If-None-Match", &tag)]);
        assert_eq!((again.status, again.header("etag")), (304, &*tag));
        assert!(again.body.is_empty() && again.header("vary").contains("Accept-Encoding"));
        assert!(tags.insert(tag));
    }
    let gzip = served.get("/feeds/rss.xml", &[("Accept-Encoding", "gzip")]);
    let other = [("Accept-Encoding", "br"), ("If-None-Match", gzip.header("etag"))];
    assert_eq!(served.get("/feeds/rss.xml", &other).status, 200, "a strong tag is of one encoding only");
    let none = served.get("/feeds/rss.xml", &[("Accept-Encoding", "identity;q=0")]);
    assert_eq!((none.status, none.header("vary")), (406, "Accept-Encoding"));
}

#[test]
fn conditional_requests_are_answered_as_the_rfc_says() {
    let (_folder, served) = small();
    let whole = served.get("/feeds/rss.xml", &[]);
    let (tag, date) = (whole.header("etag"), whole.header("last-modified"));
    let weak = format!("W/{tag}");
    let list = format!("\"other\", {weak}");
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let future = "Fri, 01 Jan 2100 00:00:00 GMT";
    for (headers, status) in [
        (vec![("If-None-Match", tag)], 304),
        (vec![("If-None-Match", &weak)], 304),
        (vec![("If-None-Match", &list)], 304),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-None-Match", "\"other\"")], 200),
        (vec![("If-None-Match", "garbage")], 200),
        (vec![("If-Modified-Since", date)], 304),
        (vec![("If-Modified-Since", future)], 304),
        (vec![("If-Modified-Since", old)], 200),
        (vec![("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")], 200),
        (vec![("If-Modified-Since", "garbage")], 200),
        (vec![("If-None-Match", "\"other\""), ("If-Modified-Since", date)], 200),
        (vec![("If-None-Match", tag), ("If-Modified-Since", old)], 304),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = served.ask(method, "/feeds/rss.xml", &headers);
            assert_eq!(answer.status, status, "{method} {headers:?}");
            assert_eq!(answer.header("etag"), tag, "{headers:?}");
            assert!(!answer.header("cache-control").is_empty() && !answer.header("date").is_empty());
            assert_eq!(answer.body.is_empty(), method == "HEAD" || status == 304, "{method} {headers:?}");
        }
    }
    let head = served.ask("HEAD", "/feeds/rss.xml", &[]);
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    assert_eq!(head.header("content-type"), whole.header("content-type"));
}

#[test]
fn a_reader_that_asks_for_news_gets_only_what_is_new_to_it() {
    let (folder, served) = small();
    for (path, item) in [("/feeds/rss.xml", "<item>"), ("/feeds/atom.xml", "<entry>")] {
        build(folder.path(), 8);
        std::thread::sleep(A_LOOK);
        let first = served.get(path, &[("Accept-Encoding", "gzip")]);
        build(folder.path(), 9);
        std::thread::sleep(A_LOOK);
        let ask = [("A-IM", "feed"), ("Accept-Encoding", "gzip"), ("If-None-Match", first.header("etag"))];
        let news = served.get(path, &ask);
        let whole = served.get(path, &[("Accept-Encoding", "gzip")]);
        assert_eq!((news.status, news.header("im")), (226, "feed"), "{path}");
        assert_eq!(news.text().matches(item).count(), 1);
        assert!(news.text().contains("Article 9") && !news.text().contains("Article 8"));
        assert_eq!(news.header("etag"), whole.header("etag"), "the client now has the whole");
        assert!(news.header("cache-control").contains("no-store"));
        assert!(news.header("vary").contains("A-IM") && whole.header("vary").contains("A-IM"));
        let then = [("A-IM", "feed"), ("Accept-Encoding", "gzip"), ("If-None-Match", news.header("etag"))];
        assert_eq!(served.get(path, &then).status, 304, "and is told so the next time");

        let unknown = [("A-IM", "feed"), ("If-None-Match", "\"never-seen\"")];
        assert_eq!(served.get(path, &unknown).status, 200, "whom we don't know gets the whole");
        assert_eq!(served.get(path, &[("A-IM", "feed")]).status, 200);
        let plain = [("If-None-Match", first.header("etag"))];
        assert_eq!(served.get(path, &plain).status, 200, "who does not ask gets the whole");
    }
    let titles: Vec<String> = ["Article 9, corrected", "Article 8", "Article 7", "Article 6"].map(str::to_owned).into();
    let before = served.get("/feeds/atom.xml", &[]);
    build_titled(folder.path(), &titles);
    std::thread::sleep(A_LOOK);
    let news = served.get("/feeds/atom.xml", &[("A-IM", "feed"), ("If-None-Match", before.header("etag"))]);
    assert!(news.text().contains("Article 9, corrected"), "a correction is news");
}

#[test]
fn after_a_restart_nobody_is_known_and_everybody_gets_the_whole_once() {
    let (folder, mut served) = small();
    let before = served.get("/feeds/rss.xml", &[]);
    served.stop();
    let served = Served::folder(folder.path());
    let ask = |tag: &str| served.get("/feeds/rss.xml", &[("A-IM", "feed"), ("If-None-Match", tag)]);
    assert_eq!(ask(before.header("etag")).status, 304, "the tag is the content's and outlives the server");
    build(folder.path(), 9);
    let served = Served::folder(folder.path());
    let ask = |tag: &str| served.get("/feeds/rss.xml", &[("A-IM", "feed"), ("If-None-Match", tag)]);
    let whole = ask(before.header("etag"));
    assert_eq!((whole.status, whole.header("im")), (200, ""), "what it had is not known any more");
    assert_eq!(whole.body, fs::read(folder.path().join("rss.xml")).unwrap());
    build(folder.path(), 10);
    std::thread::sleep(A_LOOK);
    let news = ask(whole.header("etag"));
    assert_eq!((news.status, news.text().matches("<item>").count()), (226, 1), "and from then on it is");
}

#[test]
fn a_new_build_is_picked_up_and_never_half_of_it() {
    let (folder, served) = small();
    let before = served.get("/feeds/rss.xml", &[("Accept-Encoding", "gzip")]);
    build(folder.path(), 9);
    std::thread::sleep(A_LOOK);
    let after = served.get("/feeds/rss.xml", &[("Accept-Encoding", "gzip")]);
    assert!(String::from_utf8(decode(&after)).unwrap().contains("Article 9"));
    assert_ne!(before.header("etag"), after.header("etag"));
    let stale = served.get("/feeds/rss.xml", &[("If-Modified-Since", before.header("last-modified"))]);
    assert_eq!(stale.status, 200, "built in the same second, and yet newer");

    fs::remove_file(folder.path().join("rss.xml")).unwrap();
    std::thread::sleep(A_LOOK);
    assert_eq!(served.get("/feeds/rss.xml", &[]).status, 404);
    build(folder.path(), 10);
    assert_eq!(served.get("/feeds/rss.xml", &[]).status, 200, "what was missing is looked for at once");
}

#[test]
fn readers_during_builds_see_whole_documents_with_their_own_tags() {
    let (folder, served) = small();
    let mut bodies = std::collections::HashMap::new();
    let until = Instant::now() + Duration::from_secs(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 8;
            while Instant::now() < until {
                n = if n == 27 { 8 } else { n + 1 };
                build(folder.path(), n);
            }
        });
        while Instant::now() < until {
            let answer = served.get("/feeds/rss.xml", &[]);
            assert_eq!(answer.status, 200);
            assert!(answer.text().ends_with("</channel></rss>\n"));
            let known = bodies.entry(answer.header("etag").to_owned()).or_insert_with(|| answer.body.clone());
            assert_eq!(*known, answer.body, "one tag, one body");
        }
    });
    assert!(bodies.len() >= 2, "several builds were seen");
}

#[test]
fn feeds_name_their_address_and_their_hubs() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    let mut options = Options::new(folder.path().to_owned(), Url::parse(PUBLIC).unwrap());
    options.hubs = vec![Url::parse("https://hub.example/").unwrap()];
    let served = Served::with(options);
    let link = format!("<https://hub.example/>; rel=\"hub\", <{PUBLIC}rss.xml>; rel=\"self\"");
    assert_eq!(served.get("/feeds/rss.xml", &[]).header("link"), link);
    assert_eq!(served.get("/feeds/archive/rss-0001.xml", &[]).header("link"), "", "nobody subscribes to an archive");
}

#[test]
fn folders_are_redirected_and_only_reading_is_allowed() {
    let (folder, served) = small();
    write(folder.path(), "campus/index.html", "<!doctype html><title>Campus</title>");
    for (path, to) in [("/feeds", "/feeds/"), ("/feeds/campus", "/feeds/campus/")] {
        let moved = served.get(path, &[]);
        assert_eq!((moved.status, moved.header("location")), (308, to));
    }
    assert!(served.get("/feeds/campus/", &[]).text().contains("Campus"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let answer = served.ask(method, "/feeds/rss.xml", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, OPTIONS"), "{method}");
    }
    let cors = served.ask("OPTIONS", "/feeds/rss.xml", &[("Origin", "https://reader.example")]);
    assert_eq!((cors.status, cors.header("access-control-allow-methods")), (204, "GET, HEAD, OPTIONS"));
    assert!(cors.header("access-control-allow-headers").contains("If-None-Match"));
}

#[test]
fn nothing_outside_the_folder_is_ever_read() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("feeds");
    build(&folder, 8);
    for secret in [outer.path().join("secret.xml"), folder.join(".hidden.xml")] {
        fs::write(secret, "SECRET").unwrap();
    }
    let served = Served::folder(&folder);
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../secret.xml", folder.join("link.xml")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        symlink("rss.xml", folder.join("alias.xml")).unwrap();
        assert_eq!(served.get("/feeds/alias.xml", &[]).status, 200, "a link within the folder is the newsroom's own");
    }
    for path in [
        "/feeds/../secret.xml",
        "/feeds/%2e%2e/secret.xml",
        "/feeds/..%2fsecret.xml",
        "/feeds/%2e%2e%2fsecret.xml",
        "/feeds/..\\secret.xml",
        "/feeds/..%5csecret.xml",
        "/feeds/%252e%252e/secret.xml",
        "/feeds/./rss.xml",
        "/feeds//rss.xml",
        "/feeds//etc/passwd",
        "/feeds/%2fetc%2fpasswd",
        "//feeds/rss.xml",
        "/feeds/rss.xml%00.png",
        "/feeds/rss.xml\0",
        "/feeds/%c0%ae%c0%ae/secret.xml",
        "/feeds/.hidden.xml",
        "/feeds/archive/../../secret.xml",
        "/feeds/link.xml",
        "/feeds/up/secret.xml",
        "/secret.xml",
        "/feeds/rss.xml/",
        "/feeds/rss.xml/x",
        "/../secret.xml",
        "feeds/rss.xml",
        "/feeds/\u{ff0e}\u{ff0e}/secret.xml",
        "*",
        "/feeds/rss.xml\r\nX: y",
        "http://127.0.0.1/feeds/../secret.xml",
        "/feeds/archive",
        "/feeds/archive/",
    ] {
        let bytes = served.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(!String::from_utf8_lossy(&bytes).contains("SECRET"), "{path:?}");
        // Some bytes are no request at all, and the answer to those may be to hang up.
        if !bytes.is_empty() {
            let answer = Answer::read(&bytes);
            let header_smuggled = path.contains('\n');
            assert!(matches!(answer.status, 308 | 400 | 404) || header_smuggled, "{path:?}: {}", answer.status);
        }
    }
    assert_eq!(served.get("/feeds/rss.xml", &[]).status, 200, "and the server is well");
}

#[test]
fn requests_that_are_nonsense_or_too_large_are_refused() {
    let (_folder, served) = small();
    let long = format!("GET /feeds/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "a".repeat(3_000));
    assert_eq!(Answer::read(&served.send(long.as_bytes())).status, 414);
    let headers = format!("X: {}", "a".repeat(20_000));
    let large = format!("GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n");
    assert_eq!(Answer::read(&served.send(large.as_bytes())).status, 431);
    let many = "X: y\r\n".repeat(500);
    let large = format!("GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    assert_eq!(Answer::read(&served.send(large.as_bytes())).status, 431);
    for nonsense in ["\0\x01\x02\x03\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\x01"]
    {
        let mut socket = served.connect();
        socket.write_all(nonsense.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || Answer::read(&answer).status == 400, "{nonsense:?}");
    }
    let body = "POST /feeds/rss.xml HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc";
    assert_eq!(Answer::read(&served.send(body.as_bytes())).status, 405, "a body is not waited for");
    assert_eq!(served.get("/feeds/rss.xml", &[]).status, 200);
}

#[test]
fn several_requests_in_one_packet_are_answered_in_order() {
    let (_folder, served) = small();
    let one = "GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /feeds/nothing.xml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = String::from_utf8(served.send(format!("{one}{one}{last}").as_bytes())).unwrap();
    let statuses: Vec<&str> = answers.matches("HTTP/1.1 200").chain(answers.matches("HTTP/1.1 404")).collect();
    assert_eq!(statuses.len(), 3, "{answers}");
    assert!(answers.rfind("HTTP/1.1 200") < answers.rfind("HTTP/1.1 404"));
}

#[test]
fn large_feeds_arrive_whole_however_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let large = |seed: u32| -> String {
        (0..90_000).flat_map(|n: u32| ["<", if n.wrapping_mul(seed) & 64 == 0 { "a" } else { "bcd" }, "/>"]).collect()
    };
    let (one, two) = (large(2_654_435_761), large(40_503));
    build(folder.path(), 8);
    write(folder.path(), "one.xml", &one);
    write(folder.path(), "two.xml", &two);
    let served = Served::folder(folder.path());
    for time in 0..OFTEN {
        for (path, wanted) in [("one", &one), ("two", &two)] {
            for accept in ["identity", "gzip", "br"] {
                let answer = served.get(&format!("/feeds/{path}.xml"), &[("Accept-Encoding", accept)]);
                assert_eq!(answer.header("content-length"), answer.body.len().to_string());
                assert!(decode(&answer) == wanted.as_bytes(), "{path} {accept}, time {time}");
            }
        }
    }
    // Several on one connection, all asked for at once, among them small ones.
    let order = ["one", "two", "rss", "two", "one"];
    let request = |path: &str| format!("GET /feeds/{path}.xml HTTP/1.1\r\nHost: x\r\n\r\n");
    let requests: Vec<String> = order.iter().map(|path| request(path)).collect();
    let mut socket = served.connect();
    socket.write_all(requests.concat().as_bytes()).unwrap();
    let rss = fs::read_to_string(folder.path().join("rss.xml")).unwrap();
    for path in order {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut body = vec![0; Answer::read(&head).header("content-length").parse().unwrap()];
        socket.read_exact(&mut body).unwrap();
        let wanted = [("one", &one), ("two", &two), ("rss", &rss)].into_iter().find(|(p, _)| *p == path).unwrap().1;
        assert!(body == wanted.as_bytes(), "{path}");
    }
}

#[test]
fn what_is_written_into_a_large_feed_is_never_sent_under_the_old_tag() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    write(folder.path(), "large.xml", &"<a/>".repeat(50_000));
    let served = Served::folder(folder.path());
    for _ in 0..OFTEN {
        assert_eq!(served.get("/feeds/large.xml", &[]).status, 200);
    }
    let mut bodies = std::collections::HashMap::new();
    let mut ask = || {
        let answer = served.get("/feeds/large.xml", &[]);
        assert_eq!(answer.body.len(), 200_000);
        let known = bodies.entry(answer.header("etag").to_owned()).or_insert_with(|| answer.body.clone());
        assert!(*known == answer.body, "one tag, one body");
        bodies.len()
    };
    assert_eq!(ask(), 1);
    // Not replaced, as every build does it, but overwritten where it lies, with as many bytes.
    fs::write(folder.path().join("large.xml"), "<b/>".repeat(50_000)).unwrap();
    ask();
    std::thread::sleep(A_LOOK);
    assert_eq!(ask(), 2, "the new one is seen");
    // A reader that has begun gets the feed that it began with, though it is replaced meanwhile.
    for _ in 0..OFTEN {
        ask();
    }
    write(folder.path(), "large.xml", &"<d/>".repeat(4 << 20));
    std::thread::sleep(A_LOOK);
    for _ in 0..OFTEN {
        assert_eq!(served.ask("HEAD", "/feeds/large.xml", &[]).header("content-length"), (16 << 20).to_string());
    }
    let mut slow = served.connect();
    slow.write_all(b"GET /feeds/large.xml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    slow.read_exact(&mut [0; 100]).unwrap();
    write(folder.path(), "large.xml", "<c/>");
    std::thread::sleep(A_LOOK);
    assert_eq!(served.get("/feeds/large.xml", &[]).text(), "<c/>");
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&b"<d/>".repeat(4 << 20)[1_000..]), "{}", rest.len());
}

#[test]
fn who_is_slow_is_hung_up_on_and_nobody_else_notices() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    write(folder.path(), "large.xml", &"<x/>".repeat(4 << 20));
    let served = Served::with(impatient(folder.path()));

    // A head that drips in, byte by byte.
    let mut drip = served.connect();
    let start = Instant::now();
    drip.set_nonblocking(true).unwrap();
    let ended = loop {
        let _ = drip.write_all(b"X");
        match drip.read(&mut [0; 64]) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => break start.elapsed(),
        }
        assert!(start.elapsed() < Duration::from_secs(5), "still there");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(ended >= Duration::from_millis(550), "{ended:?}");

    // A reader that asks for something large and takes nothing of it.
    let mut stalled = served.connect();
    stalled.write_all(b"GET /feeds/large.xml HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // A reader that has what it wants, and stays.
    let mut idle = served.connect();
    idle.write_all(b"GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let others = Instant::now();
    assert_eq!(served.get("/feeds/rss.xml", &[]).status, 200);
    assert!(others.elapsed() < Duration::from_secs(3), "{:?}", others.elapsed());
    let mut answer = Vec::new();
    idle.read_to_end(&mut answer).unwrap();
    assert_eq!(Answer::read(&answer).status, 200, "it was answered, and then the connection was closed");
    std::thread::sleep(Duration::from_millis(1_200));
    let mut part = Vec::new();
    let _ = stalled.read_to_end(&mut part);
    assert!(part.len() < 16 << 20, "the whole answer came through");

    // One that takes it slowly, but takes it, gets all of it, in longer than the limit for one that takes nothing.
    let stalled = Duration::from_secs(3);
    let mut options = impatient(folder.path());
    options.limits.stalled = stalled;
    options.limits.idle = stalled;
    options.limits.answer = stalled;
    let served = Served::with(options);
    for _ in 0..OFTEN {
        assert_eq!(served.ask("HEAD", "/feeds/large.xml", &[]).status, 200);
    }
    let mut slow = served.connect();
    slow.write_all(b"GET /feeds/large.xml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (mut all, mut piece, start) = (0, vec![0; 1 << 20], Instant::now());
    loop {
        let read = slow.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        all += read;
        if start.elapsed() < stalled + Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(250));
        }
    }
    assert!(all > 16 << 20, "{all}");
    assert!(start.elapsed() > stalled, "it was not slow");
}

#[test]
fn when_the_house_is_full_the_longest_idle_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    let mut options = Options::new(folder.path().to_owned(), Url::parse(PUBLIC).unwrap());
    options.limits.connections = 64;
    let served = Served::with(options);
    let mut idle: Vec<_> = (0..64)
        .map(|_| {
            let mut socket = served.connect();
            socket.write_all(b"GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            socket.read_exact(&mut [0; 12]).unwrap();
            std::thread::sleep(Duration::from_millis(2));
            socket
        })
        .collect();
    assert_eq!(served.get("/feeds/rss.xml", &[]).status, 200, "a newcomer is served");
    idle[0].read_to_end(&mut Vec::new()).unwrap();
    let newest = idle.last_mut().unwrap();
    newest.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    newest.write_all(b"HEAD /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 4096];
    let read = newest.read(&mut answer).unwrap();
    assert!(read > 0, "the newest is still there");
}

#[test]
fn health_and_counters_are_told_to_who_asks_directly() {
    let (_folder, served) = small();
    assert_eq!(served.get("/healthz", &[]).text(), "ok\n");
    let tag = served.get("/feeds/rss.xml", &[]).header("etag").to_owned();
    served.get("/feeds/rss.xml", &[("If-None-Match", &tag)]);
    served.get("/feeds/nothing.xml", &[]);
    let metrics = served.get("/metrics", &[]);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        "pressrun_http_requests_total{status=\"304\"} 1",
        "pressrun_http_requests_total{status=\"404\"} 1",
        "pressrun_http_requests_total{status=\"200\"} 2",
        "# TYPE pressrun_http_held_bytes gauge",
    ] {
        assert!(metrics.text().contains(line), "{line} is not in\n{}", metrics.text());
    }
    assert_eq!(served.get("/metrics", &[("X-Forwarded-For", "192.0.2.1")]).status, 404);
}

#[test]
fn pages_stand_beside_the_feeds() {
    use axum::extract::ConnectInfo;
    use axum::routing::{get, post};
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    let pages = axum::Router::new()
        .route("/who", get(|ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>| async move { peer.ip().to_string() }))
        .route("/echo", post(|body: String| async move { body }));
    let served = Served::beside(Options::new(folder.path().to_owned(), Url::parse(PUBLIC).unwrap()), pages);
    assert_eq!(served.get("/who", &[]).text(), "127.0.0.1");
    assert_eq!(served.get("/feeds/rss.xml", &[]).status, 200);
    let post = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(Answer::read(&served.send(post)).text(), "hello");
    assert_eq!(served.get("/nothing", &[]).status, 404);
}

#[test]
fn stopping_ends_idle_connections_at_once_and_lets_a_request_end() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    let pages = axum::Router::new().route(
        "/slow",
        axum::routing::get(|| async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            "done"
        }),
    );
    let mut served = Served::beside(Options::new(folder.path().to_owned(), Url::parse(PUBLIC).unwrap()), pages);
    let mut idle = served.connect();
    idle.write_all(b"GET /feeds/feed.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut slow = served.connect();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    served.stop();
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert_eq!(Answer::read(&answer).text(), "done");
    idle.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 8);
    write(folder.path(), "large.xml", &"<x/>".repeat(4 << 20));
    let mut options = impatient(folder.path());
    options.limits.stalled = Duration::from_mins(1);
    let mut served = Served::with(options);
    let mut stalled = served.connect();
    stalled.write_all(b"GET /feeds/large.xml HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    served.stop();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

fn decode(answer: &Answer) -> Vec<u8> {
    let mut decoded = Vec::new();
    match answer.header("content-encoding") {
        "" => decoded.clone_from(&answer.body),
        "gzip" => drop(flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut decoded).unwrap()),
        "br" => brotli::BrotliDecompress(&mut &answer.body[..], &mut decoded).unwrap(),
        "zstd" => decoded = zstd::decode_all(&answer.body[..]).unwrap(),
        other => panic!("{other}"),
    }
    decoded
}
