//! The express: plain requests for feeds, answered without hyper and without a buffer of the connection's own. Whatever
//! else comes goes to hyper, with the bytes that have been read, and stays there.
//!
//! One read and one write a request. What to say is `feeds`' matter, whoever sends it (docs/decisions/0023).

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

use super::body::Content;
use super::connection::{State, Told, Waits};
use super::large::Large;
use super::plain::Plain;
use super::reply::Reply;
use super::server::Shared;

/// So many bytes are read at a time; a head that is not whole in them is hyper's.
const READ: usize = 16 * 1_024;

/// So often a connection is read from before others have their turn: a client may send requests faster than we answer.
const READS_A_TURN: usize = 16;

thread_local! {
    /// What is being read, and the head that is being written. Nothing stays in them when a connection waits: so they are
    /// the thread's, and an idle connection has none.
    static REQUESTS: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DATE: RefCell<(Duration, String)> = const { RefCell::new((Duration::ZERO, String::new())) };
}

/// A connection, as long as nothing but plain requests for feeds comes.
pub(crate) struct Express {
    shared: Arc<Shared>,
    state: Arc<State>,
    socket: TcpStream,
    /// Bytes that could not be answered at once; nearly always there are none.
    unread: Vec<u8>,
    sending: Option<Box<Sending>>,
    /// The answer under way is the last.
    closing: bool,
}

/// How the express ends.
pub(crate) enum End {
    /// We have said our last word.
    Said(TcpStream),
    /// The connection is gone, or is to be dropped.
    Gone,
    /// Hyper goes on, with these bytes first.
    Hyper(TcpStream, Vec<u8>),
}

/// What a connection needs next.
enum Next {
    /// An answer that is not there at once, to what is unread.
    Answer,
    Said,
    Gone,
    Hyper,
}

/// The rest of an answer that the client has not taken yet.
struct Sending {
    head: Vec<u8>,
    content: Content,
    /// Bytes of both.
    sent: usize,
}

impl Express {
    pub(crate) fn new(shared: Arc<Shared>, state: Arc<State>, socket: TcpStream) -> Express {
        Express { shared, state, socket, unread: Vec::new(), sending: None, closing: false }
    }

    pub(crate) async fn run(mut self) -> End {
        loop {
            match poll_fn(|cx| self.poll(cx)).await {
                Next::Answer if Box::pin(self.answer()).await => {}
                Next::Answer | Next::Gone => return End::Gone,
                Next::Said => return End::Said(self.socket),
                Next::Hyper => return End::Hyper(self.socket, self.unread),
            }
        }
    }

