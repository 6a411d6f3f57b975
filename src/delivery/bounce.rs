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
//! Words go before the status, for servers use a status wrongly more often than they say something wrong: *5.1.1* with
//! "mailbox full", *5.7.1* with "user unknown", *5.2.1* with "at a rate that" (Gmail), *5.4.1* with "recipient address
//! rejected" (Microsoft 365 calls so whom it does not know).

use serde::{Deserialize, Serialize};

use super::Reply;
use super::returns::News;
use crate::mail::returned::{Action, Outcome};

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
    let text = reply.text.to_lowercase();
    let said = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let accused = said(ACCUSED);
    if said(FULL) && !accused {
        return Cause::Full;
    }
    if said(SENDER) || said(TOO_FAST) {
        return Cause::Policy;
    }
    if !accused {
        if said(NO_DOMAIN) {
            return Cause::NoDomain;
        }
        // Of a name that could not be resolved at the moment nothing is known.
        if said(LATER) {
            return Cause::Unavailable;
        }
        if said(NO_MAILBOX) {
            return Cause::NoMailbox;
        }
        if said(CLOSED) {
            return Cause::Closed;
        }
    }
    if accused {
        return Cause::Policy;
    }
    if said(LOOP) {
        return Cause::Loop;
    }
    if said(TOO_LARGE) {
        return Cause::TooLarge;
    }
    let by_status = reply.status.as_deref().map_or(Cause::Undecided, by_status);
    match by_status {
        Cause::Undecided => by_code(reply.code, reply.status.as_deref().unwrap_or_default()),
        known => known,
    }
}

/// RFC 3463, and what large systems have added to it.
fn by_status(status: &str) -> Cause {
    let mut parts = status.split('.');
    let mut part = || parts.next().and_then(|part| part.parse::<u16>().ok()).unwrap_or_default();
    let (class, subject, detail) = (part(), part(), part());
    match (class, subject, detail) {
        // "No mail is accepted for this domain" (RFC 7505) and Exchange's "recipient not found" share 5.1.10.
        (5, 1, 1 | 3 | 10) => Cause::NoMailbox,
        // 5.4.4 is "unable to route"; 5.4.310 Exchange's "domain does not exist".
        (5, 1, 2) | (5, 4, 4 | 310) => Cause::NoDomain,
        (5, 1, 6) | (5, 2, 1) => Cause::Closed,
        (_, 2, 2) => Cause::Full,
        (_, 2, 3) | (_, 3, 4) => Cause::TooLarge,
        (_, 4, 6) => Cause::Loop,
        (_, 1, 7 | 8) | (_, 6 | 7, _) => Cause::Policy,
        (_, 3, 1 | 2) | (_, 4, 1..=3 | 5 | 7) | (5, 4, 300..=399) | (4, _, _) => Cause::Unavailable,
        _ => Cause::Undecided,
    }
}

/// RFC 5321 section 4.2.3; for servers that say nothing else. 550 and 554 are used for everything.
fn by_code(code: u16, status: &str) -> Cause {
    match code {
        521 | 556 => Cause::NoDomain,
        552 if status.is_empty() => Cause::Full,
        400..500 => Cause::Unavailable,
        _ => Cause::Undecided,
    }
}

/// The mailbox is full. Before the others: some say it with "user" and "unknown".
const FULL: &[&str] = &[
    "mailbox full",
    "mailbox is full",
    "mailbox for user is full",
    "inbox is full",
    "inbox is out of storage",
    "out of storage space",
    "over quota",
    "overquota",
    "over the quota",
    "quota exceeded",
    "quota exceded",
    "exceeded quota",
    "exceeds quota",
    "quotaexceeded",
    "mailbox quota",
    "disk quota",
    "storage quota",
    "mailfolder is full",
    "folder is full",
    "user is over",
    "mailbox size limit",
    "mailbox exceeds",
    "mailbox has exceeded",
    "exceeded storage",
    "storage allocation exceeded",
    "insufficient disk space",
    "not enough storage space",
    "maildir over",
    "maildir delivery failed: the user's maildir",
    "boîte pleine",
    "boite pleine",
    "postfach voll",
    "postfach ist voll",
    "postfach des empfängers ist voll",
    "buzón lleno",
    "casella piena",
    "mailbox vol",
    "ящик переполнен",
    "邮箱空间不足",
    "收件人邮箱已满",
];

