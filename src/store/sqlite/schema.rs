//! The ledger's form, in numbered steps, forward only.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// Says that an `SQLite` file is a ledger of ours: `PRsr`.
const APPLICATION: i64 = 0x5052_7372;
/// Says that it was one, and goes on elsewhere: `PRmv`.
const MOVED: i64 = 0x5052_6d76;
/// Step n brings version n - 1 to version n (`PRAGMA user_version`). Never changed once released.
const STEPS: [&str; 15] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
];

/// Brings a ledger to this program's version, in one transaction.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let version = |db: &Connection| db.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0));
    let application: i64 = db.pragma_query_value(None, "application_id", |r| r.get(0))?;
    if application == APPLICATION && version(db)? == known {
        return Ok(());
    }
    if application == MOVED {
        return Err(StoreError::Moved);
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

/// What a closed ledger says to whoever writes to it.
pub(super) const CLOSED: &str = "the ledger has moved";

/// Says that the ledger goes on elsewhere: by a mark to whoever opens it, and by triggers to whoever has it open.
pub(super) fn close(db: &Connection) -> Result<(), StoreError> {
    let mut tables =
        db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'")?;
    let tables: Vec<String> = tables.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    for table in tables {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            db.execute_batch(&format!(
                "CREATE TRIGGER closed_{table}_{event} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{CLOSED}'); END"
            ))?;
        }
    }
    Ok(db.pragma_update(None, "application_id", MOVED)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_of_any_earlier_version_becomes_what_a_new_one_is() {
        let form = |db: &Connection| -> Vec<String> {
            let mut query = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1").unwrap();
            query.query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let mut new = Connection::open_in_memory().unwrap();
        migrate(&mut new).unwrap();
        for version in 1..STEPS.len() {
            let mut old = Connection::open_in_memory().unwrap();
            STEPS[..version].iter().for_each(|step| old.execute_batch(step).unwrap());
            old.pragma_update(None, "application_id", APPLICATION).unwrap();
            old.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
            assert_ne!(form(&old), form(&new));
            migrate(&mut old).unwrap();
            assert_eq!(form(&old), form(&new), "from version {version}");
            migrate(&mut old).unwrap();
        }
    }
}
