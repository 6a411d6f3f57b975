//! SPF (RFC 7208): which addresses may send for a domain.

// What a record says.
mod record;

use core::net::IpAddr;
use ipnet::IpNet;
use std::fmt::Write as _;

use super::hosts::WayOut;
use super::{Finding, Kind, Known, Missing, Sender};
use record::{Mechanism, Record, Says, parse};

/// Terms that ask the DNS, at most (section 4.6.4); receivers take a record with more for broken.
const LOOKUPS: usize = 10;

/// Of these, so many may lead to nothing (section 4.6.4).
const VOIDS: usize = 2;

/// Hosts of one `mx`, at most (section 4.6.4); with more, the record is broken too.
const HOSTS: usize = 10;

/// Records within records are followed so far; ten look-ups cannot lead deeper.
const DEEPEST: usize = 12;

/// Why there is no result: something is missing, or the record is broken (`permerror`).
#[derive(Debug)]
enum Stopped {
    Missing(Missing),
    Broken(String),
}

impl From<Missing> for Stopped {
    fn from(missing: Missing) -> Stopped {
        Stopped::Missing(missing)
    }
}

/// What is to be said of the return path's domain.
pub(super) fn findings(sender: &Sender<'_>, way_out: &WayOut, known: &Known) -> Result<Vec<Finding>, Missing> {
    let domain = sender.return_path.domain();
    let publish = "publish one TXT record that names who sends for the domain: v=spf1 … -all";
    let wrong = |why: String, to_do| Ok(vec![Finding::wrong("SPF", format!("{domain}: {why}"), to_do)]);
    let record = match record(domain, known) {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(vec![Finding::wrong("SPF", format!("{domain} has no SPF record"), publish)]),
        Err(Stopped::Missing(missing)) => return Err(missing),
        Err(Stopped::Broken(why)) => return wrong(why, publish),
    };
    match judged(&record, sender, way_out, known) {
        Ok(found) => Ok(found),
        Err(Stopped::Missing(missing)) => Err(missing),
        Err(Stopped::Broken(why)) => wrong(why, "mend the record"),
    }
}

/// What is to be said of that domain's record.
fn judged(record: &Record, sender: &Sender<'_>, way_out: &WayOut, known: &Known) -> Result<Vec<Finding>, Stopped> {
    let domain = sender.return_path.domain();
    let mut cost = Cost::default();
    count(domain, known, &mut cost, 0)?;
    let Cost { lookups, voids } = cost;
    if lookups > LOOKUPS {
        let what = format!("the record of {domain} takes {lookups} look-ups, and receivers make {LOOKUPS}");
        let to_do = "leave out what does not send any more, or name addresses (ip4:, ip6:) instead of names";
        return Ok(vec![Finding::wrong("SPF", what, to_do)]);
    }
    if voids > VOIDS {
        let what = format!("{voids} names in the record of {domain} lead to nothing, and receivers allow {VOIDS}");
        return Ok(vec![Finding::wrong("SPF", what, "leave out the names that are no more")]);
    }
    if let Some(open) = open_to_all(domain, known, 0)? {
        let through = if open == domain { String::new() } else { format!(", through {open}") };
        let what = format!("the record of {domain} lets everybody send for it (+all{through})");
        let to_do = if through.is_empty() { "end it with -all or ~all" } else { "leave that include out" };
        return Ok(vec![Finding::wrong("SPF", what, to_do)]);
    }
    let told = format!("{domain} has a record, with {lookups} of {LOOKUPS} look-ups");
    let ends = record.redirect.is_some() || record.directives.iter().any(|(_, m)| *m == Mechanism::All);
    let mut found = if ends {
        vec![Finding::fine("SPF", told)]
    } else {
        vec![Finding::note("SPF", format!("{told}, and says nothing of all others"), "end it with -all or ~all")]
    };
    for &address in &way_out.addresses {
        let mut check = Check { known, sender: sender.return_path.as_str(), address, lookups: 0 };
        found.push(match (check.run(domain, 0)?, way_out.told) {
            (Says::Pass, _) => Finding::fine("SPF", format!("{address} may send for {domain}")),
            (_, true) => Finding::wrong(
                "SPF",
                format!("{address} may not send for {domain}"),
                format!("add it to the record: {}", term(address)),
            ),
            (_, false) => Finding::note(
                "SPF",
                format!("{address}, the relay's, may not send for {domain}"),
                format!(
                    "if the relay sends from other addresses, name them with `doctor: sends_from:`; if not, add {}",
                    term(address)
                ),
            ),
        });
    }
    Ok(found)
}

