//! Subscribers, subscriptions, consent, suppressions.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::row::{address, from_word, key, millis, time, time_or_none, word};
use super::{SqliteStore, person, requests};
use crate::store::StoreError;
use crate::subscriber::adding::{Known, Step, judge};
use crate::subscriber::{
    Added, Address, Consent, Entry, ErasureKey, Held, Listed, Subscriber, SubscriberId, Subscribers, Subscription,
    SubscriptionState, Suppression, SuppressionReason,
};

impl Subscribers for SqliteStore {
    type Error = StoreError;

    async fn add(&self, entries: Vec<Entry>, now: DateTime<Utc>) -> Result<Vec<Added>, StoreError> {
        let erasure = self.erasure.clone();
        self.writer
            .write(move |db| {
                let eraser = person::eraser(db, erasure.as_ref())?;
                entries.iter().map(|entry| add(db, eraser, entry, millis(now))).collect()
            })
            .await
    }

    async fn differences(&self, entries: Vec<Entry>) -> Result<Vec<Added>, StoreError> {
        let erasure = self.erasure.clone();
        self.readers
            .read(move |db| {
                let eraser = person::eraser(db, erasure.as_ref())?;
                entries.iter().map(|entry| Ok(judge(known(db, eraser, entry)?.0, entry).0)).collect()
            })
            .await
    }

    async fn show(&self, address: &Address) -> Result<Option<Held>, StoreError> {
        let (erasure, address) = (self.erasure.clone(), address.clone());
        self.readers.read(move |db| person::show(db, erasure.as_ref(), &address)).await
    }

    async fn forget(&self, address: &Address, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let erasure = self.erasure.clone().ok_or(StoreError::ErasureKey)?;
        let address = address.clone();
        let held = self.writer.write(move |db| person::forget(db, &erasure, &address, millis(now))).await?;
        // The log that SQLite writes ahead keeps old pages until it is written back. Where others are reading it stays so
        // until the next time.
        self.readers.read(|db| Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)).await?;
        Ok(held)
    }

    async fn end(&self, address: &Address, digest: Option<&str>, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let (key, digest) = (key(address), digest.map(str::to_owned));
        self.writer.write(move |db| end(db, &key, digest.as_deref(), millis(now), millis(now))).await
    }

    async fn suppress(
        &self,
        address: &Address,
        reason: SuppressionReason,
        note: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (erasure, address, note) = (self.erasure.clone(), address.clone(), note.to_owned());
        self.writer
            .write(move |db| {
                // A bounce that comes back after the erasure must not write the address down again; once she has asked
                // anew, it stands there.
                if let Some(eraser) = &erasure
                    && person::erased(db, eraser, &address)?.is_some()
                    && person::by_key(db, &key(&address))?.is_none()
                {
                    return Ok(());
                }
                suppress(db, &key(&address), reason, &note, millis(now), millis(now))
            })
            .await
    }

    async fn list(
        &self,
        digest: Option<&str>,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let digest = digest.map(str::to_owned);
        let (key, past) = after.map_or_else(Default::default, |(address, digest)| (address.to_lowercase(), digest));
        self.readers.read(move |db| list(db, digest.as_deref(), &key, &past, limit)).await
    }
}

/// What the ledger knows, and the subscriber's number. `eraser` is the ledger's key where anybody was erased.
fn known(db: &Connection, eraser: Option<&ErasureKey>, entry: &Entry) -> Result<(Known, Option<i64>), StoreError> {
    let (id, state, suppressed): (Option<i64>, Option<String>, bool) = db
        .prepare_cached(
            "SELECT s.id, n.state, EXISTS (SELECT 1 FROM suppression WHERE key = ?1)
             FROM (SELECT 1) LEFT JOIN subscriber s ON s.key = ?1
             LEFT JOIN subscription n ON n.digest = ?2 AND n.subscriber = s.id",
        )?
        .query_row(params![key(&entry.address), entry.digest], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let state = state.as_deref().map(from_word).transpose()?;
    // Also where there is somebody: whoever was erased and asks again is known before she has confirmed.
    let erased = match eraser {
        Some(eraser) => person::erased(db, eraser, &entry.address)?.is_some(),
        None => false,
    };
    Ok((Known { state, suppressed, erased }, id))
}

/// Reads first: a row that changes nothing writes nothing.
fn add(db: &Connection, eraser: Option<&ErasureKey>, entry: &Entry, now: i64) -> Result<Added, StoreError> {
    let (known, subscriber) = known(db, eraser, entry)?;
    let (added, step, suppresses) = judge(known, entry);
    let (key, since) = (key(&entry.address), entry.since.map_or(now, millis));
    match step {
        Step::Nothing => {}
        Step::End => {
            end(db, &key, Some(&entry.digest), since, now)?;
        }
        Step::Begin(state) => {
            let subscriber = match subscriber {
                Some(id) => id,
                None => person::begin(db, &entry.address, &entry.name, entry.language.as_deref(), now)?,
            };
            write_subscription(db, subscriber, entry, state, since)?;
            write_consent(db, subscriber, entry, now)?;
        }
        Step::Confirm => {
            let subscriber = subscriber.ok_or_else(|| StoreError::Damaged("a subscription of nobody".to_owned()))?;
            write_subscription(db, subscriber, entry, SubscriptionState::Confirmed, since)?;
            write_consent(db, subscriber, entry, now)?;
        }
    }
    if let Some(reason) = entry.suppressed.filter(|_| suppresses) {
        suppress(db, &key, reason, &entry.note, since, now)?;
    }
    Ok(added)
}

fn write_subscription(
    db: &Connection,
    subscriber: i64,
    entry: &Entry,
    state: SubscriptionState,
    since: i64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO subscription (digest, subscriber, state, since) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET state = excluded.state, since = excluded.since",
    )?
    .execute(params![entry.digest, subscriber, word(state)?, since])?;
    Ok(())
}

