//! `pressrun build`.

use super::context::Context;
use super::material::{self, Articles};
use super::{Common, Done, output, watch};
use crate::error::Kind;
use crate::incremental::Need;

/// Arguments of `pressrun build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fail if there is any problem, and write nothing
    #[arg(long)]
    strict: bool,
    /// Go on, and build again whenever an article is saved; ends with Ctrl-C
    #[arg(long, conflicts_with_all = ["strict", "stream"])]
    watch: bool,
    #[command(flatten)]
    articles: Articles,
}

/// Builds the feeds.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    if arguments.watch {
        return watch::run(common);
    }
    let context = Context::load(common)?;
    let built = material::build(common, &context, &arguments.articles, Need::Feeds, arguments.strict)?;
    if arguments.strict && built.errors > 0 {
        return Err(output::found(built.errors, Kind::Material));
    }
    // The program ends: a hundred thousand articles need not be taken apart one by one.
    std::mem::forget(built);
    Ok(())
}
