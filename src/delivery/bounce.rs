//! Why a mail bounced, and what follows: one pure function, and the rules that it keeps.
//!
//! The status (RFC 3463) is read first, the reply's code and words where it says too little. The rules are those of people
//! who answer for deliverability, and lean to the reader's side: a bounce is *hard* only where the address itself is said to
//! be none.
//!
//! - **Hard**: there is no such mailbox, no such domain, the account is closed for good, the person has moved. Mailing on
//!   harms the sender's name, and nobody reads it.
//! - **Soft**: the mailbox is full, the mail is too large, the server could not be reached in time. It may pass.
//! - **Policy** is soft and does not count: spam, reputation, authentication, content, rate. Such a refusal is about *us*
//!   (X.7.x, RFC 3463 section 3.8), and it hits all readers of a provider at once: counting it would suppress them all
//!   because of our own bad day. The press pauses editions for that, and `pressrun doctor` finds the reasons.
//! - **Undecided** is what says too little. It counts as soft: mail that does not arrive time after time is of no use to
//!   anybody, whatever the reason.
//!
//! What passes (4xx, 4.x.x) is never hard, whatever is said: a server that was asked until the queue gave up may be the one that
//! has lost its list of users for a day, and a name that our own resolver did not find is no name that does not exist.
//!
//! Words go before the status, for servers use a status wrongly more often than they say something wrong: *5.1.1* with
//! "mailbox full", *5.7.1* with "user unknown", *5.2.1* with "at a rate that" (Gmail), *5.4.1* with "recipient address
//! rejected" (Microsoft 365 calls so whom it does not know).

// What servers say, by what it means.
mod lists;
// How it is looked for.
mod words;

use serde::{Deserialize, Serialize};

use super::Reply;
use super::returns::News;
use crate::mail::returned::{Action, Outcome};
use words::Words;

/// Why a mail bounced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No such mailbox.
    NoMailbox,
    /// No such domain, or one that takes no mail.
    NoDomain,
    /// The mailbox was there and is closed.
    Closed,
    /// The mailbox is full.
    Full,
    /// The mail is larger than the other side takes.
    TooLarge,
    /// The other side could not be reached or put the mail off, until it was too late; or the mailbox is shut for a while.
    Unavailable,
    /// The mail went in a circle, or through too many hands.
    Loop,
    /// We were refused (our address, our network, our content), not the reader.
    Policy,
    /// It does not say, or not so that we understand.
    Undecided,
}

/// What a bounce weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// The address is none any more.
    Hard,
    /// It may pass.
    Soft,
    /// Nobody can tell.
    Undecided,
}

impl Cause {
    /// What it weighs.
    pub fn weight(self) -> Weight {
        match self {
            Cause::NoMailbox | Cause::NoDomain | Cause::Closed => Weight::Hard,
            Cause::Full | Cause::TooLarge | Cause::Unavailable | Cause::Loop | Cause::Policy => Weight::Soft,
            Cause::Undecided => Weight::Undecided,
        }
    }

    /// Whether it says anything of the reader, so that many of it in a row end our patience.
    pub fn counts(self) -> bool {
        self != Cause::Policy
    }
}

/// What a report's outcome says of a delivery, and why it bounced.
pub fn judge(outcome: &Outcome) -> (News, Option<Cause>, Reply) {
    let reply = Reply::of_return(&outcome.said);
    match outcome.action {
        Action::Failed => (News::Bounced, Some(cause(&reply)), reply),
        Action::Delayed => (News::Delayed, None, reply),
        Action::Delivered | Action::Relayed | Action::Expanded => (News::Arrived, None, reply),
    }
}

/// Why a delivery failed for good, from what the other server said of it.
pub fn cause(reply: &Reply) -> Cause {
    let status = reply.status.as_deref().map(parts);
    let cause = by_words(&Words::of(&reply.text), status.unwrap_or_default())
        .or_else(|| by_status(status?, reply.code))
        .or_else(|| by_code(reply.code, status))
        .unwrap_or(Cause::Undecided);
    // What a server would have taken later says nothing for good of anybody, however often it was said.
    let passes = (400..500).contains(&reply.code) || status.is_some_and(|(class, ..)| class == 4);
    if passes && cause.weight() == Weight::Hard { Cause::Unavailable } else { cause }
}

