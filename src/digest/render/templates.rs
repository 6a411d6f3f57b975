//! Templates: the embedded ones, a newsroom's own, and what is wrong with them.

use handlebars::{
    Context as Values, Handlebars, Helper, HelperDef, HelperResult, JsonTruthy, Output, RenderContext,
    RenderErrorReason, Renderable, no_escape,
};
use serde::Serialize;

use super::context::TEXT_WIDTH;
use super::trouble::{self, Source};
use crate::digest::Digest;
use crate::newsroom::Problem;

/// The folder whose templates are embedded.
pub const EMBEDDED: &str = "digest";
/// The files of a folder of templates.
pub const FILES: [&str; 2] = ["body.html.hbs", "body.txt.hbs"];

const EMBEDDED_HTML: &str = include_str!("../../../templates/digest/body.html.hbs");
const EMBEDDED_TEXT: &str = include_str!("../../../templates/digest/body.txt.hbs");

/// A newsroom's own template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFile {
    /// As a person would name it: `templates/digest/body.html.hbs`.
    pub file: String,
    /// What stands in it.
    pub text: String,
}

impl TemplateFile {
    /// Why it is no template.
    pub fn unreadable(&self, error: &handlebars::TemplateError) -> Problem {
        trouble::unreadable(&self.source(), error)
    }

    /// Why it cannot be filled with what is `known`.
    pub fn unfillable(&self, error: &handlebars::RenderError, known: &serde_json::Value) -> Problem {
        trouble::unfillable(&self.source(), error, known)
    }

    /// Parts of it that include each other in a circle, or whose names are only made while rendering.
    pub fn circles(&self) -> Vec<Problem> {
        trouble::circles(&self.source())
    }

    /// Something is wrong with it as a whole.
    pub fn problem(&self, what: impl Into<String>, help: &str) -> Problem {
        self.source().whole(what, help)
    }

    fn source(&self) -> Source {
        Source { file: self.file.clone(), text: self.text.clone() }
    }
}

/// A newsroom's own templates, as far as there are any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `body.html.hbs`.
    pub html: Option<TemplateFile>,
    /// `body.txt.hbs`.
    pub text: Option<TemplateFile>,
}

/// The templates of one digest, read and tried.
#[derive(Debug)]
pub struct Templates {
    html: Handlebars<'static>,
    text: Handlebars<'static>,
    sources: Vec<Source>,
}

/// One of a digest's templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Subject,
    Preheader,
    Html,
    Text,
}

impl Which {
    const ALL: [Which; 4] = [Which::Subject, Which::Preheader, Which::Html, Which::Text];

    pub(super) fn name(self) -> &'static str {
        match self {
            Which::Subject => "subject",
            Which::Preheader => "preheader",
            Which::Html => FILES[0],
            Which::Text => FILES[1],
        }
    }
}

impl Templates {
    /// Reads a digest's templates and tries them on a specimen, so that no mistake waits for the hour of the mail.
    ///
    /// `overrides` are the newsroom's own; what is missing is the embedded one for the folder `digest`, and a problem for
    /// any other.
    ///
    /// # Errors
    /// All that is wrong: a missing file, what cannot be read, an unknown name, a link that has no host, no way to leave.
    pub fn new(digest: &Digest, overrides: Overrides) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut body = |own: Option<TemplateFile>, name: &str, embedded: &str| match own {
            Some(own) => own,
            None if digest.template == EMBEDDED => {
                TemplateFile { file: format!("templates/{EMBEDDED}/{name}"), text: embedded.to_owned() }
            }
            None => {
                problems.push(trouble::missing(&digest.template, name));
                TemplateFile { file: String::new(), text: String::new() }
            }
        };
        let html = body(overrides.html, FILES[0], EMBEDDED_HTML);
        let text = body(overrides.text, FILES[1], EMBEDDED_TEXT);
        if !problems.is_empty() {
            return Err(problems);
        }
        let pattern = |name: &str, pattern: &str| Source {
            file: format!("config.yaml ({name} of digest {})", digest.slug),
            text: pattern.to_owned(),
        };
        let sources = vec![
            pattern("subject", &digest.subject),
            pattern("preheader", &digest.preheader),
            Source { file: html.file, text: html.text },
            Source { file: text.file, text: text.text },
        ];
        let mut templates = Templates { html: registry(), text: registry(), sources };
        templates.text.register_escape_fn(no_escape);
        templates.text.register_helper("heading", Box::new(Heading));
        templates.text.register_helper("wrap", Box::new(Wrap));
        for which in Which::ALL {
            let source = templates.sources[which as usize].clone();
            let registry = if which == Which::Html { &mut templates.html } else { &mut templates.text };
            if let Err(error) = registry.register_template_string(which.name(), &source.text) {
                problems.push(trouble::unreadable(&source, &error));
            }
            problems.extend(trouble::circles(&source));
            if which == Which::Html {
                problems.extend(trouble::unfit_for_mail(&source));
            }
        }
        if problems.is_empty() {
            problems = super::trial(digest, &templates);
        }
        if problems.is_empty() { Ok(templates) } else { Err(problems) }
    }

    /// Fills in one template.
    pub(super) fn fill(&self, which: Which, values: &impl Serialize) -> Result<String, Problem> {
        let registry = if which == Which::Html { &self.html } else { &self.text };
        registry.render(which.name(), values).map_err(|error| {
            let known = serde_json::to_value(values).unwrap_or_default();
            trouble::unfillable(self.source(which), &error, &known)
        })
    }

    /// A template as it was written.
    pub(super) fn source(&self, which: Which) -> &Source {
        &self.sources[which as usize]
    }
}

