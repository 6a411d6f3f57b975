//! Feeds, read back by readers that are stricter than ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::case_sensitive_file_extension_comparisons)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use chrono::{DateTime, Duration, FixedOffset};
use pressrun::feed::{By, Content, Extra, Options, page::Templates};
use pressrun::markup::{markdown, plain, sanitize};
use pressrun::newsroom::{
    Article, ArticleId, Author, Bodies, Body, Enclosure, Image, Masthead, Newsroom, Place, Problem, Section, Withdrawn,
};
use pressrun::publish::build::{BuildReport, build};
use url::Url;

pub(crate) const BASE: &str = "https://acero-advocate.example/feeds/";
pub(crate) const ITEMS: usize = 10;

pub(crate) fn day(n: i64) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2024-01-31T07:30:00-06:00").unwrap() + Duration::days(n)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// A newsroom and the bodies of its articles.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) newsroom: Newsroom,
    bodies: HashMap<String, String>,
}

impl Bodies for Sample {
    fn body(&self, article: &Article) -> Result<Body, Problem> {
        let gone = || Problem::at(article.place.clone(), 1, "", "the file has gone");
        let html = self.bodies.get(&article.id.0).ok_or_else(gone)?;
        Ok(Body { html: html.clone(), late: false })
    }
}

impl Sample {
    pub(crate) fn new() -> Self {
        let section = |slug: &str, title: &str, language: Option<&str>| Section {
            slug: slug.to_owned(),
            title: title.to_owned(),
            description: format!("What is new in {title}, & what is <not>."),
            language: language.map(str::to_owned),
        };
        let masthead = Masthead {
            title: "Acero Advocate & Sons".to_owned(),
            description: "Student news — independent since 1968.".to_owned(),
            url: url("https://acero-advocate.example/"),
            feeds_url: url(BASE),
            language: "en".to_owned(),
            copyright: Some("© Acero Advocate".to_owned()),
            authority: "acero-advocate.example".to_owned(),
            icon: Some(url("https://acero-advocate.example/icon.png")),
            logo: Some(url("https://acero-advocate.example/logo.png")),
        };
        let sections = vec![
            section("politics", "Politics", None),
            section("middle-east-outreach", "Middle-East Outreach", None),
            section("kalimat", "كلمات", Some("ar")),
            section("empty", "Nothing yet", None),
        ];
        Sample {
            newsroom: Newsroom { masthead, sections, articles: Vec::new(), withdrawn: Vec::new() },
            bodies: HashMap::new(),
        }
    }

    /// Adds an article of the day `n`.
    pub(crate) fn add(&mut self, n: i64, section: &str, title: &str, html: &str) -> &mut Article {
        let id = format!("tag:acero-advocate.example,2024:{n}");
        self.bodies.insert(id.clone(), html.to_owned());
        let at = self.newsroom.articles.partition_point(|a| a.published > day(n));
        self.newsroom.articles.insert(
            at,
            Arc::new(Article {
                id: ArticleId(id),
                title: title.to_owned(),
                url: url(&format!("https://acero-advocate.example/{section}/{n}")),
                external_url: None,
                published: day(n),
                updated: None,
                authors: vec![Author { name: "Nadia Cavner".to_owned(), url: None }],
                section: section.to_owned(),
                slug: n.to_string(),
                summary: plain::summary(html, 200),
                tags: vec!["Campus".to_owned()],
                image: None,
                enclosure: None,
                language: None,
                corrections: Vec::new(),
                contributors: Vec::new(),
                fingerprint: 0,
                place: Place { file: format!("{section}/{n}.md"), line: 1, column: 1 },
            }),
        );
        Arc::make_mut(&mut self.newsroom.articles[at])
    }

