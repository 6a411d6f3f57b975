//! Every broken input below `tests/cases/broken/` gives exactly the message beside it: `NAME.expected`.
//!
//! `PRESSRUN_BLESS=1` writes the messages anew; read the difference before you commit it.
//!
//! - `articles/NAME.md` (`.txt`, `.html`): one article, in the folder of the section `news`
//! - `articles/NAME.jsonl`: a stream
//! - `articles/NAME/`: a whole folder of articles
//! - `config/NAME.yaml`: a configuration

use pressrun::config::{Overrides, Settings};
use pressrun::newsroom::manuscript::{File, from_files};
use pressrun::newsroom::{Masthead, Problem, Section};
use pressrun::source::{Options, Purpose, directory, stream};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_broken_article_gets_a_clear_message() {
    each_case("articles", |case| {
        let folder = tempfile::tempdir().unwrap();
        if case.extension().is_some_and(|ending| ending == "jsonl") {
            let file = fs::File::open(case).unwrap();
            let name = case.file_name().unwrap().to_str().unwrap();
            let read = stream::read_file(&options(folder.path()), file, name, now(), Purpose::Look);
            return told(read.map(|material| material.problems));
        }
        if case.is_dir() {
            copy(case, folder.path());
        } else {
            fs::create_dir(folder.path().join("news")).unwrap();
            fs::copy(case, folder.path().join("news").join(case.file_name().unwrap())).unwrap();
        }
        told(directory::read(&options(folder.path()), now(), Purpose::Look).map(|material| material.problems))
    });
}

#[test]
fn every_broken_configuration_gets_a_clear_message() {
    each_case("config", |case| {
        let text = fs::read_to_string(case).unwrap();
        let name = case.file_name().unwrap().to_str().unwrap();
        match Settings::parse(&text, name, Path::new("/newsroom"), &Overrides::default()) {
            Ok(_) => String::new(),
            Err(problems) => list(&problems),
        }
    });
}

/// Cut anywhere, or with a byte changed, no case makes the program panic, and every problem can be shown.
#[test]
fn no_cut_or_damaged_case_is_worse_than_a_problem() {
    let context = options(Path::new("/nowhere")).context();
    let mut tried = 0;
    for kind in ["articles", "config"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/broken").join(kind);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() || path.extension().is_none_or(|ending| ending == "expected") {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let step = (bytes.len() / 9).max(1);
            for at in (0..bytes.len()).step_by(step) {
                let mut damaged = bytes.clone();
                damaged[at] = [b'\t', b'"', b'{', b':', b'\n', 0xC3, b'-', b'\\'][at % 8];
                for case in [&bytes[..at], &damaged] {
                    tried += 1;
                    let problems = if kind == "config" {
                        let text = String::from_utf8_lossy(case);
                        let read = Settings::parse(&text, "config.yaml", Path::new("/nowhere"), &Overrides::default());
                        read.err().unwrap_or_default()
                    } else {
                        let file = File { name: "articles/news/a.md", path: "news/a.md", bytes: case };
                        from_files(Some(file), None, &context).problems
                    };
                    for problem in problems {
                        assert!(problem.render(false).starts_with(["error", "warning"][problem.severity as usize]));
                        serde_json::to_string(&problem).unwrap();
                    }
                }
            }
        }
    }
    assert!(tried > 1500, "only {tried}");
}

fn each_case(kind: &str, run: impl Fn(&Path) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/broken").join(kind);
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_none_or(|ending| ending != "expected"));
    cases.sort();
    assert!(cases.len() >= 40, "{} has lost its cases", folder.display());
    let bless = std::env::var_os("PRESSRUN_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in &cases {
        let expected_file = folder.join(format!("{}.expected", case.file_stem().unwrap().to_str().unwrap()));
        let got = run(case);
        let expected = fs::read_to_string(&expected_file).unwrap_or_default();
        if got.is_empty() {
            wrong.push(format!("{}: nothing was found wrong", case.display()));
        } else if bless {
            fs::write(&expected_file, &got).unwrap();
        } else if got != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- got\n{got}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn told(read: Result<Vec<Problem>, pressrun::error::Failure>) -> String {
    match read {
        Ok(problems) => list(&problems),
        Err(failure) => format!("failure: {failure}\n"),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.render(false) + "\n").collect::<Vec<_>>().join("\n")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

pub(crate) fn options(folder: &Path) -> Options {
    let section = |slug: &str, title: &str| Section {
        slug: slug.into(),
        title: title.into(),
        description: String::new(),
        language: None,
    };
    Options {
        folder: folder.to_owned(),
        name: "articles".into(),
        masthead: Masthead {
            title: "Paper".into(),
            description: String::new(),
            url: "https://paper.example/".parse().unwrap(),
            feeds_url: "https://paper.example/feeds/".parse().unwrap(),
            language: "en".into(),
            copyright: None,
            authority: "paper.example".into(),
            icon: None,
            logo: None,
        },
        sections: vec![section("news", "News"), section("politics", "Politics")],
        time_zone: chrono_tz::UTC,
    }
}
