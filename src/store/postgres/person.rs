//! All that is held about one person, and its erasure.

use deadpool_postgres::Transaction;

use super::pool::Fault;
use super::row::{address, from_json, from_word, key, time, time_or_none};
use super::sql::{exists, row, rows, run, value};
use super::subscribers::withdraw;
use crate::store::StoreError;
use crate::subscriber::held::{ConsentRecord, RequestRecord};
use crate::subscriber::{
    Address, Consent, ErasureKey, Held, Lifted, Subscriber, SubscriberId, Subscription, Suppression,
};

/// The advisory lock that whoever adds people shares, and whoever erases one has alone: `PRer`. Without it a list that is
/// being read could bring back somebody who is erased at the same moment.
const ERASING: i64 = 0x5052_6572;

/// Nobody is erased until the transaction ends.
pub(super) async fn hold_erasures(db: &Transaction<'_>) -> Result<(), Fault> {
    rows(db, "SELECT pg_advisory_xact_lock_shared($1)", &[&ERASING]).await?;
    Ok(())
}

/// The given key where the ledger remembers anybody by it; nothing where nobody was ever erased.
pub(super) async fn eraser<'k>(
    db: &Transaction<'_>,
    key: Option<&'k ErasureKey>,
) -> Result<Option<&'k ErasureKey>, Fault> {
    let name: Option<Vec<u8>> = value(db, "SELECT name FROM erasure_key", &[]).await?;
    match (name, key) {
        (None, _) => Ok(None),
        (Some(name), Some(key)) if name == key.name() => Ok(Some(key)),
        (Some(_), _) => Err(StoreError::ErasureKey.into()),
    }
}

/// When an address was erased.
pub(super) async fn erased(db: &Transaction<'_>, key: &ErasureKey, address: &Address) -> Result<Option<i64>, Fault> {
    let marks = [key.mark(address), key.mark_of_old(address)];
    value(db, "SELECT since FROM erased WHERE mark IN ($1, $2)", &[&marks[0].as_slice(), &marks[1].as_slice()]).await
}

pub(super) async fn show(
    db: &Transaction<'_>,
    eraser: Option<&ErasureKey>,
    of: &Address,
) -> Result<Option<Held>, Fault> {
    let (mut held, key) = (Held::default(), key(of));
    if let Some(eraser) = eraser {
        held.erased = time_or_none(erased(db, eraser, of).await?)?;
    }
    if let Some(r) = row(db, "SELECT reason, since, note FROM suppression WHERE key = $1", &[&key]).await? {
        let reason = from_word(r.try_get(0)?)?;
        held.suppression = Some(Suppression { reason, since: time(r.try_get(1)?)?, note: r.try_get(2)? });
    }
    held.lifted = lifted(db, &key).await?;
    if let Some(subscriber) = by_key(db, &key).await? {
        let id = subscriber.id.0;
        held.added = time_or_none(value(db, "SELECT added FROM subscriber WHERE id = $1", &[&id]).await?)?;
        held.subscriber = Some(subscriber);
        held.subscriptions = subscriptions(db, id).await?;
        held.consents = consents(db, id).await?;
        held.paused_until = time_or_none(value(db, "SELECT until FROM pause WHERE subscriber = $1", &[&id]).await?)?;
    }
    held.requests = requests(db, &key).await?;
    Ok(Some(held).filter(|held| *held != Held::default()))
}

async fn lifted(db: &Transaction<'_>, key: &str) -> Result<Vec<Lifted>, Fault> {
    let all = "SELECT reason, since, note, lifted, because FROM lifted WHERE key = $1 ORDER BY id";
    let read = |r: &tokio_postgres::Row| {
        let reason = from_word(r.try_get(0)?)?;
        let suppression = Suppression { reason, since: time(r.try_get(1)?)?, note: r.try_get(2)? };
        Ok(Lifted { suppression, lifted: time(r.try_get(3)?)?, because: r.try_get(4)? })
    };
    rows(db, all, &[&key]).await?.iter().map(read).collect()
}

