//! Errors that a person can act on: each says what, because of what, and what to do; none is a panic.

use crate::support::room::{self, Ran, Room};
use crate::support::smtp_server::{Script, Server};
use crate::support::tls;

#[test]
fn no_configuration() {
    let room = Room::small(1);
    room.run(&["--config", "elsewhere.yaml", "run"]).failed(3, &["elsewhere.yaml", "to do:"]);
}

#[test]
fn broken_yaml_names_its_line() {
    let room = Room::small(1);
    room.replace("config.yaml", "approval: automatic", "approval: [automatic");
    room.run(&["run"]).failed(3, &["config.yaml:"]);
}

#[test]
fn an_unknown_section_gets_a_suggestion() {
    let room = Room::small(1);
    room.replace("config.yaml", "sections: [news]", "sections: [nwes]");
    room.run(&["run"]).failed(3, &["config.yaml:14:", "nwes", "did you mean `news`"]);
}

#[test]
fn an_unknown_digest_gets_a_suggestion() {
    Room::small(1).run(&["preview", "nesw"]).failed(2, &["nesw", "did you mean `news`"]);
}

#[test]
fn a_missing_template() {
    let room = Room::small(1);
    room.replace("config.yaml", "    approval: automatic", "    template: glossy\n    approval: automatic");
    room.run(&["run"]).failed(1, &["templates/glossy", "glossy"]);
}

#[test]
fn a_template_error_names_its_line() {
    let room = Room::small(1);
    room.write("templates/digest/body.html.hbs", "<html>\n<body>\n{{#each pieces}}\n</body>\n</html>\n");
    room.run(&["run"]).failed(1, &["templates/digest/body.html.hbs:"]);
    assert!(room.outbox().is_empty());
}

#[test]
fn an_unreachable_relay_loses_nothing() {
    let room = Room::small(2);
    let port = unused_port();
    room.run(&["--transport", &format!("smtp://127.0.0.1:{port}"), "run"])
        .failed(4, &["127.0.0.1", "unreachable", "to do:"]);
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 2);
}

#[test]
fn a_password_in_the_address_of_the_relay_is_refused_and_not_repeated() {
    let room = Room::small(1);
    let ran = room.run(&["--transport", "smtp://editor:hunter2@mail.example.org", "run"]).failed(3, &["password"]);
    assert!(!ran.err.contains("hunter2"), "{ran:?}");
}

#[test]
fn a_ledger_that_another_program_holds() {
    let room = Room::small(1);
    room.run(&["build"]).fine();
    std::fs::create_dir_all(room.path("var")).unwrap();
    let held = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    held.execute_batch("PRAGMA journal_mode=DELETE; CREATE TABLE strange (x); BEGIN EXCLUSIVE;").unwrap();
    room.run(&["run"]).failed(4, &["ledger", "to do:"]);
}

#[test]
fn a_ledger_from_a_newer_version() {
    let room = Room::small(1);
    room.run(&["run"]).fine();
    let ledger = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    ledger.execute_batch("PRAGMA user_version = 9999").unwrap();
    drop(ledger);
    room.run(&["run"]).failed(3, &["newer", "to do:"]);
}

#[test]
fn a_ledger_that_is_none() {
    let room = Room::small(1);
    room.write(
        "var/ledger.sqlite",
        "This is a letter, not a ledger. It is long enough to be looked at. ".repeat(40).as_str(),
    );
    room.run(&["run"]).failed(3, &["var/ledger.sqlite", "to do:"]);
}

#[test]
fn two_runs_at_once_the_second_says_so() {
    let room = Room::small(1);
    room.run(&["run"]).fine();
    let lock = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(room.path("var/ledger.sqlite.lock"))
        .unwrap();
    lock.lock().unwrap();
    room.run(&["run"]).failed(4, &["another", "to do:"]);
}

/// The disk takes no more: a limit of the shell on the size of files stands in for it.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_feeds_whole() {
    use std::process::Command;
    let room = Room::small(1);
    room.run(&["run"]).fine();
    let before = room::files(&room.path("feeds"));
    room.article("long", "A long piece", "2026-06-01T08:00:00Z", &"Many words make a long piece. ".repeat(4000));
    let program = env!("CARGO_BIN_EXE_pressrun");
    let output = Command::new("sh")
        .current_dir(room.path("."))
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -f 60; exec '{program}' build"))
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(err.contains("feeds") && err.contains("to do:") && !err.contains("panicked"), "{err}");
    let broken_off = room::files(&room.path("feeds"));
    room.run(&["build"]).fine();
    let after = room::files(&room.path("feeds"));
    assert!(room.read("feeds/rss.xml").contains("A long piece"));
    assert_eq!(broken_off["rss.xml"], before["rss.xml"], "the limit did not bite");
    for (name, bytes) in broken_off {
        assert!(before.get(&name) == Some(&bytes) || after.get(&name) == Some(&bytes), "{name} is neither old nor new");
    }
}

/// A port on which nobody listens.
fn unused_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs the program against a scripted server.
async fn against(room: Room, script: Script, arguments: &[&str], password: Option<&str>) -> (Ran, Room) {
    let server = Server::start(script).await;
    let port = server.address.port().to_string();
    let arguments: Vec<String> = arguments.iter().map(|a| a.replace("{port}", &port)).collect();
    let password = password.map(str::to_owned);
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = room.command(&arguments);
        if let Some(password) = password {
            command.env("PRESSRUN_SMTP_PASSWORD", password);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }, room)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_refuses_the_login_is_told_without_the_password() {
    let script = Script { login: Some(("editor", "right")), ..Script::default() };
    let (ran, room) =
        against(Room::small(1), script, &["--transport", "smtp://editor@127.0.0.1:{port}", "run"], Some("hunter2"))
            .await;
    let ran = ran.failed(3, &["refuses the login", "PRESSRUN_SMTP_PASSWORD", "to do:"]);
    assert!(!ran.err.contains("hunter2"), "{ran:?}");
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 1, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_password_says_where_it_is_looked_for() {
    let (ran, _) =
        against(Room::small(1), Script::default(), &["--transport", "smtp://editor@127.0.0.1:{port}", "run"], None)
            .await;
    ran.failed(3, &["password", "PRESSRUN_SMTP_PASSWORD", "password_file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (_, acceptor) = tls::certificate(folder.path(), "IP:127.0.0.1", false);
    let script = Script { tls: Some(acceptor), implicit: true, ..Script::default() };
    let (ran, _) = against(Room::small(1), script, &["--transport", "smtps://127.0.0.1:{port}", "run"], None).await;
    ran.failed(3, &["cannot be trusted", "certificate", "smtp: trust:"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_is_trusted_when_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, acceptor) = tls::certificate(folder.path(), "IP:127.0.0.1", false);
    let room = Room::small(2);
    room.replace("config.yaml", "press:\n", &format!("smtp:\n  trust: {}\npress:\n", pem.display()));
    let script = Script { tls: Some(acceptor), implicit: true, ..Script::default() };
    let (ran, _) = against(room, script, &["--transport", "smtps://127.0.0.1:{port}", "run"], None).await;
    assert!(ran.fine().out.contains("2 accepted"));
}
