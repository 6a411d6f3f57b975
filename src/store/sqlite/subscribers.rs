//! Subscribers, subscriptions, consent, suppressions.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::row::{address, from_word, key, millis, time, time_or_none, word};
use super::{SqliteStore, person, requests};
use crate::store::StoreError;
use crate::subscriber::adding::{Hearing, Known, Step, judge};
use crate::subscriber::{
    Added, Address, Consent, EVERYTHING, Entry, ErasureKey, Force, Held, Listed, Subscriber, SubscriberId, Subscribers,
    Subscription, SubscriptionState, Suppression, SuppressionReason,
};

impl Subscribers for SqliteStore {
    type Error = StoreError;

    async fn add(&self, entries: Vec<Entry>, now: DateTime<Utc>) -> Result<Vec<Added>, StoreError> {
        self.add_all(entries, None, now).await
    }

    async fn add_by_force(
        &self,
        entries: Vec<Entry>,
        force: Force,
        now: DateTime<Utc>,
    ) -> Result<Vec<Added>, StoreError> {
        self.add_all(entries, Some(force), now).await
    }

    async fn differences(&self, entries: Vec<Entry>, force: Option<Force>) -> Result<Vec<Added>, StoreError> {
        let erasure = self.erasure.clone();
        self.readers
            .read(move |db| {
                let eraser = person::eraser(db, erasure.as_ref())?;
                let judged = |entry| Ok(judge(&known(db, eraser, entry)?.0, entry, force.as_ref()).added);
                entries.iter().map(judged).collect()
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
                // anew, it stands there. What somebody else has asked to be confirmed there is over.
                if let Some(eraser) = &erasure
                    && person::erased(db, eraser, &address)?.is_some()
                    && person::by_key(db, &key(&address))?.is_none()
                {
                    return requests::call_off_to(db, &key(&address));
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

impl SqliteStore {
    async fn add_all(
        &self,
        entries: Vec<Entry>,
        force: Option<Force>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Added>, StoreError> {
        let erasure = self.erasure.clone();
        self.writer
            .write(move |db| {
                let eraser = person::eraser(db, erasure.as_ref())?;
                entries.iter().map(|entry| add(db, eraser, entry, force.as_ref(), millis(now))).collect()
            })
            .await
    }
}

/// What the ledger knows, and the subscriber's number. `eraser` is the ledger's key where anybody was erased.
fn known(db: &Connection, eraser: Option<&ErasureKey>, entry: &Entry) -> Result<(Known, Option<i64>), StoreError> {
    let mut query = db.prepare_cached(
        "SELECT s.id, n.state, n.heard,
                EXISTS (SELECT 1 FROM subscription e WHERE e.digest = ?3 AND e.subscriber = s.id),
                (SELECT max(c.given) FROM consent c WHERE c.subscriber = s.id AND c.digest = ?2 AND c.network <> ''),
                (SELECT x.reason FROM suppression x WHERE x.key = ?1), l.reason, l.lifted
         FROM (SELECT 1) LEFT JOIN subscriber s ON s.key = ?1
         LEFT JOIN subscription n ON n.digest = ?2 AND n.subscriber = s.id
         LEFT JOIN lifted l ON l.id = (SELECT max(id) FROM lifted WHERE key = ?1)",
    )?;
    let mut rows = query.query(params![key(&entry.address), entry.digest, EVERYTHING])?;
    let Some(r) = rows.next()? else { return Err(StoreError::Damaged("a row of constants".to_owned())) };
    let word = |at: usize| r.get::<_, Option<String>>(at);
    let lifted: Option<SuppressionReason> = word(6)?.as_deref().map(from_word).transpose()?;
    let known = Known {
        state: word(1)?.as_deref().map(from_word).transpose()?,
        heard: time_or_none(r.get(2)?)?,
        left: r.get(3)?,
        herself: time_or_none(r.get(4)?)?,
        suppressed: word(5)?.as_deref().map(from_word).transpose()?,
        lifted: lifted.zip(time_or_none(r.get(7)?)?),
        // Also where there is somebody: whoever was erased and asks again is known before she has confirmed.
        erased: match eraser {
            Some(eraser) => person::erased(db, eraser, &entry.address)?.is_some(),
            None => false,
        },
    };
    Ok((known, r.get(0)?))
}

/// Reads first: a row that changes nothing writes nothing.
fn add(
    db: &Connection,
    eraser: Option<&ErasureKey>,
    entry: &Entry,
    force: Option<&Force>,
    now: i64,
) -> Result<Added, StoreError> {
    let (known, subscriber) = known(db, eraser, entry)?;
    let judged = judge(&known, entry, force);
    let (key, since) = (key(&entry.address), entry.since.map_or(now, millis));
    if let Some(force) = force.filter(|_| judged.lifts) {
        lift(db, &key, force.reason(), now)?;
    }
    if let Some(subscriber) = subscriber.filter(|_| entry.digest == EVERYTHING) {
        end_by_list(db, eraser, subscriber, (entry, &known), now)?;
    }
    match judged.step {
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
    if let Some(heard) = match judged.hearing {
        Hearing::Same => None,
        Hearing::First => Some(Some(now)),
        Hearing::Gone => Some(None),
    } {
        db.prepare_cached(
            "UPDATE subscription SET heard = ?3
             WHERE digest = ?2 AND subscriber = (SELECT id FROM subscriber WHERE key = ?1)",
        )?
        .execute(params![key, entry.digest, heard])?;
        if heard.is_some() {
            requests::call_off(db, &key, Some(&entry.digest))?;
        }
    }
    if let Some(reason) = entry.suppressed.filter(|_| judged.suppresses) {
        suppress(db, &key, reason, &entry.note, since, now)?;
    }
    Ok(judged.added)
}

/// A list says that somebody has left everything: what she had then ends. What has begun since the day that the list names
/// stays: an export says both of a reader who has left everything and come back to a digest.
fn end_by_list(
    db: &Connection,
    eraser: Option<&ErasureKey>,
    subscriber: i64,
    (entry, known): (&Entry, &Known),
    now: i64,
) -> Result<(), StoreError> {
    let said = entry.since.or(known.heard);
    let live: Vec<String> = db
        .prepare_cached(
            "SELECT digest FROM subscription WHERE subscriber = ?1 AND state <> 'ended' AND since <= ?2 ORDER BY digest",
        )?
        .query_map(params![subscriber, said.map_or(now, millis)], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    for digest in live {
        add(db, eraser, &Entry { digest, since: said, ..entry.clone() }, None, now)?;
    }
    Ok(())
}

/// Takes a suppression away, and keeps what it was.
fn lift(db: &Connection, key: &str, because: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO lifted (key, reason, since, note, lifted, because)
         SELECT key, reason, since, note, ?2, ?3 FROM suppression WHERE key = ?1",
    )?
    .execute(params![key, now, because])?;
    db.prepare_cached("DELETE FROM suppression WHERE key = ?1")?.execute([key])?;
    Ok(())
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

/// `since` is when she left, `now` when we learn of it. Without a digest it is written down also where she has none: a list
/// must not begin later what she has left in advance.
pub(super) fn end(db: &Connection, key: &str, digest: Option<&str>, since: i64, now: i64) -> Result<bool, StoreError> {
    let mut ended = db
        .prepare_cached(
            "UPDATE subscription SET state = 'ended', since = ?3
             WHERE subscriber = (SELECT id FROM subscriber WHERE key = ?1) AND (?2 IS NULL OR digest = ?2)
               AND state <> 'ended'",
        )?
        .execute(params![key, digest, since])?;
    if digest.is_none() {
        ended += leave_everything(db, key, since)?;
    }
    requests::call_off(db, key, digest)?;
    withdraw(db, key, digest, now)?;
    Ok(ended > 0)
}

/// Writes down that no list may begin anything for her any more; how many rows that is.
pub(super) fn leave_everything(db: &Connection, key: &str, since: i64) -> Result<usize, StoreError> {
    let left = db
        .prepare_cached(
            "INSERT INTO subscription (digest, subscriber, state, since)
             SELECT ?2, id, 'ended', ?3 FROM subscriber WHERE key = ?1 ON CONFLICT DO NOTHING",
        )?
        .execute(params![key, EVERYTHING, since])?;
    Ok(left)
}

pub(super) fn suppress(
    db: &Connection,
    key: &str,
    reason: SuppressionReason,
    note: &str,
    since: i64,
    now: i64,
) -> Result<(), StoreError> {
    let there: Option<String> = db
        .prepare_cached("SELECT reason FROM suppression WHERE key = ?1")?
        .query_row([key], |r| r.get(0))
        .optional()?;
    let there: Option<SuppressionReason> = there.as_deref().map(from_word).transpose()?;
    if there.is_none_or(|there| there < reason) {
        db.prepare_cached("INSERT OR REPLACE INTO suppression (key, reason, since, note) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key, word(reason)?, since, note])?;
    }
    requests::call_off_to(db, key)?;
    // That a mailbox is gone is no word of its reader: she may be on her way to another.
    if reason != SuppressionReason::Bounced {
        requests::call_off(db, key, None)?;
    }
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
