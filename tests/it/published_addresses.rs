//! What becomes of the addresses of a published test set, one by one. `PRESSRUN_BLESS=1` writes it anew; read the difference.

use pressrun::subscriber::Address;
use std::collections::BTreeMap;
use std::path::Path;

fn unescape(written: &str) -> String {
    let mut parts = written.split("\\u{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('}').unwrap();
        text.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        text.push_str(rest);
    }
    text
}

#[test]
fn the_test_set_of_is_email_is_judged_as_it_is_written_down() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = top.join("tests/cases/isemail/addresses.tsv");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut judged = String::new();
    // By category: how many are taken, and how many there are.
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        if line.starts_with('#') {
            judged.extend([line, "\n"]);
            continue;
        }
        let [number, category, address, _] = cells[..] else { panic!("{line}") };
        let verdict = match unescape(address).parse::<Address>() {
            Ok(taken) => format!("taken: {taken}"),
            Err(error) => format!("refused: {}", error.what),
        };
        let count = counts.entry(category).or_default();
        count.0 += usize::from(verdict.starts_with("taken"));
        count.1 += 1;
        judged.extend([number, "\t", category, "\t", address, "\t", &verdict, "\n"]);
    }
    if std::env::var_os("PRESSRUN_BLESS").is_some() {
        std::fs::write(&file, &judged).unwrap();
    }
    assert!(judged == text, "judged otherwise; PRESSRUN_BLESS=1 shows how");
    let errors = counts["ERR"];
    assert_eq!(errors.0, 0, "nothing is taken that the set calls an error");
    // The table of docs/ADDRESSES.md.
    let docs = std::fs::read_to_string(top.join("docs/ADDRESSES.md")).unwrap();
    for (category, (taken, all)) in counts {
        let row = format!("| `{category}` | {taken} of {all} |");
        assert!(docs.contains(&row), "docs/ADDRESSES.md lacks {row}");
    }
}
