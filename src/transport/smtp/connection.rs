//! One connection, one mail after the other.
//!
//! With `PIPELINING` (RFC 2920) a message, its final dot and the next envelope up to DATA are one write, so that a mail
//! costs one round trip:
//!
//! ```text
//!   MAIL RCPT DATA ─▶          ◀─ 250 250 354
//!   message . MAIL RCPT DATA ─▶   ◀─ 250 | 250 250 354
//!   message . ─▶               ◀─ 250
//! ```
//!
//! Replies are counted: the 354 of each DATA must stand where it belongs, or the line is given up.

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Quit, Rset};
use lettre::transport::smtp::response::Response;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::lines::true_code;
use super::offers::{Offers, rcpt_to};
use super::wire::Tray;
use super::{Options, Rests};
use crate::delivery::{Fate, Reply, Step};
use crate::mail::Mail;
use crate::transport::Sent;

/// How long a goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(2);

/// One SMTP connection.
pub struct Connection {
    smtp: AsyncSmtpConnection,
    tray: Tray,
    offers: Offers,
    timeout: Duration,
    message_timeout: Duration,
    /// Mails that it may still carry.
    left: u32,
    /// The next mail's MAIL, RCPT and DATA are sent, and their three replies are still to be read.
    ahead: bool,
    /// Commands and replies are in step.
    sound: bool,
    /// Where there are other relays, and until this one has carried a mail: which one it is.
    untried: Option<(Rests, usize)>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("offers", &self.offers).field("left", &self.left).finish_non_exhaustive()
    }
}

/// A transaction that ended before its message was accepted.
struct Ended {
    fate: Fate,
    /// The line can carry another mail.
    sound: bool,
}

impl Connection {
    pub(super) fn new(smtp: AsyncSmtpConnection, tray: Tray, offers: Offers, options: &Options) -> Self {
        Connection {
            smtp,
            tray,
            offers,
            timeout: options.timeout,
            message_timeout: options.message_timeout,
            left: options.mails_per_connection.max(1),
            ahead: false,
            sound: true,
            untried: None,
        }
    }

    /// There are other relays: if this one carries nothing, they are tried first.
    pub(super) fn of_several(mut self, rests: Rests, at: usize) -> Self {
        self.untried = Some((rests, at));
        self
    }

    /// One transaction; see [`crate::transport::Line::send`].
    pub async fn send(&mut self, mail: &Mail, next: Option<&Mail>) -> Sent {
        if !self.ahead
            && let Some(fate) = self.offers.refusal(mail)
        {
            return Sent { fate, usable: true };
        }
        self.left = self.left.saturating_sub(1);
        let next = next.filter(|next| self.left > 0 && self.offers.pipelining && self.offers.refusal(next).is_none());
        let ended = match self.envelope(mail).await {
            Ok(()) => self.content(mail, next).await,
            Err(ended) => ended,
        };
        self.sound = ended.sound;
        let worthless = self.untried.take().is_some_and(|(rests, at)| match &ended.fate {
            Fate::Broke(Step::Greeting | Step::Mail, _) => {
                rests.rest(at);
                true
            }
            Fate::Replied(Step::Mail, reply) if (400..500).contains(&reply.code) => {
                rests.rest(at);
                true
            }
            _ => {
                rests.end(at);
                false
            }
        });
        Sent { fate: ended.fate, usable: self.sound && self.left > 0 && !worthless }
    }

    /// The relay offers PIPELINING.
    pub fn pipelines(&self) -> bool {
        self.offers.pipelining
    }

    /// The bytes that a mail may have (RFC 1870); 0: no limit told.
    pub(super) fn size_limit(&self) -> Option<usize> {
        self.offers.size
    }

    /// QUIT, without waiting long for the answer. A line that is out of step, or has begun a mail, is dropped.
    pub async fn quit(mut self) {
        if self.sound && !self.ahead {
            let _ = tokio::time::timeout(GOODBYE, self.smtp.command(Quit)).await;
        }
    }

    /// MAIL, RCPT, DATA and their replies. All three are read whatever they say, or the next mail would read them; the first that
    /// says no is what became of this one, and a line that ends after it only ends.
    async fn envelope(&mut self, mail: &Mail) -> Result<(), Ended> {
        let mut said = if self.ahead {
            self.ahead = false;
            self.hear().await
        } else if self.offers.pipelining {
            self.say(self.offers.mail_from(mail) + &rcpt_to(mail) + "DATA\r\n").await
        } else {
            return self.envelope_step_by_step(mail).await;
        };
        let mut refused = None;
        for step in [Step::Mail, Step::Rcpt] {
            match (in_step(step, said), refused.take()) {
                (Err(ended), None) => return Err(ended),
                (Err(_), Some(fate)) => return Err(Ended { fate, sound: false }),
                (Ok(reply), None) if !is_fine(&reply) => refused = Some(Fate::Replied(step, reply)),
                (Ok(_), before) => refused = before,
            }
            said = self.hear().await;
        }
        match (in_step(Step::Data, said), refused) {
            (Ok(reply), None) if reply.code == 354 => Ok(()),
            (Ok(reply), None) => Err(self.reset(Step::Data, reply).await),
            (Err(ended), None) => Err(ended),
            // Refused, and yet the server waits for a message: an empty one ends that (RFC 2920 section 3.1).
            (Ok(reply), Some(fate)) if reply.code == 354 => {
                let sound = self.say(".\r\n").await.is_ok_and(|reply| reply.code != 421);
                Err(Ended { fate, sound })
            }
            (Ok(_), Some(Fate::Replied(step, reply))) => Err(self.reset(step, reply).await),
            (_, Some(fate)) => Err(Ended { fate, sound: false }),
        }
    }

