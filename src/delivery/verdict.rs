//! It went wrong: now what? All of it, in one pure function, to be read in one sitting.
//!
//! The rules, in the order of RFC 5321 and of what large providers do with it:
//!
//! - 250 after the final dot is *accepted*, and so are its like; not what a server says of itself or of the line (21x, 22x).
//! - The line broke after the final dot could have been seen: *uncertain*, never a guess.
//! - 5xx ends (section 4.2.1), 4xx waits, until it is too late.
//! - What is said before `RCPT` is not about the reader: it costs her no try, and a refusal there stops everything, or a
//!   wrong sender address would end every delivery of an edition. A "later" there goes again, and the press gives the relay up
//!   when it hears nothing else.
//! - A line that breaks before the dot is forgiven twice: Yahoo closes after some mails without a word.
//! - "Too fast" is about a domain, and leaves that domain alone for a while; or about us, and then everything goes slower.
//! - An account that may send no more today is nobody's refusal: everything stops.

use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

use super::bounce::{self, Cause};
use super::retry::Policy;
use super::{Fate, Outcome, Reply, Step};

/// Lines that broke, or said 421, before the dot: so many tries of one delivery go again at once.
pub const FORGIVEN: u32 = 2;
/// How long a domain that says "too fast" is left alone (Gmail asks for at least ten minutes).
pub const LEAVE_ALONE: Duration = Duration::from_mins(10);

/// A mail that came too fast for the relay, and not for its reader, waits no longer.
pub const A_MOMENT: Duration = Duration::from_mins(1);

/// What else follows from an attempt, beside the delivery's own outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Go on.
    GoOn,
    /// This connection has come to its end; open another.
    NewLine,
    /// The recipient's domain wants to be left alone for so long.
    PauseDomain(Duration),
    /// The relay takes no more from us at this speed, whoever it is for.
    SlowDown,
    /// We were refused (our address, our network, our content), not the reader: count it, and pause where it becomes many.
    Accused,
    /// No mail can pass until a person has changed something: stop.
    Stop,
}

/// What becomes of a delivery whose attempt ended with `fate`.
///
/// `tries` were counted before this one, the first of them at `first_try`. `jitter` is a number from 0 to 1, by chance.
pub fn verdict(
    fate: &Fate,
    tries: u32,
    first_try: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    policy: &Policy,
    jitter: f64,
) -> (Outcome, Advice) {
    let later = |wait: Duration| {
        let last = first_try.unwrap_or(now) + delta(policy.give_up_after);
        if now >= last { Outcome::Expired } else { Outcome::Deferred((now + delta(wait)).min(last)) }
    };
    let backoff = || later(policy.backoff(tries + 1, jitter));
    let at_once = || if tries < FORGIVEN { later(Duration::ZERO) } else { backoff() };

    match fate {
        Fate::Broke(Step::Greeting | Step::Mail, _) => (Outcome::Untried, Advice::NewLine),
        Fate::Broke(Step::Rcpt | Step::Data, _) => (at_once(), Advice::NewLine),
        Fate::Broke(Step::Dot, _) => (Outcome::Uncertain, Advice::NewLine),
        Fate::Replied(step, reply) => match (*step, reply.code) {
            (Step::Dot, _) if fate.is_acceptance() => (Outcome::Accepted, Advice::GoOn),
            (Step::Greeting | Step::Mail, 500..600) if !about_the_session(reply) => (Outcome::Untried, Advice::Stop),
            (_, 530 | 534 | 535 | 538) => (Outcome::Untried, Advice::Stop),
            (_, 400..600) if may_send_no_more(reply) => (Outcome::Untried, Advice::Stop),
            (Step::Greeting | Step::Mail, 421) if line_is_full(reply) => (Outcome::Untried, Advice::NewLine),
            (_, 421) if line_is_full(reply) => (at_once(), Advice::NewLine),
            (Step::Greeting | Step::Mail, 400..500) if too_fast_for_all(reply) => (Outcome::Untried, Advice::SlowDown),
            (_, 400..500) if too_fast_for_all(reply) => (later(A_MOMENT), Advice::SlowDown),
            (_, 400..500) if too_fast(reply) => {
                (later(policy.backoff(tries + 1, jitter).max(LEAVE_ALONE)), Advice::PauseDomain(LEAVE_ALONE))
            }
            (Step::Greeting | Step::Mail, 421) => (Outcome::Untried, Advice::NewLine),
            (_, 421) => (at_once(), Advice::NewLine),
            (Step::Greeting | Step::Mail, 400..500) => (Outcome::Untried, Advice::GoOn),
            (_, 400..500) => (backoff(), Advice::GoOn),
            (_, 500..600) if about_the_session(reply) => (at_once(), Advice::NewLine),
            (_, 500..600) if about_us(reply) => (Outcome::Rejected, Advice::Accused),
            (_, 500..600) => (Outcome::Rejected, Advice::GoOn),
            // A number that has no meaning here: after the dot nobody knows, before it nothing has gone.
            (Step::Dot, _) => (Outcome::Uncertain, Advice::NewLine),
            _ => (at_once(), Advice::NewLine),
        },
    }
}

