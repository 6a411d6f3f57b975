//! Mails are signed by the domain that they come from, ahead or as they are sent, and hold when others verify them.

use pressrun::mail::dkim::DnsRecord;
use pressrun::press::{Stop, sign_ahead};
use pressrun::store::SqliteStore;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::conformance;
use crate::dkim::{dkimpy, mail_auth};
use crate::schedule::quiet;
use crate::support::room::{Room, address, recipient};
use crate::support::serving::outbox;
use crate::support::smtp_server::{Script, Server};

const DOMAIN: &str = "small-paper.example";

/// Makes a key as the documentation says; answers the record to publish.
pub fn new_key(room: &Room, selector: &str, more: &[&str]) -> DnsRecord {
    let arguments = ["--json", "dkim", "new", "--domain", DOMAIN, "--selector", selector, "--to", "keys"];
    let told = room.run(&[&arguments, more].concat()).fine().out;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let text = |key: &str| told["record"][key].as_str().unwrap().to_owned();
    DnsRecord { name: text("name"), value: text("value"), zone_file: text("zone_file") }
}

/// Names these keys in the configuration, instead of others.
pub fn sign_with(room: &Room, selectors: &[&str]) {
    let config = room.read("config.yaml");
    let (before, _) = config.split_once("dkim:").unwrap_or((&config, ""));
    let key = |s: &&str| format!("    - {{selector: {s}, file: keys/{s}.{DOMAIN}.pem}}\n");
    let keys: String = selectors.iter().map(key).collect();
    room.write("config.yaml", &format!("{before}dkim:\n  keys:\n{keys}"));
}

/// A newsroom that signs with RSA and Ed25519, and the records.
fn signing(readers: usize) -> (Room, Vec<DnsRecord>) {
    let room = Room::small(readers);
    let records = vec![new_key(&room, "rsa1", &[]), new_key(&room, "ed1", &["--ed25519"])];
    sign_with(&room, &["rsa1", "ed1"]);
    (room, records)
}

/// The bytes of the mails in the outbox.
fn mails(room: &Room) -> Vec<Vec<u8>> {
    room.outbox().into_iter().map(|(_, mail)| mail).collect()
}

/// Both verifiers hold all of these signatures of each mail.
#[track_caller]
fn hold(mails: &[Vec<u8>], records: &[DnsRecord]) {
    assert!(!mails.is_empty());
    let all = vec![true; records.len()];
    assert!(mails.iter().all(|mail| mail_auth(mail, records) == all));
    if let Some(held) = dkimpy(mails, records) {
        assert_eq!(held, vec![all; mails.len()]);
    }
}

/// How many signatures are kept in the ledger.
fn kept(room: &Room) -> i64 {
    let ledger = Connection::open(room.path("var/ledger.sqlite")).unwrap();
    ledger.query_row("SELECT count(*) FROM signature", [], |row| row.get(0)).unwrap()
}

/// Makes an edition that waits for its sending, signed ahead.
fn approved(readers: usize) -> (Room, Vec<DnsRecord>) {
    let (room, records) = signing(readers);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    let told = room.run(&["edition", "approve", "1"]).fine().out;
    assert!(told.contains(&format!("{readers} mails ahead")), "{told}");
    (room, records)
}

#[test]
fn an_edition_that_waits_for_quiet_hours_to_end_is_signed_meanwhile() {
    let (room, records) = signing(3);
    let quiet = quiet(-60, 120);
    room.replace("config.yaml", "    time_zone: UTC\n", &format!("    time_zone: UTC\n{quiet}"));
    let told = room.run(&["run"]).fine().out;
    assert!(told.contains("3 mails ahead") && told.contains("quiet hours until"), "{told}");
    assert_eq!((kept(&room), room.path("outbox").exists()), (3, false));
    room.replace("config.yaml", &quiet, "");
    room.run(&["send", "news"]).fine();
    hold(&mails(&room), &records);
}

