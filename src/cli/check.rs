//! `pressrun check`.

use super::context::Context;
use super::material::{Articles, Material};
use super::{Common, Done, editors, output, serve};
use crate::config::signing;
use crate::error::Kind;
use crate::feed::plan::Plan;
use crate::newsroom::Problem;
use crate::publish::readback::read_back;
use crate::web::public;

/// Arguments of `pressrun check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Read the built feeds as a feed reader does, and compare them with the articles
    #[arg(long)]
    feeds: bool,
    #[command(flatten)]
    articles: Articles,
}

/// Lists every problem in one run.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let material = Material::look(common, &context, &arguments.articles)?;
    let mut problems: Vec<Problem> =
        material.newsroom.articles.iter().filter_map(|a| material.bodies.body(a).err()).collect();
    for digest in &context.settings.digests {
        match context.templates(digest) {
            Ok(_) => {}
            Err(found) => problems.extend(found),
        }
    }
    if let Err(failure) = signing::signer(&context.settings.dkim) {
        let because = failure.because.map(|cause| format!(": {cause}")).unwrap_or_default();
        let problem = Problem::new(context.shown(&common.config), format!("{}{because}", failure.what));
        problems.push(problem.help(failure.hint.unwrap_or_default()));
    }
    if arguments.feeds {
        let settings = &context.settings;
        let plan = Plan::of(&material.newsroom, &settings.feed);
        let name = context.shown(&settings.feeds);
        problems.extend(read_back(&material.newsroom, &plan, material.bodies.as_ref(), &settings.feeds, &name));
    }
    let settings = &context.settings;
    problems.extend(public::check(&serve::own(&context)?, &settings.masthead.language, &settings.public.return_path));
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
