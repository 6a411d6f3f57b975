//! The pages: their templates, and the headers that every one of them has.

use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use handlebars::Handlebars;
use serde_json::{Value, json};
use std::sync::Arc;

use super::trial;
use super::words::{Text, Words};
use crate::digest::render::TemplateFile;
use crate::feed::language::direction;
use crate::newsroom::Problem;

/// What ships, by name.
pub(super) const EMBEDDED: [(&str, &str); 12] = [
    ("layout", include_str!("../../../templates/page/layout.html.hbs")),
    ("subscribe", include_str!("../../../templates/page/subscribe.html.hbs")),
    ("link", include_str!("../../../templates/page/link.html.hbs")),
    ("sent", include_str!("../../../templates/page/sent.html.hbs")),
    ("confirm", include_str!("../../../templates/page/confirm.html.hbs")),
    ("confirmed", include_str!("../../../templates/page/confirmed.html.hbs")),
    ("unsubscribe", include_str!("../../../templates/page/unsubscribe.html.hbs")),
    ("unsubscribed", include_str!("../../../templates/page/unsubscribed.html.hbs")),
    ("preferences", include_str!("../../../templates/page/preferences.html.hbs")),
    ("problem", include_str!("../../../templates/page/problem.html.hbs")),
    ("archive", include_str!("../../../templates/page/archive.html.hbs")),
    ("embed", include_str!("../../../templates/page/embed.html.hbs")),
];
/// The stylesheet that ships.
const STYLE: &str = include_str!("../../../templates/page/style.css");

/// Nothing is loaded but our stylesheet, nothing runs, nothing frames us, and forms go to us only.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// An edition is a mail: its styles stand in it, and its pictures elsewhere. No script runs, whatever is in it.
const EDITION_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation";

/// Who stands above every page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What the paper calls itself.
    pub paper: String,
    /// Its home page.
    pub home: String,
    /// The path of our pages; begins and ends in a slash.
    pub base: String,
}

/// The pages' templates.
pub(super) struct Pages {
    registry: Handlebars<'static>,
    frame: Frame,
    pub(super) words: Arc<Words>,
    style: String,
}

