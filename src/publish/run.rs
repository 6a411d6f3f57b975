//! A whole publication: look, plan, send, record, announce. Whenever it stops, what has arrived is recorded, and the
//! next one does the rest.

use futures_util::{StreamExt as _, stream};
use md5::{Digest as _, Md5};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

use super::folder::{self, Folder};
use super::journal::Journal;
use super::manifest::{Manifest, Object, hexadecimal, nanoseconds};
use super::plan::{Plan, plan};
use super::websub::{Messenger, Patience, PingError};
use super::{PublishError, Target};
use crate::feed::media::{self, Sort};

/// So many objects are on their way at a time.
const AT_A_TIME: usize = 24;

/// [`Publication::settle`] where nothing but our own server stands in between: it looks at a file once a second.
pub const SETTLE: Duration = Duration::from_millis(1_500);

/// So often all is looked at before a publication gives up because of builds in between.
const LOOKS: usize = 5;

/// So many objects are asked to be removed at a time.
const REMOVALS: usize = 1_000;

/// What is to be published, and where to.
#[derive(Debug)]
pub struct Publication<'a> {
    /// The folder that feeds are built into.
    pub feeds: &'a Path,
    /// Its public address, from which hubs fetch; ends in a slash.
    pub public: &'a Url,
    /// Where to.
    pub target: &'a Target,
    /// The target's name; the record is good for this name only.
    pub name: &'a str,
    /// The file with the record of what lies there.
    pub record: &'a Path,
    /// Whom to tell of feeds that changed.
    pub hubs: &'a [Url],
    /// How hubs are told.
    pub patience: Patience,
    /// For how long servers and caches in between may still give out the old feed. Hubs fetch at once, and one that finds
    /// the old feed tells its subscribers nothing: so they are told after this.
    pub settle: Duration,
    /// Remove what we once put there and no longer have.
    pub delete: bool,
}

/// What a publication did.
#[derive(Debug, Default)]
pub struct Report {
    /// The paths that were sent, in the order of sending by stages.
    pub sent: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// The paths that were removed.
    pub removed: Vec<String>,
    /// The paths that would be removed with `delete`.
    pub superfluous: Vec<String>,
    /// How many objects were as they should be.
    pub unchanged: usize,
    /// How many objects lie there that we know nothing of; they are left alone. Known only when the target was asked.
    pub foreign: usize,
    /// How many hubs × feeds were told.
    pub told: usize,
    /// Which were not: hub, feed, why. Those that were only unavailable are told by the next publication.
    pub untold: Vec<(String, String, PingError)>,
}

/// What lies here and there.
struct Looked {
    /// What lies there.
    manifest: Manifest,
    /// What is to be done.
    plan: Plan,
    /// What lies here.
    here: BTreeMap<String, Object>,
    /// How many objects there are none of ours.
    foreign: usize,
}

/// What there is to do: says it, does nothing.
pub async fn rehearse(publication: &Publication<'_>) -> Result<Plan, PublishError> {
    publication.look().await.map(|looked| looked.plan)
}

/// Publishes. `Err` as soon as an object cannot be sent; the stages after it are not begun. Where a build comes in between,
/// its feeds may link to archive pages that were not planned: all is looked at again, and begun with those.
pub async fn publish(publication: &Publication<'_>) -> Result<Report, PublishError> {
    let Looked { mut manifest, mut plan, mut here, foreign } = publication.look().await?;
    let mut report = Report { unchanged: plan.unchanged, foreign, ..Report::default() };
    let mut journal = publication.journal();
    let mut looks = 1;
    let mut result = loop {
        let result = publication.stages(&plan, &here, &mut manifest, &mut journal, &mut report).await;
        if !matches!(result, Err(PublishError::Changed { .. })) || looks == LOOKS {
            break result;
        }
        looks += 1;
        manifest.save(publication.record)?;
        journal.end()?;
        Looked { manifest, plan, here, .. } = publication.look().await?;
        report.unchanged = plan.unchanged.saturating_sub(report.sent.len());
    };
    if result.is_ok() {
        if publication.delete {
            result = publication.remove(plan.superfluous, &mut manifest, &mut report).await;
        } else {
            report.superfluous = plan.superfluous;
        }
    }
    manifest.save(publication.record)?;
    journal.end()?;
    // Feeds that arrived are news even if something after them failed.
    let untold = manifest.untold.clone();
    publication.announce(&mut manifest, &mut report).await;
    if manifest.untold != untold {
        manifest.save(publication.record)?;
    }
    result.map(|()| report)
}

