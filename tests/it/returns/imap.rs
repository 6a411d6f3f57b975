//! A mailbox on a real IMAP server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{PATTERN, case, return_path, sent};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::room::Room;

const PERSON: &str = "From: ana@example.net\nSubject: Re: News\n\nI liked it.\n";

/// Makes a mailbox the newsroom's inbox.
pub fn inbox(room: &Room, inbox: &str, more: &str) {
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

/// Between us and a server: a line that breaks after so many bytes of the server's.
fn breaks_after(bytes: u64, server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut from_near, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_near, &mut to_far));
            let (mut near, far) = (near, far);
            let _ = std::io::copy(&mut (&far).take(bytes), &mut near);
            for line in [&near, &far] {
                let _ = line.shutdown(std::net::Shutdown::Both);
            }
        }
    });
    port
}

#[test]
fn a_large_mailbox_is_read_to_its_end_over_a_line_that_breaks_again_and_again() {
    const READERS: usize = 450;
    let room = sent(READERS, "");
    let dovecot = Dovecot::start();
    let mails: Vec<String> = (1..=READERS).map(|n| case("postfix/unknown-user", &return_path(&room, 1, n))).collect();
    dovecot.put_all(&mails);
    let batch: u64 = mails[..100].iter().map(|mail| mail.len() as u64).sum();
    let mut breaks = 0;
    loop {
        // Within the greeting, a batch, its marks, its move, the next.
        let bytes = [60, 900, batch / 2, batch + batch / 9, batch * 2, batch * 9][breaks.min(5)];
        let port = breaks_after(bytes, dovecot.imap);
        inbox(&room, &format!("imap://desk@127.0.0.1:{port}"), "  filed: Filed\n");
        let ran = room.run(&["returns"]);
        if ran.code == Some(0) {
            break;
        }
        ran.failed(4, &["unreachable"]);
        breaks += 1;
        assert!(breaks < 10, "it never ends");
    }
    assert!(breaks >= 4, "{breaks}");
    assert_eq!(room.count("returned = 8"), READERS);
    let (here, there) = (dovecot.files(""), dovecot.files(".Filed"));
    assert_eq!(here.len() + there.len(), READERS);
    assert!(here.iter().all(|name| name.contains('S')), "{here:?}");
}

/// As much of a server as logging in by a token takes; what the client has sent as its proof.
fn token_server(accepts: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    use base64::Engine as _;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(vec![])));
    let told = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut line in listener.incoming().map_while(Result::ok) {
            let mut input = BufReader::new(line.try_clone().unwrap());
            let mut hear = || {
                let mut text = String::new();
                input.read_line(&mut text).map(|_| text.trim_end().to_owned()).unwrap_or_default()
            };
            let mut say = |text: &str| line.write_all(format!("{text}\r\n").as_bytes()).is_ok();
            say("* OK ready");
            loop {
                let command = hear();
                let Some((tag, rest)) = command.split_once(' ') else { break };
                match rest.split(' ').take(2).collect::<Vec<_>>().as_slice() {
                    ["AUTHENTICATE", "XOAUTH2"] => {
                        say("+ ");
                        let proof = base64::engine::general_purpose::STANDARD.decode(hear()).unwrap();
                        let proof = String::from_utf8(proof).unwrap();
                        told.lock().unwrap().push(proof.clone());
                        if proof == accepts {
                            say(&format!("{tag} OK welcome"));
                        } else {
                            // What Gmail says, and wants an answer to.
                            say("+ eyJzdGF0dXMiOiI0MDAifQ==");
                            assert_eq!(hear(), "");
                            say(&format!("{tag} NO invalid credentials"));
                        }
                    }
                    ["CAPABILITY"] => {
                        say("* CAPABILITY IMAP4rev1 MOVE UIDPLUS");
                        say(&format!("{tag} OK done"));
                    }
                    ["SELECT", _] => {
                        say("* 0 EXISTS");
                        say(&format!("{tag} OK [READ-WRITE] done"));
                    }
                    ["UID", "SEARCH"] => {
                        say("* SEARCH");
                        say(&format!("{tag} OK done"));
                    }
                    ["LOGIN", ..] => {
                        told.lock().unwrap().push("a password".to_owned());
                        say(&format!("{tag} NO only tokens"));
                    }
                    _ => {
                        say(&format!("{tag} OK done"));
                    }
                }
            }
        }
    });
    (port, heard)
}

#[test]
fn a_token_logs_in_by_xoauth2_and_by_nothing_else() {
    let room = sent(1, "");
    let (port, heard) = token_server("user=desk@paper.example\u{1}auth=Bearer a-good-secret\u{1}\u{1}");
    let address = format!("imap://desk%40paper.example@127.0.0.1:{port}");
    inbox(&room, &address, "  login: token\n");
    assert!(room.run(&["returns"]).fine().out.contains("0 mails read"));
    room.write("password", "stale");
    let ran = room.run(&["returns"]).failed(3, &["refuses the login", "PRESSRUN_IMAP_PASSWORD"]);
    assert!(!ran.err.contains("stale"), "{ran:?}");
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|proof| proof.starts_with("user=")), "{heard:?}");
}
