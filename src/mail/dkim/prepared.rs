//! Mails that differ only in places, prepared for signing each.

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};

use super::canonical::{BodyHasher, CRLF, Piece};
use super::{SignError, Signer, field};

/// Signs mails that differ only in places. Made once an edition, by [`Signer::prepare`]; any number of threads may use it.
pub struct Prepared {
    signer: Signer,
    /// The header's constants, the last without line end.
    header: Vec<Vec<u8>>,
    /// The tag `h=`: the same for all, or a value has brought a field.
    names: Vec<usize>,
    /// For each key: its field up to the value of `bh=`.
    begins: Vec<String>,
    /// The body up to the first value in it.
    body: BodyHasher,
    /// The body's constants after that.
    pieces: Vec<Piece>,
    /// SHA-256 of the signer, the time and the constants.
    digest: Context,
}

/// What is to be kept of a mail's signatures: 48 bytes, and 256 for RSA-2048, and 64 for Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// To be kept. The order is part of the format: fingerprint, body hash, signatures in the order of the fields.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// As kept. Whether it is one, [`Prepared::fields`] finds out.
impl From<Vec<u8>> for Signature {
    fn from(bytes: Vec<u8>) -> Self {
        Signature(bytes)
    }
}

/// Says of which bytes, keys and time a signature is.
const FINGERPRINT: usize = 16;

/// SHA-256.
const BODY_HASH: usize = 32;

impl Prepared {
    pub(super) fn new<'c>(
        signer: Signer,
        constants: impl IntoIterator<Item = &'c [u8]>,
        when: DateTime<Utc>,
    ) -> Result<Self, SignError> {
        let seconds = when.timestamp().max(0);
        let mut digest = Context::new(&SHA256);
        digest.update(b"pressrun dkim 1");
        digest.update(&signer.digest);
        digest.update(&seconds.to_be_bytes());
        let mut header = Vec::new();
        let mut body = BodyHasher::default();
        let mut pieces = Vec::new();
        let mut in_body = false;
        for constant in constants {
            length_and(constant, &mut digest);
            if in_body {
                pieces.push(Piece::new(constant)?);
            } else if let Some(end) = constant.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                header.push(constant[..end].to_vec());
                body.update(&constant[end + 4..]);
                in_body = true;
            } else {
                header.push(constant.to_vec());
            }
        }
        // A message may be all header.
        if let (false, Some(last)) = (in_body, header.last_mut())
            && last.ends_with(CRLF)
        {
            last.truncate(last.len() - CRLF.len());
        }
        let covered = field::cover(&header.concat())?;
        let begin = |(name, key)| field::begin(name, key, seconds, &covered.names);
        let begins = signer.keys.iter().map(|(name, key)| begin((name, key))).collect();
        Ok(Prepared { signer, header, names: covered.names, begins, body, pieces, digest })
    }

    /// Signs the mail with these values. Costs about 220 µs with RSA-2048, 10 µs with Ed25519.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, values: &[&[u8]]) -> Result<Signature, SignError> {
        if values.len() + 1 != self.header.len() + self.pieces.len() {
            return Err(SignError::Values);
        }
        let (header_values, body_values) = values.split_at(self.header.len() - 1);
        let mut header = Vec::with_capacity(2_048);
        for (i, constant) in self.header.iter().enumerate() {
            header.extend_from_slice(constant);
            header.extend_from_slice(header_values.get(i).copied().unwrap_or_default());
        }
        let covered = field::cover(&header)?;
        if covered.names != self.names || header.ends_with(b"\n") {
            return Err(SignError::Fields);
        }
        let mut body = self.body.clone();
        for (value, piece) in body_values.iter().zip(&self.pieces) {
            body.update(value);
            body.update_prepared(piece);
        }
        let body_hash = body.finish()?;

        let mut signature = self.fingerprint(values).to_vec();
        signature.extend_from_slice(&body_hash);
        let mut shared = Context::new(&SHA256);
        shared.update(&covered.canonical);
        let tail = field::body_hash(&body_hash);
        for (begin, (_, key)) in self.begins.iter().zip(self.signer.keys.iter()) {
            let mut hash = shared.clone();
            hash.update(&field::unsigned([begin, &tail]));
            key.sign(hash, &mut signature).map_err(|_| SignError::Key)?;
        }
        Ok(Signature(signature))
    }

    /// The header fields to put before the mail with these values, each with its line end. `None` where `signature` is not of
    /// these bytes, by these keys, with this time: then sign anew. Costs about a microsecond.
    pub fn fields(&self, values: &[&[u8]], signature: &Signature) -> Option<String> {
        let (fingerprint, rest) = signature.0.split_at_checked(FINGERPRINT)?;
        let (body_hash, mut signatures) = rest.split_at_checked(BODY_HASH)?;
        if fingerprint != self.fingerprint(values) {
            return None;
        }
        let tail = field::body_hash(body_hash.try_into().ok()?);
        let mut fields = String::with_capacity(1_024 * self.begins.len());
        for (begin, (_, key)) in self.begins.iter().zip(self.signer.keys.iter()) {
            let (bytes, others) = signatures.split_at_checked(key.signature_len())?;
            signatures = others;
            fields.push_str(begin);
            fields.push_str(&tail);
            field::signature(bytes, &mut fields);
        }
        signatures.is_empty().then_some(fields)
    }

    /// Both in one: the header fields, signed in line.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign_now(&self, values: &[&[u8]]) -> Result<String, SignError> {
        self.fields(values, &self.sign(values)?).ok_or(SignError::Key)
    }

    /// Says that a mail is of these constants and values, by this signer, at this time.
    fn fingerprint(&self, values: &[&[u8]]) -> [u8; FINGERPRINT] {
        let mut hash = self.digest.clone();
        for value in values {
            length_and(value, &mut hash);
        }
        let mut fingerprint = [0; FINGERPRINT];
        fingerprint.copy_from_slice(&hash.finish().as_ref()[..FINGERPRINT]);
        fingerprint
    }
}

