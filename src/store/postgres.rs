//! A server, for several machines.
//!
//! Every operation is one transaction, and what was answered is committed. Where the answer of a commit is lost with the
//! connection, the server is asked what became of it (`txid_status`), so that nothing is done twice; what was not done is
//! tried again for a while (`pool`), and a restart of the database is nothing but a pause.
//!
//! Rows are locked in one order, so that nobody waits for each other: the edition, then deliveries by their numbers.
//! Leases are measured by the database's clock alone; the caller's `now` is what stands in the records.

mod condition;
mod editions;
mod key_ring;
mod ledger;
mod moving;
mod notices;
mod pace;
mod person;
mod pool;
mod records;
mod requests;
mod returns;
mod schema;
mod signatures;
mod sql;
mod subscribers;
mod turns;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

use super::{StoreError, row, rules};
use crate::subscriber::ErasureKey;
pub use condition::Condition;
use pool::Pool;
use turns::Turns;

/// The database's server, and how to get in.
#[derive(Debug, Clone)]
pub struct Options {
    /// A name, an address, or the folder of a Unix socket (begins with `/`).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who.
    pub user: String,
    /// Where it asks for one.
    pub password: Option<SecretString>,
    /// Which database.
    pub database: String,
    /// How the line is protected.
    pub tls: Tls,
    /// Connections at once, at most.
    pub connections: usize,
    /// One piece of work may take so long: what has no answer then is given up. See [`LIMIT`].
    pub limit: Duration,
}

/// The usual [`Options::limit`]: a million deliveries are approved in less, and whoever waits for a server that takes everything
/// and answers nothing must be told some time.
pub const LIMIT: Duration = Duration::from_mins(10);

/// How the line to the server is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: for this machine only.
    Off,
    /// TLS with the server's name checked, trusting the system's authorities and those in the file.
    Verified(Option<PathBuf>),
}

/// A ledger on a PostgreSQL server. Any number of presses, on any number of machines, may work on it.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    turns: Turns,
    erasure: Option<ErasureKey>,
    callers_clock: bool,
}

impl PostgresStore {
    /// Connects, and brings the ledger to this program's version; an empty database becomes a ledger. Must be called within
    /// a Tokio runtime.
    ///
    /// # Errors
    /// All of [`StoreError`] but `Stopped`.
    pub async fn open(options: &Options) -> Result<Self, StoreError> {
        // Turns have a connection of their own, with limits of its own.
        let pool = Pool::new(options, options.connections.max(2) - 1, options.limit)?;
        schema::migrate(&pool).await?;
        let turns = Turns::start(Pool::new(options, 1, turns::STATEMENT)?);
        Ok(PostgresStore { pool, turns, erasure: None, callers_clock: false })
    }

    /// With the key under which erased people are remembered, as [`super::SqliteStore::with_erasure_key`].
    #[must_use]
    pub fn with_erasure_key(self, key: ErasureKey) -> Self {
        PostgresStore { erasure: Some(key), ..self }
    }

    /// The caller's `now` takes the place of the database's clock: for tests, which move time.
    #[must_use]
    pub fn with_callers_clock(self) -> Self {
        PostgresStore { callers_clock: true, ..self }
    }

    /// Whether nobody has asked for mail yet, and nothing was ever sealed.
    ///
    /// # Errors
    /// As all reading.
    pub async fn is_new(&self) -> Result<bool, StoreError> {
        let any = "SELECT 1 FROM subscriber UNION ALL SELECT 1 FROM edition UNION ALL SELECT 1 FROM erased LIMIT 1";
        Ok(!sql::read!(self, db => sql::exists(&db, any, &[]).await)?)
    }

    /// What is given to `ledger_clock` in the database.
    pub(in crate::store::postgres) fn clock(&self, now: DateTime<Utc>) -> Option<i64> {
        self.callers_clock.then(|| row::millis(now))
    }
}
