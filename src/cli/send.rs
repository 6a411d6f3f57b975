//! `pressrun send DIGEST`, and the sending part of `pressrun run`.

use chrono::{DateTime, Utc};
use std::collections::HashSet;

use super::context::{Context, Store};
use super::due::{self, Due};
use super::failures::{Worst, hinders_all};
use super::mailing::{self, Halt, Writer};
use super::material::{Articles, Material};
use super::{Common, Done, editors, failures, output, subscribers};
use crate::delivery::{Fate, Ledger};
use crate::digest::{Approval, Digest, Edition, EditionState};
use crate::error::{Failure, Kind};
use crate::press::seal;
use crate::subscriber::Address;

/// Arguments of `pressrun send`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The digest's slug
    digest: String,
    /// Send the next edition (or the waiting draft) to this address only; the ledger stays as it is
    #[arg(long, value_name = "ADDRESS", conflicts_with = "dry_run")]
    test: Option<String>,
    /// Send in quiet hours too
    #[arg(long)]
    now: bool,
    /// Say what would be sent to how many, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    articles: Articles,
}

/// Sends a digest's approved editions; where approval is automatic, seals what is new first.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load_to_send(common)?;
    let digest = context.digest(&arguments.digest)?;
    let store = context.store()?;
    if let Some(address) = &arguments.test {
        return test(common, &context, &store, digest, address, &arguments.articles);
    }
    if arguments.dry_run {
        return rehearse(common, &context, &store, digest, &arguments.articles);
    }
    let _alone = context.press_lock()?;
    if digest.approval == Approval::Automatic {
        let material = Material::read(common, &context, &arguments.articles)?;
        subscribers::sync(common, &context, &store)?;
        let templates = context.templates_or_fail(common, digest)?;
        let desk = material.desk(&context, &store, digest, &templates);
        let made = match context.draft(&store, digest)? {
            Some(draft) => Some(draft),
            None => context.block_on(desk.draft(Utc::now())).map_err(|e| failures::seal(common, e))?,
        };
        if let Some(edition) = made {
            output::line(
                common,
                "digest",
                format!("{} no. {}: “{}”", digest.title, edition.number, edition.sealed.subject),
            );
            context
                .block_on(seal::approve(store.as_ref(), &edition, Utc::now()))
                .map_err(|e| failures::seal(common, e))?;
        }
    } else if let Some(draft) = context.draft(&store, digest)? {
        output::line(
            common,
            "digest",
            format!("edition {} is still a draft: pressrun edition approve {}", draft.id.0, draft.id.0),
        );
    }
    let hours = if arguments.now { Hours::Disregarded } else { Hours::Kept };
    let mut worst = Worst::default();
    let sent = deliver_all(common, &context, &store, Some(digest), hours, None, &mut worst);
    editors::tell(common, &context, &store);
    worst.and(common, sent)?.or_fail()
}

/// What becomes of a digest's quiet hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hours {
    /// Nothing is sent in them.
    Kept,
    /// A person wants it sent all the same.
    Disregarded,
}

/// What a sending has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Left {
    /// Deliveries that still wait, and would go if their time had come.
    pub(crate) waiting: u64,
    /// It has given way to a digest that is due; they wait for nothing else.
    pub(crate) gave_way: bool,
}

impl Left {
    /// A command that has left something is to be run again.
    pub(crate) fn or_fail(self) -> Done {
        match self.waiting {
            0 => Ok(()),
            left => Err(Failure::new(Kind::Unavailable, format!("{} still to be sent", output::grouped(left)))
                .hint("the next pressrun run carries on where this one stopped")),
        }
    }
}

