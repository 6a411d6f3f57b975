//! SMTP against a server that answers, and breaks, as the test wants.

use pressrun::delivery::{Fate, Step};
use pressrun::mail::Mail;
use pressrun::transport::smtp::{Login, Options, Relay, Security, Smtp};
use pressrun::transport::{Line, OpenError, Transport};
use std::time::{Duration, Instant};

use crate::support::smtp_server::{Act, Kept, Moment, Script, Server};
use crate::support::tls::{certificate, certificate_of_authority};

fn options(server: &Server, security: Security) -> Options {
    Options {
        relays: vec![Relay { host: "127.0.0.1".to_owned(), port: server.address.port(), security }],
        login: None,
        trust: None,
        hello: Some("client.example".to_owned()),
        timeout: Duration::from_secs(5),
        message_timeout: Duration::from_secs(5),
        mails_per_connection: 100,
    }
}

fn transport(options: Options) -> Transport {
    Transport::Smtp(Smtp::new(options).unwrap())
}

async fn line(server: &Server) -> Line {
    transport(options(server, Security::Loopback)).open().await.unwrap()
}

fn mail(to: &str, text: &str) -> Mail {
    let message = format!("Subject: to {to}\r\n\r\n{text}\r\n").into_bytes().into();
    Mail { return_path: "desk@news.example".parse().unwrap(), to: to.parse().unwrap(), message }
}

/// `250 at Dot`, or `broke at Rcpt`.
fn told(fate: &Fate) -> String {
    match fate {
        Fate::Replied(step, reply) => format!("{} at {step:?}", reply.code),
        Fate::Broke(step, _) => format!("broke at {step:?}"),
    }
}

/// Sends three mails as the press does, over as many lines as it takes; the fates, in order.
async fn send_three(server: &Server) -> Vec<String> {
    let limit = Duration::from_millis(400);
    let transport =
        transport(Options { timeout: limit, message_timeout: limit, ..options(server, Security::Loopback) });
    let mails =
        [mail("a@x.example", "one"), mail("b@x.example", ".two\r\n..\r\n.\r\nend"), mail("c@x.example", "three")];
    let mut fates = vec![];
    let mut line = None;
    for (n, mail) in mails.iter().enumerate() {
        if line.is_none() {
            line = Some(transport.open().await.unwrap());
        }
        let sent = line.as_mut().unwrap().send(mail, mails.get(n + 1)).await;
        fates.push(told(&sent.fate));
        if !sent.usable {
            line.take().unwrap().close().await;
        }
    }
    if let Some(line) = line {
        line.close().await;
    }
    fates
}

fn recipients(kept: &[Kept]) -> Vec<&str> {
    kept.iter().map(|k| k.to.as_str()).collect()
}

#[tokio::test]
async fn with_pipelining_a_mail_and_the_next_envelope_are_one_write() {
    let server = Server::start(Script::default()).await;
    assert_eq!(send_three(&server).await, ["250 at Dot"; 3]);
    let kept = server.kept();
    assert_eq!(recipients(&kept), ["a@x.example", "b@x.example", "c@x.example"]);
    assert_eq!(kept[1].message, mail("b@x.example", ".two\r\n..\r\n.\r\nend").message.to_vec());
    let seen = server.seen.lock().unwrap();
    // MAIL, RCPT before DATA of each of three; and the envelopes of two behind a dot.
    assert_eq!((seen.ahead, seen.connections, seen.quits), (3 * 2 + 2, 1, 1));
}

#[tokio::test]
async fn without_pipelining_every_command_waits_for_its_answer() {
    let server = Server::start(Script { extensions: vec![], ..Script::default() }).await;
    assert_eq!(send_three(&server).await, ["250 at Dot"; 3]);
    assert_eq!(server.seen.lock().unwrap().ahead, 0);
    assert_eq!(server.kept().len(), 3);
}

