//! One file, for one machine.
//!
//! One connection writes, and commits in groups (`writer`); reads run beside it on connections of their own. The database
//! is in WAL mode with `synchronous=FULL`: what was answered survives a power cut.

mod editions;
mod key_ring;
mod ledger;
mod notices;
mod pace;
mod person;
mod reader;
mod records;
mod requests;
mod returns;
mod schema;
mod signatures;
mod subscribers;
mod writer;

use chrono::{DateTime, Utc};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::invariants::{self, INVARIANTS};
use super::{StoreError, row, rules};
use crate::subscriber::ErasureKey;
use reader::Readers;
use writer::Writer;

/// How long a statement waits for another program's lock.
const BUSY: Duration = Duration::from_secs(10);
/// Between two tries where SQLite itself does not wait.
const AGAIN: Duration = Duration::from_millis(5);
/// Pages in the write-ahead log before it is written back: 16 MiB. Larger makes write-backs rarer and longer.
const CHECKPOINT_PAGES: i64 = 4096;
/// Bytes that the write-ahead log shrinks to after a large transaction.
const WAL_KEEP: i64 = 64 << 20;

/// A ledger in one SQLite file. Dropping it waits for what is being written, and closes the file.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    writer: Writer,
    erasure: Option<ErasureKey>,
}

impl SqliteStore {
    /// Opens a ledger, making the file and its folder where they are missing, and brings it to this program's version.
    ///
    /// # Errors
    /// All of [`StoreError`] but `Stopped`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_waiting(path, BUSY)
    }

    /// As [`SqliteStore::open`], with another limit of waiting for locks.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_waiting(path: &Path, busy: Duration) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| StoreError::Unwritable(e.to_string()))?;
        }
        let mut db = connect(path, busy)?;
        schema::migrate(&mut db)?;
        Ok(SqliteStore { readers: Readers::new(path.to_owned(), busy), writer: Writer::new(db), erasure: None })
    }

    /// With the key under which erased people are remembered. Without it nobody can be erased; once somebody was, nobody can
    /// be added without it either.
    #[must_use]
    pub fn with_erasure_key(self, key: ErasureKey) -> Self {
        SqliteStore { erasure: Some(key), ..self }
    }

    /// What is damaged in the file, in SQLite's words, and what must be true of a ledger and is not; empty where all is well.
    ///
    /// # Errors
    /// It cannot be read at all.
    pub async fn damage(&self) -> Result<Vec<String>, StoreError> {
        self.readers
            .read(|db| {
                let mut found: Vec<String> = Vec::new();
                let mut told = db.prepare("PRAGMA integrity_check")?;
                for line in told.query_map([], |row| row.get(0))? {
                    found.push(line?);
                }
                let mut orphans = db.prepare("PRAGMA foreign_key_check")?;
                for table in orphans.query_map([], |row| row.get::<_, String>(0))?.take(1) {
                    found.push(format!("rows of {} belong to nothing", table?));
                }
                found.retain(|line| line != "ok");
                if found.is_empty() {
                    for (what, query) in INVARIANTS {
                        found.extend(invariants::told(db.query_row(query, [], |row| row.get(0))?, what));
                    }
                }
                Ok(found)
            })
            .await
    }

    /// Lets somebody read everything while nobody can write, and then marks the ledger as one that goes on elsewhere: it is never
    /// opened again, so that no old configuration sends from it, and whoever has it open can write nothing more.
    pub(in crate::store) async fn give_away<F>(&self, take: F) -> Result<(), StoreError>
    where
        F: FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static,
    {
        self.writer
            .write_apart(move |db| {
                take(db)?;
                schema::close(db)
            })
            .await
    }

    /// Writes a copy of the ledger as it stands into a new file, while everything goes on.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] where the file exists or cannot be written.
    pub async fn backup(&self, file: PathBuf) -> Result<(), StoreError> {
        if file.exists() {
            return Err(StoreError::Unwritable("the file of the copy exists already".to_owned()));
        }
        let Some(name) = file.to_str().map(str::to_owned) else {
            return Err(StoreError::Unwritable("the name of the copy is not Unicode".to_owned()));
        };
        self.readers.read(move |db| Ok(db.execute("VACUUM INTO ?1", [name]).map(|_| ())?)).await
    }

    /// Takes up a ledger that was copied out of use at an earlier time. What had not gone out then may have since, so it is
    /// uncertain; and the digests' times until now count as handled, for editions of which the copy knows nothing may have
    /// gone out. How many deliveries are uncertain now. Doing it again changes nothing.
    ///
    /// # Errors
    /// As all writing.
    pub async fn take_up_copy(&self, digests: Vec<String>, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.writer
            .write(move |db| {
                for digest in &digests {
                    editions::ran(db, digest, now)?;
                }
                start_numbers_at(db, row::millis(now))?;
                ledger::doubt_all(db, row::millis(now))
            })
            .await
    }
}

