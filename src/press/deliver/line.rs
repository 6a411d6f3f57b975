//! One line: takes, begins, sends, settles.

use chrono::{DateTime, Utc};
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::course::{Course, FRUITLESS};
use super::queue::Queue;
use super::{End, Options};
use crate::delivery::ledger::PressId;
use crate::delivery::verdict::{Advice, verdict};
use crate::delivery::{Claimed, Fate, Ledger, Outcome, Reply, Settlement};
use crate::digest::EditionId;
use crate::mail::Mail;
use crate::transport::{Line, OpenError, Sent, Transport};

/// Tries to open a line, before it is given up.
pub const OPEN_TRIES: u32 = 5;
/// Wait after the first try; each further one is twice as long.
const OPEN_WAIT: Duration = Duration::from_millis(250);
/// A line that has nothing to do is closed after so long.
const IDLE: Duration = Duration::from_secs(2);
/// Wait before a new line, for each in a row that carried nothing.
const FRUITLESS_WAIT: Duration = Duration::from_millis(50);

pub(super) struct Worker<L: Ledger, C, N> {
    pub(super) ledger: Arc<L>,
    pub(super) transport: Arc<Transport>,
    pub(super) options: Options,
    pub(super) press: PressId,
    pub(super) edition: EditionId,
    pub(super) compose: Arc<C>,
    pub(super) now: Arc<N>,
    pub(super) queue: Arc<Queue<Claimed>>,
    pub(super) course: Arc<Course<L::Error>>,
}

/// A delivery and its mail.
struct Ready {
    claimed: Claimed,
    mail: Mail,
}

