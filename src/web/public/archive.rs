//! The editions that were sent, without anything of their readers.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

use super::pages;
use super::{Page, Public, Record};
use crate::digest::{Digest, Edition, EditionState, Editions};
use crate::feed::language::direction;
use crate::mail::compose;

/// Editions of a digest on the page of all.
const NEWEST: usize = 10;

/// The newest editions of every digest.
pub(super) async fn all<S: Record>(State(public): State<Arc<Public<S>>>, request: Request<Body>) -> Page {
    let language = public.language(&request);
    let digests: Vec<&Digest> = public.digests.iter().collect();
    list(&public, &language, &digests, NEWEST, ("archive.title", json!({}))).await
}

/// All editions of one digest.
pub(super) async fn of_one<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path(slug): Path<String>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    match public.digest(&slug) {
        Some(digest) => {
            list(&public, &language, &[digest], usize::MAX, ("archive.of", json!({ "digest": digest.title }))).await
        }
        None => public.pages.problem(StatusCode::NOT_FOUND, "missing", &language),
    }
}

async fn list<S: Record>(
    public: &Public<S>,
    language: &str,
    digests: &[&Digest],
    most: usize,
    (title, mut values): (&str, Value),
) -> Page {
    let mut shown = vec![];
    for digest in digests {
        let editions = match public.store.editions(Some(&digest.slug)).await {
            Ok(editions) => editions,
            Err(error) => return public.fault(&error, language),
        };
        let editions: Vec<&Edition> = editions.iter().filter(|edition| is_public(edition)).collect();
        let rows: Vec<Value> = editions
            .iter()
            .take(most)
            .map(|edition| {
                let date = edition.approved.unwrap_or(edition.made).format("%Y-%m-%d").to_string();
                json!({ "number": edition.number, "subject": edition.sealed.subject, "date": date })
            })
            .collect();
        shown.push(json!({
            "slug": digest.slug,
            "title": digest.title,
            "description": digest.description,
            "language": digest.language,
            "dir": direction(&digest.language),
            "editions": rows,
            "more": editions.len() > most,
        }));
    }
    if let Some(values) = values.as_object_mut() {
        values.insert("digests".to_owned(), Value::Array(shown));
    }
    let mut page = public.pages.page(StatusCode::OK, "archive", language, title, values);
    pages::shown(&mut page);
    page
}

/// One edition, as its mail looked.
pub(super) async fn edition<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path((slug, number)): Path<(String, String)>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    let missing = || public.pages.problem(StatusCode::NOT_FOUND, "missing", &language);
    let (Some(digest), Ok(number)) = (public.digest(&slug), number.parse::<u32>()) else { return missing() };
    let found = match public.store.editions(Some(&slug)).await {
        Ok(editions) => editions.into_iter().find(|edition| edition.number == number && is_public(edition)),
        Err(error) => return public.fault(&error, &language),
    };
    let Some(found) = found else { return missing() };
    let whole = match Editions::edition(public.store.as_ref(), found.id).await {
        Ok(whole) => whole,
        Err(error) => return public.fault(&error, &language),
    };
    // A reader's place is filled with words for all of them, her link with the page on which anybody asks for her own.
    let readers = public.pages.text(&digest.language, "archive.readers", &[("digest", &digest.title)]);
    let readers = if readers.is_empty() { digest.title.clone() } else { readers };
    let link = format!("{}preferences", public.url);
    match whole.map(|edition| compose::for_all(&edition.sealed, &link, &readers)) {
        Some(Ok(html)) => pages::edition(html, &digest.language),
        Some(Err(error)) => public.fault(&error, &language),
        None => missing(),
    }
}

fn is_public(edition: &Edition) -> bool {
    matches!(edition.state, EditionState::Approved | EditionState::Sending | EditionState::Sent)
}
