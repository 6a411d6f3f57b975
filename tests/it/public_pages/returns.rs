//! Leaving by mail, with the real program.

use std::io::Write;
use std::process::Stdio;

use crate::support::room::{Room, address, recipient};

/// The mailto link of a mail's List-Unsubscribe: its subject.
fn subject(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail).replace("\r\n ", " ");
    let link = text.split("<mailto:").nth(1).unwrap().split('>').next().unwrap();
    link.split("subject=").nth(1).unwrap().to_owned()
}

fn leaving(room: &Room, n: usize) -> String {
    let outbox = room.outbox();
    let (_, mail) = outbox.iter().find(|(_, mail)| recipient(mail) == address(n)).unwrap();
    format!("From: {}\r\nTo: unsubscribe@small-paper.example\r\nSubject: {}\r\n\r\n", address(n), subject(mail))
}

#[test]
fn a_mail_to_the_unsubscribe_mailbox_unsubscribes_from_standard_input_and_from_a_maildir() {
    let room = Room::small(3);
    room.run(&["run", "--now"]).fine();
    assert_eq!(room.mailed().len(), 3);

    let mut child = room.command(&["returns"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(leaving(&room, 1).as_bytes()).unwrap();
    let told = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(told.contains("1 mail read, 1 unsubscribed"), "{told}");

    room.write("mail/new/1.a", &leaving(&room, 2));
    room.write("mail/new/2.b", "Subject: Out of office\r\n\r\nBack on Monday.\r\n");
    assert!(room.run(&["returns", "mail"]).fine().out.contains("2 mails read, 1 unsubscribed"));
    assert!(room.path("mail/cur/1.a:2,S").exists() && room.path("mail/cur/2.b:2,FS").exists());
    assert!(room.run(&["returns", "mail"]).fine().out.contains("0 mails read, 0 unsubscribed"));
    room.run(&["returns", "nowhere"]).failed(2, &["no Maildir"]);

    room.article("second", "The second piece", "2026-03-08T08:00:00Z", "More.");
    room.run(&["run", "--now"]).fine();
    let of = |n: usize| room.mailed().iter().filter(|to| **to == address(n)).count();
    assert_eq!((of(1), of(2), of(3)), (1, 1, 2));
}
