//! The documents of one feed, page by page: archives of exactly [`ITEMS`] articles, and a current document with the
//! newest, at least as many. So many documents does Pressrun write, and nearly so many bytes.

use crate::item::{Item, SITE};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Articles in an archive page.
pub const ITEMS: usize = 50;

/// One feed while it is written: it holds what is not yet in a page, never more than two pages.
#[derive(Debug)]
pub struct Feed {
    folder: PathBuf,
    url: String,
    title: String,
    rss: Page,
    atom: Page,
    json: Page,
    /// Articles in the pages that are held.
    held: usize,
    archives: usize,
}

/// Items of one format: the older page, and what has come since.
#[derive(Debug, Default)]
struct Page {
    older: String,
    newer: String,
}

impl Feed {
    /// A feed into `folder`, which is created. `path` is its part of the address, empty or ending in a slash.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(folder: &Path, path: &str, title: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Feed {
            folder: folder.to_path_buf(),
            url: format!("{SITE}feeds/{path}"),
            title: title.to_owned(),
            rss: Page::default(),
            atom: Page::default(),
            json: Page::default(),
            held: 0,
            archives: 0,
        })
    }

    /// The next article, newer than all before; within a document, too, the oldest stands first. Writes an archive page
    /// when two are full.
    ///
    /// # Errors
    /// When a page cannot be written.
    pub fn push(&mut self, item: &Item) -> io::Result<()> {
        let first = self.held < ITEMS;
        self.rss.push(&item.rss, "", first);
        self.atom.push(&item.atom, "", first);
        self.json.push(&item.json, ",", first);
        self.held += 1;
        if self.held == 2 * ITEMS {
            self.archives += 1;
            self.write(&format!("archive-{:06}", self.archives), false)?;
            for page in [&mut self.rss, &mut self.atom, &mut self.json] {
                page.older = std::mem::take(&mut page.newer);
            }
            self.held -= ITEMS;
        }
        Ok(())
    }

    /// Writes the current documents.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn finish(self) -> io::Result<()> {
        self.write("", true)
    }

    /// `rss.xml`, `atom.xml`, `feed.json`, or the three with `name` before them: the older page, and with `whole` also
    /// the newer one.
    fn write(&self, name: &str, whole: bool) -> io::Result<()> {
        let (url, title) = (&self.url, &self.title);
        let older = if whole { self.archives } else { self.archives - 1 };
        let prefix = if name.is_empty() { String::new() } else { format!("{name}-") };
        let rss_head = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\" xmlns:content=\"http://purl.org/rss/1.0/modules/content/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><channel><title>{title}</title><link>{SITE}</link><description>All of it.</description><language>en</language><ttl>60</ttl><atom:link href=\"{url}{prefix}rss.xml\" rel=\"self\" type=\"application/rss+xml\"/><atom:link href=\"{url}archive-{older:06}-rss.xml\" rel=\"prev-archive\" type=\"application/rss+xml\"/>"
        );
        self.save(&format!("{prefix}rss.xml"), &self.rss, whole, &rss_head, "</channel></rss>\n")?;
        let atom_head = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"en\"><title>{title}</title><id>{url}atom.xml</id><link href=\"{SITE}\"/><link href=\"{url}{prefix}atom.xml\" rel=\"self\" type=\"application/atom+xml\"/><link href=\"{url}archive-{older:06}-atom.xml\" rel=\"prev-archive\" type=\"application/atom+xml\"/>"
        );
        self.save(&format!("{prefix}atom.xml"), &self.atom, whole, &atom_head, "</feed>\n")?;
        let json_head = format!(
            "{{\"version\":\"https://jsonfeed.org/version/1.1\",\"title\":\"{title}\",\"home_page_url\":\"{SITE}\",\"feed_url\":\"{url}{prefix}feed.json\",\"next_url\":\"{url}archive-{older:06}-feed.json\",\"language\":\"en\",\"items\":["
        );
        self.save(&format!("{prefix}feed.json"), &self.json, whole, &json_head, "]}\n")
    }

    fn save(&self, name: &str, page: &Page, whole: bool, head: &str, foot: &str) -> io::Result<()> {
        let newer = if whole { page.newer.as_str() } else { "" };
        let comma = if whole && name.ends_with("json") && !newer.is_empty() { "," } else { "" };
        let mut file = fs::File::create(self.folder.join(name))?;
        for part in [head, &page.older, comma, newer, foot] {
            file.write_all(part.as_bytes())?;
        }
        Ok(())
    }
}

impl Page {
    fn push(&mut self, text: &str, between: &str, older: bool) {
        let page = if older { &mut self.older } else { &mut self.newer };
        if !page.is_empty() {
            page.push_str(between);
        }
        page.push_str(text);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::env;

    /// Items in the archives and in the current document, as RSS and as JSON.
    fn counts(articles: usize) -> (Vec<usize>, Vec<usize>) {
        let folder = env::temp_dir().join(format!("feeds-bench-{}-{articles}", std::process::id()));
        let mut feed = Feed::create(&folder, "", "Title").unwrap();
        for number in 0..articles {
            let [rss, atom, json] = [format!("<item>{number}</item>"), String::new(), format!("{{\"id\":{number}}}")];
            feed.push(&Item { rss, atom, json }).unwrap();
        }
        feed.finish().unwrap();
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let count = |ending: &str, what: &str| -> Vec<usize> {
            let texts = names.iter().filter(|name| name.to_str().unwrap().ends_with(ending));
            texts.map(|name| fs::read_to_string(name).unwrap().matches(what).count()).collect()
        };
        let both = (count("rss.xml", "<item>"), count("feed.json", "{\"id\""));
        // One comma fewer than items, in each document.
        assert_eq!(count("feed.json", "},{"), both.1.iter().map(|n| n.saturating_sub(1)).collect::<Vec<_>>());
        fs::remove_dir_all(&folder).unwrap();
        both
    }

    #[test]
    fn the_current_document_has_at_least_fifty_and_an_archive_exactly_fifty() {
        for (articles, wanted) in
            [(0, vec![0]), (7, vec![7]), (50, vec![50]), (99, vec![99]), (100, vec![50, 50]), (163, vec![50, 50, 63])]
        {
            assert_eq!(counts(articles), (wanted.clone(), wanted), "{articles} articles");
        }
    }
}
