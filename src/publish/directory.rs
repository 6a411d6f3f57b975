//! A folder: files replaced whole or not at all, and only when they change.
//!
//! A document is written to a file of its own beside its place and then renamed into it, so that a reader, a crash or a
//! full disk sees the old or the new one, never half of one. What replaces a document is on the disk before the rename, and
//! so is every new document before it, to which it may link. Where nothing is replaced, nothing is waited for: after a power
//! failure the next build finds out what is wrong and writes it again. Nothing is touched that has not changed: time stamps
//! stay, and web servers go on answering 304.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice, Read, Write};
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;
use tempfile::NamedTempFile;

use crate::feed::{Format, GENERATOR, opml};
use crate::stamp::Stamp;

/// What the names of unfinished files begin with.
const UNFINISHED: &str = ".pressrun-";

/// Entries of a folder that one thread takes at a time.
const SHARE: usize = 64;

/// Threads that wait for the disk.
const WAITERS: usize = 8;

/// With more new files than these, the whole file system is waited for, and not each of them.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MANY: usize = 96;

/// How much of a file is looked at to see who made it, in bytes.
const HEAD: u64 = 64 * 1024;

/// Why a folder of feeds could not be built. What was there is still whole.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file or folder refuses to be read or written.
    #[error("{path}: {source}")]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room left.
    #[error("{path}: the disk is full")]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// The newsroom asks for a file outside of the folder.
    #[error("{0}: not a place below the folder of feeds")]
    Outside(String),
    /// A template cannot be used.
    #[error("{}:{}: {}", .0.place.file, .0.place.line, .0.what)]
    Template(Box<crate::newsroom::Problem>),
}

impl BuildError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| match source.kind() {
            // A limit of the file system or of this user's is as good as no room.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                BuildError::Full { path: path.to_owned() }
            }
            _ => BuildError::Unwritable { path: path.to_owned(), source },
        }
    }
}

/// What became of a file that was to hold certain bytes.
#[derive(Debug)]
pub enum Lay {
    /// It holds them already.
    Unchanged(Stamp),
    /// It was not there, and holds them now.
    New(Stamp),
    /// They stand beside its place.
    Waits(Laid),
}

/// A file beside the place of another, which it is to replace. Dropped, it is gone.
#[derive(Debug)]
pub struct Laid {
    unfinished: NamedTempFile,
    place: PathBuf,
}

impl Laid {
    /// Puts it into its place; [`Folder::sync`] must have been called before.
    ///
    /// # Errors
    /// [`BuildError::Unwritable`] or [`BuildError::Full`]; the old file is then as it was.
    pub fn settle(self) -> Result<Stamp, BuildError> {
        let Laid { unfinished, place } = self;
        put(unfinished, &place)
    }
}

/// Calls this for all of these, on several threads: a disk writes ten files in hardly more time than one.
fn together<T: Sync>(all: &[T], wait: impl Fn(&T) -> Result<(), BuildError> + Sync) -> Result<(), BuildError> {
    std::thread::scope(|scope| {
        let wait = &wait;
        let shares = all.chunks(all.len().div_ceil(WAITERS).max(1));
        let others = shares.clone().skip(1).map(|other| scope.spawn(move || other.iter().try_for_each(wait)));
        let others: Vec<_> = others.collect();
        let first = shares.clone().next().map_or(Ok(()), |first| first.iter().try_for_each(wait));
        let gone = |_| Err(BuildError::at(Path::new(""))(io::Error::other("a thread ended")));
        others.into_iter().map(|other| other.join().unwrap_or_else(gone)).fold(first, Result::and)
    })
}

/// Waits until a whole file system is on the disk: whatever its files are, they are written in one go.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_all(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

