//! What reading a folder or a stream gives, and what stays through changes.

use crate::broken_material::{now, options};
use pressrun::newsroom::{Bodies, Newsroom, Problem, Severity};
use pressrun::source::directory::{self, Folder};
use pressrun::source::register;
use pressrun::source::stream::{self, Spool};
use pressrun::source::{Material, Options, Purpose};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const DATE: &str = "date: 2026-02-24T07:30:00-06:00";

fn folder(files: &[(&str, &str)]) -> (TempDir, Options) {
    let temporary = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(temporary.path(), path, text);
    }
    let options = options(temporary.path());
    (temporary, options)
}

fn write(folder: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn article(title: &str) -> String {
    format!("---\ntitle: {title}\n{DATE}\n---\nThe body of {title}.\n")
}

fn read(options: &Options) -> Material<Folder> {
    directory::read(options, now(), Purpose::Look).unwrap()
}

fn whats(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.what.as_str()).collect()
}

fn titles(newsroom: &Newsroom) -> Vec<&str> {
    newsroom.articles.iter().map(|article| article.title.as_str()).collect()
}

fn html(material: &Material<impl Bodies>, index: usize) -> String {
    material.bodies.body(&material.newsroom.articles[index]).unwrap().html
}

#[test]
fn bodies_come_as_markdown_html_or_text_with_their_metadata_inside_or_beside() {
    let (_folder, options) = folder(&[
        ("news/a.md", &article("A")),
        ("news/deep/er/b.html", &format!("---\ntitle: B\n{DATE}\n---\n<p>One &amp; two</p>")),
        ("news/c d.txt", &format!("---\ntitle: C\n{DATE}\n---\nOne < two\n\nThree")),
        ("news/e.md", "Only *text*."),
        ("news/e.yaml", &format!("title: E\n{DATE}\n")),
        ("news/f.yaml", &format!("title: F\n{DATE}\nlink: https://elsewhere.example/\n")),
        ("news/.hidden.md", "not looked at"),
        (".git/x.md", "not looked at"),
        ("images/a.png", "no text"),
    ]);
    let material = read(&options);
    assert_eq!(material.problems, []);
    let mut found: Vec<(String, String)> = (0..material.newsroom.articles.len())
        .map(|i| (material.newsroom.articles[i].url.to_string(), html(&material, i)))
        .collect();
    found.sort();
    let page = |slug: &str| format!("https://paper.example/news/{slug}");
    let addresses: Vec<&String> = found.iter().map(|(url, _)| url).collect();
    assert_eq!(addresses, [&page("a"), &page("b"), &page("c-d"), &page("e"), &page("f")]);
    assert!(found[0].1.contains("The body of A."));
    assert!(found[1].1.contains("<p>One &amp; two</p>"));
    assert!(found[2].1.contains("One &lt; two"));
    assert!(found[3].1.contains("<em>text</em>"));
    assert_eq!(found[4].1, "");
}

#[test]
fn one_broken_article_does_not_keep_the_others_from_being_read() {
    let (_folder, options) =
        folder(&[("news/a.md", &article("A")), ("news/b.md", "broken"), ("news/c.md", &article("C"))]);
    let material = read(&options);
    assert_eq!(titles(&material.newsroom).len(), 2);
    assert_eq!(material.problems.len(), 1);
}

#[test]
fn the_picture_stands_before_the_body_and_the_corrections_after_it() {
    let text = format!(
        "---\ntitle: A\n{DATE}\nimage: {{src: /a.png, alt: \"A \\\"bridge\\\"\", caption: Over <it>, credit: Ada}}\n\
         corrections:\n  - {{date: 2026-02-26, text: Second & last.}}\n  - {{date: 2026-02-25, text: First.}}\n---\nBody.\n"
    );
    let (_folder, options) = folder(&[("news/a.md", &text)]);
    let html = html(&read(&options), 0);
    let order = [
        "<figure><img src=\"https://paper.example/a.png\" alt=\"A &quot;bridge&quot;\">",
        "<figcaption>Over &lt;it&gt; <small>Ada</small></figcaption>",
        "Body.",
        "2026-02-25:</strong> First.",
        "2026-02-26:</strong> Second &amp; last.",
    ];
    let places: Vec<usize> =
        order.iter().map(|part| html.find(part).unwrap_or_else(|| panic!("{part}\n{html}"))).collect();
    assert!(places.is_sorted(), "{html}");
}