/// One thing goes wrong for the second of three mails. Whatever it is: the fate names the step, and the others arrive.
#[tokio::test]
async fn whatever_happens_to_one_mail_its_fate_is_exact_and_the_others_arrive() {
    use Act::{Close, KeepAndClose, KeepAndSay, Mute, Say, SayAndClose};
    use Moment::{Data, Dot, Middle, Rcpt};
    let cases: Vec<(Moment, Act, &str, bool)> = vec![
        (Rcpt, Say(b"550 5.1.1 no such user\r\n"), "550 at Rcpt", false),
        (Rcpt, Say(b"450-4.2.0 grey\r\n450 4.2.0 listed\r\n"), "450 at Rcpt", false),
        (Rcpt, SayAndClose(b"421 4.3.2 bye\r\n"), "421 at Rcpt", false),
        // A refusal stays one, whatever becomes of the line.
        (Rcpt, SayAndClose(b"550 5.1.1 no such user\r\n"), "550 at Rcpt", false),
        (Rcpt, SayAndClose(b"450 4.2.0 greylisted\r\n"), "450 at Rcpt", false),
        // Codes and lines that are not the standard's.
        (Rcpt, Say(b"571-5.7.1 not\r\n571 5.7.1 you\r\n"), "571 at Rcpt", false),
        (Rcpt, Say(b"471 4.7.1 not now\r\n"), "471 at Rcpt", false),
        (Rcpt, Say(b"550\n"), "550 at Rcpt", false),
        (Dot, Say(b"571 5.7.1 spam\r\n"), "571 at Dot", false),
        (Dot, Say(b"471 4.7.1 later\r\n"), "471 at Dot", false),
        (Dot, KeepAndSay(b"250\r\n"), "250 at Dot", true),
        (Dot, KeepAndSay(b"250 kept\n"), "250 at Dot", true),
        // These are no answers to a message.
        (Dot, SayAndClose(b"221 2.0.0 closing connection\r\n"), "221 at Dot", false),
        (Dot, SayAndClose(b"220 mx.example ESMTP ready\r\n"), "220 at Dot", false),
        (Rcpt, Close, "broke at Rcpt", false),
        (Rcpt, Mute, "broke at Rcpt", false),
        (Rcpt, SayAndClose(b"hello?\r\n"), "broke at Rcpt", false),
        (Data, Say(b"451 4.3.0 later\r\n"), "451 at Data", false),
        (Data, Say(b"250 ok\r\n"), "250 at Data", false),
        (Data, Close, "broke at Data", false),
        (Data, Mute, "broke at Data", false),
        (Dot, Say(b"554 5.7.1 refused\r\n"), "554 at Dot", false),
        (Dot, Say(b"451 4.3.0 later\r\n"), "451 at Dot", false),
        (Dot, SayAndClose(b"421 4.3.2 bye\r\n"), "421 at Dot", false),
        (Dot, KeepAndSay(b"250-2.0.0 first\r\n250 2.0.0 second\r\n"), "250 at Dot", true),
        (Dot, KeepAndSay(b"250 2.0.0 re\xe7u\r\n"), "250 at Dot", true),
        (Dot, KeepAndSay(b"what?\r\n"), "broke at Dot", true),
        (Dot, SayAndClose(b"250-2.0.0 and then nothing\r\n"), "broke at Dot", false),
        (Dot, Close, "broke at Dot", false),
        (Dot, KeepAndClose, "broke at Dot", true),
        (Dot, Mute, "broke at Dot", false),
        (Middle, Close, "broke at Dot", false),
    ];
    for extensions in [vec!["PIPELINING"], vec![]] {
        for (moment, act, fate, kept) in &cases {
            let (at, doing) = (*moment, act.clone());
            let decide = Box::new(
                move |now: &crate::support::smtp_server::At<'_>| {
                    if now.moment == at && now.to == "b@x.example" { doing.clone() } else { Act::Usual }
                },
            );
            let server = Server::start(Script { extensions: extensions.clone(), decide, ..Script::default() }).await;
            let fates = send_three(&server).await;
            let case = format!("{moment:?} {act:?} {extensions:?}");
            assert_eq!(fates, ["250 at Dot", fate, "250 at Dot"], "{case}");
            let all = server.kept();
            let wanted = if *kept {
                vec!["a@x.example", "b@x.example", "c@x.example"]
            } else {
                vec!["a@x.example", "c@x.example"]
            };
            assert_eq!(recipients(&all), wanted, "{case}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_sender_is_told_at_mail_and_the_line_goes_on() {
    for extensions in [vec!["PIPELINING"], vec![]] {
        let first = std::sync::atomic::AtomicBool::new(true);
        let decide = Box::new(move |now: &crate::support::smtp_server::At<'_>| {
            if now.moment == Moment::Mail && first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                Act::Say(b"450 4.1.8 Sender domain not found\r\n")
            } else {
                Act::Usual
            }
        });
        let server = Server::start(Script { extensions, decide, ..Script::default() }).await;
        assert_eq!(send_three(&server).await, ["450 at Mail", "250 at Dot", "250 at Dot"]);
        assert_eq!(server.seen.lock().unwrap().connections, 1);
    }
}

