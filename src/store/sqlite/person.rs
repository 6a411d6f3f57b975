//! All that is held about one person, and its erasure.

use rusqlite::{Connection, OptionalExtension, params};

use super::row::{address, from_json, from_word, key, time, time_or_none};
use super::subscribers::withdraw;
use crate::store::StoreError;
use crate::subscriber::held::{ConsentRecord, RequestRecord};
use crate::subscriber::{
    Address, Consent, ErasureKey, Held, Lifted, Subscriber, SubscriberId, Subscription, Suppression,
};

/// The given key where the ledger remembers anybody by it; nothing where nobody was ever erased.
pub(super) fn eraser<'k>(db: &Connection, key: Option<&'k ErasureKey>) -> Result<Option<&'k ErasureKey>, StoreError> {
    let name: Option<Vec<u8>> =
        db.prepare_cached("SELECT name FROM erasure_key")?.query_row([], |r| r.get(0)).optional()?;
    match (name, key) {
        (None, _) => Ok(None),
        (Some(name), Some(key)) if name == key.name() => Ok(Some(key)),
        (Some(_), _) => Err(StoreError::ErasureKey),
    }
}

/// When an address was erased.
pub(super) fn erased(db: &Connection, key: &ErasureKey, address: &Address) -> Result<Option<i64>, StoreError> {
    let mut query = db.prepare_cached("SELECT since FROM erased WHERE mark IN (?1, ?2)")?;
    Ok(query.query_row([key.mark(address), key.mark_of_old(address)], |r| r.get(0)).optional()?)
}

pub(super) fn show(db: &Connection, eraser: Option<&ErasureKey>, of: &Address) -> Result<Option<Held>, StoreError> {
    let (mut held, key) = (Held::default(), key(of));
    if let Some(eraser) = eraser {
        held.erased = time_or_none(erased(db, eraser, of)?)?;
    }
    let mut query = db.prepare_cached("SELECT reason, since, note FROM suppression WHERE key = ?1")?;
    if let Some(r) = query.query([&key])?.next()? {
        let reason = from_word(&r.get::<_, String>(0)?)?;
        held.suppression = Some(Suppression { reason, since: time(r.get(1)?)?, note: r.get(2)? });
    }
    held.lifted = lifted(db, &key)?;
    if let Some(subscriber) = by_key(db, &key)? {
        let id = subscriber.id.0;
        let added = "SELECT added FROM subscriber WHERE id = ?1";
        held.added = time_or_none(Some(db.prepare_cached(added)?.query_row([id], |r| r.get(0))?))?;
        held.subscriber = Some(subscriber);
        held.subscriptions = subscriptions(db, id)?;
        held.consents = consents(db, id)?;
        let mut query = db.prepare_cached("SELECT until FROM pause WHERE subscriber = ?1")?;
        held.paused_until = time_or_none(query.query_row([id], |r| r.get(0)).optional()?)?;
    }
    held.requests = requests(db, &key)?;
    Ok(Some(held).filter(|held| *held != Held::default()))
}

fn lifted(db: &Connection, key: &str) -> Result<Vec<Lifted>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT reason, since, note, lifted, because FROM lifted WHERE key = ?1 ORDER BY id")?;
    let mut rows = query.query([key])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let reason = from_word(&r.get::<_, String>(0)?)?;
        let suppression = Suppression { reason, since: time(r.get(1)?)?, note: r.get(2)? };
        found.push(Lifted { suppression, lifted: time(r.get(3)?)?, because: r.get(4)? });
    }
    Ok(found)
}

fn subscriptions(db: &Connection, id: i64) -> Result<Vec<Subscription>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT digest, state, since FROM subscription WHERE subscriber = ?1 ORDER BY digest")?;
    let mut rows = query.query([id])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let state = from_word(&r.get::<_, String>(1)?)?;
        found.push(Subscription { digest: r.get(0)?, state, since: time(r.get(2)?)? });
    }
    Ok(found)
}

fn consents(db: &Connection, id: i64) -> Result<Vec<ConsentRecord>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT digest, source, given, recorded, network, wording FROM consent WHERE subscriber = ?1 ORDER BY id",
    )?;
    let mut rows = query.query([id])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let consent = Consent { source: r.get(1)?, when: time_or_none(r.get(2)?)? };
        let (network, wording) = (r.get(4)?, r.get(5)?);
        found.push(ConsentRecord { digest: r.get(0)?, consent, recorded: time(r.get(3)?)?, network, wording });
    }
    Ok(found)
}

/// What she has asked for, and what others have asked to be confirmed at her address.
fn requests(db: &Connection, key: &str) -> Result<Vec<RequestRecord>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT kind, digests, address, network, asked, expires FROM request
         WHERE subscriber = (SELECT id FROM subscriber WHERE key = ?1) OR goal = ?1 ORDER BY id",
    )?;
    let mut rows = query.query([key])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        found.push(RequestRecord {
            kind: from_word(&r.get::<_, String>(0)?)?,
            digests: from_json(&r.get::<_, String>(1)?)?,
            address: r.get(2)?,
            network: r.get(3)?,
            asked: time(r.get(4)?)?,
            kept_until: time(r.get(5)?)?,
        });
    }
    Ok(found)
}

