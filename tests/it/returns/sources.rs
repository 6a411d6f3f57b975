//! From standard input, a Maildir and an mbox.

use super::{PATTERN, case, pipe, return_path, sent, shown, suppression};
use crate::support::room::{Room, address, recipient};

#[test]
fn a_hard_bounce_a_complaint_and_a_delay_settle_the_right_deliveries_and_no_other() {
    let room = sent(4, "");
    let read = |n, name: &str| pipe(&room, &["returns", "-"], &case(name, &return_path(&room, 1, n))).fine().out;
    let told = read(1, "postfix/unknown-user");
    assert!(told.contains("1 mail read, 0 unsubscribed, 1 hard bounce; 1 reader suppressed"), "{told}");
    assert!(read(2, "complaints/yahoo-cfl").contains("1 complaint; 1 reader suppressed"));
    assert!(read(3, "postfix/delayed").contains("1 delay"));
    let told = room.run(&["ledger", "show", "1"]).fine().out;
    assert!(told.contains("2 accepted, 1 came back, 1 complained of"), "{told}");

    let one = shown(&room, 1, 1);
    assert!(one.contains("accepted by the mail server, and came back"), "{one}");
    assert!(one.contains("came back 550 5.1.1 <ana@example.net>: Recipient address rejected"), "{one}");
    assert!(shown(&room, 1, 2).contains("and complained of"));
    assert!(shown(&room, 1, 3).contains("accepted by the mail server\n") && shown(&room, 1, 3).contains("delayed"));
    let (reason, note) = suppression(&room, 1).unwrap();
    assert!(reason == "bounced" && note.starts_with("550 5.1.1"), "{reason}: {note}");
    assert_eq!(suppression(&room, 2).unwrap().0, "complained");
    assert_eq!((suppression(&room, 3), suppression(&room, 4)), (None, None));
    let held = room.run(&["subscribers", "show", &address(1)]).fine().out;
    let held: serde_json::Value = serde_json::from_str(&held).unwrap();
    assert_eq!(held["deliveries"][0]["state"], "bounced");
    assert_eq!(held["deliveries"][0]["returned"][0]["cause"], "no_mailbox");

    // The same mail once more changes nothing.
    let told = read(1, "postfix/unknown-user");
    assert!(told.contains("1 read before") && !told.contains("suppressed"), "{told}");
    room.article("second", "The second piece", "2026-03-08T08:00:00Z", "More.");
    room.run(&["run", "--now"]).fine();
    let of = |n: usize| room.mailed().iter().filter(|to| **to == address(n)).count();
    assert_eq!((of(1), of(2), of(3), of(4)), (1, 1, 2, 2));
}

#[test]
fn what_is_forged_changes_nothing() {
    let room = sent(1, "");
    let path = return_path(&room, 1, 1);
    // One character of the token another; and that of another newsroom.
    let at = "bounces+".len() + 20;
    let other = if path.as_bytes()[at] == b'a' { "b" } else { "a" };
    let forged = format!("{}{other}{}", &path[..at], &path[at + 1..]);
    for name in ["postfix/unknown-user", "complaints/abuse", "complaints/opt-out", "qmail/no-mailbox"] {
        for path in [forged.as_str(), &path.replace("small-paper", "other-paper")] {
            let told = pipe(&room, &["returns", "-"], &case(name, path)).fine().out;
            assert!(told.contains("1 forged") || told.contains("1 about no mail of ours"), "{name}: {told}");
        }
    }
    assert!(room.run(&["ledger", "show", "1"]).fine().out.contains("1 accepted"));
    assert_eq!(suppression(&room, 1), None);
    assert_eq!(room.count("returned IS NOT NULL"), 0);
    // The sound one is told to `--recipient` only: the mail itself says nothing of it.
    let mute = case("qmail/no-mailbox", "bounces@elsewhere.example");
    assert!(pipe(&room, &["returns", "-"], &mute).fine().out.contains("1 about no mail of ours"));
    let told = pipe(&room, &["returns", "-", "--recipient", &path.to_uppercase()], &mute).fine().out;
    assert!(told.contains("1 hard bounce"), "{told}");
}

