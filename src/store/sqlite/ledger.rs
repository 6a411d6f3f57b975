//! Deliveries: claim, begin, settle, rescue.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

use super::SqliteStore;
use super::pace;
use super::records;
use super::row::{address, key, millis, small, time_or_none};
use super::rules::{DOUBTFUL_WAIT, QUICK_RESENDS, arrived, is_gone, lost};
use super::signatures::forget;
use super::subscribers::suppress;
use crate::delivery::history::PastDelivery;
use crate::delivery::ledger::{Counts, MOST_DOUBTS, PressId, Resolution, UncertainPolicy};
use crate::delivery::pace::Rest;
use crate::delivery::{
    AttemptOutcome, Claimed, DeliveryId, DeliveryRecord, DeliveryState, Ledger, Outcome, Reply, Settlement,
};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::{Address, SubscriberId, SuppressionReason};

impl Ledger for SqliteStore {
    type Error = StoreError;

    async fn claim(
        &self,
        press: &PressId,
        edition: EditionId,
        limit: u32,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StoreError> {
        let press = press.clone();
        self.writer.write(move |db| claim(db, &press, edition, limit as usize, until(now, lease), millis(now))).await
    }

    async fn turn(
        &self,
        press: &PressId,
        settle: Vec<Settlement>,
        begin: Vec<DeliveryId>,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let press = press.clone();
        self.writer
            .write_unguarded(move |db| {
                for settlement in &settle {
                    settle_one(db, &press, settlement)?;
                }
                let mut update = db.prepare_cached(
                    "UPDATE delivery SET state = 2, begun = ?3, lease = ?4 WHERE id = ?1 AND press = ?2 AND state = 1",
                )?;
                let mut begun = vec![];
                for id in begin {
                    if update.execute(params![id.0, press, millis(now), until(now, lease)])? == 1 {
                        begun.push(id);
                    }
                }
                Ok(begun)
            })
            .await
    }

    async fn renew(&self, press: &PressId, lease: Duration, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (press, lease) = (press.clone(), until(now, lease));
        self.writer
            .write(move |db| {
                db.prepare_cached("UPDATE delivery INDEXED BY delivery_held SET lease = ?2 WHERE press = ?1")?
                    .execute(params![press, lease])?;
                Ok(())
            })
            .await
    }

    async fn release(&self, press: &PressId) -> Result<(), StoreError> {
        let press = press.clone();
        self.writer
            .write(move |db| {
                db.prepare_cached(
                    "UPDATE delivery INDEXED BY delivery_held SET state = 0, press = NULL, lease = NULL
                     WHERE press = ?1 AND state = 1",
                )?
                .execute([press])?;
                Ok(())
            })
            .await
    }

    async fn rescue(&self, alone: bool, policy: UncertainPolicy, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.writer.write(move |db| rescue(db, alone, policy, millis(now))).await
    }

    async fn unfinished(&self) -> Result<Vec<EditionId>, StoreError> {
        self.readers
            .read(|db| {
                let mut query = db.prepare_cached(
                    "SELECT id FROM edition WHERE state IN ('approved', 'sending') ORDER BY approved, id",
                )?;
                let ids = query.query_map([], |r| Ok(EditionId(r.get(0)?)))?.collect::<Result<_, _>>()?;
                Ok(ids)
            })
            .await
    }

    async fn finish(&self, edition: EditionId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.writer.write(move |db| finish(db, edition, millis(now))).await
    }

    async fn counts(&self, edition: EditionId) -> Result<Counts, StoreError> {
        self.readers.read(move |db| records::counts(db, edition)).await
    }

    async fn next_due(&self, edition: EditionId) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.readers
            .read(move |db| {
                let due: Option<i64> = db
                    .prepare_cached("SELECT due FROM delivery INDEXED BY delivery_waiting WHERE edition = ?1 AND state = 0 ORDER BY due LIMIT 1")?
                    .query_row([edition.0], |r| r.get(0))
                    .optional()?;
                time_or_none(due)
            })
            .await
    }

