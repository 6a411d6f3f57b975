//! One article as read and checked by itself, before it takes its place in the newsroom.
//!
//! Reading one file is a pure function of its bytes and of [`Context`]; so a cache may keep its result.

// What each field of a head must be.
mod check;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use url::Url;

use super::article::Article;
use super::body::Format;
use super::fingerprint::fingerprint;
use super::front_matter::{self, Head};
use super::problem::{Problem, Severity};
use super::slug;
use super::yaml::{Locate, Source};
use check::Checker;

/// A body larger than this is no article.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// What reading an article depends on beside its file. Two equal contexts read the same file to the same result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Context {
    /// The newsroom's home page; relative addresses begin here.
    pub site: Url,
    /// The author of articles that name none: the newsroom's title.
    pub house: String,
    /// Dates without an offset are meant here.
    pub time_zone: chrono_tz::Tz,
    /// The slugs of all sections.
    pub sections: Vec<String>,
}

/// One article as read and checked by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manuscript {
    /// Its `id` is empty until [`super::assemble`] gives it one, unless `has_id`. A draft without a date has the epoch.
    pub article: Article,
    /// The article brings its own id.
    pub has_id: bool,
    /// Not to be published.
    pub draft: bool,
    /// From when on it is no more, and why.
    pub withdrawn: Option<(DateTime<FixedOffset>, Option<String>)>,
    /// A hash of the body alone, by which an id is kept; `None` for an empty one, and where the article brings its own id.
    pub body_fingerprint: Option<u64>,
    /// Files in the folder of articles that the body links to.
    pub links: Vec<String>,
}

/// A file of the folder of articles.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// As a person would name it: `articles/culture/varda.md`.
    pub name: &'a str,
    /// Relative to the folder of articles: `culture/varda.md`.
    pub path: &'a str,
    /// As read.
    pub bytes: &'a [u8],
}

/// Reads an article from its body's file, its sidecar, or both.
pub fn from_files(body: Option<File<'_>>, sidecar: Option<File<'_>>, context: &Context) -> Read {
    let Some(main) = body.or(sidecar) else { return Read { manuscript: None, problems: Vec::new() } };
    let (folder, file_name) = main.path.rsplit_once('/').unwrap_or(("", main.path));
    let (stem, ending) = file_name.rsplit_once('.').unwrap_or((file_name, ""));
    let format = Format::of_ending(ending).unwrap_or_default();
    let refuse = |problem: Problem| Read { manuscript: None, problems: vec![problem] };

    let text = match body.map(|file| text_of(&file)).transpose() {
        Ok(text) => text.unwrap_or_default(),
        Err(problem) => return refuse(problem),
    };
    let split = match front_matter::split(text, main.name) {
        Ok(split) => split,
        Err(problem) => return refuse(problem),
    };
    let source = match (sidecar, split.head) {
        (Some(sidecar), Some(_)) if body.is_some() => {
            let what = format!("the metadata stands twice: here, and in {}", sidecar.name);
            return refuse(Problem::in_text(main.name, text, 1, 0..3, what).help("keep one of the two"));
        }
        (Some(sidecar), _) => match text_of(&sidecar) {
            Ok(text) => {
                Source { text: text.strip_prefix('\u{FEFF}').unwrap_or(text), file: sidecar.name, first_line: 1 }
            }
            Err(problem) => return refuse(problem),
        },
        (None, Some(head)) => Source { text: head, file: main.name, first_line: split.head_line },
        (None, None) => {
            let what = if text.trim().is_empty() { "the file is empty" } else { "the article has no metadata" };
            let help = format!(
                "begin the file with a line `---`, `title:` and `date:`, and another `---`; or put them into {stem}.yaml beside it"
            );
            return refuse(Problem::new(main.name, what).help(help));
        }
    };
    let document = front_matter::read(source);
    let mut problems = document.problems;
    let Some(mut head) = document.value else { return Read { manuscript: None, problems } };
    for (key, stray) in [("body", head.body.take()), ("format", head.format.take())] {
        if stray.is_some() {
            problems
                .push(source.problem(key, format!("unknown key `{key}`")).help("the text stands below the metadata"));
        }
    }
    let piece = Piece {
        file: main.name,
        section: folder.split('/').next().filter(|s| !s.is_empty()),
        slug: slug::from(stem),
        format,
        body: split.body,
        links_from: Some(main.path),
        fingerprint: fingerprint([main.bytes, sidecar.map_or(&[][..], |file| file.bytes)]),
    };
    check(head, &document.unusable, &source, &piece, context, problems)
}

/// What became of one article.
#[derive(Debug)]
pub struct Read {
    /// `None` where there is a problem that is an error. In a box, because there may be a million of them in a list.
    pub manuscript: Option<Box<Manuscript>>,
    /// All that is wrong with it.
    pub problems: Vec<Problem>,
}

/// What a head's file says of the article beside the head.
pub struct Piece<'a> {
    /// For [`Article::place`].
    pub file: &'a str,
    /// The section where the head names none.
    pub section: Option<&'a str>,
    /// The slug where the head gives none; may be empty.
    pub slug: String,
    /// How the body is written.
    pub format: Format,
    /// As written.
    pub body: &'a str,
    /// The file that relative links to files begin at.
    pub links_from: Option<&'a str>,
    /// Of metadata and body as written.
    pub fingerprint: u64,
}

/// Checks a head and makes a manuscript of it. `unusable` keys have been reported already.
pub fn check(
    head: Head,
    unusable: &[String],
    at: &dyn Locate,
    piece: &Piece<'_>,
    context: &Context,
    problems: Vec<Problem>,
) -> Read {
    let mut checker = Checker { at, context, unusable, problems };
    let manuscript = checker.manuscript(head, piece);
    let mut problems = checker.problems;
    if piece.body.len() > MAX_BODY_BYTES {
        problems.push(
            Problem::new(piece.file, format!("the body has more than {} MB", MAX_BODY_BYTES >> 20))
                .help("an article is text; link to large files instead"),
        );
    }
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    let sound = problems.iter().all(|problem| problem.severity == Severity::Warning);
    Read { manuscript: sound.then(|| Box::new(manuscript)), problems }
}

fn text_of<'a>(file: &File<'a>) -> Result<&'a str, Problem> {
    if let Ok(text) = simdutf8::basic::from_utf8(file.bytes) {
        return Ok(text);
    }
    std::str::from_utf8(file.bytes).map_err(|error| {
        let good = std::str::from_utf8(&file.bytes[..error.valid_up_to()]).unwrap_or_default();
        let mut problem = Problem::in_text(file.name, good, 1, good.len()..good.len(), "this is not UTF-8 text");
        problem.set_line(good.rsplit('\n').next().unwrap_or_default());
        problem.help("save the file as UTF-8")
    })
}
