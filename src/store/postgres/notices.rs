//! Which letters to editors are to be sent, and which were.

use chrono::{DateTime, Utc};
use std::time::Duration;

use super::PostgresStore;
use super::pool::Fault;
use super::row::{address, millis, small, span, time};
use super::sql::{Bound, read, rows, run, value, write};
use crate::delivery::notice::{Event, Notice, Notices};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::Address;

impl Notices for PostgresStore {
    type Error = StoreError;

    async fn notify(
        &self,
        edition: EditionId,
        event: Event,
        to: Vec<Address>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let to: Vec<&str> = to.iter().map(Address::as_str).collect();
        let open = "INSERT INTO notice (edition, event, address, since)
                    SELECT $1, $2, t.address, $4 FROM unnest($3::text[]) AS t (address) ORDER BY t.address
                    ON CONFLICT DO NOTHING";
        write!(self, db => run(&db, open, &[&edition.0, &event.to_string(), &to, &millis(now)]).await)?;
        Ok(())
    }

    async fn unsent(&self) -> Result<Vec<Notice>, StoreError> {
        let open = "SELECT edition, event, address, since FROM notice WHERE ended IS NULL
                    ORDER BY since, edition, event, address";
        let found = read!(self, db => rows(&db, open, &[]).await)?;
        let read = |r: &tokio_postgres::Row| {
            let event: &str = r.try_get(1)?;
            Ok(Notice {
                edition: EditionId(r.try_get(0)?),
                event: event.parse().map_err(|_| StoreError::Damaged(format!("a notice of `{event}`")))?,
                to: address(r.try_get(2)?)?,
                since: time(r.try_get(3)?)?,
            })
        };
        Ok(found.iter().map(read).collect::<Result<_, Fault>>()?)
    }

    async fn take(
        &self,
        notice: &Notice,
        alone: bool,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<u32>, StoreError> {
        let (event, to) = (notice.event.to_string(), notice.to.to_string());
        // As in `rescue`: only a lease tells that another machine is gone.
        let (alone, clock, lease) = (alone && self.callers_clock, self.clock(now), span(lease));
        let take = "UPDATE notice SET lease = ledger_clock($4) + $5::bigint, tries = tries + 1
                    WHERE edition = $1 AND event = $2 AND address = $3 AND ended IS NULL
                      AND (lease IS NULL OR lease <= ledger_clock($4) OR $6) RETURNING tries";
        let with: [Bound<'_>; 6] = [&notice.edition.0, &event, &to, &clock, &lease, &alone];
        let tries: Option<i64> = write!(self, db => value(&db, take, &with).await)?;
        Ok(tries.map(small))
    }

    async fn give_back(&self, notice: &Notice, taken: u32) -> Result<(), StoreError> {
        let (event, to) = (notice.event.to_string(), notice.to.to_string());
        let back = "UPDATE notice SET lease = NULL, tries = tries - 1
                    WHERE edition = $1 AND event = $2 AND address = $3 AND ended IS NULL AND tries = $4";
        write!(self, db => run(&db, back, &[&notice.edition.0, &event, &to, &i64::from(taken)]).await)?;
        Ok(())
    }

    async fn told(&self, notice: &Notice, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (event, to) = (notice.event.to_string(), notice.to.to_string());
        let told = "UPDATE notice SET ended = $4, lease = NULL WHERE edition = $1 AND event = $2 AND address = $3";
        write!(self, db => run(&db, told, &[&notice.edition.0, &event, &to, &millis(now)]).await)?;
        Ok(())
    }
}
