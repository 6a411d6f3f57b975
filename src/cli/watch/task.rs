//! What is watched, and what has to be done when something happens there.

use chrono::{DateTime, Utc};
use notify::RecursiveMode;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::ear::{Ear, Happened};
use super::root::{Root, below, nearest, resolved, watch};
use crate::cli::Common;
use crate::cli::context::Context;
use crate::error::{Failure, Kind};
use crate::source::{directory, register};

/// Programs save in several steps; a build waits until so long nothing has happened,
const QUIET: Duration = Duration::from_millis(15);
/// but never longer than this,
const PATIENCE: Duration = Duration::from_millis(250);
/// unless somebody has an article open and has written to it within this time.
const WRITING: Duration = Duration::from_secs(5);
/// But there is an end to that, too.
const LONGEST_WRITING: Duration = Duration::from_secs(30);
/// So long a file that has gone may come back: some programs put a new one in its place.
const RETURN: Duration = Duration::from_millis(60);
/// Whoever puts a whole folder in the place of another, as version control does, is done when so long nothing has happened,
const REST: Duration = Duration::from_millis(250);
/// or after this time.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// The clock may be set; dates are looked at again at least so often.
const LOOK_UP: Duration = Duration::from_hours(1);

/// How much has to be done. Each is more than those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// Read some files of the folder of articles again.
    Articles,
    /// Look at everything.
    Everything,
    /// Read the configuration again, see which folders there are, and look at everything.
    Anew,
    /// End.
    End,
}

/// What has to be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) extent: Extent,
    /// The files that have to be read again, in the folder of articles.
    pub(super) articles: BTreeSet<String>,
    /// What changed, as people name it. Nothing at first, and where it is our own work.
    pub(super) causes: BTreeSet<String>,
    /// Whether a folder that is watched may be another one now.
    replaced: bool,
}

/// What is watched.
pub(super) struct Watched {
    configuration: PathBuf,
    /// `None` where the configuration cannot be read.
    articles: Option<Root>,
    templates: Option<Root>,
}

/// What has happened in quick succession.
#[derive(Default)]
struct Batch {
    task: Option<Task>,
    since: Option<Instant>,
    /// Files that somebody writes, and when it was last seen.
    written: BTreeMap<PathBuf, Instant>,
    /// What went away and may have been a folder with articles.
    gone: BTreeSet<PathBuf>,
}

impl Task {
    fn new(extent: Extent, cause: impl Into<String>) -> Task {
        Task { extent, articles: BTreeSet::new(), causes: BTreeSet::from([cause.into()]), replaced: false }
    }

    /// The first one of a watch.
    pub(super) fn first() -> Task {
        Task { causes: BTreeSet::new(), ..Task::new(Extent::Anew, "") }
    }

    pub(super) fn is_first(&self) -> bool {
        *self == Task::first()
    }

    /// Both.
    fn and(mut self, other: Task) -> Task {
        self.articles.extend(other.articles);
        self.causes.extend(other.causes);
        Task { extent: self.extent.max(other.extent), replaced: self.replaced || other.replaced, ..self }
    }
}

impl Watched {
    /// Watches what the configuration says, and tells `sender` what happens, as long as the watcher lives.
    pub(super) fn start(
        common: &Common,
        context: Option<&Context>,
        sender: Sender<Happened>,
    ) -> Result<(Self, notify::RecommendedWatcher), Failure> {
        let configuration = Context::here(&common.config);
        let configuration = configuration.canonicalize().unwrap_or_else(|_| resolved(&configuration));
        let configuration = if configuration.is_dir() { configuration.join("config.yaml") } else { configuration };
        let root = |path: &PathBuf| context.map(|context| Root::new(context.shown(path), &Context::here(path)));
        let settings = context.map(|context| &context.settings);
        let mut watched = Watched {
            configuration,
            articles: settings.and_then(|settings| root(&settings.articles)),
            templates: settings.and_then(|settings| root(&settings.templates)),
        };
        let mut ear = Ear::default();
        let watcher = notify::recommended_watcher(move |event| {
            for happened in ear.hear(event) {
                let _ = sender.send(happened);
            }
        });
        let watcher = watcher.and_then(|mut watcher| watched.watch(&mut watcher).map(|()| watcher));
        let watcher = watcher.map_err(|error| {
            Failure::new(Kind::Unavailable, "files cannot be watched").because(error).hint(
                "a system watches only so many folders; on Linux, `sysctl fs.inotify.max_user_watches` says how many",
            )
        })?;
        Ok((watched, watcher))
    }

