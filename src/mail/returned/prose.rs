//! Bounces that people were meant to read: what qmail, old Exims and Sendmails, gateways and mailbox providers write instead
//! of a report, or around a broken one.
//!
//! Such a mail must look like one that a server sends (an empty return path, a sender such as MAILER-DAEMON, a subject that
//! servers write), and its text must say that a mail did not arrive. Then the first address in it that is not the server's own
//! is the recipient's, and the first reply in it, or else the words that follow the address, say why.

use mail_parser::Message;

use super::original::split;
use super::said::Said;
use super::{Action, Outcome, Parts, automatic, head};

/// How senders of bounces are called: the part before the `@`, or the name before the address. In small letters.
const SENDERS: [&str; 15] = [
    "mailer-daemon",
    "mailerdaemon",
    "postmaster",
    "mail delivery",
    "mail-delivery",
    "mail administrator",
    "mail_daemon",
    "maildaemon",
    "mail daemon",
    "mdaemon",
    "system administrator",
    "delivery-status",
    "delivery subsystem",
    "bounce-notification",
    "<>",
];

/// What subjects of bounces say. In small letters.
const SUBJECTS: [&str; 28] = [
    "undeliverable",
    "undelivered",
    "undeliver",
    "delivery failure",
    "delivery failed",
    "delivery status",
    "delivery notification",
    "delivery error",
    "delivery report",
    "delivery problem",
    "delivery delayed",
    "delayed",
    "failure notice",
    "failure notification",
    "failed delivery",
    "mail delivery",
    "mail failure",
    "mail system error",
    "mail status report",
    "message status",
    "returned mail",
    "returned to sender",
    "could not be delivered",
    "non-delivery",
    "non delivery",
    "nondeliverable",
    "unzustellbar",
    "warning: could not send message",
];

/// What a text says of a mail that did not arrive. In small letters, on one line.
const FAILED: [&str; 68] = [
    "i'm afraid i wasn't able to deliver",
    "i wasn't able to deliver",
    "i was unable to deliver",
    "was not able to deliver",
    "unable to deliver",
    "could not deliver",
    "couldn't deliver",
    "cannot deliver",
    "can't deliver",
    "failed to deliver",
    "could not be delivered",
    "couldn't be delivered",
    "cannot be delivered",
    "can not be delivered",
    "can't be delivered",
    "not be delivered",
    "was not delivered",
    "wasn't delivered",
    "were not delivered",
    "has not been delivered",
    "have not been delivered",
    "not delivered to",
    "was undeliverable",
    "is undeliverable",
    "undeliverable to",
    "undeliverable message",
    "undeliverable mail",
    "undelivered mail",
    "undelivered message",
    "permanent fatal errors",
    "permanent error",
    "delivery error",
    "delivery has failed",
    "delivery failed",
    "delivery failure",
    "delivery to the following recipient",
    "delivery to the following",
    "failed permanently",
    "the following address failed",
    "the following addresses failed",
    "the following address(es) failed",
    "the following recipient(s) could not be reached",
    "did not reach the following recipient",
    "did not reach some or all",
    "didn't reach",
    "did not reach",
    "failed addresses follow",
    "failed recipient",
    "failed for the following",
    "returned to sender",
    "returned to you",
    "returning your message",
    "is being returned",
    "being returned to you",
    "bounced by",
    "bounce message",
    "rejected by the recipient",
    "has been rejected",
    "was rejected by",
    "was rejected for the following",
    "message rejected",
    "reports the following error",
    "unknown user",
    "nicht zugestellt werden",
    "non recapitabile",
    "n'a pas pu être remis",
    "no se pudo entregar",
    "не может быть доставлено",
];

/// More of the same, of other tongues.
const FAILED_ELSEWHERE: [&str; 12] = [
    "не было доставлено",
    "не удалось доставить",
    "无法送达",
    "无法投递",
    "未能送达",
    "退信",
    "配信できませんでした",
    "n'a pas pu etre remis",
    "n'a pas pu être délivré",
    "não pôde ser entregue",
    "no ha podido ser entregado",
    "impossibile recapitare",
];

/// What a text says of a mail that is still tried. In small letters.
const DELAYED: [&str; 21] = [
    "this is a warning message only",
    "warning message only",
    "you do not need to resend",
    "no action is required on your part",
    "will continue to be made",
    "will continue to try",
    "will keep trying",
    "will be retried",
    "will retry",
    "still trying to deliver",
    "still being attempted",
    "still attempting",
    "has not yet been delivered",
    "hasn't been delivered yet",
    "not been delivered yet",
    "has been delayed",
    "is delayed",
    "delivery is delayed",
    "could not be delivered yet",
    "delivery attempts will continue",
    "noch nicht zugestellt",
];

