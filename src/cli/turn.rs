//! A digest's turn in `pressrun run`: is it due, and what is made of it.

use chrono::{DateTime, Utc};

use super::context::{Context, Store};
use super::material::Material;
use super::{Common, Done, due, editors, failures, mailing, output};
use crate::digest::edition::Choice;
use crate::digest::{Approval, Digest, Edition, Editions, Turn};
use crate::press::seal;

/// What a digest's turn needs.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) common: &'a Common,
    pub(super) context: &'a Context,
    pub(super) store: &'a Store,
    pub(super) material: &'a Material,
}

impl Desk<'_> {
    /// Makes a digest's next edition when its schedule says so (`regardless`: whatever it says), and lets it go out where
    /// nobody has to approve it.
    pub(super) fn turn(&self, digest: &Digest, regardless: bool) -> Done {
        let now = Utc::now();
        if let Some(draft) = self.context.draft(self.store, digest)? {
            return self.found(digest, &draft, now);
        }
        let last = self.context.block_on(self.store.last_run(&digest.slug)).map_err(failures::ledger)?;
        let due = match &digest.schedule {
            _ if regardless => Some(now),
            Some(schedule) => schedule.due(last, now),
            None => None,
        };
        match due {
            None => self.tell_next(digest, last, now),
            Some(due) => match digest.missed.turn(digest.late, due, now) {
                Turn::Skip => self.skip(digest, due)?,
                turn => self.make(digest, due, turn, now)?,
            },
        }
        Ok(())
    }

    /// A draft is there already: the editor's, or one that a run had no time to let go.
    fn found(&self, digest: &Digest, draft: &Edition, now: DateTime<Utc>) -> Done {
        if due::goes_by_itself(digest, draft, now) {
            return self.let_go(digest, draft, now);
        }
        self.line(format!(
            "{}: edition {id} is a draft and waits for an editor: pressrun edition show {id}",
            digest.title,
            id = draft.id.0
        ));
        match draft.due {
            Some(_) => editors::draft(self.context, self.store, digest, draft),
            None => Ok(()),
        }
    }

    /// Of a draft that waited, what is still published goes, as it is today.
    fn let_go(&self, digest: &Digest, draft: &Edition, now: DateTime<Utc>) -> Done {
        let templates = self.context.templates_or_fail(self.common, digest)?;
        let desk = self.material.desk(self.context, self.store, digest, &templates);
        if let Some(renewed) = desk.renewed(draft, now).map_err(|e| failures::seal(self.common, e))? {
            self.tell_made(digest, &renewed);
            return self.approve(&renewed, now);
        }
        self.context.block_on(self.store.withdraw(draft.id, now)).map_err(failures::ledger)?;
        self.line(format!("{}: nothing of edition {} is published any more: withdrawn", digest.title, draft.id.0));
        Ok(())
    }

    fn tell_next(&self, digest: &Digest, last: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let Some(schedule) = &digest.schedule else { return };
        if let Some(last) = last.filter(|last| *last > now) {
            self.line(format!(
                "{}: the clock was set back: the last turn was on {}; if the clock is right now, pressrun run --now",
                digest.title,
                Context::local(digest, last)
            ));
        } else if let Some(next) = schedule.next(now) {
            self.line(format!("{}: next on {}", digest.title, Context::local(digest, next)));
        }
    }

    fn skip(&self, digest: &Digest, due: DateTime<Utc>) -> Done {
        let when = Context::local(digest, due);
        self.line(format!("{}: was due on {when}; too late now, skipped: its pieces stay new", digest.title));
        output::event(self.common, &serde_json::json!({ "event": "skipped", "digest": digest.slug, "due": due }));
        self.context.block_on(self.store.ran(&digest.slug, due)).map_err(failures::ledger)
    }

    fn make(&self, digest: &Digest, due: DateTime<Utc>, turn: Turn, now: DateTime<Utc>) -> Done {
        let templates = self.context.templates_or_fail(self.common, digest)?;
        let desk = self.material.desk(self.context, self.store, digest, &templates);
        let made = self.context.block_on(desk.draft_due(due, now)).map_err(|e| failures::seal(self.common, e))?;
        let Some(edition) = made else {
            let few = match digest.at_least {
                0 | 1 => String::new(),
                n => format!(", or fewer than {n} pieces: they wait for more"),
            };
            self.line(format!("{}: nothing new{few}", digest.title));
            return Ok(());
        };
        self.tell_made(digest, &edition);
        if digest.approval == Approval::Automatic && turn == Turn::Make {
            self.approve(&edition, now)?;
            // Until it may go out there is time for what costs most.
            if digest.quiet.is_some_and(|quiet| quiet.at(now)) {
                let approved = self.context.edition(self.store, edition.id.0)?;
                mailing::prepare(self.common, self.context, self.store, &approved, digest)?;
            }
            return Ok(());
        }
        if turn == Turn::Ask {
            let when = Context::local(digest, due);
            output::line(self.common, "", format!("it was due on {when}: too late to go out by itself"));
        }
        let told = "a draft for the editor: pressrun edition show";
        output::line(self.common, "", format!("{told} {}, then edit or approve it", edition.id.0));
        editors::draft(self.context, self.store, digest, &edition)
    }

    fn approve(&self, edition: &Edition, now: DateTime<Utc>) -> Done {
        let approved = self.context.block_on(seal::approve(self.store.as_ref(), edition, now));
        approved.map(|_| ()).map_err(|e| failures::seal(self.common, e))
    }

    fn tell_made(&self, digest: &Digest, edition: &Edition) {
        let pieces = edition.pieces.iter().filter(|p| p.choice == Choice::Carried).count() as u64;
        let (number, told) = (edition.number, output::count(pieces, "piece"));
        self.line(format!("{} no. {number}, {told}: “{}”", digest.title, edition.sealed.subject));
        if edition.sealed.shortened {
            let told = "its full texts are too long for one mail: it carries summaries with “read on”";
            output::line(self.common, "", told);
        }
        output::event(
            self.common,
            &serde_json::json!({ "event": "sealed", "digest": digest.slug, "edition": edition.id, "number": number, "pieces": pieces }),
        );
    }

    fn line(&self, told: String) {
        output::line(self.common, "digest", told);
    }
}
