//! One version of one file, read whole once and never changed: its bodies and the headers that go with them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderValue, LAST_MODIFIED, LINK, VARY, X_CONTENT_TYPE_OPTIONS,
};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::body::Content;
use super::delta::Parts;
use super::large::{self, Large};
use super::negotiate::Encoding;
use super::reply::write_lines;
use crate::feed::media::{self, Sort};
use crate::stamp::Stamp;

/// A text shorter than this is not compressed: headers and one packet are all there is to it.
pub(crate) const SMALLEST_COMPRESSED: usize = 512;

/// Of 18 bytes of the SHA-256, 24 characters.
const TAG_BYTES: usize = 18;

/// The strongest level that takes well under a tenth of a second for a feed of half a megabyte.
const GZIP_LEVEL: u32 = 9;
const BROTLI_QUALITY: i32 = 9;
const BROTLI_WINDOW: i32 = 22;
const ZSTD_LEVEL: i32 = 12;

/// A large body becomes an open file when it is wanted for this time: whoever walks through the archives once must not take
/// the places of the feeds that everybody polls.
const WANTED: u8 = 8;

/// One version of one file.
#[derive(Debug)]
pub(crate) struct Version {
    /// Tells this content from every other; entity tags are made of it.
    pub(crate) tag: Box<str>,
    /// `Last-Modified`, whole seconds.
    pub(crate) modified: SystemTime,
    /// The same as text.
    pub(crate) modified_text: HeaderValue,
    /// The items, if it is a feed's current document.
    pub(crate) parts: Option<Parts>,
    /// Where it was read, and what the file was like.
    source: Option<(PathBuf, Stamp)>,
    compressible: bool,
    facets: [Facet; 4],
}

/// A version in one encoding.
#[derive(Debug)]
struct Facet {
    etag: HeaderValue,
    /// The headers of a whole answer, and of a 304; and the same as they are sent.
    whole: HeaderMap,
    whole_lines: OnceLock<Box<[u8]>>,
    not_modified: HeaderMap,
    not_modified_lines: OnceLock<Box<[u8]>>,
    body: OnceLock<Bytes>,
    /// How often the body has been wanted, up to [`WANTED`].
    wanted: AtomicU8,
    large: OnceLock<Option<Arc<Large>>>,
}

