//! What comes back settles its delivery, with the real program: from standard input, a Maildir, an mbox, a mailbox on a real
//! IMAP server; out of a real Postfix that bounces, delays and forwards; and not when it is forged.

mod imap;
mod killed;
mod letters;
mod postfix;
mod sources;

use pressrun::mail::return_path::ReturnPath;
use pressrun::subscriber::token::Keys;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::support::room::{Ran, Room, address};

const PATTERN: &str = "bounces+{token}@return.small-paper.example";

/// A newsroom whose mails have return paths of their own, and have all gone into its outbox; `more` stands below `returns:`.
fn sent(readers: usize, more: &str) -> Room {
    let room = Room::small(readers);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}returns:\n  address: {PATTERN}\n{more}"));
    room.run(&["run", "--now"]).fine();
    room
}

/// The return path of the n-th reader's mail of an edition.
fn return_path(room: &Room, edition: i64, n: usize) -> String {
    let keys = Keys::parse(&room.read("var/link.keys")).unwrap();
    let ledger = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let delivery: i64 = ledger
        .query_row(
            "SELECT d.id FROM delivery d JOIN subscriber s ON s.id = d.subscriber WHERE d.edition = ?1 AND s.key = ?2",
            (edition, address(n)),
            |row| row.get(0),
        )
        .unwrap();
    let path = ReturnPath::parse(PATTERN).unwrap();
    path.address(&keys.sign_return(delivery)).unwrap().to_string()
}

/// A case of the table, returned to this address instead.
fn case(name: &str, to: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/returned/{name}.eml"));
    let nobody = PATTERN.replace("{token}", &"token".repeat(8));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(&nobody), "{name}");
    text.replace(&nobody, to)
}

/// Gives one mail to `pressrun returns` as a mail server does.
fn pipe(room: &Room, arguments: &[&str], mail: &str) -> Ran {
    let mut child =
        room.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that stops early need not read it.
    let _ = child.stdin.take().unwrap().write_all(mail.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// How the n-th reader's delivery stands, as `pressrun ledger show` says it.
fn shown(room: &Room, edition: i64, n: usize) -> String {
    room.run(&["ledger", "show", &edition.to_string(), "--address", &address(n)]).fine().out
}

fn suppression(room: &Room, n: usize) -> Option<(String, String)> {
    let held = room.run(&["subscribers", "show", &address(n)]).fine().out;
    let held: serde_json::Value = serde_json::from_str(&held).unwrap();
    let text = |name: &str| held["suppression"][name].as_str().unwrap_or_default().to_owned();
    (!held["suppression"].is_null()).then(|| (text("reason"), text("note")))
}
