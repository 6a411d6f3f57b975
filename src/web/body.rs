//! The bodies of answers.

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of an answer: bytes that many answers share, or what a page's handler made.
#[derive(Debug)]
pub(crate) enum Body {
    Shared(Bytes),
    Made(axum::body::Body),
}

impl Body {
    pub(crate) fn empty() -> Body {
        Body::Shared(Bytes::new())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Body::Shared(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Shared(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Made(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Shared(bytes) => bytes.is_empty(),
            Body::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Shared(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Made(body) => body.size_hint(),
        }
    }
}
