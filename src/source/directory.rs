//! A folder of files.
//!
//! In three steps, so that a cache can stand in for the second: [`walk`] lists files with their size and
//! time, [`read_one`] makes a manuscript of one of them, and [`finish`] puts all manuscripts in their
//! places.

// Which files there are.
mod walk;

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::time::SystemTime;
use url::Url;

use super::register::{self, Ids};
use super::{Material, Options, Purpose};
use crate::error::{Failure, Kind};
use crate::newsroom::assemble::{Keyed, assemble, with_links};
use crate::newsroom::body::{self, Format};
use crate::newsroom::front_matter;
use crate::newsroom::link;
use crate::newsroom::manuscript::{Context, File, MAX_BODY_BYTES, Read, from_files};
use crate::newsroom::{Article, Bodies, Body, Problem};
use crate::stamp::Stamp;
use walk::Walk;

/// One article's file or files, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The body's file (the sidecar's, where there is no body) relative to the folder, with `/`.
    pub path: String,
    /// The body's file: its stamp.
    pub body: Option<Stamp>,
    /// The sidecar, relative to the folder, with its stamp.
    pub sidecar: Option<(String, Stamp)>,
}

/// The bodies of a folder's articles.
#[derive(Debug)]
pub struct Folder {
    options: Options,
    context: Context,
    addresses: HashMap<String, Url>,
    /// Before this the articles had not been listed.
    begun: SystemTime,
}

/// Reads all articles of a folder.
///
/// # Errors
/// The folder or its register of ids cannot be read at all. Everything else is among [`Material::problems`].
pub fn read(options: &Options, now: DateTime<Utc>, purpose: Purpose<'_>) -> Result<Material<Folder>, Failure> {
    let begun = SystemTime::now();
    let (listed, problems) = walk(options)?;
    let context = options.context();
    let read = listed.par_iter().map(|one| read_one(options, &context, one)).collect::<Vec<_>>();
    finish(options, listed.into_iter().zip(read).collect(), problems, (now, begun), purpose)
}

/// Lists the articles of a folder, sorted by path, at any depth. Hidden files and folders are not looked at, and neither
/// are files that are no text (pictures, for instance).
///
/// # Errors
/// The folder itself cannot be read.
pub fn walk(options: &Options) -> Result<(Vec<Listed>, Vec<Problem>), Failure> {
    walk_without(options, &|_| false)
}

/// As [`walk`], but without the articles for which `without` says so; it is asked once for each, from many threads.
///
/// # Errors
/// As [`walk`].
pub fn walk_without(
    options: &Options,
    without: &(dyn Fn(&Listed) -> bool + Sync),
) -> Result<(Vec<Listed>, Vec<Problem>), Failure> {
    let entries = std::fs::read_dir(&options.folder).map_err(|error| {
        Failure::new(Kind::Configuration, format!("the folder of articles, {}, cannot be read", options.name))
            .because(error)
            .hint("Make the folder, or name another with `articles:` in the configuration.")
    })?;
    let found = Walk { root: &options.folder, name: &options.name, without }.all(entries);
    Ok((found.listed, found.problems))
}

/// Reads one article. Depends on the bytes of its files and on `context`, and on nothing else.
pub fn read_one(options: &Options, context: &Context, listed: &Listed) -> Read {
    let bytes = |path: &str, stamp: Stamp| {
        if stamp.size > MAX_BODY_BYTES as u64 + (1 << 20) {
            let what = format!("the file has more than {} MB", MAX_BODY_BYTES >> 20);
            return Err(Problem::new(format!("{}/{path}", options.name), what)
                .help("an article is text; link to large files instead"));
        }
        std::fs::read(options.folder.join(path)).map_err(|error| unreadable(&options.name, path, &error))
    };
    let body = listed.body.map(|stamp| bytes(&listed.path, stamp)).transpose();
    let sidecar = listed.sidecar.as_ref().map(|(path, stamp)| bytes(path, *stamp)).transpose();
    let (body, sidecar) = match (body, sidecar) {
        (Ok(body), Ok(sidecar)) => (body, sidecar),
        (body, sidecar) => {
            let problems = body.err().into_iter().chain(sidecar.err()).collect();
            return Read { manuscript: None, problems };
        }
    };
    read_bytes(options, context, listed, body.as_deref(), sidecar.as_deref())
}

