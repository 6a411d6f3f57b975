//! What feeds say of an article beside its text, and what they say of themselves.

use crate::feeds::{BASE, ITEMS, Sample, between, day};
use pressrun::newsroom::{ArticleId, Withdrawn};
use std::fs;
use std::path::Path;
use std::process::Command;

fn built(sample: &Sample) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let report = sample.build(folder.path());
    assert_eq!(report.problems, []);
    folder
}

fn read(folder: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json(folder: &tempfile::TempDir, name: &str) -> serde_json::Value {
    serde_json::from_str(&read(folder, name)).unwrap()
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

/// The one article that has everything.
fn full(text: &str, from: &str, to: &str) -> String {
    between(text, from, to).into_iter().find(|item| item.contains("With everything")).unwrap()
}

#[test]
fn an_article_is_told_with_its_picture_its_sound_and_all_who_made_it() {
    let folder = built(&Sample::torture());
    has(
        &full(&read(&folder, "rss.xml"), "<item>", "</item>"),
        &[
            "<media:content medium=\"image\" url=\"https://acero-advocate.example/i/a.png\">",
            "<media:credit role=\"photographer\">N. C.</media:credit>",
            "<media:thumbnail url=\"https://acero-advocate.example/i/a.png\"",
            "duration=\"61\" fileSize=\"123456\" type=\"audio/mpeg\" url=\"https://acero-advocate.example/a.mp3\"",
            "<enclosure url=\"https://acero-advocate.example/a.mp3\" length=\"123456\" type=\"audio/mpeg\"/>",
            "<dc:creator>Nadia Cavner</dc:creator>",
            "<dc:creator>Jürg Müller &amp; &lt;Söhne&gt;</dc:creator>",
            "<dc:contributor>Ada &amp; &lt;Grace&gt;</dc:contributor>",
            "<category domain=\"https://acero-advocate.example/feeds/#section\">Middle-East Outreach</category>",
            "<category domain=\"https://acero-advocate.example/feeds/#tag\">C++</category>",
        ],
    );
    has(
        &full(&read(&folder, "atom.xml"), "<entry>", "</entry>"),
        &[
            "<contributor><name>Ada &amp; &lt;Grace&gt;</name><uri>https://acero-advocate.example/staff/a</uri></contributor>",
            "scheme=\"https://acero-advocate.example/feeds/#section\"",
            "term=\"middle-east-outreach\"",
            "term=\"c-plus-plus\" scheme=\"https://acero-advocate.example/feeds/#tag\" label=\"C++\"",
            "rel=\"enclosure\"",
        ],
    );
    // JSON Feed has a place for authors only, and they are none.
    let feed = json(&folder, "feed.json");
    let item = feed["items"].as_array().unwrap().iter().find(|item| item["title"] == "With everything").unwrap();
    assert_eq!(item["authors"].as_array().unwrap().len(), 2);
    assert_eq!(item["attachments"][0]["duration_in_seconds"], 61);
    assert_eq!(item["image"], "https://acero-advocate.example/i/a.png");
}

#[test]
fn a_feed_says_whose_it_is_how_often_to_ask_and_what_it_looks_like() {
    let folder = built(&Sample::torture());
    has(
        &read(&folder, "rss.xml"),
        &[
            "<ttl>60</ttl>",
            "<copyright>© Acero Advocate</copyright>",
            "<image><url>https://acero-advocate.example/icon.png</url>",
            "href=\"https://hub.example/?a=1&amp;b=2\"",
        ],
    );
    has(
        &read(&folder, "atom.xml"),
        &[
            "<icon>https://acero-advocate.example/icon.png</icon>",
            "<logo>https://acero-advocate.example/logo.png</logo>",
            "<rights>© Acero Advocate</rights>",
            "<link href=\"https://hub.example/?a=1&amp;b=2\" rel=\"hub\"/>",
        ],
    );
    let feed = json(&folder, "feed.json");
    assert_eq!(feed["icon"], "https://acero-advocate.example/icon.png", "a square one, says JSON Feed");
    assert_eq!(feed["hubs"][0]["url"], "https://hub.example/?a=1&b=2");
    // Its address is what a JSON feed is known by, on every page of it.
    for name in ["feed.json", "archive/feed-0001.json", "archive/feed-0002.json"] {
        assert_eq!(json(&folder, name)["feed_url"], format!("{BASE}feed.json"), "{name}");
    }
}

#[test]
fn the_list_of_feeds_is_grouped_by_section_and_kind() {
    let list = read(&built(&Sample::torture()), "feeds.opml");
    let groups: Vec<String> =
        between(&list, "\n    <outline text=\"", "\"").into_iter().filter(|name| !name.contains(':')).collect();
    let wanted = ["Acero Advocate &amp; Sons", "Politics", "Middle-East Outreach", "كلمات", "Nothing yet"];
    assert_eq!(groups, [&wanted[..], &["Authors", "Tags", "Years"]].concat());
    // With its summaries.
    let politics = between(&list, "<outline text=\"Politics\">", "</outline>").remove(0);
    assert_eq!(politics.matches("xmlUrl=").count(), 2, "{politics}");
    has(&politics, &["xmlUrl=\"https://acero-advocate.example/feeds/politics/rss.xml\""]);
}

#[test]
fn a_summary_says_its_language_where_that_is_another_one() {
    let folder = built(&Sample::torture());
    has(&read(&folder, "rss.xml"), &["<description><![CDATA[<span lang=\"ar\" dir=\"rtl\">كلمة"]);
    has(&read(&folder, "atom.xml"), &["&lt;span lang=&quot;ar&quot; dir=&quot;rtl&quot;&gt;كلمة"]);
    has(&read(&folder, "summary/feed.json"), &["<p><span lang=\\\"ar\\\" dir=\\\"rtl\\\">كلمة"]);
    assert!(!read(&folder, "middle-east-outreach/rss.xml").contains("<span lang="), "it is the newsroom's own");
}

#[test]
fn a_tag_of_any_length_has_a_feed() {
    let mut sample = Sample::new();
    let tags = ["a".repeat(254), "b ".repeat(2000), "日本".repeat(200)];
    sample.add(1, "politics", "Long", "<p>Text.</p>").tags = tags.to_vec();
    let folder = built(&sample);
    assert_eq!(fs::read_dir(folder.path().join("tag")).unwrap().count(), tags.len());
}

#[test]
fn an_archive_begins_with_two_pages() {
    let mut sample = Sample::new();
    let items = i64::try_from(ITEMS).unwrap();
    for n in 0..3 * items - 1 {
        sample.add(n, "politics", &format!("Article {n}"), "<p>Text.</p>");
    }
    let folder = built(&sample);
    assert!(!folder.path().join("archive").exists());
    assert_eq!(json(&folder, "feed.json")["items"].as_array().unwrap().len(), 3 * ITEMS - 1);
    sample.add(3 * items, "politics", "The next", "<p>Text.</p>");
    sample.build(folder.path());
    // Each has a neighbour: the W3C's validator takes an archive page without one for a broken archive.
    for (name, link) in [("rss-0001", "next-archive"), ("atom-0001", "next-archive"), ("atom-0002", "prev-archive")] {
        has(&read(&folder, &format!("archive/{name}.xml")), &[link]);
    }
}

#[test]
fn a_withdrawal_is_told_wherever_the_article_stood_and_not_for_ever() {
    let mut sample = Sample::torture();
    let folder = built(&sample);
    for name in ["atom.xml", "politics/atom.xml", "author/nadia-cavner/atom.xml", "tag/campus/atom.xml"] {
        has(&read(&folder, name), &["ref=\"tag:acero-advocate.example,2024:gone\""]);
    }
    for name in ["kalimat/atom.xml", "tag/syria/atom.xml", "archive/atom-0001.xml"] {
        assert!(!read(&folder, name).contains("deleted-entry"), "{name}");
    }
    let gone = sample.newsroom.withdrawn.remove(0);
    let later = |n: i64| Withdrawn { id: ArticleId(format!("urn:x:{n}")), when: day(500 - n), ..gone.clone() };
    sample.newsroom.withdrawn = (0..100).map(later).chain([gone.clone()]).collect();
    let atom = read(&built(&sample), "atom.xml");
    assert_eq!(atom.matches("<at:deleted-entry ").count(), 100);
    assert!(!atom.contains("2024:gone"));
}

#[test]
fn a_text_just_short_of_too_long_is_taken_by_strict_parsers() {
    // Most of its characters are written in five or six.
    let part = "&amp;<b>\"'\"</b>]]>";
    let text = part.repeat(pressrun::feed::item::LONGEST / part.len());
    let mut sample = Sample::new();
    sample.add(1, "politics", "Long", &text).summary = "Short".to_owned();
    let folder = built(&sample);
    for name in ["rss.xml", "atom.xml"] {
        strict(&folder.path().join(name));
    }
    assert!(read(&folder, "feed.json").len() > text.len());
}

fn strict(file: &Path) {
    let run = Command::new("xmllint").args(["--noout", "--nonet"]).arg(file).output().expect("xmllint (libxml2-utils)");
    assert!(run.status.success() && run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
    let expat = "import sys, xml.parsers.expat\nxml.parsers.expat.ParserCreate().ParseFile(open(sys.argv[1], 'rb'))";
    let run = Command::new("python3").args(["-c", expat]).arg(file).output().expect("python3");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
