//! One connection: its socket, what it is doing and since when, and who may end it.

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Limits;
use super::large::Large;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Waits {
    /// For the next request: nothing of it has come.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For us, or for the rest of a request's body.
    Answer,
    /// For the client to take what we send.
    Reader,
}

/// What a connection has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Told {
    GoOn,
    /// End after the request under way.
    Finish,
    /// End now.
    Drop,
}

/// The state of a connection, seen by the socket, the service and the watch. Plain numbers: it is written with every
/// request, and a timer for each would cost more than the answer.
#[derive(Debug)]
pub(crate) struct State {
    start: Instant,
    waits: AtomicU8,
    /// Milliseconds since `start`.
    since: AtomicU64,
    told: AtomicU8,
    task: AtomicWaker,
    /// The large body that is being sent. The flag spares the others the lock.
    sends: AtomicBool,
    large: Mutex<Option<Arc<Large>>>,
}

impl State {
    /// A new connection: its first request is expected at once.
    pub(crate) fn new(start: Instant) -> Arc<State> {
        let state = State {
            start,
            waits: (Waits::Head as u8).into(),
            since: 0.into(),
            told: (Told::GoOn as u8).into(),
            task: AtomicWaker::new(),
            sends: false.into(),
            large: Mutex::default(),
        };
        state.turn(Waits::Head);
        Arc::new(state)
    }

    /// The next answer's body is this large one, or none.
    pub(crate) fn sends(&self, large: Option<&Arc<Large>>) {
        if self.sends.swap(large.is_some(), Relaxed) || large.is_some() {
            *self.large.lock().unwrap_or_else(PoisonError::into_inner) = large.cloned();
        }
    }

    /// The large body, and how far it has been sent, if these bytes are its rest.
    fn rest(&self, bytes: &[u8]) -> Option<(Arc<Large>, usize)> {
        if !self.sends.load(Relaxed) {
            return None;
        }
        let large = self.large.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let offset = large.rest(bytes)?;
        Some((large, offset))
    }

    /// From now on it waits for this.
    pub(crate) fn turn(&self, waits: Waits) {
        self.since.store(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.waits.store(waits as u8, Relaxed);
    }

    /// What it waits for.
    pub(crate) fn waits(&self) -> Waits {
        match self.waits.load(Relaxed) {
            0 => Waits::Idle,
            1 => Waits::Head,
            2 => Waits::Answer,
            _ => Waits::Reader,
        }
    }

    /// When it began to, in milliseconds since the server's start.
    pub(crate) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// Whether it has waited for longer than it may.
    pub(crate) fn is_over(&self, limits: &Limits) -> bool {
        let limit = match self.waits() {
            Waits::Idle => limits.idle,
            Waits::Head => limits.head,
            Waits::Answer => limits.answer,
            Waits::Reader => limits.stalled,
        };
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        u128::from(now.saturating_sub(self.since())) > limit.as_millis()
    }

    /// Tells the connection's task.
    pub(crate) fn tell(&self, told: Told) {
        self.told.fetch_max(told as u8, Relaxed);
        self.task.wake();
    }

    /// What it has been told; the task of `cx` hears of the next.
    pub(crate) fn heard(&self, cx: &Context<'_>) -> Told {
        self.task.register(cx.waker());
        match self.told.load(Relaxed) {
            0 => Told::GoOn,
            1 => Told::Finish,
            _ => Told::Drop,
        }
    }
}

/// A socket that notes what it waits for.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) socket: TcpStream,
    pub(crate) state: Arc<State>,
    /// What has been read from it already.
    pub(crate) unread: Bytes,
}

impl Watched {
    /// Sends in our own way as soon as the socket takes something.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            match send(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        match (result, self.state.waits()) {
            // The client takes it, if slowly.
            (Poll::Ready(Ok(_)), Waits::Reader) => self.state.turn(Waits::Idle),
            (Poll::Pending, waits) if waits != Waits::Reader => self.state.turn(Waits::Reader),
            _ => {}
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = if self.unread.is_empty() {
            Pin::new(&mut self.socket).poll_read(cx, buffer)
        } else {
            let now = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(now));
            Poll::Ready(Ok(()))
        };
        if buffer.filled().len() > before && self.state.waits() == Waits::Idle {
            self.state.turn(Waits::Head);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = match self.state.rest(bytes) {
            Some((large, offset)) => self.poll_send(cx, |socket| large.send(socket, offset)),
            None => Pin::new(&mut self.socket).poll_write(cx, bytes),
        };
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let large = parts.iter().enumerate().find_map(|(i, part)| Some((i, self.state.rest(part)?)));
        let result = match large {
            Some((0, (large, offset))) => self.poll_send(cx, |socket| large.send(socket, offset)),
            // What stands before it first: nearly always only the head.
            Some((1, _)) => self.poll_send(cx, |socket| Large::send_head(socket, &parts[0])),
            Some((before, _)) => Pin::new(&mut self.socket).poll_write_vectored(cx, &parts[..before]),
            None => Pin::new(&mut self.socket).poll_write_vectored(cx, parts),
        };
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