/// Subscribers, requests and deliveries get numbers from here on: those since the copy, that stand in signed links and in
/// return paths, are given to nobody else. (Of deliveries SQLite does not keep the highest number by itself: sealing looks here.)
fn start_numbers_at(db: &Connection, first: i64) -> Result<(), StoreError> {
    for counted in ["subscriber", "request", "delivery"] {
        let there =
            db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1", params![counted, first])?;
        if there == 0 {
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![counted, first])?;
        }
    }
    Ok(())
}

/// A connection as all of ours are.
fn connect(path: &Path, busy: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(busy)?;
    db.set_prepared_statement_cache_capacity(64);
    // A plan may not depend on bound values: otherwise SQLite parses a statement anew each time they change.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    log_ahead(&db, busy)?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "journal_size_limit", WAL_KEEP)?;
    Ok(db)
}

/// Puts a new file into WAL mode, which needs it alone. Where two try that at once, SQLite sends one away without waiting, for
/// each would wait for the other.
fn log_ahead(db: &Connection, busy: Duration) -> rusqlite::Result<()> {
    let began = Instant::now();
    loop {
        match db.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && began.elapsed() < busy => {
                std::thread::sleep(AGAIN);
            }
            done => return done,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(code, said) = &error else {
            return StoreError::Database(error.to_string());
        };
        if said.as_deref() == Some(schema::CLOSED) {
            return StoreError::Moved;
        }
        match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                StoreError::Locked
            }
            ErrorCode::DiskFull => StoreError::DiskFull,
            ErrorCode::NotADatabase => StoreError::NotALedger,
            ErrorCode::DatabaseCorrupt => StoreError::Damaged(error.to_string()),
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                StoreError::Unwritable(error.to_string())
            }
            _ => StoreError::Database(error.to_string()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn failure(path: &Path) -> StoreError {
        SqliteStore::open_waiting(path, Duration::from_millis(50)).unwrap_err()
    }

    #[test]
    fn a_file_that_is_no_database_is_no_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.sqlite");
        std::fs::write(&file, "name,address\n".repeat(200)).unwrap();
        assert_eq!(failure(&file), StoreError::NotALedger);
    }

    #[test]
    fn many_who_begin_a_ledger_at_once_all_have_it() {
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("ledger.sqlite");
            let together = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        together.wait();
                        SqliteStore::open(&file).unwrap();
                    });
                }
            });
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_dropped_ledger_is_closed() {
        for _ in 0..200 {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&folder.path().join("ledger.sqlite")).unwrap();
            store.take_up_copy(vec![], Utc::now()).await.unwrap();
            drop(store);
            // SQLite takes its log away when the last connection is closed.
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.sqlite");
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE recipe (id)").unwrap();
        assert_eq!(failure(&file), StoreError::NotALedger);
        let tables: i64 =
            Connection::open(&file).unwrap().query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
        assert_eq!(tables, 1);
    }

    #[test]
    fn a_ledger_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.sqlite");
        drop(SqliteStore::open(&file).unwrap());
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 9000).unwrap();
        assert!(matches!(failure(&file), StoreError::Newer { found: 9000, .. }));
    }

    #[test]
    fn a_folder_that_cannot_be_made_says_so() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("var"), "a file").unwrap();
        assert!(matches!(failure(&folder.path().join("var/ledger.sqlite")), StoreError::Unwritable(_)));
    }

    #[tokio::test]
    async fn a_locked_ledger_says_so_and_writes_nothing() {
        use crate::subscriber::{Subscribers, SuppressionReason};
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.sqlite");
        let store = SqliteStore::open_waiting(&file, Duration::from_millis(50)).unwrap();
        let other = Connection::open(&file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let address = "ana@example.org".parse().unwrap();
        let said = store.suppress(&address, SuppressionReason::Manual, "", chrono::Utc::now()).await;
        assert_eq!(said, Err(StoreError::Locked));
        other.execute_batch("ROLLBACK").unwrap();
        store.suppress(&address, SuppressionReason::Manual, "", chrono::Utc::now()).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_says_so_and_the_ledger_goes_on_when_there_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("ledger.sqlite")).unwrap();
        let full = store
            .writer
            .write(|db| {
                db.pragma_update(None, "max_page_count", 1)?;
                for n in 0..2000 {
                    db.execute("INSERT INTO schedule_run VALUES (?1, ?2)", (format!("{n:0>500}"), n))?;
                }
                Ok(())
            })
            .await;
        assert_eq!(full, Err(StoreError::DiskFull));
        let left: i64 = store
            .writer
            .write(|db| {
                db.pragma_update(None, "max_page_count", 1 << 30)?;
                Ok(db.query_row("SELECT count(*) FROM schedule_run", [], |r| r.get(0))?)
            })
            .await
            .unwrap();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn a_copy_is_a_ledger_and_never_overwrites() {
        use crate::digest::Editions;
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("ledger.sqlite")).unwrap();
        let due = "2026-11-02T06:00:00Z".parse().unwrap();
        store.ran("weekly", due).await.unwrap();
        let copy = folder.path().join("copy.sqlite");
        store.backup(copy.clone()).await.unwrap();
        assert_eq!(SqliteStore::open(&copy).unwrap().last_run("weekly").await.unwrap(), Some(due));
        assert!(matches!(store.backup(copy).await, Err(StoreError::Unwritable(_))));
    }
}
