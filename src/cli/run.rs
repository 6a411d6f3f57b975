//! `pressrun run`: made for cron and systemd timers.

use chrono::Utc;

use super::context::{Context, Store};
use super::material::{self, Articles, Material};
use super::{Common, Done, failures, output, send, subscribers};
use crate::digest::{Approval, Digest, Editions};
use crate::incremental::Need;
use crate::press::seal;

/// Arguments of `pressrun run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seal every digest that has something new, whatever its schedule says
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    articles: Articles,
}

/// Builds the feeds, seals what is due, sends what may go.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let _alone = context.press_lock()?;
    let built = material::build(common, &context, &arguments.articles, Need::Newsroom, false)?;
    // What the feeds needed is what the digests need.
    let Some(material) = built.material else { return Ok(()) };
    let store = context.store()?;
    subscribers::sync(common, &context, &store)?;
    for digest in &context.settings.digests {
        seal_if_due(common, &context, &store, &material, digest, arguments.now)?;
    }
    send::deliver_all(common, &context, &store, None)
}

/// Makes a digest's next edition when its schedule says so; approves it where nobody else has to.
fn seal_if_due(
    common: &Common,
    context: &Context,
    store: &Store,
    material: &Material,
    digest: &Digest,
    regardless: bool,
) -> Done {
    let now = Utc::now();
    let last = context.block_on(store.last_run(&digest.slug)).map_err(failures::ledger)?;
    let due = match &digest.schedule {
        _ if regardless => Some(now),
        Some(schedule) => schedule.due(last, now),
        None => None,
    };
    let Some(due) = due else {
        if let Some(next) = digest.schedule.as_ref().and_then(|s| s.next(now)) {
            output::line(common, "digest", format!("{}: next on {}", digest.title, Context::local(digest, next)));
        }
        return Ok(());
    };
    if let Some(draft) = context.draft(store, digest)? {
        output::line(
            common,
            "digest",
            format!(
                "{}: edition {} is a draft and waits for an editor: pressrun edition show {}",
                digest.title, draft.id.0, draft.id.0
            ),
        );
        return Ok(());
    }
    let templates = context.templates_or_fail(common, digest)?;
    let desk = material.desk(context, store, digest, &templates);
    let made = context.block_on(desk.draft(now)).map_err(|e| failures::seal(common, e))?;
    match made {
        None => output::line(common, "digest", format!("{}: nothing new", digest.title)),
        Some(edition) => {
            let pieces =
                edition.pieces.iter().filter(|p| p.choice == crate::digest::edition::Choice::Carried).count() as u64;
            let told = format!(
                "{} no. {}, {}: “{}”",
                digest.title,
                edition.number,
                output::count(pieces, "piece"),
                edition.sealed.subject
            );
            output::line(common, "digest", told);
            if edition.sealed.shortened {
                output::line(
                    common,
                    "",
                    "its full texts are too long for one mail: it carries summaries with “read on”",
                );
            }
            output::event(
                common,
                &serde_json::json!({ "event": "sealed", "digest": digest.slug, "edition": edition.id, "number": edition.number, "pieces": pieces }),
            );
            match digest.approval {
                Approval::Automatic => {
                    context
                        .block_on(seal::approve(store.as_ref(), &edition, now))
                        .map_err(|e| failures::seal(common, e))?;
                }
                Approval::Editor => {
                    output::line(
                        common,
                        "",
                        format!(
                            "a draft for the editor: pressrun edition show {}, then edit or approve it",
                            edition.id.0
                        ),
                    );
                }
            }
        }
    }
    context.block_on(store.ran(&digest.slug, due)).map_err(failures::ledger)
}