impl Pages {
    /// `own` are a newsroom's templates by name, and `style` its stylesheet. All are tried on made-up values, in every language.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(super) fn new(
        frame: Frame,
        words: Arc<Words>,
        own: &[(String, TemplateFile)],
        style: Option<String>,
    ) -> Result<Pages, Vec<Problem>> {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_helper("t", Box::new(Text { words: words.clone(), html: true }));
        let files: Vec<(&str, TemplateFile)> = EMBEDDED
            .iter()
            .map(|(name, embedded)| {
                let file =
                    || TemplateFile { file: format!("templates/page/{name}.html.hbs"), text: (*embedded).to_owned() };
                (*name, own.iter().find(|(mine, _)| mine == name).map_or_else(file, |(_, file)| file.clone()))
            })
            .collect();
        let mut problems = trial::circles(&files);
        for (name, file) in &files {
            if let Err(error) = registry.register_template_string(name, &file.text) {
                problems.push(file.unreadable(&error));
            }
        }
        let pages = Pages { registry, frame, words, style: style.unwrap_or_else(|| STYLE.to_owned()) };
        if problems.is_empty() {
            problems = pages.tried(&files);
        }
        if problems.is_empty() { Ok(pages) } else { Err(problems) }
    }

    /// What is wrong with the pages when they are filled in; of each file the first.
    fn tried(&self, files: &[(&str, TemplateFile)]) -> Vec<Problem> {
        let mut problems: Vec<Problem> = vec![];
        for (language, _) in self.words.languages() {
            for (name, values) in trial::specimens() {
                let known = self.values(name, language, "Specimen", values);
                let Err(error) = self.registry.render(name, &known) else { continue };
                let at = error.template_name.as_deref().unwrap_or(name);
                let Some((_, file)) = files.iter().find(|(name, _)| *name == at) else { continue };
                let problem = file.unfillable(&error, &known);
                if problems.iter().all(|known| known.place.file != problem.place.file) {
                    problems.push(problem);
                }
            }
        }
        problems
    }

    /// The path of our pages.
    pub(super) fn base(&self) -> &str {
        &self.frame.base
    }

    /// The paper's name.
    pub(super) fn paper(&self) -> &str {
        &self.frame.paper
    }

    /// A text outside of a template.
    pub(super) fn text(&self, language: &str, key: &str, values: &[(&str, &str)]) -> String {
        let mut values = values.to_vec();
        values.push(("paper", self.paper()));
        self.words.text(language, key, &values).unwrap_or_default()
    }

    /// A page. `title` is the key of its title, which may want what is in `values`.
    pub(super) fn page(
        &self,
        status: StatusCode,
        name: &str,
        language: &str,
        title: &str,
        values: Value,
    ) -> Response<Body> {
        let filled: Vec<(&str, &str)> = values
            .as_object()
            .map(|map| map.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect())
            .unwrap_or_default();
        let title = self.text(language, title, &filled);
        let all = self.values(name, language, &title, values);
        match self.registry.render(name, &all) {
            Ok(html) => answer(status, "text/html; charset=utf-8", html, POLICY, language),
            Err(error) => {
                // The words of a newsroom's own template, not of a reader.
                tracing::error!(page = name, %error, "a page cannot be made");
                answer(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "text/plain; charset=utf-8",
                    "error\n".into(),
                    POLICY,
                    language,
                )
            }
        }
    }

    /// What a page is filled with: what every page has, and its own values.
    fn values(&self, name: &str, language: &str, title: &str, own: Value) -> Value {
        // What a button has done is shown once: the same page in another language would be the one with the button.
        let done = ["sent", "confirmed", "unsubscribed"].contains(&name);
        let languages: Vec<Value> = self
            .words
            .languages()
            .filter(|_| !done)
            .map(|(tag, name)| json!({ "tag": tag, "name": name, "current": tag == language }))
            .collect();
        let mut all = json!({
            "language": language,
            "dir": direction(language),
            "title": title,
            "paper": self.frame.paper,
            "home": self.frame.home,
            "base": self.frame.base,
            "languages": languages,
        });
        if let (Some(all), Value::Object(own)) = (all.as_object_mut(), own) {
            all.extend(own);
        }
        all
    }

    /// The page that says that something does not go; `which` is one of `link`, `busy`, `missing`, `fault`.
    pub(super) fn problem(&self, status: StatusCode, which: &str, language: &str) -> Response<Body> {
        let (title, text) = match which {
            "link" => ("problem.link.title", "problem.link.text"),
            "busy" => ("problem.busy.title", "problem.busy.text"),
            "missing" => ("problem.missing.title", "problem.missing.text"),
            _ => ("problem.fault.title", "problem.fault.text"),
        };
        let text = self.text(language, text, &[]);
        self.page(status, "problem", language, title, json!({ "text": text, "again": which == "link" }))
    }

    /// The stylesheet.
    pub(super) fn style(&self) -> Response<Body> {
        let mut answer = answer(StatusCode::OK, "text/css; charset=utf-8", self.style.clone(), POLICY, "");
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        answer
    }
}

/// An edition as a page.
pub(super) fn edition(html: String, language: &str) -> Response<Body> {
    let mut answer = answer(StatusCode::OK, "text/html; charset=utf-8", html, EDITION_POLICY, language);
    shown(&mut answer);
    answer
}

/// What everybody may see, and keep for a few minutes.
pub(super) fn shown(answer: &mut Response<Body>) {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.remove("x-robots-tag");
}

fn answer(
    status: StatusCode,
    kind: &'static str,
    text: String,
    policy: &'static str,
    language: &str,
) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, policy),
        // Addresses of pages carry tokens.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "Accept-Language"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(language) = HeaderValue::from_str(language)
        && !language.is_empty()
    {
        headers.insert(header::CONTENT_LANGUAGE, language);
    }
    answer
}
