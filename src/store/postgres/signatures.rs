//! Signatures made ahead.

use deadpool_postgres::Transaction;

use super::PostgresStore;
use super::pool::Fault;
use super::row::{address, millis, time};
use super::sql::{exists, read, rows, run, write};
use crate::delivery::DeliveryId;
use crate::delivery::signatures::{Signatures, Unsigned};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::SubscriberId;

impl Signatures for PostgresStore {
    type Error = StoreError;

    async fn unsigned(
        &self,
        edition: EditionId,
        before: Option<&Unsigned>,
        limit: u32,
    ) -> Result<Vec<Unsigned>, StoreError> {
        let (due, id) = before.map_or((i64::MAX, i64::MAX), |last| (millis(last.due), last.id.0));
        read!(self, db => unsigned(&db, edition, due, id, limit).await)
    }

    async fn keep(&self, signatures: Vec<(DeliveryId, Vec<u8>)>) -> Result<(), StoreError> {
        let (ids, bytes): (Vec<i64>, Vec<Vec<u8>>) = signatures.into_iter().map(|(id, bytes)| (id.0, bytes)).unzip();
        // What was sent meanwhile needs none, and nothing would take it away again.
        let keep = "INSERT INTO signature (delivery, bytes)
                    SELECT t.id, t.bytes FROM unnest($1::bigint[], $2::bytea[]) AS t (id, bytes)
                    JOIN delivery d ON d.id = t.id AND d.state = 0 ORDER BY t.id
                    ON CONFLICT (delivery) DO UPDATE SET bytes = excluded.bytes";
        write!(self, db => run(&db, keep, &[&ids, &bytes]).await)?;
        Ok(())
    }
}

async fn unsigned(
    db: &Transaction<'_>,
    edition: EditionId,
    due: i64,
    id: i64,
    limit: u32,
) -> Result<Vec<Unsigned>, Fault> {
    let open = "SELECT d.id, d.due, d.subscriber, s.address, s.name
                FROM delivery d JOIN subscriber s ON s.id = d.subscriber
                WHERE d.edition = $1 AND d.state = 0 AND (d.due, d.id) < ($2, $3)
                  AND NOT EXISTS (SELECT 1 FROM signature g WHERE g.delivery = d.id)
                ORDER BY d.due DESC, d.id DESC LIMIT $4";
    let found = rows(db, open, &[&edition.0, &due, &id, &i64::from(limit)]).await?;
    found
        .iter()
        .map(|r| {
            Ok(Unsigned {
                id: DeliveryId(r.try_get(0)?),
                due: time(r.try_get(1)?)?,
                subscriber: SubscriberId(r.try_get(2)?),
                address: address(r.try_get(3)?)?,
                name: r.try_get(4)?,
            })
        })
        .collect()
}

/// An edition has ended: nobody needs its signatures any more.
pub(super) async fn forget(db: &Transaction<'_>, edition: EditionId) -> Result<(), Fault> {
    if exists(db, "SELECT 1 FROM signature LIMIT 1", &[]).await? {
        let gone = "DELETE FROM signature WHERE delivery IN (SELECT id FROM delivery WHERE edition = $1)";
        run(db, gone, &[&edition.0]).await?;
    }
    Ok(())
}
