//! Which digests are due: what a press looks for between two editions, and while it sends one.

use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::time::Duration;

use super::context::{Context, Store};
use crate::digest::{Approval, Digest, Edition, EditionState, Editions, Turn};
use crate::store::StoreError;

/// Between two looks while something is sent.
const LOOK: Duration = Duration::from_secs(5);

/// A digest's slug, and its due time; `None` where it has never run, and so is due at any time.
pub(super) type Due = (String, Option<DateTime<Utc>>);

/// The digests whose time has come. A draft that waits for a person waits for no press.
pub(super) async fn due(context: &Context, store: &Store, now: DateTime<Utc>) -> Result<Vec<Due>, StoreError> {
    let mut found = vec![];
    for digest in &context.settings.digests {
        let Some(schedule) = &digest.schedule else { continue };
        let last = store.last_run(&digest.slug).await?;
        let Some(due) = schedule.due(last, now) else { continue };
        let editions = store.editions(Some(&digest.slug)).await?;
        let draft = editions.iter().find(|edition| edition.state == EditionState::Draft);
        if draft.is_none_or(|draft| goes_by_itself(digest, draft, now)) {
            found.push((digest.slug.clone(), last.map(|_| due)));
        }
    }
    Ok(found)
}

/// A draft that a run had no time to let go, and that nobody has touched.
pub(super) fn goes_by_itself(digest: &Digest, draft: &Edition, now: DateTime<Utc>) -> bool {
    let in_time = draft.due.is_some_and(|due| digest.missed.turn(digest.late, due, now) == Turn::Make);
    digest.approval == Approval::Automatic && in_time && draft.revision == 0
}

/// Comes back when a digest is due that is not `known` to be. A ledger that cannot be asked is told by those who send.
pub(super) async fn comes(context: &Context, store: &Store, known: &HashSet<Due>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Ok(found) = due(context, store, Utc::now()).await
            && found.iter().any(|due| !known.contains(due))
        {
            return;
        }
    }
}
