//! Editions, their pieces, and the sealing that writes deliveries.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use std::collections::{HashMap, HashSet};
use tokio_postgres::Row;

use super::PostgresStore;
use super::pool::Fault;
use super::row::{count, from_json, from_word, json, millis, small, time, time_or_none, word};
use super::signatures::forget;
use super::sql::{read, row, rows, run, value, write};
use crate::digest::edition::{Edits, Stale};
use crate::digest::{Drafted, Edition, EditionId, EditionPiece, EditionState, Editions, Sealed};
use crate::newsroom::ArticleId;
use crate::store::StoreError;

/// After so many deliveries were written at once, the planner is told, or it would read them all to find a few.
const MANY: u64 = 10_000;
/// The class of the advisory locks under which a digest's next number is taken: `PRed`.
const NUMBERS: i32 = 0x5052_6564;

impl Editions for PostgresStore {
    type Error = StoreError;

    async fn known(&self, digest: &str, ids: Vec<ArticleId>) -> Result<HashSet<ArticleId>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
        let known = "SELECT DISTINCT p.article FROM edition_piece p JOIN edition e ON e.id = p.edition
                     WHERE p.article = ANY($1) AND e.digest = $2
                       AND (p.choice = 'never' OR p.choice <> 'later' AND (e.state <> 'withdrawn' OR e.reached AND EXISTS (
               SELECT 1 FROM delivery d WHERE d.edition = e.id AND (d.state IN (2, 3, 6) OR d.doubts > 0))))";
        let found = read!(self, db => rows(&db, known, &[&ids, &digest]).await)?;
        Ok(found.iter().map(|r| Ok(ArticleId(r.try_get(0)?))).collect::<Result<_, Fault>>()?)
    }

    async fn draft(
        &self,
        digest: &str,
        number: u32,
        due: Option<DateTime<Utc>>,
        pieces: Vec<EditionPiece>,
        sealed: Sealed,
        now: DateTime<Utc>,
    ) -> Result<Drafted, StoreError> {
        write!(self, db => draft(&db, (digest, number), due, &pieces, &sealed, now).await)
    }

    async fn revise(&self, edition: Edition) -> Result<Result<(), Stale>, StoreError> {
        write!(self, db => revise(&db, &edition).await)
    }

    async fn approve(&self, edition: Edition, now: DateTime<Utc>) -> Result<Result<u64, Stale>, StoreError> {
        write!(self, db => approve(&db, &edition, millis(now)).await)
    }

    async fn withdraw(&self, id: EditionId, now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
        write!(self, db => withdraw(&db, id, millis(now)).await)
    }

    async fn edition(&self, id: EditionId) -> Result<Option<Edition>, StoreError> {
        read!(self, db => edition(&db, id).await)
    }

    async fn editions(&self, digest: Option<&str>) -> Result<Vec<Edition>, StoreError> {
        read!(self, db => editions(&db, digest).await)
    }

    async fn last_run(&self, digest: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let last = "SELECT max(due) FROM schedule_run WHERE digest = $1";
        let due: Option<Option<i64>> = read!(self, db => value(&db, last, &[&digest]).await)?;
        time_or_none(due.flatten())
    }

    async fn ran(&self, digest: &str, due: DateTime<Utc>) -> Result<(), StoreError> {
        write!(self, db => ran(&db, digest, due).await)?;
        Ok(())
    }
}

/// Writes down that a due time was handled; whether that is new.
async fn ran(db: &Transaction<'_>, digest: &str, due: DateTime<Utc>) -> Result<bool, Fault> {
    run(db, "DELETE FROM schedule_run WHERE digest = $1 AND due > $2", &[&digest, &millis(due)]).await?;
    let handled = "INSERT INTO schedule_run (digest, due) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(run(db, handled, &[&digest, &millis(due)]).await? == 1)
}

