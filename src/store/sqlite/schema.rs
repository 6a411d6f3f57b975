//! The ledger's form, in numbered steps, forward only.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// Says that a SQLite file is a ledger of ours: `PRsr`.
const APPLICATION: i64 = 0x5052_7372;
/// Step n brings version n - 1 to version n (`PRAGMA user_version`). Never changed once released.
const STEPS: [&str; 1] = [include_str!("migrations/0001.sql")];

/// Brings a ledger to this program's version, in one transaction.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let version = |db: &Connection| db.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0));
    let application: i64 = db.pragma_query_value(None, "application_id", |r| r.get(0))?;
    if application == APPLICATION && version(db)? == known {
        return Ok(());
    }
    let work = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i64 = work.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let tables: i64 = work.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    if application != APPLICATION && (application != 0 || tables > 0) {
        return Err(StoreError::NotALedger);
    }
    let found = version(&work)?;
    if found > known || found < 0 {
        return Err(StoreError::Newer { found, known });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        work.execute_batch(step)?;
    }
    work.pragma_update(None, "application_id", APPLICATION)?;
    work.pragma_update(None, "user_version", known)?;
    Ok(work.commit()?)
}
