//! `pressrun run`: made for cron and systemd timers.

use super::context::Context;
use super::material::{self, Articles};
use super::send::{self, Left};
use super::turn::Desk;
use super::{Common, Done, editors, returns, subscribers};
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

/// What a run does; the caller holds the press lock. `regardless`: whatever the schedules say.
pub(super) fn turn(common: &Common, context: &Context, articles: &Articles, regardless: bool) -> Result<Left, Failure> {
    let built = material::build(common, context, articles, Need::Newsroom, false)?;
    // What the feeds needed is what the digests need.
    let Some(material) = built.material else { return Ok(Left::default()) };
    let store = context.store()?;
    subscribers::sync(common, context, &store)?;
    returns::collect(common, context, &store)?;
    let desk = Desk { common, context, store: &store, material: &material };
    for digest in &context.settings.digests {
        desk.turn(digest, regardless)?;
    }
    let sent = send::deliver_all(common, context, &store, None, send::Hours::Kept);
    editors::tell(common, context, &store);
    sent
}
