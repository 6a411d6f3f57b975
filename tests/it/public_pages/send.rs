//! Leaving while an edition is being sent.

use chrono::Utc;
use pressrun::delivery::ledger::UncertainPolicy;
use pressrun::delivery::{Claimed, Ledger, retry};
use pressrun::digest::Editions;
use pressrun::error::Failure;
use pressrun::mail::Mail;
use pressrun::press::{Job, Options, Stop, deliver};
use pressrun::subscriber::token::{About, Grant, Keys, Purpose};
use pressrun::subscriber::{SubscriberId, Subscribers, SubscriptionState};
use pressrun::transport::{Transport, smtp};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::site::{Site, entry, sign};
use crate::support::room::Room;
use crate::support::smtp_server::{Act, Moment, Script, Server};

const READERS: usize = 10_000;
const COLUMN: &str = "middle-east-outreach";

#[allow(clippy::unnecessary_wraps)] // the press wants to hear of mails that cannot be written
fn compose(to: &Claimed) -> Result<Mail, Failure> {
    let message = format!("Message-ID: <{}@news.example>\r\n\r\nNews.\r\n", to.id.0).into_bytes().into();
    Ok(Mail { return_path: "desk@news.example".parse().unwrap(), to: to.address.clone(), message })
}

#[test]
fn who_leaves_in_the_middle_of_a_send_of_ten_thousand_gets_nothing_if_her_turn_had_not_come() {
    let site = Site::open();
    let address = |n: usize| format!("reader{n:05}@example.net");
    let sealed = crate::conformance::sealed("News");
    let edition = site.runtime.block_on(async {
        let entries = (0..READERS).map(|n| entry(&address(n), COLUMN)).collect();
        site.store.add(entries, Utc::now()).await.unwrap();
        let edition = crate::conformance::draft(&*site.store, COLUMN, vec![], sealed, Utc::now()).await;
        let id = edition.id;
        let written = site.store.approve(crate::conformance::fixed(edition), Utc::now()).await.unwrap();
        assert_eq!(written, Ok(READERS as u64));
        id
    });
    // The relay stands still at the thousandth mail until the readers have left.
    let gate = Arc::new(std::sync::Barrier::new(2));
    let (held, count) = (gate.clone(), std::sync::atomic::AtomicUsize::new(0));
    let script = Script {
        decide: Box::new(move |at| {
            if at.moment == Moment::Mail && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1_000 {
                held.wait();
                held.wait();
            }
            Act::Usual
        }),
        ..Script::default()
    };
    let server = site.runtime.block_on(Server::start(script));
    let relay =
        smtp::Relay { host: "127.0.0.1".to_owned(), port: server.address.port(), security: smtp::Security::Loopback };
    let transport = Transport::Smtp(
        smtp::Smtp::new(smtp::Options {
            relays: vec![relay],
            login: None,
            trust: None,
            hello: Some("client.example".to_owned()),
            timeout: Duration::from_mins(1),
            message_timeout: Duration::from_mins(1),
            mails_per_connection: 10_000,
        })
        .unwrap(),
    );
    let job = Job {
        ledger: site.store.clone(),
        transport: Arc::new(transport),
        edition,
        options: Options {
            connections: 1,
            uncertain: UncertainPolicy::Resend,
            retry: retry::Policy {
                first: Duration::from_millis(1),
                factor: 1.0,
                longest: Duration::from_millis(5),
                give_up_after: Duration::from_mins(10),
            },
            limits: pressrun::delivery::pace::Limits::default(),
            warm_up: None,
            lease: Duration::from_mins(10),
            linger: Duration::from_secs(5),
        },
        press: "run".to_owned(),
        alone: true,
        stop: Stop::default(),
    };
    let sending = site.runtime.spawn(deliver(job, compose, Utc::now, |_| {}));
    gate.wait();
    let before: BTreeSet<String> = server.kept().into_iter().map(|mail| mail.to).collect();
    // From readers whose turn comes soon to the last one: some are claimed already, and none of these has begun.
    let leaving: Vec<usize> = (1_100..READERS).step_by(89).chain([READERS - 1]).collect();
    for n in &leaving {
        let id = site.held(&address(*n)).unwrap().subscriber.unwrap().id;
        let token = sign(Purpose::Unsubscribe, id, About::digest(COLUMN));
        assert_eq!(site.post(&format!("/unsubscribe/{token}"), &[("List-Unsubscribe", "One-Click")]).status, 200);
    }
    gate.wait();
    site.runtime.block_on(sending).unwrap();
    let got: BTreeSet<String> = server.kept().into_iter().map(|mail| mail.to).collect();
    let left: BTreeSet<String> = leaving.iter().map(|n| address(*n)).collect();
    let unlucky: Vec<&String> = got.intersection(&left).filter(|to| !before.contains(*to)).collect();
    assert!(unlucky.is_empty(), "{unlucky:?}");
    assert_eq!(got.len(), READERS - left.len());
    let counts = site.runtime.block_on(site.store.counts(edition)).unwrap();
    assert_eq!((counts.accepted, counts.withdrawn), ((READERS - left.len()) as u64, left.len() as u64));
    assert_eq!(site.states(&address(READERS - 1))[0].1, SubscriptionState::Ended);
}