impl<L, C, N> Worker<L, C, N>
where
    L: Ledger,
    C: Fn(&Claimed) -> Mail + Send + Sync + 'static,
    N: Fn() -> DateTime<Utc> + Send + Sync + 'static,
{
    /// Until the queue is closed, or everything halts, or no line can be had.
    pub(super) async fn work(self) {
        let mut line = None;
        let mut ended = vec![];
        let mut current = None;
        while !self.course.halt.is_set() {
            let Some(ready) = current.take() else {
                let Some(taken) = self.take(&mut line, &mut ended).await else { break };
                if self.turn(&mut ended, Some(&taken)).await {
                    current = Some(taken);
                }
                continue;
            };
            let Some(open) = self.open(&mut line).await else {
                ended.push(self.untried(&ready.claimed));
                break;
            };
            let next = if self.course.halt.is_set() { None } else { self.take_now(&mut ended) };
            let before = ended.len();
            let (sent, begun) = tokio::join!(
                open.send(&ready.mail, next.as_ref().map(|n| &n.mail)),
                self.turn(&mut ended, next.as_ref()),
            );
            debug_assert!(ended.len() <= before);
            let usable = sent.usable;
            self.judge(&ready.claimed, sent, &mut ended).await;
            // A line that has begun the envelope of a mail that is not to go cannot take it back.
            if !usable || (next.is_some() && !begun) {
                self.close(&mut line).await;
            }
            current = next.filter(|_| begun);
        }
        if let Some(ready) = current {
            ended.push(self.untried(&ready.claimed));
        }
        self.close(&mut line).await;
        self.turn(&mut ended, None).await;
    }

    /// The next delivery. What has ended is written down before waiting for it, and an idle line is closed.
    async fn take(&self, line: &mut Option<Line>, ended: &mut Vec<Settlement>) -> Option<Ready> {
        loop {
            if let Some(ready) = self.take_now(ended) {
                return Some(ready);
            }
            if self.course.halt.is_set() {
                return None;
            }
            self.turn(ended, None).await;
            let taken = if let Ok(taken) = tokio::time::timeout(IDLE, self.queue.take()).await {
                taken
            } else {
                self.close(line).await;
                self.queue.take().await
            };
            if let Some(ready) = self.prepare(taken?, ended) {
                return Some(ready);
            }
        }
    }

    fn take_now(&self, ended: &mut Vec<Settlement>) -> Option<Ready> {
        while let Some(claimed) = self.queue.take_now() {
            if let Some(ready) = self.prepare(claimed, ended) {
                return Some(ready);
            }
        }
        None
    }

    /// Writes the mail, unless its domain is left alone.
    fn prepare(&self, claimed: Claimed, ended: &mut Vec<Settlement>) -> Option<Ready> {
        let now = (self.now)();
        if let Some(until) = self.course.asleep(&claimed, now) {
            let reply = Reply::none("its domain is left alone for a while");
            ended.push(Settlement { id: claimed.id, outcome: Outcome::Postponed(until), reply, when: now });
            return None;
        }
        if let Ok(mail) = catch_unwind(AssertUnwindSafe(|| (self.compose)(&claimed))) {
            return Some(Ready { claimed, mail });
        }
        // It stays claimed, and is given back when all lines have ended.
        self.course.end(End::Fault("a mail could not be composed".to_owned()));
        None
    }

    /// Settles what has ended and begins the next; answers whether that may go. What could not be settled stays in `ended`.
    async fn turn(&self, ended: &mut Vec<Settlement>, begin: Option<&Ready>) -> bool {
        if ended.is_empty() && begin.is_none() {
            return false;
        }
        let ids = begin.map(|ready| ready.claimed.id).into_iter().collect();
        match self.ledger.turn(&self.press, ended.clone(), ids, self.options.lease, (self.now)()).await {
            Ok(begun) => {
                let lost = usize::from(begin.is_some() && begun.is_empty());
                let put_back = |s: &Settlement| {
                    matches!(s.outcome, Outcome::Deferred(_) | Outcome::Untried | Outcome::Postponed(_))
                };
                self.course.done(ended.len() + lost, ended.iter().any(put_back));
                ended.clear();
                !begun.is_empty()
            }
            Err(error) => {
                self.course.end(End::Ledger(error));
                false
            }
        }
    }

    /// Draws the consequences of an attempt.
    async fn judge(&self, claimed: &Claimed, sent: Sent, ended: &mut Vec<Settlement>) {
        let now = (self.now)();
        let Claimed { tries, first_try, .. } = claimed;
        let (outcome, advice) = verdict(&sent.fate, *tries, *first_try, now, &self.options.retry, chance());
        let reply = sent.fate.reply();
        match advice {
            Advice::PauseDomain(wait) => self.course.leave_alone(claimed, now, wait),
            Advice::Stop => self.course.end(End::Refused(reply.clone())),
            Advice::GoOn | Advice::NewLine | Advice::Accused => {}
        }
        if let Some(why) = self.course.count(&outcome, advice) {
            match self.ledger.pause(self.edition, Some(&why)).await {
                Ok(_) => self.course.end(End::Paused(why)),
                Err(error) => self.course.end(End::Ledger(error)),
            }
        }
        if outcome == Outcome::Untried && advice == Advice::NewLine {
            self.fruitless(&sent.fate).await;
        }
        ended.push(Settlement { id: claimed.id, outcome, reply, when: now });
    }

    /// A connection that carried nothing: a moment of peace, and an end where there are too many of them.
    async fn fruitless(&self, fate: &Fate) {
        let times = self.course.fruitless();
        if times >= FRUITLESS {
            let cause = format!("{times} connections in a row carried no mail; the last: {}", fate.reply());
            self.course.end(End::Unopened(OpenError::Unreachable { relay: "the relay".to_owned(), cause }));
        } else if times > 1 {
            self.pause(FRUITLESS_WAIT * u32::try_from(times).unwrap_or(1)).await;
        }
    }

    fn untried(&self, claimed: &Claimed) -> Settlement {
        let reply = Reply::none("it did not get its turn");
        Settlement { id: claimed.id, outcome: Outcome::Untried, reply, when: (self.now)() }
    }

    /// The open line, or a new one. `None`: there is none to be had. Where nobody else had one either meanwhile, everything ends.
    async fn open<'a>(&self, line: &'a mut Option<Line>) -> Option<&'a mut Line> {
        let (mut tries, mut opened) = (0, self.course.opened.load(Ordering::Relaxed));
        while line.is_none() && !self.course.halt.is_set() {
            match self.transport.open().await {
                Ok(open) => {
                    self.course.lines.fetch_add(1, Ordering::Relaxed);
                    self.course.opened.fetch_add(1, Ordering::Relaxed);
                    *line = Some(open);
                }
                Err(OpenError::Unreachable { .. }) if tries + 1 < OPEN_TRIES => {
                    self.pause((OPEN_WAIT * 2_u32.pow(tries)).mul_f64(0.5 + chance())).await;
                    tries += 1;
                }
                // The relay takes no more lines than are open: they go on without this one.
                Err(OpenError::Unreachable { .. }) if self.course.lines.load(Ordering::Relaxed) > 0 => return None,
                Err(OpenError::Unreachable { .. }) if self.course.opened.load(Ordering::Relaxed) != opened => {
                    (tries, opened) = (0, self.course.opened.load(Ordering::Relaxed));
                }
                Err(error) => self.course.end(End::Unopened(error)),
            }
        }
        line.as_mut()
    }

    async fn close(&self, line: &mut Option<Line>) {
        if let Some(line) = line.take() {
            self.course.lines.fetch_sub(1, Ordering::Relaxed);
            line.close().await;
        }
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.course.halt.wait() => {}
        }
    }
}

/// A number from 0 to 1, by chance.
#[allow(clippy::cast_precision_loss)]
fn chance() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}
