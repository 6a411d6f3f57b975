//! The line to a real server, encrypted, and the server known by its certificate.

use crate::support::postgres::Server;
use crate::support::room::{Ran, Room};
use crate::support::tls;

const PASSWORD: &str = "geheim 3";

/// The program's run with the password, everything logged; what it says never shows it.
fn run(room: &Room, ledger: &str, arguments: &[&str]) -> Ran {
    let config = room.read("config.yaml");
    let (before, after) = config.split_once("ledger: ").map_or_else(
        || {
            config
                .split_once("press:\n")
                .map(|(before, after)| (before.to_owned(), format!("press:\n{after}")))
                .unwrap()
        },
        |(before, after)| (before.to_owned(), after.split_once('\n').unwrap().1.to_owned()),
    );
    room.write("config.yaml", &format!("{before}ledger: {ledger}\n{after}"));
    let mut command = room.command(arguments);
    let output = command.env("PRESSRUN_LEDGER_PASSWORD", PASSWORD).env("PRESSRUN_LOG", "trace").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!format!("{ran:?}").contains(PASSWORD), "the password is shown: {ran:?}");
    ran
}

#[test]
fn a_server_is_reached_by_tls_and_only_where_its_certificate_is_trusted_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _) = tls::certificate_of_authority(folder.path());
    let (certificate, key) = (folder.path().join("leaf.pem"), folder.path().join("leaf.key"));
    let Some(postgres) = Server::start_encrypted(PASSWORD, &certificate, &key) else { return };
    let database = postgres.database();
    let room = Room::small(3);
    let (url, authority) = (database.url(), authority.display().to_string());
    let trusted = format!("{url}?sslmode=verify-full&sslrootcert={authority}");
    run(&room, &trusted, &["run"]).fine();
    assert_eq!(room.mailed().len(), 3);
    run(&room, &trusted, &["work", "--until-done"]).fine();

    // Somebody else's authority; none; another name than stands in the certificate.
    let other = tempfile::tempdir().unwrap();
    let (stranger, _) = tls::certificate(other.path(), "DNS:authority.example", false);
    for ledger in [
        format!("{url}?sslmode=verify-full&sslrootcert={}", stranger.display()),
        format!("{url}?sslmode=verify-full"),
        trusted.replace("127.0.0.1", "localhost"),
    ] {
        let ran = run(&room, &ledger, &["schedule"]).failed(3, &["does not let us in", "certificate"]);
        assert!(!ran.err.contains("password authentication"), "it was spoken to: {ran:?}");
    }
    // Without TLS the server does not let us in, and says why.
    run(&room, &format!("{url}?sslmode=disable"), &["schedule"]).failed(3, &["does not let us in", "no encryption"]);
    run(
        &room,
        &format!("{url}?sslmode=verify-full&sslrootcert={}", other.path().join("none").display()),
        &["schedule"],
    )
    .failed(3, &["no certificates to trust"]);
    // What is half protected is refused before anything is said.
    for half in ["require", "prefer", "allow", "verify-ca"] {
        run(&room, &format!("{url}?sslmode={half}"), &["schedule"]).failed(3, &["protects nothing", "verify-full"]);
    }
    let used = postgres.sql(&database.options.database, "SELECT count(*) FROM delivery WHERE state = 3");
    assert_eq!(used, "3");
}

#[test]
fn a_server_without_tls_is_not_spoken_to_where_tls_is_wanted() {
    let Some(postgres) = crate::support::postgres::server() else { return };
    let room = Room::small(1);
    let ledger = format!("{}?sslmode=verify-full", postgres.database().url());
    run(&room, &ledger, &["schedule"]).failed(3, &["does not let us in", "TLS"]);
}
