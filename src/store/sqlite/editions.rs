//! Editions, their pieces, and the sealing that writes deliveries.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashSet;

use super::SqliteStore;
use super::row::{count, from_json, from_word, json, millis, small, time, time_or_none, word};
use super::signatures::forget;
use crate::digest::edition::{Edits, Stale};
use crate::digest::{Drafted, Edition, EditionId, EditionPiece, EditionState, Editions, Sealed};
use crate::newsroom::ArticleId;
use crate::store::StoreError;

impl Editions for SqliteStore {
    type Error = StoreError;

    async fn known(&self, digest: &str, ids: Vec<ArticleId>) -> Result<HashSet<ArticleId>, StoreError> {
        let digest = digest.to_owned();
        self.readers.read(move |db| known(db, &digest, ids)).await
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
        let digest = digest.to_owned();
        self.writer.write(move |db| draft(db, (&digest, number), due, &pieces, &sealed, now)).await
    }

    async fn revise(&self, edition: Edition) -> Result<Result<(), Stale>, StoreError> {
        self.writer.write(move |db| revise(db, &edition)).await
    }

    async fn approve(&self, edition: Edition, now: DateTime<Utc>) -> Result<Result<u64, Stale>, StoreError> {
        self.writer.write(move |db| approve(db, &edition, millis(now))).await
    }

    async fn withdraw(&self, id: EditionId, now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
        self.writer.write(move |db| withdraw(db, id, millis(now))).await
    }

    async fn edition(&self, id: EditionId) -> Result<Option<Edition>, StoreError> {
        self.readers.read(move |db| edition(db, id)).await
    }

    async fn editions(&self, digest: Option<&str>) -> Result<Vec<Edition>, StoreError> {
        let digest = digest.map(str::to_owned);
        self.readers.read(move |db| editions(db, digest.as_deref())).await
    }

    async fn last_run(&self, digest: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let digest = digest.to_owned();
        self.readers
            .read(move |db| {
                let due: Option<i64> = db
                    .prepare_cached("SELECT max(due) FROM schedule_run WHERE digest = ?1")?
                    .query_row([digest], |r| r.get(0))?;
                time_or_none(due)
            })
            .await
    }

    async fn ran(&self, digest: &str, due: DateTime<Utc>) -> Result<(), StoreError> {
        let digest = digest.to_owned();
        self.writer.write(move |db| ran(db, &digest, due).map(|_| ())).await
    }
}

/// Writes down that a due time was handled; whether that is new.
pub(super) fn ran(db: &Connection, digest: &str, due: DateTime<Utc>) -> Result<bool, StoreError> {
    db.prepare_cached("DELETE FROM schedule_run WHERE digest = ?1 AND due > ?2")?
        .execute(params![digest, millis(due)])?;
    let written = db
        .prepare_cached("INSERT INTO schedule_run (digest, due) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![digest, millis(due)])?;
    Ok(written == 1)
}

fn draft(
    db: &Connection,
    (digest, number): (&str, u32),
    due: Option<DateTime<Utc>>,
    pieces: &[EditionPiece],
    sealed: &Sealed,
    now: DateTime<Utc>,
) -> Result<Drafted, StoreError> {
    let next: u32 = db
        .prepare_cached("SELECT 1 + coalesce(max(number), 0) FROM edition WHERE digest = ?1")?
        .query_row([digest], |r| r.get(0))?;
    if number != next {
        return Ok(Drafted::Outrun);
    }
    if let Some(due) = due
        && !ran(db, digest, due)?
    {
        return Ok(Drafted::Handled);
    }
    db.prepare_cached(
        "INSERT INTO edition (digest, number, state, made, subject, preheader, edits, sealed, due)
         VALUES (?1, ?2, 'draft', ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        digest,
        number,
        millis(now),
        sealed.subject,
        sealed.preheader,
        json(&Edits::default())?,
        json(sealed)?,
        due.map(millis)
    ])?;
    let id = EditionId(db.last_insert_rowid());
    write_pieces(db, id, pieces)?;
    edition(db, id)?.map(|edition| Drafted::Made(Box::new(edition))).ok_or(StoreError::Stopped)
}

fn known(db: &Connection, digest: &str, ids: Vec<ArticleId>) -> Result<HashSet<ArticleId>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT 1 FROM edition_piece p JOIN edition e ON e.id = p.edition
         WHERE p.article = ?1 AND e.digest = ?2
           AND (p.choice = 'never' OR p.choice <> 'later' AND (e.state <> 'withdrawn' OR e.reached AND EXISTS (
               SELECT 1 FROM delivery d WHERE d.edition = e.id AND (d.state IN (2, 3, 6) OR d.doubts > 0))))",
    )?;
    let mut known = HashSet::new();
    for id in ids {
        if query.exists(params![id.0, digest])? {
            known.insert(id);
        }
    }
    Ok(known)
}

