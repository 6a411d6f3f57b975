//! An answer for a file of the feeds' folder, before it is said who sends it: hyper, or the express.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Response, StatusCode};
use std::sync::Arc;

use super::body::{Body, Content};
use super::negotiate::Encoding;
use super::version::Version;

/// A status, headers, and what follows them.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    head: Head,
    /// Sent if the request was not HEAD.
    pub(crate) content: Content,
}

/// Whose headers.
#[derive(Debug)]
enum Head {
    /// A version's, for 200 and 304: they were written when it was read.
    Version(Arc<Version>, Encoding),
    Own(HeaderMap),
}

impl Reply {
    /// Headers made for this answer.
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, content: Content) -> Reply {
        Reply { status, head: Head::Own(headers), content }
    }

    /// A version, whole.
    pub(crate) fn whole(version: Arc<Version>, encoding: Encoding, content: Content) -> Reply {
        Reply { status: StatusCode::OK, head: Head::Version(version, encoding), content }
    }

    /// The client has this version.
    pub(crate) fn not_modified(version: Arc<Version>, encoding: Encoding) -> Reply {
        Reply { status: StatusCode::NOT_MODIFIED, head: Head::Version(version, encoding), content: Content::empty() }
    }

    /// A sentence, not to be kept.
    pub(crate) fn plain(status: StatusCode, sentence: &'static str) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        Reply::new(status, headers, Content::Shared(sentence.into()))
    }

    /// The same with one header more; for answers with headers of their own.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        if let Head::Own(headers) = &mut self.head {
            headers.insert(name, value);
        }
        self
    }

    /// As hyper sends it.
    pub(crate) fn into_response(self) -> Response<Body> {
        let headers = match self.head {
            Head::Version(version, encoding) if self.status == StatusCode::NOT_MODIFIED => {
                version.not_modified(encoding).clone()
            }
            Head::Version(version, encoding) => version.whole(encoding).clone(),
            Head::Own(headers) => headers,
        };
        let bytes = self.content.bytes().clone();
        let length = bytes.len();
        let mut response = Response::new(Body::Ready(Some(bytes)));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        if has_length(self.status) {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response
    }

    /// Writes what stands before the content, as the express sends it: the same lines.
    pub(crate) fn write_head(&self, close: bool, date: &str, to: &mut Vec<u8>) {
        match &self.head {
            Head::Version(version, encoding) if self.status == StatusCode::NOT_MODIFIED => {
                to.extend_from_slice(version.not_modified_lines(*encoding));
            }
            Head::Version(version, encoding) => {
                to.extend_from_slice(version.whole_lines(*encoding, self.content.bytes().len()));
            }
            Head::Own(headers) => write_lines(self.status, headers, self.content.bytes().len(), to),
        }
        if close {
            to.extend_from_slice(b"connection: close\r\n");
        }
        to.extend_from_slice(b"date: ");
        to.extend_from_slice(date.as_bytes());
        to.extend_from_slice(b"\r\n\r\n");
    }
}

/// Whether an answer with this status says how long its content is (RFC 9110, section 8.6).
fn has_length(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT)
}

/// The status line and these headers, without the empty line at their end.
pub(crate) fn write_lines(status: StatusCode, headers: &HeaderMap, length: usize, to: &mut Vec<u8>) {
    let reason = status.canonical_reason().unwrap_or_default();
    to.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in headers {
        to.extend_from_slice(name.as_str().as_bytes());
        to.extend_from_slice(b": ");
        to.extend_from_slice(value.as_bytes());
        to.extend_from_slice(b"\r\n");
    }
    if has_length(status) {
        to.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
}
