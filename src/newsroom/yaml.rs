//! YAML with places. The only module that knows the YAML library.
//!
//! [`parse`] reports all that can be seen in one go: after an entry that cannot be used, it reads the document again
//! without that entry. Values that are well-formed and wrong are the caller's business; [`Source::problem`] finds where
//! they stand.

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Visitor};
use serde_saphyr::{Error, Location, Options, Spanned};
use std::fmt;
use std::ops::Range;

use super::problem::{Place, Problem, closest, suggest};

/// A front matter or a configuration has fewer nodes than this; more is an attack or an accident.
pub const MAX_NODES: usize = 20_000;
/// Anchors are rare in articles and configurations.
const MAX_ALIASES: usize = 100;
/// Deep enough for every document of ours.
const MAX_DEPTH: usize = 16;
/// Text in one document.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Longer values are not repeated in a suggestion.
const MAX_SHOWN: usize = 80;
/// So many unusable entries of one document are reported.
const MAX_PROBLEMS: usize = 20;

/// A text and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The YAML document.
    pub text: &'a str,
    /// The file's name, for problems.
    pub file: &'a str,
    /// The line of the file on which `text` begins, from 1.
    pub first_line: u32,
}

/// Finds the place of a value by its path, for problems that only its meaning shows.
pub trait Locate {
    /// A problem with the value at `path`: keys and numbers of items joined by dots, for instance `sections.0.slug`.
    /// Where there is no such value, it is a problem with the nearest one around it.
    /// The empty path is the whole document.
    fn problem(&self, path: &str, what: String) -> Problem;

    /// The file, as a person would name it.
    fn file(&self) -> &str;

    /// The line of a key of the outermost mapping, found cheaply; 0 where it is not seen.
    fn line_of(&self, key: &str) -> u32;
}

/// What could be read of a document.
#[derive(Debug)]
pub struct Document<T> {
    /// The sound entries; `None` where the text is no YAML at all.
    pub value: Option<T>,
    /// Keys whose values could not be used; they are not in `value`, and they are not missing.
    pub unusable: Vec<String>,
    /// In the order they were found.
    pub problems: Vec<Problem>,
}

/// Reads a document. Every field of `T` must have a default: what is required is for the caller to say, with
/// [`Source::problem`], so that everything is reported together. Keys of `hidden` are not suggested to anybody.
pub fn parse<T: DeserializeOwned + Default>(source: Source<'_>, hidden: &[&str]) -> Document<T> {
    let mut document = Document { value: None, unusable: Vec::new(), problems: Vec::new() };
    if source.text.len() > MAX_BYTES {
        document.problems.push(
            Problem::new(source.file, format!("more than {} MB of metadata", MAX_BYTES >> 20))
                .help("long texts belong in the body"),
        );
        return document;
    }
    if is_blank(source.text) {
        document.value = Some(T::default());
        return document;
    }
    let mut text = std::borrow::Cow::Borrowed(source.text);
    loop {
        let error = match serde_saphyr::from_str_with_options::<T>(&text, options()) {
            Ok(value) => {
                document.value = Some(value);
                return document;
            }
            Err(error) => error,
        };
        let error = error.without_snippet();
        let recovery = recoverable(error).then(|| entry_around(&text, error)).flatten();
        // After an entry was taken out, only further entries are believed: anything else may be the cut's fault.
        if recovery.is_some() || document.problems.is_empty() {
            document.problems.push(explain(source, error, hidden));
        }
        // A misspelt key is not missing as well.
        if let Error::SerdeUnknownField { field, expected, .. } = error {
            document.unusable.extend(closest(field, expected.iter().copied()).map(str::to_owned));
        }
        match recovery {
            Some((range, key)) if document.problems.len() < MAX_PROBLEMS => {
                document.unusable.extend(key);
                let without = blank(&text, range);
                if is_blank(&without) {
                    document.value = Some(T::default());
                    return document;
                }
                text = without.into();
            }
            _ => return document,
        }
    }
}

