//! The real program serves, writes a letter, and ends in good order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::room::{Room, recipient};

fn ask(at: &str, method: &str, path: &str, body: &str) -> String {
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
    let serving = room.serve(&[]);
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
