//! What came back by mail.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::row::{millis, time, word};
use super::rules::refused;
use super::subscribers::suppress;
use super::{SqliteStore, person};
use crate::delivery::returns::{Filed, Mailed, News, Past, Patience, Return, Returns};
use crate::delivery::{DeliveryId, Reply};
use crate::digest::EditionId;
use crate::store::StoreError;
use crate::subscriber::request::RequestId;
use crate::subscriber::{SubscriberId, SuppressionReason};

impl Returns for SqliteStore {
    type Error = StoreError;

    async fn file(
        &self,
        returns: Vec<Return>,
        patience: Patience,
        now: DateTime<Utc>,
    ) -> Result<Vec<Filed>, StoreError> {
        self.writer.write(move |db| returns.iter().map(|one| file(db, one, &patience, now)).collect()).await
    }

    async fn delivery_of(
        &self,
        edition: EditionId,
        subscriber: SubscriberId,
    ) -> Result<Option<DeliveryId>, StoreError> {
        self.readers
            .read(move |db| {
                Ok(db
                    .prepare_cached("SELECT id FROM delivery WHERE edition = ?1 AND subscriber = ?2")?
                    .query_row([edition.0, subscriber.0], |r| Ok(DeliveryId(r.get(0)?)))
                    .optional()?)
            })
            .await
    }

    async fn reader_of(&self, delivery: DeliveryId) -> Result<Option<(EditionId, SubscriberId)>, StoreError> {
        self.readers
            .read(move |db| {
                Ok(db
                    .prepare_cached("SELECT edition, subscriber FROM delivery WHERE id = ?1")?
                    .query_row([delivery.0], |r| Ok((EditionId(r.get(0)?), SubscriberId(r.get(1)?))))
                    .optional()?)
            })
            .await
    }
}

fn file(db: &Connection, one: &Return, patience: &Patience, now: DateTime<Utc>) -> Result<Filed, StoreError> {
    match one.of {
        Mailed::Delivery(delivery) => file_of(db, delivery, one, patience, now),
        Mailed::Request(request) => file_letter(db, request, one, now),
        Mailed::Notice(edition) => {
            let noted = note_letter(db, (None, Some(edition.0)), one, now)?;
            Ok(if noted { Filed::Noted } else { Filed::Again })
        }
    }
}

