//! How a sender stands in the eyes of those who receive: what the DNS says of its domains, and what a mail of it carries.
//!
//! Pure: a judgement that lacks a record answers with the [`Question`] whose answer it needs; whoever can ask, asks,
//! and judges again.

// DMARC (RFC 9989): policy, organisational domain, alignment.
mod dmarc;
// DNS addresses: who takes mail, and which name an address has.
mod hosts;
// Published DKIM keys (RFC 6376).
mod key;
// A finished mail.
mod message;
// SPF (RFC 7208).
mod spf;

pub use message::{CLIP, message};

use core::net::IpAddr;
use serde::Serialize;
use std::collections::HashMap;

use super::dkim::{DnsRecord, KeyName};
use crate::subscriber::Address;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Nothing that must be mended, or something that cannot be known from here.
    Note,
    /// Mails will be refused, lost or taken for spam because of it.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it stands.
    pub verdict: Verdict,
    /// What it is about, in a word: `SPF`.
    pub about: &'static str,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub to_do: Option<String>,
}

impl Finding {
    /// A tick.
    pub fn fine(about: &'static str, what: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fine, about, what: what.into(), to_do: None }
    }

    /// Something to know.
    pub fn note(about: &'static str, what: impl Into<String>, to_do: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Note, about, what: what.into(), to_do: Some(to_do.into()) }
    }

    /// A cross.
    pub fn wrong(about: &'static str, what: impl Into<String>, to_do: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Wrong, about, what: what.into(), to_do: Some(to_do.into()) }
    }
}

/// What is asked of the DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Texts, each with its strings put together.
    Txt,
    /// Addresses of both families.
    Address,
    /// Hosts that take mail, the preferred first; `.` for none.
    Mx,
    /// The names of an address, which stands in `in-addr.arpa` or `ip6.arpa`.
    Ptr,
}

/// One question to the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// In small letters, without a final dot.
    pub name: String,
    /// Which records.
    pub kind: Kind,
}

/// What the DNS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These records, as text.
    Found(Vec<String>),
    /// There is no such name, or it has no such records.
    Nothing,
    /// No answer, and why.
    Failed(String),
}

/// The answers so far.
#[derive(Debug, Default)]
pub struct Known(HashMap<Question, Answer>);

impl Known {
    /// Takes an answer up.
    pub fn learn(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// The first reason why a question has no answer, and how many have none.
    pub fn failed(&self) -> Option<(&str, usize)> {
        let mut failed = self.0.values().filter_map(|answer| match answer {
            Answer::Failed(because) => Some(because.as_str()),
            _ => None,
        });
        let first = failed.next()?;
        Some((first, failed.count() + 1))
    }

    fn ask(&self, kind: Kind, name: &str) -> Result<&Answer, Question> {
        let question = Question { name: name.trim_end_matches('.').to_ascii_lowercase(), kind };
        self.0.get(&question).ok_or(question)
    }

    /// The records; `Err(Missing)` if they cannot be had now.
    fn records(&self, kind: Kind, name: &str) -> Result<&[String], Missing> {
        match self.ask(kind, name)? {
            Answer::Found(records) => Ok(records),
            Answer::Nothing => Ok(&[]),
            Answer::Failed(because) => Err(Missing::Failed(because.clone())),
        }
    }
}

/// Why a judgement cannot be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    /// This has to be asked first.
    Ask(Question),
    /// It was asked, and there was no answer.
    Failed(String),
}

impl From<Question> for Missing {
    fn from(question: Question) -> Missing {
        Missing::Ask(question)
    }
}

/// What of a sender is looked at.
#[derive(Debug)]
pub struct Sender<'a> {
    /// Who the mails are from.
    pub from: &'a Address,
    /// Where bounces go (`MAIL FROM`).
    pub return_path: &'a Address,
    /// Another mailbox that must take mail: that of requests to unsubscribe.
    pub mailbox: &'a Address,
    /// The addresses that mails reach the world from, as an operator says; may be empty.
    pub addresses: &'a [IpAddr],
    /// The relays' hosts. Where nobody says better, mails are taken to leave from them.
    pub relays: &'a [&'a str],
    /// The keys that mails are signed with, and the records that should stand in the DNS.
    pub keys: &'a [(KeyName, DnsRecord)],
}

