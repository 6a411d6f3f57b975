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
        let mut problem = Problem::at(place, number(span), line, what);
        problem.help = help;
        problem
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
        TemplateErrorReason::InvalidSyntax(_) => match unmatched_block(&source.text) {
            Some(Unmatched::Open(name, line, column)) => {
                let (what, help) =
                    (format!("`{{{{#{name}}}}}` is never closed"), format!("close it with `{{{{/{name}}}}}`"));
                return source.problem(Some((line, column)), Some(&name), what, Some(help));
            }
            Some(Unmatched::Close(name)) => {
                (format!("`{{{{/{name}}}}}` closes nothing"), "take it out, or open a block before it".to_owned(), None)
            }
            None => (
                "this cannot be read as Handlebars".to_owned(),
                "look for a brace too few or too many, or a quotation mark that is open".to_owned(),
                None,
            ),
        },
        other => (other.to_string(), "docs/TEMPLATES.md shows how templates are written".to_owned(), None),
    };
    source.problem(at, name.as_deref(), what, Some(help))
}

/// handlebars names blocks as it prints them in debug form.
fn bare(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}

/// A block without its other end.
enum Unmatched {
    /// Name, line from 1, column from 0.
    Open(String, usize, usize),
    /// Name.
    Close(String),
}

/// The first end of a block that nothing has opened, or the last block that nothing closes.
fn unmatched_block(text: &str) -> Option<Unmatched> {
    let mut open = Vec::new();
    for tag in tags(text) {
        if let Some(block) = tag.inner.strip_prefix('#') {
            let name = block.trim_start_matches(['>', '*']).split_whitespace().next().unwrap_or_default();
            open.push(Unmatched::Open(name.to_owned(), tag.line, tag.column));
        } else if let Some(name) = tag.inner.strip_prefix('/')
            && open.pop().is_none()
        {
            return Some(Unmatched::Close(name.trim().to_owned()));
        }
    }
    open.pop()
}

/// One `{{…}}`.
struct Mustache<'a> {
    /// What stands between the braces, without `~`.
    inner: &'a str,
    /// Of the braces, from 1.
    line: usize,
    /// Of the braces, in characters from 0.
    column: usize,
}

fn tags(text: &str) -> impl Iterator<Item = Mustache<'_>> {
    text.lines().enumerate().flat_map(|(index, line)| {
        line.match_indices("{{").filter_map(move |(at, _)| {
            let inner = line[at + 2..].split("}}").next()?.trim_matches('~').trim();
            Some(Mustache { inner, line: index + 1, column: line[..at].chars().count() })
        })
    })
}

/// Parts of a template that include each other in a circle: handlebars would follow it until the stack is full. A name that
/// is made while rendering could close a circle too, and so could another file.
pub(super) fn circles(source: &Source) -> Vec<Problem> {
    let bare = |name: &str| name.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']).to_owned();
    let mut problems = Vec::new();
    let mut inside: Vec<Option<String>> = Vec::new();
    let mut includes: Vec<(String, String, usize, usize)> = Vec::new();
    for tag in tags(&source.text) {
        let block = tag.inner.strip_prefix('#');
        if let Some(block) = block {
            inside.push(block.trim_start().strip_prefix("*inline").map(&bare));
        } else if tag.inner.starts_with('/') {
            inside.pop();
        }
        let Some(included) = block.unwrap_or(tag.inner).strip_prefix('>') else { continue };
        let name = bare(included);
        let at = Some((tag.line, tag.column));
        if name.starts_with('(') {
            let help = "write the name of the part itself".to_owned();
            problems.push(source.problem(
                at,
                Some(&name),
                "the name of a part is made up while rendering".into(),
                Some(help),
            ));
        } else if ["subject", "preheader", "body.html.hbs", "body.txt.hbs"].contains(&name.as_str()) {
            let help = "a template is one file; parts of it can be named with `{{#*inline \"name\"}}`".to_owned();
            problems.push(source.problem(
                at,
                Some(&name),
                format!("the template includes the file `{name}`"),
                Some(help),
            ));
        } else if let Some(outer) = inside.iter().rev().flatten().next() {
            includes.push((outer.clone(), name, tag.line, tag.column));
        }
    }
    for (outer, name, line, column) in &includes {
        let mut reached = vec![name];
        let mut next = 0;
        while let Some(part) = reached.get(next).copied() {
            let more = includes.iter().filter(|(from, ..)| from == part).map(|(_, to, ..)| to);
            let more: Vec<_> = more.filter(|to| !reached.contains(to)).collect();
            reached.extend(more);
            next += 1;
        }
        if reached.contains(&outer) {
            let what = format!("the part `{outer}` includes itself by way of `{name}`");
            let help = "take one of the `{{> …}}` out".to_owned();
            problems.push(source.problem(Some((*line, *column)), Some(name), what, Some(help)));
        }
    }
    problems
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
        RenderErrorReason::ParamNotFoundForIndex(helper, _) => (
            Some((*helper).to_owned()),
            format!("`{helper}` lacks what it is about, or asks about a name that is not known here"),
            format!(
                "write it: `{helper} digest.title`; what is not always there comes after an `{{{{#if}}}}` of its own"
            ),
        ),
        other => (None, other.to_string(), list),
    };
    source.problem(at, name.as_deref(), what, Some(help))
}

/// The known name that a person most likely meant. After `digest.` only what a digest has is known.
fn suggestion(path: &str, known: &Value) -> Option<String> {
    fn names<'a>(parent: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                found.push((parent, name));
                names(name, value, found);
            }),
            Value::Array(values) => values.iter().for_each(|value| names(parent, value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names("", known, &mut found);
    let mut parts = path.rsplit(['.', '/']);
    let last = parts.next()?;
    let parent = parts.next().filter(|parent| !parent.is_empty());
    let (distance, name) = found
        .into_iter()
        .filter(|(of, name)| *name != last && parent.is_none_or(|parent| parent == *of))
        .map(|(_, name)| (strsim::damerau_levenshtein(last, name), name))
        .min()?;
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
