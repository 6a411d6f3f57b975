//! DMARC (RFC 9989): what receivers are to do with mails that nobody answers for, and who counts as answering.

use super::{Finding, Kind, Known, Missing, Sender};

/// Names of a longer domain are skipped in the walk, so that at most so many are asked for (section 4.10).
const STEPS: usize = 8;

/// A policy as published.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    /// The name below `_dmarc`.
    at: String,
    /// `p=` in small letters, if it is one that exists.
    p: Option<String>,
    /// `sp=`, for domains below.
    sp: Option<String>,
    /// `adkim=s`, `aspf=s`.
    strict_dkim: bool,
    strict_spf: bool,
    /// Whether reports are asked for.
    reports: bool,
    /// `psd=`.
    psd: Option<bool>,
}

/// What a sender's domain says, and to which organisation it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    /// The policy that counts for it.
    policy: Option<Policy>,
    /// The organisational domain, as far as records tell it.
    organisation: Option<String>,
}

/// What is to be said of the sender's domain.
pub(super) fn findings(sender: &Sender<'_>, known: &Known) -> Result<Vec<Finding>, Missing> {
    let domain = sender.from.domain().to_ascii_lowercase();
    let standing = standing(&domain, known)?;
    let Some(policy) = &standing.policy else {
        let to_do = format!("publish a TXT record at _dmarc.{domain}: v=DMARC1; p=none; rua=mailto:… to begin with");
        let what = format!("{domain} has no DMARC policy, and large providers refuse bulk mail without one");
        return Ok(vec![Finding::wrong("DMARC", what, to_do)]);
    };
    let says = if policy.at == domain { policy.p.as_ref() } else { policy.sp.as_ref().or(policy.p.as_ref()) };
    let mut found = vec![match says {
        None => Finding::wrong(
            "DMARC",
            format!("the record at _dmarc.{} has no policy (p=) that exists", policy.at),
            "p=none, p=quarantine or p=reject",
        ),
        Some(says) if !policy.reports => Finding::note(
            "DMARC",
            format!("{domain}: p={says}, and nobody is told of failures"),
            "add rua=mailto:… to hear what receivers see",
        ),
        Some(says) => Finding::fine("DMARC", format!("{domain}: p={says}")),
    }];
    let own = (domain.as_str(), standing.organisation.as_deref());
    let spf = aligned(sender.return_path.domain(), own, policy.strict_spf, known)?;
    let mut dkim = false;
    for (key, _) in sender.keys {
        dkim |= aligned(key.domain(), own, policy.strict_dkim, known)?;
    }
    found.push(match (spf, dkim, sender.keys.is_empty()) {
        (true, true, _) => Finding::fine("alignment", format!("SPF and DKIM both speak for {domain}")),
        (false, true, _) => Finding::note(
            "alignment",
            format!("only DKIM speaks for {domain}: bounces go to {}", sender.return_path.domain()),
            "a mail whose signature breaks on its way has nothing left; a `public: return_path:` in the sender's domain helps",
        ),
        (true, false, true) => Finding::note(
            "alignment",
            format!("only SPF speaks for {domain}: mails are not signed here"),
            "see that the relay signs for that domain, or make a key: pressrun dkim new",
        ),
        (_, false, false) => Finding::wrong(
            "alignment",
            format!("the signature does not speak for {domain}"),
            "`dkim: domain:` must be the sender's domain, or share its organisation's",
        ),
        (false, false, true) => Finding::wrong(
            "alignment",
            format!("neither SPF nor DKIM speaks for {domain}"),
            "make a key for the sender's domain (pressrun dkim new), or let bounces go to it",
        ),
    });
    Ok(found)
}

