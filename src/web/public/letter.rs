//! The letters that requests cause: written, and sent one after the other by a task of its own.

use chrono::{TimeDelta, Utc};
use handlebars::{Handlebars, no_escape};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use super::words::{Text, Words};
use super::{Public, Record, trial};
use crate::delivery::Fate;
use crate::delivery::returns::Mailed;
use crate::digest::Sender;
use crate::digest::render::TemplateFile;
use crate::feed::language::direction;
use crate::mail::Mail;
use crate::mail::dkim::{SignError, Signer};
use crate::mail::letter::{self, Letter};
use crate::newsroom::Problem;
use crate::subscriber::Address;
use crate::subscriber::request::{Request, RequestKind};
use crate::subscriber::token::{About, Grant, Purpose};
use crate::transport::Transport;

/// What ships, by file name.
pub(super) const EMBEDDED: [(&str, &str); 2] = [
    ("body.html.hbs", include_str!("../../../templates/confirm/body.html.hbs")),
    ("body.txt.hbs", include_str!("../../../templates/confirm/body.txt.hbs")),
];

/// Letters taken up at a time.
const BATCH: u32 = 50;
/// How long the post waits where nobody wakes it.
const IDLE: Duration = Duration::from_secs(15);
/// The wait before a letter is tried again: this, then twice as long each time.
const FIRST_WAIT: i64 = 60;
/// The longest, in seconds.
const LONGEST_WAIT: i64 = 3600;
/// How often what is over is taken away.
const TIDY: Duration = Duration::from_mins(1);

/// The letters' templates.
pub(super) struct Letters {
    html: Handlebars<'static>,
    text: Handlebars<'static>,
    words: Arc<Words>,
    paper: String,
    return_path: Address,
    signer: Option<Signer>,
}

impl Letters {
    pub(super) fn new(
        words: &Arc<Words>,
        own: &[(String, TemplateFile)],
        paper: &str,
        return_path: Address,
        signer: Option<Signer>,
    ) -> Result<Letters, Vec<Problem>> {
        let mut problems = vec![];
        let mut registry = |(name, embedded): (&str, &str), html: bool| {
            let mut registry = Handlebars::new();
            registry.set_strict_mode(true);
            registry.register_helper("t", Box::new(Text { words: words.clone(), html }));
            if !html {
                registry.register_escape_fn(no_escape);
            }
            let ours = || TemplateFile { file: format!("templates/confirm/{name}"), text: embedded.to_owned() };
            let file = own.iter().find(|(mine, _)| mine == name).map_or_else(ours, |(_, file)| file.clone());
            let circles = file.circles();
            let sound = circles.is_empty();
            problems.extend(circles);
            match registry.register_template_string("body", &file.text) {
                Err(error) => problems.push(file.unreadable(&error)),
                Ok(()) if sound => problems.extend(tried(&registry, &file, words)),
                Ok(()) => {}
            }
            registry
        };
        let [html, text] = EMBEDDED;
        let (html, text) = (registry(html, true), registry(text, false));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Letters { html, text, words: words.clone(), paper: paper.to_owned(), return_path, signer })
    }
}

/// The first that is wrong with a letter's template when it is filled in.
fn tried(registry: &Handlebars, file: &TemplateFile, words: &Words) -> Option<Problem> {
    words.languages().find_map(|(language, _)| {
        trial::letters().into_iter().find_map(|mut values| {
            if let Some(values) = values.as_object_mut() {
                values.insert("language".to_owned(), json!(language));
                values.insert("dir".to_owned(), json!(direction(language)));
            }
            registry.render("body", &values).err().map(|error| file.unfillable(&error, &values))
        })
    })
}

