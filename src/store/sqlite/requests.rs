//! What readers ask for on the public pages.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{address, count, from_json, from_word, json, key, millis, small, span, time, word};
use super::rules::{MOVED, PAGE};
use super::subscribers::{end, leave_everything, withdraw};
use super::{SqliteStore, person};
use crate::store::StoreError;
use crate::subscriber::fold::LimitKey;
use crate::subscriber::request::{Ask, Request, RequestId, RequestKind, Requests, Terms, Wish};
use crate::subscriber::{Address, EVERYTHING, ErasureKey, Held, Subscriber, SubscriberId, SubscriptionState};

const REQUEST: &str =
    "SELECT r.id, r.subscriber, r.kind, coalesce(r.address, s.address), r.digests, r.language, r.asked,
        r.tries, r.state FROM request r JOIN subscriber s ON s.id = r.subscriber";

/// Its letter may go out. The inbox may have been suppressed after it was asked. Where somebody moves away from is not written to.
const WANTED: &str =
    "r.state = 'open' AND NOT EXISTS (SELECT 1 FROM suppression x WHERE x.key = coalesce(r.goal, s.key))";

impl Requests for SqliteStore {
    type Error = StoreError;

    async fn ask(&self, ask: Ask, terms: Terms, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let erasure = self.erasure.clone().ok_or(StoreError::ErasureKey)?;
        self.writer.write(move |db| self::ask(db, &erasure, &ask, terms, millis(now))).await
    }

    async fn request(&self, id: RequestId, now: DateTime<Utc>) -> Result<Option<Request>, StoreError> {
        self.readers.read(move |db| Ok(request(db, id, millis(now))?.map(|(request, _)| request))).await
    }

