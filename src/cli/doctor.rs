//! `pressrun doctor`: what stands in the way of mails that arrive.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::context::{Context, Store};
use super::mailing::{self, NOBODY, Writer};
use super::material::Articles;
use super::{Common, Done, failures, output, send};
use crate::config::{LedgerAddress, TransportSettings, signing};
use crate::delivery::Ledger;
use crate::digest::{Digest, Editions, Sealed};
use crate::error::{Failure, Kind};
use crate::mail::posture::{self, Finding, Known, Sender, Verdict};
use crate::probe::{clock, dns::Dns};
use crate::transport::Transport;
use crate::transport::smtp::{Look, Security};

/// Arguments of `pressrun doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Two clocks that differ by less agree: the other one tells whole seconds, and the answer took its time.
const CLOCK: TimeDelta = TimeDelta::seconds(5);

/// A clock that is wrong by more makes receivers distrust `Date`, and schedules late.
const CLOCK_WRONG: TimeDelta = TimeDelta::minutes(1);

/// A ledger whose last copy is older than this would lose that much.
const BACKUP: TimeDelta = TimeDelta::days(7);

/// The file beside the ledger that tells when `pressrun ledger backup` was last at work.
const BACKUP_NOTE: &str = "last-backup";

/// Looks at everything; fails with exit code 1 where something is wrong.
pub(crate) fn run(common: &Common, _: &Arguments) -> Done {
    let context = Context::load(common)?;
    let mut all = Tally::default();
    all.tell(common, "DNS", context.block_on(dns(&context)));
    let (relay, sizes) = context.block_on(relays(&context));
    all.tell(common, "Mail server", relay);
    let store = match &context.settings.ledger {
        LedgerAddress::Sqlite(path) if !path.exists() => None,
        _ => Some(context.store()),
    };
    let (ledger, store) = match store {
        None => (vec![note("ledger", "there is none yet", "the first pressrun run makes it")], None),
        Some(Err(failure)) => (vec![crossed("ledger", &failure)], None),
        Some(Ok(store)) => (ledger(&context, &store), Some(store)),
    };
    all.tell(common, "Ledger", ledger);
    all.tell(common, "Clock", clocks(&context, store.as_ref()));
    for digest in &context.settings.digests {
        let found = match &store {
            Some(store) => mails(common, &context, store, digest, &sizes),
            None => vec![note("mail", "without a ledger no edition can be made", "look again after the first run")],
        };
        all.tell(common, &format!("Mails of {}", digest.title), found);
    }
    all.end(common)
}

/// What has been told.
#[derive(Debug, Default)]
struct Tally {
    fine: usize,
    notes: usize,
    wrong: usize,
}

impl Tally {
    fn tell(&mut self, common: &Common, group: &str, findings: Vec<Finding>) {
        if !common.json && !common.quiet {
            output::text(group);
        }
        for finding in findings {
            let (mark, count) = match finding.verdict {
                Verdict::Fine => ("✓", &mut self.fine),
                Verdict::Note => ("·", &mut self.notes),
                Verdict::Wrong => ("✗", &mut self.wrong),
            };
            *count += 1;
            let told = serde_json::json!({ "event": "finding", "group": group, "finding": finding });
            output::event(common, &told);
            if common.json || common.quiet && finding.verdict != Verdict::Wrong {
                continue;
            }
            output::text(format!("  {mark} {:<10} {}", finding.about, finding.what));
            if let Some(to_do) = finding.to_do {
                output::text(format!("    {:<10} to do: {to_do}", ""));
            }
        }
    }

    fn end(&self, common: &Common) -> Done {
        let told =
            serde_json::json!({ "event": "doctor", "fine": self.fine, "notes": self.notes, "wrong": self.wrong });
        output::event(common, &told);
        match self.wrong {
            0 => Ok(()),
            1 => Err(Failure::new(Kind::Material, "1 thing is wrong")),
            n => Err(Failure::new(Kind::Material, format!("{n} things are wrong"))),
        }
        .map_err(|failure| failure.hint("each has its remedy beside it; look again when it is mended"))
    }
}

fn note(about: &'static str, what: impl Into<String>, to_do: &str) -> Finding {
    Finding::note(about, what, to_do)
}