/// By what is said in words. A refusal of us (X.7.x) is taken for one of the reader only where it says that there is no such
/// mailbox, as Yandex does: of accounts, services and networks that are closed it speaks too, and means ours.
fn by_words(said: &Words, (_, subject, detail): Status) -> Option<Cause> {
    // The sender's address is meant (RFC 3463 section 3.2): the mailbox or domain that is said to be none is ours.
    if subject == 1 && matches!(detail, 7 | 8) {
        return Some(Cause::Policy);
    }
    let accused = said.say(lists::ACCUSED);
    if said.say(lists::FULL) && !accused {
        return Some(Cause::Full);
    }
    if accused || said.say(lists::SENDER) || said.say(lists::TOO_FAST) {
        return Some(Cause::Policy);
    }
    let about_us = subject == 7;
    let of_others = [
        // Of a name that could not be resolved at the moment nothing is known.
        (said.say(lists::LATER), Cause::Unavailable),
        (said.say(lists::NO_DOMAIN), Cause::NoDomain),
    ];
    let found = |causes: &[(bool, Cause)]| causes.iter().find(|(said, _)| *said).map(|(_, cause)| *cause);
    let closed = said.say(lists::CLOSED) && said.say(lists::SOMEBODY);
    found(&of_others)
        .filter(|_| !about_us)
        .or_else(|| said.say(lists::NO_MAILBOX).then_some(Cause::NoMailbox))
        .or_else(|| (closed && !about_us).then_some(Cause::Closed))
        .or_else(|| found(&[(said.say(lists::LOOP), Cause::Loop), (said.say(lists::TOO_LARGE), Cause::TooLarge)]))
}

/// Class, subject and detail of a status; 0 for what is none.
type Status = (u16, u16, u16);

fn parts(status: &str) -> Status {
    let mut parts = status.split('.');
    let mut part = || parts.next().and_then(|part| part.parse::<u16>().ok()).unwrap_or_default();
    (part(), part(), part())
}

/// RFC 3463, and what large systems have added to it.
fn by_status(status: Status, code: u16) -> Option<Cause> {
    Some(match status {
        // "No mail is accepted for this domain" (RFC 7505) and Exchange's "recipient not found" share 5.1.10.
        (5, 1, 1 | 3 | 10) => Cause::NoMailbox,
        // 5.4.4 is "unable to route"; 5.4.310 Exchange's "domain does not exist".
        (5, 1, 2) | (5, 4, 4 | 310) => Cause::NoDomain,
        // A host that takes nothing (521, RFC 7504) takes nothing from us: AOL says so with 5.2.1.
        (5, 2, 1) if code == 521 => Cause::Policy,
        (5, 1, 6) | (5, 2, 1) => Cause::Closed,
        (_, 2, 2) => Cause::Full,
        (_, 2, 3) | (_, 3, 4) => Cause::TooLarge,
        (_, 4, 6) => Cause::Loop,
        // Exchange's 5.2.121 and 5.2.122: so much an hour to one mailbox.
        (_, 2, 121 | 122) | (_, 6 | 7, _) => Cause::Policy,
        (_, 3, 1 | 2) | (_, 4, 1..=3 | 5 | 7) | (5, 4, 300..=399) | (4, _, _) => Cause::Unavailable,
        _ => return None,
    })
}

