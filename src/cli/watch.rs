//! `pressrun build --watch`.

// What happened to files.
mod ear;
// Folders that are watched.
mod root;
// What has to be done about it.
mod task;

use chrono::Utc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use super::context::Context;
use super::{Common, Done, failures, material, output};
use crate::error::{Failure, Kind};
use crate::incremental::{Built, Memory, Need, prepare};
use crate::press::Stop;
use ear::Happened;
use task::{Extent, Task, Watched};

/// Of so many files the names are told.
const NAMED: usize = 12;
/// So long after it failed for a reason that may pass (a full disk) a build is tried again; then after twice as long,
const RETRY: Duration = Duration::from_secs(1);
/// and so on up to this.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// Builds the feeds, and again whenever something is saved, until somebody ends it.
pub(crate) fn run(common: &Common) -> Done {
    let (sender, events) = mpsc::channel();
    end_on_signals(sender.clone())?;
    let mut task = Task::first();
    loop {
        let context = match Context::load(common) {
            Ok(context) => Some(context),
            // At first it must be sound; later, whoever broke it is still at work.
            Err(failure) if task.is_first() => return Err(failure),
            Err(failure) => {
                output::failure(common, &failure);
                None
            }
        };
        let (watched, _watcher) = Watched::start(common, context.as_ref(), sender.clone())?;
        if task.is_first() && context.is_some() && !watched.has_articles() {
            return Err(Failure::new(Kind::Configuration, "there is no folder of articles"));
        }
        if let Some(next) = watched.rest(&events, &task) {
            task = next;
        } else {
            task = match &context {
                Some(context) => rebuild(common, context, &watched, &events, task)?,
                None => watched.wait(&events, None),
            };
        }
        if task.extent == Extent::End {
            return Ok(());
        }
    }
}

/// Builds until the configuration changes, a folder is replaced, or it is time to end.
fn rebuild(
    common: &Common,
    context: &Context,
    watched: &Watched,
    events: &Receiver<Happened>,
    mut task: Task,
) -> Result<Task, Failure> {
    let mut memory: Option<Memory> = None;
    let mut trouble: Option<Trouble> = None;
    loop {
        let started = Instant::now();
        let next = match build(common, context, &task, memory.take()) {
            Ok(built) => {
                tell(common, context, &task, &built, started.elapsed());
                trouble = None;
                memory = built.memory;
                built.next
            }
            Err(failure) if failure.kind == Kind::Bug => return Err(failure),
            // What is wrong can be mended while we watch.
            Err(failure) => {
                let (known, now) = Trouble::after(trouble, failure);
                if !known {
                    output::failure(common, &now.failure);
                }
                let again = now.again.map(|again| Utc::now() + again);
                trouble = Some(now);
                again
            }
        };
        task = watched.wait(events, next);
        if task.extent >= Extent::Anew {
            return Ok(task);
        }
    }
}

fn build(common: &Common, context: &Context, task: &Task, memory: Option<Memory>) -> Result<Built, Failure> {
    let source = context.settings.source();
    let templates = material::feed_templates(context)?;
    let setup = material::setup(context, &source, &templates);
    let waiting = material::waiting(common, context);
    let work = match (task.extent, memory) {
        (Extent::Articles, Some(memory)) => memory.prepare(setup, &task.articles, Utc::now, waiting),
        _ => prepare(setup, Need::Feeds, Utc::now, waiting),
    };
    let work = work.map_err(|refused| failures::refused(common, refused))?;
    output::problems(common, work.problems());
    work.publish().map_err(|refused| failures::refused(common, refused))
}

/// A build that failed, and when to try again.
struct Trouble {
    failure: Failure,
    /// `None` where somebody has to mend a file first, which will be seen.
    again: Option<Duration>,
}

impl Trouble {
    /// Also answers whether the failure is the one that was told before.
    fn after(before: Option<Trouble>, failure: Failure) -> (bool, Trouble) {
        let before = before.filter(|before| before.failure == failure);
        let doubled = before.as_ref().and_then(|before| before.again).map(|again| (again * 2).min(LONGEST_RETRY));
        let again = (failure.kind == Kind::Unavailable).then_some(doubled.unwrap_or(RETRY));
        (before.is_some(), Trouble { failure, again })
    }
}

/// Tells why there was a build, and which files it changed.
fn tell(common: &Common, context: &Context, task: &Task, built: &Built, took: Duration) {
    let changed = &built.report.changed;
    if changed.is_empty() && task.causes.is_empty() && !task.is_first() {
        // Our own writing of the register.
        output::problems(common, &built.report.problems);
        return;
    }
    if !task.causes.is_empty() {
        output::line(common, "changed", listed(&task.causes));
    }
    material::tell(common, context, &built.report, built.articles);
    if task.is_first() {
        return;
    }
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if !changed.is_empty() {
        output::line(common, "", format!("{}, in {milliseconds} ms", listed(changed)));
    }
    output::event(
        common,
        &serde_json::json!({ "event": "changed", "because": first(&task.causes), "files": first(changed),
        "more": changed.len().saturating_sub(NAMED), "milliseconds": milliseconds }),
    );
}

/// The first names.
fn first<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    names.into_iter().take(NAMED).map(String::as_str).collect()
}

/// The first names, and how many there are more.
fn listed<'a>(names: impl IntoIterator<Item = &'a String, IntoIter: ExactSizeIterator>) -> String {
    let names = names.into_iter();
    let more = names.len().saturating_sub(NAMED);
    let named = first(names).join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// Ends the watch in good order on SIGINT and SIGTERM.
fn end_on_signals(sender: Sender<Happened>) -> Done {
    let unavailable = |error| Failure::new(Kind::Unavailable, "signals cannot be waited for").because(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
    let stop = runtime.block_on(async { Stop::on_signals() }).map_err(unavailable)?;
    std::thread::spawn(move || {
        runtime.block_on(stop.wait());
        let _ = sender.send(Happened::End);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_may_pass_is_tried_again_less_and_less_often_and_told_once() {
        let full = || Failure::new(Kind::Unavailable, "the disk is full");
        let (mut known, mut trouble) = Trouble::after(None, full());
        let mut waits = vec![];
        for _ in 0..8 {
            waits.push((known, trouble.again.map(|again| again.as_secs())));
            (known, trouble) = Trouble::after(Some(trouble), full());
        }
        let wanted = [(false, 1), (true, 2), (true, 4), (true, 8), (true, 16), (true, 32), (true, 60), (true, 60)];
        assert_eq!(waits, wanted.map(|(known, seconds)| (known, Some(seconds))));
        let (known, broken) = Trouble::after(Some(trouble), Failure::new(Kind::Material, "1 problem found"));
        assert!(!known && broken.again.is_none(), "whoever mends a template saves it");
    }

    #[test]
    fn of_many_files_some_are_named_and_the_others_counted() {
        let names: BTreeSet<String> = (10..30).map(|n| format!("{n}.xml")).collect();
        let told = listed(&names);
        assert!(told.starts_with("10.xml, 11.xml, ") && told.ends_with(", 21.xml and 8 more"), "{told}");
        assert_eq!(listed(&["rss.xml".to_owned()]), "rss.xml");
    }
}
