//! `publish`: into a folder, and into a bucket of a real S3 server (moto) and of one that misbehaves on purpose.

mod faulty;
mod killed;
mod stores;

use crate::wire::{PUBLIC, build, write};
use pressrun::publish::bucket::{self, Bucket};
use pressrun::publish::folder::Folder;
use pressrun::publish::run::{Publication, Report, publish, rehearse};
use pressrun::publish::websub::Patience;
use pressrun::publish::{PublishError, Target};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stores::{Flaky, Moto};
use url::Url;

/// Tests do not wait as long as a newsroom does.
const QUICK: bucket::Patience = bucket::Patience {
    request: Duration::from_secs(2),
    tries: 8,
    first_wait: Duration::from_millis(20),
    longest_wait: Duration::from_millis(200),
    all: Duration::from_secs(20),
};

/// A newsroom with its feeds, its record, and a target.
struct Desk {
    home: tempfile::TempDir,
    public: Url,
    target: Target,
    delete: bool,
}

impl Desk {
    fn new(target: impl FnOnce(&Path) -> Target) -> Desk {
        let home = tempfile::tempdir().unwrap();
        build(&home.path().join("feeds"), 8);
        let target = target(home.path());
        Desk { home, public: Url::parse(PUBLIC).unwrap(), target, delete: false }
    }

    fn feeds(&self) -> PathBuf {
        self.home.path().join("feeds")
    }

    fn record(&self) -> PathBuf {
        self.home.path().join("var/publish/target.json")
    }

    fn publication<'a>(&'a self, feeds: &'a Path, record: &'a Path) -> Publication<'a> {
        Publication {
            feeds,
            public: &self.public,
            target: &self.target,
            name: "the target",
            record,
            hubs: &[],
            patience: Patience::default(),
            settle: Duration::ZERO,
            delete: self.delete,
        }
    }

    fn publish(&self) -> Result<Report, PublishError> {
        run(publish(&self.publication(&self.feeds(), &self.record())))
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

fn to_folder() -> Desk {
    Desk::new(|home| Target::Folder(Folder::new(home.join("www"))))
}

fn to_bucket(endpoint: &Url) -> Desk {
    Desk::new(|_| {
        let options = bucket::Options {
            bucket: "advocate".to_owned(),
            prefix: "feeds".to_owned(),
            endpoint: Some(endpoint.clone()),
            region: Some("eu-central-1".to_owned()),
            patience: QUICK,
        };
        let environment = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Target::Bucket(Bucket::open(&options, environment.into_iter()).unwrap())
    })
}

/// Every file below the folder with its bytes.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_gets_every_file_once_and_then_only_what_changed() {
    let desk = to_folder();
    let www = desk.home.path().join("www");
    assert_eq!(desk.publish().unwrap().sent.len(), 11);
    assert_eq!(tree(&www), tree(&desk.feeds()));
    let again = desk.publish().unwrap();
    assert_eq!((again.sent.len(), again.unchanged), (0, 11));
    build(&desk.feeds(), 9);
    let mut sent = desk.publish().unwrap().sent;
    sent.sort();
    assert_eq!(sent, ["atom.xml", "feed.json", "rss.xml"]);
    assert_eq!(tree(&www), tree(&desk.feeds()));
    let dates = |file: PathBuf| fs::metadata(file).unwrap().modified().unwrap();
    assert_eq!(dates(www.join("rss.xml")), dates(desk.feeds().join("rss.xml")), "readers are told the true date");
}

