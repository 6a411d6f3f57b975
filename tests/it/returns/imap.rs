//! A mailbox on a real IMAP server.

use super::{PATTERN, case, return_path, sent};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::room::Room;

const PERSON: &str = "From: ana@example.net\nSubject: Re: News\n\nI liked it.\n";

/// Makes a mailbox the newsroom's inbox.
fn inbox(room: &Room, inbox: &str, more: &str) {
    let config = room.read("config.yaml");
    let config = config.split("returns:").next().unwrap();
    room.write("password", PASSWORD);
    room.write(
        "config.yaml",
        &format!("{config}returns:\n  address: {PATTERN}\n  inbox: {inbox}\n  password_file: password\n{more}"),
    );
}

#[test]
fn a_mailbox_is_read_once_and_its_mails_are_moved_where_the_operator_wants_them() {
    let room = sent(2, "");
    let dovecot = Dovecot::start();
    let bounce = |n| case("postfix/unknown-user", &return_path(&room, 1, n));
    for (name, mail) in [("1.bounce", bounce(1)), ("2.away", case("automatic/vacation", "x@y.example"))] {
        dovecot.put(name, &mail);
    }
    dovecot.put("3.person", PERSON);
    let trust = format!("  trust: {}\n  filed: Filed\n", dovecot.trust.display());
    inbox(&room, &format!("imaps://desk@localhost:{}/INBOX", dovecot.imaps), &trust);
    let told = room.run(&["returns"]).fine().out;
    assert!(told.contains("3 mails read, 0 unsubscribed, 1 hard bounce, 1 automatic answer, 1 kept aside"), "{told}");
    // What nobody understands stays, flagged; the rest is where it was wanted.
    let left = dovecot.files("");
    assert!(left.len() == 1 && left[0].starts_with("3.person") && left[0].ends_with(":2,FS"), "{left:?}");
    assert_eq!(dovecot.files(".Filed").len(), 2);
    assert!(room.run(&["returns"]).fine().out.contains("0 mails read"));

    // In the clear on this machine, and nothing is moved; the same mail once more changes nothing.
    dovecot.put("4.again", &bounce(1));
    dovecot.put("5.other", &bounce(2));
    inbox(&room, &format!("imap://desk@127.0.0.1:{}", dovecot.imap), "");
    let told = room.run(&["returns"]).fine().out;
    assert!(told.contains("2 mails read, 0 unsubscribed, 1 hard bounce, 1 read before"), "{told}");
    assert!(dovecot.files("").iter().all(|name| name.ends_with('S')), "{:?}", dovecot.files(""));
    assert_eq!((dovecot.files("").len(), room.count("returned = 8")), (3, 2));
}

#[test]
fn a_server_that_cannot_be_trusted_or_refuses_us_is_told_and_nothing_is_lost() {
    let room = sent(1, "");
    let dovecot = Dovecot::start();
    dovecot.put("1.bounce", &case("postfix/unknown-user", &return_path(&room, 1, 1)));
    inbox(&room, &format!("imaps://desk@localhost:{}", dovecot.imaps), "");
    room.run(&["returns"]).failed(3, &["cannot be trusted"]);
    let trust = format!("  trust: {}\n", dovecot.trust.display());
    inbox(&room, &format!("imaps://desk@localhost:{}", dovecot.imaps), &trust);
    room.write("password", "a guess");
    room.run(&["returns"]).failed(3, &["refuses the login", "PRESSRUN_IMAP_PASSWORD"]);
    inbox(&room, &format!("imaps://desk@localhost:{}/Nowhere", dovecot.imaps), &trust);
    room.run(&["returns"]).failed(4, &["unreachable"]);
    inbox(&room, "imap://desk@localhost:1", "");
    room.run(&["returns"]).failed(4, &["unreachable"]);
    inbox(&room, &format!("imaps://desk@localhost:{}", dovecot.imaps), &trust);
    assert!(room.run(&["returns"]).fine().out.contains("1 hard bounce"));
}
