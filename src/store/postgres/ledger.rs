//! Deliveries: claim, begin, settle, rescue.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use std::time::Duration;

use super::pool::Fault;
use super::row::{address, key, millis, small, span, time_or_none};
use super::rules::{DOUBTFUL_WAIT, QUICK_RESENDS, arrived, lost};
use super::signatures::forget;
use super::sql::{exists, read, row, rows, run, value, write};
use super::turns::Turn;
use super::{PostgresStore, pace, records};
use crate::delivery::history::PastDelivery;
use crate::delivery::ledger::{Counts, MOST_DOUBTS, PressId, Resolution, UncertainPolicy};
use crate::delivery::pace::Rest;
use crate::delivery::{AttemptOutcome, Claimed, DeliveryId, DeliveryRecord, DeliveryState, Ledger, Settlement};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::{Address, SubscriberId};

impl Ledger for PostgresStore {
    type Error = StoreError;

    async fn claim(
        &self,
        press: &PressId,
        edition: EditionId,
        limit: u32,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StoreError> {
        let lease = Lease { press, clock: self.clock(now), time: span(lease) };
        let claimed = write!(self, db => claim(&db, lease, edition, limit as usize, millis(now)).await)?;
        let Some((claimed, true)) = claimed else { return Ok(claimed.map(|c| c.0).unwrap_or_default()) };
        // In a transaction of its own: the first claims of several presses hold the edition together.
        let sending = "UPDATE edition SET state = 'sending' WHERE id = $1 AND state = 'approved'";
        write!(self, db => run(&db, sending, &[&edition.0]).await)?;
        Ok(claimed)
    }

    async fn turn(
        &self,
        press: &PressId,
        settle: Vec<Settlement>,
        begin: Vec<DeliveryId>,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let (press, clock) = (press.clone(), self.clock(now));
        self.turns.take(Turn { press, settle, begin, lease: span(lease), now: millis(now), clock }).await
    }

    async fn renew(&self, press: &PressId, lease: Duration, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (clock, lease) = (self.clock(now), span(lease));
        // What is locked is being settled or begun at this moment.
        let renewed = "UPDATE delivery SET lease = ledger_clock($2) + $3::bigint
                       WHERE id IN (SELECT id FROM delivery WHERE press = $1 ORDER BY id FOR UPDATE SKIP LOCKED)";
        write!(self, db => run(&db, renewed, &[press, &clock, &lease]).await)?;
        Ok(())
    }

    async fn release(&self, press: &PressId) -> Result<(), StoreError> {
        write!(self, db => {
            give_back(&db, "d.press = $1", &[press]).await?;
            pace::leave(&db, press).await
        })
    }

    /// A press is known to be gone only by its lease: `alone` says nothing about other machines, and only tests, whose clock
    /// is the caller's, are believed.
    async fn rescue(&self, alone: bool, policy: UncertainPolicy, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let (alone, clock) = (alone && self.callers_clock, self.clock(now));
        write!(self, db => rescue(&db, alone, clock, policy, millis(now)).await)
    }

    async fn unfinished(&self) -> Result<Vec<EditionId>, StoreError> {
        let unfinished = "SELECT id FROM edition WHERE state IN ('approved', 'sending') ORDER BY approved, id";
        let found = read!(self, db => rows(&db, unfinished, &[]).await)?;
        Ok(found.iter().map(|r| Ok(EditionId(r.try_get(0)?))).collect::<Result<_, Fault>>()?)
    }

    async fn finish(&self, edition: EditionId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        write!(self, db => finish(&db, edition, millis(now)).await)
    }

    async fn counts(&self, edition: EditionId) -> Result<Counts, StoreError> {
        read!(self, db => records::counts(&db, edition).await)
    }

    async fn next_due(&self, edition: EditionId) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next = "SELECT due FROM delivery WHERE edition = $1 AND state = 0 ORDER BY due LIMIT 1";
        time_or_none(read!(self, db => value(&db, next, &[&edition.0]).await)?)
    }

    async fn pause(&self, edition: EditionId, why: Option<&str>) -> Result<bool, StoreError> {
        write!(self, db => pause(&db, edition, why).await)
    }

    async fn paused(&self, edition: EditionId) -> Result<Option<String>, StoreError> {
        let why: Option<Option<String>> =
            read!(self, db => value(&db, "SELECT paused FROM edition WHERE id = $1", &[&edition.0]).await)?;
        Ok(why.flatten())
    }

