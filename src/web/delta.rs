//! RFC 3229 with the instance manipulation `feed`: of a feed that the client has in an older version, only the items
//! that are new or changed. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;

/// How many older versions of a feed are known. A reader that comes less often gets the whole feed.
pub(crate) const VERSIONS: usize = 48;

/// A feed in its parts: the frame, and the items in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    items: Vec<Range<usize>>,
    prints: Vec<u64>,
}

impl Parts {
    /// Takes an RSS or Atom document apart. `None`: it is neither, or not well-formed, or has no items.
    pub(crate) fn of(document: &[u8]) -> Option<Parts> {
        let mut reader = Reader::from_reader(document);
        let (mut items, mut prints) = (Vec::new(), Vec::new());
        let mut depth = 0;
        let mut open: Option<(usize, usize)> = None;
        loop {
            let before = usize::try_from(reader.buffer_position()).ok()?;
            match reader.read_event().ok()? {
                Event::Start(tag) => {
                    let item = (depth == 1 && tag.name().as_ref() == b"entry")
                        || (depth == 2 && tag.name().as_ref() == b"item");
                    if item && open.is_none() {
                        open = Some((depth, before));
                    }
                    depth += 1;
                }
                Event::End(_) => {
                    depth = usize::checked_sub(depth, 1)?;
                    if let Some((_, start)) = open.filter(|(level, _)| *level == depth) {
                        let item = start..usize::try_from(reader.buffer_position()).ok()?;
                        prints.push(print(document.get(item.clone())?));
                        items.push(item);
                        open = None;
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        (depth == 0 && !items.is_empty()).then_some(Parts { items, prints })
    }

    /// The document with only those items that are not among these; `None` if it has no others.
    pub(crate) fn without(&self, document: &Bytes, known: &HashSet<u64>) -> Option<Bytes> {
        let (first, last) = (self.items.first()?, self.items.last()?);
        let mut new = self.items.iter().zip(&self.prints).filter(|(_, print)| !known.contains(print)).peekable();
        new.peek()?;
        let mut delta = document.get(..first.start)?.to_vec();
        for (item, _) in new {
            delta.extend_from_slice(document.get(item.clone())?);
            delta.push(b'\n');
        }
        delta.extend_from_slice(document.get(last.end..)?);
        Some(delta.into())
    }
}

/// Tells one state of an item from every other: a corrected item is a new one to this.
fn print(item: &[u8]) -> u64 {
    let hash = digest(&SHA256, item);
    hash.as_ref().iter().take(8).fold(0, |print, &byte| print << 8 | u64::from(byte))
}

/// What older versions of one feed held, newest first.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<(Box<str>, HashSet<u64>)>);

impl History {
    /// Remembers a version by its content's tag; forgets the oldest if there are too many.
    pub(crate) fn remember(&mut self, tag: &str, parts: &Parts) {
        self.0.retain(|(known, _)| **known != *tag);
        self.0.push_front((tag.into(), parts.prints.iter().copied().collect()));
        self.0.truncate(VERSIONS);
    }

    /// How many versions are known.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The items of that version.
    pub(crate) fn items(&self, tag: &str) -> Option<&HashSet<u64>> {
        self.0.iter().find(|(known, _)| **known == *tag).map(|(_, items)| items)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn atom(entries: &[&str]) -> Bytes {
        let entries: Vec<String> = entries.iter().map(|e| format!("  <entry><id>{e}</id></entry>\n")).collect();
        let entries = entries.concat();
        format!("<?xml version=\"1.0\"?>\n<feed><title>T</title>\n{entries}</feed>\n").into()
    }

    fn known(document: &Bytes) -> HashSet<u64> {
        Parts::of(document).unwrap().prints.into_iter().collect()
    }

    #[test]
    fn only_new_and_changed_items_remain() {
        let old = atom(&["b", "a"]);
        let new = atom(&["c", "b", "a (corrected)"]);
        let delta = Parts::of(&new).unwrap().without(&new, &known(&old)).unwrap();
        assert_eq!(
            delta,
            "<?xml version=\"1.0\"?>\n<feed><title>T</title>\n  <entry><id>c</id></entry>\n<entry><id>a (corrected)</id></entry>\n\n</feed>\n"
        );
        assert!(Parts::of(&delta).is_some());
    }

    #[test]
    fn a_feed_with_nothing_new_has_no_delta() {
        let (old, new) = (atom(&["b", "a"]), atom(&["b"]));
        assert_eq!(Parts::of(&new).unwrap().without(&new, &known(&old)), None);
    }

    #[test]
    fn items_that_only_look_like_items_are_text() {
        let rss = "<rss><channel><!-- <item> --><item><d><![CDATA[</item><item>]]></d><item>inner</item></item>\
                   <x><item/><item></item></x></channel></rss>";
        let parts = Parts::of(rss.as_bytes()).unwrap();
        assert_eq!(parts.items.len(), 1);
        assert!(rss[parts.items[0].clone()].ends_with("inner</item></item>"));
    }

    #[test]
    fn what_is_not_a_feed_has_no_parts() {
        for text in ["", "{}", "<html><p></html>", "<feed></feed>", "<feed><entry>", "<rss><item></item></rss>"] {
            assert_eq!(Parts::of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_history_is_bounded_and_forgets_the_oldest() {
        let parts = Parts::of(&atom(&["a"])).unwrap();
        let mut history = History::default();
        for n in 0..=VERSIONS {
            history.remember(&n.to_string(), &parts);
        }
        assert!(history.items("0").is_none());
        assert!(history.items("1").is_some());
        assert_eq!(history.0.len(), VERSIONS);
        history.remember("1", &parts);
        assert_eq!(history.0.len(), VERSIONS, "the same version counts once");
    }
}
