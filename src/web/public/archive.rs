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
        Some(Ok(html)) => pages::edition(with_main(html), &digest.language),
        Some(Err(error)) => public.fault(&error, &language),
        None => missing(),
    }
}

/// The page with its content as the main landmark (WAI-ARIA), for those who go from one to the next. A mail has none: mail
/// programs show it within their own.
fn with_main(mut html: String) -> String {
    let inside = html.find("<body").and_then(|at| Some(at + end_of_tag(&html[at..])?));
    let (Some(begin), Some(end)) = (inside, html.rfind("</body>")) else { return html };
    if begin <= end && !html.contains("<main") && !html.contains("role=\"main\"") {
        html.insert_str(end, "</main>");
        html.insert_str(begin, "<main>");
    }
    html
}

/// Where the tag at the beginning ends; what is quoted in it does not count.
fn end_of_tag(html: &str) -> Option<usize> {
    let mut quote = None;
    for (at, octet) in html.bytes().enumerate() {
        match (quote, octet) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(octet),
            (Some(open), _) if open == octet => quote = None,
            _ => {}
        }
    }
    None
}

fn is_public(edition: &Edition) -> bool {
    matches!(edition.state, EditionState::Approved | EditionState::Sending | EditionState::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edition_becomes_a_page_with_one_main_part() {
        let page = |html: &str| with_main(html.to_owned());
        assert_eq!(page("<body a='>' b=\">\"><p>x</p></body>"), "<body a='>' b=\">\"><main><p>x</p></main></body>");
        for other in
            ["<p>x</p>", "<body", "</body><body>", "<body><main>x</main></body>", "<body><p role=\"main\"></body>"]
        {
            assert_eq!(page(other), other);
        }
    }
}
