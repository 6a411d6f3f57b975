//! What the pace of sending is made of: rests that destinations asked for, and what was sent lately.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::row::{millis, time};
use crate::delivery::pace::{FORGOTTEN, Rest};
use crate::store::StoreError;

const DAY: i64 = 24 * 60 * 60 * 1000;

pub(super) fn rests(db: &Connection, now: DateTime<Utc>) -> Result<Vec<Rest>, StoreError> {
    let mut query = db.prepare_cached("SELECT place, until FROM rest WHERE until > ?1 ORDER BY place")?;
    let mut rows = query.query([millis(now - FORGOTTEN)])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        found.push(Rest { place: r.get(0)?, until: time(r.get(1)?)? });
    }
    Ok(found)
}

pub(super) fn rest(db: &Connection, rest: &Rest) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO rest (place, until) VALUES (?1, ?2) ON CONFLICT (place) DO UPDATE SET until = max(until, excluded.until)",
    )?
    .execute(params![rest.place, millis(rest.until)])?;
    Ok(())
}

/// Reads all deliveries: asked for once in a run, and only while a sender is new.
pub(super) fn accepted_by_day(db: &Connection, days: usize, now: i64) -> Result<Vec<u64>, StoreError> {
    let span = DAY.saturating_mul(i64::try_from(days).unwrap_or(i64::MAX));
    let mut query = db.prepare_cached(
        "SELECT max(?1 - ended, 0) / ?2, count(*) FROM delivery WHERE state = 3 AND ended > ?1 - ?3 GROUP BY 1",
    )?;
    let mut rows = query.query(params![now, DAY, span])?;
    let mut found = vec![0; days];
    while let Some(r) = rows.next()? {
        let (day, count): (i64, i64) = (r.get(0)?, r.get(1)?);
        if let Some(place) = usize::try_from(day).ok().and_then(|day| found.get_mut(day)) {
            *place = u64::try_from(count).unwrap_or(0);
        }
    }
    Ok(found)
}
