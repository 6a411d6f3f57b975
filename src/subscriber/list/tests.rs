#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::lines::MAX_LINE;
use super::record::MAX_ROW_LINES;
use super::*;
use crate::subscriber::{Consent, Listed, Subscriber, SubscriberId, Subscription, Suppression, SuppressionReason};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use std::collections::HashSet;

const DIGESTS: &[&str] = &["weekly", "middle-east-outreach"];

fn defaults() -> Defaults {
    Defaults {
        digest: Some("weekly".into()),
        consent: Some("our old list".into()),
        state: SubscriptionState::Confirmed,
    }
}

fn list(octets: impl AsRef<[u8]>) -> List {
    read(octets.as_ref(), "list.csv", &defaults(), DIGESTS).unwrap()
}

/// The addresses of a list in which nothing is wrong.
fn sound(octets: impl AsRef<[u8]>) -> Vec<String> {
    let list = list(octets);
    assert_eq!(list.problems, [], "nothing is wrong here");
    list.entries.iter().map(|entry| entry.address.to_string()).collect()
}

fn names(octets: impl AsRef<[u8]>) -> Vec<String> {
    list(octets).entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_list_out_of_a_spreadsheet_is_read_whatever_its_delimiter_mark_and_line_ends() {
    let wanted = ["nadia@example.org", "omar@example.org"];
    for text in [
        "email,name\nnadia@example.org,Nadia\nomar@example.org,Omar\n",
        "email;name\r\nnadia@example.org;Nadia\r\nomar@example.org;Omar\r\n",
        "email\tname\rnadia@example.org\tNadia\romar@example.org\tOmar",
        "email|name\nnadia@example.org|Nadia\n\n  \nomar@example.org|Omar",
        "\u{feff}email,name\nnadia@example.org,Nadia\nomar@example.org,Omar\n",
        "sep=;\r\nemail;name\r\nnadia@example.org;Nadia\r\nomar@example.org;Omar\r\n",
        "\n\nName;E-Mail\nCavner, Nadia;nadia@example.org\nSaid, Omar;omar@example.org\n;\n",
        "nadia@example.org\nomar@example.org\n",
        "  nadia@example.org  \nmailto:omar@example.org",
        "Nadia Cavner <nadia@example.org>\nOmar <omar@example.org>\n",
        "email\n\"nadia@example.org\"\n <omar@example.org>, \n",
    ] {
        assert_eq!(sound(text), wanted, "{text:?}");
    }
}

#[test]
fn utf_16_with_its_mark_is_read() {
    let text = "\u{feff}email\tname\r\nleila@bücher.example\tليلى\r\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for octets in [little, big] {
        assert_eq!(sound(&octets), ["leila@xn--bcher-kva.example"]);
        assert_eq!(names(&octets), ["ليلى"]);
    }
}

#[test]
fn windows_1252_is_read_and_noted_once() {
    let octets = b"email;name\nf@example.org;Fran\xe7ois Lef\xe8vre\nk@example.org;\x84K\x93\nn@example.org;Nadia\n";
    assert_eq!(names(octets), ["François Lefèvre", "„K“", "Nadia"]);
    assert_eq!(list(octets).notes.len(), 1);
}

#[test]
fn a_name_is_found_in_one_column_in_two_or_beside_the_address() {
    assert_eq!(names("name,email\n\"Cavner, Nadia\",nadia@example.org"), ["Cavner, Nadia"]);
    assert_eq!(names("First Name,Last Name,Email\nNadia,Cavner,nadia@example.org"), ["Nadia Cavner"]);
    assert_eq!(names("email\n\"\"\"Cavner, Nadia\"\" <nadia@example.org>\""), ["Cavner, Nadia"]);
    assert_eq!(names("email,name\nnadia@example.org,\"Nadia\n\u{200b}\u{202e} \u{7}Cavner \""), ["Nadia Cavner"]);
    assert_eq!(names("email,name\nnadia@example.org,Nadia \"Nana\" Cavner"), ["Nadia \"Nana\" Cavner"]);
}

