//! `pressrun doctor` against a name server, a mail server, and a web server of the test's own.

use crate::support::dovecot::{self, Dovecot};
use crate::support::name_server::{BROKEN, NameServer, Written};
use crate::support::postgres;
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
            record("mx1.small-paper.example", "A", "192.0.2.26"),
            record("mx2.small-paper.example", "AAAA", "2001:db8::26"),
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
        (
            "small-paper.example",
            "MX",
            &["10 gone.small-paper.example"],
            "goes to gone.small-paper.example, which has no address",
        ),
        ("small-paper.example", "TXT", &["v=spf1 include:relay.example +all"], "lets everybody send"),
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

/// Some servers of names fail where they have no address of the newer family.
#[test]
fn an_address_that_is_known_counts_whatever_becomes_of_the_other_family() {
    let practice = Practice::healthy();
    practice.publish("out.small-paper.example", BROKEN, &["AAAA"]);
    let ran = practice.look();
    assert!(
        ran.code == Some(0) && ran.out.contains("✓ PTR        192.0.2.25 is out.small-paper.example"),
        "{}",
        ran.out
    );
}

#[test]
fn an_address_of_the_newer_family_is_looked_at_as_well() {
    let practice = Practice::healthy();
    practice.room.replace("config.yaml", "sends_from: [192.0.2.25]", "sends_from: [192.0.2.25, \"2001:db8::25\"]");
    let crosses = practice.crosses();
    let told = ["✗ SPF        2001:db8::25 may not send for", "✗ PTR        2001:db8::25 has no name"];
    assert!(crosses.len() == 2 && told.iter().zip(&crosses).all(|(told, line)| line.contains(told)), "{crosses:?}");
    practice.publish("relay.example", "TXT", &["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/64 ~all"]);
    let reverse = "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    practice.publish(reverse, "PTR", &["out.small-paper.example"]);
    practice.publish("out.small-paper.example", "AAAA", &["2001:db8::25"]);
    assert_eq!(practice.crosses(), [""; 0]);
}

#[test]
fn a_login_that_the_relay_refuses_is_told_with_where_to_look() {
    let script = || Script { login: Some(("desk", "right")), ..Script::default() };
    let practice = Practice::new(script(), "smtp://desk@", 0);
    let config = practice.room.read("config.yaml");
    practice.room.write("config.yaml", &format!("{config}smtp: {{password_file: password}}\n"));
    practice.room.write("password", "wrong");
    let crosses = practice.crosses();
    assert!(crosses.len() == 1 && crosses[0].contains("refuses the login"), "{crosses:?}");
    practice.room.write("password", "right");
    let ran = practice.look();
    assert!(ran.code == Some(0) && ran.out.contains("✓ login      it takes our login"), "{}", ran.out);
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

/// What a doctor says of a ledger on a server.
struct OnServer {
    practice: Practice,
    database: postgres::Database,
    server: postgres::Server,
}

impl OnServer {
    fn new() -> Option<OnServer> {
        let server = postgres::Server::start_durable()?;
        let database = server.database();
        let practice = Practice::healthy();
        practice.room.replace("config.yaml", "press:\n", &format!("ledger: {}\npress:\n", database.url()));
        practice.room.run(&["send", "news", "--transport", "directory:outbox"]).fine();
        Some(OnServer { practice, database, server })
    }

    fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.database.options.database, statement)
    }
}

