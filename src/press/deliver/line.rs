//! One line: takes, begins, sends, settles.

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use std::hash::{BuildHasher, RandomState};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::course::{Course, FRUITLESS, domain};
use super::hand::{self, Hand, Ready};
use super::queue::Queue;
use super::seat::Seat;
use super::writing::{Writers, Written};
use super::{End, Options};
use crate::delivery::ledger::PressId;
use crate::delivery::pace::Turn;
use crate::delivery::verdict::{Advice, verdict};
use crate::delivery::{Claimed, DeliveryId, Fate, Ledger, Outcome, Reply, Settlement};
use crate::digest::EditionId;
use crate::error::Failure;
use crate::mail::Mail;
use crate::transport::{Line, OpenError, Sent, Transport};

/// Deliveries *in flight* on one line that pipelines: what a kill makes uncertain, at most. While one is on the wire, the ledger
/// is told of the other. Other lines wait for each reply anyway: one of theirs is enough.
pub const IN_FLIGHT: usize = 2;
/// Tries to open a line, before it is given up.
pub const OPEN_TRIES: u32 = 5;
/// Wait after the first try; each further one is twice as long.
const OPEN_WAIT: Duration = Duration::from_millis(250);
/// Wait of a line that could not be had while others go on; then one more try.
const OPEN_AGAIN: Duration = Duration::from_secs(20);
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
    pub(super) writers: Arc<Writers<C>>,
    pub(super) now: Arc<N>,
    pub(super) queue: Arc<Queue<Written>>,
    pub(super) course: Arc<Course<L::Error>>,
}

/// An open line.
struct Open {
    line: Line,
    /// The mail whose envelope it may have sent ahead.
    announced: Option<DeliveryId>,
}

/// A turn of the ledger that is under way.
type Turning<E> = Pin<Box<dyn Future<Output = Turned<E>> + Send>>;
/// A turn that is over, and which deliveries it has begun.
type Turned<E> = (hand::Turn, Result<Vec<DeliveryId>, E>);

