//! Tells the editors by mail: a draft waits, an edition was sent, an edition is paused.
//!
//! What is to be told is written down in the ledger with what happened, and sent at the end of a run, by one process at a time.
//! A letter that cannot be sent is said so, never fails the run or holds up another, and is tried again by the next, for a week. A
//! process that is killed after it took a letter leaves it for a second time, which is told: it may have gone out the first time,
//! under the same Message-ID.

use chrono::{TimeDelta, Utc};

use super::context::{Context, Store};
use super::{Common, Done, failures, keys, mailing, output, subscribers};
use crate::config::signing;
use crate::delivery::notice::letter::{self, About, Count, Facts, Kind, Letter, Piece, Refused, Templates};
use crate::delivery::notice::{Event, Notice, Notices};
use crate::delivery::returns::Mailed;
use crate::delivery::{DeliveryRecord, DeliveryState, Fate, Ledger, Step};
use crate::digest::edition::Choice;
use crate::digest::{Digest, Edition, EditionState, Turn};
use crate::error::{Failure, Kind as FailureKind};
use crate::mail::Mail;
use crate::mail::dkim::Signer;
use crate::mail::note::{Note, note};
use crate::newsroom::Problem;
use crate::transport::{Line, Transport};

/// More refused readers than this are counted and not listed.
const LISTED: usize = 10;
/// What a letter tells is no news any more after so long.
const GIVE_UP: TimeDelta = TimeDelta::days(7);

/// A draft waits for the editors of its digest.
pub(super) fn draft(context: &Context, store: &Store, digest: &Digest, edition: &Edition) -> Done {
    notify(context, store, digest, edition, Event::Draft)
}

/// An edition goes out: its editors hear of it when it has been sent, whichever run that will be.
pub(super) fn sending(context: &Context, store: &Store, digest: &Digest, edition: &Edition) -> Done {
    notify(context, store, digest, edition, Event::Sent)
}

/// How an edition stands after a run's sending: paused, or waiting for a person's decision.
pub(super) fn stands(context: &Context, store: &Store, digest: &Digest, edition: &Edition) -> Done {
    let counts = context.counts(store, edition.id)?;
    if context.block_on(store.paused(edition.id)).map_err(failures::ledger)?.is_some() {
        let ended = counts.accepted + counts.rejected + counts.expired;
        return notify(context, store, digest, edition, Event::Paused(ended));
    }
    if counts.uncertain > 0 && counts.waiting + counts.under_way == 0 {
        return notify(context, store, digest, edition, Event::Uncertain);
    }
    Ok(())
}

fn notify(context: &Context, store: &Store, digest: &Digest, edition: &Edition, event: Event) -> Done {
    if digest.editors.is_empty() {
        return Ok(());
    }
    let told = store.notify(edition.id, event, digest.editors.clone(), Utc::now());
    context.block_on(told).map_err(failures::ledger)
}

/// Sends the letters that are to be sent.
pub(super) fn tell(common: &Common, context: &Context, store: &Store) {
    if let Err(failure) = tell_all(common, context, store) {
        output::event(
            common,
            &serde_json::json!({ "event": "untold", "what": failure.what, "because": failure.because }),
        );
        let told = failure.to_string().replace('\n', "\n           ");
        output::line(common, "editors", format!("could not be told; the next run tries again: {told}"));
    }
}

/// The letters' templates: the newsroom's own where there is one, otherwise the embedded.
pub(super) fn templates(context: &Context) -> Result<Templates, Vec<Problem>> {
    let own = |name: &str| context.own_template(letter::FOLDER, name);
    let [draft, summary] = letter::FILES;
    match (own(draft), own(summary)) {
        (Ok(draft), Ok(summary)) => Templates::new([draft, summary]),
        (draft, summary) => Err([draft.err(), summary.err()].into_iter().flatten().collect()),
    }
}