/// Sends what waits; answers the mails, sorted, and what they were without their signatures being kept.
fn sent_as_kept_and_in_line(room: &Room) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    // Nobody has it open, so all of it is in the one file.
    assert!(!room.path("var/ledger.sqlite-wal").exists());
    std::fs::copy(room.path("var/ledger.sqlite"), room.path("var/before.sqlite")).unwrap();
    room.run(&["send", "news"]).fine();
    let first = mails(room);
    std::fs::remove_dir_all(room.path("outbox")).unwrap();
    std::fs::copy(room.path("var/before.sqlite"), room.path("var/ledger.sqlite")).unwrap();
    let ledger = Connection::open(room.path("var/ledger.sqlite")).unwrap();
    assert!(ledger.execute("DELETE FROM signature", []).unwrap() > 0);
    drop(ledger);
    room.run(&["send", "news"]).fine();
    (first, mails(room))
}

#[test]
fn every_mail_of_a_run_is_signed_by_the_senders_domain_with_both_keys() {
    let (room, records) = signing(5);
    room.run(&["run"]).fine();
    let mails = mails(&room);
    assert_eq!(mails.len(), 5);
    hold(&mails, &records);
    for mail in &mails {
        let text = String::from_utf8_lossy(mail);
        assert_eq!(text.matches("\r\nDKIM-Signature:").count() + 1, 2);
        assert!(text.starts_with("DKIM-Signature:") && text.matches(&format!("d={DOMAIN};")).count() == 2, "{text}");
        assert!(text.contains(&format!("@{DOMAIN}>\r\n")));
    }
    assert_eq!(kept(&room), 0, "nobody needs the signatures of an edition that is sent");
}

#[test]
fn what_a_mail_server_takes_is_signed_too() {
    let (room, records) = signing(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(Script::default()));
    let transport = format!("smtp://127.0.0.1:{}", server.address.port());
    room.run(&["--transport", &transport, "run"]).fine();
    let mails: Vec<Vec<u8>> = server.kept().into_iter().map(|mail| mail.message).collect();
    assert_eq!(mails.len(), 3);
    hold(&mails, &records);
}

#[test]
fn previews_and_test_mails_are_signed() {
    let (room, records) = signing(1);
    room.run(&["preview", "news", "--to", "preview"]).fine();
    hold(&[std::fs::read(room.path("preview/news-1.eml")).unwrap()], &records);
    room.run(&["send", "news", "--test", "desk@small-paper.example"]).fine();
    hold(&mails(&room), &records);
}

#[test]
fn a_mail_signed_ahead_has_the_bytes_of_one_signed_as_it_is_sent() {
    let (room, records) = approved(7);
    assert_eq!(kept(&room), 7);
    // Again changes nothing.
    room.run(&["edition", "approve", "1"]).fine();
    assert_eq!(kept(&room), 7);
    let (ahead, in_line) = sent_as_kept_and_in_line(&room);
    assert_eq!(ahead.len(), 7);
    assert!(ahead == in_line);
    hold(&ahead, &records);
    assert_eq!(kept(&room), 0);
}