/// The first of the three that are answered together is refused, and the line does not outlive it.
#[tokio::test]
async fn a_refusal_before_a_line_ends_is_told_and_not_the_end() {
    let close = Act::SayAndClose(b"554 5.7.1 not your address\r\n");
    let refuse = Act::Say(b"550 5.7.1 not your address\r\n");
    let bye = Act::SayAndClose(b"421 4.3.2 bye\r\n");
    for (mail_act, rcpt_act, wanted) in [
        (close, Act::Usual, "554 at Mail"),
        (refuse.clone(), bye.clone(), "550 at Mail"),
        (refuse, Act::Close, "550 at Mail"),
        (Act::Usual, bye, "421 at Rcpt"),
    ] {
        let decide = Box::new(move |now: &crate::support::smtp_server::At<'_>| match now.moment {
            Moment::Mail => mail_act.clone(),
            Moment::Rcpt => rcpt_act.clone(),
            _ => Act::Usual,
        });
        let server = Server::start(Script { decide, ..Script::default() }).await;
        let mut line = line(&server).await;
        let sent = line.send(&mail("a@x.example", ""), None).await;
        assert_eq!((told(&sent.fate).as_str(), sent.usable), (wanted, false));
        line.close().await;
    }
}

/// The relay goes away between two mails, where the envelope of the second has gone with the end of the first.
#[tokio::test]
async fn a_goodbye_between_two_mails_or_instead_of_the_354_is_told_at_its_step_and_doubts_nothing() {
    for (moment, wanted) in [(Moment::Mail, "421 at Mail"), (Moment::Data, "421 at Data")] {
        for extensions in [vec!["PIPELINING"], vec![]] {
            let seen = std::sync::atomic::AtomicUsize::new(0);
            let decide = Box::new(move |now: &crate::support::smtp_server::At<'_>| {
                let second = now.moment == moment && seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
                if second { Act::SayAndClose(b"421 4.3.2 restarting\r\n") } else { Act::Usual }
            });
            let server = Server::start(Script { extensions, decide, ..Script::default() }).await;
            assert_eq!(send_three(&server).await, ["250 at Dot", wanted, "250 at Dot"]);
            assert_eq!(recipients(&server.kept()), ["a@x.example", "c@x.example"]);
        }
    }
}

