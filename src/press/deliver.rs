//! Sends an edition's deliveries.
//!
//! One task claims, some threads write the mails, and some lines send. While one mail of a line is on the wire, the ledger is told how the one before it ended and
//! which comes next, in one durable step that all lines share:
//!
//! ```text
//!   ledger  │ begin 1 2 │        │ settle 1, begin 3 │ settle 2, begin 4 │
//!   line    │           │ send 1 │ send 2 ·········· │ send 3            │ send 4
//! ```
//!
//! A mail's bytes go on the wire only after its *in flight* is durable (its envelope may go before: that alone is nothing);
//! whatever kills the press, what it leaves *in flight* is all that may have gone out without being written down.

mod course;
mod hand;
mod line;
mod queue;
mod seat;
mod writing;

pub use course::{ACCUSED_PAUSE, BREATHS, FRUITLESS, REFUSED_OF, REFUSED_PAUSE, UNCERTAIN_PAUSE};
pub use line::{IN_FLIGHT, OPEN_TRIES};

use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Options, Stop};
use crate::delivery::ledger::{PressId, UncertainPolicy};
use crate::delivery::pace::{Limits, Pace};
use crate::delivery::warm_up;
use crate::delivery::{Claimed, Ledger, Reply};
use crate::digest::EditionId;
use crate::error::{Failure, Kind};
use crate::mail::Mail;
use crate::transport::{OpenError, Transport};
use course::Course;
use line::Worker;
use queue::{BATCH, Queue};
use writing::{Writers, Written};

/// Between two reports of progress.
const PROGRESS: Duration = Duration::from_millis(200);
/// How often it is looked whether something has become due, while others are under way.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked what other presses have heard, and how many there are: where there may be others, often, for each
/// that begins shares the limits.
const LISTEN: Duration = Duration::from_secs(10);
const LISTEN_SHARED: Duration = Duration::from_secs(1);
/// So long after it has said that it is there, all others have listened.
const HEARD: Duration = Duration::from_millis(1_500);
/// Signs of life in the time of a lease.
const SIGNS: u32 = 3;
/// Deliveries claimed at once for each line, where others share the work.
const SHARED: u32 = 4;

/// What is to be sent, through what, and how.
#[derive(Debug)]
pub struct Job<L> {
    /// Where it is written down.
    pub ledger: Arc<L>,
    /// Where the mails go.
    pub transport: Arc<Transport>,
    /// What is sent.
    pub edition: EditionId,
    /// How.
    pub options: Options,
    /// This run of this press; must be another one for each run.
    pub press: PressId,
    /// The caller holds the press's lock: whatever is claimed or in flight was left by a press that is gone.
    pub alone: bool,
    /// Ends it in good order.
    pub stop: Stop,
}

/// How many attempts ended how, in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Tally {
    /// The relay took it.
    pub accepted: u64,
    /// Put off; counted each time.
    pub deferred: u64,
    /// Refused for good.
    pub rejected: u64,
    /// Put off until it was too late.
    pub expired: u64,
    /// May have gone out and may have not; those that were found so at the beginning among them.
    pub uncertain: u64,
}

/// A sign of life.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Progress {
    /// So far.
    pub tally: Tally,
    /// Deliveries that waited when it began.
    pub waiting: u64,
    /// Lines that are open.
    pub lines: usize,
    /// Since it began.
    pub seconds: f64,
}

impl Progress {
    /// Mails accepted in a second, on average.
    #[allow(clippy::cast_precision_loss)]
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.tally.accepted as f64 / self.seconds } else { 0.0 }
    }

    /// Deliveries that have ended.
    pub fn done(&self) -> u64 {
        self.tally.accepted + self.tally.rejected + self.tally.expired
    }

    /// Seconds until the others have, if it goes on like this; `None` where nothing can be said.
    #[allow(clippy::cast_precision_loss)]
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.waiting.saturating_sub(self.done());
        (self.done() > 0 && self.seconds > 0.0).then(|| left as f64 * self.seconds / self.done() as f64)
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Report<E> {
    /// What was done.
    pub tally: Tally,
    /// Why it ended.
    pub end: End<E>,
}

