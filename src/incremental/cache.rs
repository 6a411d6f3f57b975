//! The cache: what an earlier build read and wrote, in one file.
//!
//! ```text
//! magic, setup, where the books are, how long they are, their checksum     64 bytes
//! heads: one article as read after another, each with a checksum in the books
//! the books (postcard)
//! additions: length of the heads, length of the entries, checksum of these, heads, entries (postcard)
//! ```
//!
//! A small change is added at the end; the heads are read only where they are needed. Whatever is not as it should be (the
//! magic, the setup, a length, a checksum) makes the cache as good as missing: it saves work and is never needed.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

use crate::feed::archive::Plan;
use crate::newsroom::manuscript::Manuscript;
use crate::newsroom::{Place, Problem, Severity, Withdrawn};
use crate::publish::build::{Known, Printed};
use crate::source::directory::Listed;
use crate::stamp::Stamp;

/// The number is that of the format.
const MAGIC: [u8; 8] = *b"pressr-2";
const HEADER: usize = 64;
const ADDITION_HEADER: usize = 16;

/// With more than this part of the books in additions, the cache is written anew.
const MOST_ADDED: u64 = 4;

/// A hash of all that builds depend on beside the articles: the program and the configuration.
pub(super) type SetupHash = [u8; 32];

/// What an earlier build read and wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Books {
    /// When it was built, in seconds since 1970.
    pub(super) built: i64,
    /// The second at which something is published or withdrawn by its date.
    pub(super) next: Option<i64>,
    /// Whether there was no problem when documents were made.
    pub(super) calm: bool,
    /// What was wrong with the articles, to be told again.
    pub(super) problems: Vec<Kept>,
    /// Those that the walk found: they must be the same in the next one.
    pub(super) walked: Vec<Kept>,
    /// The register of ids.
    pub(super) register: Option<Stamp>,
    /// Every article's files, by path.
    pub(super) entries: Vec<Entry>,
    /// Which article stands in which feed.
    pub(super) plan: Plan,
    pub(super) withdrawn: Vec<Withdrawn>,
    /// The feeds' documents.
    pub(super) documents: Known,
}

/// A problem as it is kept: every field of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept(Severity, Place, u32, String, u32, String, Option<String>);

impl Kept {
    pub(super) fn of(problem: &Problem) -> Kept {
        let Problem { severity, place, span, line, skipped, what, help } = problem.clone();
        Kept(severity, place, span, line, skipped, what, help)
    }

    /// The problem, as it was.
    pub(super) fn again(&self) -> Problem {
        let Kept(severity, place, span, line, skipped, what, help) = self.clone();
        Problem { severity, place, span, line, skipped, what, help }
    }

    /// Whether it may be about this file, or name it.
    pub(super) fn concerns(&self, file: &str) -> bool {
        let Kept(_, place, _, _, _, what, help) = self;
        place.file == file || what.contains(file) || help.as_deref().is_some_and(|help| help.contains(file))
    }
}

/// One article's file or files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    /// The default where the file has to be read again in any case.
    pub(super) body: Option<Stamp>,
    pub(super) sidecar: Option<(String, Stamp)>,
    /// `None` where the article could not be read.
    pub(super) head: Option<Head>,
    /// Whether it has a problem of its own; a whole build tells it again by reading the article again.
    pub(super) troubled: bool,
    /// Empty where the article brings its own.
    pub(super) id: String,
    /// Together with the addresses of the articles it links to.
    #[serde(with = "postcard::fixint::le")]
    pub(super) fingerprint: u64,
    /// Its place among the published articles.
    pub(super) place: Option<u32>,
}

/// Where an article as read stands in the cache's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    at: u64,
    length: u32,
    #[serde(with = "postcard::fixint::le")]
    sum: u32,
}

/// What changed since the books were written.
#[derive(Debug, Serialize, Deserialize)]
struct Addition {
    register: Option<Stamp>,
    entries: Vec<(u32, Entry)>,
    documents: Vec<(String, Printed)>,
}

