//! What the pace of sending is made of: rests that destinations asked for, who shares the limits, and what was sent lately.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;

use super::pool::Fault;
use super::row::{millis, time};
use super::sql::{rows, run, value};
use crate::delivery::ledger::PressId;
use crate::delivery::pace::{FORGOTTEN, Rest};

/// The advisory lock under which presses are counted: `PRpr`.
const PRESSES: i64 = 0x5052_7072;
/// A press that has not been heard of for so long (milliseconds) is not at work any more: ten times what is between two words of
/// one that is.
const SEEN: i64 = 10_000;
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

/// Says that a press is at work; how many are, by the database's clock.
pub(super) async fn presses(db: &Transaction<'_>, press: &PressId, clock: Option<i64>) -> Result<u32, Fault> {
    // One after the other: of two that begin together, one knows of the other.
    rows(db, "SELECT pg_advisory_xact_lock($1)", &[&PRESSES]).await?;
    let here = "INSERT INTO press (name, until) VALUES ($1, ledger_clock($2) + $3::bigint)
                ON CONFLICT (name) DO UPDATE SET until = excluded.until";
    run(db, here, &[press, &clock, &SEEN]).await?;
    run(db, "DELETE FROM press WHERE until <= ledger_clock($1)", &[&clock]).await?;
    let presses: i64 = value(db, "SELECT count(*) FROM press", &[]).await?.unwrap_or(1);
    Ok(u32::try_from(presses).unwrap_or(u32::MAX).max(1))
}

/// A press has ended.
pub(super) async fn leave(db: &Transaction<'_>, press: &PressId) -> Result<(), Fault> {
    run(db, "DELETE FROM press WHERE name = $1", &[press]).await?;
    Ok(())
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