/// It is about who sends: never about the reader, whatever else is said to be unknown or to be missing.
const SENDER: &[&str] = &[
    "sender address rejected",
    "sender rejected",
    "sender domain",
    "sender verify",
    "sender verification",
    "sender denied",
    "sender is not",
    "sender not",
    "sending domain",
    "sender address domain",
    "domain of sender",
    "from domain",
    "mail from domain",
    "reverse dns",
    "rdns",
    "ptr record",
    "helo",
    "envelope from",
];

/// A rate, not a person.
const TOO_FAST: &[&str] = &[
    "at a rate that",
    "receiving mail too quickly",
    "too many messages",
    "rate limit",
    "ratelimit",
    "throttl",
    "too many connections",
    "too many recipients",
    "sending limit",
    "greylist",
    "graylist",
    "unusual rate",
    "grey-list",
];

/// Spam, reputation, authentication, content.
const ACCUSED: &[&str] = &[
    "spam",
    "junk",
    "unsolicited",
    "blacklist",
    "black list",
    "blocklist",
    "block list",
    "blocked",
    "blocking",
    "banned",
    "dnsbl",
    " rbl",
    "spamhaus",
    "spamcop",
    "barracudacentral",
    "sorbs",
    "reputation",
    "dmarc",
    "spf",
    "dkim",
    "unauthenticated",
    "authentication required",
    "authentication checks",
    "not authenticated",
    "senderbase",
    "policy reasons",
    "policy violation",
    "local policy",
    "security polic",
    "message policy",
    "due to policy",
    "organizational policy",
    "content rejected",
    "message content",
    "prohibited",
    "virus",
    "malware",
    "phish",
    "suspicious",
    "relay access denied",
    "relaying denied",
    "relay not permitted",
    "not permitted to relay",
    "unable to relay",
    "does not like recipient",
    "rejected by policy",
    "not rfc",
    "rfc 5322",
    "rfc5322",
    "restricted to authenticated",
    "rst.notauthorized",
    "rst.authrequired",
    "not authorized to send",
    "only accept messages from",
    "delivery not authorized",
    "message refused by",
    "bulk mail",
    "bad url",
    "score",
    "feedback loop",
    "complaint",
    "(s3150)",
    "(s3140)",
    "csi",
    "cloudmark",
];

/// There is no such domain, or it takes no mail.
const NO_DOMAIN: &[&str] = &[
    "domain not found",
    "domain name not found",
    "domain does not exist",
    "domain doesn't exist",
    "no such domain",
    "unknown domain",
    "unrouteable mail domain",
    "unrouteable address",
    "nonexistentdomain",
    "non-existent domain",
    "non-existent host",
    "nxdomain",
    "unknown host",
    "host unknown",
    "host not found",
    "no such host",
    "couldn't find any host",
    "could not find any host",
    "couldn't find a mail exchanger",
    "no mx for",
    "no mx record",
    "no mail server",
    "null mx",
    "nullmx",
    "does not accept mail",
    "do not accept mail",
    "name service error for name",
    "no dns data",
    "name or service not known",
    "address domain reserved",
    "bad destination host",
    "cannot resolve address for domain",
    "域名不存在",
];

/// It passed, or would have.
const LATER: &[&str] = &[
    "temporarily disabled",
    "temporarily unavailable",
    "temporarily suspended",
    "temporarily inactive",
    "temporary failure",
    "temporary lookup",
    "temporary local problem",
    "retry timeout exceeded",
    "retry time not reached",
    "timed out",
    "timeout",
    "time-out",
    "connection refused",
    "connection reset",
    "connection dropped",
    "lost connection",
    "could not be contacted",
    "couldn't be contacted",
    "no route to host",
    "network is unreachable",
    "network unreachable",
    "delivery time expired",
    "message expired",
    "too long in the queue",
    "in the queue too long",
    "expired in queue",
    "has been in the queue",
    "could not be delivered for",
    "wasn't able to establish an smtp connection",
    "did not respond",
    "server unavailable",
    "service unavailable",
    "not responding",
    "try again",
];

