//! A mail to one person, outside of editions: to confirm something.

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Message, MultiPart};
use std::time::SystemTime;

use super::Mail;
use super::headers::{self, HeaderText};
use crate::digest::Sender;
use crate::subscriber::Address;
use chrono::{DateTime, Utc};

/// What a letter is made of.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Who it is from.
    pub from: &'a Sender,
    /// Where bounces go.
    pub return_path: &'a Address,
    /// Whom it is for.
    pub to: &'a Address,
    /// One line.
    pub subject: &'a str,
    /// The text part.
    pub text: &'a str,
    /// The HTML part.
    pub html: &'a str,
    /// Names the letter: the same name gives the same Message-ID, so that a letter that is sent again is the same one.
    pub name: &'a str,
    /// When it is sent.
    pub date: DateTime<Utc>,
}

/// Writes a letter.
///
/// # Errors
/// What lettre said of the message.
pub fn write(letter: &Letter) -> Result<Mail, lettre::error::Error> {
    let nobody = lettre::Address::new_dangerous("nobody", "invalid");
    let envelope = lettre::address::Envelope::new(None, vec![nobody])?;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, letter.name.as_bytes());
    let id = format!("<{}@{}>", crate::digest::seal::hex(&hash.as_ref()[..16]), letter.from.address.domain());
    let raw = |name, value: &str| {
        HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.to_owned(), value.to_owned())
    };
    let message = Message::builder()
        .raw_header(headers::mailbox_header("From", &HeaderText::clean(&letter.from.name), &letter.from.address))
        .raw_header(headers::mailbox_header("To", &HeaderText::default(), letter.to))
        .raw_header(headers::unstructured("Subject", &HeaderText::clean(letter.subject)))
        .date(SystemTime::from(letter.date))
        .raw_header(raw("Message-ID", &id))
        // RFC 3834: nobody's holiday answer is wanted.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .envelope(envelope)
        .multipart(MultiPart::alternative_plain_html(letter.text.to_owned(), letter.html.to_owned()))?;
    Ok(Mail { return_path: letter.return_path.clone(), to: letter.to.clone(), message: message.formatted().into() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;

    fn letter(subject: &str, to: &str) -> Mail {
        let from =
            Sender { name: "The Paper\r\nBcc: x@y.example".into(), address: "desk@paper.example".parse().unwrap() };
        let to = to.parse().unwrap();
        let return_path = "bounces@paper.example".parse().unwrap();
        write(&Letter {
            from: &from,
            return_path: &return_path,
            to: &to,
            subject,
            text: "Grüße.\n.\nFrom here\n",
            html: "<p>Grüße</p>",
            name: "request 1",
            date: DateTime::UNIX_EPOCH,
        })
        .unwrap()
    }

    #[test]
    fn a_letter_is_read_as_it_was_meant_and_no_text_becomes_a_header() {
        let mail = letter("Bitte bestätigen\r\nBcc: x@y.example", "nadia@example.org");
        let message = mail.message.to_vec();
        let read = MessageParser::default().parse(&message).unwrap();
        assert_eq!(read.subject(), Some("Bitte bestätigen Bcc: x@y.example"));
        assert!(read.bcc().is_none());
        assert_eq!(read.to().unwrap().first().unwrap().address(), Some("nadia@example.org"));
        assert!(read.body_text(0).unwrap().contains("Grüße"));
        assert!(read.body_html(0).unwrap().contains("Grüße"));
        assert!(read.message_id().unwrap().ends_with("@paper.example"));
    }

    #[test]
    fn the_same_letter_again_is_the_same_mail() {
        let id = |mail: &Mail| {
            MessageParser::default().parse(&mail.message.to_vec()).unwrap().message_id().unwrap().to_owned()
        };
        assert_eq!(id(&letter("a", "a@b.example")), id(&letter("b", "c@d.example")));
    }
}
