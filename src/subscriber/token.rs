//! Signed links.
//!
//! A token says: *this purpose, this subscriber, about this*. It is signed with HMAC-SHA-256 (RFC 2104) and made so that
//! nothing in it can be read or counted: the signature is also the nonce under which the content is hidden, the synthetic-IV
//! construction of RFC 5297 with HMAC in both places. The same content always gives the same token, so a mail that is sent
//! again is the same mail. It never expires by itself: what a token may do is for the ledger to say.
//!
//! ```text
//! token   = base64url, without padding, of: key number (1) | tag (16) | hidden (17)          46 characters
//! content = purpose (1) | subscriber (8) | about (8)
//! tag     = HMAC(sign key, key number | content), its first 16 octets
//! hidden  = content XOR HMAC(hide key, key number | tag)
//! ```

// Numbers in return paths.
mod returning;

pub use returning::LENGTH as RETURN_LENGTH;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::key_ring::{KEY_NAME, KeyNames};
use super::subscription::SubscriberId;

/// Characters of every token.
pub const LENGTH: usize = 46;
/// Octets of a key.
pub const KEY_OCTETS: usize = 32;

const CONTENT: usize = 1 + 8 + 8;
/// Half of SHA-256's output: the least that RFC 2104 (section 5) advises, and as hard to guess as an AES key.
const TAG: usize = 16;
const OCTETS: usize = 1 + TAG + CONTENT;

/// What a link may do. A token for one purpose is worth nothing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Turns a pending subscription into a confirmed one.
    Confirm,
    /// Ends a subscription.
    Unsubscribe,
    /// Opens the page on which a reader changes what she gets.
    Preferences,
    /// Opens an edition in the browser.
    View,
}

/// What a link is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// All that the subscriber has.
    Everything,
    /// One digest.
    Digest(DigestMark),
    /// One edition, by its number in the ledger.
    Edition(i64),
    /// One request, by its number in the ledger.
    Request(i64),
}

/// A digest's slug in eight octets: a token has no room for the slug itself. Compare it with the marks of the digests
/// there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DigestMark([u8; 8]);

impl DigestMark {
    /// The mark of the digest with this slug.
    pub fn of(slug: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, slug.as_bytes());
        let mut mark = [0; 8];
        mark.copy_from_slice(&hash.as_ref()[..8]);
        Self(mark)
    }
}

impl About {
    /// About the digest with this slug.
    pub fn digest(slug: &str) -> Self {
        Self::Digest(DigestMark::of(slug))
    }
}

/// What a token says, once its signature has been found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Who.
    pub subscriber: SubscriberId,
    /// About what.
    pub about: About,
}

/// The token is none of ours: forged, cut, for another purpose, or signed with a key that is gone. On purpose it does not
/// say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this link is not valid")]
pub struct InvalidToken;

/// Why a text holds no keys. Never holds any part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A line is not `NUMBER:KEY`.
    #[error("line {0} is not a number from 0 to 255, a colon, and 32 octets in base64")]
    Line(usize),
    /// A key that anybody could guess.
    #[error("the key in line {0} is a placeholder: it repeats one octet")]
    Weak(usize),
    /// Two keys have the same number.
    #[error("line {0} has the number of a key above it")]
    Twice(usize),
    /// No key at all.
    #[error("there is no key")]
    Empty,
    /// The 256th key.
    #[error("all 256 numbers are taken; take the oldest keys out")]
    Full,
}

/// The keys of this newsroom: the one with the highest number signs, all of them verify. So a key is replaced by adding one,
/// and links in old mails go on working until the old key is taken out.
pub struct Keys {
    newest: (u8, Key),
    older: BTreeMap<u8, Key>,
}

struct Key {
    octets: SecretBox<[u8; KEY_OCTETS]>,
    sign: hmac::Key,
    hide: hmac::Key,
    returning: returning::Key,
    form: hmac::Key,
    name: [u8; KEY_NAME],
}

