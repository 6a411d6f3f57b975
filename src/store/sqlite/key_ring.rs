//! The names of the keys that sign links.

use rusqlite::Connection;

use super::SqliteStore;
use crate::store::StoreError;
use crate::subscriber::key_ring::{KeyNames, KeyRing};

impl KeyRing for SqliteStore {
    type Error = StoreError;

    async fn key_names(&self, ours: KeyNames) -> Result<KeyNames, StoreError> {
        let known = self.readers.read(known).await?;
        if ours.keys().all(|number| known.contains_key(number)) {
            return Ok(known);
        }
        self.writer
            .write(move |db| {
                let mut insert =
                    db.prepare_cached("INSERT INTO link_key (number, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
                for (number, name) in &ours {
                    insert.execute((number, name))?;
                }
                self::known(db)
            })
            .await
    }
}

fn known(db: &Connection) -> Result<KeyNames, StoreError> {
    let mut query = db.prepare_cached("SELECT number, name FROM link_key")?;
    let names = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(names)
}
