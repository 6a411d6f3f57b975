//! SMTP, on lettre's connections.
//!
//! lettre speaks and parses; we own the socket (no delay), the time limits, the certificates that are trusted, and the
//! order of commands and replies, because its own transports have no time limit for a mute server, no `PIPELINING`, and
//! stop for 40 ms a mail (Nagle's algorithm against delayed acknowledgements).

mod connection;
mod dial;
mod lines;
mod offers;
mod trust;
mod wire;

pub use connection::Connection;
pub use trust::TrustError;

use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::OpenError;

/// How to reach the relays.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tried in order.
    pub relays: Vec<Relay>,
    /// The login, where the relay asks for one.
    pub login: Option<Login>,
    /// One more certificate (PEM) to trust beside the system's.
    pub trust: Option<PathBuf>,
    /// The name to greet with; `None`: the host's.
    pub hello: Option<String>,
    /// Limit of every step but one: connecting, each reply.
    pub timeout: Duration,
    /// Limit of that one: a message on its way, and the answer to it. Whoever hangs up too early mails twice (RFC 5321
    /// section 4.5.3.2.6).
    pub message_timeout: Duration,
    /// Mails on one connection, before a new one is opened.
    pub mails_per_connection: u32,
}

/// One relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// A name or an address.
    pub host: String,
    /// For instance 587.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// `smtps://`: TLS from the first byte (RFC 8314).
    Implicit,
    /// `smtp://`: STARTTLS, required (RFC 3207).
    StartTls,
    /// `smtp://` on loopback: STARTTLS where it is offered, otherwise in the clear.
    Loopback,
}

/// User and password.
#[derive(Debug, Clone)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password; never printed.
    pub password: SecretString,
    /// The password is an OAuth 2 access token: log in by XOAUTH2, and by nothing else.
    pub token: bool,
}

/// The relays, and how to reach them.
#[derive(Debug)]
pub struct Smtp {
    options: Options,
    tls: Tls,
}

/// What a relay showed of itself when it was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Host and port.
    pub relay: String,
    /// How the connection is protected.
    pub security: Security,
    /// A login was configured, and it was taken.
    pub login: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870; `Some(0)`: offered without a limit.
    pub size: Option<usize>,
}

/// What TLS needs; or why there is none, which is told where a relay wants it.
type Tls = Result<Arc<rustls::ClientConfig>, String>;

/// TLS for another protocol, trusting what relays are trusted by.
pub(super) fn client_trust(file: Option<&std::path::Path>) -> Result<Arc<rustls::ClientConfig>, String> {
    trust::client(file).map_err(|e| e.to_string())?
}

impl Smtp {
    /// Reads the certificates that are trusted.
    ///
    /// # Errors
    /// [`TrustError`] where [`Options::trust`] cannot be read or holds no certificate.
    pub fn new(options: Options) -> Result<Self, TrustError> {
        let tls = trust::client(options.trust.as_deref())?;
        Ok(Smtp { options, tls })
    }

    /// Calls each relay, and says goodbye.
    pub async fn look(&self) -> Vec<Result<Look, OpenError>> {
        let mut looks = Vec::new();
        for relay in &self.options.relays {
            let called = dial::dial(relay, &self.options, &self.tls).await;
            looks.push(match called {
                Err(error) => Err(error),
                Ok(connection) => {
                    let look = Look {
                        relay: format!("{}:{}", relay.host, relay.port),
                        security: relay.security,
                        login: self.options.login.is_some(),
                        pipelining: connection.pipelines(),
                        size: connection.size_limit(),
                    };
                    connection.quit().await;
                    Ok(look)
                }
            });
        }
        looks
    }

    /// Opens one connection: TCP without delay, TLS as required, EHLO, AUTH. Where a relay is unreachable the next is tried;
    /// one that cannot be trusted or refuses the login is told at once, for only a person can help.
    ///
    /// # Errors
    /// [`OpenError`] of the last relay tried.
    pub async fn connect(&self) -> Result<Connection, OpenError> {
        let mut last = OpenError::Unreachable { relay: "no relay".to_owned(), cause: "none is configured".to_owned() };
        for relay in &self.options.relays {
            match dial::dial(relay, &self.options, &self.tls).await {
                Err(error @ OpenError::Unreachable { .. }) => last = error,
                done => return done,
            }
        }
        Err(last)
    }
}
