//! The words of the pages and of their mails, in each language; and which language somebody reads.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderErrorReason, html_escape,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::feed::language::direction;

/// The embedded languages, in the order in which they are offered. The first has every text.
pub(super) const EMBEDDED: [(&str, &str); 4] = [
    ("en", include_str!("../../../templates/languages/en.yaml")),
    ("es", include_str!("../../../templates/languages/es.yaml")),
    ("fr", include_str!("../../../templates/languages/fr.yaml")),
    ("ar", include_str!("../../../templates/languages/ar.yaml")),
];

/// A file of words that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordsError {
    /// It is not a list of keys and texts.
    #[error("languages/{0}.yaml: {1}")]
    Unreadable(String, String),
    /// A key that no page asks for.
    #[error("languages/{0}.yaml: there is no text `{1}`")]
    Unknown(String, String),
    /// A new language that does not have all texts.
    #[error("languages/{0}.yaml: the text `{1}` is missing")]
    Missing(String, String),
}

/// All texts, by language.
#[derive(Debug, Clone)]
pub(super) struct Words {
    languages: Vec<(String, BTreeMap<String, String>)>,
    usual: usize,
}

impl Words {
    /// The embedded languages; `own` are a newsroom's files, which replace single texts of one, or add one with all its texts.
    /// `usual` is the language for who reads none of them.
    ///
    /// # Errors
    /// [`WordsError`].
    pub(super) fn new(own: &[(String, String)], usual: &str) -> Result<Words, WordsError> {
        let mut languages: Vec<(String, BTreeMap<String, String>)> = vec![];
        let embedded = EMBEDDED.iter().map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned()));
        for (tag, text) in embedded.chain(own.iter().cloned()) {
            let texts: BTreeMap<String, String> =
                serde_saphyr::from_str(&text).map_err(|e| WordsError::Unreadable(tag.clone(), e.to_string()))?;
            let all = languages.first().map(|(_, texts)| texts.clone());
            if let Some(all) = &all
                && let Some(unknown) = texts.keys().find(|key| !all.contains_key(*key))
            {
                return Err(WordsError::Unknown(tag, unknown.clone()));
            }
            if let Some((_, there)) = languages.iter_mut().find(|(known, _)| *known == tag) {
                there.extend(texts);
            } else {
                if let Some(missing) = all.iter().flat_map(BTreeMap::keys).find(|key| !texts.contains_key(*key)) {
                    return Err(WordsError::Missing(tag, missing.clone()));
                }
                languages.push((tag, texts));
            }
        }
        let usual = languages.iter().position(|(tag, _)| same(tag, usual)).unwrap_or(0);
        Ok(Words { languages, usual })
    }

    /// The language of somebody who chose `chosen`, or whose browser says `accept` (`Accept-Language`, RFC 9110 section
    /// 12.5.4).
    pub(super) fn language(&self, chosen: Option<&str>, accept: &str) -> &str {
        let known =
            |tag: &str| self.languages.iter().find(|(known, _)| same(known, tag)).map(|(known, _)| known.as_str());
        let usual = || self.languages.get(self.usual).map_or("en", |(tag, _)| tag.as_str());
        chosen.and_then(known).or_else(|| wanted(accept).into_iter().find_map(known)).unwrap_or_else(usual)
    }

    /// The languages with their names for themselves.
    pub(super) fn languages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.languages.iter().map(|(tag, texts)| (tag.as_str(), texts.get("language.name").map_or("", String::as_str)))
    }

    /// A text, with its places filled in. In a language that is written from right to left, what is filled in stands for
    /// itself (Unicode's first strong isolate): an address would otherwise be torn apart.
    pub(super) fn text(&self, language: &str, key: &str, values: &[(&str, &str)]) -> Option<String> {
        let (tag, texts) = self.languages.iter().find(|(tag, _)| tag == language)?;
        let isolate = direction(tag) == "rtl";
        let mut rest = texts.get(key)?.as_str();
        let mut out = String::with_capacity(rest.len() + 32);
        // One pass: what is filled in is never read again, whatever braces are in it.
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            out.push_str(before);
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            if isolate {
                out.extend(['\u{2068}']);
                out.push_str(value);
                out.push('\u{2069}');
            } else {
                out.push_str(value);
            }
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }
}

/// Whether a tag asks for a language that we have: `es-MX` is content with `es`.
fn same(known: &str, asked: &str) -> bool {
    let asked = asked.trim();
    asked.eq_ignore_ascii_case(known)
        || asked.split('-').next().is_some_and(|language| language.eq_ignore_ascii_case(known))
}

