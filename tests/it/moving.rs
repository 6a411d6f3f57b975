//! A ledger moves from its file to a server, whole or not at all, and goes on there.

use chrono::Utc;
use pressrun::store::{SqliteStore, StoreError};
use pressrun::subscriber::{Subscribers, SuppressionReason};
use std::collections::BTreeMap;

use crate::support::postgres;
use crate::support::room::Room;

const READERS: usize = 30;

/// A newsroom with something in every corner of its ledger.
fn lived_in() -> Room {
    let room = Room::small(READERS);
    room.replace("config.yaml", "approval: automatic", "approval: automatic\n    editors: [desk@small-paper.example]");
    room.run(&["run", "--now"]).fine();
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More.");
    room.run(&["subscribers", "remove", "reader00003@example.net", "news"]).fine();
    room.run(&["subscribers", "forget", "reader00004@example.net"]).fine();
    room.run(&["subscribers", "suppress", "reader00005@example.net", "--note", "she wrote to us"]).fine();
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run", "--now"]).fine();
    room.run(&["edition", "approve", "2"]).fine();
    // As a press that was killed leaves it.
    room.sql(
        "UPDATE delivery SET state = 2, press = 'gone', lease = 1, begun = 1 WHERE id = (SELECT max(id) FROM delivery)",
    );
    room.sql("INSERT INTO pause SELECT id, 9000000000000 FROM subscriber WHERE key LIKE 'reader00006%'");
    room.sql("INSERT INTO asked VALUES (x'00ff', 5)");
    room.sql("INSERT INTO signature VALUES (1, x'0001fe')");
    room.sql("INSERT INTO rest VALUES ('mx.example.net', 7)");
    room.sql("INSERT INTO lifted VALUES (9, 'x@example.net', 'bounced', 1, 'é', 2, 'mended')");
    room.sql("INSERT INTO returned VALUES (x'aa', 1, 5, 'bounced', 'full', 1, 452, '4.2.2', 'full')");
    room.sql("INSERT INTO letter_returned VALUES (x'bb', 70, NULL, 5, 'bounced')");
    room.sql("INSERT INTO letter_returned VALUES (x'cc', NULL, 1, 6, 'delayed')");
    room.sql("UPDATE notice SET lease = 5, tries = 2 WHERE ended IS NOT NULL");
    room.sql("INSERT INTO request VALUES (70, 1, 'move', '[]', 'n@example.net', 'en', '192.0.2.0/24', 'yes', 'over', 1, 2, NULL, 3, 'n@example.net')");
    room.sql("DELETE FROM request WHERE id = 70");
    room.sql("INSERT INTO request VALUES (71, 1, 'link', '[\"news\"]', NULL, 'en', '192.0.2.0/24', 'yes', 'open', 1, 2, NULL, 3, NULL)");
    room
}

/// All that the program tells of its ledger.
fn told(room: &Room) -> BTreeMap<String, String> {
    let mut commands: Vec<Vec<String>> = ["subscribers export", "edition list", "edition show 1", "edition show 2"]
        .iter()
        .chain(&["ledger show 1", "ledger show 2", "ledger show 1 --uncertain"])
        .map(|command| command.split(' ').map(str::to_owned).collect())
        .collect();
    for n in 1..=READERS {
        let address = crate::support::room::address(n);
        commands.push(vec!["subscribers".to_owned(), "show".to_owned(), address.clone()]);
        for edition in ["1", "2"] {
            commands.push(["ledger", "show", edition, "--address", &address].map(str::to_owned).to_vec());
        }
    }
    let tell = |words: Vec<String>| {
        let ran = room.run(&[vec!["--json"], words.iter().map(String::as_str).collect()].concat());
        (words.join(" "), format!("{:?} {}", ran.code, ran.out))
    };
    commands.into_iter().map(tell).collect()
}