/// What the bytes of an article's files say.
fn read_bytes(
    options: &Options,
    context: &Context,
    listed: &Listed,
    body: Option<&[u8]>,
    sidecar: Option<&[u8]>,
) -> Read {
    let name = format!("{}/{}", options.name, listed.path);
    let sidecar_path = listed.sidecar.as_ref().map_or("", |(path, _)| path.as_str());
    let sidecar_name = format!("{}/{sidecar_path}", options.name);
    let mut read = from_files(
        body.map(|bytes| File { name: &name, path: &listed.path, bytes }),
        sidecar.map(|bytes| File { name: &sidecar_name, path: sidecar_path, bytes }),
        context,
    );
    if listed.body.is_none()
        && let Some(manuscript) = &read.manuscript
    {
        let article = &manuscript.article;
        if article.external_url.is_none() && article.enclosure.is_none() && !manuscript.draft {
            let stem = split_ending(&listed.path).0.rsplit('/').next().unwrap_or_default();
            read.problems.push(
                Problem::new(&sidecar_name, format!("there is no body beside it: {stem}.md, .html or .txt"))
                    .help("name both files alike; only a link post (`link:`) or an `enclosure:` can do without a body"),
            );
            read.manuscript = None;
        }
    }
    read
}

/// Puts manuscripts in their places. `read` comes in the order of [`walk`]; `problems` are those of the walk, which began at
/// `begun`.
///
/// # Errors
/// The register of ids cannot be read, or is broken.
pub fn finish(
    options: &Options,
    read: Vec<(Listed, Read)>,
    mut problems: Vec<Problem>,
    (now, begun): (DateTime<Utc>, SystemTime),
    purpose: Purpose<'_>,
) -> Result<Material<Folder>, Failure> {
    let loaded = register::load(&options.folder, &options.name, purpose)?;
    let mut manuscripts: Vec<Keyed> = Vec::with_capacity(read.len());
    let mut held = Vec::new();
    for (listed, read) in read {
        problems.extend(read.problems);
        match read.manuscript {
            Some(manuscript) => manuscripts.push((listed.path, manuscript)),
            None => {
                held.push(listed.path);
            }
        }
    }
    let assembled =
        assemble(options.masthead.clone(), options.sections.clone(), manuscripts, &loaded.register, &held, now);
    problems.extend(assembled.problems.into_iter().map(|problem| with_line(options, problem)));
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(Material {
        newsroom: assembled.newsroom,
        bodies: Folder::new(options, assembled.addresses, begun),
        problems,
        next: assembled.next,
        ids: Ids::new(loaded, assembled.register),
    })
}

impl Folder {
    /// The bodies of a folder whose articles link to files with these addresses, and were listed after `begun`.
    pub fn new(options: &Options, addresses: HashMap<String, Url>, begun: SystemTime) -> Folder {
        Folder { options: options.clone(), context: options.context(), addresses, begun }
    }

