//! Several machines whose timers go off at the same moment: one edition of what is new, and one letter to each editor.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Victim, ended};
use crate::support::postgres;
use crate::support::room::{Room, address};
use crate::support::smtp_server::{Act, Moment, Script, Server};

const READERS: usize = 3;
const ROUNDS: usize = 8;
const EDITORS: [&str; 2] = ["one@small-paper.example", "two@small-paper.example"];

/// So many machines with one newsroom, one database and the same keys.
fn machines(count: usize, database: &postgres::Database) -> Vec<Room> {
    let rooms: Vec<Room> = (0..count).map(|_| Room::small(READERS)).collect();
    for room in &rooms {
        room.replace("config.yaml", "press:\n", &format!("ledger: {}\npress:\n  lease: 2s\n", database.url()));
        let editors = format!("    editors: [{}]\n    approval:", EDITORS.join(", "));
        room.replace("config.yaml", "    approval:", &editors);
        room.replace("config.yaml", "0 7 * * FRI", "* * * * *");
    }
    // The first makes the keys.
    rooms[0].run(&["schedule"]).fine();
    for room in &rooms[1..] {
        for key in ["var/link.keys", "var/erasure.key"] {
            if rooms[0].path(key).exists() {
                room.write(key, &rooms[0].read(key));
            }
        }
    }
    rooms
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_that_begin_together_make_one_edition_and_tell_each_editor_once() {
    let Some(database) = postgres::database() else { return };
    let postgres = postgres::server().unwrap();
    let sql = |statement: &str| postgres.sql(&database.options.database, statement);
    let rooms = machines(3, &database);
    let relay = Server::start(Script::default()).await;
    let transport = format!("smtp://{}", relay.address);
    for round in 1..=ROUNDS {
        let (name, date) = (format!("piece{round}"), format!("2026-03-{:02}T08:00:00Z", round + 1));
        for room in &rooms {
            room.article(&name, &format!("Piece {round}"), &date, "Text.");
        }
        // Asked for by people, and due by the schedule: the moment of that is the same for all.
        let mut arguments = vec!["--transport", &transport, "run"];
        if round % 2 == 0 {
            arguments.push("--now");
        } else {
            sql("DELETE FROM schedule_run; INSERT INTO schedule_run
                 VALUES ('news', (extract(epoch FROM now()) * 1000)::bigint - 180000)");
        }
        let all: Vec<_> = rooms.iter().map(|room| room.start(&arguments)).collect();
        for one in all {
            // 4: something was under way elsewhere when this one had nothing left to do.
            let code = ended(one).await.code();
            assert!(matches!(code, Some(0 | 4)), "round {round}: {code:?}");
        }
        assert_eq!(sql("SELECT count(*) FROM edition"), round.to_string(), "round {round}");
    }
    tokio::task::block_in_place(|| rooms[0].run(&["--transport", &transport, "work", "--until-done"]).fine());
    assert_eq!(sql("SELECT count(*) FROM edition WHERE state <> 'sent'"), "0");
    let twice = "SELECT count(*) FROM (SELECT article FROM edition_piece WHERE choice = 'carried'
                 GROUP BY article HAVING count(*) > 1) AS more";
    assert_eq!(sql(twice), "0");
    let mut got: BTreeMap<String, usize> = BTreeMap::new();
    for mail in relay.kept() {
        *got.entry(mail.to).or_default() += 1;
    }
    let expected = (1..=READERS).map(address).chain(EDITORS.map(str::to_owned));
    assert_eq!(got, expected.map(|to| (to, ROUNDS)).collect());
}

/// The server has the letter, and the process that sent it is killed before it can write that down.
async fn letter_whose_sender_is_killed(room: &Room, before_the_lease_is_over: impl Fn(&str)) {
    let (victim, once) = (Victim::default(), AtomicBool::new(false));
    let target = victim.clone();
    let decide = move |at: &crate::support::smtp_server::At<'_>| {
        if at.moment == Moment::Dot && at.to.contains(EDITORS[0]) && !once.swap(true, Ordering::SeqCst) {
            target.signal("-KILL");
            return Act::KeepAndClose;
        }
        Act::Usual
    };
    let relay = Server::start(Script { decide: Box::new(decide), ..Script::default() }).await;
    let transport = format!("smtp://{}", relay.address);
    let child = room.start(&["--transport", &transport, "run", "--now"]);
    victim.0.store(child.id(), Ordering::SeqCst);
    assert_eq!(ended(child).await.code(), None, "it was not killed");
    tokio::task::block_in_place(|| before_the_lease_is_over(&transport));
    let ran = tokio::task::block_in_place(|| room.run(&["--transport", &transport, "run"]).fine());
    let letters =
        |to: &str| relay.kept().into_iter().filter(|mail| mail.to == to).map(|m| m.message).collect::<Vec<_>>();
    assert!(ran.out.contains("1 of them perhaps for the second time"), "{ran:?}");
    let (first, second) = (letters(EDITORS[0]), letters(EDITORS[1]));
    assert_eq!((first.len(), second.len()), (2, 1));
    let id = |mail: &[u8]| mail_parser::MessageParser::default().parse(mail).unwrap().message_id().unwrap().to_owned();
    assert_eq!(id(&first[0]), id(&first[1]), "a mail program can tell that it is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_sender_is_killed_goes_out_again_and_that_is_told_on_a_file() {
    let room = Room::small(READERS);
    room.replace("config.yaml", "    approval:", &format!("    editors: [{}]\n    approval:", EDITORS.join(", ")));
    letter_whose_sender_is_killed(&room, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_sender_is_killed_goes_out_again_and_that_is_told_on_a_server() {
    let Some(database) = postgres::database() else { return };
    let rooms = machines(1, &database);
    letter_whose_sender_is_killed(&rooms[0], |transport| {
        // Whoever took it may be alive: only the other letter goes.
        let ran = rooms[0].run(&["--transport", transport, "run"]).fine();
        assert!(ran.out.contains("1 letter sent") && !ran.out.contains("second time"), "{ran:?}");
        std::thread::sleep(Duration::from_millis(2100));
    })
    .await;
}