impl Version {
    /// `path` is the file's below the folder; `link` what `Link` says of a feed; `modified` in whole seconds.
    pub(crate) fn new(path: &str, bytes: Bytes, modified: SystemTime, link: Option<&HeaderValue>) -> Version {
        let media = media::of(path);
        let tag = URL_SAFE_NO_PAD.encode(digest(&SHA256, &bytes).as_ref().get(..TAG_BYTES).unwrap_or_default());
        let modified_text = text(&httpdate::fmt_http_date(modified));
        let feed = media.sort == Sort::Feed;
        let mut common = HeaderMap::with_capacity(16);
        common.insert(CACHE_CONTROL, HeaderValue::from_static(media.cache_control()));
        common.insert(VARY, HeaderValue::from_static(if feed { "Accept-Encoding, A-IM" } else { "Accept-Encoding" }));
        common.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let facets = [Encoding::Identity, Encoding::Gzip, Encoding::Brotli, Encoding::Zstd].map(|encoding| {
            let etag = match encoding {
                Encoding::Identity => text(&format!("\"{tag}\"")),
                _ => text(&format!("\"{tag}.{}\"", encoding.name())),
            };
            let mut not_modified = common.clone();
            not_modified.insert(ETAG, etag.clone());
            // A 304 tells only what it must (RFC 9110, section 15.4.5): the client has the rest.
            let mut whole = not_modified.clone();
            whole.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag, Link"));
            whole.insert(LAST_MODIFIED, modified_text.clone());
            whole.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type));
            whole.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            if encoding != Encoding::Identity {
                whole.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
            }
            if let Some(link) = link {
                whole.insert(LINK, link.clone());
            }
            Facet {
                etag,
                whole,
                whole_lines: OnceLock::new(),
                not_modified,
                not_modified_lines: OnceLock::new(),
                body: OnceLock::new(),
                wanted: 0.into(),
                large: OnceLock::new(),
            }
        });
        let version = Version {
            tag: tag.into(),
            modified,
            modified_text,
            parts: feed.then(|| Parts::of(&bytes)).flatten(),
            source: None,
            compressible: media.text && bytes.len() >= SMALLEST_COMPRESSED,
            facets,
        };
        let _ = version.facets[Encoding::Identity as usize].body.set(bytes);
        version
    }

    /// The same, read from this file.
    pub(crate) fn read_from(self, file: PathBuf, stamp: Stamp) -> Version {
        Version { source: Some((file, stamp)), ..self }
    }

    /// The file's own bytes.
    pub(crate) fn bytes(&self) -> Bytes {
        self.made(Encoding::Identity).unwrap_or_default()
    }

    /// Whether there is, or can be, this encoding of it.
    pub(crate) fn has(&self, encoding: Encoding) -> bool {
        encoding == Encoding::Identity || self.compressible
    }

    /// The entity tag in this encoding.
    pub(crate) fn etag(&self, encoding: Encoding) -> &HeaderValue {
        &self.facets[encoding as usize].etag
    }

    /// The headers of a whole answer in this encoding.
    pub(crate) fn whole(&self, encoding: Encoding) -> &HeaderMap {
        &self.facets[encoding as usize].whole
    }

    /// The headers of a 304 for this encoding.
    pub(crate) fn not_modified(&self, encoding: Encoding) -> &HeaderMap {
        &self.facets[encoding as usize].not_modified
    }

    /// The lines of a whole answer in this encoding, whose body has this length, up to the date.
    pub(crate) fn whole_lines(&self, encoding: Encoding, length: usize) -> &[u8] {
        let facet = &self.facets[encoding as usize];
        facet.whole_lines.get_or_init(|| lines(StatusCode::OK, &facet.whole, length))
    }

    /// The same of a 304.
    pub(crate) fn not_modified_lines(&self, encoding: Encoding) -> &[u8] {
        let facet = &self.facets[encoding as usize];
        facet.not_modified_lines.get_or_init(|| lines(StatusCode::NOT_MODIFIED, &facet.not_modified, 0))
    }

    /// The body, if it has been made.
    pub(crate) fn made(&self, encoding: Encoding) -> Option<Bytes> {
        self.facets[encoding as usize].body.get().cloned()
    }

    /// The body as it is to be sent, if it has been made.
    pub(crate) fn content(&self, encoding: Encoding) -> Option<Content> {
        let facet = &self.facets[encoding as usize];
        let bytes = facet.body.get()?;
        let large = if bytes.len() < large::SMALLEST { None } else { self.large(encoding, bytes) };
        Some(large.map_or_else(|| Content::Shared(bytes.clone()), Content::Large))
    }

    /// The body as an open file, if it is wanted often.
    fn large(&self, encoding: Encoding, bytes: &Bytes) -> Option<Arc<Large>> {
        let facet = &self.facets[encoding as usize];
        if let Some(known) = facet.large.get() {
            return known.clone();
        }
        if facet.wanted.fetch_add(1, Relaxed) < WANTED {
            return None;
        }
        let source = self.source.as_ref().filter(|_| encoding == Encoding::Identity);
        let on_disk = |(path, stamp): &(PathBuf, Stamp)| Large::on_disk(bytes, path, *stamp);
        facet.large.get_or_init(|| source.and_then(on_disk).or_else(|| Large::in_memory(bytes))).clone()
    }

    /// Makes the body, once; tens of milliseconds for a large one. `Err` only if memory is short.
    pub(crate) fn make(&self, encoding: Encoding) -> io::Result<Bytes> {
        let cell = &self.facets[encoding as usize].body;
        if let Some(made) = cell.get() {
            return Ok(made.clone());
        }
        let compressed = compress(encoding, &self.bytes())?;
        Ok(cell.get_or_init(|| compressed).clone())
    }

    /// The bytes of memory that its bodies take now.
    pub(crate) fn size(&self) -> usize {
        let sizes = Encoding::ALL.map(|encoding| self.made(encoding).map_or(0, |body| weight(encoding, body.len())));
        sizes.iter().sum()
    }
}

