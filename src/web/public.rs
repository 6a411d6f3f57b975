//! The public pages: subscribing, confirming, preferences, leaving, and the archive of editions.
//!
//! A GET changes nothing, so that scanners and previews of links change nothing either; there is no cookie and no script.
//! No page says whether an address is known.

mod archive;
mod form;
mod guard;
mod join;
mod leave;
mod letter;
mod pages;
mod preferences;
mod tally;
mod trial;
mod words;

pub use form::LARGEST_FORM;
pub use guard::Brakes;
pub use pages::Frame;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode, header};
use axum::routing::get;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;
use url::Url;

use crate::digest::render::TemplateFile;
use crate::digest::{Digest, Editions};
use crate::mail::dkim::Signer;
use crate::mail::return_path::ReturnPath;
use crate::newsroom::Problem;
use crate::subscriber::Address;
use crate::subscriber::request::{Requests, Terms};
use crate::subscriber::token::{DigestMark, Keys};
use form::Form;
use guard::Guard;
use letter::Letters;
use pages::Pages;
use tally::Tally;
use words::{Words, WordsError};

/// What the pages need of a ledger.
pub trait Record: Requests + Editions {}
impl<S: Requests + Editions> Record for S {}

/// How the pages are.
#[derive(Debug)]
pub struct Options {
    /// The newsletters that can be had.
    pub digests: Vec<Digest>,
    /// The paper's name and home page.
    pub paper: String,
    /// The paper's home page.
    pub home: Url,
    /// The address of the pages; ends in a slash.
    pub public: Url,
    /// The language of who reads none of ours.
    pub language: String,
    /// They sign links.
    pub keys: Keys,
    /// Where bounces of confirmations go.
    pub return_path: Address,
    /// How return paths are written, where each mail has its own.
    pub own_return_path: Option<ReturnPath>,
    /// Signs the letters, where they are signed.
    pub signer: Option<Signer>,
    /// How long requests hold, and how often one inbox is written to.
    pub terms: Terms,
    /// What may be asked.
    pub brakes: Brakes,
    /// Proxies whose word about clients is believed.
    pub trusted: Vec<IpNet>,
    /// A newsroom's own files, in place of the embedded ones.
    pub own: Own,
}

/// A newsroom's own files, in place of the embedded ones.
#[derive(Debug, Default)]
pub struct Own {
    /// Of `templates/page/`, by the name before `.html.hbs`.
    pub pages: Vec<(String, TemplateFile)>,
    /// `templates/page/style.css`.
    pub style: Option<String>,
    /// Of `templates/confirm/`, by file name.
    pub letters: Vec<(String, TemplateFile)>,
    /// Of `templates/languages/`, by tag.
    pub languages: Vec<(String, TemplateFile)>,
}

impl Own {
    fn words(&self, usual: &str) -> Result<Arc<Words>, Problem> {
        let texts: Vec<_> = self.languages.iter().map(|(tag, file)| (tag.clone(), file.text.clone())).collect();
        Words::new(&texts, usual).map(Arc::new).map_err(|error| {
            let (WordsError::Unreadable(tag, _) | WordsError::Unknown(tag, _) | WordsError::Missing(tag, _)) = &error;
            let file = self.languages.iter().find(|(known, _)| known == tag).map(|(_, file)| file);
            let name = file.map_or_else(|| format!("templates/languages/{tag}.yaml"), |file| file.file.clone());
            let help = "templates/languages/en.yaml, which comes with Pressrun, has all texts";
            match (&error, file) {
                (WordsError::Unknown(_, key), Some(TemplateFile { text, .. })) => {
                    let at = text.find(key.as_str()).unwrap_or_default();
                    let what = format!("there is no text `{key}`");
                    Problem::in_text(&name, text, 1, at..at + key.len(), what).help(help)
                }
                (WordsError::Unreadable(_, because), _) => Problem::new(name, because).help(help),
                _ => Problem::new(name, error.to_string()).help(help),
            }
        })
    }
}

/// Tries a newsroom's own files, without a ledger: all that is wrong with them. `usual` is the paper's language.
pub fn check(own: &Own, usual: &str, return_path: &Address) -> Vec<Problem> {
    let words = match own.words(usual) {
        Ok(words) => words,
        Err(problem) => return vec![problem],
    };
    let paper = "The Specimen".to_owned();
    let letters = Letters::new(&words, &own.letters, &paper, return_path.clone(), None);
    let frame = Frame { paper, home: "https://specimen.example/".to_owned(), base: "/".to_owned() };
    let pages = Pages::new(frame, words, &own.pages, None);
    [pages.err(), letters.err()].into_iter().flatten().flatten().collect()
}

