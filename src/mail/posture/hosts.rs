//! From where mails reach the world, which names those addresses have, and who takes mail for us.

use core::net::IpAddr;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Finding, Kind, Known, Missing, Sender};

/// From where mails reach the world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct WayOut {
    pub(super) addresses: Vec<IpAddr>,
    /// An operator has told them; otherwise they are the relays' own, which is a guess.
    pub(super) told: bool,
}

/// The addresses told, or else those of the relays that the world can see.
pub(super) fn way_out(sender: &Sender<'_>, known: &Known) -> Result<WayOut, Missing> {
    if !sender.addresses.is_empty() {
        return Ok(WayOut { addresses: sender.addresses.to_vec(), told: true });
    }
    let mut addresses = BTreeSet::new();
    for relay in sender.relays {
        match relay.parse::<IpAddr>() {
            Ok(address) => drop(addresses.insert(address)),
            Err(_) if relay.eq_ignore_ascii_case("localhost") => {}
            Err(_) => {
                addresses.extend(known.records(Kind::Address, relay)?.iter().filter_map(|a| a.parse::<IpAddr>().ok()));
            }
        }
    }
    Ok(WayOut { addresses: addresses.into_iter().filter(is_public).collect(), told: false })
}

fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !(a.is_loopback() || a.is_private() || a.is_link_local() || a.is_unspecified()),
        IpAddr::V6(a) => !(a.is_loopback() || a.is_unique_local() || a.is_unicast_link_local() || a.is_unspecified()),
    }
}

/// Whether each address has a name that leads back to it; large providers refuse mail from one that has not.
pub(super) fn reverse(way_out: &WayOut, known: &Known) -> Result<Vec<Finding>, Missing> {
    if way_out.addresses.is_empty() {
        let what = "from which address mails reach the world cannot be known from here";
        return Ok(vec![Finding::note("PTR", what, "name it with `doctor: sends_from:` to have it looked at")]);
    }
    let mut found = Vec::new();
    for &address in &way_out.addresses {
        let names = known.records(Kind::Ptr, &reverse_name(address))?;
        let mut confirmed = None;
        for name in names {
            let back = known.records(Kind::Address, name)?;
            if back.iter().any(|text| text.parse() == Ok(address)) {
                confirmed = Some(name);
                break;
            }
        }
        let what = match (confirmed, names.first()) {
            (Some(name), _) => {
                found.push(Finding::fine("PTR", format!("{address} is {name}, and {name} is {address}")));
                continue;
            }
            (None, Some(name)) => format!("{address} says that it is {name}, which does not lead back to it"),
            (None, None) => format!("{address} has no name"),
        };
        let to_do = "have whoever runs that address give it a name (PTR), and give the name that address (A or AAAA)";
        found.push(if way_out.told { Finding::wrong("PTR", what, to_do) } else { Finding::note("PTR", what, to_do) });
    }
    Ok(found)
}

/// The name under which an address's names are found (RFC 1035, section 3.5; RFC 3596, section 2.5).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => {
            let [a, b, c, d] = four.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(six) => {
            let mut name = String::new();
            for octet in six.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            name + "ip6.arpa"
        }
    }
}

/// Whether what comes back can arrive.
pub(super) fn mailboxes(sender: &Sender<'_>, known: &Known) -> Result<Vec<Finding>, Missing> {
    let mut found = Vec::new();
    let mut domains = BTreeSet::new();
    for (mailbox, key) in [(sender.return_path, "return_path"), (sender.mailbox, "unsubscribe_mailbox")] {
        let domain = mailbox.domain().to_ascii_lowercase();
        if !domains.insert(domain.clone()) {
            continue;
        }
        let hosts = known.records(Kind::Mx, &domain)?;
        found.push(match hosts.first().map(String::as_str) {
            // RFC 7505.
            Some("." | "") => Finding::wrong(
                "MX",
                format!("{domain} says that it takes no mail"),
                format!("name a mailbox elsewhere with `public: {key}:`, or change the domain's MX record"),
            ),
            Some(_) => exchangers(&domain, hosts, known)?,
            None if known.records(Kind::Address, &domain)?.is_empty() => Finding::wrong(
                "MX",
                format!("{domain} takes no mail: it has neither MX record nor address"),
                format!("publish an MX record, or name a mailbox elsewhere with `public: {key}:`"),
            ),
            None => Finding::note(
                "MX",
                format!("{domain} has no MX record; servers try its address"),
                "publish an MX record: some receivers distrust senders without one",
            ),
        });
    }
    Ok(found)
}