/// Sends every approved and unfinished edition, of one digest or of all; the caller holds the press lock. What is wrong with one
/// edition is among the `worst`, and holds up no other. With `known`, a digest that becomes due and is not known to be goes first: the caller sees to it,
/// and comes again. A long edition would otherwise keep the next ones from being made in time.
pub(crate) fn deliver_all(
    common: &Common,
    context: &Context,
    store: &Store,
    only: Option<&Digest>,
    hours: Hours,
    known: Option<&HashSet<Due>>,
    worst: &mut Worst,
) -> Result<Left, Failure> {
    let unfinished = context.block_on(store.unfinished()).map_err(failures::ledger)?;
    let (mut nothing, mut all) = (true, Left::default());
    for id in unfinished {
        let edition = context.edition(store, id.0)?;
        if only.is_some_and(|d| d.slug != edition.digest) {
            continue;
        }
        nothing = false;
        match deliver(common, context, store, &edition, hours, known) {
            Ok(left) => {
                all = Left { waiting: all.waiting + left.waiting, gave_way: left.gave_way };
                if left.gave_way {
                    break;
                }
            }
            Err(failure) if hinders_all(&failure) => return Err(failure),
            Err(failure) => worst.add(common, failure),
        }
    }
    if nothing {
        output::line(common, "delivery", "nothing new to send");
    }
    Ok(all)
}

/// Sends one edition. Answers what still waits, but for what a person or quiet hours hold back.
pub(super) fn deliver(
    common: &Common,
    context: &Context,
    store: &Store,
    edition: &Edition,
    hours: Hours,
    known: Option<&HashSet<Due>>,
) -> Result<Left, Failure> {
    seal::verify(edition).map_err(|e| failures::seal(common, e))?;
    let digest = context.digest(&edition.digest)?;
    let quiet = digest.quiet.filter(|_| hours == Hours::Kept);
    if let Some(until) = quiet.and_then(|quiet| quiet.ends(Utc::now())) {
        tell_quiet(common, digest, edition, until);
        return Ok(Left::default());
    }
    editors::sending(context, store, digest, edition)?;
    let comes = async {
        match known {
            Some(known) => due::comes(context, store, known).await,
            None => std::future::pending().await,
        }
    };
    let ended = mailing::deliver(common, context, store, edition, digest, quiet, comes);
    editors::stands(context, store, digest, edition)?;
    let counts = context.counts(store, edition.id)?;
    let told = output::counts(&counts);
    output::event(
        common,
        &serde_json::json!({ "event": "delivered", "edition": edition.id, "digest": edition.digest, "number": edition.number, "deliveries": counts }),
    );
    output::line(
        common,
        "delivery",
        format!("{} no. {}: {told} {} {}", digest.title, edition.number, "→", mailing::told_transport(context)),
    );
    if counts.uncertain > 0 {
        let told = format!(
            "{} may have gone out and may have not: pressrun ledger show {} --uncertain",
            output::grouped(counts.uncertain),
            edition.id.0
        );
        output::line(common, "", told);
    }
    let left = counts.waiting + counts.under_way;
    match ended? {
        Halt::Paused(why) => return tell_paused(common, digest, edition, &why, false),
        Halt::Pauses(why) => return tell_paused(common, digest, edition, &why, true),
        Halt::GivesWay => return Ok(Left { waiting: left, gave_way: true }),
        Halt::Spent => {
            output::event(
                common,
                &serde_json::json!({ "event": "warm_up", "edition": edition.id, "digest": edition.digest, "waiting": left }),
            );
            let told = format!("a new sender sends no more in these 24 hours; {} wait", output::grouped(left));
            output::line(common, "warm-up", told);
            return Ok(Left::default());
        }
        Halt::None => {}
    }
    match quiet.and_then(|quiet| quiet.ends(Utc::now())) {
        Some(until) if left > 0 => {
            tell_quiet(common, digest, edition, until);
            Ok(Left::default())
        }
        _ => Ok(Left { waiting: left, gave_way: false }),
    }
}

/// An edition is paused: a failure where the press has just done it.
fn tell_paused(common: &Common, digest: &Digest, edition: &Edition, why: &str, by_us: bool) -> Result<Left, Failure> {
    let id = edition.id.0;
    output::event(
        common,
        &serde_json::json!({ "event": "paused", "edition": id, "digest": edition.digest, "number": edition.number, "why": why }),
    );
    if by_us {
        let what = format!("{} no. {} is paused", digest.title, edition.number);
        let hint = format!(
            "pressrun ledger show {id} --refused, and --uncertain, show what the servers said; pressrun ledger resume {id} goes on"
        );
        return Err(Failure::new(Kind::Material, what).because(why).hint(hint));
    }
    let told = format!("{} no. {}: {why}. To go on: pressrun ledger resume {id}", digest.title, edition.number);
    output::line(common, "paused", told);
    Ok(Left::default())
}