/// Every row of every table, as text.
fn rows_in_file(room: &Room) -> BTreeMap<String, Vec<String>> {
    let db = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let mut tables =
        db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").unwrap();
    let tables: Vec<String> = tables.query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let rows = |table: String| {
        let mut query = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let mut names: Vec<(String, usize)> = query.column_names().map(str::to_owned).zip(0..).collect();
        names.sort();
        let row = |r: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
            let values = names.iter().map(|(name, at)| {
                Ok(match r.get::<_, rusqlite::types::Value>(*at)? {
                    rusqlite::types::Value::Null => format!("{name}="),
                    rusqlite::types::Value::Integer(n) if matches!(name.as_str(), "held" | "reached" | "counts") => {
                        format!("{name}={}", n != 0)
                    }
                    rusqlite::types::Value::Integer(n) => format!("{name}={n}"),
                    rusqlite::types::Value::Real(n) => format!("{name}={n}"),
                    rusqlite::types::Value::Text(text) => format!("{name}={text}"),
                    rusqlite::types::Value::Blob(bytes) => {
                        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                        let hex = hex.concat();
                        format!("{name}=\\x{hex}")
                    }
                })
            });
            Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
        };
        let mut rows: Vec<String> = query.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap();
        rows.sort();
        (table, rows)
    };
    tables.into_iter().map(rows).collect()
}

/// The same of the server.
fn rows_on_server(
    server: &postgres::Server,
    database: &str,
    tables: impl Iterator<Item = String>,
) -> BTreeMap<String, Vec<String>> {
    let rows = |table: String| {
        let columns = server.sql(
            database,
            &format!("SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' ORDER BY column_name COLLATE \"C\""),
        );
        let values: Vec<String> =
            columns.lines().map(|name| format!("'{name}=' || coalesce({name}::text, '')")).collect();
        let found = server.sql(database, &format!("SELECT {} FROM {table}", values.join(" || '|' || ")));
        let mut rows: Vec<String> = found.lines().map(str::to_owned).collect();
        rows.sort();
        (table, rows)
    };
    tables.map(rows).collect()
}

#[test]
fn a_moved_ledger_is_the_same_and_goes_on() {
    let Some(database) = postgres::database() else { return };
    let server = postgres::server().unwrap();
    let room = lived_in();
    let (before, rows) = (told(&room), rows_in_file(&room));
    let empty: Vec<_> = rows.iter().filter(|(_, rows)| rows.is_empty()).map(|(table, _)| table).collect();
    assert!(empty.is_empty(), "nothing to move in {empty:?}: this test looks at every table");

    room.run(&["ledger", "move", "--to", &database.url()]).fine();
    let there = rows_on_server(server, &database.options.database, rows.keys().cloned());
    for (table, rows) in &rows {
        assert_eq!(&there[table], rows, "{table}");
    }
    // Nobody goes on with the old one, and nobody begins a new one in its place.
    room.run(&["run"]).failed(3, &["has moved to a server", "ledger: postgres://"]);
    room.replace("config.yaml", "press:\n", &format!("ledger: {}\npress:\n", database.url()));
    assert_eq!(told(&room), before);
    // No number is given twice, also of what is gone.
    let next = "SELECT nextval(pg_get_serial_sequence('request', 'id'))";
    assert_eq!(server.sql(&database.options.database, next), "72");

    let sent = room.outbox().len();
    room.run(&["work", "--until-done"]).fine();
    let told = room.run(&["--json", "edition", "list"]).fine().out;
    assert!(told.lines().all(|line| line.contains("\"sent\"")), "{told}");
    assert!(room.outbox().len() > sent);
    room.article("third", "The third piece", "2026-03-03T08:00:00Z", "Even more.");
    room.run(&["run", "--now"]).fine();
    room.run(&["edition", "approve", "3"]).fine();
    room.run(&["send", "news"]).fine();
}

