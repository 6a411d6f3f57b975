//! SMTP, on lettre's connections.

use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

use super::{OpenError, Sent};
use crate::mail::Mail;

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
    /// Limit of every step: connecting, each reply. The reply after the message may take [`Options::DOT_FACTOR`] times as long.
    pub timeout: Duration,
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
}

/// The relays, and how to reach them.
#[derive(Debug)]
pub struct Smtp {
    /// As configured.
    pub options: Options,
}

impl Smtp {
    /// Opens one connection: TCP without delay, TLS as required, EHLO, AUTH.
    ///
    /// # Errors
    /// [`OpenError`] of the last relay tried.
    pub async fn connect(&self) -> Result<Connection, OpenError> {
        todo!()
    }
}

/// One SMTP connection.
#[derive(Debug)]
pub struct Connection {}

impl Connection {
    /// One transaction; see [`super::Line::send`].
    pub async fn send(&mut self, _mail: &Mail, _next: Option<&Mail>) -> Sent {
        todo!()
    }

    /// QUIT, without waiting long for the answer.
    pub async fn quit(self) {}
}
