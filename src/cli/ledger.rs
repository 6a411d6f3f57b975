//! `pressrun ledger …`: who got what, when, and what the server said.

mod moving;

use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

use super::context::{Context, Store};
use super::{Common, Done, doctor, failures, output};
use crate::config::{LedgerAddress, PostgresAddress};
use crate::delivery::ledger::Resolution;
use crate::delivery::returns::News;
use crate::delivery::{DeliveryRecord, DeliveryState, Ledger, Reply};
use crate::digest::EditionId;
use crate::error::{Failure, Kind};
use crate::store::SqliteStore;
use crate::subscriber::Address;

/// Arguments of `pressrun ledger`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Did she get it, when, what did the server say
    Show {
        /// The edition's number in `edition list`
        edition: i64,
        /// Only this reader's delivery, with every attempt
        #[arg(long, value_name = "ADDRESS")]
        address: Option<String>,
        /// Only deliveries that are, or once were, uncertain
        #[arg(long, conflicts_with = "address")]
        uncertain: bool,
        /// Only deliveries that the mail server refused
        #[arg(long, conflicts_with_all = ["address", "uncertain"])]
        refused: bool,
    },
    /// Decide what uncertain deliveries were
    Resolve {
        /// The edition's number in `edition list`
        edition: i64,
        /// What they were
        #[arg(long = "as", value_enum)]
        decision: Decision,
        /// Only this reader's delivery
        #[arg(long, value_name = "ADDRESS")]
        address: Option<String>,
    },
    /// Stop sending an edition for now
    Pause {
        /// The edition's number in `edition list`
        edition: i64,
        /// Why, for those who look at it later
        #[arg(long, default_value = "paused by an operator")]
        why: String,
    },
    /// Go on with a paused edition
    Resume {
        /// The edition's number in `edition list`
        edition: i64,
    },
    /// Copy everything into a database on a server, all of it or nothing; it goes on there
    Move {
        /// postgres://USER@HOST:PORT/DATABASE; empty
        #[arg(long, value_name = "ADDRESS")]
        to: String,
    },
    /// Copy the ledger into a file, safely while it is in use
    Backup {
        /// The copy; must not be there yet
        file: PathBuf,
    },
    /// Take up a copy as the ledger: what may have gone out since it was made is held for a decision
    Restore {
        /// The copy, made by `ledger backup`
        file: PathBuf,
    },
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Copy)]
enum List {
    /// Those that are, or once were, uncertain.
    Uncertain,
    /// Those that were refused.
    Refused,
}

/// Deliveries are listed in pages of this size.
const PAGE: u32 = 1_000;

/// What an operator says of uncertain deliveries.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decision {
    /// They arrived
    Accepted,
    /// Send them again, with the same Message-ID
    Resend,
}

/// Reads and mends the ledger.
pub(crate) fn run(common: &Common, arguments: Arguments) -> Done {
    let context = Context::load(common)?;
    if let Action::Restore { file } = &arguments.action {
        return restore(common, &context, &Context::here(file));
    }
    if let Action::Move { to } = &arguments.action {
        return moving::run(common, &context, to);
    }
    let store = context.store()?;
    match arguments.action {
        Action::Show { edition, address, uncertain, refused } => {
            let list = match (uncertain, refused) {
                (true, _) => Some(List::Uncertain),
                (_, true) => Some(List::Refused),
                _ => None,
            };
            show(common, &context, &store, edition, address.as_deref(), list)
        }
        Action::Resolve { edition, decision, address } => {
            resolve(common, &context, &store, edition, decision, address.as_deref())
        }
        Action::Pause { edition, why } => pause(common, &context, &store, edition, Some(&why)),
        Action::Resume { edition } => pause(common, &context, &store, edition, None),
        // Done before the ledger was opened.
        Action::Move { .. } | Action::Restore { .. } => Ok(()),
        Action::Backup { file } => backup(common, &context, &store, &file),
    }
}

