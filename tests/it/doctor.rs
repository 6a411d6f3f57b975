//! `pressrun doctor` against a name server, a mail server, and a web server of the test's own.

use crate::support::name_server::{NameServer, Written};
use crate::support::room::{Ran, Room};
use crate::support::smtp_server::{Script, Server};
use crate::support::tls;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;

/// A web server that knows the time, or believes so.
fn clock(off: i64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4_096]);
            let shift = Duration::from_secs(off.unsigned_abs());
            let time = if off < 0 { SystemTime::now() - shift } else { SystemTime::now() + shift };
            let date = httpdate::fmt_http_date(time);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    at
}

fn record(name: &str, kind: &'static str, value: &str) -> Written {
    (name.to_owned(), kind, value.to_owned())
}

/// A newsroom with a key, whose surroundings are in order.
struct Practice {
    room: Room,
    dns: NameServer,
    relay: Server,
    _runtime: Runtime,
}

const KEY: &str = "s1._domainkey.small-paper.example";

impl Practice {
    fn new(script: Script, scheme: &str, clock_off: i64) -> Practice {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let relay = runtime.block_on(Server::start(script));
        let room = Room::small(1);
        let made = ["--json", "dkim", "new", "--domain", "small-paper.example", "--selector", "s1", "--to", "keys"];
        let made = room.run(&made).fine();
        let key: serde_json::Value = serde_json::from_str(made.out.trim()).unwrap();
        let dns = NameServer::start(vec![
            // Another text, so that the answer is too long for a datagram.
            record("small-paper.example", "TXT", &format!("verification={}", "x".repeat(600))),
            record("small-paper.example", "TXT", "v=spf1 include:relay.example -all"),
            record("relay.example", "TXT", "v=spf1 ip4:192.0.2.0/24 ~all"),
            record("small-paper.example", "MX", "20 mx2.small-paper.example"),
            record("small-paper.example", "MX", "10 mx1.small-paper.example"),
            record("_dmarc.small-paper.example", "TXT", "v=DMARC1; p=none; rua=mailto:dmarc@small-paper.example"),
            record(KEY, "TXT", key["record"]["value"].as_str().unwrap()),
            record("25.2.0.192.in-addr.arpa", "PTR", "out.small-paper.example"),
            record("out.small-paper.example", "A", "192.0.2.25"),
        ]);
        let mut config = room.read("config.yaml");
        config = config.replace("url: https://small-paper.example/\n", &format!("url: http://{}/\n", clock(clock_off)));
        write!(
            config,
            "transport: {scheme}{}\ndkim:\n  domain: small-paper.example\n  keys: [{{selector: s1, file: keys/s1.small-paper.example.pem}}]\n\
             doctor: {{resolver: \"{}\", sends_from: [192.0.2.25]}}\n",
            relay.address, dns.at
        )
        .unwrap();
        room.write("config.yaml", &config);
        room.run(&["subscribers", "list"]).fine();
        Practice { room, dns, relay, _runtime: runtime }
    }

    fn healthy() -> Practice {
        Practice::new(
            Script { extensions: vec!["PIPELINING", "8BITMIME", "SIZE 1000000"], ..Script::default() },
            "smtp://",
            0,
        )
    }

    fn look(&self) -> Ran {
        let ran = self.room.run(&["doctor"]);
        assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
        ran
    }

    /// The lines with a cross.
    fn crosses(&self) -> Vec<String> {
        let ran = self.look();
        let crosses: Vec<String> = ran.out.lines().filter(|l| l.contains('✗')).map(str::to_owned).collect();
        assert_eq!(ran.code, Some(i32::from(!crosses.is_empty())), "{ran:?}");
        let remedies = ran.out.lines().filter(|line| line.contains("to do: ")).count();
        assert!(remedies >= crosses.len(), "{}", ran.out);
        crosses
    }

    /// Replaces the records of this name and kind.
    fn publish(&self, name: &str, kind: &'static str, values: &[&str]) {
        let mut zone = self.dns.zone.lock().unwrap();
        zone.retain(|(at, known, value)| !(at == name && *known == kind && !value.starts_with("verification")));
        zone.extend(values.iter().map(|value| record(name, kind, value)));
    }
}

#[test]
fn a_newsroom_in_order_has_no_cross() {
    let practice = Practice::healthy();
    let ran = practice.look();
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    for told in [
        "✓ SPF        small-paper.example has a record, with 1 of 10 look-ups",
        "✓ SPF        192.0.2.25 may send for small-paper.example",
        "✓ DKIM       s1._domainkey.small-paper.example is published (rsa)",
        "✓ DMARC      small-paper.example: p=none",
        "✓ alignment  SPF and DKIM both speak for small-paper.example",
        "✓ PTR        192.0.2.25 is out.small-paper.example",
        "✓ MX         mail for small-paper.example goes to mx1.small-paper.example",
        "✓ PIPELINING",
        "✓ SIZE       takes mails of 1,000,000 bytes",
        "✓ ledger     var/ledger.sqlite is whole",
        "✓ web        agrees with the clock of 127.0.0.1",
        "✓ one-click",
        "✓ signature  1, over From and both headers of one-click",
        "✓ size",
    ] {
        assert!(ran.out.contains(told), "{told}\n{}", ran.out);
    }
    assert!(*practice.dns.by_tcp.lock().unwrap() > 0, "what is too long for UDP is asked for by TCP");
    let seen = practice.relay.seen.lock().unwrap();
    assert_eq!((seen.kept.len(), seen.quits), (0, 1), "nothing is sent");
}

