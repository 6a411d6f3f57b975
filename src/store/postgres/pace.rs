//! What the pace of sending is made of: rests that destinations asked for, who shares the limits, and what was sent lately.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;

use super::pool::Fault;
use super::row::{millis, time};
use super::sql::{rows, run, value};
use crate::delivery::pace::{FORGOTTEN, Rest};

const DAY: i64 = 24 * 60 * 60 * 1000;

pub(super) async fn rests(db: &Transaction<'_>, now: DateTime<Utc>) -> Result<Vec<Rest>, Fault> {
    let lately = "SELECT place, until FROM rest WHERE until > $1 ORDER BY place";
    let found = rows(db, lately, &[&millis(now - FORGOTTEN)]).await?;
    found.iter().map(|r| Ok(Rest { place: r.try_get(0)?, until: time(r.try_get(1)?)? })).collect()
}

pub(super) async fn rest(db: &Transaction<'_>, rest: &Rest) -> Result<(), Fault> {
    let longer = "INSERT INTO rest (place, until) VALUES ($1, $2)
                  ON CONFLICT (place) DO UPDATE SET until = greatest(rest.until, excluded.until)";
    run(db, longer, &[&rest.place, &millis(rest.until)]).await?;
    Ok(())
}

/// Presses that hold something, by the database's clock.
pub(super) async fn presses(db: &Transaction<'_>, clock: Option<i64>) -> Result<u32, Fault> {
    let held = "SELECT count(DISTINCT press) FROM delivery WHERE press IS NOT NULL AND lease > ledger_clock($1)";
    let presses: i64 = value(db, held, &[&clock]).await?.unwrap_or(0);
    Ok(u32::try_from(presses).unwrap_or(u32::MAX).max(1))
}

/// Reads all deliveries: asked for once in a run, and only while a sender is new.
pub(super) async fn accepted_by_day(db: &Transaction<'_>, days: usize, now: i64) -> Result<Vec<u64>, Fault> {
    let span = DAY.saturating_mul(i64::try_from(days).unwrap_or(i64::MAX));
    let accepted = "SELECT greatest($1::bigint - ended, 0) / $2::bigint, count(*) FROM delivery
                    WHERE state = 3 AND ended > $1::bigint - $3::bigint GROUP BY 1";
    let mut found = vec![0; days];
    for r in rows(db, accepted, &[&now, &DAY, &span]).await? {
        let (day, count): (i64, i64) = (r.try_get(0)?, r.try_get(1)?);
        if let Some(place) = usize::try_from(day).ok().and_then(|day| found.get_mut(day)) {
            *place = u64::try_from(count).unwrap_or(0);
        }
    }
    Ok(found)
}
