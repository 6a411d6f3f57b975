//! Who asks too much: limits for each network, each domain, and the whole server; and the traps for robots.
//!
//! How often one inbox is written to is the ledger's to say: that must hold after a restart too.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::subscriber::Address;

/// What may be asked. What is asked for more often is refused, and no mail goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brakes {
    /// Requests an hour from one network.
    pub per_network: NonZeroU32,
    /// Requests an hour for addresses of one domain.
    pub per_domain: NonZeroU32,
    /// Requests an hour, all together.
    pub in_all: NonZeroU32,
    /// A form that is sent faster than this was not filled in by a person.
    pub fill_time: Duration,
}

/// A form is good for so long; then its page is shown once more.
const FORM_LIFE: Duration = Duration::from_hours(24);

/// The counters.
pub(super) struct Guard {
    brakes: Brakes,
    networks: DefaultKeyedRateLimiter<IpNet>,
    domains: DefaultKeyedRateLimiter<String>,
    all: DefaultDirectRateLimiter,
    stamps: Vec<hmac::Key>,
}

impl Guard {
    /// The first of the keys signs forms, all of them verify: another machine, or this one after a restart, takes a form back.
    pub(super) fn new(brakes: Brakes, stamps: Vec<hmac::Key>) -> Guard {
        Guard {
            brakes,
            networks: RateLimiter::keyed(Quota::per_hour(brakes.per_network)),
            domains: RateLimiter::keyed(Quota::per_hour(brakes.per_domain)),
            all: RateLimiter::direct(Quota::per_hour(brakes.in_all)),
            stamps,
        }
    }

    /// Whether a request may go on. One that is refused early uses up nothing of what others share.
    pub(super) fn lets(&self, network: IpNet, address: &Address) -> bool {
        self.networks.check_key(&network).is_ok()
            && self.domains.check_key(&address.domain().to_ascii_lowercase()).is_ok()
            && self.all.check().is_ok()
    }

    /// Forgets who has asked nothing for long.
    pub(super) fn tidy(&self) {
        self.networks.retain_recent();
        self.domains.retain_recent();
    }

    /// A signed time, for a form.
    pub(super) fn stamp(&self, now: i64) -> String {
        let mut octets = now.to_be_bytes().to_vec();
        if let Some(key) = self.stamps.first() {
            octets.extend_from_slice(&hmac::sign(key, &now.to_be_bytes()).as_ref()[..16]);
        }
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Whether a form was shown long enough ago, and not too long. Milliseconds since 1970.
    pub(super) fn is_ripe(&self, stamp: &str, now: i64) -> bool {
        let Ok(octets) = URL_SAFE_NO_PAD.decode(stamp) else { return false };
        let Some((time, tag)) = octets.split_at_checked(8) else { return false };
        let signed = |key| constant_time::verify_slices_are_equal(tag, &hmac::sign(key, time).as_ref()[..16]).is_ok();
        if !self.stamps.iter().any(signed) {
            return false;
        }
        let mut shown = [0; 8];
        shown.copy_from_slice(time);
        let age = u128::try_from(now.saturating_sub(i64::from_be_bytes(shown))).unwrap_or_default();
        age >= self.brakes.fill_time.as_millis() && age <= FORM_LIFE.as_millis()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::subscriber::token::Keys;

    fn guard() -> Guard {
        guard_with(&Keys::fresh([7; 32]))
    }

    fn guard_with(keys: &Keys) -> Guard {
        let brakes = Brakes {
            per_network: 5.try_into().unwrap(),
            per_domain: 8.try_into().unwrap(),
            in_all: 12.try_into().unwrap(),
            fill_time: Duration::from_secs(2),
        };
        Guard::new(brakes, keys.of_forms())
    }

    #[test]
    fn another_machine_takes_a_form_back_and_a_new_key_does_not_spoil_it() {
        let shown = guard().stamp(1_000_000);
        assert!(guard().is_ripe(&shown, 1_002_000));
        let mut keys = Keys::fresh([7; 32]);
        keys.rotate([8; 32]).unwrap();
        assert!(guard_with(&keys).is_ripe(&shown, 1_002_000));
        assert!(!guard().is_ripe(&guard_with(&keys).stamp(1_000_000), 1_002_000));
        assert!(!guard_with(&Keys::fresh([9; 32])).is_ripe(&shown, 1_002_000));
    }

    fn lets(guard: &Guard, network: &str, address: &str) -> bool {
        guard.lets(network.parse().unwrap(), &address.parse().unwrap())
    }

    #[test]
    fn each_limit_holds_at_its_edge() {
        let guard = guard();
        let one = (0..20).filter(|n| lets(&guard, "192.0.2.0/24", &format!("a{n}@a{n}.example"))).count();
        assert_eq!(one, 5);
        let guard = self::guard();
        let domain = (0..20).filter(|n| lets(&guard, &format!("10.0.{n}.0/24"), &format!("a{n}@Same.example"))).count();
        assert_eq!(domain, 8);
        let guard = self::guard();
        let all = (0..20).filter(|n| lets(&guard, &format!("10.0.{n}.0/24"), &format!("a@a{n}.example"))).count();
        assert_eq!(all, 12);
    }

    #[test]
    fn a_stamp_ripens_and_spoils() {
        let guard = guard();
        let stamp = guard.stamp(1_000_000);
        assert!(!guard.is_ripe(&stamp, 1_001_999));
        assert!(guard.is_ripe(&stamp, 1_002_000));
        let day = 24 * 3_600_000;
        assert!(guard.is_ripe(&stamp, 1_000_000 + day));
        assert!(!guard.is_ripe(&stamp, 1_000_001 + day));
        assert!(!guard.is_ripe(&stamp, 0));
        for wrong in ["", "AAAA", "%%%", &stamp[1..], &stamp[..20]] {
            assert!(!guard.is_ripe(wrong, 1_002_000), "{wrong}");
        }
    }
}
