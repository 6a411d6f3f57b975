//! JSON Lines: one article a line, its body in `body`. A newsroom's own system pipes them in.

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use url::Position;

use super::register::{self, Ids};
use super::{Material, Options, Purpose};
use crate::error::{Failure, Kind};
use crate::newsroom::assemble::{Keyed, assemble};
use crate::newsroom::body::{self, Format};
use crate::newsroom::fingerprint::fingerprint;
use crate::newsroom::front_matter::Head;
use crate::newsroom::identity::{Register, STREAM};
use crate::newsroom::json::Line;
use crate::newsroom::manuscript::{Context, Piece, Read, check};
use crate::newsroom::problem::{Place, suggest};
use crate::newsroom::yaml::Locate;
use crate::newsroom::{Article, Bodies, Body, Problem};

/// A longer line is not read; it is one article with its body.
pub const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// So many bytes of lines are read before they are worked on together.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// What standard input is called in problems.
pub const STANDARD_INPUT: &str = "standard input";

/// The bodies of a stream's articles. A stream that is no file was copied into a file without a name.
#[derive(Debug)]
pub struct Spool {
    options: Options,
    file: Mutex<fs::File>,
    name: String,
    /// For each line its beginning; and the end of the last.
    offsets: Vec<u64>,
}

/// Reads all articles of a stream: of the file, or of standard input.
///
/// # Errors
/// The stream, or the register of ids, cannot be read at all. Everything else is among [`Material::problems`].
pub fn read(
    options: &Options,
    path: Option<&Path>,
    now: DateTime<Utc>,
    purpose: Purpose<'_>,
) -> Result<Material<Spool>, Failure> {
    let name = path.map_or_else(|| STANDARD_INPUT.to_owned(), |path| path.display().to_string());
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Unavailable, format!("the articles in {name} cannot be read"))
            .because(error)
            .hint("`--articles` names a folder, a file of JSON Lines, or `-` for standard input.")
    };
    let file = match path {
        Some(path) => fs::File::open(path).map_err(failed)?,
        None => spooled(&mut std::io::stdin().lock()).map_err(failed)?,
    };
    read_file(options, file, &name, now, purpose)
}

/// Copies a stream into a file without a name.
///
/// # Errors
/// The stream ends in an error, or the disk is full.
pub fn spooled(stream: &mut impl std::io::Read) -> std::io::Result<fs::File> {
    let mut file = tempfile::tempfile()?;
    std::io::copy(stream, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Reads all articles of an open file. `name` stands in problems.
///
/// # Errors
/// As [`read`].
pub fn read_file(
    options: &Options,
    file: fs::File,
    name: &str,
    now: DateTime<Utc>,
    purpose: Purpose<'_>,
) -> Result<Material<Spool>, Failure> {
    let context = options.context();
    let mut lines = Lines { reader: BufReader::with_capacity(1 << 16, &file), number: 0, offset: 0, offsets: vec![0] };
    let mut problems = Vec::new();
    let mut manuscripts: Vec<Keyed> = Vec::new();
    let mut unusable = HashSet::new();
    loop {
        let batch = lines.batch(name, &mut problems).map_err(|error| {
            Failure::new(Kind::Unavailable, format!("the articles in {name} cannot be read")).because(error)
        })?;
        if batch.is_empty() {
            break;
        }
        let read: Vec<(Named, Read)> =
            batch.par_iter().map(|(number, bytes)| read_line(bytes, name, *number, &context)).collect();
        for (named, read) in read {
            problems.extend(read.problems);
            match read.manuscript {
                Some(manuscript) => manuscripts.push((key_of(&manuscript.article, named.url.is_some()), manuscript)),
                None => unusable.extend(named.slug),
            }
        }
    }
    let offsets = lines.offsets;
    manuscripts.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.article.place.cmp(&b.1.article.place)));
    // Only now: a stream may take its time, and meanwhile others have the register.
    let loaded = register::load(&options.folder, &options.name, purpose)?;
    let held = held(&loaded.register, &unusable, &manuscripts);
    let assembled =
        assemble(options.masthead.clone(), options.sections.clone(), manuscripts, &loaded.register, &held, now);
    problems.extend(assembled.problems);
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(Material {
        newsroom: assembled.newsroom,
        bodies: Spool { options: options.clone(), file: Mutex::new(file), name: name.to_owned(), offsets },
        problems,
        next: assembled.next,
        ids: Ids::new(loaded, assembled.register),
    })
}

/// Under which the register knows an article of a stream. Two sections may have pieces of one slug; and so may two months,
/// where the article gives an address of its own.
fn key_of(article: &Article, has_url: bool) -> String {
    if has_url {
        format!("{STREAM}{}", &article.url[Position::BeforePath..])
    } else {
        format!("{STREAM}{}/{}", article.section, article.slug)
    }
}

