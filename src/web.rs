//! Answers HTTP: the feeds as they were built, `/healthz` and `/metrics`, and the pages that stand beside them.
//!
//! TLS, HTTP/2 and what else the open internet asks for are the matter of a proxy in front (see `docs/OPERATING.md`).

mod body;
mod connection;
mod count;
mod delta;
mod express;
mod feeds;
mod large;
mod negotiate;
mod plain;
// The public pages.
pub mod public;
mod reply;
mod server;
mod shelf;
mod version;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;

use count::Counts;
use feeds::Feeds;
use server::Shared;

/// What is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that feeds are built into.
    pub feeds: PathBuf,
    /// Its public address; ends in a slash. Its path is where we serve the folder.
    pub public: Url,
    /// WebSub hubs, named in `Link` headers.
    pub hubs: Vec<Url>,
    /// Bytes of memory that files and their compressed forms may take.
    pub memory: usize,
    /// What one client may cost the others.
    pub limits: Limits,
    /// Counters beside our own, for `/metrics`.
    pub counters: Vec<PrometheusHandle>,
    /// Plain requests for feeds are answered without hyper. Without this the answers are the same, and slower.
    pub express: bool,
}

impl Options {
    /// 256 MB of memory and the usual limits.
    pub fn new(feeds: PathBuf, public: Url) -> Options {
        let (limits, memory) = (Limits::default(), 256 << 20);
        Options { feeds, public, hubs: Vec::new(), memory, limits, counters: Vec::new(), express: true }
    }
}

/// What one client may cost the others. Times are kept to within a quarter of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. When there are as many, those that are idle for longest make room.
    pub connections: usize,
    /// Bytes of a request's head (at least 8,192); more is answered with 431.
    pub request_head: usize,
    /// Bytes of a request's path; more is answered with 414.
    pub path: usize,
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
    /// How long a request's head may take.
    pub head: Duration,
    /// How long an answer may take to be made, with the request's body.
    pub answer: Duration,
    /// How long a client may take nothing of an answer.
    pub stalled: Duration,
    /// How long requests under way may go on when the server stops.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 20_000,
            request_head: 16 * 1_024,
            path: 2_048,
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            stalled: Duration::from_secs(30),
            stop: Duration::from_secs(10),
        }
    }
}

/// Open files that are no connections: large bodies, what is being read, the log, the runtime's own.
const OTHER_FILES: usize = large::MOST + 256;

/// A socket to serve on. Raises the process's limit of open files as far as the system lets it, because every
/// connection is one.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    raise_open_files();
    TcpListener::bind(address).await
}

/// Serves until `stop` is ready, and then lets requests under way end. `beside` answers what is neither a feed nor one
/// of our own two routes; its handlers find the peer's address as [`axum::extract::ConnectInfo`].
pub async fn serve(listener: TcpListener, options: Options, beside: Router, stop: impl Future<Output = ()>) {
    let Options { feeds, public, hubs, memory, mut limits, counters, express } = options;
    if let Some(files) = open_files() {
        // Who finds no descriptor left waits at the door, and idle connections would not make room for him.
        limits.connections = limits.connections.min(files.saturating_sub(OTHER_FILES).max(1));
    }
    let feeds = Feeds::new(feeds, public, hubs, memory);
    let counts = Counts::new();
    let mut text = vec![counts.handle()];
    text.extend(counters);
    let shared = Shared::new(feeds, counts, own_routes(text).merge(beside), limits, express);
    server::run(listener, shared, stop).await;
}

fn own_routes(text: Vec<PrometheusHandle>) -> Router {
    let healthz = get(|| async { ([(header::CACHE_CONTROL, "no-store")], "ok\n") });
    Router::new().route("/healthz", healthz).route("/metrics", get(metrics).with_state(Arc::new(text)))
}

/// The counters, for who asks directly. What came through a proxy came from the world, and is told nothing.
async fn metrics(State(text): State<Arc<Vec<PrometheusHandle>>>, headers: HeaderMap) -> Response {
    let through_proxy = ["x-forwarded-for", "forwarded", "via", "x-real-ip"];
    if through_proxy.iter().any(|name| headers.contains_key(*name)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text.iter().map(PrometheusHandle::render).collect::<String>(),
    )
        .into_response()
}

/// Raises the limit of open files to what the system allows.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // macOS says that there is no upper limit and then refuses it.
    let wanted = limit.maximum.unwrap_or(1 << 16);
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(because) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
    {
        tracing::warn!(%because, "the limit of open files stays as it is");
    }
}

/// How many files may be open; `None`: as many as one likes.
#[cfg(unix)]
fn open_files() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.and_then(|files| usize::try_from(files).ok())
}

#[cfg(not(unix))]
fn raise_open_files() {}

#[cfg(not(unix))]
fn open_files() -> Option<usize> {
    None
}