impl Publication<'_> {
    fn journal(&self) -> Journal {
        Journal::beside(self.record, self.name)
    }

    async fn look(&self) -> Result<Looked, PublishError> {
        let recorded = Manifest::load(self.record, self.name)?;
        let ask = recorded.is_none();
        let mut manifest = recorded.unwrap_or_else(|| Manifest { target: self.name.to_owned(), ..Manifest::default() });
        // A publication that was killed has told no hub of what it sent.
        for (path, object) in self.journal().read()? {
            self.to_be_told(&path, &mut manifest);
            // Without a record the target is asked, and knows better.
            if !ask {
                manifest.objects.insert(path, object);
            }
        }
        let here = folder::files(self.feeds, &manifest)?;
        let mut foreign = 0;
        match self.target {
            Target::Folder(folder) => folder.look(&here, &mut manifest)?,
            Target::Bucket(bucket) if ask => {
                for (path, listed) in bucket.list().await? {
                    let Some(object) = here.get(&path) else {
                        foreign += 1;
                        continue;
                    };
                    if listed.size == object.size
                        && let Some(etag) = listed.etag
                        && etag.trim_matches('"') == hexadecimal(&Md5::digest(folder::read(self.feeds, &path)?.0))
                    {
                        manifest.objects.insert(path, object.clone());
                    }
                }
            }
            Target::Bucket(_) | Target::InPlace => {}
        }
        let plan = plan(&here, &manifest);
        // What is as it was is recorded with its date, so that it need not be read next time.
        for (path, object) in &here {
            if let Some(known) = manifest.objects.get_mut(path).filter(|known| known.hash == object.hash) {
                known.modified = object.modified;
            }
        }
        Ok(Looked { manifest, plan, here, foreign })
    }

    /// Sends one stage after the other.
    async fn stages(
        &self,
        plan: &Plan,
        here: &BTreeMap<String, Object>,
        manifest: &mut Manifest,
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<(), PublishError> {
        for stage in &plan.stages {
            self.send(stage, here, manifest, journal, report).await?;
        }
        Ok(())
    }

    /// Sends one stage. Every object that arrived is in the manifest afterwards, whatever became of the others.
    async fn send(
        &self,
        stage: &[String],
        here: &BTreeMap<String, Object>,
        manifest: &mut Manifest,
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<(), PublishError> {
        let mut under_way =
            stream::iter(stage).map(|path| self.send_one(path, here.get(path))).buffer_unordered(AT_A_TIME);
        let mut result = Ok(());
        while let Some(sent) = under_way.next().await {
            match sent {
                Ok((path, object)) => {
                    journal.note(path, &object)?;
                    self.to_be_told(path, manifest);
                    report.bytes += object.size;
                    report.sent.push(path.clone());
                    manifest.objects.insert(path.clone(), object);
                }
                // The store has been tried for minutes: the others would only wait as long.
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        result
    }

    /// All hubs are to be told of this, if it is a feed.
    fn to_be_told(&self, path: &str, manifest: &mut Manifest) {
        if media::of(path).sort == Sort::Feed
            && let Ok(topic) = self.public.join(path)
        {
            for hub in self.hubs {
                manifest.untold.entry(hub.to_string()).or_default().insert(topic.to_string());
            }
        }
    }

    async fn send_one<'p>(
        &self,
        path: &'p String,
        planned: Option<&Object>,
    ) -> Result<(&'p String, Object), PublishError> {
        let changed = || PublishError::Changed { path: path.clone() };
        let (bytes, modified) = folder::read(self.feeds, path).map_err(|error| match error {
            PublishError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => changed(),
            other => other,
        })?;
        // Without the date, so that the next publication looks again.
        let object = Object::of(&bytes, 0);
        if planned.is_none_or(|planned| planned.hash != object.hash) {
            return Err(changed());
        }
        match self.target {
            Target::InPlace => {}
            Target::Bucket(bucket) => bucket.put(path, bytes.into(), &media::of(path)).await?,
            Target::Folder(folder) => {
                put(folder.clone(), path.clone(), bytes, modified).await?;
                return Ok((path, Object { modified: nanoseconds(modified), ..object }));
            }
        }
        Ok((path, object))
    }

    async fn remove(
        &self,
        paths: Vec<String>,
        manifest: &mut Manifest,
        report: &mut Report,
    ) -> Result<(), PublishError> {
        for paths in paths.chunks(REMOVALS) {
            match self.target {
                Target::InPlace => {}
                Target::Folder(folder) => paths.iter().try_for_each(|path| folder.remove(path))?,
                Target::Bucket(bucket) => bucket.remove(paths).await?,
            }
            for path in paths {
                manifest.objects.remove(path);
                report.removed.push(path.clone());
            }
        }
        Ok(())
    }

    /// Tells every hub of every feed that it has not been told of. Who cannot be told now stays in the manifest.
    async fn announce(&self, manifest: &mut Manifest, report: &mut Report) {
        // A hub that is no longer configured is not waited for.
        manifest.untold.retain(|hub, _| self.hubs.iter().any(|known| known.as_str() == hub));
        let pending = std::mem::take(&mut manifest.untold);
        if pending.is_empty() {
            return;
        }
        if !report.sent.is_empty() {
            tokio::time::sleep(self.settle).await;
        }
        let messenger = match Messenger::new(self.patience) {
            Ok(messenger) => messenger,
            Err(error) => {
                report.untold.push((String::new(), String::new(), error));
                manifest.untold = pending;
                return;
            }
        };
        // One hub that does not answer must not keep the others waiting.
        let told = stream::iter(pending).map(|(hub, topics)| tell(&messenger, hub, topics)).buffer_unordered(AT_A_TIME);
        let told: Vec<Told> = told.collect().await;
        for Told { hub, thanked, failed } in told {
            report.told += thanked;
            for (topic, error) in failed {
                if matches!(error, PingError::Unavailable(_)) {
                    manifest.untold.entry(hub.clone()).or_default().insert(topic.clone());
                }
                report.untold.push((hub.clone(), topic, error));
            }
        }
    }
}

/// What became of telling one hub.
struct Told {
    hub: String,
    thanked: usize,
    failed: Vec<(String, PingError)>,
}

/// Tells one hub of these topics, one after the other; gives up on the rest when it is not available for one.
async fn tell(messenger: &Messenger, hub: String, topics: BTreeSet<String>) -> Told {
    let mut told = Told { hub, thanked: 0, failed: Vec::new() };
    let Ok(hub) = Url::parse(&told.hub) else { return told };
    let mut away: Option<String> = None;
    for topic in topics {
        let Ok(url) = Url::parse(&topic) else { continue };
        let result = match &away {
            Some(because) => Err(PingError::Unavailable(because.clone())),
            None => messenger.ping(&hub, &url).await,
        };
        match result {
            Ok(()) => told.thanked += 1,
            Err(error) => {
                if let PingError::Unavailable(because) = &error {
                    away = Some(because.clone());
                }
                told.failed.push((topic, error));
            }
        }
    }
    told
}

/// Writing waits for the disk, so a thread that may wait does it.
async fn put(
    folder: Folder,
    path: String,
    bytes: Vec<u8>,
    modified: std::time::SystemTime,
) -> Result<(), PublishError> {
    let bytes: Arc<[u8]> = bytes.into();
    let root = folder.root().to_owned();
    tokio::task::spawn_blocking(move || folder.put(&path, &bytes, modified))
        .await
        .unwrap_or_else(|stopped| Err(PublishError::file(&root)(std::io::Error::other(stopped))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn what_was_built_anew_after_the_plan_is_not_sent_by_it() {
        let home = tempfile::tempdir().unwrap();
        let (feeds, www, record) = (home.path().join("feeds"), home.path().join("www"), home.path().join("a.json"));
        fs::create_dir_all(feeds.join("archive")).unwrap();
        fs::write(feeds.join("rss.xml"), "first").unwrap();
        let publication = Publication {
            feeds: &feeds,
            public: &Url::parse("https://paper.example/feeds/").unwrap(),
            target: &Target::Folder(Folder::new(www.clone())),
            name: "directory:www",
            record: &record,
            hubs: &[],
            patience: Patience::default(),
            settle: Duration::ZERO,
            delete: false,
        };
        let mut looked = publication.look().await.unwrap();
        fs::write(feeds.join("archive/rss-0001.xml"), "page").unwrap();
        fs::write(feeds.join("rss.xml"), "links to the page").unwrap();
        let (mut journal, mut report) = (publication.journal(), Report::default());
        let Looked { manifest, plan, here, .. } = &mut looked;
        let sent = publication.stages(plan, here, manifest, &mut journal, &mut report).await;
        assert!(matches!(&sent, Err(PublishError::Changed { path }) if path == "rss.xml"), "{sent:?}");
        assert!(!www.exists());
        assert_eq!(publish(&publication).await.unwrap().sent, ["archive/rss-0001.xml", "rss.xml"]);
    }
}
