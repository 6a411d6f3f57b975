//! The ledger's databases. Each has its own SQL and migrations: the only SQL of the program.

// A server, for several machines.
pub mod postgres;
// One file, for one machine.
pub mod sqlite;

// Whichever is configured.
mod either;
// What is true of every ledger.
mod invariants;
// Values as databases keep them.
mod row;
// What every store holds to.
mod rules;

pub use either::Store;
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

/// What went wrong with the ledger's database; the variants are what callers tell people apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another program holds it, longer than we wait.
    #[error("the ledger is locked by another program")]
    Locked,
    /// No room for what must be written. Nothing of it was written.
    #[error("the disk is full")]
    DiskFull,
    /// The file, or its folder, may not be written.
    #[error("the ledger cannot be written: {0}")]
    Unwritable(String),
    /// The file is something else, or a database of another program.
    #[error("this is not a ledger of Pressrun")]
    NotALedger,
    /// It was copied to a server, and goes on there.
    #[error("the ledger has moved to a server")]
    Moved,
    /// Something is in it already, where nothing may be.
    #[error("the ledger is not empty")]
    Occupied,
    /// A newer Pressrun has written it.
    #[error("the ledger is of version {found}, and this program knows versions up to {known}")]
    Newer {
        /// The file's version.
        found: i64,
        /// The newest version of this program.
        known: i64,
    },
    /// The file is broken, or holds what this program never writes.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// The writer is gone: a fault of this program.
    #[error("the ledger's writer has stopped")]
    Stopped,
    /// Somebody is to be erased, or was and must not come back, and the key that this takes was not given or is another.
    #[error("the erased cannot be told from others without the ledger's erasure key")]
    ErasureKey,
    /// The database's server cannot be reached, or went away.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The database's server lets us not in.
    #[error("the database does not let us in: {0}")]
    Refused(String),
    /// Anything else, in the database's words.
    #[error("the database says: {0}")]
    Database(String),
}