    async fn record(&self, edition: EditionId, to: &Address) -> Result<Option<DeliveryRecord>, StoreError> {
        read!(self, db => records::of_address(&db, edition, &key(to)).await)
    }

    async fn history(&self, to: &Address) -> Result<Vec<PastDelivery>, StoreError> {
        read!(self, db => records::history(&db, &key(to)).await)
    }

    async fn records(
        &self,
        edition: EditionId,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        read!(self, db => records::of_state(&db, edition, state, after, limit).await)
    }

    async fn doubtful(
        &self,
        edition: EditionId,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        read!(self, db => records::of_doubt(&db, edition, after, limit).await)
    }

    async fn resolve(
        &self,
        edition: EditionId,
        only: Option<DeliveryId>,
        resolution: Resolution,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        write!(self, db => resolve(&db, edition, only, resolution, millis(now)).await)
    }

    async fn rests(&self, now: DateTime<Utc>) -> Result<Vec<Rest>, StoreError> {
        read!(self, db => pace::rests(&db, now).await)
    }

    async fn rest(&self, rest: &Rest) -> Result<(), StoreError> {
        write!(self, db => pace::rest(&db, rest).await)
    }

    async fn presses(&self, press: &PressId, now: DateTime<Utc>) -> Result<u32, StoreError> {
        let clock = self.clock(now);
        write!(self, db => pace::presses(&db, press, clock).await)
    }

    async fn accepted_by_day(&self, days: usize, now: DateTime<Utc>) -> Result<Vec<u64>, StoreError> {
        read!(self, db => pace::accepted_by_day(&db, days, millis(now)).await)
    }
}

/// Who holds, and for how long.
#[derive(Debug, Clone, Copy)]
struct Lease<'a> {
    press: &'a PressId,
    clock: Option<i64>,
    /// Milliseconds.
    time: i64,
}

/// Others' rows are skipped and not waited for.
const DUE: &str = "SELECT d.id FROM delivery d WHERE d.edition = $1 AND d.state = 0 AND d.due <= $2
                   ORDER BY d.due, d.id LIMIT $3 FOR UPDATE SKIP LOCKED";

/// A break that began while the edition was being approved counts too.
const TOLD: &str = "
    SELECT d.id, d.subscriber, s.address, s.name, d.tries, d.first_try,
           EXISTS (SELECT 1 FROM subscription n
                   WHERE n.digest = $2 AND n.subscriber = d.subscriber AND n.state = 'confirmed')
           AND NOT EXISTS (SELECT 1 FROM suppression x WHERE x.key = s.key)
           AND NOT EXISTS (SELECT 1 FROM pause p WHERE p.subscriber = d.subscriber AND p.until > $3), g.bytes
    FROM delivery d JOIN subscriber s ON s.id = d.subscriber LEFT JOIN signature g ON g.delivery = d.id
    WHERE d.id = ANY($1) ORDER BY d.due, d.id";

/// What was claimed, and whether the edition does not know yet that it is being sent; `None` where nothing of it may go.
async fn claim(
    db: &Transaction<'_>,
    lease: Lease<'_>,
    edition: EditionId,
    limit: usize,
    now: i64,
) -> Result<Option<(Vec<Claimed>, bool)>, Fault> {
    // Whoever pauses or withdraws it waits until this is committed, and then finds what was claimed.
    let state = "SELECT digest, state FROM edition
                 WHERE id = $1 AND state IN ('approved', 'sending') AND paused IS NULL FOR SHARE";
    let Some(found) = row(db, state, &[&edition.0]).await? else { return Ok(None) };
    let (digest, state): (String, String) = (found.try_get(0)?, found.try_get(1)?);
    let mut claimed = Vec::with_capacity(limit);
    loop {
        let wanted = limit - claimed.len();
        let due = rows(db, DUE, &[&edition.0, &now, &i64::try_from(wanted).unwrap_or(i64::MAX)]).await?;
        let due: Vec<i64> = due.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>()?;
        let last = due.len() < wanted;
        let (mut take, mut drop) = (vec![], vec![]);
        for r in rows(db, TOLD, &[&due, &digest, &now]).await? {
            let id = r.try_get(0)?;
            if !r.try_get::<_, bool>(6)? {
                drop.push(id);
                continue;
            }
            take.push(id);
            claimed.push(Claimed {
                id: DeliveryId(id),
                edition,
                subscriber: SubscriberId(r.try_get(1)?),
                address: address(r.try_get(2)?)?,
                name: r.try_get(3)?,
                tries: small(r.try_get(4)?),
                first_try: time_or_none(r.try_get(5)?)?,
                signature: r.try_get(7)?,
            });
        }
        if !take.is_empty() {
            let taken =
                "UPDATE delivery SET state = 1, press = $2, lease = ledger_clock($3) + $4::bigint WHERE id = ANY($1)";
            run(db, taken, &[&take, lease.press, &lease.clock, &lease.time]).await?;
        }
        if !drop.is_empty() {
            run(db, "UPDATE delivery SET state = 7, ended = $2 WHERE id = ANY($1)", &[&drop, &now]).await?;
        }
        if last || claimed.len() == limit {
            break;
        }
    }
    let begins = state == "approved" && !claimed.is_empty();
    Ok(Some((claimed, begins)))
}