/// The names of the files that a newsroom may replace.
pub fn files() -> (impl Iterator<Item = &'static str>, impl Iterator<Item = &'static str>) {
    let pages = pages::EMBEDDED.iter().map(|(name, _)| *name);
    (pages, letter::EMBEDDED.iter().map(|(name, _)| *name))
}

/// The pages of one newsroom.
pub struct Public<S> {
    store: Arc<S>,
    pages: Pages,
    letters: Letters,
    own_return_path: Option<ReturnPath>,
    guard: Guard,
    tally: Tally,
    digests: Vec<Digest>,
    marks: HashMap<DigestMark, String>,
    keys: Keys,
    url: Url,
    terms: Terms,
    trusted: Vec<IpNet>,
    /// A letter waits.
    wake: Notify,
}

type Page = Response<Body>;

impl<S: Record> Public<S> {
    /// Reads the templates, and tries them.
    ///
    /// # Errors
    /// All that is wrong with a newsroom's own.
    pub fn new(options: Options, store: Arc<S>) -> Result<Arc<Public<S>>, Vec<Problem>> {
        let words = options.own.words(&options.language).map_err(|problem| vec![problem])?;
        let frame =
            Frame { paper: options.paper, home: options.home.to_string(), base: options.public.path().to_owned() };
        let letters = Letters::new(&words, &options.own.letters, &frame.paper, options.return_path, options.signer)?;
        let own_return_path = options.own_return_path;
        Ok(Arc::new(Public {
            store,
            pages: Pages::new(frame, words, &options.own.pages, options.own.style)?,
            letters,
            own_return_path,
            guard: Guard::new(options.brakes, options.keys.of_forms()),
            tally: Tally::new(),
            marks: options.digests.iter().map(|d| (DigestMark::of(&d.slug), d.slug.clone())).collect(),
            digests: options.digests,
            keys: options.keys,
            url: options.public,
            terms: options.terms,
            trusted: options.trusted,
            wake: Notify::new(),
        }))
    }

    /// The pages' routes.
    pub fn router(self: &Arc<Self>) -> Router {
        let routes = Router::new()
            .route("/", get(join::show::<S>))
            .route("/subscribe", get(join::show::<S>).post(join::ask::<S>))
            .route("/confirm/{token}", get(join::confirm_page::<S>).post(join::confirm::<S>))
            .route("/preferences", get(preferences::link_page::<S>).post(preferences::link::<S>))
            .route("/preferences/{token}", get(preferences::show::<S>).post(preferences::change::<S>))
            .route("/unsubscribe/", get(preferences::link_page::<S>))
            .route("/unsubscribe/{token}", get(leave::show::<S>).post(leave::leave::<S>))
            .route("/archive/", get(archive::all::<S>))
            .route("/archive/{digest}", get(archive::of_one::<S>))
            .route("/archive/{digest}/{number}", get(archive::edition::<S>))
            .route("/embed", get(join::embed::<S>))
            .route("/style.css", get(style::<S>))
            .fallback(missing::<S>)
            .method_not_allowed_fallback(missing::<S>)
            .with_state(self.clone());
        match self.pages.base().trim_end_matches('/') {
            "" => routes,
            // Nested, the first page is there without the slash only.
            base => Router::new()
                .route(&format!("{base}/"), get(join::show::<S>))
                .with_state(self.clone())
                .nest(base, routes),
        }
    }

    /// What renders the pages' counters.
    pub fn metrics(&self) -> PrometheusHandle {
        self.tally.handle()
    }

    /// The language of a request.
    fn language(&self, request: &Request<Body>) -> String {
        let accept = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let query = Form::query(request);
        self.pages.words.language(Some(query.get("lang")), accept).to_owned()
    }

    fn digest(&self, slug: &str) -> Option<&Digest> {
        self.digests.iter().find(|digest| digest.slug == slug)
    }

    /// What readers call a digest; its slug where it is no longer in the configuration.
    fn title<'a>(&'a self, slug: &'a str) -> &'a str {
        self.digest(slug).map_or(slug, |digest| digest.title.as_str())
    }

    /// The ledger did not answer. Clients may try again.
    fn fault(&self, error: &dyn std::error::Error, language: &str) -> Page {
        tracing::error!(%error, "the ledger does not answer the pages");
        self.pages.problem(StatusCode::SERVICE_UNAVAILABLE, "fault", language)
    }
}

async fn style<S: Record>(State(public): State<Arc<Public<S>>>) -> Page {
    public.pages.style()
}

async fn missing<S: Record>(State(public): State<Arc<Public<S>>>, request: Request<Body>) -> Page {
    let language = public.language(&request);
    public.pages.problem(StatusCode::NOT_FOUND, "missing", &language)
}

fn now() -> DateTime<Utc> {
    Utc::now()
}