    async fn pause(&self, edition: EditionId, why: Option<&str>) -> Result<bool, StoreError> {
        let why = why.map(str::to_owned);
        self.writer
            .write(move |db| {
                let changed = db
                    .prepare_cached(
                        "UPDATE edition SET paused = ?2 WHERE id = ?1 AND state IN ('approved', 'sending')
                           AND (paused IS NULL) <> (?2 IS NULL)",
                    )?
                    .execute(params![edition.0, why])?;
                if why.is_some() {
                    db.prepare_cached(
                        "UPDATE delivery INDEXED BY delivery_held SET state = 0, press = NULL, lease = NULL
                         WHERE press IS NOT NULL AND edition = ?1 AND state = 1",
                    )?
                    .execute([edition.0])?;
                }
                Ok(changed == 1)
            })
            .await
    }

    async fn paused(&self, edition: EditionId) -> Result<Option<String>, StoreError> {
        self.readers
            .read(move |db| {
                let why: Option<Option<String>> = db
                    .prepare_cached("SELECT paused FROM edition WHERE id = ?1")?
                    .query_row([edition.0], |r| r.get(0))
                    .optional()?;
                Ok(why.flatten())
            })
            .await
    }

    async fn record(&self, edition: EditionId, to: &Address) -> Result<Option<DeliveryRecord>, StoreError> {
        let key = key(to);
        self.readers.read(move |db| records::of_address(db, edition, &key)).await
    }

    async fn history(&self, to: &Address) -> Result<Vec<PastDelivery>, StoreError> {
        let key = key(to);
        self.readers.read(move |db| records::history(db, &key)).await
    }

    async fn records(
        &self,
        edition: EditionId,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        self.readers.read(move |db| records::of_state(db, edition, state, after, limit)).await
    }

    async fn doubtful(
        &self,
        edition: EditionId,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        self.readers.read(move |db| records::of_doubt(db, edition, after, limit)).await
    }

    async fn resolve(
        &self,
        edition: EditionId,
        only: Option<DeliveryId>,
        resolution: Resolution,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.writer.write(move |db| resolve(db, edition, only, resolution, millis(now))).await
    }

    async fn rests(&self, now: DateTime<Utc>) -> Result<Vec<Rest>, StoreError> {
        self.readers.read(move |db| pace::rests(db, now)).await
    }

    async fn rest(&self, rest: &Rest) -> Result<(), StoreError> {
        let rest = rest.clone();
        self.writer.write(move |db| pace::rest(db, &rest)).await
    }

    /// A file has one press: its lock sees to that.
    /// Whoever has the lock beside the file is alone.
    async fn presses(&self, _press: &PressId, _now: DateTime<Utc>) -> Result<u32, StoreError> {
        Ok(1)
    }

    async fn accepted_by_day(&self, days: usize, now: DateTime<Utc>) -> Result<Vec<u64>, StoreError> {
        self.readers.read(move |db| pace::accepted_by_day(db, days, millis(now))).await
    }
}

fn until(now: DateTime<Utc>, lease: Duration) -> i64 {
    millis(now).saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
}

