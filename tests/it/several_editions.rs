//! What is wrong with one edition holds up no other, a long one keeps no next one from being made in time, and a person's word
//! counts while an edition is being sent.

use chrono::{TimeDelta, Utc};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::room::{Ran, Room, address};
use crate::support::smtp_server::{Act, Moment, Script, Server};

const EXTRA: &str = r#"  - slug: extra
    title: Extra by mail
    description: The same, by another name.
    sections: [news]
    from: The Small Paper <extra@small-paper.example>
    subject: "{{digest.title}}: {{first.title}}"
    preheader: "{{first.summary}}"
    approval: automatic
    schedule: "0 7 * * FRI"
    time_zone: UTC
"#;

/// A newsroom with two digests, `news` and `extra`.
fn room(readers: usize) -> Room {
    let room = Room::small(readers);
    room.replace("config.yaml", "subscribers:\n  file", &format!("{EXTRA}subscribers:\n  file"));
    let rows =
        (1..=readers).flat_map(|n| ["news", "extra"].map(|digest| format!("{},confirmed,{digest}\n", address(n))));
    room.write("subscribers.csv", &format!("email,state,digest\n{}", rows.collect::<String>()));
    room
}

/// The same, with an approved edition of each, 1 and 2.
fn approved(readers: usize) -> Room {
    let room = room(readers);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    for edition in ["1", "2"] {
        room.run(&["edition", "approve", edition]).fine();
    }
    room
}

/// How many mails of a digest are in the outbox.
fn sent(room: &Room, title: &str) -> usize {
    let subject =
        |mail: &[u8]| mail_parser::MessageParser::default().parse(mail).unwrap().subject().unwrap().to_owned();
    room.outbox().iter().filter(|(_, mail)| subject(mail).starts_with(title)).count()
}

#[test]
fn an_edition_that_cannot_be_sent_is_told_and_the_others_go() {
    type Break = fn(&Room);
    let false_text: Break = |room| {
        let text = "UPDATE edition SET sealed = replace(sealed, 'A short text', 'A false text') WHERE id = 1";
        assert_eq!(room.sql(text), 1);
    };
    let no_digest: Break =
        |room| room.replace("config.yaml", "slug: news\n    title: News by", "slug: gone\n    title: News by");
    let breaks = [(false_text, 1, "edition 1"), (no_digest, 2, "`news`")];
    for command in [vec!["run"], vec!["work", "--until-done"]] {
        for (spoil, code, told) in &breaks {
            let room = approved(3);
            spoil(&room);
            let ran = room.run(&command).failed(*code, &[told]);
            assert_eq!((sent(&room, "News"), sent(&room, "Extra")), (0, 3), "{command:?} {ran:?}");
            room.run(&command).failed(*code, &[told]);
            assert_eq!(room.outbox().len(), 3, "once");
        }
    }
}