#[tokio::test]
async fn a_refused_recipient_whose_data_is_asked_for_gets_a_lone_dot_and_the_line_goes_on() {
    let decide = Box::new(|now: &crate::support::smtp_server::At<'_>| match (now.moment, now.to) {
        (Moment::Rcpt, "b@x.example") => Act::Say(b"550 5.1.1 no such user\r\n"),
        // The server forgets that nobody is left.
        (Moment::Data, "") => Act::Say(b"354 go\r\n"),
        _ => Act::Usual,
    });
    let server = Server::start(Script { decide, ..Script::default() }).await;
    assert_eq!(send_three(&server).await, ["250 at Dot", "550 at Rcpt", "250 at Dot"]);
    assert_eq!(recipients(&server.kept()), ["a@x.example", "c@x.example"]);
    assert_eq!(server.seen.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn a_mute_server_is_left_after_the_time_limit_whatever_the_step() {
    for moment in [Moment::Greeting, Moment::Ehlo, Moment::StartTls, Moment::Auth] {
        let folder = tempfile::tempdir().unwrap();
        let (pem, tls) = certificate(folder.path(), "IP:127.0.0.1", false);
        let decide = Box::new(
            move |now: &crate::support::smtp_server::At<'_>| if now.moment == moment { Act::Mute } else { Act::Usual },
        );
        let server =
            Server::start(Script { decide, tls: Some(tls), login: Some(("u", "p")), ..Script::default() }).await;
        let login = Some(Login { user: "u".to_owned(), password: "p".to_owned().into(), token: false, fresh: None });
        let options = Options {
            timeout: Duration::from_millis(300),
            trust: Some(pem),
            login,
            ..options(&server, Security::StartTls)
        };
        let began = Instant::now();
        let error = transport(options).open().await.unwrap_err();
        assert!(
            matches!(&error, OpenError::Unreachable { cause, .. } if cause.contains("no answer")),
            "{moment:?}: {error}"
        );
        assert!(began.elapsed() < Duration::from_secs(3), "{moment:?}");
    }
}

#[tokio::test]
async fn a_server_that_falls_mute_in_a_transaction_is_left_after_the_time_limit() {
    // Larger than what the sockets between us hold.
    let large = "0123456789abcdef\r\n".repeat(1 << 20);
    for (moment, text, wanted) in [
        (Moment::Mail, "short", "broke at Mail"),
        (Moment::Rcpt, "short", "broke at Rcpt"),
        (Moment::Data, "short", "broke at Data"),
        (Moment::Middle, &*large, "broke at Data"),
        (Moment::Dot, "short", "broke at Dot"),
    ] {
        for extensions in [vec!["PIPELINING"], vec![]] {
            let decide = Box::new(
                move |now: &crate::support::smtp_server::At<'_>| {
                    if now.moment == moment { Act::Mute } else { Act::Usual }
                },
            );
            let server = Server::start(Script { extensions, decide, ..Script::default() }).await;
            let limit = Duration::from_millis(300);
            let options = options(&server, Security::Loopback);
            let transport = transport(Options { timeout: limit, message_timeout: limit, ..options });
            let mut line = transport.open().await.unwrap();
            let began = Instant::now();
            let sent = line.send(&mail("a@x.example", text), None).await;
            assert_eq!((told(&sent.fate).as_str(), sent.usable), (wanted, false), "{moment:?}");
            let reply = sent.fate.reply();
            assert!(reply.code == 0 && reply.text.contains("no answer within"), "{moment:?}: {reply}");
            assert!(began.elapsed() < Duration::from_secs(3), "{moment:?}");
            line.close().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_is_left_after_the_time_limit() {
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = mute.local_addr().unwrap().port();
    let relay = |security| Relay { host: "127.0.0.1".to_owned(), port, security };
    for security in [Security::Implicit, Security::StartTls, Security::Loopback] {
        let options = Options {
            relays: vec![relay(security), relay(security)],
            login: None,
            trust: None,
            hello: None,
            timeout: Duration::from_millis(300),
            message_timeout: Duration::from_millis(300),
            mails_per_connection: 1,
        };
        let began = Instant::now();
        let error = transport(options).open().await.unwrap_err();
        let OpenError::Unreachable { cause, .. } = &error else { panic!("{security:?}: {error}") };
        assert!(cause.contains("no answer within"), "{security:?}: {error}");
        assert!(began.elapsed() < Duration::from_secs(3), "each of two relays has its limit: {security:?}");
    }
}

#[tokio::test]
async fn a_relay_is_reached_over_both_families_of_addresses() {
    for (host, bind) in [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0"), ("[::1]", "[::1]:0")] {
        let listener = match tokio::net::TcpListener::bind(bind).await {
            Ok(listener) => listener,
            // A machine without IPv6 has no such address; any other reason is a failure.
            Err(error) => {
                assert!(host.contains("::1") && error.kind() == std::io::ErrorKind::AddrNotAvailable, "{error}");
                continue;
            }
        };
        let server = Server::listen(listener, Script::default());
        let mut options = options(&server, Security::Loopback);
        host.clone_into(&mut options.relays[0].host);
        let mut line = transport(options).open().await.unwrap();
        assert_eq!(told(&line.send(&mail("a@x.example", ""), None).await.fate), "250 at Dot", "{host}");
        line.close().await;
    }
}

#[tokio::test]
async fn what_a_server_offers_is_asked_for_where_a_mail_needs_it_and_nowhere_else() {
    let extensions = vec!["SIZE 100000", "8BITMIME", "SMTPUTF8"];
    let server = Server::start(Script { extensions, ..Script::default() }).await;
    let mut line = line(&server).await;
    let mails = [mail("a@x.example", "e"), mail("a@x.example", "é"), mail("é@x.example", "e")];
    for mail in &mails {
        assert_eq!(told(&line.send(mail, None).await.fate), "250 at Dot");
    }
    line.close().await;
    let seen = server.seen.lock().unwrap();
    let commands: Vec<&str> =
        seen.commands.iter().filter(|c| c.starts_with("MAIL")).map(|c| c.split_once('>').unwrap().1).collect();
    let size = |n: usize| format!(" SIZE={}", mails[n].message.len());
    assert_eq!(commands, [size(0), size(1) + " BODY=8BITMIME", size(2) + " BODY=8BITMIME SMTPUTF8"]);
}

#[tokio::test]
async fn what_the_server_cannot_take_is_refused_before_anything_is_sent() {
    let server = Server::start(Script { extensions: vec!["SIZE 60"], ..Script::default() }).await;
    let mut line = line(&server).await;
    for (to, text, wanted) in [
        ("a@x.example", "é", "554 at Mail"),
        ("é@x.example", "e", "553 at Rcpt"),
        ("a@x.example", "much more than the sixty bytes that are allowed", "552 at Mail"),
        ("a@x.example", "short", "250 at Dot"),
    ] {
        let sent = line.send(&mail(to, text), None).await;
        assert_eq!((told(&sent.fate).as_str(), sent.usable), (wanted, true));
    }
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.commands.iter().filter(|c| c.starts_with("MAIL")).count(), 1);
}

#[tokio::test]
async fn a_connection_carries_so_many_mails_and_then_says_goodbye() {
    let server = Server::start(Script::default()).await;
    let transport = transport(Options { mails_per_connection: 2, ..options(&server, Security::Loopback) });
    let (a, b, c) = (mail("a@x.example", ""), mail("b@x.example", ""), mail("c@x.example", ""));
    let mut line = transport.open().await.unwrap();
    assert!(line.send(&a, Some(&b)).await.usable);
    assert!(!line.send(&b, Some(&c)).await.usable);
    line.close().await;
    let seen = server.seen.lock().unwrap();
    assert_eq!((seen.kept.len(), seen.quits), (2, 1));
    assert!(!seen.commands.iter().any(|command| command.contains("c@x.example")));
}

#[tokio::test]
async fn a_certificate_that_the_operator_trusts_is_enough_for_both_kinds_of_tls() {
    for (security, implicit) in [(Security::StartTls, false), (Security::Implicit, true), (Security::Loopback, false)] {
        let folder = tempfile::tempdir().unwrap();
        let (pem, tls) = certificate(folder.path(), "IP:127.0.0.1", false);
        let server = Server::start(Script { tls: Some(tls), implicit, ..Script::default() }).await;
        let transport = transport(Options { trust: Some(pem), ..options(&server, security) });
        let mut line = transport.open().await.unwrap();
        assert_eq!(told(&line.send(&mail("a@x.example", ""), None).await.fate), "250 at Dot");
        line.close().await;
        assert!(server.kept()[0].secure);
    }
}

#[tokio::test]
async fn an_authority_that_the_operator_trusts_vouches_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, tls) = certificate_of_authority(folder.path());
    let server = Server::start(Script { tls: Some(tls), ..Script::default() }).await;
    let transport = transport(Options { trust: Some(authority), ..options(&server, Security::StartTls) });
    transport.open().await.unwrap().close().await;
}

