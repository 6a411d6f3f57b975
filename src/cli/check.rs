//! `pressrun check`.

use super::context::Context;
use super::material::{Articles, Material};
use super::{Common, Done, editors, output};
use crate::error::Kind;
use crate::newsroom::Problem;

/// Arguments of `pressrun check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    articles: Articles,
}

/// Lists every problem in one run.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let material = Material::read(common, &context, &arguments.articles)?;
    let mut problems: Vec<Problem> =
        material.newsroom.articles.iter().filter_map(|a| material.bodies.body(a).err()).collect();
    for digest in &context.settings.digests {
        match context.templates(digest) {
            Ok(_) => {}
            Err(found) => problems.extend(found),
        }
    }
    problems.extend(editors::templates(&context).err().unwrap_or_default());
    output::problems(common, &problems);
    let articles = material.newsroom.articles.len() as u64;
    let errors = material.errors() + problems.len();
    if errors == 0 {
        output::line(common, "check", format!("{}, no problem", output::count(articles, "article")));
        Ok(())
    } else {
        Err(output::found(errors, Kind::Material))
    }
}
