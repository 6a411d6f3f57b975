//! Numbers in return paths (VERP): short, and in letters that survive mail servers which change upper to lower case.
//!
//! ```text
//! token  = base32 (RFC 4648 section 6) in small letters, of: key number (1) | tag (16) | hidden (8)    40 characters
//! tag    = HMAC(sign key, key number | number), its first 16 octets
//! hidden = number XOR HMAC(hide key, key number | tag)
//! ```
//!
//! The keys are derived from those of links, under labels of their own: a link's token is worth nothing here.

use aws_lc_rs::{constant_time, hmac};

use super::{InvalidToken, Keys, TAG, first, hmac_of};

/// Characters of every such token: of an address's 64 (RFC 5321 section 4.5.3.1.1) it leaves 24.
pub const LENGTH: usize = OCTETS / 5 * 8;

const NUMBER: usize = 8;
const OCTETS: usize = 1 + TAG + NUMBER;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

pub(super) struct Key {
    pub(super) sign: hmac::Key,
    pub(super) hide: hmac::Key,
}

impl Key {
    fn veil(&self, number: u8, tag: [u8; TAG], mut content: [u8; NUMBER]) -> [u8; NUMBER] {
        let stream = hmac_of(&self.hide, number, &tag);
        content.iter_mut().zip(stream.as_ref()).for_each(|(octet, mask)| *octet ^= mask);
        content
    }
}

impl Keys {
    /// The token of a number (of a delivery, in the ledger), [`LENGTH`] characters of a–z and 2–7.
    pub fn sign_return(&self, number: i64) -> String {
        let (version, key) = (self.newest.0, &self.newest.1.returning);
        let content = number.to_be_bytes();
        let tag = first(hmac_of(&key.sign, version, &content));
        let mut token = [0; OCTETS];
        token[0] = version;
        token[1..=TAG].copy_from_slice(&tag);
        token[1 + TAG..].copy_from_slice(&key.veil(version, tag, content));
        encode(token)
    }

    /// The number that a token stands for, whatever the case of its letters. Compares in constant time.
    ///
    /// # Errors
    /// It is none of ours, or its key is gone: see [`InvalidToken`].
    pub fn verify_return(&self, token: &str) -> Result<i64, InvalidToken> {
        let octets = decode(token).ok_or(InvalidToken)?;
        let key = &self.key(octets[0])?.returning;
        let (mut tag, mut hidden) = ([0; TAG], [0; NUMBER]);
        tag.copy_from_slice(&octets[1..=TAG]);
        hidden.copy_from_slice(&octets[1 + TAG..]);
        let content = key.veil(octets[0], tag, hidden);
        let wanted: [u8; TAG] = first(hmac_of(&key.sign, octets[0], &content));
        constant_time::verify_slices_are_equal(&wanted, &tag).map_err(|_| InvalidToken)?;
        Ok(i64::from_be_bytes(content))
    }
}

/// Five octets are eight characters, so there is nothing to fill up.
fn encode(octets: [u8; OCTETS]) -> String {
    let mut text = String::with_capacity(LENGTH);
    for five in octets.chunks_exact(5) {
        let bits = five.iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        text.extend((0..8).rev().map(|place| char::from(ALPHABET[usize::from(low_five(bits >> (place * 5)))])));
    }
    text
}

fn low_five(bits: u64) -> u8 {
    u8::try_from(bits & 31).unwrap_or_default()
}

fn decode(text: &str) -> Option<[u8; OCTETS]> {
    if text.len() != LENGTH {
        return None;
    }
    let mut octets = [0; OCTETS];
    for (eight, five) in text.as_bytes().chunks_exact(8).zip(octets.chunks_exact_mut(5)) {
        let mut bits = 0_u64;
        for character in eight {
            let value = ALPHABET.iter().position(|known| *known == character.to_ascii_lowercase())?;
            bits = bits << 5 | u64::try_from(value).ok()?;
        }
        five.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(octets)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{About, Grant, KEY_OCTETS, Purpose};
    use super::*;
    use crate::subscriber::SubscriberId;
    use proptest::prelude::*;

    fn keys() -> Keys {
        Keys::fresh(std::array::from_fn(|place| u8::try_from(place).unwrap()))
    }

    #[test]
    fn a_token_is_short_small_and_survives_capitals() {
        let token = keys().sign_return(4711);
        assert_eq!(token.len(), LENGTH);
        assert_eq!(LENGTH, 40);
        assert!(token.bytes().all(|b| ALPHABET.contains(&b)), "{token}");
        assert_eq!(keys().verify_return(&token.to_uppercase()), Ok(4711));
    }

    #[test]
    fn the_form_never_changes() {
        // Made with Python's hmac and base64.b32encode: what is on its way must be understood after an update.
        assert_eq!(keys().sign_return(4711), "ahsoxfzmapsxtcpdsgcagbektbgcgu3sf2jpowyw");
    }

    #[test]
    fn every_changed_character_is_refused() {
        let token = keys().sign_return(7);
        for place in 0..LENGTH {
            for other in b"abcdefghijklmnopqrstuvwxyz234567018=-" {
                let mut forged = token.clone().into_bytes();
                if forged[place] == *other {
                    continue;
                }
                forged[place] = *other;
                assert_eq!(keys().verify_return(&String::from_utf8(forged).unwrap()), Err(InvalidToken));
            }
        }
    }

    #[test]
    fn cut_lengthened_and_other_tokens_are_refused() {
        let token = keys().sign_return(7);
        for text in ["", &token[1..], &format!("{token}a"), &"é".repeat(20)] {
            assert_eq!(keys().verify_return(text), Err(InvalidToken), "{text}");
        }
        assert_eq!(Keys::fresh([9; KEY_OCTETS]).verify_return(&token), Err(InvalidToken));
        let link = keys().sign(Purpose::Unsubscribe, Grant { subscriber: SubscriberId(7), about: About::Everything });
        assert_eq!(keys().verify_return(&link[..LENGTH]), Err(InvalidToken));
    }

    #[test]
    fn what_an_older_key_signed_is_known_until_that_key_is_taken_out() {
        let mut keys = keys();
        let old = keys.sign_return(7);
        keys.rotate(std::array::from_fn(|place| u8::try_from(place + 100).unwrap())).unwrap();
        assert_ne!(keys.sign_return(7), old);
        assert_eq!(keys.verify_return(&old), Ok(7));
    }

    proptest! {
        #[test]
        fn every_number_comes_back(number: i64) {
            prop_assert_eq!(keys().verify_return(&keys().sign_return(number)), Ok(number));
        }
    }
}