#[test]
fn a_ledger_moves_into_an_empty_database_only_and_not_under_a_press() {
    let Some(database) = postgres::database() else { return };
    let room = Room::small(2);
    room.run(&["run", "--now"]).fine();
    let to = database.url();
    let server = postgres::server().unwrap();
    let locked = pressrun::press::lock(&room.path("var/ledger.sqlite")).unwrap();
    room.run(&["ledger", "move", "--to", &to]).failed(4, &["another run is at work"]);
    drop(locked);
    room.run(&["ledger", "move", "--to", "other.sqlite"]).failed(2, &["moves to a server"]);
    // Something of another ledger is there.
    room.write("other.yaml", &room.read("config.yaml").replace("press:\n", &format!("ledger: {to}\npress:\n")));
    room.run(&["--config", "other.yaml", "schedule"]).fine();
    server.sql(&database.options.database, "INSERT INTO schedule_run VALUES ('x', 1)");
    room.run(&["ledger", "move", "--to", &to]).failed(2, &["is not empty", "nothing was copied"]);
    server.sql(&database.options.database, "DELETE FROM schedule_run");
    // What nobody knows is not left behind in silence.
    room.sql("CREATE TABLE notes (id INTEGER)");
    room.run(&["ledger", "move", "--to", &to]).failed(4, &["notes"]);
    assert_eq!(server.sql(&database.options.database, "SELECT count(*) FROM subscriber"), "0");
    room.sql("DROP TABLE notes");
    room.run(&["run"]).fine();
    room.run(&["ledger", "move", "--to", &to]).fine();
    room.run(&["--config", "other.yaml", "ledger", "move", "--to", &to]).failed(2, &["on a server already"]);
    let copy =
        room.run(&["--config", "other.yaml", "ledger", "backup", "copy"]).failed(2, &["pg_dump", "--format=custom"]);
    assert!(copy.err.contains(&database.options.database));
}

/// Pages and imports write while the ledger moves: what they were told to be done is on the server, and what comes later is
/// refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_write_while_the_ledger_moves_is_on_the_server_or_is_refused() {
    let Some(database) = postgres::database() else { return };
    let room = Room::small(3_000);
    tokio::task::block_in_place(|| room.run(&["run", "--now"]).fine());
    let file = room.path("var/ledger.sqlite");
    let others = SqliteStore::open(&file).unwrap();
    let (began, begins) = tokio::sync::oneshot::channel();
    let writing = tokio::spawn(async move {
        let mut began = Some(began);
        for n in 0..100_000 {
            let address = format!("other{n}@example.net").parse().unwrap();
            match others.suppress(&address, SuppressionReason::Manual, "", Utc::now()).await {
                Ok(()) => began.take().into_iter().for_each(|began| began.send(()).unwrap()),
                Err(error) => return (n, error),
            }
        }
        panic!("it can be written to for ever");
    });
    begins.await.unwrap();
    let (from, into) = (SqliteStore::open(&file).unwrap(), database.store().await);
    let (_, closed) = into.take_over(&from).await.unwrap();
    closed.unwrap();
    let (written, error) = writing.await.unwrap();
    assert_eq!(error, StoreError::Moved);
    let there = postgres::server().unwrap().sql(&database.options.database, "SELECT count(*) FROM suppression");
    assert_eq!(there, written.to_string());
}

/// What is in a database: its columns, in words.
fn form(server: &postgres::Server, database: &str) -> String {
    let columns =
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
                   WHERE table_schema = 'public' ORDER BY 1, 2";
    let indexes = "SELECT indexname, replace(indexdef, current_database(), '') FROM pg_indexes
                   WHERE schemaname = 'public' ORDER BY 1";
    [columns, indexes].map(|query| server.sql(database, query)).join("\n")
}

#[test]
fn a_servers_ledger_of_any_earlier_version_becomes_what_a_new_one_is() {
    let Some(server) = postgres::server() else { return };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres/migrations");
    let mut steps: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    steps.sort();
    let room = Room::small(2);
    let opened = |database: &postgres::Database| {
        room.write(
            "on.yaml",
            &room.read("config.yaml").replace("press:\n", &format!("ledger: {}\npress:\n", database.url())),
        );
        room.run(&["--config", "on.yaml", "schedule"]).fine();
        form(server, &database.options.database)
    };
    let new = opened(&server.database());
    for version in 1..steps.len() {
        let old = server.database();
        let name = &old.options.database;
        server.sql(
            name,
            "CREATE TABLE pressrun_ledger (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)",
        );
        server.sql(name, &format!("INSERT INTO pressrun_ledger VALUES (1, {version})"));
        for step in &steps[..version] {
            server.sql(name, &std::fs::read_to_string(step).unwrap());
        }
        assert_ne!(form(server, name), new);
        assert_eq!(opened(&old), new, "from version {version}");
    }
}