impl Locate for Source<'_> {
    fn problem(&self, path: &str, what: String) -> Problem {
        let tree = serde_saphyr::from_str_with_options::<Spanned<Node>>(self.text, options()).ok();
        let location = tree.as_ref().and_then(|root| {
            let mut here = root;
            let mut found = None;
            for step in path.split('.') {
                match here.value.child(step) {
                    Some((at, child)) => {
                        found = Some(if matches!(child.value, Node::Scalar) { child.referenced } else { at });
                        here = child;
                    }
                    None => break,
                }
            }
            found
        });
        match location {
            Some(location) => self.at(location, what),
            None => Problem::new(self.file, what),
        }
    }

    fn file(&self) -> &str {
        self.file
    }

    fn line_of(&self, key: &str) -> u32 {
        let begins = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
        let line = self.text.lines().position(begins).and_then(|i| u32::try_from(i).ok());
        line.map_or(0, |i| self.first_line + i)
    }
}

impl Source<'_> {
    fn at(&self, location: Location, what: String) -> Problem {
        let number = usize::try_from(location.line()).unwrap_or(0);
        if number == 0 {
            return Problem::new(self.file, what);
        }
        let line = self.text.lines().nth(number - 1).unwrap_or_default();
        let column = u32::try_from(location.column()).unwrap_or(1).max(1);
        let rest = line.chars().skip(column as usize - 1).collect::<String>();
        let length = usize::try_from(location.span().len()).unwrap_or(1).min(rest.trim_end().chars().count());
        let line_number = self.first_line + u32::try_from(number - 1).unwrap_or(0);
        let place = Place { file: self.file.to_owned(), line: line_number, column };
        Problem::at(place, u32::try_from(length).unwrap_or(1), line, what)
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 3,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: MAX_BYTES,
        },
        with_snippet: false,
    }
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// The document without the entry: line numbers stay, the place is filled with spaces.
fn blank(text: &str, range: Range<usize>) -> String {
    let spaces: String = text[range.clone()].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
    [&text[..range.start], &spaces, &text[range.end..]].concat()
}

fn recoverable(error: &Error) -> bool {
    if matches!(error, Error::Unexpected { expected: "mapping start", location } if location.column() == 1) {
        return false; // the document as a whole is something else
    }
    matches!(
        error,
        Error::SerdeUnknownField { .. }
            | Error::SerdeUnknownVariant { .. }
            | Error::SerdeInvalidType { .. }
            | Error::SerdeInvalidValue { .. }
            | Error::InvalidScalar { .. }
            | Error::InvalidBooleanStrict { .. }
            | Error::NullIntoString { .. }
            | Error::Unexpected { .. }
            | Error::Message { .. }
    )
}

/// The bytes of the block-style entry (`key: value`, or `- item`) that an error stands in, and its key.
fn entry_around(text: &str, error: &Error) -> Option<(Range<usize>, Option<String>)> {
    let location = error.location()?;
    let number = usize::try_from(location.line()).ok()?.checked_sub(1)?;
    let mut start = 0;
    let mut lines = text.split_inclusive('\n');
    for _ in 0..number {
        start += lines.next()?.len();
    }
    let line = lines.next()?;
    let before: String = line.chars().take(usize::try_from(location.column()).ok()?.saturating_sub(1)).collect();
    if before.contains(['{', '[']) {
        return None; // inside a flow collection an entry has no line of its own
    }
    let indent = line.len() - line.trim_start_matches([' ', '-']).len();
    let entry = &line[indent..];
    let key = entry.split_once(':').map(|(key, _)| key.trim().trim_matches(['"', '\'']).to_owned());
    // An item without a key goes with its dash; a key leaves the dash before it standing.
    let column = if key.is_some() { indent } else { line.len() - line.trim_start().len() };
    let mut end = start + line.len();
    for line in lines {
        let depth = line.len() - line.trim_start().len();
        let deeper = depth > column || (key.is_some() && depth == column && line.trim_start().starts_with("- "));
        if !line.trim().is_empty() && !deeper {
            break;
        }
        end += line.len();
    }
    Some((start + column..end, key))
}