/// Why a run ended. Whatever it is: what was claimed is given back, and what is known is in the ledger.
#[derive(Debug)]
pub enum End<E> {
    /// Nothing waits, nothing is uncertain: the edition is sent.
    Sent,
    /// Some wait until then at least, or (`None`) are uncertain, or are under way in another press.
    Open(Option<DateTime<Utc>>),
    /// [`Job::stop`] was set.
    Stopped,
    /// The edition is paused, and why: by an operator, before or meanwhile, or by a press before this one.
    Paused(String),
    /// This press has paused it, and why: too many were refused, or nobody can tell of too many.
    Pauses(String),
    /// A new sender's ceiling of these 24 hours is reached; the others wait.
    Spent,
    /// The relay takes no mail of ours.
    Refused(Reply),
    /// No line can be opened.
    Unopened(OpenError),
    /// The ledger failed.
    Ledger(E),
    /// A mail cannot be written, or another fault of this program.
    Fault(Failure),
}

/// Sends what waits of an edition. `compose` writes a claimed delivery's mail, or says why it cannot, which ends everything:
/// nothing goes out that is not whole. `now` is the clock; `progress` is called a few
/// times a second, and at the end.
pub async fn deliver<L: Ledger>(
    job: Job<L>,
    compose: impl Fn(&Claimed) -> Result<Mail, Failure> + Send + Sync + 'static,
    now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static,
    progress: impl Fn(&Progress),
) -> Report<L::Error> {
    let Options { limits, connections, .. } = &job.options;
    let course = Arc::new(Course::new(Pace::new(limits.clone(), *connections, 1, now()), *connections));
    let end = match Writers::new(compose) {
        Ok(writers) => {
            run(&Arc::new(job), &course, Arc::new(writers), Arc::new(now), progress).await.unwrap_or_else(End::Ledger)
        }
        Err(failure) => End::Fault(failure),
    };
    Report { tally: course.tally(), end }
}

async fn run<L: Ledger, C, N>(
    job: &Arc<Job<L>>,
    course: &Arc<Course<L::Error>>,
    writers: Arc<Writers<C>>,
    now: Arc<N>,
    progress: impl Fn(&Progress),
) -> Result<End<L::Error>, L::Error>
where
    C: Fn(&Claimed) -> Result<Mail, Failure> + Send + Sync + 'static,
    N: Fn() -> DateTime<Utc> + Send + Sync + 'static,
{
    let Job { ledger, edition, options, press, .. } = job.as_ref();
    course.found_uncertain(ledger.rescue(job.alone, options.uncertain, now()).await?);
    if let Some(why) = ledger.paused(*edition).await? {
        return Ok(End::Paused(why));
    }
    let waiting = ledger.counts(*edition).await?.waiting;
    ceiling(job, course, 1, now()).await?;
    listen(job, course, now()).await?;
    let queue = Arc::new(Queue::new(options.connections, job.alone));
    let mut lines = JoinSet::new();
    for number in 0..usize::from(job.options.connections.max(1)) {
        let worker = Worker {
            number,
            ledger: ledger.clone(),
            transport: job.transport.clone(),
            options: options.clone(),
            press: press.clone(),
            edition: *edition,
            writers: writers.clone(),
            now: now.clone(),
            queue: queue.clone(),
            course: course.clone(),
        };
        lines.spawn(worker.work());
    }

    let began = Instant::now();
    let tell = || {
        let lines = course.lines.load(std::sync::atomic::Ordering::Relaxed);
        progress(&Progress { tally: course.tally(), waiting, lines, seconds: began.elapsed().as_secs_f64() });
    };
    let mut ticks = tokio::time::interval(PROGRESS);
    // Beside the lines, on their thread: what is claimed and written there is at hand there.
    let mut feeding = tokio::spawn({
        let (job, course, queue, now) = (Arc::clone(job), Arc::clone(course), Arc::clone(&queue), Arc::clone(&now));
        async move {
            let (claims, claimed) = mpsc::unbounded_channel();
            let feeding = feed(&job, &course, &queue, claims, now.as_ref());
            tokio::join!(feeding, writers.work(claimed, &queue, &course)).0
        }
    });
    let mut living = std::pin::pin!(live(job, now.as_ref()));
    let (mut fed, mut stopping, mut alive) = (false, false, true);
    loop {
        tokio::select! {
            done = &mut feeding, if !fed => {
                match done {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => course.end(End::Ledger(error)),
                    Err(panic) => {
                        course.end(End::Fault(Failure::new(Kind::Bug, "the press's claims broke off").because(panic)));
                    }
                }
                fed = true;
                queue.close();
            }
            ended = lines.join_next() => match ended {
                Some(Ok(())) => {}
                Some(Err(panic)) => {
                    course.end(End::Fault(Failure::new(Kind::Bug, "a line of the press broke off").because(panic)));
                },
                None => break,
            },
            error = &mut living, if alive => {
                alive = false;
                course.end(End::Ledger(error));
            }
            () = job.stop.wait(), if !stopping => {
                stopping = true;
                course.end(End::Stopped);
            }
            _ = ticks.tick() => tell(),
        }
    }
    tell();
    if !fed {
        feeding.abort();
        let _ = feeding.await;
    }

    // Given back even where something failed: the failure is what is told.
    let released = ledger.release(press).await;
    if let Some(end) = course.take_end() {
        return Ok(end);
    }
    released?;
    if ledger.finish(*edition, now()).await? {
        return Ok(End::Sent);
    }
    match ledger.paused(*edition).await? {
        Some(why) => Ok(End::Paused(why)),
        None => Ok(End::Open(ledger.next_due(*edition).await?)),
    }
}