#[test]
fn states_are_known_in_the_words_of_other_programs() {
    for (word, state, suppressed) in [
        ("", SubscriptionState::Confirmed, None),
        ("Subscribed", SubscriptionState::Confirmed, None),
        ("TRUE", SubscriptionState::Confirmed, None),
        ("unconfirmed", SubscriptionState::Pending, None),
        ("left", SubscriptionState::Ended, None),
        ("non-subscribed", SubscriptionState::Ended, None),
        ("bounced", SubscriptionState::Ended, Some(SuppressionReason::Bounced)),
        ("complained", SubscriptionState::Ended, Some(SuppressionReason::Complained)),
        ("suppressed", SubscriptionState::Ended, Some(SuppressionReason::Manual)),
    ] {
        let list = list(format!("email,status\nnadia@example.org,{word}"));
        assert_eq!((list.entries[0].state, list.entries[0].suppressed), (state, suppressed), "{word}");
    }
}

#[test]
fn a_row_without_consent_is_refused_unless_it_asks_for_no_mail() {
    let nothing = Defaults { consent: None, ..defaults() };
    let text =
        "email,state\na@example.org,confirmed\nb@example.org,pending\nc@example.org,left\nd@example.org,bounced\n";
    let list = read(text.as_bytes(), "list.csv", &nothing, DIGESTS).unwrap();
    let refused: Vec<u32> = list.problems.iter().map(|problem| problem.place.line).collect();
    assert_eq!(refused, [2, 3]);
    assert!(list.problems.iter().all(|problem| problem.what == "where does the consent come from?"));
    assert_eq!(list.entries.len(), 2);
}

#[test]
fn without_any_default_a_row_is_pending_and_the_only_digest_is_meant() {
    let text = "email,consent\na@example.org,sign-up sheet";
    let one = read(text.as_bytes(), "list.csv", &Defaults::default(), &["weekly"]).unwrap();
    assert_eq!((one.entries[0].state, one.entries[0].digest.as_str()), (SubscriptionState::Pending, "weekly"));
    let two = read(text.as_bytes(), "list.csv", &Defaults::default(), DIGESTS).unwrap();
    assert_eq!(two.problems[0].what, "the row names no digest");
}

#[test]
fn a_digest_is_known_by_its_slug_and_nearly_by_its_title() {
    let text = "email,digest\na@example.org,Middle-East Outreach\nb@example.org,weekyl\n";
    let list = list(text);
    assert_eq!(list.entries[0].digest, "middle-east-outreach");
    assert_eq!(list.problems[0].help.as_deref(), Some("did you mean `weekly`?"));
    assert_eq!((list.problems[0].place.column, list.problems[0].span), (15, 6));
}

#[test]
fn of_doubles_one_is_kept_and_the_stricter_word_counts() {
    let twice = list("email\nNadia@Example.org\nnadia@example.org\n");
    assert_eq!(twice.entries.len(), 1);
    assert_eq!(twice.notes[0].what, "the same address and digest stand in line 2");
    let two_digests = list("email,digest\nn@example.org,weekly\nn@example.org,middle-east-outreach\n");
    assert_eq!(two_digests.entries.len(), 2);
    for text in [
        "email,state\nn@example.org,confirmed\nn@example.org,left",
        "email,state\nn@example.org,left\nn@example.org,confirmed",
    ] {
        let list = list(text);
        assert_eq!(list.entries.len(), 1);
        assert_eq!(list.entries[0].state, SubscriptionState::Ended, "{text}");
    }
}

#[test]
fn a_quotation_mark_that_is_never_closed_costs_one_row() {
    let rows: String = (0..100).fold(String::new(), |rows, n| rows + &format!("r{n}@example.org,Reader {n}\n"));
    let list = list(format!("email,name\nn@example.org,\"Nadia\n{rows}"));
    assert_eq!(list.entries.len(), 100);
    assert_eq!((list.problems[0].place.line, list.problems[0].place.column), (2, 15));
    // Here the next row's mark closes it.
    let list = self::list("email,name\nn@example.org,\"Nadia\no@example.org,\"Said, Omar\"\np@example.org,P\n");
    assert_eq!(list.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["Said, Omar", "P"]);
    assert_eq!(list.problems.len(), 1);
}

