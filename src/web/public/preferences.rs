//! What a reader changes: what she gets, where to, and when not.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use chrono::{DateTime, Days, NaiveTime, Utc};
use serde_json::{Value, json};
use std::sync::Arc;

use super::form::{self, Form};
use super::{Page, Public, Record, join, now};
use crate::feed::language::direction;
use crate::subscriber::request::{Ask, Wish};
use crate::subscriber::token::Purpose;
use crate::subscriber::{Address, SubscriberId, SubscriptionState};

/// The longest break, in days.
const LONGEST_BREAK: u64 = 366;

/// The form that asks for the link to one's preferences.
pub(super) async fn link_page<S: Record>(State(public): State<Arc<Public<S>>>, request: Request<Body>) -> Page {
    let language = public.language(&request);
    link_form(&public, &language, StatusCode::OK, "", None)
}

fn link_form<S: Record>(
    public: &Public<S>,
    language: &str,
    status: StatusCode,
    address: &str,
    trouble: Option<&str>,
) -> Page {
    let values = json!({
        "address": address.chars().take(254).collect::<String>(),
        "bad_address": trouble == Some(join::BAD_ADDRESS),
        "trouble": trouble.map(|key| public.pages.text(language, key, &[])),
        "stamp": public.guard.stamp(now().timestamp_millis()),
    });
    public.pages.page(status, "link", language, "link.title", values)
}

/// Somebody asks for the link to her preferences.
pub(super) async fn link<S: Record>(State(public): State<Arc<Public<S>>>, request: Request<Body>) -> Page {
    let language = public.language(&request);
    let network = form::network(form::client(&request, &public.trusted));
    let Some(form) = Form::read(request).await else {
        return public.pages.problem(StatusCode::PAYLOAD_TOO_LARGE, "fault", &language);
    };
    if !form.get("topic").is_empty() {
        public.tally.robots.increment(1);
        return public.pages.page(StatusCode::OK, "sent", &language, "sent.title", json!({}));
    }
    let again = |status, trouble| link_form(&public, &language, status, form.get("address"), Some(trouble));
    let Ok(address) = form.get("address").trim().parse::<Address>() else {
        return again(StatusCode::UNPROCESSABLE_ENTITY, join::BAD_ADDRESS);
    };
    if !public.guard.is_ripe(form.get("stamp"), now().timestamp_millis()) {
        public.tally.robots.increment(1);
        return again(StatusCode::OK, "subscribe.again");
    }
    let ask = Ask {
        address,
        wish: Wish::Link,
        language: language.clone(),
        network: network.to_string(),
        wording: String::new(),
    };
    join::write_down(&public, ask, network, &language).await
}

/// The page; changes nothing.
pub(super) async fn show<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    match public.keys.verify(Purpose::Preferences, &token) {
        Ok(grant) => page(&public, grant.subscriber, &language, StatusCode::OK, None).await,
        Err(_) => public.pages.problem(StatusCode::NOT_FOUND, "link", &language),
    }
}

/// One of its buttons was pressed.
pub(super) async fn change<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    let Ok(grant) = public.keys.verify(Purpose::Preferences, &token) else {
        return public.pages.problem(StatusCode::NOT_FOUND, "link", &language);
    };
    let (id, network) = (grant.subscriber, form::network(form::client(&request, &public.trusted)));
    let Some(form) = Form::read(request).await else {
        return public.pages.problem(StatusCode::PAYLOAD_TOO_LARGE, "fault", &language);
    };
    let done = match form.get("do") {
        "leave" => {
            let digest = Some(form.get("digest")).filter(|slug| !slug.is_empty());
            match public.store.leave(id, digest, now()).await {
                Ok(left) => {
                    public.tally.left.increment(u64::from(left));
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        "pause" => {
            let days = form.get("days").parse().unwrap_or(7).clamp(1, LONGEST_BREAK);
            // To the end of the day, for the page names a day.
            let until =
                now().date_naive().checked_add_days(Days::new(days)).map(|day| day.and_time(NaiveTime::MIN).and_utc());
            public.store.take_break(id, until, now()).await
        }
        "resume" => public.store.take_break(id, None, now()).await,
        "move" => {
            let Ok(address) = form.get("address").trim().parse::<Address>() else {
                let bad = Some(join::BAD_ADDRESS);
                return page(&public, id, &language, StatusCode::UNPROCESSABLE_ENTITY, bad).await;
            };
            let ask = Ask {
                address,
                wish: Wish::Move(id),
                language: language.clone(),
                network: network.to_string(),
                wording: public.pages.text(&language, "preferences.move_text", &[]),
            };
            return join::write_down(&public, ask, network, &language).await;
        }
        _ => Ok(()),
    };
    match done {
        Ok(()) => page(&public, id, &language, StatusCode::OK, None).await,
        Err(error) => public.fault(&error, &language),
    }
}

/// A day that no line break tears apart: with word joiners (U+2060) after its hyphens.
fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-\u{2060}%m-\u{2060}%d").to_string()
}

async fn page<S: Record>(
    public: &Public<S>,
    id: SubscriberId,
    language: &str,
    status: StatusCode,
    trouble: Option<&str>,
) -> Page {
    let held = match public.store.person(id).await {
        Ok(held) => held.unwrap_or_default(),
        Err(error) => return public.fault(&error, language),
    };
    let confirmed = held.subscriptions.iter().filter(|s| s.state == SubscriptionState::Confirmed);
    let digests: Vec<Value> = confirmed
        .map(|subscription| {
            let tag = public.digest(&subscription.digest).map_or("", |digest| digest.language.as_str());
            json!({
                "slug": subscription.digest,
                "title": public.title(&subscription.digest),
                "language": tag,
                "dir": direction(tag),
            })
        })
        .collect();
    let values = json!({
        "digests": digests,
        "address": held.subscriber.as_ref().map(|s| s.address.as_str()),
        "paused": held.paused_until.filter(|until| *until > now()).map(day),
        "trouble": trouble.map(|key| public.pages.text(language, key, &[])),
    });
    public.pages.page(status, "preferences", language, "preferences.title", values)
}
