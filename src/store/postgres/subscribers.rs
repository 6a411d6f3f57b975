//! Subscribers, subscriptions, consent, suppressions.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use std::collections::HashMap;
use tokio_postgres::Row;

use super::pool::Fault;
use super::row::{address, from_word, key, millis, time, time_or_none, word};
use super::sql::{read, rows, run, value, write};
use super::{PostgresStore, person, requests};
use crate::store::StoreError;
use crate::subscriber::adding::{Hearing, Known, Step, judge};
use crate::subscriber::erasure::Mark;
use crate::subscriber::{
    Added, Address, Consent, EVERYTHING, Entry, ErasureKey, Force, Held, Listed, Subscriber, SubscriberId, Subscribers,
    Subscription, SubscriptionState, Suppression, SuppressionReason,
};

impl Subscribers for PostgresStore {
    type Error = StoreError;

    async fn add(&self, entries: Vec<Entry>, now: DateTime<Utc>) -> Result<Vec<Added>, StoreError> {
        write!(self, db => add(&db, self.erasure.as_ref(), &entries, None, millis(now)).await)
    }

    async fn add_by_force(
        &self,
        entries: Vec<Entry>,
        force: Force,
        now: DateTime<Utc>,
    ) -> Result<Vec<Added>, StoreError> {
        write!(self, db => add(&db, self.erasure.as_ref(), &entries, Some(&force), millis(now)).await)
    }

    async fn differences(&self, entries: Vec<Entry>, force: Option<Force>) -> Result<Vec<Added>, StoreError> {
        let all: Vec<&Entry> = entries.iter().collect();
        let known = read!(self, db => known(&db, self.erasure.as_ref(), &all).await)?;
        Ok(entries.iter().zip(known).map(|(entry, (known, _))| judge(&known, entry, force.as_ref()).added).collect())
    }

    async fn show(&self, address: &Address) -> Result<Option<Held>, StoreError> {
        read!(self, db => person::show(&db, self.erasure.as_ref(), address).await)
    }

    async fn forget(&self, address: &Address, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let erasure = self.erasure.as_ref().ok_or(StoreError::ErasureKey)?;
        write!(self, db => person::forget(&db, erasure, address, millis(now)).await)
    }

    async fn end(&self, address: &Address, digest: Option<&str>, now: DateTime<Utc>) -> Result<bool, StoreError> {
        write!(self, db => end(&db, &key(address), digest, millis(now), millis(now)).await)
    }

    async fn suppress(
        &self,
        address: &Address,
        reason: SuppressionReason,
        note: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        write!(self, db => suppress_known(&db, self.erasure.as_ref(), address, reason, note, millis(now)).await)
    }

    async fn list(
        &self,
        digest: Option<&str>,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let (key, past) = after.map_or_else(Default::default, |(address, digest)| (address.to_lowercase(), digest));
        read!(self, db => list(&db, digest, &key, &past, limit).await)
    }
}

/// What the ledger knows of each entry's address and digest, and the subscriber's number, in order.
async fn known(
    db: &Transaction<'_>,
    erasure: Option<&ErasureKey>,
    entries: &[&Entry],
) -> Result<Vec<(Known, Option<i64>)>, Fault> {
    let eraser = person::eraser(db, erasure).await?;
    let keys: Vec<String> = entries.iter().map(|entry| key(&entry.address)).collect();
    let digests: Vec<&str> = entries.iter().map(|entry| entry.digest.as_str()).collect();
    // Also where there is somebody: whoever was erased and asks again is known before she has confirmed.
    let marks = |of: fn(&ErasureKey, &Address) -> Mark| -> Option<Vec<Vec<u8>>> {
        eraser.map(|eraser| entries.iter().map(|entry| of(eraser, &entry.address).to_vec()).collect())
    };
    let (marks, old) = (marks(ErasureKey::mark), marks(ErasureKey::mark_of_old));
    let found = rows(
        db,
        "SELECT s.id, n.state, n.heard,
                EXISTS (SELECT 1 FROM subscription e WHERE e.digest = $4 AND e.subscriber = s.id),
                (SELECT max(c.given) FROM consent c
                 WHERE c.subscriber = s.id AND c.digest = t.digest AND c.network <> ''),
                (SELECT x.reason FROM suppression x WHERE x.key = t.key), l.reason, l.lifted,
                EXISTS (SELECT 1 FROM erased e WHERE e.mark IN (t.mark, t.old))
         FROM unnest($1::text[], $2::text[], $3::bytea[], $5::bytea[])
              WITH ORDINALITY AS t (key, digest, mark, old, place)
         LEFT JOIN subscriber s ON s.key = t.key
         LEFT JOIN subscription n ON n.digest = t.digest AND n.subscriber = s.id
         LEFT JOIN lifted l ON l.id = (SELECT max(id) FROM lifted WHERE key = t.key)
         ORDER BY t.place",
        &[&keys, &digests, &marks, &EVERYTHING, &old],
    )
    .await?;
    found.iter().map(known_of).collect()
}