#[test]
fn a_file_without_certificates_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trust.pem");
    for text in [None, Some(""), Some("no certificate")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let options = Options {
            relays: vec![],
            login: None,
            trust: Some(file.clone()),
            hello: None,
            timeout: Duration::from_secs(1),
            message_timeout: Duration::from_secs(1),
            mails_per_connection: 1,
        };
        assert!(Smtp::new(options).unwrap_err().to_string().contains("trust.pem"));
    }
}

#[tokio::test]
async fn a_certificate_that_is_unknown_or_expired_or_anothers_is_refused() {
    for (name, expired, trusted, implicit) in [
        ("IP:127.0.0.1", false, false, false),
        ("IP:127.0.0.1", false, false, true),
        ("IP:127.0.0.1", true, true, false),
        ("DNS:other.example", false, true, true),
        ("IP:127.0.0.2", false, true, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (pem, tls) = certificate(folder.path(), name, expired);
        let server = Server::start(Script { tls: Some(tls), implicit, ..Script::default() }).await;
        let security = if implicit { Security::Implicit } else { Security::Loopback };
        let transport = transport(Options { trust: trusted.then_some(pem), ..options(&server, security) });
        let error = transport.open().await.unwrap_err();
        assert!(matches!(error, OpenError::Untrusted { .. }), "{name} {expired} {trusted} {implicit}: {error}");
    }
}

#[tokio::test]
async fn a_relay_without_starttls_gets_neither_password_nor_mail() {
    let server = Server::start(Script { login: Some(("u", "p")), ..Script::default() }).await;
    let login = Some(Login { user: "u".to_owned(), password: "p".to_owned().into(), token: false, fresh: None });
    let error = transport(Options { login, ..options(&server, Security::StartTls) }).open().await.unwrap_err();
    assert!(matches!(error, OpenError::Untrusted { .. }), "{error}");
    assert!(!server.seen.lock().unwrap().commands.iter().any(|c| c.starts_with("AUTH")));
}

/// What comes behind the answer to STARTTLS was written by whoever sits between us and the relay (RFC 3207 section 6).
#[tokio::test]
async fn what_is_said_in_the_clear_before_tls_begins_is_never_taken() {
    let injected: &[&'static [u8]] = &[
        b"220 go\r\n250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n235 2.7.0 welcome\r\n",
        b"220-go\r\n220 go\r\n220 mx.example\r\n250 mx.example\r\n",
    ];
    for &bytes in injected {
        let folder = tempfile::tempdir().unwrap();
        let (pem, tls) = certificate(folder.path(), "IP:127.0.0.1", false);
        let decide = Box::new(move |now: &crate::support::smtp_server::At<'_>| match now.moment {
            Moment::StartTls => Act::Say(bytes),
            _ => Act::Usual,
        });
        let server =
            Server::start(Script { decide, tls: Some(tls), login: Some(("u", "p")), ..Script::default() }).await;
        let login =
            Some(Login { user: "u".to_owned(), password: "wrong".to_owned().into(), token: false, fresh: None });
        let options = Options { trust: Some(pem), login, ..options(&server, Security::StartTls) };
        // The true server refuses the login; the injected answer would have let us in.
        let error = transport(options).open().await.unwrap_err();
        let login = matches!(&error, OpenError::Login { cause, .. } if cause.contains("wrong user or password"));
        assert!(login, "{error}");
        let seen = server.seen.lock().unwrap();
        assert_eq!(
            seen.commands.iter().filter(|command| command.starts_with("EHLO")).count(),
            3,
            "{:?}",
            seen.commands
        );
    }
}

