//! A request for a file of the feeds' folder, and its answer.

use hyper::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

use super::body::Body;
use super::negotiate::{A_IM, Accepted, Encoding, IM, has_it, tags, wants_only_new};
use super::shelf::{Absent, Shelf};
use super::version::{Version, text};

/// A longer path below the folder is refused.
pub(crate) const LONGEST_PATH: usize = 1_024;

/// The feeds' folder as HTTP has it.
pub(crate) struct Feeds {
    shelf: Arc<Shelf>,
    /// The path of the public address: `/feeds/`.
    prefix: Box<str>,
}

/// What of a request decides the answer.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>) -> Asked<'a> {
        Asked { method: request.method(), path: request.uri().path(), headers: request.headers() }
    }
}

/// What can be said of a version at once.
enum Said {
    Answer(Response<Body>),
    /// The body in this encoding has to be made first.
    NotYet(Encoding),
}

impl Feeds {
    /// `budget` in bytes of memory.
    pub(crate) fn new(folder: PathBuf, public: Url, hubs: Vec<Url>, budget: usize) -> Feeds {
        let prefix = public.path().into();
        Feeds { shelf: Arc::new(Shelf::new(folder, public, hubs, budget)), prefix }
    }

    /// Whether this path is one of ours.
    pub(crate) fn owns(&self, path: &str) -> bool {
        path.starts_with(&*self.prefix) || Some(path) == self.prefix.strip_suffix('/')
    }

    /// The bytes that bodies take in memory.
    pub(crate) fn held(&self) -> usize {
        self.shelf.held()
    }

    /// The answer, if everything for it is in memory. Most requests end here.
    pub(crate) fn at_once(&self, asked: &Asked<'_>) -> Option<Response<Body>> {
        if !(asked.method == Method::GET || asked.method == Method::HEAD) {
            return Some(not_reading(asked.method));
        }
        // A path that is spelled in another way than ours is not found here, and is put right in `answer`.
        let version = self.shelf.fresh(asked.path.strip_prefix(&*self.prefix)?)?;
        match self.say(asked, asked.path.strip_prefix(&*self.prefix)?, &version) {
            Said::Answer(answer) => Some(answer),
            Said::NotYet(_) => None,
        }
    }

    /// The answer, with whatever reading and compressing it takes.
    pub(crate) async fn answer(&self, asked: &Asked<'_>) -> Response<Body> {
        if !(asked.method == Method::GET || asked.method == Method::HEAD) {
            return not_reading(asked.method);
        }
        let Some(below) = asked.path.strip_prefix(&*self.prefix) else {
            return moved(&self.prefix);
        };
        let Some(mut path) = file_path(below) else {
            return plain(StatusCode::NOT_FOUND, "There is nothing here.\n");
        };
        if path.is_empty() || path.ends_with('/') {
            path.push_str("index.html");
        }
        let version = match self.shelf.fetch(&path).await {
            Ok(version) => version,
            Err(Absent::Folder) => return moved(&format!("{}/", asked.path)),
            Err(Absent::Missing) => return plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
            Err(Absent::Unreadable(because)) => {
                tracing::error!(path, %because, "a file cannot be read");
                return plain(StatusCode::INTERNAL_SERVER_ERROR, "This cannot be read at the moment.\n");
            }
        };
        for _ in Encoding::ALL {
            match self.say(asked, &path, &version) {
                Said::Answer(answer) => return answer,
                Said::NotYet(encoding) => {
                    if let Err(because) = self.shelf.body(&version, encoding).await {
                        tracing::error!(path, %because, encoding = encoding.name(), "cannot be compressed");
                        break;
                    }
                }
            }
        }
        plain(StatusCode::INTERNAL_SERVER_ERROR, "This cannot be read at the moment.\n")
    }