async fn subscriptions(db: &Transaction<'_>, id: i64) -> Result<Vec<Subscription>, Fault> {
    let all = "SELECT digest, state, since FROM subscription WHERE subscriber = $1 ORDER BY digest";
    let read = |r: &tokio_postgres::Row| {
        let state = from_word(r.try_get(1)?)?;
        Ok(Subscription { digest: r.try_get(0)?, state, since: time(r.try_get(2)?)? })
    };
    rows(db, all, &[&id]).await?.iter().map(read).collect()
}

async fn consents(db: &Transaction<'_>, id: i64) -> Result<Vec<ConsentRecord>, Fault> {
    let all = "SELECT digest, source, given, recorded, network, wording FROM consent WHERE subscriber = $1 ORDER BY id";
    let read = |r: &tokio_postgres::Row| {
        let consent = Consent { source: r.try_get(1)?, when: time_or_none(r.try_get(2)?)? };
        let (network, wording) = (r.try_get(4)?, r.try_get(5)?);
        Ok(ConsentRecord { digest: r.try_get(0)?, consent, recorded: time(r.try_get(3)?)?, network, wording })
    };
    rows(db, all, &[&id]).await?.iter().map(read).collect()
}

/// What she has asked for, and what others have asked to be confirmed at her address.
async fn requests(db: &Transaction<'_>, key: &str) -> Result<Vec<RequestRecord>, Fault> {
    let all = "SELECT kind, digests, address, network, asked, expires FROM request
               WHERE subscriber = (SELECT id FROM subscriber WHERE key = $1) OR goal = $1 ORDER BY id";
    let read = |r: &tokio_postgres::Row| {
        Ok(RequestRecord {
            kind: from_word(r.try_get(0)?)?,
            digests: from_json(r.try_get(1)?)?,
            address: r.try_get(2)?,
            network: r.try_get(3)?,
            asked: time(r.try_get(4)?)?,
            kept_until: time(r.try_get(5)?)?,
        })
    };
    rows(db, all, &[&key]).await?.iter().map(read).collect()
}

/// Writes somebody down; who is there already stays as she is.
pub(super) async fn begin(
    db: &Transaction<'_>,
    address: &Address,
    name: &str,
    language: Option<&str>,
    now: i64,
) -> Result<i64, Fault> {
    let key = key(address);
    let begin = "INSERT INTO subscriber (key, address, name, language, added) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (key) DO NOTHING RETURNING id";
    if let Some(id) = value(db, begin, &[&key, &address.as_str(), &name, &language, &now]).await? {
        return Ok(id);
    }
    let id = value(db, "SELECT id FROM subscriber WHERE key = $1", &[&key]).await?;
    Ok(id.ok_or_else(|| StoreError::Damaged("a subscriber who is not there".to_owned()))?)
}

/// Who has this key.
pub(super) async fn by_key(db: &Transaction<'_>, key: &str) -> Result<Option<Subscriber>, Fault> {
    let Some(r) = row(db, "SELECT id, address, name, language FROM subscriber WHERE key = $1", &[&key]).await? else {
        return Ok(None);
    };
    let address = address(r.try_get(1)?)?;
    Ok(Some(Subscriber { id: SubscriberId(r.try_get(0)?), address, name: r.try_get(2)?, language: r.try_get(3)? }))
}

/// By what a subscriber is known, and the one to whom she has moved since; nothing where she was erased.
pub(super) async fn line(db: &Transaction<'_>, id: i64) -> Result<Vec<String>, Fault> {
    let line = "WITH RECURSIVE line (id) AS (
                    SELECT $1::bigint UNION
                    SELECT s.moved_to FROM line JOIN subscriber s USING (id) WHERE s.moved_to IS NOT NULL)
                SELECT key FROM line JOIN subscriber USING (id) WHERE key NOT LIKE 'erased:%' ORDER BY id";
    rows(db, line, &[&id]).await?.iter().map(|r| Ok(r.try_get(0)?)).collect()
}