/// A failure as a finding.
fn crossed(about: &'static str, failure: &Failure) -> Finding {
    let because = failure.because.as_ref().map(|because| format!(": {because}")).unwrap_or_default();
    let to_do = failure.hint.clone().unwrap_or_else(|| "mend it and look again".to_owned());
    Finding::wrong(about, format!("{}{because}", failure.what), to_do)
}

/// What the DNS says of each sender.
async fn dns(context: &Context) -> Vec<Finding> {
    let settings = &context.settings;
    let dns = match Dns::new(settings.doctor.resolver) {
        Ok(dns) => dns,
        Err(because) => {
            let to_do = "name one with `doctor: resolver:`";
            return vec![Finding::wrong("resolver", format!("the system has none that can be used: {because}"), to_do)];
        }
    };
    let mut findings = Vec::new();
    let keys = match signing::signer(&settings.dkim) {
        Ok(None) => Vec::new(),
        Ok(Some(signer)) => match signer.dns_records() {
            Ok(records) => signer.names().cloned().zip(records).collect(),
            Err(error) => {
                findings.push(Finding::wrong("DKIM", error.to_string(), "make another key: pressrun dkim new"));
                Vec::new()
            }
        },
        Err(failure) => {
            findings.push(crossed("DKIM", &failure));
            Vec::new()
        }
    };
    let relays: Vec<&str> = match &settings.transport {
        TransportSettings::Smtp(options) => options.relays.iter().map(|relay| relay.host.as_str()).collect(),
        _ => Vec::new(),
    };
    // Where each mail has a return path of its own, all are of one domain.
    let of_one = settings.returns.path.as_ref().and_then(|path| path.address("token"));
    let mut known = Known::default();
    let mut seen = BTreeSet::new();
    for digest in &settings.digests {
        // What is true of one sender of a domain is true of all.
        if !seen.insert(digest.from.address.domain().to_ascii_lowercase()) {
            continue;
        }
        let sender = Sender {
            from: &digest.from.address,
            return_path: of_one.as_ref().unwrap_or(&settings.public.return_path),
            mailbox: &settings.public.unsubscribe_mailbox,
            addresses: &settings.doctor.sends_from,
            relays: &relays,
            keys: &keys,
        };
        let found = loop {
            match posture::dns(&sender, &known) {
                Ok(found) => break found,
                Err(question) => {
                    let answer = dns.ask(&question).await;
                    known.learn(question, answer);
                }
            }
        };
        for finding in found {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    if let Some((because, n)) = known.failed() {
        let what = format!("{} got no answer: {because}", output::count(n as u64, "question"));
        let to_do = "see that this machine can ask the DNS, or name a resolver with `doctor: resolver:`";
        findings.push(Finding::wrong("resolver", what, to_do));
    }
    findings
}

/// What the relays say, and the sizes of mail that they take.
async fn relays(context: &Context) -> (Vec<Finding>, Vec<usize>) {
    let transport = match mailing::transport(context) {
        Ok(Transport::Smtp(smtp)) => smtp,
        Ok(Transport::Directory(_)) => {
            let what = format!("mails go into {}: nobody gets them", mailing::told_transport(context));
            return (vec![note("relay", what, "name a mail server with `transport:` when you are ready")], Vec::new());
        }
        Err(failure) => return (vec![crossed("relay", &failure)], Vec::new()),
    };
    let (mut findings, mut sizes) = (Vec::new(), Vec::new());
    for looked in transport.look().await {
        match looked {
            Err(error) => findings.push(crossed("relay", &failures::transport(&error))),
            Ok(look) => {
                sizes.extend(look.size.filter(|&limit| limit > 0));
                findings.extend(relay(&look));
            }
        }
    }
    (findings, sizes)
}

fn relay(look: &Look) -> Vec<Finding> {
    let protected = match look.security {
        Security::Implicit => "by TLS from the first byte, and its certificate is trusted",
        Security::StartTls => "by STARTTLS, and its certificate is trusted",
        Security::Loopback => "on this machine",
    };
    let mut findings = vec![Finding::fine("relay", format!("{} answers, {protected}", look.relay))];
    findings.push(match (look.login, look.security) {
        (true, _) => Finding::fine("login", "it takes our login"),
        (false, Security::Loopback) => Finding::fine("login", "none is configured, as is usual on this machine"),
        (false, _) => note("login", "none is configured", "if the relay wants one, name the user in `transport:`"),
    });
    findings.push(if look.pipelining {
        Finding::fine("PIPELINING", "offered: a mail costs one round trip")
    } else {
        let what = "not offered: each mail costs four round trips";
        note("PIPELINING", what, "a relay that offers it is several times faster")
    });
    findings.push(match look.size {
        Some(limit) if limit > 0 => {
            Finding::fine("SIZE", format!("takes mails of {} bytes", output::grouped(limit as u64)))
        }
        _ => Finding::fine("SIZE", "names no limit"),
    });
    findings
}

/// How the ledger is, and what in it waits for a person.
fn ledger(context: &Context, store: &Store) -> Vec<Finding> {
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
        (_, LedgerAddress::Postgres(at)) => findings.push(Finding::fine("ledger", format!("{at} answers"))),
        (_, LedgerAddress::Sqlite(_)) => {}
    }
    match editions(context, store) {
        Ok(found) => findings.extend(found),
        Err(failure) => findings.push(crossed("editions", &failure)),
    }
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
pub(super) fn backup_note(ledger: &Path) -> PathBuf {
    ledger.with_file_name(BACKUP_NOTE)
}

/// Whether our clock goes right, as far as others tell.
fn clocks(context: &Context, store: Option<&Store>) -> Vec<Finding> {
    let now = Utc::now();
    let mut findings = Vec::new();
    let made = store.and_then(|store| context.block_on(store.editions(None)).ok()).into_iter().flatten();
    let latest = made.flat_map(|edition| [Some(edition.made), edition.approved]).flatten().max();
    findings.push(match latest {
        Some(latest) if latest > now + CLOCK => Finding::wrong(
            "ledger",
            format!("an edition was made at {}, which is still to come", latest.format("%F %T UTC")),
            "the clock was ahead then, or is behind now: set it, and let NTP keep it",
        ),
        _ => Finding::fine("ledger", "nothing in it is later than now"),
    });
    let url = &context.settings.masthead.url;
    let host = url.host_str().unwrap_or_default();
    findings.push(match context.block_on(clock::ahead_of(url)) {
        Err(because) => {
            note("web", format!("{host} does not tell the time: {because}"), "see that NTP keeps this machine's clock")
        }
        Ok(off) if off.abs() <= CLOCK => Finding::fine("web", format!("agrees with the clock of {host}")),
        Ok(off) => {
            let way = if off > TimeDelta::zero() { "ahead of" } else { "behind" };
            let what = format!("{} s {way} the clock of {host}", output::grouped(off.num_seconds().unsigned_abs()));
            let to_do = "let NTP keep this machine's clock (or the other's, if that one is wrong)";
            if off.abs() > CLOCK_WRONG { Finding::wrong("web", what, to_do) } else { Finding::note("web", what, to_do) }
        }
    });
    findings
}

/// What receivers will think of a digest's mails, and whether the relay takes them.
fn mails(common: &Common, context: &Context, store: &Store, digest: &Digest, sizes: &[usize]) -> Vec<Finding> {
    let (number, sealed) = match specimen(common, context, store, digest) {
        Ok(Some(specimen)) => specimen,
        Ok(None) => {
            return vec![note("mail", "nothing is new, and there is no edition yet", "look again when there is")];
        }
        Err(failure) => return vec![crossed("mail", &failure)],
    };
    // To herself: whoever reads the report is no reader.
    let to = &digest.from.address;
    let mail = match Writer::new(context, digest, number, &sealed)
        .and_then(|writer| writer.mail(NOBODY, to, "", None, None))
    {
        Ok(mail) => mail,
        Err(failure) => return vec![crossed("mail", &failure)],
    };
    let mut findings = posture::message(&mail);
    if let Some(limit) = sizes.iter().min().filter(|&&limit| mail.message.len() > limit) {
        let what = format!("it has {} bytes, and the relay takes {}", mail.message.len(), limit);
        findings.push(Finding::wrong("SIZE", what, "fewer `pieces:` in an edition, or `body: summary`"));
    }
    findings
}

/// The digest's newest edition, or what its first one would be.
fn specimen(
    common: &Common,
    context: &Context,
    store: &Store,
    digest: &Digest,
) -> Result<Option<(u32, Sealed)>, Failure> {
    let editions = context.block_on(store.editions(Some(&digest.slug))).map_err(failures::ledger)?;
    match editions.first() {
        Some(newest) => context.edition(store, newest.id.0).map(|edition| Some((edition.number, edition.sealed))),
        None => send::next(common, context, store, digest, &Articles { stream: None }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
