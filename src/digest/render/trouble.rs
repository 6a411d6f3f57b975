//! What is wrong with a template, and where.

use handlebars::{RenderError, RenderErrorReason, TemplateError, TemplateErrorReason};
use serde_json::Value;

use crate::newsroom::{Place, Problem};

/// A template as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// As a person would name it.
    pub(super) file: String,
    /// What stands in it.
    pub(super) text: String,
}

impl Source {
    /// A problem at a place; line from 1, column from 0 as handlebars counts. `name`, where it stands in the line from there
    /// on, is what the caret shows.
    fn problem(&self, at: Option<(usize, usize)>, name: Option<&str>, what: String, help: Option<String>) -> Problem {
        let (line_number, column) = at.unwrap_or((0, 0));
        let line = line_number.checked_sub(1).and_then(|n| self.text.lines().nth(n)).unwrap_or_default();
        let start = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        let found = name.and_then(|name| Some((start + line[start..].find(name)?, name.chars().count())));
        let (start, span) = found.unwrap_or((start, 1));
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = Place {
            file: self.file.clone(),
            line: number(line_number),
            column: if line_number == 0 { 0 } else { number(line[..start].chars().count() + 1) },
        };
        let problem = Problem::at(place, number(span), line, what);
        Problem { help, ..problem }
    }

    /// A problem with the whole file.
    pub(super) fn whole(&self, what: impl Into<String>, help: impl Into<String>) -> Problem {
        self.problem(None, None, what.into(), Some(help.into()))
    }
}

/// A folder of templates lacks a file.
pub(super) fn missing(folder: &str, name: &str) -> Problem {
    let source = Source { file: format!("templates/{folder}/{name}"), text: String::new() };
    source.whole(
        format!("the template `{folder}` has no file `{name}`"),
        "write it (docs/TEMPLATES.md tells how), or use `template: digest`, which comes with Pressrun",
    )
}

/// A template that is no Handlebars.
pub(super) fn unreadable(source: &Source, error: &TemplateError) -> Problem {
    let at = error.pos();
    let (what, help, name) = match error.reason() {
        TemplateErrorReason::MismatchingClosedHelper(open, close)
        | TemplateErrorReason::MismatchingClosedDecorator(open, close) => {
            let (open, close) = (bare(open), bare(close));
            (
                format!("`{{{{#{open}}}}}` is open, but `{{{{/{close}}}}}` closes"),
                format!("close it with `{{{{/{open}}}}}`"),
                Some(close),
            )
        }
        TemplateErrorReason::InvalidSyntax(_) => {
            let unclosed = unclosed_block(&source.text);
            let what = match &unclosed {
                Some((name, line)) => format!("`{{{{#{name}}}}}` of line {line} is never closed"),
                None => "this is no Handlebars".to_owned(),
            };
            let help = match unclosed {
                Some((name, _)) => format!("close it with `{{{{/{name}}}}}`"),
                None => "look for a brace too few or too many, or a quotation mark that is open".to_owned(),
            };
            (what, help, None)
        }
        other => (other.to_string(), "docs/TEMPLATES.md shows how templates are written".to_owned(), None),
    };
    source.problem(at, name.as_deref(), what, Some(help))
}

/// handlebars names blocks as it prints them in debug form.
fn bare(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}

/// The last block that is opened and not closed, with its line.
fn unclosed_block(text: &str) -> Option<(String, usize)> {
    let mut open: Vec<(String, usize)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for tag in line.split("{{").skip(1) {
            let tag = tag.trim_start_matches('~').split("}}").next().unwrap_or_default();
            let name = |t: &str| t.split_whitespace().next().unwrap_or_default().trim_matches('~').to_owned();
            if let Some(block) = tag.strip_prefix('#') {
                open.push((name(block), index + 1));
            } else if tag.starts_with('/') {
                open.pop();
            }
        }
    }
    open.pop()
}

/// A template that asks for what is not there.
pub(super) fn unfillable(source: &Source, error: &RenderError, known: &Value) -> Problem {
    let at = error.line_no.zip(error.column_no);
    let list = "docs/TEMPLATES.md lists what there is".to_owned();
    let (name, what, help) = match error.reason() {
        RenderErrorReason::MissingVariable(Some(path)) => {
            let help = match suggestion(path, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => list,
            };
            (Some(path.clone()), format!("unknown name `{path}`"), help)
        }
        RenderErrorReason::HelperNotFound(name) => (Some(name.clone()), format!("unknown helper `{name}`"), list),
        RenderErrorReason::PartialNotFound(name) => (
            Some(name.clone()),
            format!("unknown partial `{name}`"),
            "a template is one file; parts of it can be named with `{{#*inline \"name\"}}`".to_owned(),
        ),
        RenderErrorReason::CannotIncludeSelf => {
            (None, "the template includes itself".to_owned(), "take the `{{> …}}` out".to_owned())
        }
        other => (None, other.to_string(), list),
    };
    source.problem(at, name.as_deref(), what, Some(help))
}

/// The known name that a person most likely meant.
fn suggestion(path: &str, known: &Value) -> Option<String> {
    fn names(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    found.push(name.clone());
                    names(value, found);
                }
            }
            Value::Array(values) => values.iter().for_each(|v| names(v, found)),
            _ => {}
        }
    }
    let mut candidates = Vec::new();
    names(known, &mut candidates);
    let last = path.rsplit(['.', '/']).next()?;
    let (distance, name) = candidates.into_iter().map(|name| (strsim::damerau_levenshtein(last, &name), name)).min()?;
    (distance <= last.chars().count().div_ceil(3)).then(|| format!("{}{name}", &path[..path.len() - last.len()]))
}

/// What no mail program shows: active elements, outside styles, addresses without a host.
pub(super) fn unfit_for_mail(source: &Source) -> Vec<Problem> {
    const ELEMENTS: [(&str, &str); 5] = [
        ("<script", "no mail program runs scripts; take it out"),
        ("<iframe", "no mail program shows other pages; link to the page instead"),
        ("<form", "most mail programs take forms out; link to a page instead"),
        ("<link", "mail programs do not fetch style sheets; write the rules into a `<style>`"),
        ("<base", "mail programs take it out; write every address in full"),
    ];
    let mut problems = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let lower = line.to_ascii_lowercase();
        let mut add = |at: usize, name: &str, what, help: &str| {
            let column = line[..at].chars().count();
            problems.push(source.problem(Some((index + 1, column)), Some(name), what, Some(help.to_owned())));
        };
        for (element, help) in ELEMENTS {
            if let Some(at) = lower.find(element)
                && !lower[at + element.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
            {
                add(at, &line[at..at + element.len()], format!("`{element}>` in a mail"), help);
            }
        }
        for attribute in [" src=\"", " href=\"", " background=\""] {
            for (at, _) in lower.match_indices(attribute) {
                let value = line[at + attribute.len()..].split('"').next().unwrap_or_default();
                let whole = ["https://", "http://", "mailto:", "tel:", "{{"].iter().any(|s| value.starts_with(s));
                if !whole {
                    let help =
                        "a mail has no page that it could be relative to; write the address in full, with https://";
                    add(at + attribute.len(), value, format!("the address `{value}` leads nowhere from a mail"), help);
                }
            }
        }
    }
    problems
}
