//! `pressrun subscribers …`.

use chrono::Utc;
use clap::{Subcommand, ValueEnum};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::context::{Context, Store};
use super::progress::Reading;
use super::{Common, Done, failures, output};
use crate::config::SubscriberFile;
use crate::delivery::Ledger;
use crate::delivery::history::Everything;
use crate::digest::Digest;
use crate::error::{Failure, Kind};
use crate::subscriber::{
    Added, Address, Consent, EVERYTHING, Entry, Force, Listed, Subscribers, SubscriptionState, SuppressionReason, list,
};

/// Arguments of `pressrun subscribers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add the sound rows of a CSV; the others are listed with their reasons
    Import {
        /// The list; `-` is standard input
        file: PathBuf,
        /// Where the consent comes from, for rows that do not say it themselves
        #[arg(long, value_name = "TEXT")]
        consent: Option<String>,
        /// The digest's slug, for rows that do not name one
        #[arg(long)]
        digest: Option<String>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// Lift suppressions of addresses that the list says are confirmed: bounced and manual ones; a complaint only where
        /// it is named. Who has left or was erased comes back by herself or not at all
        #[arg(long, value_name = "KINDS", value_enum, num_args = 0.., value_delimiter = ',', require_equals = true,
              requires = "reason")]
        force: Option<Vec<Liftable>>,
        /// Why, kept with what was lifted and shown by `subscribers show`
        #[arg(long, value_name = "TEXT", requires = "force")]
        reason: Option<String>,
    },
    /// Never mail an address again, whether we know it or not
    Suppress {
        /// Whom
        address: String,
        /// Why, for those who look at it later
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// Print everything we hold about one address, as JSON
    Show {
        /// Whom
        address: String,
    },
    /// Erase a person; only a keyed hash stays, so that no later import brings her back
    Forget {
        /// Whom
        address: String,
    },
    /// List subscriptions
    List {
        /// Only of this digest
        digest: Option<String>,
    },
    /// Add one confirmed subscriber
    Add {
        /// Whom
        address: String,
        /// To which digest
        digest: String,
        /// Where the consent comes from
        #[arg(long, value_name = "TEXT")]
        consent: String,
        /// How the person wants to be called
        #[arg(long, default_value = "")]
        name: String,
    },
    /// End a subscription; nothing can revive it but the reader
    Remove {
        /// Whom
        address: String,
        /// From which digest; without it: from all
        digest: Option<String>,
    },
    /// Write all subscriptions as CSV, which imports again
    Export {
        /// Only of this digest
        digest: Option<String>,
        /// Where to; standard output if absent
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// What an operator may overrule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Liftable {
    /// The mailbox did not exist
    Bounced,
    /// Suppressed by hand
    Manual,
    /// The reader pressed "spam"
    Complained,
}

impl From<Liftable> for SuppressionReason {
    fn from(kind: Liftable) -> SuppressionReason {
        match kind {
            Liftable::Bounced => SuppressionReason::Bounced,
            Liftable::Manual => SuppressionReason::Manual,
            Liftable::Complained => SuppressionReason::Complained,
        }
    }
}

/// Readers are listed and exported in pages of this size, so that memory does not grow with the list.
const PAGE: u32 = 5_000;

/// Rows of a list that are added in one transaction. Whatever else writes to the ledger waits that long: less than a second,
/// where a million rows at once would hold up a send for half a minute. A list that broke off in the middle is added again.
const BATCH: usize = 50_000;

/// Keeps the list of readers.
pub(crate) fn run(common: &Common, arguments: Arguments) -> Done {
    let context = Context::load(common)?;
    let store = context.store()?;
    match arguments.action {
        Action::Import { file, consent, digest, dry_run, force, reason } => {
            if let Some(slug) = &digest {
                context.digest(slug)?;
            }
            let defaults = list::Defaults { digest, consent, state: SubscriptionState::Confirmed };
            let force = force.map(|kinds| {
                let kinds: Vec<SuppressionReason> = kinds.into_iter().map(Into::into).collect();
                Force::new(&kinds, reason.as_deref().unwrap_or_default())
            });
            let force = force.transpose().map_err(|e| Failure::new(Kind::Usage, "nothing is lifted").because(e))?;
            let imported = import(
                common,
                &context,
                &store,
                &file,
                &defaults,
                &How { rehearsal: dry_run, force, ..How::default() },
            )?;
            imported.tell(common);
            match imported.refused {
                0 => Ok(()),
                n => Err(output::found(n, Kind::Material)
                    .hint("the sound rows are in; mend the others and import the file again")),
            }
        }
        Action::Suppress { address, note } => {
            let (address, reason) = (parse(&address)?, SuppressionReason::Manual);
            context.block_on(store.suppress(&address, reason, &note, Utc::now())).map_err(failures::ledger)?;
            output::line(common, "suppressed", "this address is not mailed any more; what was on its way is withdrawn");
            Ok(())
        }
        Action::Show { address } => everything(&context, &store, &parse(&address)?),
        Action::Forget { address } => {
            let forgotten = context.block_on(store.forget(&parse(&address)?, Utc::now())).map_err(failures::ledger)?;
            if forgotten {
                output::line(common, "forgotten", "only a keyed hash stays, so that no list brings this reader back");
                Ok(())
            } else {
                Err(Failure::new(Kind::Usage, "nothing is held about this address"))
            }
        }
        Action::List { digest } => {
            if let Some(slug) = &digest {
                context.digest(slug)?;
            }
            each(&context, &store, digest.as_deref(), |page| {
                for l in page {
                    show(common, l);
                }
                Ok(())
            })
        }
        Action::Add { address, digest, consent, name } => {
            let digest = context.digest(&digest)?;
            let address = parse(&address)?;
            let consent = Consent { source: consent, when: Some(Utc::now()) };
            let entry = Entry {
                address,
                name,
                language: None,
                digest: digest.slug.clone(),
                state: SubscriptionState::Confirmed,
                since: None,
                consent,
                suppressed: None,
                note: String::new(),
            };
            let added = context.block_on(store.add(vec![entry], Utc::now())).map_err(failures::ledger)?;
            match added.first() {
                Some(Added::Left) => Err(Failure::new(Kind::Usage, "this reader has left")
                    .hint("only the reader can come back: let them subscribe on the page")),
                Some(Added::Suppressed) => {
                    Err(Failure::new(Kind::Usage, "this address is suppressed: it must not be mailed"))
                }
                _ => {
                    output::line(common, "added", format!("1 subscription to {}", digest.title));
                    Ok(())
                }
            }
        }
        Action::Remove { address, digest } => {
            if let Some(slug) = &digest {
                context.digest(slug)?;
            }
            let address = parse(&address)?;
            let ended =
                context.block_on(store.end(&address, digest.as_deref(), Utc::now())).map_err(failures::ledger)?;
            if ended {
                output::line(
                    common,
                    "removed",
                    "the subscription has ended; deliveries whose turn had not come are withdrawn",
                );
                Ok(())
            } else {
                Err(Failure::new(Kind::Usage, "there is no such subscription"))
            }
        }
        Action::Export { digest, to } => export(&context, &store, digest.as_deref(), to.as_deref()),
    }
}

/// What an import did.
#[derive(Default)]
struct Imported {
    added: HashMap<Added, u64>,
    refused: usize,
}

impl Imported {
    fn tell(&self, common: &Common) {
        let number = |kind: Added| self.added.get(&kind).copied().unwrap_or(0);
        let told = [
            (number(Added::New), "new"),
            (number(Added::Confirmed), "confirmed now"),
            (number(Added::Unchanged), "already there"),
            (number(Added::Lifted), "lifted"),
            (number(Added::Left), "left before"),
            (number(Added::Suppressed), "suppressed"),
            (self.refused as u64, "refused"),
        ];
        let told: Vec<String> = told
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{} {word}", output::grouped(n)))
            .collect();
        output::line(common, "readers", if told.is_empty() { "none in the list".to_owned() } else { told.join(", ") });
        output::event(
            common,
            &serde_json::json!({ "event": "imported", "new": number(Added::New), "confirmed": number(Added::Confirmed),
            "unchanged": number(Added::Unchanged), "lifted": number(Added::Lifted), "left": number(Added::Left),
            "suppressed": number(Added::Suppressed), "refused": self.refused }),
        );
    }
}

/// Brings the list that the configuration names into the ledger: it adds, it never revives somebody who left.
pub(super) fn sync(common: &Common, context: &Context, store: &Store) -> Done {
    let Some(file) = &context.settings.subscribers else { return Ok(()) };
    let how = How { for_log: true, ..How::default() };
    let imported = import(common, context, store, &file.path, &defaults_of(file), &how)?;
    let changed = imported.added.iter().any(|(kind, n)| *n > 0 && matches!(kind, Added::New | Added::Confirmed));
    if changed || imported.refused > 0 || common.json {
        imported.tell(common);
    }
    Ok(())
}

fn defaults_of(file: &SubscriberFile) -> list::Defaults {
    list::Defaults { digest: None, consent: Some(file.consent.clone()), state: SubscriptionState::Confirmed }
}

/// How a list is added.
#[derive(Default)]
struct How {
    /// Nothing is added, and it is told what would be.
    rehearsal: bool,
    /// What is told goes into the log of a machine, and not to a person who knows the list: no row's text is in it.
    for_log: bool,
    force: Option<Force>,
}

/// Adds the sound rows of a list in one transaction a batch, and lists the others.
fn import(
    common: &Common,
    context: &Context,
    store: &Store,
    file: &Path,
    defaults: &list::Defaults,
    how: &How,
) -> Result<Imported, Failure> {
    let failed = |e: std::io::Error| failures::file("cannot read the list", file, &e);
    let (input, length): (Box<dyn std::io::Read>, _) = if file.as_os_str() == "-" {
        (Box::new(std::io::stdin().lock()), None)
    } else {
        let file = std::fs::File::open(file).map_err(failed)?;
        let length = file.metadata().map(|about| about.len()).map_err(failed)?;
        (Box::new(file), Some(length))
    };
    let name = context.shown(file);
    let digests: Vec<&str> = context.settings.digests.iter().map(|d| d.slug.as_str()).collect();
    let shown = Reading::new(common, length);
    let mut reader = list::Reader::new(shown.watch(input), &name, defaults, &digests);
    let mut imported = Imported::default();
    let mut rows = 0;
    while let Some(batch) = reader.next_batch(BATCH).map_err(failed)? {
        shown.aside(|| {
            let told = batch.problems.iter().chain(&batch.notes).cloned();
            let told = told.map(|problem| if how.for_log { problem.without_text() } else { problem });
            output::problems(common, &told.collect::<Vec<_>>());
        });
        imported.refused += batch.problems.len();
        let full = batch.entries.len() + batch.problems.len() + batch.notes.len() == BATCH;
        rows += (batch.entries.len() + batch.problems.len()) as u64;
        let judged = context.block_on(async {
            match (how.rehearsal, how.force.clone()) {
                (true, force) => store.differences(batch.entries, force).await,
                (false, Some(force)) => store.add_by_force(batch.entries, force, Utc::now()).await,
                (false, None) => store.add(batch.entries, Utc::now()).await,
            }
        });
        for added in judged.map_err(failures::ledger)? {
            *imported.added.entry(added).or_default() += 1;
        }
        if full {
            shown.show(rows);
        }
    }
    Ok(imported)
}

/// How many would get an edition of this digest now.
pub(super) fn confirmed(context: &Context, store: &Store, digest: &Digest) -> Result<u64, Failure> {
    let mut count = 0;
    each(context, store, Some(&digest.slug), |page| {
        count += page
            .iter()
            .filter(|l| l.subscription.state == SubscriptionState::Confirmed && l.suppression.is_none())
            .count() as u64;
        Ok(())
    })?;
    Ok(count)
}

/// How many would get an edition of this digest, once the list that the configuration names is in the ledger.
pub(super) fn expected(context: &Context, store: &Store, digest: &Digest) -> Result<u64, Failure> {
    let mut count = confirmed(context, store, digest)?;
    let Some(file) = &context.settings.subscribers else { return Ok(count) };
    let failed = |e: std::io::Error| failures::file("cannot read the list", &file.path, &e);
    let digests: Vec<&str> = context.settings.digests.iter().map(|d| d.slug.as_str()).collect();
    let list = std::fs::File::open(&file.path).map_err(failed)?;
    let (name, defaults) = (context.shown(&file.path), defaults_of(file));
    let mut reader = list::Reader::new(list, &name, &defaults, &digests);
    while let Some(batch) = reader.next_batch(BATCH).map_err(failed)? {
        let here = batch.entries.into_iter().filter(|entry| entry.digest == digest.slug).collect();
        let judged = context.block_on(store.differences(here, None)).map_err(failures::ledger)?;
        count += judged.iter().filter(|added| matches!(added, Added::New | Added::Confirmed)).count() as u64;
    }
    Ok(count)
}

fn parse(address: &str) -> Result<Address, Failure> {
    address.parse().map_err(|e| Failure::new(Kind::Usage, "this is no address that can be mailed").because(e))
}

/// Prints everything we hold about one address.
fn everything(context: &Context, store: &Store, address: &Address) -> Done {
    let held = context.block_on(store.show(address)).map_err(failures::ledger)?;
    let held = held.ok_or_else(|| Failure::new(Kind::Usage, "nothing is held about this address"))?;
    let deliveries = context.block_on(store.history(address)).map_err(failures::ledger)?;
    let told = serde_json::to_string_pretty(&Everything { held, deliveries });
    output::text(told.map_err(|e| Failure::new(Kind::Bug, "what is held cannot be written as JSON").because(e))?);
    Ok(())
}

/// Goes through all subscriptions, page by page.
fn each(context: &Context, store: &Store, digest: Option<&str>, mut page_done: impl FnMut(&[Listed]) -> Done) -> Done {
    let mut after = None;
    loop {
        let page = context.block_on(store.list(digest, after, PAGE)).map_err(failures::ledger)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.subscriber.address.key(), last.subscription.digest.clone()));
        page_done(&page)?;
    }
}

