//! The press: nobody is lost, and nobody gets two but where the ledger says that it may be.

use chrono::Utc;
use pressrun::delivery::ledger::UncertainPolicy;
use pressrun::delivery::pace::{Destination, Limit, Limits};
use pressrun::delivery::warm_up::WarmUp;
use pressrun::delivery::{Claimed, DeliveryRecord, DeliveryState, Ledger, retry};
use pressrun::digest::{EditionId, Editions};
use pressrun::error::{Failure, Kind};
use pressrun::mail::Mail;
use pressrun::press::deliver::{ACCUSED_PAUSE, End, IN_FLIGHT, Report, UNCERTAIN_PAUSE};
use pressrun::press::{Job, Options, Stop, deliver};
use pressrun::store::{SqliteStore, StoreError};
use pressrun::transport::{OpenError, Transport, smtp};
use proptest::prelude::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::conformance;
use crate::support::smtp_server::{Act, At, Moment, Script, Server};

const LINES: u16 = 4;

fn options() -> Options {
    Options {
        connections: LINES,
        uncertain: UncertainPolicy::Resend,
        retry: retry::Policy {
            first: Duration::from_millis(1),
            factor: 1.0,
            longest: Duration::from_millis(5),
            give_up_after: Duration::from_mins(10),
        },
        limits: Limits::default(),
        warm_up: None,
        lease: Duration::from_mins(10),
        linger: Duration::from_secs(5),
    }
}

/// What takes longer than this is a mute server.
const SOON: Duration = Duration::from_millis(500);

fn transport(port: u16) -> Arc<Transport> {
    carrying(port, 25, SOON)
}

fn carrying(port: u16, mails_per_connection: u32, message_timeout: Duration) -> Arc<Transport> {
    let relay = smtp::Relay { host: "127.0.0.1".to_owned(), port, security: smtp::Security::Loopback };
    let options = smtp::Options {
        relays: vec![relay],
        login: None,
        trust: None,
        hello: Some("client.example".to_owned()),
        timeout: SOON,
        message_timeout,
        mails_per_connection,
    };
    Arc::new(Transport::Smtp(smtp::Smtp::new(options).unwrap()))
}

#[allow(clippy::unnecessary_wraps)] // the press wants to hear of mails that cannot be written
fn compose(to: &Claimed) -> Result<Mail, Failure> {
    let message = format!("Message-ID: <{}@news.example>\r\n\r\nFor {}.\r\n", to.id.0, to.name).into_bytes().into();
    Ok(Mail { return_path: "desk@news.example".parse().unwrap(), to: to.address.clone(), message })
}