/// Walks from the domain to its top and keeps what counts (section 4.10).
fn standing(domain: &str, known: &Known) -> Result<Standing, Missing> {
    let mut policies = Vec::new();
    for name in walk(domain) {
        if let Some(policy) = policy(&name, known)? {
            policies.push(policy);
        }
    }
    let below = |top: &str| {
        let prefix = domain.strip_suffix(top)?.strip_suffix('.')?;
        Some(format!("{}.{top}", prefix.rsplit('.').next()?))
    };
    let organisation = policies
        .iter()
        .find_map(|policy| match policy.psd {
            Some(false) => Some(policy.at.clone()),
            Some(true) if policy.at != domain => below(&policy.at),
            _ => None,
        })
        .or_else(|| policies.last().map(|policy| policy.at.clone()));
    let own = policies.iter().find(|policy| policy.at == domain);
    let policy = own.or_else(|| policies.iter().find(|policy| Some(&policy.at) == organisation.as_ref()));
    // Where a registry's own policy is all there is, it counts.
    let policy = policy.or_else(|| policies.last()).cloned();
    Ok(Standing { policy, organisation })
}

/// The names that are asked for: the domain, then those above it.
fn walk(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.split('.').collect();
    let mut names = vec![domain.to_owned()];
    let first = if labels.len() > STEPS { labels.len() - (STEPS - 1) } else { 1 };
    names.extend((first..labels.len()).map(|from| labels[from..].join(".")));
    names
}

/// The policy at this name. Several records are as good as none (section 4.7).
fn policy(name: &str, known: &Known) -> Result<Option<Policy>, Missing> {
    let texts = known.records(Kind::Txt, &format!("_dmarc.{name}"))?;
    let mut records = texts.iter().filter_map(|text| tags(text));
    let (Some(tags), None) = (records.next(), records.next()) else { return Ok(None) };
    let get = |wanted: &str| tags.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_ascii_lowercase());
    let exists = |policy: &String| matches!(policy.as_str(), "none" | "quarantine" | "reject");
    let reports = get("rua").is_some_and(|addresses| addresses.contains("mailto:"));
    Ok(Some(Policy {
        at: name.to_owned(),
        // Without a policy that exists, but with a place for reports, it is `none` (section 4.7).
        p: get("p").filter(exists).or_else(|| reports.then(|| "none".to_owned())),
        sp: get("sp").filter(exists),
        strict_dkim: get("adkim").as_deref() == Some("s"),
        strict_spf: get("aspf").as_deref() == Some("s"),
        reports,
        psd: get("psd").and_then(|psd| match psd.as_str() {
            "y" => Some(true),
            "n" => Some(false),
            _ => None,
        }),
    }))
}

/// `name=value` pairs; `None`: it is no DMARC record, whose first is the version.
fn tags(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut tags = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        if let Some((name, value)) = part.split_once('=') {
            tags.push((name.trim(), value.trim()));
        }
    }
    matches!(tags.first(), Some(("v", "DMARC1"))).then_some(tags)
}

