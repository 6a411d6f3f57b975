//! The bodies of answers.

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::large::Large;

/// Bytes that many answers share.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Shared(Bytes),
    Large(Arc<Large>),
}

impl Content {
    pub(crate) fn empty() -> Content {
        Content::Shared(Bytes::new())
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        match self {
            Content::Shared(bytes) => bytes,
            Content::Large(large) => large.bytes(),
        }
    }
}

/// The body of an answer that hyper sends: shared bytes, `None` when they have been handed over, or what a page's handler
/// made.
#[derive(Debug)]
pub(crate) enum Body {
    Ready(Option<Bytes>),
    Made(axum::body::Body),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Body::Ready(bytes) => {
                Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(|b| Ok(Frame::data(b))))
            }
            Body::Made(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Ready(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Body::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Ready(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Made(body) => body.size_hint(),
        }
    }
}
