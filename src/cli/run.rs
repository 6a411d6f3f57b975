//! `pressrun run`: made for cron and systemd timers.

use super::context::Context;
use super::material::{self, Articles};
use super::turn::Desk;
use super::{Common, Done, editors, returns, send, subscribers};
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
    let context = Context::load(common)?;
    let _alone = context.press_lock()?;
    let built = material::build(common, &context, &arguments.articles, Need::Newsroom, false)?;
    // What the feeds needed is what the digests need.
    let Some(material) = built.material else { return Ok(()) };
    let store = context.store()?;
    subscribers::sync(common, &context, &store)?;
    returns::collect(common, &context, &store)?;
    let desk = Desk { common, context: &context, store: &store, material: &material };
    for digest in &context.settings.digests {
        desk.turn(digest, arguments.now)?;
    }
    let sent = send::deliver_all(common, &context, &store, None, send::Hours::Kept);
    editors::tell(common, &context, &store);
    sent
}