fn file_letter(db: &Connection, request: RequestId, one: &Return, now: DateTime<Utc>) -> Result<Filed, StoreError> {
    let to: Option<(String, String)> = db
        .prepare_cached(
            "SELECT coalesce(r.goal, s.key), r.state FROM request r JOIN subscriber s ON s.id = r.subscriber WHERE r.id = ?1",
        )?
        .query_row([request.0], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((key, state)) = to else { return Ok(Filed::Nobody) };
    if !note_letter(db, (Some(request.0), None), one, now)? {
        return Ok(Filed::Again);
    }
    // A letter that was answered had arrived, whatever bounces afterwards. A complaint is one all the same.
    if !one.is_final() || one.news == News::Bounced && state == "confirmed" {
        return Ok(Filed::Noted);
    }
    suppress(db, &key, reason(one), &one.reply.to_string(), millis(now), millis(now))?;
    Ok(Filed::Suppressed)
}

/// Writes down that a letter came back; whether that is new.
fn note_letter(
    db: &Connection,
    (request, edition): (Option<i64>, Option<i64>),
    one: &Return,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let written = db
        .prepare_cached(
            "INSERT INTO letter_returned (mark, request, edition, at, news) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![one.mark, request, edition, millis(now), word(one.news)?])?;
    Ok(written == 1)
}

fn reason(one: &Return) -> SuppressionReason {
    match one.news {
        News::Complained => SuppressionReason::Complained,
        _ => SuppressionReason::Bounced,
    }
}

fn file_of(
    db: &Connection,
    delivery: DeliveryId,
    one: &Return,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Filed, StoreError> {
    let reader: Option<(i64, String)> = db
        .prepare_cached("SELECT s.id, s.key FROM delivery d JOIN subscriber s ON s.id = d.subscriber WHERE d.id = ?1")?
        .query_row([delivery.0], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((reader, key)) = reader else { return Ok(Filed::Nobody) };
    let erased = key.starts_with("erased:");
    let Reply { code, status, text } = &one.reply;
    let cause = one.cause.map(word).transpose()?;
    let written = db
        .prepare_cached(
            "INSERT INTO returned (mark, delivery, at, news, cause, counts, code, status, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            one.mark,
            delivery.0,
            millis(now),
            word(one.news)?,
            cause,
            one.counts(),
            code,
            status,
            // A reply often repeats the address.
            if erased { "" } else { text }
        ])?;
    if written == 0 {
        return Ok(Filed::Again);
    }
    let returned = match one.news {
        News::Delayed | News::Arrived => return Ok(Filed::Noted),
        News::Bounced => 8,
        News::Complained => 9,
    };
    // What came back had gone out: it is uncertain no more, and does not wait to be sent again because it was.
    db.prepare_cached(
        "UPDATE delivery SET returned = max(coalesce(returned, 0), ?2),
             state = iif(state = 6 OR doubts > 0 AND state IN (0, 1), 3, state),
             press = iif(doubts > 0 AND state = 1, NULL, press), lease = iif(doubts > 0 AND state = 1, NULL, lease)
         WHERE id = ?1",
    )?
    .execute([delivery.0, returned])?;
    if erased || !(one.is_final() || one.counts() && patience.ends(past(db, reader, &key, patience, now)?, now)) {
        return Ok(Filed::Noted);
    }
    // That a mailbox is gone says nothing of the one that its reader has moved to; that she wants no more does.
    let whom = if one.news == News::Complained { person::line(db, reader)? } else { vec![key] };
    for key in whom {
        suppress(db, &key, reason(one), &one.reply.to_string(), millis(now), millis(now))?;
    }
    Ok(Filed::Suppressed)
}

/// Deliveries to somebody that the relay took or refused, the newest edition first. What bounced before a
/// suppression was lifted counts no more: whoever lifted it knew of it.
fn past(
    db: &Connection,
    reader: i64,
    key: &str,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Vec<Past>, StoreError> {
    // By edition: deliveries are found by edition and subscriber.
    let mut query = db.prepare_cached(
        "SELECT d.ended, d.returned, (SELECT max(r.at) FROM returned r WHERE r.delivery = d.id AND r.counts
                                      AND r.at > (SELECT coalesce(max(lifted), 0) FROM lifted WHERE key = ?3)),
                a.code, a.status, a.text, coalesce(d.ended > (SELECT coalesce(max(lifted), 0) FROM lifted WHERE key = ?3), FALSE)
         FROM edition e CROSS JOIN delivery d ON d.edition = e.id AND d.subscriber = ?1
         LEFT JOIN attempt a ON d.state = 4 AND a.delivery = d.id
             AND a.number = (SELECT max(number) FROM attempt WHERE delivery = d.id AND held)
         WHERE e.approved >= ?2 AND (d.state IN (3, 4) OR d.returned IS NOT NULL) ORDER BY e.id DESC",
    )?;
    let mut rows = query.query(params![reader, millis(patience.horizon(now)), key])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let ended = time(r.get::<_, Option<i64>>(0)?.unwrap_or_default())?;
        let code: Option<u16> = r.get(3)?;
        found.push(match (r.get::<_, Option<i64>>(1)?, r.get::<_, Option<i64>>(2)?, code) {
            (_, Some(bounced), _) => Past::Bounced(time(bounced)?),
            (None, None, None) => Past::Silent(ended),
            (None, None, Some(code)) if r.get(6)? => {
                refused(&Reply { code, status: r.get(4)?, text: r.get(5)? }, ended)
            }
            _ => Past::Refused,
        });
    }
    Ok(found)
}
