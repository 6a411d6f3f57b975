//! The names of the keys that sign links.

use deadpool_postgres::Transaction;

use super::PostgresStore;
use super::pool::Fault;
use super::sql::{read, rows, run, write};
use crate::store::StoreError;
use crate::subscriber::key_ring::{KeyNames, KeyRing};

impl KeyRing for PostgresStore {
    type Error = StoreError;

    async fn key_names(&self, ours: KeyNames) -> Result<KeyNames, StoreError> {
        let known = read!(self, db => known(&db).await)?;
        if ours.keys().all(|number| known.contains_key(number)) {
            return Ok(known);
        }
        let (numbers, names): (Vec<i64>, Vec<&[u8]>) =
            ours.iter().map(|(number, name)| (i64::from(*number), name.as_slice())).unzip();
        let add = "INSERT INTO link_key (number, name)
                   SELECT * FROM unnest($1::bigint[], $2::bytea[]) ON CONFLICT DO NOTHING";
        write!(self, db => run(&db, add, &[&numbers, &names]).await)?;
        read!(self, db => self::known(&db).await)
    }
}

async fn known(db: &Transaction<'_>) -> Result<KeyNames, Fault> {
    let mut known = KeyNames::new();
    for r in rows(db, "SELECT number, name FROM link_key", &[]).await? {
        let damaged = || StoreError::Damaged("the name of a link key".to_owned());
        let number = u8::try_from(r.try_get::<_, i64>(0)?).map_err(|_| damaged())?;
        let name = r.try_get::<_, Vec<u8>>(1)?.try_into().map_err(|_| damaged())?;
        known.insert(number, name);
    }
    Ok(known)
}
