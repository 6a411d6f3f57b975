//! What other articles have to be asked about: who has an id, who has an address, who links to a file.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::incremental::cache::{Cache, Index, hash_of};

/// Looks at the articles that are not in question.
pub(super) struct Look<'a> {
    pub(super) cache: &'a Cache,
    /// The numbers of those that are.
    pub(super) touched: BTreeSet<u32>,
    index: OnceCell<Option<Index>>,
}

impl<'a> Look<'a> {
    pub(super) fn new(cache: &'a Cache, touched: BTreeSet<u32>) -> Look<'a> {
        Look { cache, touched, index: OnceCell::new() }
    }

    /// Whether one of the others has this id; `None` where it cannot be told.
    pub(super) fn has_id(&self, id: &str) -> Option<bool> {
        let mut same = self.others(&self.index()?.ids, hash_of(id));
        same.try_fold(false, |found, number| Some(found || self.cache.entry(number)?.id == id))
    }

    /// Whether one of the others may be at the address with this hash.
    pub(super) fn may_be_at(&self, address: u64) -> Option<bool> {
        Some(self.others(&self.index()?.addresses, address).next().is_some())
    }

    /// Whether some article may link to this file.
    pub(super) fn may_be_linked(&self, path: &str) -> Option<bool> {
        // Those of the table are in order, the few since are not; both are quickly gone through.
        Some(self.index()?.links.contains(&hash_of(path)))
    }

    fn index(&self) -> Option<&Index> {
        self.index.get_or_init(|| self.cache.index()).as_ref()
    }

    fn others(&self, column: &[u64], hash: u64) -> impl Iterator<Item = u32> {
        let same = (0..=u32::MAX).zip(column).filter(move |(_, other)| **other == hash);
        same.map(|(number, _)| number).filter(|number| !self.touched.contains(number))
    }
}
