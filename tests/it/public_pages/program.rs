//! The real program serves, writes a letter, and ends in good order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::room::{Room, Serving, address, recipient};

pub fn ask(at: &str, method: &str, path: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_program_takes_a_subscription_writes_its_letter_and_stops_when_told() {
    let room = Room::small(1);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s }}\n"));
    room.write("templates/languages/en.yaml", "left.title: Farewell\n");
    let serving = room.serve(&["--no-press"]);
    let at = serving.at.to_string();

    let page = ask(&at, "GET", "/subscribe", "");
    let stamp = page.split("name=\"stamp\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let body = format!("address=nadia%40example.org&digest=news&stamp={stamp}");
    assert!(ask(&at, "POST", "/subscribe", &body).starts_with("HTTP/1.1 200"));
    let begun = Instant::now();
    while room.outbox().is_empty() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let outbox = room.outbox();
    assert_eq!(recipient(&outbox[0].1), "nadia@example.org");
    assert!(ask(&at, "GET", "/metrics", "").contains("pressrun_subscriptions{state=\"confirmed\"} 0"));

    assert!(serving.stop().success());

    room.write("templates/languages/en.yaml", "left.titel: Farewell\n");
    room.run(&["serve", "--bind", "127.0.0.1:0"]).failed(1, &["left.titel", "folder of templates"]);
}

/// What `pressrun serve` shows as the stamp of its form.
pub fn stamp(at: &str) -> String {
    let page = ask(at, "GET", "/subscribe", "");
    page.split("name=\"stamp\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn that_one_inbox_gets_one_letter_in_an_hour_outlives_the_process() {
    let room = Room::small(1);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s }}\n"));
    for address in ["nadia%40gmail.com", "nadia%40gmail.com", "n.adia%2Bnews%40googlemail.com"] {
        let mut serving = room.serve(&["--no-press"]);
        let at = serving.at.to_string();
        let body = format!("address={address}&digest=news&stamp={}", stamp(&at));
        assert!(ask(&at, "POST", "/subscribe", &body).contains("Look in your inbox"));
        let begun = Instant::now();
        while room.outbox().is_empty() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        // Killed, as by a machine that loses its power.
        serving.child.kill().unwrap();
        serving.child.wait().unwrap();
    }
    assert_eq!(room.outbox().len(), 1);
}

#[test]
fn a_scanner_that_opens_every_link_of_a_real_mail_changes_nothing() {
    let room = Room::small(2);
    room.run(&["run", "--now"]).fine();
    let serving = room.serve(&[]);
    let at = serving.at.to_string();
    let held = || room.run(&["subscribers", "show", &address(1)]).fine().out;
    let before = held();
    let (_, mail) = room.outbox().into_iter().find(|(_, mail)| recipient(mail) == address(1)).unwrap();
    let mail = mail_parser::MessageParser::default().parse(&mail).unwrap();
    let header = mail.header_raw("List-Unsubscribe").unwrap().split_whitespace().collect::<String>();
    let all = [header.as_str(), &mail.body_text(0).unwrap(), &mail.body_html(0).unwrap()].join("\n");
    let ours = "https://news.small-paper.example/";
    let paths: std::collections::BTreeSet<String> = all
        .split(['"', '<', '>', ' ', '\n', '\r', '(', ')'])
        .filter_map(|word| word.strip_prefix(ours))
        .map(|path| path.replace("&amp;", "&"))
        .collect();
    assert!(
        paths.iter().any(|path| path.starts_with("unsubscribe/"))
            && paths.iter().any(|path| path.starts_with("archive/"))
    );
    for path in &paths {
        for method in ["GET", "HEAD", "GET"] {
            let answer = ask(&at, method, &format!("/{path}"), "");
            assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        }
    }
    assert_eq!(held(), before);
}

/// The value of a counter.
fn counted(at: &str, name: &str) -> String {
    let text = ask(at, "GET", "/metrics", "");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).to_owned()
}