/// Says that this press is alive, however long a relay lets it wait. Comes back where the ledger fails.
async fn live<L: Ledger>(job: &Job<L>, now: &(dyn Fn() -> DateTime<Utc> + Send + Sync)) -> L::Error {
    let Job { ledger, options, press, .. } = job;
    loop {
        tokio::time::sleep(options.lease / SIGNS).await;
        if let Err(error) = ledger.renew(press, options.lease, now()).await {
            return error;
        }
    }
}

/// Claims what is due, as long as something is or will soon be, and hands it to those who write.
async fn feed<L: Ledger>(
    job: &Job<L>,
    course: &Course<L::Error>,
    queue: &Queue<Written>,
    claims: mpsc::UnboundedSender<Vec<Claimed>>,
    now: &(dyn Fn() -> DateTime<Utc> + Send + Sync),
) -> Result<(), L::Error> {
    let Job { ledger, edition, options, press, .. } = job;
    if !job.alone && (options.limits != Limits::default() || options.warm_up.is_some()) {
        // Until the others have heard of this one, they keep to larger parts.
        tokio::select! {
            () = tokio::time::sleep(HEARD) => {}
            () = course.halt.wait() => return Ok(()),
        }
        let presses = listen(job, course, now()).await?;
        ceiling(job, course, presses, now()).await?;
    }
    let mut patience = None;
    let every = if job.alone { LISTEN } else { LISTEN_SHARED };
    let (mut listened, mut rescued) = (Instant::now(), Instant::now());
    let batch = batch(options, job.alone);
    loop {
        let wanted = tokio::select! {
            () = queue.low() => true,
            () = tokio::time::sleep(every) => false,
            () = course.halt.wait() => return Ok(()),
        };
        if course.is_ending() {
            return Ok(());
        }
        if listened.elapsed() >= every {
            listen(job, course, now()).await?;
            listened = Instant::now();
        }
        if !wanted {
            continue;
        }
        // Others die while this one is busy.
        if !job.alone && rescued.elapsed() >= LOOK.min(options.lease / 4) {
            course.found_uncertain(ledger.rescue(false, options.uncertain, now()).await?);
            rescued = Instant::now();
        }
        let claimed = ledger.claim(press, *edition, batch, options.lease, now()).await?;
        if !claimed.is_empty() {
            let fresh = course.claimed(claimed);
            queue.expect(fresh.len());
            if claims.send(fresh).is_err() {
                return Ok(());
            }
            continue;
        }
        let mut wait = LOOK;
        if course.is_idle() {
            if options.uncertain == UncertainPolicy::Resend {
                ledger.rescue(false, options.uncertain, now()).await?;
            }
            let Some(due) = ledger.next_due(*edition).await? else { return Ok(()) };
            let patience = *patience.get_or_insert_with(|| now() + options.linger);
            // What waits for its own slot is waited for, however long it takes.
            let patience = course.pace().until().map_or(patience, |slot| patience.max(slot));
            if due > now() && due > patience || ledger.paused(*edition).await?.is_some() {
                return Ok(());
            }
            wait = (due - now()).to_std().unwrap_or(Duration::ZERO).min(LOOK);
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = course.stirred.notified() => {}
            () = course.halt.wait() => return Ok(()),
        }
    }
}

