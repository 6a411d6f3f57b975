//! The stream under lettre's connection.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::lines::Lines;

/// What a connection shares with the stream under it. lettre copies what it is given to write; a message is laid here, and goes out
/// when lettre flushes.
#[derive(Debug, Clone, Default)]
pub(super) struct Tray(Arc<Mutex<Load>>);

#[derive(Debug, Default)]
struct Load {
    /// What is to go out at the next flush; kept for its room when it has.
    bytes: Vec<u8>,
    /// So much of it has.
    gone: usize,
    /// How many bytes the stream has taken in all.
    written: u64,
}

impl Tray {
    /// Lays down what `write` appends; answers what [`Tray::written`] is before it goes out. What lay there does not.
    pub(super) fn lay(&self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut load = self.load();
        load.bytes.clear();
        load.gone = 0;
        write(&mut load.bytes);
        load.written
    }

    /// How many bytes the stream has taken: a write that broke can be told from an answer that did not come.
    pub(super) fn written(&self) -> u64 {
        self.load().written
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes read at once: replies are short.
const READ: usize = 1024;

/// A socket, with TLS or without.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    tray: Tray,
    lines: Lines,
}

#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn clear(tcp: TcpStream) -> (Self, Tray) {
        Wire::new(Stream::Clear(tcp))
    }

    pub(super) fn tls(tls: TlsStream<TcpStream>) -> (Self, Tray) {
        Wire::new(Stream::Tls(Box::new(tls)))
    }

    fn new(stream: Stream) -> (Self, Tray) {
        let tray = Tray::default();
        (Wire { stream, tray: tray.clone(), lines: Lines::default() }, tray)
    }

    /// The same, where the server has greeted before: lettre waits for a greeting, and after STARTTLS there is none.
    pub(super) fn greeted(mut self) -> Self {
        self.lines = Lines::after(b"220 greeted\r\n");
        self
    }

    fn io(&mut self) -> Pin<&mut (dyn Both + Unpin)> {
        match &mut self.stream {
            Stream::Clear(tcp) => Pin::new(tcp),
            Stream::Tls(tls) => Pin::new(tls.as_mut()),
        }
    }
}

trait Both: AsyncRead + AsyncWrite {}
impl Both for TcpStream {}
impl Both for TlsStream<TcpStream> {}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let taken = self.lines.take(buf.initialize_unfilled());
            if taken > 0 || buf.remaining() == 0 {
                buf.advance(taken);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [0; READ];
            let mut read = ReadBuf::new(&mut bytes);
            match self.io().poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    self.lines.end();
                    let taken = self.lines.take(buf.initialize_unfilled());
                    buf.advance(taken);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) => self.lines.push(read.filled()),
                broken => return broken,
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.io().poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = &result {
            self.tray.load().written += *n as u64;
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tray = self.tray.clone();
        let mut load = tray.load();
        while load.gone < load.bytes.len() {
            match ready!(self.io().poll_write(cx, &load.bytes[load.gone..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    load.gone += n;
                    load.written += n as u64;
                }
            }
        }
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.stream {
            Stream::Clear(tcp) => tcp.peer_addr(),
            Stream::Tls(tls) => tls.get_ref().0.peer_addr(),
        }
    }
}