#[test]
fn a_ledger_on_a_server_is_looked_at_whole_and_so_is_the_server() {
    let Some(on) = OnServer::new() else { return };
    let ran = on.practice.look();
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    for told in [
        "✓ ledger     test",
        "is whole",
        "✓ version    PostgreSQL 1",
        "✓ durable    what was committed survives a power cut",
        "✓ clock      agrees with the database's",
        "connections are in use",
        "✓ editions   none is held up",
    ] {
        assert!(ran.out.contains(told), "{told}\n{}", ran.out);
    }
    // Each is something that this program never writes.
    for (wrong, told, right) in [
        (
            "DELETE FROM attempt",
            "1 accepted deliveries without an attempt that can have been accepted; \
             1 deliveries whose attempts are not as many as they count",
            "INSERT INTO attempt VALUES (1, 1, 1, 1, 'accepted', TRUE, 250, NULL, '')",
        ),
        (
            "UPDATE delivery SET tries = 5",
            "1 deliveries whose attempts are not as many",
            "UPDATE delivery SET tries = 1",
        ),
        ("UPDATE delivery SET state = 0", "of which something is still to be sent", "UPDATE delivery SET state = 3"),
        ("UPDATE edition SET seal = NULL", "1 approved editions without their seal", "UPDATE edition SET seal = 'x'"),
        (
            "INSERT INTO returned VALUES ('a', 1, 1, 'bounced', NULL, TRUE, 550, NULL, '')",
            "1 mails that came back, and their deliveries do not know",
            "DELETE FROM returned",
        ),
    ] {
        on.sql(wrong);
        let crosses = on.practice.crosses();
        assert!(crosses.len() == 1 && crosses[0].contains("is not whole") && crosses[0].contains(told), "{crosses:?}");
        on.sql(right);
    }
    assert_eq!(on.practice.crosses(), [""; 0]);
}

#[test]
fn a_server_that_forgets_only_reads_or_has_no_room_is_told() {
    let Some(on) = OnServer::new() else { return };
    let name = &on.database.options.database;
    // A session of ours sets that on again, and needs no cross.
    on.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    assert_eq!(on.practice.crosses(), [""; 0]);
    on.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let crosses = on.practice.crosses();
    assert!(crosses.iter().any(|line| line.contains("only for reading")), "{crosses:?}");
    on.server.sql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    on.practice.room.replace("config.yaml", &on.database.url(), &format!("{}?connections=100", on.database.url()));
    let ran = on.practice.look();
    assert!(ran.out.contains("✓ room") && ran.code == Some(0), "{}", ran.out);

    // Everybody's server is not durable, and is told so.
    let Some(shared) = postgres::database() else { return };
    on.practice.room.replace("config.yaml", &on.database.url(), &shared.url());
    let crosses = on.practice.crosses();
    let told = "✗ durable    off: fsync, full_page_writes;";
    assert!(crosses.len() == 1 && crosses[0].contains(told), "{crosses:?}");
}

#[test]
fn a_server_that_is_away_or_a_ledger_of_another_version_is_one_cross_and_nothing_else_suffers() {
    let Some(on) = OnServer::new() else { return };
    on.sql("UPDATE pressrun_ledger SET version = 9000");
    let crosses = on.practice.crosses();
    assert!(crosses.len() == 1 && crosses[0].contains("newer version of Pressrun"), "{crosses:?}");
    on.practice.room.replace("config.yaml", &on.database.url(), "postgres://nobody.there@127.0.0.1:1/paper");
    let ran = on.practice.look();
    assert!(ran.out.contains("✗ ledger") && ran.out.contains("cannot be reached"), "{}", ran.out);
    assert!(ran.out.contains("✓ SPF") && ran.out.contains("✓ relay"), "{}", ran.out);
}

#[test]
fn what_nobody_but_a_person_can_have_done_to_a_ledger_in_a_file_is_told() {
    let practice = Practice::healthy();
    practice.room.run(&["send", "news", "--transport", "directory:outbox"]).fine();
    assert_eq!(practice.crosses(), [""; 0]);
    practice.room.sql("DELETE FROM attempt");
    let crosses = practice.crosses();
    assert!(crosses.len() == 1 && crosses[0].contains("1 accepted deliveries without an attempt"), "{crosses:?}");
}