#[test]
fn everything_is_counted_and_the_log_at_its_most_talkative_names_nobody() {
    let room = Room::small(1);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s, per_network: 3 }}\n"));
    let log = std::fs::File::create(room.path("log")).unwrap();
    let mut command = room.command(&["serve", "--no-press", "--json", "--bind", "127.0.0.1:0"]);
    let serving = Serving::of(command.env("PRESSRUN_LOG", "trace").stderr(log));
    let at = serving.at.to_string();
    let form =
        |address: &str, more: &str| format!("address={address}%40example.org&digest=news&stamp={}{more}", stamp(&at));
    let says = |method: &str, path: &str, body: &str, words: &str| {
        let answer = ask(&at, method, path, body);
        assert!(answer.contains(words), "{words}: {answer}");
    };
    says("POST", "/subscribe", &form("nadia", ""), "Look in your inbox");
    says("POST", "/subscribe", &form("robot", "&topic=x"), "Look in your inbox");
    says("POST", "/subscribe", &form("omar", ""), "Look in your inbox");
    says("POST", "/subscribe", &form("third", ""), "Look in your inbox");
    says("POST", "/subscribe", &form("fourth", ""), "Too much at once");
    let begun = Instant::now();
    while room.outbox().len() < 3 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let link = |address: &str| {
        let (_, mail) = room.outbox().into_iter().find(|(_, mail)| recipient(mail) == address).unwrap();
        let text = mail_parser::MessageParser::default().parse(&mail).unwrap().body_text(0).unwrap().into_owned();
        let link = text.split_whitespace().find_map(|word| word.strip_prefix("https://news.small-paper.example"));
        link.unwrap().to_owned()
    };
    let (nadia, omar) = (link("nadia@example.org"), link("omar@example.org"));
    says("GET", &nadia, "", "One more step");
    let done = ask(&at, "POST", &nadia, "");
    assert!(done.contains("Your newsletters come to nadia@example.org"));
    says("POST", &omar, "", "Done");
    let preferences = done.split("href=\"/preferences/").nth(1).unwrap().split('?').next().unwrap();
    says("POST", &format!("/preferences/{preferences}"), "do=leave&digest=news", "You get no newsletter");
    says("POST", &format!("/preferences/{preferences}"), "do=leave&digest=news", "You get no newsletter");

    for (name, value) in [
        ("pressrun_requests_total", "3"),
        ("pressrun_requests_refused_total{why=\"limit\"}", "1"),
        ("pressrun_requests_refused_total{why=\"robot\"}", "1"),
        ("pressrun_confirmations_total", "2"),
        ("pressrun_unsubscribed_total", "1"),
        ("pressrun_letters_total{outcome=\"sent\"}", "3"),
        ("pressrun_letters_total{outcome=\"failed\"}", "0"),
    ] {
        assert_eq!(counted(&at, name), value, "{name}");
    }
    assert!(serving.stop().success());

    // How subscriptions stand is counted when the process begins, and every minute.
    let serving = room.serve(&["--no-press"]);
    let at = serving.at.to_string();
    let begun = Instant::now();
    while counted(&at, "pressrun_subscriptions{state=\"ended\"}") != "1" {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(counted(&at, "pressrun_subscriptions{state=\"confirmed\"}"), "1");
    assert_eq!(counted(&at, "pressrun_subscriptions{state=\"pending\"}"), "1");

    let log = room.read("log");
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let pages = lines.iter().filter(|line| line["target"] == "pressrun::access" && line["fields"]["part"] == "pages");
    assert!(pages.count() >= 10, "{log}");
    let tokens = [preferences, nadia.split(['/', '?']).nth(2).unwrap(), omar.split(['/', '?']).nth(2).unwrap()];
    for secret in ["nadia", "omar", "third", "fourth", "robot", "example.org"].into_iter().chain(tokens) {
        let found: Vec<&str> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret}: {found:?}");
    }
}