fn known_of(r: &Row) -> Result<(Known, Option<i64>), Fault> {
    let word = |at: usize| r.try_get::<_, Option<&str>>(at);
    let lifted: Option<SuppressionReason> = word(6)?.map(from_word).transpose()?;
    let known = Known {
        state: word(1)?.map(from_word).transpose()?,
        heard: time_or_none(r.try_get(2)?)?,
        left: r.try_get(3)?,
        herself: time_or_none(r.try_get(4)?)?,
        suppressed: word(5)?.map(from_word).transpose()?,
        lifted: lifted.zip(time_or_none(r.try_get(7)?)?),
        erased: r.try_get(8)?,
    };
    Ok((known, r.try_get(0)?))
}

/// In rounds: of each address the first entry, then its second, and so on. So all of a round can be judged and written
/// together, and each address's entries stay in order.
async fn add(
    db: &Transaction<'_>,
    erasure: Option<&ErasureKey>,
    entries: &[Entry],
    force: Option<&Force>,
    now: i64,
) -> Result<Vec<Added>, Fault> {
    person::hold_erasures(db).await?;
    let mut rounds: Vec<Vec<usize>> = vec![];
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (place, entry) in entries.iter().enumerate() {
        let round = seen.entry(key(&entry.address)).or_insert(0);
        if rounds.len() == *round {
            rounds.push(vec![]);
        }
        rounds[*round].push(place);
        *round += 1;
    }
    let mut answers = vec![Added::Unchanged; entries.len()];
    for places in rounds {
        let round: Vec<&Entry> = places.iter().map(|place| &entries[*place]).collect();
        for (place, added) in places.into_iter().zip(add_round(db, erasure, &round, force, now).await?) {
            answers[place] = added;
        }
    }
    Ok(answers)
}

async fn add_round(
    db: &Transaction<'_>,
    erasure: Option<&ErasureKey>,
    entries: &[&Entry],
    force: Option<&Force>,
    now: i64,
) -> Result<Vec<Added>, Fault> {
    let mut answers = Vec::with_capacity(entries.len());
    let (mut begun, mut confirmed, mut rest) = (vec![], vec![], vec![]);
    for (entry, (known, subscriber)) in entries.iter().zip(known(db, erasure, entries).await?) {
        let judged = judge(&known, entry, force);
        answers.push(judged.added);
        if let Some(force) = force.filter(|_| judged.lifts) {
            lift(db, &key(&entry.address), force.reason(), now).await?;
        }
        if let Some(subscriber) = subscriber.filter(|_| entry.digest == EVERYTHING) {
            end_by_list(db, erasure, subscriber, (entry, &known), now).await?;
        }
        match judged.step {
            Step::Nothing | Step::End => {}
            Step::Begin(state) => begun.push((*entry, state)),
            Step::Confirm => confirmed.push((*entry, SubscriptionState::Confirmed)),
        }
        if judged.step == Step::End || judged.hearing != Hearing::Same || judged.suppresses {
            rest.push((*entry, judged));
        }
    }
    if !begun.is_empty() {
        begin(db, &begun, now).await?;
        // Who was begun by somebody else meanwhile, or has ended, stays as she is.
        write_subscriptions(db, &begun, now, "DO NOTHING").await?;
        write_consents(db, &begun, now).await?;
    }
    if !confirmed.is_empty() {
        let confirm =
            "DO UPDATE SET state = excluded.state, since = excluded.since WHERE subscription.state = 'pending'";
        write_subscriptions(db, &confirmed, now, confirm).await?;
        write_consents(db, &confirmed, now).await?;
    }
    for (entry, judged) in rest {
        let (key, since) = (key(&entry.address), entry.since.map_or(now, millis));
        if judged.step == Step::End {
            end(db, &key, Some(&entry.digest), since, now).await?;
        }
        hear(db, &key, &entry.digest, judged.hearing, now).await?;
        if let Some(reason) = entry.suppressed.filter(|_| judged.suppresses) {
            suppress(db, &key, reason, &entry.note, since, now).await?;
        }
    }
    Ok(answers)
}

