use super::*;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    title: Option<String>,
    count: Option<u32>,
    draft: Option<bool>,
    tags: Vec<String>,
    inner: Option<Inner>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Inner {
    name: Option<String>,
    items: Vec<Inner>,
}

fn read(text: &str) -> Document<Sample> {
    parse(Source { text, file: "a.md", first_line: 2 }, &[])
}

fn list(document: &Document<Sample>) -> Vec<(u32, u32, &str)> {
    document.problems.iter().map(|p| (p.place.line, p.place.column, p.what.as_str())).collect()
}

#[test]
fn all_unknown_keys_are_reported_at_once_and_the_rest_is_read() {
    let document = read("titel: a\ntitle: T\ncolour:\n  - x\ninner:\n  nmae: y\n  name: z\n");
    assert_eq!(
        list(&document),
        [(2, 1, "unknown key `titel`"), (4, 1, "unknown key `colour`"), (7, 3, "unknown key `nmae`")]
    );
    assert_eq!(document.problems[0].help.as_deref(), Some("did you mean `title`?"));
    let value = document.value.as_ref();
    assert_eq!(value.and_then(|v| v.title.as_deref()), Some("T"));
    assert_eq!(value.and_then(|v| v.inner.as_ref()).and_then(|i| i.name.as_deref()), Some("z"));
}

#[test]
fn an_unknown_key_first_in_a_list_item_leaves_the_item() {
    let document = read("inner:\n  items:\n  - colour: red\n    name: a\n  - name: b\n");
    assert_eq!(list(&document), [(4, 5, "unknown key `colour`")]);
    let items = document.value.and_then(|v| v.inner).map(|i| i.items.len());
    assert_eq!(items, Some(2));
}

#[test]
fn wrong_types_are_reported_with_the_others_and_are_not_missing() {
    let document = read("title: T\ncount: twenty\ndraft: perhaps\n");
    assert_eq!(list(&document), [(3, 8, "expected a whole number, 0 or more"), (4, 8, "expected `true` or `false`")]);
    assert_eq!(document.unusable, ["count", "draft"]);
    assert_eq!(document.value.and_then(|v| v.title).as_deref(), Some("T"));
}

#[test]
fn a_colon_in_a_title_gets_the_advice_to_quote_it() {
    let document = read("title: Breaking: the news\n");
    assert_eq!(document.problems.len(), 1);
    assert_eq!(
        document.problems[0].help.as_deref(),
        Some("put the value in quotation marks: `title: \"Breaking: the news\"`")
    );
    assert_eq!(document.problems[0].place.line, 2);
}

#[test]
fn duplicate_keys_tabs_and_open_quotes_are_told_with_their_line() {
    let duplicate = read("title: a\ntitle: b\n");
    assert_eq!(list(&duplicate), [(3, 1, "the key `title` stands here a second time")]);
    let tab = read("inner:\n\tname: x\n");
    assert!(tab.problems[0].help.as_deref().is_some_and(|h| h.contains("tabs")), "{tab:?}");
    let open = read("title: \"never closed\ncount: 1\n");
    assert_eq!(open.problems.len(), 1, "{open:?}");
}

#[test]
fn words_that_look_like_other_types_stay_text() {
    for word in ["no", "on", "010", "1.10", "2026", "12:30:45", "2026-02-24"] {
        let document = read(&format!("title: {word}\n"));
        assert_eq!(document.value.and_then(|v| v.title).as_deref(), Some(word));
    }
}

#[test]
fn laughs_by_the_billion_and_deep_nesting_are_refused_quickly() {
    let mut laughs = String::from("tags: [a]\nx0: &x0 [a,a,a,a,a,a,a,a,a]\n");
    for i in 1..12 {
        let items = vec![format!("*x{}", i - 1); 9].join(",");
        laughs.extend([format!("x{i}: &x{i} [{items}]\n")]);
    }
    assert!(!read(&laughs).problems.is_empty());
    assert!(!read(&format!("tags: {}", "[".repeat(20_000))).problems.is_empty());
}

#[test]
fn nothing_and_comments_only_are_an_empty_document() {
    for text in ["", "\n\n", "# nothing\n"] {
        assert_eq!(read(text).value, Some(Sample::default()));
    }
}

#[test]
fn a_path_leads_to_the_very_value() {
    let source = Source { text: "inner:\n  items:\n    - name: a\n    - {name: bad}\n", file: "c.yaml", first_line: 1 };
    let problem = source.problem("inner.items.1.name", "wrong".into());
    assert_eq!((problem.place.line, problem.place.column, problem.span), (4, 14, 3));
    let missing = source.problem("inner.items.0.other", "missing".into());
    assert_eq!(missing.place.line, 3);
}
