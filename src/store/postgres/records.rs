//! Deliveries and their attempts, for people.

use deadpool_postgres::Transaction;
use std::collections::HashMap;
use tokio_postgres::Row;

use super::pool::Fault;
use super::row::{address, count, from_word, small, time, time_or_none};
use super::rules::{number_of, state_of};
use super::sql::{Bound, rows};
use crate::delivery::history::PastDelivery;
use crate::delivery::ledger::Counts;
use crate::delivery::returns::ReturnRecord;
use crate::delivery::{Attempt, DeliveryId, DeliveryRecord, DeliveryState, Reply};
use crate::digest::EditionId;
use crate::store::StoreError;

pub(super) async fn counts(db: &Transaction<'_>, edition: EditionId) -> Result<Counts, Fault> {
    let states = "SELECT CASE WHEN state = 3 THEN coalesce(returned, 3) ELSE state END, tries > 0, count(*), count(*) FILTER (WHERE doubts > 0)
                  FROM delivery WHERE edition = $1 GROUP BY 1, 2";
    let mut counts = Counts::default();
    for r in rows(db, states, &[&edition.0]).await? {
        let (tried, n) = (r.try_get::<_, bool>(1)?, count(r.try_get(2)?));
        counts.doubtful += count(r.try_get(3)?);
        match state_of(r.try_get(0)?)? {
            DeliveryState::Waiting => {
                counts.waiting += n;
                counts.deferred += if tried { n } else { 0 };
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

pub(super) async fn of_address(
    db: &Transaction<'_>,
    edition: EditionId,
    key: &str,
) -> Result<Option<DeliveryRecord>, Fault> {
    Ok(read(db, "d.edition = $1 AND s.key = $2", &[&edition.0, &key]).await?.into_iter().next())
}

pub(super) async fn of_state(
    db: &Transaction<'_>,
    edition: EditionId,
    state: Option<DeliveryState>,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, Fault> {
    read(
        db,
        "d.edition = $1 AND ($2::bigint IS NULL OR CASE WHEN d.state = 3 THEN coalesce(d.returned, 3) ELSE d.state END = $2)
           AND d.id > $3 ORDER BY d.id LIMIT $4",
        &[&edition.0, &state.and_then(number_of), &after.map_or(0, |id| id.0), &i64::from(limit)],
    )
    .await
}

pub(super) async fn of_doubt(
    db: &Transaction<'_>,
    edition: EditionId,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, Fault> {
    let which = "d.edition = $1 AND d.doubts > 0 AND d.id > $2 ORDER BY d.id LIMIT $3";
    read(db, which, &[&edition.0, &after.map_or(0, |id| id.0), &i64::from(limit)]).await
}

async fn read(db: &Transaction<'_>, which: &str, with: &[Bound<'_>]) -> Result<Vec<DeliveryRecord>, Fault> {
    let sql = format!(
        "SELECT d.id, s.address, CASE WHEN d.state = 3 THEN coalesce(d.returned, 3) ELSE d.state END, d.due, d.doubts
         FROM delivery d JOIN subscriber s ON s.id = d.subscriber WHERE {which}"
    );
    let found = rows(db, &sql, with).await?;
    let ids: Vec<i64> = found.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>()?;
    let (mut attempts, mut returned) = (attempts(db, &ids).await?, returned(db, &ids).await?);
    found
        .iter()
        .map(|r| {
            let id = r.try_get(0)?;
            Ok(DeliveryRecord {
                id: DeliveryId(id),
                address: address(r.try_get(1)?)?,
                state: state_of(r.try_get(2)?)?,
                due: time(r.try_get(3)?)?,
                doubts: small(r.try_get(4)?),
                attempts: attempts.remove(&id).unwrap_or_default(),
                returned: returned.remove(&id).unwrap_or_default(),
            })
        })
        .collect()
}

async fn attempts(db: &Transaction<'_>, of: &[i64]) -> Result<HashMap<i64, Vec<Attempt>>, Fault> {
    let tried = "SELECT delivery, begun, ended, outcome, held, code, status, text FROM attempt WHERE delivery = ANY($1)
                 ORDER BY delivery, number";
    let mut found: HashMap<i64, Vec<Attempt>> = HashMap::new();
    for r in rows(db, tried, &[&of]).await? {
        found.entry(r.try_get(0)?).or_default().push(Attempt {
            begun: time_or_none(r.try_get(1)?)?,
            ended: time(r.try_get(2)?)?,
            outcome: from_word(r.try_get(3)?)?,
            held: r.try_get(4)?,
            reply: reply(&r, 5)?,
        });
    }
    Ok(found)
}

async fn returned(db: &Transaction<'_>, of: &[i64]) -> Result<HashMap<i64, Vec<ReturnRecord>>, Fault> {
    let came = "SELECT delivery, at, news, cause, code, status, text FROM returned WHERE delivery = ANY($1)
                ORDER BY delivery, at, mark";
    let mut found: HashMap<i64, Vec<ReturnRecord>> = HashMap::new();
    for r in rows(db, came, &[&of]).await? {
        let cause: Option<&str> = r.try_get(3)?;
        found.entry(r.try_get(0)?).or_default().push(ReturnRecord {
            when: time(r.try_get(1)?)?,
            news: from_word(r.try_get(2)?)?,
            cause: cause.map(from_word).transpose()?,
            reply: reply(&r, 4)?,
        });
    }
    Ok(found)
}

/// Code, status and text, from the column `at` on.
pub(super) fn reply(r: &Row, at: usize) -> Result<Reply, Fault> {
    let code: i64 = r.try_get(at)?;
    let code = u16::try_from(code).map_err(|_| StoreError::Damaged(format!("no reply code: {code}")))?;
    Ok(Reply { code, status: r.try_get(at + 1)?, text: r.try_get(at + 2)? })
}

/// All deliveries to one person, by edition.
pub(super) async fn history(db: &Transaction<'_>, key: &str) -> Result<Vec<PastDelivery>, Fault> {
    let which = "SELECT d.id, e.digest, e.number, e.subject FROM subscriber s
                 JOIN delivery d ON d.subscriber = s.id JOIN edition e ON e.id = d.edition WHERE s.key = $1 ORDER BY e.id";
    let found = rows(db, which, &[&key]).await?;
    let ids: Vec<i64> = found.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>()?;
    let records = read(db, "d.id = ANY($1)", &[&ids]).await?;
    let mut records: HashMap<i64, DeliveryRecord> = records.into_iter().map(|r| (r.id.0, r)).collect();
    let mut past = vec![];
    for r in found {
        let id: i64 = r.try_get(0)?;
        if let Some(delivery) = records.remove(&id) {
            let number = small(r.try_get(2)?);
            past.push(PastDelivery { digest: r.try_get(1)?, number, subject: r.try_get(3)?, delivery });
        }
    }
    Ok(past)
}