/// A ledger with an approved edition for so many readers.
async fn ledger(folder: &Path, readers: usize) -> (Arc<SqliteStore>, EditionId) {
    let store = SqliteStore::open(&folder.join("ledger.sqlite")).unwrap();
    let names: Vec<String> = (0..readers).map(|n| format!("r{n:04}")).collect();
    let edition = conformance::approved(&store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    (Arc::new(store), edition)
}

fn job(ledger: Arc<SqliteStore>, port: u16, edition: EditionId, options: Options) -> Job<SqliteStore> {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let press = format!("run {}", RUN.fetch_add(1, Ordering::Relaxed));
    Job { ledger, transport: transport(port), edition, options, press, alone: true, stop: Stop::default() }
}

async fn run(ledger: &Arc<SqliteStore>, server: &Server, edition: EditionId, options: Options) -> Report<StoreError> {
    deliver(job(ledger.clone(), server.address.port(), edition, options), compose, Utc::now, |_| {}).await
}

fn copies(server: &Server) -> HashMap<String, usize> {
    let mut copies = HashMap::new();
    for kept in server.kept() {
        *copies.entry(kept.to).or_default() += 1;
    }
    copies
}

fn script(decide: impl Fn(&At<'_>) -> Act + Send + Sync + 'static) -> Script {
    Script { decide: Box::new(decide), ..Script::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reader_gets_one_mail_and_a_second_run_has_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 600).await;
    let server = Server::start(Script::default()).await;
    let last = Arc::new(AtomicU64::new(0));
    let seen = last.clone();
    let job = job(ledger.clone(), server.address.port(), edition, options());
    let report = deliver(job, compose, Utc::now, move |p| seen.store(p.tally.accepted, Ordering::Relaxed)).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert_eq!((report.tally.accepted, last.load(Ordering::Relaxed)), (600, 600));
    let copies = copies(&server);
    assert_eq!((copies.len(), copies.values().max()), (600, Some(&1)));
    let again = run(&ledger, &server, edition, options()).await;
    assert!(matches!(again.end, End::Sent));
    assert_eq!(again.tally.accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn greylisted_readers_are_waited_for_and_what_is_due_later_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 60).await;
    let tries = std::sync::Mutex::new(HashMap::<String, usize>::new());
    let server = Server::start(script(move |at| {
        if at.moment != Moment::Rcpt {
            return Act::Usual;
        }
        let mut tries = tries.lock().unwrap();
        let n = tries.entry(at.to.to_owned()).or_default();
        *n += 1;
        if *n <= 2 { Act::Say(b"450 4.2.0 greylisted\r\n") } else { Act::Usual }
    }))
    .await;
    let mut slow = options();
    slow.retry.first = Duration::from_hours(1);
    slow.retry.longest = Duration::from_hours(1);
    slow.retry.give_up_after = Duration::from_hours(24);
    let report = run(&ledger, &server, edition, slow).await;
    assert!(matches!(report.end, End::Open(Some(due)) if due > Utc::now() + chrono::TimeDelta::minutes(40)));
    assert_eq!((report.tally.deferred, server.kept().len()), (60, 0));

    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = self::ledger(folder.path(), 60).await;
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert_eq!((report.tally.deferred, report.tally.accepted), (60, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_for_a_fault_of_ours_pause_the_edition() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 400).await;
    let server = Server::start(script(|at| match at.moment {
        Moment::Dot => Act::Say(b"550 5.7.26 This mail is unauthenticated\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(report.end, End::Pauses(_)), "{:?}", report.end);
    let bound = u64::from(ACCUSED_PAUSE) + 2 * u64::from(LINES);
    assert!(report.tally.rejected <= bound, "{:?}", report.tally);
    let counts = ledger.counts(edition).await.unwrap();
    assert_eq!((counts.under_way, counts.waiting + counts.rejected), (0, 400));
    let again = run(&ledger, &server, edition, options()).await;
    assert!(matches!(again.end, End::Paused(_)));
    assert_eq!(again.tally.rejected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_relay_does_not_know_the_next_edition_does_not_go_to() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 20).await;
    let server = Server::start(script(|at| match (at.moment, at.to.split('@').next()) {
        (Moment::Rcpt, Some("r0003")) => Act::Say(b"550 5.1.1 User unknown\r\n"),
        (Moment::Rcpt, Some("r0004")) => Act::Say(b"550 5.7.1 No such user\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert_eq!((report.tally.rejected, report.tally.accepted), (2, 18));
    let next = conformance::draft(&*ledger, "weekly", vec![], conformance::sealed("More"), Utc::now()).await;
    let next_id = next.id;
    assert_eq!(ledger.approve(conformance::fixed(next), Utc::now()).await.unwrap(), Ok(19));
    let report = run(&ledger, &server, next_id, options()).await;
    assert_eq!((report.tally.rejected, report.tally.accepted), (1, 18));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sender_stops_everything_and_costs_no_reader_a_try() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 50).await;
    let server = Server::start(script(|at| match at.moment {
        Moment::Mail => Act::Say(b"553 5.7.1 not your address\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(&report.end, End::Refused(reply) if reply.text == "not your address"), "{:?}", report.end);
    let counts = ledger.counts(edition).await.unwrap();
    assert_eq!((counts.waiting, counts.deferred), (50, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_not_there_or_takes_nothing_is_told_and_all_still_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 50).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = deliver(job(ledger.clone(), free.port(), edition, options()), compose, Utc::now, |_| {}).await;
    assert!(matches!(report.end, End::Unopened(OpenError::Unreachable { .. })), "{:?}", report.end);

    let server = Server::start(script(|at| match at.moment {
        Moment::Mail => Act::SayAndClose(b"421 4.3.2 not now\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(report.end, End::Unopened(OpenError::Fruitless { .. })), "{:?}", report.end);
    let counts = ledger.counts(edition).await.unwrap();
    assert_eq!((counts.waiting, counts.deferred), (50, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_takes_few_connections_still_gets_all() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 100).await;
    let server = Server::start(script(|at| match at.moment {
        Moment::Greeting if at.connection % 3 != 0 => Act::SayAndClose(b"421 4.7.0 too many connections\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert_eq!(copies(&server).len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_could_not_be_had_comes_back_when_the_relay_takes_more() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 400).await;
    // One line at a time, and later as many as are wanted.
    let (began, busy) = (Instant::now(), Arc::new(std::sync::Mutex::new(std::collections::HashSet::new())));
    let later = busy.clone();
    let server = Server::start(script(move |at| {
        let narrow = began.elapsed() < Duration::from_secs(10);
        match at.moment {
            Moment::Greeting if narrow && at.connection > 1 => Act::SayAndClose(b"421 4.7.0 too many connections\r\n"),
            Moment::Mail if narrow => {
                std::thread::sleep(Duration::from_millis(100));
                Act::Usual
            }
            Moment::Dot if !narrow => {
                busy.lock().unwrap().insert(at.connection);
                if at.connection == 1 {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Act::Usual
            }
            _ => Act::Usual,
        }
    }))
    .await;
    let mut job = job(ledger.clone(), server.address.port(), edition, options());
    job.transport = carrying(server.address.port(), 10_000, SOON);
    let report = deliver(job, compose, Utc::now, |_| {}).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    let lines = later.lock().unwrap().len();
    assert!(lines > 1, "{lines} line sent all");
    assert_eq!(copies(&server).values().max(), Some(&1));
}

/// The relay looks into the mail for three times as long as the lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_press_that_waits_for_an_answer_keeps_its_leases() {
    const LEASE: Duration = Duration::from_secs(3);
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 1).await;
    let server = Server::start(script(|at| {
        if at.moment == Moment::Dot {
            // The press has its tasks on this thread too.
            tokio::task::block_in_place(|| std::thread::sleep(3 * LEASE));
        }
        Act::Usual
    }))
    .await;
    let mut job = job(ledger.clone(), server.address.port(), edition, Options { lease: LEASE, ..options() });
    job.transport = carrying(server.address.port(), 1, 10 * LEASE);
    let press = tokio::spawn(deliver(job, compose, Utc::now, |_| {}));
    while !press.is_finished() {
        // What another press does all the time.
        assert_eq!(ledger.rescue(false, UncertainPolicy::Hold, Utc::now()).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(matches!(press.await.unwrap().end, End::Sent));
    assert_eq!(ledger.counts(edition).await.unwrap().doubtful, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_restarts_under_many_lines_does_not_end_the_run() {
    const MANY: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 200).await;
    let server = Server::start(script(|at| match at.moment {
        Moment::Mail if at.connection <= MANY => Act::SayAndClose(b"421 4.3.2 restarting\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let options = Options { connections: u16::try_from(MANY).unwrap(), ..options() };
    let report = run(&ledger, &server, edition, options).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert_eq!((report.tally.accepted, report.tally.deferred), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lines_that_hear_that_they_are_too_fast_slow_down_and_do_not_end_the_run() {
    const MANY: usize = 32;
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 130).await;
    let (kept, complaints) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let server = Server::start(script(move |at| match at.moment {
        Moment::Dot => {
            kept.fetch_add(1, Ordering::SeqCst);
            Act::Usual
        }
        Moment::Mail if kept.load(Ordering::SeqCst) >= 60 && complaints.fetch_add(1, Ordering::SeqCst) < 30 => {
            Act::Say(b"450 4.7.1 Error: too much mail from 192.0.2.1\r\n")
        }
        _ => Act::Usual,
    }))
    .await;
    let options = Options { connections: u16::try_from(MANY).unwrap(), ..options() };
    let report = run(&ledger, &server, edition, options).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert_eq!((report.tally.accepted, report.tally.deferred), (130, 0), "and it costs no reader a try");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_defers_everything_before_the_reader_is_named_costs_no_reader_a_try() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 50).await;
    let server = Server::start(script(|at| match at.moment {
        Moment::Mail => Act::Say(b"452 4.3.1 Insufficient system storage\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let report = run(&ledger, &server, edition, options()).await;
    let End::Unopened(error) = report.end else { panic!("{:?}", report.end) };
    assert!(error.to_string().contains("Insufficient system storage"), "{error}");
    let counts = ledger.counts(edition).await.unwrap();
    assert_eq!((counts.waiting, counts.deferred), (50, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_takes_mails_and_breaks_off_pauses_the_edition_and_sends_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 200).await;
    let server = Server::start(script(|at| match at.moment {
        Moment::Dot => Act::KeepAndClose,
        _ => Act::Usual,
    }))
    .await;
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(&report.end, End::Pauses(why) if why.contains("may have gone out")), "{:?}", report.end);
    let uncertain = ledger.counts(edition).await.unwrap().uncertain;
    let bound = u64::from(UNCERTAIN_PAUSE) + 3 * u64::from(LINES);
    assert!((u64::from(UNCERTAIN_PAUSE)..=bound).contains(&uncertain), "{uncertain}");
    let again = run(&ledger, &server, edition, options()).await;
    assert!(matches!(again.end, End::Paused(_)), "{:?}", again.end);
    assert_eq!(ledger.counts(edition).await.unwrap().uncertain, uncertain, "they are left for a person");
    let copies = copies(&server);
    assert_eq!((copies.len() as u64, copies.values().max()), (uncertain, Some(&1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_finishes_what_is_on_the_wire_and_gives_the_rest_back() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 2000).await;
    let stop = Stop::default();
    let (set, sent) = (stop.clone(), AtomicUsize::new(0));
    let server = Server::start(script(move |at| {
        if at.moment == Moment::Dot && sent.fetch_add(1, Ordering::SeqCst) == 40 {
            set.set();
        }
        Act::Usual
    }))
    .await;
    let job = Job { stop, ..job(ledger.clone(), server.address.port(), edition, options()) };
    let report = deliver(job, compose, Utc::now, |_| {}).await;
    assert!(matches!(report.end, End::Stopped));
    let counts = ledger.counts(edition).await.unwrap();
    assert_eq!((counts.under_way, counts.uncertain), (0, 0));
    assert_eq!(counts.accepted, server.kept().len() as u64);
    assert!(counts.accepted < 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_cannot_be_written_ends_the_run_and_loses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 200).await;
    let server = Server::start(Script::default()).await;
    let faulty = |to: &Claimed| {
        if to.name == "R0100" { Err(Failure::new(Kind::Bug, "no mail for her")) } else { compose(to) }
    };
    let report =
        deliver(job(ledger.clone(), server.address.port(), edition, options()), faulty, Utc::now, |_| {}).await;
    assert!(matches!(report.end, End::Fault(failure) if failure.what == "no mail for her"));
    let report = run(&ledger, &server, edition, options()).await;
    assert!(matches!(report.end, End::Sent));
    let copies = copies(&server);
    assert_eq!((copies.len(), copies.values().max()), (200, Some(&1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_says_too_fast_is_left_alone_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, edition) = two_domains(folder.path(), 50, 50).await;
    let server = Server::start(script(|at| match at.moment {
        Moment::Rcpt if at.to.ends_with("big.example") => Act::Say(b"450 4.7.28 unusual rate\r\n"),
        _ => Act::Usual,
    }))
    .await;
    let report = run(&store, &server, edition, options()).await;
    assert!(matches!(report.end, End::Open(Some(_))), "{:?}", report.end);
    assert_eq!(report.tally.accepted, 50);
    assert!(report.tally.deferred <= 2 * u64::from(LINES), "{:?}", report.tally);

    // The next run knows, whatever was due.
    let asked = || server.seen.lock().unwrap().commands.iter().filter(|c| c.contains("@big.example")).count();
    let before = asked();
    let ledger = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    assert_eq!(ledger.execute("UPDATE delivery SET due = 0 WHERE state = 0", []).unwrap(), 50);
    drop(ledger);
    let report = run(&store, &server, edition, options()).await;
    assert!(matches!(report.end, End::Open(Some(due)) if due > Utc::now() + chrono::TimeDelta::minutes(9)));
    assert_eq!(asked(), before, "it is still left alone");
}

/// A ledger with an approved edition: so many readers at big.example, mixed with so many at small.example.
async fn two_domains(folder: &Path, big: usize, small: usize) -> (Arc<SqliteStore>, EditionId) {
    use pressrun::digest::Editions;
    let store = SqliteStore::open(&folder.join("ledger.sqlite")).unwrap();
    let entry = |n: usize, domain: &str| {
        let mut entry = conformance::entry("x", pressrun::subscriber::SubscriptionState::Confirmed);
        entry.address = format!("r{n}@{domain}").parse().unwrap();
        entry
    };
    // The big ones first: they would stand before all others.
    let entries = (0..big).map(|n| entry(n, "big.example")).chain((0..small).map(|n| entry(n, "small.example")));
    pressrun::subscriber::Subscribers::add(&store, entries.collect(), conformance::now()).await.unwrap();
    let draft = conformance::draft(&store, "weekly", vec![], conformance::sealed("x"), conformance::now()).await;
    let id = draft.id;
    store.approve(conformance::fixed(draft), conformance::now()).await.unwrap().unwrap();
    (Arc::new(store), id)
}

fn big(per_minute: u32, connections: u16) -> Limits {
    let limit = Limit { per_minute: NonZeroU32::new(per_minute), connections: NonZeroU16::new(connections) };
    Limits { named: vec![Destination { domains: vec!["big.example".to_owned()], limit }], ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_with_a_rate_gets_its_mails_in_time_and_stands_before_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = two_domains(folder.path(), 600, 60).await;
    let server = Server::start(Script::default()).await;
    // 50 a second; what a burst allows goes at once.
    let options = Options { limits: big(3000, 0), linger: Duration::ZERO, ..options() };
    let began = Instant::now();
    let report = run(&ledger, &server, edition, options).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert_eq!((report.tally.accepted, report.tally.deferred), (660, 0));
    assert!(began.elapsed() >= Duration::from_secs(6), "{:?}", began.elapsed());
    let kept = server.kept();
    let last = kept.iter().rposition(|kept| kept.to.ends_with("small.example")).unwrap();
    let before = kept[..last].iter().filter(|kept| kept.to.ends_with("big.example")).count();
    assert!(before < 450, "{before} of 600 went before the last of the others");
    let copies = copies(&server);
    assert_eq!((copies.len(), copies.values().max()), (660, Some(&1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_gets_its_mails_over_as_many_connections_as_it_may_have_and_others_over_the_rest() {
    for most in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, edition) = two_domains(folder.path(), 150, 150).await;
        // Connections that are in a transaction for big.example, and the most there were at a time.
        let busy = Arc::new(std::sync::Mutex::new((std::collections::HashSet::new(), 0)));
        let seen = busy.clone();
        let server = Server::start(script(move |at| {
            let mut busy = seen.lock().unwrap();
            let big = at.to.ends_with("big.example");
            match at.moment {
                Moment::Rcpt if big => {
                    busy.0.insert(at.connection);
                    busy.1 = busy.1.max(busy.0.len());
                }
                Moment::Dot => {
                    drop(busy);
                    std::thread::sleep(Duration::from_millis(3));
                    seen.lock().unwrap().0.remove(&at.connection);
                }
                _ => {}
            }
            Act::Usual
        }))
        .await;
        let report = run(&ledger, &server, edition, Options { limits: big(0, most), ..options() }).await;
        assert!(matches!(report.end, End::Sent), "{:?}", report.end);
        let copies = copies(&server);
        assert_eq!((copies.len(), copies.values().max()), (300, Some(&1)));
        // An envelope may go ahead of its mail's turn, so one may be seen while another's ends.
        let seen = busy.lock().unwrap().1;
        assert!(seen <= usize::from(most) + 1, "{seen} connections, and {most} are allowed");
        assert!(server.seen.lock().unwrap().connections >= 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_in_all_is_kept_by_all_lines_together() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 250).await;
    let server = Server::start(Script::default()).await;
    // 30 a second, and 150 at once after a pause.
    let limits = Limits { per_minute: NonZeroU32::new(1800), ..Limits::default() };
    let began = Instant::now();
    let report = run(&ledger, &server, edition, Options { limits, linger: Duration::ZERO, ..options() }).await;
    assert!(matches!(report.end, End::Sent), "{:?}", report.end);
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(copies(&server).len(), 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_fast_for_itself_gets_a_breath() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 500).await;
    let dots = AtomicUsize::new(0);
    let server = Server::start(script(move |at| {
        if at.moment == Moment::Dot && dots.fetch_add(1, Ordering::SeqCst) == 50 {
            return Act::Say(b"454 Throttling failure: Maximum sending rate exceeded.\r\n");
        }
        Act::Usual
    }))
    .await;
    let stop = Stop::default();
    let later = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        later.set();
    });
    let job = Job { stop, ..job(ledger.clone(), server.address.port(), edition, options()) };
    let report = deliver(job, compose, Utc::now, |_| {}).await;
    assert!(matches!(report.end, End::Stopped), "{:?}", report.end);
    let most = 50 + 3 * IN_FLIGHT as u64 * u64::from(LINES);
    assert!((50..=most).contains(&report.tally.accepted), "{:?}", report.tally);
    assert_eq!((report.tally.deferred, report.tally.rejected), (1, 0));
    let counts = ledger.counts(edition).await.unwrap();
    assert_eq!((counts.under_way, counts.waiting), (0, 500 - report.tally.accepted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_after_some_mails_without_a_word_costs_nobody_a_try() {
    for extensions in [vec!["PIPELINING"], vec![]] {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, edition) = ledger(folder.path(), 60).await;
        let counts = std::sync::Mutex::new(HashMap::<usize, usize>::new());
        let decide = move |at: &At<'_>| {
            if at.moment != Moment::Mail {
                return Act::Usual;
            }
            let mut counts = counts.lock().unwrap();
            let mails = counts.entry(at.connection).or_default();
            *mails += 1;
            if *mails > 5 { Act::Close } else { Act::Usual }
        };
        let server = Server::start(Script { extensions, decide: Box::new(decide), ..Script::default() }).await;
        let began = Instant::now();
        let report = run(&ledger, &server, edition, options()).await;
        assert!(matches!(report.end, End::Sent), "{:?}", report.end);
        assert_eq!((report.tally.accepted, report.tally.deferred), (60, 0));
        assert!(began.elapsed() < Duration::from_secs(10), "it reconnects at once: {:?}", began.elapsed());
        let doubts = ledger.counts(edition).await.unwrap().doubtful;
        assert_eq!(doubts, 0, "what was not begun is not uncertain");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sender_sends_so_many_a_day_and_more_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, edition) = ledger(folder.path(), 400).await;
    let server = Server::start(Script::default()).await;
    let number = |n| NonZeroU32::new(n).unwrap();
    let warm_up = Some(WarmUp { start: number(100), factor: 2.0, until: number(10_000) });
    let options = Options { warm_up, ..options() };
    for (sent, day) in [(100, 0), (100, 0), (300, 1), (300, 0), (400, 1)] {
        if day > 0 {
            let ledger = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
            ledger.execute("UPDATE delivery SET ended = ended - 25 * 3600000 WHERE state = 3", []).unwrap();
        }
        let report = run(&ledger, &server, edition, options.clone()).await;
        assert_eq!(server.kept().len(), sent);
        let counts = ledger.counts(edition).await.unwrap();
        assert_eq!((counts.accepted, counts.under_way, counts.deferred), (sent as u64, 0, 0));
        assert_eq!(matches!(report.end, End::Spent), sent < 400, "{:?}", report.end);
    }
    assert_eq!(copies(&server).len(), 400);
}

/// By chance, but the same for the same seed: mostly usual, sometimes anything that SMTP may bring.
fn weather(seed: u64, rough: u64) -> impl Fn(&At<'_>) -> Act + Send + Sync {
    let count = AtomicU64::new(0);
    move |at| {
        let mut hasher = DefaultHasher::new();
        (seed, at.moment as u8, at.to, count.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
        let dice = hasher.finish();
        if dice % 1000 >= rough {
            return Act::Usual;
        }
        let choose = |acts: &[Act]| acts[usize::try_from(dice / 1000 % acts.len() as u64).unwrap()].clone();
        match at.moment {
            Moment::Greeting => choose(&[Act::Close, Act::SayAndClose(b"421 4.3.2 busy\r\n")]),
            Moment::Mail => {
                choose(&[Act::Close, Act::SayAndClose(b"421 4.3.2 bye\r\n"), Act::Say(b"451 4.3.0 later\r\n")])
            }
            Moment::Rcpt => choose(&[
                Act::Close,
                Act::Say(b"450 4.2.0 greylisted\r\n"),
                Act::Say(b"550 5.1.1 no such user\r\n"),
                Act::SayAndClose(b"421 4.3.2 bye\r\n"),
                Act::SayAndClose(b"what\r\n"),
            ]),
            Moment::Data => choose(&[Act::Close, Act::Say(b"451 4.3.0 later\r\n"), Act::Say(b"250 odd\r\n")]),
            Moment::Middle => Act::Close,
            Moment::Dot => choose(&[
                Act::Close,
                Act::KeepAndClose,
                Act::KeepAndClose,
                Act::Say(b"451 4.3.0 later\r\n"),
                Act::Say(b"554 5.2.2 full\r\n"),
                Act::SayAndClose(b"421 4.3.2 bye\r\n"),
                Act::KeepAndSay(b"garbage\r\n"),
            ]),
            _ => Act::Usual,
        }
    }
}

/// A press in a runtime of its own, that is thrown away after a while, as a kill would.
fn run_and_kill(
    file: &Path,
    port: u16,
    edition: EditionId,
    options: Options,
    after: Duration,
) -> Option<Report<StoreError>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = Arc::new(SqliteStore::open(file).unwrap());
    let report = runtime.block_on(async {
        let press = tokio::spawn(deliver(job(store.clone(), port, edition, options), compose, Utc::now, |_| {}));
        tokio::time::timeout(after, press).await.ok().map(Result::unwrap)
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    report
}

fn records(file: &Path, edition: EditionId) -> Vec<DeliveryRecord> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = SqliteStore::open(file).unwrap();
    runtime.block_on(store.records(edition, None, None, 10_000)).unwrap()
}

fn weathered(seed: u64, rough: u64, kills: &[u64], policy: UncertainPolicy) {
    const READERS: usize = 120;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.sqlite");
    let outside = tokio::runtime::Runtime::new().unwrap();
    let (server, edition) = outside.block_on(async {
        let (_, edition) = ledger(folder.path(), READERS).await;
        (Server::start(script(weather(seed, rough))).await, edition)
    });
    let options = Options { uncertain: policy, ..options() };
    let port = server.address.port();
    for after in kills {
        run_and_kill(&file, port, edition, options.clone(), Duration::from_millis(*after));
        let flying = records(&file, edition).iter().filter(|r| r.state == DeliveryState::InFlight).count();
        assert!(flying <= IN_FLIGHT * usize::from(LINES), "{flying} in flight after a kill");
    }
    let began = Instant::now();
    loop {
        let report = run_and_kill(&file, port, edition, options.clone(), Duration::from_mins(1)).unwrap();
        match report.end {
            End::Sent => break,
            End::Open(None) if policy == UncertainPolicy::Hold => break,
            End::Open(_) | End::Unopened(_) => assert!(began.elapsed() < Duration::from_mins(1), "no end"),
            // In the roughest weather a person has to say that it goes on.
            End::Pauses(_) | End::Paused(_) => {
                let store = SqliteStore::open(&file).unwrap();
                outside.block_on(store.pause(edition, None)).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    let copies = copies(&server);
    let records = records(&file, edition);
    assert_eq!(records.len(), READERS);
    for record in records {
        let got = copies.get(record.address.as_str()).copied().unwrap_or(0);
        let what = format!("{record:?} got {got}");
        match record.state {
            DeliveryState::Accepted => assert!(got == 1 || got > 1 && record.doubts > 0, "{what}"),
            DeliveryState::Rejected | DeliveryState::Expired => assert!(got == 0 || record.doubts > 0, "{what}"),
            DeliveryState::Uncertain => assert!(policy == UncertainPolicy::Hold && got <= 1, "{what}"),
            _ => panic!("not finished: {what}"),
        }
        assert!(policy == UncertainPolicy::Resend || got <= 1, "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn in_any_weather_nobody_is_lost_and_doubles_are_marked(
        seed: u64, rough in 0_u64..120, kills in proptest::collection::vec(1_u64..120, 0..5), hold: bool,
    ) {
        weathered(seed, rough, &kills, if hold { UncertainPolicy::Hold } else { UncertainPolicy::Resend });
    }
}