fn write_consent(db: &Connection, subscriber: i64, entry: &Entry, now: i64) -> Result<(), StoreError> {
    let Consent { source, when } = &entry.consent;
    if source.is_empty() && when.is_none() {
        return Ok(());
    }
    db.prepare_cached("INSERT INTO consent (subscriber, digest, source, given, recorded) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![subscriber, entry.digest, source, when.map(millis), now])?;
    Ok(())
}

/// `since` is when she left, `now` when we learn of it.
pub(super) fn end(db: &Connection, key: &str, digest: Option<&str>, since: i64, now: i64) -> Result<bool, StoreError> {
    let ended = db
        .prepare_cached(
            "UPDATE subscription SET state = 'ended', since = ?3
             WHERE subscriber = (SELECT id FROM subscriber WHERE key = ?1) AND (?2 IS NULL OR digest = ?2)
               AND state <> 'ended'",
        )?
        .execute(params![key, digest, since])?;
    requests::call_off(db, key, digest)?;
    withdraw(db, key, digest, now)?;
    Ok(ended > 0)
}

pub(super) fn suppress(
    db: &Connection,
    key: &str,
    reason: SuppressionReason,
    note: &str,
    since: i64,
    now: i64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO suppression (key, reason, since, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?
    .execute(params![key, word(reason)?, since, note])?;
    requests::call_off(db, key, None)?;
    withdraw(db, key, None, now)
}

/// Withdraws the address's deliveries that have not begun.
pub(super) fn withdraw(db: &Connection, key: &str, digest: Option<&str>, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE delivery SET state = 7, press = NULL, lease = NULL, ended = ?3
         WHERE subscriber = (SELECT id FROM subscriber WHERE key = ?1) AND state IN (0, 1)
           AND edition IN (SELECT id FROM edition WHERE state IN ('approved', 'sending') AND (?2 IS NULL OR digest = ?2))",
    )?
    .execute(params![key, digest, now])?;
    Ok(())
}

fn list(db: &Connection, digest: Option<&str>, key: &str, past: &str, limit: u32) -> Result<Vec<Listed>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT s.id, s.address, s.name, s.language, n.digest, n.state, n.since, c.source, c.given,
                x.reason, x.since, x.note
         FROM subscriber s
         CROSS JOIN subscription n ON n.subscriber = s.id
         LEFT JOIN consent c ON c.id = (SELECT max(id) FROM consent WHERE subscriber = s.id AND digest = n.digest)
         LEFT JOIN suppression x ON x.key = s.key
         WHERE s.key >= ?2 AND (s.key, n.digest) > (?2, ?3) AND (?1 IS NULL OR n.digest = ?1)
         ORDER BY s.key, n.digest LIMIT ?4",
    )?;
    let mut rows = query.query(params![digest, key, past, limit])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let consent = match r.get::<_, Option<String>>(7)? {
            Some(source) => Some(Consent { source, when: time_or_none(r.get(8)?)? }),
            None => None,
        };
        let suppression = match r.get::<_, Option<String>>(9)? {
            Some(reason) => {
                Some(Suppression { reason: from_word(&reason)?, since: time(r.get(10)?)?, note: r.get(11)? })
            }
            None => None,
        };
        found.push(Listed {
            subscriber: Subscriber {
                id: SubscriberId(r.get(0)?),
                address: address(&r.get::<_, String>(1)?)?,
                name: r.get(2)?,
                language: r.get(3)?,
            },
            subscription: Subscription {
                digest: r.get(4)?,
                state: from_word(&r.get::<_, String>(5)?)?,
                since: time(r.get(6)?)?,
            },
            consent,
            suppression,
        });
    }
    Ok(found)
}