impl Key {
    fn new(octets: [u8; KEY_OCTETS]) -> Self {
        // One secret, two independent keys (the expand step of RFC 5869 for outputs of one block).
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &octets);
        let derive = |label: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, label).as_ref());
        let (sign, hide) = (derive(b"pressrun link sign\x01"), derive(b"pressrun link hide\x01"));
        let returning =
            returning::Key { sign: derive(b"pressrun return sign\x01"), hide: derive(b"pressrun return hide\x01") };
        let form = derive(b"pressrun form stamp\x01");
        let name = first(hmac::sign(&secret, b"pressrun link name\x01"));
        Self { octets: SecretBox::new(Box::new(octets)), sign, hide, returning, form, name }
    }

    fn tag(&self, number: u8, content: [u8; CONTENT]) -> [u8; TAG] {
        first(hmac_of(&self.sign, number, &content))
    }

    /// Hides and reveals: the same step in both directions.
    fn veil(&self, number: u8, tag: [u8; TAG], mut content: [u8; CONTENT]) -> [u8; CONTENT] {
        let stream = hmac_of(&self.hide, number, &tag);
        content.iter_mut().zip(stream.as_ref()).for_each(|(octet, mask)| *octet ^= mask);
        content
    }
}

fn hmac_of(key: &hmac::Key, number: u8, data: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&[number]);
    context.update(data);
    context.sign()
}

fn first<const N: usize>(tag: hmac::Tag) -> [u8; N] {
    let mut octets = [0; N];
    octets.copy_from_slice(&tag.as_ref()[..N]);
    octets
}

impl Keys {
    /// The first key of a newsroom, made of 32 octets of the system's randomness.
    pub fn fresh(random: [u8; KEY_OCTETS]) -> Self {
        Self { newest: (1, Key::new(random)), older: BTreeMap::new() }
    }

    /// With what the pages sign the time in their forms, the newest first: that signs, all verify.
    pub fn of_forms(&self) -> Vec<hmac::Key> {
        std::iter::once(&self.newest.1).chain(self.older.values().rev()).map(|key| key.form.clone()).collect()
    }

    /// Adds a key that signs from now on; the others go on verifying.
    ///
    /// # Errors
    /// [`KeysError::Full`] when 255 is taken.
    pub fn rotate(&mut self, random: [u8; KEY_OCTETS]) -> Result<(), KeysError> {
        let next = self.newest.0.checked_add(1).ok_or(KeysError::Full)?;
        let (number, key) = std::mem::replace(&mut self.newest, (next, Key::new(random)));
        self.older.insert(number, key);
        Ok(())
    }