fn claim(
    db: &Connection,
    press: &str,
    edition: EditionId,
    limit: usize,
    lease: i64,
    now: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let digest: Option<String> = db
        .prepare_cached(
            "SELECT digest FROM edition WHERE id = ?1 AND state IN ('approved', 'sending') AND paused IS NULL",
        )?
        .query_row([edition.0], |r| r.get(0))
        .optional()?;
    let Some(digest) = digest else { return Ok(vec![]) };
    let mut query = db.prepare_cached(
        "SELECT d.id, d.subscriber, s.address, s.name, d.tries, d.first_try,
                EXISTS (SELECT 1 FROM subscription n
                        WHERE n.digest = ?3 AND n.subscriber = d.subscriber AND n.state = 'confirmed')
                AND NOT EXISTS (SELECT 1 FROM suppression x WHERE x.key = s.key)
                AND NOT EXISTS (SELECT 1 FROM pause p WHERE p.subscriber = d.subscriber AND p.until > ?2), g.bytes
         FROM delivery d INDEXED BY delivery_waiting CROSS JOIN subscriber s ON s.id = d.subscriber
         LEFT JOIN signature g ON g.delivery = d.id
         WHERE d.edition = ?1 AND d.state = 0 AND d.due <= ?2
         ORDER BY d.due, d.id LIMIT ?4",
    )?;
    let mut take = db.prepare_cached("UPDATE delivery SET state = 1, press = ?2, lease = ?3 WHERE id = ?1")?;
    let mut drop = db.prepare_cached("UPDATE delivery SET state = 7, ended = ?2 WHERE id = ?1")?;
    let mut claimed = Vec::with_capacity(limit);
    loop {
        let wanted = limit - claimed.len();
        // Read before writing: the writes move rows out of the very index that is being read.
        let mut found = Vec::with_capacity(wanted);
        let mut rows = query.query(params![edition.0, now, digest, i64::try_from(wanted).unwrap_or(i64::MAX)])?;
        while let Some(r) = rows.next()? {
            let one = Claimed {
                id: DeliveryId(r.get(0)?),
                edition,
                subscriber: SubscriberId(r.get(1)?),
                address: address(&r.get::<_, String>(2)?)?,
                name: r.get(3)?,
                tries: small(r.get(4)?),
                first_try: time_or_none(r.get(5)?)?,
                signature: r.get(7)?,
            };
            found.push((one, r.get::<_, bool>(6)?));
        }
        std::mem::drop(rows);
        let last = found.len() < wanted;
        for (one, wants) in found {
            if wants {
                take.execute(params![one.id.0, press, lease])?;
                claimed.push(one);
            } else {
                drop.execute(params![one.id.0, now])?;
            }
        }
        if last || claimed.len() == limit {
            break;
        }
    }
    if !claimed.is_empty() {
        db.prepare_cached("UPDATE edition SET state = 'sending' WHERE id = ?1 AND state = 'approved'")?
            .execute([edition.0])?;
    }
    Ok(claimed)
}

fn settle_one(db: &Connection, press: &str, settlement: &Settlement) -> Result<(), StoreError> {
    let Settlement { id, outcome, reply, when } = settlement;
    let when = millis(*when);
    let held = match outcome {
        Outcome::Accepted => end(db, press, *id, 3, 0, when)?,
        Outcome::Rejected => end(db, press, *id, 4, 0, when)?,
        Outcome::Expired => end(db, press, *id, 5, 0, when)?,
        Outcome::Uncertain => end(db, press, *id, 6, 1, when)?,
        Outcome::Deferred(due) => put_back(db, press, *id, millis(*due), 1, when)?,
        Outcome::Untried => put_back(db, press, *id, when, 0, when)?,
        Outcome::Postponed(due) => put_back(db, press, *id, millis(*due), 0, when)?,
    };
    let Some(outcome) = AttemptOutcome::of(outcome) else { return Ok(()) };
    write_attempt(db, *id, outcome, reply, held, when)?;
    if is_gone(settlement) {
        give_up(db, *id, reply, when)?;
    }
    Ok(())
}

/// The relay says that there is no such address: its reader is suppressed, unless the delivery had another end.
fn give_up(db: &Connection, id: DeliveryId, reply: &Reply, when: i64) -> Result<(), StoreError> {
    let whose: Option<String> = db
        .prepare_cached(
            "SELECT s.key FROM delivery d JOIN subscriber s ON s.id = d.subscriber
             WHERE d.id = ?1 AND d.state = 4 AND NOT s.key GLOB 'erased:*'",
        )?
        .query_row([id.0], |r| r.get(0))
        .optional()?;
    let Some(key) = whose else { return Ok(()) };
    suppress(db, &key, SuppressionReason::Bounced, &reply.to_string(), when, when)
}

