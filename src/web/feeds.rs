//! A request for a file of the feeds' folder, and its answer.

use hyper::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, LOCATION, VARY,
};
use hyper::{Method, StatusCode};
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

use super::body::Content;
use super::negotiate::{A_IM, Accepted, Asked, Encoding, IM, has_it, tags, wants_only_new};
use super::reply::Reply;
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

/// What can be said of a version at once.
enum Said {
    Reply(Reply),
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

    /// The answer to a GET or HEAD, if everything for it is in memory. Most requests end here.
    pub(crate) fn at_once(&self, asked: &Asked<'_>) -> Option<Reply> {
        // A path that is spelled in another way than ours is not found here, and is put right in `answer`.
        let below = asked.path.strip_prefix(&*self.prefix)?;
        let version = self.shelf.fresh(below)?;
        match self.say(asked, below, &version) {
            Said::Reply(reply) => Some(reply),
            Said::NotYet(_) => None,
        }
    }

    /// The answer, with whatever reading and compressing it takes.
    pub(crate) async fn answer(&self, asked: &Asked<'_>) -> Reply {
        let Some(below) = asked.path.strip_prefix(&*self.prefix) else {
            return moved(&self.prefix);
        };
        let Some(mut path) = file_path(below) else {
            return Reply::plain(StatusCode::NOT_FOUND, "There is nothing here.\n");
        };
        if path.is_empty() || path.ends_with('/') {
            path.push_str("index.html");
        }
        let version = match self.shelf.fetch(&path).await {
            Ok(version) => version,
            Err(Absent::Folder) => return moved(&format!("{}/", asked.path)),
            Err(Absent::Missing) => return Reply::plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
            Err(Absent::Unreadable(because)) => {
                tracing::error!(path, %because, "a file cannot be read");
                return Reply::plain(StatusCode::INTERNAL_SERVER_ERROR, "This cannot be read at the moment.\n");
            }
        };
        for _ in Encoding::ALL {
            match self.say(asked, &path, &version) {
                Said::Reply(reply) => return reply,
                Said::NotYet(encoding) => {
                    if let Err(because) = self.shelf.body(&version, encoding).await {
                        tracing::error!(path, %because, encoding = encoding.name(), "cannot be compressed");
                        break;
                    }
                }
            }
        }
        Reply::plain(StatusCode::INTERNAL_SERVER_ERROR, "This cannot be read at the moment.\n")
    }

    fn say(&self, asked: &Asked<'_>, path: &str, version: &Arc<Version>) -> Said {
        let accepted = Accepted::of(asked);
        let Some(encoding) = accepted.best(|encoding| version.has(encoding)) else {
            let refusal = Reply::plain(StatusCode::NOT_ACCEPTABLE, "There is no encoding of this that you accept.\n");
            return Said::Reply(refusal.with(VARY, HeaderValue::from_static("Accept-Encoding")));
        };
        if has_it(asked, version.etag(encoding), version.modified, &version.modified_text) {
            return Said::Reply(Reply::not_modified(version.clone(), encoding));
        }
        if wants_only_new(asked)
            && accepted.best(|e| e == Encoding::Identity).is_some()
            && let Some(news) = self.shelf.news(path, version, tags(asked))
        {
            // RFC 3229: the tag is that of the whole, which the client now has, in the encoding in which it would have come:
            // with it the client asks the next time. A cache that does not know `IM` must not keep this.
            let mut headers = version.whole(Encoding::Identity).clone();
            headers.insert(ETAG, version.etag(encoding).clone());
            headers.insert(IM, HeaderValue::from_static("feed"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, im, max-age=60"));
            return Said::Reply(Reply::new(StatusCode::IM_USED, headers, Content::Shared(news)));
        }
        match version.content(encoding) {
            Some(content) => Said::Reply(Reply::whole(version.clone(), encoding, content)),
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

fn moved(to: &str) -> Reply {
    Reply::plain(StatusCode::PERMANENT_REDIRECT, "This is a folder; its address ends in a slash.\n")
        .with(LOCATION, text(to))
}

/// What is neither GET nor HEAD: a browser's question whether scripts of other sites may ask (CORS), or an error.
pub(crate) fn not_reading(method: &Method) -> Reply {
    const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
    let reply = if method == Method::OPTIONS {
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        let allowed = format!("If-None-Match, If-Modified-Since, {A_IM}, {ACCEPT_ENCODING}");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, text(&allowed));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        Reply::new(StatusCode::NO_CONTENT, headers, Content::empty())
    } else {
        Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "This can only be read.\n")
    };
    reply.with(ALLOW, METHODS)
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
