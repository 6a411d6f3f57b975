//! One article as read and checked by itself, before it takes its place in the newsroom.
//!
//! Reading one file is a pure function of its bytes and of [`Context`]; so a cache may keep its result.

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use url::Url;

use super::article::{Article, ArticleId, Author, Correction, Enclosure, Image};
use super::body::{self, Format};
use super::front_matter::{self, Authors, Head, Picture, Tags};
use super::problem::{Place, Problem, Severity, suggest};
use super::yaml::{self, Locate, Source};
use super::{date, link, slug};

/// A body larger than this is no article.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Titles are shown in one line of a list.
pub const MAX_TITLE_CHARS: usize = 500;

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
    /// A hash of the body alone; `None` for an empty one. Part of how an id is kept.
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
    let document = yaml::parse::<Head>(source, &["body", "format"]);
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
    /// `None` where there is a problem that is an error.
    pub manuscript: Option<Manuscript>,
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
    Read { manuscript: sound.then_some(manuscript), problems }
}

struct Checker<'a> {
    at: &'a dyn Locate,
    context: &'a Context,
    unusable: &'a [String],
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn manuscript(&mut self, head: Head, piece: &Piece<'_>) -> Manuscript {
        let draft = head.draft.unwrap_or(false);
        let title = self.title(head.title.as_deref());
        let published = if let Some(text) = &head.date {
            self.date("date", text)
        } else {
            if !draft {
                self.required("date", "when the article is (or was) published; 2026-02-24T07:30:00-06:00 for instance");
            }
            None
        };
        let updated = head.updated.as_ref().and_then(|text| self.date("updated", text));
        if let (Some(published), Some(updated)) = (published, updated)
            && updated < published
        {
            self.wrong("updated", "`updated` lies before `date`", "an article is changed after it is published");
        }
        let section = self.section(head.section.as_deref(), piece);
        let slug = self.slug(head.slug.as_deref(), piece, head.url.as_deref());
        let url = self.page(head.url.as_deref(), &section, &slug);
        let id = self.id(head.id.as_deref());
        let language = head.language;
        self.language(language.as_deref());
        let withdrawn = head.withdrawn.map(|retraction| {
            let when = retraction.date.as_ref().and_then(|text| self.date("withdrawn.date", text));
            if retraction.date.is_none() {
                self.required("withdrawn.date", "when it was withdrawn");
            }
            (when.unwrap_or_default(), retraction.reason.as_deref().map(line_of).filter(|text| !text.is_empty()))
        });
        let picture = head.image.map(|picture| Picture {
            alt: picture.alt.or(head.alt),
            caption: picture.caption.or(head.caption),
            credit: picture.credit.or(head.credit),
            src: picture.src,
        });
        let enclosure = head.enclosure.and_then(|attachment| {
            let url = self.address_at("enclosure.url", attachment.url.as_deref());
            let (media_type, length) = (attachment.media_type, attachment.length);
            if media_type.is_none() {
                self.required("enclosure.type", "its media type, for instance audio/mpeg");
            }
            if length.is_none() {
                self.required("enclosure.length", "its size in bytes");
            }
            if media_type.as_deref().is_some_and(|t| !is_media_type(t)) {
                self.wrong(
                    "enclosure.type",
                    "this is not a media type",
                    "for instance audio/mpeg, video/mp4, application/pdf",
                );
            }
            Some(Enclosure {
                url: url?,
                length: length?,
                media_type: media_type?,
                duration: attachment.duration.map(|d| d.0),
            })
        });
        let corrections = self.corrections(head.corrections);
        let line =
            if piece.file == self.at.file() { self.at.line_of(if id.is_some() { "id" } else { "title" }) } else { 0 };
        let mut article = Article {
            id: ArticleId(id.clone().unwrap_or_default()),
            title,
            url,
            external_url: head.link.as_deref().and_then(|link| self.absolute("link", link)),
            published: published.unwrap_or_default(),
            updated,
            authors: self.authors(head.authors),
            section,
            slug,
            summary: head.summary.as_deref().map(line_of).unwrap_or_default(),
            tags: tags_of(head.tags),
            image: picture.and_then(|picture| self.picture(picture)),
            enclosure,
            language,
            corrections,
            fingerprint: 0,
            place: Place { file: piece.file.to_owned(), line, column: u32::from(line > 0) },
        };
        article.fingerprint = fingerprint([
            &piece.fingerprint.to_le_bytes(),
            article.url.as_str().as_bytes(),
            article.section.as_bytes(),
        ]);
        if article.summary.is_empty() && !piece.body.trim().is_empty() {
            article.summary = body::summary(&article, piece.format, piece.body);
        }
        let mut links: Vec<String> = piece
            .links_from
            .map(|path| link::to_files(piece.body, path).into_iter().map(|link| link.file).collect())
            .unwrap_or_default();
        links.sort_unstable();
        links.dedup();
        Manuscript { article, has_id: id.is_some(), draft, withdrawn, body_fingerprint: of_body(piece.body), links }
    }

    fn title(&mut self, written: Option<&str>) -> String {
        let title = written.map(line_of).unwrap_or_default();
        if written.is_none() {
            self.required("title", "the headline");
        } else if title.is_empty() {
            self.wrong("title", "the title is empty", "write a headline");
        } else if title.chars().count() > MAX_TITLE_CHARS {
            self.wrong(
                "title",
                &format!("the title has more than {MAX_TITLE_CHARS} characters"),
                "shorten it, and use `summary` for the rest",
            );
        }
        title
    }

    fn section(&mut self, written: Option<&str>, piece: &Piece<'_>) -> String {
        let known = |slug: &str| self.context.sections.iter().any(|s| s == slug);
        let sections: Vec<&str> = self.context.sections.iter().map(String::as_str).collect();
        match (written, piece.section) {
            (Some(slug), _) if !known(slug) => {
                let help = suggest(slug, sections.iter().copied());
                self.wrong("section", &format!("unknown section `{slug}`"), &help);
            }
            (None, Some(folder)) if !known(folder) => {
                let help = format!("name one with `section:`; {}", suggest(folder, sections.iter().copied()));
                self.wrong("", &format!("the folder `{folder}` is not the name of a section"), &help);
            }
            (None, None) if !self.unusable("section") => {
                let help = suggest("", sections.iter().copied());
                self.wrong("section", "the article has no section", &format!("add `section:`; {help}"));
            }
            _ => {}
        }
        written.or(piece.section).unwrap_or_default().to_owned()
    }

    fn slug(&mut self, written: Option<&str>, piece: &Piece<'_>, url: Option<&str>) -> String {
        if let Some(slug) = written {
            if !slug::is_valid(slug) {
                let made =
                    Some(slug::from(slug)).filter(|made| !made.is_empty()).unwrap_or_else(|| "my-article".into());
                let help = format!("letters, digits and hyphens, for instance `{made}`");
                self.wrong("slug", "a slug is one part of an address", &help);
            }
            return slug.to_owned();
        }
        if !piece.slug.is_empty() {
            return piece.slug.clone();
        }
        let from_url =
            url.and_then(|url| url.trim_end_matches('/').rsplit('/').next()).map(slug::from).unwrap_or_default();
        if from_url.is_empty() && !self.unusable("slug") {
            self.required("slug", "the last part of the article's address, for instance `al-hol-exodus`");
        }
        from_url
    }

    fn page(&mut self, written: Option<&str>, section: &str, slug: &str) -> Url {
        let site = &self.context.site;
        if let Some(text) = written {
            if let Some(url) = web_address(site, text) {
                url
            } else {
                self.wrong(
                    "url",
                    "this is not an address",
                    "a whole one like https://paper.example/a, or one below the newsroom's: /a",
                );
                site.clone()
            }
        } else {
            let mut url = site.clone();
            if let Ok(mut parts) = url.path_segments_mut() {
                parts.pop_if_empty().push(section).push(slug);
            }
            url
        }
    }

    fn id(&mut self, written: Option<&str>) -> Option<String> {
        let id = written?.trim();
        let uri = Url::parse(id).is_ok() && !id.contains(char::is_whitespace) && id.is_ascii();
        if !uri {
            self.wrong(
                "id",
                "an id is a URI",
                "for instance tag:paper.example,2026-02-24:my-article; or leave it out and one is made and kept",
            );
        }
        Some(id.to_owned())
    }

    fn language(&mut self, written: Option<&str>) {
        if let Some(tag) = written.filter(|tag| !is_language(tag)) {
            let what = format!("`{}` is not a language tag", line_of(tag));
            self.wrong("language", &what, "for instance en, fr, ar or de-AT (BCP 47)");
        }
    }

    fn authors(&mut self, written: Option<Authors>) -> Vec<Author> {
        let mut authors = Vec::new();
        for (i, person) in written.map(|a| a.0).unwrap_or_default().into_iter().enumerate() {
            let name = person.name.as_deref().map(line_of).unwrap_or_default();
            if name.is_empty() {
                self.wrong(&format!("authors.{i}"), "an author without a name", "write the name as it is printed");
                continue;
            }
            let url = person.url.as_deref().and_then(|url| self.absolute(&format!("authors.{i}.url"), url));
            authors.push(Author { name, url });
        }
        if authors.is_empty() {
            authors.push(Author { name: self.context.house.clone(), url: None });
        }
        authors
    }

    fn picture(&mut self, written: Picture) -> Option<Image> {
        let text = |text: Option<String>| text.as_deref().map(line_of).filter(|text| !text.is_empty());
        let path = if written.src.is_some() { "image" } else { "image.src" };
        let url = self.address_at("image.src", written.src.as_deref());
        let alt = text(written.alt);
        if alt.is_none() {
            let problem = self.at.problem(path, "the picture has no description".into());
            self.problems
                .push(problem.help("add `alt:`, and say what is to be seen, for readers who cannot see it").warning());
        }
        Some(Image {
            url: url?,
            alt: alt.unwrap_or_default(),
            caption: text(written.caption),
            credit: text(written.credit),
        })
    }

    fn corrections(&mut self, written: Vec<front_matter::Corrected>) -> Vec<Correction> {
        let mut corrections = Vec::new();
        for (i, correction) in written.into_iter().enumerate() {
            let path = format!("corrections.{i}");
            let date = correction.date.as_ref().and_then(|text| self.date(&format!("{path}.date"), text));
            if correction.date.is_none() {
                self.required(&format!("{path}.date"), "when it was corrected");
            }
            let text = correction.text.as_deref().map(line_of).unwrap_or_default();
            if text.is_empty() {
                self.required(&format!("{path}.text"), "what was wrong, and is right now");
            }
            if let Some(date) = date {
                corrections.push(Correction { date, text });
            }
        }
        corrections.sort_by_key(|correction| correction.date);
        corrections
    }

    fn date(&mut self, path: &str, text: &str) -> Option<DateTime<FixedOffset>> {
        let date = date::parse(text, self.context.time_zone);
        if date.is_none() {
            self.wrong(path, &format!("`{}` is not a date", line_of(text)), date::HELP);
        }
        date
    }

    /// A required address that may be relative to the newsroom's.
    fn address_at(&mut self, path: &str, written: Option<&str>) -> Option<Url> {
        let Some(text) = written else {
            self.required(path, "its address");
            return None;
        };
        let url = web_address(&self.context.site, text);
        if url.is_none() {
            self.wrong(
                path,
                "this is not an address",
                "a whole one like https://paper.example/a.png, or one below the newsroom's: /a.png",
            );
        }
        url
    }

    fn absolute(&mut self, path: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text.trim()).ok().filter(is_web);
        if url.is_none() {
            self.wrong(path, "this is not a whole address", "it begins with https:// or http://");
        }
        url
    }

    fn required(&mut self, path: &str, what_it_is: &str) {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        if !self.unusable(key) {
            self.wrong(parent, &format!("`{key}` is missing"), &format!("add `{key}:` ({what_it_is})"));
        }
    }

    fn wrong(&mut self, path: &str, what: &str, help: &str) {
        let problem = self.at.problem(path, what.to_owned());
        self.problems.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    fn unusable(&self, key: &str) -> bool {
        self.unusable.iter().any(|k| k == key)
    }
}