fn backup(common: &Common, context: &Context, store: &Store, file: &Path) -> Done {
    match (store.as_ref(), &context.settings.ledger) {
        (crate::store::Store::Sqlite(store), LedgerAddress::Sqlite(ledger)) => {
            context.block_on(store.backup(Context::here(file))).map_err(failures::ledger)?;
            if let Err(error) = std::fs::write(doctor::backup_note(ledger), Utc::now().to_rfc3339()) {
                tracing::warn!(%error, "the backup is made, and could not be noted");
            }
            output::line(common, "backup", context.shown(file));
            Ok(())
        }
        (_, LedgerAddress::Postgres(at)) => {
            let PostgresAddress { host, port, user, database, .. } = at;
            Err(Failure::new(Kind::Usage, "a ledger on a server is copied by the server's own tools").hint(format!(
                "pg_dump --format=custom --file={} --host={host} --port={port} --username={user} {database}",
                file.display()
            )))
        }
        _ => Err(Failure::new(Kind::Bug, "the ledger is not where the configuration says")),
    }
}

/// Puts a copy in the ledger's place, which must be free, and takes it up before anybody else can.
fn restore(common: &Common, context: &Context, copy: &Path) -> Done {
    let LedgerAddress::Sqlite(ledger) = &context.settings.ledger else {
        return Err(Failure::new(Kind::Usage, "this ledger is on a server")
            .hint("restore it with the server's own tools; docs/OPERATING.md tells what to look at then"));
    };
    let _alone = context.press_lock()?;
    if ledger.exists() {
        return Err(Failure::new(Kind::Usage, format!("there is a ledger already: {}", context.shown(ledger)))
            .hint("stop what uses it, and move it away with its -wal and -shm files; keep it until all is well"));
    }
    let taken_up = ledger.with_extension("restoring");
    let place = |e: std::io::Error| failures::file("cannot copy the ledger", copy, &e);
    std::fs::copy(copy, &taken_up).map_err(place)?;
    let doubtful = (|| {
        let store = SqliteStore::open(&taken_up).map_err(|e| failures::opening(&context.shown(copy), &e))?;
        let digests = context.settings.digests.iter().map(|digest| digest.slug.clone()).collect();
        context.block_on(store.take_up_copy(digests, Utc::now())).map_err(failures::ledger)
    })();
    let doubtful = match doubtful {
        Ok(doubtful) => doubtful,
        Err(failure) => {
            let _ = std::fs::remove_file(&taken_up);
            return Err(failure);
        }
    };
    std::fs::rename(&taken_up, ledger).map_err(|e| failures::file("cannot put the ledger in its place", ledger, &e))?;
    output::event(common, &serde_json::json!({ "event": "restored", "uncertain": doubtful }));
    output::line(common, "restored", format!("{} unfinished deliveries are uncertain now", output::grouped(doubtful)));
    let told = "nothing is made by itself before each digest's next time; docs/OPERATING.md tells what to look at now";
    output::line(common, "", told);
    Ok(())
}

fn show(common: &Common, context: &Context, store: &Store, id: i64, address: Option<&str>, list: Option<List>) -> Done {
    let edition = context.edition(store, id)?;
    if let Some(address) = address {
        tell(common, &record(context, store, edition.id, address)?);
        return Ok(());
    }
    let counts = context.counts(store, edition.id)?;
    output::event(
        common,
        &serde_json::json!({ "event": "edition", "edition": edition.id, "digest": edition.digest, "number": edition.number, "state": edition.state, "deliveries": counts }),
    );
    if !common.json {
        output::text(format!("{} no. {}: {}", edition.digest, edition.number, output::counts(&counts)));
        if counts.doubtful > 0 {
            output::text(format!(
                "{} were uncertain at some time: those readers may have it twice",
                output::grouped(counts.doubtful)
            ));
        }
    }
    let Some(list) = list else { return Ok(()) };
    let mut after = None;
    loop {
        let page = match list {
            List::Uncertain => context.block_on(store.doubtful(edition.id, after, PAGE)),
            List::Refused => context.block_on(store.records(edition.id, Some(DeliveryState::Rejected), after, PAGE)),
        };
        let page = page.map_err(failures::ledger)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for record in &page {
            tell(common, record);
        }
    }
}