    fn watch(&mut self, watcher: &mut notify::RecommendedWatcher) -> notify::Result<()> {
        let folder = self.configuration.parent().unwrap_or(Path::new("."));
        watch(watcher, nearest(folder), RecursiveMode::NonRecursive)?;
        // The articles last: where folders stand in each other, the last word on what is watched is theirs.
        [&mut self.templates, &mut self.articles].into_iter().flatten().try_for_each(|root| root.watch(watcher))
    }

    /// Whether there is a folder of articles.
    pub(super) fn has_articles(&self) -> bool {
        self.articles.as_ref().is_some_and(|root| root.real.is_some())
    }

    /// Waits, where a folder has been replaced, until whoever does it is done. Answers what has to be done before anything
    /// else, if there is such a thing.
    pub(super) fn rest(&self, events: &Receiver<Happened>, task: &Task) -> Option<Task> {
        let begun = Instant::now();
        let mut anew: Option<Task> = None;
        while task.replaced && begun.elapsed() < LONGEST_REST {
            let Ok(happened) = events.recv_timeout(REST) else { break };
            // All else is going to be looked at.
            if let Some(more) = self.task(&happened).filter(|task| task.extent >= Extent::Anew) {
                anew = Some(anew.unwrap_or_else(|| task.clone()).and(more));
            }
        }
        anew
    }

    /// Waits until there is something to do: a file changed and all is quiet again, or `next` has come.
    pub(super) fn wait(&self, events: &Receiver<Happened>, next: Option<DateTime<Utc>>) -> Task {
        let mut batch = Batch::default();
        loop {
            let until = next.map_or(LOOK_UP, |next| (next - Utc::now()).to_std().unwrap_or_default().min(LOOK_UP));
            let patience = batch.patience(self);
            let is_over = match events.recv_timeout(patience.unwrap_or(until)) {
                Ok(happened) => {
                    batch.add(self, happened);
                    patience.is_some_and(|left| left.is_zero()) || batch.is_the_end()
                }
                Err(RecvTimeoutError::Disconnected) => return Task::new(Extent::End, "the end"),
                Err(RecvTimeoutError::Timeout) if patience.is_none() && next.is_some_and(|next| next <= Utc::now()) => {
                    return Task::new(Extent::Everything, "nothing but the time");
                }
                Err(RecvTimeoutError::Timeout) => patience.is_some(),
            };
            if is_over && let Some(task) = std::mem::take(&mut batch).task(self) {
                return task;
            }
        }
    }

    /// What it asks for, if anything.
    fn task(&self, happened: &Happened) -> Option<Task> {
        match happened {
            Happened::End => Some(Task::new(Extent::End, "the end")),
            Happened::Unknown => Some(Task::new(Extent::Everything, "files")),
            Happened::Begun(path) | Happened::File(path) => self.file(path),
            Happened::Folder(path) => self.folder(path),
            Happened::Gone(path) => self.file(path).or_else(|| self.place(path)),
        }
    }

    /// What a changed file asks for.
    fn file(&self, path: &Path) -> Option<Task> {
        if path == self.configuration {
            let name = path.file_name().unwrap_or_default().display().to_string();
            return Some(Task::new(Extent::Anew, name));
        }
        if let Some((templates, below)) = below(self.templates.as_ref(), path) {
            return Some(Task::new(Extent::Everything, templates.shown(below)));
        }
        let (articles, below) = below(self.articles.as_ref(), path)?;
        let cause = articles.shown(below);
        let Some(below) = below.to_str() else { return Some(Task::new(Extent::Everything, cause)) };
        if below == register::FILE_NAME {
            // It is noticed by its stamp; our own writing of it is no change.
            return Some(Task { causes: BTreeSet::new(), ..Task::new(Extent::Articles, cause) });
        }
        let article = || Task { articles: BTreeSet::from([below.to_owned()]), ..Task::new(Extent::Articles, cause) };
        directory::is_material(below).then(article)
    }