    /// Answers what can be answered at once, for as long as something comes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        match self.state.heard(cx) {
            Told::Drop => return Poll::Ready(Next::Gone),
            Told::Finish => self.closing = true,
            Told::GoOn => {}
        }
        for _ in 0..READS_A_TURN {
            if let Some(sending) = &mut self.sending {
                if ready!(sending.poll(cx, &self.socket, &self.state)).is_err() {
                    return Poll::Ready(Next::Gone);
                }
                self.sending = None;
            }
            if self.closing {
                return Poll::Ready(Next::Said);
            }
            let next = if self.unread.is_empty() {
                REQUESTS.with_borrow_mut(|buffer| {
                    let mut buffer = ReadBuf::new(buffer);
                    match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                        Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Poll::Ready(self.take(buffer.filled())),
                        Poll::Ready(_) => Poll::Ready(Some(Next::Gone)),
                        Poll::Pending => Poll::Pending,
                    }
                })
            } else {
                let unread = take(&mut self.unread);
                Poll::Ready(self.take(&unread))
            };
            if let Some(next) = ready!(next) {
                return Poll::Ready(next);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes up the requests in these bytes, one after the other, as long as each can be answered and sent at once.
    fn take(&mut self, mut bytes: &[u8]) -> Option<Next> {
        while !bytes.is_empty() {
            let shared = &self.shared;
            let plain = Plain::of(bytes, shared.limits.path).filter(|plain| {
                // The same limit as hyper's, which it has for what it reads itself.
                plain.length <= shared.limits.request_head && shared.feeds.owns(plain.asked.path)
            });
            let reply = plain.as_ref().map(|plain| shared.feeds.at_once(&plain.asked));
            let (Some(plain), Some(Some(reply))) = (&plain, reply) else {
                self.unread = bytes.to_vec();
                return Some(if plain.is_some() { Next::Answer } else { Next::Hyper });
            };
            bytes = bytes.get(plain.length..).unwrap_or_default();
            if self.send(plain, reply).is_err() {
                return Some(Next::Gone);
            }
            if self.sending.is_some() || self.closing {
                self.unread = bytes.to_vec();
                break;
            }
        }
        None
    }

    /// Answers the first unread request with whatever reading and compressing it takes. `false`: the connection is gone.
    async fn answer(&mut self) -> bool {
        self.state.turn(Waits::Answer);
        let unread = take(&mut self.unread);
        let Some(plain) = Plain::of(&unread, self.shared.limits.path) else { return false };
        let shared = self.shared.clone();
        let reply = {
            let mut answer = std::pin::pin!(shared.feeds.answer(&plain.asked));
            let answer_or_end = poll_fn(|cx| match self.state.heard(cx) {
                Told::Drop => Poll::Ready(None),
                Told::Finish | Told::GoOn => answer.as_mut().poll(cx).map(Some),
            });
            answer_or_end.await
        };
        let Some(reply) = reply else { return false };
        self.unread = unread.get(plain.length..).unwrap_or_default().to_vec();
        self.send(&plain, reply).is_ok()
    }

    /// Sends an answer as far as the socket takes it now; the rest is in `sending` then.
    fn send(&mut self, plain: &Plain<'_>, reply: Reply) -> io::Result<()> {
        self.closing |= plain.close;
        HEAD.with_borrow_mut(|head| {
            head.clear();
            DATE.with_borrow_mut(|date| reply.write_head(self.closing, now(date), head));
            let content = if plain.head { Content::empty() } else { reply.content };
            let method = if plain.head { "HEAD" } else { "GET" };
            let bytes = content.bytes().len() as u64;
            self.shared.answered("feeds", method, plain.asked.path, reply.status, bytes);
            let mut sent = 0;
            if send(&self.socket, head, &content, &mut sent)? {
                self.state.turn(Waits::Idle);
            } else {
                self.state.turn(Waits::Reader);
                self.sending = Some(Box::new(Sending { head: head.clone(), content, sent }));
            }
            Ok(())
        })
    }
}

impl Sending {
    /// Sends the rest, whenever the client takes something.
    fn poll(&mut self, cx: &mut Context<'_>, socket: &TcpStream, state: &State) -> Poll<io::Result<()>> {
        loop {
            ready!(socket.poll_write_ready(cx))?;
            let before = self.sent;
            let all = send(socket, &self.head, &self.content, &mut self.sent)?;
            if all {
                state.turn(Waits::Idle);
                return Poll::Ready(Ok(()));
            }
            if self.sent > before {
                // It takes it, if slowly.
                state.turn(Waits::Reader);
            }
        }
    }
}

/// Sends from `sent` on, and adds to it. Whether that was all; the socket takes no more now if not.
fn send(socket: &TcpStream, head: &[u8], content: &Content, sent: &mut usize) -> io::Result<bool> {
    let all = head.len() + content.bytes().len();
    while *sent < all {
        let result = match (head.get(*sent..).filter(|head| !head.is_empty()), content) {
            (Some(head), Content::Shared(bytes)) if bytes.is_empty() => socket.try_write(head),
            (Some(head), Content::Shared(bytes)) => {
                socket.try_write_vectored(&[IoSlice::new(head), IoSlice::new(bytes)])
            }
            (Some(head), Content::Large(_)) => Large::send_head(socket, head),
            (None, Content::Shared(bytes)) => socket.try_write(bytes.get(*sent - head.len()..).unwrap_or_default()),
            (None, Content::Large(large)) => large.send(socket, *sent - head.len()),
        };
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => *sent += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The time as HTTP writes it, written anew each second.
fn now(date: &mut (Duration, String)) -> &str {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if since.as_secs() != date.0.as_secs() || date.1.is_empty() {
        *date = (since, httpdate::fmt_http_date(UNIX_EPOCH + since));
    }
    &date.1
}