/// The same with the programs themselves: one sends, the other serves, and they meet in the ledger only.
#[test]
fn two_processes_keep_the_promise_to_who_leaves_in_the_middle_of_a_send() {
    let room = Room::small(READERS);
    // A runtime of its own: each of its threads may stand still at the gate.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_all().build().unwrap();
    let (gate, count) = (Arc::new(Gate::default()), AtomicUsize::new(0));
    let held = gate.clone();
    let decide = move |at: &crate::support::smtp_server::At<'_>| {
        if at.moment == Moment::Mail && count.fetch_add(1, Ordering::SeqCst) >= 1_000 {
            held.pass();
        }
        Act::Usual
    };
    let server = runtime.block_on(Server::start(Script { decide: Box::new(decide), ..Script::default() }));
    let relay = format!("smtp://{}", server.address);
    let serving = room.serve(&["--no-press", "--transport", &relay]);
    let mut sending = room.start(&["--transport", &relay, "send", "news"]);
    gate.wait_for_somebody();

    // From readers whose turn comes soon to the last one.
    let keys = Keys::parse(&room.read("var/link.keys")).unwrap();
    let leaving: Vec<String> =
        (1_200..READERS).step_by(89).chain([READERS]).map(crate::support::room::address).collect();
    let ledger = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    for address in &leaving {
        let id = ledger.query_row("SELECT id FROM subscriber WHERE address = ?1", [address], |row| row.get(0)).unwrap();
        let grant = Grant { subscriber: SubscriberId(id), about: About::digest("news") };
        let path = format!("/unsubscribe/{}", keys.sign(Purpose::Unsubscribe, grant));
        let body = "List-Unsubscribe=One-Click";
        let mut socket = std::net::TcpStream::connect(serving.at).unwrap();
        let length = body.len();
        write!(
            socket,
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(sending.try_wait().unwrap().is_none(), "the send has ended before");
    let begun: BTreeSet<String> = server.kept().into_iter().map(|mail| mail.to).collect();
    assert!(begun.len() <= 1_000 && !leaving.iter().any(|address| begun.contains(address)));
    gate.open();
    assert!(sending.wait().unwrap().success());

    let got: BTreeSet<String> = server.kept().into_iter().map(|mail| mail.to).collect();
    let unlucky: Vec<&String> = leaving.iter().filter(|address| got.contains(*address)).collect();
    assert!(unlucky.is_empty(), "{unlucky:?}");
    assert_eq!((got.len(), server.kept().len()), (READERS - leaving.len(), READERS - leaving.len()));
    assert!(serving.stop().success());
}

/// A gate at which everybody waits until it is opened.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, open)| !*open).unwrap());
    }

    fn wait_for_somebody(&self) {
        let state = self.state.lock().unwrap();
        let (state, waited) =
            self.changed.wait_timeout_while(state, Duration::from_mins(4), |(waiting, _)| *waiting == 0).unwrap();
        assert!(!waited.timed_out(), "nobody came to the gate");
        drop(state);
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}
