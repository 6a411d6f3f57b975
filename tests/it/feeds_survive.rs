//! Feeds and crashes: every document is the old one or the new one, whatever happens to the program.

use crate::support::room::{self, Room};
use std::fs;
use std::io::Read as _;
use std::process::Command;

/// The same command; the system kills it as soon as it writes more than so many blocks of 512 bytes into one file.
#[cfg(unix)]
fn killed_beyond(blocks: usize, whole: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -c 0; ulimit -f {blocks}; exec \"$@\""), "sh"]).arg(whole.get_program());
    command.args(whole.get_args());
    if let Some(folder) = whole.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

/// The sample with another name, which stands in every document.
fn rename(room: &Room) {
    room.replace("config.yaml", "title: The Acero Advocate", "title: The Other Advocate");
}

#[cfg(unix)]
#[test]
fn a_build_that_is_killed_while_it_writes_leaves_every_document_old_or_new() {
    let room = Room::sample();
    room.run(&["build"]).fine();
    let old = room::files(&room.path("feeds"));
    let other = Room::sample();
    rename(&other);
    other.run(&["build"]).fine();
    let new = room::files(&other.path("feeds"));
    assert!(old.iter().all(|(name, bytes)| new[name] != *bytes), "the name does not stand in every document");

    rename(&room);
    let mut killed = 0;
    for blocks in [1, 8, 24, 64, 128] {
        let ended = killed_beyond(blocks, &room.command(&["build"])).output().unwrap().status;
        killed += usize::from(!ended.success());
        let there = room::files(&room.path("feeds"));
        for (name, bytes) in &there {
            let unfinished = name.rsplit('/').next().unwrap_or_default().starts_with(".pressrun-");
            assert!(
                unfinished || *bytes == old[name] || *bytes == new[name],
                "{name} is neither, after {blocks} blocks"
            );
        }
        assert!(old.keys().all(|name| there.contains_key(name)), "a document has gone, after {blocks} blocks");
    }
    assert!(killed >= 3, "only {killed} builds were killed");
    room.run(&["build"]).fine();
    assert!(room::files(&room.path("feeds")) == new, "something was left behind");
}

/// The same command; no file may become larger than so many blocks of 512 bytes, and whoever tries is told that it cannot.
#[cfg(unix)]
fn refused_beyond(blocks: usize, whole: &Command) -> Command {
    let mut command = killed_beyond(blocks, whole);
    let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec sh \"$@\"", "sh"]).args(arguments);
    command.current_dir(whole.get_current_dir().unwrap());
    command
}

/// Whether every document in `there` is the old or the new one, and nothing unfinished lies about. How many are new.
#[cfg(unix)]
fn old_or_new(there: &Files, old: &Files, new: &Files, when: &str) -> usize {
    for (name, bytes) in there {
        assert!(!name.contains(".pressrun-"), "{name} was left, {when}");
        assert!(old.get(name) == Some(bytes) || new.get(name) == Some(bytes), "{name} is neither, {when}");
    }
    for name in old.keys().filter(|name| new.contains_key(*name)) {
        assert!(there.contains_key(name), "{name} has gone, {when}");
    }
    there.iter().filter(|(name, bytes)| old.get(*name) != Some(bytes)).count()
}

#[cfg(unix)]
type Files = std::collections::BTreeMap<String, Vec<u8>>;

#[cfg(unix)]
#[test]
fn a_disk_that_refuses_leaves_every_document_old_or_new_and_says_what_to_do() {
    let new_article = |room: &Room| {
        let text = "---\ntitle: A late piece\ndate: 2026-02-27T08:00:00-06:00\nauthors: [A. Reporter]\n---\n\nLate.\n";
        fs::write(room.path("articles/campus/a-late-piece.md"), text).unwrap();
    };
    let edit = |room: &Room| {
        let path = room.path("articles/campus/a-late-piece.md");
        fs::write(&path, fs::read_to_string(&path).unwrap() + "\nCorrected.\n").unwrap();
    };
    let changes: [&dyn Fn(&Room); 3] = [&rename, &new_article, &edit];
    let room = Room::sample();
    room.run(&["build"]).fine();
    for (number, change) in changes.iter().enumerate() {
        let old = room::files(&room.path("feeds"));
        change(&room);
        // What it should become, built elsewhere.
        let other = Room::sample();
        for path in ["config.yaml", "articles/ids.csv", "articles/campus/a-late-piece.md"] {
            fs::copy(room.path(path), other.path(path)).ok();
        }
        other.run(&["build"]).fine();
        let new = room::files(&other.path("feeds"));
        assert!(old != new, "change {number} changed nothing");
        let mut refused = 0;
        for blocks in [0, 1, 8, 24, 64, 128] {
            let when = format!("change {number}, {blocks} blocks");
            let ids = fs::read(room.path("articles/ids.csv")).unwrap();
            let ended = refused_beyond(blocks, &room.command(&["build"])).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            old_or_new(&room::files(&room.path("feeds")), &old, &new, &when);
            if ended.status.success() {
                continue;
            }
            refused += 1;
            assert_eq!(ended.status.code(), Some(4), "{when}: {said}");
            assert!(said.to_lowercase().contains("make room"), "{when}: {said}");
            assert!(said.contains("feeds/") || said.contains("ids.csv"), "it does not say which file, {when}: {said}");
            let now = fs::read(room.path("articles/ids.csv")).unwrap();
            assert!(now == ids || now == fs::read(other.path("articles/ids.csv")).unwrap(), "{when}");
        }
        assert!(refused >= 3, "only {refused} builds were refused");
        room.run(&["build"]).fine();
        assert!(room::files(&room.path("feeds")) == new, "something is missing after change {number}");
    }
}