/// Our words for the library's error.
fn explain(source: Source<'_>, error: &Error, hidden: &[&str]) -> Problem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let problem = |what: String| source.at(location, what);
    let line = usize::try_from(location.line())
        .ok()
        .and_then(|n| n.checked_sub(1))
        .and_then(|n| source.text.lines().nth(n))
        .unwrap_or_default();
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let known = expected.iter().copied().filter(|key| !hidden.contains(key));
            problem(format!("unknown key `{field}`")).help(suggest(field, known))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            problem(format!("`{variant}` is not possible here")).help(suggest(variant, expected.iter().copied()))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            problem(format!("the key `{key}` stands here a second time")).help("keep one of the two")
        }
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            problem(format!("expected {expected}"))
        }
        Error::InvalidScalar { ty, .. } => problem(format!("expected {}", kind_of(ty))),
        Error::InvalidBooleanStrict { .. } => problem("expected `true` or `false`".into()),
        Error::NullIntoString { .. } => {
            problem("the value is missing".into()).help("write a value, or leave the key out; \"\" is an empty text")
        }
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } => {
            problem("too large or too deeply nested to be metadata".into()).help("long texts belong in the body")
        }
        Error::MultipleDocuments { .. } => {
            problem("a second document begins here".into()).help("only one `---` … `---` block is read")
        }
        Error::UnknownAnchor { .. } => {
            problem("a text cannot begin with `*`".into()).help("put the value in quotation marks")
        }
        Error::Unexpected { expected, .. } => {
            let problem = problem(format!("expected {}", kind_of(expected)));
            match hint(source.text, line) {
                Some(hint) if *expected == "string scalar" => problem.help(hint),
                _ => problem,
            }
        }
        Error::Eof { .. } => problem("the text ends too early".into()),
        other => {
            let message = plain(&other.to_string());
            if message.contains("recursion limit") {
                return problem("too deeply nested to be metadata".into());
            }
            let problem = problem(format!("this is not valid YAML: {message}"));
            match hint(source.text, line) {
                Some(hint) => problem.help(hint),
                None => problem,
            }
        }
    }
}

/// What most often causes a syntax error on such a line.
fn hint(text: &str, line: &str) -> Option<String> {
    let tabbed = |line: &str| line.trim_start_matches([' ', '-']).starts_with('\t');
    if tabbed(line) || text.lines().any(tabbed) {
        return Some("indent with spaces; YAML does not allow tabs there".to_owned());
    }
    let (key, value) = line.split_once(':')?;
    let (key, value) = (key.trim_start_matches([' ', '-']).trim(), value.trim());
    let open = value.chars().next()?;
    if matches!(open, '"' | '\'') && (value.len() == 1 || !value.ends_with(open)) {
        return Some(format!("the quotation mark {open} is not closed"));
    }
    if matches!(open, '"' | '\'') {
        return Some(format!(
            "put the whole value in one pair of quotation marks, and write {open} inside it twice or use the other kind"
        ));
    }
    if matches!(open, '@' | '`' | '%' | '{' | '[' | '&' | '*' | '!' | '|' | '>')
        || value.contains(": ")
        || value.contains(" #")
    {
        let shown = if value.chars().count() <= MAX_SHOWN { &value.replace('"', "\\\"") } else { "…" };
        return Some(format!("put the value in quotation marks: `{key}: \"{shown}\"`"));
    }
    None
}

fn kind_of(ty: &str) -> &str {
    match ty {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "string scalar" => "a text",
        "sequence start" => "a list",
        "mapping start" => "lines of `key: value`",
        "bool" | "boolean" => "`true` or `false`",
        other => other,
    }
}

/// The library's message without its own account of the place.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match line.find(" at line ").or_else(|| line.find(" at byte ")) {
        Some(at) => line[..at].to_owned(),
        None => line.to_owned(),
    }
}

