//! However much is logged, nobody's address is in the log, and no token and no key.

use mail_parser::MessageParser;
use std::process::{Command, Stdio};

use crate::signed_mails::{new_key, sign_with};
use crate::support::room::{Room, Serving};
use crate::support::serving::outbox;
use crate::support::smtp_server::{Act, Moment, Script, Server};

/// What must be nowhere: people, links, keys.
fn secrets(room: &Room, mails: &[Vec<u8>]) -> Vec<String> {
    let mut found: Vec<String> =
        ["petra", "secret.row", "reader00001", "reader00002", "reader00003", "moved.to", "a very secret word"]
            .map(str::to_owned)
            .into();
    for mail in mails {
        let read = MessageParser::default().parse(mail).unwrap();
        let text = read.body_text(0).unwrap().into_owned();
        for word in text.split_whitespace().filter(|word| word.starts_with("https://news.")) {
            let token = word.split('/').next_back().unwrap().split('?').next().unwrap();
            if token.len() > 20 {
                found.push(token.to_owned());
            }
        }
    }
    for (name, bytes) in crate::support::room::files(&room.path("")) {
        if name.contains("key") && bytes.len() < 10_000 {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.extend(text.split_whitespace().filter(|word| word.len() >= 30).map(str::to_owned));
        }
    }
    found
}

#[test]
fn logs_of_every_kind_hold_no_address_no_token_and_no_key() {
    let room = Room::small(3);
    new_key(&room, "rsa1", &[]);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s, one_letter_in: 1s }}\n"));
    sign_with(&room, &["rsa1"]);
    let loud = [("PRESSRUN_LOG", "trace"), ("RUST_LOG", "trace"), ("PRESSRUN_SMTP_PASSWORD", "a very secret word")];

    let mut command = room.command(&["serve", "--json", "--bind", "127.0.0.1:0"]);
    let log = std::fs::File::create(room.path("serve.log")).unwrap();
    let serving = Serving::of(command.envs(loud).stderr(log));
    serving.subscribe("petra%40example.org", "news");
    let letter = outbox(&room, 1).remove(0).1;
    let read = MessageParser::default().parse(&letter).unwrap();
    let text = read.body_text(0).unwrap().into_owned();
    let link = text.split_whitespace().find(|word| word.contains("/confirm/")).unwrap();
    let path = link.strip_prefix("https://news.small-paper.example").unwrap();
    for method in ["GET", "POST"] {
        assert!(serving.ask(method, path, "").starts_with("HTTP/1.1 200"), "{path}");
    }
    let page = serving.ask("POST", path, "");
    let preferences = page.split("href=\"/preferences/").nth(1).unwrap().split('"').next().unwrap();
    let preferences = format!("/preferences/{preferences}");
    serving.ask("GET", &preferences, "");
    serving.ask("POST", &preferences, "do=move&address=moved.to%40example.org");
    serving.ask("POST", "/unsubscribe/nonsense", "");
    serving.ask("POST", "/subscribe", "address=petra%40example.org%0d%0aBcc%3a&digest=news&stamp=x");
    outbox(&room, 2);
    assert!(serving.stop().success());

    // Rows of the list that cannot be used.
    let list = room.read("subscribers.csv");
    room.write("subscribers.csv", &format!("{list}secret.row1.example,confirmed\ns@example.org,secret.row2\n"));

    // A relay that refuses one, with the address in its words, and breaks off at another.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let decide = |at: &crate::support::smtp_server::At<'_>| match (at.moment, at.to) {
        (Moment::Rcpt, to) if to.contains("reader00001") => {
            Act::Say(b"550 5.1.1 <reader00001@example.net>: unknown\r\n")
        }
        (Moment::Data, to) if to.contains("reader00002") => Act::Close,
        _ => Act::Usual,
    };
    let server = runtime.block_on(Server::start(Script { decide: Box::new(decide), ..Script::default() }));
    let relay = format!("smtp://{}", server.address);
    let mut logs = vec![("serve", room.read("serve.log"))];
    for arguments in [&["--transport", &relay, "run"][..], &["--transport", &relay, "run"]] {
        let mut command: Command = room.command(arguments);
        let output = command.envs(loud).stdout(Stdio::null()).output().unwrap();
        logs.push(("run", String::from_utf8(output.stderr).unwrap()));
    }
    assert!(server.kept().iter().any(|kept| kept.to == "petra@example.org"), "somebody was mailed");
    let mails: Vec<Vec<u8>> = room
        .outbox()
        .into_iter()
        .map(|(_, mail)| mail)
        .chain(server.kept().into_iter().map(|kept| kept.message))
        .collect();
    let told = logs.iter().filter(|(which, log)| *which == "run" && log.contains("unknown state")).count();
    assert_eq!(told, 2, "what is wrong with the list is told all the same");
    let secrets = secrets(&room, &mails);
    assert!(secrets.len() > 10, "{}", secrets.len());
    for (which, log) in &logs {
        assert!(log.lines().count() > 1, "{which} logs: {log}");
        for secret in &secrets {
            let line = log.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
            assert_eq!(line, None, "{which} tells {secret}");
        }
    }
}

