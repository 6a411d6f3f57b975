//! Which files there are, what each is made from, and which have to be made.

use rayon::prelude::*;

use super::{Order, Scope};
use crate::feed::archive::{self, Document};
use crate::feed::page::Draft;
use crate::feed::plan::{Feed, Of};
use crate::feed::{Format, opml};
use crate::newsroom::fingerprint::fingerprint;
use crate::newsroom::{Article, Newsroom, Problem};

/// A page for people, or the list of feeds.
pub(super) struct Leaf {
    pub(super) path: String,
    pub(super) key: u64,
    /// `None` where it is as it would be made again.
    pub(super) text: Option<String>,
}

/// Every page and the list. Only pages that have to be made are rendered.
pub(super) fn leaves(
    order: &Order<'_>,
    is_fresh: impl Fn(&String, u64) -> bool + Sync,
    scope: Scope<'_>,
) -> Result<Vec<Leaf>, Problem> {
    let Order { newsroom, plan, templates, .. } = order;
    let page = |path: String, draft: Draft<'_>| {
        let key = templates.key(&draft);
        let text = if is_fresh(&path, key) { None } else { Some(templates.render(&draft)?) };
        Ok(Leaf { path, key, text })
    };
    let mut leaves = vec![page("index.html".to_owned(), Draft::index(newsroom, plan))?];
    // A build of few documents has the feeds that there were, and so the same list of them, however many there are.
    if matches!(scope, Scope::All) {
        let list = opml::write(newsroom, plan);
        let (path, key) = (opml::FILE.to_owned(), fingerprint([list.as_bytes()]).max(1));
        let text = (!is_fresh(&path, key)).then_some(list);
        leaves.push(Leaf { path, key, text });
    }
    let sections = plan.feeds.par_iter().filter(|feed| matches!(feed.of, Of::Section(_)));
    let of_section = |feed: &Feed| Some(page(feed.page_path()?, Draft::section(newsroom, feed)));
    for leaf in sections.filter_map(of_section).collect::<Vec<_>>() {
        leaves.push(leaf?);
    }
    Ok(leaves)
}

/// A document of the plan.
pub(super) struct Sheet<'a> {
    pub(super) feed: usize,
    pub(super) document: Document<'a>,
    /// In the order of [`Format::ALL`].
    pub(super) paths: [String; 3],
    pub(super) key: u64,
    pub(super) stale: bool,
}

/// Every document in question, and whether it has to be made.
pub(super) fn sheets<'a>(
    order: &Order<'a>,
    is_fresh: impl Fn(&String, u64) -> bool + Sync,
    scope: Scope<'_>,
) -> Vec<Sheet<'a>> {
    let keys: Vec<u64> = match scope {
        Scope::All => order.newsroom.articles.par_iter().map(|article| key_of(article)).collect(),
        Scope::Only(_) => Vec::new(),
    };
    let key = |at: u32| keys.get(at as usize).copied().unwrap_or_else(|| key_of(&order.newsroom.articles[at as usize]));
    let items = order.options.items;
    let of_feed = |(at, feed): (usize, &'a Feed)| {
        let left_out = |page| matches!(scope, Scope::Only(sheaves) if !sheaves.contains(&(at, page)));
        let sheet = |document: Document<'a>| {
            let key = document_key(order.newsroom, &document, key);
            let paths = Format::ALL.map(|format| document.path(format));
            let stale = !paths.iter().all(|path| is_fresh(path, key));
            Sheet { feed: at, document, paths, key, stale }
        };
        let spans = archive::spans(feed.articles.len(), items).filter(|(page, _)| !left_out(*page));
        let documents = spans.map(|(page, range)| feed.document(order.newsroom, items, page, range));
        documents.map(sheet).collect::<Vec<_>>()
    };
    order.plan.feeds.par_iter().enumerate().flat_map_iter(of_feed).collect()
}

/// A hash of all that an article's part of a document is made from. Its file's name stands for what the name decides:
/// section, slug, and how the body is written.
fn key_of(article: &Article) -> u64 {
    fingerprint([article.id.0.as_bytes(), article.place.file.as_bytes(), &article.fingerprint.to_le_bytes()])
}

/// A hash of all that a document is made from; never 0.
fn document_key(newsroom: &Newsroom, document: &Document<'_>, key: impl Fn(u32) -> u64) -> u64 {
    let mut bytes: Vec<u8> = Vec::with_capacity(8 * document.range.len());
    for at in &document.feed.articles[document.range.clone()] {
        bytes.extend(key(*at).to_le_bytes());
    }
    // What stands around the articles.
    let gone = document.withdrawn(newsroom);
    let first = newsroom.articles.last().filter(|_| document.range.is_empty()).map(|article| article.published);
    let successor = document.page.map(|page| page < document.pages);
    let pages = document.page.unwrap_or(document.pages);
    let frame = format!("{:?} {:?} {successor:?} {pages} {gone:?} {first:?}", document.feed.content, document.feed.of);
    fingerprint([&bytes, frame.as_bytes(), document.feed.title.as_bytes(), document.feed.description.as_bytes()]).max(1)
}
