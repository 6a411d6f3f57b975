//! What is wrong in the material, and where.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
pub struct Place {
    /// As a person would name it: relative to the configuration's folder, or `standard input`.
    pub file: String,
    /// From 1; 0 where the whole file is meant.
    pub line: u32,
    /// In characters from 1; 0 where the whole line is meant.
    pub column: u32,
}

/// Something wrong in an article, a template, a list or the configuration. Never stops the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// How many characters of the line are meant; at least 1.
    pub span: u32,
    /// The line itself, of a long one the part around the place; empty where the whole file is meant.
    #[serde(rename = "text")]
    pub line: String,
    /// How many characters of the line stand before `line`, where a long line was cut.
    #[serde(skip)]
    pub skipped: u32,
    /// What is wrong: ``unknown section `polticis` ``.
    pub what: String,
    /// What to do: ``did you mean `politics`?``.
    pub help: Option<String>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The material cannot be used as it is: an article stays out, a configuration is refused.
    Error,
    /// It is used; somebody should look at it.
    Warning,
}

/// Longer lines are cut to this many characters around the place.
const MAX_LINE: usize = 120;

/// So many characters are kept before the place when a line is cut.
const BEFORE: usize = 40;

impl Problem {
    /// A problem with a whole file.
    pub fn new(file: impl Into<String>, what: impl Into<String>) -> Self {
        Problem {
            severity: Severity::Error,
            place: Place { file: file.into(), line: 0, column: 0 },
            span: 1,
            line: String::new(),
            skipped: 0,
            what: what.into(),
            help: None,
        }
    }

    /// A problem with `span` characters at a place; `line` is that line's text and is cut when it is long.
    pub fn at(place: Place, span: u32, line: &str, what: impl Into<String>) -> Self {
        let mut problem = Problem { place, span: span.max(1), ..Problem::new("", what) };
        problem.set_line(line);
        problem
    }

    /// The same for a log: neither the line nor what is repeated from it.
    #[must_use]
    pub fn without_text(mut self) -> Self {
        (self.line, self.skipped) = (String::new(), 0);
        if let (Some(first), Some(last)) = (self.what.find('`'), self.what.rfind('`'))
            && first < last
        {
            self.what.replace_range(first + 1..last, "…");
        }
        self
    }

    /// A problem with the bytes `range` of `text`, whose first line is the file's line `first_line`.
    pub fn in_text(
        file: &str,
        text: &str,
        first_line: u32,
        range: std::ops::Range<usize>,
        what: impl Into<String>,
    ) -> Self {
        let start = floor_char(text, range.start.min(text.len()));
        let end = floor_char(text, range.end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let place = Place {
            file: file.to_owned(),
            line: first_line + count(text[..line_start].matches('\n').count()),
            column: 1 + count(text[line_start..start].chars().count()),
        };
        Problem::at(place, count(text[start..end.min(line_end)].trim_end().chars().count()), line, what)
    }

    /// The same, with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Gives a problem the text of its line, cut around the place when it is long.
    pub fn set_line(&mut self, line: &str) {
        let line = line.trim_end_matches(['\n', '\r']);
        let column = self.place.column.max(1) as usize - 1;
        let long = line.chars().nth(MAX_LINE).is_some();
        let skipped = if long { column.saturating_sub(BEFORE) } else { 0 };
        self.skipped = count(skipped);
        self.line = if long { line.chars().skip(skipped).take(MAX_LINE).collect() } else { line.to_owned() };
    }

    /// As it is shown to a person: what, `file:line:column`, the line with a caret below, what to do. Without a line
    /// end at its end.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(MAX_LINE * 4);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let file = visible(&self.place.file);
        let mut group = Group::with_title(level.primary_title(visible(&self.what)));
        if let Some((source, marked)) = self.window() {
            let snippet = Snippet::source(source).line_start(self.place.line as usize).path(file);
            group = group.element(snippet.annotation(AnnotationKind::Primary.span(marked)));
        } else {
            let mut origin = Origin::path(file);
            if self.place.line > 0 {
                origin = origin.line(self.place.line as usize);
                if self.place.column > 0 {
                    origin = origin.char_column(self.place.column as usize);
                }
            }
            group = group.element(origin);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(visible(help)));
        }
        renderer.render(&[group])
    }

    /// The line as shown, and the bytes of it that are meant. What was cut off before is filled with spaces, which the
    /// renderer folds, so that it still counts the true column.
    fn window(&self) -> Option<(String, std::ops::Range<usize>)> {
        if self.place.line == 0 || self.line.trim().is_empty() {
            return None;
        }
        let mut source = " ".repeat(self.skipped as usize);
        source.extend(self.line.chars().map(visible_char));
        let marked = match self.place.column {
            0 => self.skipped as usize..source.len(),
            column => {
                let byte = |n: usize| source.char_indices().nth(n).map_or(source.len(), |(i, _)| i);
                let first = column as usize - 1;
                byte(first)..byte(first + self.span as usize)
            }
        };
        if self.line.chars().count() >= MAX_LINE {
            source.push('…');
        }
        Some((source, marked))
    }
}