/// Any document, for the places in it.
enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// The entry named so, and where it begins: a key's place, or an item's.
    fn child(&self, step: &str) -> Option<(Location, &Spanned<Node>)> {
        match self {
            Node::Scalar => None,
            Node::List(items) => items.get(step.parse::<usize>().ok()?).map(|item| (item.referenced, item)),
            Node::Map(entries) => {
                entries.iter().find(|(key, _)| key.value == step).map(|(key, value)| (key.referenced, value))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        title: Option<String>,
        count: Option<u32>,
        draft: Option<bool>,
        tags: Vec<String>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        name: Option<String>,
        items: Vec<Inner>,
    }

    fn read(text: &str) -> Document<Sample> {
        parse(Source { text, file: "a.md", first_line: 2 }, &[])
    }

    fn list(document: &Document<Sample>) -> Vec<(u32, u32, &str)> {
        document.problems.iter().map(|p| (p.place.line, p.place.column, p.what.as_str())).collect()
    }

    #[test]
    fn all_unknown_keys_are_reported_at_once_and_the_rest_is_read() {
        let document = read("titel: a\ntitle: T\ncolour:\n  - x\ninner:\n  nmae: y\n  name: z\n");
        assert_eq!(
            list(&document),
            [(2, 1, "unknown key `titel`"), (4, 1, "unknown key `colour`"), (7, 3, "unknown key `nmae`")]
        );
        assert_eq!(document.problems[0].help.as_deref(), Some("did you mean `title`?"));
        let value = document.value.as_ref();
        assert_eq!(value.and_then(|v| v.title.as_deref()), Some("T"));
        assert_eq!(value.and_then(|v| v.inner.as_ref()).and_then(|i| i.name.as_deref()), Some("z"));
    }

    #[test]
    fn an_unknown_key_first_in_a_list_item_leaves_the_item() {
        let document = read("inner:\n  items:\n  - colour: red\n    name: a\n  - name: b\n");
        assert_eq!(list(&document), [(4, 5, "unknown key `colour`")]);
        let items = document.value.and_then(|v| v.inner).map(|i| i.items.len());
        assert_eq!(items, Some(2));
    }

    #[test]
    fn wrong_types_are_reported_with_the_others_and_are_not_missing() {
        let document = read("title: T\ncount: twenty\ndraft: perhaps\n");
        assert_eq!(
            list(&document),
            [(3, 8, "expected a whole number, 0 or more"), (4, 8, "expected `true` or `false`")]
        );
        assert_eq!(document.unusable, ["count", "draft"]);
        assert_eq!(document.value.and_then(|v| v.title).as_deref(), Some("T"));
    }

    #[test]
    fn a_colon_in_a_title_gets_the_advice_to_quote_it() {
        let document = read("title: Breaking: the news\n");
        assert_eq!(document.problems.len(), 1);
        assert_eq!(
            document.problems[0].help.as_deref(),
            Some("put the value in quotation marks: `title: \"Breaking: the news\"`")
        );
        assert_eq!(document.problems[0].place.line, 2);
    }

    #[test]
    fn duplicate_keys_tabs_and_open_quotes_are_told_with_their_line() {
        let duplicate = read("title: a\ntitle: b\n");
        assert_eq!(list(&duplicate), [(3, 1, "the key `title` stands here a second time")]);
        let tab = read("inner:\n\tname: x\n");
        assert!(tab.problems[0].help.as_deref().is_some_and(|h| h.contains("tabs")), "{tab:?}");
        let open = read("title: \"never closed\ncount: 1\n");
        assert_eq!(open.problems.len(), 1, "{open:?}");
    }

    #[test]
    fn words_that_look_like_other_types_stay_text() {
        for word in ["no", "on", "010", "1.10", "2026", "12:30:45", "2026-02-24"] {
            let document = read(&format!("title: {word}\n"));
            assert_eq!(document.value.and_then(|v| v.title).as_deref(), Some(word));
        }
    }

    #[test]
    fn laughs_by_the_billion_and_deep_nesting_are_refused_quickly() {
        let mut laughs = String::from("tags: [a]\nx0: &x0 [a,a,a,a,a,a,a,a,a]\n");
        for i in 1..12 {
            let items = vec![format!("*x{}", i - 1); 9].join(",");
            laughs.extend([format!("x{i}: &x{i} [{items}]\n")]);
        }
        assert!(!read(&laughs).problems.is_empty());
        assert!(!read(&format!("tags: {}", "[".repeat(20_000))).problems.is_empty());
    }

    #[test]
    fn nothing_and_comments_only_are_an_empty_document() {
        for text in ["", "\n\n", "# nothing\n"] {
            assert_eq!(read(text).value, Some(Sample::default()));
        }
    }

    #[test]
    fn a_path_leads_to_the_very_value() {
        let source =
            Source { text: "inner:\n  items:\n    - name: a\n    - {name: bad}\n", file: "c.yaml", first_line: 1 };
        let problem = source.problem("inner.items.1.name", "wrong".into());
        assert_eq!((problem.place.line, problem.place.column, problem.span), (4, 14, 3));
        let missing = source.problem("inner.items.0.other", "missing".into());
        assert_eq!(missing.place.line, 3);
    }
}