#[test]
fn a_digest_whose_template_is_broken_keeps_no_others_from_being_made_and_sent() {
    let room = room(3);
    room.replace("config.yaml", "slug: news\n    title: News by", "slug: news\n    template: own\n    title: News by");
    room.write("templates/own/body.html.hbs", "{{#if}}");
    room.run(&["run"]).failed(1, &["templates/own/"]);
    assert_eq!((sent(&room, "News"), sent(&room, "Extra")), (0, 3));
    let serving = room.serve(&[]);
    std::thread::sleep(Duration::from_secs(3));
    assert!(serving.stop().success());
    assert_eq!(room.outbox().len(), 3);
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(100), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn end(mut child: Child) {
    assert!(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap();
}

/// Sends an edition that takes nearly three minutes, while `extra` becomes due in little more than one at most.
fn made_meanwhile(serve: bool) {
    let room = room(60);
    room.replace("config.yaml", "press:\n", "press:\n  per_minute: 20\n");
    let soon = Utc::now() + TimeDelta::seconds(70);
    let text = room.read("config.yaml");
    let (news, extra) = text.split_once("slug: extra").unwrap();
    let extra = extra.replace("0 7 * * FRI", &soon.format("%-M %-H * * *").to_string());
    let news = if serve { news.replace("approval: automatic", "approval: editor") } else { news.to_owned() };
    room.write("config.yaml", &format!("{news}slug: extra{extra}"));
    room.run(&["schedule"]).fine();
    let then = Utc::now() - TimeDelta::seconds(1);
    room.sql(&format!("INSERT INTO schedule_run VALUES ('extra', {})", then.timestamp_millis()));
    if serve {
        room.run(&["run"]).fine();
        room.run(&["edition", "approve", "1"]).fine();
    }
    let press = room.start(if serve { &["serve", "--bind", "127.0.0.1:0"] } else { &["run"] });
    wait_until("it sends", || room.outbox().len() >= 2);
    wait_until("it is made", || !room.run(&["--json", "edition", "list", "extra"]).fine().out.is_empty());
    let waiting = || room.count("edition = 1 AND state <> 3");
    let left = waiting();
    assert!(left > 0, "the long one had come to its end");
    wait_until("the long one goes on", || waiting() < left);
    end(press);
    assert_eq!((room.count("doubts > 0"), room.count("edition = 2")), (0, 60));
}

#[test]
fn a_digest_that_is_due_while_a_run_sends_a_long_edition_is_made_in_time_and_the_sending_goes_on() {
    made_meanwhile(false);
}

#[test]
fn a_digest_that_is_due_while_a_server_sends_a_long_edition_is_made_in_time_and_the_sending_goes_on() {
    made_meanwhile(true);
}

/// An edition of 200 mails that takes its time, the program that sends it, and the server.
async fn sending() -> (Room, Child, Server) {
    let decide = Box::new(|at: &crate::support::smtp_server::At<'_>| {
        if at.moment == Moment::Dot {
            std::thread::sleep(Duration::from_millis(30));
        }
        Act::Usual
    });
    let server = Server::start(Script { decide, ..Script::default() }).await;
    let room = Room::small(200);
    let child = room.start(&["--transport", &format!("smtp://{}", server.address), "run"]);
    tokio::task::block_in_place(|| wait_until("it sends", || server.kept().len() >= 10));
    (room, child, server)
}

/// Runs to its end what was started, and then the program once more.
fn ended_and_run(room: &Room, mut child: Child, server: &Server) -> (Option<i32>, Ran) {
    tokio::task::block_in_place(|| {
        let code = child.wait().unwrap().code();
        (code, room.run(&["--transport", &format!("smtp://{}", server.address), "run"]))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edition_that_a_person_pauses_while_it_goes_out_stops_without_a_failure_and_goes_on_when_resumed() {
    let (room, child, server) = sending().await;
    tokio::task::block_in_place(|| room.run(&["ledger", "pause", "1", "--why", "a wrong name"]).fine());
    let (code, again) = ended_and_run(&room, child, &server);
    assert_eq!(code, Some(0), "it is what the person wanted");
    let sent = server.kept().len();
    assert!(sent < 200, "{sent}");
    assert_eq!((room.count("state = 3"), room.count("state = 0"), room.count("doubts > 0")), (sent, 200 - sent, 0));
    assert!(again.fine().out.contains("a wrong name"));
    tokio::task::block_in_place(|| {
        room.run(&["ledger", "resume", "1"]).fine();
        room.run(&["--transport", &format!("smtp://{}", server.address), "run"]).fine();
    });
    let mut to: Vec<String> = server.kept().into_iter().map(|kept| kept.to).collect();
    to.sort();
    assert_eq!(to, (1..=200).map(address).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edition_that_is_withdrawn_while_it_goes_out_reaches_nobody_more() {
    let (room, child, server) = sending().await;
    tokio::task::block_in_place(|| room.run(&["edition", "withdraw", "1"]).fine());
    let (code, _) = ended_and_run(&room, child, &server);
    assert_eq!(code, Some(0));
    let sent = server.kept().len();
    assert!(sent < 200, "{sent}");
    assert_eq!((room.count("state = 3"), room.count("state = 7"), room.count("doubts > 0")), (sent, 200 - sent, 0));
}
