//! The request that feed readers send: GET or HEAD in HTTP/1.1, without a body and without anything unusual. Pure.
//!
//! What is a request at all, `httparse` says, for hyper as well as here. Whatever is not plain is not refused but left to
//! hyper.

use std::mem::MaybeUninit;

use super::negotiate::Asked;

/// A plain request has no more header lines.
const MOST_LINES: usize = 32;

/// A plain request, and how many bytes it takes.
#[derive(Debug)]
pub(crate) struct Plain<'a> {
    pub(crate) asked: Asked<'a>,
    /// HEAD instead of GET.
    pub(crate) head: bool,
    /// The connection is to be closed afterwards.
    pub(crate) close: bool,
    pub(crate) length: usize,
}

impl<'a> Plain<'a> {
    /// The request that these bytes begin with, if all of it is there and it is plain; its path may have so many bytes.
    pub(crate) fn of(bytes: &'a [u8], longest_path: usize) -> Option<Plain<'a>> {
        let mut lines = [const { MaybeUninit::uninit() }; MOST_LINES];
        let mut request = httparse::Request::new(&mut []);
        let Ok(httparse::Status::Complete(length)) = request.parse_with_uninit_headers(bytes, &mut lines) else {
            return None;
        };
        let head = match (request.method?, request.version?) {
            ("GET", 1) => false,
            ("HEAD", 1) => true,
            _ => return None,
        };
        let target = request.path?;
        if !target.starts_with('/') || !target.bytes().all(is_usual) {
            return None;
        }
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        if path.len() > longest_path {
            return None;
        }
        let (mut asked, mut close, mut hosts) = (Asked::new(path), false, 0);
        for line in request.headers.iter() {
            let (name, value) = (line.name, line.value);
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => {
                    hosts += 1;
                    if !is_host(value) {
                        return None;
                    }
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    if value.eq_ignore_ascii_case(b"close") {
                        close = true;
                    } else if !value.eq_ignore_ascii_case(b"keep-alive") {
                        return None;
                    }
                }
                // A body, or a wish that has to do with the connection.
                6 if name.eq_ignore_ascii_case("expect") => return None,
                7 if name.eq_ignore_ascii_case("upgrade") => return None,
                14 if name.eq_ignore_ascii_case("content-length") => return None,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => return None,
                _ => {}
            }
            asked.note(name, value);
        }
        (hosts == 1).then_some(Plain { asked, head, close, length })
    }
}

/// Bytes of paths and queries (RFC 3986, sections 3.3 and 3.4); whatever else a parser may let through is not plain.
fn is_usual(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%/?!$&'()*+,;=:@".contains(&byte)
}

/// Whether this can be the value of `Host` (RFC 9110, section 7.2); it may be empty.
pub(crate) fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plain(text: &str) -> Option<(String, bool, bool, usize)> {
        let plain = Plain::of(text.as_bytes(), 100)?;
        Some((plain.asked.path.to_owned(), plain.head, plain.close, plain.length))
    }

    #[test]
    fn what_feed_readers_send_is_plain() {
        let wanted = |path: &str, head, close, length| Some((path.to_owned(), head, close, length));
        let request = "GET /feeds/rss.xml HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(plain(request), wanted("/feeds/rss.xml", false, false, request.len()));
        assert_eq!(plain(&format!("{request}GET /")), wanted("/feeds/rss.xml", false, false, request.len()));
        let request = "HEAD /a%20b?x=y&z HTTP/1.1\r\nhOST: x:80\r\nCONNECTION: Close\r\nUser-Agent: \u{e9}\r\n\r\n";
        assert_eq!(plain(request), wanted("/a%20b", true, true, request.len()));
        let request = "\r\nGET / HTTP/1.1\nHost:\nConnection: keep-alive\n\n";
        assert_eq!(plain(request), wanted("/", false, false, request.len()));
    }

    #[test]
    fn whatever_is_unusual_is_left_to_hyper() {
        let long = "a".repeat(100);
        let many = "X: y\r\n".repeat(MOST_LINES);
        for request in [
            "",
            "GET",
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\\ HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /# HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n",
            "get / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, x\r\n\r\n",
            &format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
            &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        ] {
            assert_eq!(plain(request), None, "{request:?}");
        }
    }
}
