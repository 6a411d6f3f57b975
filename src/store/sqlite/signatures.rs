//! Signatures made ahead.

use rusqlite::{Connection, params};

use super::SqliteStore;
use super::row::{address, millis, time};
use crate::delivery::DeliveryId;
use crate::delivery::signatures::{Signatures, Unsigned};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::SubscriberId;

impl Signatures for SqliteStore {
    type Error = StoreError;

    async fn unsigned(
        &self,
        edition: EditionId,
        before: Option<&Unsigned>,
        limit: u32,
    ) -> Result<Vec<Unsigned>, StoreError> {
        let (due, id) = before.map_or((i64::MAX, i64::MAX), |last| (millis(last.due), last.id.0));
        self.readers.read(move |db| unsigned(db, edition, due, id, limit)).await
    }

    async fn keep(&self, signatures: Vec<(DeliveryId, Vec<u8>)>) -> Result<(), StoreError> {
        self.writer
            .write(move |db| {
                // What was sent meanwhile needs none, and nothing would take it away again.
                let mut insert = db.prepare_cached(
                    "INSERT OR REPLACE INTO signature (delivery, bytes) SELECT id, ?2 FROM delivery WHERE id = ?1 AND state = 0",
                )?;
                for (id, bytes) in signatures {
                    insert.execute(params![id.0, bytes])?;
                }
                Ok(())
            })
            .await
    }
}

fn unsigned(db: &Connection, edition: EditionId, due: i64, id: i64, limit: u32) -> Result<Vec<Unsigned>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT d.id, d.due, d.subscriber, s.address, s.name
         FROM delivery d INDEXED BY delivery_waiting CROSS JOIN subscriber s ON s.id = d.subscriber
         WHERE d.edition = ?1 AND d.state = 0 AND (d.due, d.id) < (?2, ?3)
           AND NOT EXISTS (SELECT 1 FROM signature g WHERE g.delivery = d.id)
         ORDER BY d.due DESC, d.id DESC LIMIT ?4",
    )?;
    let mut rows = query.query(params![edition.0, due, id, limit])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        found.push(Unsigned {
            id: DeliveryId(r.get(0)?),
            due: time(r.get(1)?)?,
            subscriber: SubscriberId(r.get(2)?),
            address: address(&r.get::<_, String>(3)?)?,
            name: r.get(4)?,
        });
    }
    Ok(found)
}

/// An edition has ended: nobody needs its signatures any more. Where nothing else is to be sent the table is emptied, which
/// costs by the page and not by the row.
pub(super) fn forget(db: &Connection, edition: EditionId) -> Result<(), StoreError> {
    let any = db.prepare_cached("SELECT 1 FROM signature LIMIT 1")?.exists([])?;
    if !any {
        return Ok(());
    }
    let others = db
        .prepare_cached("SELECT 1 FROM edition WHERE state IN ('approved', 'sending') AND id <> ?1 LIMIT 1")?
        .exists([edition.0])?;
    if others {
        db.prepare_cached("DELETE FROM signature WHERE delivery IN (SELECT id FROM delivery WHERE edition = ?1)")?
            .execute([edition.0])?;
    } else {
        db.prepare_cached("DELETE FROM signature")?.execute([])?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_from_the_index_without_sorting() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        let mut plan = db
            .prepare(
                "EXPLAIN QUERY PLAN SELECT d.id FROM delivery d INDEXED BY delivery_waiting
                 WHERE d.edition = 1 AND d.state = 0 AND (d.due, d.id) < (5, 5) ORDER BY d.due DESC, d.id DESC LIMIT 9",
            )
            .unwrap();
        let steps: Vec<String> = plan.query_map([], |r| r.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(steps.len() == 1 && steps[0].contains("SEARCH d") && steps[0].contains("due"), "{steps:?}");
    }
}