/// Nobody has this address.
const NO_MAILBOX: &[&str] = &[
    "user unknown",
    "unknown user",
    "user is unknown",
    "unknown recipient",
    "recipient unknown",
    "unknown address",
    "address unknown",
    "unknown local part",
    "unknown local-part",
    "unknown mailbox",
    "mailbox unknown",
    "unknown account",
    "unknown or illegal alias",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no such account",
    "no such address",
    "no such person",
    "no such local user",
    "no such email",
    "no mailbox here",
    "no mailbox by that name",
    "no mailbox found",
    "no account by that name",
    "no user with that name",
    "isn't a valid mailbox",
    "not a valid mailbox",
    "not a valid user",
    "not a valid recipient",
    "not a known user",
    "not our customer",
    "not listed in",
    "not in directory",
    "not found in",
    "user not found",
    "user not exist",
    "user doesn't have",
    "user does not exist",
    "user doesn't exist",
    "mailbox does not exist",
    "mailbox not found",
    "mailbox unavailable",
    "mailbox is unavailable",
    "mailbox invalid",
    "invalid mailbox",
    "invalid recipient",
    "invalid user",
    "invalid address",
    "bad destination mailbox address",
    "account does not exist",
    "account doesn't exist",
    "account that you tried to reach does not exist",
    "recipient not found",
    "recipientnotfound",
    "recipnotfound",
    "adr.recipientnotfound",
    "adr.exrecipnotfound",
    "recipient address rejected: access denied",
    "recipient address rejected: undeliverable",
    "recipient does not exist",
    "recipient no found",
    "recipient rejected",
    "recipients rejected",
    "address does not exist",
    "address doesn't exist",
    "address not found",
    "address couldn't be found",
    "address could not be found",
    "wasn't found at",
    "couldn't be found",
    "non-existent",
    "does not exist here",
    "addressee unknown",
    "unknown addressee",
    "undeliverable address",
    "dd this user",
    "there is no one at this address",
    "person was not found",
    "adresse d'au moins un destinataire invalide",
    "destinataire inconnu",
    "utilisateur inconnu",
    "empfänger unbekannt",
    "benutzer unbekannt",
    "unbekannter empfänger",
    "usuario desconocido",
    "no existe",
    "utente sconosciuto",
    "gebruiker onbekend",
    "пользователь не найден",
    "пользователя не существует",
    "недопустимый ящик",
    "收件人不存在",
    "用户不存在",
    "あて先が見つかりません",
];

/// Somebody had this address.
const CLOSED: &[&str] = &[
    "disabled",
    "inactive",
    "deactivated",
    "suspended",
    "account closed",
    "account is closed",
    "account has been closed",
    "mailbox closed",
    "no longer",
    "has moved",
    "was terminated",
    "terminated account",
    "account expired",
    "account has expired",
    "discontinued",
    "retired",
    "frozen",
    "not active",
    "locked",
    "n'est plus",
    "nicht mehr",
    "ya no",
    "заблокирован",
    "邮箱已停用",
];

const LOOP: &[&str] = &[
    "too many hops",
    "hop count",
    "loops back to myself",
    "mail loop",
    "routing loop",
    "loop detected",
    "mail forwarding loop",
];

const TOO_LARGE: &[&str] = &[
    "message too large",
    "message is too large",
    "message is too big",
    "too large for this",
    "message size exceeds",
    "size limit",
    "exceeds size",
    "exceeded maximum message size",
    "exceeds maximum message size",
    "larger than",
];

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
        says("450 4.1.2 Recipient address rejected: Domain not found", Cause::NoDomain);
        says("554 5.2.1 account temporarily disabled", Cause::Unavailable);
        says("554 5.2.1 account disabled", Cause::Closed);
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