    async fn confirm(
        &self,
        id: RequestId,
        network: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Subscriber>, StoreError> {
        let (erasure, network) = (self.erasure.clone(), network.to_owned());
        self.writer.write(move |db| confirm(db, erasure.as_ref(), id, &network, millis(now))).await
    }

    async fn person(&self, id: SubscriberId) -> Result<Option<Held>, StoreError> {
        self.readers.read(move |db| person::by_number(db, id)).await
    }

    async fn leave(&self, id: SubscriberId, digest: Option<&str>, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let digest = digest.map(str::to_owned);
        self.writer
            .write(move |db| {
                let mut left = false;
                for key in person::line(db, id.0)? {
                    left |= end(db, &key, digest.as_deref(), millis(now), millis(now))?;
                }
                Ok(left)
            })
            .await
    }

    async fn take_break(
        &self,
        id: SubscriberId,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.writer.write(move |db| take_break(db, id.0, until.map(millis), millis(now))).await
    }

    async fn letters(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Request>, StoreError> {
        self.readers
            .read(move |db| {
                let mut query = db.prepare_cached(&format!(
                    "{REQUEST} WHERE r.due <= ?1 AND r.expires > ?1 AND {WANTED} ORDER BY r.due, r.id LIMIT ?2"
                ))?;
                let mut rows = query.query(params![millis(now), limit])?;
                let mut found = vec![];
                while let Some(r) = rows.next()? {
                    found.push(read(r)?.0);
                }
                Ok(found)
            })
            .await
    }

    async fn is_wanted(&self, id: RequestId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.readers
            .read(move |db| {
                let one = format!("{REQUEST} WHERE r.id = ?1 AND r.expires > ?2 AND {WANTED}");
                Ok(db.prepare_cached(&one)?.exists([id.0, millis(now)])?)
            })
            .await
    }

    async fn posted(&self, id: RequestId, again: Option<DateTime<Utc>>) -> Result<(), StoreError> {
        self.writer
            .write(move |db| {
                db.prepare_cached("UPDATE request SET due = ?2, tries = tries + 1 WHERE id = ?1")?
                    .execute(params![id.0, again.map(millis)])?;
                Ok(())
            })
            .await
    }

    async fn expire(&self, terms: Terms, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.writer.write(move |db| expire(db, terms, millis(now))).await
    }

    async fn standing(&self) -> Result<Vec<(SubscriptionState, u64)>, StoreError> {
        self.readers
            .read(|db| {
                let mut query =
                    db.prepare_cached("SELECT state, count(*) FROM subscription WHERE digest <> ?1 GROUP BY state")?;
                let mut rows = query.query([EVERYTHING])?;
                let mut found = vec![];
                while let Some(r) = rows.next()? {
                    found.push((from_word(&r.get::<_, String>(0)?)?, count(r.get(1)?)));
                }
                Ok(found)
            })
            .await
    }
}

fn ask(db: &Connection, erasure: &ErasureKey, ask: &Ask, terms: Terms, now: i64) -> Result<bool, StoreError> {
    let mark = erasure.limit(&LimitKey::of(&ask.address));
    let last: Option<i64> =
        db.prepare_cached("SELECT at FROM asked WHERE mark = ?1")?.query_row([mark], |r| r.get(0)).optional()?;
    if last.is_some_and(|last| now.saturating_sub(last) < span(terms.every)) {
        return Ok(false);
    }
    // Written also where no mail goes out, so that the answer takes equally long.
    db.prepare_cached("INSERT INTO asked (mark, at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = excluded.at")?
        .execute(params![mark, now])?;
    let key = key(&ask.address);
    if is_suppressed(db, &key)? {
        return Ok(false);
    }
    let known: Option<i64> =
        db.prepare_cached("SELECT id FROM subscriber WHERE key = ?1")?.query_row([&key], |r| r.get(0)).optional()?;
    let (subscriber, kind, digests, to) = match &ask.wish {
        Wish::Subscribe(digests) => {
            let subscriber = match known {
                Some(id) => id,
                None => person::begin(db, &ask.address, "", Some(&ask.language), now)?,
            };
            let mut wanted = vec![];
            for digest in digests {
                if state(db, subscriber, digest)? != Some(SubscriptionState::Confirmed) {
                    wanted.push(digest.clone());
                    // One that has ended stays so until it is confirmed: a list must not find it open again.
                    db.prepare_cached(
                        "INSERT INTO subscription (digest, subscriber, state, since) VALUES (?1, ?2, 'pending', ?3)
                         ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![digest, subscriber, now])?;
                }
            }
            let kind = if wanted.is_empty() { RequestKind::Link } else { RequestKind::Subscribe };
            (subscriber, kind, wanted, None)
        }
        Wish::Link => match known {
            Some(subscriber) if has_confirmed(db, subscriber)? => (subscriber, RequestKind::Link, vec![], None),
            _ => return Ok(false),
        },
        Wish::Move(from) => {
            if key_of(db, from.0)?.is_none_or(|old| old == key) {
                return Ok(false);
            }
            (from.0, RequestKind::Move, vec![], Some(ask.address.as_str()))
        }
    };
    db.prepare_cached(
        "INSERT INTO request (subscriber, kind, digests, address, goal, language, network, wording, asked, expires, due)
         VALUES (?1, ?2, ?3, ?4, ?10, ?5, ?6, ?7, ?8, ?9, ?8)",
    )?
    .execute(params![
        subscriber,
        word(kind)?,
        json(&digests)?,
        to,
        ask.language,
        ask.network,
        ask.wording,
        now,
        now.saturating_add(span(terms.within)),
        to.map(|_| &key)
    ])?;
    Ok(true)
}

/// A request that is not over, and whether it was confirmed.
fn request(db: &Connection, id: RequestId, now: i64) -> Result<Option<(Request, bool)>, StoreError> {
    let mut query =
        db.prepare_cached(&format!("{REQUEST} WHERE r.id = ?1 AND r.expires > ?2 AND r.state <> 'over'"))?;
    let mut rows = query.query(params![id.0, now])?;
    rows.next()?.map(read).transpose()
}

fn read(r: &Row<'_>) -> Result<(Request, bool), StoreError> {
    let request = Request {
        id: RequestId(r.get(0)?),
        subscriber: SubscriberId(r.get(1)?),
        kind: from_word(&r.get::<_, String>(2)?)?,
        to: address(&r.get::<_, String>(3)?)?,
        digests: from_json(&r.get::<_, String>(4)?)?,
        language: r.get(5)?,
        asked: time(r.get(6)?)?,
        tries: small(r.get(7)?),
    };
    Ok((request, r.get::<_, String>(8)? == "confirmed"))
}

fn confirm(
    db: &Connection,
    erasure: Option<&ErasureKey>,
    id: RequestId,
    network: &str,
    now: i64,
) -> Result<Option<Subscriber>, StoreError> {
    let Some((request, confirmed)) = request(db, id, now)? else { return Ok(None) };
    let key = key(&request.to);
    if request.kind == RequestKind::Link || is_suppressed(db, &key)? {
        return Ok(None);
    }
    if !confirmed {
        let written = if request.kind == RequestKind::Move {
            take_over(db, &request, network, now)?
        } else {
            for digest in &request.digests {
                subscribe(db, request.subscriber.0, digest, (id, PAGE, network), now)?;
            }
            !request.digests.is_empty()
        };
        if !written {
            return Ok(None);
        }
        if let Some(erasure) = person::eraser(db, erasure)? {
            come_back(db, erasure, &request.to)?;
        }
        db.prepare_cached("UPDATE request SET state = 'confirmed', due = NULL WHERE id = ?1")?.execute([id.0])?;
    }
    person::by_key(db, &key)
}

/// What she says now is newer than that she asked to be forgotten. Of everything else that was her last word.
fn come_back(db: &Connection, erasure: &ErasureKey, who: &Address) -> Result<(), StoreError> {
    let Some(since) = person::erased(db, erasure, who)? else { return Ok(()) };
    db.prepare_cached("DELETE FROM erased WHERE mark IN (?1, ?2)")?
        .execute([erasure.mark(who), erasure.mark_of_old(who)])?;
    leave_everything(db, &key(who), since)?;
    Ok(())
}

/// The old address ends what it had, so that no list finds it subscribed; the new one has all of it. `false` where the old
/// one had nothing.
fn take_over(db: &Connection, request: &Request, network: &str, now: i64) -> Result<bool, StoreError> {
    let Some(old) = person::by_number(db, request.subscriber)? else { return Ok(false) };
    let confirmed: Vec<_> = old.subscriptions.iter().filter(|s| s.state == SubscriptionState::Confirmed).collect();
    let Some(subscriber) = old.subscriber.as_ref().filter(|_| !confirmed.is_empty()) else { return Ok(false) };
    let new = match person::by_key(db, &key(&request.to))? {
        Some(there) => there.id.0,
        None => person::begin(db, &request.to, &subscriber.name, subscriber.language.as_deref(), now)?,
    };
    for subscription in confirmed {
        subscribe(db, new, &subscription.digest, (request.id, MOVED, network), now)?;
    }
    db.prepare_cached("UPDATE OR REPLACE pause SET subscriber = ?2 WHERE subscriber = ?1")?
        .execute(params![subscriber.id.0, new])?;
    end(db, &key(&subscriber.address), None, now, now)?;
    if new != subscriber.id.0 {
        db.prepare_cached("UPDATE subscriber SET moved_to = ?2 WHERE id = ?1")?.execute([subscriber.id.0, new])?;
    }
    Ok(true)
}

fn subscribe(
    db: &Connection,
    subscriber: i64,
    digest: &str,
    (request, source, network): (RequestId, &str, &str),
    now: i64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO subscription (digest, subscriber, state, since) VALUES (?1, ?2, 'confirmed', ?3)
         ON CONFLICT DO UPDATE SET state = excluded.state, since = excluded.since WHERE state <> 'confirmed'",
    )?
    .execute(params![digest, subscriber, now])?;
    db.prepare_cached(
        "INSERT INTO consent (subscriber, digest, source, given, recorded, network, wording)
         SELECT ?1, ?2, ?3, ?4, ?4, ?5, wording FROM request WHERE id = ?6",
    )?
    .execute(params![subscriber, digest, source, now, network, request.0])?;
    // Whoever is here again has not moved away. So nobody's line of addresses is a circle.
    db.prepare_cached("UPDATE subscriber SET moved_to = NULL WHERE id = ?1 AND moved_to IS NOT NULL")?
        .execute([subscriber])?;
    Ok(())
}

fn take_break(db: &Connection, subscriber: i64, until: Option<i64>, now: i64) -> Result<(), StoreError> {
    let Some(key) = key_of(db, subscriber)? else { return Ok(()) };
    match until {
        None => {
            db.prepare_cached("DELETE FROM pause WHERE subscriber = ?1")?.execute([subscriber])?;
            Ok(())
        }
        Some(until) => {
            db.prepare_cached(
                "INSERT INTO pause (subscriber, until) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET until = excluded.until",
            )?
            .execute(params![subscriber, until])?;
            withdraw(db, &key, None, now)
        }
    }
}

fn expire(db: &Connection, terms: Terms, now: i64) -> Result<u64, StoreError> {
    let mut query = db.prepare_cached("SELECT id, subscriber, digests FROM request WHERE expires <= ?1")?;
    let over: Vec<(i64, i64, String)> =
        query.query_map([now], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect::<Result<_, _>>()?;
    for (id, subscriber, digests) in &over {
        db.prepare_cached("DELETE FROM request WHERE id = ?1")?.execute([id])?;
        db.prepare_cached("DELETE FROM letter_returned WHERE request = ?1")?.execute([id])?;
        // A pending subscription without a consent is the request's; one of a list has a consent.
        db.prepare_cached(
            "DELETE FROM subscription WHERE subscriber = ?1 AND state = 'pending'
               AND digest IN (SELECT value FROM json_each(?2))
               AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.subscriber = ?1 AND c.digest = subscription.digest)
               AND NOT EXISTS (SELECT 1 FROM request r, json_each(r.digests) j
                               WHERE r.subscriber = ?1 AND r.state = 'open' AND j.value = subscription.digest)",
        )?
        .execute(params![subscriber, digests])?;
        db.prepare_cached(
            "DELETE FROM subscriber WHERE id = ?1
               AND NOT EXISTS (SELECT 1 FROM subscription WHERE subscriber = ?1)
               AND NOT EXISTS (SELECT 1 FROM consent WHERE subscriber = ?1)
               AND NOT EXISTS (SELECT 1 FROM request WHERE subscriber = ?1)
               AND NOT EXISTS (SELECT 1 FROM pause WHERE subscriber = ?1)
               AND NOT EXISTS (SELECT 1 FROM edition e CROSS JOIN delivery d ON d.edition = e.id AND d.subscriber = ?1)",
        )?
        .execute([subscriber])?;
    }
    db.prepare_cached("DELETE FROM asked WHERE at <= ?1")?.execute([now.saturating_sub(span(terms.every))])?;
    db.prepare_cached("DELETE FROM pause WHERE until <= ?1")?.execute([now])?;
    Ok(over.len() as u64)
}

/// Nothing is written to this address any more, so what was to be confirmed there is over.
pub(super) fn call_off_to(db: &Connection, key: &str) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE request SET state = 'over', due = NULL
         WHERE state = 'open' AND (goal = ?1
           OR goal IS NULL AND subscriber = (SELECT id FROM subscriber WHERE key = ?1))",
    )?
    .execute([key])?;
    Ok(())
}