fn term(address: IpAddr) -> String {
    format!("ip{}:{address}", if address.is_ipv4() { 4 } else { 6 })
}

/// The domain's one record (section 4.5).
fn record(domain: &str, known: &Known) -> Result<Option<Record>, Stopped> {
    let texts = known.records(Kind::Txt, domain)?;
    let is_spf = |text: &&String| {
        let version = text.get(..6).is_some_and(|v| v.eq_ignore_ascii_case("v=spf1"));
        version && text.get(6..).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let mut records = texts.iter().filter(is_spf);
    match (records.next(), records.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => {
            Err(Stopped::Broken("there is more than one SPF record, which is as good as none".to_owned()))
        }
        (Some(one), None) => parse(one).map(Some).map_err(Stopped::Broken),
    }
}

/// What a receiver may have to ask to go through a record.
#[derive(Debug, Default)]
struct Cost {
    /// Terms that ask the DNS.
    lookups: usize,
    /// Names of theirs that lead to nothing.
    voids: usize,
}

/// Counts in the record and all that it includes: a receiver may have to go through all. What depends on who sends is not known.
fn count(domain: &str, known: &Known, cost: &mut Cost, depth: usize) -> Result<(), Stopped> {
    let Some(record) = record(domain, known)? else {
        return match depth {
            0 => Ok(()),
            _ => Err(Stopped::Broken(format!("it includes {domain}, which has no SPF record"))),
        };
    };
    for (_, mechanism) in &record.directives {
        cost.lookups += usize::from(mechanism.asks());
        if cost.lookups > LOOKUPS {
            break;
        }
        match mechanism {
            Mechanism::Include(name) => follow(name, known, cost, depth)?,
            Mechanism::A(name, ..) | Mechanism::Mx(name, ..) => {
                let name = name.as_deref().unwrap_or(domain);
                if name.contains('%') {
                    continue;
                }
                let kind = if matches!(mechanism, Mechanism::A(..)) { Kind::Address } else { Kind::Mx };
                let found = known.records(kind, name)?.len();
                cost.voids += usize::from(found == 0);
                if kind == Kind::Mx && found > HOSTS {
                    let why = format!("`mx` of {name} means {found} hosts, and receivers look at {HOSTS}");
                    return Err(Stopped::Broken(why));
                }
            }
            _ => {}
        }
    }
    if let Some(name) = record.redirect.filter(|_| !record.directives.iter().any(|(_, m)| *m == Mechanism::All)) {
        cost.lookups += 1;
        follow(&name, known, cost, depth)?;
    }
    Ok(())
}

/// Counts on in another record, unless its name depends on who sends, or too many were counted already.
fn follow(name: &str, known: &Known, cost: &mut Cost, depth: usize) -> Result<(), Stopped> {
    if name.contains('%') || cost.lookups > LOOKUPS || depth > DEEPEST {
        return Ok(());
    }
    count(name, known, cost, depth + 1)
}

/// Whose record it is that lets everybody send, where one does: this domain's, or one that it includes or is led to.
fn open_to_all(domain: &str, known: &Known, depth: usize) -> Result<Option<String>, Stopped> {
    let Some(record) = record(domain, known)?.filter(|_| depth <= DEEPEST) else { return Ok(None) };
    for (result, mechanism) in &record.directives {
        let open = match mechanism {
            Mechanism::All => Some(domain.to_owned()),
            Mechanism::Include(name) if !name.contains('%') => open_to_all(name, known, depth + 1)?,
            _ => None,
        };
        if open.is_some() {
            return Ok(open.filter(|_| *result == Says::Pass));
        }
    }
    match &record.redirect {
        Some(name) if !name.contains('%') => open_to_all(name, known, depth + 1),
        _ => Ok(None),
    }
}

/// `check_host()` (section 4) for one address.
struct Check<'a> {
    known: &'a Known,
    /// The return path.
    sender: &'a str,
    address: IpAddr,
    lookups: usize,
}

