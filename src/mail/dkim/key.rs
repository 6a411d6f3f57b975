//! Private keys: as files hold them, as new ones are made, and what they sign.

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use std::fmt;

/// The shortest RSA key, in bits. RFC 8301 asks for 2048, and providers advise it.
pub const RSA_BITS_MIN: usize = 2048;

/// The longest RSA key, in bits: the most that every verifier must be able to check (RFC 8301, section 3.2).
pub const RSA_BITS_MAX: usize = 4096;

/// The algorithms of RFC 6376 (as RFC 8301 left them) and RFC 8463.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `rsa-sha256`: every receiver checks it.
    Rsa,
    /// `ed25519-sha256`: small and fast, and not checked everywhere; a second signature.
    Ed25519,
}

impl Algorithm {
    /// As the tag `a=` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa-sha256",
            Algorithm::Ed25519 => "ed25519-sha256",
        }
    }

    /// As the tag `k=` of the DNS record names it.
    pub fn key_type(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa",
            Algorithm::Ed25519 => "ed25519",
        }
    }
}

/// A private key. Shows nothing of itself but its kind.
pub struct Key(Pair);

enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pair::Rsa(pair) => write!(f, "Key(rsa-sha256, {} bits)", pair.public_modulus_len() * 8),
            Pair::Ed25519(_) => f.write_str("Key(ed25519-sha256)"),
        }
    }
}

/// Why a file gives no key. Says nothing of the file's contents but of what kind they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no PEM block.
    #[error("this is no PEM file: there is no line `-----BEGIN PRIVATE KEY-----`")]
    NotPem,
    /// The block has no end, or what stands in it is not base64.
    #[error("the PEM block is damaged: its end is missing, or there are characters in it that are not base64")]
    Damaged,
    /// A passphrase is asked for.
    #[error("the key is encrypted; decrypt it first: `openssl pkey -in KEY.pem -out PLAIN.pem`")]
    Encrypted,
    /// The other half of the pair.
    #[error("this is a public key; signing needs the private one that was made with it")]
    Public,
    /// Some other file.
    #[error("this is a `{0}`; wanted is a private key as `pressrun dkim new` or `openssl genpkey` write it")]
    Other(String),
    /// An elliptic curve, DSA…
    #[error("DKIM has no signatures with this kind of key; it has RSA (RFC 6376) and Ed25519 (RFC 8463)")]
    Unsupported,
    /// Below [`RSA_BITS_MIN`].
    #[error("the RSA key is shorter than {RSA_BITS_MIN} bits, and receivers may refuse what it signs; make a new one")]
    TooShort,
    /// Above [`RSA_BITS_MAX`].
    #[error("the RSA key is longer than {RSA_BITS_MAX} bits, and receivers need not check what it signs")]
    TooLong,
    /// A PEM block whose contents are no valid key.
    #[error("the PEM block holds no valid key")]
    Invalid,
}

impl Key {
    /// Reads a PEM file: RSA as PKCS#8 or PKCS#1, Ed25519 as PKCS#8. Line ends of any kind, and text around the block.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = read_pem(file)?;
        match label {
            "PRIVATE KEY" => from_pkcs8(&der),
            "RSA PRIVATE KEY" => accept_rsa(RsaKeyPair::from_der(&der)),
            "EC PRIVATE KEY" | "EC PARAMETERS" | "DSA PRIVATE KEY" => Err(KeyError::Unsupported),
            _ => Err(KeyError::Invalid),
        }
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Pair::Rsa(_) => Algorithm::Rsa,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The public key as the tag `p=` holds it, before base64: `SubjectPublicKeyInfo` (RFC 6376, section 3.6.1), or the bare
    /// 32 bytes (RFC 8463, section 4).
    ///
    /// # Errors
    /// None that a valid key could have.
    pub fn public(&self) -> Result<Vec<u8>, Unspecified> {
        Ok(match &self.0 {
            Pair::Rsa(pair) => pair.public_key().as_der()?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        })
    }

