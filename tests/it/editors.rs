//! Editors hear by mail what waits for them and what became of it: each thing once, and never at the cost of a run.

use crate::support::room::{Ran, Room, address};
use crate::support::smtp_server::{Act, At, Moment, Script, Server};

const EDITOR: &str = "editor@small-paper.example";

fn room(readers: usize) -> Room {
    let room = Room::small(readers);
    room.replace("config.yaml", "    approval:", &format!("    editors: [{EDITOR}]\n    approval:"));
    room
}

/// Subject and text of the letters to an editor in the outbox.
fn letters(room: &Room, to: &str) -> Vec<(String, String)> {
    let mut letters = Vec::new();
    for (_, mail) in room.outbox() {
        let parsed = mail_parser::MessageParser::default().parse(&mail).unwrap();
        if parsed.to().unwrap().first().unwrap().address() == Some(to) {
            assert_eq!(parsed.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
            assert_eq!(parsed.html_body_count(), parsed.text_body_count(), "it is plain text");
            letters.push((parsed.subject().unwrap().to_owned(), parsed.body_text(0).unwrap().into_owned()));
        }
    }
    letters
}

#[test]
fn an_edition_that_was_sent_is_told_once() {
    let room = room(3);
    let first = room.run(&["run"]).fine();
    assert!(first.out.contains("1 letter sent"), "{first:?}");
    let told = letters(&room, EDITOR);
    assert_eq!(told.len(), 1);
    let (subject, text) = &told[0];
    assert_eq!(subject, "Sent: News by mail no. 1");
    for words in ["has been sent", "3 accepted", "pressrun ledger show 1", "The Small Paper"] {
        assert!(text.contains(words), "{words:?} is missing: {text}");
    }
    assert!(!text.contains("Refused") && !text.contains("uncertain ones"), "{text}");
    std::fs::remove_dir_all(room.path("outbox")).unwrap();
    room.run(&["run"]).fine();
    room.run(&["run", "--now"]).fine();
    room.run(&["send", "news"]).fine();
    assert!(room.outbox().is_empty());
}

#[test]
fn a_draft_that_waits_is_told_once_with_its_pieces_and_what_to_do() {
    let room = room(2);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    let told = letters(&room, EDITOR);
    assert_eq!((told.len(), room.outbox().len()), (1, 1));
    let (subject, text) = &told[0];
    assert_eq!(subject, "A draft is ready: News by mail no. 1");
    for words in ["1. The first piece", "Readers:   2", "pressrun edition approve 1", "News by mail: The first piece"] {
        assert!(text.contains(words), "{words:?} is missing: {text}");
    }
    assert!(!text.contains("too long ago"), "{text}");
    room.run(&["run", "--now"]).fine();
    assert_eq!(room.outbox().len(), 1);
    room.run(&["edition", "approve", "1"]).fine();
    room.run(&["send", "news"]).fine();
    assert_eq!(letters(&room, EDITOR).len(), 2);
    assert_eq!(room.outbox().len(), 4);
}

#[test]
fn the_newsrooms_editors_hear_of_digests_that_name_nobody() {
    let room = Room::small(1);
    room.replace(
        "config.yaml",
        "newsroom:\n",
        "newsroom:\n  editors: [one@small-paper.example, two@small-paper.example]\n",
    );
    room.run(&["run"]).fine();
    assert_eq!(letters(&room, "one@small-paper.example").len(), 1);
    assert_eq!(letters(&room, "two@small-paper.example").len(), 1);
    // A digest that names its own.
    room.replace("config.yaml", "    approval:", &format!("    editors: [{EDITOR}]\n    approval:"));
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More news.");
    room.run(&["run", "--now"]).fine();
    assert_eq!(letters(&room, "one@small-paper.example").len(), 1);
    assert_eq!(letters(&room, EDITOR).len(), 1);
}

fn with_server(room: &Room, server: &Server) -> impl Fn(&[&str]) -> Ran {
    let address = format!("smtp://{}", server.address);
    let path = room.path("config.yaml");
    move |arguments| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pressrun"));
        command.arg("--config").arg(&path).arg("--transport").arg(&address).args(arguments);
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// What the server has for an editor.
fn kept(server: &Server) -> Vec<String> {
    let seen = server.seen.lock().unwrap();
    let to_editor = seen.kept.iter().filter(|kept| kept.to.contains(EDITOR));
    let text = |message: &[u8]| {
        let parsed = mail_parser::MessageParser::default().parse(message).unwrap();
        format!("{}\n{}", parsed.subject().unwrap(), parsed.body_text(0).unwrap())
    };
    to_editor.map(|kept| text(&kept.message)).collect()
}

async fn refusing(refuse: impl Fn(&At<'_>) -> bool + Send + Sync + 'static) -> Server {
    let decide = move |at: &At<'_>| {
        let refused = at.moment == Moment::Rcpt && refuse(at);
        if refused { Act::Say(b"550 5.1.1 no such user\r\n") } else { Act::Usual }
    };
    Server::start(Script { decide: Box::new(decide), ..Script::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_refused_readers_are_named_with_what_their_server_said() {
    let room = room(5);
    let server = refusing(|at| at.to.contains(&address(2))).await;
    with_server(&room, &server)(&["run"]).fine();
    let told = kept(&server);
    assert_eq!(told.len(), 1, "{told:?}");
    for words in ["4 accepted", "1 refused", &address(2), "550", "no such user"] {
        assert!(told[0].contains(words), "{words:?} is missing: {}", told[0]);
    }
    assert!(!told[0].contains(&address(1)), "{}", told[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refused_readers_are_counted_and_not_listed() {
    let room = room(40);
    let server = refusing(|at| (1..=11).any(|n| at.to.contains(&address(n * 3)))).await;
    let run = with_server(&room, &server);
    run(&["run"]);
    let told = kept(&server).concat();
    assert!(!told.is_empty() && !told.contains("reader0"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_edition_is_told_once_until_more_of_it_has_gone() {
    let room = room(3);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["edition", "new", "news"]);
    room.run(&["subscribers", "import", "subscribers.csv", "--consent", "made for a test"]);
    room.run(&["edition", "approve", "1"]).fine();
    room.run(&["ledger", "pause", "1", "--why", "a wrong name in the second paragraph"]);
    let server = refusing(|_| false).await;
    let run = with_server(&room, &server);
    for _ in 0..2 {
        assert!(run(&["run"]).out.contains("paused"));
    }
    let told = kept(&server);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("Paused: News by mail no. 1") && told[0].contains("pressrun ledger resume 1"),
        "{}",
        told[0]
    );
    run(&["ledger", "resume", "1"]).fine();
    run(&["run"]).fine();
    let told = kept(&server);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("Sent: "), "{}", told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_whose_mailbox_refuses_costs_the_run_nothing_and_is_not_asked_again() {
    let room = room(2);
    let server = refusing(|at| at.to.contains(EDITOR)).await;
    let run = with_server(&room, &server);
    let first = run(&["run"]).fine();
    assert!(first.out.contains("was refused"), "{first:?}");
    let second = run(&["run"]).fine();
    assert!(!second.out.contains("letter"), "{second:?}");
    assert_eq!(server.seen.lock().unwrap().kept.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_whose_mailbox_is_always_busy_holds_up_no_other_and_is_given_up_in_the_end() {
    let room = room(2);
    room.replace("config.yaml", &format!("[{EDITOR}]"), &format!("[a-busy-editor@small-paper.example, {EDITOR}]"));
    let decide = |at: &At<'_>| {
        let busy = at.moment == Moment::Rcpt && at.to.starts_with("a-busy-editor");
        if busy { Act::Say(b"450 4.2.1 mailbox busy\r\n") } else { Act::Usual }
    };
    let server = Server::start(Script { decide: Box::new(decide), ..Script::default() }).await;
    let run = with_server(&room, &server);
    let first = run(&["run"]).fine();
    assert!(first.out.contains("could not be told") && first.out.contains("mailbox busy"), "{first:?}");
    assert_eq!(kept(&server).len(), 1, "the other editor has hers");
    assert!(run(&["run"]).fine().out.contains("could not be told"));
    room.sql("UPDATE notice SET since = since - 8 * 86400000");
    let last = run(&["run"]).fine();
    assert!(last.out.contains("given up after 7 days") && !last.out.contains("tries again"), "{last:?}");
    let after = run(&["run"]).fine();
    assert!(!after.out.contains("editors"), "{after:?}");
    assert_eq!(kept(&server).len(), 1);
}

#[test]
fn letters_that_cannot_be_sent_cost_the_run_nothing_and_come_with_the_next() {
    let room = room(2);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    // Nobody listens there.
    let first = room.run(&["--transport", "smtp://127.0.0.1:1", "run"]).fine();
    assert!(first.out.contains("could not be told") && first.out.contains("127.0.0.1:1"), "{first:?}");
    room.run(&["run"]).fine();
    assert_eq!(letters(&room, EDITOR).len(), 1);
}

#[test]
fn a_newsroom_writes_its_own_letters_and_check_finds_what_is_wrong_with_them() {
    let room = room(1);
    room.write(
        "templates/editor/summary.txt.hbs",
        "Subject: Gesendet: {{digest.title}}\n\n{{#each results}}{{count}} {{what}}{{/each}}\n",
    );
    room.run(&["check"]).fine();
    room.run(&["run"]).fine();
    let (subject, text) = letters(&room, EDITOR).remove(0);
    assert_eq!((subject.as_str(), text.trim()), ("Gesendet: News by mail", "1 accepted"));

    room.write("templates/editor/summary.txt.hbs", "Subject: {{digest.titel}}\n");
    room.run(&["check"]).failed(1, &["templates/editor/summary.txt.hbs:1", "did you mean `digest.title`?"]);
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More news.");
    let run = room.run(&["run", "--now"]).fine();
    assert!(run.out.contains("could not be told") && run.err.contains("digest.titel"), "{run:?}");
}
