//! The stream under lettre's connection.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::lines::Lines;

/// How many bytes have been given to a stream, so that a write that broke can be told from an answer that did not come.
pub(super) type Written = Arc<AtomicU64>;

/// Bytes read at once: replies are short.
const READ: usize = 1024;

/// A socket, with TLS or without.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    written: Written,
    lines: Lines,
}

#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn clear(tcp: TcpStream) -> (Self, Written) {
        let written = Written::default();
        (Wire { stream: Stream::Clear(tcp), written: written.clone(), lines: Lines::default() }, written)
    }

    pub(super) fn tls(tls: TlsStream<TcpStream>) -> (Self, Written) {
        let written = Written::default();
        (Wire { stream: Stream::Tls(Box::new(tls)), written: written.clone(), lines: Lines::default() }, written)
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
            self.written.fetch_add(*n as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