/// What is claimed and not begun waits again.
async fn give_back(db: &Transaction<'_>, whose: &str, with: &[super::sql::Bound<'_>]) -> Result<(), Fault> {
    let sql = format!(
        "UPDATE delivery SET state = 0, press = NULL, lease = NULL
         WHERE state = 1 AND id IN (SELECT d.id FROM delivery d
                                    WHERE d.press IS NOT NULL AND d.state = 1 AND {whose} ORDER BY d.id FOR UPDATE)"
    );
    run(db, &sql, with).await?;
    Ok(())
}

async fn rescue(
    db: &Transaction<'_>,
    alone: bool,
    clock: Option<i64>,
    policy: UncertainPolicy,
    now: i64,
) -> Result<u64, Fault> {
    // The editions first, here as everywhere: whoever withdraws one waits, or is before us, and then it is left alone.
    let going = "SELECT e.id FROM edition e WHERE e.state IN ('approved', 'sending') AND e.paused IS NULL
                   AND (EXISTS (SELECT 1 FROM delivery d WHERE d.edition = e.id AND d.state = 6)
                        OR EXISTS (SELECT 1 FROM delivery d WHERE d.edition = e.id AND d.press IS NOT NULL
                                     AND ($1 OR d.lease <= ledger_clock($2))))
                 ORDER BY e.id FOR SHARE OF e SKIP LOCKED";
    let mut resent: Vec<i64> = vec![];
    if policy == UncertainPolicy::Resend {
        for r in rows(db, going, &[&alone, &clock]).await? {
            resent.push(r.try_get(0)?);
        }
    }
    // Whoever is just settling one is alive.
    let over = "SELECT id, state FROM delivery
                WHERE press IS NOT NULL AND ($1 OR lease <= ledger_clock($2)) ORDER BY id FOR UPDATE SKIP LOCKED";
    let (mut claimed, mut stuck, mut uncertain) = (vec![], vec![], 0);
    for r in rows(db, over, &[&alone, &clock]).await? {
        let (id, state): (i64, i64) = (r.try_get(0)?, r.try_get(1)?);
        if state == 1 { claimed.push(id) } else { stuck.push(id) }
    }
    if !claimed.is_empty() {
        let back = "UPDATE delivery SET state = 0, press = NULL, lease = NULL WHERE id = ANY($1)";
        run(db, back, &[&claimed]).await?;
    }
    if !stuck.is_empty() {
        let lost = lost();
        run(
            db,
            "INSERT INTO attempt (delivery, number, begun, ended, outcome, held, code, status, text)
             SELECT id, 1 + coalesce((SELECT max(number) FROM attempt a WHERE a.delivery = d.id), 0), begun, $2, $3, TRUE,
                    $4, $5, $6
             FROM delivery d WHERE id = ANY($1)",
            &[&stuck, &now, &AttemptOutcome::Uncertain.as_str(), &i64::from(lost.code), &lost.status, &lost.text],
        )
        .await?;
        // What has come back had gone out: there is no doubt of it.
        let ended = rows(
            db,
            "UPDATE delivery SET state = CASE WHEN returned IS NULL THEN 6 ELSE 3 END, press = NULL, lease = NULL, ended = $2,
                 tries = tries + 1, doubts = doubts + CASE WHEN returned IS NULL THEN 1 ELSE 0 END,
                 first_try = coalesce(first_try, begun)
             WHERE id = ANY($1) RETURNING returned IS NULL",
            &[&stuck, &now],
        )
        .await?;
        for r in ended {
            uncertain += u64::from(r.try_get::<_, bool>(0)?);
        }
    }
    if !resent.is_empty() {
        run(
            db,
            "UPDATE delivery SET state = 0, due = $1::bigint + CASE WHEN doubts > $2 THEN $3::bigint ELSE 0 END
             WHERE state = 6 AND id IN (SELECT d.id FROM delivery d WHERE d.state = 6 AND d.edition = ANY($4) AND d.doubts < $5
                                        ORDER BY d.id FOR UPDATE SKIP LOCKED)",
            &[&now, &QUICK_RESENDS, &DOUBTFUL_WAIT, &resent, &i64::from(MOST_DOUBTS)],
        )
        .await?;
    }
    Ok(uncertain)
}

