//! What is to be sent, in which order, and what is to go. Pure.

use std::collections::BTreeMap;

use super::manifest::{Manifest, Object};
use crate::feed::media::{self, Sort};

/// What a publication has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Paths to send, one stage for each sort of file: a stage begins when the one before has arrived, so that nobody
    /// sees a link to what is not there.
    pub stages: Vec<Vec<String>>,
    /// Paths that lie at the target because we put them there, and are no longer ours.
    pub superfluous: Vec<String>,
    /// How many objects are as they should be.
    pub unchanged: usize,
}

impl Plan {
    /// How many objects are to be sent.
    pub fn to_send(&self) -> usize {
        self.stages.iter().map(Vec::len).sum()
    }
}

/// Compares what lies here with what is known to lie there.
pub fn plan(here: &BTreeMap<String, Object>, there: &Manifest) -> Plan {
    let mut stages: BTreeMap<Sort, Vec<String>> = BTreeMap::new();
    let mut unchanged = 0;
    for (path, object) in here {
        if there.objects.get(path).is_some_and(|sent| sent.hash == object.hash && sent.size == object.size) {
            unchanged += 1;
        } else {
            stages.entry(media::of(path).sort).or_default().push(path.clone());
        }
    }
    let superfluous = there.objects.keys().filter(|path| !here.contains_key(*path)).cloned().collect();
    Plan { stages: stages.into_values().collect(), superfluous, unchanged }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(pairs: &[(&str, &str)]) -> BTreeMap<String, Object> {
        pairs.iter().map(|(path, text)| ((*path).to_owned(), Object::of(text.as_bytes(), 0))).collect()
    }

    #[test]
    fn archives_go_first_then_pictures_then_feeds_and_lists_last() {
        let here = objects(&[
            ("index.html", "1"),
            ("rss.xml", "1"),
            ("feeds.opml", "1"),
            ("campus/atom.xml", "1"),
            ("archive/rss-0001.xml", "1"),
            ("logo.png", "1"),
        ]);
        let plan = plan(&here, &Manifest::default());
        let wanted: [&[&str]; 4] =
            [&["archive/rss-0001.xml"], &["logo.png"], &["campus/atom.xml", "rss.xml"], &["feeds.opml", "index.html"]];
        assert_eq!(plan.stages, wanted);
        assert_eq!((plan.to_send(), plan.unchanged), (6, 0));
    }

    #[test]
    fn only_what_differs_is_sent_and_what_is_left_over_is_named() {
        let there =
            Manifest { objects: objects(&[("a.png", "1"), ("b.png", "1"), ("old.png", "1")]), ..Manifest::default() };
        let plan = plan(&objects(&[("a.png", "1"), ("b.png", "2"), ("c.png", "1")]), &there);
        assert_eq!(plan.stages, [["b.png", "c.png"]]);
        assert_eq!(plan.superfluous, ["old.png"]);
        assert_eq!(plan.unchanged, 1);
    }

    #[test]
    fn the_files_date_is_not_what_counts() {
        let mut there = Manifest { objects: objects(&[("a.png", "1")]), ..Manifest::default() };
        there.objects.values_mut().for_each(|object| object.modified = 42);
        assert_eq!(plan(&objects(&[("a.png", "1")]), &there).to_send(), 0);
    }
}
