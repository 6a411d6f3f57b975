//! Short hashes that tell a changed text from an unchanged one, on every machine and in every version.

use aws_lc_rs::digest::{Context, SHA256};

/// The first 64 bits of SHA-256 over the parts, each with its length.
pub fn fingerprint<const N: usize>(parts: [&[u8]; N]) -> u64 {
    let mut hash = Context::new(&SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    first_bits(hash)
}

/// Of a body without its line ends' form and without space at its ends: a checkout on another system is the same text.
pub fn of_body(body: &str) -> Option<u64> {
    let body = body.trim();
    if body.is_empty() {
        return None;
    }
    let mut hash = Context::new(&SHA256);
    for part in body.split('\r') {
        hash.update(part.as_bytes());
    }
    Some(first_bits(hash))
}

fn first_bits(hash: Context) -> u64 {
    hash.finish().as_ref().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}