/// Whether a domain that was checked speaks for the sender's, whose organisation is told beside it (section 4.4). Each belongs to
/// the organisation that its own walk finds: a part of a domain may be one of its own.
fn aligned(
    checked: &str,
    (sender, organisation): (&str, Option<&str>),
    strict: bool,
    known: &Known,
) -> Result<bool, Missing> {
    let checked = checked.to_ascii_lowercase();
    if checked == sender || strict || organisation.is_none() {
        return Ok(checked == sender);
    }
    Ok(standing(&checked, known)?.organisation.as_deref() == organisation)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Verdict;
    use super::super::tests::{missing, settle, zone};
    use super::*;
    use crate::mail::dkim::{DnsRecord, KeyName};

    fn verdicts(from: &str, bounces: &str, key: Option<&str>, records: &[(&str, &str)]) -> Vec<Verdict> {
        let (from, bounces) = (from.parse().unwrap(), bounces.parse().unwrap());
        let record = DnsRecord { name: String::new(), value: String::new(), zone_file: String::new() };
        let keys: Vec<_> = key.map(|key| (KeyName::new(key, "s").unwrap(), record)).into_iter().collect();
        let sender =
            Sender { from: &from, return_path: &bounces, mailbox: &bounces, addresses: &[], relays: &[], keys: &keys };
        let values: Vec<[&str; 1]> = records.iter().map(|(_, value)| [*value]).collect();
        let records: Vec<(&str, Kind, &[&str])> =
            records.iter().zip(&values).map(|((name, _), value)| (*name, Kind::Txt, &value[..])).collect();
        let found = settle(zone(&records), |known| missing(findings(&sender, known)));
        found.into_iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn the_policy_is_the_domain_s_own_or_its_organisation_s() {
        use Verdict::{Fine, Note, Wrong};
        let good = "v=DMARC1; p=none; rua=mailto:d@paper.example";
        let own = [("_dmarc.paper.example", good)];
        assert_eq!(verdicts("a@paper.example", "b@paper.example", Some("paper.example"), &own), [Fine, Fine]);
        assert_eq!(verdicts("a@news.paper.example", "b@paper.example", Some("paper.example"), &own), [Fine, Fine]);
        assert_eq!(verdicts("a@paper.example", "b@relay.example", Some("paper.example"), &own), [Fine, Note]);
        assert_eq!(verdicts("a@paper.example", "b@paper.example", None, &own), [Fine, Note]);
        assert_eq!(verdicts("a@paper.example", "b@relay.example", None, &own), [Fine, Wrong]);
        assert_eq!(verdicts("a@paper.example", "b@paper.example", Some("relay.example"), &own), [Fine, Wrong]);
        assert_eq!(verdicts("a@paper.example", "b@paper.example", None, &[]), [Wrong]);
        let silent = [("_dmarc.paper.example", "v=DMARC1; p=reject")];
        assert_eq!(verdicts("a@paper.example", "b@paper.example", Some("paper.example"), &silent), [Note, Fine]);
        for broken in ["v=DMARC2; p=none", "p=none; v=DMARC1", "v=DMARC1; p=maybe"] {
            let records = [("_dmarc.paper.example", broken)];
            assert_eq!(verdicts("a@paper.example", "b@paper.example", None, &records)[0], Wrong, "{broken}");
        }
    }

    #[test]
    fn alignment_is_strict_where_the_record_says_so_and_ends_at_the_registry() {
        use Verdict::{Fine, Note, Wrong};
        let strict = [("_dmarc.paper.example", "v=DMARC1; p=none; adkim=s; aspf=s; rua=mailto:d@paper.example")];
        assert_eq!(verdicts("a@paper.example", "b@b.paper.example", Some("paper.example"), &strict), [Fine, Note]);
        assert_eq!(verdicts("a@paper.example", "b@paper.example", Some("m.paper.example"), &strict), [Fine, Wrong]);
        // Two customers of one registry that publishes a policy itself.
        let registry = [
            ("_dmarc.town.example", "v=DMARC1; p=reject; psd=y; rua=mailto:d@town.example"),
            ("_dmarc.paper.town.example", "v=DMARC1; p=none; rua=mailto:d@paper.town.example"),
        ];
        let (from, other) = ("a@paper.town.example", "b@other.town.example");
        assert_eq!(verdicts(from, other, Some("paper.town.example"), &registry), [Fine, Note]);
        assert_eq!(verdicts(from, "b@x.paper.town.example", Some("paper.town.example"), &registry), [Fine, Fine]);
    }

    #[test]
    fn a_part_that_is_an_organisation_of_its_own_speaks_for_itself_alone() {
        use Verdict::{Fine, Note};
        let records = [
            ("_dmarc.paper.example", "v=DMARC1; p=none; rua=mailto:d@paper.example"),
            ("_dmarc.sports.paper.example", "v=DMARC1; p=none; psd=n; rua=mailto:d@paper.example"),
        ];
        let key = Some("paper.example");
        assert_eq!(verdicts("a@paper.example", "b@x.sports.paper.example", key, &records), [Fine, Note]);
        assert_eq!(verdicts("a@paper.example", "b@arts.paper.example", key, &records), [Fine, Fine]);
    }

    #[test]
    fn a_long_name_is_asked_for_in_eight_steps() {
        assert_eq!(walk("a.b.example"), ["a.b.example", "b.example", "example"]);
        let long = walk("a.b.c.d.e.f.g.h.i.j.example");
        assert_eq!((long.len(), long[1].as_str()), (STEPS, "e.f.g.h.i.j.example"));
    }
}