impl Check<'_> {
    fn run(&mut self, domain: &str, depth: usize) -> Result<Says, Stopped> {
        let Some(record) = record(domain, self.known)? else {
            return match depth {
                0 => Ok(Says::Neutral),
                _ => Err(Stopped::Broken(format!("it includes {domain}, which has no SPF record"))),
            };
        };
        for (result, mechanism) in &record.directives {
            if self.matches(mechanism, domain, depth)? {
                return Ok(*result);
            }
        }
        match &record.redirect {
            Some(name) => {
                self.spend()?;
                let name = self.expand(name, domain)?;
                self.run(&name, depth + 1)
            }
            None => Ok(Says::Neutral),
        }
    }

    fn spend(&mut self) -> Result<(), Stopped> {
        self.lookups += 1;
        if self.lookups > LOOKUPS {
            return Err(Stopped::Broken(format!("the record takes more than {LOOKUPS} look-ups")));
        }
        Ok(())
    }

    fn matches(&mut self, mechanism: &Mechanism, domain: &str, depth: usize) -> Result<bool, Stopped> {
        if mechanism.asks() {
            self.spend()?;
        }
        let target =
            |name: &Option<String>| name.as_ref().map_or(Ok(domain.to_owned()), |name| self.expand(name, domain));
        Ok(match mechanism {
            Mechanism::All => true,
            Mechanism::Ip(net) => net.contains(&self.address),
            Mechanism::A(name, four, six) => self.is_at(&target(name)?, *four, *six)?,
            Mechanism::Mx(name, four, six) => {
                let hosts = self.known.records(Kind::Mx, &target(name)?)?;
                for host in hosts.iter().take(HOSTS) {
                    if self.is_at(host, *four, *six)? {
                        return Ok(true);
                    }
                }
                false
            }
            // Not to be used (section 5.5), and slow; what it would say is left open.
            Mechanism::Ptr => false,
            Mechanism::Exists(name) => {
                let name = self.expand(name, domain)?;
                let found = self.known.records(Kind::Address, &name)?;
                found.iter().any(|address| address.parse::<IpAddr>().is_ok_and(|a| a.is_ipv4()))
            }
            Mechanism::Include(name) => {
                let name = self.expand(name, domain)?;
                self.run(&name, depth + 1)? == Says::Pass
            }
        })
    }

    /// Whether the host has our address, or one in the same network.
    fn is_at(&self, host: &str, four: u8, six: u8) -> Result<bool, Stopped> {
        let length = if self.address.is_ipv4() { four } else { six };
        let addresses = self.known.records(Kind::Address, host)?;
        Ok(addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()).any(|address| {
            address.is_ipv4() == self.address.is_ipv4()
                && IpNet::new(address, length).is_ok_and(|net| net.contains(&self.address))
        }))
    }

    /// Macros (section 7).
    fn expand(&self, spec: &str, domain: &str) -> Result<String, Stopped> {
        let broken = || Stopped::Broken(format!("the record has the macro `{spec}`, which nobody understands"));
        let mut out = String::new();
        let mut rest = spec;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let first = after.chars().next().ok_or_else(broken)?;
            rest = &after[first.len_utf8()..];
            match first {
                '%' => out.push('%'),
                '_' => out.push(' '),
                '-' => out.push_str("%20"),
                '{' => {
                    let (inner, after) = rest.split_once('}').ok_or_else(broken)?;
                    out.push_str(&self.value(inner, domain).ok_or_else(broken)?);
                    rest = after;
                }
                _ => return Err(broken()),
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, inner: &str, domain: &str) -> Option<String> {
        let letter = inner.chars().next()?.to_ascii_lowercase();
        let (local, host) = self.sender.rsplit_once('@')?;
        let value = match letter {
            's' => self.sender.to_owned(),
            'l' => local.to_owned(),
            'o' => host.to_owned(),
            // We greet with another name than the relay does; its domain is the best that we know.
            'd' | 'h' => domain.to_owned(),
            // A name of the address, not to be used (section 7.3): receivers that do not look for it say so.
            'p' => "unknown".to_owned(),
            'v' => if self.address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'i' => match self.address {
                IpAddr::V4(four) => four.to_string(),
                IpAddr::V6(six) => {
                    let mut nibbles = String::new();
                    for octet in six.octets() {
                        let _ = write!(nibbles, "{:x}.{:x}.", octet >> 4, octet & 15);
                    }
                    nibbles.trim_end_matches('.').to_owned()
                }
            },
            _ => return None,
        };
        let rest = inner.get(1..)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let rest = &rest[digits.len()..];
        let (reverse, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(delimiters) => (true, delimiters),
            None => (false, rest),
        };
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return None;
        }
        let delimiters = if delimiters.is_empty() { "." } else { delimiters };
        let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
        if reverse {
            parts.reverse();
        }
        if !digits.is_empty() {
            let keep: usize = digits.parse().ok().filter(|n| *n > 0)?;
            parts.drain(..parts.len().saturating_sub(keep));
        }
        Some(parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Verdict;
    use super::super::tests::{missing, settle, zone};
    use super::*;

    fn check(address: &str, records: &[(&str, Kind, &[&str])]) -> Result<Says, String> {
        settle(zone(records), |known| {
            let address = address.parse().unwrap();
            let mut check = Check { known, sender: "bounces@paper.example", address, lookups: 0 };
            match check.run("paper.example", 0) {
                Ok(result) => Ok(Ok(result)),
                Err(Stopped::Broken(why)) => Ok(Err(why)),
                Err(Stopped::Missing(other)) => missing(Err(other)),
            }
        })
    }

    #[test]
    fn the_first_mechanism_that_fits_decides() {
        use Kind::{Address, Mx, Txt};
        let spf =
            |text: &'static str| ("paper.example", Txt, std::slice::from_ref(Box::leak(Box::new(text))) as &[&str]);
        for (text, address, wanted) in [
            ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.9", Says::Pass),
            ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.3.9", Says::Fail),
            ("v=spf1 IP4:192.0.2.9 ~ALL", "192.0.2.8", Says::SoftFail),
            ("v=spf1 ip6:2001:db8::/32 ?all", "2001:db8::7", Says::Pass),
            ("v=spf1 ip6:2001:db8::/32", "2001:db9::7", Says::Neutral),
            ("v=spf1 a -all", "198.51.100.1", Says::Pass),
            ("v=spf1 a:mail.paper.example/24 -all", "192.0.2.77", Says::Pass),
            ("v=spf1 a:mail.paper.example//64 -all", "192.0.2.77", Says::Fail),
            ("v=spf1 mx -all", "192.0.2.25", Says::Pass),
            ("v=spf1 -ip4:192.0.2.25 mx -all", "192.0.2.25", Says::Fail),
            ("v=spf1 include:relay.example -all", "203.0.113.5", Says::Pass),
            ("v=spf1 include:relay.example -all", "203.0.113.6", Says::Fail),
            ("v=spf1 redirect=relay.example", "203.0.113.6", Says::SoftFail),
            ("v=spf1 exists:%{ir}.%{v}.ok.example -all", "192.0.2.1", Says::Pass),
            ("v=spf1 exists:%{l}.%{o2}.%{d1r}.ok.example -all", "192.0.2.1", Says::Pass),
            ("v=spf1 exists:%{p}.ok.example -all", "192.0.2.1", Says::Fail),
            ("v=spf1 exp=why.example ra=x -all", "192.0.2.1", Says::Fail),
            ("v=spf1", "192.0.2.1", Says::Neutral),
            ("v=spf10 +all", "192.0.2.1", Says::Neutral),
        ] {
            let records: &[(&str, Kind, &[&str])] = &[
                spf(text),
                ("paper.example", Address, &["198.51.100.1"]),
                ("paper.example", Mx, &["mail.paper.example"]),
                ("mail.paper.example", Address, &["192.0.2.25", "2001:db8::25"]),
                ("relay.example", Txt, &["other text", "v=spf1 ip4:203.0.113.5 ~all"]),
                ("1.2.0.192.in-addr.ok.example", Address, &["127.0.0.2"]),
                ("bounces.paper.example.paper.ok.example", Address, &["127.0.0.2"]),
            ];
            assert_eq!(check(address, records), Ok(wanted), "{text} {address}");
        }
    }

    #[test]
    fn broken_records_are_told_and_not_guessed_at() {
        use Kind::Txt;
        for (texts, words) in [
            (&["v=spf1 -all", "v=spf1 +all"][..], "more than one"),
            (&["v=spf1 ipv4:192.0.2.1 -all"], "ipv4:192.0.2.1"),
            (&["v=spf1 ip4:2001:db8::1 -all"], "ip4:2001"),
            (&["v=spf1 a/33 -all"], "a/33"),
            (&["v=spf1 include: -all"], "include:"),
            (&["v=spf1 exists:%{q} -all"], "%{q}"),
            (&["v=spf1 include:nothing.example -all"], "nothing.example"),
            (&["v=spf1 include:paper.example -all"], "look-ups"),
        ] {
            let why = check("192.0.2.1", &[("paper.example", Txt, texts)]).unwrap_err();
            assert!(why.contains(words), "{texts:?}: {why}");
        }
    }

    /// What is said of a record, whoever sends.
    fn told(records: &[(&str, Kind, &[&str])]) -> Finding {
        let address = "bounces@paper.example".parse().unwrap();
        let sender =
            Sender { from: &address, return_path: &address, mailbox: &address, addresses: &[], relays: &[], keys: &[] };
        let found = settle(zone(records), |known| missing(findings(&sender, &WayOut::default(), known)));
        found.into_iter().next().unwrap()
    }

    #[test]
    fn a_record_that_receivers_take_for_broken_or_open_is_told() {
        use Kind::{Address, Mx, Txt};
        let hosts: Vec<String> = (1..=11).map(|n| format!("mx{n}.paper.example")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        for (text, mx, verdict, words) in [
            ("v=spf1 a:one.example a:two.example -all", 1, Verdict::Fine, "2 of 10"),
            ("v=spf1 a:one.example mx:two.example a:three.example -all", 1, Verdict::Wrong, "3 names"),
            ("v=spf1 mx -all", 10, Verdict::Fine, "1 of 10"),
            ("v=spf1 mx -all", 11, Verdict::Wrong, "11 hosts"),
            ("v=spf1 -all a:one.example a:two.example a:three.example", 1, Verdict::Fine, "0 of 10"),
            ("v=spf1 -all +all", 1, Verdict::Fine, "0 of 10"),
            ("v=spf1 include:open.example -all", 1, Verdict::Wrong, "(+all, through open.example)"),
            ("v=spf1 redirect=open.example", 1, Verdict::Wrong, "through open.example"),
            ("v=spf1 ?include:open.example -all", 1, Verdict::Fine, "1 of 10"),
            ("v=spf1 +all", 1, Verdict::Wrong, "(+all)"),
        ] {
            let finding = told(&[
                ("paper.example", Txt, &[text]),
                ("paper.example", Mx, &hosts[..mx]),
                ("open.example", Txt, &["v=spf1 ip4:192.0.2.1 +all"]),
                ("mx1.paper.example", Address, &["192.0.2.25"]),
            ]);
            assert_eq!(finding.verdict, verdict, "{text}: {finding:?}");
            assert!(finding.what.contains(words), "{text}: {finding:?}");
        }
    }

    #[test]
    fn ten_look_ups_are_fine_and_eleven_are_not() {
        for (number, verdict) in [(9, Verdict::Fine), (10, Verdict::Wrong)] {
            // One include, and so many `a` in it: nobody may rely on an early match.
            let inner = format!("v=spf1 {} -all", "a:x.example ".repeat(number));
            let records: &[(&str, Kind, &[&str])] = &[
                ("paper.example", Kind::Txt, &["v=spf1 ip4:192.0.2.1 include:i.example -all"]),
                ("i.example", Kind::Txt, &[&inner]),
                ("x.example", Kind::Address, &["192.0.2.9"]),
            ];
            let found = told(records);
            assert_eq!(found.verdict, verdict, "{found:?}");
        }
    }
}
