//! `dkim:` as meant.

use std::collections::HashSet;
use std::path::Path;

use super::super::file;
use super::super::signing::KeyFile;
use super::Check;
use crate::digest::Digest;
use crate::mail::dkim::{KeyName, KeyNameError};
use crate::newsroom::Masthead;

/// One of each kind: RSA and Ed25519.
const MAX_KEYS: usize = 2;

impl Check<'_, '_> {
    pub(super) fn dkim(
        &mut self,
        written: file::Dkim,
        digests: &[Digest],
        masthead: &Masthead,
        root: &Path,
    ) -> Vec<KeyFile> {
        let (domain, domain_path) = match &written.domain {
            Some(domain) => (domain.trim(), "dkim.domain"),
            None => (masthead.authority.as_str(), "dkim"),
        };
        let Some(keys) = written.keys else {
            self.required("dkim.keys", "a list of `selector` and `file`; `pressrun dkim new` makes a key");
            return Vec::new();
        };
        if keys.is_empty() {
            self.wrong("dkim.keys", "there is no key", "make one with `pressrun dkim new`, or leave `dkim:` out");
        }
        if keys.len() > MAX_KEYS {
            self.wrong(
                "dkim.keys",
                "there are more than two keys",
                "one RSA key, and one Ed25519 key beside it, are enough",
            );
        }
        let mut known = Vec::new();
        let mut seen = HashSet::new();
        for (i, key) in keys.into_iter().enumerate() {
            let path = format!("dkim.keys.{i}");
            if key.file.is_none() {
                self.required(&format!("{path}.file"), "the private key that `pressrun dkim new` has written");
            }
            let Some(selector) = key.selector else {
                self.required(
                    &format!("{path}.selector"),
                    "the key's name in the DNS, as given to `pressrun dkim new`",
                );
                continue;
            };
            let at = format!("{path}.selector");
            if !seen.insert(selector.to_ascii_lowercase()) {
                self.wrong(
                    &at,
                    &format!("the selector `{selector}` stands here a second time"),
                    "each key needs a selector of its own: a name in the DNS holds one key",
                );
            }
            match KeyName::new(domain, selector.trim()) {
                Ok(name) => known.extend(key.file.map(|file| KeyFile { name, file: root.join(file) })),
                // Told once, not for each key.
                Err(KeyNameError::Domain(_)) if i > 0 => {}
                Err(error @ KeyNameError::Domain(_)) => {
                    self.wrong(domain_path, &error.to_string(), "the domain of the senders: `domain: paper.example`");
                }
                Err(error) => self.wrong(&at, &error.to_string(), "for instance the year and month: `2026-11`"),
            }
        }
        if let Some(key) = known.first() {
            self.aligned(&key.name, digests);
        }
        known
    }

    /// Receivers count a signature only where its domain is that of the sender (DMARC).
    fn aligned(&mut self, name: &KeyName, digests: &[Digest]) {
        for (i, digest) in digests.iter().enumerate() {
            let sender = digest.from.address.domain();
            if digest.from != super::nobody() && !name.is_aligned_with(sender) {
                self.wrong(
                    &format!("digests.{i}.from"),
                    &format!(
                        "mails from `{sender}` would be signed for `{}`, and receivers would not count it",
                        name.domain()
                    ),
                    &format!(
                        "send from an address of {}, or sign for the sender's domain with `dkim: domain:`",
                        name.domain()
                    ),
                );
            }
        }
    }
}
