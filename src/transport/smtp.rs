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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// Where it stands, if something else keeps it fresh there: read for each login. Otherwise `password` is good for ever.
    pub fresh: Option<PathBuf>,
}

/// A relay that could not be reached is asked again after so long, or when no other can be reached either.
pub const REST: Duration = Duration::from_mins(3);

/// The relays, and how to reach them.
#[derive(Debug)]
pub struct Smtp {
    options: Box<Options>,
    tls: Tls,
    resting: Rests,
}

/// For each relay: until when it is left alone.
#[derive(Debug, Clone)]
struct Rests(Arc<Mutex<Vec<Option<Instant>>>>);

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
        let resting = Rests(Arc::new(Mutex::new(vec![None; options.relays.len()])));
        Ok(Smtp { options: Box::new(options), tls, resting })
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
    /// one that cannot be trusted or refuses the login is told at once, for only a person can help. One that was unreachable, or
    /// took no mail, a moment ago is the last to be tried: each line would wait for its silence again and again.
    ///
    /// # Errors
    /// [`OpenError`] of the last relay tried.
    pub async fn connect(&self) -> Result<Connection, OpenError> {
        let mut last = OpenError::Unreachable { relay: "no relay".to_owned(), cause: "none is configured".to_owned() };
        for at in self.in_turn(Instant::now()) {
            let done = dial::dial(&self.options.relays[at], &self.options, &self.tls).await;
            match done {
                Err(error @ OpenError::Unreachable { .. }) => {
                    self.resting.rest(at);
                    last = error;
                }
                Ok(connection) if self.options.relays.len() > 1 => {
                    return Ok(connection.of_several(self.resting.clone(), at));
                }
                done => return done,
            }
        }
        Err(last)
    }

    /// The relays by number, in the order in which they are tried: as they are written, but those that rest last.
    fn in_turn(&self, now: Instant) -> Vec<usize> {
        let resting = self.resting.all();
        let mut order: Vec<usize> = (0..self.options.relays.len()).collect();
        order.sort_by_key(|at| resting.get(*at).copied().flatten().is_some_and(|until| until > now));
        order
    }
}

impl Rests {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Option<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This relay is tried last for a while.
    fn rest(&self, at: usize) {
        if let Some(rest) = self.all().get_mut(at) {
            *rest = Some(Instant::now() + REST);
        }
    }

    /// This relay has carried a mail.
    fn end(&self, at: usize) {
        if let Some(rest) = self.all().get_mut(at) {
            *rest = None;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_was_not_reached_is_tried_last_for_some_minutes() {
        let relay = |host: &str| Relay { host: host.to_owned(), port: 25, security: Security::Loopback };
        let (timeout, message_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        let relays = vec![relay("a"), relay("b"), relay("c")];
        let options = Options {
            relays,
            login: None,
            trust: None,
            hello: None,
            timeout,
            message_timeout,
            mails_per_connection: 1,
        };
        let smtp = Smtp::new(options).unwrap();
        let now = Instant::now();
        assert_eq!(smtp.in_turn(now), [0, 1, 2]);
        smtp.resting.all()[0] = Some(now + REST);
        assert_eq!(smtp.in_turn(now), [1, 2, 0]);
        assert_eq!(smtp.in_turn(now + REST), [0, 1, 2]);
        smtp.resting.all().fill(Some(now + REST));
        assert_eq!(smtp.in_turn(now), [0, 1, 2]);
    }
}
