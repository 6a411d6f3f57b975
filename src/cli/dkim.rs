//! `pressrun dkim`.

use secrecy::ExposeSecret;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Common, Done, output};
use crate::error::{Failure, Kind};
use crate::mail::dkim::{Algorithm, DnsRecord, KeyName, dns_record, generate};

/// Arguments of `pressrun dkim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key that mails are signed with, and print the DNS record to publish
    New(New),
}

/// Arguments of `pressrun dkim new`.
#[derive(Debug, clap::Args)]
struct New {
    /// The domain that answers for the mails: that of the senders' addresses
    #[arg(long)]
    domain: String,
    /// A name for the key, not used before: the year and month, say
    #[arg(long)]
    selector: String,
    /// Make an Ed25519 key instead of RSA-2048: good beside an RSA key, not alone
    #[arg(long)]
    ed25519: bool,
    /// The folder to write the private key into
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// Makes keys.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let Command::New(new) = &arguments.command;
    let name = KeyName::new(&new.domain, &new.selector)
        .map_err(|error| Failure::new(Kind::Usage, "no key was made").because(error))?;
    let (file, record) = make(new, &name)?;
    output::event(common, &json!({ "event": "key", "file": file, "record": record }));
    if !common.json {
        output::text(told(&file, &record, new.ed25519));
    }
    Ok(())
}

/// Makes the key and writes its file.
fn make(new: &New, name: &KeyName) -> Result<(PathBuf, DnsRecord), Failure> {
    let broken = |error| Failure::new(Kind::Bug, "no key was made").because(error);
    let (key, pem) = generate(if new.ed25519 { Algorithm::Ed25519 } else { Algorithm::Rsa }).map_err(broken)?;
    let record = dns_record(name, &key).map_err(broken)?;
    let file = new.to.join(format!("{}.{}.pem", name.selector(), name.domain()));
    write_private(&file, pem.expose_secret()).map_err(|error| {
        let told =
            |kind| Failure::new(kind, format!("the key cannot be written to {}", file.display())).because(&error);
        if error.kind() == io::ErrorKind::AlreadyExists {
            told(Kind::Usage)
                .hint("keys are never overwritten; choose another --selector: a new key needs a new one anyway")
        } else {
            told(Kind::Unavailable)
        }
    })?;
    Ok((file, record))
}

/// Writes a new file that only its owner may read. Never touches one that is there.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file)?;
    let written = opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all());
    if written.is_err() {
        // Half a key is none, and would stand in the way of the next try.
        let _ = fs::remove_file(file);
    }
    written
}

/// What a person does next.
fn told(file: &Path, record: &DnsRecord, ed25519: bool) -> String {
    let second = if ed25519 { "\n\nMany receivers check RSA only: sign with an RSA key too." } else { "" };
    format!(
        "The private key is in {}; keep it there, and back it up as you do passwords.\n\n\
         1. Publish this TXT record. Name:\n\n{}\n\n   Value, in one piece:\n\n{}\n\n   Or as a line for a zone file:\n\n{}\n\n\
         2. When `dig TXT {}` shows it, name the key in the configuration.\n\
         3. If there was another key, let its record stand until its last mails are delivered: a week is plenty.{second}",
        file.display(),
        record.name,
        record.value,
        record.zone_file,
        record.name,
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mail::dkim::Key;

    fn new(folder: &Path, ed25519: bool) -> (New, KeyName) {
        let new = New { domain: "paper.example".into(), selector: "s2026".into(), ed25519, to: folder.join("keys") };
        let name = KeyName::new(&new.domain, &new.selector).unwrap();
        (new, name)
    }

    #[test]
    fn a_new_key_is_its_owners_only_and_fits_the_record() {
        for (ed25519, algorithm) in [(false, Algorithm::Rsa), (true, Algorithm::Ed25519)] {
            let folder = tempfile::tempdir().unwrap();
            let (new, name) = new(folder.path(), ed25519);
            let (file, record) = make(&new, &name).unwrap();
            assert_eq!(file, folder.path().join("keys/s2026.paper.example.pem"));
            let key = Key::from_pem(&fs::read(&file).unwrap()).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(dns_record(&name, &key).unwrap(), record);
            #[cfg(unix)]
            assert_eq!(
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777,
                0o600
            );
            let told = told(&file, &record, ed25519);
            let secret = fs::read_to_string(&file).unwrap();
            assert!(told.contains(&record.value) && !secret.lines().any(|line| told.contains(line)));
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (new, name) = new(folder.path(), true);
        let (file, _) = make(&new, &name).unwrap();
        let before = fs::read(&file).unwrap();
        let failure = make(&new, &name).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.hint.unwrap().contains("--selector"));
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}
