//! What readers ask for on the public pages.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::pool::Fault;
use super::row::{address, count, from_json, from_word, json, key, millis, small, span, time, word};
use super::rules::{MOVED, PAGE};
use super::sql::{exists, read, row, rows, run, value, write};
use super::subscribers::{end, leave_everything, withdraw};
use super::{PostgresStore, person};
use crate::store::StoreError;
use crate::subscriber::fold::LimitKey;
use crate::subscriber::request::{Ask, Request, RequestId, RequestKind, Requests, Terms, Wish};
use crate::subscriber::{Address, EVERYTHING, ErasureKey, Held, Subscriber, SubscriberId, SubscriptionState};

/// A letter that was given out and not heard of for so long (milliseconds) is given out again.
const POSTING: i64 = 10 * 60 * 1000;

const REQUEST: &str =
    "SELECT r.id, r.subscriber, r.kind, coalesce(r.address, s.address), r.digests, r.language, r.asked,
        r.tries, r.state FROM request r JOIN subscriber s ON s.id = r.subscriber";

/// Its letter may go out. The inbox may have been suppressed after it was asked. Where somebody moves away from is not written to.
const WANTED: &str =
    "r.state = 'open' AND NOT EXISTS (SELECT 1 FROM suppression x WHERE x.key = coalesce(r.goal, s.key))";

impl Requests for PostgresStore {
    type Error = StoreError;

    async fn ask(&self, ask: Ask, terms: Terms, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let erasure = self.erasure.as_ref().ok_or(StoreError::ErasureKey)?;
        write!(self, db => self::ask(&db, erasure, &ask, terms, millis(now)).await)
    }

    async fn request(&self, id: RequestId, now: DateTime<Utc>) -> Result<Option<Request>, StoreError> {
        let found = read!(self, db => request(&db, id, millis(now), "").await)?;
        Ok(found.map(|(request, _)| request))
    }

