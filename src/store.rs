//! The ledger's databases. Each has its own SQL and migrations: the only SQL of the program.

/// One file, for one machine.
pub mod sqlite;