    fn say(&self, asked: &Asked<'_>, path: &str, version: &Version) -> Said {
        let Some(encoding) = Accepted::of(asked.headers).best(|encoding| version.has(encoding)) else {
            let mut answer = plain(StatusCode::NOT_ACCEPTABLE, "There is no encoding of this that you accept.\n");
            answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            return Said::Answer(answer);
        };
        if has_it(asked.headers, version.etag(encoding), version.modified, &version.modified_text) {
            return Said::Answer(with_headers(
                StatusCode::NOT_MODIFIED,
                version.not_modified(encoding).clone(),
                Body::empty(),
            ));
        }
        if wants_only_new(asked.headers)
            && Accepted::of(asked.headers).best(|e| e == Encoding::Identity).is_some()
            && let Some(news) = self.shelf.news(path, version, tags(asked.headers))
        {
            // RFC 3229: the tag is that of the whole, which the client now has, in the encoding in which it would have come:
            // with it the client asks the next time. A cache that does not know `IM` must not keep this.
            let mut headers = version.whole(Encoding::Identity).clone();
            headers.insert(ETAG, version.etag(encoding).clone());
            headers.insert(IM, HeaderValue::from_static("feed"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, im, max-age=60"));
            return Said::Answer(with_headers(StatusCode::IM_USED, headers, Body::Shared(news)));
        }
        match version.body(encoding) {
            Some(body) => Said::Answer(with_headers(StatusCode::OK, version.whole(encoding).clone(), body)),
            None => Said::NotYet(encoding),
        }
    }
}

/// The file's path below the folder, decoded; empty or with a slash at its end for a folder. `None` for whatever could
/// lead elsewhere: empty and dotted names, and characters that some system or parser takes for more than a character.
fn file_path(below: &str) -> Option<String> {
    if below.len() > LONGEST_PATH {
        return None;
    }
    let path = decoded(below)?;
    let names = path.strip_suffix('/').unwrap_or(&path);
    let sound = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.chars().any(|c| c.is_control() || matches!(c, '\\' | ':' | '?' | '#' | '%' | '"' | '<' | '>'))
    };
    (path.is_empty() || names.split('/').all(sound)).then_some(path)
}

/// Percent-decoded once; `None` if that is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let high = char::from(*high).to_digit(16)?;
                let low = char::from(*low).to_digit(16)?;
                (u8::try_from(high * 16 + low).ok()?, after)
            }
            (b'%', _) => return None,
            (byte, after) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn with_headers(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// An answer in a sentence, not to be kept.
pub(crate) fn plain(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    with_headers(status, headers, Body::Shared(sentence.into()))
}

fn moved(to: &str) -> Response<Body> {
    let mut answer = plain(StatusCode::PERMANENT_REDIRECT, "This is a folder; its address ends in a slash.\n");
    answer.headers_mut().insert(LOCATION, text(to));
    answer
}

/// What is neither GET nor HEAD: a browser's question whether scripts of other sites may ask (CORS), or an error.
fn not_reading(method: &Method) -> Response<Body> {
    const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
    let mut answer = if method == Method::OPTIONS {
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        let allowed = format!("If-None-Match, If-Modified-Since, {A_IM}, {ACCEPT_ENCODING}");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, text(&allowed));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        with_headers(StatusCode::NO_CONTENT, headers, Body::empty())
    } else {
        plain(StatusCode::METHOD_NOT_ALLOWED, "This can only be read.\n")
    };
    answer.headers_mut().insert(ALLOW, METHODS);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_below_the_folder_or_nowhere() {
        for (below, wanted) in [
            ("rss.xml", "rss.xml"),
            ("", ""),
            ("campus/", "campus/"),
            ("campus/archive/rss-0001.xml", "campus/archive/rss-0001.xml"),
            ("tag/caf%C3%A9/rss.xml", "tag/café/rss.xml"),
            ("a%20b.xml", "a b.xml"),
        ] {
            assert_eq!(file_path(below).as_deref(), Some(wanted), "{below}");
        }
        for below in [
            "..",
            "../secret",
            "a/../b",
            "%2e%2e/secret",
            "%2E%2e%2fsecret",
            "..%2fsecret",
            "..\\secret",
            "..%5csecret",
            "a//b",
            "//etc/passwd",
            "/etc/passwd",
            "./a",
            ".tmp1",
            "a/.hidden",
            "a%00.xml",
            "%",
            "%2",
            "%zz",
            "%ff",
            "%c0%ae%c0%ae/secret",
            "%252e%252e/secret",
            "c:/x",
            "a?b%3f",
            "a%0d%0ab",
            "a/./b",
            "%2f",
            "a%2f%2fb",
            "a%22b",
        ] {
            assert_eq!(file_path(below), None, "{below}");
        }
        assert!(file_path(&"a".repeat(LONGEST_PATH)).is_some());
        assert!(file_path(&"a".repeat(LONGEST_PATH + 1)).is_none());
    }
}
