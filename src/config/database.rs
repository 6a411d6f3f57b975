//! `ledger:` as written: a file, or a database on a server.

use std::path::Path;
use url::Url;

use super::relay::{Wrong, percent_decoded};
use super::{LedgerAddress, PostgresAddress};

/// PostgreSQL's own.
const PORT: u16 = 5432;
/// Connections at once, unless `connections=` says otherwise; and at most.
const CONNECTIONS: usize = 8;
const MAX_CONNECTIONS: usize = 100;

const FORM: &str = "write a file's name, or postgres://USER@HOST:PORT/DATABASE";
const PARAMETERS: &str = "after the database there may stand ?password_file=FILE, sslmode=disable or verify-full, sslrootcert=FILE, connections=N, joined by &";

/// Reads a ledger's address; files begin at `root`.
///
/// # Errors
/// It is none, or holds a password. The text itself is never told.
pub fn parse(text: &str, root: &Path) -> Result<LedgerAddress, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Wrong { what: "the ledger's name is missing", help: FORM });
    }
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return if text.contains("://") {
            Err(Wrong { what: "this is no ledger", help: FORM })
        } else {
            Ok(LedgerAddress::Sqlite(root.join(text)))
        };
    }
    let url = Url::parse(text).map_err(|_| Wrong { what: "this is no address of a database", help: FORM })?;
    if url.password().is_some() {
        return Err(Wrong {
            what: "a password does not belong into the configuration",
            help: "take it out (and change it, if others have seen it); set PRESSRUN_LEDGER_PASSWORD, or name a file with ?password_file=FILE",
        });
    }
    let part = |text: &str, wrong: Wrong| {
        percent_decoded(text).filter(|text| !text.is_empty() && !text.contains(char::is_control)).ok_or(wrong)
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let host = part(host, Wrong { what: "the database's server is missing", help: FORM })?;
    let user = part(url.username(), Wrong { what: "the database's user is missing", help: FORM })?;
    let database = url.path().strip_prefix('/').unwrap_or_default();
    let database = part(database, Wrong { what: "the database's name is missing", help: FORM })?;
    if url.port() == Some(0) {
        return Err(Wrong { what: "0 is no port", help: "leave it out for the usual one" });
    }
    let near = host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let mut address = PostgresAddress {
        host,
        port: url.port().unwrap_or(PORT),
        user,
        database,
        password_file: None,
        tls: !near,
        trust: None,
        connections: CONNECTIONS,
    };
    for (name, value) in url.query_pairs() {
        match (&*name, &*value) {
            ("password_file", file) if !file.is_empty() => address.password_file = Some(root.join(file)),
            ("sslrootcert", file) if !file.is_empty() => address.trust = Some(root.join(file)),
            ("sslmode", "disable") => address.tls = false,
            ("sslmode", "verify-full") => address.tls = true,
            ("sslmode", _) => {
                return Err(Wrong {
                    what: "this `sslmode` protects nothing",
                    help: "verify-full checks who the server is; disable is for a network that nobody else can reach",
                });
            }
            ("connections", n) => {
                let n = n.parse().ok().filter(|n| (2..=MAX_CONNECTIONS).contains(n));
                address.connections = n.ok_or(Wrong {
                    what: "this is no number of connections",
                    help: "from 2 to 100; leave it out for 8",
                })?;
            }
            ("password", _) => {
                return Err(Wrong {
                    what: "a password does not belong into the configuration",
                    help: "take it out (and change it, if others have seen it); set PRESSRUN_LEDGER_PASSWORD, or name a file with ?password_file=FILE",
                });
            }
            _ => {
                return Err(Wrong {
                    what: "the database's address has a parameter that is not known",
                    help: PARAMETERS,
                });
            }
        }
    }
    Ok(LedgerAddress::Postgres(address))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn postgres(text: &str) -> PostgresAddress {
        match parse(text, Path::new("/paper")).unwrap() {
            LedgerAddress::Postgres(address) => address,
            LedgerAddress::Sqlite(_) => panic!("{text}"),
        }
    }

    #[test]
    fn a_name_is_a_file() {
        let file = |text| parse(text, Path::new("/paper")).unwrap();
        assert_eq!(file("var/ledger.sqlite"), LedgerAddress::Sqlite("/paper/var/ledger.sqlite".into()));
        assert_eq!(file("/var/lib/x"), LedgerAddress::Sqlite("/var/lib/x".into()));
    }

    #[test]
    fn a_server_is_taken_apart_and_protected_unless_it_is_near() {
        for (text, host, port, tls) in [
            ("postgres://news@db.example.org/paper", "db.example.org", 5432, true),
            ("postgresql://news@db.example.org:6543/paper", "db.example.org", 6543, true),
            ("postgres://news@10.0.0.7/paper", "10.0.0.7", 5432, true),
            ("postgres://news@10.0.0.7/paper?sslmode=disable", "10.0.0.7", 5432, false),
            ("postgres://news@127.0.0.1/paper", "127.0.0.1", 5432, false),
            ("postgres://news@[::1]:5433/paper", "::1", 5433, false),
            ("postgres://news@localhost/paper?sslmode=verify-full", "localhost", 5432, true),
            ("postgres://news@%2Frun%2Fpostgresql/paper", "/run/postgresql", 5432, false),
        ] {
            let found = postgres(text);
            assert_eq!((found.host.as_str(), found.port, found.tls), (host, port, tls), "{text}");
            assert_eq!((found.user.as_str(), found.database.as_str()), ("news", "paper"));
        }
        let found = postgres("postgres://a%40b@h/c%20d?password_file=secret/pw&sslrootcert=/etc/ca.pem&connections=20");
        assert_eq!((found.user.as_str(), found.database.as_str(), found.connections), ("a@b", "c d", 20));
        assert_eq!(found.password_file.unwrap(), Path::new("/paper/secret/pw"));
        assert_eq!(found.trust.unwrap(), Path::new("/etc/ca.pem"));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_text() {
        for text in [
            "",
            "mysql://a@b/c",
            "postgres://",
            "postgres://db.example.org/paper",
            "postgres://news@db.example.org",
            "postgres://news@db.example.org/",
            "postgres://news:geheim@db.example.org/paper",
            "postgres://news@db.example.org/paper?password=geheim",
            "postgres://news@db.example.org/paper?sslmode=prefer",
            "postgres://news@db.example.org/paper?connections=1",
            "postgres://news@db.example.org/paper?geheim=1",
            "postgres://news@db.example.org:0/paper",
        ] {
            let wrong = parse(text, Path::new("/paper")).unwrap_err();
            assert!(!wrong.what.contains("geheim") && !wrong.help.contains("geheim"), "{text}");
        }
    }
}