fn length_and(part: &[u8], hash: &mut Context) {
    hash.update(&(part.len() as u64).to_be_bytes());
    hash.update(part);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mail::dkim::{Algorithm, Key, KeyName, generate};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
        let name = |selector| KeyName::new("paper.example", selector).unwrap();
        let key = |algorithm| generate(algorithm).unwrap().0;
        Signer::new(vec![(name("ed"), key(Algorithm::Ed25519)), (name("rsa"), key(Algorithm::Rsa))]).unwrap()
    });

    const CONSTANTS: [&[u8]; 4] = [
        b"From: desk@paper.example\r\nTo: ",
        b"\r\nSubject: News\r\nDate: Sun, 22 Nov 2026 06:00:00 +0000\r\n\r\nDear  ",
        b" \r\n\r\n  news.\r\n",
        b"\r\n \r\n",
    ];
    const VALUES: [&[u8]; 3] = [b"jane@reader.example", b"Jane", b"Bye. "];

    fn spliced(values: [&[u8]; 3]) -> Vec<u8> {
        let [a, b, c, d] = CONSTANTS;
        [a, values[0], b, values[1], c, values[2], d].concat()
    }

    fn when() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_327_200, 0).unwrap()
    }

    #[test]
    fn a_signature_can_be_kept_and_is_the_same_whenever_made() {
        let prepared = SIGNER.prepare(CONSTANTS, when()).unwrap();
        let ahead = prepared.sign(&VALUES).unwrap();
        assert_eq!(ahead.as_bytes().len(), 16 + 32 + 256 + 64);
        let kept = Signature::from(ahead.as_bytes().to_vec());
        let later = SIGNER.prepare(CONSTANTS, when()).unwrap();
        assert_eq!(later.fields(&VALUES, &kept).unwrap(), SIGNER.sign(&spliced(VALUES), when()).unwrap());
        assert_eq!(later.sign(&VALUES).unwrap(), ahead);
    }

    #[test]
    fn a_kept_signature_of_anything_else_is_not_used() {
        let prepared = SIGNER.prepare(CONSTANTS, when()).unwrap();
        let kept = prepared.sign(&VALUES).unwrap();
        for (i, value) in VALUES.iter().enumerate() {
            let changed = [value, &b"x"[..]].concat();
            let mut values = VALUES;
            values[i] = &changed;
            assert_eq!(prepared.fields(&values, &kept), None);
        }
        // What moves over a border leaves the bytes as they are, and is a stranger all the same.
        assert_eq!(prepared.fields(&[VALUES[0], b"JaneBye. ", b""], &kept), None);
        let mut constants = CONSTANTS;
        constants[3] = b"\r\n.\r\n";
        assert_eq!(SIGNER.prepare(constants, when()).unwrap().fields(&VALUES, &kept), None);
        let later = when() + chrono::TimeDelta::seconds(1);
        assert_eq!(SIGNER.prepare(CONSTANTS, later).unwrap().fields(&VALUES, &kept), None);
        let key: Key = generate(Algorithm::Ed25519).unwrap().0;
        let other = Signer::new(vec![(KeyName::new("paper.example", "ed").unwrap(), key)]).unwrap();
        assert_eq!(other.prepare(CONSTANTS, when()).unwrap().fields(&VALUES, &kept), None);
        for length in 0..kept.as_bytes().len() {
            let cut = Signature::from(kept.as_bytes()[..length].to_vec());
            assert_eq!(prepared.fields(&VALUES, &cut), None, "{length}");
        }
        let long = Signature::from([kept.as_bytes(), b"x"].concat());
        assert_eq!(prepared.fields(&VALUES, &long), None);
    }

    #[test]
    fn a_value_can_neither_add_a_signed_field_nor_end_the_header() {
        let prepared = SIGNER.prepare(CONSTANTS, when()).unwrap();
        let sign = |to: &[u8]| prepared.sign(&[to, VALUES[1], VALUES[2]]).map(drop);
        assert_eq!(sign(b"a@b.example,\r\n c@d.example"), Ok(()));
        assert_eq!(sign(b"a@b.example\r\nSubject: x"), Err(SignError::Fields));
        assert_eq!(sign(b"a@b.example\r\n\r\nx: "), Err(SignError::Header));
        assert_eq!(sign(b"a@b.example\nx"), Err(SignError::BareLineBreak));
        assert_eq!(prepared.sign(&VALUES[..2]).map(drop), Err(SignError::Values));
        let last: [&[u8]; 2] = [b"From: a@b.example\r\nTo: ", b"\r\n\r\nText\r\n"];
        let prepared = SIGNER.prepare(last, when()).unwrap();
        assert_eq!(prepared.sign(&[b"c@d.example\r\n"]).map(drop), Err(SignError::Fields));
    }

    #[test]
    fn a_message_that_cannot_be_signed_is_refused() {
        let sign = |message: &[u8]| SIGNER.sign(message, when()).map(drop);
        assert_eq!(sign(b"From: a\r\n"), Ok(()));
        assert_eq!(sign(b"From: a"), Ok(()));
        assert_eq!(sign(b"Subject: a\r\n\r\n"), Err(SignError::NoFrom));
        assert_eq!(sign(b""), Err(SignError::NoFrom));
        assert_eq!(sign(b"From: a\r\nno field\r\n\r\n"), Err(SignError::Header));
        assert_eq!(sign(b" From: a\r\n\r\n"), Err(SignError::Header));
        assert_eq!(sign(b"From: a\n\nText\n"), Err(SignError::BareLineBreak));
        assert_eq!(sign(b"From: a\r\n\r\nText\n"), Err(SignError::BareLineBreak));
    }

    proptest! {
        #[test]
        fn prepared_is_the_same_as_whole(
            name in "[ -~]{0,20}",
            bye in "(a|=| |\t|\r\n|é){0,20}",
        ) {
            let values = [VALUES[0], name.as_bytes(), bye.as_bytes()];
            let ed = Signer::new(vec![(KeyName::new("paper.example", "ed").unwrap(), generate(Algorithm::Ed25519).unwrap().0)]).unwrap();
            let prepared = ed.prepare(CONSTANTS, when()).unwrap();
            prop_assert_eq!(prepared.sign_now(&values).unwrap(), ed.sign(&spliced(values), when()).unwrap());
        }
    }
}