    /// A signature's length in bytes.
    pub fn signature_len(&self) -> usize {
        match &self.0 {
            Pair::Rsa(pair) => pair.public_modulus_len(),
            Pair::Ed25519(_) => 64,
        }
    }

    /// Signs what was hashed, and appends the signature: PKCS #1 v1.5, or Ed25519 over the hash (RFC 8463, section 3).
    /// Both give the same for the same.
    pub(super) fn sign(&self, hashed: Context, out: &mut Vec<u8>) -> Result<(), Unspecified> {
        debug_assert_eq!(hashed.algorithm(), &SHA256);
        let hash = hashed.finish();
        match &self.0 {
            Pair::Rsa(pair) => {
                let begin = out.len();
                out.resize(begin + pair.public_modulus_len(), 0);
                pair.sign_digest(&RSA_PKCS1_SHA256, &hash, &mut out[begin..])
            }
            Pair::Ed25519(pair) => {
                out.extend_from_slice(pair.try_sign(hash.as_ref())?.as_ref());
                Ok(())
            }
        }
    }
}

/// Makes a key; RSA has [`RSA_BITS_MIN`] bits: no longer one fits all DNS providers, nor is any asked for. Answers it, and
/// the PEM file to keep (PKCS#8).
///
/// # Errors
/// The system gives no random numbers.
pub fn generate(algorithm: Algorithm) -> Result<(Key, SecretString), Unspecified> {
    Ok(match algorithm {
        Algorithm::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let pem = write_pem(pair.as_der()?.as_ref());
            (Key(Pair::Rsa(pair)), pem)
        }
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate()?;
            let pem = write_pem(pair.to_pkcs8v1()?.as_ref());
            (Key(Pair::Ed25519(pair)), pem)
        }
    })
}

/// Object identifier of RSA keys, `rsaEncryption` (RFC 8017, appendix C), as PKCS#8 holds it.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Object identifier of Ed25519 keys (RFC 8410, section 3).
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The algorithm's identifier stands within so many bytes of a PKCS#8 file's begin.
const IDENTIFIER_WITHIN: usize = 20;

fn from_pkcs8(der: &[u8]) -> Result<Key, KeyError> {
    let head = &der[..IDENTIFIER_WITHIN.min(der.len())];
    let is = |identifier: &[u8]| head.windows(identifier.len()).any(|bytes| bytes == identifier);
    if is(RSA_ENCRYPTION) {
        accept_rsa(RsaKeyPair::from_pkcs8(der))
    } else if is(ED25519) {
        Ed25519KeyPair::from_pkcs8(der).map(|pair| Key(Pair::Ed25519(pair))).map_err(|_| KeyError::Invalid)
    } else if der.first() == Some(&0x30) {
        Err(KeyError::Unsupported)
    } else {
        Err(KeyError::Invalid)
    }
}

fn accept_rsa(pair: Result<RsaKeyPair, KeyRejected>) -> Result<Key, KeyError> {
    match pair {
        Ok(pair) if pair.public_modulus_len() * 8 > RSA_BITS_MAX => Err(KeyError::TooLong),
        Ok(pair) => Ok(Key(Pair::Rsa(pair))),
        Err(rejected) => Err(match rejected.description_() {
            "TooSmall" => KeyError::TooShort,
            "TooLarge" => KeyError::TooLong,
            _ => KeyError::Invalid,
        }),
    }
}

/// The first block of a PEM file (RFC 7468): its label, and its bytes.
fn read_pem(file: &[u8]) -> Result<(&str, Zeroizing<Vec<u8>>), KeyError> {
    let text = std::str::from_utf8(file).map_err(|_| KeyError::NotPem)?;
    let (_, begun) = text.split_once("-----BEGIN ").ok_or(KeyError::NotPem)?;
    let (label, block) = begun.split_once("-----").ok_or(KeyError::Damaged)?;
    let (block, _) = block.split_once("-----END ").ok_or(KeyError::Damaged)?;
    match label {
        "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => return Err(KeyError::Public),
        _ if block.contains(",ENCRYPTED") => return Err(KeyError::Encrypted),
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "EC PARAMETERS" | "DSA PRIVATE KEY" => {}
        other => return Err(KeyError::Other(other.chars().take(40).filter(|c| !c.is_control()).collect())),
    }
    let base64: Zeroizing<String> = Zeroizing::new(block.split_ascii_whitespace().collect());
    let der = BASE64_STANDARD.decode(base64.as_bytes()).map_err(|_| KeyError::Damaged)?;
    Ok((label, Zeroizing::new(der)))
}

