//! Claims and settlements a second on PostgreSQL, beside what the bare engine does; `benches/workers.sh` runs it.
//!
//!     shared_ledger postgres://USER@HOST:PORT/EMPTY_DATABASE WORKERS DELIVERIES
//!
//! `pressrun` claims 100 at a time, begins and settles them a hundred in one step: three durable commits for a hundred.
//! `bare` takes 1,000 by `SKIP LOCKED` and marks them a hundred at a time, in a table that has nothing but that.
#![allow(clippy::unwrap_used)]

use chrono::Utc;
use pressrun::config::{LedgerAddress, database};
use pressrun::delivery::{Ledger, Outcome, Reply, Settlement};
use pressrun::digest::{Drafted, Edition, EditionId, Editions, Sealed};
use pressrun::store::PostgresStore;
use pressrun::store::postgres::{LIMIT, Options, Tls};
use pressrun::subscriber::{Consent, Entry, Subscribers, SubscriptionState};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

const GROUP: u32 = 100;
const LEASE: Duration = Duration::from_mins(10);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [address, workers, deliveries] = arguments.as_slice() else {
        println!("shared_ledger: run by benches/workers.sh");
        return;
    };
    let (workers, deliveries) = (workers.parse().unwrap(), deliveries.parse().unwrap());
    let LedgerAddress::Postgres(at) = database::parse(address, Path::new("")).unwrap() else {
        println!("shared_ledger: only of PostgreSQL");
        return;
    };
    let options = Options {
        host: at.host,
        port: at.port,
        user: at.user,
        password: None,
        database: at.database,
        tls: Tls::Off,
        connections: at.connections,
        limit: LIMIT,
    };
    let ours = ours(&options, workers, deliveries).await;
    let bare = bare(&options, workers, deliveries).await;
    let ratio = ours / bare;
    println!("{workers} workers: pressrun {ours:>8.0} deliveries/s, bare engine {bare:>8.0} rows/s, ratio {ratio:.2}");
}

#[allow(clippy::cast_precision_loss)]
fn rate(count: u32, began: Instant) -> f64 {
    f64::from(count) / began.elapsed().as_secs_f64()
}

async fn ours(options: &Options, workers: u32, deliveries: u32) -> f64 {
    let store = PostgresStore::open(options).await.unwrap();
    let edition = filled(&store, deliveries).await;
    let mut at_work = tokio::task::JoinSet::new();
    let began = Instant::now();
    for worker in 0..workers {
        let options = options.clone();
        at_work.spawn(async move { work(&PostgresStore::open(&options).await.unwrap(), worker, edition).await });
    }
    let done: u32 = at_work.join_all().await.into_iter().sum();
    assert_eq!(done, deliveries);
    let rate = rate(deliveries, began);
    assert!(store.finish(edition, Utc::now()).await.unwrap());
    rate
}

async fn work(store: &PostgresStore, worker: u32, edition: EditionId) -> u32 {
    let (press, mut done) = (format!("press {worker}"), 0);
    loop {
        let claimed = store.claim(&press, edition, GROUP, LEASE, Utc::now()).await.unwrap();
        if claimed.is_empty() {
            return done;
        }
        let ids = claimed.iter().map(|one| one.id).collect();
        let begun = store.turn(&press, vec![], ids, LEASE, Utc::now()).await.unwrap();
        done += u32::try_from(begun.len()).unwrap();
        let reply = Reply::read("250 2.0.0 Ok: queued as 4F2A91C0D3");
        let settle = |id| Settlement { id, outcome: Outcome::Accepted, reply: reply.clone(), when: Utc::now() };
        store.turn(&press, begun.into_iter().map(settle).collect(), vec![], LEASE, Utc::now()).await.unwrap();
    }
}

async fn filled(store: &PostgresStore, deliveries: u32) -> EditionId {
    let entry = |n: u32| Entry {
        address: format!("reader{n:07}@example.net").parse().unwrap(),
        name: String::new(),
        language: None,
        digest: "weekly".to_owned(),
        state: SubscriptionState::Confirmed,
        since: None,
        consent: Consent { source: "bench".to_owned(), when: None },
        suppressed: None,
        note: String::new(),
    };
    for from in (0..deliveries).step_by(5_000) {
        let entries = (from..deliveries.min(from + 5_000)).map(entry).collect();
        store.add(entries, Utc::now()).await.unwrap();
    }
    let sealed = Sealed {
        subject: "News".to_owned(),
        preheader: String::new(),
        html: String::new(),
        text: String::new(),
        mark: "~~".to_owned(),
        shortened: false,
        headers: vec![],
        date: Utc::now(),
    };
    let drafted = store.draft("weekly", 1, None, vec![], sealed, Utc::now()).await.unwrap();
    let Drafted::Made(edition) = drafted else { panic!("{drafted:?}") };
    let id = edition.id;
    store.approve(Edition { seal: Some(String::new()), ..*edition }, Utc::now()).await.unwrap().unwrap();
    id
}

async fn bare(options: &Options, workers: u32, rows: u32) -> f64 {
    let connect = || async {
        let mut config = tokio_postgres::Config::new();
        config.host(&options.host).port(options.port).user(&options.user).dbname(&options.database);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let client = connect().await;
    client
        .batch_execute(&format!(
            "CREATE TABLE bare (id BIGINT PRIMARY KEY, state SMALLINT NOT NULL DEFAULT 0, worker INT, lease TIMESTAMPTZ);
             CREATE INDEX bare_open ON bare (id) WHERE state = 0;
             INSERT INTO bare (id) SELECT generate_series(1, {rows}); ANALYZE bare"
        ))
        .await
        .unwrap();
    let mut clients = vec![];
    for worker in 0..workers {
        clients.push((i32::try_from(worker).unwrap(), connect().await));
    }
    let mut at_work = tokio::task::JoinSet::new();
    let began = Instant::now();
    for (worker, client) in clients {
        at_work.spawn(async move {
            let lease = "UPDATE bare SET state = 1, worker = $1, lease = now() + interval '5 min' WHERE id IN
                         (SELECT id FROM bare WHERE state = 0 ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED) RETURNING id";
            let (lease, sent) = tokio::try_join!(
                client.prepare(lease),
                client.prepare("UPDATE bare SET state = 2 WHERE id = ANY($1) AND worker = $2")
            )
            .unwrap();
            loop {
                let ids: Vec<i64> =
                    client.query(&lease, &[&worker]).await.unwrap().iter().map(|row| row.get(0)).collect();
                if ids.is_empty() {
                    break;
                }
                for group in ids.chunks(GROUP as usize) {
                    client.execute(&sent, &[&group, &worker]).await.unwrap();
                }
            }
        });
    }
    at_work.join_all().await;
    rate(rows, began)
}
