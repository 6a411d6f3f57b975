//! Mail that came back, in the forms of the world's servers: `returned/<family>/<case>.eml`, written for this test in the shape
//! that each family gives them, and one table of what each says.

use pressrun::delivery::bounce;
use pressrun::mail::returned::{What, gravest, read};
use std::collections::BTreeMap;
use std::path::Path;

const HEAD: &str = "case,kind,recipient,status,weight,cause";

/// What is read from a mail, as a row of the table.
fn row(case: &str, message: &[u8]) -> String {
    let what = read(message).expect(case).what;
    let mut cells =
        [case.to_owned(), what.name().to_owned(), String::new(), String::new(), String::new(), String::new()];
    if let What::Report(outcomes) = &what {
        let outcome = gravest(outcomes).unwrap();
        let (_, cause, reply) = bounce::judge(outcome);
        cells[2] = outcome.recipient.clone().unwrap_or_default();
        cells[3] = reply.status.unwrap_or_default();
        if let Some(cause) = cause {
            let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
            (cells[4], cells[5]) = (word(serde_json::json!(cause.weight())), word(serde_json::json!(cause)));
        }
    }
    cells.join(",")
}

fn cases() -> BTreeMap<String, Vec<u8>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/returned");
    crate::support::room::files(&top)
        .into_iter()
        .filter_map(|(name, bytes)| Some((name.strip_suffix(".eml")?.to_owned(), bytes)))
        .collect()
}

#[test]
fn every_form_in_the_table_says_what_the_table_says() {
    let found: Vec<String> = cases().iter().map(|(case, message)| row(case, message)).collect();
    let table = include_str!("returned/expected.csv");
    let wanted: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(table.lines().next(), Some(HEAD));
    let differences: Vec<String> = found
        .iter()
        .filter(|row| !wanted.contains(&row.as_str()))
        .map(|row| {
            let case = row.split(',').next().unwrap();
            let wanted = wanted.iter().find(|w| w.split(',').next() == Some(case));
            format!("read   {row}\nwanted {}\n", wanted.unwrap_or(&"(no such row)"))
        })
        .collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    assert_eq!(found, wanted, "the table has rows without a file, or another order");
    let bounces = wanted.iter().filter(|row| row.split(',').nth(1) == Some("bounce")).count();
    assert!(bounces >= 150, "only {bounces} bounces");
}

#[test]
fn line_ends_make_no_difference() {
    for (case, message) in cases() {
        let wide = String::from_utf8(message.clone()).unwrap().replace('\n', "\r\n");
        assert_eq!(row(&case, wide.as_bytes()), row(&case, &message));
        assert_eq!(read(wide.as_bytes()).unwrap().mark, read(&message).unwrap().mark, "{case}");
    }
}

/// However a mail is cut off or garbled, it is read, and quickly.
#[test]
fn no_mail_is_too_broken_to_look_at() {
    for (case, message) in cases() {
        for cut in (0..message.len()).step_by(97) {
            let _ = read(&message[..cut]);
        }
        let mut garbled = message.clone();
        for place in (7..garbled.len()).step_by(41) {
            garbled[place] = garbled[place].wrapping_mul(31);
        }
        let _ = (read(&garbled), case);
    }
    assert!(read(b"").is_none());
}
