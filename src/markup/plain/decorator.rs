//! How each element looks in plain text.

use std::cell::RefCell;
use std::rc::Rc;

use html2text::render::{TaggedLine, TextDecorator};

/// Marks a line that stays empty: html2text puts lists and preformatted text close to what stands before.
pub(super) const EMPTY: char = '\u{F8F2}';

/// Marks a heading's lines until they are underlined; a character of the private use area that no text has after
/// [`super::simplified`].
pub(super) const HEADING: [char; 2] = ['\u{F8F0}', '\u{F8F1}'];

/// How each element looks in plain text.
#[derive(Clone)]
pub(super) struct Decorator {
    pub(super) links: Rc<RefCell<Vec<String>>>,
    pub(super) open: Vec<String>,
}

impl TextDecorator for Decorator {
    type Annotation = ();

    fn decorate_link_start(&mut self, url: &str) -> (String, ()) {
        // A footnote's number is no link to the reader of a mail, who has the note below.
        if url.contains("#fn-") {
            self.open.push(")".to_owned());
            return (" (note ".to_owned(), ());
        }
        let mut links = self.links.borrow_mut();
        let number = links.iter().position(|l| l == url).unwrap_or_else(|| {
            links.push(url.to_owned());
            links.len() - 1
        });
        self.open.push(format!(" [{}]", number + 1));
        (String::new(), ())
    }

    fn decorate_link_end(&mut self) -> String {
        self.open.pop().unwrap_or_default()
    }

    fn decorate_em_start(&self) -> (String, ()) {
        ("_".to_owned(), ())
    }

    fn decorate_em_end(&self) -> String {
        "_".to_owned()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        ("*".to_owned(), ())
    }

    fn decorate_strong_end(&self) -> String {
        "*".to_owned()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        ("~".to_owned(), ())
    }

    fn decorate_strikeout_end(&self) -> String {
        "~".to_owned()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _: &str, title: &str) -> (String, ()) {
        (if title.trim().is_empty() { String::new() } else { format!("[Picture: {}]", title.trim()) }, ())
    }

    fn header_prefix(&self, level: usize) -> String {
        HEADING[usize::from(level > 2)].to_string()
    }

    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }

    fn unordered_item_prefix(&self) -> String {
        "- ".to_owned()
    }

    fn ordered_item_prefix(&self, i: i64) -> String {
        format!("{i}. ")
    }

    fn make_subblock_decorator(&self) -> Self {
        self.clone()
    }

    fn decorate_superscript_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_superscript_end(&self) -> String {
        String::new()
    }

    fn finalise(&mut self, _: Vec<String>) -> Vec<TaggedLine<()>> {
        Vec::new()
    }
}