/// Writes somebody down.
pub(super) fn begin(
    db: &Connection,
    address: &Address,
    name: &str,
    language: Option<&str>,
    now: i64,
) -> Result<i64, StoreError> {
    db.prepare_cached("INSERT INTO subscriber (key, address, name, language, added) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![key(address), address.as_str(), name, language, now])?;
    Ok(db.last_insert_rowid())
}

/// Who has this key.
pub(super) fn by_key(db: &Connection, key: &str) -> Result<Option<Subscriber>, StoreError> {
    let mut query = db.prepare_cached("SELECT id, address, name, language FROM subscriber WHERE key = ?1")?;
    let mut rows = query.query([key])?;
    let Some(r) = rows.next()? else { return Ok(None) };
    let address = address(&r.get::<_, String>(1)?)?;
    Ok(Some(Subscriber { id: SubscriberId(r.get(0)?), address, name: r.get(2)?, language: r.get(3)? }))
}

/// By what a subscriber is known, and the one to whom she has moved since; nothing where she was erased.
pub(super) fn line(db: &Connection, id: i64) -> Result<Vec<String>, StoreError> {
    let mut query = db.prepare_cached(
        "WITH RECURSIVE line (id) AS (
             SELECT ?1 UNION SELECT s.moved_to FROM line JOIN subscriber s USING (id) WHERE s.moved_to IS NOT NULL)
         SELECT key FROM line JOIN subscriber USING (id) WHERE key NOT GLOB 'erased:*' ORDER BY id",
    )?;
    Ok(query.query_map([id], |r| r.get(0))?.collect::<Result<_, _>>()?)
}

/// All that is held about a subscriber; nothing where she was erased.
pub(super) fn by_number(db: &Connection, id: SubscriberId) -> Result<Option<Held>, StoreError> {
    let of: Option<String> = db
        .prepare_cached("SELECT address FROM subscriber WHERE id = ?1 AND key NOT GLOB 'erased:*'")?
        .query_row([id.0], |r| r.get(0))
        .optional()?;
    match of {
        Some(of) => show(db, None, &address(&of)?),
        None => Ok(None),
    }
}

/// Leaves the mark, and deliveries as numbers of a subscriber who has none of her own.
pub(super) fn forget(db: &Connection, eraser: &ErasureKey, who: &Address, now: i64) -> Result<bool, StoreError> {
    if self::eraser(db, Some(eraser))?.is_none() {
        db.prepare_cached("INSERT INTO erasure_key (one, name) VALUES (1, ?1)")?.execute([eraser.name()])?;
    }
    db.prepare_cached("INSERT INTO erased (mark, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![eraser.mark(who), now])?;
    // What is deleted is overwritten with zeros.
    db.pragma_update(None, "secure_delete", true)?;
    let held = erase(db, &key(who), now);
    db.pragma_update(None, "secure_delete", false)?;
    held
}

fn erase(db: &Connection, key: &str, now: i64) -> Result<bool, StoreError> {
    withdraw(db, key, None, now)?;
    // Somebody else may have asked to move to this address.
    let mut held = db.prepare_cached("DELETE FROM request WHERE goal = ?1")?.execute([key])?;
    held += db.prepare_cached("DELETE FROM suppression WHERE key = ?1")?.execute([key])?;
    held += db.prepare_cached("DELETE FROM lifted WHERE key = ?1")?.execute([key])?;
    let id: Option<i64> =
        db.prepare_cached("SELECT id FROM subscriber WHERE key = ?1")?.query_row([key], |r| r.get(0)).optional()?;
    let Some(id) = id else { return Ok(held > 0) };
    db.prepare_cached("UPDATE subscriber SET moved_to = NULL WHERE moved_to = ?1")?.execute([id])?;
    db.prepare_cached("DELETE FROM request WHERE subscriber = ?1")?.execute([id])?;
    db.prepare_cached("DELETE FROM pause WHERE subscriber = ?1")?.execute([id])?;
    db.prepare_cached("DELETE FROM consent WHERE subscriber = ?1")?.execute([id])?;
    db.prepare_cached("DELETE FROM subscription WHERE subscriber = ?1")?.execute([id])?;
    let mut query = db
        .prepare_cached("SELECT d.id FROM edition e CROSS JOIN delivery d ON d.edition = e.id AND d.subscriber = ?1")?;
    let deliveries: Vec<i64> = query.query_map([id], |r| r.get(0))?.collect::<Result<_, _>>()?;
    // Servers repeat the address in what they say.
    let mut silence = db.prepare_cached("UPDATE attempt SET text = '' WHERE delivery = ?1")?;
    let mut forget = db.prepare_cached("UPDATE returned SET text = '' WHERE delivery = ?1")?;
    let mut unsign = db.prepare_cached("DELETE FROM signature WHERE delivery = ?1")?;
    for delivery in &deliveries {
        unsign.execute([delivery])?;
        silence.execute([delivery])?;
        forget.execute([delivery])?;
    }
    if deliveries.is_empty() {
        db.prepare_cached("DELETE FROM subscriber WHERE id = ?1")?.execute([id])?;
    } else {
        db.prepare_cached(
            "UPDATE subscriber SET key = 'erased:' || id, address = 'erased-' || id || '@erased.invalid', name = '',
                 language = NULL, added = 0, moved_to = NULL WHERE id = ?1",
        )?
        .execute([id])?;
    }
    Ok(true)
}
