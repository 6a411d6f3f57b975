//! The register of ids, kept beside the articles and committed with them.

// One run at a time.
mod lock;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::Purpose;
use crate::error::{Failure, Kind};
use crate::newsroom::identity::{Entry, Register};
use crate::stamp::Stamp;
use lock::Held;

/// The register's file in the folder of articles.
pub const FILE_NAME: &str = "ids.csv";

/// The register of ids as it was read, and as it is now.
#[derive(Debug)]
pub struct Ids {
    path: PathBuf,
    written: Option<String>,
    now: Register,
    /// Until they are kept.
    held: Option<Held>,
}

impl Ids {
    pub(super) fn new(read: Loaded, now: Register) -> Ids {
        Ids { path: read.path, written: read.text, now, held: read.held }
    }

    /// The text of the file, where it must be written.
    fn changed(&self) -> Option<String> {
        let text = self.now.to_csv();
        match &self.written {
            Some(written) if *written == text => None,
            None if self.now.entries().is_empty() => None,
            _ => Some(text),
        }
    }

    /// Whether [`Ids::save`] would write the file.
    pub fn is_changed(&self) -> bool {
        self.changed().is_some()
    }

    /// Writes the register where it changed, whole or not at all, and lets others have it. Answers the stamp of its file as
    /// it is then; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be written, or is another than when it was read. Then nothing may be published: the next build could make
    /// other ids.
    pub fn save(&mut self) -> Result<Option<Stamp>, Failure> {
        let held = self.held.take();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Some(text) = self.changed() else { return Ok(stamp(folder)) };
        let save = || {
            std::fs::create_dir_all(folder)?;
            // Who only wanted to look, or found no folder, has not kept others away.
            let _held = match held {
                Some(held) => held,
                None => self.hold_as_read(folder)?,
            };
            replace(&self.path, &text)?;
            Ok(stamp(folder))
        };
        let stamp = save().map_err(|error| not_kept(&self.path, &error))?;
        self.written = Some(text);
        Ok(stamp)
    }

    fn hold_as_read(&self, folder: &Path) -> std::io::Result<Held> {
        let held = Held::folder(folder, &|| {})?;
        let there = match std::fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read?),
        };
        if there.as_deref() == self.written.as_deref().map(str::as_bytes) {
            return Ok(held);
        }
        Err(std::io::Error::new(ErrorKind::ResourceBusy, "another run has changed it meanwhile"))
    }

    /// The register as it is now.
    pub fn register(&self) -> &Register {
        &self.now
    }
}

fn not_kept(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Kind::Unavailable, format!("the articles' ids cannot be kept in {}", path.display()))
        .because(error);
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            failure.hint("Make room and run it again; nothing was published, and the ids that were there are whole.")
        }
        ErrorKind::ResourceBusy => failure.hint("Run it again; nothing was published."),
        _ => failure.hint(
            "Make the folder writable, or give each article an `id`. Without a record of its id, an article would come \
             to readers as new when it is renamed.",
        ),
    }
}

/// The stamp of a folder's register; `None` where there is none.
pub fn stamp(folder: &Path) -> Option<Stamp> {
    std::fs::metadata(folder.join(FILE_NAME)).ok().map(|metadata| Stamp::of(&metadata))
}

/// A change of some entries of a register, prepared and not yet made. Until then nobody else changes it.
#[derive(Debug)]
pub struct Amendment {
    path: PathBuf,
    how: How,
    _held: Held,
}

#[derive(Debug)]
enum How {
    /// Lines of the same lengths, by their places in the file.
    InPlace(Vec<(u64, String)>),
    /// The whole file.
    Anew(String),
}

/// Prepares to take some entries out of a folder's register, and to put others in. `None` where its file is another than the
/// one with this stamp, does not hold exactly those entries, or is not as [`Register::to_csv`] writes it: then it has to be
/// read as a whole. If somebody else is at it, calls `on_wait` and waits.
///
/// # Errors
/// The register cannot be read.
pub fn amendment(
    folder: &Path,
    known: Option<Stamp>,
    out: &[Entry],
    into: &[Entry],
    on_wait: &dyn Fn(),
) -> std::io::Result<Option<Amendment>> {
    let held = Held::folder(folder, on_wait)?;
    if stamp(folder) != known {
        return Ok(None);
    }
    let path = folder.join(FILE_NAME);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Register::default().to_csv(),
        read => read?,
    };
    let how = in_place(&text, out, into).or_else(|| anew(&text, out, into));
    Ok(how.map(|how| Amendment { path, how, _held: held }))
}

