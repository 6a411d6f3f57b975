//! A ledger copied while an edition goes out, and taken up elsewhere: nothing is lost, and nobody is mailed twice in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::room::{Room, address, files};
use crate::support::smtp_server::{Act, Moment, Script, Server};

const READERS: usize = 120;

/// A newsroom whose machine is lost in the middle of a send, some mails after its ledger was copied; and a new one, to which
/// everything that is to be backed up has been brought. Answers the new room and how many mails were out with the copy.
fn lost(policy: &str) -> (Room, tokio::runtime::Runtime, Server, usize) {
    let room = Room::small(READERS);
    room.replace("config.yaml", "press:\n", &format!("press:\n  uncertain: {policy}\n"));
    // More workers than connections: each may stand still in `decide`.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(12).enable_all().build().unwrap();
    // The relay goes on when it is told to: up to so many mails.
    let until = Arc::new(AtomicUsize::new(READERS / 3));
    let (limit, taken) = (Arc::clone(&until), AtomicUsize::new(0));
    let decide = move |at: &crate::support::smtp_server::At<'_>| {
        if at.moment == Moment::Dot {
            let n = taken.fetch_add(1, Ordering::SeqCst);
            while n >= limit.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        Act::Usual
    };
    let server = runtime.block_on(Server::start(Script { decide: Box::new(decide), ..Script::default() }));
    let relay = format!("smtp://{}", server.address);
    room.replace("config.yaml", "press:\n", &format!("transport: {relay}\npress:\n"));

    let mut child = room.start(&["run"]);
    let wait = |mails: usize| {
        let begun = std::time::Instant::now();
        while server.kept().len() < mails {
            assert!(begun.elapsed() < std::time::Duration::from_mins(1), "{} mails", server.kept().len());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    wait(READERS / 3);
    room.run(&["ledger", "backup", "copy.sqlite"]).fine();
    room.run(&["ledger", "backup", "copy.sqlite"]).failed(4, &["exists already"]);
    let with_the_copy = server.kept().len();
    until.store(READERS * 2 / 3, Ordering::SeqCst);
    wait(READERS * 2 / 3);
    child.kill().unwrap();
    child.wait().unwrap();
    until.store(usize::MAX, Ordering::SeqCst);
    std::thread::sleep(std::time::Duration::from_millis(300));

    let new = Room::small(READERS);
    new.write("config.yaml", &room.read("config.yaml"));
    for (name, bytes) in files(&room.path("")) {
        if name.contains("key") || name.starts_with("articles/") || name == "copy.sqlite" {
            std::fs::create_dir_all(new.path(&name).parent().unwrap()).unwrap();
            std::fs::write(new.path(&name), bytes).unwrap();
        }
    }
    (new, runtime, server, with_the_copy)
}

fn times(server: &Server) -> BTreeMap<String, usize> {
    server.kept().into_iter().fold(BTreeMap::new(), |mut times, kept| {
        *times.entry(kept.to).or_default() += 1;
        times
    })
}

/// Readers whose delivery is, or was, uncertain.
fn doubtful(room: &Room) -> BTreeSet<String> {
    let told = room.run(&["--json", "ledger", "show", "1", "--uncertain"]).fine().out;
    let events = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let deliveries = events.filter(|event| event["event"] == "delivery");
    deliveries.map(|event| event["address"].as_str().unwrap().to_owned()).collect()
}

/// Before, new ones were made without a word, and no link in a mail worked any more.
#[test]
fn lost_link_keys_are_missed_and_can_be_given_up() {
    let room = Room::small(2);
    room.run(&["run", "--now"]).fine();
    let keys = room.read("var/link.keys");
    std::fs::remove_file(room.path("var/link.keys")).unwrap();
    let said = ["var/link.keys is missing, and links were signed with it", "from a backup", "the line `2:KEY`"];
    room.run(&["run"]).failed(3, &said);
    room.run(&["subscribers", "list"]).failed(3, &said);
    assert!(!room.path("var/link.keys").exists());
    room.write("var/link.keys", &keys.replace("\n1:", "\n1:AAAA"));
    room.run(&["run"]).failed(3, &["the keys in var/link.keys cannot be used"]);
    room.write("var/link.keys", "1:q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=\n");
    room.run(&["run"]).failed(3, &["key 1 in var/link.keys is not the ledger's"]);
    room.write("var/link.keys", "2:q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=\n");
    room.run(&["run"]).fine();
}

#[test]
fn a_copy_of_a_send_under_way_is_taken_up_and_holds_what_may_have_gone_out() {
    let (room, _runtime, server, with_the_copy) = lost("hold");
    let before = times(&server);
    let told = room.run(&["ledger", "restore", "copy.sqlite"]).fine().out;
    let uncertain = doubtful(&room);
    assert!(told.contains(&format!("{} unfinished deliveries are uncertain", uncertain.len())), "{told}");
    assert!(uncertain.len() <= READERS - with_the_copy + 8 && uncertain.len() >= READERS / 3);
    // Who is not uncertain has it.
    for n in 1..=READERS {
        assert!(before.contains_key(&address(n)) || uncertain.contains(&address(n)), "{} is lost", address(n));
    }
    room.run(&["ledger", "restore", "copy.sqlite"]).failed(2, &["there is a ledger already"]);
    room.run(&["run"]).fine();
    assert_eq!(times(&server), before, "nothing goes out before somebody has decided");
    let readers = room.run(&["subscribers", "list"]).fine().out;
    assert_eq!(readers.lines().filter(|line| line.contains("confirmed")).count(), READERS);

    room.run(&["ledger", "resolve", "1", "--as", "resend"]).fine();
    room.run(&["run"]).fine();
    for (reader, times) in times(&server) {
        assert!(times == 1 || times == 2 && uncertain.contains(&reader), "{reader} has {times} in silence");
    }
    assert_eq!(times(&server).len(), READERS);
    assert_eq!(doubtful(&room), uncertain, "it stays written down");
    // The program goes on: a new piece makes the next edition.
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More.");
    room.run(&["run", "--now"]).fine();
    assert_eq!(server.kept().len(), times(&server).values().sum::<usize>());
    assert!(times(&server).values().all(|times| (2..=3).contains(times)));
}

#[test]
fn no_edition_is_made_again_by_itself_after_a_copy_was_taken_up() {
    let room = Room::small(3);
    room.replace("config.yaml", "approval: automatic", "approval: automatic\n    late: 200h");
    // The copy is from before the edition.
    room.run(&["subscribers", "import", "subscribers.csv", "--consent", "open day"]).fine();
    room.run(&["ledger", "backup", "copy.sqlite"]).fine();
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 3);
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(room.path(&format!("var/{name}")));
    }
    room.run(&["ledger", "restore", "copy.sqlite"]).fine();
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 3, "it would be the same edition");
    room.write("junk.sqlite", "no ledger");
    std::fs::remove_file(room.path("var/ledger.sqlite")).unwrap();
    room.run(&["ledger", "restore", "junk.sqlite"]).failed(3, &["junk.sqlite"]);
    assert!(!room.path("var/ledger.sqlite").exists());
    assert!(files(&room.path("var")).into_keys().all(|name| !name.contains("restoring")));
}

