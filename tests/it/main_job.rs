//! The main job, end to end: from a folder of articles to feeds and a delivered digest.

use crate::support::room::{self, Room, address};

/// The confirmed readers of Middle-East Outreach in the sample's list.
fn confirmed_in_the_sample(room: &Room) -> usize {
    let rows = room.read("subscribers.csv");
    rows.lines().filter(|l| l.contains(",middle-east-outreach,confirmed,")).count()
}

#[test]
fn a_fresh_clone_builds_its_feeds_and_mails_the_confirmed_readers_once() {
    let room = Room::sample();
    let first = room.run(&["run"]).fine();
    for feed in ["rss.xml", "atom.xml", "feed.json", "feeds.opml", "index.html", "middle-east-outreach/rss.xml"] {
        assert!(room.path("feeds").join(feed).is_file(), "{feed} is missing");
    }
    let readers = confirmed_in_the_sample(&room);
    assert!(readers >= 7);
    assert_eq!(room.outbox().len(), readers, "{first:?}");
    assert!(first.out.contains("outbox"), "{first:?}");

    for again in [&["run"][..], &["run", "--now"]] {
        let again = room.run(again).fine();
        assert_eq!(room.outbox().len(), readers, "{again:?}");
        assert!(again.out.contains("nothing new"), "{again:?}");
    }
}

#[test]
fn who_has_not_confirmed_has_left_or_is_suppressed_gets_nothing() {
    let room = Room::sample();
    room.run(&["run"]).fine();
    let mailed = room.mailed();
    let mut silent = 0;
    for row in csv::Reader::from_path(room.path("subscribers.csv")).unwrap().records() {
        let row = row.unwrap();
        if &row[3] != "confirmed" {
            silent += 1;
            assert!(!mailed.contains(&row[0].to_lowercase()), "{} is {}", &row[0], &row[3]);
        }
    }
    assert!(silent >= 5, "the sample has too few who must get nothing");
}

#[test]
fn the_committed_feeds_are_what_the_sample_builds() {
    let room = Room::sample();
    room.run(&["build", "--strict"]).fine();
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds");
    let (committed, built) = (room::files(&top), room::files(&room.path("feeds")));
    assert_eq!(committed.keys().collect::<Vec<_>>(), built.keys().collect::<Vec<_>>());
    for (name, bytes) in &committed {
        assert!(
            built[name] == *bytes,
            "feeds/{name} is not what the sample builds: run `cargo run -- build` and commit it"
        );
    }
    assert!(committed.len() > 20);
}

#[test]
fn a_new_article_is_mailed_once_to_everybody_and_an_old_one_never_again() {
    let room = Room::small(3);
    room.run(&["run"]).fine();
    assert_eq!(room.mailed(), [address(1), address(2), address(3)]);
    std::fs::remove_dir_all(room.path("outbox")).unwrap();

    // A late, back-dated piece is new all the same; a corrected one is not.
    room.article("late", "A late piece", "2026-01-05T08:00:00Z", "It was forgotten in a drawer.");
    room.replace(
        "articles/news/first.md",
        "date: 2026-03-01T08:00:00Z",
        "date: 2026-03-01T08:00:00Z\nupdated: 2026-03-02T08:00:00Z",
    );
    room.run(&["run", "--now"]).fine();
    let mails = room.outbox();
    assert_eq!(mails.len(), 3);
    for (_, mail) in mails {
        let text = mail_parser::MessageParser::default().parse(&mail).unwrap().body_text(0).unwrap().into_owned();
        assert!(text.contains("A late piece") && !text.contains("The first piece"), "{text}");
    }
}

#[test]
fn a_reader_who_left_stays_away_whatever_the_list_says() {
    let room = Room::small(2);
    room.run(&["run"]).fine();
    room.run(&["subscribers", "remove", &address(1)]).fine();
    std::fs::remove_dir_all(room.path("outbox")).unwrap();
    room.article("second", "The second piece", "2026-04-01T08:00:00Z", "More news.");
    room.run(&["run", "--now"]).fine();
    assert_eq!(room.mailed(), [address(2)]);
}

