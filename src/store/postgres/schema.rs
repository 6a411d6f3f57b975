//! The ledger's form, in numbered steps, forward only.

use deadpool_postgres::Transaction;

use super::pool::{self, Fault, Pool};
use super::sql;
use crate::store::StoreError;

/// Step n brings version n - 1 to version n. Never changed once released.
const STEPS: [&str; 7] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
];
/// The advisory lock under which the form is changed: `PRsr`.
const LOCK: i64 = 0x5052_7372;

/// Brings a ledger to this program's version, in one transaction; several programs may try at once. A database of others is
/// left alone.
pub(super) async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    let done: Result<(), Fault> = async {
        let mut client = pool.client().await?;
        let db = client.transaction().await?;
        let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        if version(&db).await? == Some(known) {
            return Ok(());
        }
        hold(&db).await?;
        let found = if let Some(found) = version(&db).await? {
            found
        } else {
            let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
            if sql::value::<i64>(&db, tables, &[]).await?.unwrap_or(0) > 0 {
                return Err(StoreError::NotALedger.into());
            }
            db.batch_execute(
                "CREATE TABLE pressrun_ledger (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL);
                 INSERT INTO pressrun_ledger VALUES (1, 0)",
            )
            .await?;
            0
        };
        if found > known || found < 0 {
            return Err(StoreError::Newer { found, known }.into());
        }
        for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            db.batch_execute(step).await?;
        }
        sql::run(&db, "UPDATE pressrun_ledger SET version = $1", &[&known]).await?;
        // Where the answer is lost, opening fails, and the next time finds what there is.
        match pool::commit(db).await? {
            None => Ok(()),
            Some(_) => Err(Fault::Away("the connection broke".to_owned())),
        }
    }
    .await;
    Ok(done?)
}

/// Nobody else changes the form, or fills an empty ledger, until the transaction ends.
pub(super) async fn hold(db: &Transaction<'_>) -> Result<(), Fault> {
    sql::rows(db, "SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    Ok(())
}

/// The ledger's version; `None` where there is none.
async fn version(db: &Transaction<'_>) -> Result<Option<i64>, Fault> {
    let there = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'pressrun_ledger'";
    if sql::exists(db, there, &[]).await? {
        sql::value(db, "SELECT version FROM pressrun_ledger", &[]).await
    } else {
        Ok(None)
    }
}
