//! Reads, beside the writer.

use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::store::StoreError;

/// Connections that read; opened when needed, kept for the next.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    path: PathBuf,
    busy: Duration,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, busy: Duration) -> Self {
        Readers { path, busy, idle: Arc::default() }
    }

    /// Runs `work` on a connection of its own. What it sees is one moment's state only within one statement.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = self.clone();
        tokio::task::spawn_blocking(move || {
            let kept = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let db = match kept {
                Some(db) => db,
                None => super::connect(&readers.path, readers.busy)?,
            };
            let result = work(&db);
            readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            result
        })
        .await
        .map_err(|_| StoreError::Stopped)?
    }
}
