//! What the world must find in the DNS to check a signature.

use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Key, KeyName};

/// The most a character-string of a TXT record holds, in bytes (RFC 1035, section 3.3).
pub const STRING_MAX: usize = 255;

/// A TXT record (RFC 6376, section 3.6).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DnsRecord {
    /// The full name, without a final dot: `selector._domainkey.domain`.
    pub name: String,
    /// The text, in one piece: what most providers' forms want.
    pub value: String,
    /// The line for a zone file, the text cut into strings of at most [`STRING_MAX`] bytes.
    pub zone_file: String,
}

/// The record under which the key's public half is to be published.
///
/// # Errors
/// None that a valid key could have.
pub fn dns_record(name: &KeyName, key: &Key) -> Result<DnsRecord, Unspecified> {
    let public = BASE64_STANDARD.encode(key.public()?);
    let value = format!("v=DKIM1; k={}; p={public}", key.algorithm().key_type());
    let name = format!("{}._domainkey.{}", name.selector, name.domain);
    let strings: Vec<String> = strings(&value).map(|s| format!("\"{s}\"")).collect();
    let zone_file = format!("{name}. IN TXT ( {} )", strings.join(" "));
    Ok(DnsRecord { name, value, zone_file })
}

/// ASCII text in pieces that fit.
fn strings(value: &str) -> impl Iterator<Item = &str> {
    (0..value.len()).step_by(STRING_MAX).map(|at| &value[at..value.len().min(at + STRING_MAX)])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mail::dkim::{Algorithm, generate};

    #[test]
    fn the_zone_file_s_strings_are_short_and_together_the_value() {
        assert_eq!(strings(&"a".repeat(255)).count(), 1);
        assert_eq!(strings(&"a".repeat(256)).map(str::len).collect::<Vec<_>>(), [255, 1]);
        let (key, _) = generate(Algorithm::Rsa).unwrap();
        let name = KeyName::new("paper.example", "s2026").unwrap();
        let DnsRecord { name, value, zone_file } = dns_record(&name, &key).unwrap();
        assert_eq!(name, "s2026._domainkey.paper.example");
        let inner = zone_file.strip_prefix("s2026._domainkey.paper.example. IN TXT ( \"").unwrap();
        let inner = inner.strip_suffix("\" )").unwrap();
        assert_eq!(inner.split("\" \"").map(str::len).collect::<Vec<_>>(), [255, value.len() - 255]);
        assert_eq!(inner.replace("\" \"", ""), value);
    }
}
