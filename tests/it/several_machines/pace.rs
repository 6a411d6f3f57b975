//! What the operator allows, workers share: their sum keeps to it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Victim, approved, ended, start};
use crate::support::postgres;
use crate::support::room::Room;
use crate::support::smtp_server::{Act, At, Moment, Script, Server};

/// A relay that keeps the moments at which it took something.
async fn clocked(moments: &Arc<Mutex<Vec<Instant>>>) -> Server {
    let moments = Arc::clone(moments);
    let decide = move |at: &At<'_>| {
        if at.moment == Moment::Dot {
            moments.lock().unwrap().push(Instant::now());
        }
        Act::Usual
    };
    Server::start(Script { decide: Box::new(decide), ..Script::default() }).await
}

/// Three workers with these limits; the moments of all mails, after so long.
async fn three_workers(readers: usize, press: &str, time: Duration) -> Option<Vec<Instant>> {
    let database = postgres::database()?;
    let room = Room::small(readers);
    approved(&room, &database);
    room.replace("config.yaml", "  lease: 2s\n", "  lease: 20s\n");
    room.replace("config.yaml", "  connections: 2\n", &format!("  connections: 2\n{press}"));
    let moments = Arc::new(Mutex::new(vec![]));
    let mut workers = vec![];
    let mut relays = vec![];
    for _ in 0..3 {
        let relay = clocked(&moments).await;
        workers.push(start(&room, "config.yaml", &relay, &Victim::default()));
        relays.push(relay);
    }
    tokio::time::sleep(time).await;
    for worker in workers {
        super::signal("-TERM", worker.id());
        ended(worker).await;
    }
    let shares: Vec<usize> = relays.iter().map(|relay| relay.kept().len()).collect();
    assert!(shares.iter().filter(|share| **share > 0).count() > 1, "one did all: {shares:?}");
    let mut to: Vec<String> = relays.iter().flat_map(Server::kept).map(|mail| mail.to).collect();
    to.sort();
    to.dedup();
    let mut all = std::mem::take(&mut *moments.lock().unwrap());
    assert_eq!(to.len(), all.len(), "somebody got two");
    all.sort();
    Some(all)
}

/// Most mails in any window of so long.
fn most_within(moments: &[Instant], window: Duration) -> usize {
    moments
        .iter()
        .enumerate()
        .map(|(n, from)| moments[n..].iter().take_while(|at| **at - *from < window).count())
        .max()
        .unwrap_or(0)
}

#[tokio::test]
async fn presses_are_counted_while_they_are_heard_of() {
    use pressrun::delivery::Ledger;
    let Some(database) = postgres::database() else { return };
    let store = database.store().await;
    let now: chrono::DateTime<chrono::Utc> = "2026-11-22T09:00:00Z".parse().unwrap();
    let count = async |press: &str, seconds| {
        store.presses(&press.to_owned(), now + chrono::TimeDelta::seconds(seconds)).await.unwrap()
    };
    assert_eq!((count("a", 0).await, count("b", 1).await, count("a", 5).await), (1, 2, 2));
    // Nothing was heard of the second for ten seconds; the third ended in good order.
    assert_eq!((count("c", 10).await, count("a", 12).await), (3, 2));
    store.release(&"c".to_owned()).await.unwrap();
    assert_eq!(count("a", 13).await, 1);
    // Two that begin together: at least one knows of the other.
    let (one, two) = tokio::join!(count("x", 14), count("y", 14));
    assert_eq!(one.max(two), 3);
}

const TIME: Duration = Duration::from_secs(20);
/// Mails that may go at once after a pause: those of five seconds (`pace::BURST`), which each worker may have before it knows
/// that there are others.
const BURST: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn mails_a_minute_hold_for_three_workers_together() {
    let Some(moments) = three_workers(900, "  per_minute: 600\n", TIME).await else { return };
    // Ten a second: those of the time, and the bursts of a beginning (one of the whole, two of a half and a third).
    let most = 10 * 20 + 10 * BURST * 2;
    assert!((150..=most).contains(&moments.len()), "{} in {TIME:?}", moments.len());
    // When all know of each other.
    let settled: Vec<Instant> =
        moments.iter().copied().filter(|at| *at - moments[0] > Duration::from_secs(8)).collect();
    let busiest = most_within(&settled, Duration::from_secs(5));
    assert!(busiest <= 60, "{busiest} within five seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn mails_a_minute_to_one_destination_hold_for_three_workers_together() {
    let press = "  destinations: [{domains: [example.net], per_minute: 600}]\n";
    let Some(moments) = three_workers(900, press, TIME).await else { return };
    let most = 10 * 20 + 10 * BURST * 2;
    assert!((150..=most).contains(&moments.len()), "{} in {TIME:?}", moments.len());
    let settled: Vec<Instant> =
        moments.iter().copied().filter(|at| *at - moments[0] > Duration::from_secs(8)).collect();
    let busiest = most_within(&settled, Duration::from_secs(5));
    assert!(busiest <= 60, "{busiest} within five seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_new_senders_ceiling_holds_for_three_workers_together() {
    const START: usize = 120;
    let Some(database) = postgres::database() else { return };
    let room = Room::small(600);
    approved(&room, &database);
    let warm_up = format!("  connections: 2\n  warm_up: {{start: {START}, factor: 2}}\n");
    room.replace("config.yaml", "  connections: 2\n", &warm_up);
    let relays = [super::relay(0, || {}).await, super::relay(0, || {}).await, super::relay(0, || {}).await];
    let workers = relays.each_ref().map(|relay| start(&room, "config.yaml", relay, &Victim::default()));
    tokio::time::sleep(Duration::from_secs(8)).await;
    for worker in workers {
        super::signal("-TERM", worker.id());
        ended(worker).await;
    }
    let sent: usize = relays.iter().map(|relay| relay.kept().len()).sum();
    // What each had on the wire when it heard of the others: two connections with two mails.
    assert!((START / 2..=START + 3 * 4).contains(&sent), "{sent} of {START}");
}
