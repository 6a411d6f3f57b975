//! `pressrun run`: made for cron and systemd timers.

use chrono::Utc;
use std::collections::HashSet;

use super::context::Context;
use super::due::{self, Due};
use super::failures::{Worst, hinders_all};
use super::material::{self, Articles};
use super::send::{self, Left};
use super::turn::Desk;
use super::{Common, Done, editors, failures, returns, subscribers};
use crate::error::Failure;
use crate::incremental::Need;

/// Arguments of `pressrun run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seal every digest that has something new, whatever its schedule says
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    articles: Articles,
}

/// Builds the feeds, seals what is due, sends what may go, tells the editors.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load_to_send(common)?;
    let _alone = context.press_lock()?;
    turn(common, &context, &arguments.articles, arguments.now)?.or_fail()
}

/// What a run does; the caller holds the press lock. `regardless`: whatever the schedules say. While it sends, a digest may become
/// due: then it is made first, and the sending goes on.
pub(super) fn turn(common: &Common, context: &Context, articles: &Articles, regardless: bool) -> Result<Left, Failure> {
    let (mut known, mut worst) = (HashSet::new(), Worst::default());
    let mut done = round(common, context, articles, regardless, &mut known, &mut worst);
    while matches!(done, Ok(Left { gave_way: true, .. })) {
        done = round(common, context, articles, false, &mut known, &mut worst);
    }
    worst.and(common, done)
}

/// Makes what is due, and sends until it is done or something else is due. What was `known` to be due has had its turn.
fn round(
    common: &Common,
    context: &Context,
    articles: &Articles,
    regardless: bool,
    known: &mut HashSet<Due>,
    worst: &mut Worst,
) -> Result<Left, Failure> {
    let built = material::build(common, context, articles, Need::Newsroom, false)?;
    // What the feeds needed is what the digests need.
    let Some(material) = built.material else { return Ok(Left::default()) };
    let store = context.store()?;
    subscribers::sync(common, context, &store)?;
    returns::collect(common, context, &store)?;
    known.extend(context.block_on(due::due(context, &store, Utc::now())).map_err(failures::ledger)?);
    let desk = Desk { common, context, store: &store, material: &material };
    for digest in &context.settings.digests {
        match desk.turn(digest, regardless) {
            Ok(()) => {}
            Err(failure) if hinders_all(&failure) => return Err(failure),
            // The other digests' editions go all the same.
            Err(failure) => worst.add(common, failure),
        }
    }
    let sent = send::deliver_all(common, context, &store, None, send::Hours::Kept, Some(known), worst);
    editors::tell(common, context, &store);
    sent
}