    /// Everything that feeds have ever broken on, and 137 articles of history.
    pub(crate) fn torture() -> Self {
        let mut sample = Sample::new();
        for n in 0..137 {
            let section = ["politics", "middle-east-outreach"][usize::try_from(n % 2).unwrap()];
            let text = format!(
                "# Part {n}\n\nSome *words* of article {n}, with a [link](../other?a=1&b={n}) and “quotes”.\n\n| a | b |\n|---|--:|\n| x | {n} |\n"
            );
            let html = markdown::to_html(&text, &url(&format!("https://acero-advocate.example/{section}/{n}")));
            sample.add(n, section, &format!("Article {n}"), &html);
        }
        let base = url("https://acero-advocate.example/politics/x");
        let hostile = [
            ("Control \u{0}\u{8}\u{b}\u{1b} characters", "<p>bell\u{7} nul\u{0} \u{FFFE}\u{FFFF} here</p>"),
            ("CDATA ]]> trap", "<p>]]&gt; and <code>]]></code> <![CDATA[ <b>x</b> ]]> end</p>"),
            ("Turned \u{202E}around", "<p>left \u{202E} open \u{2067} twice</p>"),
            ("Emoji 🗞️👩‍👩‍👧‍👦 & 1 < 2 > 0 \"quoted\" 'n' such", "<p>🗞️ 5 &lt; 6 &amp; &#x1F5DE;</p>"),
            (
                "</item></entry></channel>]}",
                "<pre><code>&lt;/item&gt;&lt;/entry&gt;&lt;/feed&gt;]}</code></pre><p></p>",
            ),
            ("  Spaces\r\n and lines  ", "<p>One\r\ntwo\rthree</p>"),
            (
                "Scripts",
                "<p onclick=x>Text<script>alert(1)</script><iframe src=x></iframe><img src='/a b.png' alt='A'></p>",
            ),
        ];
        for (n, (title, html)) in (200..).zip(hostile) {
            sample.add(n, "politics", title, &sanitize::html(html, &base));
        }
        let arabic = sample.add(301, "kalimat", "كلمات", "<p>كلمة في كل أسبوع.</p>");
        arabic.authors = vec![Author {
            name: "ليلى".to_owned(),
            url: Some(Box::new(url("https://acero-advocate.example/staff/ليلى"))),
        }];
        let full =
            sample.add(302, "middle-east-outreach", "With everything", "<p>Everything that an article may have.</p>");
        full.updated = Some(day(310));
        full.external_url = Some(Box::new(url("https://elsewhere.example/piece?a=1&b=2")));
        full.authors.push(Author {
            name: "Jürg Müller & <Söhne>".to_owned(),
            url: Some(Box::new(url("https://acero-advocate.example/staff/j"))),
        });
        full.contributors = vec![Author {
            name: "Ada & <Grace>".to_owned(),
            url: Some(Box::new(url("https://acero-advocate.example/staff/a"))),
        }];
        full.tags = vec!["Syria".to_owned(), "C++".to_owned(), "syria".to_owned(), "a & b".to_owned()];
        full.image = Some(Box::new(Image {
            url: url("https://acero-advocate.example/i/a.png"),
            alt: "A cup".to_owned(),
            caption: Some("A cup <of> tea & more".to_owned()),
            credit: Some("N. C.".to_owned()),
        }));
        full.enclosure = Some(Box::new(Enclosure {
            url: url("https://acero-advocate.example/a.mp3"),
            length: 123_456,
            media_type: "audio/mpeg".to_owned(),
            duration: Some(61),
        }));
        sample.add(303, "politics", "En français", "<p>C’est l’été.</p>").language = Some("fr-CA".to_owned());
        sample.add(304, "politics", "No words", "").summary = String::new();
        sample.newsroom.withdrawn.push(Withdrawn {
            id: ArticleId("tag:acero-advocate.example,2024:gone".to_owned()),
            section: "politics".to_owned(),
            authors: vec!["Nadia Cavner".to_owned()],
            tags: vec!["Campus".to_owned()],
            published: day(299),
            when: day(305),
            reason: Some("The source took it back & <said> so.".to_owned()),
        });
        sample
    }

    fn with_ten_megabytes(mut self) -> Self {
        let html =
            format!("<p>{}</p>", "Ten megabytes of text, <em>word</em> for word. ".repeat(10 * 1024 * 1024 / 48));
        self.add(300, "politics", "Ten megabytes", &html);
        self
    }

