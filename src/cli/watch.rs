//! `pressrun build --watch`.

use chrono::{DateTime, Utc};
use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{EventKind, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::context::Context;
use super::{Common, Done, failures, material, output};
use crate::error::{Failure, Kind};
use crate::incremental::{Memory, Need, prepare};
use crate::press::Stop;
use crate::source::{directory, register};

/// Programs save in several steps; a build waits until so long nothing has happened,
const QUIET: Duration = Duration::from_millis(15);
/// but never longer than this.
const PATIENCE: Duration = Duration::from_millis(250);
/// So long a file that has gone may come back: some programs put a new one in its place.
const RETURN: Duration = Duration::from_millis(60);
/// The clock may be set; dates are looked at again at least so often.
const LOOK_UP: Duration = Duration::from_hours(1);
/// Of so many files the names are told.
const NAMED: usize = 12;

/// What happened.
enum Happened {
    /// A file changed, came or went.
    File(PathBuf),
    /// So did a folder, with all that is in it; or a file.
    Folder(PathBuf),
    /// Files may have changed without a word.
    Unknown,
    /// It is time to end.
    End,
}

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    /// Read these files of the folder of articles again.
    Articles(BTreeSet<String>),
    /// Look at everything.
    Everything,
    /// Read the configuration again, and look at everything.
    Configuration,
    /// End.
    End,
}

/// Builds the feeds, and again whenever something is saved, until somebody ends it.
pub(crate) fn run(common: &Common) -> Done {
    let (sender, events) = mpsc::channel();
    end_on_signals(sender.clone())?;
    let mut first = true;
    loop {
        let context = match Context::load(common) {
            Ok(context) => Some(context),
            // At first it must be sound; later, whoever broke it is still at work.
            Err(failure) if first => return Err(failure),
            Err(failure) => {
                output::failure(common, &failure);
                None
            }
        };
        first = false;
        let watched = Watched::new(common, context.as_ref())?;
        let _watcher = watched.watcher(sender.clone())?;
        let task = match &context {
            Some(context) => rebuild(common, context, &watched, &events)?,
            None => watched.wait(&events, None),
        };
        if task == Task::End {
            return Ok(());
        }
    }
}

/// Builds until the configuration changes, or it is time to end.
fn rebuild(
    common: &Common,
    context: &Context,
    watched: &Watched,
    events: &Receiver<Happened>,
) -> Result<Task, Failure> {
    let source = context.settings.source();
    let mut memory: Option<Memory> = None;
    let mut task = Task::Everything;
    loop {
        let started = Instant::now();
        let templates = material::feed_templates(context);
        let built = templates.and_then(|templates| {
            let setup = material::setup(context, &source, &templates);
            let waiting = material::waiting(common, context);
            let work = match (&task, memory.take()) {
                (Task::Articles(paths), Some(memory)) => memory.prepare(setup, paths, Utc::now, waiting),
                _ => prepare(setup, Need::Feeds, Utc::now, waiting),
            };
            let work = work.map_err(|refused| failures::refused(common, refused))?;
            output::problems(common, work.problems());
            work.publish().map_err(|refused| failures::refused(common, refused))
        });
        let next = match built {
            Ok(built) => {
                material::tell(common, context, &built.report, built.articles);
                tell_changes(common, &task, &built.report.changed, started.elapsed());
                memory = built.memory;
                built.next
            }
            Err(failure) if failure.kind == Kind::Bug => return Err(failure),
            // What is wrong can be mended while we watch.
            Err(failure) => {
                output::failure(common, &failure);
                None
            }
        };
        task = watched.wait(events, next);
        if matches!(task, Task::Configuration | Task::End) {
            return Ok(task);
        }
    }
}

/// Which article was saved, and which files that changed.
fn tell_changes(common: &Common, task: &Task, changed: &[String], took: Duration) {
    let (Task::Articles(_), false) = (task, changed.is_empty()) else { return };
    let named: Vec<&str> = changed.iter().take(NAMED).map(String::as_str).collect();
    let more = changed.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    output::line(common, "", format!("{}{more}, in {} ms", named.join(", "), took.as_millis()));
}

/// What is watched.
struct Watched {
    articles: Option<PathBuf>,
    templates: Option<PathBuf>,
    configuration: PathBuf,
}

