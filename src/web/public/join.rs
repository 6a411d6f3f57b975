//! Subscribing, and confirming.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;

use super::form::{self, Form};
use super::{Page, Public, Record, now};
use crate::feed::language::direction;
use crate::markup::escape;
use crate::subscriber::request::{Ask, Request as Asked, RequestId, RequestKind, Wish};
use crate::subscriber::token::{About, Grant, Purpose};
use crate::subscriber::{Address, SubscriptionState};

/// What is said where the trouble is the address.
pub(super) const BAD_ADDRESS: &str = "subscribe.bad_address";

/// The form; `?digest=` chooses one.
pub(super) async fn show<S: Record>(State(public): State<Arc<Public<S>>>, request: Request<Body>) -> Page {
    let language = public.language(&request);
    let query = Form::query(&request);
    let chosen: Vec<&str> = query.all("digest").collect();
    form_page(&public, &language, StatusCode::OK, "", &chosen, None)
}

/// Somebody has filled in the form.
pub(super) async fn ask<S: Record>(State(public): State<Arc<Public<S>>>, request: Request<Body>) -> Page {
    let language = public.language(&request);
    let network = form::network(form::client(&request, &public.trusted));
    let Some(form) = Form::read(request).await else {
        return public.pages.problem(StatusCode::PAYLOAD_TOO_LARGE, "fault", &language);
    };
    let chosen: Vec<&str> = form.all("digest").filter(|slug| public.digest(slug).is_some()).collect();
    let again = |status, trouble| form_page(&public, &language, status, form.get("address"), &chosen, Some(trouble));
    if !form.get("topic").is_empty() {
        // A robot has filled in what nobody sees; it is not told so.
        public.tally.robots.increment(1);
        return sent(&public, &language);
    }
    let Ok(address) = form.get("address").trim().parse::<Address>() else {
        return again(StatusCode::UNPROCESSABLE_ENTITY, BAD_ADDRESS);
    };
    if chosen.is_empty() {
        return again(StatusCode::UNPROCESSABLE_ENTITY, "subscribe.none");
    }
    // A form on another site has no stamp: then ours is shown, filled in.
    if !public.guard.is_ripe(form.get("stamp"), now().timestamp_millis()) {
        public.tally.robots.increment(1);
        return again(StatusCode::OK, "subscribe.again");
    }
    let mut digests: Vec<String> = vec![];
    for slug in chosen {
        if !digests.iter().any(|there| there == slug) {
            digests.push(slug.to_owned());
        }
    }
    let wording = public.pages.text(&language, "subscribe.agree", &[]);
    let ask = Ask {
        address,
        wish: Wish::Subscribe(digests),
        language: language.clone(),
        network: network.to_string(),
        wording,
    };
    write_down(&public, ask, network, &language).await
}

/// Writes a request down, unless there are too many. The answer is the same for every address.
pub(super) async fn write_down<S: Record>(public: &Public<S>, ask: Ask, network: ipnet::IpNet, language: &str) -> Page {
    if !public.guard.lets(network, &ask.address) {
        public.tally.busy.increment(1);
        return public.pages.problem(StatusCode::TOO_MANY_REQUESTS, "busy", language);
    }
    match public.store.ask(ask, public.terms, now()).await {
        Ok(true) => {
            public.tally.asked.increment(1);
            public.wake.notify_one();
        }
        Ok(false) => {}
        Err(error) => return public.fault(&error, language),
    }
    sent(public, language)
}

fn sent<S: Record>(public: &Public<S>, language: &str) -> Page {
    public.pages.page(StatusCode::OK, "sent", language, "sent.title", json!({}))
}

fn form_page<S: Record>(
    public: &Public<S>,
    language: &str,
    status: StatusCode,
    address: &str,
    chosen: &[&str],
    trouble: Option<&str>,
) -> Page {
    let only = public.digests.len() == 1;
    let digests: Vec<Value> = public
        .digests
        .iter()
        .map(|digest| {
            json!({
                "slug": digest.slug,
                "title": digest.title,
                "description": digest.description,
                "language": digest.language,
                "dir": direction(&digest.language),
                "chosen": only || chosen.contains(&digest.slug.as_str()),
            })
        })
        .collect();
    let values = json!({
        "digests": digests,
        // Nobody's address is longer, and what is longer need not come back.
        "address": address.chars().take(254).collect::<String>(),
        "bad_address": trouble == Some(BAD_ADDRESS),
        "trouble": trouble.map(|key| public.pages.text(language, key, &[])),
        "stamp": public.guard.stamp(now().timestamp_millis()),
    });
    public.pages.page(status, "subscribe", language, "subscribe.title", values)
}