/// An edition waits for its digest's quiet hours to end.
fn tell_quiet(common: &Common, digest: &Digest, edition: &Edition, until: DateTime<Utc>) {
    output::event(
        common,
        &serde_json::json!({ "event": "quiet", "edition": edition.id, "digest": edition.digest, "number": edition.number, "until": until }),
    );
    let until = Context::local(digest, until);
    output::line(common, "quiet", format!("{} no. {}: quiet hours until {until}", digest.title, edition.number));
}

/// Sends one mail to one address, outside the ledger.
fn test(
    common: &Common,
    context: &Context,
    store: &Store,
    digest: &Digest,
    address: &str,
    articles: &Articles,
) -> Done {
    let to: Address =
        address.parse().map_err(|e| Failure::new(Kind::Usage, "the test address cannot be mailed").because(e))?;
    let Some((number, mut sealed)) = next(common, context, store, digest, articles)? else {
        output::line(common, "test", format!("nothing new for {}", digest.title));
        return Ok(());
    };
    sealed.subject = format!("[Test] {}", sealed.subject);
    sealed.date = Utc::now();
    let mail = Writer::new(context, digest, number, &sealed)?.trial(&to)?;
    let transport = mailing::transport(context)?;
    let sent = context.block_on(async {
        let mut line = transport.open().await.map_err(|e| failures::transport(&e))?;
        let sent = line.send(&mail, None).await;
        line.close().await;
        Ok::<_, Failure>(sent)
    })?;
    match sent.fate {
        taken if taken.is_acceptance() => {
            output::line(
                common,
                "test",
                format!("{} no. {number} sent {} {}", digest.title, "→", mailing::told_transport(context)),
            );
            Ok(())
        }
        Fate::Replied(_, reply) => Err(Failure::new(Kind::Unavailable, "the test mail was refused")
            .because(format!("{} {}", reply.code, reply.text))),
        Fate::Broke(_, why) => Err(Failure::new(Kind::Unavailable, "the test mail may not have arrived").because(why)),
    }
}

/// Says what would be sent to how many.
fn rehearse(common: &Common, context: &Context, store: &Store, digest: &Digest, articles: &Articles) -> Done {
    let unfinished = context.block_on(store.unfinished()).map_err(failures::ledger)?;
    let mut told = false;
    for id in unfinished {
        let edition = context.edition(store, id.0)?;
        if edition.digest == digest.slug {
            let counts = context.counts(store, id)?;
            output::line(
                common,
                "would send",
                format!(
                    "no. {} “{}” to {}",
                    edition.number,
                    edition.sealed.subject,
                    output::count(counts.waiting, "reader")
                ),
            );
            told = true;
        }
    }
    if let Some((number, sealed)) = next(common, context, store, digest, articles)? {
        let readers = subscribers::expected(context, store, digest)?;
        let after = if digest.approval == Approval::Editor { ", once an editor approves it" } else { "" };
        output::line(
            common,
            "would send",
            format!("no. {number} “{}” to {}{after}", sealed.subject, output::count(readers, "reader")),
        );
        told = true;
    }
    if !told {
        output::line(common, "would send", format!("nothing: nothing is new for {}", digest.title));
    }
    Ok(())
}

/// The draft that waits, or what the next edition would be.
pub(super) fn next(
    common: &Common,
    context: &Context,
    store: &Store,
    digest: &Digest,
    articles: &Articles,
) -> Result<Option<(u32, crate::digest::Sealed)>, Failure> {
    if let Some(draft) = context.draft(store, digest)? {
        debug_assert_eq!(draft.state, EditionState::Draft);
        return Ok(Some((draft.number, draft.sealed)));
    }
    let material = Material::look(common, context, articles)?;
    let templates = context.templates_or_fail(common, digest)?;
    let desk = material.desk(context, store, digest, &templates);
    Ok(context.block_on(desk.propose(Utc::now())).map_err(|e| failures::seal(common, e))?.map(|p| (p.number, p.sealed)))
}
