//! Mail that comes back to us: what it is, and what it says. Nobody is known here and nothing is believed: whose delivery it is
//! about is for whoever holds the keys to find out, from [`Returned::paths`] and [`Returned::original`].
//!
//! Kinds are told apart by structure, and by words only where there is none. First reports, which are meant for machines:
//! complaints (ARF, RFC 5965) and delivery status notifications (RFC 3464). Then the bounces of servers that never learned
//! to write these, unless they say to answer by themselves. Then challenges, then what answers by itself (RFC 3834). What is none
//! of them is said to be undecided.

// What answers by itself.
mod automatic;
// Complaints.
mod complaint;
// The fields of reports.
mod fields;
// Who unsubscribes by mail.
mod leaving;
// The mail of ours that came back.
mod original;
// Bounces that people were meant to read.
mod prose;
// What a server said, in a line of text.
mod said;
// Delivery status notifications.
mod status;

pub use leaving::unsubscribes;
pub use original::Original;
pub use said::Said;

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};

/// A mail that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// What it is.
    pub what: What,
    /// Texts that may hold the address it was returned to, the most credible first: the envelope as mail servers wrote it down,
    /// then what the report and the mail inside say.
    pub paths: Vec<String>,
    /// What is left of the mail of ours.
    pub original: Original,
    /// By which it is known when it is read again, over whatever way it comes: a SHA-256 hash.
    pub mark: [u8; 32],
}

/// What a mail that came back is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Tells what became of a mail, for one recipient or more.
    Report(Vec<Outcome>),
    /// A reader, or somebody for her, says something of a mail that arrived.
    Complaint(Feedback),
    /// Something that answers by itself: somebody is away, a receipt.
    Automatic,
    /// Something that wants the sender to prove to be a person.
    Challenge,
    /// Something else, and why we think so.
    Undecided(&'static str),
}

/// What became of a mail for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// As we wrote it, where that is told; otherwise as it was when it failed.
    pub recipient: Option<String>,
    /// What was done.
    pub action: Action,
    /// What the server said.
    pub said: Said,
}

/// What a server did with a mail (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is where it was meant to go.
    Delivered,
    /// It went on to where nothing is reported.
    Relayed,
    /// It went on to several others.
    Expanded,
    /// Not yet, and it is tried again.
    Delayed,
    /// It will not arrive.
    Failed,
}

/// What a report of a reader says (RFC 5965 section 3.1 and its registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// "Spam", or something as bad: abuse, fraud, virus, other.
    Abuse,
    /// The reader wants no more of it.
    OptOut,
    /// It was taken for spam, and is none.
    NotSpam,
    /// About signatures (RFC 6591), and not about a reader.
    Authentication,
}

impl What {
    /// Its name, in tables and in counters.
    pub fn name(&self) -> &'static str {
        match self {
            What::Report(outcomes) => match gravest(outcomes).map(|outcome| outcome.action) {
                Some(Action::Failed) => "bounce",
                Some(Action::Delayed) => "delay",
                _ => "arrival",
            },
            What::Complaint(Feedback::Abuse) => "complaint",
            What::Complaint(Feedback::OptOut) => "opt-out",
            What::Complaint(Feedback::NotSpam) => "not-spam",
            What::Complaint(Feedback::Authentication) => "authentication",
            What::Automatic => "automatic",
            What::Challenge => "challenge",
            What::Undecided(_) => "undecided",
        }
    }
}

/// The outcome that counts where a report has several: a mail that failed for one of those it was passed on to has failed.
pub fn gravest(outcomes: &[Outcome]) -> Option<&Outcome> {
    // The first of them, where several are as grave.
    outcomes.iter().rev().max_by_key(|outcome| outcome.action)
}

/// Reads a mail. `None` where it is none: no header can be found in it.
pub fn read(message: &[u8]) -> Option<Returned> {
    let mail = MessageParser::default().parse(message).filter(|mail| !mail.parts.is_empty())?;
    let parts = Parts::of(&mail);
    let mut original = Original::of(&mail, &parts);
    let mut paths = original::envelope(&mail);
    let what = complaint::read(&mail, &parts, &original)
        .map(What::Complaint)
        .or_else(|| status::read(&parts).map(What::Report))
        .or_else(|| prose::read(&mail, &parts).map(What::Report))
        .or_else(|| automatic::challenges(&mail, &parts).then_some(What::Challenge))
        .or_else(|| automatic::answers(&mail, &parts).then_some(What::Automatic))
        .unwrap_or_else(|| What::Undecided(why_undecided(&mail, &parts)));
    paths.extend(parts.report.iter().flat_map(|report| fields::texts(report, &original::PATHS)));
    paths.append(&mut original.paths);
    Some(Returned { what, paths, original, mark: original::mark(&mail, message) })
}

fn why_undecided(mail: &Message, parts: &Parts) -> &'static str {
    let subject = mail.subject().unwrap_or_default().to_lowercase();
    let text = parts.text.trim_start().to_lowercase();
    let leaves = ["unsubscribe", "désabonner", "desabonner", "abmelden", "darse de baja", "remove me"];
    if parts.report.is_some() {
        "a report that names no recipient"
    } else if leaves.iter().any(|word| subject.contains(word) || text.starts_with(word)) {
        "it asks to leave, without the token that says who"
    } else {
        "neither a report nor something that answers by itself: perhaps a person has written"
    }
}

/// A mail, taken apart.
struct Parts {
    /// What machines are to read: a delivery status or a feedback report.
    report: Option<String>,
    /// Whether that is a feedback report.
    feedback: bool,
    /// A receipt (RFC 8098).
    receipt: bool,
    /// What people are to read.
    text: String,
}

/// Characters of the text for people that are looked at.
const LONGEST_TEXT: usize = 64 * 1024;

impl Parts {
    fn of(mail: &Message) -> Self {
        let mut parts = Parts { report: None, feedback: false, receipt: false, text: String::new() };
        for part in &mail.parts {
            let kind = part.content_type().map(|kind| {
                (kind.ctype().to_ascii_lowercase(), kind.subtype().unwrap_or_default().to_ascii_lowercase())
            });
            let Some((kind, subtype)) = kind else { continue };
            if kind != "message" && kind != "text" {
                continue;
            }
            match subtype.as_str() {
                "delivery-status" | "global-delivery-status" if parts.report.is_none() => {
                    parts.report = Some(text_of(&part.body));
                }
                // Says more than a status beside it.
                "feedback-report" => {
                    (parts.report, parts.feedback) = (Some(text_of(&part.body)), true);
                }
                "disposition-notification" | "global-disposition-notification" => parts.receipt = true,
                _ => {}
            }
        }
        for n in 0..mail.text_body.len().min(3) {
            let text = mail.body_text(n).unwrap_or_default();
            parts.text.extend(text.chars().take(LONGEST_TEXT).filter(|c| *c != '\r'));
            parts.text.push_str("\n\n");
        }
        parts
    }
}

fn text_of(body: &PartType) -> String {
    match body {
        PartType::Text(text) | PartType::Html(text) => text.to_string(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        PartType::Message(message) => String::from_utf8_lossy(&message.raw_message).into_owned(),
        PartType::Multipart(_) => String::new(),
    }
}

/// A field of the mail's head as it is written, unfolded.
fn head<'a>(mail: &'a Message, name: &str) -> Option<&'a str> {
    mail.headers_raw().find(|(written, _)| written.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