#[test]
fn what_is_wrong_in_the_dns_is_told_with_what_to_do() {
    let practice = Practice::healthy();
    for (name, kind, values, told) in [
        ("small-paper.example", "TXT", &[][..], "SPF        small-paper.example has no SPF record"),
        ("small-paper.example", "TXT", &["v=spf1 -all", "v=spf1 ~all"], "more than one SPF record"),
        ("small-paper.example", "TXT", &["v=spf1 ip4:203.0.113.1 -all"], "192.0.2.25 may not send for"),
        ("small-paper.example", "TXT", &["v=spf1 redirect=small-paper.example"], "look-ups, and receivers make 10"),
        (KEY, "TXT", &[], "is not published"),
        (KEY, "TXT", &["v=DKIM1; k=rsa; p=AAAA"], "is not the key that mails are signed with"),
        ("_dmarc.small-paper.example", "TXT", &[], "has no DMARC policy"),
        ("small-paper.example", "MX", &["0 ."], "takes no mail"),
        ("25.2.0.192.in-addr.arpa", "PTR", &[], "192.0.2.25 has no name"),
        ("out.small-paper.example", "A", &["192.0.2.26"], "does not lead back to it"),
    ] {
        let before = practice.dns.zone.lock().unwrap().clone();
        practice.publish(name, kind, values);
        let crosses = practice.crosses();
        assert_eq!(crosses.len(), 1, "{told}: {crosses:?}");
        assert!(crosses[0].contains(told), "{told}: {crosses:?}");
        *practice.dns.zone.lock().unwrap() = before;
    }
    assert_eq!(practice.crosses(), [""; 0]);
}

#[test]
fn a_relay_that_cannot_be_used_is_told_and_nothing_else_suffers() {
    let folder = tempfile::tempdir().unwrap();
    let (_, acceptor) = tls::certificate(folder.path(), "IP:127.0.0.1", false);
    let script = Script { tls: Some(acceptor), implicit: true, ..Script::default() };
    let crosses = Practice::new(script, "smtps://", 0).crosses();
    assert_eq!(crosses.len(), 1, "{crosses:?}");
    assert!(crosses[0].contains("cannot be trusted"), "{crosses:?}");

    let practice = Practice::new(Script { extensions: vec!["SIZE 2000"], ..Script::default() }, "smtp://", 0);
    let ran = practice.look();
    assert!(ran.out.contains("· PIPELINING not offered"), "{}", ran.out);
    let crosses = practice.crosses();
    assert!(crosses.len() == 1 && crosses[0].contains("and the relay takes 2000"), "{crosses:?}");
}

#[test]
fn a_clock_that_goes_wrong_and_a_ledger_that_is_damaged_are_told() {
    let crosses = Practice::new(Script::default(), "smtp://", 7_200).crosses();
    assert!(crosses.len() == 1 && crosses[0].contains("s behind the clock of 127.0.0.1"), "{crosses:?}");

    let practice = Practice::healthy();
    practice.room.run(&["ledger", "backup", "copy.sqlite"]).fine();
    assert!(practice.look().out.contains("✓ backup     the last is 0 hours old"));
    // Closing the last connection writes everything into the file.
    drop(rusqlite::Connection::open(practice.room.path("var/ledger.sqlite")).unwrap());
    let path = practice.room.path("var/ledger.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    // A page in the middle; the first holds the schema, without which it would be no ledger.
    let (from, to) = (bytes.len() / 2 / 4_096 * 4_096, bytes.len() / 2 / 4_096 * 4_096 + 4_096);
    bytes[from..to].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let crosses = practice.crosses();
    assert!(crosses.iter().any(|line| line.contains("✗ ledger")), "{crosses:?}");
}

#[test]
fn deliveries_that_wait_for_a_person_are_a_cross() {
    let practice = Practice::healthy();
    practice.room.run(&["send", "news", "--transport", "directory:outbox"]).fine();
    assert!(practice.look().out.contains("✓ editions   none is held up"));
    practice.room.sql("UPDATE edition SET state = 'approved'");
    practice.room.sql("UPDATE delivery SET state = 6");
    let crosses = practice.crosses();
    assert!(crosses.len() == 1 && crosses[0].contains("nobody knows whether they went out"), "{crosses:?}");
}

#[test]
fn machines_read_the_findings_and_a_name_server_that_is_away_is_one() {
    let practice = Practice::healthy();
    practice.room.replace("config.yaml", &practice.dns.at.to_string(), "127.0.0.1:9");
    let ran = practice.room.run(&["--json", "doctor"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let events: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let findings = || events.iter().filter(|event| event["event"] == "finding");
    let wrong: Vec<_> = findings().filter(|event| event["finding"]["verdict"] == "wrong").collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!((&wrong[0]["group"], &wrong[0]["finding"]["about"]), (&"DNS".into(), &"resolver".into()));
    assert!(wrong[0]["finding"]["to_do"].as_str().unwrap().contains("doctor: resolver:"));
    let sum = events.iter().find(|event| event["event"] == "doctor").unwrap();
    assert_eq!(sum["wrong"], 1);
    assert_eq!(sum["fine"].as_u64().unwrap() + sum["notes"].as_u64().unwrap() + 1, findings().count() as u64);
}

#[test]
fn what_the_configuration_says_of_the_doctor_is_checked() {
    let room = Room::small(0);
    room.write("config.yaml", &format!("{}doctor: {{resolver: nine, sends_from: [here]}}\n", room.read("config.yaml")));
    room.run(&["doctor"]).failed(3, &["no resolver's address", "no address"]);
}
