//! An SPF record, read (RFC 7208, section 4.6.1). It asks nobody and decides nothing.

use core::net::IpAddr;
use ipnet::IpNet;

/// What a check says (section 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// Whom a directive is about (section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(String),
    A(Option<String>, u8, u8),
    Mx(Option<String>, u8, u8),
    Ptr,
    Ip(IpNet),
    Exists(String),
}

impl Mechanism {
    /// Whether it takes a look-up (section 4.6.4).
    pub(super) fn asks(&self) -> bool {
        !matches!(self, Mechanism::All | Mechanism::Ip(_))
    }
}

/// What stands in it, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    pub(super) directives: Vec<(Says, Mechanism)>,
    pub(super) redirect: Option<String>,
}

/// Reads a record (section 4.6.1).
pub(super) fn parse(text: &str) -> Result<Record, String> {
    let mut record = Record::default();
    for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
        let name_ends = term.find([':', '/', '=']).unwrap_or(term.len());
        if let (name, Some(value)) = (&term[..name_ends], term.get(name_ends..).and_then(|r| r.strip_prefix('='))) {
            // Other modifiers, known or not, decide nothing (section 6).
            if name.eq_ignore_ascii_case("redirect") {
                record.redirect = Some(value.to_owned());
            }
            continue;
        }
        let (result, rest) = match term.as_bytes().first() {
            Some(b'+') => (Says::Pass, &term[1..]),
            Some(b'-') => (Says::Fail, &term[1..]),
            Some(b'~') => (Says::SoftFail, &term[1..]),
            Some(b'?') => (Says::Neutral, &term[1..]),
            _ => (Says::Pass, term),
        };
        let mechanism = mechanism(rest).ok_or_else(|| format!("the record has `{term}`, which nobody understands"))?;
        // Nobody comes to what stands behind `all` (section 5.1).
        if !matches!(record.directives.last(), Some((_, Mechanism::All))) {
            record.directives.push((result, mechanism));
        }
    }
    Ok(record)
}

fn mechanism(term: &str) -> Option<Mechanism> {
    let ends = term.find([':', '/']).unwrap_or(term.len());
    let (name, rest) = term.split_at(ends);
    let value = rest.strip_prefix(':').filter(|value| !value.is_empty());
    match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Some(Mechanism::All),
        "include" => Some(Mechanism::Include(value?.to_owned())),
        "exists" => Some(Mechanism::Exists(value?.to_owned())),
        "ptr" => Some(Mechanism::Ptr),
        "ip4" | "ip6" => {
            let net = value?.parse().ok().or_else(|| value?.parse::<IpAddr>().ok().map(IpNet::from))?;
            (net.addr().is_ipv4() == name.ends_with('4')).then_some(Mechanism::Ip(net))
        }
        name @ ("a" | "mx") => {
            let (host, lengths) = match rest.split_once('/') {
                Some((host, lengths)) => (host, Some(lengths)),
                None => (rest, None),
            };
            let host = match host {
                "" => None,
                host => Some(host.strip_prefix(':').filter(|host| !host.is_empty())?.to_owned()),
            };
            let (mut four, mut six) = (32, 128);
            if let Some(lengths) = lengths {
                let (v4, v6) = match lengths.strip_prefix('/') {
                    Some(v6) => (None, Some(v6)),
                    None => lengths.split_once("//").map_or((Some(lengths), None), |(v4, v6)| (Some(v4), Some(v6))),
                };
                four = v4.map_or(Some(32), |n| n.parse().ok().filter(|n| *n <= 32))?;
                six = v6.map_or(Some(128), |n| n.parse().ok().filter(|n| *n <= 128))?;
            }
            Some(if name == "a" { Mechanism::A(host, four, six) } else { Mechanism::Mx(host, four, six) })
        }
        _ => None,
    }
}