/// Why a letter cannot be written; it would not be the next time either.
#[derive(Debug, thiserror::Error)]
enum Unwritable {
    #[error("there is no digest that it could be from")]
    NoSender,
    #[error("its address cannot be made")]
    Url(#[from] url::ParseError),
    #[error(transparent)]
    Template(#[from] handlebars::RenderError),
    #[error(transparent)]
    Mail(#[from] lettre::error::Error),
    #[error(transparent)]
    Signature(#[from] SignError),
}

impl<S: Record> Public<S> {
    /// Writes the letter of a request.
    fn letter(&self, request: &Request) -> Result<Mail, Unwritable> {
        let subscriber = request.subscriber;
        let digest = request.digests.iter().find_map(|slug| self.digest(slug)).or(self.digests.first());
        let digest = digest.ok_or(Unwritable::NoSender)?;
        let sender: &Sender = &digest.from;
        let confirm = || self.keys.sign(Purpose::Confirm, Grant { subscriber, about: About::Request(request.id.0) });
        let manage = || self.keys.sign(Purpose::Preferences, Grant { subscriber, about: About::Everything });
        let (subject, text, button, path) = match request.kind {
            RequestKind::Subscribe => (
                "mail.subscribe.subject",
                "mail.subscribe.text",
                "mail.subscribe.button",
                format!("confirm/{}", confirm()),
            ),
            RequestKind::Move => {
                ("mail.move.subject", "mail.move.text", "mail.move.button", format!("confirm/{}", confirm()))
            }
            RequestKind::Link => {
                ("mail.link.subject", "mail.link.text", "mail.link.button", format!("preferences/{}", manage()))
            }
        };
        let language = self.letters.words.language(Some(&request.language), "").to_owned();
        let titles: Vec<&str> = request.digests.iter().map(|slug| self.title(slug)).collect();
        let together = titles.join(", ");
        let filled = [("paper", self.letters.paper.as_str()), ("digests", together.as_str())];
        let say = |key| self.letters.words.text(&language, key, &filled).unwrap_or_default();
        let mut url = self.url.join(&path)?;
        url.set_query(Some(&format!("lang={language}")));
        let subject = say(subject);
        let values = json!({
            "language": language,
            "dir": direction(&language),
            "subject": subject,
            "text": say(text),
            "button": say(button),
            "digests": titles,
            "url": url.as_str(),
            "paper": self.letters.paper,
            "postal": digest.postal_address,
        });
        let html = self.letters.html.render("body", &values)?;
        let text = self.letters.text.render("body", &values)?;
        let date = Utc::now();
        let own = self.own_return_path.as_ref();
        let own = own.and_then(|path| path.address(&self.keys.sign_return(Mailed::Request(request.id).number())));
        let mail = letter::write(&Letter {
            from: sender,
            return_path: own.as_ref().unwrap_or(&self.letters.return_path),
            to: &request.to,
            subject: &subject,
            text: &text,
            html: &html,
            name: &format!("pressrun request {} {}", request.id.0, request.asked.timestamp_millis()),
            date,
        })?;
        Ok(mail.signed(self.letters.signer.as_ref(), date)?)
    }

    /// Sends letters as they become due, and takes away what is over; for ever. Drop it to stop: a letter that was on its
    /// way may then be sent a second time.
    pub async fn post(self: Arc<Self>, transport: Arc<Transport>) {
        self.tidy().await;
        let mut tidied = std::time::Instant::now();
        loop {
            let sent = self.round(&transport).await;
            if tidied.elapsed() >= TIDY {
                self.tidy().await;
                tidied = std::time::Instant::now();
            }
            if !sent {
                let _ = tokio::time::timeout(IDLE, self.wake.notified()).await;
            }
        }
    }

    async fn tidy(&self) {
        self.guard.tidy();
        if let Err(error) = self.store.expire(self.terms, Utc::now()).await {
            tracing::error!(%error, "what is over cannot be taken away");
        }
        match self.store.standing().await {
            Ok(standing) => self.tally.stand(&standing),
            Err(error) => tracing::error!(%error, "the ledger does not say how many subscribe"),
        }
    }

    /// Sends what is due; whether there may be more.
    async fn round(&self, transport: &Transport) -> bool {
        let due = match self.store.letters(BATCH, Utc::now()).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "the ledger does not say which letters are due");
                return false;
            }
        };
        if due.is_empty() {
            return false;
        }
        let mut line = match transport.open().await {
            Ok(line) => line,
            Err(error) => {
                tracing::warn!(%error, letters = due.len(), "letters wait");
                return false;
            }
        };
        let mut moved = false;
        for request in &due {
            let (again, usable) = match self.letter(request) {
                Ok(mail) => {
                    // A slow server may have kept the letters before this one for long.
                    match self.store.is_wanted(request.id, Utc::now()).await {
                        Ok(true) => {}
                        Ok(false) => continue,
                        Err(error) => {
                            tracing::error!(%error, "the ledger does not say whether a letter is still due");
                            return false;
                        }
                    }
                    let sent = line.send(&mail, None).await;
                    (self.again(request, &sent.fate), sent.usable)
                }
                Err(error) => {
                    tracing::error!(request = request.id.0, %error, "a letter cannot be written");
                    self.tally.unsent.increment(1);
                    (None, true)
                }
            };
            if let Err(error) = self.store.posted(request.id, again.map(|wait| Utc::now() + wait)).await {
                // Without its record it would be sent over and over.
                tracing::error!(%error, "a letter's fate cannot be written down");
                return false;
            }
            moved = true;
            if !usable {
                return moved;
            }
        }
        line.close().await;
        moved
    }

    /// How long until a letter is tried again; `None` where it has arrived, or never will.
    fn again(&self, request: &Request, fate: &Fate) -> Option<TimeDelta> {
        match fate {
            taken if taken.is_acceptance() => {
                self.tally.sent.increment(1);
                None
            }
            Fate::Replied(_, reply) if reply.code >= 500 => {
                tracing::info!(request = request.id.0, code = reply.code, "a letter was refused");
                self.tally.unsent.increment(1);
                None
            }
            _ => {
                let seconds = FIRST_WAIT.saturating_mul(1 << request.tries.min(10)).min(LONGEST_WAIT);
                Some(TimeDelta::seconds(seconds))
            }
        }
    }
}