/// This connection has carried what one may: Exim's limit for each, Amazon SES. The next one carries on.
fn line_is_full(reply: &Reply) -> bool {
    says(reply, &["in this connection", "in this session", "on this connection", "per connection"])
}

/// Why a delivery was refused for good, from what the relay said; `None` where it says nothing of the reader, for it blames
/// us ([`Advice::Accused`]) or the session.
pub fn refusal(reply: &Reply) -> Option<Cause> {
    if about_us(reply) || about_the_session(reply) {
        return None;
    }
    Some(bounce::cause(reply)).filter(|cause| cause.counts())
}

/// The relay, or our account on it, counts what we send to anybody: Postfix's anvil, Amazon SES, Exchange's submission.
fn too_fast_for_all(reply: &Reply) -> bool {
    says(
        reply,
        &[
            "maximum sending rate exceeded",
            "sending rate exceeded",
            "too many connections from",
            "too much mail from",
            "concurrent connections limit",
        ],
    )
}

/// Our account has sent what it may, for today or until somebody looks after it.
fn may_send_no_more(reply: &Reply) -> bool {
    says(
        reply,
        &[
            "daily user sending",
            "daily smtp relay",
            "daily message quota exceeded",
            "submissionquotaexceeded",
            "sending paused for this account",
            "tenant has exceeded threshold",
            "sender's submission quota",
            "you have reached your mail limit",
        ],
    )
}

/// Rate and reputation limits that pass by themselves: Gmail 4.7.28 and 4.2.1 with "rate", Microsoft 4.7.5xx and 4.7.650,
/// Yahoo `[TSS..]`, and the words that others use.
fn too_fast(reply: &Reply) -> bool {
    let status = reply.status.as_deref().unwrap_or("");
    status == "4.7.28"
        || status == "4.7.650"
        || status.strip_prefix("4.7.5").is_some_and(|rest| rest.len() == 2)
        || says(
            reply,
            &[
                "[tss",
                "[ts0",
                "rate limit",
                "ratelimit",
                "rate-limit",
                "too fast",
                "too many messages",
                "unusual rate",
                "unusually high rate",
                "throttl",
                "a rate that",
                "deferred due to user complaints",
                "too many connections",
                "too many concurrent",
                "too many simultaneous",
                "too many sessions",
                "received this hour",
                "excessive volume",
                "server busy",
                "exceeded the maximum number of connections",
            ],
        )
}

/// One of these stands in the text, in capitals or not.
fn says(reply: &Reply, words: &[&str]) -> bool {
    let text = reply.text.to_lowercase();
    words.iter().any(|words| text.contains(words))
}

/// Refusals that say nothing of the mailbox: policy (X.7.x, RFC 3463 section 3.8), our address (X.1.7, X.1.8), our message.
fn about_us(reply: &Reply) -> bool {
    let status = reply.status.as_deref().unwrap_or("");
    status.starts_with("5.7.")
        || ["5.1.7", "5.1.8", "5.3.4", "5.6.0", "5.6.1"].contains(&status)
        || says(
            reply,
            &[
                "spam",
                "blocked",
                "blacklist",
                "block list",
                "blocklist",
                "listed at",
                "poor reputation",
                "policy restrictions",
                "policy reasons",
                "sender address rejected",
                "sender verify",
                "not permitted to relay",
                "relay access denied",
                "relaying denied",
                "relay not permitted",
                "spf",
                "dkim",
                "dmarc",
            ],
        )
}

/// The conversation went wrong (RFC 5321 section 4.3.2: 503 bad sequence), or the host does not serve us (521, 556).
fn about_the_session(reply: &Reply) -> bool {
    reply.code == 503 || reply.status.as_deref() == Some("5.5.1") && reply.code != 550
}

fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
