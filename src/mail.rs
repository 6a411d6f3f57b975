//! Finished bytes in an envelope. Pure.

// From a sealed edition and a reader to the bytes on the wire.
pub mod compose;
// A domain answers for a mail.
pub mod dkim;
// The one gate through which text becomes a header.
pub mod headers;
// A mail to one person, outside of editions.
pub mod letter;
// A message's bytes.
pub mod message;
// A plain-text mail to one of the newsroom's own.
pub mod note;
// How a sender stands in the eyes of those who receive.
pub mod posture;
// Return paths that say which delivery comes back.
pub mod return_path;
// Mail that comes back to us.
pub mod returned;

use chrono::{DateTime, Utc};

use self::dkim::{SignError, Signer};
pub use self::message::Message;
use crate::subscriber::Address;

/// An envelope and finished bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Where bounces go (`MAIL FROM`).
    pub return_path: Address,
    /// The one recipient (`RCPT TO`).
    pub to: Address,
    /// What the recipient gets.
    pub message: Message,
}

impl Mail {
    /// The same mail, signed, where there is somebody to sign.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn signed(mut self, signer: Option<&Signer>, when: DateTime<Utc>) -> Result<Mail, SignError> {
        if let Some(signer) = signer {
            let fields = signer.sign(&self.message.to_vec(), when)?;
            self.message.prepend(&fields);
        }
        Ok(self)
    }

    /// Whether the relay must offer SMTPUTF8 (RFC 6531): an address is not all ASCII.
    pub fn needs_smtputf8(&self) -> bool {
        !(self.to.as_str().is_ascii() && self.return_path.as_str().is_ascii())
    }
}
