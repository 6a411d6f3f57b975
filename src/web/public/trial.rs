//! Made-up values, on which templates are tried before anybody sees a page: so a mistake in a newsroom's own template is found
//! by `pressrun check`, with its place, and not by a reader.

use serde_json::{Value, json};

use crate::digest::render::TemplateFile;
use crate::newsroom::Problem;

/// What each page is filled with; whatever may be absent is there once and absent once.
pub(super) fn specimens() -> Vec<(&'static str, Value)> {
    let digest = json!({
        "slug": "weekly", "title": "Specimen weekly", "description": "What is new.", "language": "en", "dir": "ltr",
        "chosen": true, "more": true, "editions": [{ "number": 3, "subject": "A subject", "date": "2026-11-22" }],
    });
    let bare = json!({
        "slug": "weekly", "title": "Specimen weekly", "description": "", "language": "ar", "dir": "rtl",
        "chosen": false, "more": false, "editions": [],
    });
    let (address, stamp, trouble) = ("nadia@example.org", "c3RhbXA", "This is no address.");
    let mut found = vec![];
    for (digests, trouble) in [(json!([digest, bare]), json!(trouble)), (json!([]), Value::Null)] {
        let form = json!({ "digests": digests, "address": address, "trouble": trouble, "stamp": stamp });
        found.push(("subscribe", form.clone()));
        found.push(("link", form));
        found.push(("archive", json!({ "digests": digests })));
        for paused in [json!("2026-11-22"), Value::Null] {
            found.push((
                "preferences",
                json!({ "digests": digests, "address": address, "paused": paused, "trouble": trouble }),
            ));
        }
    }
    for moves in [true, false] {
        found.push(("confirm", json!({ "moves": moves, "address": address, "digests": ["Specimen weekly"] })));
    }
    for digest in [json!("Specimen weekly"), Value::Null] {
        found.push(("unsubscribe", json!({ "digest": digest })));
        found.push(("unsubscribed", json!({ "digest": digest })));
    }
    found.push(("sent", json!({})));
    found.push(("confirmed", json!({ "address": address, "token": "dG9rZW4" })));
    found.push(("problem", json!({ "text": "Something does not go." })));
    found.push(("embed", json!({ "code": "<form></form>" })));
    found
}

/// What a letter is filled with, but for its language.
pub(super) fn letters() -> [Value; 2] {
    let letter = |digests: Value, postal: Value| {
        json!({
            "subject": "A subject", "text": "A text.", "button": "Confirm", "digests": digests, "postal": postal,
            "url": "https://specimen.example/confirm/dG9rZW4", "paper": "The Specimen",
        })
    };
    [letter(json!(["Specimen weekly"]), json!("1 Specimen Street")), letter(json!([]), Value::Null)]
}

/// Pages that include each other in a circle: filling them in would not end.
pub(super) fn circles(files: &[(&str, TemplateFile)]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = files.iter().flat_map(|(_, file)| file.circles()).collect();
    for (name, file) in files {
        let mut reached: Vec<&str> = includes(&file.text).collect();
        let mut next = 0;
        while let Some(part) = reached.get(next).copied() {
            if part == *name {
                let what = format!("the page `{name}` includes itself");
                problems.push(file.problem(what, "take one of the `{{> …}}` out"));
                break;
            }
            let more = files.iter().filter(|(other, _)| *other == part).flat_map(|(_, file)| includes(&file.text));
            let more: Vec<&str> = more.filter(|part| !reached.contains(part)).collect();
            reached.extend(more);
            next += 1;
        }
    }
    problems
}

/// The names of the parts that a template includes.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|tag| {
        let name = tag.trim_start_matches(['~', '#', ' ']).strip_prefix('>')?.trim_start();
        name.split(|c: char| c.is_whitespace() || "}~".contains(c)).next().map(|name| name.trim_matches(['"', '\'']))
    })
}
