//! How the ledger is, what in it waits for a person, and the server that it is on.

use chrono::{DateTime, TimeDelta, Utc};
use std::path::{Path, PathBuf};

use super::{Finding, crossed, note};
use crate::cli::context::{Context, Store};
use crate::cli::{failures, output};
use crate::config::LedgerAddress;
use crate::delivery::Ledger;
use crate::error::Failure;
use crate::store::postgres::Condition;

/// A ledger whose last copy is older than this would lose that much.
const BACKUP: TimeDelta = TimeDelta::days(7);

/// The file beside the ledger that tells when `pressrun ledger backup` was last at work.
const BACKUP_NOTE: &str = "last-backup";

/// The oldest PostgreSQL that its makers still repair (14 had its last repairs in November 2026).
const OLDEST: u32 = 15;

/// Providers whose storage is durable by itself, and who run PostgreSQL without `fsync` because of that.
const OWN_STORAGE: [&str; 1] = [".neon.tech"];

/// How the ledger is, and what in it waits for a person.
pub(super) fn look(context: &Context, store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    match (store.as_ref(), &context.settings.ledger) {
        (crate::store::Store::Sqlite(file), LedgerAddress::Sqlite(path)) => {
            findings.push(match context.block_on(file.damage()) {
                Ok(damage) if damage.is_empty() => Finding::fine("ledger", format!("{} is whole", context.shown(path))),
                Ok(damage) => {
                    let to_do = "stop sending, keep the file, and put back a backup";
                    let what = format!("{} is damaged: {}", context.shown(path), damage.join("; "));
                    Finding::wrong("ledger", what, to_do)
                }
                Err(error) => crossed("ledger", &failures::ledger(error)),
            });
            findings.push(backup(path, Utc::now()));
        }
        (crate::store::Store::Postgres(server), LedgerAddress::Postgres(at)) => {
            match context.block_on(server.condition()) {
                Ok(condition) => {
                    let own_storage = OWN_STORAGE.iter().any(|provider| at.host.ends_with(provider));
                    findings.extend(server_findings(&at.to_string(), &condition, own_storage));
                }
                Err(error) => findings.push(crossed("ledger", &failures::ledger(error))),
            }
        }
        _ => {}
    }
    match editions(context, store) {
        Ok(found) => findings.extend(found),
        Err(failure) => findings.push(crossed("editions", &failure)),
    }
    findings
}

/// What is to be said of a server.
fn server_findings(at: &str, server: &Condition, own_storage: bool) -> Vec<Finding> {
    let Condition { version, .. } = server;
    let mut findings = vec![if server.broken.is_empty() {
        Finding::fine("ledger", format!("{at} is whole"))
    } else {
        let what = format!("{at} is not whole: {}", server.broken.join("; "));
        Finding::wrong("ledger", what, "stop sending, find out who changed it, and put back a backup")
    }];
    findings.push(if server.major < OLDEST {
        let to_do = format!("PostgreSQL {OLDEST} or newer: older ones get no repairs any more");
        Finding::note("version", format!("PostgreSQL {version}"), to_do)
    } else {
        Finding::fine("version", format!("PostgreSQL {version}"))
    });
    if server.read_only {
        let what = "it is only for reading: a standby, or closed to writing";
        findings.push(Finding::wrong("writing", what, "name the primary server with `ledger:`"));
    }
    findings.push(if server.careless.is_empty() {
        Finding::fine("durable", "what was committed survives a power cut")
    } else if own_storage {
        let what = format!("off: {}, as is usual there: the provider's storage keeps it", server.careless.join(", "));
        Finding::note("durable", what, "nothing, as long as the database is that provider's")
    } else {
        let what = format!("off: {}; a power cut may undo what was committed", server.careless.join(", "));
        let to_do = "set it on again: mails that the ledger forgets go out twice, and nobody knows";
        Finding::wrong("durable", what, to_do)
    });
    let ((used, most), wanted) = (server.connections, server.wanted as u64);
    let what = format!("{used} of {most} connections are in use");
    // Ours are among them: one at least.
    findings.push(if used.saturating_sub(1) + wanted > most {
        let to_do = "raise `max_connections` there, or take fewer: `connections=` in `ledger:`";
        Finding::note("room", format!("{what}, and each process of ours may open {wanted}"), to_do)
    } else {
        Finding::fine("room", what)
    });
    findings.push(super::differs(-server.ahead, "clock", "the database's"));
    findings
}

fn editions(context: &Context, store: &Store) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let give_up = context.settings.press.retry.give_up_after;
    for id in context.block_on(store.unfinished()).map_err(failures::ledger)? {
        let edition = context.edition(store, id.0)?;
        let counts = context.counts(store, id)?;
        let name = format!("{} no. {} (edition {})", edition.digest, edition.number, id.0);
        if counts.uncertain > 0 {
            let what =
                format!("{name}: of {}, nobody knows whether they went out", output::count(counts.uncertain, "mail"));
            let to_do = format!("pressrun ledger show {0} --uncertain, then pressrun ledger resolve {0}", id.0);
            findings.push(Finding::wrong("uncertain", what, to_do));
        }
        if let Some(why) = &edition.paused {
            let to_do = format!("pressrun ledger resume {}", id.0);
            findings.push(Finding::note("paused", format!("{name}: {why}"), to_do));
            continue;
        }
        let age = edition.approved.map(|approved| Utc::now() - approved);
        let left = counts.waiting + counts.under_way;
        if left > 0 && age.is_some_and(|age| age.to_std().is_ok_and(|age| age > give_up)) {
            let what = format!(
                "{name}: {} still wait, after the time in which they should have gone out",
                output::grouped(left)
            );
            findings.push(Finding::wrong("stuck", what, "see that pressrun run is called, and what it says"));
        } else if left > 0 {
            let what = format!("{name}: {} wait", output::grouped(left));
            findings.push(Finding::note("under way", what, "the next pressrun run goes on with them"));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine("editions", "none is held up"));
    }
    Ok(findings)
}

fn backup(ledger: &Path, now: DateTime<Utc>) -> Finding {
    let to_do = "pressrun ledger backup FILE, regularly; if something else copies it (consistently), this is nothing";
    let noted = std::fs::read_to_string(backup_note(ledger)).ok();
    let last = noted.and_then(|text| DateTime::parse_from_rfc3339(text.trim()).ok());
    match last.map(|last| now.signed_duration_since(last)) {
        None => note("backup", "pressrun ledger backup has never been at work here", to_do),
        Some(age) if age > BACKUP => note("backup", format!("the last is {} days old", age.num_days()), to_do),
        Some(age) => Finding::fine("backup", format!("the last is {} hours old", age.num_hours().max(0))),
    }
}

/// Where it is noted when the ledger was last copied.
pub(in crate::cli) fn backup_note(ledger: &Path) -> PathBuf {
    ledger.with_file_name(BACKUP_NOTE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mail::posture::Verdict;

    #[test]
    fn a_copy_is_good_for_a_week() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.sqlite");
        let now = Utc::now();
        assert_eq!(backup(&ledger, now).verdict, Verdict::Note);
        std::fs::write(backup_note(&ledger), now.to_rfc3339()).unwrap();
        assert_eq!(backup(&ledger, now + BACKUP).verdict, Verdict::Fine);
        assert_eq!(backup(&ledger, now + BACKUP + TimeDelta::seconds(1)).verdict, Verdict::Note);
        std::fs::write(backup_note(&ledger), "nonsense").unwrap();
        assert_eq!(backup(&ledger, now).verdict, Verdict::Note);
    }
}
