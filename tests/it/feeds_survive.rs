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
