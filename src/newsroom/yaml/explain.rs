//! Our words for the library's errors.

use serde_saphyr::{Error, Location};

use super::super::problem::{Problem, suggest};
use super::Source;

/// Longer values are not repeated in a suggestion.
const MAX_SHOWN: usize = 80;

/// Our words for the library's error.
pub(super) fn explain(source: Source<'_>, error: &Error, hidden: &[&str]) -> Problem {
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
