//! What the system tells of files, in the words of the watch.

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, EventKind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happened {
    /// Somebody writes a file, and has not finished.
    Begun(PathBuf),
    /// A file changed, came or went.
    File(PathBuf),
    /// So did a folder, with all that is in it.
    Folder(PathBuf),
    /// A file or a folder has another name or place now. Where that is one we watch, it is told next which of the two it is.
    Gone(PathBuf),
    /// Files may have changed without a word.
    Unknown,
    /// It is time to end.
    End,
}

/// Hears what the system tells.
#[derive(Debug, Default)]
pub(super) struct Ear {
    /// Files that somebody writes to.
    written: BTreeSet<PathBuf>,
    /// The file that was made last: whoever made it opens it next, and then writes.
    born: Option<PathBuf>,
}

impl Ear {
    pub(super) fn hear(&mut self, event: notify::Result<Event>) -> Vec<Happened> {
        let Ok(event) = event else { return vec![Happened::Unknown] };
        if event.need_rescan() {
            return vec![Happened::Unknown];
        }
        let Event { kind, paths, .. } = event;
        if let (EventKind::Modify(ModifyKind::Name(RenameMode::Both)), [from, to]) = (kind, paths.as_slice()) {
            let same = if to.is_dir() { Happened::Folder } else { Happened::File };
            return vec![same(from.clone()), same(to.clone())];
        }
        paths.into_iter().filter_map(|path| self.of(kind, path)).collect()
    }

    fn of(&mut self, kind: EventKind, path: PathBuf) -> Option<Happened> {
        match kind {
            EventKind::Access(AccessKind::Open(_)) => {
                let is_written = self.born.take().is_some_and(|born| born == path);
                is_written.then(|| self.begun(path))
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.written.remove(&path).then_some(Happened::File(path))
            }
            // Reading is no change; and we read what we are told of.
            EventKind::Access(_) => None,
            // Elsewhere nobody tells when a file is closed.
            EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => Some(self.begun(path)),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                self.written.remove(&path);
                Some(Happened::Gone(path))
            }
            EventKind::Modify(how) if !matches!(how, ModifyKind::Name(_)) => Some(Happened::File(path)),
            EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder) => {
                Some(Happened::Folder(path))
            }
            EventKind::Remove(RemoveKind::File) => {
                self.written.remove(&path);
                Some(Happened::File(path))
            }
            EventKind::Create(CreateKind::File) => {
                self.born = Some(path.clone());
                Some(as_found(path))
            }
            _ => Some(as_found(path)),
        }
    }

    fn begun(&mut self, path: PathBuf) -> Happened {
        self.written.insert(path.clone());
        Happened::Begun(path)
    }
}

/// As what stands there now; a link to a folder is as good as a folder.
fn as_found(path: PathBuf) -> Happened {
    match Path::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Happened::Folder(path),
        Ok(_) => Happened::File(path),
        Err(_) => Happened::Gone(path),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use notify::event::{DataChange, MetadataKind};

    fn hear(ear: &mut Ear, kind: EventKind, paths: &[&Path]) -> Vec<Happened> {
        ear.hear(Ok(paths.iter().fold(Event::new(kind), |event, path| event.add_path(path.to_path_buf()))))
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_is_written_is_finished_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("first.md");
        std::fs::write(&path, "text").unwrap();
        let (file, begun) = (vec![Happened::File(path.clone())], vec![Happened::Begun(path.clone())]);
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let ear = &mut Ear::default();
        for (kind, heard) in [
            // Somebody reads; somebody opens it to write and does not.
            (open, vec![]),
            (close, vec![]),
            (written, begun.clone()),
            (open, vec![]),
            (close, file.clone()),
            (close, vec![]),
            // A new one.
            (EventKind::Create(CreateKind::File), file.clone()),
            (open, begun.clone()),
            (close, file.clone()),
            // Another name of a file that was there is no writing.
            (EventKind::Create(CreateKind::File), file.clone()),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), file.clone()),
            (EventKind::Remove(RemoveKind::File), file.clone()),
        ] {
            assert_eq!(hear(ear, kind, &[&path]), heard, "{kind:?}");
        }
    }

    #[test]
    fn what_is_moved_is_told_apart_as_soon_as_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, text) =
            (folder.path().join("2026.03"), folder.path().join("2026.04"), folder.path().join("a.md"));
        std::fs::create_dir(&to).unwrap();
        std::fs::write(&text, "text").unwrap();
        let name = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let ear = &mut Ear::default();
        assert_eq!(hear(ear, name(RenameMode::From), &[&from]), [Happened::Gone(from.clone())]);
        assert_eq!(hear(ear, name(RenameMode::To), &[&to]), [Happened::Folder(to.clone())]);
        let both = hear(ear, name(RenameMode::Both), &[&from, &to]);
        assert_eq!(both, [Happened::Folder(from.clone()), Happened::Folder(to)]);
        let both = hear(ear, name(RenameMode::Both), &[&from, &text]);
        assert_eq!(both, [Happened::File(from), Happened::File(text)]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_is_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("articles");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let heard = hear(&mut Ear::default(), EventKind::Create(CreateKind::File), &[&link]);
        assert_eq!(heard, [Happened::Folder(link)]);
    }
}
