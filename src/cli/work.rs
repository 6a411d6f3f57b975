//! `pressrun work`: sends what was approved, until it is told to stop; on as many machines as wanted.

use chrono::Utc;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::context::{Context, Store};
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
    while !stop.is_set() {
        let pause = match look(common, &context, &store, &stop, &mut resting) {
            Ok(Found::Nothing) if arguments.until_done => {
                editors::tell(common, &context, &store);
                break;
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

/// Rescues what others left, and sends what is due, but for editions that are `resting` until then.
fn look(
    common: &Common,
    context: &Context,
    store: &Store,
    stop: &Stop,
    resting: &mut HashMap<EditionId, Instant>,
) -> Result<Found, Failure> {
    resting.retain(|_, until| *until > Instant::now());
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
        if resting.contains_key(&id) {
            found = if found == Found::Nothing { Found::Waiting } else { found };
            continue;
        }
        let due = context.block_on(store.next_due(id)).map_err(failures::ledger)?;
        if due.is_some_and(|due| due <= Utc::now()) {
            let edition = context.edition(store, id.0)?;
            let quiet = context.digest(&edition.digest)?.quiet;
            if quiet.is_some_and(|quiet| quiet.at(Utc::now())) {
                found = if found == Found::Nothing { Found::Waiting } else { found };
                continue;
            }
            if send::deliver(common, context, store, &edition, Hours::Kept)? > 0 {
                found = Found::Work;
                continue;
            }
            // Nothing more of it is due, or may go.
            found = if found == Found::Nothing { Found::Waiting } else { found };
            let due = context.block_on(store.next_due(id)).map_err(failures::ledger)?;
            if context.settings.press.warm_up.is_some() && due.is_some_and(|due| due <= Utc::now()) {
                resting.insert(id, Instant::now() + REST);
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
