//! What a server can, and what it cannot take.

use std::fmt::Write as _;

use crate::delivery::{Fate, Reply, Step};
use crate::mail::Mail;

/// The extensions of an EHLO reply that we use (RFC 5321 section 4.1.1.1). lettre's own list has no `PIPELINING` and `SIZE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Offers {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) utf8: bool,
    /// RFC 1870; 0: no limit told.
    pub(super) size: Option<usize>,
}

impl Offers {
    /// From the lines of an EHLO reply.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut offers = Offers::default();
        for line in lines.skip(1) {
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or("").to_ascii_uppercase().as_str() {
                "PIPELINING" => offers.pipelining = true,
                "8BITMIME" => offers.eight_bit = true,
                "SMTPUTF8" => offers.utf8 = true,
                "SIZE" => offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                _ => {}
            }
        }
        offers
    }

    /// Why this server cannot take a mail, as it would say it itself; `None` where it can.
    pub(super) fn refusal(&self, mail: &Mail) -> Option<Fate> {
        let refuse = |step, code, text: &str| Some(Fate::Replied(step, Reply::new(code, text)));
        if [&mail.return_path, &mail.to].iter().any(|a| a.as_str().contains(char::is_control)) {
            return refuse(Step::Rcpt, 553, "5.1.3 the address holds control characters; nothing was sent");
        }
        if !mail.to.as_str().is_ascii() && !self.utf8 {
            return refuse(Step::Rcpt, 553, "5.6.7 the relay takes no addresses beyond ASCII; nothing was sent");
        }
        if !mail.return_path.as_str().is_ascii() && !self.utf8 {
            return refuse(Step::Mail, 553, "5.6.7 the relay takes no sender addresses beyond ASCII");
        }
        if self.size.is_some_and(|limit| limit > 0 && mail.message.len() > limit) {
            return refuse(Step::Mail, 552, "5.3.4 the mail is larger than the relay takes");
        }
        if !mail.message.is_ascii() && !self.eight_bit {
            return refuse(Step::Mail, 554, "5.6.1 the mail has 8-bit text, and the relay takes none");
        }
        None
    }

    /// MAIL and its parameters.
    pub(super) fn mail_from(&self, mail: &Mail) -> String {
        let mut command = format!("MAIL FROM:<{}>", mail.return_path.as_str());
        if self.size.is_some() {
            let _ = write!(command, " SIZE={}", mail.message.len());
        }
        if self.eight_bit && !mail.message.is_ascii() {
            command += " BODY=8BITMIME";
        }
        if self.utf8 && !(mail.to.as_str().is_ascii() && mail.return_path.as_str().is_ascii()) {
            command += " SMTPUTF8";
        }
        command + "\r\n"
    }
}

/// RCPT.
pub(super) fn rcpt_to(mail: &Mail) -> String {
    format!("RCPT TO:<{}>\r\n", mail.to.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mail(to: &str, message: &str) -> Mail {
        Mail {
            return_path: "desk@news.example".parse().unwrap(),
            to: to.parse().unwrap(),
            message: message.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn extensions_are_read_whatever_their_case() {
        let lines = ["mx.example at your service", "pipelining", "SIZE 1000", "8BITMIME", "X-OTHER yes", ""];
        let offers = Offers::read(lines.into_iter());
        assert_eq!(offers, Offers { pipelining: true, eight_bit: true, utf8: false, size: Some(1000) });
        assert_eq!(Offers::read(["PIPELINING"].into_iter()), Offers::default());
    }

    #[test]
    fn what_the_server_cannot_take_is_not_sent() {
        let offers = Offers { size: Some(10), ..Offers::default() };
        assert_eq!(offers.refusal(&mail("a@b.example", "0123456789")), None);
        for (to, message) in [("a@b.example", "0123456789a"), ("é@b.example", "a"), ("a@b.example", "é")] {
            assert!(offers.refusal(&mail(to, message)).is_some(), "{to} {message}");
        }
        let unlimited = Offers { size: Some(0), utf8: true, eight_bit: true, ..Offers::default() };
        assert_eq!(unlimited.refusal(&mail("é@b.example", "éééééé")), None);
        assert_eq!(
            unlimited.mail_from(&mail("é@b.example", "é")),
            "MAIL FROM:<desk@news.example> SIZE=2 BODY=8BITMIME SMTPUTF8\r\n"
        );
    }
}
