//! `pressrun publish`: the built feeds to where the readers are.

use super::context::Context;
use super::{Common, Done, output};
use crate::config::PublishSettings;
use crate::error::{Failure, Kind};
use crate::publish::bucket::{self, Bucket};
use crate::publish::folder::Folder;
use crate::publish::run::{Publication, Report, publish, rehearse};
use crate::publish::websub::{Patience, PingError};
use crate::publish::{Address, PublishError, Target};

/// Arguments of `pressrun publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only to this target, as the configuration writes it; without it: to all
    target: Option<String>,
    /// Say what would be sent and removed, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove what was published once and is no longer there
    #[arg(long)]
    delete: bool,
}

/// Publishes to every target; one that fails does not keep the others waiting.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let all = &context.settings.publish;
    let wanted = |target: &&PublishSettings| arguments.target.as_ref().is_none_or(|name| *name == target.to);
    let targets: Vec<_> = all.iter().filter(wanted).collect();
    if targets.is_empty() {
        let known: Vec<&str> = all.iter().map(|target| target.to.as_str()).collect();
        let hint = if known.is_empty() {
            "name one under `publish:`".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        return Err(Failure::new(Kind::Usage, "the configuration has no such target").hint(hint));
    }
    let mut failed = Ok(());
    for target in targets {
        let done = one(common, &context, arguments, target);
        if let Err(failure) = done {
            // The first becomes the exit code; the others are told as they come.
            match failed {
                Ok(()) => failed = Err(failure),
                Err(_) => output::failure(common, &failure),
            }
        }
    }
    failed
}

fn one(common: &Common, context: &Context, arguments: &Arguments, settings: &PublishSettings) -> Done {
    let (target, name) = open(context, settings)?;
    // One record a target; its name is in it, and a record of another name is not believed.
    let slug: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let record = context.settings.root.join("var/publish").join(format!("{slug}.json"));
    let publication = Publication {
        feeds: &context.settings.feeds,
        public: &context.settings.masthead.feeds_url,
        target: &target,
        name: &name,
        record: &record,
        hubs: &context.settings.feed.hubs,
        patience: Patience::default(),
        settle: settings.settle,
        delete: arguments.delete,
    };
    if arguments.dry_run {
        let plan = context.block_on(rehearse(&publication)).map_err(|error| failure(context, &name, &error))?;
        for path in plan.stages.iter().flatten() {
            output::line(common, "would send", path);
            output::event(common, &serde_json::json!({ "event": "would-send", "target": name, "path": path }));
        }
        for path in plan.superfluous.iter().filter(|_| arguments.delete) {
            output::line(common, "would remove", path);
            output::event(common, &serde_json::json!({ "event": "would-remove", "target": name, "path": path }));
        }
        output::line(common, "publish", format!("{} to send to {name}, {} unchanged", plan.to_send(), plan.unchanged));
        return Ok(());
    }
    let report = context.block_on(publish(&publication)).map_err(|error| failure(context, &name, &error))?;
    tell(common, &name, &report);
    match report.untold.len() {
        0 => Ok(()),
        n => Err(Failure::new(Kind::Unavailable, format!("{n} announcements to hubs failed"))
            .hint("the feeds are published; hubs that were away are told by the next pressrun publish")),
    }
}

fn open(context: &Context, settings: &PublishSettings) -> Result<(Target, String), Failure> {
    match &settings.address {
        Address::InPlace => Ok((Target::InPlace, "in-place".to_owned())),
        Address::Folder(folder) => {
            let name = format!("directory:{}", context.shown(folder));
            Ok((Target::Folder(Folder::new(folder.clone())), name))
        }
        Address::Bucket { bucket, prefix } => {
            let options = bucket::Options {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                endpoint: settings.endpoint.clone(),
                region: settings.region.clone(),
                patience: bucket::Patience::default(),
            };
            let name = options.name();
            let bucket = Bucket::open(&options, std::env::vars()).map_err(|error| {
                Failure::new(Kind::Configuration, format!("{name} cannot be used"))
                    .because(error)
                    .hint("credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and an endpoint is https")
            })?;
            Ok((Target::Bucket(bucket), name))
        }
    }
}

fn tell(common: &Common, name: &str, report: &Report) {
    let (sent, removed) = (report.sent.len() as u64, report.removed.len() as u64);
    output::event(
        common,
        &serde_json::json!({ "event": "published", "target": name, "sent": sent, "bytes": report.bytes,
            "removed": removed, "unchanged": report.unchanged, "told": report.told }),
    );
    let told = format!(
        "{} sent to {name}, {} unchanged",
        output::count(sent, "file"),
        output::grouped(report.unchanged as u64)
    );
    let gone = if removed > 0 { format!(", {} removed", output::grouped(removed)) } else { String::new() };
    output::line(common, "publish", format!("{told}{gone}"));
    if !report.superfluous.is_empty() {
        let n = output::count(report.superfluous.len() as u64, "file");
        output::line(common, "", format!("{n} there that we no longer have: --delete removes them"));
    }
    if report.foreign > 0 {
        let n = output::count(report.foreign as u64, "file");
        output::line(common, "", format!("{n} there that we know nothing of; left alone"));
    }
    if report.told > 0 {
        output::line(common, "hubs", format!("{} made", output::count(report.told as u64, "announcement")));
    }
    for (hub, topic, error) in &report.untold {
        let again = if matches!(error, PingError::Unavailable(_)) { "; to be told again" } else { "" };
        output::line(common, "hubs", format!("{hub} not told of {topic}: {error}{again}"));
    }
}

fn failure(context: &Context, name: &str, error: &PublishError) -> Failure {
    let failure = Failure::new(Kind::Unavailable, format!("not everything could be sent to {name}"));
    match error {
        PublishError::File { path, source } => failure
            .because(format!("{}: {source}", context.shown(path)))
            .hint("pressrun build makes the feeds; the folders must be readable and writable for this user"),
        PublishError::Changed { .. } => {
            failure.because(error).hint("let the builds come to an end: pressrun publish then sends the rest")
        }
        PublishError::Refused { .. } => {
            failure.because(error).hint("what arrived is recorded: pressrun publish sends the rest")
        }
    }
}
