//! The real program is killed while it reads what came back, at moments that nobody has chosen, again and again: nothing is lost,
//! and nothing is counted twice.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::imap::inbox;
use super::{case, return_path, sent};
use crate::support::dovecot::Dovecot;
use crate::support::room::Room;

const READERS: usize = 240;
/// Beside one bounce of each reader.
const AGAIN: usize = 30;
const PEOPLE: usize = 20;

/// A number below this, by chance.
fn chance(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

/// A bounce of every reader, some of them twice, and some mails that nobody understands.
fn mails(room: &Room) -> Vec<String> {
    let bounce = |n| case("postfix/unknown-user", &return_path(room, 1, n));
    let person = |n| format!("From: ana@example.net\nSubject: Re: News\n\nI liked the {n}th piece.\n");
    let mut mails: Vec<String> = (1..=READERS).chain(1..=AGAIN).map(bounce).collect();
    mails.extend((0..PEOPLE).map(person));
    mails
}

/// So many are in the ledger.
fn filed(room: &Room) -> usize {
    let ledger = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let count: i64 = ledger.query_row("SELECT count(*) FROM returned", [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}

/// What must be true when all is read, however often it was begun.
fn all_there(room: &Room) {
    assert_eq!(filed(room), READERS);
    assert_eq!(room.count("returned = 8"), READERS);
    let kept = std::fs::read_dir(room.path("var/returns/unreadable")).unwrap();
    let kept = kept.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "eml"));
    assert_eq!(kept.count(), PEOPLE);
    let suppressed = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let count = "SELECT count(*) FROM suppression WHERE reason = 'bounced'";
    assert_eq!(suppressed.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), i64::try_from(READERS).unwrap());
}

/// Begins to read, and kills it some time after something of it was filed; until one is not killed. Answers how often one was.
fn killed_until_done(room: &Room, arguments: &[&str]) -> usize {
    for kills in 0..100 {
        let before = filed(room);
        let mut child = room.start(arguments);
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() && filed(room) == before && begun.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // From just before the inbox is told to far in the next batch.
        std::thread::sleep(Duration::from_micros(chance(40_000)));
        let _ = child.kill();
        if child.wait().unwrap().success() {
            return kills;
        }
    }
    panic!("it never ends");
}

#[test]
fn a_maildir_is_read_whole_by_one_that_is_killed_again_and_again() {
    for _ in 0..3 {
        let room = sent(READERS, "");
        for (n, mail) in mails(&room).iter().enumerate() {
            room.write(&format!("mail/new/{n:06}.x"), mail);
        }
        let kills = killed_until_done(&room, &["returns", "mail"]);
        assert!(kills > 0, "nobody was killed");
        all_there(&room);
        let count = |name: &str| std::fs::read_dir(room.path(name)).unwrap().count();
        assert_eq!((count("mail/new"), count("mail/cur")), (0, READERS + AGAIN + PEOPLE));
    }
}

#[test]
fn an_mbox_is_read_whole_by_one_that_is_killed_again_and_again() {
    for _ in 0..3 {
        let room = sent(READERS, "");
        let mails =
            mails(&room).into_iter().map(|mail| format!("From MAILER-DAEMON Fri Mar  6 07:00:00 2026\n{mail}\n"));
        room.write("mail.mbox", &mails.collect::<String>());
        let kills = killed_until_done(&room, &["returns", "mail.mbox"]);
        assert!(kills > 0, "nobody was killed");
        all_there(&room);
        assert!(room.run(&["returns", "mail.mbox"]).fine().out.contains("0 mails read"));
    }
}

#[test]
fn a_mailbox_is_read_whole_by_one_that_is_killed_again_and_again() {
    let room = sent(READERS, "");
    let dovecot = Dovecot::start();
    dovecot.put_all(&mails(&room));
    inbox(&room, &format!("imap://desk@127.0.0.1:{}", dovecot.imap), "  filed: Filed\n");
    let kills = killed_until_done(&room, &["returns"]);
    assert!(kills > 0, "nobody was killed");
    all_there(&room);
    // What was marked by one that was killed before it could move it stays where it is, and is read.
    let (here, there) = (dovecot.files(""), dovecot.files(".Filed"));
    assert_eq!(here.len() + there.len(), READERS + AGAIN + PEOPLE);
    assert!(here.iter().all(|name| name.contains('S')), "{here:?}");
}

/// As a mail server does it: what was not taken (any other exit code than 0) is handed over again.
#[test]
fn standard_input_is_taken_whole_or_handed_over_again() {
    let room = sent(READERS, "");
    let mails = mails(&room);
    let mut kills = 0;
    for mail in mails[..40].iter().chain(&mails[READERS..READERS + 10]).chain(&mails[READERS + AGAIN..][..5]) {
        let mut tries = 0;
        loop {
            let mut child =
                room.command(&["returns", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            let (half, rest) = mail.split_at(mail.len() / 2);
            let _ = input.write_all(half.as_bytes());
            let killed = tries < 3 && chance(2) == 0;
            if killed && chance(5) == 0 {
                child.kill().unwrap();
            }
            let _ = input.write_all(rest.as_bytes());
            drop(input);
            if killed {
                std::thread::sleep(Duration::from_micros(chance(60_000)));
                let _ = child.kill();
            }
            let ended = child.wait().unwrap();
            if ended.success() {
                break;
            }
            assert!(killed, "{ended}");
            (tries, kills) = (tries + 1, kills + 1);
        }
    }
    assert!(kills > 0, "nobody was killed");
    assert_eq!((filed(&room), room.count("returned = 8")), (40, 40));
    let kept = std::fs::read_dir(room.path("var/returns/unreadable")).unwrap();
    let whole = |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| mails[READERS + AGAIN..].contains(&text));
    let kept: Vec<_> = kept.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "eml")).collect();
    assert!(kept.len() == 5 && kept.iter().all(|path| whole(path)), "{kept:?}");
}