/// In the order given, without doubles.
fn tags_of(written: Option<Tags>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in written.map(|t| t.0).unwrap_or_default() {
        let tag = line_of(&tag);
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// One line of plain text: no control characters, no spaces at its ends, single spaces inside.
pub fn line_of(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text looks like a language tag (BCP 47): a language of two or three letters, and subtags.
pub fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().is_some_and(|l| matches!(l.len(), 2 | 3) && l.chars().all(|c| c.is_ascii_alphabetic()));
    language && parts.all(|p| (1..=8).contains(&p.len()) && p.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// An http(s) address, relative to `base` or whole.
pub fn web_address(base: &Url, text: &str) -> Option<Url> {
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return None;
    }
    base.join(text).ok().filter(is_web)
}

/// Whether an address is an http(s) one with a host.
pub fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http") && url.has_host()
}

fn is_media_type(text: &str) -> bool {
    let token = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c));
    text.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// The first 64 bits of SHA-256 over the parts, each with its length.
pub fn fingerprint<const N: usize>(parts: [&[u8]; N]) -> u64 {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    first_bits(hash)
}

/// Of a body without its line ends' form and without space at its ends: a checkout on another system is the same text.
fn of_body(body: &str) -> Option<u64> {
    let body = body.trim();
    if body.is_empty() {
        return None;
    }
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in body.split('\r') {
        hash.update(part.as_bytes());
    }
    Some(first_bits(hash))
}

fn first_bits(hash: aws_lc_rs::digest::Context) -> u64 {
    hash.finish().as_ref().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

fn text_of<'a>(file: &File<'a>) -> Result<&'a str, Problem> {
    std::str::from_utf8(file.bytes).map_err(|error| {
        let good = std::str::from_utf8(&file.bytes[..error.valid_up_to()]).unwrap_or_default();
        let mut problem = Problem::in_text(file.name, good, 1, good.len()..good.len(), "this is not UTF-8 text");
        problem.set_line(good.rsplit('\n').next().unwrap_or_default());
        problem.help("save the file as UTF-8")
    })
}
