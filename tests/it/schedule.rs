//! When an edition is made and when it goes out, seen from outside. The clock is the real one: schedules are made to fit it,
//! and the ledger's record of past turns stands in for the days that a test cannot wait.

use chrono::{DateTime, NaiveTime, TimeDelta, Timelike, Utc};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::room::{Ran, Room};
use crate::support::smtp_server::{Act, Moment, Script, Server};

/// A schedule that was due every day at this time of day, now: so long ago.
fn due_ago(ago: TimeDelta) -> String {
    let then = Utc::now() - ago;
    format!("{} {} * * *", then.minute(), then.hour())
}

/// A room whose digest is due daily, the last time so long ago, and had its last turn three days ago.
fn overdue(ago: TimeDelta, more: &str) -> Room {
    let room = Room::small(2);
    room.replace("config.yaml", "0 7 * * FRI", &due_ago(ago));
    room.replace("config.yaml", "    time_zone: UTC\n", &format!("    time_zone: UTC\n{more}"));
    // The ledger is made by looking at it.
    room.run(&["schedule"]).fine();
    let then = Utc::now() - TimeDelta::days(3);
    room.sql(&format!("INSERT INTO schedule_run VALUES ('news', {})", then.timestamp_millis()));
    room
}

/// The digest's line of `schedule --json`.
fn calendar(room: &Room) -> serde_json::Value {
    let told = room.run(&["--json", "schedule", "news"]).fine().out;
    serde_json::from_str(told.lines().next().unwrap()).unwrap()
}

fn editions(room: &Room) -> Vec<serde_json::Value> {
    let told = room.run(&["--json", "edition", "list"]).fine().out;
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_edition_that_is_late_but_not_too_late_goes_out() {
    let room = overdue(TimeDelta::hours(2), "");
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 2);
    assert!(room.run(&["run"]).fine().out.contains("next on"));
}

#[test]
fn an_edition_that_is_too_late_waits_for_a_person_and_is_made_once_however_many_were_missed() {
    let room = overdue(TimeDelta::hours(2), "    late: 1h\n");
    assert_eq!(calendar(&room)["due"].as_str().map(str::len), Some(20));
    let first = room.run(&["run"]).fine();
    assert!(first.out.contains("too late to go out by itself"), "{first:?}");
    for _ in 0..2 {
        let again = room.run(&["run"]).fine();
        assert!(again.out.contains("waits for an editor"), "{again:?}");
    }
    assert!(room.outbox().is_empty());
    assert_eq!(editions(&room).len(), 1);
    room.run(&["edition", "approve", "1"]).fine();
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 2);
    assert_eq!(editions(&room).len(), 1);
}

#[test]
fn a_missed_edition_is_skipped_where_the_policy_says_so_and_its_pieces_stay_new() {
    let room = overdue(TimeDelta::hours(2), "    late: 1h\n    missed: skip\n");
    let first = room.run(&["run"]).fine();
    assert!(first.out.contains("skipped"), "{first:?}");
    assert!(room.run(&["run"]).fine().out.contains("next on"), "it is skipped once");
    assert!(editions(&room).is_empty() && room.outbox().is_empty());
    room.run(&["run", "--now"]).fine();
    assert_eq!(room.outbox().len(), 2);
}

#[test]
fn too_few_pieces_wait_for_the_next_due_time_and_then_go_together() {
    let room = overdue(TimeDelta::hours(2), "    at_least: 2\n");
    let first = room.run(&["run"]).fine();
    assert!(first.out.contains("fewer than 2 pieces"), "{first:?}");
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More news.");
    // The due time was handled: the second piece waits for the next one.
    assert!(room.run(&["run"]).fine().out.contains("next on"));
    assert!(editions(&room).is_empty());
    let handled = room.sql("UPDATE schedule_run SET due = due - 86400000");
    assert_eq!(handled, 2);
    room.run(&["run"]).fine();
    let mails = room.outbox();
    assert_eq!(mails.len(), 2);
    let text = mail_parser::MessageParser::default().parse(&mails[0].1).unwrap().body_text(0).unwrap().into_owned();
    assert!(text.contains("The first piece") && text.contains("The second piece"), "{text}");
}