/// The tags of `Accept-Language`, most wanted first.
fn wanted(accept: &str) -> Vec<&str> {
    /// Browsers send a handful.
    const MOST: usize = 20;
    let mut tags: Vec<(&str, f32)> = accept
        .split(',')
        .take(MOST)
        .map(|entry| {
            let mut parts = entry.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            (tag, weight)
        })
        .filter(|(tag, weight)| !tag.is_empty() && *weight > 0.0)
        .collect();
    tags.sort_by(|a, b| b.1.total_cmp(&a.1));
    tags.into_iter().map(|(tag, _)| tag).collect()
}

/// `{{t "key" name=value}}`: a text in the language of the page (`language` at the top of the values).
pub(super) struct Text {
    pub(super) words: Arc<Words>,
    pub(super) html: bool,
}

impl HelperDef for Text {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        values: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let wrong = |what: String| RenderErrorReason::Other(what);
        let key = helper.param(0).and_then(|p| p.value().as_str()).ok_or_else(|| wrong("t: no key".to_owned()))?;
        let language = values.data().get("language").and_then(Value::as_str).unwrap_or_default();
        let mut filled: Vec<(&str, String)> = vec![];
        for (name, value) in helper.hash() {
            let value = match value.value() {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            filled.push((*name, value));
        }
        if let Some(paper) = values.data().get("paper").and_then(Value::as_str) {
            filled.push(("paper", paper.to_owned()));
        }
        let filled: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let text = self.words.text(language, key, &filled).ok_or_else(|| wrong(format!("t: no text `{key}`")))?;
        if self.html {
            out.write(&html_escape(&text))?;
        } else {
            out.write(&text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::new(&[], "en").unwrap()
    }

    /// The places in a text, sorted.
    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn no_language_lacks_a_text_or_a_place_in_one() {
        let words = words();
        let (_, all) = &words.languages[0];
        for (tag, texts) in &words.languages {
            assert_eq!(texts.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>(), "{tag}");
            for (key, text) in texts {
                assert_eq!(places(text), places(&all[key]), "{tag}: {key}");
                assert!(!text.trim().is_empty(), "{tag}: {key}");
            }
        }
    }

    #[test]
    fn every_text_is_used_and_every_used_text_exists() {
        let mut used = std::collections::BTreeSet::new();
        let sources = [
            include_str!("archive.rs"),
            include_str!("join.rs"),
            include_str!("leave.rs"),
            include_str!("letter.rs"),
            include_str!("pages.rs"),
            include_str!("preferences.rs"),
            include_str!("words.rs"),
        ];
        let templates = super::super::pages::EMBEDDED.iter().map(|(_, text)| *text);
        let letters = super::super::letter::EMBEDDED.iter().map(|(_, text)| *text);
        let words = words();
        for text in sources.into_iter().chain(templates).chain(letters) {
            for part in text.split('"').skip(1).step_by(1) {
                if words.languages[0].1.contains_key(part) {
                    used.insert(part.to_owned());
                }
            }
        }
        let unused: Vec<_> = words.languages[0].1.keys().filter(|key| !used.contains(*key)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn the_choice_counts_first_then_the_browser_then_the_paper() {
        let words = Words::new(&[], "fr-CA").unwrap();
        assert_eq!(words.language(Some("es"), "ar"), "es");
        assert_eq!(words.language(Some("xx"), "de, ar-EG;q=0.5, es;q=0.4"), "ar");
        assert_eq!(words.language(None, "es;q=0.4,en-GB;q=0.9"), "en");
        assert_eq!(words.language(None, "es;q=0, de"), "fr");
        assert_eq!(words.language(None, ";;;,,,q=q=1"), "fr");
    }

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        let words = words();
        let told = words.text("en", "left.one", &[("digest", "{paper} {digest}")]).unwrap();
        assert_eq!(told, "No more mail comes to you from {paper} {digest}.");
        assert!(words.text("ar", "left.one", &[("digest", "X")]).unwrap().contains("\u{2068}X\u{2069}"));
        assert_eq!(words.text("en", "left.one", &[]), None);
    }

    #[test]
    fn a_newsroom_replaces_single_texts_and_adds_whole_languages() {
        let own = |tag: &str, text: &str| [(tag.to_owned(), text.to_owned())];
        let words = Words::new(&own("en", "left.title: Gone"), "en").unwrap();
        assert_eq!(words.text("en", "left.title", &[]).unwrap(), "Gone");
        let missing = Words::new(&own("de", "left.title: Weg"), "en").unwrap_err();
        assert!(matches!(missing, WordsError::Missing(..)));
        assert!(matches!(Words::new(&own("en", "left.titel: x"), "en"), Err(WordsError::Unknown(..))));
        assert!(matches!(Words::new(&own("en", "- 1"), "en"), Err(WordsError::Unreadable(..))));
    }
}