#[test]
fn a_ledger_that_is_cut_off_or_overwritten_is_told_and_nothing_panics() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 3),
        |bytes: &mut Vec<u8>| bytes.truncate(100),
        |bytes: &mut Vec<u8>| bytes[..100].fill(0),
        |bytes: &mut Vec<u8>| bytes[100..4_096].fill(0xff),
        |bytes: &mut Vec<u8>| bytes.iter_mut().skip(4_096).step_by(97).for_each(|byte| *byte ^= 0x55),
    ] {
        let practice = Practice::healthy();
        practice.room.run(&["send", "news", "--transport", "directory:outbox"]).fine();
        drop(rusqlite::Connection::open(practice.room.path("var/ledger.sqlite")).unwrap());
        let path = practice.room.path("var/ledger.sqlite");
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
            let _ = std::fs::remove_file(practice.room.path("var").join(name));
        }
        let ran = practice.look();
        assert!(ran.code == Some(1) && ran.out.contains("✗ ledger") && !ran.err.contains("panicked"), "{ran:?}");
    }
}

#[test]
fn where_mail_comes_back_to_is_looked_at() {
    let practice = Practice::healthy();
    let config = practice.room.read("config.yaml");
    let with = |more: &str| practice.room.write("config.yaml", &format!("{config}returns:\n{more}"));
    let address = "  address: bounces+{token}@return.small-paper.example\n";
    let told = |words: &[&str]| {
        let ran = practice.look();
        for word in words {
            assert!(ran.out.contains(word), "{word}\n{}", ran.out);
        }
        ran.out.lines().filter(|line| line.contains('✗')).map(str::to_owned).collect::<Vec<_>>()
    };
    // The domain of the return paths must take mail, and the relay must be allowed to send for it.
    with(address);
    let crosses = told(&["· inbox      none is configured"]);
    assert!(
        crosses.iter().any(|line| line.contains("✗ MX         return.small-paper.example takes no mail")),
        "{crosses:?}"
    );
    practice.publish("return.small-paper.example", "MX", &["10 mx1.small-paper.example"]);
    practice.publish("return.small-paper.example", "TXT", &["v=spf1 ip4:192.0.2.25 -all"]);
    practice.room.write("mail/new/1.a", "Subject: x\n\n");
    with(&format!("{address}  inbox: [maildir:mail]\n"));
    let fine = [
        "✓ MX         mail for return.small-paper.example goes to mx1.small-paper.example",
        "✓ address    each mail has a return path of its own: bounces+{token}@return.small-paper.example",
        "✓ inbox      maildir:mail can be read: 1 mail to be read",
    ];
    assert_eq!(told(&fine), [""; 0]);
    assert!(practice.room.path("mail/new/1.a").exists(), "it was read");
    practice.publish("return.small-paper.example", "MX", &["0 ."]);
    let crosses = told(&[]);
    assert!(crosses.len() == 1 && crosses[0].contains("takes no mail"), "{crosses:?}");
    practice.publish("return.small-paper.example", "MX", &["10 mx1.small-paper.example"]);

    for (inbox, wrong) in [
        ("maildir:nowhere", "✗ inbox      maildir:nowhere is no Maildir"),
        ("mbox:nowhere", "✗ inbox      cannot read or move"),
        ("imap://desk@127.0.0.1:1", "is unreachable"),
    ] {
        with(&format!("{address}  inbox: \"{inbox}\"\n  password_file: password\n"));
        practice.room.write("password", "secret");
        let crosses = told(&[]);
        assert!(crosses.len() == 1 && crosses[0].contains(wrong), "{inbox}: {crosses:?}");
    }
    let dovecot = Dovecot::start();
    dovecot.put("1.person", "From: ana@example.net\nSubject: Re: News\n\nI liked it.\n");
    with(&format!("{address}  inbox: imap://desk@127.0.0.1:{}\n  password_file: password\n", dovecot.imap));
    let crosses = told(&[]);
    assert!(crosses.len() == 1 && crosses[0].contains("refuses the login"), "{crosses:?}");
    practice.room.write("password", dovecot::PASSWORD);
    assert_eq!(told(&["can be read: 1 mail to be read"]), [""; 0]);
    assert!(dovecot.files("").iter().all(|name| !name.contains(":2,") || name.ends_with(":2,")), "it was marked");
}
