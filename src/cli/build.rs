//! `pressrun build`.

use super::context::Context;
use super::material::{Articles, Material};
use super::{Common, Done, output};
use crate::error::Kind;

/// Arguments of `pressrun build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fail if there is any problem, and write nothing
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    articles: Articles,
}

/// Builds the feeds.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let material = Material::read(common, &context, &arguments.articles)?;
    if arguments.strict && material.errors() > 0 {
        return Err(output::found(material.errors(), Kind::Material).hint("nothing was written, because of --strict"));
    }
    let problems = material.build_feeds(common, &context)?;
    if arguments.strict && problems > 0 {
        return Err(output::found(problems, Kind::Material));
    }
    Ok(())
}