/// The mails went out under one return path for all; what came back holds the head of our own mail.
#[test]
fn without_a_return_path_of_its_own_a_mail_is_known_by_its_own_head() {
    let room = Room::small(3);
    room.run(&["run", "--now"]).fine();
    let mail = |n: usize| {
        let outbox = room.outbox();
        let (_, mail) = outbox.into_iter().find(|(_, mail)| recipient(mail) == address(n)).unwrap();
        String::from_utf8(mail).unwrap()
    };
    let bounce = |own: &str| {
        format!(
            "From: MAILER-DAEMON@qmail.example\r\nSubject: failure notice\r\n\r\nHi. This is the qmail-send program at \
             qmail.example.\r\nI'm afraid I wasn't able to deliver your message to the following addresses.\r\n\r\n\
             <{}>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n\
             --- Below this line is a copy of the message.\r\n\r\n{own}",
            address(2)
        )
    };
    let told = pipe(&room, &["returns"], &bounce(&mail(2))).fine().out;
    assert!(told.contains("1 hard bounce"), "{told}");
    assert!(shown(&room, 1, 2).contains("came back"));
    // The token of one reader with the Message-ID of another fits no delivery; a changed token is forged.
    let id = |n: usize| mail(n).lines().find(|l| l.starts_with("Message-ID")).unwrap().to_owned();
    let told = pipe(&room, &["returns"], &bounce(&mail(3).replace(&id(3), &id(1)))).fine().out;
    assert!(told.contains("1 about no mail of ours"), "{told}");
    let own = mail(3);
    let at = own.find("unsubscribe/").unwrap() + 30;
    let token = &own[at - 18..at + 28];
    let changed: String = token.chars().rev().collect();
    assert!(pipe(&room, &["returns"], &bounce(&own.replace(token, &changed))).fine().out.contains("1 forged"));
    assert_eq!(room.count("returned IS NOT NULL"), 1);
}

/// Feedback loops write to the address that was registered with them.
#[test]
fn a_complaint_to_the_registered_address_is_known_by_what_is_inside() {
    let room = sent(4, "");
    let registered = "fbl@return.small-paper.example";
    let nobody = "redacted@return.small-paper.example";
    // Where the token stands: nowhere in the envelope, and in one place inside.
    let complaint = |name: &str, path: &str, inside: &dyn Fn(&str) -> bool| {
        let mail = case(name, path);
        let (head, body) = mail.split_once("\n\n").unwrap();
        let lines = body.lines().map(|line| if inside(line) { line.to_owned() } else { line.replace(path, nobody) });
        format!("{}\n\n{}\n", head.replace(path, registered), lines.collect::<Vec<_>>().join("\n"))
    };
    let read = |mail: &str| pipe(&room, &["returns", "-"], mail).fine().out;
    for (n, name, field) in
        [(1, "complaints/yahoo-cfl", "Original-Mail-From:"), (2, "complaints/abuse", "Return-Path:")]
    {
        let mail = complaint(name, &return_path(&room, 1, n), &|line| line.starts_with(field));
        assert_eq!(mail.matches("bounces+").count(), 1, "{mail}");
        assert!(read(&mail).contains("1 complaint; 1 reader suppressed"), "{name}");
        assert_eq!(suppression(&room, n).unwrap().0, "complained");
    }
    // Every address is redacted (RFC 6590); what is left of our own mail is who and which edition.
    let outbox = room.outbox();
    let (_, own) = outbox.iter().find(|(_, mail)| recipient(mail) == address(3)).unwrap();
    let own = String::from_utf8(own.clone()).unwrap().replace("\r\n", "\n");
    let (own_head, _) = own.split_once("\n\n").unwrap();
    let own_head = own_head.replace(&address(3), "vzBOlYVZzgfJzfjL7eIg@example.net");
    let redacted = complaint("complaints/abuse", &return_path(&room, 1, 3), &|_| false)
        .replace("ana@example.net", "vzBOlYVZzgfJzfjL7eIg@example.net");
    let (report, _) = redacted.split_once("Content-Type: message/rfc822").unwrap();
    let told = read(&format!("{report}Content-Type: message/rfc822\n\n{own_head}\n\nA short text.\n\n--=_arf--\n"));
    assert!(told.contains("1 complaint; 1 reader suppressed"), "{told}");
    assert_eq!(suppression(&room, 3).unwrap().0, "complained");
    // And nothing of it is left: it is kept for a person, and nobody is suppressed.
    let ran = pipe(&room, &["returns", "-"], &redacted).fine();
    assert!(ran.out.contains("1 about no mail of ours") && ran.err.contains("var/returns/untied"), "{ran:?}");
    assert_eq!(suppression(&room, 4), None);
}