/// The bytes of memory that a body of this length takes: a large one that lies in no file of the newsroom's lies there
/// twice.
pub(crate) fn weight(encoding: Encoding, length: usize) -> usize {
    if encoding != Encoding::Identity && length >= large::SMALLEST { 2 * length } else { length }
}

fn compress(encoding: Encoding, bytes: &Bytes) -> io::Result<Bytes> {
    let out = Vec::with_capacity(bytes.len() / 3);
    let done = match encoding {
        Encoding::Identity => return Ok(bytes.clone()),
        Encoding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
            writer.write_all(bytes)?;
            writer.finish()?
        }
        Encoding::Brotli => {
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                lgwin: BROTLI_WINDOW,
                size_hint: bytes.len(),
                ..Default::default()
            };
            let mut out = out;
            brotli::BrotliCompress(&mut bytes.as_ref(), &mut out, &parameters)?;
            out
        }
        Encoding::Zstd => {
            let mut writer = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
            writer.set_pledged_src_size(Some(bytes.len() as u64))?;
            writer.write_all(bytes)?;
            writer.finish()?
        }
    };
    Ok(Bytes::from(done.into_boxed_slice()))
}

fn lines(status: StatusCode, headers: &HeaderMap, length: usize) -> Box<[u8]> {
    let mut lines = Vec::new();
    write_lines(status, headers, length, &mut lines);
    lines.into()
}

/// Our own texts are visible ASCII; anything else would be a header without a value.
pub(crate) fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;
    use std::time::UNIX_EPOCH;

    fn version(path: &str, length: usize) -> Version {
        let text: String = "<item>Über Flüsse</item>\n".chars().cycle().take(length).collect();
        Version::new(path, text.into_bytes()[..length].to_vec().into(), UNIX_EPOCH, None)
    }

    #[test]
    fn every_encoding_decodes_to_the_file_and_has_a_tag_of_its_own() {
        let version = version("rss.xml", 40_000);
        let wanted = version.bytes();
        let mut tags = std::collections::HashSet::new();
        for encoding in Encoding::ALL {
            let body = version.make(encoding).unwrap();
            let mut decoded = Vec::new();
            match encoding {
                Encoding::Identity => decoded = body.to_vec(),
                Encoding::Gzip => drop(flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut decoded).unwrap()),
                Encoding::Brotli => brotli::BrotliDecompress(&mut &body[..], &mut decoded).unwrap(),
                Encoding::Zstd => decoded = zstd::decode_all(&body[..]).unwrap(),
            }
            assert_eq!(decoded, wanted, "{encoding:?}");
            assert!(tags.insert(version.etag(encoding).clone()), "{encoding:?}");
            assert_eq!(version.whole(encoding)[ETAG], version.not_modified(encoding)[ETAG]);
            assert_eq!(version.whole(encoding)[VARY], version.not_modified(encoding)[VARY]);
            assert!(!version.etag(encoding).to_str().unwrap().starts_with("W/"));
        }
    }

    #[test]
    fn short_texts_and_pictures_are_sent_as_they_are() {
        assert!(!version("rss.xml", SMALLEST_COMPRESSED - 1).has(Encoding::Gzip));
        assert!(version("rss.xml", SMALLEST_COMPRESSED).has(Encoding::Gzip));
        assert!(!version("logo.png", 100_000).has(Encoding::Gzip));
        assert!(version("logo.png", 100_000).has(Encoding::Identity));
    }

    #[test]
    fn what_is_not_asked_for_is_not_made() {
        let version = version("rss.xml", 40_000);
        assert_eq!(version.size(), 40_000);
        version.make(Encoding::Brotli).unwrap();
        assert!(version.size() > 40_000 && version.made(Encoding::Gzip).is_none());
    }
}