    fn options() -> Options {
        let extra = |by, content| Extra { by, content };
        Options {
            items: ITEMS,
            hubs: vec![url("https://hub.example/?a=1&b=2")],
            extra: vec![
                extra(By::Section, Content::Summary),
                extra(By::Author, Content::Full),
                extra(By::Tag, Content::Summary),
                extra(By::Year, Content::Full),
            ],
            ..Options::default()
        }
    }

    pub(crate) fn build(&self, folder: &Path) -> BuildReport {
        build(&self.newsroom, self, &Sample::options(), &Templates::embedded(), folder, || {}).unwrap()
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), root, found);
            } else {
                let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// A folder to build into: a temporary one, or that of the environment, for a look at it.
fn place() -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PRESSRUN_TORTURE_FEEDS").map_or_else(|| folder.path().join("feeds"), PathBuf::from);
    (path, folder)
}

#[test]
fn strict_parsers_take_every_document() {
    let (folder, _guard) = place();
    let report = Sample::torture().with_ten_megabytes().build(&folder);
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.problems[0].what.contains("bytes of HTML"));
    let found = files(&folder);
    assert_eq!(found.len(), report.documents);
    let xml: Vec<PathBuf> =
        found.keys().filter(|f| f.ends_with(".xml") || f.ends_with(".opml")).map(|f| folder.join(f)).collect();
    assert!(xml.len() > 60, "{}", xml.len());
    let run =
        Command::new("xmllint").args(["--noout", "--nonet"]).args(&xml).output().expect("xmllint (libxml2-utils)");
    assert!(run.status.success() && run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
    let expat = "import sys, xml.parsers.expat\nfor f in sys.argv[1:]:\n    xml.parsers.expat.ParserCreate(namespace_separator=' ').ParseFile(open(f, 'rb'))";
    let run = Command::new("python3").args(["-c", expat]).args(&xml).output().expect("python3");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for (name, bytes) in found.iter().filter(|(name, _)| name.ends_with(".json")) {
        serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// An attached file: its address and size.
fn attached(entry: &feed_rs::model::Entry) -> Option<(String, u64)> {
    let links = entry.links.iter().filter_map(|link| Some((link.href.clone(), link.length?)));
    let contents = entry.media.iter().flat_map(|media| &media.content);
    links.chain(contents.filter_map(|content| Some((content.url.as_ref()?.to_string(), content.size?)))).next()
}

/// Who wrote an article, and what it is filed under.
fn filed(entry: &feed_rs::model::Entry) -> (Vec<String>, Vec<String>) {
    let label = |category: &feed_rs::model::Category| category.label.clone().unwrap_or_else(|| category.term.clone());
    (entry.authors.iter().map(|person| person.name.clone()).collect(), entry.categories.iter().map(label).collect())
}

#[test]
fn the_three_formats_tell_the_same() {
    let (folder, _guard) = place();
    Sample::torture().build(&folder);
    let current = ["rss.xml", "atom.xml", "feed.json"];
    let archived = ["archive/rss-0002.xml", "archive/atom-0002.xml", "archive/feed-0002.json"];
    let folders = ["", "politics/", "middle-east-outreach/", "kalimat/", "empty/", "politics/summary/", "year/2024/"];
    let places = folders.map(|place| (place, current)).into_iter().chain([("", archived), ("politics/", archived)]);
    let mut attachments = 0;
    for (place, names) in places {
        let told: Vec<Vec<_>> = names
            .iter()
            .map(|file| {
                let bytes = fs::read(folder.join(place).join(file)).unwrap();
                let feed = feed_rs::parser::parse(&bytes[..]).unwrap_or_else(|error| panic!("{place}{file}: {error}"));
                let entries = feed.entries.into_iter();
                entries
                    .map(|e| {
                        let links = (e.links[0].href.clone(), attached(&e), filed(&e));
                        let body = e.content.and_then(|c| c.body).or(e.summary.map(|s| s.content)).unwrap_or_default();
                        (e.id, e.published, links, plain::strip(&body), e.title.map(|t| t.content))
                    })
                    .collect()
            })
            .collect();
        for other in &told[1..] {
            assert_eq!(told[0].len(), other.len(), "{place}");
            attachments += other.iter().filter(|one| one.2.1.is_some()).count();
            for (one, other) in told[0].iter().zip(other) {
                assert_eq!((&one.0, &one.1, &one.2), (&other.0, &other.1, &other.2), "{place}");
                assert!(one.3 == other.3 && one.4 == other.4, "{place} {}", one.0);
            }
        }
    }
    assert!(attachments >= 4, "{attachments}");
}

/// Follows a chain of documents by their links only, from an address to the next.
fn walk_back(
    folder: &Path,
    first: &str,
    next: impl Fn(&str) -> Option<String>,
    ids: impl Fn(&str) -> Vec<String>,
) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut address = Some(format!("{BASE}{first}"));
    while let Some(here) = address {
        let text = fs::read_to_string(folder.join(here.strip_prefix(BASE).unwrap())).unwrap();
        pages.push(ids(&text));
        address = next(&text);
    }
    pages
}

pub(crate) fn between(text: &str, from: &str, to: &str) -> Vec<String> {
    text.split(from).skip(1).map(|rest| rest.split(to).next().unwrap().to_owned()).collect()
}

#[test]
fn a_reader_walks_back_to_the_first_article_by_links_only() {
    let mut sample = Sample::new();
    for n in 0..137 {
        sample.add(n, "politics", &format!("Article {n}"), &format!("<p>Text {n}.</p>"));
    }
    let (_guard, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample.build(folder.path());
    let link = |text: &str, prefix: &str, end: &str| -> Option<String> {
        let tag = text.split('<').find(|tag| tag.starts_with(prefix) && tag.contains("rel=\"prev-archive\""))?;
        between(tag, "href=\"", end).pop()
    };
    let all: Vec<String> = (0..137).rev().map(|n| format!("tag:acero-advocate.example,2024:{n}")).collect();
    for place in ["", "politics/"] {
        let rss = walk_back(
            folder.path(),
            &format!("{place}rss.xml"),
            |text| link(text, "atom:link", "\""),
            |text| between(text, "<guid isPermaLink=\"false\">", "</guid>"),
        );
        let atom = walk_back(
            folder.path(),
            &format!("{place}atom.xml"),
            |text| link(text, "link", "\""),
            |text| between(text, "<entry", "</entry>").iter().flat_map(|e| between(e, "<id>", "</id>")).collect(),
        );
        let json = walk_back(
            folder.path(),
            &format!("{place}feed.json"),
            |text| serde_json::from_str::<serde_json::Value>(text).unwrap()["next_url"].as_str().map(str::to_owned),
            |text| {
                let feed: serde_json::Value = serde_json::from_str(text).unwrap();
                feed["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
            },
        );
        for pages in [rss, atom, json] {
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [vec![17], vec![10; 12]].concat());
            assert_eq!(pages.concat(), all);
        }
    }
}

#[test]
fn the_same_newsroom_gives_the_same_bytes_and_touches_nothing() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sample = Sample::torture();
    let first = sample.build(folder.path());
    let stamps = |folder: &Path| -> Vec<_> {
        files(folder).keys().map(|f| fs::metadata(folder.join(f)).unwrap().modified().unwrap()).collect()
    };
    let before = stamps(folder.path());
    let again = sample.build(folder.path());
    assert_eq!((first.written, first.unchanged), (first.documents, 0));
    assert_eq!((again.written, again.unchanged, again.removed), (0, first.documents, 0));
    assert_eq!(stamps(folder.path()), before);
    sample.build(other.path());
    assert!(files(folder.path()) == files(other.path()));
}

#[test]
fn a_new_article_touches_only_current_documents_until_a_page_is_full() {
    let mut sample = Sample::new();
    let folder = tempfile::tempdir().unwrap();
    for n in 0..30 {
        sample.add(n, "politics", &format!("Article {n}"), "<p>Text.</p>");
    }
    sample.build(folder.path());
    for n in 30..39 {
        sample.add(n, "politics", &format!("Article {n}"), "<p>Text.</p>");
        let report = sample.build(folder.path());
        assert!(report.changed.iter().all(|f| !f.contains("archive/")), "{:?}", report.changed);
        assert!(report.changed.contains(&"politics/rss.xml".to_owned()));
    }
    sample.add(39, "politics", "Article 39", "<p>Text.</p>");
    let report = sample.build(folder.path());
    let archives: Vec<_> = report.changed.iter().filter(|f| f.starts_with("politics/archive/rss")).collect();
    // The new page, and the one before it, which now has a next.
    assert_eq!(archives, ["politics/archive/rss-0002.xml", "politics/archive/rss-0003.xml"]);
}

#[test]
fn only_our_own_files_are_removed() {
    let mut sample = Sample::torture();
    let folder = tempfile::tempdir().unwrap();
    sample.build(folder.path());
    let before = files(folder.path()).len();
    let strangers = ["index.html.bak", "politics/notes.txt", "other/rss.xml", "other/index.html", "tag/syria/mine.xml"];
    for stranger in strangers {
        fs::create_dir_all(folder.path().join(stranger).parent().unwrap()).unwrap();
        fs::write(folder.path().join(stranger), "<rss><channel><generator>Other</generator>").unwrap();
    }
    fs::write(folder.path().join("politics/.pressrun-abc"), "half of a").unwrap();
    sample.newsroom.articles.retain(|a| a.section == "politics" && a.tags == ["Campus"]);
    sample.newsroom.sections.retain(|s| s.slug == "politics");
    let report = sample.build(folder.path());
    let after = files(folder.path());
    assert_eq!(after.len(), report.documents + strangers.len());
    assert!(report.removed > 30 && after.len() < before, "{}", report.removed);
    assert!(strangers.iter().all(|s| after.contains_key(*s)));
    assert!(!folder.path().join("kalimat").exists());
    assert!(folder.path().join("tag/syria").exists());
}

#[test]
fn an_unreadable_body_leaves_the_others_and_is_told() {
    let mut sample = Sample::torture();
    sample.bodies.remove("tag:acero-advocate.example,2024:100");
    let folder = tempfile::tempdir().unwrap();
    let report = sample.build(folder.path());
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].place.file, "politics/100.md");
    assert!(!files(folder.path()).values().any(|text| String::from_utf8_lossy(text).contains("2024:100<")));
}