async fn draft(
    db: &Transaction<'_>,
    (digest, number): (&str, u32),
    due: Option<DateTime<Utc>>,
    pieces: &[EditionPiece],
    sealed: &Sealed,
    now: DateTime<Utc>,
) -> Result<Drafted, Fault> {
    let number = i64::from(number);
    // One after the other.
    rows(db, "SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&NUMBERS, &digest]).await?;
    let next: Option<i64> =
        value(db, "SELECT 1 + coalesce(max(number), 0) FROM edition WHERE digest = $1", &[&digest]).await?;
    if next != Some(number) {
        return Ok(Drafted::Outrun);
    }
    if let Some(due) = due
        && !ran(db, digest, due).await?
    {
        return Ok(Drafted::Handled);
    }
    let id: Option<i64> = value(
        db,
        "INSERT INTO edition (digest, number, state, made, subject, preheader, edits, sealed, due)
         VALUES ($1, $2, 'draft', $3, $4, $5, $6, $7, $8) RETURNING id",
        &[
            &digest,
            &number,
            &millis(now),
            &sealed.subject,
            &sealed.preheader,
            &json(&Edits::default())?,
            &json(sealed)?,
            &due.map(millis),
        ],
    )
    .await?;
    let id = EditionId(id.ok_or(StoreError::Stopped)?);
    write_pieces(db, id, pieces).await?;
    Ok(Drafted::Made(Box::new(edition(db, id).await?.ok_or(StoreError::Stopped)?)))
}

async fn revise(db: &Transaction<'_>, edition: &Edition) -> Result<Result<(), Stale>, Fault> {
    match stands(db, edition).await? {
        Ok(EditionState::Draft) => {}
        Ok(state) => return Ok(Err(Stale::State(state))),
        Err(stale) => return Ok(Err(stale)),
    }
    let Edition { id, edits, sealed, .. } = edition;
    let revise = "UPDATE edition SET edits = $2, sealed = $3, subject = $4, preheader = $5, revision = revision + 1
                  WHERE id = $1";
    run(db, revise, &[&id.0, &json(edits)?, &json(sealed)?, &sealed.subject, &sealed.preheader]).await?;
    write_pieces(db, *id, &edition.pieces).await?;
    Ok(Ok(()))
}

async fn write_pieces(db: &Transaction<'_>, id: EditionId, wanted: &[EditionPiece]) -> Result<(), Fault> {
    // A first edition has the whole archive before it.
    if pieces(db, &[id.0]).await?.remove(&id.0).unwrap_or_default() == wanted {
        return Ok(());
    }
    run(db, "DELETE FROM edition_piece WHERE edition = $1", &[&id.0]).await?;
    let places: Vec<i64> = (0..).take(wanted.len()).collect();
    let articles: Vec<&str> = wanted.iter().map(|p| p.id.0.as_str()).collect();
    let titles: Vec<&str> = wanted.iter().map(|p| p.title.as_str()).collect();
    let choices: Vec<String> = wanted.iter().map(|p| word(p.choice)).collect::<Result<_, _>>()?;
    let insert = "INSERT INTO edition_piece (edition, place, article, title, choice)
                  SELECT $1, t.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) AS t";
    run(db, insert, &[&id.0, &places, &articles, &titles, &choices]).await?;
    Ok(())
}

/// How an edition stands; it stays so until the transaction ends.
async fn state(db: &Transaction<'_>, id: EditionId) -> Result<Option<EditionState>, Fault> {
    let state: Option<String> = value(db, "SELECT state FROM edition WHERE id = $1 FOR UPDATE", &[&id.0]).await?;
    Ok(state.as_deref().map(from_word).transpose()?)
}

/// How an edition stands, if it is still the one that was read; it stays so until the transaction ends.
async fn stands(db: &Transaction<'_>, read: &Edition) -> Result<Result<EditionState, Stale>, Fault> {
    let now = "SELECT state, revision FROM edition WHERE id = $1 FOR UPDATE";
    let now = row(db, now, &[&read.id.0]).await?.ok_or(StoreError::Stopped)?;
    let state = from_word(now.try_get(0)?)?;
    Ok(match state {
        EditionState::Withdrawn => Err(Stale::State(state)),
        _ if small(now.try_get(1)?) != read.revision => Err(Stale::Revised),
        _ => Ok(state),
    })
}

async fn approve(db: &Transaction<'_>, edition: &Edition, now: i64) -> Result<Result<u64, Stale>, Fault> {
    let Edition { id, sealed, seal, .. } = edition;
    match stands(db, edition).await? {
        Err(stale) => return Ok(Err(stale)),
        Ok(EditionState::Draft) => {}
        Ok(_) => {
            let written: Option<i64> = value(db, "SELECT count(*) FROM delivery WHERE edition = $1", &[&id.0]).await?;
            return Ok(Ok(count(written.unwrap_or(0))));
        }
    }
    write_pieces(db, *id, &edition.pieces).await?;
    run(
        db,
        "UPDATE edition SET state = 'approved', approved = $2, sealed = $3, subject = $4, preheader = $5, seal = $6
         WHERE id = $1",
        &[&id.0, &now, &json(sealed)?, &sealed.subject, &sealed.preheader, &seal],
    )
    .await?;
    let written = run(
        db,
        "INSERT INTO delivery (edition, subscriber, due)
         SELECT e.id, n.subscriber, $2
         FROM edition e
         JOIN subscription n ON n.digest = e.digest AND n.state = 'confirmed'
         JOIN subscriber s ON s.id = n.subscriber
         WHERE e.id = $1 AND NOT EXISTS (SELECT 1 FROM suppression x WHERE x.key = s.key)
           AND NOT EXISTS (SELECT 1 FROM pause p WHERE p.subscriber = n.subscriber AND p.until > $2)
         ORDER BY n.subscriber",
        &[&id.0, &now],
    )
    .await?;
    if written >= MANY {
        db.batch_execute("ANALYZE delivery").await?;
    }
    Ok(Ok(written))
}

