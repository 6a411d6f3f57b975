//! Where returned mail comes from: a Maildir, a file of mails, a mailbox on a server.
//!
//! An inbox gives its mails in batches, and is told when they are read. Nothing is ever deleted but what an IMAP server moves to
//! another folder at our word; a crash in between gives the same mails once more, and who files them knows them again.

// A mailbox on a server.
pub mod imap;
// A folder with a file for each mail.
mod maildir;
// One file with many mails.
mod mbox;

use std::io;
use std::path::{Path, PathBuf};

use super::OpenError;

/// Bytes of a mail that are read: reports stand at its beginning, and what follows is our own mail.
pub const LARGEST: u64 = 2 << 20;
/// Mails of one batch.
const BATCH: usize = 100;
/// A batch ends with the mail that brings it over so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Where returned mail comes from.
#[derive(Debug, Clone)]
pub enum Inbox {
    /// A Maildir: new mails are read and moved to those that were seen.
    Maildir(PathBuf),
    /// A file in the mbox form, which is only read. `place` is a file of our own that remembers how far.
    Mbox {
        /// The mails.
        file: PathBuf,
        /// How far they were read.
        place: PathBuf,
    },
    /// A mailbox on a server.
    Imap(imap::Options),
}

/// What went wrong with an inbox.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The folder is there and is no Maildir, or neither is there.
    #[error("{} is no Maildir", .0.display())]
    NoMaildir(PathBuf, #[source] io::Error),
    /// A file cannot be read or moved.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, #[source] io::Error),
    /// Another program has locked the file for longer than we wait.
    #[error("{} is locked by another program", .0.display())]
    Locked(PathBuf),
    /// The server.
    #[error(transparent)]
    Server(#[from] OpenError),
}

/// An inbox being read.
#[derive(Debug)]
pub enum Session {
    /// See [`Inbox::Maildir`].
    Maildir(maildir::Maildir),
    /// See [`Inbox::Mbox`].
    Mbox(mbox::Mbox),
    /// See [`Inbox::Imap`].
    Imap(Box<imap::Mailbox>),
}

/// A mail of an inbox.
#[derive(Debug)]
pub struct Item {
    /// Its bytes, at most [`LARGEST`].
    pub message: Vec<u8>,
    /// By which the inbox knows it.
    ticket: Ticket,
}

#[derive(Debug)]
enum Ticket {
    File(PathBuf),
    /// Where it ends.
    Place(u64),
    Number(u32),
}

impl Inbox {
    /// Opens it.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn open(&self) -> Result<Session, InboxError> {
        Ok(match self {
            Inbox::Maildir(folder) => Session::Maildir(maildir::Maildir::open(folder)?),
            Inbox::Mbox { file, place } => Session::Mbox(mbox::Mbox::open(file, place).await?),
            Inbox::Imap(options) => Session::Imap(Box::new(imap::Mailbox::open(options).await?)),
        })
    }
}

impl Session {
    /// The next mails; none where all have been read.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn next(&mut self) -> Result<Vec<Item>, InboxError> {
        match self {
            Session::Maildir(maildir) => Ok(maildir.next()),
            Session::Mbox(mbox) => mbox.next(),
            Session::Imap(mailbox) => mailbox.next().await,
        }
    }

    /// How many mails are still to be given, where that is known.
    pub fn waiting(&self) -> Option<usize> {
        match self {
            Session::Maildir(maildir) => Some(maildir.waiting()),
            Session::Mbox(_) => None,
            Session::Imap(mailbox) => Some(mailbox.waiting()),
        }
    }

    /// These mails, the last that were given, need not come again. `true` stands beside those that nobody understood: they are
    /// marked for people.
    ///
    /// # Errors
    /// [`InboxError`]; then they come again.
    pub async fn done(&mut self, items: &[(Item, bool)]) -> Result<(), InboxError> {
        match self {
            Session::Maildir(maildir) => maildir.done(items),
            Session::Mbox(mbox) => mbox.done(items),
            Session::Imap(mailbox) => mailbox.done(items).await,
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        if let Session::Imap(mailbox) = self {
            mailbox.close().await;
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> InboxError {
    |error| InboxError::File(path.to_owned(), error)
}
