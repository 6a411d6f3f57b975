//! The articles, and the feeds that are built from them.

use chrono::Utc;
use std::path::PathBuf;

use super::context::{Context, Store};
use super::{Common, failures, output};
use crate::digest::Digest;
use crate::digest::render::Templates;
use crate::error::{Failure, Kind};
use crate::feed::page;
use crate::newsroom::{Bodies, Newsroom, Problem, Severity};
use crate::press::seal::Desk;
use crate::store::SqliteStore;
use crate::{publish, source};

/// Where articles come from, if not from the configured folder.
#[derive(Debug, clap::Args)]
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
        self.problems.iter().filter(|p| p.severity == Severity::Error).count()
    }

    /// Reads the articles, and keeps the ids of those that are new.
    pub(crate) fn read(common: &Common, context: &Context, articles: &Articles) -> Result<Self, Failure> {
        let options = context.settings.source();
        let now = Utc::now();
        let material = match &articles.stream {
            None => Self::of(source::directory::read(&options, now)?)?,
            Some(path) if path.as_os_str() == "-" => Self::of(source::stream::read(&options, None, now)?)?,
            Some(path) => Self::of(source::stream::read(&options, Some(&Context::here(path)), now)?)?,
        };
        output::problems(common, &material.problems);
        Ok(material)
    }

    fn of<B: Bodies + 'static>(read: source::Material<B>) -> Result<Self, Failure> {
        read.ids.save()?;
        Ok(Material { newsroom: read.newsroom, bodies: Box::new(read.bodies), problems: read.problems })
    }

    /// Builds the feeds; answers how many problems the bodies had.
    pub(crate) fn build_feeds(&self, common: &Common, context: &Context) -> Result<usize, Failure> {
        let settings = &context.settings;
        let templates = feed_templates(common, context)?;
        let folder = context.shown(&settings.feeds);
        let waiting =
            || output::line(common, "feeds", format!("another build is at work in {folder}/: waiting for it"));
        let built = publish::build::build(
            &self.newsroom,
            self.bodies.as_ref(),
            &settings.feed,
            &templates,
            &settings.feeds,
            waiting,
        );
        let report = built.map_err(|error| failures::build(common, error))?;
        output::problems(common, &report.problems);
        output::event(
            common,
            &serde_json::json!({ "event": "feeds", "documents": report.documents, "written": report.written,
            "unchanged": report.unchanged, "removed": report.removed }),
        );
        let articles = output::count(self.newsroom.articles.len() as u64, "article");
        let told = match (report.written, report.removed) {
            (0, 0) => format!("{} of {articles}, none changed", output::count(report.documents as u64, "file")),
            (written, 0) => format!(
                "{} of {articles}, {} written",
                output::count(report.documents as u64, "file"),
                output::grouped(written as u64)
            ),
            (written, removed) => {
                format!(
                    "{} of {articles}, {} written, {} removed",
                    output::count(report.documents as u64, "file"),
                    output::grouped(written as u64),
                    output::grouped(removed as u64)
                )
            }
        };
        output::line(common, "feeds", format!("{told} → {folder}/index.html"));
        Ok(report.problems.iter().filter(|p| p.severity == Severity::Error).count())
    }

    /// The desk that makes editions of a digest.
    pub(crate) fn desk<'a>(
        &'a self,
        context: &'a Context,
        store: &'a Store,
        digest: &'a Digest,
        templates: &'a Templates,
    ) -> Desk<'a, SqliteStore> {
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

/// The templates of the feeds' pages: the newsroom's own where there is one, otherwise the embedded.
fn feed_templates(common: &Common, context: &Context) -> Result<page::Templates, Failure> {
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
    page::Templates::new(texts[0], texts[1], texts[2]).map_err(|problem| {
        output::problems(common, &[problem]);
        output::found(1, Kind::Material).hint("mend the template, or take it away: then the embedded one is used")
    })
}
