//! The ledger alone: deliveries a second that are claimed, begun and settled, each step durable, beside the bare engine:
//! `cargo bench --bench ledger [-- DELIVERIES]`.
//!
//! The ledger is used as the press uses it: so many lines, each with two deliveries in hand; as one ends, one step settles it and
//! begins the next, whatever the other is at; beside them one claims. The bare engine is SQLite, the same file with the same settings, one thread, the same four writes a
//! delivery (claimed, in flight, accepted, the attempt) as plain statements by row number, and as many deliveries a commit as
//! the lines have in flight: no queue, no joins, nobody asked whether she still wants the mail.
#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Utc};
use pressrun::delivery::{Claimed, Ledger, Outcome, Reply, Settlement};
use pressrun::digest::edition::Choice;
use pressrun::digest::{Drafted, Edition, EditionId, EditionPiece, Editions, Sealed};
use pressrun::newsroom::ArticleId;
use pressrun::press::deliver::IN_FLIGHT;
use pressrun::store::SqliteStore;
use pressrun::subscriber::{Consent, Entry, Subscribers, SubscriptionState};
use rusqlite::{Connection, params};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const LEASE: Duration = Duration::from_mins(10);
const REPLY: &str = "250 2.0.0 Ok: queued as 4bF1Tq3Zx9z1P";
const ROUNDS: usize = 3;
/// Deliveries claimed at once, as the press does.
const CLAIM: u32 = 32;

fn main() {
    let deliveries = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(50_000);
    // One thread, as the press has.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{:>8}{:>12}{:>12}{:>8}", "lines", "ledger/s", "bare/s", "ratio");
    for lines in [1, 10, 50] {
        // Few lines wait for the disk at every step: a shorter run says as much.
        let deliveries = if lines == 1 { deliveries / 5 } else { deliveries };
        let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("ledger.sqlite");
                let edition = runtime.block_on(approved(&file, deliveries));
                let copy = folder.path().join("bare.sqlite");
                std::fs::copy(&file, &copy).unwrap();
                (runtime.block_on(ledger(&file, edition, lines)), bare(&copy, lines * IN_FLIGHT))
            })
            .collect();
        rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (ours, bare) = rounds[ROUNDS / 2];
        println!("{lines:>8}{ours:>12.0}{bare:>12.0}{:>8.2}", ours / bare);
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_327_200, 0).unwrap()
}

/// A ledger with an approved edition for so many readers, all of it in the file itself.
async fn approved(file: &Path, readers: usize) -> EditionId {
    let store = SqliteStore::open(file).unwrap();
    let entry = |n: usize| Entry {
        address: format!("reader{n:07}@readers.example").parse().unwrap(),
        name: String::new(),
        language: None,
        digest: "weekly".to_owned(),
        state: SubscriptionState::Confirmed,
        consent: Consent { source: "a bench".to_owned(), when: Some(now()) },
        suppressed: None,
        since: None,
        note: String::new(),
    };
    store.add((0..readers).map(entry).collect(), now()).await.unwrap();
    let sealed = || Sealed {
        subject: "News".to_owned(),
        preheader: String::new(),
        html: String::new(),
        text: String::new(),
        mark: "~~".to_owned(),
        shortened: false,
        headers: vec![],
        date: now(),
    };
    let piece = EditionPiece { id: ArticleId("a".to_owned()), title: "A".to_owned(), choice: Choice::Carried };
    let drafted = store.draft("weekly", 1, None, vec![piece], sealed(), now()).await.unwrap();
    let Drafted::Made(edition) = drafted else { panic!("{drafted:?}") };
    let id = edition.id;
    store.approve(Edition { seal: Some("seal".to_owned()), ..*edition }, now()).await.unwrap().unwrap();
    drop(store);
    let db = Connection::open(file).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    id
}

/// Deliveries a second.
#[allow(clippy::cast_precision_loss)]
async fn ledger(file: &Path, edition: EditionId, lines: usize) -> f64 {
    let store = Arc::new(SqliteStore::open(file).unwrap());
    let queue = Arc::new(Mutex::new(VecDeque::<Claimed>::new()));
    let press = "bench".to_owned();
    let began = Instant::now();
    let workers: Vec<_> = (0..lines * IN_FLIGHT)
        .map(|_| {
            let (store, queue, press) = (store.clone(), queue.clone(), press.clone());
            tokio::spawn(async move {
                let (mut done, mut settle) = (0, vec![]);
                loop {
                    let mut queue = queue.lock().await;
                    if queue.is_empty() {
                        queue.extend(store.claim(&press, edition, CLAIM, LEASE, now()).await.unwrap());
                    }
                    let begin: Vec<_> = queue.pop_front().map(|claimed| claimed.id).into_iter().collect();
                    drop(queue);
                    if begin.is_empty() && settle.is_empty() {
                        return done;
                    }
                    let begun = store.turn(&press, settle, begin, LEASE, now()).await.unwrap();
                    done += begun.len();
                    let settled =
                        |id| Settlement { id, outcome: Outcome::Accepted, reply: Reply::read(REPLY), when: now() };
                    settle = begun.into_iter().map(settled).collect();
                }
            })
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    let rate = done as f64 / began.elapsed().as_secs_f64();
    assert_eq!(store.counts(edition).await.unwrap().accepted, done as u64);
    rate
}

/// Deliveries a second.
#[allow(clippy::cast_precision_loss)]
fn bare(file: &Path, batch: usize) -> f64 {
    let db = Connection::open(file).unwrap();
    for (name, value) in [("journal_mode", "wal"), ("synchronous", "full"), ("wal_autocheckpoint", "4096")] {
        db.pragma_update(None, name, value).unwrap();
    }
    let ids: Vec<i64> = db
        .prepare("SELECT id FROM delivery ORDER BY id")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let run = |sql: &str, id: i64| assert_eq!(db.prepare_cached(sql).unwrap().execute(params![id]).unwrap(), 1);
    let commit = |sql: &str| db.prepare_cached(sql).unwrap().execute([]).map(drop).unwrap();
    let began = Instant::now();
    let batches: Vec<&[i64]> = ids.chunks(batch).collect();
    for (n, batch) in batches.iter().enumerate() {
        commit("BEGIN IMMEDIATE");
        for id in n.checked_sub(1).map_or(&[][..], |before| batches[before]) {
            run(
                "UPDATE delivery SET state = 3, press = NULL, lease = NULL, ended = 1, tries = 1, first_try = begun WHERE id = ?1",
                *id,
            );
            run(
                "INSERT INTO attempt VALUES (?1, 1, 1, 1, 'accepted', 1, 250, '2.0.0', 'Ok: queued as 4bF1Tq3Zx9z1P')",
                *id,
            );
        }
        for id in *batch {
            run("UPDATE delivery SET state = 1, press = 'bench', lease = 1 WHERE id = ?1", *id);
            run("UPDATE delivery SET state = 2, begun = 1, lease = 2 WHERE id = ?1", *id);
        }
        commit("COMMIT");
    }
    ids.len() as f64 / began.elapsed().as_secs_f64()
}