#[test]
fn a_link_to_another_articles_file_leads_to_its_page() {
    let (_folder, options) = folder(&[
        ("news/a.md", &format!("{}See [b](../politics/b.md#end) and [none](none.md).", article("A"))),
        ("politics/b.md", "---\ntitle: B\nslug: quite-other\ndate: 2026-01-01\n---\nText"),
    ]);
    let html = html(&read(&options), 0);
    assert!(html.contains("href=\"https://paper.example/politics/quite-other#end\""), "{html}");
}

#[test]
fn ids_are_written_down_once_and_stay_through_renaming() {
    let (folder, options) = folder(&[("news/a.md", &article("A")), ("news/b.md", &article("B"))]);
    let mut first = read(&options);
    let register = folder.path().join("ids.csv");
    assert!(first.ids.is_changed() && !register.exists());
    assert_eq!(first.ids.save().unwrap(), register::stamp(folder.path()));
    let before = fs::read_to_string(&register).unwrap();
    let mut second = read(&options);
    let stamp = register::stamp(folder.path());
    assert!(stamp.is_some() && !second.ids.is_changed());
    assert_eq!(second.ids.save().unwrap(), stamp, "it was written");

    fs::rename(folder.path().join("news/a.md"), folder.path().join("news/renamed.md")).unwrap();
    write(folder.path(), "news/b.md", article("B").replace("title: B", "title: Rewritten").replace("body", "text"));
    let mut third = read(&options);
    let ids = |material: &Material<Folder>| {
        let mut ids: Vec<String> = material.newsroom.articles.iter().map(|a| a.id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&first), ids(&third));
    assert_ne!(third.ids.save().unwrap(), stamp);
    assert_eq!(before.lines().count(), fs::read_to_string(&register).unwrap().lines().count());
}

#[test]
fn ids_that_cannot_be_kept_are_a_failure() {
    let (folder, options) = folder(&[("news/a.md", &article("A"))]);
    let mut material = read(&options);
    fs::create_dir(folder.path().join("ids.csv")).unwrap();
    assert!(material.ids.save().unwrap_err().hint.is_some());
    assert!(
        directory::read(&options, now(), Purpose::Look).is_err(),
        "a register that is no file must not be taken for an empty one"
    );
}