impl Watched {
    fn new(common: &Common, context: Option<&Context>) -> Result<Self, Failure> {
        let full = |path: &Path| path.canonicalize().ok();
        let configuration = full(&common.config).unwrap_or_else(|| Context::here(&common.config));
        let configuration = if configuration.is_dir() { configuration.join("config.yaml") } else { configuration };
        let settings = context.map(|context| &context.settings);
        let articles = settings.map(|settings| {
            full(&settings.articles).ok_or_else(|| Failure::new(Kind::Configuration, "there is no folder of articles"))
        });
        Ok(Watched {
            articles: articles.transpose()?,
            templates: settings.and_then(|settings| full(&settings.templates)),
            configuration,
        })
    }

    /// Tells `sender` what happens, as long as it lives.
    fn watcher(&self, sender: Sender<Happened>) -> Result<notify::RecommendedWatcher, Failure> {
        let refused = |error: notify::Error| {
            Failure::new(Kind::Unavailable, "files cannot be watched").because(error).hint(
                "a system watches only so many folders; on Linux, `sysctl fs.inotify.max_user_watches` says how many",
            )
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            match event {
                // Reading is no change; and we read what we are told of.
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
                Ok(event) if !event.need_rescan() => {
                    let file = match event.kind {
                        EventKind::Create(CreateKind::File) | EventKind::Remove(RemoveKind::File) => true,
                        EventKind::Modify(how) => !matches!(how, ModifyKind::Name(_)),
                        _ => false,
                    };
                    for path in event.paths {
                        let _ = sender.send(if file { Happened::File(path) } else { Happened::Folder(path) });
                    }
                }
                _ => {
                    let _ = sender.send(Happened::Unknown);
                }
            }
        })
        .map_err(refused)?;
        let folder = self.configuration.parent().unwrap_or(Path::new("."));
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(refused)?;
        for folder in [&self.articles, &self.templates].into_iter().flatten() {
            watcher.watch(folder, RecursiveMode::Recursive).map_err(refused)?;
        }
        Ok(watcher)
    }

    /// Waits until there is something to do: a file changed and all is quiet again, or `next` has come.
    fn wait(&self, events: &Receiver<Happened>, next: Option<DateTime<Utc>>) -> Task {
        let mut task = loop {
            let until = next.map_or(LOOK_UP, |next| (next - Utc::now()).to_std().unwrap_or_default().min(LOOK_UP));
            match events.recv_timeout(until) {
                Ok(happened) => {
                    if let Some(task) = self.task(happened) {
                        break task;
                    }
                }
                Err(RecvTimeoutError::Timeout) if next.is_some_and(|next| next <= Utc::now()) => {
                    return Task::Everything;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Task::End,
            }
        };
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match events.recv_timeout(left.min(if self.lacks_a_file(&task) { RETURN } else { QUIET })) {
                Ok(happened) => task = task.and(self.task(happened)),
                Err(_) => return task,
            }
            if left.is_zero() || task == Task::End {
                return task;
            }
        }
    }

    /// What an event asks for, if anything.
    fn task(&self, happened: Happened) -> Option<Task> {
        let (path, folder) = match happened {
            Happened::End => return Some(Task::End),
            Happened::Unknown => return Some(Task::Everything),
            Happened::File(path) => (path, false),
            Happened::Folder(path) => (path, true),
        };
        if path == self.configuration {
            return Some(Task::Configuration);
        }
        if self.templates.as_ref().is_some_and(|templates| path.starts_with(templates)) {
            return Some(Task::Everything);
        }
        let below = path.strip_prefix(self.articles.as_ref()?).ok()?;
        let Some(below) = below.to_str() else { return Some(Task::Everything) };
        if directory::is_material(below) || below == register::FILE_NAME {
            // A changed register is noticed by its stamp; our own writing of it is no change.
            let article = (below != register::FILE_NAME).then(|| below.to_owned());
            return Some(Task::Articles(article.into_iter().collect()));
        }
        // Programs make files without an ending, or with one of their own, while they save; folders have none.
        let hidden = below.split('/').any(|part| part.starts_with('.'));
        (folder && !hidden && !below.contains(['.', '~'])).then_some(Task::Everything)
    }

    fn lacks_a_file(&self, task: &Task) -> bool {
        let (Task::Articles(paths), Some(folder)) = (task, &self.articles) else { return false };
        paths.iter().any(|path| !folder.join(path).exists())
    }
}

impl Task {
    /// Both.
    fn and(self, other: Option<Task>) -> Task {
        match (self, other) {
            (task, None) => task,
            (Task::End, _) | (_, Some(Task::End)) => Task::End,
            (Task::Configuration, _) | (_, Some(Task::Configuration)) => Task::Configuration,
            (Task::Everything, _) | (_, Some(Task::Everything)) => Task::Everything,
            (Task::Articles(mut paths), Some(Task::Articles(more))) => {
                paths.extend(more);
                Task::Articles(paths)
            }
        }
    }
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
