//! Subscribers, subscriptions, consent, suppressions.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use super::row::{address, from_word, key, millis, time, time_or_none, word};
use crate::store::StoreError;
use crate::subscriber::{
    Added, Address, Consent, Entry, Listed, Subscriber, SubscriberId, Subscribers, Subscription, SubscriptionState,
    Suppression, SuppressionReason,
};

impl Subscribers for SqliteStore {
    type Error = StoreError;

    async fn add(&self, entries: Vec<Entry>, now: DateTime<Utc>) -> Result<Vec<Added>, StoreError> {
        self.writer.write(move |db| entries.iter().map(|entry| add(db, entry, millis(now))).collect()).await
    }

    async fn end(&self, address: &Address, digest: Option<&str>, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let (key, digest) = (key(address), digest.map(str::to_owned));
        self.writer.write(move |db| end(db, &key, digest.as_deref(), millis(now))).await
    }

    async fn suppress(
        &self,
        address: &Address,
        reason: SuppressionReason,
        note: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (key, note) = (key(address), note.to_owned());
        self.writer.write(move |db| suppress(db, &key, reason, &note, millis(now))).await
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

fn add(db: &Connection, entry: &Entry, now: i64) -> Result<Added, StoreError> {
    let key = key(&entry.address);
    if db.prepare_cached("SELECT 1 FROM suppression WHERE key = ?1")?.exists([&key])? {
        return Ok(Added::Suppressed);
    }
    db.prepare_cached(
        "INSERT INTO subscriber (key, address, name, language, added) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?
    .execute(params![key, entry.address.as_str(), entry.name, entry.language, now])?;
    let subscriber: i64 =
        db.prepare_cached("SELECT id FROM subscriber WHERE key = ?1")?.query_row([&key], |r| r.get(0))?;
    let known: Option<String> = db
        .prepare_cached("SELECT state FROM subscription WHERE digest = ?1 AND subscriber = ?2")?
        .query_row(params![entry.digest, subscriber], |r| r.get(0))
        .optional()?;
    let known: Option<SubscriptionState> = known.as_deref().map(from_word).transpose()?;
    let added = match (known, entry.state) {
        (Some(SubscriptionState::Ended), _) | (_, SubscriptionState::Ended) => Added::Left,
        (None, _) => Added::New,
        (Some(SubscriptionState::Pending), SubscriptionState::Confirmed) => Added::Confirmed,
        (Some(_), _) => Added::Unchanged,
    };
    if known != Some(SubscriptionState::Ended) && added != Added::Unchanged {
        if known.is_some() && entry.state == SubscriptionState::Ended {
            end(db, &key, Some(&entry.digest), now)?;
        } else {
            db.prepare_cached(
                "INSERT INTO subscription (digest, subscriber, state, since) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET state = excluded.state, since = excluded.since",
            )?
            .execute(params![entry.digest, subscriber, word(entry.state)?, now])?;
            db.prepare_cached(
                "INSERT INTO consent (subscriber, digest, source, given, recorded) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                subscriber,
                entry.digest,
                entry.consent.source,
                entry.consent.when.map(millis),
                now
            ])?;
        }
    }
    if let Some(reason) = entry.suppressed {
        suppress(db, &key, reason, &entry.consent.source, now)?;
        return Ok(Added::Suppressed);
    }
    Ok(added)
}

fn end(db: &Connection, key: &str, digest: Option<&str>, now: i64) -> Result<bool, StoreError> {
    let ended = db
        .prepare_cached(
            "UPDATE subscription SET state = 'ended', since = ?3
             WHERE subscriber = (SELECT id FROM subscriber WHERE key = ?1) AND (?2 IS NULL OR digest = ?2)
               AND state <> 'ended'",
        )?
        .execute(params![key, digest, now])?;
    withdraw(db, key, digest, now)?;
    Ok(ended > 0)
}

fn suppress(db: &Connection, key: &str, reason: SuppressionReason, note: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO suppression (key, reason, since, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?
    .execute(params![key, word(reason)?, now, note])?;
    withdraw(db, key, None, now)
}

/// Withdraws the address's deliveries that have not begun.
fn withdraw(db: &Connection, key: &str, digest: Option<&str>, now: i64) -> Result<(), StoreError> {
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