/// Requests end with what they ask for: her last word is no.
pub(super) fn call_off(db: &Connection, key: &str, digest: Option<&str>) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE request SET state = 'over', due = NULL
         WHERE subscriber = (SELECT id FROM subscriber WHERE key = ?1) AND state = 'open'
           AND (?2 IS NULL OR EXISTS (SELECT 1 FROM json_each(digests) WHERE value = ?2))",
    )?
    .execute(params![key, digest])?;
    Ok(())
}

fn state(db: &Connection, subscriber: i64, digest: &str) -> Result<Option<SubscriptionState>, StoreError> {
    let state: Option<String> = db
        .prepare_cached("SELECT state FROM subscription WHERE subscriber = ?1 AND digest = ?2")?
        .query_row(params![subscriber, digest], |r| r.get(0))
        .optional()?;
    state.as_deref().map(from_word).transpose()
}

fn has_confirmed(db: &Connection, subscriber: i64) -> Result<bool, StoreError> {
    Ok(db
        .prepare_cached("SELECT 1 FROM subscription WHERE subscriber = ?1 AND state = 'confirmed'")?
        .exists([subscriber])?)
}

fn is_suppressed(db: &Connection, key: &str) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM suppression WHERE key = ?1")?.exists([key])?)
}

/// By what a subscriber is known; `None` where there is none, or she was erased.
fn key_of(db: &Connection, subscriber: i64) -> Result<Option<String>, StoreError> {
    Ok(db
        .prepare_cached("SELECT key FROM subscriber WHERE id = ?1 AND key NOT GLOB 'erased:*'")?
        .query_row([subscriber], |r| r.get(0))
        .optional()?)
}