/// The files of mails in a folder for people, with the notes beside them.
fn kept(room: &Room, name: &str) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(room.path("var/returns").join(name)) else { return vec![] };
    let mails =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "eml"));
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let mut kept: Vec<_> = mails.map(|path| (read(&path), read(&path.with_extension("txt")))).collect();
    kept.sort();
    kept
}

#[test]
fn what_belongs_to_no_mail_of_ours_is_kept_for_people_as_far_as_there_is_room() {
    let room = sent(1, "");
    let stranger = case("postfix/unknown-user", "bounces@elsewhere.example");
    let forged = case("complaints/abuse", &PATTERN.replace("{token}", &"a".repeat(40)));
    for (mail, told) in [(&stranger, "1 about no mail of ours"), (&forged, "1 forged")] {
        for _ in 0..2 {
            let ran = pipe(&room, &["returns", "-"], mail).fine();
            assert!(ran.out.contains(told) && ran.err.contains("kept in var/returns/untied"), "{ran:?}");
        }
    }
    let untied = kept(&room, "untied");
    assert_eq!(untied.len(), 2);
    let note = |mail: &str| untied.iter().find(|(kept, _)| kept == mail).unwrap().1.clone();
    assert!(note(&stranger).contains("which mail of ours") && note(&forged).contains("signature is wrong"));
    assert_eq!(kept(&room, "unreadable"), []);
    // Whoever sends such without end fills no disk.
    for n in 0..998 {
        room.write(&format!("var/returns/untied/{n}.eml"), "");
    }
    let other = case("qmail/no-mailbox", "bounces@elsewhere.example");
    let ran = pipe(&room, &["returns", "-"], &other).fine();
    assert!(ran.err.contains("no more room in var/returns/untied"), "{ran:?}");
    assert!(!kept(&room, "untied").iter().any(|(mail, _)| *mail == other));
}

#[test]
fn one_file_that_cannot_be_read_is_in_nobodys_way() {
    let room = sent(1, "");
    room.write("mail/new/2.b", &case("postfix/unknown-user", &return_path(&room, 1, 1)));
    // A file that may be opened and not read, by whomever.
    std::os::unix::fs::symlink("/proc/self/mem", room.path("mail/new/1.a")).unwrap();
    let ran = room.run(&["returns", "mail"]).fine();
    assert!(ran.out.contains("1 hard bounce") && ran.err.contains("mail/new/1.a"), "{ran:?}");
    assert!(room.path("mail/cur/2.b:2,S").exists() && !room.path("mail/cur/1.a:2,S").exists());
}

