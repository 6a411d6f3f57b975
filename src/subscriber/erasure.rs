//! To know somebody again who asked to be erased, without keeping who it was.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

use super::Address;
use super::fold::LimitKey;

/// Octets of a key.
pub const KEY_OCTETS: usize = 32;

/// What is left of an erased address: HMAC-SHA-256 (RFC 2104) of its folded form.
pub type Mark = [u8; 32];

/// The key under which erased addresses are remembered. It must be kept outside of the ledger, or whoever has the ledger
/// could try addresses; and never changed, or the erased are forgotten twice.
#[derive(Clone)]
pub struct ErasureKey(hmac::Key);

impl ErasureKey {
    /// From octets that are random and secret.
    pub fn new(octets: [u8; KEY_OCTETS]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &octets))
    }

    /// From base64 (RFC 4648 section 4) of exactly [`KEY_OCTETS`]; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let octets = STANDARD.decode(text.trim()).ok()?;
        Some(Self::new(octets.try_into().ok()?))
    }

    /// An address as it is remembered: folded in every script, as ledgers know people.
    pub fn mark(&self, address: &Address) -> Mark {
        self.sign("pressrun erased address", &address.as_str().to_lowercase())
    }

    /// As addresses beyond ASCII were remembered once, folded in ASCII only: whoever was erased then stays so.
    pub fn mark_of_old(&self, address: &Address) -> Mark {
        self.sign("pressrun erased address", &address.key())
    }

    /// An inbox as it is counted: see [`LimitKey`].
    pub fn limit(&self, inbox: &LimitKey) -> Mark {
        self.sign_octets("pressrun limit", inbox.as_bytes())
    }

    /// By which a ledger knows its key again.
    pub fn name(&self) -> Mark {
        self.sign("pressrun erasure key", "")
    }

    fn sign(&self, purpose: &str, text: &str) -> Mark {
        self.sign_octets(purpose, text.as_bytes())
    }

    fn sign_octets(&self, purpose: &str, octets: &[u8]) -> Mark {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(octets);
        let mut mark = Mark::default();
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }
}

impl fmt::Debug for ErasureKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasureKey(…)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spellings_share_a_mark_and_nothing_else_does() {
        let key = ErasureKey::new([7; KEY_OCTETS]);
        let mark = |address: &str| key.mark(&address.parse().unwrap());
        assert_eq!(mark("Nadia@Example.org"), mark("nadia@example.org"));
        assert_eq!(mark("JOSÉ@example.org"), mark("josé@example.org"));
        assert_ne!(mark("nadia@example.org"), mark("omar@example.org"));
        let other = ErasureKey::new([8; KEY_OCTETS]);
        assert_ne!(mark("nadia@example.org"), other.mark(&"nadia@example.org".parse().unwrap()));
        assert_ne!(key.name(), other.name());
    }

    #[test]
    fn the_mark_is_the_hmac_of_purpose_and_address() {
        // The first half of: printf 'pressrun erased address\0nadia@example.org' | openssl dgst -sha256 -hmac "$(printf '\x01%.0s' {1..32})"
        let mark = ErasureKey::new([1; KEY_OCTETS]).mark(&"nadia@example.org".parse().unwrap());
        assert_eq!(
            mark[..16],
            [0xca, 0x96, 0xb2, 0xf1, 0xf3, 0xce, 0x57, 0xfb, 0xc5, 0x8a, 0xd9, 0x2c, 0xf6, 0x8f, 0xe8, 0x4e]
        );
    }

    #[test]
    fn a_key_is_base64_of_32_octets_and_does_not_print_itself() {
        let text = STANDARD.encode([65; KEY_OCTETS]);
        assert_eq!(ErasureKey::parse(&format!("{text}\n")).unwrap().name(), ErasureKey::new([65; KEY_OCTETS]).name());
        assert_eq!(format!("{:?}", ErasureKey::parse(&text)), "Some(ErasureKey(…))");
        for wrong in ["", "x", &STANDARD.encode([65; KEY_OCTETS - 1]), &STANDARD.encode([65; KEY_OCTETS + 1])] {
            assert!(ErasureKey::parse(wrong).is_none(), "{wrong}");
        }
    }
}