#[test]
fn two_runs_at_the_same_due_time_make_one_edition() {
    let room = overdue(TimeDelta::minutes(5), "");
    let start = || room.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runs: Vec<Child> = (0..4).map(|_| start()).collect();
    let codes: Vec<_> = runs.into_iter().map(|run| run.wait_with_output().unwrap().status.code()).collect();
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 4))), "{codes:?}");
    assert!(codes.contains(&Some(0)), "{codes:?}");
    room.run(&["run"]).fine();
    assert_eq!(editions(&room).len(), 1);
    assert_eq!(room.outbox().len(), 2);
}

#[test]
fn a_draft_that_a_killed_run_left_goes_out_with_the_next_one() {
    let room = overdue(TimeDelta::minutes(5), "");
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    assert_eq!(editions(&room)[0]["state"], "draft");
    // As a run leaves it that is killed between making and approving.
    room.replace("config.yaml", "approval: editor", "approval: automatic");
    room.run(&["run"]).fine();
    assert_eq!(editions(&room).len(), 1);
    assert_eq!(room.outbox().len(), 2);
}

#[test]
fn what_was_withdrawn_or_corrected_since_does_not_go_out_with_a_draft_that_a_killed_run_left() {
    let room = overdue(TimeDelta::minutes(5), "");
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "It names a minor.");
    room.run(&["run"]).fine();
    room.replace("articles/news/second.md", "authors:", "withdrawn: {date: 2026-03-03, reason: Wrong.}\nauthors:");
    room.replace("articles/news/first.md", "A short text", "A corrected text");
    room.replace("config.yaml", "approval: editor", "approval: automatic");
    room.run(&["run"]).fine();
    let mails = room.outbox();
    assert_eq!((editions(&room).len(), mails.len()), (1, 2));
    for (_, mail) in mails {
        let text = mail_parser::MessageParser::default().parse(&mail).unwrap().body_text(0).unwrap().into_owned();
        assert!(text.contains("A corrected text") && !text.contains("minor"), "{text}");
    }
}

#[test]
fn a_draft_of_which_nothing_is_published_any_more_is_withdrawn_and_one_that_was_edited_waits() {
    let room = overdue(TimeDelta::minutes(5), "");
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More.");
    room.run(&["run"]).fine();
    room.run(&["edition", "edit", "1", "--leave-out", "1"]).fine();
    room.replace("config.yaml", "approval: editor", "approval: automatic");
    let waits = room.run(&["run"]).fine();
    assert!(waits.out.contains("waits for an editor"), "{waits:?}");
    room.run(&["edition", "withdraw", "1"]).fine();

    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["edition", "new", "news"]).fine();
    room.sql("UPDATE edition SET due = made WHERE id = 2");
    for name in ["first", "second"] {
        let file = format!("articles/news/{name}.md");
        room.replace(&file, "authors:", "withdrawn: {date: 2026-03-03, reason: Wrong.}\nauthors:");
    }
    room.replace("config.yaml", "approval: editor", "approval: automatic");
    let gone = room.run(&["run"]).fine();
    assert!(gone.out.contains("withdrawn") && room.outbox().is_empty(), "{gone:?}");
    assert_eq!(editions(&room)[0]["state"], "withdrawn");
}

#[test]
fn a_clock_that_was_ahead_is_told_and_mended_by_a_person() {
    let room = Room::small(1);
    room.run(&["run"]).fine();
    let ahead = Utc::now() + TimeDelta::days(20_000);
    room.sql(&format!("INSERT INTO schedule_run VALUES ('news', {})", ahead.timestamp_millis()));
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More news.");
    let told = room.run(&["run"]).fine();
    assert!(told.out.contains("the clock was set back") && told.out.contains("run --now"), "{told:?}");
    assert_eq!(editions(&room).len(), 1);
    room.run(&["run", "--now"]).fine();
    assert_eq!(editions(&room).len(), 2);
    assert!(room.run(&["run"]).fine().out.contains("next on"));
}

/// Quiet hours that begin and end so many minutes from now.
pub fn quiet(begin: i64, end: i64) -> String {
    let clock = |minutes| (Utc::now() + TimeDelta::minutes(minutes)).time().format("%H:%M");
    format!("    quiet: \"{}-{}\"\n", clock(begin), clock(end))
}

