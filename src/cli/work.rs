//! `pressrun work`: sends what was approved, until it is told to stop; on as many machines as wanted.

use chrono::Utc;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::context::{Context, Store};
use super::failures::hinders_all;
use super::send::{self, Hours};
use super::{Common, Done, editors, failures, output};
use crate::delivery::Ledger;
use crate::digest::EditionId;
use crate::error::{Failure, Kind};
use crate::press::Stop;

/// Between two looks for something to do.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks for letters to editors that others have left.
const LETTERS: Duration = Duration::from_mins(1);
/// After a failure that may pass: the first wait, and the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_mins(1);
/// An edition of which something is due and could not go (a new sender's ceiling is reached) is left alone for so long.
const REST: Duration = Duration::from_mins(1);

/// Arguments of `pressrun work`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End when every approved edition is sent, or only uncertain deliveries that a person must decide are left
    #[arg(long)]
    until_done: bool,
}

/// What a look around found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Something was sent, or tried.
    Work,
    /// Something waits for its time, or is under way elsewhere.
    Waiting,
    /// Nothing.
    Nothing,
}

/// An edition that is left alone for a while.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    /// For something that is wrong with it: it is not waited for.
    failed: bool,
}

/// Sends what is approved.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load_to_send(common)?;
    let _alone = context.press_lock()?;
    let store = context.store()?;
    let stop = context.stop()?;
    output::line(common, "work", "waits for approved editions");
    let mut wait = AGAIN;
    let mut told = None::<Instant>;
    let mut resting = HashMap::new();
    let mut failed = None;
    while !stop.is_set() {
        let pause = match look(common, &context, &store, &stop, &mut resting, &mut failed) {
            Ok(Found::Nothing) if arguments.until_done => {
                editors::tell(common, &context, &store);
                return failed.map_or(Ok(()), Err);
            }
            Ok(found) => {
                wait = AGAIN;
                if found == Found::Work {
                    told = None;
                } else if told.is_none_or(|told| told.elapsed() >= LETTERS) {
                    editors::tell(common, &context, &store);
                    told = Some(Instant::now());
                }
                if found == Found::Work { Duration::ZERO } else { LOOK }
            }
            Err(_) if stop.is_set() => break,
            // The database or the relay may come back; everything else is for a person.
            Err(failure) if failure.kind == Kind::Unavailable => {
                output::failure(common, &failure);
                let pause = wait;
                wait = (wait * 2).min(AGAIN_MOST);
                pause
            }
            Err(failure) => return Err(failure),
        };
        context.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.wait() => {}
            }
        });
    }
    Ok(())
}

/// Rescues what others left, and sends what is due, but for editions that are `resting` until then. What is wrong with one edition
/// holds up no other: it rests, and is told at the end, too, where there is one.
fn look(
    common: &Common,
    context: &Context,
    store: &Store,
    stop: &Stop,
    resting: &mut HashMap<EditionId, Rest>,
    failed: &mut Option<Failure>,
) -> Result<Found, Failure> {
    resting.retain(|_, rest| rest.until > Instant::now());
    let policy = context.settings.press.uncertain;
    context.block_on(store.rescue(context.alone(), policy, Utc::now())).map_err(failures::ledger)?;
    let mut found = Found::Nothing;
    for id in context.block_on(store.unfinished()).map_err(failures::ledger)? {
        if stop.is_set() {
            break;
        }
        if context.block_on(store.paused(id)).map_err(failures::ledger)?.is_some() {
            resting.remove(&id);
            continue;
        }
        if let Some(rest) = resting.get(&id) {
            if !rest.failed && found == Found::Nothing {
                found = Found::Waiting;
            }
            continue;
        }
        let due = context.block_on(store.next_due(id)).map_err(failures::ledger)?;
        if due.is_some_and(|due| due <= Utc::now()) {
            let edition = context.edition(store, id.0)?;
            let sent = context.digest(&edition.digest).and_then(|digest| {
                if digest.quiet.is_some_and(|quiet| quiet.at(Utc::now())) {
                    return Ok(None);
                }
                send::deliver(common, context, store, &edition, Hours::Kept, None).map(Some)
            });
            match sent {
                Ok(Some(left)) if left.waiting > 0 => {
                    found = Found::Work;
                    continue;
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    found = if found == Found::Nothing { Found::Waiting } else { found };
                    continue;
                }
                Err(failure) if hinders_all(&failure) => return Err(failure),
                Err(failure) => {
                    output::failure(common, &failure);
                    resting.insert(id, Rest { until: Instant::now() + REST, failed: true });
                    failed.get_or_insert_with(|| {
                        Failure::new(failure.kind, "not every edition could be sent").because("what was told above")
                    });
                    continue;
                }
            }
            // Nothing more of it is due, or may go.
            found = if found == Found::Nothing { Found::Waiting } else { found };
            let due = context.block_on(store.next_due(id)).map_err(failures::ledger)?;
            if context.settings.press.warm_up.is_some() && due.is_some_and(|due| due <= Utc::now()) {
                resting.insert(id, Rest { until: Instant::now() + REST, failed: false });
            }
            continue;
        }
        if context.block_on(store.finish(id, Utc::now())).map_err(failures::ledger)? {
            continue;
        }
        let counts = context.counts(store, id)?;
        if counts.waiting + counts.under_way > 0 && found == Found::Nothing {
            found = Found::Waiting;
        }
    }
    Ok(found)
}
