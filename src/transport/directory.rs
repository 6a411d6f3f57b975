//! One `.eml` a mail, in a folder.

use aws_lc_rs::digest::{SHA256, digest};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::Sent;
use crate::delivery::{Fate, Reply, Step};
use crate::mail::Mail;

/// Bytes of the hash in a file's name.
const NAME: usize = 12;

/// A folder that takes mails.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// Made when the first mail comes.
    pub folder: PathBuf,
}

impl Outbox {
    /// Writes one mail, whole or not at all. The file is named by the Message-ID, so the same mail again is the same file.
    pub fn send(&mut self, mail: &Mail) -> Sent {
        let fate = match self.write(mail) {
            Ok(name) => Fate::Replied(Step::Dot, Reply::new(250, &format!("2.0.0 kept as {name}"))),
            // The folder is at fault and not the reader: nothing can pass.
            Err(error) => {
                Fate::Replied(Step::Mail, Reply::new(554, &format!("5.3.0 {}: {error}", self.folder.display())))
            }
        };
        Sent { fate, usable: true }
    }

    fn write(&self, mail: &Mail) -> io::Result<String> {
        std::fs::create_dir_all(&self.folder)?;
        let message = mail.message.to_vec();
        let mut name = String::new();
        for byte in digest(&SHA256, message_id(&message).unwrap_or(&message)).as_ref().iter().take(NAME) {
            let _ = write!(name, "{byte:02x}");
        }
        name += ".eml";
        let mut file = tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(&self.folder)?;
        file.write_all(&message)?;
        file.as_file().sync_all()?;
        file.persist(self.folder.join(&name))?;
        std::fs::File::open(&self.folder)?.sync_all()?;
        Ok(name)
    }
}

/// The value of the Message-ID header.
fn message_id(message: &[u8]) -> Option<&[u8]> {
    let head = &message[..memchr::memmem::find(message, b"\r\n\r\n").unwrap_or(message.len())];
    head.split(|b| *b == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(11)?;
        name.eq_ignore_ascii_case(b"message-id:").then(|| value.trim_ascii())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mail(message: &str) -> Mail {
        let address = "ana@example.org".parse().unwrap();
        Mail {
            return_path: "desk@news.example".parse().unwrap(),
            to: address,
            message: message.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn the_same_mail_again_is_the_same_file_and_nothing_else_stays() {
        let root = tempfile::tempdir().unwrap();
        let mut outbox = Outbox { folder: root.path().join("outbox") };
        for text in ["message-id: <1@x>\r\n\r\nold", "Message-ID:  <1@x>\r\n\r\nnew", "Message-ID: <2@x>\r\n\r\nother"]
        {
            let sent = outbox.send(&mail(text));
            assert!(matches!(sent.fate, Fate::Replied(Step::Dot, Reply { code: 250, .. })), "{sent:?}");
        }
        let mut texts: Vec<String> = std::fs::read_dir(&outbox.folder)
            .unwrap()
            .map(|f| std::fs::read_to_string(f.unwrap().path()).unwrap())
            .collect();
        texts.sort();
        assert_eq!(texts, ["Message-ID:  <1@x>\r\n\r\nnew", "Message-ID: <2@x>\r\n\r\nother"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_and_nobody_is_to_blame() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("outbox"), "a file").unwrap();
        let sent = Outbox { folder: root.path().join("outbox") }.send(&mail("Message-ID: <1@x>\r\n\r\n"));
        assert!(matches!(sent.fate, Fate::Replied(Step::Mail, Reply { code: 554, .. })));
    }
}