/// The page that a confirmation's link opens; changes nothing.
pub(super) async fn confirm_page<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    let asked = match opened(&public, &token).await {
        Ok(Some(asked)) => asked,
        Ok(None) => return public.pages.problem(StatusCode::NOT_FOUND, "link", &language),
        Err(error) => return public.fault(&error, &language),
    };
    let values = json!({
        "moves": asked.kind == RequestKind::Move,
        "address": asked.to.as_str(),
        "digests": asked.digests.iter().map(|slug| public.title(slug)).collect::<Vec<_>>(),
    });
    public.pages.page(StatusCode::OK, "confirm", &language, "confirm.title", values)
}

/// The button was pressed.
pub(super) async fn confirm<S: Record>(
    State(public): State<Arc<Public<S>>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Page {
    let language = public.language(&request);
    let network = form::network(form::client(&request, &public.trusted)).to_string();
    let gone = || public.pages.problem(StatusCode::NOT_FOUND, "link", &language);
    let asked = match opened(&public, &token).await {
        Ok(Some(asked)) => asked,
        Ok(None) => return gone(),
        Err(error) => return public.fault(&error, &language),
    };
    let subscriber = match public.store.confirm(asked.id, &network, now()).await {
        Ok(Some(subscriber)) => subscriber,
        Ok(None) => return gone(),
        Err(error) => return public.fault(&error, &language),
    };
    // Pressed again after she has left: nothing comes, and the page must not say that it does.
    match public.store.person(subscriber.id).await {
        Ok(Some(held)) if held.subscriptions.iter().any(|s| s.state == SubscriptionState::Confirmed) => {}
        Ok(_) => return gone(),
        Err(error) => return public.fault(&error, &language),
    }
    public.tally.confirmed.increment(1);
    let token = public.keys.sign(Purpose::Preferences, Grant { subscriber: subscriber.id, about: About::Everything });
    let values = json!({ "address": subscriber.address.as_str(), "token": token });
    public.pages.page(StatusCode::OK, "confirmed", &language, "confirmed.title", values)
}

/// The request of a confirmation's link, unless it is over.
async fn opened<S: Record>(
    public: &Public<S>,
    token: &str,
) -> Result<Option<Asked>, <S as crate::subscriber::request::Requests>::Error> {
    let Ok(Grant { subscriber, about: About::Request(id) }) = public.keys.verify(Purpose::Confirm, token) else {
        return Ok(None);
    };
    let asked = public.store.request(RequestId(id), now()).await?;
    Ok(asked.filter(|asked| asked.subscriber == subscriber && asked.kind != RequestKind::Link))
}

/// A form for the newspaper's own site.
pub(super) async fn embed<S: Record>(State(public): State<Arc<Public<S>>>, request: Request<Body>) -> Page {
    let language = public.language(&request);
    let action = public.url.join("subscribe").map(|url| format!("{url}?lang={language}")).unwrap_or_default();
    let text = |key| escape::attribute(&public.pages.text(&language, key, &[]));
    let choices = public.digests.iter().fold(String::new(), |mut out, digest| {
        let (slug, title) = (escape::attribute(&digest.slug), escape::attribute(&digest.title));
        let _ = writeln!(
            out,
            "  <label><input type=\"checkbox\" name=\"digest\" value=\"{slug}\" checked> {title}</label>"
        );
        out
    });
    let code = format!(
        "<form method=\"post\" action=\"{}\" lang=\"{language}\" dir=\"{}\">\n  <label>{}\n    <input type=\"email\" name=\"address\" \
         autocomplete=\"email\" required maxlength=\"254\"></label>\n{choices}  <button>{}</button>\n</form>",
        escape::attribute(&action),
        direction(&language),
        text("subscribe.address"),
        text("subscribe.button"),
    );
    public.pages.page(StatusCode::OK, "embed", &language, "embed.title", json!({ "code": code }))
}