#[test]
fn soft_bounces_suppress_as_the_operator_says() {
    let room = sent(2, "  patience: {bounces: 2, within: 10d}\n");
    let soft = |edition| pipe(&room, &["returns", "-"], &case("postfix/mailbox-full", &return_path(&room, edition, 1)));
    assert!(soft(1).fine().out.contains("1 soft bounce\n"));
    room.article("second", "The second piece", "2026-03-08T08:00:00Z", "More.");
    room.run(&["run", "--now"]).fine();
    assert!(soft(2).fine().out.contains("1 soft bounce; 1 reader suppressed"));
    assert_eq!(suppression(&room, 1).unwrap().0, "bounced");
}

#[test]
fn a_mail_server_keeps_its_mail_while_we_cannot_take_it() {
    let room = sent(1, "");
    let bounce = case("postfix/unknown-user", &return_path(&room, 1, 1));
    let ledger = room.path("var/ledger.sqlite");
    std::fs::rename(&ledger, room.path("var/away")).unwrap();
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(room.path("var").join(name));
    }
    std::fs::write(&ledger, "not a ledger ".repeat(100)).unwrap();
    pipe(&room, &["returns", "-"], &bounce).failed(75, &["not a ledger"]);
    std::fs::rename(room.path("var/away"), &ledger).unwrap();
    let config = room.read("config.yaml");
    room.write("config.yaml", "newsroom: {");
    assert_eq!(pipe(&room, &["returns", "-"], &bounce).code, Some(75));
    room.write("config.yaml", &config);
    assert!(pipe(&room, &["returns", "-"], &bounce).fine().out.contains("1 hard bounce"));
}

#[test]
fn what_nobody_understands_is_kept_aside_whatever_way_it_came() {
    let room = sent(1, "");
    let person = "From: ana@example.net\nSubject: Re: News\n\nI liked it.\n";
    assert!(pipe(&room, &["returns", "-"], person).fine().out.contains("1 kept aside for people"));
    assert!(pipe(&room, &["returns", "-"], "").fine().out.contains("1 kept aside for people"));
    room.write("mail/new/1.a", person);
    room.run(&["returns", "mail"]).fine();
    assert!(room.path("mail/cur/1.a:2,FS").exists());
    let kept = kept(&room, "unreadable");
    assert_eq!(kept.len(), 2);
    assert!(kept[0].0.is_empty() && kept[0].1.contains("no mail"), "{kept:?}");
    assert!(kept[1].0 == person && kept[1].1.contains("a person"), "{kept:?}");
}

#[test]
fn an_inbox_of_the_configuration_is_read_by_each_run_and_none_is_counted_twice() {
    let room = sent(3, "  inbox: [maildir:returned, mbox:returned.mbox]\n");
    let bounce = |n| case("postfix/unknown-user", &return_path(&room, 1, n));
    room.write("returned/new/1.x", &bounce(1));
    room.write("returned/new/2.x", &bounce(1));
    room.write("returned.mbox", &format!("From MAILER-DAEMON Fri Mar  6 07:00:00 2026\n{}\n", bounce(2)));
    let told = room.run(&["run"]).fine().out;
    assert!(told.contains("3 mails read, 0 unsubscribed, 2 hard bounces, 1 read before"), "{told}");
    assert!(room.run(&["returns"]).fine().out.contains("0 mails read"));
    // As a crash before the last step would have left it.
    std::fs::rename(room.path("returned/cur/1.x:2,S"), room.path("returned/new/1.x")).unwrap();
    std::fs::remove_dir_all(room.path("var/returns")).unwrap();
    assert!(room.run(&["returns"]).fine().out.contains("2 mails read, 0 unsubscribed, 2 read before"));
    assert_eq!(room.count("returned = 8"), 2);
    // One that cannot be read stops neither the others nor the run.
    std::fs::remove_file(room.path("returned.mbox")).unwrap();
    room.write("returned/new/3.x", &bounce(3));
    let ran = room.run(&["run"]).fine();
    assert!(ran.out.contains("1 hard bounce") && ran.err.contains("returned.mbox"), "{ran:?}");
    room.run(&["returns"]).failed(4, &["returned.mbox"]);
}