/// An end, or a doubt. Answers whether the press held it.
fn end(db: &Connection, press: &str, id: DeliveryId, state: i64, doubt: i64, when: i64) -> Result<bool, StoreError> {
    // What has come back had gone out: there is no doubt of it.
    let changed = db
        .prepare_cached(
            "UPDATE delivery SET state = iif(?3 = 6 AND returned IS NOT NULL, 3, ?3), press = NULL, lease = NULL, ended = ?4,
                 tries = tries + 1, doubts = doubts + iif(returned IS NULL, ?5, 0), first_try = coalesce(first_try, begun)
             WHERE id = ?1 AND press = ?2",
        )?
        .execute(params![id.0, press, state, when, doubt])?;
    Ok(changed == 1)
}

/// Waiting again; or withdrawn where the edition was withdrawn meanwhile, and accepted where an earlier try has come back.
fn put_back(db: &Connection, press: &str, id: DeliveryId, due: i64, tries: i64, when: i64) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE delivery SET press = NULL, lease = NULL, due = ?3, tries = tries + ?4,
                 state = CASE WHEN returned IS NOT NULL AND doubts > 0 THEN 3
                     WHEN (SELECT e.state FROM edition e WHERE e.id = delivery.edition) = 'withdrawn' THEN 7 ELSE 0 END,
                 ended = ?5, first_try = iif(?4 > 0, coalesce(first_try, begun), first_try)
             WHERE id = ?1 AND press = ?2",
        )?
        .execute(params![id.0, press, due, tries, when])?;
    Ok(changed == 1)
}

fn write_attempt(
    db: &Connection,
    id: DeliveryId,
    outcome: AttemptOutcome,
    reply: &Reply,
    held: bool,
    when: i64,
) -> Result<(), StoreError> {
    // Read first and inserted then: an INSERT that selects from its own table makes a table in memory each time.
    let known = db
        .prepare_cached(
            "SELECT d.begun, (SELECT max(number) FROM attempt WHERE delivery = ?1), s.key GLOB 'erased:*'
             FROM delivery d JOIN subscriber s ON s.id = d.subscriber WHERE d.id = ?1",
        )?
        .query_row([id.0], |r| Ok((r.get::<_, Option<i64>>(0)?, r.get::<_, Option<i64>>(1)?, r.get::<_, bool>(2)?)))
        .optional()?;
    let Some((begun, last, erased)) = known else { return Ok(()) };
    // A reply often repeats the address: that of a mail which was in flight when its reader was erased comes afterwards.
    let text = if erased { "" } else { &reply.text };
    db.prepare_cached(
        "INSERT INTO attempt (delivery, number, begun, ended, outcome, held, code, status, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        id.0,
        1 + last.unwrap_or(0),
        begun,
        when,
        outcome.as_str(),
        held,
        reply.code,
        reply.status,
        text
    ])?;
    Ok(())
}

