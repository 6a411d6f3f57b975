//! Which feeds there are, and which articles each has. Pure: heads in, plan out.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use chrono::{DateTime, Datelike, FixedOffset};
use serde::{Deserialize, Serialize};

use super::slug::{self, short_hash};
use super::{By, Content, Extra, Format, Options};
use crate::markup::absolute;
use crate::newsroom::{Article, Masthead, Newsroom, Withdrawn};

/// Folders of feeds that no section may be named like.
pub const RESERVED: [&str; 6] = ["archive", "author", "full", "summary", "tag", "year"];

/// Every feed of a newsroom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The whole, then the sections in their order, then the extra families in theirs.
    pub feeds: Vec<Feed>,
}

/// One feed: its current document and its archive pages, in three formats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// What it is a feed of.
    pub of: Of,
    /// Its folder below the folder of feeds: empty, or ending in `/`.
    pub folder: String,
    /// As feed readers show it.
    pub title: String,
    /// One or two sentences; never empty.
    pub description: String,
    /// BCP 47.
    pub language: String,
    /// Whole texts or summaries.
    pub content: Content,
    /// Whether it tells again, with other content, what another feed tells.
    pub variant: bool,
    /// Places in [`Newsroom::articles`], newest first.
    pub articles: Vec<u32>,
}

/// What a feed is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Of {
    /// All articles.
    Whole,
    /// The section with this slug.
    Section(String),
    /// An author, by name.
    Author(String),
    /// A tag.
    Tag(String),
    /// A year.
    Year(i32),
}

impl Plan {
    /// Plans every feed and its order of articles.
    pub fn of(newsroom: &Newsroom, options: &Options) -> Plan {
        let mut feeds = main_feeds(newsroom, options.content);
        let mains = feeds.len();
        for (at, extra) in options.extra.iter().enumerate() {
            let earlier = &options.extra[..at];
            if earlier.contains(extra) {
                continue;
            }
            if extra.by == By::Section {
                if extra.content != options.content {
                    let others: Vec<Feed> = feeds[..mains].iter().map(|feed| variant(feed, extra.content)).collect();
                    feeds.extend(others);
                }
            } else {
                let again = earlier.iter().any(|e| e.by == extra.by);
                feeds.extend(family(newsroom, extra, again));
            }
        }
        Plan { feeds }
    }

    /// Whether each feed that this article needs is there.
    pub fn has_feeds_for(&self, article: &Article, options: &Options) -> bool {
        options.extra.iter().flat_map(|extra| names(article, extra.by).into_iter().map(|name| (extra.by, name))).all(
            |(by, name)| {
                let name = slug::shared(&name);
                self.feeds.iter().filter_map(Feed::named).any(|(of, other)| of == by && slug::shared(&other) == name)
            },
        )
    }
}

impl Feed {
    /// Whether an article belongs into it.
    pub fn takes(&self, article: &Article) -> bool {
        match &self.of {
            Of::Whole => true,
            Of::Section(slug) => article.section == *slug,
            Of::Author(_) | Of::Tag(_) | Of::Year(_) => self.spelling(article).is_some(),
        }
    }

    /// Whether it is one of a family, and there because there are articles for it.
    pub fn is_of_family(&self) -> bool {
        self.named().is_some()
    }

    /// Whether it is called what it is called although this is its newest article, whose spelling decides.
    pub fn is_named_by(&self, newest: &Article) -> bool {
        self.named().is_none_or(|(_, name)| self.spelling(newest).is_some_and(|spelling| spelling == name))
    }

    /// How an article spells what this feed of a family is of.
    fn spelling(&self, article: &Article) -> Option<String> {
        let (by, own) = self.named()?;
        let own = slug::shared(&own);
        names(article, by).into_iter().find(|name| slug::shared(name) == own)
    }