    /// What a folder asks for that changed with all that is in it.
    fn folder(&self, path: &Path) -> Option<Task> {
        let place = self.place(path);
        place.or_else(|| {
            let below = |root: &Option<Root>| below(root.as_ref(), path).map(|(root, below)| root.shown(below));
            let cause = below(&self.templates).or_else(|| below(&self.articles).filter(|_| !self.is_hidden(path)))?;
            Some(Task::new(Extent::Everything, format!("{cause}/")))
        })
    }

    /// What a path asks for that is a folder we watch, or one in which such a folder stands.
    fn place(&self, path: &Path) -> Option<Task> {
        let roots = [&self.articles, &self.templates].into_iter().flatten();
        let shown = roots.filter(|root| root.stands_in(path)).map(|root| format!("{}/", root.shown)).next();
        let own = || self.configuration.starts_with(path).then(|| self.configuration.display().to_string());
        shown.or_else(own).map(|cause| Task { replaced: true, ..Task::new(Extent::Anew, cause) })
    }

    /// Hidden files and folders are no articles.
    fn is_hidden(&self, path: &Path) -> bool {
        let below = below(self.articles.as_ref(), path);
        below.is_none_or(|(_, below)| below.iter().any(|part| part.as_encoded_bytes().starts_with(b".")))
    }

    fn lacks_a_file(&self, task: &Task) -> bool {
        let Some(folder) = self.articles.as_ref().and_then(|root| root.real.as_ref()) else { return false };
        task.extent == Extent::Articles && task.articles.iter().any(|path| !folder.join(path).exists())
    }
}

impl Batch {
    fn add(&mut self, watched: &Watched, happened: Happened) {
        let now = Instant::now();
        let task = watched.task(&happened);
        match happened {
            Happened::Begun(path) => {
                if task.is_some() {
                    self.written.insert(path, now);
                }
            }
            Happened::File(path) | Happened::Folder(path) => {
                self.gone.remove(&path);
                // Who has finished a file after a long time may go on with something else.
                if self.written.remove(&path).is_some() && self.written.is_empty() {
                    self.since = Some(now);
                }
            }
            Happened::Gone(path) => {
                self.written.remove(&path);
                if task.is_none() && !watched.is_hidden(&path) {
                    self.gone.insert(path);
                }
            }
            Happened::Unknown | Happened::End => {}
        }
        if let Some(task) = task {
            self.task = Some(match self.task.take() {
                Some(before) => before.and(task),
                None => task,
            });
        }
        if self.task.is_some() || !self.gone.is_empty() {
            self.since.get_or_insert(now);
        }
    }

    /// For how long to wait for more; `None` where nothing has happened.
    fn patience(&self, watched: &Watched) -> Option<Duration> {
        let since = self.since?.elapsed();
        if let Some(last) = self.written.values().max() {
            return Some(WRITING.saturating_sub(last.elapsed()).min(LONGEST_WRITING.saturating_sub(since)));
        }
        let lacks_a_file = self.task.as_ref().is_some_and(|task| watched.lacks_a_file(task));
        Some(PATIENCE.saturating_sub(since).min(if lacks_a_file { RETURN } else { QUIET }))
    }

