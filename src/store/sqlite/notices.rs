//! Which letters to editors are to be sent, and which were.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use std::time::Duration;

use super::SqliteStore;
use super::row::{address, millis, span, time};
use crate::delivery::notice::{Event, Notice, Notices};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::Address;

impl Notices for SqliteStore {
    type Error = StoreError;

    async fn notify(
        &self,
        edition: EditionId,
        event: Event,
        to: Vec<Address>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |db| {
                let mut insert = db.prepare_cached(
                    "INSERT INTO notice (edition, event, address, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                )?;
                for address in to {
                    insert.execute(params![edition.0, event.to_string(), address.as_str(), millis(now)])?;
                }
                Ok(())
            })
            .await
    }

    async fn unsent(&self) -> Result<Vec<Notice>, StoreError> {
        self.readers
            .read(|db| {
                let mut query = db.prepare_cached(
                    "SELECT edition, event, address, since FROM notice INDEXED BY notice_open WHERE ended IS NULL
                     ORDER BY since, edition, event, address",
                )?;
                let mut rows = query.query([])?;
                let mut found = vec![];
                while let Some(r) = rows.next()? {
                    let event: String = r.get(1)?;
                    found.push(Notice {
                        edition: EditionId(r.get(0)?),
                        event: event.parse().map_err(|_| StoreError::Damaged(format!("a notice of `{event}`")))?,
                        to: address(&r.get::<_, String>(2)?)?,
                        since: time(r.get(3)?)?,
                    });
                }
                Ok(found)
            })
            .await
    }

    async fn take(
        &self,
        notice: &Notice,
        alone: bool,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<u32>, StoreError> {
        let (edition, event, to) = (notice.edition.0, notice.event.to_string(), notice.to.to_string());
        let (now, lease) = (millis(now), span(lease));
        self.writer
            .write(move |db| {
                Ok(db
                    .prepare_cached(
                        "UPDATE notice SET lease = ?4 + ?5, tries = tries + 1
                         WHERE edition = ?1 AND event = ?2 AND address = ?3 AND ended IS NULL
                           AND (lease IS NULL OR lease <= ?4 OR ?6) RETURNING tries",
                    )?
                    .query_row(params![edition, event, to, now, lease, alone], |r| r.get(0))
                    .optional()?)
            })
            .await
    }

    async fn give_back(&self, notice: &Notice, taken: u32) -> Result<(), StoreError> {
        let (edition, event, to) = (notice.edition.0, notice.event.to_string(), notice.to.to_string());
        self.writer
            .write(move |db| {
                db.prepare_cached(
                    "UPDATE notice SET lease = NULL, tries = tries - 1
                     WHERE edition = ?1 AND event = ?2 AND address = ?3 AND ended IS NULL AND tries = ?4",
                )?
                .execute(params![edition, event, to, taken])?;
                Ok(())
            })
            .await
    }

    async fn told(&self, notice: &Notice, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (edition, event, to) = (notice.edition.0, notice.event.to_string(), notice.to.to_string());
        self.writer
            .write(move |db| {
                db.prepare_cached(
                    "UPDATE notice SET ended = ?4, lease = NULL WHERE edition = ?1 AND event = ?2 AND address = ?3",
                )?
                .execute(params![edition, event, to, millis(now)])?;
                Ok(())
            })
            .await
    }
}
