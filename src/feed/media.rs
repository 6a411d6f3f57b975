//! What a built file is to HTTP. Serving and publishing must agree, so both ask here.

/// A larger file is not served, in bytes; it would be read whole.
pub const LARGEST_FILE: u64 = 64 << 20;

/// What sort of file it is: decides how long it may be kept and when it is published.
///
/// The order is the order of publishing: a file links only to files of its own sort or of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// An archive page (RFC 5005): full, so no new article changes it; a correction or a withdrawal does.
    Archive,
    /// A picture, a style sheet: whatever feeds and pages show.
    Asset,
    /// A feed's current document: what readers poll.
    Feed,
    /// A list of feeds, a page for people.
    Page,
}

/// How a file is described in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media {
    /// What sort of file it is.
    pub sort: Sort,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// Whether compressing it saves anything.
    pub text: bool,
}

impl Media {
    /// The value of `Cache-Control`: for what is polled a minute, for archive pages and pictures a day. Afterwards one asks
    /// again with the entity tag, and a cache may go on with the old one while we are away (RFC 5861).
    ///
    /// Nothing is `immutable` (RFC 8246): an archive page keeps its address when an article in it is corrected or
    /// withdrawn, and then nobody may hold on to the old one for a year (docs/decisions/0017).
    pub fn cache_control(&self) -> &'static str {
        match self.sort {
            Sort::Archive => "public, max-age=86400, stale-if-error=86400",
            Sort::Asset => "public, max-age=86400",
            Sort::Feed => "public, max-age=60, stale-if-error=86400",
            Sort::Page => "public, max-age=300, stale-if-error=86400",
        }
    }
}

/// What the file at this path below `feeds/` is.
///
/// ```
/// use pressrun::feed::media::{self, Sort};
/// assert_eq!(media::of("campus/rss.xml").content_type, "application/rss+xml; charset=utf-8");
/// assert_eq!(media::of("campus/archive/atom-0001.xml").sort, Sort::Archive);
/// ```
pub fn of(path: &str) -> Media {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    // `rss-0001.xml` in `archive/`; a section of that name has a `rss.xml` like every other.
    let archived = path.rsplit('/').nth(1) == Some("archive") && name.contains('-');
    let (sort, content_type, text) = match extension {
        "xml" if name.starts_with("rss") => (Sort::Feed, "application/rss+xml; charset=utf-8", true),
        "xml" if name.starts_with("atom") => (Sort::Feed, "application/atom+xml; charset=utf-8", true),
        "json" if name.starts_with("feed") => (Sort::Feed, "application/feed+json; charset=utf-8", true),
        "xml" => (Sort::Page, "application/xml; charset=utf-8", true),
        "json" => (Sort::Page, "application/json; charset=utf-8", true),
        "opml" => (Sort::Page, "text/x-opml; charset=utf-8", true),
        "html" => (Sort::Page, "text/html; charset=utf-8", true),
        "txt" => (Sort::Page, "text/plain; charset=utf-8", true),
        "xsl" => (Sort::Asset, "text/xsl; charset=utf-8", true),
        "css" => (Sort::Asset, "text/css; charset=utf-8", true),
        "js" => (Sort::Asset, "text/javascript; charset=utf-8", true),
        "svg" => (Sort::Asset, "image/svg+xml; charset=utf-8", true),
        "ico" => (Sort::Asset, "image/x-icon", true),
        "png" => (Sort::Asset, "image/png", false),
        "jpg" | "jpeg" => (Sort::Asset, "image/jpeg", false),
        "gif" => (Sort::Asset, "image/gif", false),
        "webp" => (Sort::Asset, "image/webp", false),
        "avif" => (Sort::Asset, "image/avif", false),
        "mp3" => (Sort::Asset, "audio/mpeg", false),
        "woff2" => (Sort::Asset, "font/woff2", false),
        _ => (Sort::Asset, "application/octet-stream", false),
    };
    let sort = if sort == Sort::Feed && archived { Sort::Archive } else { sort };
    Media { sort, content_type, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_build_has_its_type_and_sort() {
        for (path, sort, content_type) in [
            ("rss.xml", Sort::Feed, "application/rss+xml; charset=utf-8"),
            ("campus/atom.xml", Sort::Feed, "application/atom+xml; charset=utf-8"),
            ("campus/feed.json", Sort::Feed, "application/feed+json; charset=utf-8"),
            ("feeds.opml", Sort::Page, "text/x-opml; charset=utf-8"),
            ("index.html", Sort::Page, "text/html; charset=utf-8"),
            ("campus/archive/rss-0001.xml", Sort::Archive, "application/rss+xml; charset=utf-8"),
            ("campus/archive/feed-0001.json", Sort::Archive, "application/feed+json; charset=utf-8"),
            ("archive/rss.xml/x.png", Sort::Asset, "image/png"),
            ("unknown", Sort::Asset, "application/octet-stream"),
        ] {
            let media = of(path);
            assert_eq!((media.sort, media.content_type), (sort, content_type), "{path}");
        }
    }

    #[test]
    fn a_section_called_archive_has_a_feed_and_not_an_archive() {
        // Its pages would be `archive/archive/…`; its feed is polled like every other.
        assert_eq!(of("archive/archive/rss-0001.xml").sort, Sort::Archive);
        assert_eq!(of("archive/rss.xml").sort, Sort::Feed);
    }

    #[test]
    fn what_is_polled_is_kept_for_a_minute_archives_for_a_day_and_nothing_for_good() {
        for (path, age) in
            [("rss.xml", 60), ("index.html", 300), ("archive/rss-0001.xml", 86_400), ("logo.png", 86_400)]
        {
            let cache = of(path).cache_control();
            assert!(cache.starts_with(&format!("public, max-age={age}")), "{path}: {cache}");
            // All of it may change under its address.
            assert!(!cache.contains("immutable"), "{path}");
        }
    }
}
