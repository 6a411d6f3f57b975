//! Turns, in groups: what all lines of a press settle and begin while one statement is under way goes with the next.
//!
//! One statement is one transaction, one commit, one way there and back, however many lines there are.

use deadpool_postgres::{Client, Transaction};
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use super::pool::{Fault, Pool, Remedy, Tries};
use super::row::millis;
use super::rules::{End, is_gone};
use super::subscribers::suppress;
use crate::delivery::ledger::PressId;
use crate::delivery::{DeliveryId, Settlement};
use crate::store::StoreError;
use crate::subscriber::SuppressionReason;

/// Turns in one statement, at most.
const GROUP: usize = 512;
/// How long a lost server is looked for. What is not written down in the end becomes uncertain: longer than others wait.
const PATIENCE: Duration = Duration::from_mins(1);
/// A server that answers nothing for so long is taken for lost.
const SILENCE: Duration = Duration::from_secs(30);
/// The server itself gives a statement up after this. A turn has two at most, but where it gives readers up: a turn that is
/// repeated because nothing was heard of it is not at work there any more, or ends without a commit.
pub(super) const STATEMENT: Duration = Duration::from_secs(14);

/// One step of one line.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) press: PressId,
    pub(super) settle: Vec<Settlement>,
    pub(super) begin: Vec<DeliveryId>,
    /// Milliseconds.
    pub(super) lease: i64,
    /// Milliseconds since 1970.
    pub(super) now: i64,
    /// The caller's clock, where it takes the place of the database's.
    pub(super) clock: Option<i64>,
}

type Answer = Result<Vec<DeliveryId>, StoreError>;

/// Where lines hand in their turns.
#[derive(Debug)]
pub(super) struct Turns {
    queue: mpsc::UnboundedSender<(Turn, oneshot::Sender<Answer>)>,
    connections: usize,
}

impl Turns {
    /// Begins a task that ends with the last sender.
    pub(super) fn start(pool: Pool) -> Self {
        let (queue, mut turns) = mpsc::unbounded_channel();
        let connections = pool.most();
        tokio::spawn(async move {
            let mut group = vec![];
            while turns.recv_many(&mut group, GROUP).await > 0 {
                let (turns, replies): (Vec<Turn>, Vec<oneshot::Sender<Answer>>) = group.drain(..).unzip();
                let mut done = together(&pool, &turns).await;
                for (turn, reply) in turns.into_iter().zip(replies) {
                    // Of two who begin the same, one has begun it.
                    let begun = |begun: &mut HashSet<i64>| {
                        turn.begin.into_iter().filter(|id| begun.remove(&id.0)).collect::<Vec<_>>()
                    };
                    // Who has gone needs no answer.
                    let _ = reply.send(done.as_mut().map(begun).map_err(|error| error.clone()));
                }
            }
        });
        Turns { queue, connections }
    }

    /// As many as it opens at most.
    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    /// Takes a turn; answers those of `begin` that may go, once it is durable.
    pub(super) async fn take(&self, turn: Turn) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.queue.send((turn, reply)).map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }
}

/// All turns in one transaction; which deliveries have begun.
async fn together(pool: &Pool, turns: &[Turn]) -> Result<HashSet<i64>, StoreError> {
    let rows = Rows::of(turns);
    let (mut tries, mut again) = (Tries::new(PATIENCE), false);
    loop {
        let fault = match rows.say(pool, again).await {
            Ok(begun) => return Ok(begun),
            Err(fault) => fault,
        };
        // It may have been done, and the answer lost.
        again |= fault.remedy() == Remedy::Reconnect;
        tries.after(fault).await?;
    }
}