#[test]
fn what_an_editor_approved_is_what_arrives() {
    let room = Room::small(2);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    assert!(room.outbox().is_empty(), "nobody approved it");
    room.run(&[
        "edition",
        "edit",
        "1",
        "--subject",
        "Grüße aus der Redaktion",
        "--introduction",
        "Dear *readers*, welcome.",
    ])
    .fine();
    room.run(&["edition", "approve", "1"]).fine();
    let shown = room.run(&["edition", "show", "1", "--text"]).fine().out;

    // The article changes after the approval; the mail does not.
    room.replace("articles/news/first.md", "A short text", "A text that nobody approved");
    room.run(&["send", "news"]).fine();
    let mails = room.outbox();
    assert_eq!(mails.len(), 2);
    for (_, mail) in mails {
        let parsed = mail_parser::MessageParser::default().parse(&mail).unwrap();
        assert_eq!(parsed.subject(), Some("Grüße aus der Redaktion"));
        let text = parsed.body_text(0).unwrap();
        assert!(
            text.contains("A short text") && text.contains("welcome") && !text.contains("nobody approved"),
            "{text}"
        );
        let same = |t: &str| {
            t.lines()
                .filter(|l| !l.contains("unsubscribe") && !l.contains("http") && !l.contains('@'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let shown = same(&shown);
        assert!(same(&text).iter().all(|l| shown.contains(l)), "{text}");
    }
}

#[test]
fn an_edition_whose_bytes_changed_after_its_approval_is_refused() {
    let room = Room::small(1);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    room.run(&["edition", "approve", "1"]).fine();
    let ledger = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let changed =
        ledger.execute("UPDATE edition SET sealed = replace(sealed, 'A short text', 'A false text')", []).unwrap();
    assert_eq!(changed, 1);
    drop(ledger);
    room.run(&["send", "news"]).failed(1, &["not what was approved"]);
    assert!(room.outbox().is_empty());
}

#[test]
fn a_withdrawn_edition_reaches_nobody_and_its_pieces_are_new_again() {
    let room = Room::small(2);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.run(&["run"]).fine();
    room.run(&["edition", "approve", "1"]).fine();
    room.run(&["edition", "withdraw", "1"]).fine();
    room.run(&["send", "news"]).fine();
    assert!(room.outbox().is_empty());
    room.run(&["edition", "new", "news"]).fine();
    room.run(&["edition", "approve", "2"]).fine();
    room.run(&["send", "news"]).fine();
    assert_eq!(room.outbox().len(), 2);
}

#[test]
fn a_piece_left_out_is_offered_again_and_one_left_out_for_good_is_not() {
    let room = Room::small(1);
    room.replace("config.yaml", "approval: automatic", "approval: editor");
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More.");
    room.article("third", "The third piece", "2026-03-03T08:00:00Z", "Most.");
    room.run(&["edition", "new", "news"]).fine();
    let shown = room.run(&["--json", "edition", "show", "1"]).fine().out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let number = |title: &str| {
        let at = shown["pieces"].as_array().unwrap().iter().position(|p| p["title"] == title).unwrap();
        (at + 1).to_string()
    };
    room.run(&[
        "edition",
        "edit",
        "1",
        "--leave-out",
        &number("The second piece"),
        "--never",
        &number("The third piece"),
    ])
    .fine();
    room.run(&["edition", "approve", "1"]).fine();
    room.run(&["send", "news"]).fine();
    let next = room.run(&["edition", "new", "news"]).fine().out;
    assert!(
        next.contains("The second piece") && !next.contains("The third piece") && !next.contains("The first piece"),
        "{next}"
    );
}

#[test]
fn a_rehearsal_counts_those_who_stand_in_the_list_already() {
    let room = Room::small(3);
    let told = room.run(&["send", "news", "--dry-run"]).fine().out;
    assert!(told.contains("to 3 readers"), "{told}");
    room.run(&["run"]).fine();
    room.readers(5);
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More.");
    let told = room.run(&["send", "news", "--dry-run"]).fine().out;
    assert!(told.contains("to 5 readers") && room.outbox().len() == 3, "{told}");
}

#[test]
fn a_first_draft_that_went_to_nobody_buries_nothing() {
    let room = Room::small(1);
    room.replace("config.yaml", "approval: automatic", "approval: editor\n    pieces: 1");
    room.article("second", "The second piece", "2026-03-02T08:00:00Z", "More.");
    let first = room.run(&["edition", "new", "news"]).fine().out;
    assert!(!first.contains("The first piece"), "{first}");
    room.run(&["edition", "withdraw", "1"]).fine();
    room.replace("config.yaml", "pieces: 1", "pieces: 5");
    let second = room.run(&["edition", "new", "news"]).fine().out;
    assert!(second.contains("The first piece") && second.contains("The second piece"), "{second}");
}

#[test]
fn the_numbers_of_pieces_stay_when_one_is_struck_and_the_last_cannot_be() {
    let room = Room::small(1);
    room.replace("config.yaml", "approval: automatic", "approval: editor\n    pieces: 3");
    for (n, name) in ["second", "third", "fourth"].iter().enumerate() {
        room.article(name, &format!("The {name} piece"), &format!("2026-03-0{}T08:00:00Z", n + 2), "More.");
    }
    // The fourth, the third and the second; the first was before the digest began.
    room.run(&["edition", "new", "news"]).fine();
    let shown = room.run(&["edition", "edit", "1", "--never", "2"]).fine().out;
    assert!(shown.contains("2. The third piece  (left out for good)"), "{shown}");
    let shown = room.run(&["edition", "edit", "1", "--leave-out", "3"]).fine().out;
    assert!(shown.contains("3. The second piece  (left out, offered again)"), "{shown}");
    room.run(&["edition", "edit", "1", "--never", "4"]).failed(2, &["no piece 4", "numbered 1 to 3"]);
    room.run(&["edition", "edit", "1", "--leave-out", "1"]).failed(2, &["would carry nothing", "edition withdraw 1"]);
}

#[test]
fn a_test_mail_goes_to_one_address_and_leaves_the_ledger_alone() {
    let room = Room::small(2);
    room.run(&["send", "news", "--test", "editor@example.org"]).fine();
    assert_eq!(room.mailed(), ["editor@example.org"]);
    std::fs::remove_dir_all(room.path("outbox")).unwrap();
    room.run(&["send", "news", "--dry-run"]).fine();
    assert!(room.outbox().is_empty());
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 2);
}

#[test]
fn preview_writes_html_text_and_mail_and_leaves_the_ledger_alone() {
    let room = Room::small(2);
    room.run(&["preview", "news"]).fine();
    for ending in ["html", "txt", "eml"] {
        assert!(room.path(&format!("var/preview/news-1.{ending}")).is_file());
    }
    room.run(&["run"]).fine();
    assert_eq!(room.outbox().len(), 2);
}

#[test]
fn articles_can_be_piped_in_from_another_system() {
    let room = Room::small(1);
    std::fs::remove_dir_all(room.path("articles")).unwrap();
    room.write("stream.jsonl", concat!(
        r#"{"id": "tag:small-paper.example,2026:a", "title": "From the CMS", "date": "2026-05-01T08:00:00Z", "authors": ["B. Writer"], "section": "news", "slug": "from-the-cms", "body": "<p>Piped <b>in</b>.</p>", "format": "html"}"#,
        "\n"));
    room.run(&["run", "--articles", "stream.jsonl"]).fine();
    assert!(room.read("feeds/news/rss.xml").contains("From the CMS"));
    assert_eq!(room.outbox().len(), 1);
}
