//! A real Postfix bounces, delays and forwards real mails of ours.

use crate::support::postfix::{Postfix, Setup};
use crate::support::room::{Room, address};

const BOX: &str = "bounces@small-paper.example";
const UNKNOWN: &str = "nobody.of.that.name@example.net";
const SLOW: &str = "ida@slow.example";

#[test]
fn what_a_real_mail_server_returns_settles_the_right_deliveries() {
    let (here, forwards) = (address(1), address(2));
    // Whoever is forwarded refuses; whoever is slow is put off, and we are told at once.
    let more = format!(
        "recipient_delimiter = +
virtual_alias_maps = inline:{{ {{ {forwards} = elsewhere@refusing.example }} }}
transport_maps = inline:{{ {{ slow.example = retry:4.4.1 the other side is busy }} }}
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s"
    );
    let postfix = Postfix::start(&Setup { mailboxes: &[&here, BOX], returns: true, more: &more, ..Setup::default() });

    let room = Room::small(2);
    let list = format!("{}{UNKNOWN},confirmed\n{SLOW},confirmed\n", room.read("subscribers.csv"));
    room.write("subscribers.csv", &list);
    room.write("password", "a good secret");
    let config = room.read("config.yaml");
    room.write(
        "config.yaml",
        &format!(
            "{config}returns: {{ address: \"bounces+{{token}}@small-paper.example\", inbox: \"maildir:{}\" }}
transport: smtp://desk@localhost:{}
smtp: {{ password_file: password, trust: {} }}
",
            postfix.maildir(BOX).display(),
            postfix.submission,
            postfix.trust.display()
        ),
    );
    let sent = room.run(&["run", "--now"]);
    // There is no Maildir before its first mail; that is told and stops nothing.
    let sent = sent.fine();
    assert!(sent.out.contains("4 accepted"), "{sent:?}");
    postfix.wait_for(&here, 1);
    let returned = postfix.wait_for(BOX, 3);
    for mail in &returned {
        assert!(String::from_utf8_lossy(mail).contains("multipart/report"));
    }

    let told = room.run(&["returns"]).fine().out;
    assert!(told.contains("3 mails read, 0 unsubscribed, 2 hard bounces, 1 delay; 2 readers suppressed"), "{told}");
    let shown = |to: &str| room.run(&["ledger", "show", "1", "--address", to]).fine().out;
    let unknown = shown(UNKNOWN);
    assert!(unknown.contains("and came back") && unknown.contains("5.1.1"), "{unknown}");
    let forwarded = shown(&forwards);
    assert!(forwarded.contains("and came back") && forwarded.contains("5.4.4"), "{forwarded}");
    let slow = shown(SLOW);
    assert!(
        slow.contains("accepted by the mail server\n") && slow.contains("delayed") && slow.contains("4.4.1"),
        "{slow}"
    );
    assert!(!shown(&here).contains("came back"));
    let counts = room.run(&["ledger", "show", "1"]).fine().out;
    assert!(counts.contains("2 accepted, 2 came back"), "{counts}");
}
