//! Which letters to editors are to be sent, and which were.

use chrono::{DateTime, Utc};

use super::PostgresStore;
use super::pool::Fault;
use super::row::{address, millis, time};
use super::sql::{read, rows, run, write};
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

    async fn told(&self, notice: &Notice, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (event, to) = (notice.event.to_string(), notice.to.to_string());
        let told = "UPDATE notice SET ended = $4 WHERE edition = $1 AND event = $2 AND address = $3";
        write!(self, db => run(&db, told, &[&notice.edition.0, &event, &to, &millis(now)]).await)?;
        Ok(())
    }
}
