//! `pressrun returns`: reads mail that comes back, and lets those leave who ask for it.

use chrono::Utc;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::context::{Context, Store};
use super::{Common, Done, failures, keys, output};
use crate::error::{Failure, Kind};
use crate::mail::returned;
use crate::subscriber::request::Requests;
use crate::subscriber::token::{About, DigestMark, Keys};

/// Bytes of a mail that are read; a subject stands at its beginning.
const LARGEST: u64 = 1 << 20;

/// Arguments of `pressrun returns`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A Maildir, whose new mails are read and moved to those that were seen; without it, one mail from standard input
    #[arg(value_name = "MAILDIR")]
    maildir: Option<PathBuf>,
}

/// Reads what came back.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let (keys, store) = (keys::links(&context)?, context.store()?);
    let (mut read, mut left) = (0_u64, 0_u64);
    match arguments.maildir.as_deref().filter(|path| *path != Path::new("-")) {
        None => {
            read = 1;
            left = u64::from(one(&context, &store, &keys, std::io::stdin().lock(), Path::new("-"))?);
        }
        Some(maildir) => {
            let maildir = Context::here(maildir);
            for path in new_mails(&maildir)? {
                let file = std::fs::File::open(&path).map_err(|e| failures::file("cannot read", &path, &e))?;
                let leaves = one(&context, &store, &keys, file, &path)?;
                read += 1;
                left += u64::from(leaves);
                // After the ledger has it: a crash in between reads the mail again, which changes nothing.
                seen(&maildir, &path)?;
            }
        }
    }
    let told = format!("{} read, {} unsubscribed", output::count(read, "mail"), output::grouped(left));
    output::line(common, "returns", told);
    output::event(common, &serde_json::json!({ "event": "returns", "read": read, "unsubscribed": left }));
    Ok(())
}

/// Reads one mail; whether somebody left by it.
fn one(context: &Context, store: &Store, keys: &Keys, from: impl Read, path: &Path) -> Result<bool, Failure> {
    let mut message = Vec::new();
    from.take(LARGEST).read_to_end(&mut message).map_err(|e| failures::file("cannot read", path, &e))?;
    let Some(grant) = returned::unsubscribes(&message, keys) else { return Ok(false) };
    context
        .block_on(async {
            let About::Digest(mark) = grant.about else { return store.leave(grant.subscriber, None, Utc::now()).await };
            let held = store.person(grant.subscriber).await?.unwrap_or_default();
            match held.subscriptions.iter().find(|s| DigestMark::of(&s.digest) == mark) {
                Some(found) => store.leave(grant.subscriber, Some(&found.digest), Utc::now()).await,
                None => Ok(false),
            }
        })
        .map_err(failures::ledger)
}

/// The mails in a Maildir that nobody has seen, in the order of their names.
fn new_mails(maildir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = maildir.join("new");
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        Failure::new(Kind::Usage, format!("{} is no Maildir", maildir.display()))
            .because(error)
            .hint("a Maildir has the folders new, cur and tmp")
    })?;
    let mut mails: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    mails.sort();
    Ok(mails)
}

/// Moves a mail to those that were seen.
fn seen(maildir: &Path, path: &Path) -> Done {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let to = maildir.join("cur").join(format!("{name}:2,S"));
    std::fs::create_dir_all(maildir.join("cur"))
        .and_then(|()| std::fs::rename(path, &to))
        .map_err(|e| failures::file("cannot move", path, &e))
}
