//! The cache: what an earlier build read and wrote, in one file.
//!
//! ```text
//! magic, setup, where the books are, how long they are, their checksum     64 bytes
//! heads: one article as read after another, each with a checksum in its entry
//! entries: one after another, each with a checksum; where each begins; the index
//! the books (postcard)
//! additions: length of the heads, length of the change, checksum of these, heads, change (postcard)
//! ```
//!
//! A small change is added at the end. Of all that is there, a build reads the books; heads, entries and the index only where
//! they are needed, so that its work and its memory do not grow with what has not changed. Whatever is not as it should be
//! (the magic, the setup, a length, a checksum) makes the cache, or this entry, as good as missing: it saves work and is
//! never needed.

// What is kept, and how it changes.
mod books;
// Columns of numbers.
mod raw;
// A new cache.
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::newsroom::manuscript::Manuscript;
use crate::stamp::Stamp;

pub(super) use books::{Books, Change, Entry, Head, Index, Kept, Standing, Turn, hash_of, mark};
pub(super) use writer::Writer;

/// The number is that of the format.
const MAGIC: [u8; 8] = *b"pressr-4";
const HEADER: usize = 64;
const ADDITION_HEADER: usize = 16;
/// Behind each entry.
const SUM: usize = 4;

/// With more bytes than these and more than this part of the file in additions, the cache is written anew,
const LEAST_ADDED: u64 = 1 << 20;
const MOST_ADDED: u64 = 4;
/// and with more than so many, for each has to be read.
const MOST_ADDITIONS: usize = 512;

/// A hash of all that builds depend on beside the articles: the program and the configuration.
pub(super) type SetupHash = [u8; 32];

/// Numbers by the marks of files, which are hashes already.
pub(super) type Marks = HashMap<u64, u32, BuildHasherDefault<AsItIs>>;

/// The cache of an earlier build, opened.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    file: File,
    length: u64,
    /// Where the additions begin, and how many there are.
    added: u64,
    additions: usize,
    parts: Parts,
    pub(super) books: Books,
    /// Entries that are others than in the file's table, by number; `None` where the article is no more.
    since: BTreeMap<u32, Option<Entry>>,
    /// Numbers of articles that are not in the table, by path.
    later: BTreeMap<String, u32>,
    /// Of articles that were added.
    links: Vec<u64>,
}

/// Where things stand in the file.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
struct Parts {
    /// How many entries there are.
    count: u32,
    /// Where each entry begins, and where the last one ends.
    table: u64,
    index: u64,
    index_length: u64,
    index_sum: u32,
}

