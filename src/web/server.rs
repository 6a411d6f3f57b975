//! The listener and its connections: accepts, answers, watches over limits, and stops.

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::{Body as _, Incoming};
use hyper::header::HOST;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service as _;

use super::Limits;
use super::body::{Body, Content};
use super::connection::{State, Told, Waits, Watched};
use super::count::Counts;
use super::express::{End, Express};
use super::feeds::{Feeds, not_reading};
use super::negotiate::Asked;
use super::plain::is_host;
use super::reply::Reply;

/// How often connections are looked at for limits; a limit is kept to within this.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// How long nothing is accepted after accepting failed (no more file descriptors, mostly).
const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// How long, and for how many bytes, a client is listened to that we have nothing more to say to.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LAST_BYTES: u64 = 256 * 1_024;

/// The methods that the log names.
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "OPTIONS"];

/// What every connection shares.
pub(crate) struct Shared {
    pub(crate) feeds: Feeds,
    pub(crate) counts: Counts,
    /// Whatever is not a feed.
    pub(crate) beside: Router,
    pub(crate) limits: Limits,
    express: bool,
    start: Instant,
    open: Mutex<HashMap<u64, Arc<State>>>,
    numbers: AtomicU64,
}

impl Shared {
    pub(crate) fn new(feeds: Feeds, counts: Counts, beside: Router, limits: Limits, express: bool) -> Arc<Shared> {
        let (start, open, numbers) = (Instant::now(), Mutex::default(), AtomicU64::new(0));
        Arc::new(Shared { feeds, counts, beside, limits, express, start, open, numbers })
    }

    /// Counts and logs an answer. The log has nothing that a reader can put there: no addresses, no queries, no methods and
    /// no paths but known ones. Of pages it has no paths at all: they carry tokens.
    pub(crate) fn answered(&self, part: &str, method: &str, path: &str, status: StatusCode, bytes: u64) {
        self.counts.answered(status, bytes);
        let exists = status.is_success() || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NOT_ACCEPTABLE);
        let path = if part == "feeds" && exists && method != "OPTIONS" { path } else { "-" };
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("-");
        tracing::info!(target: "pressrun::access", part, method, path, status = status.as_u16(), bytes);
    }

    fn each_open(&self, mut f: impl FnMut(&State)) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|state| f(state));
    }

    fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends who is over a limit; and of too many connections those that have been idle for longest.
    fn watch(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for state in open.values().filter(|state| state.is_over(&self.limits)) {
            if state.waits() != Waits::Idle {
                self.counts.overdue.increment(1);
            }
            state.tell(Told::Drop);
        }
        #[allow(clippy::cast_precision_loss)]
        {
            self.counts.open.set(open.len() as f64);
            self.counts.held.set(self.feeds.held() as f64);
        }
    }

    /// Makes room for a new connection, if there is none: the connection that has been idle for longest goes. Who has a
    /// request under way stays.
    fn make_room(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() < self.limits.connections {
            return true;
        }
        let mut idle: Vec<&Arc<State>> = open.values().filter(|state| state.waits() == Waits::Idle).collect();
        // A whole slice at once, so that a full house is not searched for every newcomer.
        idle.sort_unstable_by_key(|state| state.since());
        idle.truncate((self.limits.connections / 64).max(1));
        for state in &idle {
            state.tell(Told::Drop);
            self.counts.refused.increment(1);
        }
        !idle.is_empty()
    }
}

/// Accepts and answers until `stop` is ready; then lets requests under way end, for so long as `limits.stop` says.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let mut watch = tokio::time::interval(WATCH_EVERY);
    watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = watch.tick() => shared.watch(),
            accepted = listener.accept() => match accepted {
                // If everybody is busy the newcomer is not let in: better than that all of them are slow.
                Ok((socket, peer)) => if shared.make_room() { admit(&shared, socket, peer) },
                Err(because) => {
                    tracing::warn!(%because, "cannot accept connections");
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            },
        }
    }
    drop(listener);
    shared.each_open(|state| state.tell(Told::Finish));
    let deadline = tokio::time::Instant::now() + shared.limits.stop;
    while shared.open() > 0 && tokio::time::Instant::now() < deadline {
        shared.watch();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = shared.open();
    if left > 0 {
        tracing::warn!(connections = left, "closed with requests under way");
        shared.each_open(|state| state.tell(Told::Drop));
    }
}

fn admit(shared: &Arc<Shared>, socket: TcpStream, peer: SocketAddr) {
    // Answers are written whole; waiting for more to send only delays them.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    shared.counts.connections.increment(1);
    let number = shared.numbers.fetch_add(1, Relaxed);
    let state = State::new(shared.start);
    shared.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, state.clone());
    let place = Place { shared: shared.clone(), number };
    tokio::spawn(converse(place, state, socket, peer));
}