    /// Reads what [`Keys::to_text`] writes: a line a key, `NUMBER:BASE64`; empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// With the number of the line.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys = BTreeMap::new();
        for (line, written) in (1..).zip(text.lines().map(str::trim)) {
            if written.is_empty() || written.starts_with('#') {
                continue;
            }
            let (number, key) = written.split_once(':').ok_or(KeysError::Line(line))?;
            let number: u8 = number.trim().parse().map_err(|_| KeysError::Line(line))?;
            let octets = STANDARD.decode(key.trim()).map_err(|_| KeysError::Line(line))?;
            let octets: [u8; KEY_OCTETS] = octets.try_into().map_err(|_| KeysError::Line(line))?;
            if octets.iter().all(|octet| *octet == octets[0]) {
                return Err(KeysError::Weak(line));
            }
            if keys.insert(number, Key::new(octets)).is_some() {
                return Err(KeysError::Twice(line));
            }
        }
        let newest = keys.pop_last().ok_or(KeysError::Empty)?;
        Ok(Self { newest, older: keys })
    }

    /// The keys as a file keeps them, newest last. Only its owner may read that file.
    pub fn to_text(&self) -> SecretString {
        let mut text = String::from(
            "# Keys of the links in mails. The highest number signs, all verify: take one out only when the links\n# of its time may die.\n",
        );
        for (number, key) in self.older.iter().chain([(&self.newest.0, &self.newest.1)]) {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{number}:{}", STANDARD.encode(key.octets.expose_secret()));
        }
        text.into()
    }

    /// By what a ledger knows them again.
    pub fn names(&self) -> KeyNames {
        let newest = (self.newest.0, self.newest.1.name);
        self.older.iter().map(|(number, key)| (*number, key.name)).chain([newest]).collect()
    }

    /// The token for a link, [`LENGTH`] characters that may stand anywhere in an address.
    pub fn sign(&self, purpose: Purpose, grant: Grant) -> String {
        let (number, key) = (self.newest.0, &self.newest.1);
        let content = pack(purpose, grant);
        let tag = key.tag(number, content);
        let mut token = [0; OCTETS];
        token[0] = number;
        token[1..=TAG].copy_from_slice(&tag);
        token[1 + TAG..].copy_from_slice(&key.veil(number, tag, content));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What a token for `purpose` grants. Compares in constant time.
    ///
    /// # Errors
    /// One for everything: see [`InvalidToken`].
    pub fn verify(&self, purpose: Purpose, token: &str) -> Result<Grant, InvalidToken> {
        if token.len() != LENGTH {
            return Err(InvalidToken);
        }
        let octets = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken)?;
        let octets: [u8; OCTETS] = octets.try_into().map_err(|_| InvalidToken)?;
        let number = octets[0];
        let key = self.key(number)?;
        let (mut tag, mut hidden) = ([0; TAG], [0; CONTENT]);
        tag.copy_from_slice(&octets[1..=TAG]);
        hidden.copy_from_slice(&octets[1 + TAG..]);
        let content = key.veil(number, tag, hidden);
        constant_time::verify_slices_are_equal(&key.tag(number, content), &tag).map_err(|_| InvalidToken)?;
        unpack(purpose, content)
    }

    fn key(&self, number: u8) -> Result<&Key, InvalidToken> {
        let key = if number == self.newest.0 { Some(&self.newest.1) } else { self.older.get(&number) };
        key.ok_or(InvalidToken)
    }
}

/// Shows which numbers there are, and no key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.older.keys()).entry(&self.newest.0).finish()
    }
}

fn purpose_number(purpose: Purpose) -> u8 {
    // Part of every link ever sent: never renumber.
    match purpose {
        Purpose::Confirm => 1,
        Purpose::Unsubscribe => 2,
        Purpose::Preferences => 3,
        Purpose::View => 4,
    }
}

/// Purpose in the low half of the first octet, the kind of `about` in the high half.
fn pack(purpose: Purpose, grant: Grant) -> [u8; CONTENT] {
    let (kind, about) = match grant.about {
        About::Everything => (0, [0; 8]),
        About::Digest(DigestMark(mark)) => (1, mark),
        About::Edition(number) => (2, number.to_be_bytes()),
        About::Request(number) => (3, number.to_be_bytes()),
    };
    let mut content = [0; CONTENT];
    content[0] = purpose_number(purpose) | kind << 4;
    content[1..9].copy_from_slice(&grant.subscriber.0.to_be_bytes());
    content[9..].copy_from_slice(&about);
    content
}

fn unpack(purpose: Purpose, content: [u8; CONTENT]) -> Result<Grant, InvalidToken> {
    let (mut subscriber, mut about) = ([0; 8], [0; 8]);
    subscriber.copy_from_slice(&content[1..9]);
    about.copy_from_slice(&content[9..]);
    if content[0] & 0x0f != purpose_number(purpose) {
        return Err(InvalidToken);
    }
    let about = match content[0] >> 4 {
        0 => About::Everything,
        1 => About::Digest(DigestMark(about)),
        2 => About::Edition(i64::from_be_bytes(about)),
        3 => About::Request(i64::from_be_bytes(about)),
        _ => return Err(InvalidToken),
    };
    Ok(Grant { subscriber: SubscriberId(i64::from_be_bytes(subscriber)), about })
}

#[cfg(test)]
mod tests;
