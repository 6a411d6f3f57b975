//! Where mails go.
//!
//! A `Transport` opens `Line`s; a line carries one mail after the other. The engine (`press`) opens as many lines as
//! the options allow and never knows which transport it is.

// One `.eml` a mail, in a folder.
pub mod directory;
// Where returned mail comes from.
pub mod inbox;
// SMTP, on lettre's connections.
pub mod smtp;

use crate::delivery::Fate;
use crate::mail::Mail;

/// Where mails go.
#[derive(Debug)]
pub enum Transport {
    /// To a relay.
    Smtp(smtp::Smtp),
    /// To a folder.
    Directory(directory::Outbox),
}

/// One line to where mails go.
#[derive(Debug)]
pub enum Line {
    /// One SMTP connection.
    Smtp(Box<smtp::Connection>),
    /// The folder.
    Directory(directory::Outbox),
}

/// What a line can say of a mail, and of itself.
#[derive(Debug)]
pub struct Sent {
    /// How the attempt ended.
    pub fate: Fate,
    /// The line can carry another mail.
    pub usable: bool,
}

/// No line could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Name not found, refused, timed out, 421…: trying again may help.
    #[error("{relay} is unreachable: {cause}")]
    Unreachable {
        /// Host and port.
        relay: String,
        /// What the network or the relay said.
        cause: String,
    },
    /// Connections there were, and none carried a mail.
    #[error("no mail is taken: {cause}")]
    Fruitless {
        /// What the relay said last.
        cause: String,
    },
    /// The relay does not take our login: trying again does not help.
    #[error("{relay} refuses the login: {cause}")]
    Login {
        /// Host and port.
        relay: String,
        /// What the relay said.
        cause: String,
    },
    /// The certificate is not trusted, or TLS is required and not offered.
    #[error("{relay} cannot be trusted: {cause}")]
    Untrusted {
        /// Host and port.
        relay: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl Transport {
    /// Opens a line.
    ///
    /// # Errors
    /// [`OpenError`], told apart by what helps.
    pub async fn open(&self) -> Result<Line, OpenError> {
        match self {
            Transport::Smtp(smtp) => smtp.connect().await.map(|c| Line::Smtp(Box::new(c))),
            Transport::Directory(outbox) => Ok(Line::Directory(outbox.clone())),
        }
    }
}

impl Line {
    /// Sends one mail. `next`, where it is known, lets a pipelining connection send the next envelope in the same write
    /// (RFC 2920); the next call must then be for that very mail, or [`Line::close`].
    pub async fn send(&mut self, mail: &Mail, next: Option<&Mail>) -> Sent {
        match self {
            Line::Smtp(connection) => connection.send(mail, next).await,
            Line::Directory(outbox) => outbox.send(mail),
        }
    }

    /// Whether the envelope of the next mail can go with the end of the one before (RFC 2920).
    pub fn pipelines(&self) -> bool {
        match self {
            Line::Smtp(connection) => connection.pipelines(),
            Line::Directory(_) => false,
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        if let Line::Smtp(connection) = self {
            connection.quit().await;
        }
    }
}
