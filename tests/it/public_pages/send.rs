//! Leaving while an edition is being sent.

use chrono::Utc;
use pressrun::delivery::ledger::UncertainPolicy;
use pressrun::delivery::{Claimed, Ledger, retry};
use pressrun::digest::Editions;
use pressrun::error::Failure;
use pressrun::mail::Mail;
use pressrun::press::{Job, Options, Stop, deliver};
use pressrun::subscriber::token::{About, Purpose};
use pressrun::subscriber::{Subscribers, SubscriptionState};
use pressrun::transport::{Transport, smtp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::site::{Site, entry, sign};
use crate::support::smtp_server::{Act, Moment, Script, Server};

const READERS: usize = 10_000;
const COLUMN: &str = "middle-east-outreach";

fn compose(to: &Claimed) -> Result<Mail, Failure> {
    let message = format!("Message-ID: <{}@news.example>\r\n\r\nNews.\r\n", to.id.0).into_bytes();
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
        let edition = site.store.draft(COLUMN, vec![], sealed.clone(), Utc::now()).await.unwrap();
        let written = site.store.approve(edition.id, sealed, "seal".to_owned(), Utc::now()).await.unwrap();
        assert_eq!(written, Some(READERS as u64));
        edition.id
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