#[tokio::test]
async fn a_login_is_told_apart_by_what_helps() {
    let script = || Script { login: Some(("desk", "right")), ..Script::default() };
    let with = |password: &str, token| {
        Some(Login { user: "desk".to_owned(), password: password.to_owned().into(), token, fresh: None })
    };

    for token in [false, true] {
        let server = Server::start(script()).await;
        let mut line = transport(Options { login: with("right", token), ..options(&server, Security::Loopback) })
            .open()
            .await
            .unwrap();
        line.send(&mail("a@x.example", ""), None).await;
        assert_eq!(server.kept()[0].user.as_deref(), Some("desk"));
    }

    let server = Server::start(script()).await;
    let wrong = Options { login: with("a wrong secret", false), ..options(&server, Security::Loopback) };
    assert!(!format!("{wrong:?}").contains("a wrong secret"));
    let error = transport(wrong).open().await.unwrap_err();
    assert!(matches!(&error, OpenError::Login { cause, .. } if cause.contains("wrong user or password")), "{error}");
    assert!(!error.to_string().contains("a wrong secret"));

    let busy = Box::new(|now: &crate::support::smtp_server::At<'_>| match now.moment {
        Moment::Auth => Act::Say(b"454 4.7.0 temporary failure\r\n"),
        _ => Act::Usual,
    });
    let server = Server::start(Script { decide: busy, ..script() }).await;
    let login = Options { login: with("right", false), ..options(&server, Security::Loopback) };
    assert!(matches!(transport(login).open().await.unwrap_err(), OpenError::Unreachable { .. }));

    let server = Server::start(Script::default()).await;
    let login = Options { login: with("right", false), ..options(&server, Security::Loopback) };
    assert!(matches!(transport(login).open().await.unwrap_err(), OpenError::Login { .. }));
}

