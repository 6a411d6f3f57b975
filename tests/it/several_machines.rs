//! Three workers on one PostgreSQL: one is killed, one sleeps past its lease, one is cut off, and the database is restarted.
//! Nobody is missed, and nobody is mailed twice but where the ledger says that it may be.

mod at_once;
mod encrypted;
mod pace;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::postgres;
use crate::support::room::{Room, address};
use crate::support::smtp_server::{Act, At, Moment, Script, Server};

const READERS: usize = 900;
const LEASE: Duration = Duration::from_secs(2);
/// What each relay takes for a mail, so that there is time for mischief.
const SLOW: Duration = Duration::from_millis(15);

/// Stands between a worker and the database, and can be cut.
struct Line {
    address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Line {
    async fn to(port: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Arc::new(Line { address: listener.local_addr().unwrap(), whole: watch::channel(true).0 });
        let whole = line.whole.clone();
        tokio::spawn(async move {
            loop {
                let Ok((mut near, _)) = listener.accept().await else { continue };
                let mut whole = whole.subscribe();
                if !*whole.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = whole.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        line
    }
}

/// A relay of one worker, which does something when that worker has sent so many mails.
async fn relay(nth: usize, what: impl Fn() + Send + Sync + 'static) -> Server {
    let sent = AtomicUsize::new(0);
    let decide = move |at: &At<'_>| {
        if at.moment == Moment::Dot {
            tokio::task::block_in_place(|| std::thread::sleep(SLOW));
            if sent.fetch_add(1, Ordering::SeqCst) + 1 == nth {
                what();
            }
        }
        Act::Usual
    };
    Server::start(Script { decide: Box::new(decide), ..Script::default() }).await
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// A process to be signalled once it is known.
#[derive(Clone, Default)]
struct Victim(Arc<AtomicU32>);

impl Victim {
    fn signal(&self, name: &str) {
        let process = self.0.load(Ordering::SeqCst);
        assert_ne!(process, 0, "mischief came before its victim");
        signal(name, process);
    }
}

fn start(room: &Room, config: &str, relay: &Server, victim: &Victim) -> Child {
    let child =
        room.start(&["--config", config, "--transport", &format!("smtp://{}", relay.address), "work", "--until-done"]);
    victim.0.store(child.id(), Ordering::SeqCst);
    child
}

/// Waits for a worker's end, on a thread that may wait.
async fn ended(mut child: Child) -> std::process::ExitStatus {
    tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > Duration::from_mins(2) {
                child.kill().unwrap();
                panic!("a worker does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    })
    .await
    .unwrap()
}

/// An approved edition that nobody has begun to send.
fn approved(room: &Room, database: &postgres::Database) {
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.replace(
        "config.yaml",
        "press:\n",
        &format!("ledger: {}\npress:\n  lease: {}s\n  connections: 2\n", database.url(), LEASE.as_secs()),
    );
    room.run(&["run", "--now"]).fine();
    room.run(&["edition", "approve", "1"]).fine();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_befalls_three_workers_nobody_is_missed_or_mailed_twice_in_silence() {
    // One of our own: it is restarted.
    let Some(postgres) = postgres::Server::start() else { return };
    let database = postgres.database();
    let room = Room::small(READERS);
    approved(&room, &database);
    let line = Line::to(postgres.port).await;
    let config = room.read("config.yaml");
    let cut = config.replace(&format!(":{}/", postgres.port), &format!(":{}/", line.address.port()));
    assert_ne!(cut, config);
    room.write("cut.yaml", &cut);

    let (killed, frozen, apart) = (Victim::default(), Victim::default(), Victim::default());
    let kill = killed.clone();
    let first = relay(20, move || kill.signal("-KILL")).await;
    let freeze = frozen.clone();
    let second = relay(30, move || {
        freeze.signal("-STOP");
        let freeze = freeze.clone();
        std::thread::spawn(move || {
            // Until the third, who may look for the database every two seconds only, has had time to take over.
            std::thread::sleep(LEASE * 4);
            freeze.signal("-CONT");
        });
    })
    .await;
    let cutting = Arc::clone(&line);
    let third = relay(40, move || {
        cutting.whole.send_replace(false);
        let line = Arc::clone(&cutting);
        std::thread::spawn(move || {
            std::thread::sleep(LEASE + LEASE / 2);
            line.whole.send_replace(true);
        });
    })
    .await;
    let workers = [
        start(&room, "config.yaml", &first, &killed),
        start(&room, "config.yaml", &second, &frozen),
        start(&room, "cut.yaml", &third, &apart),
    ];
    let kept = || [&first, &second, &third].map(Server::kept).concat();
    let began = Instant::now();
    while kept().len() < READERS / 3 {
        assert!(began.elapsed() < Duration::from_mins(1), "the workers do not work");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::task::block_in_place(|| postgres.restart());

    let [gone, back, found] = workers.map(ended);
    assert_eq!(gone.await.code(), None, "the first worker was not killed");
    assert!(back.await.success() && found.await.success());

    let told = room.run(&["--json", "ledger", "show", "1", "--uncertain"]).fine().out;
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told[0]["state"], "sent");
    assert_eq!(told[0]["deliveries"]["accepted"], READERS);
    let doubtful: BTreeSet<&str> = told[1..].iter().map(|event| event["address"].as_str().unwrap()).collect();
    let mut got: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in kept() {
        let parsed = mail_parser::MessageParser::default().parse(&mail.message).unwrap();
        got.entry(mail.to).or_default().push(parsed.message_id().unwrap().to_owned());
    }
    for reader in (1..=READERS).map(address) {
        let ids = got.get(&reader).unwrap_or_else(|| panic!("{reader} got nothing"));
        assert!(
            ids.len() == 1 || doubtful.contains(&*reader),
            "{reader} got {}, and the ledger does not know",
            ids.len()
        );
        assert!(ids.iter().all(|id| *id == ids[0]), "{reader} got several Message-IDs");
    }
    // The one that slept came back with answers whose deliveries others had taken over: they changed nothing but the attempts.
    let late = postgres.sql(&database.options.database, "SELECT count(*) FROM attempt WHERE NOT held");
    assert!(late.parse::<u32>().unwrap() > 0, "nobody lost a lease");
    let held = "SELECT count(*) FROM delivery d WHERE 1 <> (SELECT count(*) FROM attempt a
                WHERE a.delivery = d.id AND a.held AND a.outcome = 'accepted')";
    assert_eq!(postgres.sql(&database.options.database, held), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_beside_each_other_share_the_work_and_mail_everybody_once() {
    let Some(database) = postgres::database() else { return };
    let room = Room::small(READERS);
    approved(&room, &database);
    let relays = [relay(0, || {}).await, relay(0, || {}).await, relay(0, || {}).await];
    let workers = relays.each_ref().map(|relay| start(&room, "config.yaml", relay, &Victim::default()));
    for worker in workers.map(ended) {
        assert!(worker.await.success());
    }
    let shares = relays.each_ref().map(|relay| relay.kept().len());
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    let mut to: Vec<String> = relays.iter().flat_map(Server::kept).map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, (1..=READERS).map(address).collect::<Vec<_>>());
}

/// Every lease runs out while its worker is alive, so each takes over from the others all the time, and claims anew what it still
/// has in hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn leases_that_are_far_too_short_cost_doubts_and_never_a_second_mail_in_silence() {
    let Some(database) = postgres::database() else { return };
    let room = Room::small(READERS);
    approved(&room, &database);
    room.replace("config.yaml", &format!("lease: {}s", LEASE.as_secs()), "lease: 150ms");
    room.replace("config.yaml", "connections: 2", "connections: 4");
    let relays = [relay(0, || {}).await, relay(0, || {}).await, relay(0, || {}).await];
    let workers = relays.each_ref().map(|relay| start(&room, "config.yaml", relay, &Victim::default()));
    for worker in workers.map(ended) {
        assert!(worker.await.success());
    }
    let told = room.run(&["--json", "ledger", "show", "1", "--uncertain"]).fine().out;
    let told = told.lines().skip(1).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let doubtful: BTreeSet<String> = told.map(|event| event["address"].as_str().unwrap().to_owned()).collect();
    let mut got: BTreeMap<String, usize> = BTreeMap::new();
    for mail in relays.iter().flat_map(Server::kept) {
        *got.entry(mail.to).or_default() += 1;
    }
    let silent: Vec<_> = got.iter().filter(|(to, times)| **times > 1 && !doubtful.contains(*to)).collect();
    assert!(silent.is_empty(), "mailed twice, and the ledger does not know: {silent:?}");
    let missed: Vec<_> =
        (1..=READERS).map(address).filter(|to| !got.contains_key(to) && !doubtful.contains(to)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_machine_without_the_keys_of_the_others_sends_nothing() {
    let Some(database) = postgres::database() else { return };
    let rooms = [Room::small(2), Room::small(2)];
    for room in &rooms {
        room.replace("config.yaml", "press:\n", &format!("ledger: {}\npress:\n", database.url()));
    }
    rooms[0].run(&["run", "--now"]).fine();
    rooms[1].run(&["work", "--until-done"]).failed(3, &["link.keys is missing", "copy link.keys and erasure.key"]);
    for key in ["var/link.keys", "var/erasure.key"] {
        rooms[1].write(key, &rooms[0].read(key));
    }
    rooms[1].run(&["work", "--until-done"]).fine();
}

/// Each has made keys of its own before it knew of the other.
#[test]
fn of_two_machines_that_begin_one_ledger_with_keys_of_their_own_only_one_goes_on() {
    let Some(database) = postgres::database() else { return };
    let rooms = [Room::small(2), Room::small(2)];
    for room in &rooms {
        room.run(&["subscribers", "list"]).fine();
        room.replace("config.yaml", "press:\n", &format!("ledger: {}\npress:\n", database.url()));
    }
    rooms[0].run(&["subscribers", "list"]).fine();
    rooms[1].run(&["run", "--now"]).failed(3, &["key 1 in var/link.keys is not the ledger's", "copy it from another"]);
    rooms[1].write("var/link.keys", &rooms[0].read("var/link.keys"));
    rooms[1].run(&["run", "--now"]).fine();
}

/// The password is asked for, taken from the environment or a file, and never shown.
#[test]
fn a_password_lets_in_and_is_never_shown() {
    let Some(postgres) = postgres::Server::start_asking("geheim 1") else { return };
    let database = postgres.database();
    let room = Room::small(1);
    room.replace("config.yaml", "press:\n", &format!("ledger: {}\npress:\n", database.url()));
    let refused = Mutex::new(vec![room.run(&["run"]).failed(3, &["does not let us in", "PRESSRUN_LEDGER_PASSWORD"])]);
    let with = |password: &str| {
        let mut command = room.command(&["schedule"]);
        let output = command.env("PRESSRUN_LEDGER_PASSWORD", password).env("PRESSRUN_LOG", "trace").output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!text.contains(password), "the password is shown: {text}");
        output.status.code()
    };
    assert_eq!(with("geheim 2"), Some(3));
    assert_eq!(with("geheim 1"), Some(0));
    room.write("password", "geheim 1\n");
    room.replace("config.yaml", &database.url(), &format!("{}?password_file=password", database.url()));
    room.run(&["schedule"]).fine();
    room.replace("config.yaml", "postgres://postgres@", "postgres://postgres:geheim@");
    refused.lock().unwrap().push(room.run(&["schedule"]).failed(3, &["a password does not belong"]));
    assert!(refused.into_inner().unwrap().iter().all(|ran| !format!("{ran:?}").contains("geheim")));
}