/// A connection's place among the open ones; given back however the connection ends.
struct Place {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

async fn converse(place: Place, state: Arc<State>, socket: TcpStream, peer: SocketAddr) {
    let shared = &place.shared;
    let end = if shared.express {
        Express::new(shared.clone(), state.clone(), socket).run().await
    } else {
        End::Hyper(socket, Vec::new())
    };
    // In boxes, so that what waits in the express is small.
    match end {
        End::Gone => {}
        End::Said(socket) => Box::pin(part(socket)).await,
        End::Hyper(socket, unread) => {
            let answering = Answering { shared: shared.clone(), state: state.clone(), peer };
            Box::pin(by_hyper(answering, Watched { socket, state, unread: unread.into() })).await;
        }
    }
}

/// The rest of a connection.
async fn by_hyper(answering: Answering, io: Watched) {
    let (state, limits) = (io.state.clone(), answering.shared.limits);
    let mut connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(limits.request_head)
        // Who has said that he has no more to say still gets his answer.
        .half_close(true)
        .serve_connection(TokioIo::new(io), answering);
    let mut finishing = false;
    let dropped = std::future::poll_fn(|cx| {
        match state.heard(cx) {
            Told::Drop => return Poll::Ready(true),
            Told::Finish if !finishing => {
                finishing = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            Told::Finish | Told::GoOn => {}
        }
        // What goes wrong on one connection (it was cut, it was nonsense) is nobody else's concern.
        connection.poll_without_shutdown(cx).map(|_| false)
    })
    .await;
    if !dropped {
        part(connection.into_parts().io.into_inner().socket).await;
    }
}

/// Closes a connection so that the client gets our last words: closing with bytes unread makes the system throw away
/// what is still on its way. So a little of what it goes on to send is read, for a moment.
async fn part(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let (mut rest, mut nowhere) = (socket.take(LAST_BYTES), tokio::io::sink());
    let _ = tokio::time::timeout(LAST_WORDS, tokio::io::copy(&mut rest, &mut nowhere)).await;
}

/// Answers the requests of one connection.
struct Answering {
    shared: Arc<Shared>,
    state: Arc<State>,
    peer: SocketAddr,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let shared = &self.shared;
        if !names_its_host(&request) {
            let reply = Reply::plain(StatusCode::BAD_REQUEST, "A request names its host, once.\n");
            return self.at_once("-", &request, reply);
        }
        let path = request.uri().path();
        if path.len() > shared.limits.path {
            let reply = Reply::plain(StatusCode::URI_TOO_LONG, "This address is too long.\n");
            return self.at_once("-", &request, reply);
        }
        if shared.feeds.owns(path) {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                return self.at_once("feeds", &request, not_reading(request.method()));
            }
            if let Some(reply) = shared.feeds.at_once(&asked(&request)) {
                return self.at_once("feeds", &request, reply);
            }
            self.state.turn(Waits::Answer);
            let this = self.clone();
            return Answer::Later(Box::pin(async move {
                let reply = this.shared.feeds.answer(&asked(&request)).await;
                Ok(this.reply("feeds", &request, reply))
            }));
        }
        self.state.turn(Waits::Answer);
        let this = self.clone();
        let mut beside = shared.beside.clone();
        request.extensions_mut().insert(ConnectInfo(this.peer));
        let (parts, body) = request.into_parts();
        let asked = Request::from_parts(parts.clone(), ());
        let request = Request::from_parts(parts, axum::body::Body::new(body));
        Answer::Later(Box::pin(async move {
            let answer = match beside.call(request).await {
                Ok(answer) => answer.map(Body::Made),
                Err(never) => match never {},
            };
            this.state.sends(None);
            Ok(this.done("pages", &asked, answer))
        }))
    }
}

impl Answering {
    fn clone(&self) -> Answering {
        Answering { shared: self.shared.clone(), state: self.state.clone(), peer: self.peer }
    }

    fn at_once<B>(&self, part: &str, request: &Request<B>, reply: Reply) -> Answer {
        Answer::Ready(ready(Ok(self.reply(part, request, reply))))
    }

    fn reply<B>(&self, part: &str, request: &Request<B>, reply: Reply) -> Response<Body> {
        self.state.sends(match &reply.content {
            Content::Large(large) => Some(large),
            Content::Shared(_) => None,
        });
        self.done(part, request, reply.into_response())
    }

    fn done<B>(&self, part: &str, request: &Request<B>, answer: Response<Body>) -> Response<Body> {
        self.state.turn(Waits::Idle);
        let bytes = if request.method() == Method::HEAD { 0 } else { answer.body().size_hint().lower() };
        self.shared.answered(part, request.method().as_str(), request.uri().path(), answer.status(), bytes);
        answer
    }
}

/// What of a request for a file decides the answer.
fn asked<B>(request: &Request<B>) -> Asked<'_> {
    let mut asked = Asked::new(request.uri().path());
    for (name, value) in request.headers() {
        asked.note(name.as_str(), value.as_bytes());
    }
    asked
}

/// Whether it says for whom it is (RFC 9112, section 3.2): in HTTP/1.1 once, in HTTP/1.0 at most once.
fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// An answer that is there, or one that takes a while.
enum Answer {
    Ready(Ready<Result<Response<Body>, Infallible>>),
    Later(Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>),
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Answer::Ready(answer) => Pin::new(answer).poll(cx),
            Answer::Later(answer) => answer.as_mut().poll(cx),
        }
    }
}