impl<L, C, N> Worker<L, C, N>
where
    L: Ledger,
    C: Fn(&Claimed) -> Result<Mail, Failure> + Send + Sync + 'static,
    N: Fn() -> DateTime<Utc> + Send + Sync + 'static,
{
    /// Until the queue is closed, or everything halts.
    pub(super) async fn work(self) {
        let mut again = false;
        while !self.shift(again).await {
            again = true;
            tokio::select! {
                () = tokio::time::sleep(OPEN_AGAIN) => {}
                () = self.queue.closed() => {}
                () = self.course.halt.wait() => {}
            }
        }
    }

    /// Until the queue is closed, or everything halts, or (`false`) no line can be had, and others go on. `again`: that was so
    /// before.
    async fn shift(&self, mut again: bool) -> bool {
        let (mut line, mut hand, mut turns, mut done) = (None, Hand::default(), FuturesOrdered::new(), true);
        while !self.course.halt.is_set() {
            let most = in_flight(line.as_ref());
            self.top_up(&mut hand, most);
            turns.extend(self.turn(&mut hand, most));
            // Opening a line may take long: what has ended is written down before.
            if (line.is_none() || hand.begun.is_empty())
                && let Some(turned) = turns.next().await
            {
                self.turned(&mut hand, turned);
                continue;
            }
            let Some(current) = hand.begun.pop_front() else {
                let Some(taken) = self.take(&mut line, &mut hand).await else { break };
                hand.ready.push_back(taken);
                continue;
            };
            let Some(open) = self.open(&mut line, &current, again).await else {
                hand.begun.push_front(current);
                done = self.course.halt.is_set();
                break;
            };
            again = false;
            open.announced = hand.next().map(|next| next.claimed.id);
            let next = hand.next().map(|next| Arc::clone(&next.mail));
            let sent = {
                let mut sending = pin!(open.line.send(&current.mail, next.as_deref()));
                let mut writing = true;
                loop {
                    tokio::select! {
                        biased;
                        sent = &mut sending => break sent,
                        Some(turned) = turns.next() => self.turned(&mut hand, turned),
                        // The next ones are taken while this one is on its way.
                        () = std::future::ready(()), if writing => {
                            self.top_up(&mut hand, most);
                            writing = false;
                        }
                    }
                }
            };
            let usable = sent.usable;
            self.judge(&current.claimed, sent, &mut hand).await;
            if !usable {
                self.close(&mut line).await;
            }
        }
        while let Some(turned) = turns.next().await {
            self.turned(&mut hand, turned);
        }
        // Given back, each in its way: others wait until nothing is under way any more.
        hand.ended.extend(hand.begun.drain(..).map(|begun| self.untried(&begun.claimed)));
        hand.ended.extend(hand.ready.drain(..).map(|ready| self.postponed(&ready.claimed, (self.now)())));
        self.close(&mut line).await;
        self.settle(&mut hand).await;
        done
    }

    fn top_up(&self, hand: &mut Hand<Ready<L::Error>>, most: usize) {
        while hand.ready.len() < most
            && self.course.pace().is_open((self.now)())
            && let Some(taken) = self.take_now(&mut hand.ended)
        {
            self.course.pace().everybody((self.now)());
            hand.ready.push_back(taken);
        }
    }

    /// The next delivery. What has ended is written down before waiting for it, and an idle line is closed.
    async fn take(&self, line: &mut Option<Open>, hand: &mut Hand<Ready<L::Error>>) -> Option<Ready<L::Error>> {
        let ready = self.next(line, hand).await?;
        let now = (self.now)();
        let slot = self.course.pace().everybody(now);
        let wait = (slot - now).to_std().unwrap_or_default();
        if !wait.is_zero() {
            self.settle(hand).await;
            if wait > IDLE {
                self.close(line).await;
            }
            self.pause(wait).await;
        }
        Some(ready)
    }

    async fn next(&self, line: &mut Option<Open>, hand: &mut Hand<Ready<L::Error>>) -> Option<Ready<L::Error>> {
        let has_room = |domain: &str| self.course.pace().has_room(domain, self.number);
        loop {
            if let Some(ready) = self.take_now(&mut hand.ended) {
                return Some(ready);
            }
            if self.course.halt.is_set() {
                return None;
            }
            self.settle(hand).await;
            let taken = if let Ok(taken) = tokio::time::timeout(IDLE, self.queue.take(has_room)).await {
                taken
            } else {
                self.close(line).await;
                self.queue.take(has_room).await
            };
            if let Some(ready) = self.prepare(taken?, &mut hand.ended) {
                return Some(ready);
            }
        }
    }

    fn take_now(&self, ended: &mut Vec<Settlement>) -> Option<Ready<L::Error>> {
        let has_room = |domain: &str| self.course.pace().has_room(domain, self.number);
        while let Some(written) = self.queue.take_now(has_room) {
            if let Some(ready) = self.prepare(written, ended) {
                return Some(ready);
            }
        }
        None
    }

    /// Takes the mail's turn, unless it has to wait.
    fn prepare(&self, written: Written, ended: &mut Vec<Settlement>) -> Option<Ready<L::Error>> {
        let Written { claimed, mail } = written;
        let now = (self.now)();
        let seat = match Seat::take(&self.course, &self.queue, &claimed, self.number, now) {
            Ok(seat) => seat,
            Err(Turn::At(slot)) => {
                ended.push(self.postponed(&claimed, slot));
                return None;
            }
            Err(_) => {
                let destination = domain(&claimed).to_owned();
                if let Err(back) = self.queue.set_aside(&destination, Written { claimed, mail }) {
                    let slot = self.course.pace().slot(&destination, now);
                    ended.push(self.postponed(&back.claimed, slot));
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
        Some(Ready { claimed, mail, _seat: seat })
    }

    /// Tells the ledger what has ended and what is next, if there is anything.
    fn turn(&self, hand: &mut Hand<Ready<L::Error>>, most: usize) -> Option<Turning<L::Error>> {
        let turn = hand.turn(most)?;
        let (ledger, press, lease, now) =
            (Arc::clone(&self.ledger), self.press.clone(), self.options.lease, (self.now)());
        Some(Box::pin(async move {
            let begun = ledger.turn(&press, turn.settle.clone(), turn.begin.clone(), lease, now).await;
            (turn, begun)
        }))
    }

    /// A turn is durable, or has failed: then what could not be settled is in hand again.
    fn turned(&self, hand: &mut Hand<Ready<L::Error>>, (turn, begun): Turned<L::Error>) {
        match begun {
            Ok(begun) => {
                // What was given a slot need not be looked for now.
                let put_back = |s: &Settlement| match s.outcome {
                    Outcome::Deferred(_) | Outcome::Untried => true,
                    Outcome::Postponed(slot) => slot <= s.when,
                    _ => false,
                };
                let lost = turn.begin.iter().copied().filter(|id| !begun.contains(id));
                let done = turn.settle.iter().map(|settled| settled.id).chain(lost);
                let anew = self.course.done(done, turn.settle.iter().any(put_back));
                if !anew.is_empty() {
                    match self.writers.write(anew) {
                        Ok(written) => self.queue.fill(written),
                        Err(why) => self.course.end(End::Fault(why)),
                    }
                }
                hand.turned(&turn, &begun);
            }
            Err(error) => {
                hand.failed(turn);
                self.course.end(End::Ledger(error));
            }
        }
    }

    /// Settles what has ended, and waits until that is durable.
    async fn settle(&self, hand: &mut Hand<Ready<L::Error>>) {
        if let Some(turn) = self.turn(hand, 0) {
            let turned = turn.await;
            self.turned(hand, turned);
        }
    }

    /// Draws the consequences of an attempt.
    async fn judge(&self, claimed: &Claimed, sent: Sent, hand: &mut Hand<Ready<L::Error>>) {
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
                Ok(_) => self.course.end(End::Pauses(why)),
                Err(error) => self.course.end(End::Ledger(error)),
            }
        }
        match (&outcome, advice) {
            (Outcome::Untried, Advice::Stop) => {}
            // The breath is in the pace already.
            (Outcome::Untried, Advice::SlowDown) => {
                if let Some(times) = self.course.breathless() {
                    self.give_up(format!("{times} times in a row it said that we are too fast; the last: {reply}"));
                }
            }
            (Outcome::Untried, _) => self.fruitless(&sent.fate).await,
            _ => {}
        }
        hand.landed(Settlement { id: claimed.id, outcome, reply, when: now });
    }

    /// A connection that carried nothing: a moment of peace, and an end where there are too many of them.
    async fn fruitless(&self, fate: &Fate) {
        let (times, too_many) = self.course.fruitless();
        if too_many {
            self.give_up(format!("{times} tries in a row carried no mail; the last: {}", fate.reply()));
        } else if times > 1 {
            self.pause(FRUITLESS_WAIT * u32::try_from(times.min(FRUITLESS)).unwrap_or(1)).await;
        }
    }

    fn give_up(&self, cause: String) {
        self.course.end(End::Unopened(OpenError::Fruitless { cause }));
    }

    fn postponed(&self, claimed: &Claimed, until: DateTime<Utc>) -> Settlement {
        let reply = Reply::none("it was not its turn");
        Settlement { id: claimed.id, outcome: Outcome::Postponed(until), reply, when: (self.now)() }
    }

    fn untried(&self, claimed: &Claimed) -> Settlement {
        let reply = Reply::none("it did not get its turn");
        Settlement { id: claimed.id, outcome: Outcome::Untried, reply, when: (self.now)() }
    }

    /// Sees to a line that can carry this mail. `None`: there is none to be had. Where nobody else had one either meanwhile,
    /// everything ends. `again`: there was none a moment ago, so one try is enough while others have theirs.
    async fn open<'a>(&self, line: &'a mut Option<Open>, mail: &Ready<L::Error>, again: bool) -> Option<&'a mut Open> {
        // A line that has begun the envelope of another mail cannot take it back.
        if line.as_ref().is_some_and(|open| open.announced.is_some_and(|id| id != mail.claimed.id)) {
            self.close(line).await;
        }
        let (mut tries, mut opened) = (0, self.course.opened.load(Ordering::Relaxed));
        let others = || self.course.lines.load(Ordering::Relaxed) > 0;
        while line.is_none() && !self.course.halt.is_set() {
            match self.transport.open().await {
                Ok(open) => {
                    self.course.lines.fetch_add(1, Ordering::Relaxed);
                    self.course.opened.fetch_add(1, Ordering::Relaxed);
                    *line = Some(Open { line: open, announced: None });
                }
                Err(OpenError::Unreachable { .. }) if tries + 1 < OPEN_TRIES && !(again && others()) => {
                    self.pause((OPEN_WAIT * 2_u32.pow(tries)).mul_f64(0.5 + chance())).await;
                    tries += 1;
                }
                // The relay takes no more lines than are open: they go on without this one, for a while.
                Err(OpenError::Unreachable { .. }) if others() => return None,
                Err(OpenError::Unreachable { .. }) if self.course.opened.load(Ordering::Relaxed) != opened => {
                    (tries, opened) = (0, self.course.opened.load(Ordering::Relaxed));
                }
                Err(error) => self.course.end(End::Unopened(error)),
            }
        }
        line.as_mut()
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
