//! `pressrun publish` is killed while it sends, and does the rest the next time.

use super::faulty::{Fault, Line};
use super::stores::{Flaky, Moto};
use crate::support::room::{Room, files};
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// So many objects have been acknowledged when the program is killed.
const ARRIVED: usize = 4;

/// Runs `pressrun publish` and kills it when so many objects have arrived and it has taken notice; which they are.
fn publish_and_kill(room: &Room, line: &Line) -> BTreeSet<String> {
    line.forget();
    line.rule({
        let through = std::cell::Cell::new(0);
        move |request, _| {
            if !request.starts_with("PUT") {
                return Fault::None;
            }
            through.set(through.get() + 1);
            if through.get() <= ARRIVED { Fault::None } else { Fault::Hold }
        }
    });
    let mut child = credentials(room.command(&["publish"])).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let noted = || {
        let all = files(&room.path("var/publish"));
        let journal = all.iter().find(|(name, _)| name.ends_with(".arrived"));
        journal.map_or(0, |(_, bytes)| bytes.split(|byte| *byte == b'\n').count() - 1)
    };
    while !room.path("var/publish").exists() || noted() < ARRIVED {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come so far: {:?}", line.seen());
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let put =
        |(request, fault): (String, Fault)| (request.starts_with("PUT") && fault == Fault::None).then_some(request);
    line.seen().into_iter().filter_map(put).collect()
}

fn credentials(mut command: std::process::Command) -> std::process::Command {
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    command
}

/// Runs `pressrun publish` to its end; the requests that it made, GET and PUT.
fn publish(room: &Room, line: &Line) -> (usize, BTreeSet<String>) {
    line.forget();
    line.rule(|_, _| Fault::None);
    let output = credentials(room.command(&["publish"])).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (puts, gets): (Vec<_>, Vec<_>) =
        line.seen().into_iter().map(|(request, _)| request).partition(|request| request.starts_with("PUT"));
    let once: BTreeSet<String> = puts.iter().cloned().collect();
    assert_eq!(once.len(), puts.len(), "each once: {puts:?}");
    (gets.len(), once)
}

#[test]
fn after_a_kill_the_rest_is_sent_and_nothing_twice_and_hubs_hear_of_all() {
    let Some(moto) = Moto::start() else { return };
    let (line, hub) = (Line::before(&moto.endpoint, |_, _| Fault::None), Flaky::start(|_, _| 200));
    let room = Room::small(1);
    let (endpoint, hub_address) = (&line.endpoint, &hub.endpoint);
    let config = room.read("config.yaml").replace("feeds:\n", &format!("feeds:\n  hubs: [\"{hub_address}\"]\n"));
    let publishing = format!("publish:\n  - {{to: \"s3://advocate/feeds\", endpoint: \"{endpoint}\", settle: 0s}}\n");
    room.write("config.yaml", &format!("{config}{publishing}"));
    room.run(&["build"]).fine();
    let whole = || {
        for (path, bytes) in files(&room.path("feeds")) {
            assert_eq!(moto.get(&format!("/advocate/feeds/{path}")).body, bytes, "{path}");
        }
    };
    let names = || files(&room.path("feeds")).into_keys().map(|path| format!("PUT /advocate/feeds/{path}"));
    let all: BTreeSet<String> = names().collect();
    assert!(all.len() > 2 * ARRIVED - 1, "{all:?}");
    let feeds = |requests: &BTreeSet<String>| {
        requests.iter().filter(|r| r.contains("rss") || r.contains("atom") || r.contains("json")).count()
    };

    // The first publication of all: there is no record yet, so the store is asked.
    let arrived = publish_and_kill(&room, &line);
    assert_eq!((arrived.len(), hub.requests().len()), (ARRIVED, 0));
    let (gets, rest) = publish(&room, &line);
    assert_eq!((gets, &rest), (1, &all.difference(&arrived).cloned().collect()));
    whole();
    assert_eq!(hub.requests().len(), feeds(&all), "of those too that arrived before the kill");

    // A later one: the record and what was noted since are enough.
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "News.");
    room.run(&["build"]).fine();
    let before = hub.requests().len();
    let arrived = publish_and_kill(&room, &line);
    assert_eq!((arrived.len(), hub.requests().len()), (ARRIVED, before));
    let (gets, rest) = publish(&room, &line);
    assert_eq!(gets, 0);
    assert!(!rest.is_empty() && rest.is_disjoint(&arrived), "{rest:?} after {arrived:?}");
    whole();
    let changed: BTreeSet<String> = arrived.union(&rest).cloned().collect();
    assert_eq!(hub.requests().len() - before, feeds(&changed));
    assert_eq!(publish(&room, &line), (0, BTreeSet::new()), "and then there is nothing to do");
    assert_eq!(hub.requests().len() - before, feeds(&changed));
}
