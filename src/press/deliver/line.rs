//! One line: takes, begins, sends, settles.

use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::course::{Course, FRUITLESS, domain};
use super::queue::Queue;
use super::seat::Seat;
use super::{End, Options};
use crate::delivery::ledger::PressId;
use crate::delivery::pace::Turn;
use crate::delivery::verdict::{Advice, verdict};
use crate::delivery::{Claimed, DeliveryId, Fate, Ledger, Outcome, Reply, Settlement};
use crate::digest::EditionId;
use crate::error::Failure;
use crate::mail::Mail;
use crate::transport::{Line, OpenError, Sent, Transport};

/// Deliveries *in flight* on one line that pipelines: what a kill makes uncertain, at most. They are begun, and settled,
/// together, so that one durable step serves so many mails. Other lines wait for each reply anyway: one of theirs is enough.
pub const IN_FLIGHT: usize = 2;
/// Tries to open a line, before it is given up.
pub const OPEN_TRIES: u32 = 5;
/// Wait after the first try; each further one is twice as long.
const OPEN_WAIT: Duration = Duration::from_millis(250);
/// A line that has nothing to do is closed after so long.
const IDLE: Duration = Duration::from_secs(2);
/// Wait before a new line, for each in a row that carried nothing.
const FRUITLESS_WAIT: Duration = Duration::from_millis(50);