/// A disk of so many kilobytes that are free, on which the built feeds stand: a file system of its own, in a namespace of
/// its own, so that nobody has to be root. The feeds as they are afterwards are copied beside.
#[cfg(target_os = "linux")]
fn on_a_disk_with(free: usize, room: &Room) -> std::process::Output {
    let script = r#"
        size=$(( $(du -sk feeds | cut -f1) + 256 ))
        mkdir disk && mount -t tmpfs -o size=${size}k tmpfs disk && cp -a feeds/. disk/ || exit 99
        mount --bind disk feeds || exit 99
        dd if=/dev/zero of=disk/filler bs=1k count=$size 2>/dev/null
        truncate -s $(( $(stat -c %s disk/filler) - $1 * 1024 )) disk/filler
        shift
        "$@"
        code=$?
        rm disk/filler && cp -a disk/. left/ || exit 99
        exit $code
    "#;
    let whole = room.command(&["build"]);
    let _ = fs::remove_dir_all(room.path("left"));
    let _ = fs::remove_dir(room.path("disk"));
    fs::create_dir(room.path("left")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", &free.to_string()]);
    command.arg(whole.get_program()).args(whole.get_args()).current_dir(whole.get_current_dir().unwrap());
    command.output().unwrap()
}

/// What a build leaves of the sample when it has another name: the feeds before and after.
#[cfg(target_os = "linux")]
fn renamed() -> (Room, Files, Files) {
    let room = Room::sample();
    room.run(&["build"]).fine();
    let old = room::files(&room.path("feeds"));
    rename(&room);
    let other = Room::sample();
    rename(&other);
    other.run(&["build"]).fine();
    let new = room::files(&other.path("feeds"));
    (room, old, new)
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_after_any_number_of_bytes_leaves_every_document_old_or_new() {
    let (room, old, new) = renamed();
    let disk = room.path("full.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/feeds_survive/full.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&disk).arg(source).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let bytes: usize = new.values().map(Vec::len).sum();
    let mut news = Vec::new();
    // In all less than what is needed, should none of it be in vain.
    for part in [0, 1, 2, 4] {
        let free = bytes / 8 * part;
        let mut command = room.command(&["build"]);
        let ended = command.env("LD_PRELOAD", &disk).env("PRESSRUN_TEST_ROOM", free.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(4), "{free}: {said}");
        assert!(said.contains("the disk is full: ") && said.contains("make room"), "{free}: {said}");
        news.push(old_or_new(&room::files(&room.path("feeds")), &old, &new, &format!("{free} bytes")));
    }
    assert_eq!(news[0], 0, "something was written on a full disk");
    room.run(&["build"]).fine();
    assert!(room::files(&room.path("feeds")) == new);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_of_its_own_leaves_every_document_old_or_new() {
    // A container may forbid it; the test above does the same without a disk.
    let mut trial = Command::new("unshare");
    trial.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "x", "/mnt"]);
    let may = trial.output().is_ok_and(|ended| ended.status.success());
    if !may {
        eprintln!("not tested: no disk of its own may be made here; one that only says that it is full was");
        return;
    }
    let (room, old, new) = renamed();
    let mut news = Vec::new();
    for free in [0, 4, 40, 128, 240] {
        let ended = on_a_disk_with(free, &room);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(4), "{free}: {said}");
        assert!(said.contains("the disk is full: ") && said.contains("make room"), "{free}: {said}");
        news.push(old_or_new(&room::files(&room.path("left")), &old, &new, &format!("{free} KB")));
    }
    assert_eq!(news[0], 0, "something was written on a full disk");
    room.run(&["build"]).fine();
    assert!(room::files(&room.path("feeds")) == new);
}

#[test]
fn a_reader_in_the_middle_of_a_feed_reads_the_old_one_to_its_end() {
    let room = Room::sample();
    room.run(&["build"]).fine();
    let old = fs::read(room.path("feeds/atom.xml")).unwrap();
    let mut open = fs::File::open(room.path("feeds/atom.xml")).unwrap();
    rename(&room);
    room.run(&["build"]).fine();
    let mut read = Vec::new();
    open.read_to_end(&mut read).unwrap();
    assert!(read == old && fs::read(room.path("feeds/atom.xml")).unwrap() != old);
}

#[test]
fn a_cache_of_another_program_is_not_used() {
    let room = Room::sample();
    room.run(&["build"]).fine();
    // What the cache was made with stands in these bytes of its header.
    let made_with = || fs::read(room.path("var/build.cache")).unwrap()[8..40].to_vec();
    let (first, feeds) = (made_with(), room::files(&room.path("feeds")));
    room.run(&["build"]).fine();
    assert_eq!(made_with(), first);
    let other = room.path("another-pressrun");
    let whole = room.command(&["build"]);
    fs::copy(whole.get_program(), &other).unwrap();
    let mut command = Command::new(&other);
    command.args(whole.get_args()).current_dir(whole.get_current_dir().unwrap());
    assert!(command.output().unwrap().status.success());
    assert_ne!(made_with(), first);
    assert!(room::files(&room.path("feeds")) == feeds);
}