    async fn envelope_step_by_step(&mut self, mail: &Mail) -> Result<(), Ended> {
        let reply = in_step(Step::Mail, self.say(self.offers.mail_from(mail)).await)?;
        if !is_fine(&reply) {
            return Err(self.reset(Step::Mail, reply).await);
        }
        let reply = in_step(Step::Rcpt, self.say(rcpt_to(mail)).await)?;
        if !is_fine(&reply) {
            return Err(self.reset(Step::Rcpt, reply).await);
        }
        let reply = in_step(Step::Data, self.say(Data).await)?;
        if reply.code != 354 {
            return Err(self.reset(Step::Data, reply).await);
        }
        Ok(())
    }

    /// The message, its dot, and where known the next envelope, in one write; then the reply to the dot.
    async fn content(&mut self, mail: &Mail, next: Option<&Mail>) -> Ended {
        let mut length = 0;
        let before = self.tray.lay(|out| {
            mail.message.append_content(out);
            length = out.len() as u64;
            if let Some(next) = next {
                out.extend_from_slice(self.offers.mail_from(next).as_bytes());
                out.extend_from_slice(rcpt_to(next).as_bytes());
                out.extend_from_slice(b"DATA\r\n");
            }
        });
        self.ahead = next.is_some();
        let said = within(self.message_timeout, self.smtp.command("")).await;
        match said {
            // A line that ends here has not taken the mail, and takes no other.
            Ok(reply) => {
                let refused = negative(&reply);
                let fate = Fate::Replied(Step::Dot, reply);
                Ended { sound: refused || fate.is_acceptance(), fate }
            }
            Err(broke) => {
                let step = if self.tray.written() < before + length { Step::Data } else { Step::Dot };
                Ended { fate: Fate::Broke(step, broke), sound: false }
            }
        }
    }

    /// A refusal; clears what was begun (RFC 5321 section 4.1.1.5).
    async fn reset(&mut self, step: Step, reply: Reply) -> Ended {
        let sound = negative(&reply) && self.say(Rset).await.is_ok_and(|reply| is_fine(&reply));
        Ended { fate: Fate::Replied(step, reply), sound }
    }

    async fn say(&mut self, command: impl fmt::Display) -> Result<Reply, String> {
        within(self.timeout, self.smtp.command(command)).await
    }

    async fn hear(&mut self) -> Result<Reply, String> {
        within(self.timeout, self.smtp.read_response()).await
    }
}

/// A reply of a transaction that goes on; a broken line, or a server that closes it, ends everything.
fn in_step(step: Step, said: Result<Reply, String>) -> Result<Reply, Ended> {
    match said {
        Ok(reply) if reply.code == 421 => Err(Ended { fate: Fate::Replied(step, reply), sound: false }),
        Ok(reply) => Ok(reply),
        Err(broke) => Err(Ended { fate: Fate::Broke(step, broke), sound: false }),
    }
}

fn is_fine(reply: &Reply) -> bool {
    (200..300).contains(&reply.code)
}

/// A refusal after which the line goes on.
fn negative(reply: &Reply) -> bool {
    (400..600).contains(&reply.code) && reply.code != 421
}

async fn within(
    limit: Duration,
    step: impl Future<Output = Result<Response, lettre::transport::smtp::Error>>,
) -> Result<Reply, String> {
    match tokio::time::timeout(limit, step).await {
        Ok(said) => read(said),
        Err(_) => Err(format!("no answer within {} seconds", limit.as_secs_f32())),
    }
}

/// To lettre a refusal is an error; to us it is a reply as others are. An error is a line that broke.
pub(super) fn read(said: Result<Response, lettre::transport::smtp::Error>) -> Result<Reply, String> {
    let reply = |code: u16, text: &str| {
        let (code, text) = true_code(text).unwrap_or((code, text));
        Reply::new(code, text)
    };
    match said {
        Ok(response) => {
            let text: Vec<&str> = response.message().collect();
            Ok(reply(response.code().into(), &text.join(" ")))
        }
        Err(error) => {
            let text = error.source().map(ToString::to_string).unwrap_or_default();
            match error.status() {
                Some(code) => Ok(reply(code.into(), &text)),
                None if text.is_empty() => Err(error.to_string()),
                None => Err(text),
            }
        }
    }
}
