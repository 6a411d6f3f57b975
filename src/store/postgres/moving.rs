//! Everything of a ledger in a file, into an empty database.

use deadpool_postgres::Transaction;
use rusqlite::types::Value;
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::pool::{self, Fault};
use super::sql::{exists, rows, run, value};
use super::{PostgresStore, schema};
use crate::store::{SqliteStore, StoreError};

/// All tables, each after those that it refers to.
const TABLES: [&str; 21] = [
    "subscriber",
    "subscription",
    "consent",
    "suppression",
    "lifted",
    "edition",
    "edition_piece",
    "delivery",
    "attempt",
    "returned",
    "letter_returned",
    "schedule_run",
    "erased",
    "erasure_key",
    "link_key",
    "signature",
    "notice",
    "request",
    "asked",
    "pause",
    "rest",
];
/// Rows that are handed over together, and how many such heaps may wait: what is in memory at once.
const HEAP: usize = 500;
const HEAPS: usize = 4;

/// What the file's side says.
enum Said {
    /// Rows of this table come, with these columns.
    Table(String, Vec<String>),
    /// Rows of it.
    Rows(Vec<Vec<Value>>),
    /// The highest number that this table has ever given out.
    Numbered(String, i64),
    /// There is no more.
    End,
}

impl PostgresStore {
    /// Copies everything of a ledger in a file, in one transaction, a heap of rows at a time, and closes the file for good.
    /// Nobody writes to it in between, or afterwards: what a reader is told to be done is here. Answers how many rows, and
    /// whether the file could be closed.
    ///
    /// # Errors
    /// [`StoreError::Occupied`] where this ledger is not empty; otherwise what either database says. Then nothing was copied,
    /// and the file is as it was.
    pub async fn take_over(&self, from: &SqliteStore) -> Result<(u64, Result<(), StoreError>), StoreError> {
        let (tell, mut told) = mpsc::channel(HEAPS);
        let (is_here, here) = oneshot::channel();
        let reading = from.give_away(move |db| {
            tell_all(db, &tell)?;
            // Where nobody says so, the other side has failed, and says why.
            here.blocking_recv().map_err(|_| StoreError::Stopped)
        });
        let writing = async {
            let mut client = self.pool.client().await?;
            let db = client.transaction().await?;
            db.batch_execute("SET LOCAL statement_timeout = 0").await?;
            let copied = take_all(&db, &mut told).await?;
            // Whoever tells must not wait for us any more.
            drop(told);
            if let Some(number) = pool::commit(db).await?
                && !self.pool.committed(number).await?
            {
                return Err(Fault::Away("the connection broke, and nothing was copied".to_owned()));
            }
            // It waits for this, and for nothing else.
            let _ = is_here.send(());
            Ok::<_, Fault>(copied)
        };
        match tokio::join!(reading, writing) {
            // Whichever ended first says why; the other has only noticed that nobody speaks, or listens, any more.
            (Err(error), Err(Fault::Told(StoreError::Stopped))) => Err(error),
            (_, Err(fault)) => Err(fault.into()),
            (closed, Ok(copied)) => Ok((copied, closed)),
        }
    }
}

/// Tells all rows, as they stand at one moment: that of the caller's transaction.
fn tell_all(db: &rusqlite::Connection, tell: &mpsc::Sender<Said>) -> Result<(), StoreError> {
    // Gone: the other side has failed, and says why.
    let say = |said| tell.blocking_send(said).map_err(|_| StoreError::Stopped);
    let mut tables =
        db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'")?;
    let tables: Vec<String> = tables.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    if let Some(strange) = tables.iter().find(|table| !TABLES.contains(&table.as_str())) {
        return Err(StoreError::Damaged(format!("it has a table `{strange}`, and nobody knows what is in it")));
    }
    for table in TABLES.into_iter().filter(|table| tables.iter().any(|there| there == table)) {
        let mut query = db.prepare(&format!("SELECT * FROM {table}"))?;
        let columns: Vec<String> = query.column_names().map(str::to_owned).collect();
        let width = columns.len();
        say(Said::Table(table.to_owned(), columns))?;
        let mut found = query.query([])?;
        let mut heap = Vec::with_capacity(HEAP);
        while let Some(r) = found.next()? {
            heap.push((0..width).map(|at| r.get(at)).collect::<Result<Vec<Value>, _>>()?);
            if heap.len() == HEAP {
                say(Said::Rows(std::mem::replace(&mut heap, Vec::with_capacity(HEAP))))?;
            }
        }
        say(Said::Rows(heap))?;
    }
    let mut query = db.prepare("SELECT name, seq FROM sqlite_sequence")?;
    let numbered: Vec<(String, i64)> =
        query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
    for (table, number) in numbered {
        say(Said::Numbered(table, number))?;
    }
    say(Said::End)
}

