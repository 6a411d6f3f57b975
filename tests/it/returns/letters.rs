//! What comes back of mails that are no editions: of a confirmation, and of a letter to an editor.

use super::{PATTERN, case, pipe};
use crate::public_pages::program::{ask, stamp};
use crate::support::room::{Room, Serving};
use crate::support::smtp_server::{Kept, Script, Server};
use std::time::{Duration, Instant};

const NADIA: &str = "nadia@example.org";

fn newsroom() -> Room {
    let room = Room::small(1);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s }}\nreturns: {{ address: \"{PATTERN}\" }}\n"));
    room
}

/// Asks for a subscription; the letters that the server has then, after as many as are expected.
fn subscribe(serving: &Serving, server: &Server, expected: usize) -> Vec<Kept> {
    let at = serving.at.to_string();
    let body = format!("address={}&digest=news&stamp={}", NADIA.replace('@', "%40"), stamp(&at));
    assert!(ask(&at, "POST", "/subscribe", &body).contains("Look in your inbox"));
    let begun = Instant::now();
    while server.kept().len() < expected && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    server.kept()
}

/// What stood in `MAIL FROM`.
fn return_path(mail: &Kept) -> String {
    let path = mail.from.split_once('<').map_or(mail.from.as_str(), |(_, path)| path);
    path.trim_end_matches('>').to_owned()
}

fn suppression(room: &Room) -> serde_json::Value {
    let held = room.run(&["subscribers", "show", NADIA]).fine().out;
    serde_json::from_str::<serde_json::Value>(&held).unwrap()["suppression"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_bounces_for_good_is_the_last_that_goes_there() {
    let server = Server::start(Script::default()).await;
    tokio::task::block_in_place(|| {
        let room = newsroom();
        let serving = room.serve(&["--no-press", "--transport", &format!("smtp://{}", server.address)]);
        let letters = subscribe(&serving, &server, 1);
        assert_eq!(letters.len(), 1);
        let path = return_path(&letters[0]);
        assert!(path.starts_with("bounces+") && path.ends_with("@return.small-paper.example"), "{path}");
        let read = |name: &str, path: &str| pipe(&room, &["returns", "-"], &case(name, path)).fine().out;

        // Forged, late, full: nothing changes.
        let at = "bounces+".len() + 20;
        let other = if path.as_bytes()[at] == b'a' { "b" } else { "a" };
        assert!(
            read("postfix/unknown-user", &format!("{}{other}{}", &path[..at], &path[at + 1..])).contains("1 forged")
        );
        assert!(read("postfix/delayed", &path).contains("1 delay"));
        let full = read("postfix/mailbox-full", &path);
        assert!(full.contains("1 soft bounce") && !full.contains("suppressed"), "{full}");
        assert!(suppression(&room).is_null());

        let told = read("postfix/unknown-user", &path);
        assert!(told.contains("1 hard bounce; 1 reader suppressed"), "{told}");
        let told = read("postfix/unknown-user", &path);
        assert!(told.contains("1 read before") && !told.contains("suppressed"), "{told}");
        assert_eq!(suppression(&room)["reason"], "bounced");
        assert!(suppression(&room)["note"].as_str().unwrap().starts_with("550 5.1.1"));

        // Whoever asks again gets the same page, and no letter; and the link of the first leads to nothing.
        room.sql("DELETE FROM asked");
        assert_eq!(subscribe(&serving, &server, 2).len(), 1);
        assert_eq!(room.sql("UPDATE request SET state = 'over' WHERE state = 'open'"), 0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_had_arrived_whatever_bounces_afterwards() {
    let server = Server::start(Script::default()).await;
    tokio::task::block_in_place(|| {
        let room = newsroom();
        let serving = room.serve(&["--no-press", "--transport", &format!("smtp://{}", server.address)]);
        let letters = subscribe(&serving, &server, 1);
        assert_eq!(room.sql("UPDATE request SET state = 'confirmed', due = NULL"), 1);
        let path = return_path(&letters[0]);
        let told = pipe(&room, &["returns", "-"], &case("postfix/unknown-user", &path)).fine().out;
        assert!(told.contains("1 hard bounce") && !told.contains("suppressed"), "{told}");
        assert!(suppression(&room).is_null());
        // A complaint is a wish, and holds all the same.
        let told = pipe(&room, &["returns", "-"], &case("complaints/yahoo-cfl", &path)).fine().out;
        assert!(told.contains("1 complaint; 1 reader suppressed"), "{told}");
        assert_eq!(suppression(&room)["reason"], "complained");
        // Of requests that are thrown away nothing is known any more.
        room.sql("DELETE FROM request");
        let told = pipe(&room, &["returns", "-"], &case("qmail/no-mailbox", &path)).fine().out;
        assert!(told.contains("1 about no mail of ours"), "{told}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_to_an_editor_that_bounces_is_told_and_suppresses_nobody() {
    let server = Server::start(Script::default()).await;
    tokio::task::block_in_place(|| {
        let room = newsroom();
        let editor = "editor@small-paper.example";
        room.replace("config.yaml", "    approval:", &format!("    editors: [{editor}]\n    approval:"));
        room.run(&["--transport", &format!("smtp://{}", server.address), "run"]).fine();
        let letter = server.kept().into_iter().find(|mail| mail.to == editor).unwrap();
        let path = return_path(&letter);
        let read = || pipe(&room, &["returns", "-"], &case("postfix/unknown-user", &path)).fine();
        let ran = read();
        assert!(ran.out.contains("1 hard bounce") && !ran.out.contains("suppressed"), "{ran:?}");
        assert!(ran.err.contains("letter to an editor"), "{ran:?}");
        assert!(read().out.contains("1 read before"));
        assert_eq!(room.count("returned IS NOT NULL"), 0);
    });
}