/// What the answer is, as far as it came, to these bytes from a reader at 127.0.0.77.
fn ask_from_elsewhere(serving: &Serving, request: &str) -> String {
    use std::io::{Read, Write};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut socket = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.77:0".parse().unwrap()).unwrap();
        socket.connect(serving.at).await.unwrap().into_std().unwrap()
    });
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let _ = socket.write_all(request.as_bytes());
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_access_log_says_what_was_read_and_nothing_of_who_reads() {
    let room = Room::small(1);
    room.run(&["build"]).fine();
    let mut command = room.command(&["serve", "--json", "--no-press", "--bind", "127.0.0.1:0"]);
    let log = std::fs::File::create(room.path("serve.log")).unwrap();
    let serving = Serving::of(command.env("PRESSRUN_LOG", "trace").stderr(log));
    // All that a reader can say of herself, in every place that a request has for it.
    let secrets = [
        "127.0.0.77",
        "203.0.113.7",
        "2001:db8::7",
        "secretagent",
        "secretreferer",
        "secretcookie",
        "secretkey",
        "secretquery",
        "secrettag",
        "secretpath",
        "secretmethod",
        "secrethost",
        "secretbody",
        "petra",
    ];
    let headers = "User-Agent: secretagent/7\r\nReferer: https://secretreferer.example/\r\nCookie: a=secretcookie\r\n\
                   Authorization: Basic secretkey\r\nX-Forwarded-For: 203.0.113.7\r\nForwarded: for=\"[2001:db8::7]\"\r\n\
                   From: petra@example.org\r\nIf-None-Match: \"secrettag\"\r\n";
    let ask = |line: &str, more: &str| {
        let answer = ask_from_elsewhere(&serving, &format!("{line}\r\n{headers}{more}"));
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let host = "Host: secrethost\r\nConnection: close\r\n";
    let plain = format!("{host}\r\n");
    for (line, more, status) in [
        // Without hyper and with it.
        ("GET /feeds/rss.xml?to=petra&key=secretquery HTTP/1.1", plain.as_str(), "200"),
        ("HEAD /feeds/rss.xml?key=secretquery HTTP/1.1", &plain, "200"),
        ("GET /feeds/rss.xml?key=secretquery HTTP/1.1", &format!("{host}Content-Length: 0\r\n\r\n"), "200"),
        ("GET /feeds/secretpath/petra@example.org.xml HTTP/1.1", &plain, "404"),
        ("GET /feeds/%2e%2e/secretpath HTTP/1.1", &plain, "404"),
        ("SECRETMETHOD /feeds/rss.xml HTTP/1.1", &plain, "405"),
        ("OPTIONS /feeds/secretpath HTTP/1.1", &plain, "204"),
        ("GET /subscribe?address=petra@example.org&key=secretquery HTTP/1.1", &plain, "200"),
        ("GET /preferences/secretpath?secretquery HTTP/1.1", &plain, ""),
        ("POST /unsubscribe/secretpath HTTP/1.1", &format!("{host}Content-Length: 10\r\n\r\nsecretbody"), ""),
        ("POST /subscribe HTTP/1.1", &format!("{host}Content-Length: 10\r\n\r\nsecretbody"), ""),
        ("GET /secretpath HTTP/1.1", &plain, "404"),
        ("GET /metrics?secretquery HTTP/1.1", &plain, "404"),
        // Errors of the request.
        (&format!("GET /feeds/{} HTTP/1.1", "secretpath".repeat(300)), &plain, "414"),
        ("GET /feeds/rss.xml HTTP/1.1", "\r\n", "400"),
        ("GET /feeds/rss.xml HTTP/1.1", "secretkey\r\n\r\n", "400"),
        ("GET /feeds/rss.xml?secretquery", &plain, "400"),
        ("GET /feeds/rss.xml HTTP/1.1", &format!("X: {}\r\n\r\n", "secretkey".repeat(3_000)), "431"),
        ("POST /subscribe HTTP/1.1", &format!("{host}Transfer-Encoding: chunked\r\n\r\nsecretbody\r\n"), ""),
    ] {
        let answered = ask(line, more);
        assert!(status.is_empty() || answered == status, "{line}: {answered:?}");
    }
    // A file that cannot be read: an error of ours, with the file's name.
    std::fs::create_dir_all(room.path("feeds/broken")).unwrap();
    std::fs::File::create(room.path("feeds/broken/rss.xml")).unwrap().set_len(65 << 20).unwrap();
    assert_eq!(ask("GET /feeds/broken/rss.xml?secretquery HTTP/1.1", &plain), "500");
    assert!(serving.stop().success());
    let log = room.read("serve.log");
    for secret in secrets {
        let line = log.lines().find(|line| line.to_lowercase().contains(secret));
        assert_eq!(line, None, "the log tells {secret}");
    }
    let fields = |line: &str| -> Option<serde_json::Value> {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["target"] == "pressrun::access").then(|| line["fields"].clone())
    };
    let lines: Vec<serde_json::Value> = log.lines().filter_map(fields).collect();
    let count = |part: &str, method: &str, path: &str, status: u64| {
        let same = |line: &&serde_json::Value| {
            line["part"] == part && line["method"] == method && line["path"] == path && line["status"] == status
        };
        lines.iter().filter(same).count()
    };
    assert_eq!(count("feeds", "GET", "/feeds/rss.xml", 200), 2, "{log}");
    assert_eq!(count("feeds", "HEAD", "/feeds/rss.xml", 200), 1);
    assert_eq!(count("feeds", "GET", "-", 404), 2);
    assert_eq!(count("feeds", "-", "-", 405), 1);
    assert_eq!(count("pages", "GET", "-", 200), 1);
    assert!(log.contains("broken/rss.xml"), "of our own files the names are told: {log}");
}
