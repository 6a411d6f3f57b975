//! A new cache.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

use super::{Books, Entry, HEADER, Head, Index, MAGIC, Parts, SetupHash, entry_sum, length_of, sum_of};

/// A cache that is being written: beside its place, and moved there when it is whole.
pub(in crate::incremental) struct Writer {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    at: u64,
}

impl Writer {
    pub(in crate::incremental) fn create(path: &Path) -> io::Result<Writer> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let file = tempfile::Builder::new().prefix(".build").tempfile_in(folder)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&[0; HEADER])?;
        Ok(Writer { path: path.to_owned(), file, at: HEADER as u64 })
    }

    /// Writes an article as read.
    pub(in crate::incremental) fn push(&mut self, bytes: &[u8]) -> io::Result<Head> {
        let head = Head { at: self.at, length: length_of(bytes), sum: crc32fast::hash(bytes) };
        self.write(bytes)?;
        Ok(head)
    }

    /// Writes the rest and puts the cache in its place. Entries come in the order of their paths; marks and hashes are made
    /// from them.
    pub(in crate::incremental) fn finish(
        mut self,
        setup: &SetupHash,
        entries: &[Entry],
        mut links: Vec<u64>,
        books: &mut Books,
    ) -> io::Result<()> {
        let mut places = Vec::with_capacity(entries.len() + 1);
        for (number, entry) in (0..=u32::MAX).zip(entries) {
            let bytes = postcard::to_stdvec(entry).map_err(io::Error::other)?;
            places.push(self.at);
            self.write(&bytes)?;
            self.write(&entry_sum(number, &bytes).to_le_bytes())?;
        }
        places.push(self.at);
        let table = self.at;
        for place in places {
            self.write(&place.to_le_bytes())?;
        }
        links.sort_unstable();
        links.dedup();
        let (ids, addresses) = entries.iter().map(Entry::hashes).unzip();
        let index = postcard::to_stdvec(&Index { ids, addresses, links }).map_err(io::Error::other)?;
        let parts = Parts {
            count: u32::try_from(entries.len()).map_err(io::Error::other)?,
            table,
            index: self.at,
            index_length: index.len() as u64,
            index_sum: crc32fast::hash(&index),
        };
        self.write(&index)?;
        books.marks = entries.iter().map(Entry::mark).collect();
        let at = self.at;
        let books = postcard::to_stdvec(&(parts, &*books)).map_err(io::Error::other)?;
        self.write(&books)?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(setup);
        header.extend(at.to_le_bytes());
        header.extend((books.len() as u64).to_le_bytes());
        header.extend(sum_of(&header, crc32fast::hash(&books)).to_le_bytes());
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
        // Not waited for: a cache that a power failure cut short is found out and not used.
        let _: File = file.persist(&self.path)?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}