async fn finish(db: &Transaction<'_>, edition: EditionId, now: i64) -> Result<bool, Fault> {
    let finished = run(
        db,
        "UPDATE edition SET state = 'sent', ended = $2, paused = NULL
         WHERE id = $1 AND state IN ('approved', 'sending')
           AND NOT EXISTS (SELECT 1 FROM delivery WHERE edition = $1 AND state = 0)
           AND NOT EXISTS (SELECT 1 FROM delivery WHERE press IS NOT NULL AND edition = $1)
           AND NOT EXISTS (SELECT 1 FROM delivery WHERE edition = $1 AND state = 6)",
        &[&edition.0, &now],
    )
    .await?;
    if finished == 1 {
        forget(db, edition).await?;
    }
    exists(db, "SELECT 1 FROM edition WHERE id = $1 AND state = 'sent'", &[&edition.0]).await
}

async fn pause(db: &Transaction<'_>, edition: EditionId, why: Option<&str>) -> Result<bool, Fault> {
    let changed = run(
        db,
        "UPDATE edition SET paused = $2 WHERE id = $1 AND state IN ('approved', 'sending')
           AND (paused IS NULL) <> ($2::text IS NULL)",
        &[&edition.0, &why],
    )
    .await?;
    if why.is_some() {
        give_back(db, "d.edition = $1", &[&edition.0]).await?;
    }
    Ok(changed == 1)
}

async fn resolve(
    db: &Transaction<'_>,
    edition: EditionId,
    only: Option<DeliveryId>,
    resolution: Resolution,
    now: i64,
) -> Result<u64, Fault> {
    let state: i64 = match resolution {
        Resolution::Accepted => 3,
        Resolution::Resend => 0,
    };
    // Of a withdrawn edition nothing is sent any more; it can still be said that a mail had arrived. It stays as it is until
    // the end: `finish` may write to it.
    let going = "SELECT state IN ('approved', 'sending') FROM edition WHERE id = $1 FOR NO KEY UPDATE";
    let going: bool = value(db, going, &[&edition.0]).await?.unwrap_or(false);
    if resolution == Resolution::Accepted {
        let said = "INSERT INTO attempt (delivery, number, begun, ended, outcome, held, code, status, text)
                    SELECT d.id, 1 + coalesce((SELECT max(number) FROM attempt a WHERE a.delivery = d.id), 0), d.begun, $3,
                           $4, FALSE, 0, NULL, CASE WHEN s.key LIKE 'erased:%' THEN '' ELSE $5 END
                    FROM delivery d JOIN subscriber s ON s.id = d.subscriber
                    WHERE d.edition = $1 AND d.state = 6 AND ($2::bigint IS NULL OR d.id = $2)";
        let outcome = AttemptOutcome::Accepted.as_str();
        run(db, said, &[&edition.0, &only.map(|id| id.0), &now, &outcome, &arrived().text]).await?;
    }
    let resolved = run(
        db,
        "UPDATE delivery SET state = $3::bigint, due = $4
         WHERE state = 6 AND id IN (SELECT id FROM delivery
                                    WHERE edition = $1 AND state = 6 AND ($2::bigint IS NULL OR id = $2)
                                      AND ($3::bigint <> 0 OR $5) ORDER BY id FOR UPDATE)",
        &[&edition.0, &only.map(|id| id.0), &state, &now, &going],
    )
    .await?;
    finish(db, edition, now).await?;
    Ok(resolved)
}