    /// A file's bytes, and its stamp when they had been read.
    fn read(&self, path: &str) -> std::io::Result<(Vec<u8>, Stamp)> {
        let mut file = fs::File::open(self.options.folder.join(path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((bytes, Stamp::of(&file.metadata()?)))
    }

    /// Whether an article that was read before is what its file says now, which has these bytes.
    fn is_as_read(&self, article: &Article, path: &str, bytes: &[u8]) -> bool {
        let beside = walk_beside(&self.options, path).unwrap_or_default();
        let Some(listed) = beside.into_iter().find(|listed| listed.path == path) else { return false };
        let sidecar = listed.sidecar.as_ref().map(|(path, _)| fs::read(self.options.folder.join(path)));
        let Ok(sidecar) = sidecar.transpose() else { return false };
        let read = read_bytes(&self.options, &self.context, &listed, Some(bytes), sidecar.as_deref());
        read.manuscript.is_some_and(|manuscript| {
            let own = manuscript.article.fingerprint;
            with_links(own, &manuscript.links, |link| self.addresses.get(link)) == article.fingerprint
        })
    }
}

impl Bodies for Folder {
    fn body(&self, article: &Article) -> Result<Body, Problem> {
        let (file, name) = (&article.place.file, &self.options.name);
        let path = file.strip_prefix(name.as_str()).map_or(file.as_str(), |rest| rest.trim_start_matches('/'));
        let language = self.options.language(article);
        let Some(format) = Format::of_ending(split_ending(path).1) else {
            return Ok(body::render(article, language, Format::Text, "")); // a piece that is metadata only
        };
        let (bytes, stamp) = self.read(path).map_err(|error| unreadable(name, path, &error))?;
        let late = !stamp.settled(self.begun) && !self.is_as_read(article, path, &bytes);
        let text =
            simdutf8::basic::from_utf8(&bytes).map_err(|_| Problem::new(file, "this is not UTF-8 text any more"))?;
        let split = front_matter::split(text, file)?;
        let body = if self.addresses.is_empty() {
            body::render(article, language, format, split.body)
        } else {
            let address = |file: &str| self.addresses.get(file).map(Url::to_string);
            body::render(article, language, format, &link::with_addresses(split.body, path, address))
        };
        Ok(Body { late, ..body })
    }
}

/// As [`walk`], but only articles whose files are named like this one but for their ending. `None` where it is not as plain
/// as that: then [`walk`] says what is wrong.
pub fn walk_beside(options: &Options, path: &str) -> Option<Vec<Listed>> {
    let mut files = Vec::new();
    for path in beside(path) {
        match std::fs::metadata(options.folder.join(&path)) {
            Ok(metadata) if metadata.is_file() => files.push((path, Stamp::of(&metadata))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            _ => return None,
        }
    }
    files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut problems = Vec::new();
    let listed = walk::pairs(&options.name, files, &mut problems);
    problems.is_empty().then_some(listed)
}

/// Every file that may stand beside this one, which has an ending of ours: its body, its sidecar, and itself.
pub fn beside(path: &str) -> impl Iterator<Item = String> {
    let stem = split_ending(path).0.to_owned();
    let endings = link::BODY_ENDINGS.iter().chain(&walk::SIDECAR_ENDINGS);
    endings.map(move |ending| format!("{stem}.{ending}"))
}

/// Whether a file, by its path in the folder, may be an article's; others are not looked at.
pub fn is_material(path: &str) -> bool {
    walk::is_material(path) && !path.split('/').any(|part| part.starts_with('.'))
}

fn split_ending(path: &str) -> (&str, &str) {
    path.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((path, ""))
}

fn unreadable(name: &str, path: &str, error: &std::io::Error) -> Problem {
    Problem::new(format!("{name}/{path}"), format!("this cannot be read: {error}"))
        .help("check that it is there and that you may read it")
}

/// Problems between articles know their line's number; its text is read only now.
fn with_line(options: &Options, mut problem: Problem) -> Problem {
    if problem.place.line > 0 && problem.line.is_empty() {
        let path = problem.place.file.strip_prefix(&options.name).unwrap_or_default().trim_start_matches('/');
        let text = std::fs::read_to_string(options.folder.join(path)).unwrap_or_default();
        if let Some(line) = text.lines().nth(problem.place.line as usize - 1) {
            problem.set_line(line);
            problem.span = u32::try_from(line.chars().count()).unwrap_or(1).max(1);
        }
    }
    problem
}
