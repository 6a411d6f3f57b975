//! Long lists, lists that break off, and what only force lifts.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::room::Room;

/// A long list: some have left, some bounced, each with a day.
fn long_list(rows: usize) -> String {
    let mut list = String::from("email,name,state,since,consent\n");
    for n in 0..rows {
        let state = match n % 20 {
            3 => "ended",
            7 => "bounced",
            _ => "confirmed",
        };
        let month = 1 + n % 9;
        let _ = writeln!(list, "reader{n:06}@example.net,Reader {n},{state},2026-0{month}-11,open day");
    }
    list
}

/// Everything that a list writes, in an order of its own.
fn written(room: &Room) -> Vec<String> {
    let ledger = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let mut query = ledger
        .prepare(
            "SELECT s.key || ' ' || s.name || ' ' || n.digest || ' ' || n.state || ' ' || n.since || ' '
                 || coalesce((SELECT count(*) || max(c.source) FROM consent c WHERE c.subscriber = s.id), '') || ' '
                 || coalesce((SELECT x.reason || x.since FROM suppression x WHERE x.key = s.key), '')
             FROM subscriber s JOIN subscription n ON n.subscriber = s.id ORDER BY 1",
        )
        .unwrap();
    query.query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_list_that_broke_off_in_the_middle_is_imported_again_to_the_same() {
    const ROWS: usize = 53_000;
    let list = long_list(ROWS);
    let whole = Room::small(0);
    whole.write("list.csv", &list);
    let told = whole.run(&["subscribers", "import", "list.csv"]).fine().out;
    assert!(told.contains("importing  50,000 rows"), "{told}");
    assert!(!told.contains('\u{1b}'), "no bar where there is no terminal");

    let room = Room::small(0);
    room.write("list.csv", &list);
    let mut child =
        room.command(&["--json", "subscribers", "import", "list.csv"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    assert!(child.wait().unwrap().code().is_none(), "killed");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["rows"], 50_000);
    let part = written(&room).len();
    assert!((50_000..ROWS).contains(&part) && part.is_multiple_of(50_000), "whole parts, and not all: {part}");
    room.run(&["subscribers", "import", "list.csv"]).fine();
    let (after, wanted) = (written(&room), written(&whole));
    assert_eq!(after.len(), ROWS);
    assert!(after == wanted, "the same as without breaking off");
}

#[test]
fn force_needs_a_reason_and_what_it_lifted_is_shown_with_it() {
    let room = Room::small(0);
    let import =
        |more: &[&str]| room.run(&[&["subscribers", "import", "list.csv", "--consent", "open day"], more].concat());
    room.write("list.csv", "email\nana@example.net\nben@example.net\neva@example.net\n");
    import(&[]).fine();
    room.run(&["subscribers", "suppress", "ana@example.net", "--note", "asked by telephone"]).fine();
    room.run(&["subscribers", "remove", "eva@example.net"]).fine();
    room.sql("INSERT INTO suppression VALUES ('ben@example.net', 'complained', 0, '')");
    let show = |who| room.run(&["subscribers", "show", who]).fine().out;
    assert!(show("ana@example.net").contains("asked by telephone"));

    import(&["--force"]).failed(2, &["--reason"]);
    import(&["--reason", "mended"]).failed(2, &["--force"]);
    import(&["--force", "--reason", "  "]).failed(2, &["nothing is lifted", "it needs a reason"]);
    import(&["--force=erased", "--reason", "mended"]).failed(2, &["erased"]);
    let counts = |out: &str| -> serde_json::Value {
        out.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .find(|e: &serde_json::Value| e["event"] == "imported")
            .unwrap()
    };
    let dry = import(&["--force", "--reason", "mended", "--dry-run", "--json"]).fine().out;
    let dry = counts(&dry);
    assert_eq!((&dry["lifted"], &dry["suppressed"], &dry["left"]), (&1.into(), &1.into(), &1.into()));
    assert!(show("ana@example.net").contains("\"suppression\": {"), "a rehearsal lifts nothing");

    let told = import(&["--force", "--reason", "a mistake at the telephone"]).fine().out;
    assert!(told.contains("1 lifted") && told.contains("1 suppressed") && told.contains("1 left before"), "{told}");
    let shown = show("ana@example.net");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert!(shown["suppression"].is_null());
    assert_eq!(shown["lifted"][0]["because"], "a mistake at the telephone");
    assert_eq!(shown["lifted"][0]["note"], "asked by telephone");
    let told = import(&["--force=complained", "--reason", "she wrote to us"]).fine().out;
    assert!(told.contains("1 lifted"), "{told}");
    room.run(&["run", "--now"]).fine();
    assert_eq!(room.mailed(), ["ana@example.net", "ben@example.net"], "who has left is not lifted");
    // Erased, nothing of it stays.
    room.run(&["subscribers", "forget", "ana@example.net"]).fine();
    assert!(!show("ana@example.net").contains("telephone"));
}

#[test]
fn who_has_not_confirmed_yet_is_left_out_of_an_export() {
    let room = Room::small(0);
    room.write("list.csv", "email,consent,state\nana@example.net,open day,confirmed\nben@example.net,sheet,pending\n");
    room.run(&["subscribers", "import", "list.csv"]).fine();
    let csv = room.run(&["subscribers", "export"]).fine().out;
    assert!(csv.contains("ben@example.net,,news,pending"), "a list had said so: {csv}");
    // As the page writes it down: nobody has agreed to anything yet.
    room.sql("DELETE FROM consent WHERE source = 'sheet'");
    let csv = room.run(&["subscribers", "export"]).fine().out;
    assert!(csv.contains("ana@") && !csv.contains("ben@"), "{csv}");
    let other = Room::small(0);
    other.write("list.csv", &csv);
    other.run(&["subscribers", "import", "list.csv"]).fine();
}

#[test]
fn who_has_left_everything_is_exported_and_imports_again_as_such() {
    let room = Room::small(0);
    room.write("list.csv", "email,consent\nana@example.net,open day\nben@example.net,open day\n");
    room.run(&["subscribers", "import", "list.csv"]).fine();
    room.run(&["subscribers", "remove", "ana@example.net"]).fine();
    // She has come back to the one digest since.
    room.sql("UPDATE subscription SET state = 'confirmed', since = since + 60000 WHERE digest = 'news'");
    let csv = room.run(&["subscribers", "export"]).fine().out;
    let rows: Vec<&str> = csv.lines().skip(1).map(|row| row.split(",2").next().unwrap()).collect();
    assert_eq!(
        rows,
        ["ana@example.net,,news,confirmed", "ana@example.net,,*,ended", "ben@example.net,,news,confirmed"]
    );
    let other = Room::small(0);
    other.write("list.csv", &csv);
    other.run(&["subscribers", "import", "list.csv"]).fine();
    assert_eq!(other.run(&["subscribers", "export"]).fine().out, csv);
    other.write("wrong.csv", "email,digest,consent\neva@example.net,*,open day\n");
    other.run(&["subscribers", "import", "wrong.csv"]).failed(1, &["nobody asks for every digest", "can only be left"]);
}