/// The keys of entries that articles which cannot be used may have: of those not much more than the slug is known.
fn held(register: &Register, unusable: &HashSet<String>, manuscripts: &[Keyed]) -> Vec<String> {
    if unusable.is_empty() {
        return Vec::new();
    }
    let usable: HashSet<&str> = manuscripts.iter().map(|(key, _)| key.as_str()).collect();
    let entries = register.entries().iter().filter(|entry| unusable.contains(&entry.slug));
    let keys = entries.map(|entry| entry.path_now()).filter(|key| key.starts_with(STREAM));
    keys.filter(|key| !usable.contains(&**key)).map(Cow::into_owned).collect()
}

/// What a line says of where its article stands, be it usable or not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    slug: Option<String>,
    url: Option<String>,
}

/// Reads one line.
fn read_line(bytes: &[u8], name: &str, number: u32, context: &Context) -> (Named, Read) {
    let refuse = |problem: Problem| Read { manuscript: None, problems: vec![problem] };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let problem = Problem::in_text(name, &good, number, good.len()..good.len(), "this is not UTF-8 text");
            return (Named::default(), refuse(problem.help("JSON is UTF-8")));
        }
    };
    let line = Line { text, file: name, number };
    let mut head: Head = match line.parse() {
        Ok(head) => head,
        Err(problem) => return (serde_json::from_str(text).unwrap_or_default(), refuse(problem)),
    };
    let named = Named { slug: head.slug.clone(), url: head.url.clone() };
    let body = head.body.take();
    let mut problems = Vec::new();
    let format = match head.format.take().as_deref() {
        None => Format::default(),
        Some(written) => {
            if let Some(format) = format_of(written) {
                format
            } else {
                let problem = line.problem("format", format!("`{written}` is not possible here"));
                problems.push(problem.help(suggest(written, FORMATS)));
                Format::default()
            }
        }
    };
    if body.is_none() && head.link.is_none() && head.enclosure.is_none() && head.draft != Some(true) {
        problems.push(
            line.problem("", "the article has no `body`".into())
                .help("only a link post (`link`) or an `enclosure` can do without one"),
        );
    }
    let body = body.unwrap_or_default();
    let piece = Piece {
        file: name,
        section: None,
        slug: String::new(),
        format,
        body: &body,
        links_from: None,
        fingerprint: fingerprint([bytes]),
    };
    (named, check(head, &[], &line, &piece, context, problems))
}

const FORMATS: [&str; 3] = ["markdown", "html", "text"];

fn format_of(written: &str) -> Option<Format> {
    match written {
        "markdown" => Some(Format::Markdown),
        "html" => Some(Format::Html),
        "text" => Some(Format::Text),
        _ => None,
    }
}

impl Bodies for Spool {
    fn body(&self, article: &Article) -> Result<Body, Problem> {
        #[derive(Deserialize)]
        struct Text {
            body: Option<String>,
            format: Option<String>,
        }
        let number = article.place.line as usize;
        let gone = |cause: String| Problem::new(&self.name, format!("line {number} cannot be read again: {cause}"));
        let (Some(&start), Some(&end)) = (self.offsets.get(number.wrapping_sub(1)), self.offsets.get(number)) else {
            return Err(gone("there is no such line".into()));
        };
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(start))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(|error| gone(error.to_string()))?;
        }
        let bytes = bytes.strip_prefix(BOM).unwrap_or(&bytes);
        let text: Text = serde_json::from_slice(bytes).map_err(|error| gone(error.to_string()))?;
        let format = text.format.as_deref().and_then(format_of).unwrap_or_default();
        Ok(body::render(article, self.options.language(article), format, text.body.as_deref().unwrap_or_default()))
    }
}

const BOM: &[u8] = "\u{FEFF}".as_bytes();

struct Lines<R> {
    reader: R,
    number: u32,
    offset: u64,
    offsets: Vec<u64>,
}

impl<R: BufRead> Lines<R> {
    /// The next lines with their numbers, without empty ones; none at the end. Lines that are too long are left out.
    fn batch(&mut self, name: &str, problems: &mut Vec<Problem>) -> std::io::Result<Vec<(u32, Vec<u8>)>> {
        let mut batch = Vec::new();
        let mut size = 0;
        while size < BATCH_BYTES {
            let mut line = Vec::new();
            let mut length = self.reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line)? as u64;
            if length == 0 {
                break;
            }
            let too_long = length > MAX_LINE_BYTES && !line.ends_with(b"\n");
            if too_long {
                line = Vec::new();
                length += skip_line(&mut self.reader)?;
            }
            self.number += 1;
            self.offset += length;
            self.offsets.push(self.offset);
            if too_long {
                let place = Place { file: name.to_owned(), line: self.number, column: 0 };
                let what = format!("the line has more than {} MB", MAX_LINE_BYTES >> 20);
                problems.push(Problem::at(place, 1, "", what).help("each line is one article; is a line end missing?"));
                continue;
            }
            if self.number == 1 && line.starts_with(BOM) {
                line.drain(..BOM.len());
            }
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                size += line.len();
                batch.push((self.number, line));
            }
        }
        Ok(batch)
    }
}

/// Reads to the end of a line without keeping it. Answers how many bytes that were.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let (used, done) = match buffer.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        skipped += used as u64;
        if done {
            return Ok(skipped);
        }
    }
}
