//! Which files there are: every folder is listed once, and every file asked once for its size and time.

use rayon::prelude::*;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use super::{Listed, split_ending, unreadable};
use crate::newsroom::Problem;
use crate::newsroom::link::BODY_ENDINGS;
use crate::stamp::Stamp;

/// Endings of files that hold metadata only.
pub(super) const SIDECAR_ENDINGS: [&str; 2] = ["yaml", "yml"];
/// Folders in folders; deeper is a loop or a mistake.
const MAX_DEPTH: usize = 32;
/// Entries of a folder that one thread takes at a time.
const SHARE: usize = 512;

/// What was found in a folder and below.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By path.
    pub(super) listed: Vec<Listed>,
    pub(super) problems: Vec<Problem>,
}

/// A walk through the folder of articles.
pub(super) struct Walk<'a> {
    /// The folder.
    pub(super) root: &'a Path,
    /// As a person would name it.
    pub(super) name: &'a str,
    /// Articles that are not to be listed.
    pub(super) without: &'a (dyn Fn(&Listed) -> bool + Sync),
}

/// What an entry of a folder turns out to be.
enum Entry {
    File(String, Stamp),
    Folder(String),
    Nothing,
}

impl Walk<'_> {
    /// All articles.
    pub(super) fn all(&self, entries: fs::ReadDir) -> Found {
        let above: Vec<PathBuf> = self.root.canonicalize().into_iter().collect();
        let mut found = self.entries(entries, "", &above);
        // Each folder comes sorted, so there is next to nothing to do.
        found.listed.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    fn entries(&self, entries: fs::ReadDir, below: &str, above: &[PathBuf]) -> Found {
        let mut problems = Vec::new();
        let entries: Vec<(OsString, DirEntry)> = entries
            .filter_map(|entry| entry.map_err(|error| problems.push(unreadable(self.name, below, &error))).ok())
            .map(|entry| (entry.file_name(), entry))
            .collect();
        // What is not to be listed is let go at once, so that a large folder does not fill the memory.
        let plain = is_plain(&entries);
        let seen = entries.into_par_iter().with_min_len(SHARE).filter_map(|(name, entry)| {
            match self.entry(name, &entry, below) {
                Ok(Entry::Nothing) => None,
                Ok(Entry::File(path, stamp)) if plain => {
                    let listed = alone((path, stamp));
                    (!(self.without)(&listed)).then_some(Ok(Entry::File(listed.path, stamp)))
                }
                seen => Some(seen),
            }
        });
        let seen: Vec<Result<Entry, Problem>> = seen.collect();
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for entry in seen {
            match entry {
                Ok(Entry::File(path, stamp)) => files.push((path, stamp)),
                Ok(Entry::Folder(path)) => folders.push(path),
                Ok(Entry::Nothing) => {}
                Err(problem) => problems.push(problem),
            }
        }
        files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        folders.sort_unstable();
        let mut listed = pairs(self.name, files, &mut problems);
        if !plain {
            listed.retain(|listed| !(self.without)(listed));
        }
        let mut found = Found { listed, problems };
        for below in folders.par_iter().map(|path| self.folder(path, above)).collect::<Vec<_>>() {
            found.listed.extend(below.listed);
            found.problems.extend(below.problems);
        }
        found
    }

    fn entry(&self, name: OsString, entry: &DirEntry, below: &str) -> Result<Entry, Problem> {
        let file_name = match name.into_string() {
            Ok(file_name) => file_name,
            Err(file_name) => {
                let shown = file_name.to_string_lossy();
                return Err(Problem::new(format!("{}/{below}{shown}", self.name), "the file's name is not UTF-8")
                    .help("rename the file"));
            }
        };
        if file_name.starts_with('.') {
            return Ok(Entry::Nothing);
        }
        let material = is_material(&file_name);
        let path = if below.is_empty() { file_name } else { [below, &file_name].concat() };
        let failed = |error| unreadable(self.name, &path, &error);
        let kind = entry.file_type().map_err(failed)?;
        let metadata = match kind {
            _ if kind.is_dir() => return Ok(Entry::Folder(path)),
            _ if kind.is_file() && material => entry.metadata().map_err(failed)?,
            _ if kind.is_file() && is_material(&path.to_ascii_lowercase()) => {
                return Err(in_capitals(self.name, &path));
            }
            _ if kind.is_file() => return Ok(Entry::Nothing),
            // A link: what it leads to decides.
            _ => match fs::metadata(self.root.join(&path)) {
                Ok(target) if target.is_dir() => return Ok(Entry::Folder(path)),
                Ok(target) if target.is_file() && material => target,
                Err(error) if material => return Err(failed(error)),
                Ok(_) | Err(_) => return Ok(Entry::Nothing),
            },
        };
        Ok(Entry::File(path, Stamp::of(&metadata)))
    }

    fn folder(&self, path: &str, above: &[PathBuf]) -> Found {
        let full = self.root.join(path);
        let alone = |problem| Found { listed: Vec::new(), problems: vec![problem] };
        match full.canonicalize().and_then(|real| fs::read_dir(&full).map(|entries| (real, entries))) {
            Ok((real, _)) if above.contains(&real) || above.len() >= MAX_DEPTH => alone(
                Problem::new(format!("{}/{path}", self.name), "the folder leads back into itself")
                    .help("remove the link"),
            ),
            Ok((real, entries)) => {
                let mut above = above.to_vec();
                above.push(real);
                self.entries(entries, &format!("{path}/"), &above)
            }
            Err(error) => alone(unreadable(self.name, path, &error)),
        }
    }
}

