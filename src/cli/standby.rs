//! The press beside the pages: looks what is due, and does what `pressrun run` does.

use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::context::{Context, Store};
use super::due::{self, Due};
use super::failures::Worst;
use super::material::Articles;
use super::{Common, editors, failures, output, run, send};
use crate::delivery::Ledger;
use crate::delivery::notice::Notices;
use crate::digest::EditionId;
use crate::error::{Failure, Kind};
use crate::press::Stop;

/// Between two looks: so soon an approval or a due time is noticed.
const LOOK: Duration = Duration::from_secs(1);
/// After something that failed, or could not go on, so long is waited before it is tried again.
const AGAIN: Duration = Duration::from_mins(1);
/// How often deliveries of presses that are gone are rescued, letters are tried again, and the standing is counted.
const CHORES: Duration = Duration::from_mins(1);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Task {
    /// A digest's due time has come.
    Seal(Due),
    /// Something of an edition is due.
    Send(EditionId),
}

impl Task {
    fn due(&self) -> Option<&Due> {
        match self {
            Task::Seal(due) => Some(due),
            Task::Send(_) => None,
        }
    }
}

/// The press of `pressrun serve`.
pub(super) struct Standby<'a> {
    common: &'a Common,
    context: &'a Context,
    store: Store,
    stop: Stop,
    /// What was tried, and when it may be again.
    tried: HashMap<Task, Instant>,
    chores: Option<Instant>,
}

impl<'a> Standby<'a> {
    pub(super) fn new(common: &'a Common, context: &'a Context, store: Store, stop: Stop) -> Self {
        Standby { common, context, store, stop, tried: HashMap::new(), chores: None }
    }

    /// Until it is told to stop. What goes wrong is told, and tried again.
    pub(super) fn attend(mut self) {
        while !self.stop.is_set() {
            if let Err(failure) = self.look()
                && !self.stop.is_set()
            {
                output::failure(self.common, &failure);
            }
            self.context.block_on(async {
                let _ = tokio::time::timeout(LOOK, self.stop.wait()).await;
            });
        }
    }

    /// Does what is due, unless another process is at it.
    fn look(&mut self) -> Result<(), Failure> {
        self.tried.retain(|_, again| *again > Instant::now());
        let task = self.task()?;
        let chores = self.chores.is_none_or(|last| last.elapsed() >= CHORES);
        if task.is_none() && !chores {
            return Ok(());
        }
        let _alone = match self.context.press_lock() {
            Ok(lock) => lock,
            Err(failure) if failure.kind == Kind::Unavailable => return Ok(()),
            Err(failure) => return Err(failure),
        };
        if chores {
            self.chores = Some(Instant::now());
            self.chores()?;
        }
        let Some(task) = task else { return Ok(()) };
        let done = match &task {
            Task::Seal(..) => run::turn(self.common, self.context, &Articles::default(), false),
            Task::Send(_) => {
                // What is due goes first, unless it was tried just now.
                let known = self.tried.keys().filter_map(Task::due).cloned().collect();
                let (kept, known, mut worst) = (send::Hours::Kept, Some(&known), Worst::default());
                let sent = send::deliver_all(self.common, self.context, &self.store, None, kept, known, &mut worst);
                editors::tell(self.common, self.context, &self.store);
                worst.and(self.common, sent)
            }
        };
        self.count()?;
        // Whatever became of it: what is still due now is not begun at once again.
        let gave_way = matches!(done, Ok(send::Left { gave_way: true, .. }));
        if !gave_way && (done.is_err() || self.task()?.is_some()) {
            self.tried.insert(task, Instant::now() + AGAIN);
        }
        match done {
            Ok(send::Left { waiting: 0, .. } | send::Left { gave_way: true, .. }) | Err(_) => done.map(|_| ()),
            Ok(send::Left { waiting, .. }) => {
                output::line(self.common, "", format!("{} wait for their time", output::grouped(waiting)));
                Ok(())
            }
        }
    }

    /// The first thing that is due and was not tried just now.
    fn task(&self) -> Result<Option<Task>, Failure> {
        let now = Utc::now();
        let fresh = |task: &Task| !self.tried.contains_key(task);
        let due = self.context.block_on(due::due(self.context, &self.store, now)).map_err(failures::ledger)?;
        if let Some(task) = due.into_iter().map(Task::Seal).find(fresh) {
            return Ok(Some(task));
        }
        for id in self.context.block_on(self.store.unfinished()).map_err(failures::ledger)? {
            let task = Task::Send(id);
            if fresh(&task) && self.may_go(id, now)? {
                return Ok(Some(task));
            }
        }
        Ok(None)
    }

    /// Something of the edition is due, and neither a pause nor quiet hours hold it.
    fn may_go(&self, id: EditionId, now: DateTime<Utc>) -> Result<bool, Failure> {
        let due = self.context.block_on(self.store.next_due(id)).map_err(failures::ledger)?;
        if due.is_none_or(|due| due > now) {
            return Ok(false);
        }
        if self.context.block_on(self.store.paused(id)).map_err(failures::ledger)?.is_some() {
            return Ok(false);
        }
        let edition = self.context.edition(&self.store, id.0)?;
        let digest = self.context.settings.digests.iter().find(|digest| digest.slug == edition.digest);
        Ok(digest.is_some_and(|digest| digest.quiet.is_none_or(|quiet| quiet.ends(now).is_none())))
    }

    /// What must be done now and then; the press is ours.
    fn chores(&self) -> Result<(), Failure> {
        let uncertain = self.context.settings.press.uncertain;
        self.context
            .block_on(self.store.rescue(self.context.alone(), uncertain, Utc::now()))
            .map_err(failures::ledger)?;
        if !self.context.block_on(self.store.unsent()).map_err(failures::ledger)?.is_empty() {
            editors::tell(self.common, self.context, &self.store);
        }
        self.count()
    }

    /// How the unfinished editions stand, for the counters.
    fn count(&self) -> Result<(), Failure> {
        let mut standing = vec![];
        for id in self.context.block_on(self.store.unfinished()).map_err(failures::ledger)? {
            let paused = self.context.block_on(self.store.paused(id)).map_err(failures::ledger)?;
            standing.push((self.context.counts(&self.store, id)?, paused.is_some()));
        }
        self.context.meter.stand(&standing);
        Ok(())
    }
}
