//! Saying things to the database.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::pool::Fault;

/// A value that is bound.
pub(super) type Bound<'a> = &'a (dyn ToSql + Sync);

/// All rows.
pub(super) async fn rows(db: &Transaction<'_>, sql: &str, with: &[Bound<'_>]) -> Result<Vec<Row>, Fault> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query(&statement, with).await?)
}

/// The first row, where there is one.
pub(super) async fn row(db: &Transaction<'_>, sql: &str, with: &[Bound<'_>]) -> Result<Option<Row>, Fault> {
    Ok(rows(db, sql, with).await?.into_iter().next())
}

/// The first row's first value, where there is a row.
pub(super) async fn value<T>(db: &Transaction<'_>, sql: &str, with: &[Bound<'_>]) -> Result<Option<T>, Fault>
where
    T: for<'r> FromSql<'r>,
{
    row(db, sql, with).await?.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Whether there is a row.
pub(super) async fn exists(db: &Transaction<'_>, sql: &str, with: &[Bound<'_>]) -> Result<bool, Fault> {
    Ok(row(db, sql, with).await?.is_some())
}

/// How many rows it changed.
pub(super) async fn run(db: &Transaction<'_>, sql: &str, with: &[Bound<'_>]) -> Result<u64, Fault> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.execute(&statement, with).await?)
}

/// Runs work in a transaction that writes, and commits it; tries again what may be tried again. `$work` is an expression of
/// `Result<_, Fault>` that may be evaluated several times.
macro_rules! write {
    ($store:expr, $db:ident => $work:expr) => {{
        let mut tries = $crate::store::postgres::pool::Tries::new($crate::store::postgres::pool::PATIENCE);
        loop {
            let done: Result<_, $crate::store::postgres::pool::Fault> = $store
                .pool
                .within(async {
                    let mut client = $store.pool.client().await?;
                    let $db = client.transaction().await?;
                    let answer = $work?;
                    Ok((answer, $crate::store::postgres::pool::commit($db).await?))
                })
                .await;
            let fault = match done {
                Ok((answer, None)) => break Ok(answer),
                Ok((answer, Some(number))) => match $store.pool.committed(number).await {
                    Ok(true) => break Ok(answer),
                    Ok(false) => $crate::store::postgres::pool::Fault::Away("a commit was lost".to_owned()),
                    Err(error) => break Err(error),
                },
                Err(fault) => fault,
            };
            if let Err(error) = tries.after(fault).await {
                break Err(error);
            }
        }
    }};
}

/// Runs work in a transaction that reads: all of it sees one moment's state.
macro_rules! read {
    ($store:expr, $db:ident => $work:expr) => {{
        let mut tries = $crate::store::postgres::pool::Tries::new($crate::store::postgres::pool::PATIENCE);
        loop {
            let done: Result<_, $crate::store::postgres::pool::Fault> = $store
                .pool
                .within(async {
                    let mut client = $store.pool.client().await?;
                    let beginning = client.build_transaction().read_only(true);
                    let $db = beginning.isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
                    let answer = $work?;
                    $db.commit().await?;
                    Ok(answer)
                })
                .await;
            match done {
                Ok(answer) => break Ok(answer),
                Err(fault) => {
                    if let Err(error) = tries.after(fault).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}

pub(super) use {read, write};