/// RFC 5321 section 4.2.3; for servers that say nothing else. 550 and 554 are used for everything.
fn by_code(code: u16, status: Option<Status>) -> Option<Cause> {
    match code {
        556 => Some(Cause::NoDomain),
        552 if status.is_none() => Some(Cause::Full),
        400..500 => Some(Cause::Unavailable),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(line: &str, wanted: Cause) {
        assert_eq!(cause(&Reply::read(line)), wanted, "{line}");
    }

    #[test]
    fn the_status_decides_where_nothing_else_is_said() {
        for (status, wanted) in [
            ("5.1.1", Cause::NoMailbox),
            ("5.1.2", Cause::NoDomain),
            ("5.1.3", Cause::NoMailbox),
            ("5.1.6", Cause::Closed),
            ("5.1.8", Cause::Policy),
            ("5.1.10", Cause::NoMailbox),
            ("5.2.1", Cause::Closed),
            ("5.2.2", Cause::Full),
            ("5.2.3", Cause::TooLarge),
            ("5.3.2", Cause::Unavailable),
            ("5.3.4", Cause::TooLarge),
            ("5.4.1", Cause::Unavailable),
            ("5.4.4", Cause::NoDomain),
            ("5.4.6", Cause::Loop),
            ("5.4.7", Cause::Unavailable),
            ("5.4.310", Cause::NoDomain),
            ("5.4.316", Cause::Unavailable),
            ("5.6.0", Cause::Policy),
            ("5.7.1", Cause::Policy),
            ("5.7.515", Cause::Policy),
            ("5.0.0", Cause::Undecided),
            ("5.1.0", Cause::Undecided),
            ("5.2.0", Cause::Undecided),
            ("5.5.0", Cause::Undecided),
        ] {
            says(&format!("550 {status} no."), wanted);
        }
        says("450 4.2.2 no", Cause::Full);
        says("450 4.1.2 no", Cause::Unavailable);
        says("450 4.4.1 no", Cause::Unavailable);
    }

    #[test]
    fn the_code_decides_where_not_even_a_status_is_said() {
        for (line, wanted) in [
            ("550 no", Cause::Undecided),
            ("554 Transaction failed", Cause::Undecided),
            ("552 no", Cause::Full),
            ("552 5.5.2 no", Cause::Undecided),
            ("556 no", Cause::NoDomain),
            ("521 no", Cause::Undecided),
            ("451 no", Cause::Unavailable),
            ("", Cause::Undecided),
        ] {
            says(line, wanted);
        }
    }

    #[test]
    fn words_go_before_a_status_that_is_used_wrongly() {
        says("550 5.1.1 <a@b.example> mailbox full", Cause::Full);
        says("550 5.7.1 No such user here", Cause::NoMailbox);
        says("550 5.2.1 The user is receiving mail at a rate that prevents delivery", Cause::Policy);
        says("550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", Cause::NoMailbox);
        says("550 5.1.1 Message blocked: unknown user or spam", Cause::Policy);
        says("550 5.1.8 Sender address rejected: Domain not found", Cause::Policy);
        says("550 5.1.0 Sender rejected: no such user", Cause::Policy);
        says("550 5.1.2 Recipient address rejected: Domain not found", Cause::NoDomain);
        says("554 5.2.1 account temporarily disabled", Cause::Unavailable);
        says("554 5.2.1 account disabled", Cause::Closed);
    }

    #[test]
    fn what_passes_is_never_hard() {
        says("450 4.1.2 Recipient address rejected: Domain not found", Cause::Unavailable);
        says("450 Requested mail action not taken: mailbox unavailable", Cause::Unavailable);
        says("450 4.1.1 <a@b.example>: User unknown in local recipient table", Cause::Unavailable);
        says("452 4.2.0 Mailbox locked", Cause::Unavailable);
        let resolver = "Host or domain name not found. Name service error for name=b.example type=MX: Host not found";
        let reply = |status: Option<&str>, text: String| Reply { code: 0, status: status.map(str::to_owned), text };
        assert_eq!(cause(&reply(Some("4.4.3"), format!("{resolver}, try again"))), Cause::Unavailable);
        assert_eq!(cause(&reply(Some("4.1.1"), "User unknown".to_owned())), Cause::Unavailable);
        assert_eq!(cause(&reply(None, format!("{resolver}, try again"))), Cause::Unavailable);
        assert_eq!(cause(&reply(Some("5.4.4"), resolver.to_owned())), Cause::NoDomain);
    }

    #[test]
    fn who_refuses_us_says_nothing_of_the_reader() {
        for line in [
            "550 Outgoing mail from \"small-paper.example\" has been suspended.",
            "521 5.2.1 :  AOL will not accept delivery of this message.",
            "521 5.2.1 (CON:B1)",
            "550 We do not accept mail from dynamic IPs",
            "554 This host does not accept mail from your server",
            "550 5.7.1 Your sending account has been suspended",
            "550 5.7.1 The account has been suspended for this network",
            "554 Mail is no longer accepted from this network",
            "550 5.7.10 TLS has been disabled",
            "550 IP 198.51.100.5 not listed in DNS",
            "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP",
            "550 5.7.705 Service unavailable. Access denied, tenant has exceeded threshold",
            "550 5.7.1 unknown host",
            "550 jo@b.example is not accepting mail from this sender",
            "550 5.1.7 <news@paper.example>: no such user here",
            "553 5.1.8 <news@paper.example>: Domain not found",
            "550 5.1.8 <news@paper.example>: user unknown, mailbox full",
        ] {
            says(line, Cause::Policy);
        }
        says("454 TLS has been disabled", Cause::Unavailable);
        says("550 TLS has been disabled", Cause::Undecided);
        says("550 5.7.1 No such user!", Cause::NoMailbox);
        says("556 5.1.10 Domain does not accept mail (nullMX)", Cause::NoDomain);
    }

    #[test]
    fn names_say_nothing() {
        for (line, wanted) in [
            ("550 5.1.1 <jo@physicsinstitute.example>: User unknown", Cause::NoMailbox),
            ("550 5.1.1 <jo@michelob.example>: User unknown", Cause::NoMailbox),
            ("550 5.1.1 <complaint@score.example>: User unknown", Cause::NoMailbox),
            ("550 5.1.1 host mx.antispam.example said: no such user", Cause::NoMailbox),
            ("554 host mx.frozenfoods.example[192.0.2.7] said: no", Cause::Undecided),
            ("550 <account@mx.unlocked.example> cannot be reached", Cause::Undecided),
            ("550 account unlocked", Cause::Undecided),
        ] {
            says(line, wanted);
        }
    }

    #[test]
    fn what_is_about_us_never_counts_and_only_a_dead_address_is_hard() {
        use Cause::{Closed, Full, Loop, NoDomain, NoMailbox, Policy, TooLarge, Unavailable, Undecided};
        let all = [NoMailbox, NoDomain, Closed, Full, TooLarge, Unavailable, Loop, Policy, Undecided];
        let of = |weight| all.into_iter().filter(|c| c.weight() == weight).collect::<Vec<_>>();
        assert_eq!(of(Weight::Hard), [NoMailbox, NoDomain, Closed]);
        assert_eq!(of(Weight::Soft), [Full, TooLarge, Unavailable, Loop, Policy]);
        assert_eq!(all.into_iter().filter(|c| !c.counts()).collect::<Vec<_>>(), [Policy]);
    }
}