    fn is_the_end(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.extent == Extent::End)
    }

    /// What has to be done about all of it. What has gone and not come back may have been a folder with articles.
    fn task(self, watched: &Watched) -> Option<Task> {
        let gone = self.gone.iter().filter_map(|path| watched.folder(path));
        self.task.into_iter().chain(gone).reduce(Task::and)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A newsroom with an empty folder of articles.
    fn watched(folder: &Path) -> Watched {
        let top = folder.canonicalize().unwrap();
        let root = |name: &str| {
            let real = Some(top.join(name)).filter(|real| real.is_dir());
            Root { shown: name.into(), named: top.join(name), real }
        };
        std::fs::create_dir_all(top.join("articles")).unwrap();
        Watched {
            configuration: top.join("config.yaml"),
            articles: Some(root("articles")),
            templates: Some(root("templates")),
        }
    }

    fn articles(paths: &[&str]) -> Task {
        let set = |prefix: &str| paths.iter().map(|path| format!("{prefix}{path}")).collect();
        Task { extent: Extent::Articles, articles: set(""), causes: set("articles/"), replaced: false }
    }

    #[test]
    fn each_change_asks_for_no_more_than_it_must() {
        let folder = tempfile::tempdir().unwrap();
        let watched = watched(folder.path());
        let at = |path: &str| folder.path().canonicalize().unwrap().join(path);
        let file = |path: &str| watched.task(&Happened::File(at(path)));
        let below = |path: &str| watched.task(&Happened::Folder(at(path))).map(|task| task.extent);
        assert_eq!(file("articles/news/first.md"), Some(articles(&["news/first.md"])));
        assert_eq!(file("articles/ids.csv").unwrap().articles.len(), 0);
        for path in ["articles/news/.first.md.tmp", "articles/a.png", "articles/.git/x.md", "feeds/rss.xml", "articles"]
        {
            assert_eq!(file(path), None, "{path}");
        }
        assert_eq!(file("config.yaml").unwrap().extent, Extent::Anew);
        assert_eq!(below("articles/2026.03"), Some(Extent::Everything));
        assert_eq!(below("articles/news~"), Some(Extent::Everything));
        assert_eq!(below("articles/.git"), None);
        assert_eq!(below("feeds"), None);
        assert!(watched.folder(&at("articles")).is_some_and(|task| task.extent == Extent::Anew && task.replaced));
        assert_eq!(below("templates"), Some(Extent::Anew), "it was not there");
    }

    #[test]
    fn what_is_saved_in_quick_succession_is_one_task() {
        let folder = tempfile::tempdir().unwrap();
        let watched = watched(folder.path());
        let mut batch = Batch::default();
        let names: Vec<String> = (10..40).map(|n| format!("news/{n}.md")).collect();
        for name in &names {
            let path = watched.articles.as_ref().unwrap().real.as_ref().unwrap().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "text").unwrap();
            batch.add(&watched, Happened::Begun(path.clone()));
            assert!(batch.patience(&watched).unwrap() > PATIENCE, "{name} is being written");
            batch.add(&watched, Happened::File(path));
            assert!(batch.patience(&watched).unwrap() <= QUIET);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(batch.task(&watched), Some(articles(&names)));
    }

    #[test]
    fn an_article_that_somebody_still_writes_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let watched = watched(folder.path());
        let path = watched.articles.as_ref().unwrap().real.as_ref().unwrap().join("slow.md");
        std::fs::write(&path, "half").unwrap();
        let (sender, events) = mpsc::channel();
        let (done, task) = mpsc::channel();
        sender.send(Happened::Begun(path.clone())).unwrap();
        let waiting = std::thread::spawn(move || done.send(watched.wait(&events, None)).unwrap());
        assert!(task.recv_timeout(2 * PATIENCE).is_err(), "half an article");
        sender.send(Happened::File(path)).unwrap();
        assert_eq!(task.recv().unwrap(), articles(&["slow.md"]));
        waiting.join().unwrap();
    }

    #[test]
    fn what_goes_away_is_looked_for_unless_it_is_told_to_be_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let watched = watched(folder.path());
        let at = |name: &str| watched.articles.as_ref().unwrap().real.as_ref().unwrap().join(name);
        std::fs::write(at("first.md"), "text").unwrap();
        let (sender, events) = mpsc::channel();
        for happened in [Happened::Gone(at("a.tmp")), Happened::File(at("a.tmp")), Happened::File(at("first.md"))] {
            sender.send(happened).unwrap();
        }
        assert_eq!(watched.wait(&events, None), articles(&["first.md"]));
        let (sender, events) = mpsc::channel();
        sender.send(Happened::Gone(at("2026.03"))).unwrap();
        let task = watched.wait(&events, None);
        assert_eq!((task.extent, task.causes), (Extent::Everything, BTreeSet::from(["articles/2026.03/".to_owned()])));
    }
}
