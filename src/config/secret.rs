//! Passwords, from the environment or a file; never from the configuration itself.

use secrecy::SecretString;
use std::path::Path;

use crate::error::{Failure, Kind};

/// The environment's name of the relay's password.
pub const SMTP_PASSWORD: &str = "PRESSRUN_SMTP_PASSWORD";
/// The environment's name of the password of the mailbox of returned mail.
pub const IMAP_PASSWORD: &str = "PRESSRUN_IMAP_PASSWORD";
/// The environment's name of the password of the ledger's database.
pub const LEDGER_PASSWORD: &str = "PRESSRUN_LEDGER_PASSWORD";
/// A password's file holds the password and at most a line end; more is the wrong file.
const MAX_BYTES: u64 = 4096;

/// The relay's password: the environment's where it is set, otherwise the file's.
///
/// # Errors
/// There is neither, or the file cannot be read. The text never shows the password.
pub fn smtp_password(environment: Option<&SecretString>, file: Option<&Path>) -> Result<SecretString, Failure> {
    password(environment, file, || {
        Failure::new(Kind::Configuration, "the mail server's password is missing")
            .because("`transport` names a user, and neither the environment nor the configuration says where the password is")
            .hint(format!("Set {SMTP_PASSWORD}, or name a file that holds it with `smtp: password_file:`."))
    })
}

/// As [`smtp_password`]: that of the mailbox of returned mail.
///
/// # Errors
/// As [`smtp_password`].
pub fn imap_password(environment: Option<&SecretString>, file: Option<&Path>) -> Result<SecretString, Failure> {
    password(environment, file, || {
        Failure::new(Kind::Configuration, "the password of the mailbox of returned mail is missing")
            .because("`returns: inbox:` names a server, and neither the environment nor the configuration says where the password is")
            .hint(format!("Set {IMAP_PASSWORD}, or name a file that holds it with `returns: password_file:`."))
    })
}

fn password(
    environment: Option<&SecretString>,
    file: Option<&Path>,
    missing: impl FnOnce() -> Failure,
) -> Result<SecretString, Failure> {
    if let Some(password) = environment {
        return Ok(password.clone());
    }
    let Some(file) = file else { return Err(missing()) };
    in_file(file)
}

/// The password of the ledger's database: the environment's where it is set, otherwise the file's; `None` where there is
/// neither, for a server that knows us by other means.
///
/// # Errors
/// The file cannot be read. The text never shows the password.
pub fn ledger_password(
    environment: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, Failure> {
    match (environment, file) {
        (Some(password), _) => Ok(Some(password.clone())),
        (None, Some(file)) => in_file(file).map(Some),
        (None, None) => Ok(None),
    }
}

/// The password that a file holds.
fn in_file(file: &Path) -> Result<SecretString, Failure> {
    let failed = |cause: String| {
        Failure::new(Kind::Configuration, format!("the password's file, {}, cannot be used", file.display()))
            .because(cause)
            .hint("It holds nothing but the password, and the user who runs Pressrun may read it.")
    };
    let size = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(failed("it is too large to be a password".into()));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() || password.contains(char::is_control) {
        return Err(failed("it is empty, or has more than one line".into()));
    }
    Ok(SecretString::from(password.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn the_environment_goes_before_the_file_and_a_line_end_is_no_part_of_a_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "from file\r\n").unwrap();
        let environment = SecretString::from("from environment".to_owned());
        assert_eq!(smtp_password(Some(&environment), Some(&file)).unwrap().expose_secret(), "from environment");
        assert_eq!(smtp_password(None, Some(&file)).unwrap().expose_secret(), "from file");
    }

    #[test]
    fn a_missing_or_wrong_file_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        for content in ["", "\n", "two\nlines", &"x".repeat(5000)] {
            std::fs::write(&file, content).unwrap();
            let failure = smtp_password(None, Some(&file)).unwrap_err().to_string();
            assert!(!failure.contains("two"), "{failure}");
        }
        assert!(smtp_password(None, Some(&folder.path().join("none"))).is_err());
        assert!(smtp_password(None, None).unwrap_err().hint.unwrap().contains(SMTP_PASSWORD));
    }
}