/// Bodies; when that of one article is read, something happens.
struct Interrupted<'a> {
    sample: &'a Sample,
    at: &'a str,
    happens: &'a (dyn Fn() + Sync),
}

impl Bodies for Interrupted<'_> {
    fn body(&self, article: &Article) -> Result<Body, Problem> {
        if article.id.0 == self.at {
            (self.happens)();
        }
        self.sample.body(article)
    }
}

#[test]
fn no_current_document_is_replaced_before_the_new_pages_it_links_to_are_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    for n in 0..8 {
        sample.add(n, "politics", "Early", "<p>Early</p>");
    }
    let options = |items| Options { items, ..Options::default() };
    let build_while = |sample: &Sample, items, happens: &(dyn Fn() + Sync)| {
        let newest = sample.newsroom.articles[0].id.0.clone();
        let bodies = Interrupted { sample, at: &newest, happens };
        build(&sample.newsroom, &bodies, &options(items), &Templates::embedded(), folder.path(), || {})
    };
    build_while(&sample, 100, &|| {}).unwrap();
    let old = files(folder.path());
    // When the newest is read, the pages with the oldest have been written.
    for n in 8..500 {
        sample.add(n, "politics", "Late", "<p>Late</p>");
    }
    let page = folder.path().join("archive/rss-0001.xml");
    let refused = build_while(&sample, 100, &|| fs::remove_file(&page).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("archive/rss-0001.xml"), "{refused}");
    let there = files(folder.path());
    assert!(old.iter().all(|(name, bytes)| there[name] == *bytes), "a document was replaced");
    build_while(&sample, 100, &|| {}).unwrap();
    whole(folder.path());
    // With very many new pages all of the disk is waited for.
    let report = build_while(&sample, 10, &|| {}).unwrap();
    assert!(report.written > 200, "{report:?}");
    whole(folder.path());
}