/// What changes when a text is edited is the hash of its body, which always has sixteen digits; they can be written in their
/// place. Should the power fail between two of them, the article is still known by its path and title. Of anything else half
/// a change could make the file one that nobody can read.
fn in_place(text: &str, out: &[Entry], into: &[Entry]) -> Option<How> {
    let but_for_the_hash = |entry: &Entry| Entry { body: None, ..entry.clone() };
    let same = out.len() == into.len()
        && out.iter().zip(into).all(|(out, into)| but_for_the_hash(out) == but_for_the_hash(into));
    let place = |(out, into): (&Entry, &Entry)| {
        let (there, then) = (format!("\n{}", out.line()), into.line());
        let at = memchr::memmem::find(text.as_bytes(), there.as_bytes()).filter(|_| there.len() == then.len() + 1)?;
        Some((at as u64 + 1, then))
    };
    same.then(|| out.iter().zip(into).map(place).collect::<Option<_>>())?.map(How::InPlace)
}

/// The whole text; entries come sorted by id.
fn anew(text: &str, out: &[Entry], into: &[Entry]) -> Option<How> {
    let mut records = records(text);
    let header = Register::default().to_csv();
    let mut new = String::with_capacity(text.len() + 256 * into.len());
    new.push_str(records.next().filter(|first| *first == header)?);
    let out: BTreeSet<String> = out.iter().map(Entry::line).collect();
    let mut into = into.iter().peekable();
    let mut taken = 0;
    for record in records {
        while let Some(entry) = into.next_if(|entry| entry.id.as_str() < &*id_of(record)) {
            new.push_str(&entry.line());
        }
        if out.contains(record) {
            taken += 1;
        } else {
            new.push_str(record);
        }
    }
    into.for_each(|entry| new.push_str(&entry.line()));
    (taken == out.len()).then_some(How::Anew(new))
}

/// The records of a CSV text with their line ends.
fn records(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut quoted = false;
        let end = memchr::memchr2_iter(b'"', b'\n', rest.as_bytes()).find(|at| {
            quoted ^= rest.as_bytes()[*at] == b'"';
            !quoted && rest.as_bytes()[*at] == b'\n'
        });
        let (record, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        rest = after;
        Some(record).filter(|record| !record.is_empty())
    })
}

/// A record's first field.
fn id_of(record: &str) -> Cow<'_, str> {
    match record.strip_prefix('"') {
        None => Cow::Borrowed(record.split(',').next().unwrap_or_default()),
        Some(quoted) => {
            let end = quoted.replace("\"\"", "\0\0").find('"').unwrap_or(quoted.len());
            Cow::Owned(quoted[..end].replace("\"\"", "\""))
        }
    }
}

impl Amendment {
    /// Changes the register; waits until the change is on the disk. Answers the stamp of its file as it is then.
    ///
    /// # Errors
    /// It cannot be written. Then nothing may be published: the next build could make other ids.
    pub fn save(self) -> Result<Option<Stamp>, Failure> {
        let save = || match &self.how {
            How::Anew(text) => replace(&self.path, text),
            How::InPlace(lines) => {
                let mut file = std::fs::File::options().write(true).open(&self.path)?;
                for (at, line) in lines {
                    file.seek(SeekFrom::Start(*at))?;
                    file.write_all(line.as_bytes())?;
                }
                file.sync_data()
            }
        };
        save().map_err(|error| not_kept(&self.path, &error))?;
        Ok(self.path.parent().and_then(stamp))
    }
}

/// A register as read.
#[derive(Debug)]
pub(super) struct Loaded {
    path: PathBuf,
    text: Option<String>,
    pub(super) register: Register,
    held: Option<Held>,
}