#[tokio::test]
async fn the_next_relay_takes_over_and_a_name_with_two_addresses_works() {
    let server = Server::start(Script::default()).await;
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut options = options(&server, Security::Loopback);
    options.relays[0].host = "localhost".to_owned();
    options.relays.insert(0, Relay { host: "127.0.0.1".to_owned(), port: dead.port(), security: Security::Loopback });
    options.relays.insert(0, Relay { host: "relay.invalid".to_owned(), port: 25, security: Security::StartTls });
    let mut line = transport(options).open().await.unwrap();
    let sent = line.send(&mail("a@x.example", ""), None).await;
    assert!(matches!(sent.fate, Fate::Replied(Step::Dot, _)));
    assert_eq!(server.kept().len(), 1);
}

#[tokio::test]
async fn a_relay_that_was_not_reached_is_not_asked_before_each_mail_while_another_works() {
    let closing = Box::new(|now: &crate::support::smtp_server::At<'_>| match now.moment {
        Moment::Greeting => Act::Close,
        _ => Act::Usual,
    });
    let (dead, server) =
        (Server::start(Script { decide: closing, ..Script::default() }).await, Server::start(Script::default()).await);
    let mut options = options(&server, Security::Loopback);
    options.relays.insert(0, self::options(&dead, Security::Loopback).relays.remove(0));
    let transport = transport(options);
    for _ in 0..3 {
        transport.open().await.unwrap().close().await;
    }
    let connections = |server: &Server| server.seen.lock().unwrap().connections;
    assert_eq!((connections(&dead), connections(&server)), (1, 3));
}

#[tokio::test]
async fn a_relay_that_is_reached_and_takes_no_mail_leaves_them_to_the_next() {
    for said in [Act::Say(b"452 4.3.1 Insufficient system storage\r\n"), Act::SayAndClose(b"421 down\r\n"), Act::Close]
    {
        let answer = said.clone();
        let full = Box::new(move |now: &crate::support::smtp_server::At<'_>| match now.moment {
            Moment::Mail => answer.clone(),
            _ => Act::Usual,
        });
        let (full, server) =
            (Server::start(Script { decide: full, ..Script::default() }).await, Server::start(Script::default()).await);
        let mut options = options(&server, Security::Loopback);
        options.relays.insert(0, self::options(&full, Security::Loopback).relays.remove(0));
        let transport = transport(options);
        let mut line = transport.open().await.unwrap();
        assert!(!line.send(&mail("a@x.example", ""), None).await.usable, "{said:?}");
        line.close().await;
        for _ in 0..2 {
            let mut line = transport.open().await.unwrap();
            let sent = line.send(&mail("a@x.example", ""), None).await;
            assert!(sent.usable && sent.fate.is_acceptance(), "{said:?}: {:?}", sent.fate);
        }
        assert_eq!((full.kept().len(), server.kept().len()), (0, 2));
    }
}

#[tokio::test]
async fn a_token_that_something_else_keeps_fresh_is_read_for_each_login() {
    let server = Server::start(Script { login: Some(("desk", "fresh")), ..Script::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "stale\n").unwrap();
    let login =
        Login { user: "desk".to_owned(), password: "stale".to_owned().into(), token: true, fresh: Some(file.clone()) };
    let transport = transport(Options { login: Some(login), ..options(&server, Security::Loopback) });
    assert!(matches!(transport.open().await.unwrap_err(), OpenError::Login { .. }));
    // Being written at this moment.
    std::fs::write(&file, "").unwrap();
    let error = transport.open().await.unwrap_err();
    assert!(matches!(&error, OpenError::Unreachable { cause, .. } if cause.contains("holds no token")), "{error}");
    std::fs::write(&file, "fresh\n").unwrap();
    transport.open().await.unwrap().close().await;
}

#[tokio::test]
async fn a_greeting_that_refuses_is_told_in_the_relays_own_words() {
    let decide = Box::new(|now: &crate::support::smtp_server::At<'_>| match now.moment {
        Moment::Greeting => Act::SayAndClose(b"554-5.7.1 go away\r\n554 5.7.1 please\r\n"),
        _ => Act::Usual,
    });
    let server = Server::start(Script { decide, ..Script::default() }).await;
    let error = transport(options(&server, Security::Loopback)).open().await.unwrap_err();
    assert!(matches!(&error, OpenError::Unreachable { cause, .. } if cause.contains("go away please")), "{error}");
}
