//! What a session with the database is, whatever the database is set to, and what is done when one is of no use any more.

use pressrun::delivery::ledger::{Resolution, UncertainPolicy};
use pressrun::delivery::{Ledger, Outcome, Reply, Settlement};
use pressrun::digest::Editions;
use pressrun::store::StoreError;
use pressrun::store::postgres::Options;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::conformance::{LEASE, approved, now};
use crate::support::postgres;

#[tokio::test(flavor = "multi_thread")]
async fn isolation_and_durability_are_not_inherited() {
    let Some(database) = postgres::database() else { return };
    let (server, name) = (postgres::server().unwrap(), &database.options.database);
    drop(database.store().await);
    server.sql(
        name,
        "CREATE TABLE seen (id BIGINT GENERATED ALWAYS AS IDENTITY, said TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO seen (said) VALUES (current_setting('transaction_isolation') || ', ' || current_setting('synchronous_commit'));
             RETURN NEW;
         END $$;
         CREATE TRIGGER see BEFORE INSERT ON schedule_run FOR EACH ROW EXECUTE FUNCTION see()",
    );
    let set = |what: &str| server.sql("postgres", &format!("ALTER DATABASE {name} SET {what}"));
    set("default_transaction_isolation = 'serializable'");
    for (set_to, kept) in [("off", "on"), ("on", "on"), ("local", "local"), ("remote_apply", "remote_apply")] {
        set(&format!("synchronous_commit = {set_to}"));
        database.store().await.ran(set_to, now()).await.unwrap();
        let seen = server.sql(name, "SELECT said FROM seen ORDER BY id DESC LIMIT 1");
        assert_eq!(seen, format!("read committed, {kept}"), "{set_to}");
    }
}

/// Stands before the database; after a word, it takes everything and answers nothing.
struct Hole {
    address: SocketAddr,
    swallows: Arc<AtomicBool>,
}

impl Hole {
    async fn before(port: u16) -> Hole {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hole = Hole { address: listener.local_addr().unwrap(), swallows: Arc::default() };
        let swallows = hole.swallows.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, port, swallows.clone()));
            }
        });
        hole
    }
}

/// A connection that has swallowed something never answers again.
async fn pass(mut near: TcpStream, port: u16, swallows: Arc<AtomicBool>) {
    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut said, mut answered) = ([0; 4_096], [0; 4_096]);
    let mut lost = false;
    loop {
        tokio::select! {
            read = near.read(&mut said) => match read {
                Ok(length) if length > 0 => {
                    lost |= swallows.load(Ordering::SeqCst);
                    if !lost && far.write_all(&said[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            read = far.read(&mut answered), if !lost => match read {
                Ok(length) if length > 0 => if near.write_all(&answered[..length]).await.is_err() { return },
                _ => return,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_everything_and_answers_nothing_is_given_up_and_found_again() {
    let Some(database) = postgres::database() else { return };
    let hole = Hole::before(database.options.port).await;
    let options = Options { port: hole.address.port(), limit: Duration::from_millis(500), ..database.options.clone() };
    let store = pressrun::store::PostgresStore::open(&options).await.unwrap();
    assert_eq!(store.unfinished().await, Ok(vec![]));
    hole.swallows.store(true, Ordering::SeqCst);
    let silent = StoreError::Unreachable("it does not answer".to_owned());
    assert_eq!(store.unfinished().await.unwrap_err(), silent);
    assert_eq!(store.ran("weekly", now()).await.unwrap_err(), silent);
    hole.swallows.store(false, Ordering::SeqCst);
    store.ran("weekly", now()).await.unwrap();
    assert_eq!(store.last_run("weekly").await, Ok(Some(now())));
}

/// As after a failover: the connections that we have lead to what has become a standby.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_by_now_is_looked_for_anew() {
    let Some(database) = postgres::database() else { return };
    let (server, name) = (postgres::server().unwrap(), &database.options.database);
    drop(database.store().await);
    server.sql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let store = database.store().await;
    assert_eq!(store.unfinished().await, Ok(vec![]));
    server.sql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    store.ran("weekly", now()).await.unwrap();
    let press = "press".to_owned();
    store.turn(&press, vec![], vec![], LEASE, now()).await.unwrap();
    assert_eq!(store.last_run("weekly").await, Ok(Some(now())));
}

/// Whoever withdraws an edition has its row. What is uncertain of it must not be made to wait again beside that.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_in_an_edition_that_is_being_withdrawn() {
    for by_a_person in [false, true] {
        let Some(database) = postgres::database() else { return };
        let (server, name) = (postgres::server().unwrap(), &database.options.database);
        let store = database.store().await;
        let edition = approved(&store, &["ana"]).await;
        let press = "press".to_owned();
        let id = store.claim(&press, edition, 1, LEASE, now()).await.unwrap()[0].id;
        store.turn(&press, vec![], vec![id], LEASE, now()).await.unwrap();
        let unknown = Settlement { id, outcome: Outcome::Uncertain, reply: Reply::none("lost"), when: now() };
        store.turn(&press, vec![unknown], vec![], LEASE, now()).await.unwrap();

        let (client, line) = tokio_postgres::connect(
            &format!("host=127.0.0.1 port={} user=postgres dbname={name}", database.options.port),
            tokio_postgres::NoTls,
        )
        .await
        .unwrap();
        tokio::spawn(line);
        client.batch_execute("BEGIN; UPDATE edition SET state = 'withdrawn', ended = 1").await.unwrap();
        let asked = tokio::spawn(async move {
            if by_a_person {
                store.resolve(edition, None, Resolution::Resend, now()).await
            } else {
                store.rescue(true, UncertainPolicy::Resend, now()).await
            }
        });
        let waits =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'");
        while !asked.is_finished() && server.sql("postgres", &waits) == "0" {}
        client.batch_execute("COMMIT").await.unwrap();
        asked.await.unwrap().unwrap();
        assert_eq!(server.sql(name, "SELECT state FROM delivery"), "6", "by a person: {by_a_person}");
    }
}
