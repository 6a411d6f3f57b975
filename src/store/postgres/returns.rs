//! What came back by mail.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::pool::Fault;
use super::records::reply;
use super::row::{millis, time, word};
use super::rules::refused;
use super::sql::{read, row, rows, run, value, write};
use super::subscribers::suppress;
use super::{PostgresStore, person};
use crate::delivery::DeliveryId;
use crate::delivery::returns::{Filed, Mailed, News, Past, Patience, Return, Returns};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::request::RequestId;
use crate::subscriber::{SubscriberId, SuppressionReason};

impl Returns for PostgresStore {
    type Error = StoreError;

    async fn file(
        &self,
        returns: Vec<Return>,
        patience: Patience,
        now: DateTime<Utc>,
    ) -> Result<Vec<Filed>, StoreError> {
        write!(self, db => file_all(&db, &returns, &patience, now).await)
    }

    async fn delivery_of(
        &self,
        edition: EditionId,
        subscriber: SubscriberId,
    ) -> Result<Option<DeliveryId>, StoreError> {
        let one = "SELECT id FROM delivery WHERE edition = $1 AND subscriber = $2";
        let id: Option<i64> = read!(self, db => value(&db, one, &[&edition.0, &subscriber.0]).await)?;
        Ok(id.map(DeliveryId))
    }

    async fn reader_of(&self, delivery: DeliveryId) -> Result<Option<(EditionId, SubscriberId)>, StoreError> {
        let one = "SELECT edition, subscriber FROM delivery WHERE id = $1";
        let found = read!(self, db => row(&db, one, &[&delivery.0]).await)?;
        let read = |r: Row| Ok((EditionId(r.try_get(0)?), SubscriberId(r.try_get(1)?)));
        Ok(found.map(read).transpose().map_err(Fault::Said)?)
    }
}