    /// Those of the articles withdrawn that stood in it.
    pub(super) fn lost<'n>(&self, withdrawn: &'n [Withdrawn]) -> Vec<&'n Withdrawn> {
        let named = self.named().map(|(by, own)| (by, slug::shared(&own)));
        let here = |gone: &&Withdrawn| match (&self.of, &named) {
            (Of::Section(slug), _) => gone.section == *slug,
            (_, Some((by, own))) => {
                let Withdrawn { authors, tags, published, .. } = gone;
                let authors = authors.iter().map(String::as_str);
                filed(authors, tags, *published, *by).iter().any(|name| slug::shared(name) == *own)
            }
            _ => true,
        };
        withdrawn.iter().filter(here).collect()
    }

    /// What it is of, where it is one of a family.
    fn named(&self) -> Option<(By, String)> {
        match &self.of {
            Of::Whole | Of::Section(_) => None,
            Of::Author(name) => Some((By::Author, name.clone())),
            Of::Tag(name) => Some((By::Tag, name.clone())),
            Of::Year(year) => Some((By::Year, year.to_string())),
        }
    }

    /// Where a document stands, below the folder of feeds.
    pub fn path(&self, page: Option<usize>, format: Format) -> String {
        let (stem, extension) = format.stem_and_extension();
        match page {
            None => format!("{}{}", self.folder, format.file()),
            Some(page) => format!("{}archive/{stem}-{page:04}.{extension}", self.folder),
        }
    }

    /// A document's public address.
    pub fn url(&self, masthead: &Masthead, page: Option<usize>, format: Format) -> String {
        let path = self.path(page, format);
        masthead
            .feeds_url
            .join(&path)
            .map_or_else(|_| format!("{}{path}", masthead.feeds_url), |url| absolute::written(&url))
    }

    /// The feed's identity, the same for all its documents and formats whatever its address: a UUID of version 5
    /// (RFC 9562) from the newsroom's authority, which never changes, and the feed's folder.
    pub fn id(&self, masthead: &Masthead) -> String {
        const NAMESPACE_URL: [u8; 16] =
            [0x6B, 0xA7, 0xB8, 0x11, 0x9D, 0xAD, 0x11, 0xD1, 0x80, 0xB4, 0x00, 0xC0, 0x4F, 0xD4, 0x30, 0xC8];
        let name = format!("https://{}/feeds/{}", masthead.authority, self.folder);
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        context.update(&NAMESPACE_URL);
        context.update(name.as_bytes());
        let hash = context.finish();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_ref()[..16]);
        bytes[6] = bytes[6] & 0x0F | 0x50;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        let hex = format!("{:032x}", u128::from_be_bytes(bytes));
        format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// The page for people, where there is one: below the folder of feeds.
    pub fn page_path(&self) -> Option<String> {
        (!self.variant && matches!(self.of, Of::Whole | Of::Section(_))).then(|| format!("{}index.html", self.folder))
    }
}

fn main_feeds(newsroom: &Newsroom, content: Content) -> Vec<Feed> {
    let masthead = &newsroom.masthead;
    let mut members: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (at, article) in numbered(newsroom) {
        members.entry(&article.section).or_default().push(at);
    }
    let whole = Feed {
        of: Of::Whole,
        folder: String::new(),
        title: masthead.title.clone(),
        description: described(&masthead.description, &masthead.title),
        language: masthead.language.clone(),
        content,
        variant: false,
        articles: numbered(newsroom).map(|(at, _)| at).collect(),
    };
    let sections = newsroom.sections.iter().map(|section| {
        let title = format!("{}: {}", masthead.title, section.title);
        Feed {
            of: Of::Section(section.slug.clone()),
            folder: format!("{}/", section.slug),
            description: described(&section.description, &title),
            title,
            language: section.language.clone().unwrap_or_else(|| masthead.language.clone()),
            content,
            variant: false,
            articles: members.remove(section.slug.as_str()).unwrap_or_default(),
        }
    });
    std::iter::once(whole).chain(sections).collect()
}

fn variant(feed: &Feed, content: Content) -> Feed {
    let (name, said) = told(content);
    Feed {
        folder: format!("{}{name}/", feed.folder),
        title: format!("{} ({said})", feed.title),
        content,
        variant: true,
        ..feed.clone()
    }
}

