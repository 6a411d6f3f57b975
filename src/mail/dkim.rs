//! DKIM signatures (RFC 6376, RFC 8301, RFC 8463): a domain answers for a mail.
//!
//! ```text
//!   Signer ──prepare(constants, time)──▶ Prepared ──sign(values)──▶ Signature ──field(values)──▶ "DKIM-Signature: …"
//! ```
//!
//! A mail is constants and readers' values, in turn. What all mails of an edition share is canonicalised and, up to the
//! first value in the body, hashed once ([`Signer::prepare`]). For a reader, [`Prepared::sign`] does the costly part; what it
//! answers is small, can be kept, and is the same whenever it is made: the time in it (`t=`) is an argument, and neither
//! algorithm draws random numbers. [`Prepared::fields`] makes header fields from it, if it is of these bytes.
//!
//! Both canonical forms are relaxed. There is no `l=` (what is added to a body must break the signature) and no `x=`
//! (a mail may be tried for days). With two keys there are two fields, RSA first.

// The relaxed canonical form, as a stream.
pub mod canonical;
// Private keys.
pub mod key;
// An edition, prepared for signing each of its mails.
pub mod prepared;
// The record in the DNS.
pub mod record;

mod field;

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use std::fmt;
use std::sync::Arc;

pub use key::{Algorithm, Key, KeyError, generate};
pub use prepared::{Prepared, Signature};
pub use record::{DnsRecord, dns_record};

/// Under which name a key's public half is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName {
    /// The signing domain, `d=`; ASCII, lower case.
    domain: String,
    /// Distinguishes the domain's keys, `s=`; ASCII, lower case.
    selector: String,
}

/// A domain or a selector that cannot stand in the DNS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// The domain.
    #[error("`{0}` is no domain name")]
    Domain(String),
    /// The selector.
    #[error("`{0}` is no selector: letters, digits, hyphens, and dots between them")]
    Selector(String),
    /// Each is fine, and together they exceed the DNS's limit.
    #[error("domain and selector are too long together: `selector._domainkey.domain` may have {NAME_MAX} characters")]
    TooLong,
}

/// The longest name in the DNS, written with dots (RFC 1035, section 2.3.4: 255 bytes on the wire).
pub const NAME_MAX: usize = 253;

impl KeyName {
    /// A domain (an internationalised one is converted) with a selector.
    ///
    /// # Errors
    /// [`KeyNameError`].
    pub fn new(domain: &str, selector: &str) -> Result<Self, KeyNameError> {
        let ascii = idna::domain_to_ascii_strict(domain).unwrap_or_default();
        if !ascii.contains('.') || !labels_are_valid(&ascii) {
            return Err(KeyNameError::Domain(domain.to_owned()));
        }
        let selector_ascii = selector.to_ascii_lowercase();
        if !labels_are_valid(&selector_ascii) {
            return Err(KeyNameError::Selector(selector.to_owned()));
        }
        if selector_ascii.len() + "._domainkey.".len() + ascii.len() > NAME_MAX {
            return Err(KeyNameError::TooLong);
        }
        Ok(KeyName { domain: ascii, selector: selector_ascii })
    }

    /// The signing domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether DMARC counts a signature of this domain for a sender of that one (RFC 7489, section 3.1.1, relaxed). Without a
    /// list of what registries give out, one must be the other or lie below it.
    pub fn is_aligned_with(&self, sender: &str) -> bool {
        let Ok(sender) = idna::domain_to_ascii(sender) else { return false };
        let below = |one: &str, other: &str| one.strip_suffix(other).is_some_and(|rest| rest.ends_with('.'));
        sender == self.domain || below(&sender, &self.domain) || below(&self.domain, &sender)
    }

    /// The selector.
    pub fn selector(&self) -> &str {
        &self.selector
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}._domainkey.{}", self.selector, self.domain)
    }
}

/// Labels of letters, digits and inner hyphens, at most 63 bytes each (RFC 6376, section 3.1: `sub-domain`s).
fn labels_are_valid(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Signs mails for a domain. A clone shares the keys.
#[derive(Debug, Clone)]
pub struct Signer {
    /// RSA before Ed25519.
    keys: Arc<[(KeyName, Key)]>,
    /// SHA-256 over names and public keys: stands for this signer in fingerprints.
    digest: [u8; 32],
}

/// Why keys make no signer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// No key at all.
    #[error("there is no key to sign with")]
    NoKey,
    /// Two keys of one algorithm: each mail would be signed twice for nothing.
    #[error("there are two {} keys; one of each kind is enough", .0.as_str())]
    SameAlgorithm(Algorithm),
    /// A name in the DNS can hold one key (RFC 6376, section 3.6.2.2).
    #[error("both keys have the selector `{0}`; each needs its own")]
    SameName(String),
    /// The library could not write down the public key.
    #[error("the key cannot be used")]
    Unusable,
}

/// Why a message cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Every signature covers From (RFC 6376, section 5.4).
    #[error("the message has no From header")]
    NoFrom,
    /// A line above the empty line is no header field.
    #[error("the message's header is not well formed")]
    Header,
    /// A value brings header fields of its own.
    #[error("a reader's value changes the fields of the header")]
    Fields,
    /// There must be one value less than constants.
    #[error("there are not as many values as places")]
    Values,
    /// Somewhere a line does not end with CR and LF.
    #[error("the message has a line that does not end with CR and LF")]
    BareLineBreak,
    /// The library did not sign.
    #[error("the key did not sign")]
    Key,
}