/// The usual folder: its articles' files are all of one kind, so each is an article of its own.
fn is_plain(entries: &[(OsString, DirEntry)]) -> bool {
    let mut endings = entries.iter().filter_map(|(name, _)| {
        let ending = split_ending(name.to_str()?).1;
        is_ending(ending).then_some(ending)
    });
    let Some(first) = endings.next() else { return true };
    BODY_ENDINGS.contains(&first) && endings.all(|ending| ending == first)
}

fn alone((path, stamp): (String, Stamp)) -> Listed {
    Listed { path, body: Some(stamp), sidecar: None }
}

/// Puts the files of one folder, sorted by name, together to articles: bodies and their sidecars.
pub(super) fn pairs(name: &str, files: Vec<(String, Stamp)>, problems: &mut Vec<Problem>) -> Vec<Listed> {
    let Some(first) = files.first().map(|(path, _)| split_ending(path).1) else { return Vec::new() };
    if BODY_ENDINGS.contains(&first) && files.iter().all(|(path, _)| split_ending(path).1 == first) {
        // The usual case: no two of them can have one name.
        return files.into_iter().map(alone).collect();
    }
    let (sidecars, bodies): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(path, _)| SIDECAR_ENDINGS.contains(&split_ending(path).1));
    let mut listed: Vec<Listed> = Vec::with_capacity(bodies.len());
    let mut by_stem: HashMap<String, usize> = HashMap::new();
    let another =
        |path: &str, other: &str| Problem::new(format!("{name}/{path}"), format!("there is also {name}/{other}"));
    for (path, stamp) in bodies {
        if let Some(&other) = by_stem.get(split_ending(&path).0) {
            problems.push(
                another(&path, &listed[other].path)
                    .help("two bodies of one name are two articles with one address; rename one of them"),
            );
            continue;
        }
        by_stem.insert(split_ending(&path).0.to_owned(), listed.len());
        listed.push(alone((path, stamp)));
    }
    for (path, stamp) in sidecars {
        if let Some(&body) = by_stem.get(split_ending(&path).0) {
            match &listed[body].sidecar {
                None => listed[body].sidecar = Some((path, stamp)),
                Some((other, _)) => problems.push(another(&path, other).help("keep one of the two")),
            }
        } else {
            listed.push(Listed { path: path.clone(), body: None, sidecar: Some((path, stamp)) });
        }
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    listed
}

/// Nobody would notice that such a file is not read.
fn in_capitals(name: &str, path: &str) -> Problem {
    let (stem, ending) = split_ending(path);
    let small = format!("{}.{}", stem.rsplit('/').next().unwrap_or_default(), ending.to_ascii_lowercase());
    Problem::new(format!("{name}/{path}"), format!("the ending is in capitals, and the file is not read: .{ending}"))
        .help(format!("rename it to {small}"))
        .warning()
}

/// Whether a file is named as an article's are.
pub(super) fn is_material(name: &str) -> bool {
    is_ending(split_ending(name).1)
}

fn is_ending(ending: &str) -> bool {
    BODY_ENDINGS.contains(&ending) || SIDECAR_ENDINGS.contains(&ending)
}
