//! The secrets that stand beside the ledger, each in a file that only its owner may read, made when it is missing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::context::{Context, Store};
use super::failures;
use crate::error::{Failure, Kind};
use crate::subscriber::ErasureKey;
use crate::subscriber::key_ring::{KeyNames, KeyRing as _};
use crate::subscriber::token::Keys;

/// The keys that sign the links in mails.
pub(crate) fn links(context: &Context) -> Result<Keys, Failure> {
    let path = beside_the_ledger(context, "link.keys");
    let text = kept(&path, || Ok(Keys::fresh(random()?).to_text()))?;
    Keys::parse(text.expose_secret()).map_err(|e| {
        Failure::new(Kind::Configuration, format!("the keys in {} cannot be used", context.shown(&path)))
            .because(e)
            .hint("put back a backup: without these keys no link in older mails works")
    })
}

/// The key by which a ledger remembers whom it has forgotten.
pub(crate) fn erasure(context: &Context) -> Result<ErasureKey, Failure> {
    let path = beside_the_ledger(context, "erasure.key");
    let text = kept(&path, || Ok(SecretString::from(STANDARD.encode(random::<32>()?))))?;
    ErasureKey::parse(text.expose_secret()).ok_or_else(|| {
        Failure::new(Kind::Configuration, format!("the key in {} cannot be used", context.shown(&path)))
            .because("it is not 32 octets in base64")
            .hint("put back a backup: without this key an erased reader could be brought back by a list")
    })
}

/// The keys here must be those that the ledger's links were signed with.
pub(crate) fn agree(context: &Context, store: &Store) -> Result<(), Failure> {
    let path = beside_the_ledger(context, "link.keys");
    let names = |ours| context.block_on(store.key_names(ours)).map_err(failures::ledger);
    // Looked at again: another process may be making the file, and writes its keys' names down afterwards.
    if !path.exists()
        && let Some((newest, _)) = names(KeyNames::new())?.last_key_value()
        && !path.exists()
    {
        return Err(Failure::new(
            Kind::Configuration,
            format!("{} is missing, and links were signed with it", context.shown(&path)),
        )
        .because("without it no reader can leave by a link in a mail that she has")
        .hint(format!(
            "put it back from a backup, or copy it from another machine of this ledger; if it is lost for good, \
             write the line `{}:KEY` into it, with what `openssl rand -base64 32` says for KEY",
            newest.saturating_add(1)
        )));
    }
    let ours = links(context)?.names();
    let known = names(ours.clone())?;
    match ours.iter().find(|(number, name)| known.get(number) != Some(name)) {
        None => Ok(()),
        Some((number, _)) => Err(Failure::new(
            Kind::Configuration,
            format!("key {number} in {} is not the ledger's", context.shown(&path)),
        )
        .because("with a key of its own, this machine would send links that nobody else knows, and not know theirs")
        .hint("put back link.keys from a backup, or copy it from another machine of this ledger")),
    }
}

/// Several machines work on one ledger with the same keys: only for a new ledger are they made.
pub(crate) fn shared(context: &Context, new: bool) -> Result<(), Failure> {
    let missing = ["link.keys", "erasure.key"].map(|name| beside_the_ledger(context, name));
    match missing.iter().find(|path| !path.exists()) {
        Some(path) if !new => Err(Failure::new(
            Kind::Configuration,
            format!("{} is missing, and the ledger is in use", context.shown(path)),
        )
        .because("with a key of its own, this machine would send links that the others do not know")
        .hint("copy link.keys and erasure.key from the first machine, or from a backup, to the same place here")),
        Some(_) => links(context).and_then(|_| erasure(context)).map(|_| ()),
        None => Ok(()),
    }
}

/// Octets of the system's randomness; from the kernel, because the crypto library takes a tenth of a second of the processor
/// to prepare a generator of its own, which every command would wait for.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|_| Failure::new(Kind::Unavailable, "the system gives no random numbers"))?;
    Ok(octets)
}

fn beside_the_ledger(context: &Context, name: &str) -> PathBuf {
    context.settings.cache.with_file_name(name)
}

/// What a file of secrets holds; makes it where it is missing.
fn kept(path: &Path, make: impl FnOnce() -> Result<SecretString, Failure>) -> Result<SecretString, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = make()?;
            match write_secret(path, text.expose_secret()) {
                Ok(()) => Ok(text),
                // Another process was quicker: its secret counts.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    std::fs::read_to_string(path).map(Into::into).map_err(|e| failures::file("cannot read", path, &e))
                }
                Err(error) => Err(failures::file("cannot write", path, &error)),
            }
        }
        Err(error) => Err(failures::file("cannot read", path, &error)),
    }
}

/// Writes a file that only its owner may read; whole or not at all, and never over one that is there.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // A temporary file may be read by its owner only, and keeps that.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.error),
    }
}
