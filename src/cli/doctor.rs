//! `pressrun doctor`: what stands in the way of mails that arrive.

// How the ledger is.
mod ledger;
// Where mail comes back to.
mod returned;

use chrono::{TimeDelta, Utc};
use std::collections::BTreeSet;

use super::context::{Context, Store};
use super::mailing::{self, NOBODY, Writer};
use super::material::Articles;
use super::{Common, Done, failures, output, send};
use crate::config::{LedgerAddress, TransportSettings, signing};
use crate::digest::{Digest, Editions, Sealed};
use crate::error::{Failure, Kind};
use crate::mail::posture::{self, Finding, Known, Sender, Verdict};
use crate::probe::{clock, dns::Dns};
use crate::transport::Transport;
use crate::transport::smtp::{Look, Security};

pub(super) use ledger::backup_note;

/// Arguments of `pressrun doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Two clocks that differ by less agree: the other one tells whole seconds, and the answer took its time.
const CLOCK: TimeDelta = TimeDelta::seconds(5);

/// A clock that is wrong by more makes receivers distrust `Date`, and schedules late.
const CLOCK_WRONG: TimeDelta = TimeDelta::minutes(1);

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
        Some(Ok(store)) => (ledger::look(&context, &store), Some(store)),
    };
    all.tell(common, "Ledger", ledger);
    if context.settings.returns.path.is_some() || !context.settings.returns.inboxes.is_empty() {
        all.tell(common, "Mail that comes back", context.block_on(returned::look(&context)));
    }
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
        Ok(off) => differs(off, "web", &format!("the clock of {host}")),
    });
    findings
}

/// What is to be said of a clock that ours is so far ahead of.
fn differs(off: TimeDelta, about: &'static str, whose: &str) -> Finding {
    if off.abs() <= CLOCK {
        return Finding::fine(about, format!("agrees with {whose}"));
    }
    let way = if off > TimeDelta::zero() { "ahead of" } else { "behind" };
    let what = format!("{} s {way} {whose}", output::grouped(off.num_seconds().unsigned_abs()));
    let to_do = "let NTP keep this machine's clock (or the other's, if that one is wrong)";
    if off.abs() > CLOCK_WRONG { Finding::wrong(about, what, to_do) } else { Finding::note(about, what, to_do) }
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
