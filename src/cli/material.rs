//! The articles, and the feeds that are built from them.

use chrono::Utc;
use std::path::PathBuf;

use super::context::{Context, Store};
use super::{Common, failures, output};
use crate::digest::Digest;
use crate::digest::render::Templates;
use crate::error::{Failure, Kind};
use crate::feed::page;
use crate::incremental::{self, Busy, Need, Setup};
use crate::newsroom::{Bodies, Newsroom, Problem, Severity};
use crate::press::seal::Desk;
use crate::publish::build::BuildReport;
use crate::source::Purpose;
use crate::source::register::{self, Ids};
use crate::{publish, source};

/// Where articles come from, if not from the configured folder.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Articles {
    /// Read articles as JSON Lines from this file instead of the folder; `-` is standard input
    #[arg(long = "articles", value_name = "FILE")]
    pub(super) stream: Option<PathBuf>,
}

/// What the articles say.
pub(crate) struct Material {
    pub(crate) newsroom: Newsroom,
    pub(crate) bodies: Box<dyn Bodies>,
    pub(crate) problems: Vec<Problem>,
}

impl Material {
    /// How many articles stay out because of their problems.
    pub(crate) fn errors(&self) -> usize {
        count_errors(&self.problems)
    }

    /// Reads the articles to look at them, and writes nothing.
    pub(crate) fn look(common: &Common, context: &Context, articles: &Articles) -> Result<Self, Failure> {
        let (material, _) = Self::read_to(Purpose::Look, context, articles)?;
        output::problems(common, &material.problems);
        Ok(material)
    }

    /// Reads the articles for an edition, and keeps the ids of those that are new.
    pub(crate) fn read(common: &Common, context: &Context, articles: &Articles) -> Result<Self, Failure> {
        let waiting = waiting(common, context);
        let (material, mut ids) = Self::read_to(Purpose::Publish(&|| waiting(Busy::Register)), context, articles)?;
        ids.save()?;
        output::problems(common, &material.problems);
        Ok(material)
    }

    fn read_to(purpose: Purpose<'_>, context: &Context, articles: &Articles) -> Result<(Self, Ids), Failure> {
        let options = context.settings.source();
        match &articles.stream {
            None => Ok(Self::of(source::directory::read(&options, Utc::now(), purpose)?)),
            Some(path) => {
                let file = (path.as_os_str() != "-").then(|| Context::here(path));
                Ok(Self::of(source::stream::read(&options, file.as_deref(), Utc::now(), purpose)?))
            }
        }
    }

    fn of<B: Bodies + 'static>(read: source::Material<B>) -> (Self, Ids) {
        let source::Material { newsroom, bodies, problems, ids, .. } = read;
        (Material { newsroom, bodies: Box::new(bodies), problems }, ids)
    }

    /// Builds the feeds of what is in memory.
    fn publish(&self, common: &Common, context: &Context) -> Result<BuildReport, Failure> {
        let settings = &context.settings;
        let templates = feed_templates(context)?;
        let waiting = waiting(common, context);
        publish::build::build(&self.newsroom, self.bodies.as_ref(), &settings.feed, &templates, &settings.feeds, || {
            waiting(Busy::Feeds);
        })
        .map_err(|error| failures::build(common, error))
    }

    /// The desk that makes editions of a digest.
    pub(crate) fn desk<'a>(
        &'a self,
        context: &'a Context,
        store: &'a Store,
        digest: &'a Digest,
        templates: &'a Templates,
    ) -> Desk<'a, crate::store::Store> {
        Desk {
            editions: store.as_ref(),
            newsroom: &self.newsroom,
            bodies: self.bodies.as_ref(),
            digest,
            templates,
            public: &context.settings.public.url,
        }
    }
}

/// What a build left.
pub(crate) struct Built {
    /// Always there where it was [`Need::Newsroom`].
    pub(crate) material: Option<Material>,
    /// How many articles and texts have problems.
    pub(crate) errors: usize,
}

