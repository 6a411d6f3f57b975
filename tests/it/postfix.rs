//! A real Postfix as relay: STARTTLS, a login, mailboxes. What it delivers is what was approved, byte for byte.

use std::path::Path;

use crate::dkim::{dkimpy, mail_auth};
use crate::signed_mails::{new_key, sign_with};
use crate::support::postfix::{Postfix, Setup};
use crate::support::room::{Room, recipient};

const READERS: usize = 30;
/// Only a server with SMTPUTF8 (RFC 6531) takes mail for her.
const UNICODE: &str = "zoë@example.net";
const UNKNOWN: &str = "nobody.of.that.name@example.net";

/// A newsroom whose mails are signed, with readers at Postfix, one of them beyond ASCII, and one whom Postfix does not know.
fn room_and_mailboxes() -> (Room, Vec<pressrun::mail::dkim::DnsRecord>, Vec<String>) {
    let room = Room::small(READERS);
    let records = vec![new_key(&room, "rsa1", &[]), new_key(&room, "ed1", &["--ed25519"])];
    sign_with(&room, &["rsa1", "ed1"]);
    let mut mailboxes: Vec<String> = (1..=READERS).map(crate::support::room::address).collect();
    mailboxes.push(UNICODE.to_owned());
    let list = format!("{}{UNICODE},confirmed\n{UNKNOWN},confirmed\n", room.read("subscribers.csv"));
    room.write("subscribers.csv", &list);
    (room, records, mailboxes)
}

fn start(mailboxes: &[String]) -> Postfix {
    let mailboxes: Vec<&str> = mailboxes.iter().map(String::as_str).collect();
    Postfix::start(&Setup { mailboxes: &mailboxes, ..Setup::default() })
}

/// Makes this Postfix the newsroom's relay.
fn relay(room: &Room, postfix: &Postfix, address: &str, password: &str) {
    room.write("password", password);
    room.write("config.yaml", &{
        let config = room.read("config.yaml");
        let config = config.split("\ntransport:").next().unwrap().trim_end().to_owned();
        let trust = postfix.trust.display();
        format!("{config}\ntransport: {address}\nsmtp:\n  password_file: password\n  trust: {trust}\n")
    });
}

/// A mail as a Maildir has it: without what Postfix writes before it, and with its line ends.
fn as_sent(stored: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(stored.to_vec()).unwrap();
    let at = text.find("DKIM-Signature:").expect("a signed mail begins with its signature");
    for line in text[..at].lines() {
        let own = ["Return-Path:", "X-Original-To:", "Delivered-To:", "Received:", " ", "\t"];
        assert!(own.iter().any(|name| line.starts_with(name)), "{line}");
    }
    text[at..].replace('\n', "\r\n").into_bytes()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_edition_reaches_the_mailboxes_byte_for_byte_and_its_signatures_hold() {
    let (room, records, mailboxes) = room_and_mailboxes();
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    room.run(&["edition", "approve", "1"]).fine();
    // What it has to be: the same edition, into a folder.
    copy(&room.path("var"), &room.path("before"));
    room.run(&["send", "news"]).fine();
    let wanted: std::collections::HashMap<String, Vec<u8>> =
        room.outbox().into_iter().map(|(_, mail)| (recipient(&mail), mail)).collect();
    std::fs::remove_dir_all(room.path("var")).unwrap();
    copy(&room.path("before"), &room.path("var"));

    let postfix = start(&mailboxes);
    relay(&room, &postfix, &format!("smtp://desk@localhost:{}", postfix.submission), "a good secret");
    let sent = room.run(&["send", "news"]).fine();
    assert!(sent.out.contains(&format!("{} accepted", READERS + 1)) && sent.out.contains("1 refused"), "{sent:?}");
    postfix.wait_until_idle();
    let mut delivered = vec![];
    for address in &mailboxes {
        let mails = postfix.wait_for(address, 1);
        assert_eq!(mails.len(), 1, "{address}");
        assert!(String::from_utf8_lossy(&mails[0]).contains("(using TLS"), "{address} came in the clear");
        let mail = as_sent(&mails[0]);
        assert_eq!(String::from_utf8_lossy(&mail), String::from_utf8_lossy(&wanted[address]), "{address}");
        delivered.push(mail);
    }
    assert!(delivered.iter().all(|mail| mail_auth(mail, &records) == [true, true]));
    if let Some(held) = dkimpy(&delivered, &records) {
        assert_eq!(held, vec![vec![true, true]; delivered.len()]);
    }

    let told = room.run(&["ledger", "show", "1", "--address", UNKNOWN]).fine().out;
    assert!(told.contains("refused by the mail server") && told.contains("550 5.1.1"), "{told}");
    let told = room.run(&["ledger", "show", "1", "--address", UNICODE]).fine().out;
    assert!(told.contains("accepted") && told.contains("queued as"), "{told}");
}

#[test]
fn tls_from_the_first_byte_works_too_and_a_wrong_password_is_told() {
    let (room, _, mailboxes) = room_and_mailboxes();
    let postfix = start(&mailboxes);
    relay(&room, &postfix, &format!("smtps://desk@localhost:{}", postfix.submissions), "a wrong secret");
    room.run(&["run"]).failed(3, &["refuses the login", "authentication failed"]);
    assert_eq!(room.count("state = 0"), READERS + 2, "it costs nobody a try");
    relay(&room, &postfix, &format!("smtps://desk@localhost:{}", postfix.submissions), "a good secret");
    room.run(&["run"]).fine();
    postfix.wait_until_idle();
    assert!(mailboxes.iter().all(|address| postfix.wait_for(address, 1).len() == 1));
}

#[test]
fn a_server_that_knows_one_way_to_log_in_is_logged_in_to() {
    for way in ["plain", "login"] {
        let more = format!("smtpd_sasl_mechanism_filter = {way}");
        let setup = Setup { mailboxes: &["reader00001@example.net"], more: &more, ..Setup::default() };
        let postfix = Postfix::start(&setup);
        let room = Room::small(1);
        relay(&room, &postfix, &format!("smtp://desk@localhost:{}", postfix.submission), "a good secret");
        room.run(&["run"]).fine();
        let mails = postfix.wait_for("reader00001@example.net", 1);
        assert_eq!(mails.len(), 1);
        let log = postfix.log();
        let method = format!("sasl_method={}, sasl_username=desk@localhost", way.to_uppercase());
        assert!(log.contains(&method), "{method} is missing: {log}");
    }
}

#[test]
fn a_postfix_that_takes_all_returns_what_nobody_gets() {
    let mailboxes = ["ana@example.net", "bounces@small-paper.example"];
    let postfix = Postfix::start(&Setup { mailboxes: &mailboxes, returns: true, ..Setup::default() });
    let room = Room::small(0);
    room.write("subscribers.csv", &format!("email,state\nana@example.net,confirmed\n{UNKNOWN},confirmed\n"));
    relay(&room, &postfix, &format!("smtp://desk@127.0.0.1:{}", postfix.submission), "a good secret");
    assert!(room.run(&["run"]).fine().out.contains("2 accepted"));
    postfix.wait_until_idle();
    assert_eq!(postfix.mails("ana@example.net").len(), 1);
    let returned = postfix.wait_for("bounces@small-paper.example", 1);
    let text = String::from_utf8_lossy(&returned[0]);
    for words in ["report-type=delivery-status", &format!("Final-Recipient: rfc822; {UNKNOWN}"), "Status: 5.1.1"] {
        assert!(text.contains(words), "{words:?} is missing: {text}");
    }
}