#[test]
fn the_limits_hold_at_their_edge() {
    let name = |length: usize| format!("email,name\nn@example.org,{}\n", "x".repeat(length));
    assert_eq!(list(name(row::MAX_NAME)).problems, []);
    assert_eq!(list(name(row::MAX_NAME + 1)).problems.len(), 1);

    let spanning =
        |lines: usize| format!("email,name\nn@example.org,\"{}x\"\no@example.org,O", "a\n".repeat(lines - 1));
    assert_eq!(list(spanning(MAX_ROW_LINES)).problems, []);
    assert!(list(spanning(MAX_ROW_LINES + 1)).problems[0].what.contains("never closed"));

    let note = |length: usize| {
        let row = "n@example.org,".to_owned();
        let padding = " ".repeat(length - row.len());
        format!("email,note\n{row}{padding}\no@example.org,O\n")
    };
    assert_eq!(list(note(MAX_LINE)).problems, []);
    let too_long = list(note(MAX_LINE + 1));
    assert_eq!(too_long.problems[0].what, "this line is longer than any row can be");
    assert_eq!(too_long.entries.len(), 1, "and the next row is read");
}

#[test]
fn what_is_printed_cannot_steer_a_terminal() {
    let list = list("email,digest\nn\u{1b}[2J@example.org,\u{1b}]0;x\u{7}\n");
    assert_eq!(list.problems.len(), 2, "all that is wrong in a row is said at once");
    for problem in list.problems {
        let all = format!("{}{}{:?}", problem.line, problem.what, problem.help);
        assert!(!all.chars().any(char::is_control), "{all:?}");
    }
}

#[test]
fn batches_are_of_the_size_asked_for_and_leave_nothing_out() {
    let text = (0..25).fold("email\nnot an address\n".to_owned(), |rows, n| rows + &format!("r{n}@example.org\n"));
    let defaults = defaults();
    let mut reader = Reader::new(text.as_bytes(), "list.csv", &defaults, DIGESTS);
    let (mut sizes, mut entries, mut problems) = (Vec::new(), 0, 0);
    while let Some(batch) = reader.next_batch(10).unwrap() {
        sizes.push(batch.entries.len() + batch.problems.len() + batch.notes.len());
        entries += batch.entries.len();
        problems += batch.problems.len();
    }
    assert_eq!((sizes, entries, problems), (vec![10, 10, 6], 25, 1));
}

#[test]
fn an_error_of_the_disk_is_an_error_and_not_the_end_of_the_list() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let reader = b"email\nn@example.org\n".chain(Broken);
    assert!(read(reader, "list.csv", &defaults(), DIGESTS).is_err());
}

fn moments() -> impl Strategy<Value = DateTime<Utc>> {
    (0_i64..4_000_000_000, prop_oneof![Just(0_u32), 0_u32..1_000_000_000])
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

/// What a person may be called or write, formulas and quotation marks among it; as it is kept, cleaned.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[=+@'-]{1,3}[A-Za-z0-9(),;\"' ]{0,12}",
        "[A-Za-zéßليلى林, ;\"'\\t|-]{1,20}",
        "\\PC{0,20}",
    ]
    .prop_map(|text| row::clean(&text))
}

fn listed() -> impl Strategy<Value = Listed> {
    let address = prop_oneof!["[a-zA-Z0-9=+'_-]{1,8}@[a-z]{1,6}\\.org", "[é林a-z]{1,4}@bücher\\.example"];
    let language =
        prop::option::of(prop_oneof![Just("en".to_owned()), Just("pt-BR".to_owned()), Just("ar".to_owned())]);
    let state = prop_oneof![
        Just(SubscriptionState::Pending),
        Just(SubscriptionState::Confirmed),
        Just(SubscriptionState::Ended)
    ];
    let reason = prop_oneof![
        Just(SuppressionReason::Bounced),
        Just(SuppressionReason::Complained),
        Just(SuppressionReason::Erased),
        Just(SuppressionReason::Manual)
    ];
    let suppression = prop::option::weighted(
        0.3,
        (reason, moments(), words()).prop_map(|(reason, since, note)| Suppression { reason, since, note }),
    );
    let digest = prop::sample::select(DIGESTS);
    let consent = (words(), prop::option::of(moments()));
    (address, words(), language, digest, state, moments(), consent, suppression).prop_map(
        |(address, name, language, digest, state, since, (source, when), suppression)| Listed {
            subscriber: Subscriber { id: SubscriberId(1), address: address.parse().unwrap(), name, language },
            subscription: Subscription { digest: digest.to_owned(), state, since },
            // Nobody gets mail without a word about where the consent comes from.
            consent: Some(Consent { source: if source.is_empty() { "sheet".into() } else { source }, when }),
            suppression,
        },
    )
}