/// What the DNS says of a sender.
///
/// # Errors
/// A question whose answer is needed first.
pub fn dns(sender: &Sender<'_>, known: &Known) -> Result<Vec<Finding>, Question> {
    let mut findings = Vec::new();
    let mut take = |about: &'static str, found: Result<Vec<Finding>, Missing>| match found {
        Ok(found) => {
            findings.extend(found);
            Ok(())
        }
        Err(Missing::Ask(question)) => Err(question),
        Err(Missing::Failed(because)) => {
            findings.push(Finding::note(about, format!("not known: {because}"), "ask again when the DNS answers"));
            Ok(())
        }
    };
    let way_out = match hosts::way_out(sender, known) {
        Ok(way_out) => way_out,
        Err(Missing::Ask(question)) => return Err(question),
        Err(Missing::Failed(_)) => hosts::WayOut::default(),
    };
    take("SPF", spf::findings(sender, &way_out, known))?;
    take("DKIM", key::findings(sender, known))?;
    take("DMARC", dmarc::findings(sender, known))?;
    take("PTR", hosts::reverse(&way_out, known))?;
    take("MX", hosts::mailboxes(sender, known))?;
    Ok(findings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A DNS that holds these records and nothing else.
    pub(super) fn zone(records: &[(&str, Kind, &[&str])]) -> impl Fn(&Question) -> Answer {
        let records: HashMap<Question, Vec<String>> = records
            .iter()
            .map(|(name, kind, values)| {
                let question = Question { name: (*name).to_owned(), kind: *kind };
                (question, values.iter().map(|v| (*v).to_owned()).collect())
            })
            .collect();
        move |question| records.get(question).map_or(Answer::Nothing, |found| Answer::Found(found.clone()))
    }

    /// Asks until there is nothing more to ask.
    pub(super) fn settle<T>(dns: impl Fn(&Question) -> Answer, judge: impl Fn(&Known) -> Result<T, Question>) -> T {
        let mut known = Known::default();
        for _ in 0..200 {
            match judge(&known) {
                Ok(judged) => return judged,
                Err(question) => {
                    assert!(!known.0.contains_key(&question), "asked twice: {question:?}");
                    let answer = dns(&question);
                    known.learn(question, answer);
                }
            }
        }
        panic!("it goes on asking")
    }

    pub(super) fn missing<T>(found: Result<T, Missing>) -> Result<T, Question> {
        found.map_err(|missing| match missing {
            Missing::Ask(question) => question,
            Missing::Failed(because) => panic!("{because}"),
        })
    }

    const P: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn findings(records: &[(&str, Kind, &[&str])]) -> Vec<Finding> {
        let (from, bounces) = ("news@paper.example".parse().unwrap(), "bounces@paper.example".parse().unwrap());
        let key = KeyName::new("paper.example", "s1").unwrap();
        let record = DnsRecord { name: key.to_string(), value: P.to_owned(), zone_file: String::new() };
        let sender = Sender {
            from: &from,
            return_path: &bounces,
            mailbox: &bounces,
            addresses: &["192.0.2.25".parse().unwrap()],
            relays: &["mail.paper.example"],
            keys: &[(key, record)],
        };
        settle(zone(records), |known| dns(&sender, known))
    }

    #[test]
    fn a_sender_in_order_has_only_ticks_and_an_unknown_one_only_crosses() {
        let good = findings(&[
            ("paper.example", Kind::Txt, &["v=spf1 ip4:192.0.2.0/24 -all"]),
            ("s1._domainkey.paper.example", Kind::Txt, &[P]),
            ("_dmarc.paper.example", Kind::Txt, &["v=DMARC1; p=reject; rua=mailto:dmarc@paper.example"]),
            ("25.2.0.192.in-addr.arpa", Kind::Ptr, &["mail.paper.example"]),
            ("mail.paper.example", Kind::Address, &["192.0.2.25"]),
            ("paper.example", Kind::Mx, &["mx.paper.example"]),
            ("mx.paper.example", Kind::Address, &["2001:db8::26"]),
        ]);
        assert!(good.iter().all(|f| f.verdict == Verdict::Fine), "{good:#?}");
        let about: Vec<&str> = good.iter().map(|f| f.about).collect();
        assert_eq!(about, ["SPF", "SPF", "DKIM", "DMARC", "alignment", "PTR", "MX"]);
        let bad = findings(&[]);
        let wrong: Vec<&str> = bad.iter().filter(|f| f.verdict == Verdict::Wrong).map(|f| f.about).collect();
        assert_eq!(wrong, ["SPF", "DKIM", "DMARC", "PTR", "MX"], "{bad:#?}");
        assert!(bad.iter().all(|f| f.verdict == Verdict::Fine || f.to_do.is_some()));
    }

    #[test]
    fn what_the_dns_does_not_answer_is_not_known_and_no_cross() {
        let (from, mailbox) = ("news@paper.example".parse().unwrap(), "bounces@paper.example".parse().unwrap());
        let sender = Sender {
            from: &from,
            return_path: &mailbox,
            mailbox: &mailbox,
            addresses: &[],
            relays: &["mail.paper.example"],
            keys: &[],
        };
        let known = std::cell::RefCell::new(None);
        let found = settle(
            |_| Answer::Failed("timed out".to_owned()),
            |so_far| {
                *known.borrow_mut() = so_far.failed().map(|(because, n)| (because.to_owned(), n));
                dns(&sender, so_far)
            },
        );
        assert!(found.iter().all(|f| f.verdict == Verdict::Note), "{found:#?}");
        assert_eq!(known.into_inner().unwrap().0, "timed out");
    }
}