/// They stand in signed links and in return paths.
#[test]
fn numbers_given_since_the_copy_are_given_to_nobody_else() {
    let room = Room::small(2);
    room.run(&["run"]).fine();
    room.run(&["ledger", "backup", "copy.sqlite"]).fine();
    room.readers(3);
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More.");
    room.run(&["run", "--now"]).fine();
    let highest = |table: &str| {
        let db = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
        db.query_row(&format!("SELECT max(id) FROM {table}"), [], |r| r.get::<_, i64>(0)).unwrap()
    };
    let lost = (highest("subscriber"), highest("delivery"));
    assert_eq!(lost, (3, 5));
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(room.path(&format!("var/{name}")));
    }
    room.run(&["ledger", "restore", "copy.sqlite"]).fine();
    room.write("subscribers.csv", "email,state\nsomebody.else@example.net,confirmed\n");
    room.run(&["run", "--now"]).fine();
    let db = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let reused = |table: &str, known: i64| {
        let count = format!("SELECT count(*) FROM {table} WHERE id > {known} AND id < 1000000");
        db.query_row(&count, [], |r| r.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((reused("subscriber", 2), reused("delivery", 2)), (0, 0));
}

/// Each looks whether there are keys while another makes them.
#[test]
fn programs_that_begin_a_ledger_at_once_find_the_same_keys() {
    for _ in 0..5 {
        let room = Room::small(1);
        let mut commands: Vec<_> = (0..8).map(|_| room.command(&["subscribers", "list"])).collect();
        let started: Vec<_> =
            commands.iter_mut().map(|command| command.stdout(Stdio::null()).spawn().unwrap()).collect();
        for child in started {
            assert!(child.wait_with_output().unwrap().status.success());
        }
    }
}
