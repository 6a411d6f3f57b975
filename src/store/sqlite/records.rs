//! Deliveries and their attempts, for people.

use rusqlite::{Connection, params};

use super::row::{address, from_word, small, time, time_or_none};
use super::rules::{number_of, state_of};
use crate::delivery::history::PastDelivery;
use crate::delivery::ledger::Counts;
use crate::delivery::returns::ReturnRecord;
use crate::delivery::{Attempt, DeliveryId, DeliveryRecord, DeliveryState, Reply};
use crate::digest::EditionId;
use crate::store::StoreError;

pub(super) fn counts(db: &Connection, edition: EditionId) -> Result<Counts, StoreError> {
    // Counted here: to group them SQLite would sort them first, in memory, a million where there are so many.
    let mut query = db.prepare_cached(
        "SELECT iif(state = 3, coalesce(returned, 3), state), tries > 0, doubts > 0 FROM delivery WHERE edition = ?1",
    )?;
    let mut rows = query.query([edition.0])?;
    let mut counts = Counts::default();
    while let Some(r) = rows.next()? {
        let (tried, n) = (r.get::<_, bool>(1)?, 1);
        counts.doubtful += u64::from(r.get::<_, bool>(2)?);
        match state_of(r.get(0)?)? {
            DeliveryState::Waiting => {
                counts.waiting += n;
                counts.deferred += u64::from(tried);
            }
            DeliveryState::Claimed | DeliveryState::InFlight => counts.under_way += n,
            DeliveryState::Accepted => counts.accepted += n,
            DeliveryState::Rejected => counts.rejected += n,
            DeliveryState::Expired => counts.expired += n,
            DeliveryState::Uncertain => counts.uncertain += n,
            DeliveryState::Withdrawn => counts.withdrawn += n,
            DeliveryState::Bounced => counts.bounced += n,
            DeliveryState::Complained => counts.complained += n,
        }
    }
    Ok(counts)
}

pub(super) fn of_address(db: &Connection, edition: EditionId, key: &str) -> Result<Option<DeliveryRecord>, StoreError> {
    let found = read(db, "d.edition = ?1 AND s.key = ?2", params![edition.0, key])?;
    Ok(found.into_iter().next())
}

pub(super) fn of_state(
    db: &Connection,
    edition: EditionId,
    state: Option<DeliveryState>,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let number = state.and_then(number_of);
    read(
        db,
        "d.edition = ?1 AND (?2 IS NULL OR iif(d.state = 3, coalesce(d.returned, 3), d.state) = ?2) AND d.id > ?3 ORDER BY d.id LIMIT ?4",
        params![edition.0, number, after.map_or(0, |id| id.0), limit],
    )
}

pub(super) fn of_doubt(
    db: &Connection,
    edition: EditionId,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    read(
        db,
        "d.edition = ?1 AND d.doubts > 0 AND d.id > ?2 ORDER BY d.id LIMIT ?3",
        params![edition.0, after.map_or(0, |id| id.0), limit],
    )
}

fn read(db: &Connection, which: &str, with: &[&dyn rusqlite::ToSql]) -> Result<Vec<DeliveryRecord>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT d.id, s.address, iif(d.state = 3, coalesce(d.returned, 3), d.state), d.due, d.doubts
         FROM delivery d JOIN subscriber s ON s.id = d.subscriber WHERE {which}"
    ))?;
    let mut rows = query.query(with)?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let id = DeliveryId(r.get(0)?);
        found.push(DeliveryRecord {
            id,
            address: address(&r.get::<_, String>(1)?)?,
            state: state_of(r.get(2)?)?,
            due: time(r.get(3)?)?,
            doubts: small(r.get(4)?),
            attempts: attempts(db, id)?,
            returned: returned(db, id)?,
        });
    }
    Ok(found)
}

fn attempts(db: &Connection, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT begun, ended, outcome, held, code, status, text FROM attempt WHERE delivery = ?1 ORDER BY number",
    )?;
    let mut rows = query.query([id.0])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        found.push(Attempt {
            begun: time_or_none(r.get(0)?)?,
            ended: time(r.get(1)?)?,
            outcome: from_word(&r.get::<_, String>(2)?)?,
            held: r.get(3)?,
            reply: Reply { code: r.get(4)?, status: r.get(5)?, text: r.get(6)? },
        });
    }
    Ok(found)
}

fn returned(db: &Connection, id: DeliveryId) -> Result<Vec<ReturnRecord>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT at, news, cause, code, status, text FROM returned WHERE delivery = ?1 ORDER BY at, mark",
    )?;
    let mut rows = query.query([id.0])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let cause = r.get::<_, Option<String>>(2)?;
        found.push(ReturnRecord {
            when: time(r.get(0)?)?,
            news: from_word(&r.get::<_, String>(1)?)?,
            cause: cause.as_deref().map(from_word).transpose()?,
            reply: Reply { code: r.get(3)?, status: r.get(4)?, text: r.get(5)? },
        });
    }
    Ok(found)
}

/// All deliveries to one person, by edition.
pub(super) fn history(db: &Connection, key: &str) -> Result<Vec<PastDelivery>, StoreError> {
    // By edition: deliveries are found by edition and subscriber, and there are fewer editions than readers.
    let mut query = db.prepare_cached(
        "SELECT d.id, e.digest, e.number, e.subject FROM subscriber s CROSS JOIN edition e
         CROSS JOIN delivery d ON d.edition = e.id AND d.subscriber = s.id WHERE s.key = ?1 ORDER BY e.id",
    )?;
    let mut rows = query.query([key])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let (id, digest, number, subject): (i64, _, _, _) = (r.get(0)?, r.get(1)?, small(r.get(2)?), r.get(3)?);
        let records = read(db, "d.id = ?1", params![id])?;
        found.extend(records.into_iter().next().map(|delivery| PastDelivery { digest, number, subject, delivery }));
    }
    Ok(found)
}