#[test]
fn what_somebody_broke_in_a_folder_is_mended_and_what_is_not_ours_is_left_alone() {
    let mut desk = to_folder();
    let www = desk.home.path().join("www");
    desk.publish().unwrap();
    fs::write(www.join("rss.xml"), "broken").unwrap();
    fs::remove_file(www.join("archive/rss-0001.xml")).unwrap();
    fs::write(www.join("robots.txt"), "not ours").unwrap();
    fs::remove_file(desk.feeds().join("archive/feed-0001.json")).unwrap();
    let mended = desk.publish().unwrap();
    assert_eq!(mended.sent, ["archive/rss-0001.xml", "rss.xml"]);
    assert_eq!(mended.superfluous, ["archive/feed-0001.json"]);
    assert!(www.join("archive/feed-0001.json").exists(), "nothing is removed unless asked");
    desk.delete = true;
    assert_eq!(desk.publish().unwrap().removed, ["archive/feed-0001.json"]);
    assert!(!www.join("archive/feed-0001.json").exists() && www.join("robots.txt").exists());
    fs::remove_file(desk.record()).unwrap();
    assert_eq!(desk.publish().unwrap().sent.len(), 0, "without a record the bytes are compared");
}

#[test]
fn a_reader_of_the_folder_never_sees_half_a_file() {
    let desk = to_folder();
    let file = desk.home.path().join("www/rss.xml");
    desk.publish().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(fs::read_to_string(&file).unwrap().ends_with("</channel></rss>\n"));
                reads += 1;
            }
            reads
        });
        for n in 0..10 {
            build(&desk.feeds(), 9 + n % 2 * 6);
            desk.publish().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 10);
    });
}

#[test]
fn a_rehearsal_touches_nothing() {
    let desk = to_folder();
    let plan = run(rehearse(&desk.publication(&desk.feeds(), &desk.record()))).unwrap();
    assert_eq!((plan.to_send(), plan.unchanged), (11, 0));
    assert!(!desk.home.path().join("www").exists() && !desk.record().exists());
}

#[test]
fn files_being_made_and_files_that_vanish_are_no_part_of_a_publication() {
    let desk = to_folder();
    write(&desk.feeds(), ".tmp-rss", "half");
    write(&desk.feeds(), ".git/config", "secret");
    assert_eq!(desk.publish().unwrap().sent.len(), 11);
}

#[test]
fn a_real_s3_server_gets_types_and_lifetimes_and_afterwards_only_changes() {
    let Some(moto) = Moto::start() else { return };
    let desk = to_bucket(&moto.endpoint);
    assert_eq!(desk.publish().unwrap().sent.len(), 11);
    assert_eq!(moto.requests("GET").len(), 1, "without a record the bucket is listed once");
    assert_eq!(moto.requests("PUT").len(), 11);
    let rss = moto.get("/advocate/feeds/rss.xml");
    assert_eq!(rss.text(), fs::read_to_string(desk.feeds().join("rss.xml")).unwrap());
    assert_eq!(rss.header("content-type"), "application/rss+xml; charset=utf-8");
    assert_eq!(rss.header("cache-control"), "public, max-age=60, stale-if-error=86400");
    let archive = moto.get("/advocate/feeds/archive/atom-0001.xml");
    assert_eq!(archive.header("content-type"), "application/atom+xml; charset=utf-8");
    assert_eq!(archive.header("cache-control"), "public, max-age=86400, stale-if-error=86400");

    let before = moto.requests("").len();
    assert_eq!(desk.publish().unwrap().sent.len(), 0);
    assert_eq!(moto.requests("").len(), before, "nothing changed: nothing is asked and nothing sent");
    build(&desk.feeds(), 9);
    assert_eq!(desk.publish().unwrap().sent.len(), 3);
    assert_eq!(moto.requests("").len(), before + 3, "as many requests as objects that changed");
}