/// All that is held about a subscriber; nothing where she was erased.
pub(super) async fn by_number(db: &Transaction<'_>, id: SubscriberId) -> Result<Option<Held>, Fault> {
    let who = "SELECT address FROM subscriber WHERE id = $1 AND key NOT LIKE 'erased:%'";
    match value::<String>(db, who, &[&id.0]).await? {
        Some(of) => show(db, None, &address(&of)?).await,
        None => Ok(None),
    }
}

/// Leaves the mark, and deliveries as numbers of a subscriber who has none of her own.
pub(super) async fn forget(db: &Transaction<'_>, eraser: &ErasureKey, who: &Address, now: i64) -> Result<bool, Fault> {
    rows(db, "SELECT pg_advisory_xact_lock($1)", &[&ERASING]).await?;
    if self::eraser(db, Some(eraser)).await?.is_none() {
        run(db, "INSERT INTO erasure_key (one, name) VALUES (1, $1)", &[&eraser.name().as_slice()]).await?;
    }
    let mark = "INSERT INTO erased (mark, since) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    run(db, mark, &[&eraser.mark(who).as_slice(), &now]).await?;
    erase(db, &key(who), now).await
}

async fn erase(db: &Transaction<'_>, key: &str, now: i64) -> Result<bool, Fault> {
    withdraw(db, key, None, now).await?;
    // Somebody else may have asked to move to this address.
    let mut held = run(db, "DELETE FROM request WHERE goal = $1", &[&key]).await?;
    held += run(db, "DELETE FROM suppression WHERE key = $1", &[&key]).await?;
    held += run(db, "DELETE FROM lifted WHERE key = $1", &[&key]).await?;
    let id: Option<i64> = value(db, "SELECT id FROM subscriber WHERE key = $1 FOR UPDATE", &[&key]).await?;
    let Some(id) = id else { return Ok(held > 0) };
    run(db, "UPDATE subscriber SET moved_to = NULL WHERE moved_to = $1", &[&id]).await?;
    for table in ["request", "pause", "consent", "subscription"] {
        run(db, &format!("DELETE FROM {table} WHERE subscriber = $1"), &[&id]).await?;
    }
    // Held until the end, so that an attempt that is just being written is seen by this, or sees this.
    let hers = "SELECT id FROM delivery WHERE subscriber = $1 ORDER BY id FOR UPDATE";
    let deliveries = rows(db, hers, &[&id]).await?;
    if deliveries.is_empty() {
        run(db, "DELETE FROM subscriber WHERE id = $1", &[&id]).await?;
        return Ok(true);
    }
    let deliveries: Vec<i64> = deliveries.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>()?;
    run(db, "DELETE FROM signature WHERE delivery = ANY($1)", &[&deliveries]).await?;
    // Servers repeat the address in what they say.
    run(db, "UPDATE attempt SET text = '' WHERE delivery = ANY($1)", &[&deliveries]).await?;
    run(db, "UPDATE returned SET text = '' WHERE delivery = ANY($1)", &[&deliveries]).await?;
    run(
        db,
        "UPDATE subscriber SET key = 'erased:' || id, address = 'erased-' || id || '@erased.invalid', name = '',
             language = NULL, added = 0, moved_to = NULL WHERE id = $1",
        &[&id],
    )
    .await?;
    Ok(true)
}

/// Whether a bounce or a complaint that comes back after the erasure must not write the address down again.
pub(super) async fn is_forgotten(
    db: &Transaction<'_>,
    eraser: Option<&ErasureKey>,
    address: &Address,
) -> Result<bool, Fault> {
    let Some(eraser) = eraser else { return Ok(false) };
    Ok(erased(db, eraser, address).await?.is_some()
        && !exists(db, "SELECT 1 FROM subscriber WHERE key = $1", &[&key(address)]).await?)
}