/// Writes down since when a list says without a day that a subscription has ended.
async fn hear(db: &Transaction<'_>, key: &str, digest: &str, hearing: Hearing, now: i64) -> Result<(), Fault> {
    let heard = match hearing {
        Hearing::Same => return Ok(()),
        Hearing::First => Some(now),
        Hearing::Gone => None,
    };
    let written = "UPDATE subscription SET heard = $3
                   WHERE digest = $2 AND subscriber = (SELECT id FROM subscriber WHERE key = $1)";
    run(db, written, &[&key, &digest, &heard]).await?;
    if heard.is_some() {
        requests::call_off(db, key, Some(digest)).await?;
    }
    Ok(())
}

/// A list says that somebody has left everything: what she had then ends. What has begun since the day that the list names
/// stays: an export says both of a reader who has left everything and come back to a digest.
async fn end_by_list(
    db: &Transaction<'_>,
    erasure: Option<&ErasureKey>,
    subscriber: i64,
    (entry, known): (&Entry, &Known),
    now: i64,
) -> Result<(), Fault> {
    let said = entry.since.or(known.heard);
    let live =
        "SELECT digest FROM subscription WHERE subscriber = $1 AND state <> 'ended' AND since <= $2 ORDER BY digest";
    for r in rows(db, live, &[&subscriber, &said.map_or(now, millis)]).await? {
        let one = Entry { digest: r.try_get(0)?, since: said, ..entry.clone() };
        Box::pin(add_round(db, erasure, &[&one], None, now)).await?;
    }
    Ok(())
}

/// Takes a suppression away, and keeps what it was.
async fn lift(db: &Transaction<'_>, key: &str, because: &str, now: i64) -> Result<(), Fault> {
    let lift = "WITH gone AS (DELETE FROM suppression WHERE key = $1 RETURNING key, reason, since, note)
                INSERT INTO lifted (key, reason, since, note, lifted, because)
                SELECT key, reason, since, note, $2, $3 FROM gone";
    run(db, lift, &[&key, &now, &because]).await?;
    Ok(())
}

type Standing<'a> = (&'a Entry, SubscriptionState);

async fn begin(db: &Transaction<'_>, entries: &[Standing<'_>], now: i64) -> Result<(), Fault> {
    let keys: Vec<String> = entries.iter().map(|(e, _)| key(&e.address)).collect();
    let addresses: Vec<&str> = entries.iter().map(|(e, _)| e.address.as_str()).collect();
    let names: Vec<&str> = entries.iter().map(|(e, _)| e.name.as_str()).collect();
    let languages: Vec<Option<&str>> = entries.iter().map(|(e, _)| e.language.as_deref()).collect();
    let insert = "INSERT INTO subscriber (key, address, name, language, added)
                  SELECT t.key, t.address, t.name, t.language, $5
                  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
                      AS t (key, address, name, language, place)
                  WHERE NOT EXISTS (SELECT 1 FROM subscriber s WHERE s.key = t.key)
                  ORDER BY t.place ON CONFLICT (key) DO NOTHING";
    run(db, insert, &[&keys, &addresses, &names, &languages, &now]).await?;
    Ok(())
}