/// What a row that was written must come back as.
fn as_entry(listed: &Listed) -> Entry {
    let suppression = listed.suppression.as_ref();
    Entry {
        address: listed.subscriber.address.clone(),
        name: listed.subscriber.name.clone(),
        language: listed.subscriber.language.clone(),
        digest: listed.subscription.digest.clone(),
        state: if suppression.is_some() { SubscriptionState::Ended } else { listed.subscription.state },
        since: Some(suppression.map_or(listed.subscription.since, |suppression| suppression.since)),
        consent: listed.consent.clone().unwrap(),
        suppressed: suppression.map(|suppression| suppression.reason),
        note: suppression.map(|suppression| suppression.note.clone()).unwrap_or_default(),
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        "(email|name|digest|[,;\t]|\"|\n|\r\n|a@b\\.org|<|>|'|=|é| ){0,40}".prop_map(String::into_bytes),
        "(\"|,|\n|x){0,60}".prop_map(|text| format!("email,name\n{text}").into_bytes()),
    ]
}

proptest! {
    #[test]
    fn what_is_exported_imports_again_to_the_same(rows in prop::collection::vec(listed(), 0..12)) {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for row in &rows {
            writer.write(row).unwrap();
        }
        let octets = writer.finish().unwrap();
        let defaults = Defaults::default();
        let list = read(octets.as_slice(), "list.csv", &defaults, DIGESTS).unwrap();
        prop_assert_eq!(&list.problems, &[], "{}", String::from_utf8_lossy(&octets));
        // Doubles fold: compare the first of the strictest.
        for row in &rows {
            let wanted = as_entry(row);
            let kept = list.entries.iter().find(|e| e.address == wanted.address && e.digest == wanted.digest);
            let rivals = rows.iter().map(as_entry).filter(|e| e.address == wanted.address && e.digest == wanted.digest);
            let best = rivals.rev().max_by_key(strictness).unwrap();
            prop_assert_eq!(kept, Some(&best));
            prop_assert_eq!(kept.unwrap().address.as_str(), best.address.as_str());
        }
    }

    #[test]
    fn no_input_panics_and_every_problem_has_its_place(octets in text()) {
        let list = list(&octets);
        for problem in list.problems.iter().chain(&list.notes) {
            prop_assert!(problem.span >= 1);
            prop_assert!(problem.place.column as usize <= problem.line.chars().count() + 1, "{problem:?}");
        }
    }

    #[test]
    fn no_row_is_lost_without_a_word(
        rows in prop::collection::vec(
            prop::sample::select(vec!["a@b.org", "A@b.org", "c@d.org", "c@d", "e@f.org,x,y", "g@h.org,\"", "i@j.org,\"k\"", "l m"]),
            0..20,
        ),
    ) {
        let list = list(format!("email,name\n{}\n", rows.join("\n")));
        let refused: HashSet<u32> = list.problems.iter().map(|problem| problem.place.line).collect();
        prop_assert_eq!(list.entries.len() + refused.len() + list.notes.len(), rows.len(), "{:?}", list);
    }

    #[test]
    fn cells_are_those_that_were_written(row in prop::collection::vec("[a-z \",;\n']{0,8}", 1..6)) {
        let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        writer.write_record(&row).unwrap();
        let written = writer.into_inner().unwrap();
        match Splitter::new(b',').next(&mut Lines::new(written.as_slice())).unwrap() {
            Taken::Record(read) => {
                let cells: Vec<&str> = read.cells.iter().map(|cell| cell.text.as_str()).collect();
                prop_assert_eq!(cells, row.iter().map(|cell| cell.trim()).collect::<Vec<_>>());
            }
            _ => prop_assert!(false, "no row"),
        }
    }
}