fn rescue(db: &Connection, alone: bool, policy: UncertainPolicy, now: i64) -> Result<u64, StoreError> {
    db.prepare_cached(
        "UPDATE delivery INDEXED BY delivery_held SET state = 0, press = NULL, lease = NULL
         WHERE press IS NOT NULL AND state = 1 AND (?1 OR lease <= ?2)",
    )?
    .execute(params![alone, now])?;
    let mut query =
        db.prepare_cached("SELECT id, press FROM delivery INDEXED BY delivery_held WHERE press IS NOT NULL AND state = 2 AND (?1 OR lease <= ?2)")?;
    let stuck: Vec<(i64, String)> =
        query.query_map(params![alone, now], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
    let lost = lost();
    let mut uncertain = 0;
    for (id, press) in &stuck {
        let id = DeliveryId(*id);
        write_attempt(db, id, AttemptOutcome::Uncertain, &lost, true, now)?;
        end(db, press, id, 6, 1, now)?;
        let doubted = db.prepare_cached("SELECT 1 FROM delivery WHERE id = ?1 AND state = 6")?.exists([id.0])?;
        uncertain += u64::from(doubted);
    }
    if policy == UncertainPolicy::Resend {
        db.prepare_cached(
            "UPDATE delivery INDEXED BY delivery_uncertain SET state = 0, due = ?1 + iif(doubts > ?2, ?3, 0)
             WHERE state = 6 AND doubts < ?4
               AND edition IN (SELECT id FROM edition WHERE state IN ('approved', 'sending') AND paused IS NULL)",
        )?
        .execute(params![now, QUICK_RESENDS, DOUBTFUL_WAIT, MOST_DOUBTS])?;
    }
    Ok(uncertain)
}

/// Of editions that are not finished, everything that has not ended may have gone out since this ledger was copied.
pub(super) fn doubt_all(db: &Connection, now: i64) -> Result<u64, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT d.id FROM edition e CROSS JOIN delivery d ON d.edition = e.id
         WHERE e.state IN ('approved', 'sending') AND d.state IN (0, 1, 2)",
    )?;
    let open: Vec<i64> = query.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    let text = "the ledger was restored from a copy: since that was made, this mail may have gone out".to_owned();
    let unknown = Reply { code: 0, status: None, text };
    for id in &open {
        write_attempt(db, DeliveryId(*id), AttemptOutcome::Uncertain, &unknown, true, now)?;
        db.prepare_cached(
            "UPDATE delivery SET state = iif(returned IS NULL, 6, 3), press = NULL, lease = NULL, ended = ?2,
                 doubts = doubts + (returned IS NULL) WHERE id = ?1",
        )?
        .execute(params![id, now])?;
    }
    Ok(open.len() as u64)
}

fn finish(db: &Connection, edition: EditionId, now: i64) -> Result<bool, StoreError> {
    let finished = db
        .prepare_cached(
            "UPDATE edition SET state = 'sent', ended = ?2, paused = NULL
         WHERE id = ?1 AND state IN ('approved', 'sending')
           AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_waiting WHERE edition = ?1 AND state = 0)
           AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_held WHERE press IS NOT NULL AND edition = ?1)
           AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_uncertain WHERE edition = ?1 AND state = 6)",
        )?
        .execute(params![edition.0, now])?;
    if finished == 1 {
        forget(db, edition)?;
    }
    Ok(db.prepare_cached("SELECT 1 FROM edition WHERE id = ?1 AND state = 'sent'")?.exists([edition.0])?)
}

fn resolve(
    db: &Connection,
    edition: EditionId,
    only: Option<DeliveryId>,
    resolution: Resolution,
    now: i64,
) -> Result<u64, StoreError> {
    let state = match resolution {
        Resolution::Accepted => 3,
        Resolution::Resend => 0,
    };
    if resolution == Resolution::Accepted {
        let mut query = db.prepare_cached(
            "SELECT id FROM delivery INDEXED BY delivery_uncertain WHERE edition = ?1 AND state = 6 AND (?2 IS NULL OR id = ?2)",
        )?;
        let told = query.query_map(params![edition.0, only.map(|id| id.0)], |r| r.get(0))?;
        for id in told.collect::<Result<Vec<_>, _>>()? {
            write_attempt(db, DeliveryId(id), AttemptOutcome::Accepted, &arrived(), false, now)?;
        }
    }
    // Of a withdrawn edition nothing is sent any more; it can still be said that a mail had arrived.
    let resolved = db
        .prepare_cached(
            "UPDATE delivery INDEXED BY delivery_uncertain SET state = ?3, due = ?4
             WHERE edition = ?1 AND state = 6 AND (?2 IS NULL OR id = ?2)
               AND (?3 <> 0 OR edition IN (SELECT id FROM edition WHERE state IN ('approved', 'sending')))",
        )?
        .execute(params![edition.0, only.map(|id| id.0), state, now])?;
    finish(db, edition, now)?;
    Ok(resolved as u64)
}