#[test]
fn in_quiet_hours_an_edition_is_made_and_waits() {
    let room = overdue(TimeDelta::hours(2), &quiet(-60, 120));
    let first = room.run(&["run"]).fine();
    assert!(first.out.contains("quiet hours until"), "{first:?}");
    assert_eq!(editions(&room)[0]["state"], "approved");
    assert!(room.outbox().is_empty());
    let standing = calendar(&room);
    assert!(standing["quiet_until"].is_string() && standing["under_way"][0] == 1, "{standing}");
    room.run(&["send", "news"]).fine();
    assert!(room.outbox().is_empty(), "sending by hand keeps them too");
    let text = room.read("config.yaml");
    let line = text.lines().find(|line| line.contains("quiet:")).unwrap();
    room.replace("config.yaml", line, quiet(60, 120).trim_end());
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 2, "they have ended");
}

#[test]
fn a_person_may_send_in_quiet_hours() {
    let room = overdue(TimeDelta::hours(2), &quiet(-60, 120));
    room.run(&["send", "news", "--now"]).fine();
    assert_eq!(room.outbox().len(), 2);
}

/// Lasts up to a minute: quiet hours begin with a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_sending_that_runs_into_quiet_hours_ends_in_good_order_and_goes_on_after_them() {
    let decide = |at: &crate::support::smtp_server::At<'_>| {
        if at.moment == Moment::Dot {
            std::thread::sleep(Duration::from_millis(100));
        }
        Act::Usual
    };
    let server = Server::start(Script { decide: Box::new(decide), ..Script::default() }).await;
    let room = overdue(TimeDelta::minutes(5), "");
    room.readers(400);
    room.replace(
        "config.yaml",
        "press:\n",
        &format!("transport: smtp://{}\npress:\n  connections: 1\n", server.address),
    );
    // The sending begins at most ten seconds before the minute ends, and lasts forty.
    tokio::time::sleep(Duration::from_secs((110 - u64::from(Utc::now().second())) % 60)).await;
    room.replace("config.yaml", "    time_zone: UTC\n", &format!("    time_zone: UTC\n{}", quiet(1, 120)));
    let first = tokio::task::block_in_place(|| room.run(&["run"])).fine();
    assert!(first.out.contains("quiet hours until"), "{first:?}");
    let sent = server.seen.lock().unwrap().kept.len();
    assert!((1..400).contains(&sent), "{sent} were sent");
    assert_eq!(room.count("state = 3"), sent, "each is settled");
    assert_eq!(room.count("state = 0"), 400 - sent, "and the others wait");
    tokio::task::block_in_place(|| room.run(&["run"])).fine();
    assert_eq!(server.seen.lock().unwrap().kept.len(), sent, "nothing goes out in them");
}

#[test]
fn the_calendar_tells_what_comes_and_what_waits() {
    let room = Room::sample();
    let before: Ran = room.run(&["schedule"]).fine();
    for words in
        ["Middle-East Outreach", "every Friday at 07:00, America/Chicago", "every Sunday at 16:30", "never", "due:"]
    {
        assert!(before.out.contains(words), "{words:?} is missing: {}", before.out);
    }
    room.run(&["run"]).fine();
    let after = room.run(&["schedule", "campus-week", "--count", "60"]).fine().out;
    assert!(after.contains("waits for an editor") && !after.contains("Middle-East"), "{after}");
    assert_eq!(after.matches("Sunday, ").count() - 1, 60 - usize::from(!after.contains("last      Sunday")), "{after}");
    assert!(after.contains("the clocks have been set"), "a year has two such Sundays: {after}");

    let told = room.run(&["--json", "schedule", "--count", "2"]).fine().out;
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["digest"], "middle-east-outreach");
    assert_eq!(told[0]["next"].as_array().unwrap().len(), 2);
    let next: DateTime<Utc> = told[0]["next"][0]["at"].as_str().unwrap().parse().unwrap();
    assert!(
        next > Utc::now()
            && next.with_timezone(&chrono_tz::America::Chicago).time() == NaiveTime::from_hms_opt(7, 0, 0).unwrap()
    );
    assert!(told[1]["draft"].is_i64(), "{}", told[1]);
    room.run(&["schedule", "campus-weak"]).failed(2, &["campus-week"]);
}