/// The ledger's signature is what goes out: with one that has a changed byte, and everything else as it was, no mail holds.
#[test]
fn signatures_made_ahead_are_used() {
    let (room, records) = approved(2);
    let ledger = Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let mut bytes: Vec<u8> = ledger.query_row("SELECT bytes FROM signature LIMIT 1", [], |row| row.get(0)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    ledger
        .execute("UPDATE signature SET bytes = ?1 WHERE delivery = (SELECT min(delivery) FROM signature)", [bytes])
        .unwrap();
    drop(ledger);
    room.run(&["send", "news"]).fine();
    let held: Vec<_> = mails(&room).iter().map(|mail| mail_auth(mail, &records)).collect();
    assert!(held.contains(&vec![true, false]) && held.contains(&vec![true, true]), "{held:?}");
}

#[test]
fn after_a_change_of_the_key_or_a_name_mails_are_signed_anew() {
    let (room, _) = approved(4);
    let ledger = Connection::open(room.path("var/ledger.sqlite")).unwrap();
    ledger.execute("UPDATE subscriber SET name = 'A New Name' WHERE key = ?1", [address(2)]).unwrap();
    drop(ledger);
    let records = [new_key(&room, "rsa2", &[])];
    sign_with(&room, &["rsa2"]);
    room.run(&["send", "news"]).fine();
    let mails = mails(&room);
    assert_eq!(mails.len(), 4);
    hold(&mails, &records);
    assert!(mails.iter().any(|mail| String::from_utf8_lossy(mail).contains("A New Name")));

    let (room, records) = approved(3);
    let ledger = Connection::open(room.path("var/ledger.sqlite")).unwrap();
    ledger.execute("UPDATE subscriber SET name = 'Another Name' WHERE key = ?1", [address(1)]).unwrap();
    drop(ledger);
    room.run(&["send", "news"]).fine();
    hold(&self::mails(&room), &records);
}

#[test]
fn a_withdrawn_edition_leaves_no_signatures() {
    let (room, _) = approved(3);
    room.run(&["edition", "withdraw", "1"]).fine();
    assert_eq!(kept(&room), 0);
}

#[test]
fn without_its_key_nothing_is_sent_and_what_to_do_is_told() {
    let (room, records) = signing(2);
    let key = room.path(&format!("keys/rsa1.{DOMAIN}.pem"));
    let away = room.path("away.pem");
    std::fs::rename(&key, &away).unwrap();
    room.run(&["check"]).failed(1, &["rsa1.small-paper.example.pem", "pressrun dkim new"]);
    room.run(&["build"]).fine();
    room.run(&["run"]).failed(3, &["rsa1.small-paper.example.pem", "cannot be used", "pressrun dkim new"]);
    assert!(room.outbox().is_empty());

    // With the key back, the same edition goes out.
    std::fs::rename(&away, &key).unwrap();
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 2);
    hold(&mails(&room), &records);

    std::fs::write(&key, "no key").unwrap();
    room.article("second", "The second piece", "2026-04-01T08:00:00Z", "More news.");
    room.run(&["send", "news", "--test", "desk@small-paper.example"]).failed(3, &["PEM"]);
}

#[test]
fn an_edition_that_could_not_be_signed_is_not_approved() {
    let (room, _) = signing(1);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    std::fs::remove_file(room.path(&format!("keys/ed1.{DOMAIN}.pem"))).unwrap();
    room.run(&["edition", "approve", "1"]).failed(3, &["ed1.small-paper.example.pem"]);
    assert!(room.run(&["edition", "list"]).fine().out.contains("a draft"));
}

/// Stopped in the middle, signing ahead goes on where it was, and signs nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_ahead_can_be_stopped_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("ledger.sqlite")).unwrap();
    let names: Vec<String> = (0..2_500).map(|n| format!("r{n:04}")).collect();
    let edition = conformance::approved(&store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let signed = Arc::new(AtomicUsize::new(0));
    let stop = Stop::default();
    let sign = |stop: &Stop| {
        let (signed, stop) = (Arc::clone(&signed), stop.clone());
        move |_: &_| {
            if signed.fetch_add(1, Ordering::Relaxed) == 1_500 {
                stop.set();
            }
            Some(b"signed".to_vec())
        }
    };
    // What cannot be signed is left to who sends.
    assert_eq!(sign_ahead(&store, edition, |_| None, &stop).await.unwrap(), 0);
    assert_eq!(sign_ahead(&store, edition, sign(&stop), &stop).await.unwrap(), 2_000);
    let stop = Stop::default();
    assert_eq!(sign_ahead(&store, edition, sign(&stop), &stop).await.unwrap(), 500);
    assert_eq!(sign_ahead(&store, edition, sign(&stop), &stop).await.unwrap(), 0);
    assert_eq!(signed.load(Ordering::Relaxed), 2_500);
}

#[test]
fn letters_to_readers_and_to_editors_are_signed_like_the_editions() {
    let (room, records) = signing(1);
    room.replace(
        "config.yaml",
        "newsroom:\n",
        "serve: { fill_time: 0s }\nnewsroom:\n  editors: [desk@small-paper.example]\n",
    );
    room.run(&["run", "--now"]).fine();
    let serving = room.serve(&["--no-press"]);
    serving.subscribe("nadia%40example.org", "news");
    outbox(&room, 3);
    assert!(serving.stop().success());
    let mut to: Vec<String> = room.outbox().iter().map(|(_, mail)| recipient(mail)).collect();
    to.sort();
    assert_eq!(to, ["desk@small-paper.example", "nadia@example.org", "reader00001@example.net"]);
    hold(&mails(&room), &records);
}