/// Reads the register of a folder; none there is an empty one.
pub(super) fn load(folder: &Path, name: &str, purpose: Purpose<'_>) -> Result<Loaded, Failure> {
    let path = folder.join(FILE_NAME);
    let name = format!("{name}/{FILE_NAME}");
    let refused = |cause: String| {
        Failure::new(Kind::Material, format!("the register of the articles' ids, {name}, cannot be used"))
            .because(cause)
            .hint(
                "Restore the file from your version control or a backup. Deleting it gives every article a new id, and \
                 every reader gets every article again.",
            )
    };
    let held = match purpose {
        Purpose::Look => None,
        Purpose::Publish(on_wait) => match Held::folder(folder, on_wait) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            held => Some(held.map_err(|error| refused(error.to_string()))?),
        },
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8 text".into()))?;
            let register = Register::parse(&text, &name).map_err(|problem| refused(problem.render(false)))?;
            Ok(Loaded { path, text: Some(text), register, held })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(Loaded { path, text: None, register: Register::default(), held })
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ids");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(id: &str, title: &str) -> Entry {
        Entry { id: id.into(), path: format!("news/{id}.md"), title: title.into(), ..Entry::default() }
    }

    /// What the register is after a change; `None` where it has to be read as a whole.
    fn amended(there: &[Entry], out: &[Entry], into: &[Entry]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), Register::of(there.to_vec()).to_csv()).unwrap();
        let amendment =
            amendment(folder.path(), stamp(folder.path()), out, into, &|| panic!("nobody is at it")).unwrap()?;
        assert_eq!(amendment.save().unwrap(), stamp(folder.path()));
        Some(std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap())
    }

    #[test]
    fn an_amended_register_is_what_a_new_one_would_be() {
        let there = [entry("a", "One"), entry("c,\"c\"", "Two, or\n\"three\""), entry("d", "Four"), entry("f", "Five")];
        let hashed = |body| Entry { body: Some(body), ..there[2].clone() };
        for (out, into) in [
            (vec![], vec![entry("b", "New"), entry("g", "Last")]),
            (vec![], vec![entry("A", "First")]),
            (vec![there[1].clone(), there[3].clone()], vec![]),
            (vec![there[1].clone()], vec![entry("c,\"c\"", "Another\ntitle")]),
            (vec![there[2].clone()], vec![hashed(7)]),
            (there.to_vec(), vec![]),
        ] {
            let mut wanted: Vec<Entry> = there.iter().filter(|entry| !out.contains(entry)).cloned().collect();
            wanted.extend(into.clone());
            assert_eq!(amended(&there, &out, &into), Some(Register::of(wanted).to_csv()), "{out:?} {into:?}");
        }
        let mut hashed_there = there.to_vec();
        hashed_there[2] = hashed(7);
        let wanted = [there[0].clone(), there[1].clone(), hashed(8), there[3].clone()];
        assert_eq!(amended(&hashed_there, &[hashed(7)], &[hashed(8)]), Some(Register::of(wanted.to_vec()).to_csv()));
    }

    #[test]
    fn a_register_that_says_something_else_is_left_alone() {
        let there = [entry("a", "One"), entry("b", "Two")];
        assert_eq!(amended(&there, &[entry("a", "Other")], &[entry("a", "One")]), None);
        assert_eq!(amended(&there, &[entry("c", "Three")], &[]), None);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), "path,id\n").unwrap();
        assert!(amendment(folder.path(), stamp(folder.path()), &[], &there, &|| {}).unwrap().is_none());
        std::fs::write(folder.path().join(FILE_NAME), Register::of(there.to_vec()).to_csv()).unwrap();
        let others = Some(Stamp::default());
        assert!(amendment(folder.path(), others, &[], &[entry("c", "Three")], &|| {}).unwrap().is_none());
    }

    #[test]
    fn only_a_hash_is_written_in_its_place() {
        let there = entry("a", "Café");
        let hashed = |body| Entry { body: Some(body), ..there.clone() };
        let is_in_place = |out: Entry, into: Entry| {
            let text = Register::of(vec![out.clone()]).to_csv();
            in_place(&text, &[out], &[into]).is_some()
        };
        assert!(is_in_place(hashed(1), hashed(2)));
        assert!(!is_in_place(hashed(1), Entry { title: "Cafés".replace("és", "ès"), ..hashed(1) }), "half of a letter");
        assert!(!is_in_place(hashed(1), Entry { path: "news/b.md".into(), ..hashed(1) }));
        assert!(!is_in_place(hashed(1), there.clone()));
    }

    #[test]
    fn ids_that_were_only_looked_at_do_not_take_others_away() {
        let folder = tempfile::tempdir().unwrap();
        let load = || load(folder.path(), "articles", Purpose::Look).unwrap();
        let with = |entries: &[Entry]| Ids::new(load(), Register::of(entries.to_vec()));
        let (mut first, mut second) = (with(&[entry("a", "One")]), with(&[entry("b", "Two")]));
        first.save().unwrap();
        let refused = second.save().unwrap_err();
        assert!(refused.because.is_some_and(|cause| cause.contains("another run")) && refused.hint.is_some());
        assert_eq!(load().register, Register::of(vec![entry("a", "One")]));
        assert!(!first.is_changed());
    }
}