pub(super) struct Worker<L: Ledger, C, N> {
    /// Which of the lines.
    pub(super) number: usize,
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

/// An open line.
struct Open {
    line: Line,
    /// The mail whose envelope it may have sent ahead.
    announced: Option<DeliveryId>,
}

/// A delivery and its mail.
struct Ready<E> {
    claimed: Claimed,
    mail: Mail,
    _seat: Seat<E>,
}

impl<L, C, N> Worker<L, C, N>
where
    L: Ledger,
    C: Fn(&Claimed) -> Result<Mail, Failure> + Send + Sync + 'static,
    N: Fn() -> DateTime<Utc> + Send + Sync + 'static,
{
    /// Until the queue is closed, or everything halts, or no line can be had.
    pub(super) async fn work(self) {
        let mut line = None;
        // Sent, and not yet settled in the ledger; begun, and not yet sent; claimed, and not yet begun.
        let (mut ended, mut begun, mut ready) = (vec![], VecDeque::new(), VecDeque::new());
        while !self.course.halt.is_set() {
            let Some(current) = begun.pop_front() else {
                if ready.is_empty() {
                    let Some(taken) = self.take(&mut line, &mut ended).await else { break };
                    ready.push_back(taken);
                    if self.course.halt.is_set() {
                        break;
                    }
                }
                let most = in_flight(line.as_ref());
                self.top_up(&mut ready, most, &mut ended);
                let begin = ready.drain(..most.min(ready.len())).collect();
                begun = self.turn(&mut ended, begin).await;
                continue;
            };
            if !self.open(&mut line, &current).await {
                begun.push_front(current);
                break;
            }
            if begun.is_empty() {
                self.top_up(&mut ready, 1, &mut ended);
            }
            let most = in_flight(line.as_ref());
            if let Some(open) = &mut line {
                let next = begun.front().or(ready.front()).map(|next| next.claimed.id);
                let sent = if let Some(next) = begun.front() {
                    // The next mails are written while this one is on its way.
                    let writing = async { self.top_up(&mut ready, most, &mut ended) };
                    tokio::join!(open.line.send(&current.mail, Some(&next.mail)), writing).0
                } else {
                    open.line.send(&current.mail, ready.front().map(|next| &next.mail)).await
                };
                open.announced = next;
                let usable = sent.usable;
                self.judge(&current.claimed, sent, &mut ended).await;
                if !usable {
                    self.close(&mut line).await;
                }
            }
        }
        // Given back, each in its way: others wait until nothing is under way any more.
        ended.extend(begun.iter().map(|begun| self.untried(&begun.claimed)));
        ended.extend(ready.iter().map(|ready| self.postponed(&ready.claimed, (self.now)())));
        self.close(&mut line).await;
        self.turn(&mut ended, VecDeque::new()).await;
    }

    fn top_up(&self, ready: &mut VecDeque<Ready<L::Error>>, most: usize, ended: &mut Vec<Settlement>) {
        while ready.len() < most
            && self.course.pace().is_open((self.now)())
            && let Some(taken) = self.take_now(ended)
        {
            self.course.pace().everybody((self.now)());
            ready.push_back(taken);
        }
    }

    /// The next delivery. What has ended is written down before waiting for it, and an idle line is closed.
    async fn take(&self, line: &mut Option<Open>, ended: &mut Vec<Settlement>) -> Option<Ready<L::Error>> {
        let ready = self.next(line, ended).await?;
        let now = (self.now)();
        let slot = self.course.pace().everybody(now);
        let wait = (slot - now).to_std().unwrap_or_default();
        if !wait.is_zero() {
            self.turn(ended, VecDeque::new()).await;
            if wait > IDLE {
                self.close(line).await;
            }
            self.pause(wait).await;
        }
        Some(ready)
    }

    async fn next(&self, line: &mut Option<Open>, ended: &mut Vec<Settlement>) -> Option<Ready<L::Error>> {
        let has_room = |domain: &str| self.course.pace().has_room(domain, self.number);
        loop {
            if let Some(ready) = self.take_now(ended) {
                return Some(ready);
            }
            if self.course.halt.is_set() {
                return None;
            }
            self.turn(ended, VecDeque::new()).await;
            let taken = if let Ok(taken) = tokio::time::timeout(IDLE, self.queue.take(has_room)).await {
                taken
            } else {
                self.close(line).await;
                self.queue.take(has_room).await
            };
            if let Some(ready) = self.prepare(taken?, ended) {
                return Some(ready);
            }
        }
    }

    fn take_now(&self, ended: &mut Vec<Settlement>) -> Option<Ready<L::Error>> {
        let has_room = |domain: &str| self.course.pace().has_room(domain, self.number);
        while let Some(claimed) = self.queue.take_now(has_room) {
            if let Some(ready) = self.prepare(claimed, ended) {
                return Some(ready);
            }
        }
        None
    }

    /// Writes the mail, unless it has to wait.
    fn prepare(&self, claimed: Claimed, ended: &mut Vec<Settlement>) -> Option<Ready<L::Error>> {
        let now = (self.now)();
        let seat = match Seat::take(&self.course, &self.queue, &claimed, self.number, now) {
            Ok(seat) => seat,
            Err(Turn::At(slot)) => {
                ended.push(self.postponed(&claimed, slot));
                return None;
            }
            Err(_) => {
                if let Err(claimed) = self.queue.set_aside(domain(&claimed).to_owned().as_str(), claimed) {
                    let slot = self.course.pace().slot(domain(&claimed), now);
                    ended.push(self.postponed(&claimed, slot));
                }
                return None;
            }
        };
        if !self.course.spend() {
            ended.push(self.postponed(&claimed, now));
            self.course.wind_up(End::Spent);
            self.queue.close();
            return None;
        }
        match (self.compose)(&claimed) {
            Ok(mail) => Some(Ready { claimed, mail, _seat: seat }),
            Err(why) => {
                // It stays claimed, and is given back when all lines have ended.
                self.course.end(End::Fault(why));
                None
            }
        }
    }

    /// Settles what has ended and begins the next ones; answers those that may go. What could not be settled stays in `ended`.
    async fn turn(&self, ended: &mut Vec<Settlement>, begin: VecDeque<Ready<L::Error>>) -> VecDeque<Ready<L::Error>> {
        if ended.is_empty() && begin.is_empty() {
            return begin;
        }
        let ids = begin.iter().map(|ready| ready.claimed.id).collect();
        match self.ledger.turn(&self.press, ended.clone(), ids, self.options.lease, (self.now)()).await {
            Ok(begun) => {
                // What was given a slot need not be looked for now.
                let put_back = |s: &Settlement| match s.outcome {
                    Outcome::Deferred(_) | Outcome::Untried => true,
                    Outcome::Postponed(slot) => slot <= s.when,
                    _ => false,
                };
                let lost = begin.len() - begun.len();
                self.course.done(ended.len() + lost, ended.iter().any(put_back));
                ended.clear();
                begin.into_iter().filter(|ready| begun.contains(&ready.claimed.id)).collect()
            }
            Err(error) => {
                self.course.end(End::Ledger(error));
                VecDeque::new()
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
            Advice::Stop => self.course.end(End::Refused(reply.clone())),
            Advice::GoOn | Advice::NewLine | Advice::Accused | Advice::SlowDown | Advice::PauseDomain(_) => {}
        }
        if let Some(rest) = self.course.heard(claimed, &outcome, advice, now)
            && let Err(error) = self.ledger.rest(&rest).await
        {
            self.course.end(End::Ledger(error));
        }
        if outcome == Outcome::Untried {
            self.course.unspend();
        }
        if let Some(why) = self.course.count(&outcome, advice) {
            match self.ledger.pause(self.edition, Some(&why)).await {
                Ok(_) => self.course.end(End::Paused(why)),
                Err(error) => self.course.end(End::Ledger(error)),
            }
        }
        if outcome == Outcome::Untried && advice != Advice::Stop {
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

    fn postponed(&self, claimed: &Claimed, until: DateTime<Utc>) -> Settlement {
        let reply = Reply::none("it was not its turn");
        Settlement { id: claimed.id, outcome: Outcome::Postponed(until), reply, when: (self.now)() }
    }

    fn untried(&self, claimed: &Claimed) -> Settlement {
        let reply = Reply::none("it did not get its turn");
        Settlement { id: claimed.id, outcome: Outcome::Untried, reply, when: (self.now)() }
    }

    /// Sees to a line that can carry this mail. `false`: there is none to be had. Where nobody else had one either meanwhile,
    /// everything ends.
    async fn open(&self, line: &mut Option<Open>, mail: &Ready<L::Error>) -> bool {
        // A line that has begun the envelope of another mail cannot take it back.
        if line.as_ref().is_some_and(|open| open.announced.is_some_and(|id| id != mail.claimed.id)) {
            self.close(line).await;
        }
        let (mut tries, mut opened) = (0, self.course.opened.load(Ordering::Relaxed));
        while line.is_none() && !self.course.halt.is_set() {
            match self.transport.open().await {
                Ok(open) => {
                    self.course.lines.fetch_add(1, Ordering::Relaxed);
                    self.course.opened.fetch_add(1, Ordering::Relaxed);
                    *line = Some(Open { line: open, announced: None });
                }
                Err(OpenError::Unreachable { .. }) if tries + 1 < OPEN_TRIES => {
                    self.pause((OPEN_WAIT * 2_u32.pow(tries)).mul_f64(0.5 + chance())).await;
                    tries += 1;
                }
                // The relay takes no more lines than are open: they go on without this one.
                Err(OpenError::Unreachable { .. }) if self.course.lines.load(Ordering::Relaxed) > 0 => return false,
                Err(OpenError::Unreachable { .. }) if self.course.opened.load(Ordering::Relaxed) != opened => {
                    (tries, opened) = (0, self.course.opened.load(Ordering::Relaxed));
                }
                Err(error) => self.course.end(End::Unopened(error)),
            }
        }
        line.is_some()
    }

    async fn close(&self, line: &mut Option<Open>) {
        if let Some(open) = line.take() {
            self.course.lines.fetch_sub(1, Ordering::Relaxed);
            open.line.close().await;
        }
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.course.halt.wait() => {}
        }
    }
}

/// How many deliveries may be *in flight* on a line; before it is open, nobody knows whether it pipelines.
fn in_flight(line: Option<&Open>) -> usize {
    if line.is_some_and(|open| open.line.pipelines()) { IN_FLIGHT } else { 1 }
}

/// A number from 0 to 1, by chance.
#[allow(clippy::cast_precision_loss)]
fn chance() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}