/// One template of plain text that stands by itself.
#[derive(Debug)]
pub struct PlainTemplate {
    registry: Handlebars<'static>,
    source: Source,
}

impl PlainTemplate {
    const NAME: &str = "text";

    /// Reads a template.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(file: TemplateFile) -> Result<Self, Vec<Problem>> {
        let source = Source { file: file.file, text: file.text };
        let mut registry = registry();
        registry.register_escape_fn(no_escape);
        let mut problems = trouble::circles(&source);
        if let Err(error) = registry.register_template_string(Self::NAME, &source.text) {
            problems.push(trouble::unreadable(&source, &error));
        }
        if problems.is_empty() { Ok(PlainTemplate { registry, source }) } else { Err(problems) }
    }

    /// Fills it in.
    ///
    /// # Errors
    /// A name that is unknown.
    pub fn fill(&self, values: &impl Serialize) -> Result<String, Problem> {
        self.registry.render(Self::NAME, values).map_err(|error| {
            let known = serde_json::to_value(values).unwrap_or_default();
            trouble::unfillable(&self.source, &error, &known)
        })
    }

    /// Something is wrong with it as a whole.
    pub fn problem(&self, what: &str, help: &str) -> Problem {
        self.source.whole(what, help)
    }
}

fn registry() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_helper("if", Box::new(StrictIf { wanted: true }));
    registry.register_helper("unless", Box::new(StrictIf { wanted: false }));
    registry.unregister_helper("log");
    registry
}

/// `if` and `unless` that know when a name is unknown (handlebars-rust#579); handlebars' own take it for "no".
struct StrictIf {
    wanted: bool,
}

impl HelperDef for StrictIf {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        values: &'rc Values,
        state: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let value = helper.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("if", 0))?;
        if value.is_value_missing() {
            return Err(RenderErrorReason::MissingVariable(value.relative_path().cloned()).into());
        }
        let holds = value.value().is_truthy(false) == self.wanted;
        let block = if holds { helper.template() } else { helper.inverse() };
        block.map_or(Ok(()), |block| block.render(registry, values, state, out))
    }
}

/// A helper's first value as text.
fn text_of(helper: &Helper, name: &'static str) -> Result<String, handlebars::RenderError> {
    let value = helper.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex(name, 0))?;
    if value.is_value_missing() {
        return Err(RenderErrorReason::MissingVariable(value.relative_path().cloned()).into());
    }
    Ok(value.render())
}

/// `{{heading title "="}}`: wrapped, and underlined with the sign.
struct Heading;

impl HelperDef for Heading {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Values,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let lines = wrapped(&text_of(helper, "heading")?);
        let sign = helper.param(1).map_or_else(|| "=".to_owned(), handlebars::PathAndJson::render);
        let width = lines.iter().map(|l| l.chars().count()).max().unwrap_or_default();
        out.write(&format!("{}\n{}", lines.join("\n"), sign.repeat(width)))?;
        Ok(())
    }
}

/// `{{wrap summary}}`: wrapped.
struct Wrap;

impl HelperDef for Wrap {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Values,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        out.write(&wrapped(&text_of(helper, "wrap")?).join("\n"))?;
        Ok(())
    }
}

/// Lines of at most [`TEXT_WIDTH`] characters; a longer word has a line of its own.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if width + 1 + length <= TEXT_WIDTH => {
                line.push(' ');
                line.push_str(word);
                width += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                width = length;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_exactly_the_width_is_not_broken() {
        let word = "a".repeat(TEXT_WIDTH - 2);
        assert_eq!(wrapped(&format!("{word} b")).len(), 1);
        assert_eq!(wrapped(&format!("{word} bb")).len(), 2);
        assert_eq!(wrapped(&"a".repeat(TEXT_WIDTH * 2)).len(), 1);
        assert!(wrapped(" \n ").is_empty());
    }
}