async fn write_subscriptions(
    db: &Transaction<'_>,
    entries: &[Standing<'_>],
    now: i64,
    conflict: &str,
) -> Result<(), Fault> {
    let keys: Vec<String> = entries.iter().map(|(e, _)| key(&e.address)).collect();
    let digests: Vec<&str> = entries.iter().map(|(e, _)| e.digest.as_str()).collect();
    let states: Vec<String> = entries.iter().map(|(_, state)| word(*state)).collect::<Result<_, _>>()?;
    let since: Vec<i64> = entries.iter().map(|(e, _)| e.since.map_or(now, millis)).collect();
    let insert = format!(
        "INSERT INTO subscription (digest, subscriber, state, since)
         SELECT t.digest, s.id, t.state, t.since
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS t (key, digest, state, since)
         JOIN subscriber s ON s.key = t.key ORDER BY s.id ON CONFLICT (digest, subscriber) {conflict}"
    );
    run(db, &insert, &[&keys, &digests, &states, &since]).await?;
    Ok(())
}

async fn write_consents(db: &Transaction<'_>, entries: &[Standing<'_>], now: i64) -> Result<(), Fault> {
    let given = |entry: &Entry| !entry.consent.source.is_empty() || entry.consent.when.is_some();
    let entries: Vec<&Entry> = entries.iter().map(|(entry, _)| *entry).filter(|entry| given(entry)).collect();
    if entries.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = entries.iter().map(|e| key(&e.address)).collect();
    let digests: Vec<&str> = entries.iter().map(|e| e.digest.as_str()).collect();
    let sources: Vec<&str> = entries.iter().map(|e| e.consent.source.as_str()).collect();
    let when: Vec<Option<i64>> = entries.iter().map(|e| e.consent.when.map(millis)).collect();
    let insert = "INSERT INTO consent (subscriber, digest, source, given, recorded)
                  SELECT s.id, t.digest, t.source, t.given, $5
                  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
                      AS t (key, digest, source, given, place)
                  JOIN subscriber s ON s.key = t.key ORDER BY t.place";
    run(db, insert, &[&keys, &digests, &sources, &when, &now]).await?;
    Ok(())
}

/// `since` is when she left, `now` when we learn of it. Without a digest it is written down also where she has none: a list
/// must not begin later what she has left in advance.
pub(super) async fn end(
    db: &Transaction<'_>,
    key: &str,
    digest: Option<&str>,
    since: i64,
    now: i64,
) -> Result<bool, Fault> {
    let mut ended = run(
        db,
        "UPDATE subscription SET state = 'ended', since = $3
         WHERE subscriber = (SELECT id FROM subscriber WHERE key = $1) AND ($2::text IS NULL OR digest = $2)
           AND state <> 'ended'",
        &[&key, &digest, &since],
    )
    .await?;
    if digest.is_none() {
        ended += leave_everything(db, key, since).await?;
    }
    requests::call_off(db, key, digest).await?;
    withdraw(db, key, digest, now).await?;
    Ok(ended > 0)
}

/// Writes down that no list may begin anything for her any more; how many rows that is.
pub(super) async fn leave_everything(db: &Transaction<'_>, key: &str, since: i64) -> Result<u64, Fault> {
    let left = "INSERT INTO subscription (digest, subscriber, state, since)
                SELECT $2, id, 'ended', $3 FROM subscriber WHERE key = $1 ON CONFLICT DO NOTHING";
    run(db, left, &[&key, &EVERYTHING, &since]).await
}

async fn suppress_known(
    db: &Transaction<'_>,
    erasure: Option<&ErasureKey>,
    address: &Address,
    reason: SuppressionReason,
    note: &str,
    now: i64,
) -> Result<(), Fault> {
    // A bounce that comes back after the erasure must not write the address down again; once she has asked anew, it stands
    // there. What somebody else has asked to be confirmed there is over.
    person::hold_erasures(db).await?;
    if person::is_forgotten(db, erasure, address).await? {
        return requests::call_off_to(db, &key(address)).await;
    }
    suppress(db, &key(address), reason, note, now, now).await
}