fn tell_all(common: &Common, context: &Context, store: &Store) -> Done {
    let mut letters = Vec::new();
    let unsent = context.block_on(store.unsent()).map_err(failures::ledger)?;
    if unsent.is_empty() {
        return Ok(());
    }
    let templates = templates(context).map_err(|problems| {
        output::problems(common, &problems);
        output::found(problems.len(), FailureKind::Material)
    })?;
    for notice in unsent {
        let edition = context.edition(store, notice.edition.0)?;
        // A digest that is no longer in the configuration has no sender, and nobody to hear of it.
        let digest = context.settings.digests.iter().find(|d| d.slug == edition.digest);
        match (digest, ripe(&edition, notice.event)) {
            (Some(digest), Ripe::Now) => {
                let (kind, facts) = facts(context, store, digest, &edition, notice.event)?;
                let letter = templates.write(kind, &facts).map_err(|problem| {
                    output::problems(common, &[problem]);
                    output::found(1, FailureKind::Material)
                })?;
                letters.push((notice, digest, letter));
            }
            (Some(_), Ripe::Later) => {}
            (None, _) | (_, Ripe::Never) => settle(context, store, &notice)?,
        }
    }
    if letters.is_empty() {
        return Ok(());
    }
    let signer = signing::signer(&context.settings.dkim)?;
    let transport = mailing::transport(context)?;
    let (mut line, mut failed) = (None, None);
    let (mut told, mut again) = (0_u64, 0_u64);
    for (notice, digest, letter) in &letters {
        let mail = write(context, signer.as_ref(), notice, digest, letter)?;
        let take = store.take(notice, context.alone(), context.settings.press.lease, Utc::now());
        // Another process is at it, or was.
        let Some(taken) = context.block_on(take).map_err(failures::ledger)? else { continue };
        if let Err(unsent) = send(common, context, &transport, &mut line, &mail) {
            let hinders_all = matches!(unsent.why, Why::Unopened);
            if !hinders_all && Utc::now() - notice.since > GIVE_UP {
                let told = format!("a letter to {} is given up after {} days", notice.to, GIVE_UP.num_days());
                output::line(common, "editors", told);
                settle(context, store, notice)?;
                continue;
            }
            if !matches!(unsent.why, Why::Broken) {
                context.block_on(store.give_back(notice, taken)).map_err(failures::ledger)?;
            }
            failed.get_or_insert(unsent.failure);
            if hinders_all {
                break;
            }
            continue;
        }
        settle(context, store, notice)?;
        told += 1;
        again += u64::from(taken > 1);
    }
    if let Some(line) = line {
        context.block_on(line.close());
    }
    if told > 0 {
        output::event(common, &serde_json::json!({ "event": "told", "letters": told, "perhaps_again": again }));
        let doubt = if again > 0 { format!(", {again} of them perhaps for the second time") } else { String::new() };
        output::line(common, "editors", format!("{} sent{doubt}", output::count(told, "letter")));
    }
    failed.map_or(Ok(()), Err)
}

/// When a letter is to be sent.
enum Ripe {
    Now,
    Later,
    Never,
}

/// Whether what a letter tells has come to be, and still is.
fn ripe(edition: &Edition, event: Event) -> Ripe {
    let under_way = matches!(edition.state, EditionState::Approved | EditionState::Sending);
    let holds = match event {
        Event::Draft => edition.state == EditionState::Draft,
        Event::Sent if under_way => return Ripe::Later,
        Event::Sent => edition.state == EditionState::Sent,
        Event::Uncertain => under_way,
        Event::Paused(_) => under_way && edition.paused.is_some(),
    };
    if holds { Ripe::Now } else { Ripe::Never }
}

fn settle(context: &Context, store: &Store, notice: &Notice) -> Done {
    context.block_on(store.told(notice, Utc::now())).map_err(failures::ledger)
}

/// The mail of a letter, signed as the editions are.
fn write(
    context: &Context,
    signer: Option<&Signer>,
    notice: &Notice,
    digest: &Digest,
    letter: &Letter,
) -> Result<Mail, Failure> {
    let own = context.settings.returns.path.as_ref();
    let token = keys::links(context)?.sign_return(Mailed::Notice(notice.edition).number());
    let own = own.and_then(|path| path.address(&token));
    let mail = note(&Note {
        from: &digest.from,
        to: &notice.to,
        return_path: own.as_ref().unwrap_or(&context.settings.public.return_path),
        subject: &letter.subject,
        text: &letter.text,
        occasion: &format!("{}|{}", notice.edition.0, notice.event),
        date: notice.since,
    })
    .map_err(|e| Failure::new(FailureKind::Bug, "the letter makes no mail").because(e))?;
    let signed = mail.signed(signer, notice.since);
    signed.map_err(|e| Failure::new(FailureKind::Bug, "the letter cannot be signed").because(e))
}

/// Why a letter was not sent.
struct Unsent {
    failure: Failure,
    why: Why,
}