#[test]
fn an_id_that_the_article_brings_is_taken_as_it_is() {
    let text = article("A").replacen("---\n", "---\nid: urn:isbn:0451450523\n", 1);
    let (_folder, options) = folder(&[("news/a.md", &text)]);
    let material = read(&options);
    assert_eq!(material.newsroom.articles[0].id.0, "urn:isbn:0451450523");
    assert!(!material.ids.is_changed());
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_circles_or_nowhere_are_problems() {
    use std::os::unix::ffi::OsStrExt as _;
    let (folder, options) = folder(&[("news/a.md", &article("A"))]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("news/again")).unwrap();
    std::os::unix::fs::symlink("nowhere.md", folder.path().join("news/gone.md")).unwrap();
    let not_utf8 = std::ffi::OsStr::from_bytes(b"news/caf\xe9.md");
    fs::write(folder.path().join(not_utf8), "x").unwrap();
    let material = read(&options);
    assert_eq!(titles(&material.newsroom), ["A"]);
    let found = whats(&material.problems);
    assert!(found.contains(&"the folder leads back into itself"), "{found:?}");
    assert!(found.contains(&"the file's name is not UTF-8"), "{found:?}");
    assert!(found.iter().any(|what| what.starts_with("this cannot be read")), "{found:?}");
}

#[test]
fn a_body_of_ten_megabytes_is_read_and_one_of_forty_is_a_problem() {
    let (folder, options) = folder(&[]);
    let paragraph = "All the news that fits. ".repeat(40) + "\n\n";
    write(
        folder.path(),
        "news/large.txt",
        article("Large") + paragraph.repeat(10 * 1024 * 1024 / paragraph.len()).as_str(),
    );
    let material = read(&options);
    assert_eq!(material.problems, []);
    assert!(material.newsroom.articles[0].summary.chars().count() <= 201);
    assert!(html(&material, 0).len() > 10_000_000);
    write(folder.path(), "news/larger.txt", vec![b'x'; 40 * 1024 * 1024]);
    assert_eq!(whats(&read(&options).problems), ["the file has more than 32 MB"]);
}

#[test]
fn a_missing_folder_is_a_failure_with_what_to_do() {
    let (folder, mut options) = folder(&[]);
    options.folder = folder.path().join("none");
    assert!(directory::read(&options, now(), Purpose::Look).unwrap_err().hint.is_some());
}

fn read_stream(options: &Options, text: impl AsRef<[u8]>) -> Material<Spool> {
    let file = stream::spooled(&mut text.as_ref()).unwrap();
    stream::read_file(options, file, stream::STANDARD_INPUT, now(), Purpose::Look).unwrap()
}

fn line(slug: &str, title: &str, body: &str) -> String {
    format!(
        r#"{{"slug":"{slug}","section":"news","title":"{title}","date":"2026-02-24","format":"html","body":"{body}"}}"#
    )
}

#[test]
fn a_streams_bodies_are_read_back_from_their_lines() {
    let (_folder, options) = folder(&[]);
    let text = format!(
        "\u{feff}{}\r\n\n{}\nbroken\n{}",
        line("a", "A", "<p>Ä</p>"),
        line("b", "B", "<p>B</p>"),
        line("c", "C", "<p>🗞</p>")
    );
    let material = read_stream(&options, text);
    assert_eq!(material.problems.iter().map(|p| p.place.line).collect::<Vec<_>>(), [4]);
    let bodies: Vec<String> = (0..3).map(|i| html(&material, i).trim().to_owned()).collect();
    assert_eq!(bodies, ["<p>Ä</p>", "<p>B</p>", "<p>🗞</p>"]);
}

#[test]
fn an_article_of_a_stream_keeps_its_id_by_its_slug() {
    let (_folder, options) = folder(&[]);
    let mut first = read_stream(&options, line("a", "A", "One"));
    first.ids.save().unwrap();
    let changed = line("a", "Retitled", "Two").replace("2026-02-24", "2026-02-25");
    let second = read_stream(&options, format!("{}\n{changed}", line("b", "B", "Three")));
    let of = |material: &Material<Spool>, slug: &str| {
        material.newsroom.articles.iter().find(|a| a.slug == slug).unwrap().id.clone()
    };
    assert_eq!(of(&first, "a"), of(&second, "a"));
    assert_ne!(of(&second, "a"), of(&second, "b"));
}

#[test]
fn two_articles_of_a_stream_may_have_one_slug() {
    let (_folder, options) = folder(&[]);
    let of = |url: &str, text: &str| line("a", text, text).replace("\"title\"", &format!("{url}\"title\""));
    let elsewhere = |text: &str| of("", text).replace("news", "politics");
    let october = r#""url":"/2026/10/a","#;
    let november = r#""url":"/2026/11/a","#;
    let ids = |material: &Material<Spool>| {
        let mut ids: Vec<(String, String)> =
            material.newsroom.articles.iter().map(|a| (a.url.path().to_owned(), a.id.0.clone())).collect();
        ids.sort();
        ids
    };
    let mut first = read_stream(&options, [of("", "A"), elsewhere("B"), of(october, "C")].join("\n"));
    first.ids.save().unwrap();
    assert_eq!(first.problems, []);
    // All are corrected, one is new, and one cannot be read.
    let broken = elsewhere("B2").replace("2026-02-24", "never");
    let lines = [of("", "A2"), broken, of(october, "C2"), of(november, "D")];
    let mut second = read_stream(&options, lines.join("\n"));
    second.ids.save().unwrap();
    let (before, after) = (ids(&first), ids(&second));
    assert_eq!(after.len(), 3);
    assert!(before.contains(&after[0]) && before.contains(&after[2]), "{before:?} {after:?}");
    assert!(before.iter().all(|(_, id)| *id != after[1].1), "{before:?} {after:?}");
    assert!(ids(&read_stream(&options, elsewhere("B3"))).iter().all(|one| before.contains(one)));
}

#[test]
fn corrections_are_called_so_in_the_language_of_the_article_its_section_or_the_newsroom() {
    let text = |more: &str| {
        format!("---\ntitle: A\n{DATE}\n{more}corrections: [{{date: 2026-02-25, text: First.}}]\n---\nBody.\n")
    };
    let (_folder, mut options) = folder(&[("news/a.md", &text("")), ("politics/b.md", &text(""))]);
    options.masthead.language = "de-AT".into();
    options.sections[1].language = Some("fr".into());
    let material = read(&options);
    for (section, word) in [("news", "Berichtigung"), ("politics", "Rectificatif")] {
        let at = material.newsroom.articles.iter().position(|a| a.section == section).unwrap();
        assert!(html(&material, at).contains(&format!("<strong>{word}, 2026-02-25")), "{}", html(&material, at));
    }
    let piece =
        line("a", "A", "Text").replace("\"title\"", r#""corrections":[{"date":"2026-02-25","text":"x"}],"title""#);
    assert!(html(&read_stream(&options, piece), 0).contains("Berichtigung"));
}

#[test]
fn a_file_with_its_ending_in_capitals_is_told_of() {
    let (_folder, options) =
        folder(&[("news/Story.MD", &article("A")), ("news/a.JPG", ""), ("news/b.md", &article("B"))]);
    let material = read(&options);
    assert_eq!(titles(&material.newsroom), ["B"]);
    let [problem] = &material.problems[..] else { panic!("{:?}", material.problems) };
    assert_eq!((problem.place.file.as_str(), problem.severity), ("articles/news/Story.MD", Severity::Warning));
    assert!(problem.help.as_deref().unwrap().contains("Story.md"), "{problem:?}");
}

#[test]
fn a_line_without_end_is_a_problem_and_the_next_is_read() {
    let (_folder, options) = folder(&[]);
    let limit = usize::try_from(stream::MAX_LINE_BYTES).unwrap();
    let text = format!("{}\n{}\n{}", line("a", "A", "One"), "x".repeat(limit + 1), line("b", "B", "<p>Two</p>"));
    let material = read_stream(&options, text);
    assert_eq!(
        material.problems.iter().map(|p| (p.place.line, p.severity)).collect::<Vec<_>>(),
        [(2, Severity::Error)]
    );
    assert_eq!(html(&material, 1).trim(), "<p>Two</p>");
}

#[test]
fn the_sanitiser_finds_nothing_to_change_in_the_markdown_of_the_sample() {
    let base: url::Url = "https://acero-advocate.example/a/b".parse().unwrap();
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("articles")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                let split = pressrun::newsroom::front_matter::split(&text, "x.md").unwrap();
                let html = pressrun::markup::markdown::to_html(split.body, &base);
                let tree = |html: &str| scraper::Html::parse_fragment(html).html();
                let again = pressrun::markup::sanitize::html(&html, &base);
                assert_eq!(tree(&again), tree(&html), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "only {seen} articles were found");
}

#[test]
fn contributors_are_read_wherever_authors_are() {
    let people = "contributors: [Ada, {name: Grace, url: \"https://paper.example/staff/grace\"}]";
    let (_folder, options) = folder(&[
        ("news/a.md", &format!("---\ntitle: A\n{DATE}\n{people}\n---\nText.\n")),
        ("news/b.md", "Text."),
        ("news/b.yaml", &format!("title: B\n{DATE}\n{people}\n")),
        ("news/c.md", &format!("---\ntitle: C\n{DATE}\ncontributors:\n  - Ada\n  - Grace\n---\nText.\n")),
        ("news/d.md", &article("D")),
    ]);
    let json = line("e", "E", "Text").replacen('{', r#"{"contributors":["Ada",{"name":"Grace"}],"#, 1);
    let (files, stream) = (read(&options), read_stream(&options, json));
    assert_eq!((&files.problems, &stream.problems), (&vec![], &vec![]));
    for article in files.newsroom.articles.iter().chain(&stream.newsroom.articles) {
        let names: Vec<&str> = article.contributors.iter().map(|person| person.name.as_str()).collect();
        let wanted: &[&str] = if article.title == "D" { &[] } else { &["Ada", "Grace"] };
        assert_eq!(names, wanted, "{}", article.title);
        assert_eq!(article.authors[0].name, "Paper", "they are no authors");
    }
}

#[test]
fn a_leading_picture_that_the_text_repeats_stands_once_whatever_its_address() {
    let text = format!("---\ntitle: A\n{DATE}\nimage: {{src: \"/a|b.png\", alt: A}}\n---\n![A](/a|b.png)\n\nBody.\n");
    let (_folder, options) = folder(&[("news/a.md", &text)]);
    let html = html(&read(&options), 0);
    assert_eq!(html.matches("/a%7Cb.png").count(), 1, "{html}");
    assert_eq!(html.matches("<img").count(), 1, "{html}");
}