/// The delivery of an edition to an address.
fn record(context: &Context, store: &Store, edition: EditionId, address: &str) -> Result<DeliveryRecord, Failure> {
    let to: Address = address.parse().map_err(|e| Failure::new(Kind::Usage, "this is no address").because(e))?;
    let found = context.block_on(store.record(edition, &to)).map_err(failures::ledger)?;
    found.ok_or_else(|| {
        Failure::new(Kind::Usage, "this edition has no delivery to that address")
            .hint("she had not confirmed, or had left, when the edition was approved")
    })
}

/// One delivery with its attempts.
fn tell(common: &Common, record: &DeliveryRecord) {
    let DeliveryRecord { id, address, state, due, doubts, attempts, returned } = record;
    output::event(
        common,
        &serde_json::json!({ "event": "delivery", "delivery": id, "address": address.as_str(), "state": state, "due": due, "doubts": doubts, "attempts": attempts, "returned": returned }),
    );
    if common.json {
        return;
    }
    let doubt = if *doubts > 0 { ", uncertain at some time: may have arrived twice" } else { "" };
    output::text(format!("{address}: {}{doubt}", state_name(*state)));
    let line = |when: DateTime<Utc>, word: &str, Reply { code, status, text }: &Reply| {
        let when = when.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S");
        let code = if *code == 0 { String::new() } else { format!("{code} ") };
        let status = status.as_ref().map(|status| format!("{status} ")).unwrap_or_default();
        output::text(format!("  {when}  {word:<9} {code}{status}{text}"));
    };
    for attempt in attempts {
        line(attempt.ended, attempt.outcome.as_str(), &attempt.reply);
    }
    for one in returned {
        line(one.when, news_name(one.news), &one.reply);
    }
}

fn news_name(news: News) -> &'static str {
    match news {
        News::Delayed => "delayed",
        News::Arrived => "arrived",
        News::Bounced => "came back",
        News::Complained => "complaint",
    }
}

fn state_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Claimed | DeliveryState::InFlight => "under way",
        DeliveryState::Accepted => "accepted by the mail server",
        DeliveryState::Rejected => "refused by the mail server",
        DeliveryState::Expired => "given up after many tries",
        DeliveryState::Uncertain => "uncertain: it may have gone out and may have not",
        DeliveryState::Withdrawn => "withdrawn before its turn",
        DeliveryState::Bounced => "accepted by the mail server, and came back",
        DeliveryState::Complained => "accepted by the mail server, and complained of",
    }
}

fn resolve(
    common: &Common,
    context: &Context,
    store: &Store,
    id: i64,
    decision: Decision,
    address: Option<&str>,
) -> Done {
    let edition = context.edition(store, id)?;
    let only = address.map(|address| record(context, store, edition.id, address)).transpose()?.map(|record| record.id);
    let resolution = match decision {
        Decision::Accepted => Resolution::Accepted,
        Decision::Resend => Resolution::Resend,
    };
    let resolved =
        context.block_on(store.resolve(edition.id, only, resolution, Utc::now())).map_err(failures::ledger)?;
    output::event(common, &serde_json::json!({ "event": "resolved", "edition": edition.id, "deliveries": resolved }));
    let then = if matches!(decision, Decision::Resend) { ": the next pressrun run sends them again" } else { "" };
    output::line(
        common,
        "resolved",
        format!(
            "{} uncertain {}{then}",
            output::grouped(resolved),
            if resolved == 1 { "delivery" } else { "deliveries" }
        ),
    );
    Ok(())
}

fn pause(common: &Common, context: &Context, store: &Store, id: i64, why: Option<&str>) -> Done {
    let edition = context.edition(store, id)?;
    let changed = context.block_on(store.pause(edition.id, why)).map_err(failures::ledger)?;
    let told = match (changed, why) {
        (true, Some(_)) => "nothing more of it goes out until pressrun ledger resume",
        (true, None) => "the next pressrun run goes on with it",
        (false, _) => "nothing changed: it is not under way, or stands so already",
    };
    output::line(common, "edition", format!("{} no. {}: {told}", edition.digest, edition.number));
    Ok(())
}