/// Writes all that is told.
async fn take_all(db: &Transaction<'_>, told: &mut mpsc::Receiver<Said>) -> Result<u64, Fault> {
    schema::hold(db).await?;
    // Whoever has only looked has left the names of its keys here; those of the file count.
    run(db, "DELETE FROM link_key", &[]).await?;
    for table in TABLES {
        if exists(db, &format!("SELECT 1 FROM {table} LIMIT 1"), &[]).await? {
            return Err(StoreError::Occupied.into());
        }
    }
    let mut copied = 0;
    let mut numbered: HashMap<String, i64> = HashMap::new();
    let mut next = told.recv().await;
    loop {
        match next.take() {
            Some(Said::Table(table, columns)) => {
                let (rows, after) = copy(db, &table, &columns, told).await?;
                copied += rows;
                next = after;
            }
            Some(Said::Numbered(table, number)) => {
                numbered.insert(table, number);
                next = told.recv().await;
            }
            Some(Said::End) => break,
            // The other side says why.
            Some(Said::Rows(_)) | None => return Err(StoreError::Stopped.into()),
        }
    }
    let counted = "SELECT table_name::text FROM information_schema.columns
                   WHERE table_schema = current_schema() AND is_identity = 'YES' AND column_name = 'id'";
    for r in rows(db, counted, &[]).await? {
        let table: String = r.try_get(0)?;
        let highest: Option<i64> = value(db, &format!("SELECT max(id) FROM {table}"), &[]).await?.flatten();
        let next = 1 + highest.unwrap_or(0).max(numbered.get(&table).copied().unwrap_or(0));
        rows(db, "SELECT setval(pg_get_serial_sequence($1, 'id'), $2, FALSE)", &[&table, &next]).await?;
    }
    db.batch_execute("ANALYZE").await?;
    Ok(copied)
}

/// Copies the rows of one table; how many, and what was told after them.
async fn copy(
    db: &Transaction<'_>,
    table: &str,
    columns: &[String],
    told: &mut mpsc::Receiver<Said>,
) -> Result<(u64, Option<Said>), Fault> {
    let known = "SELECT column_name::text, data_type::text FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = $1";
    let mut kinds: HashMap<String, String> = HashMap::new();
    for r in rows(db, known, &[&table]).await? {
        kinds.insert(r.try_get(0)?, r.try_get(1)?);
    }
    let kind_of = |column: &String| match kinds.get(column).map(String::as_str) {
        Some("bigint") => Ok(Type::INT8),
        Some("boolean") => Ok(Type::BOOL),
        Some("bytea") => Ok(Type::BYTEA),
        Some("text") => Ok(Type::TEXT),
        _ => Err(StoreError::Damaged(format!(
            "the table `{table}` has a column `{column}`, and nobody knows what is in it"
        ))),
    };
    let types: Vec<Type> = columns.iter().map(kind_of).collect::<Result<_, _>>()?;
    let sink = db.copy_in(&format!("COPY {table} ({}) FROM STDIN BINARY", columns.join(", "))).await?;
    let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &types));
    let mut copied = 0;
    let after = loop {
        match told.recv().await {
            Some(Said::Rows(heap)) => {
                for values in heap {
                    let bound = values.into_iter().zip(&types).map(|(value, kind)| bound(value, kind));
                    writer.as_mut().write_raw(bound.collect::<Result<Vec<_>, _>>()?).await?;
                    copied += 1;
                }
            }
            after => break after,
        }
    };
    writer.finish().await?;
    Ok((copied, after))
}

/// A value as the column takes it.
fn bound(value: Value, kind: &Type) -> Result<Box<dyn ToSql + Sync + Send>, StoreError> {
    Ok(match (value, kind) {
        (Value::Null, &Type::INT8) => Box::new(None::<i64>),
        (Value::Null, &Type::BYTEA) => Box::new(None::<Vec<u8>>),
        (Value::Null, _) => Box::new(None::<String>),
        (Value::Integer(number), &Type::BOOL) => Box::new(number != 0),
        (Value::Integer(number), &Type::INT8) => Box::new(number),
        (Value::Text(text), &Type::TEXT) => Box::new(text),
        (Value::Blob(bytes), &Type::BYTEA) => Box::new(bytes),
        (value, kind) => {
            let found = value.data_type();
            return Err(StoreError::Damaged(format!("it has {found} where {kind} must stand")));
        }
    })
}
