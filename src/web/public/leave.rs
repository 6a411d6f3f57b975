//! Leaving: a page with a button, and the one click of RFC 8058.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use serde_json::json;
use std::sync::Arc;

use super::form::Form;
use super::{Page, Public, Record, now};
use crate::subscriber::SubscriberId;
use crate::subscriber::token::{About, DigestMark, Purpose};

/// From what a link leads away.
enum From {
    All,
    /// The digest's slug.
    One(String),
    /// A digest that is neither configured nor hers: there is nothing to leave.
    Nothing,
}

/// The page; changes nothing.
pub(super) async fn show<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    let Ok(grant) = public.keys.verify(Purpose::Unsubscribe, &token) else {
        return public.pages.problem(StatusCode::NOT_FOUND, "link", &language);
    };
    let digest = match from(&public, grant.subscriber, grant.about).await {
        Ok(From::One(slug)) => Some(public.title(&slug).to_owned()),
        Ok(From::All | From::Nothing) => None,
        Err(error) => return public.fault(&error, &language),
    };
    public.pages.page(StatusCode::OK, "unsubscribe", &language, "leave.title", json!({ "digest": digest }))
}

/// Leaves at once. The token is all that counts: a mailbox provider sends `List-Unsubscribe=One-Click` in a form of either
/// kind, our page a form of its own, and whoever has the token and posts means it.
pub(super) async fn leave<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    let Ok(grant) = public.keys.verify(Purpose::Unsubscribe, &token) else {
        return public.pages.problem(StatusCode::NOT_FOUND, "link", &language);
    };
    let form = Form::read(request).await.unwrap_or_default();
    let from = match from(&public, grant.subscriber, grant.about).await {
        Ok(_) if form.get("page") == "all" => From::All,
        Ok(from) => from,
        Err(error) => return public.fault(&error, &language),
    };
    let left = match &from {
        From::All => public.store.leave(grant.subscriber, None, now()).await,
        From::One(slug) => public.store.leave(grant.subscriber, Some(slug), now()).await,
        From::Nothing => Ok(false),
    };
    match left {
        Ok(left) => public.tally.left.increment(u64::from(left)),
        Err(error) => return public.fault(&error, &language),
    }
    let digest = match &from {
        From::One(slug) => Some(public.title(slug)),
        From::All | From::Nothing => None,
    };
    public.pages.page(StatusCode::OK, "unsubscribed", &language, "left.title", json!({ "digest": digest }))
}

async fn from<S: Record>(
    public: &Public<S>,
    subscriber: SubscriberId,
    about: About,
) -> Result<From, <S as crate::subscriber::request::Requests>::Error> {
    let About::Digest(mark) = about else { return Ok(From::All) };
    if let Some(slug) = public.marks.get(&mark) {
        return Ok(From::One(slug.clone()));
    }
    // A digest that is no longer in the configuration.
    let person = public.store.person(subscriber).await?;
    let found = person.and_then(|held| held.subscriptions.into_iter().find(|s| DigestMark::of(&s.digest) == mark));
    Ok(found.map_or(From::Nothing, |subscription| From::One(subscription.digest)))
}