/// Whether those who take a domain's mail can be found.
fn exchangers(domain: &str, hosts: &[String], known: &Known) -> Result<Finding, Missing> {
    let mut lost = Vec::new();
    for host in hosts {
        if known.records(Kind::Address, host)?.is_empty() {
            lost.push(host.as_str());
        }
    }
    let to_do = "give each host that the MX record names an address (A or AAAA), or take it out of the record";
    Ok(match hosts.iter().find(|host| !lost.contains(&host.as_str())) {
        Some(host) if lost.is_empty() => Finding::fine("MX", format!("mail for {domain} goes to {host}")),
        Some(host) => {
            let what = format!("mail for {domain} goes to {host}; {} has no address", lost.join(", "));
            Finding::note("MX", what, to_do)
        }
        None => {
            let what = format!("mail for {domain} goes to {}, which has no address", lost.join(", "));
            Finding::wrong("MX", what, to_do)
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Verdict;
    use super::super::tests::{missing, settle, zone};
    use super::*;

    #[test]
    fn a_name_must_lead_back_to_its_address() {
        use Kind::{Address, Ptr};
        for (ptr, back, told, wanted) in [
            (&["mail.paper.example"][..], &["192.0.2.25"][..], true, Verdict::Fine),
            (&["mail.paper.example"], &["192.0.2.26"], true, Verdict::Wrong),
            (&["mail.paper.example"], &["192.0.2.26"], false, Verdict::Note),
            (&["other.example", "mail.paper.example"], &["192.0.2.25"], true, Verdict::Fine),
            (&[], &[], true, Verdict::Wrong),
        ] {
            let way_out = WayOut { addresses: vec!["192.0.2.25".parse().unwrap()], told };
            let records = [("25.2.0.192.in-addr.arpa", Ptr, ptr), ("mail.paper.example", Address, back)];
            let found = settle(zone(&records), |known| missing(reverse(&way_out, known)));
            assert_eq!(found[0].verdict, wanted, "{ptr:?} {back:?}");
        }
        let six = reverse_name("2001:db8::1".parse().unwrap());
        assert_eq!(six, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    }

    #[test]
    fn bounces_need_somewhere_to_go() {
        use Kind::{Address, Mx};
        let mailbox = "bounces@paper.example".parse().unwrap();
        let sender =
            Sender { from: &mailbox, return_path: &mailbox, mailbox: &mailbox, addresses: &[], relays: &[], keys: &[] };
        for (mx, address, wanted) in [
            (&["mx.paper.example"][..], &[][..], Verdict::Fine),
            (&["gone.paper.example", "mx.paper.example"], &[], Verdict::Note),
            (&["gone.paper.example"], &["192.0.2.1"], Verdict::Wrong),
            (&[], &["192.0.2.1"], Verdict::Note),
            (&[], &[], Verdict::Wrong),
            (&["."], &["192.0.2.1"], Verdict::Wrong),
        ] {
            let host = ("mx.paper.example", Address, &["192.0.2.26"][..]);
            let records = [("paper.example", Mx, mx), ("paper.example", Address, address), host];
            let records: Vec<_> = records.into_iter().filter(|(_, _, values)| !values.is_empty()).collect();
            let found = settle(zone(&records), |known| missing(mailboxes(&sender, known)));
            assert_eq!((found.len(), found[0].verdict), (1, wanted), "{mx:?}");
        }
    }

    #[test]
    fn only_addresses_that_the_world_can_see_are_guessed() {
        let mailbox = "a@paper.example".parse().unwrap();
        let relays = ["mail.paper.example", "localhost", "127.0.0.1"];
        let sender = Sender {
            from: &mailbox,
            return_path: &mailbox,
            mailbox: &mailbox,
            addresses: &[],
            relays: &relays,
            keys: &[],
        };
        let records = [("mail.paper.example", Kind::Address, &["10.0.0.1", "192.0.2.25"][..])];
        let found = settle(zone(&records), |known| missing(way_out(&sender, known)));
        assert_eq!(found, WayOut { addresses: vec!["192.0.2.25".parse().unwrap()], told: false });
    }
}