#[test]
fn the_second_build_waits_for_the_first() {
    use std::sync::mpsc;
    use std::time::Duration as Time;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let first = pressrun::publish::directory::Folder::open(&path, || panic!("nobody has it")).unwrap();
    let (says, heard) = mpsc::channel();
    let second = std::thread::spawn(move || {
        let waited = says.clone();
        let templates = Templates::embedded();
        let sample = Sample::new();
        build(&sample.newsroom, &sample, &Options::default(), &templates, &path, || waited.send("waits").unwrap())
            .unwrap();
        says.send("built").unwrap();
    });
    assert_eq!(heard.recv_timeout(Time::from_secs(20)).unwrap(), "waits");
    assert!(heard.recv_timeout(Time::from_millis(200)).is_err());
    drop(first);
    assert_eq!(heard.recv_timeout(Time::from_secs(20)).unwrap(), "built");
    second.join().unwrap();
}

fn whole(folder: &Path) {
    for (name, bytes) in files(folder) {
        let text = String::from_utf8_lossy(&bytes);
        let whole = ["</rss>", "</feed>", "]}", "</html>", "</opml>"].iter().any(|end| text.trim_end().ends_with(end));
        assert!(whole && !name.contains(".pressrun-"), "{name} is cut short");
    }
}

#[test]
fn a_folder_that_refuses_leaves_every_feed_whole() {
    let mut sample = Sample::torture();
    let folder = tempfile::tempdir().unwrap();
    sample.build(folder.path());
    let before = files(folder.path());
    sample.newsroom.masthead.copyright = Some("All rights changed".to_owned());
    let blocked = folder.path().join("politics/rss.xml");
    fs::remove_file(&blocked).unwrap();
    fs::create_dir(&blocked).unwrap();
    let error = build(&sample.newsroom, &sample, &Sample::options(), &Templates::embedded(), folder.path(), || {});
    assert!(error.unwrap_err().to_string().contains("politics/rss.xml"));
    whole(folder.path());
    fs::remove_dir(&blocked).unwrap();
    sample.newsroom.masthead.copyright = Some("© Acero Advocate".to_owned());
    sample.build(folder.path());
    assert!(files(folder.path()) == before);
}

