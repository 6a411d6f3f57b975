//! The keys that mails are signed with: where they are, and reading them.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind};
use crate::mail::dkim::{Key, KeyName, Signer};

/// Where a private key is, and under which name its public half is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Domain and selector.
    pub name: KeyName,
    /// A PEM file.
    pub file: PathBuf,
}

/// The longest RSA key has about 3,300 bytes as PEM; what is much larger is the wrong file.
const MAX_BYTES: u64 = 64 << 10;

/// Reads the keys. `None`: there are none, and mails are not signed.
///
/// # Errors
/// A file cannot be read or holds no key that can be used, or the keys do not go together. Nothing of a key is told.
pub fn signer(keys: &[KeyFile]) -> Result<Option<Signer>, Failure> {
    if keys.is_empty() {
        return Ok(None);
    }
    let read = keys.iter().map(|key| Ok((key.name.clone(), read(&key.file)?))).collect::<Result<_, Failure>>()?;
    let signer = Signer::new(read).map_err(|error| {
        Failure::new(Kind::Configuration, "the keys of `dkim:` do not go together")
            .because(error)
            .hint("name one RSA key, and if you like one Ed25519 key beside it, each with its own selector")
    })?;
    Ok(Some(signer))
}

fn read(file: &Path) -> Result<Key, Failure> {
    const WRONG: &str = "name the private key in `dkim: keys:`, as `pressrun dkim new` has written it";
    let failed = |cause: String, hint: &str| {
        Failure::new(
            Kind::Configuration,
            format!("the key that mails are signed with, {}, cannot be used", file.display()),
        )
        .because(cause)
        .hint(hint)
    };
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => failed(
            error.to_string(),
            "make a key with `pressrun dkim new` and publish its record, or put back the file that `dkim: keys:` names",
        ),
        _ => failed(error.to_string(), "the user who runs Pressrun must be allowed to read it, and nobody else"),
    };
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(failed("it is too large to be a key".into(), WRONG));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    Key::from_pem(&bytes).map_err(|error| failed(error.to_string(), WRONG))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mail::dkim::{Algorithm, generate};
    use secrecy::ExposeSecret as _;

    fn key(folder: &Path, selector: &str, algorithm: Algorithm) -> KeyFile {
        let file = folder.join(format!("{selector}.pem"));
        std::fs::write(&file, generate(algorithm).unwrap().1.expose_secret()).unwrap();
        KeyFile { name: KeyName::new("paper.example", selector).unwrap(), file }
    }

    #[test]
    fn one_key_of_each_kind_makes_a_signer_and_none_makes_none() {
        let folder = tempfile::tempdir().unwrap();
        let keys = [key(folder.path(), "ed", Algorithm::Ed25519), key(folder.path(), "rsa", Algorithm::Rsa)];
        assert_eq!(signer(&keys).unwrap().unwrap().names().count(), 2);
        assert!(signer(&[]).unwrap().is_none());
        let twice = [key(folder.path(), "a", Algorithm::Ed25519), key(folder.path(), "b", Algorithm::Ed25519)];
        assert!(signer(&twice).unwrap_err().because.unwrap().contains("two ed25519-sha256 keys"));
    }

    #[test]
    fn a_missing_or_wrong_file_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut key = key(folder.path(), "ed", Algorithm::Ed25519);
        for content in ["", "hunter2", &"x".repeat(100_000)] {
            std::fs::write(&key.file, content).unwrap();
            let failure = signer(std::slice::from_ref(&key)).unwrap_err();
            assert_eq!(failure.kind, Kind::Configuration);
            assert!(!failure.to_string().contains("hunter2") && failure.hint.unwrap().contains("dkim: keys:"));
        }
        key.file = folder.path().join("none.pem");
        assert!(signer(&[key]).unwrap_err().hint.unwrap().contains("pressrun dkim new"));
    }
}