/// One feed for each author, tag or year; `again` if the family is there already with other content.
fn family(newsroom: &Newsroom, extra: &Extra, again: bool) -> Vec<Feed> {
    let masthead = &newsroom.masthead;
    // By what two spellings share; shown as the newest article spells it.
    let mut members: BTreeMap<String, (String, Vec<u32>)> = BTreeMap::new();
    for (at, article) in numbered(newsroom) {
        for name in names(article, extra.by) {
            let places = &mut members.entry(slug::shared(&name)).or_insert_with(|| (name, Vec::new())).1;
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let kind = match extra.by {
        By::Author => "author",
        By::Tag => "tag",
        By::Year => "year",
        By::Section => "section",
    };
    let mut feeds: Vec<Feed> = members
        .into_iter()
        .map(|(key, (name, articles))| {
            let mut slug = slug::folder(&key);
            // Two names with one hash, or one that is spelt like another with its hash.
            while !taken.insert(slug.clone()) {
                slug = format!("{slug}-{}", short_hash(&key));
            }
            let (variant_name, said) = told(extra.content);
            let title = format!("{}: {name}", masthead.title);
            Feed {
                of: match extra.by {
                    By::Author => Of::Author(name.clone()),
                    By::Year => Of::Year(name.parse().unwrap_or_default()),
                    By::Tag | By::Section => Of::Tag(name.clone()),
                },
                folder: if again { format!("{kind}/{slug}/{variant_name}/") } else { format!("{kind}/{slug}/") },
                description: match extra.by {
                    By::Author => format!("All by {name} in {}.", masthead.title),
                    By::Year => format!("All that {} published in {name}.", masthead.title),
                    By::Tag | By::Section => format!("All on “{name}” in {}.", masthead.title),
                },
                title: if again { format!("{title} ({said})") } else { title },
                language: masthead.language.clone(),
                content: extra.content,
                variant: again,
                articles,
            }
        })
        .collect();
    if extra.by == By::Year {
        feeds.reverse();
    }
    feeds
}

/// What an article is filed under in a family of feeds, as it spells it.
fn names(article: &Article, by: By) -> Vec<String> {
    filed(article.authors.iter().map(|author| author.name.as_str()), &article.tags, article.published, by)
}

fn filed<'a>(
    authors: impl Iterator<Item = &'a str>,
    tags: &[String],
    published: DateTime<FixedOffset>,
    by: By,
) -> Vec<String> {
    let mut names: Vec<String> = match by {
        By::Author => authors.map(|name| name.trim().to_owned()).collect(),
        By::Tag => tags.iter().map(|tag| tag.trim().to_owned()).collect(),
        By::Year => vec![published.year().to_string()],
        By::Section => Vec::new(),
    };
    names.retain(|name| !slug::shared(name).is_empty());
    names
}

fn told(content: Content) -> (&'static str, &'static str) {
    match content {
        Content::Full => ("full", "full texts"),
        Content::Summary => ("summary", "summaries"),
    }
}

fn described(description: &str, title: &str) -> String {
    if description.trim().is_empty() { title.to_owned() } else { description.to_owned() }
}

/// The articles with their places. There are never more than `u32::MAX`: their heads alone would need a terabyte.
fn numbered(newsroom: &Newsroom) -> impl Iterator<Item = (u32, &Article)> {
    newsroom.articles.iter().zip(0..=u32::MAX).map(|(article, at)| (at, &**article))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::sync::Arc;

    use chrono::Duration;
    use url::Url;

    use super::*;
    use crate::newsroom::{ArticleId, Author, Place, Section};

    pub(in crate::feed) fn newsroom(count: usize) -> Newsroom {
        let url = Url::parse("https://acero-advocate.example/").unwrap();
        let first = DateTime::parse_from_rfc3339("2024-12-31T12:00:00+00:00").unwrap();
        let article = |n: usize| Article {
            id: ArticleId(format!("tag:acero-advocate.example,2024:{n}")),
            title: format!("Article {n}"),
            url: url.join(&n.to_string()).unwrap(),
            external_url: None,
            published: first + Duration::days(i64::try_from(n).unwrap()),
            updated: None,
            authors: vec![Author { name: ["Jürg", "jürg", "Jurg"][n % 3].to_owned(), url: None }],
            section: ["politics", "sports"][n % 2].to_owned(),
            slug: n.to_string(),
            summary: String::new(),
            tags: vec!["C++".to_owned(), "C".to_owned()],
            image: None,
            enclosure: None,
            language: None,
            corrections: Vec::new(),
            contributors: Vec::new(),
            fingerprint: 0,
            place: Place::default(),
        };
        let section = |slug: &str| Section {
            slug: slug.to_owned(),
            title: slug.to_uppercase(),
            description: String::new(),
            language: None,
        };
        Newsroom {
            masthead: Masthead {
                title: "Advocate".to_owned(),
                description: String::new(),
                feeds_url: url.join("feeds/").unwrap(),
                url: url.clone(),
                language: "en".to_owned(),
                copyright: None,
                authority: "acero-advocate.example".to_owned(),
                icon: None,
                logo: None,
            },
            sections: vec![section("politics"), section("sports")],
            articles: (0..count).rev().map(|n| Arc::new(article(n))).collect(),
            withdrawn: Vec::new(),
        }
    }

    #[test]
    fn feeds_stand_in_folders_of_their_own() {
        let extra = |by, content| Extra { by, content };
        let options = Options {
            extra: vec![
                extra(By::Section, Content::Summary),
                extra(By::Section, Content::Full),
                extra(By::Author, Content::Full),
                extra(By::Author, Content::Summary),
                extra(By::Author, Content::Summary),
                extra(By::Tag, Content::Summary),
                extra(By::Year, Content::Full),
            ],
            ..Options::default()
        };
        let plan = Plan::of(&newsroom(6), &options);
        let folders: Vec<_> = plan.feeds.iter().map(|feed| feed.folder.as_str()).collect();
        let jurg = format!("author/jurg-{}/", short_hash("jürg"));
        let c_plus_plus = format!("tag/c-plus-plus-{}/", short_hash("c++"));
        let told = format!("{jurg}summary/");
        assert_eq!(
            folders,
            [
                "",
                "politics/",
                "sports/",
                "summary/",
                "politics/summary/",
                "sports/summary/",
                "author/jurg/",
                &jurg,
                "author/jurg/summary/",
                &told,
                "tag/c/",
                &c_plus_plus,
                "year/2025/",
                "year/2024/",
            ]
        );
        assert_eq!(plan.feeds[1].articles, [1, 3, 5]);
        assert!(plan.feeds.iter().all(|feed| !feed.description.is_empty()));
    }

    #[test]
    fn a_feeds_id_does_not_follow_its_address() {
        let mut newsroom = newsroom(1);
        let id = Plan::of(&newsroom, &Options::default()).feeds[1].id(&newsroom.masthead);
        newsroom.masthead.feeds_url = Url::parse("https://moved.example/f/").unwrap();
        assert_eq!(Plan::of(&newsroom, &Options::default()).feeds[1].id(&newsroom.masthead), id);
        // Python: uuid.uuid5(uuid.NAMESPACE_URL, "https://acero-advocate.example/feeds/politics/")
        assert_eq!(id, "urn:uuid:efaedb4c-854e-5b0f-b5d9-4865012816a4");
    }

    #[test]
    fn a_feed_takes_the_articles_that_the_plan_gives_it() {
        let newsroom = newsroom(9);
        let extra = |by| Extra { by, content: Content::Full };
        let options = Options { extra: vec![extra(By::Author), extra(By::Tag), extra(By::Year)], ..Options::default() };
        let plan = Plan::of(&newsroom, &options);
        for feed in &plan.feeds {
            let taken: Vec<u32> =
                numbered(&newsroom).filter(|(_, article)| feed.takes(article)).map(|(at, _)| at).collect();
            assert_eq!(taken, feed.articles, "{:?}", feed.of);
            assert!(feed.is_named_by(&newsroom.articles[feed.articles[0] as usize]), "{:?}", feed.of);
        }
        let mut other = (*newsroom.articles[0]).clone();
        assert!(plan.has_feeds_for(&other, &options));
        other.tags.push("new".to_owned());
        assert!(!plan.has_feeds_for(&other, &options));
        other.tags = vec!["c".to_owned()];
        assert!(plan.has_feeds_for(&other, &options));
        let tag = plan.feeds.iter().find(|feed| feed.of == Of::Tag("C".to_owned())).unwrap();
        assert!(tag.takes(&other) && !tag.is_named_by(&other));
    }
}
