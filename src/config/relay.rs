//! `transport:` as written.

use url::{Host, Url};

use crate::transport::smtp::{Relay, Security};

/// Submission with STARTTLS (RFC 6409).
const SUBMISSION: u16 = 587;
/// Submission with TLS from the first byte (RFC 8314).
const SUBMISSIONS: u16 = 465;

/// What a `transport:` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// `directory:PATH`, as written.
    Directory(String),
    /// `smtp://` or `smtps://`, and the user in it.
    Relay(Relay, Option<String>),
}

/// What is wrong with it, and what to do. Never the text itself: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What.
    pub what: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// Reads one transport's address.
///
/// # Errors
/// It is none, or holds a password.
pub fn parse(text: &str) -> Result<Named, Wrong> {
    const FORMS: &str = "write directory:FOLDER, smtp://USER@HOST:PORT, or smtps://USER@HOST:PORT";
    let text = text.trim();
    if let Some(folder) = text.strip_prefix("directory:") {
        return match folder.trim() {
            "" => Err(Wrong { what: "the folder is missing", help: "for instance directory:outbox" }),
            folder => Ok(Named::Directory(folder.to_owned())),
        };
    }
    let url = Url::parse(text).map_err(|_| Wrong { what: "this is no transport", help: FORMS })?;
    let implicit = match url.scheme() {
        "smtp" => false,
        "smtps" => true,
        _ => return Err(Wrong { what: "this is no transport", help: FORMS }),
    };
    if url.password().is_some() {
        return Err(Wrong {
            what: "a password does not belong into the configuration",
            help: "take it out (and change it, if others have seen it); set PRESSRUN_SMTP_PASSWORD, or name a file with `smtp: password_file:`",
        });
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err(Wrong { what: "something follows the mail server's address", help: FORMS });
    }
    // The URL standard knows hosts of `smtp:` as opaque text; read again as a web address, it is checked and converted.
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or(Wrong { what: "the mail server is missing", help: FORMS })?;
    let host = percent_decoded(host).and_then(|host| Url::parse(&format!("https://{host}/")).ok());
    let host = host.as_ref().and_then(Url::host).ok_or(Wrong { what: "this is no host", help: FORMS })?;
    let loopback = match &host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
    };
    let host = match host {
        Host::Ipv6(address) => address.to_string(),
        other => other.to_string(),
    };
    let security = match (implicit, loopback) {
        (true, _) => Security::Implicit,
        (false, true) => Security::Loopback,
        (false, false) => Security::StartTls,
    };
    let port = url.port().unwrap_or(if implicit { SUBMISSIONS } else { SUBMISSION });
    if port == 0 {
        return Err(Wrong { what: "0 is no port", help: "leave it out for the usual one" });
    }
    let user = match url.username() {
        "" => None,
        user => Some(percent_decoded(user).filter(|user| !user.contains(char::is_control)).ok_or(Wrong {
            what: "this is no user",
            help: "write @ in a user as %40: smtp://news%40paper.example@mail.example.org",
        })?),
    };
    Ok(Named::Relay(Relay { host, port, security }, user))
}

pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn relays_get_their_usual_port_and_protection() {
        for (text, host, port, security, user) in [
            ("smtp://mail.example.org", "mail.example.org", 587, Security::StartTls, None),
            ("smtp://news@mail.example.org:25", "mail.example.org", 25, Security::StartTls, Some("news")),
            (
                "smtps://news%40paper.example@mail.example.org",
                "mail.example.org",
                465,
                Security::Implicit,
                Some("news@paper.example"),
            ),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::Loopback, None),
            ("smtp://127.8.9.1:2525", "127.8.9.1", 2525, Security::Loopback, None),
            ("smtp://[::1]:2525/", "::1", 2525, Security::Loopback, None),
            ("smtp://LOCALHOST", "localhost", 587, Security::Loopback, None),
            ("smtps://localhost", "localhost", 465, Security::Implicit, None),
            ("smtp://bücher.example", "xn--bcher-kva.example", 587, Security::StartTls, None),
            ("smtp://127.0.0.1.evil.example", "127.0.0.1.evil.example", 587, Security::StartTls, None),
        ] {
            let Named::Relay(relay, found) = parse(text).unwrap() else { panic!("{text}") };
            assert_eq!((relay.host.as_str(), relay.port, relay.security), (host, port, security), "{text}");
            assert_eq!(found.as_deref(), user, "{text}");
        }
        assert_eq!(parse("directory:out box").unwrap(), Named::Directory("out box".into()));
    }

    #[test]
    fn what_is_no_transport_is_refused_and_a_password_is_never_repeated() {
        for text in [
            "",
            "outbox",
            "http://a.example",
            "smtp://",
            "smtp://user@",
            "directory:",
            "smtp://a b",
            "smtp://h:0",
            "smtp://h/path",
            "smtp://h:99999",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let wrong = parse("smtp://user:hunter2@mail.example.org").unwrap_err();
        assert!(wrong.what.contains("password") && !format!("{wrong:?}").contains("hunter2"));
    }
}
