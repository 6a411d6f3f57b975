//! Which articles' files are others than when the cache was written.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::incremental::Setup;
use crate::incremental::cache::{Cache, Entry, Found, Marks, mark};
use crate::source::directory::{self, Listed};

/// With more articles than these, the whole is not much more work.
const MOST: usize = 256;

/// What came, went, and changed; each in the order of paths.
#[derive(Debug, Default)]
pub(in crate::incremental) struct Difference {
    /// With the numbers that they have.
    pub(super) changed: Vec<(u32, Entry, Listed)>,
    pub(super) gone: Vec<(u32, Entry)>,
    pub(super) new: Vec<Listed>,
}

/// Tells what a walk may leave out: articles whose files are as they were. Remembers which it has seen.
pub(in crate::incremental) struct Sieve {
    marks: Marks,
    seen: Vec<AtomicBool>,
}

impl Sieve {
    pub(in crate::incremental) fn new(cache: &Cache) -> Sieve {
        let seen = cache.books.marks.iter().map(|_| AtomicBool::new(false)).collect();
        Sieve { marks: cache.marks(), seen }
    }

    /// Whether this article is as it was.
    pub(in crate::incremental) fn knows(&self, listed: &Listed) -> bool {
        let number = self.marks.get(&mark(listed));
        if let Some(seen) = number.and_then(|number| self.seen.get(*number as usize)) {
            seen.store(true, Ordering::Relaxed);
        }
        number.is_some()
    }

    /// What has changed, if a walk has listed all that is not known. `None` where that is too much, or cannot be told.
    pub(in crate::incremental) fn difference(self, cache: &Cache, listed: Vec<Listed>) -> Option<Difference> {
        if listed.len() > MOST {
            return None;
        }
        let mut difference = Difference::default();
        for listed in listed {
            difference.compare(cache, listed)?;
        }
        let still: BTreeSet<u32> = difference.changed.iter().map(|(number, ..)| *number).collect();
        for (number, seen) in (0..=u32::MAX).zip(self.seen) {
            let was = cache.books.marks.get(number as usize).is_some_and(|mark| *mark != 0);
            if was && !seen.into_inner() && !still.contains(&number) {
                difference.gone.push((number, cache.entry(number)?));
                if difference.gone.len() > MOST {
                    return None;
                }
            }
        }
        // Numbers are those of paths only at first.
        difference.gone.sort_by(|a, b| a.1.path.cmp(&b.1.path));
        Some(difference)
    }
}

impl Difference {
    /// The same where only files at these paths, in the folder of articles, can have changed.
    pub(in crate::incremental) fn at(setup: &Setup<'_>, cache: &Cache, paths: &BTreeSet<String>) -> Option<Difference> {
        let mut difference = Difference::default();
        // Each article once, whichever of its files changed; what stands beside it may have become part of it.
        let stems: BTreeSet<&str> =
            paths.iter().map(|path| path.rsplit_once('.').map_or(path.as_str(), |(stem, _)| stem)).collect();
        if stems.len() > MOST {
            return None;
        }
        for stem in stems {
            let path = format!("{stem}.");
            let there = directory::walk_beside(setup.source, &path)?;
            for path in directory::beside(&path).filter(|path| there.iter().all(|listed| listed.path != *path)) {
                match cache.find(&path) {
                    Found::Here(number, entry) => difference.gone.push((number, *entry)),
                    Found::Nowhere => {}
                    Found::Unknown => return None,
                }
            }
            for listed in there {
                difference.compare(cache, listed)?;
            }
        }
        difference.changed.retain(|(_, entry, listed)| !entry.is(listed));
        difference.gone.sort_by(|a, b| a.1.path.cmp(&b.1.path));
        difference.changed.sort_by(|a, b| a.1.path.cmp(&b.1.path));
        difference.new.sort_by(|a, b| a.path.cmp(&b.path));
        Some(difference)
    }

    fn compare(&mut self, cache: &Cache, listed: Listed) -> Option<()> {
        match cache.find(&listed.path) {
            Found::Here(number, entry) => self.changed.push((number, *entry, listed)),
            Found::Nowhere => self.new.push(listed),
            Found::Unknown => return None,
        }
        Some(())
    }
}