/// An article that has been looked for.
#[derive(Debug)]
pub(super) enum Found {
    /// With its number.
    Here(u32, Box<Entry>),
    Nowhere,
    /// It cannot be told.
    Unknown,
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
        let mut cache = Cache {
            path: path.to_owned(),
            file,
            length,
            added: 0,
            additions: 0,
            parts: Parts::default(),
            books: Books::empty(),
            since: BTreeMap::new(),
            later: BTreeMap::new(),
            links: Vec::new(),
        };
        let header = cache.bytes(0, HEADER as u64)?;
        if header[..8] != MAGIC || header[8..40] != *setup {
            return None;
        }
        let (at, size, sum) = (number(&header[40..]), number(&header[48..]), number(&header[56..]));
        let books = cache.bytes(at, size)?;
        if sum != sum_of(&header[..56], crc32fast::hash(&books)) {
            return None;
        }
        (cache.parts, cache.books) = postcard::from_bytes(&books).ok()?;
        drop(books);
        cache.added = at + size;
        let mut at = cache.added;
        while at < length {
            let header = cache.bytes(at, ADDITION_HEADER as u64)?;
            let heads = u64::from(u32::from_le_bytes(header[..4].try_into().ok()?));
            let size = u64::from(u32::from_le_bytes(header[4..8].try_into().ok()?));
            let bytes = cache.bytes(at + ADDITION_HEADER as u64 + heads, size)?;
            if number(&header[8..]) != addition_sum(at, &header[..8], &bytes) {
                return None;
            }
            cache.apply(postcard::from_bytes(&bytes).ok()?)?;
            at += ADDITION_HEADER as u64 + heads + size;
        }
        (at == length).then_some(cache)
    }

    /// The numbers of all articles, by the marks of their files.
    pub(super) fn marks(&self) -> Marks {
        let mut marks = Marks::with_capacity_and_hasher(self.books.marks.len(), BuildHasherDefault::new());
        marks.extend(self.books.marks.iter().copied().zip(0..=u32::MAX).filter(|(mark, _)| *mark != 0));
        marks
    }

    /// The entry with this number; `None` where the article is no more, or the entry is damaged.
    pub(super) fn entry(&self, number: u32) -> Option<Entry> {
        match self.since.get(&number) {
            Some(entry) => entry.clone(),
            None => self.written(number),
        }
    }

    /// The article whose body (or sidecar, where there is no body) is this file.
    pub(super) fn find(&self, path: &str) -> Found {
        let (mut from, mut to) = (0, self.parts.count);
        while from < to {
            let middle = from + (to - from) / 2;
            let Some(entry) = self.written(middle) else { return Found::Unknown };
            match entry.path.as_str().cmp(path) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => match self.since.get(&middle) {
                    None => return Found::Here(middle, Box::new(entry)),
                    Some(Some(entry)) => return Found::Here(middle, Box::new(entry.clone())),
                    Some(None) => break,
                },
            }
        }
        let later = self.later.get(path).and_then(|number| Some((*number, self.entry(*number)?)));
        later.map_or(Found::Nowhere, |(number, entry)| Found::Here(number, Box::new(entry)))
    }

    /// What only some builds read.
    pub(super) fn index(&self) -> Option<Index> {
        let bytes = self.bytes(self.parts.index, self.parts.index_length)?;
        let mut index: Index =
            (crc32fast::hash(&bytes) == self.parts.index_sum).then(|| postcard::from_bytes(&bytes).ok())??;
        let since: Vec<(u32, Option<Entry>)> = self.since.iter().map(|(n, entry)| (*n, entry.clone())).collect();
        index.apply(&since, &self.links)?;
        Some(index)
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

    /// Adds what changed, here and in the file; `heads` are articles as read, by number. Answers `None` where the file is no
    /// longer this cache's, or holds so many additions that it is better written anew: the next build does it.
    pub(super) fn add(mut self, mut change: Change, heads: &BTreeMap<u32, Vec<u8>>) -> io::Result<Option<Cache>> {
        if change.entries.is_empty() && change.documents.is_empty() && change.register == self.books.register {
            return Ok(Some(self));
        }
        let mut file = File::options().append(true).open(&self.path)?;
        let (now, then) = (file.metadata()?, self.file.metadata()?);
        let ours = now.len() == self.length && Stamp::of(&now).inode == Stamp::of(&then).inode;
        let most = LEAST_ADDED.max(self.added / MOST_ADDED);
        let full = self.length - self.added > most || self.additions >= MOST_ADDITIONS;
        if !ours || full {
            return Ok(None);
        }
        let mut written: Vec<u8> = Vec::new();
        for (number, entry) in &mut change.entries {
            if let (Some(entry), Some(bytes)) = (entry, heads.get(number)) {
                let at = self.length + (ADDITION_HEADER + written.len()) as u64;
                entry.head = Some(Head { at, length: length_of(bytes), sum: crc32fast::hash(bytes) });
                written.extend(bytes);
            }
        }
        let bytes = postcard::to_stdvec(&change).map_err(io::Error::other)?;
        let mut text = Vec::with_capacity(ADDITION_HEADER + written.len() + bytes.len());
        text.extend(length_of(&written).to_le_bytes());
        text.extend(length_of(&bytes).to_le_bytes());
        text.extend(addition_sum(self.length, &text, &bytes).to_le_bytes());
        text.extend(written);
        text.extend(bytes);
        file.write_all(&text)?;
        self.length += text.len() as u64;
        Ok(self.apply(change).map(|()| self))
    }

    /// Brings what is in memory up to date.
    fn apply(&mut self, mut change: Change) -> Option<()> {
        self.books.apply(&mut change)?;
        self.links.extend(change.links);
        for (number, entry) in change.entries {
            if number >= self.parts.count {
                match (&entry, self.since.get(&number)) {
                    (Some(entry), _) => {
                        self.later.insert(entry.path.clone(), number);
                    }
                    (None, Some(Some(gone))) => {
                        self.later.remove(&gone.path);
                    }
                    _ => {}
                }
            }
            self.since.insert(number, entry);
        }
        self.additions += 1;
        Some(())
    }

    /// An entry as it stands in the file's table.
    fn written(&self, number: u32) -> Option<Entry> {
        let place = self.parts.table + u64::from(number) * size_of::<u64>() as u64;
        let places = (number < self.parts.count).then(|| self.bytes(place, 2 * size_of::<u64>() as u64))??;
        let (from, to) = (self::number(&places), self::number(&places[size_of::<u64>()..]));
        let bytes = self.bytes(from, to.checked_sub(from)?)?;
        let (entry, sum) = bytes.split_last_chunk::<SUM>()?;
        (entry_sum(number, entry) == u32::from_le_bytes(*sum)).then(|| postcard::from_bytes(entry).ok())?
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

/// A hash of what is a hash.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = number(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
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

/// Its number is part of it, so that an entry cannot stand for another.
fn entry_sum(number: u32, entry: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&number.to_le_bytes());
    sum.update(entry);
    sum.finalize()
}

/// Its place is part of it, so that an addition cannot stand for another.
fn addition_sum(at: u64, lengths: &[u8], change: &[u8]) -> u64 {
    let mut around = at.to_le_bytes().to_vec();
    around.extend(lengths);
    sum_of(&around, crc32fast::hash(change))
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
