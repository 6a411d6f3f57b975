//! The real program serves, writes a letter, and ends in good order.

use std::time::Duration;

use crate::support::room::{Room, address, recipient};
use crate::support::serving::outbox;

#[test]
fn the_program_takes_a_subscription_writes_its_letter_and_stops_when_told() {
    let room = Room::small(1);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s }}\n"));
    room.write("templates/languages/en.yaml", "left.title: Farewell\n");
    let serving = room.serve(&[]);
    serving.subscribe("nadia%40example.org", "news");
    assert_eq!(recipient(&outbox(&room, 1)[0].1), "nadia@example.org");
    assert!(serving.ask("GET", "/metrics", "").contains("pressrun_subscriptions{state=\"confirmed\"} 0"));
    assert!(serving.stop().success());

    room.write("templates/languages/en.yaml", "left.titel: Farewell\n");
    room.run(&["serve", "--bind", "127.0.0.1:0"]).failed(1, &["left.titel", "folder of templates"]);
}

#[test]
fn that_one_inbox_gets_one_letter_in_an_hour_outlives_the_process() {
    let room = Room::small(1);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s }}\n"));
    for address in ["nadia%40gmail.com", "nadia%40gmail.com", "n.adia%2Bnews%40googlemail.com"] {
        let mut serving = room.serve(&[]);
        assert!(serving.subscribe(address, "news").contains("Look in your inbox"));
        outbox(&room, 1);
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
            let answer = serving.ask(method, &format!("/{path}"), "");
            assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        }
    }
    assert_eq!(held(), before);
}