/// A PKCS#8 key as a PEM file.
fn write_pem(pkcs8: &[u8]) -> SecretString {
    /// RFC 7468, section 2.
    const LINE: usize = 64;
    let base64 = Zeroizing::new(BASE64_STANDARD.encode(pkcs8));
    let mut pem = String::with_capacity(base64.len() + base64.len() / LINE + 64);
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE.min(rest.len()));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_new_key_is_read_back() {
        for (algorithm, signature_len) in [(Algorithm::Rsa, 256), (Algorithm::Ed25519, 64)] {
            let (key, pem) = generate(algorithm).unwrap();
            let pem = pem.expose_secret();
            assert!(pem.lines().all(|line| line.len() <= 64));
            for written in [pem.to_owned(), pem.replace('\n', "\r\n"), format!("# mine\n{pem}\n\n")] {
                let read = Key::from_pem(written.as_bytes()).unwrap();
                assert_eq!(read.algorithm(), algorithm);
                assert_eq!(read.signature_len(), signature_len);
                assert_eq!(read.public(), key.public());
            }
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused_by_name() {
        let block = |label: &str, inner: &str| format!("-----BEGIN {label}-----\n{inner}\n-----END {label}-----\n");
        for (file, error) in [
            (String::new(), KeyError::NotPem),
            ("nothing".into(), KeyError::NotPem),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n".into(), KeyError::Damaged),
            ("-----BEGIN PRIVATE KEY".into(), KeyError::Damaged),
            (block("PRIVATE KEY", "A*"), KeyError::Damaged),
            (block("PRIVATE KEY", ""), KeyError::Invalid),
            (block("PRIVATE KEY", "AAAA"), KeyError::Invalid),
            (block("RSA PRIVATE KEY", "AAAA"), KeyError::Invalid),
            (block("PUBLIC KEY", "AAAA"), KeyError::Public),
            (block("ENCRYPTED PRIVATE KEY", "AAAA"), KeyError::Encrypted),
            (block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nAAAA"), KeyError::Encrypted),
            (block("CERTIFICATE", "AAAA"), KeyError::Other("CERTIFICATE".into())),
            (block("EC PRIVATE KEY", "AAAA"), KeyError::Unsupported),
        ] {
            assert_eq!(Key::from_pem(file.as_bytes()).map(drop), Err(error), "{file}");
        }
        assert_eq!(Key::from_pem(&[0x30, 0x82, 0xff]).map(drop), Err(KeyError::NotPem));
    }

    #[test]
    fn neither_errors_nor_debugging_show_the_key() {
        let (key, pem) = generate(Algorithm::Ed25519).unwrap();
        assert_eq!(format!("{key:?}"), "Key(ed25519-sha256)");
        let damaged = pem.expose_secret().replace("-----END", "!-----END");
        let told = format!("{0} {0:?}", Key::from_pem(damaged.as_bytes()).map(drop).unwrap_err());
        let secret = pem.expose_secret().lines().nth(1).unwrap();
        assert!(!told.contains(&secret[secret.len() - 8..]), "{told}");
    }

    #[test]
    fn a_key_with_a_flipped_bit_is_refused_or_another() {
        let (key, pem) = generate(Algorithm::Rsa).unwrap();
        let base64: String = pem.expose_secret().lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(base64).unwrap();
        for at in (0..der.len()).step_by(97) {
            let mut changed = der.clone();
            changed[at] ^= 4;
            let read = Key::from_pem(write_pem(&changed).expose_secret().as_bytes());
            assert!(read.map_or(true, |read| read.public() != key.public()), "byte {at}");
        }
    }
}