fn show(common: &Common, listed: &Listed) {
    let Listed { subscriber, subscription, consent, suppression } = listed;
    output::event(
        common,
        &serde_json::json!({ "event": "subscription", "address": subscriber.address.as_str(), "name": subscriber.name,
        "digest": subscription.digest, "state": subscription.state, "since": subscription.since,
        "consent": consent, "suppressed": suppression.as_ref().map(|s| s.reason) }),
    );
    if !common.json {
        let state = match (&suppression, subscription.state) {
            (Some(_), _) => "suppressed",
            (None, SubscriptionState::Pending) => "pending",
            (None, SubscriptionState::Confirmed) => "confirmed",
            (None, SubscriptionState::Ended) => "ended",
        };
        output::text(format!(
            "{:<40} {:<24} {state:<10} {}",
            subscriber.address.as_str(),
            subscription.digest,
            subscriber.name
        ));
    }
}

fn export(context: &Context, store: &Store, digest: Option<&str>, to: Option<&Path>) -> Done {
    let sink: Box<dyn std::io::Write> = match to {
        Some(path) => Box::new(std::fs::File::create(path).map_err(|e| failures::file("cannot write", path, &e))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let failed = |e: std::io::Error| Failure::new(Kind::Unavailable, "cannot write the list").because(e);
    let mut writer = list::Writer::new(sink).map_err(failed)?;
    // Who has left everything and come back to one digest: read again, the leaving must not come before what it left, or
    // nothing of hers would begin.
    let mut left: Option<Listed> = None;
    each(context, store, digest, |page| {
        for listed in page {
            if let Some(left) = left.take_if(|left| left.subscriber.id != listed.subscriber.id) {
                writer.write(&left).map_err(failed)?;
            }
            // Asked for and not confirmed: no list may say that.
            let asked = listed.subscription.state == SubscriptionState::Pending && listed.consent.is_none();
            if asked && listed.suppression.is_none() {
                continue;
            }
            if listed.subscription.digest == EVERYTHING {
                left = Some(listed.clone());
            } else {
                writer.write(listed).map_err(failed)?;
            }
        }
        Ok(())
    })?;
    if let Some(left) = left {
        writer.write(&left).map_err(failed)?;
    }
    writer.finish().map(drop).map_err(failed)
}