/// Hears what destinations have said to other presses, or to one before this, and how many share the limits: it answers that.
async fn listen<L: Ledger>(job: &Job<L>, course: &Course<L::Error>, now: DateTime<Utc>) -> Result<u32, L::Error> {
    let presses = job.ledger.presses(&job.press, now).await?;
    let rests = job.ledger.rests(now).await?;
    let changed = {
        let mut pace = course.pace();
        for rest in &rests {
            pace.remember(rest, now);
        }
        pace.share(presses)
    };
    if changed {
        ceiling(job, course, presses, now).await?;
    }
    Ok(presses)
}

/// A new sender's ceiling: each of the presses may send its part of what is left.
async fn ceiling<L: Ledger>(
    job: &Job<L>,
    course: &Course<L::Error>,
    presses: u32,
    now: DateTime<Utc>,
) -> Result<(), L::Error> {
    let Some(warm_up) = job.options.warm_up else { return Ok(()) };
    let left = warm_up.left(&job.ledger.accepted_by_day(warm_up::DAYS + 1, now).await?);
    course.ceiling(left.map(|left| left / u64::from(presses)));
    Ok(())
}

/// Deliveries claimed at once: where few go in a minute, no more than go well before the lease is over; and where others share
/// the work, no more than keeps the lines busy.
fn batch(options: &Options, alone: bool) -> u32 {
    let lines = u32::from(options.connections.max(1));
    let most = if alone { BATCH } else { BATCH.min(lines * SHARED) };
    let Some(per_minute) = options.limits.per_minute else { return most };
    let seconds = u32::try_from(options.lease.as_secs() / 4).unwrap_or(u32::MAX);
    (per_minute.get().saturating_mul(seconds) / 60).max(lines).min(most)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::delivery::{pace, retry};
    use std::num::NonZeroU32;

    #[test]
    fn few_are_claimed_where_few_go_or_others_share_and_never_more_than_a_batch() {
        let claimed = |connections: u16, per_minute: u32, alone: bool| {
            let options = Options {
                connections,
                uncertain: UncertainPolicy::Hold,
                limits: pace::Limits { per_minute: NonZeroU32::new(per_minute), ..pace::Limits::default() },
                warm_up: None,
                retry: retry::Policy { first: LISTEN, factor: 1.0, longest: LISTEN, give_up_after: LISTEN },
                lease: Duration::from_mins(4),
                linger: Duration::ZERO,
            };
            batch(&options, alone)
        };
        assert_eq!((claimed(10, 0, true), claimed(2, 0, false)), (BATCH, 2 * SHARED));
        // In a quarter of the lease, a minute, twelve go; each line has one in any case.
        assert_eq!((claimed(10, 12, true), claimed(20, 12, true)), (12, 20));
        // More lines than a batch.
        assert_eq!((claimed(100, 1, true), claimed(u16::MAX, 60_000, false)), (BATCH, BATCH));
    }
}
