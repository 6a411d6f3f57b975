//! RFC 5005: which article stands in which of a feed's documents, and where their neighbours are.
//!
//! Archive pages are cut from the oldest article on, exactly [`crate::feed::Options::items`] on each; the current document
//! carries the rest, which is never less than that, and not twice as much once there are pages. So no article stands in two
//! documents of a feed, and a new one touches the current document only, until a page is full. The first two pages come
//! together: one alone would have no neighbour to link to, and looks to readers like an archive that was not finished.

use std::ops::Range;

use chrono::{DateTime, FixedOffset};

use super::Format;
use super::plan::Feed;
use crate::newsroom::{Masthead, Newsroom, Withdrawn};

/// So many of the latest withdrawals are told. It is years until a newspaper has more, and readers have long heard of them.
const TOMBSTONES: usize = 100;

/// One document of a feed, in any format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// Whose.
    pub feed: &'a Feed,
    /// The number of the archive page, from 1 for the oldest; `None` for the current document.
    pub page: Option<usize>,
    /// How many archive pages the feed has.
    pub pages: usize,
    /// Places in [`Feed::articles`].
    pub range: Range<usize>,
    /// The newest change of an article in it.
    pub changed: Option<DateTime<FixedOffset>>,
    /// The newest publication in it.
    pub newest_published: Option<DateTime<FixedOffset>>,
}

/// How many archive pages a feed with so many articles has.
fn pages(count: usize, items: usize) -> usize {
    match (count / items).saturating_sub(1) {
        1 => 0,
        pages => pages,
    }
}

/// How the articles of a feed with so many are parted: the archive pages, oldest first, and the current document, each with
/// the places of its articles in [`Feed::articles`].
pub fn spans(count: usize, items: usize) -> impl Iterator<Item = (Option<usize>, Range<usize>)> {
    let items = items.max(1);
    let pages = pages(count, items);
    let archived = move |page| (Some(page), count - page * items..count - (page - 1) * items);
    (1..=pages).map(archived).chain([(None, 0..count - pages * items)])
}

impl Feed {
    /// Its documents, oldest archive page first, the current one last.
    pub fn documents<'a>(&'a self, newsroom: &Newsroom, items: usize) -> Vec<Document<'a>> {
        let spans = spans(self.articles.len(), items);
        spans.map(|(page, range)| self.document(newsroom, items, page, range)).collect()
    }

    /// One of its documents; `page` and `range` are one of [`spans`].
    pub fn document<'a>(
        &'a self,
        newsroom: &Newsroom,
        items: usize,
        page: Option<usize>,
        range: Range<usize>,
    ) -> Document<'a> {
        let carried = || self.articles[range.clone()].iter().map(|at| &newsroom.articles[*at as usize]);
        let changed = carried().map(|a| a.changed()).max();
        let newest_published = carried().map(|a| a.published).max();
        Document { feed: self, page, pages: pages(self.articles.len(), items.max(1)), range, changed, newest_published }
    }

    /// The articles of one of its documents; none where there is no such page.
    pub fn carried(&self, page: Option<usize>, items: usize) -> &[u32] {
        let span = spans(self.articles.len(), items).find(|(other, _)| *other == page);
        span.map_or(&[], |(_, range)| &self.articles[range])
    }
}

impl Document<'_> {
    /// Where it stands, below the folder of feeds.
    pub fn path(&self, format: Format) -> String {
        self.feed.path(self.page, format)
    }

    /// Its public address.
    pub fn url(&self, masthead: &Masthead, format: Format) -> String {
        self.feed.url(masthead, self.page, format)
    }

    /// The next older document's address: `prev-archive` of RFC 5005, `next_url` of JSON Feed.
    pub fn older(&self, masthead: &Masthead, format: Format) -> Option<String> {
        let page = self.page.map_or(self.pages, |page| page - 1);
        (page > 0).then(|| self.feed.url(masthead, Some(page), format))
    }

    /// The links of RFC 5005, section 4: relation and address.
    pub fn links(&self, masthead: &Masthead, format: Format) -> Vec<(&'static str, String)> {
        let mut links = Vec::new();
        links.extend(self.older(masthead, format).map(|url| ("prev-archive", url)));
        if let Some(page) = self.page {
            if page < self.pages {
                links.push(("next-archive", self.feed.url(masthead, Some(page + 1), format)));
            }
            links.push(("current", self.feed.url(masthead, None, format)));
        }
        links
    }

    /// The withdrawn articles that it tells of, latest first: the current document of each feed they stood in.
    pub fn withdrawn<'n>(&self, newsroom: &'n Newsroom) -> Vec<&'n Withdrawn> {
        if self.page.is_some() {
            return Vec::new();
        }
        let latest = &newsroom.withdrawn[..newsroom.withdrawn.len().min(TOMBSTONES)];
        self.feed.lost(latest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::Options;
    use crate::feed::plan::{Plan, tests::newsroom};

    #[test]
    fn every_document_names_its_neighbours_and_an_archive_page_the_current_one() {
        let newsroom = newsroom(17);
        let options = Options { items: 5, ..Options::default() };
        let feed = &Plan::of(&newsroom, &options).feeds[0];
        let documents = feed.documents(&newsroom, options.items);
        let links = |document: &Document| document.links(&newsroom.masthead, Format::Atom);
        let url = |page| feed.url(&newsroom.masthead, page, Format::Atom);
        let (first, second, current) = (url(Some(1)), url(Some(2)), url(None));
        assert_eq!(links(&documents[0]), [("next-archive", second.clone()), ("current", current.clone())]);
        assert_eq!(links(&documents[1]), [("prev-archive", first), ("current", current)]);
        assert_eq!(links(&documents[2]), [("prev-archive", second)]);
    }

    proptest! {
        #[test]
        fn every_article_stands_in_exactly_one_document(count in 0_usize..200, items in 0_usize..30) {
            let newsroom = newsroom(count);
            let options = Options { items, ..Options::default() };
            let plan = Plan::of(&newsroom, &options);
            for feed in &plan.feeds {
                let documents = feed.documents(&newsroom, items);
                let (current, archives) = documents.split_last().unwrap();
                prop_assert!(current.page.is_none() && archives.len() == current.pages);
                prop_assert!(archives.iter().all(|d| d.range.len() == items.max(1)));
                prop_assert!(archives.len() != 1);
                let most = if archives.is_empty() { 3 } else { 2 };
                prop_assert!(current.range.len() < most * items.max(1));
                prop_assert!(archives.is_empty() || current.range.len() >= items.max(1));
                let carried: Vec<usize> = documents.iter().rev().flat_map(|d| d.range.clone()).collect();
                prop_assert_eq!(carried, (0..feed.articles.len()).collect::<Vec<_>>());
                // Following the links visits every document.
                let mut visited = vec![current.url(&newsroom.masthead, Format::Rss)];
                while let Some(older) = documents
                    .iter()
                    .find(|d| Some(&d.url(&newsroom.masthead, Format::Rss)) == visited.last())
                    .and_then(|d| d.older(&newsroom.masthead, Format::Rss))
                {
                    visited.push(older);
                }
                prop_assert_eq!(visited.len(), documents.len());
            }
        }
    }
}
