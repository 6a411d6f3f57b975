//! Published DKIM keys (RFC 6376, section 3.6.1), beside the ones that mails are signed with.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Finding, Kind, Known, Missing, Sender};
use crate::mail::dkim::{DnsRecord, KeyName};

/// The octets that a public RSA key of 2,048 bits has at least, as published; one of 1,024 bits has 162.
const RSA_2048: usize = 290;

/// What is to be said of each key.
pub(super) fn findings(sender: &Sender<'_>, known: &Known) -> Result<Vec<Finding>, Missing> {
    if sender.keys.is_empty() {
        let to_do = "see that the relay signs for the sender's domain, or make a key: pressrun dkim new";
        return Ok(vec![Finding::note("DKIM", "mails are not signed here", to_do)]);
    }
    sender.keys.iter().map(|(name, wanted)| one(name, wanted, known)).collect()
}

fn one(name: &KeyName, wanted: &DnsRecord, known: &Known) -> Result<Finding, Missing> {
    let published = known.records(Kind::Txt, &name.to_string())?;
    let publish = || format!("publish this TXT record at {name}: {}", wanted.value);
    let record = match published {
        [] => return Ok(Finding::wrong("DKIM", format!("{name} is not published"), publish())),
        [one] => one,
        _ => {
            let what = format!("{name} has {} records, and receivers take any of them", published.len());
            return Ok(Finding::wrong("DKIM", what, "leave only the one that is ours"));
        }
    };
    let tag = |text: &str, wanted: &str| {
        let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
        // White space may stand anywhere in a key.
        tags.find(|(name, _)| name.trim() == wanted)
            .map(|(_, value)| value.split_ascii_whitespace().collect::<String>())
    };
    let public = |text: &str| tag(text, "p").and_then(|key| BASE64_STANDARD.decode(key).ok());
    let kind = |text: &str| tag(text, "k").unwrap_or_else(|| "rsa".to_owned());
    if tag(record, "v").is_some_and(|version| version != "DKIM1") {
        return Ok(Finding::wrong("DKIM", format!("what stands at {name} is no DKIM key"), publish()));
    }
    if tag(record, "p").is_some_and(|key| key.is_empty()) {
        return Ok(Finding::wrong("DKIM", format!("{name} is revoked"), "make a new key: pressrun dkim new"));
    }
    if kind(record) != kind(&wanted.value) || public(record).is_none() || public(record) != public(&wanted.value) {
        let what = format!("what is published at {name} is not the key that mails are signed with");
        return Ok(Finding::wrong("DKIM", what, publish()));
    }
    if tag(record, "t").is_some_and(|flags| flags.split(':').any(|flag| flag == "y")) {
        let what = format!("{name} says that it is a test (t=y), and receivers may disregard it");
        return Ok(Finding::note("DKIM", what, "take t=y away"));
    }
    let length = public(record).map_or(0, |key| key.len());
    if kind(record) == "rsa" && length < RSA_2048 {
        let what = format!("the key {name} is shorter than 2,048 bits");
        return Ok(Finding::note("DKIM", what, "make a new one: pressrun dkim new"));
    }
    Ok(Finding::fine("DKIM", format!("{name} is published ({})", kind(record))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Verdict;
    use super::super::tests::{missing, settle, zone};
    use super::*;
    use crate::mail::dkim::{Algorithm, dns_record, generate};

    #[test]
    fn the_published_key_must_be_the_one_that_signs() {
        let name = KeyName::new("paper.example", "s1").unwrap();
        let record = dns_record(&name, &generate(Algorithm::Rsa).unwrap().0).unwrap();
        let other = dns_record(&name, &generate(Algorithm::Rsa).unwrap().0).unwrap();
        let ours = record.value.as_str();
        let bare = ours.replace("v=DKIM1; k=rsa; ", "");
        let spaced = ours.replace("p=", "p = ").replacen('A', "A ", 3);
        let test = format!("{ours}; t=y:s");
        for (published, wanted) in [
            (vec![ours], Verdict::Fine),
            (vec![&bare], Verdict::Fine),
            (vec![&spaced], Verdict::Fine),
            (vec![&test], Verdict::Note),
            (vec![], Verdict::Wrong),
            (vec![ours, ours], Verdict::Wrong),
            (vec![&other.value], Verdict::Wrong),
            (vec!["v=DKIM1; p="], Verdict::Wrong),
            (vec!["v=DKIM2; p=x"], Verdict::Wrong),
            (vec!["v=DKIM1; p=?"], Verdict::Wrong),
            (vec!["v=spf1 -all"], Verdict::Wrong),
        ] {
            let at = name.to_string();
            let records = [(at.as_str(), Kind::Txt, &published[..])];
            let records = if published.is_empty() { &records[..0] } else { &records[..] };
            let finding = settle(zone(records), |known| missing(one(&name, &record, known)));
            assert_eq!(finding.verdict, wanted, "{published:?}: {finding:?}");
        }
    }
}
