//! One `.eml` a mail, in a folder.

use std::path::PathBuf;

use super::Sent;
use crate::mail::Mail;

/// A folder that takes mails.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// Made when the first mail comes.
    pub folder: PathBuf,
}

impl Outbox {
    /// Writes one mail, whole or not at all. The file is named by the Message-ID, so the same mail again is the same file.
    pub fn send(&mut self, _mail: &Mail) -> Sent {
        todo!()
    }
}
