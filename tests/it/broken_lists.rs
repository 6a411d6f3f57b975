//! Lists of subscribers with something wrong in them: every case in `tests/cases/broken/lists` is a file and what is said
//! about it. `PRESSRUN_BLESS=1` writes the latter anew.

#![allow(clippy::expect_used)]

use pressrun::subscriber::SubscriptionState;
use pressrun::subscriber::list::{self, Defaults, List};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const DIGESTS: &[&str] = &["weekly", "middle-east-outreach"];
/// A guard against a folder that is not found.
const LEAST_CASES: usize = 25;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/broken/lists");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder).expect("the cases").map(|entry| entry.expect("an entry").path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    cases.sort();
    cases
}

fn read(path: &Path) -> List {
    // Neither a digest nor a consent is assumed: each row must say it.
    let defaults = Defaults { digest: None, consent: None, state: SubscriptionState::Confirmed };
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    list::read(fs::File::open(path).expect("the case"), name, &defaults, DIGESTS).expect("no fault of the disk")
}

fn report(list: &List) -> String {
    let mut text = String::new();
    for problem in list.problems.iter().chain(&list.notes) {
        writeln!(text, "{}\n", problem.render(false)).expect("into a string");
    }
    for entry in &list.entries {
        writeln!(text, "taken: {} {:?} {} {:?}", entry.address, entry.name, entry.digest, entry.state)
            .expect("into a string");
    }
    text
}

#[test]
fn every_broken_list_says_what_is_wrong_and_keeps_its_sound_rows() {
    let cases = cases();
    assert!(cases.len() >= LEAST_CASES, "{} cases", cases.len());
    let bless = std::env::var_os("PRESSRUN_BLESS").is_some_and(|value| value == "1");
    let mut wrong = String::new();
    for case in cases {
        let list = read(&case);
        assert!(!(list.problems.is_empty() && list.notes.is_empty()), "{}: nothing is said", case.display());
        let (found, wanted_file) = (report(&list), case.with_extension("expected"));
        if bless {
            fs::write(&wanted_file, &found).expect("the expectation");
        }
        let wanted = fs::read_to_string(&wanted_file).unwrap_or_default();
        assert!(!found.trim().is_empty());
        if found != wanted {
            write!(wrong, "\n== {}\n-- wanted\n{wanted}-- found\n{found}", case.display()).expect("into a string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_problem_says_what_to_do() {
    let silent: Vec<String> = cases()
        .iter()
        .flat_map(|case| read(case).problems)
        .filter(|problem| problem.help.is_none())
        .map(|problem| format!("{}: {}", problem.place.file, problem.what))
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}