#[test]
fn a_lost_record_costs_one_listing_and_strangers_objects_stay() {
    let Some(moto) = Moto::start() else { return };
    let mut desk = to_bucket(&moto.endpoint);
    desk.publish().unwrap();
    moto.put("/advocate/feeds/stranger.txt", "not ours");
    moto.put("/advocate/elsewhere/rss.xml", "not below the prefix");
    fs::remove_file(desk.record()).unwrap();
    build(&desk.feeds(), 9);
    let before = moto.requests("").len();
    desk.delete = true;
    let report = desk.publish().unwrap();
    assert_eq!((report.sent.len(), report.unchanged, report.foreign), (3, 8, 1));
    assert_eq!(moto.requests("").len(), before + 4, "a listing and three objects");
    assert_eq!(moto.get("/advocate/feeds/stranger.txt").text(), "not ours");

    fs::remove_file(desk.feeds().join("feeds.opml")).unwrap();
    assert_eq!(desk.publish().unwrap().removed, ["feeds.opml"]);
    assert_eq!(moto.get("/advocate/feeds/feeds.opml").status, 404);
    assert_eq!(moto.get("/advocate/feeds/rss.xml").status, 200);
}

#[test]
fn archives_arrive_before_feeds_and_feeds_before_the_list() {
    let store = Flaky::start(|_, _| 200);
    to_bucket(&store.endpoint).publish().unwrap();
    let order: Vec<String> = store.requests();
    let stage = |path: &str| match path {
        path if path.contains("/archive/") => 0,
        path if path.ends_with("index.html") || path.ends_with("opml") => 2,
        _ => 1,
    };
    let stages: Vec<u8> = order.iter().filter(|r| r.starts_with("PUT")).map(|request| stage(request)).collect();
    assert_eq!(stages.len(), 11);
    assert!(stages.is_sorted(), "{order:?}");
}

#[test]
fn a_store_that_is_busy_is_tried_again() {
    let store = Flaky::start(|request, time| if request.starts_with("PUT") && time < 3 { 503 } else { 200 });
    let desk = to_bucket(&store.endpoint);
    assert_eq!(desk.publish().unwrap().sent.len(), 11);
    assert_eq!(store.requests().iter().filter(|r| r.starts_with("PUT")).count(), 33);
}

#[test]
fn a_refusal_stops_before_the_feeds_and_the_next_publication_sends_the_rest() {
    let store = Flaky::start(|request, time| if request.contains("atom-0002") && time < 2 { 403 } else { 200 });
    let desk = to_bucket(&store.endpoint);
    let error = desk.publish().unwrap_err();
    assert!(matches!(&error, PublishError::Refused { path, .. } if path == "archive/atom-0002.xml"), "{error}");
    assert!(!store.requests().iter().any(|r| r.ends_with("/rss.xml")), "no feed that links to what is not there");
    let arrived = store.requests().iter().filter(|r| r.contains("archive") && !r.contains("atom-0002")).count();
    let report = desk.publish().unwrap();
    assert!(report.sent.iter().any(|path| path == "archive/atom-0002.xml"));
    assert!(report.sent.len() + report.unchanged == 11 && report.unchanged <= arrived, "{report:?}");
    assert_eq!(desk.publish().unwrap().sent.len(), 0);
}

/// How many objects there are; `PRESSRUN_TEST_OBJECTS` asks for more (docs/BENCHMARKS.md).
fn objects() -> usize {
    std::env::var("PRESSRUN_TEST_OBJECTS").map_or(2_000, |count| count.parse().unwrap())
}

#[test]
fn of_many_objects_one_changed_article_sends_only_its_own() {
    let store = Flaky::start(|_, _| 200);
    let desk = to_bucket(&store.endpoint);
    let all = objects();
    for n in 0..all - 11 {
        let file = desk.feeds().join(format!("tag/{}/archive/rss-{n:06}.xml", n / 1_000));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("<rss>{n}</rss>")).unwrap();
    }
    assert_eq!(desk.publish().unwrap().sent.len(), all);
    let before = store.requests().len();
    build(&desk.feeds(), 9);
    let start = std::time::Instant::now();
    assert_eq!(desk.publish().unwrap().sent.len(), 3);
    println!("{all} objects, 3 changed: {} requests, {:?}", store.requests().len() - before, start.elapsed());
    assert_eq!(store.requests().len(), before + 3);
}