/// Reads what changed and builds the feeds. With `strict`, nothing is written where there is a problem with an article.
pub(crate) fn build(
    common: &Common,
    context: &Context,
    articles: &Articles,
    need: Need,
    strict: bool,
) -> Result<Built, Failure> {
    let refuse = |errors: usize| {
        if strict && errors > 0 {
            let hint = "nothing was written, because of --strict";
            return Err(output::found(errors, Kind::Material).hint(hint));
        }
        Ok(())
    };
    if articles.stream.is_some() {
        let waiting = waiting(common, context);
        let (material, mut ids) = Material::read_to(Purpose::Publish(&|| waiting(Busy::Register)), context, articles)?;
        output::problems(common, &material.problems);
        refuse(material.errors())?;
        ids.save()?;
        let report = material.publish(common, context)?;
        tell(common, context, &report, material.newsroom.articles.len());
        let errors = material.errors() + count_errors(&report.problems);
        return Ok(Built { material: Some(material), errors });
    }
    let templates = feed_templates(context)?;
    let source = context.settings.source();
    let setup = setup(context, &source, &templates);
    let work = incremental::prepare(setup, need, Utc::now, waiting(common, context));
    let work = work.map_err(|refused| failures::refused(common, refused))?;
    output::problems(common, work.problems());
    let errors = count_errors(work.problems());
    refuse(errors)?;
    let built = work.publish().map_err(|refused| failures::refused(common, refused))?;
    tell(common, context, &built.report, built.articles);
    let errors = errors + count_errors(&built.report.problems);
    let material = built.material.map(|read| Material {
        newsroom: read.newsroom,
        bodies: Box::new(read.bodies) as Box<dyn Bodies>,
        problems: read.problems,
    });
    Ok(Built { material, errors })
}

/// What a build depends on.
pub(crate) fn setup<'a>(
    context: &'a Context,
    source: &'a source::Options,
    templates: &'a page::Templates,
) -> Setup<'a> {
    let settings = &context.settings;
    Setup { source, feed: &settings.feed, templates, folder: &settings.feeds, cache: &settings.cache }
}

/// Tells that another run is waited for.
pub(crate) fn waiting<'a>(common: &'a Common, context: &'a Context) -> impl Fn(Busy) + 'a {
    let settings = &context.settings;
    move |busy| {
        let (at, told) = match busy {
            Busy::Feeds => {
                let folder = context.shown(&settings.feeds);
                (format!("{folder}/"), format!("another build is at work in {folder}/: waiting for it"))
            }
            Busy::Register => {
                let file = context.shown(&settings.articles.join(register::FILE_NAME));
                let told = format!("another run is writing ids into {file}: waiting for it");
                (file, told)
            }
        };
        output::line(common, "feeds", told);
        output::event(common, &serde_json::json!({ "event": "waiting", "for": at }));
    }
}

fn count_errors(problems: &[Problem]) -> usize {
    problems.iter().filter(|p| p.severity == Severity::Error).count()
}

/// Tells what a build did.
pub(crate) fn tell(common: &Common, context: &Context, report: &BuildReport, articles: usize) {
    output::problems(common, &report.problems);
    output::event(
        common,
        &serde_json::json!({ "event": "feeds", "documents": report.documents, "written": report.written,
        "unchanged": report.unchanged, "removed": report.removed }),
    );
    let articles = output::count(articles as u64, "article");
    let files = output::count(report.documents as u64, "file");
    let told = match (report.written, report.removed) {
        (0, 0) => format!("{files} of {articles}, none changed"),
        (written, 0) => format!("{files} of {articles}, {} written", output::grouped(written as u64)),
        (written, removed) => {
            let (written, removed) = (output::grouped(written as u64), output::grouped(removed as u64));
            format!("{files} of {articles}, {written} written, {removed} removed")
        }
    };
    output::line(common, "feeds", format!("{told} → {}/index.html", context.shown(&context.settings.feeds)));
}

/// The templates of the feeds' pages: the newsroom's own where there is one, otherwise the embedded.
pub(crate) fn feed_templates(context: &Context) -> Result<page::Templates, Failure> {
    let own = |(name, embedded): (&'static str, &'static str)| -> Result<(String, String), Failure> {
        let path = context.settings.templates.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((context.shown(&path), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((name.to_owned(), embedded.to_owned())),
            Err(error) => Err(failures::file("cannot read the template", &path, &error)),
        }
    };
    let [index, section, style] = [own(page::INDEX)?, own(page::SECTION)?, own(page::STYLE)?];
    let texts = [&index, &section, &style].map(|(file, text)| (file.as_str(), text.as_str()));
    Ok(page::Templates::new(texts[0], texts[1], texts[2]))
}