    async fn confirm(
        &self,
        id: RequestId,
        network: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Subscriber>, StoreError> {
        write!(self, db => confirm(&db, self.erasure.as_ref(), id, network, millis(now)).await)
    }

    async fn person(&self, id: SubscriberId) -> Result<Option<Held>, StoreError> {
        read!(self, db => person::by_number(&db, id).await)
    }

    async fn leave(&self, id: SubscriberId, digest: Option<&str>, now: DateTime<Utc>) -> Result<bool, StoreError> {
        write!(self, db => leave(&db, id.0, digest, millis(now)).await)
    }

    async fn take_break(
        &self,
        id: SubscriberId,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        write!(self, db => take_break(&db, id.0, until.map(millis), millis(now)).await)
    }

    /// Given out to one machine at a time: what is read here is not due again for a while.
    async fn letters(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Request>, StoreError> {
        write!(self, db => letters(&db, limit, millis(now)).await)
    }

    async fn is_wanted(&self, id: RequestId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let one = format!("{REQUEST} WHERE r.id = $1 AND r.expires > $2 AND {WANTED}");
        read!(self, db => exists(&db, &one, &[&id.0, &millis(now)]).await)
    }

    async fn posted(&self, id: RequestId, again: Option<DateTime<Utc>>) -> Result<(), StoreError> {
        let posted = "UPDATE request SET due = $2, tries = tries + 1 WHERE id = $1";
        write!(self, db => run(&db, posted, &[&id.0, &again.map(millis)]).await)?;
        Ok(())
    }

    async fn expire(&self, terms: Terms, now: DateTime<Utc>) -> Result<u64, StoreError> {
        write!(self, db => expire(&db, terms, millis(now)).await)
    }

    async fn standing(&self) -> Result<Vec<(SubscriptionState, u64)>, StoreError> {
        let states = "SELECT state, count(*) FROM subscription WHERE digest <> $1 GROUP BY state ORDER BY state";
        let found = read!(self, db => rows(&db, states, &[&EVERYTHING]).await)?;
        let read = |r: &Row| Ok((from_word(r.try_get(0)?)?, count(r.try_get(1)?)));
        Ok(found.iter().map(read).collect::<Result<_, Fault>>()?)
    }
}

async fn ask(db: &Transaction<'_>, erasure: &ErasureKey, ask: &Ask, terms: Terms, now: i64) -> Result<bool, Fault> {
    let mark = erasure.limit(&LimitKey::of(&ask.address)).to_vec();
    // Written also where no mail goes out, so that the answer takes equally long. Whoever asks at the same moment waits here.
    let may = run(
        db,
        "INSERT INTO asked (mark, at) VALUES ($1, $2)
         ON CONFLICT (mark) DO UPDATE SET at = excluded.at WHERE excluded.at - asked.at >= $3::bigint",
        &[&mark, &now, &span(terms.every)],
    )
    .await?;
    let key = key(&ask.address);
    if may == 0 || is_suppressed(db, &key).await? {
        return Ok(false);
    }
    person::hold_erasures(db).await?;
    let known: Option<i64> = value(db, "SELECT id FROM subscriber WHERE key = $1", &[&key]).await?;
    let (subscriber, kind, digests, to) = match &ask.wish {
        Wish::Subscribe(digests) => {
            let subscriber = match known {
                Some(id) => id,
                None => person::begin(db, &ask.address, "", Some(&ask.language), now).await?,
            };
            let mut wanted = vec![];
            for digest in digests {
                if state(db, subscriber, digest).await? != Some(SubscriptionState::Confirmed) {
                    wanted.push(digest.clone());
                    // One that has ended stays so until it is confirmed: a list must not find it open again.
                    let pending = "INSERT INTO subscription (digest, subscriber, state, since)
                                   VALUES ($1, $2, 'pending', $3) ON CONFLICT DO NOTHING";
                    run(db, pending, &[digest, &subscriber, &now]).await?;
                }
            }
            let kind = if wanted.is_empty() { RequestKind::Link } else { RequestKind::Subscribe };
            (subscriber, kind, wanted, None)
        }
        Wish::Link => match known {
            Some(subscriber) if has_confirmed(db, subscriber).await? => (subscriber, RequestKind::Link, vec![], None),
            _ => return Ok(false),
        },
        Wish::Move(from) => {
            if key_of(db, from.0).await?.is_none_or(|old| old == key) {
                return Ok(false);
            }
            (from.0, RequestKind::Move, vec![], Some(ask.address.as_str()))
        }
    };
    run(
        db,
        "INSERT INTO request (subscriber, kind, digests, address, goal, language, network, wording, asked, expires, due)
         VALUES ($1, $2, $3, $4, $10, $5, $6, $7, $8, $9, $8)",
        &[
            &subscriber,
            &word(kind)?,
            &json(&digests)?,
            &to,
            &ask.language,
            &ask.network,
            &ask.wording,
            &now,
            &now.saturating_add(span(terms.within)),
            &to.map(|_| &key),
        ],
    )
    .await?;
    Ok(true)
}

/// A request that is not over, and whether it was confirmed. `lock` is empty, or locks it.
async fn request(db: &Transaction<'_>, id: RequestId, now: i64, lock: &str) -> Result<Option<(Request, bool)>, Fault> {
    let one = format!("{REQUEST} WHERE r.id = $1 AND r.expires > $2 AND r.state <> 'over' {lock}");
    row(db, &one, &[&id.0, &now]).await?.as_ref().map(read).transpose()
}

fn read(r: &Row) -> Result<(Request, bool), Fault> {
    let request = Request {
        id: RequestId(r.try_get(0)?),
        subscriber: SubscriberId(r.try_get(1)?),
        kind: from_word(r.try_get(2)?)?,
        to: address(r.try_get(3)?)?,
        digests: from_json(r.try_get(4)?)?,
        language: r.try_get(5)?,
        asked: time(r.try_get(6)?)?,
        tries: small(r.try_get(7)?),
    };
    Ok((request, r.try_get::<_, &str>(8)? == "confirmed"))
}

async fn confirm(
    db: &Transaction<'_>,
    erasure: Option<&ErasureKey>,
    id: RequestId,
    network: &str,
    now: i64,
) -> Result<Option<Subscriber>, Fault> {
    person::hold_erasures(db).await?;
    let Some((request, confirmed)) = request(db, id, now, "FOR UPDATE OF r").await? else { return Ok(None) };
    let key = key(&request.to);
    if request.kind == RequestKind::Link || is_suppressed(db, &key).await? {
        return Ok(None);
    }
    if !confirmed {
        let written = if request.kind == RequestKind::Move {
            take_over(db, &request, network, now).await?
        } else {
            for digest in &request.digests {
                subscribe(db, request.subscriber.0, digest, (id, PAGE, network), now).await?;
            }
            !request.digests.is_empty()
        };
        if !written {
            return Ok(None);
        }
        if let Some(erasure) = person::eraser(db, erasure).await? {
            come_back(db, erasure, &request.to).await?;
        }
        run(db, "UPDATE request SET state = 'confirmed', due = NULL WHERE id = $1", &[&id.0]).await?;
    }
    person::by_key(db, &key).await
}

/// What she says now is newer than that she asked to be forgotten. Of everything else that was her last word.
async fn come_back(db: &Transaction<'_>, erasure: &ErasureKey, who: &Address) -> Result<(), Fault> {
    let Some(since) = person::erased(db, erasure, who).await? else { return Ok(()) };
    let marks = [erasure.mark(who), erasure.mark_of_old(who)];
    run(db, "DELETE FROM erased WHERE mark IN ($1, $2)", &[&marks[0].as_slice(), &marks[1].as_slice()]).await?;
    leave_everything(db, &key(who), since).await?;
    Ok(())
}

/// The old address ends what it had, so that no list finds it subscribed; the new one has all of it. `false` where the old
/// one had nothing.
async fn take_over(db: &Transaction<'_>, request: &Request, network: &str, now: i64) -> Result<bool, Fault> {
    let Some(old) = person::by_number(db, request.subscriber).await? else { return Ok(false) };
    let confirmed: Vec<_> = old.subscriptions.iter().filter(|s| s.state == SubscriptionState::Confirmed).collect();
    let Some(subscriber) = old.subscriber.as_ref().filter(|_| !confirmed.is_empty()) else { return Ok(false) };
    let new = match person::by_key(db, &key(&request.to)).await? {
        Some(there) => there.id.0,
        None => person::begin(db, &request.to, &subscriber.name, subscriber.language.as_deref(), now).await?,
    };
    for subscription in confirmed {
        subscribe(db, new, &subscription.digest, (request.id, MOVED, network), now).await?;
    }
    let moved = "INSERT INTO pause (subscriber, until) SELECT $2, until FROM pause WHERE subscriber = $1
                 ON CONFLICT (subscriber) DO UPDATE SET until = excluded.until";
    if run(db, moved, &[&subscriber.id.0, &new]).await? > 0 && new != subscriber.id.0 {
        run(db, "DELETE FROM pause WHERE subscriber = $1", &[&subscriber.id.0]).await?;
    }
    end(db, &key(&subscriber.address), None, now, now).await?;
    if new != subscriber.id.0 {
        run(db, "UPDATE subscriber SET moved_to = $2 WHERE id = $1", &[&subscriber.id.0, &new]).await?;
    }
    Ok(true)
}

async fn subscribe(
    db: &Transaction<'_>,
    subscriber: i64,
    digest: &str,
    (request, source, network): (RequestId, &str, &str),
    now: i64,
) -> Result<(), Fault> {
    run(
        db,
        "INSERT INTO subscription (digest, subscriber, state, since) VALUES ($1, $2, 'confirmed', $3)
         ON CONFLICT (digest, subscriber) DO UPDATE SET state = excluded.state, since = excluded.since
         WHERE subscription.state <> 'confirmed'",
        &[&digest, &subscriber, &now],
    )
    .await?;
    run(
        db,
        "INSERT INTO consent (subscriber, digest, source, given, recorded, network, wording)
         SELECT $1, $2, $3, $4, $4, $5, wording FROM request WHERE id = $6",
        &[&subscriber, &digest, &source, &now, &network, &request.0],
    )
    .await?;
    // Whoever is here again has not moved away. So nobody's line of addresses is a circle.
    run(db, "UPDATE subscriber SET moved_to = NULL WHERE id = $1 AND moved_to IS NOT NULL", &[&subscriber]).await?;
    Ok(())
}

async fn leave(db: &Transaction<'_>, subscriber: i64, digest: Option<&str>, now: i64) -> Result<bool, Fault> {
    let mut left = false;
    for key in person::line(db, subscriber).await? {
        left |= end(db, &key, digest, now, now).await?;
    }
    Ok(left)
}

async fn take_break(db: &Transaction<'_>, subscriber: i64, until: Option<i64>, now: i64) -> Result<(), Fault> {
    let Some(key) = key_of(db, subscriber).await? else { return Ok(()) };
    let Some(until) = until else {
        run(db, "DELETE FROM pause WHERE subscriber = $1", &[&subscriber]).await?;
        return Ok(());
    };
    let pause = "INSERT INTO pause (subscriber, until) VALUES ($1, $2)
                 ON CONFLICT (subscriber) DO UPDATE SET until = excluded.until";
    run(db, pause, &[&subscriber, &until]).await?;
    withdraw(db, &key, None, now).await
}

async fn letters(db: &Transaction<'_>, limit: u32, now: i64) -> Result<Vec<Request>, Fault> {
    let open = format!(
        "{REQUEST} WHERE r.due <= $1 AND r.expires > $1 AND {WANTED}
         ORDER BY r.due, r.id LIMIT $2 FOR UPDATE OF r SKIP LOCKED"
    );
    let found = rows(db, &open, &[&now, &i64::from(limit)]).await?;
    let letters: Vec<Request> = found.iter().map(|r| Ok(read(r)?.0)).collect::<Result<_, Fault>>()?;
    if !letters.is_empty() {
        let ids: Vec<i64> = letters.iter().map(|letter| letter.id.0).collect();
        run(db, "UPDATE request SET due = $2 WHERE id = ANY($1)", &[&ids, &(now + POSTING)]).await?;
    }
    Ok(letters)
}

async fn expire(db: &Transaction<'_>, terms: Terms, now: i64) -> Result<u64, Fault> {
    let over = rows(
        db,
        "DELETE FROM request WHERE id IN (SELECT id FROM request WHERE expires <= $1 ORDER BY id FOR UPDATE SKIP LOCKED)
         RETURNING subscriber, digests, id",
        &[&now],
    )
    .await?;
    for r in &over {
        let (subscriber, digests): (i64, String) = (r.try_get(0)?, r.try_get(1)?);
        run(db, "DELETE FROM letter_returned WHERE request = $1", &[&r.try_get::<_, i64>(2)?]).await?;
        // A pending subscription without a consent is the request's; one of a list has a consent.
        run(
            db,
            "DELETE FROM subscription n WHERE subscriber = $1 AND state = 'pending'
               AND $2::text::jsonb ? n.digest
               AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.subscriber = $1 AND c.digest = n.digest)
               AND NOT EXISTS (SELECT 1 FROM request r
                               WHERE r.subscriber = $1 AND r.state = 'open' AND r.digests::jsonb ? n.digest)",
            &[&subscriber, &digests],
        )
        .await?;
        run(
            db,
            "DELETE FROM subscriber WHERE id = $1
               AND NOT EXISTS (SELECT 1 FROM subscription WHERE subscriber = $1)
               AND NOT EXISTS (SELECT 1 FROM consent WHERE subscriber = $1)
               AND NOT EXISTS (SELECT 1 FROM request WHERE subscriber = $1)
               AND NOT EXISTS (SELECT 1 FROM pause WHERE subscriber = $1)
               AND NOT EXISTS (SELECT 1 FROM delivery WHERE subscriber = $1)",
            &[&subscriber],
        )
        .await?;
    }
    run(db, "DELETE FROM asked WHERE at <= $1", &[&now.saturating_sub(span(terms.every))]).await?;
    run(db, "DELETE FROM pause WHERE until <= $1", &[&now]).await?;
    Ok(over.len() as u64)
}

/// Nothing is written to this address any more, so what was to be confirmed there is over.
pub(super) async fn call_off_to(db: &Transaction<'_>, key: &str) -> Result<(), Fault> {
    run(
        db,
        "UPDATE request SET state = 'over', due = NULL
         WHERE state = 'open' AND (goal = $1
           OR goal IS NULL AND subscriber = (SELECT id FROM subscriber WHERE key = $1))",
        &[&key],
    )
    .await?;
    Ok(())
}

/// Requests end with what they ask for: her last word is no.
pub(super) async fn call_off(db: &Transaction<'_>, key: &str, digest: Option<&str>) -> Result<(), Fault> {
    run(
        db,
        "UPDATE request SET state = 'over', due = NULL
         WHERE subscriber = (SELECT id FROM subscriber WHERE key = $1) AND state = 'open'
           AND ($2::text IS NULL OR digests::jsonb ? $2)",
        &[&key, &digest],
    )
    .await?;
    Ok(())
}

async fn state(db: &Transaction<'_>, subscriber: i64, digest: &str) -> Result<Option<SubscriptionState>, Fault> {
    let one = "SELECT state FROM subscription WHERE subscriber = $1 AND digest = $2";
    let state: Option<String> = value(db, one, &[&subscriber, &digest]).await?;
    Ok(state.as_deref().map(from_word).transpose()?)
}

async fn has_confirmed(db: &Transaction<'_>, subscriber: i64) -> Result<bool, Fault> {
    exists(db, "SELECT 1 FROM subscription WHERE subscriber = $1 AND state = 'confirmed'", &[&subscriber]).await
}

async fn is_suppressed(db: &Transaction<'_>, key: &str) -> Result<bool, Fault> {
    exists(db, "SELECT 1 FROM suppression WHERE key = $1", &[&key]).await
}

/// By what a subscriber is known; `None` where there is none, or she was erased.
async fn key_of(db: &Transaction<'_>, subscriber: i64) -> Result<Option<String>, Fault> {
    value(db, "SELECT key FROM subscriber WHERE id = $1 AND key NOT LIKE 'erased:%'", &[&subscriber]).await
}
