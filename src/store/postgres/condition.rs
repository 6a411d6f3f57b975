//! How a server and the ledger on it are.

use chrono::{DateTime, TimeDelta, Utc};

use super::PostgresStore;
use super::row::{count, time};
use super::sql::{read, row, value};
use crate::store::StoreError;
use crate::store::invariants::{INVARIANTS, told};

/// What a look at a server has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// As the server calls itself: `15.14 (Debian 15.14-0+deb12u1)`.
    pub version: String,
    /// Its first number.
    pub major: u32,
    /// What must be true of a ledger and is not.
    pub broken: Vec<String>,
    /// Settings by which a power cut can undo what was committed.
    pub careless: Vec<&'static str>,
    /// It only reads: a standby, or a database that was closed.
    pub read_only: bool,
    /// By how much its clock is ahead of ours.
    pub ahead: TimeDelta,
    /// Connections of everybody, and as many as there may be of users like ours.
    pub connections: (u64, u64),
    /// As many as a process of ours opens at most.
    pub wanted: usize,
}

impl PostgresStore {
    /// Looks at everything that can be wrong with a server. Reads the whole ledger.
    ///
    /// # Errors
    /// As all reading.
    pub async fn condition(&self) -> Result<Condition, StoreError> {
        let settings = "
            SELECT current_setting('server_version'), current_setting('server_version_num')::bigint / 10000,
                   current_setting('fsync') = 'off', current_setting('full_page_writes') = 'off',
                   pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
                   (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
                   current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint";
        let found = read!(self, db => row(&db, settings, &[]).await)?.ok_or(StoreError::Stopped)?;
        let said = super::pool::Fault::Said;
        let off = |at| found.try_get::<_, bool>(at).map_err(said);
        let number = |at| found.try_get::<_, i64>(at).map_err(said);
        let careless = [("fsync", off(2)?), ("full_page_writes", off(3)?)];
        let mut broken = vec![];
        for (what, query) in INVARIANTS {
            let found: Option<i64> = read!(self, db => value(&db, query, &[]).await)?;
            broken.extend(found.and_then(|count| told(count, what)));
        }
        Ok(Condition {
            version: found.try_get(0).map_err(said)?,
            major: u32::try_from(number(1)?).unwrap_or(0),
            broken,
            careless: careless.into_iter().filter(|(_, off)| *off).map(|(name, _)| name).collect(),
            read_only: off(4)?,
            ahead: self.ahead().await?,
            connections: (count(number(5)?), count(number(6)?)),
            wanted: self.pool.most() + self.turns.connections(),
        })
    }

    /// The connection is there by now, so that its way there and back is all that the answer takes.
    async fn ahead(&self) -> Result<TimeDelta, StoreError> {
        let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let (before, theirs, after): (DateTime<Utc>, Option<i64>, DateTime<Utc>) = read!(self, db => {
            // Once for the preparing.
            value::<i64>(&db, clock, &[]).await?;
            let before = Utc::now();
            value(&db, clock, &[]).await.map(|theirs| (before, theirs, Utc::now()))
        })?;
        Ok(time(theirs.unwrap_or_default())? - (before + (after - before) / 2))
    }
}