impl From<canonical::BareLineBreak> for SignError {
    fn from(_: canonical::BareLineBreak) -> Self {
        SignError::BareLineBreak
    }
}

impl Signer {
    /// A signer with one key, or with one of each algorithm, each under its own name.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn new(mut keys: Vec<(KeyName, Key)>) -> Result<Self, SignerError> {
        keys.sort_by_key(|(_, key)| key.algorithm());
        if keys.is_empty() {
            return Err(SignerError::NoKey);
        }
        for pair in keys.windows(2) {
            let [(one, key), (other, next)] = pair else { continue };
            if key.algorithm() == next.algorithm() {
                return Err(SignerError::SameAlgorithm(key.algorithm()));
            }
            if one == other {
                return Err(SignerError::SameName(one.selector.clone()));
            }
        }
        let mut hash = Context::new(&SHA256);
        for (name, key) in &keys {
            let public = key.public().map_err(|_| SignerError::Unusable)?;
            for part in [name.to_string().as_bytes(), &public] {
                hash.update(&(part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        Ok(Signer { keys: keys.into(), digest })
    }

    /// Under which names the keys' public halves must be found.
    pub fn names(&self) -> impl Iterator<Item = &KeyName> {
        self.keys.iter().map(|(name, _)| name)
    }

    /// The records that must be in the DNS.
    ///
    /// # Errors
    /// [`SignerError::Unusable`].
    pub fn dns_records(&self) -> Result<Vec<DnsRecord>, SignerError> {
        self.keys.iter().map(|(name, key)| dns_record(name, key).map_err(|_| SignerError::Unusable)).collect()
    }

    /// Signs a finished message with CRLF line ends. Answers the header fields to put before it, each with its line end.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, message: &[u8], when: DateTime<Utc>) -> Result<String, SignError> {
        let prepared = self.prepare([message], when)?;
        prepared.sign_now(&[])
    }

    /// Prepares mails that differ only between `constants`: of n of them, and n − 1 values between. Concatenated, they must
    /// be a message with CRLF line ends, and the empty line after its header must be whole within a constant. `when` becomes
    /// the time of every signature: take the edition's date, and signing ahead and signing late give the same bytes.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn prepare<'c>(
        &self,
        constants: impl IntoIterator<Item = &'c [u8]>,
        when: DateTime<Utc>,
    ) -> Result<Prepared, SignError> {
        Prepared::new(self.clone(), constants, when)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Algorithm::{Ed25519, Rsa};
    use super::*;

    #[test]
    fn a_name_can_stand_in_the_dns() {
        let name = |domain: &str, selector: &str| KeyName::new(domain, selector).map(|name| name.to_string());
        assert_eq!(name("Paper.Example", "S1.mail").unwrap(), "s1.mail._domainkey.paper.example");
        assert_eq!(name("zeitung-münchen.example", "a").unwrap(), "a._domainkey.xn--zeitung-mnchen-osb.example");
        for domain in
            ["", "example", "a..example", "a b.example", "-a.example", "a.example.", "a_b.example", "a;b.example"]
        {
            assert_eq!(name(domain, "s"), Err(KeyNameError::Domain(domain.into())));
        }
        for selector in ["", "a b", "a;", "a.", "ü", "a_b", "a=b", "-a", "a".repeat(64).as_str()].map(str::to_owned) {
            assert_eq!(name("a.example", &selector), Err(KeyNameError::Selector(selector)));
        }
        let selector =
            |length: usize| ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(length - 192)].join(".");
        let room = NAME_MAX - "._domainkey.a.example".len();
        assert_eq!(name("a.example", &selector(room)).unwrap().len(), NAME_MAX);
        assert_eq!(name("a.example", &selector(room + 1)), Err(KeyNameError::TooLong));
    }

    #[test]
    fn a_name_is_aligned_with_senders_of_its_domain_and_of_those_above_and_below() {
        let aligned = |domain, sender| KeyName::new(domain, "s").unwrap().is_aligned_with(sender);
        assert!(aligned("paper.example", "paper.example") && aligned("paper.example", "PAPER.example"));
        assert!(aligned("paper.example", "news.paper.example") && aligned("news.paper.example", "paper.example"));
        assert!(aligned("xn--zeitung-mnchen-osb.example", "zeitung-münchen.example"));
        assert!(!aligned("paper.example", "newspaper.example") && !aligned("newspaper.example", "paper.example"));
        assert!(!aligned("a.paper.example", "b.paper.example") && !aligned("paper.example", "other.example"));
    }

    #[test]
    fn a_signer_has_one_key_of_each_kind_under_names_of_their_own() {
        let signer = |keys: &[(Algorithm, &str)]| {
            let key = |&(algorithm, selector)| {
                (KeyName::new("paper.example", selector).unwrap(), generate(algorithm).unwrap().0)
            };
            Signer::new(keys.iter().map(key).collect())
                .map(|s| s.names().map(|n| n.selector().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(signer(&[(Ed25519, "b"), (Rsa, "a")]).unwrap(), ["a", "b"]);
        assert_eq!(signer(&[]), Err(SignerError::NoKey));
        assert_eq!(signer(&[(Ed25519, "b"), (Ed25519, "a")]), Err(SignerError::SameAlgorithm(Ed25519)));
        assert_eq!(signer(&[(Ed25519, "a"), (Rsa, "a")]), Err(SignerError::SameName("a".into())));
    }
}