/// A change of an entry; with the article as read, where that changed too.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) number: u32,
    pub(super) entry: Entry,
    pub(super) head: Option<Vec<u8>>,
}

/// The cache of an earlier build, opened.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    file: File,
    length: u64,
    /// Where the additions begin.
    added: u64,
    pub(super) books: Books,
}

impl Entry {
    /// Whether these are the same files, and they have not changed.
    pub(super) fn is(&self, listed: &Listed) -> bool {
        self.path == listed.path && self.body == listed.body && self.sidecar == listed.sidecar
    }
}

/// An article as it stands in the cache.
pub(super) fn encoded(manuscript: &Manuscript) -> Vec<u8> {
    // Into memory, and there is nothing in it that cannot be written.
    postcard::to_stdvec(manuscript).unwrap_or_default()
}

impl Cache {
    /// Opens the cache at `path`; `None` where there is none that can be trusted.
    pub(super) fn open(path: &Path, setup: &SetupHash) -> Option<Cache> {
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut cache = Cache { path: path.to_owned(), file, length, added: 0, books: Books::empty() };
        let header = cache.bytes(0, HEADER as u64)?;
        if header[..8] != MAGIC || header[8..40] != *setup {
            return None;
        }
        let (at, size, sum) = (number(&header[40..]), number(&header[48..]), number(&header[56..]));
        let books = cache.bytes(at, size)?;
        if sum != sum_of(&header[..56], crc32fast::hash(&books)) {
            return None;
        }
        cache.books = postcard::from_bytes(&books).ok()?;
        drop(books);
        cache.added = at + size;
        let mut at = cache.added;
        while at < length {
            let header = cache.bytes(at, ADDITION_HEADER as u64)?;
            let heads = u64::from(u32::from_le_bytes(header[..4].try_into().ok()?));
            let entries = u64::from(u32::from_le_bytes(header[4..8].try_into().ok()?));
            let bytes = cache.bytes(at + ADDITION_HEADER as u64 + heads, entries)?;
            if number(&header[8..]) != addition_sum(at, &header[..8], &bytes) {
                return None;
            }
            let Addition { register, entries: changed, documents } = postcard::from_bytes(&bytes).ok()?;
            cache.books.apply(register, changed, documents)?;
            at += ADDITION_HEADER as u64 + heads + entries;
        }
        (at == length).then_some(cache)
    }

    /// An article as it was read.
    pub(super) fn manuscript(&self, entry: &Entry) -> Option<Manuscript> {
        self.head(entry).and_then(|bytes| postcard::from_bytes(&bytes).ok())
    }

    /// As [`encoded`].
    pub(super) fn head(&self, entry: &Entry) -> Option<Vec<u8>> {
        let head = entry.head?;
        let bytes = self.bytes(head.at, u64::from(head.length))?;
        (crc32fast::hash(&bytes) == head.sum).then_some(bytes)
    }

    /// Adds what changed, here and in the file. Answers `None` where the file is no longer this cache's, or holds so many
    /// additions that it is better written anew: the next build does it.
    pub(super) fn add(
        mut self,
        register: Option<Stamp>,
        changes: Vec<Change>,
        printed: Known,
    ) -> io::Result<Option<Cache>> {
        if changes.is_empty() && printed.is_empty() && register == self.books.register {
            return Ok(Some(self));
        }
        let mut file = File::options().append(true).open(&self.path)?;
        let (now, then) = (file.metadata()?, self.file.metadata()?);
        let ours = now.len() == self.length && Stamp::of(&now).inode == Stamp::of(&then).inode;
        if !ours || (self.length - self.added) * MOST_ADDED > self.added {
            return Ok(None);
        }
        let mut heads: Vec<u8> = Vec::new();
        let mut entries = Vec::with_capacity(changes.len());
        for Change { number, mut entry, head } in changes {
            if let Some(bytes) = head {
                let at = self.length + (ADDITION_HEADER + heads.len()) as u64;
                entry.head = Some(Head { at, length: length_of(&bytes), sum: crc32fast::hash(&bytes) });
                heads.extend(bytes);
            }
            entries.push((number, entry));
        }
        let documents: Vec<(String, Printed)> = printed.into_iter().collect();
        let addition = Addition { register, entries, documents };
        let bytes = postcard::to_stdvec(&addition).map_err(io::Error::other)?;
        let mut text = Vec::with_capacity(ADDITION_HEADER + heads.len() + bytes.len());
        text.extend(length_of(&heads).to_le_bytes());
        text.extend(length_of(&bytes).to_le_bytes());
        text.extend(addition_sum(self.length, &text, &bytes).to_le_bytes());
        text.extend(heads);
        text.extend(bytes);
        file.write_all(&text)?;
        self.length += text.len() as u64;
        Ok(self.books.apply(addition.register, addition.entries, addition.documents).map(|()| self))
    }