fn write_pieces(db: &Connection, id: EditionId, wanted: &[EditionPiece]) -> Result<(), StoreError> {
    // A first edition has the whole archive before it.
    if pieces(db, id)? == wanted {
        return Ok(());
    }
    db.prepare_cached("DELETE FROM edition_piece WHERE edition = ?1")?.execute([id.0])?;
    let mut insert = db.prepare_cached(
        "INSERT INTO edition_piece (edition, place, article, title, choice) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (place, piece) in (0_i64..).zip(wanted) {
        insert.execute(params![id.0, place, piece.id.0, piece.title, word(piece.choice)?])?;
    }
    Ok(())
}

fn revise(db: &Connection, edition: &Edition) -> Result<Result<(), Stale>, StoreError> {
    match stands(db, edition)? {
        Ok(EditionState::Draft) => {}
        Ok(state) => return Ok(Err(Stale::State(state))),
        Err(stale) => return Ok(Err(stale)),
    }
    let Edition { id, edits, sealed, .. } = edition;
    db.prepare_cached(
        "UPDATE edition SET edits = ?2, sealed = ?3, subject = ?4, preheader = ?5, revision = revision + 1 WHERE id = ?1",
    )?
    .execute(params![id.0, json(edits)?, json(sealed)?, sealed.subject, sealed.preheader])?;
    write_pieces(db, *id, &edition.pieces)?;
    Ok(Ok(()))
}

/// How an edition stands, if it is still the one that was read.
fn stands(db: &Connection, read: &Edition) -> Result<Result<EditionState, Stale>, StoreError> {
    let (state, revision): (String, i64) = db
        .prepare_cached("SELECT state, revision FROM edition WHERE id = ?1")?
        .query_row([read.id.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let state = from_word(&state)?;
    Ok(match state {
        EditionState::Withdrawn => Err(Stale::State(state)),
        _ if small(revision) != read.revision => Err(Stale::Revised),
        _ => Ok(state),
    })
}

fn state(db: &Connection, id: EditionId) -> Result<Option<EditionState>, StoreError> {
    let state: Option<String> =
        db.prepare_cached("SELECT state FROM edition WHERE id = ?1")?.query_row([id.0], |r| r.get(0)).optional()?;
    state.as_deref().map(from_word).transpose()
}

/// Who gets an edition (`?1`) that is approved now (`?2`).
const READERS: &str = "e.id, n.subscriber, ?2
     FROM edition e
     JOIN subscription n ON n.digest = e.digest AND n.state = 'confirmed'
     JOIN subscriber s ON s.id = n.subscriber
     WHERE e.id = ?1 AND NOT EXISTS (SELECT 1 FROM suppression x WHERE x.key = s.key)
       AND NOT EXISTS (SELECT 1 FROM pause p WHERE p.subscriber = n.subscriber AND p.until > ?2)
     ORDER BY n.subscriber";

fn approve(db: &Connection, edition: &Edition, now: i64) -> Result<Result<u64, Stale>, StoreError> {
    let Edition { id, sealed, seal, .. } = edition;
    match stands(db, edition)? {
        Err(stale) => return Ok(Err(stale)),
        Ok(EditionState::Draft) => {}
        Ok(_) => {
            let written: i64 = db
                .prepare_cached("SELECT count(*) FROM delivery WHERE edition = ?1")?
                .query_row([id.0], |r| r.get(0))?;
            return Ok(Ok(count(written)));
        }
    }
    write_pieces(db, *id, &edition.pieces)?;
    db.prepare_cached(
        "UPDATE edition SET state = 'approved', approved = ?2, sealed = ?3, subject = ?4, preheader = ?5, seal = ?6
         WHERE id = ?1",
    )?
    .execute(params![id.0, now, json(sealed)?, sealed.subject, sealed.preheader, seal])?;
    // What a restored copy knows is fewer than were given out: once above those, SQLite counts on by itself.
    let given =
        "SELECT seq FROM sqlite_sequence WHERE name = 'delivery' AND seq > (SELECT coalesce(max(id), 0) FROM delivery)";
    let given: Option<i64> = db.prepare_cached(given)?.query_row([], |r| r.get(0)).optional()?;
    let mut written = 0;
    if let Some(given) = given {
        let first = format!("INSERT INTO delivery (id, edition, subscriber, due) SELECT ?3 + 1, {READERS} LIMIT 1");
        written += db.prepare_cached(&first)?.execute(params![id.0, now, given])?;
    }
    let all = format!("INSERT INTO delivery (edition, subscriber, due) SELECT {READERS} ON CONFLICT DO NOTHING");
    written += db.prepare_cached(&all)?.execute(params![id.0, now])?;
    Ok(Ok(written as u64))
}

fn withdraw(db: &Connection, id: EditionId, now: i64) -> Result<Option<u64>, StoreError> {
    match state(db, id)? {
        None | Some(EditionState::Sent) => return Ok(None),
        Some(EditionState::Withdrawn) => return Ok(Some(0)),
        Some(_) => {}
    }
    let withdrawn = db
        .prepare_cached(
            "UPDATE delivery SET state = 7, press = NULL, lease = NULL, ended = ?2 WHERE edition = ?1 AND state IN (0, 1)",
        )?
        .execute(params![id.0, now])?;
    db.prepare_cached(
        "UPDATE edition SET state = 'withdrawn', ended = ?2, paused = NULL,
             reached = EXISTS (SELECT 1 FROM delivery WHERE edition = ?1 AND (state IN (2, 3, 6) OR doubts > 0))
         WHERE id = ?1",
    )?
    .execute(params![id.0, now])?;
    forget(db, id)?;
    Ok(Some(withdrawn as u64))
}

fn edition(db: &Connection, id: EditionId) -> Result<Option<Edition>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT id, digest, number, state, paused, made, approved, edits, seal, due, revision, reached, sealed FROM edition WHERE id = ?1",
    )?;
    let mut rows = query.query([id.0])?;
    let Some(r) = rows.next()? else { return Ok(None) };
    let sealed = from_json(&r.get::<_, String>(12)?)?;
    read(db, r, sealed).map(Some)
}