async fn withdraw(db: &Transaction<'_>, id: EditionId, now: i64) -> Result<Option<u64>, Fault> {
    match state(db, id).await? {
        None | Some(EditionState::Sent) => return Ok(None),
        Some(EditionState::Withdrawn) => return Ok(Some(0)),
        Some(_) => {}
    }
    let withdrawn = run(
        db,
        "UPDATE delivery SET state = 7, press = NULL, lease = NULL, ended = $2
         WHERE state IN (0, 1) AND id IN (SELECT id FROM delivery WHERE edition = $1 AND state IN (0, 1)
                                          ORDER BY id FOR UPDATE)",
        &[&id.0, &now],
    )
    .await?;
    run(
        db,
        "UPDATE edition SET state = 'withdrawn', ended = $2, paused = NULL,
             reached = EXISTS (SELECT 1 FROM delivery WHERE edition = $1 AND (state IN (2, 3, 6) OR doubts > 0))
         WHERE id = $1",
        &[&id.0, &now],
    )
    .await?;
    forget(db, id).await?;
    Ok(Some(withdrawn))
}

async fn edition(db: &Transaction<'_>, id: EditionId) -> Result<Option<Edition>, Fault> {
    let one = "SELECT id, digest, number, state, paused, made, approved, edits, seal, due, revision, reached, sealed
               FROM edition
               WHERE id = $1";
    let Some(r) = row(db, one, &[&id.0]).await? else { return Ok(None) };
    let sealed = from_json(r.try_get(12)?)?;
    let pieces = pieces(db, &[id.0]).await?.remove(&id.0).unwrap_or_default();
    Ok(Some(read(&r, sealed, pieces)?))
}

async fn editions(db: &Transaction<'_>, digest: Option<&str>) -> Result<Vec<Edition>, Fault> {
    let all = "SELECT id, digest, number, state, paused, made, approved, edits, seal, due, revision, reached, subject,
               preheader
               FROM edition WHERE $1::text IS NULL OR digest = $1 ORDER BY made DESC, id DESC";
    let found = rows(db, all, &[&digest]).await?;
    let ids: Vec<i64> = found.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>()?;
    let mut pieces = pieces(db, &ids).await?;
    let mut editions = Vec::with_capacity(found.len());
    for r in &found {
        let made = time(r.try_get(5)?)?;
        let sealed = Sealed {
            subject: r.try_get(12)?,
            preheader: r.try_get(13)?,
            html: String::new(),
            text: String::new(),
            mark: String::new(),
            shortened: false,
            headers: vec![],
            date: time_or_none(r.try_get(6)?)?.unwrap_or(made),
        };
        editions.push(read(r, sealed, pieces.remove(&r.try_get(0)?).unwrap_or_default())?);
    }
    Ok(editions)
}

fn read(r: &Row, sealed: Sealed, pieces: Vec<EditionPiece>) -> Result<Edition, Fault> {
    Ok(Edition {
        id: EditionId(r.try_get(0)?),
        digest: r.try_get(1)?,
        number: small(r.try_get(2)?),
        state: from_word(r.try_get(3)?)?,
        paused: r.try_get(4)?,
        made: time(r.try_get(5)?)?,
        approved: time_or_none(r.try_get(6)?)?,
        pieces,
        edits: from_json(r.try_get(7)?)?,
        sealed,
        seal: r.try_get(8)?,
        due: time_or_none(r.try_get(9)?)?,
        revision: small(r.try_get(10)?),
        reached: r.try_get(11)?,
    })
}

async fn pieces(db: &Transaction<'_>, of: &[i64]) -> Result<HashMap<i64, Vec<EditionPiece>>, Fault> {
    let pieces = "SELECT edition, article, title, choice FROM edition_piece WHERE edition = ANY($1)
                  ORDER BY edition, place";
    let mut found: HashMap<i64, Vec<EditionPiece>> = HashMap::new();
    for r in rows(db, pieces, &[&of]).await? {
        found.entry(r.try_get(0)?).or_default().push(EditionPiece {
            id: ArticleId(r.try_get(1)?),
            title: r.try_get(2)?,
            choice: from_word(r.try_get(3)?)?,
        });
    }
    Ok(found)
}