    fn bytes(&self, at: u64, length: u64) -> Option<Vec<u8>> {
        // Checked first: a broken length must not ask for all memory.
        if at.checked_add(length)? > self.length {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        read_at(&self.file, &mut bytes, at).ok()?;
        Some(bytes)
    }
}

impl Books {
    fn apply(
        &mut self,
        register: Option<Stamp>,
        entries: Vec<(u32, Entry)>,
        documents: Vec<(String, Printed)>,
    ) -> Option<()> {
        self.register = register;
        for (number, entry) in entries {
            *self.entries.get_mut(number as usize)? = entry;
        }
        self.documents.extend(documents);
        Some(())
    }

    fn empty() -> Books {
        Books {
            built: 0,
            next: None,
            calm: false,
            problems: Vec::new(),
            walked: Vec::new(),
            register: None,
            entries: Vec::new(),
            plan: Plan { feeds: Vec::new() },
            withdrawn: Vec::new(),
            documents: Known::new(),
        }
    }
}

/// A cache that is being written: beside its place, and moved there when it is whole.
pub(super) struct Writer {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    at: u64,
}

impl Writer {
    pub(super) fn create(path: &Path) -> io::Result<Writer> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let file = tempfile::Builder::new().prefix(".build").tempfile_in(folder)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&[0; HEADER])?;
        Ok(Writer { path: path.to_owned(), file, at: HEADER as u64 })
    }

    /// Writes an article as read.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<Head> {
        let head = Head { at: self.at, length: length_of(bytes), sum: crc32fast::hash(bytes) };
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(head)
    }

    /// Writes the books and puts the cache in its place.
    pub(super) fn finish(mut self, setup: &SetupHash, books: Books) -> io::Result<Cache> {
        let measured = Measured { file: &mut self.file, length: 0, sum: crc32fast::Hasher::new() };
        let Measured { length: size, sum, .. } = postcard::to_io(&books, measured).map_err(io::Error::other)?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(setup);
        header.extend(self.at.to_le_bytes());
        header.extend(size.to_le_bytes());
        header.extend(sum_of(&header, sum.finalize()).to_le_bytes());
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
        // Not waited for: a cache that a power failure cut short is found out and not used.
        let file = file.persist(&self.path)?;
        let length = self.at + size;
        Ok(Cache { path: self.path, file, length, added: length, books })
    }
}

/// Writes, and measures what goes by.
struct Measured<W> {
    file: W,
    length: u64,
    sum: crc32fast::Hasher,
}

impl<W: io::Write> io::Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn sum_of(header: &[u8], books: u32) -> u64 {
    u64::from(crc32fast::hash(header)) << 32 | u64::from(books)
}

/// Its place is part of it, so that an addition cannot stand for another.
fn addition_sum(at: u64, lengths: &[u8], entries: &[u8]) -> u64 {
    let mut around = at.to_le_bytes().to_vec();
    around.extend(lengths);
    sum_of(&around, crc32fast::hash(entries))
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], at + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}