enum Why {
    /// No line can be had, for this one or another.
    Unopened,
    /// It was refused, or the line broke before the final dot.
    Refused,
    /// The line broke after the final dot: it may have been sent.
    Broken,
}

/// Sends one letter, on the line where one is open; leaves there a line that can carry another. One that is refused for good
/// counts as told, for the next run would be refused too.
fn send(
    common: &Common,
    context: &Context,
    transport: &Transport,
    line: &mut Option<Line>,
    mail: &Mail,
) -> Result<(), Unsent> {
    let unsent = |failure, why| Err(Unsent { failure, why });
    let mut open = match line.take().map_or_else(|| context.block_on(transport.open()), Ok) {
        Ok(open) => open,
        Err(error) => return unsent(failures::transport(&error), Why::Unopened),
    };
    let sent = context.block_on(open.send(mail, None));
    if sent.usable {
        *line = Some(open);
    }
    match sent.fate {
        taken if taken.is_acceptance() => Ok(()),
        Fate::Replied(Step::Rcpt | Step::Dot, reply) if (500..600).contains(&reply.code) => {
            let told = format!("a letter to {} was refused: {} {}", mail.to, reply.code, reply.text);
            output::line(common, "editors", told);
            Ok(())
        }
        Fate::Replied(_, reply) => {
            let failure = Failure::new(FailureKind::Unavailable, "the mail server took no letter");
            unsent(failure.because(format!("{} {}", reply.code, reply.text)), Why::Refused)
        }
        Fate::Broke(step, why) => {
            let failure = Failure::new(FailureKind::Unavailable, "the line broke").because(why);
            unsent(failure, if step == Step::Dot { Why::Broken } else { Why::Refused })
        }
    }
}

/// What a letter is filled with.
fn facts(
    context: &Context,
    store: &Store,
    digest: &Digest,
    edition: &Edition,
    event: Event,
) -> Result<(Kind, Facts), Failure> {
    let counts = context.counts(store, edition.id)?;
    let kind = if event == Event::Draft { Kind::Draft } else { Kind::Summary };
    let late = edition.due.is_some_and(|due| digest.missed.turn(digest.late, due, edition.made) == Turn::Ask);
    let carried = edition.pieces.iter().enumerate().filter(|(_, p)| p.choice == Choice::Carried);
    let readers = match kind {
        Kind::Draft => subscribers::confirmed(context, store, digest)?,
        Kind::Summary => counts.total(),
    };
    let facts = Facts {
        newsroom: context.settings.masthead.title.clone(),
        digest: About { slug: digest.slug.clone(), title: digest.title.clone() },
        edition: edition.id.0,
        number: edition.number,
        subject: edition.sealed.subject.clone(),
        preheader: edition.sealed.preheader.clone(),
        pieces: carried.map(|(n, piece)| Piece { number: n + 1, title: piece.title.clone() }).collect(),
        readers: output::grouped(readers),
        due: edition.due.map(|due| Context::local(digest, due)).unwrap_or_default(),
        late,
        sent: event == Event::Sent,
        undecided: event == Event::Uncertain,
        paused: edition.paused.clone().filter(|_| matches!(event, Event::Paused(_))),
        results: output::results(&counts)
            .into_iter()
            .map(|(count, what)| Count { count: output::grouped(count), what: what.to_owned() })
            .collect(),
        doubtful: (counts.doubtful > 0).then(|| output::grouped(counts.doubtful)),
        refused: refused(context, store, edition)?,
    };
    Ok((kind, facts))
}

/// Who was refused, and why; nobody where they are too many to list.
fn refused(context: &Context, store: &Store, edition: &Edition) -> Result<Vec<Refused>, Failure> {
    let limit = u32::try_from(LISTED + 1).unwrap_or(u32::MAX);
    let found = store.records(edition.id, Some(DeliveryState::Rejected), None, limit);
    let found = context.block_on(found).map_err(failures::ledger)?;
    if found.len() > LISTED {
        return Ok(Vec::new());
    }
    let reply = |record: &DeliveryRecord| {
        let last = record.attempts.last().map(|attempt| &attempt.reply);
        last.map(|reply| format!("{} {}", reply.code, reply.text)).unwrap_or_default()
    };
    Ok(found.iter().map(|r| Refused { address: r.address.to_string(), reply: reply(r) }).collect())
}