#[test]
fn a_correction_keeps_the_id_and_the_day_and_a_withdrawal_leaves_a_tombstone() {
    let (folder, _guard) = place();
    Sample::torture().build(&folder);
    let atom = fs::read_to_string(folder.join("middle-east-outreach/atom.xml")).unwrap();
    let entry = between(&atom, "<entry>", "</entry>").into_iter().find(|e| e.contains("With everything")).unwrap();
    assert!(entry.contains("<published>2024-11-28T07:30:00-06:00</published>"), "{entry}");
    assert!(entry.contains("<updated>2024-12-06T07:30:00-06:00</updated>"), "{entry}");
    assert!(entry.contains("<id>tag:acero-advocate.example,2024:302</id>"), "{entry}");
    assert!(entry.contains("rel=\"related\""));
    for place in ["atom.xml", "politics/atom.xml"] {
        let atom = fs::read_to_string(folder.join(place)).unwrap();
        assert!(
            atom.contains(
                "<at:deleted-entry ref=\"tag:acero-advocate.example,2024:gone\" when=\"2024-12-01T07:30:00-06:00\">"
            ),
            "{place}"
        );
    }
    assert!(!atom.contains("deleted-entry"));
    assert!(!fs::read_to_string(folder.join("rss.xml")).unwrap().contains("2024:gone"));
}

#[test]
fn a_language_other_than_the_feeds_is_told_everywhere() {
    let (folder, _guard) = place();
    Sample::torture().build(&folder);
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    assert!(read("atom.xml").contains("<entry xml:lang=\"ar\">"));
    assert!(read("atom.xml").contains("<entry xml:lang=\"fr-CA\">"));
    assert!(read("rss.xml").contains("<dc:language>ar</dc:language>"));
    assert!(read("rss.xml").contains("<div lang=\"ar\" dir=\"rtl\">"));
    assert!(read("feed.json").contains("\"language\":\"fr-CA\""));
    assert!(read("kalimat/atom.xml").contains("xml:lang=\"ar\""));
}