/// Of the rows that others may hold, the ones with the lowest numbers are locked first, here as everywhere. A settlement is
/// of no effect but on the attempts where the press does not hold the delivery; one that is repeated (`$17`) adds no second
/// attempt, and what is begun again had begun. What has come back had gone out: there is no doubt of it.
const TURN: &str = "
    WITH told AS (
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                             $7::bigint[], $8::text[], $9::bigint[], $10::text[], $11::text[])
            AS t (id, press, state, due, tries, doubts, ended, outcome, code, status, text)
    ), going AS (
        SELECT * FROM unnest($12::bigint[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[])
            AS t (id, press, lease, now, clock)
    ), locked AS MATERIALIZED (
        SELECT d.id, d.edition, d.begun FROM delivery d WHERE d.id = ANY($1) OR d.id = ANY($12) ORDER BY d.id FOR UPDATE
    ), held AS (
        UPDATE delivery d
        SET state = CASE WHEN d.returned IS NOT NULL AND (t.state = 6 OR t.state = 0 AND d.doubts > 0) THEN 3
                         WHEN t.state = 0 AND e.state = 'withdrawn' THEN 7 ELSE t.state END,
            press = NULL, lease = NULL, ended = t.ended, due = coalesce(t.due, d.due),
            tries = d.tries + t.tries, doubts = d.doubts + CASE WHEN d.returned IS NULL THEN t.doubts ELSE 0 END,
            first_try = CASE WHEN t.tries > 0 THEN coalesce(d.first_try, d.begun) ELSE d.first_try END
        FROM told t JOIN locked l ON l.id = t.id JOIN edition e ON e.id = l.edition
        WHERE d.id = l.id AND d.press = t.press
        RETURNING d.id
    ), tried AS (
        INSERT INTO attempt (delivery, number, begun, ended, outcome, held, code, status, text)
        SELECT t.id, 1 + coalesce((SELECT max(number) FROM attempt a WHERE a.delivery = t.id), 0), l.begun, t.ended,
               t.outcome, EXISTS (SELECT 1 FROM held h WHERE h.id = t.id), t.code, t.status, t.text
        FROM told t JOIN locked l ON l.id = t.id
        WHERE t.outcome IS NOT NULL
          AND NOT ($17::boolean AND EXISTS (SELECT 1 FROM attempt a WHERE a.delivery = t.id AND a.ended = t.ended
                                              AND a.outcome = t.outcome AND a.code = t.code AND a.text IN (t.text, '')))
    ), begun AS (
        UPDATE delivery d SET state = 2, begun = g.now, lease = ledger_clock(g.clock) + g.lease
        FROM going g JOIN locked l ON l.id = g.id
        WHERE d.id = l.id AND d.press = g.press AND (d.state = 1 OR $17 AND d.state = 2)
        RETURNING d.id
    )
    SELECT id FROM begun";

/// Whether the edition is withdrawn must be known for certain where something is put back: whoever withdraws waits.
const EDITIONS: &str = "SELECT 1 FROM edition WHERE id IN (SELECT edition FROM delivery WHERE id = ANY($1))
                        ORDER BY id FOR SHARE";

/// The columns of [`TURN`].
#[derive(Debug, Default)]
struct Rows<'a> {
    id: Vec<i64>,
    press: Vec<&'a str>,
    state: Vec<i64>,
    due: Vec<Option<i64>>,
    tries: Vec<i64>,
    doubts: Vec<i64>,
    ended: Vec<i64>,
    outcome: Vec<Option<&'static str>>,
    code: Vec<i64>,
    status: Vec<Option<&'a str>>,
    text: Vec<&'a str>,
    begin: Vec<i64>,
    begins: Vec<&'a str>,
    lease: Vec<i64>,
    now: Vec<i64>,
    clock: Vec<Option<i64>>,
    /// What waits again.
    back: Vec<i64>,
    /// Whose address is none any more, as the relay says.
    gone: Vec<&'a Settlement>,
}

impl<'a> Rows<'a> {
    fn of(turns: &'a [Turn]) -> Self {
        let mut rows = Rows::default();
        for turn in turns {
            for settlement in &turn.settle {
                let end = End::of(settlement);
                rows.id.push(settlement.id.0);
                rows.press.push(&turn.press);
                rows.state.push(end.state);
                rows.due.push(end.due);
                rows.tries.push(end.tries);
                rows.doubts.push(end.doubts);
                rows.ended.push(millis(settlement.when));
                rows.outcome.push(end.attempt.map(crate::delivery::AttemptOutcome::as_str));
                rows.code.push(i64::from(settlement.reply.code));
                rows.status.push(settlement.reply.status.as_deref());
                rows.text.push(&settlement.reply.text);
                if end.state == 0 {
                    rows.back.push(settlement.id.0);
                }
                if is_gone(settlement) {
                    rows.gone.push(settlement);
                }
            }
            for id in &turn.begin {
                rows.begin.push(id.0);
                rows.begins.push(&turn.press);
                rows.lease.push(turn.lease);
                rows.now.push(turn.now);
                rows.clock.push(turn.clock);
            }
        }
        rows
    }

    async fn say(&self, pool: &Pool, again: bool) -> Result<HashSet<i64>, Fault> {
        let mut client = pool.client().await?;
        let said = tokio::time::timeout(SILENCE, self.say_on(&mut client, again)).await;
        let late = said.is_err();
        let said = said.unwrap_or_else(|_| Err(Fault::Away("the database does not answer".to_owned())));
        if late || said.as_ref().is_err_and(Fault::is_of_the_server) {
            // Not for the next: what was asked may still be at work there, or it leads to where nothing can be written.
            drop(Client::take(client));
        }
        said
    }

    async fn say_on(&self, client: &mut Client, again: bool) -> Result<HashSet<i64>, Fault> {
        let turn = client.prepare_cached(TURN).await?;
        let with: [super::sql::Bound<'_>; 17] = [
            &self.id,
            &self.press,
            &self.state,
            &self.due,
            &self.tries,
            &self.doubts,
            &self.ended,
            &self.outcome,
            &self.code,
            &self.status,
            &self.text,
            &self.begin,
            &self.begins,
            &self.lease,
            &self.now,
            &self.clock,
            &again,
        ];
        let begun = if self.back.is_empty() && self.gone.is_empty() {
            client.query(&turn, &with).await?
        } else {
            let db = client.transaction().await?;
            if !self.back.is_empty() {
                super::sql::rows(&db, EDITIONS, &[&self.back]).await?;
            }
            let begun = db.query(&turn, &with).await?;
            for gone in &self.gone {
                give_up(&db, gone).await?;
            }
            db.commit().await?;
            begun
        };
        begun.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// The relay says that there is no such address: its reader is suppressed, unless the delivery had another end.
async fn give_up(db: &Transaction<'_>, gone: &Settlement) -> Result<(), Fault> {
    let whose = "SELECT s.key FROM delivery d JOIN subscriber s ON s.id = d.subscriber
                 WHERE d.id = $1 AND d.state = 4 AND s.key NOT LIKE 'erased:%'";
    let whose: Option<String> = super::sql::value(db, whose, &[&gone.id.0]).await?;
    let Some(key) = whose else { return Ok(()) };
    let when = millis(gone.when);
    suppress(db, &key, SuppressionReason::Bounced, &gone.reply.to_string(), when, when).await
}
