//! `pressrun schedule`: a calendar of what comes, and what waits.

use chrono::{DateTime, Utc};

use super::context::{Context, Store};
use super::{Common, Done, failures, output};
use crate::digest::schedule::calendar::{ClockNote, Date};
use crate::digest::{Approval, Digest, EditionState, Editions, Turn};

/// Arguments of `pressrun schedule`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this digest
    digest: Option<String>,
    /// How many dates of each digest
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

/// How one digest stands.
struct Standing<'a> {
    digest: &'a Digest,
    now: DateTime<Utc>,
    last: Option<DateTime<Utc>>,
    /// The due time that the next run will handle.
    due: Option<DateTime<Utc>>,
    dates: Vec<Date>,
    /// Numbers in the ledger.
    draft: Option<i64>,
    /// Approved or being sent.
    under_way: Vec<i64>,
}

/// Tells when each digest is due next.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let digests: Vec<&Digest> = match &arguments.digest {
        Some(slug) => vec![context.digest(slug)?],
        None => context.settings.digests.iter().collect(),
    };
    let store = context.store()?;
    if digests.is_empty() && !common.json {
        output::text("the configuration has no digest");
    }
    for (n, digest) in digests.into_iter().enumerate() {
        let standing = standing(&context, &store, digest, usize::from(arguments.count))?;
        output::event(common, &event(&standing));
        if !common.json {
            if n > 0 {
                output::text("");
            }
            tell(&standing);
        }
    }
    Ok(())
}

fn standing<'a>(
    context: &Context,
    store: &Store,
    digest: &'a Digest,
    count: usize,
) -> Result<Standing<'a>, crate::error::Failure> {
    let now = Utc::now();
    let last = context.block_on(store.last_run(&digest.slug)).map_err(failures::ledger)?;
    let editions = context.block_on(store.editions(Some(&digest.slug))).map_err(failures::ledger)?;
    let under_way = |state| matches!(state, EditionState::Approved | EditionState::Sending);
    Ok(Standing {
        digest,
        now,
        last,
        due: digest.schedule.as_ref().and_then(|schedule| schedule.due(last, now)),
        dates: digest.schedule.as_ref().map(|schedule| schedule.dates(now, count)).unwrap_or_default(),
        draft: editions.iter().find(|e| e.state == EditionState::Draft).map(|e| e.id.0),
        under_way: editions.iter().rev().filter(|e| under_way(e.state)).map(|e| e.id.0).collect(),
    })
}

fn event(s: &Standing<'_>) -> serde_json::Value {
    let zone = s.digest.schedule.as_ref().map(crate::digest::Schedule::time_zone);
    let date = |date: &Date| {
        let local = zone.map(|zone| date.at.with_timezone(&zone).to_rfc3339());
        serde_json::json!({ "at": date.at, "local": local, "note": date.note })
    };
    serde_json::json!({
        "event": "schedule", "digest": s.digest.slug, "title": s.digest.title,
        "schedule": s.digest.schedule.as_ref().map(crate::digest::Schedule::pattern),
        "words": s.digest.schedule.as_ref().map(crate::digest::Schedule::words),
        "time_zone": zone, "approval": s.digest.approval, "at_least": s.digest.at_least,
        "missed": s.digest.missed, "late_seconds": s.digest.late.as_secs(),
        "quiet": s.digest.quiet.map(|quiet| quiet.to_string()),
        "quiet_until": s.digest.quiet.and_then(|quiet| quiet.ends(s.now)),
        "last": s.last, "due": s.due, "next": s.dates.iter().map(date).collect::<Vec<_>>(),
        "draft": s.draft, "under_way": s.under_way,
    })
}

fn tell(s: &Standing<'_>) {
    let local = |moment| Context::local(s.digest, moment);
    let row = |word: &str, told: String| output::text(format!("  {word:<9} {told}"));
    output::text(format!("{} ({})", s.digest.title, s.digest.slug));
    match &s.digest.schedule {
        None => row("when", format!("by hand: pressrun send {}", s.digest.slug)),
        Some(schedule) => row("when", format!("{}, {}", schedule.words(), schedule.time_zone().name())),
    }
    if let Some(quiet) = &s.digest.quiet {
        let now = quiet.ends(s.now).map(|until| format!(", now until {}", local(until))).unwrap_or_default();
        row("quiet", format!("{quiet}, {}{now}", quiet.time_zone().name()));
    }
    match s.last {
        Some(last) if last > s.now => row("last", format!("{}: the clock was set back", local(last))),
        Some(last) => row("last", local(last)),
        None => row("last", "never".to_owned()),
    }
    if let Some(draft) = s.draft {
        row("draft", format!("edition {draft} waits for an editor: pressrun edition show {draft}"));
    }
    for edition in &s.under_way {
        row("sending", format!("edition {edition}: pressrun ledger show {edition}"));
    }
    if s.due.is_some() {
        row("now", format!("due: {}", what_comes(s)));
    }
    for (n, date) in s.dates.iter().enumerate() {
        let word = if n == 0 { "next" } else { "" };
        row(word, format!("{}{}", local(date.at), note(date.note)));
    }
}

/// What the next run does about the due time.
fn what_comes(s: &Standing<'_>) -> &'static str {
    let turn = s.due.map(|due| s.digest.missed.turn(s.digest.late, due, s.now));
    match (s.draft, turn, s.digest.approval) {
        (Some(_), ..) => "waits for the draft",
        (_, Some(Turn::Skip), _) => "too late, the next run skips it",
        (_, Some(Turn::Ask), ..) => "late, the next run leaves a draft for the editor",
        (_, _, Approval::Editor) => "the next run leaves a draft for the editor",
        (_, _, Approval::Automatic) => "the next run sends what is new",
    }
}

fn note(note: Option<ClockNote>) -> &'static str {
    match note {
        None => "",
        Some(ClockNote::Skipped) => "  (the clocks go forward: its hour is skipped, so at the end of it)",
        Some(ClockNote::First) => "  (the clocks go back: its hour comes twice, this is the first)",
        Some(ClockNote::Second) => "  (the clocks go back: its hour comes twice, this is the second)",
        Some(ClockNote::Changed) => "  (the clocks have been set)",
    }
}
