//! One file a command. The only module that knows the configuration and the stores.

mod build;
mod check;
mod context;
mod edition;
mod editors;
mod dkim;
mod doctor;
mod due;
mod failures;
mod keys;
mod ledger;
mod mailing;
mod material;
mod output;
mod preview;
mod progress;
mod publish;
mod returns;
mod run;
mod schedule;
mod send;
mod serve;
mod standby;
mod subscribers;
mod turn;
mod watch;
mod work;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Failure;

/// From a folder of articles to feeds and a delivered digest.
#[derive(Debug, Parser)]
#[command(name = "pressrun", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The configuration; its folder is the newsroom's
    #[arg(long, global = true, value_name = "FILE", default_value = "config.yaml", env = "PRESSRUN_CONFIG")]
    config: PathBuf,
    /// Send elsewhere than the configuration says: directory:FOLDER, smtp://HOST:PORT, smtps://HOST:PORT
    #[arg(long, global = true, value_name = "ADDRESS", env = "PRESSRUN_TRANSPORT")]
    transport: Option<String>,
    /// Print JSON, one object a line, for machines
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing but problems
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the feeds; seal and send every digest that is due (for cron and timers)
    Run(run::Arguments),
    /// Build the feeds
    Build(build::Arguments),
    /// List every problem in the configuration, the articles and the templates
    Check(check::Arguments),
    /// See what the next edition of a digest would look like
    Preview(preview::Arguments),
    /// When each digest is due next, and what waits
    Schedule(schedule::Arguments),
    /// List, show, make, edit, approve or withdraw editions
    Edition(edition::Arguments),
    /// Send a digest's approved editions, or a test of the next one
    Send(send::Arguments),
    /// Send approved editions until stopped; with the ledger on a server, on any number of machines
    Work(work::Arguments),
    /// Import, list, add, remove or export subscribers
    Subscribers(subscribers::Arguments),
    /// Who got what, when, and what the server said
    Ledger(ledger::Arguments),
    /// Serve the feeds and the public pages over HTTP, and do what `run` does at its time
    Serve(serve::Arguments),
    /// Send what has changed in the feeds to folders and buckets, and tell the hubs
    Publish(publish::Arguments),
    /// Read mail that came back: bounces, complaints, who unsubscribes by mail
    Returns(returns::Arguments),
    /// See what stands in the way of mails that arrive: DNS, mail server, ledger, clock, the mails themselves
    Doctor(doctor::Arguments),
    /// Keys that mails are signed with
    Dkim(dkim::Arguments),
}

/// Runs the command of this process; answers its exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.common.json);
    let common = &arguments.common;
    let done = match arguments.command {
        Command::Run(a) => run::run(common, &a),
        Command::Build(a) => build::run(common, &a),
        Command::Check(a) => check::run(common, &a),
        Command::Preview(a) => preview::run(common, &a),
        Command::Schedule(a) => schedule::run(common, &a),
        Command::Edition(a) => edition::run(common, a),
        Command::Send(a) => send::run(common, &a),
        Command::Work(a) => work::run(common, &a),
        Command::Subscribers(a) => subscribers::run(common, a),
        Command::Ledger(a) => ledger::run(common, a),
        Command::Serve(a) => serve::run(common, &a),
        Command::Publish(a) => publish::run(common, &a),
        Command::Returns(a) => returns::run(common, &a),
        Command::Doctor(a) => doctor::run(common, &a),
        Command::Dkim(a) => dkim::run(common, &a),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(common, &failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// The log goes to standard error, warnings and worse, unless `PRESSRUN_LOG` says otherwise; for machines, an object of JSON
/// a line.
fn start_log(json: bool) {
    use tracing::Level;
    use tracing_subscriber::{
        EnvFilter, Layer, filter::filter_fn, fmt::layer, layer::SubscriberExt, util::SubscriberInitExt,
    };
    let filter = EnvFilter::try_from_env("PRESSRUN_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // Libraries write out what they work on, readers' addresses too, where they are asked for details.
    let ours = filter_fn(|event| event.target().starts_with("pressrun") || *event.level() <= Level::INFO);
    let lines = layer().with_writer(std::io::stderr);
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(filter).with(ours).with(lines).init();
}

/// What a command answers.
pub(crate) type Done = Result<(), Failure>;