/// The closest of `candidates` to what somebody wrote, if it is close enough to be what they meant.
pub fn closest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = written.to_lowercase();
    let allowed = (folded.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `politics`?``, or the list of what is possible.
pub fn suggest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = closest(written, candidates.clone()) {
        format!("did you mean `{candidate}`?")
    } else {
        let all: Vec<String> = candidates.into_iter().map(|c| format!("`{c}`")).collect();
        format!("possible here: {}", all.join(", "))
    }
}

/// Control characters, and those that turn text around, must not reach a terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { visible_char(c) }).collect()
}

fn visible_char(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{FFFD}',
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{FEFF}' => '\u{FFFD}',
        c => c,
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(line: u32, column: u32) -> Place {
        Place { file: "articles/a.md".into(), line, column }
    }

    #[test]
    fn a_problem_shows_the_place_the_line_a_caret_and_what_to_do() {
        let problem = Problem::at(at(3, 10), 8, "section: polticis", "unknown section `polticis`")
            .help("did you mean `politics`?");
        assert_eq!(
            problem.render(false),
            "error: unknown section `polticis`\n --> articles/a.md:3:10\n  |\n3 | section: polticis\n  |          \
             ^^^^^^^^\n  |\n  = help: did you mean `politics`?"
        );
    }

    #[test]
    fn machines_get_a_problem_as_flat_json() {
        let problem = Problem::at(at(3, 10), 8, "section: polticis", "unknown section").warning();
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            "{\"severity\":\"warning\",\"file\":\"articles/a.md\",\"line\":3,\"column\":10,\"span\":8,\
             \"text\":\"section: polticis\",\"what\":\"unknown section\",\"help\":null}"
        );
    }

    #[test]
    fn a_log_gets_the_place_and_the_reason_without_what_stands_there() {
        let problem =
            Problem::at(at(3, 10), 8, "nadia@example.org,nadi`a", "unknown state `nadi`a`").help("write `ended`");
        let text = problem.without_text().render(false);
        assert!(text.contains("articles/a.md:3:10") && text.contains("unknown state `…`"), "{text}");
        assert!(text.contains("write `ended`") && !text.contains("nadi"), "{text}");
    }

    #[test]
    fn a_problem_with_a_whole_file_names_only_the_file() {
        let text = Problem::new("articles/a.md", "the file is empty").render(false);
        assert_eq!(text, "error: the file is empty\n--> articles/a.md");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret_and_the_column_stays_true() {
        let line = format!("{}HERE{}", "x".repeat(5000), "y".repeat(5000));
        let problem = Problem::at(at(7, 5001), 4, &line, "wrong");
        let text = problem.render(false);
        assert!(text.contains("articles/a.md:7:5001"), "{text}");
        assert!(text.lines().all(|l| l.chars().count() < 160), "{text}");
        let caret = text.lines().find(|l| l.contains('^')).unwrap();
        let shown = text.lines().find(|l| l.contains("HERE")).unwrap();
        assert_eq!(
            caret.chars().position(|c| c == '^'),
            shown.chars().collect::<Vec<_>>().windows(4).position(|w| w == ['H', 'E', 'R', 'E'])
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_not_cut() {
        let problem = Problem::at(at(1, 1), 1, &"x".repeat(MAX_LINE), "wrong");
        assert_eq!(problem.line.len(), MAX_LINE);
        assert_eq!(problem.skipped, 0);
    }

    #[test]
    fn control_characters_and_reversed_text_do_not_reach_the_terminal() {
        let problem = Problem::at(at(1, 1), 3, "a\u{1b}[31m\u{202e}b", "bad \u{1b}[2J\u{7}");
        let text = problem.render(false);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    }

    #[test]
    fn bytes_of_a_text_become_line_and_column_in_characters() {
        let problem = Problem::in_text("f", "äöü\nÉa: x\n", 10, 11..12, "wrong");
        assert_eq!((problem.place.line, problem.place.column, problem.line.as_str()), (11, 4, "Éa: x"));
    }

    #[test]
    fn a_suggestion_needs_to_be_close() {
        assert_eq!(closest("polticis", ["politics", "sports"]), Some("politics"));
        assert_eq!(closest("xyz", ["politics", "sports"]), None);
        assert_eq!(suggest("xyz", ["a", "b"]), "possible here: `a`, `b`");
    }
}