/// Words with which a text says that trying has ended, whatever else it says of delays. In small letters.
const GIVEN_UP: [&str; 7] = [
    "giving up",
    "given up",
    "gave up",
    "no further attempts",
    "will not be retried",
    "retry timeout exceeded",
    "i'm not going to try again",
];

/// Characters of words that are taken as the reason where there is no reply.
const REASON: usize = 600;

/// What such a mail says; `None` where it is something else.
pub(super) fn read(mail: &Message, parts: &Parts) -> Option<Vec<Outcome>> {
    let (text, _) = split(&parts.text);
    let small = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| small.contains(word));
    let named = head(mail, "X-Failed-Recipients").and_then(|value| addresses(value).next());
    let (sender, about, empty) = looks(mail);
    // An empty return path is that of answering machines too, and people write subjects as servers do. So what says that it
    // answers by itself does, unless it has a server's subject and its reply; and nothing is made of an empty return path alone,
    // unless that reply has a status.
    let reply = Said::in_text(text);
    let bounces = if automatic::answers(mail, parts) {
        about && reply.is_some()
    } else {
        about || empty && reply.is_some_and(|said| said.status.is_some())
    };
    if !(named.is_some() || sender || bounces) {
        return None;
    }
    let delayed = says(&DELAYED) && !says(&GIVEN_UP);
    let own = own(mail);
    let found =
        addresses(text).find(|address| !own.iter().any(|own| own.eq_ignore_ascii_case(address)) && !system(address));
    let recipient = named.or(found);
    // A server that writes so and names somebody needs no words that we know.
    let clear = sender && about && recipient.is_some();
    if !(named.is_some() || clear || delayed || says(&FAILED) || says(&FAILED_ELSEWHERE)) {
        return None;
    }
    // What stands before the recipient is the server's greeting, with addresses and numbers of its own; but for the line.
    let at = recipient.and_then(|address| text.find(address).map(|at| (at, at + address.len())));
    let (line, after) =
        at.map_or((text, text), |(at, end)| (&text[text[..at].rfind('\n').map_or(0, |end| end + 1)..], &text[end..]));
    let said = Said::in_text(after)
        .or_else(|| Said::in_text(text))
        .unwrap_or_else(|| Said::in_words(&line.chars().take(REASON).collect::<String>()));
    let action = if delayed { Action::Delayed } else { Action::Failed };
    Some(vec![Outcome { recipient: recipient.map(str::to_owned), action, said }])
}

/// Whether a server has sent it, by its head: by its sender, its subject, its empty return path.
fn looks(mail: &Message) -> (bool, bool, bool) {
    let lower = |name| head(mail, name).unwrap_or_default().to_lowercase();
    let (from, subject) = (lower("From"), mail.subject().unwrap_or_default().to_lowercase());
    // An answer, of a person or a machine, cites such words.
    let fresh = !subject.starts_with("re:") && !automatic::answers_by_subject(&subject);
    let sender = SENDERS.iter().any(|sender| from.contains(sender));
    let empty = ["Return-Path", "X-Envelope-From", "Envelope-From"].iter().any(|name| lower(name) == "<>");
    (sender, fresh && SUBJECTS.iter().any(|words| subject.contains(words)), fresh && empty)
}

/// Addresses of the mail's own head: the server's, and ours.
fn own<'a>(mail: &'a Message) -> Vec<&'a str> {
    ["From", "To", "Cc", "Delivered-To", "X-Original-To", "Reply-To", "Sender"]
        .iter()
        .filter_map(|name| head(mail, name))
        .flat_map(addresses)
        .collect()
}

/// Servers' own addresses, which greetings name.
fn system(address: &str) -> bool {
    let local = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    ["postmaster", "mailer-daemon", "abuse", "support", "helpdesk", "admin", "hostmaster"].contains(&local.as_str())
}

/// The mail addresses in a text.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let between =
        |c: char| c.is_whitespace() || "<>()[]{},;:\"'|`*".contains(c) || !c.is_ascii() && !c.is_alphanumeric();
    text.split(between).map(|word| word.trim_end_matches(['.', '!', '?'])).filter(|word| {
        let Some((local, domain)) = word.rsplit_once('@') else { return false };
        let sound = !local.is_empty() && local.len() <= 64 && !local.contains('@');
        sound && domain.contains('.') && domain.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_any_text() {
        let text =
            "<ana@b.example>: no. Also ben@c.example, (smtp:eva@d.example) and «ida@e.example». a@b, @x.example, x@";
        let found: Vec<_> = addresses(text).collect();
        assert_eq!(found, ["ana@b.example", "ben@c.example", "eva@d.example", "ida@e.example"]);
    }
}
