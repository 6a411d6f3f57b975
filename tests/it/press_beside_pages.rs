//! `pressrun serve` runs the press too: what `pressrun run` does, when its time has come; beside other runs, and to a good end.

use chrono::Utc;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::room::{Room, address};
use crate::support::smtp_server::{Act, At, Moment, Script, Server};

const EDITOR: &str = "editor@small-paper.example";
/// So soon a server notices what others have done; generous, for a machine under load.
const SOON: Duration = Duration::from_secs(40);

#[track_caller]
fn wait_until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn get(at: std::net::SocketAddr, path: &str) -> String {
    let mut socket = std::net::TcpStream::connect(at).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

fn with_editor(readers: usize) -> Room {
    let room = Room::small(readers);
    room.replace("config.yaml", "    approval:", &format!("    editors: [{EDITOR}]\n    approval:"));
    room
}

#[test]
fn an_edition_that_is_due_is_made_and_sent_and_the_editors_hear_of_it() {
    let room = with_editor(3);
    let serving = room.serve(&[]);
    let everybody = [EDITOR.to_owned(), address(1), address(2), address(3)];
    wait_until("everybody has it", SOON, || room.mailed() == everybody);
    assert!(room.path("feeds/news/rss.xml").exists(), "the feeds are built, as a run does");
    let metrics = || get(serving.at, "/metrics");
    for line in [
        "pressrun_press_mails_total{outcome=\"accepted\"} 3",
        "pressrun_press_connections 0",
        "pressrun_ledger_uncertain 0",
        "pressrun_ledger_editions 0",
    ] {
        wait_until(line, SOON, || metrics().contains(line));
    }
    assert!(serving.stop().success());
    let run = room.run(&["run"]).fine();
    assert!(run.out.contains("next on") && run.out.contains("nothing new to send"), "{run:?}");
    assert_eq!(room.mailed().len(), 4);
}

#[test]
fn an_approval_by_another_process_is_noticed_and_a_pause_is_kept() {
    let room = with_editor(2);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    let serving = room.serve(&[]);
    wait_until("the editor hears of the draft", SOON, || room.mailed() == [EDITOR]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(room.mailed().len(), 1, "a draft waits for its editor, who is told once");
    room.run(&["edition", "approve", "1"]).fine();
    wait_until("the readers have it", SOON, || room.mailed().len() == 4);

    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More news.");
    room.run(&["edition", "new", "news"]).fine();
    let ledger = || rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    // Approved and paused in one, so that nobody can come between.
    ledger().execute_batch("CREATE TRIGGER halt AFTER UPDATE OF state ON edition WHEN NEW.id = 2 AND NEW.state = 'approved' BEGIN UPDATE edition SET paused = 'by a test' WHERE id = 2; END;").unwrap();
    room.run(&["edition", "approve", "2"]).fine();
    ledger().execute_batch("DROP TRIGGER halt").unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(room.count("edition = 2 AND state = 0"), 2);
    room.run(&["ledger", "resume", "2"]).fine();
    wait_until("resumed, it goes", SOON, || room.count("edition = 2 AND state = 3") == 2);
    assert!(serving.stop().success());
}

#[test]
fn a_schedule_is_kept_while_it_serves() {
    let room = Room::small(2);
    room.replace("config.yaml", "0 7 * * FRI", "* * * * *");
    room.run(&["schedule"]).fine();
    let now = Utc::now();
    room.sql(&format!("INSERT INTO schedule_run VALUES ('news', {})", now.timestamp_millis()));
    let serving = room.serve(&[]);
    std::thread::sleep(Duration::from_secs(1));
    let minute = now.timestamp() / 60;
    if Utc::now().timestamp() / 60 == minute {
        assert!(room.outbox().is_empty(), "its minute has not come");
    }
    wait_until("the minute has come", Duration::from_mins(1) + SOON, || room.outbox().len() == 2);
    assert!(Utc::now().timestamp() / 60 > minute);
    assert!(serving.stop().success());
}

#[test]
fn without_its_press_it_leaves_all_to_runs() {
    for by_flag in [true, false] {
        let room = Room::small(2);
        let flags: &[&str] = if by_flag {
            &["--no-press"]
        } else {
            room.write("config.yaml", &(room.read("config.yaml") + "serve:\n  press: false\n"));
            &[]
        };
        let serving = room.serve(flags);
        std::thread::sleep(Duration::from_secs(3));
        assert!(room.outbox().is_empty() && !get(serving.at, "/metrics").contains("pressrun_press"));
        room.run(&["run"]).fine();
        assert_eq!(room.outbox().len(), 2);
        assert!(serving.stop().success());
    }
}

fn copies(server: &Server) -> HashMap<String, usize> {
    let mut copies = HashMap::new();
    for kept in server.kept() {
        *copies.entry(kept.to).or_default() += 1;
    }
    copies
}

/// A server that needs a moment for each mail.
async fn slow(moment: Duration) -> Server {
    let decide = move |at: &At<'_>| {
        if at.moment == Moment::Dot {
            std::thread::sleep(moment);
        }
        Act::Usual
    };
    Server::start(Script { decide: Box::new(decide), ..Script::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_beside_it_mail_nobody_twice() {
    const READERS: usize = 250;
    let server = slow(Duration::from_millis(10)).await;
    let room = Room::small(READERS);
    let relay = format!("smtp://{}", server.address);
    tokio::task::block_in_place(|| {
        let two = [room.serve(&["--transport", &relay]), room.serve(&["--transport", &relay])];
        let began = Instant::now();
        let ended = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while room.path("var/ledger.sqlite").exists() && began.elapsed() < SOON * 2 {
                        let run = room.run(&["--transport", &relay, "run"]);
                        assert!(matches!(run.code, Some(0 | 4)), "{run:?}");
                        ended.fetch_add(1, Ordering::Relaxed);
                        if copies(&server).len() == READERS {
                            break;
                        }
                    }
                });
            }
        });
        wait_until("all have it", SOON, || copies(&server).len() == READERS);
        assert!(ended.load(Ordering::Relaxed) >= 3);
        for serving in two {
            assert!(serving.stop().success());
        }
        room.run(&["--transport", &relay, "run"]).fine();
    });
    let copies = copies(&server);
    assert_eq!((copies.len(), copies.values().max()), (READERS, Some(&1)));
    assert_eq!((room.count("state = 3"), room.count("doubts > 0")), (READERS, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_finishes_what_is_on_the_wire() {
    let server = slow(Duration::from_millis(50)).await;
    let room = Room::small(400);
    let relay = format!("smtp://{}", server.address);
    tokio::task::block_in_place(|| {
        let serving = room.serve(&["--transport", &relay]);
        wait_until("it sends", SOON, || server.kept().len() >= 10);
        assert!(serving.stop().success());
    });
    let sent = server.kept().len();
    assert!(sent < 400, "{sent}");
    assert_eq!((room.count("state = 3"), room.count("state = 0")), (sent, 400 - sent));
    assert_eq!(room.count("doubts > 0"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_to_machines_with_its_rate_and_the_time_left() {
    let server = slow(Duration::from_millis(20)).await;
    let room = Room::small(150);
    let relay = format!("smtp://{}", server.address);
    let run = tokio::task::block_in_place(|| room.run(&["--json", "--transport", &relay, "run"])).fine();
    let events: Vec<serde_json::Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let progress: Vec<_> = events.iter().filter(|event| event["event"] == "progress").collect();
    assert!(progress.len() >= 2, "{run:?}");
    let last = progress.last().unwrap();
    assert_eq!(last["progress"]["tally"]["accepted"], 150);
    assert_eq!(
        (last["progress"]["tally"]["deferred"].as_u64(), last["progress"]["waiting"].as_u64()),
        (Some(0), Some(150))
    );
    assert!(last["rate"].as_f64().unwrap() > 1.0 && last["seconds_left"].as_f64() == Some(0.0), "{last}");
    assert!(progress.iter().any(|event| event["seconds_left"].as_f64().is_some_and(|left| left > 0.0)), "{run:?}");
}

#[test]
fn a_new_senders_ceiling_is_no_failure_and_the_others_wait() {
    let room = Room::small(30);
    room.replace("config.yaml", "press:\n", "press:\n  warm_up: {start: 20, factor: 1.5, until: 1000}\n");
    for _ in 0..2 {
        let run = room.run(&["run"]).fine();
        assert!(run.out.contains("warm-up") && run.out.contains("10 wait"), "{run:?}");
        assert_eq!((room.outbox().len(), room.count("state = 0 AND tries = 0")), (20, 10));
    }
    let day = room.sql("UPDATE delivery SET ended = ended - 90000000 WHERE state = 3");
    assert_eq!(day, 20);
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_what_it_says_may_leave_and_the_mails_go_on() {
    let server = slow(Duration::from_millis(5)).await;
    let room = Room::small(120);
    let relay = format!("smtp://{}", server.address);
    let mut run = room
        .command(&["--json", "--transport", &relay, "run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(run.stdout.take());
    let ended = tokio::task::block_in_place(|| run.wait()).unwrap();
    assert!(ended.success(), "{ended}");
    assert_eq!((copies(&server).len(), room.count("state = 3")), (120, 120));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edition_that_too_many_refuse_is_paused_and_told_and_goes_on_when_a_person_says_so() {
    let refusing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let refuses = refusing.clone();
    let decide = move |at: &At<'_>| {
        let reader = at.to.starts_with("reader");
        if at.moment == Moment::Rcpt && reader && refuses.load(Ordering::SeqCst) {
            return Act::Say(b"550 5.1.1 no such user\r\n");
        }
        Act::Usual
    };
    let server = Server::start(Script { decide: Box::new(decide), ..Script::default() }).await;
    let room = with_editor(200);
    let relay = format!("smtp://{}", server.address);
    let run = |arguments: &[&str]| {
        tokio::task::block_in_place(|| room.run(&[&["--transport", relay.as_str()], arguments].concat()))
    };
    let first = run(&["run"]).failed(1, &["is paused", "were refused", "pressrun ledger resume 1", "--refused"]);
    assert!(!first.err.contains("carries on"), "{first:?}");
    let refused = room.count("state = 4");
    assert!((50..=60).contains(&refused), "{refused} were refused before it was noticed");
    let letters: Vec<String> = server.kept().iter().map(|kept| kept.to.clone()).collect();
    assert_eq!(letters, [EDITOR]);

    let again = run(&["run"]).fine();
    assert!(again.out.contains("paused") && again.out.contains("pressrun ledger resume 1"), "{again:?}");
    assert_eq!((room.count("state = 4"), server.kept().len()), (refused, 1), "nothing more, and nobody is told again");
    let list = room.run(&["ledger", "show", "1", "--refused"]).fine().out;
    assert_eq!(list.matches("refused by the mail server").count(), refused, "{list}");

    refusing.store(false, Ordering::SeqCst);
    run(&["ledger", "resume", "1"]).fine();
    run(&["run"]).fine();
    assert_eq!((room.count("state = 3"), room.count("state = 4")), (200 - refused, refused));
}