async fn file_all(
    db: &Transaction<'_>,
    returns: &[Return],
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Vec<Filed>, Fault> {
    let delivery = |one: &Return| if let Mailed::Delivery(id) = one.of { Some(id.0) } else { None };
    let ids: Vec<i64> = returns.iter().filter_map(delivery).collect();
    rows(db, "SELECT 1 FROM delivery WHERE id = ANY($1) ORDER BY id FOR UPDATE", &[&ids]).await?;
    let mut filed = Vec::with_capacity(returns.len());
    for one in returns {
        filed.push(file(db, one, patience, now).await?);
    }
    Ok(filed)
}

async fn file(db: &Transaction<'_>, one: &Return, patience: &Patience, now: DateTime<Utc>) -> Result<Filed, Fault> {
    match one.of {
        Mailed::Delivery(delivery) => file_of(db, delivery, one, patience, now).await,
        Mailed::Request(request) => file_letter(db, request, one, now).await,
        Mailed::Notice(edition) => {
            let noted = note_letter(db, (None, Some(edition.0)), one, now).await?;
            Ok(if noted { Filed::Noted } else { Filed::Again })
        }
    }
}

async fn file_letter(
    db: &Transaction<'_>,
    request: RequestId,
    one: &Return,
    now: DateTime<Utc>,
) -> Result<Filed, Fault> {
    let to = "SELECT coalesce(r.goal, s.key), r.state FROM request r JOIN subscriber s ON s.id = r.subscriber
              WHERE r.id = $1 FOR UPDATE OF r";
    let Some(to) = row(db, to, &[&request.0]).await? else { return Ok(Filed::Nobody) };
    let (key, state): (String, String) = (to.try_get(0)?, to.try_get(1)?);
    if !note_letter(db, (Some(request.0), None), one, now).await? {
        return Ok(Filed::Again);
    }
    // A letter that was answered had arrived, whatever bounces afterwards. A complaint is one all the same.
    if !one.is_final() || one.news == News::Bounced && state == "confirmed" {
        return Ok(Filed::Noted);
    }
    suppress(db, &key, reason(one), &one.reply.to_string(), millis(now), millis(now)).await?;
    Ok(Filed::Suppressed)
}

/// Writes down that a letter came back; whether that is new.
async fn note_letter(
    db: &Transaction<'_>,
    (request, edition): (Option<i64>, Option<i64>),
    one: &Return,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let note = "INSERT INTO letter_returned (mark, request, edition, at, news) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT DO NOTHING";
    Ok(run(db, note, &[&one.mark.as_slice(), &request, &edition, &millis(now), &word(one.news)?]).await? == 1)
}

fn reason(one: &Return) -> SuppressionReason {
    match one.news {
        News::Complained => SuppressionReason::Complained,
        _ => SuppressionReason::Bounced,
    }
}

async fn file_of(
    db: &Transaction<'_>,
    delivery: DeliveryId,
    one: &Return,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Filed, Fault> {
    let whose = "SELECT s.id, s.key FROM delivery d JOIN subscriber s ON s.id = d.subscriber WHERE d.id = $1";
    let Some(reader) = row(db, whose, &[&delivery.0]).await? else { return Ok(Filed::Nobody) };
    let (reader, key): (i64, String) = (reader.try_get(0)?, reader.try_get(1)?);
    let erased = key.starts_with("erased:");
    // A reply often repeats the address.
    let text = if erased { "" } else { one.reply.text.as_str() };
    let written = run(
        db,
        "INSERT INTO returned (mark, delivery, at, news, cause, counts, code, status, text)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        &[
            &one.mark.as_slice(),
            &delivery.0,
            &millis(now),
            &word(one.news)?,
            &one.cause.map(word).transpose()?,
            &one.counts(),
            &i64::from(one.reply.code),
            &one.reply.status,
            &text,
        ],
    )
    .await?;
    if written == 0 {
        return Ok(Filed::Again);
    }
    let returned: i64 = match one.news {
        News::Delayed | News::Arrived => return Ok(Filed::Noted),
        News::Bounced => 8,
        News::Complained => 9,
    };
    // What came back had gone out: it is uncertain no more, and does not wait to be sent again because it was.
    let settle = "UPDATE delivery SET returned = greatest(returned, $2),
                      state = CASE WHEN state = 6 OR doubts > 0 AND state IN (0, 1) THEN 3 ELSE state END,
                      press = CASE WHEN doubts > 0 AND state = 1 THEN NULL ELSE press END,
                      lease = CASE WHEN doubts > 0 AND state = 1 THEN NULL ELSE lease END
                  WHERE id = $1";
    run(db, settle, &[&delivery.0, &returned]).await?;
    if erased || !(one.is_final() || one.counts() && patience.ends(past(db, reader, &key, patience, now).await?, now)) {
        return Ok(Filed::Noted);
    }
    // That a mailbox is gone says nothing of the one that its reader has moved to; that she wants no more does.
    let whom = if one.news == News::Complained { person::line(db, reader).await? } else { vec![key] };
    for key in whom {
        suppress(db, &key, reason(one), &one.reply.to_string(), millis(now), millis(now)).await?;
    }
    Ok(Filed::Suppressed)
}

/// Deliveries to somebody that the relay took or refused, the newest edition first. What bounced before a
/// suppression was lifted counts no more: whoever lifted it knew of it.
async fn past(
    db: &Transaction<'_>,
    reader: i64,
    key: &str,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Vec<Past>, Fault> {
    let taken = "SELECT d.ended, d.returned, (SELECT max(r.at) FROM returned r WHERE r.delivery = d.id AND r.counts
                                              AND r.at > (SELECT coalesce(max(lifted), 0) FROM lifted WHERE key = $3)),
                        a.code, a.status, a.text,
                        coalesce(d.ended > (SELECT coalesce(max(lifted), 0) FROM lifted WHERE key = $3), FALSE)
                 FROM delivery d JOIN edition e ON e.id = d.edition
                 LEFT JOIN attempt a ON d.state = 4 AND a.delivery = d.id
                     AND a.number = (SELECT max(t.number) FROM attempt t WHERE t.delivery = d.id AND t.held)
                 WHERE d.subscriber = $1 AND e.approved >= $2 AND (d.state IN (3, 4) OR d.returned IS NOT NULL)
                 ORDER BY e.id DESC";
    let found = rows(db, taken, &[&reader, &millis(patience.horizon(now)), &key]).await?;
    let read = |r: &Row| {
        let ended = time(r.try_get::<_, Option<i64>>(0)?.unwrap_or_default())?;
        Ok(match (r.try_get::<_, Option<i64>>(1)?, r.try_get::<_, Option<i64>>(2)?, r.try_get::<_, Option<i64>>(3)?) {
            (_, Some(bounced), _) => Past::Bounced(time(bounced)?),
            (None, None, None) => Past::Silent(ended),
            (None, None, Some(_)) if r.try_get(6)? => refused(&reply(r, 3)?, ended),
            _ => Past::Refused,
        })
    };
    found.iter().map(read).collect()
}