/// A folder of feeds that nobody else builds at the same time.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Folder {
    /// Opens the folder, making it if it is not there. If another build has it, calls `on_wait` and waits.
    ///
    /// # Errors
    /// [`BuildError::Unwritable`] or [`BuildError::Full`].
    pub fn open(root: &Path, on_wait: impl FnOnce()) -> Result<Self, BuildError> {
        fs::create_dir_all(root).map_err(BuildError::at(root))?;
        let lock = lockable(root).map_err(BuildError::at(root))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                on_wait();
                lock.lock().map_err(BuildError::at(root))?;
            }
            Err(TryLockError::Error(error)) => return Err(BuildError::at(root)(error)),
        }
        Ok(Folder { root: root.to_owned(), _lock: lock })
    }

    /// Every file below, with its stamp, by path. Hidden folders (version control) are nobody's feeds; links and the like
    /// are not listed.
    ///
    /// # Errors
    /// [`BuildError::Unwritable`].
    pub fn files(&self) -> Result<BTreeMap<String, Stamp>, BuildError> {
        Ok(files_below(&self.root, "")?.into_iter().collect())
    }

    /// Makes a file hold these pieces, one after the other, if it did not already. `path` is relative, its parts parted
    /// by `/`. What replaces a file waits beside it.
    ///
    /// # Errors
    /// Any [`BuildError`] but that of templates; the file is then as it was.
    pub fn lay(&self, path: &str, pieces: &[&[u8]]) -> Result<Lay, BuildError> {
        let place = self.place(path)?;
        let old = fs::symlink_metadata(&place).ok().filter(fs::Metadata::is_file);
        if let Some(old) = &old
            && old.len() == pieces.iter().map(|piece| piece.len() as u64).sum::<u64>()
            && fs::read(&place).is_ok_and(|there| is_made_of(&there, pieces))
        {
            return Ok(Lay::Unchanged(Stamp::of(old)));
        }
        let folder = place.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(BuildError::at(folder))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
        #[cfg(unix)]
        builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644));
        let mut unfinished = builder.tempfile_in(folder).map_err(BuildError::at(&place))?;
        write(unfinished.as_file_mut(), pieces).map_err(BuildError::at(&place))?;
        let Some(old) = old else { return put(unfinished, &place).map(Lay::New) };
        unfinished.as_file().set_permissions(old.permissions()).map_err(BuildError::at(&place))?;
        Ok(Lay::Waits(Laid { unfinished, place }))
    }

    /// Waits until all of these are on the disk: files beside their places, and others that were new.
    ///
    /// # Errors
    /// [`BuildError::Unwritable`] or [`BuildError::Full`].
    pub fn sync<'a>(&self, laid: impl Iterator<Item = &'a Laid>, new: &[String]) -> Result<(), BuildError> {
        let laid: Vec<&Laid> = laid.collect();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if new.len() > MANY {
            return sync_all(&self.root).map_err(BuildError::at(&self.root));
        }
        together(new, |path| {
            let place = self.root.join(path);
            let synced = File::options().write(true).open(&place).and_then(|file| file.sync_data());
            synced.map_err(BuildError::at(&place))
        })?;
        together(&laid, |laid| laid.unfinished.as_file().sync_data().map_err(BuildError::at(&laid.place)))
    }

    /// Removes feeds, feed pages and lists that this program made and that are not in `kept` (paths as for
    /// [`Self::lay`]), unfinished files of builds that were killed, and folders that are empty then. Whatever has another
    /// name, or another maker, stays. `there` are the folder's files. Answers what it removed, in order.
    ///
    /// # Errors
    /// [`BuildError::Unwritable`].
    pub fn sweep<'a>(
        &self,
        there: impl IntoIterator<Item = &'a String>,
        kept: &BTreeSet<&str>,
    ) -> Result<Vec<String>, BuildError> {
        let mut removed = Vec::new();
        for path in there {
            let place = self.root.join(path);
            let name = path.rsplit('/').next().unwrap_or_default();
            if !kept.contains(path.as_str()) && (name.starts_with(UNFINISHED) || is_feed_name(path) && is_ours(&place))
            {
                fs::remove_file(&place).map_err(BuildError::at(&place))?;
                // Fails where something is left, and that is right.
                let above = Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
                let _ = above.map(|folder| fs::remove_dir(self.root.join(folder))).take_while(Result::is_ok).count();
                removed.push(path.clone());
            }
        }
        Ok(removed)
    }

    fn place(&self, path: &str) -> Result<PathBuf, BuildError> {
        let relative = Path::new(path);
        let below = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !below || path.contains('\\') || path.contains('\0') {
            return Err(BuildError::Outside(path.to_owned()));
        }
        Ok(self.root.join(relative))
    }
}

/// Renames a whole file into its place.
fn put(unfinished: NamedTempFile, place: &Path) -> Result<Stamp, BuildError> {
    let file = unfinished.persist(place).map_err(|error| BuildError::at(place)(error.error))?;
    file.metadata().map(|metadata| Stamp::of(&metadata)).map_err(BuildError::at(place))
}

fn files_below(folder: &Path, prefix: &str) -> Result<Vec<(String, Stamp)>, BuildError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let found = entries.map_err(BuildError::at(folder))?.into_par_iter().with_min_len(SHARE).map(|entry| {
        let name = entry.file_name();
        let kind = entry.file_type().map_err(BuildError::at(&entry.path()))?;
        Ok(match name.to_str().map(|name| [prefix, name].concat()) {
            Some(path) if kind.is_dir() && !name.as_encoded_bytes().starts_with(b".") => {
                files_below(&entry.path(), &format!("{path}/"))?
            }
            Some(path) if kind.is_file() => {
                vec![(path, Stamp::of(&entry.metadata().map_err(BuildError::at(&entry.path()))?))]
            }
            _ => Vec::new(),
        })
    });
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn is_made_of(mut bytes: &[u8], pieces: &[&[u8]]) -> bool {
    pieces.iter().all(|piece| bytes.strip_prefix(*piece).inspect(|rest| bytes = rest).is_some()) && bytes.is_empty()
}

/// Writes the pieces without putting them together first.
fn write(file: &mut File, pieces: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    // Empty ones go, or writing nothing would look like a full disk.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What is locked: the folder itself, which leaves nothing behind.
#[cfg(unix)]
fn lockable(root: &Path) -> io::Result<File> {
    File::open(root)
}

/// What is locked: a file beside the folder, where a folder cannot be opened.
#[cfg(not(unix))]
fn lockable(root: &Path) -> io::Result<File> {
    let mut name = root.as_os_str().to_owned();
    name.push(".lock");
    File::options().create(true).truncate(false).write(true).open(name)
}

/// Whether a file is named as this program names its files.
fn is_feed_name(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let numbered = |format: Format| {
        let (stem, extension) = format.stem_and_extension();
        let number = name.strip_prefix(stem).and_then(|n| n.strip_prefix('-'));
        let number = number.and_then(|n| n.strip_suffix(extension)).and_then(|n| n.strip_suffix('.'));
        number.is_some_and(|n| n.len() >= 4 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let in_archive = folder == "archive" || folder.ends_with("/archive");
    name == "index.html"
        || name == opml::FILE
        || Format::ALL.iter().any(|format| name == format.file() || in_archive && numbered(*format))
}

/// Whether a file says that this program made it.
fn is_ours(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let head = String::from_utf8_lossy(&head);
    read.is_ok()
        && [
            format!("<generator>{GENERATOR}</generator>"),
            format!(">{GENERATOR}</generator>"),
            format!("\"user_comment\":\"Made by {GENERATOR}."),
            format!("<meta name=\"generator\" content=\"{GENERATOR}\""),
            opml::MARK.to_owned(),
        ]
        .iter()
        .any(|mark| head.contains(mark.as_str()))
}