pub(super) async fn suppress(
    db: &Transaction<'_>,
    key: &str,
    reason: SuppressionReason,
    note: &str,
    since: i64,
    now: i64,
) -> Result<(), Fault> {
    let written = word(reason)?;
    let bar = "INSERT INTO suppression (key, reason, since, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    if run(db, bar, &[&key, &written, &since, &note]).await? == 0 {
        let there = "SELECT reason FROM suppression WHERE key = $1 FOR UPDATE";
        let there: Option<String> = value(db, there, &[&key]).await?;
        let there: Option<SuppressionReason> = there.as_deref().map(from_word).transpose()?;
        if there.is_some_and(|there| there < reason) {
            let stricter = "UPDATE suppression SET reason = $2, since = $3, note = $4 WHERE key = $1";
            run(db, stricter, &[&key, &written, &since, &note]).await?;
        }
    }
    requests::call_off_to(db, key).await?;
    // That a mailbox is gone is no word of its reader: she may be on her way to another.
    if reason != SuppressionReason::Bounced {
        requests::call_off(db, key, None).await?;
    }
    withdraw(db, key, None, now).await
}

/// Withdraws the address's deliveries that have not begun.
pub(super) async fn withdraw(db: &Transaction<'_>, key: &str, digest: Option<&str>, now: i64) -> Result<(), Fault> {
    run(
        db,
        "UPDATE delivery SET state = 7, press = NULL, lease = NULL, ended = $3
         WHERE state IN (0, 1) AND id IN (
             SELECT d.id FROM delivery d JOIN edition e ON e.id = d.edition
             WHERE d.subscriber = (SELECT id FROM subscriber WHERE key = $1) AND d.state IN (0, 1)
               AND e.state IN ('approved', 'sending') AND ($2::text IS NULL OR e.digest = $2)
             ORDER BY d.id FOR UPDATE OF d)",
        &[&key, &digest, &now],
    )
    .await?;
    Ok(())
}

async fn list(
    db: &Transaction<'_>,
    digest: Option<&str>,
    key: &str,
    past: &str,
    limit: u32,
) -> Result<Vec<Listed>, Fault> {
    let found = rows(
        db,
        "SELECT s.id, s.address, s.name, s.language, n.digest, n.state, n.since, c.source, c.given,
                x.reason, x.since, x.note
         FROM subscriber s
         JOIN subscription n ON n.subscriber = s.id
         LEFT JOIN consent c ON c.id = (SELECT max(id) FROM consent WHERE subscriber = s.id AND digest = n.digest)
         LEFT JOIN suppression x ON x.key = s.key
         WHERE s.key >= $2 AND (s.key, n.digest) > ($2, $3) AND ($1::text IS NULL OR n.digest = $1)
         ORDER BY s.key, n.digest LIMIT $4",
        &[&digest, &key, &past, &i64::from(limit)],
    )
    .await?;
    found.iter().map(listed).collect()
}

fn listed(r: &Row) -> Result<Listed, Fault> {
    let consent = match r.try_get::<_, Option<String>>(7)? {
        Some(source) => Some(Consent { source, when: time_or_none(r.try_get(8)?)? }),
        None => None,
    };
    let suppression = match r.try_get::<_, Option<&str>>(9)? {
        Some(reason) => {
            Some(Suppression { reason: from_word(reason)?, since: time(r.try_get(10)?)?, note: r.try_get(11)? })
        }
        None => None,
    };
    Ok(Listed {
        subscriber: Subscriber {
            id: SubscriberId(r.try_get(0)?),
            address: address(r.try_get(1)?)?,
            name: r.try_get(2)?,
            language: r.try_get(3)?,
        },
        subscription: Subscription {
            digest: r.try_get(4)?,
            state: from_word(r.try_get(5)?)?,
            since: time(r.try_get(6)?)?,
        },
        consent,
        suppression,
    })
}
