//! A plain-text mail from the newsroom to one of its own.

use chrono::{DateTime, Utc};
use lettre::message::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use std::time::SystemTime;

use super::Mail;
use super::headers::{self, HeaderText};
use crate::digest::Sender;
use crate::subscriber::Address;

/// What a note is made of.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// Who writes.
    pub from: &'a Sender,
    /// To whom.
    pub to: &'a Address,
    /// Where bounces go.
    pub return_path: &'a Address,
    /// One line.
    pub subject: &'a str,
    /// Plain text.
    pub text: &'a str,
    /// The same occasion gives the same Message-ID for the same reader.
    pub occasion: &'a str,
    /// When it happened.
    pub date: DateTime<Utc>,
}

/// Writes a note. The same note always gives the same bytes.
///
/// # Errors
/// What lettre says of it.
pub fn note(note: &Note) -> Result<Mail, lettre::error::Error> {
    let Note { from, to, return_path, subject, text, occasion, date } = note;
    let id = headers::note_id(occasion, to, &from.address);
    let fixed = |name: &'static str, value: &str| {
        HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.to_owned(), value.to_owned())
    };
    // The envelope is the transport's; lettre wants one.
    let nobody = lettre::Address::new_dangerous("nobody", "invalid");
    let envelope = lettre::address::Envelope::new(None, vec![nobody])?;
    let message = Message::builder()
        .raw_header(headers::mailbox_header("From", &HeaderText::clean(&from.name), &from.address))
        .raw_header(headers::mailbox_header("To", &HeaderText::default(), to))
        .raw_header(headers::unstructured("Subject", &HeaderText::clean(subject)))
        .date(SystemTime::from(*date))
        .raw_header(fixed("Message-ID", id.as_str()))
        .raw_header(fixed("Auto-Submitted", "auto-generated"))
        .header(ContentType::TEXT_PLAIN)
        .envelope(envelope)
        .body((*text).to_owned())?;
    Ok(Mail { return_path: (*return_path).clone(), to: (*to).clone(), message: message.formatted().into() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_its_occasion_names_it() {
        let from = Sender { name: "Die Zeitung, für alle".into(), address: "news@paper.example".parse().unwrap() };
        let (ana, ben) = ("ana@paper.example".parse().unwrap(), "ben@paper.example".parse().unwrap());
        let return_path = "bounces@paper.example".parse().unwrap();
        let write = |to, occasion| {
            let (subject, text) = ("Grüße\r\nBcc: all@paper.example", "Ein Satz – noch einer.\n.\nFrom hier\n");
            note(&Note {
                from: &from,
                to,
                return_path: &return_path,
                subject,
                text,
                occasion,
                date: DateTime::UNIX_EPOCH,
            })
            .unwrap()
        };
        let mail = write(&ana, "sent 1");
        assert_eq!(mail, write(&ana, "sent 1"));
        let message = mail.message.to_vec();
        let parsed = mail_parser::MessageParser::default().parse(&message).unwrap();
        assert_eq!(parsed.subject(), Some("Grüße Bcc: all@paper.example"));
        assert!(parsed.bcc().is_none());
        assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n"), "Ein Satz – noch einer.\n.\nFrom hier\n");
        assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Die Zeitung, für alle"));
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("ana@paper.example"));
        let id = |mail: &Mail| {
            let message = mail.message.to_vec();
            let parsed = mail_parser::MessageParser::default().parse(&message).unwrap();
            parsed.message_id().unwrap().to_owned()
        };
        assert!(id(&mail).ends_with("@paper.example"));
        assert_ne!(id(&mail), id(&write(&ana, "sent 2")));
        assert_ne!(id(&mail), id(&write(&ben, "sent 1")));
        assert!(message.split(|b| *b == b'\n').all(|line| line.len() < 200));
    }
}