fn editions(db: &Connection, digest: Option<&str>) -> Result<Vec<Edition>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT id, digest, number, state, paused, made, approved, edits, seal, due, revision, reached, subject, preheader
         FROM edition
         WHERE ?1 IS NULL OR digest = ?1 ORDER BY made DESC, id DESC",
    )?;
    let mut rows = query.query([digest])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        let made = time(r.get(5)?)?;
        let sealed = Sealed {
            subject: r.get(12)?,
            preheader: r.get(13)?,
            html: String::new(),
            text: String::new(),
            mark: String::new(),
            shortened: false,
            headers: vec![],
            date: time_or_none(r.get(6)?)?.unwrap_or(made),
        };
        found.push(read(db, r, sealed)?);
    }
    Ok(found)
}

fn read(db: &Connection, r: &Row<'_>, sealed: Sealed) -> Result<Edition, StoreError> {
    let id = EditionId(r.get(0)?);
    Ok(Edition {
        id,
        digest: r.get(1)?,
        number: small(r.get(2)?),
        state: from_word(&r.get::<_, String>(3)?)?,
        paused: r.get(4)?,
        made: time(r.get(5)?)?,
        approved: time_or_none(r.get(6)?)?,
        pieces: pieces(db, id)?,
        edits: from_json(&r.get::<_, String>(7)?)?,
        sealed,
        seal: r.get(8)?,
        due: time_or_none(r.get(9)?)?,
        revision: small(r.get(10)?),
        reached: r.get(11)?,
    })
}

fn pieces(db: &Connection, id: EditionId) -> Result<Vec<EditionPiece>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT article, title, choice FROM edition_piece WHERE edition = ?1 ORDER BY place")?;
    let mut rows = query.query([id.0])?;
    let mut found = vec![];
    while let Some(r) = rows.next()? {
        found.push(EditionPiece {
            id: ArticleId(r.get(0)?),
            title: r.get(1)?,
            choice: from_word(&r.get::<_, String>(2)?)?,
        });
    }
    Ok(found)
}
