//! Metadata in its plainest form, which is what most articles have: a line for each key, with one text or one list of texts.
//! Everything else is left to the YAML library, and so is everything that is wrong.

use super::{Authors, Head, Person, Picture, Tags};

/// More is not plain.
const LONGEST: usize = 16 * 1024;

/// YAML means something else by these where any kind of value may stand, in one or the other of its versions.
const WORDS: [&str; 13] =
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity", "none"];

/// What the metadata says, as [`crate::newsroom::yaml::parse`] would read it without any problem; `None` where that is not
/// plain to see.
pub(super) fn read(text: &str) -> Option<Head> {
    if text.len() > LONGEST || !text.chars().all(plain) {
        return None;
    }
    let mut head = Head::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (key, value) = line.split_once(':')?;
        let value = match value.strip_prefix(' ') {
            Some(value) => Value::Line(value),
            None if value.is_empty() => {
                let mut items = Vec::new();
                while let Some(item) = lines.peek().and_then(|line| line.strip_prefix("  - ")) {
                    items.push(scalar(item)?);
                    lines.next();
                }
                Value::Items(items)
            }
            None => return None,
        };
        match key {
            "id" => once(&mut head.id, value.text()?)?,
            "title" => once(&mut head.title, value.text()?)?,
            "date" => once(&mut head.date, value.date()?)?,
            "updated" => once(&mut head.updated, value.date()?)?,
            "section" => once(&mut head.section, value.text()?)?,
            "slug" => once(&mut head.slug, value.text()?)?,
            "url" => once(&mut head.url, value.text()?)?,
            "link" => once(&mut head.link, value.text()?)?,
            "summary" => once(&mut head.summary, value.text()?)?,
            "alt" => once(&mut head.alt, value.text()?)?,
            "caption" => once(&mut head.caption, value.text()?)?,
            "credit" => once(&mut head.credit, value.text()?)?,
            "language" => once(&mut head.language, value.text()?)?,
            "image" => once(&mut head.image, Picture { src: Some(value.text()?), ..Picture::default() })?,
            "tags" => once(&mut head.tags, Tags(value.list()?))?,
            "authors" => once(&mut head.authors, value.people()?)?,
            "contributors" => once(&mut head.contributors, value.people()?)?,
            _ => return None,
        }
    }
    Some(head)
}

/// What stands behind a key.
enum Value<'a> {
    /// On its line.
    Line(&'a str),
    /// On the lines below it.
    Items(Vec<String>),
}

impl Value<'_> {
    fn text(&self) -> Option<String> {
        match self {
            Value::Line(line) => scalar(line),
            Value::Items(_) => None,
        }
    }

    /// Dates may begin with a digit: where only a text may stand, no number is made of it.
    fn date(&self) -> Option<String> {
        match self {
            Value::Line(line)
                if line.starts_with(|c: char| c.is_ascii_digit())
                    && line.ends_with(|c: char| c.is_ascii_alphanumeric())
                    && line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b':' | b'.'))
                    && !line.contains("--") =>
            {
                Some((*line).to_owned())
            }
            _ => self.text(),
        }
    }

    /// At least one name.
    fn people(self) -> Option<Authors> {
        let person = |name| Person { name: Some(name), url: None };
        Some(Authors(self.list()?.into_iter().map(person).collect()))
    }

    /// At least one text.
    fn list(self) -> Option<Vec<String>> {
        match self {
            Value::Items(items) => (!items.is_empty()).then_some(items),
            Value::Line(line) => {
                let items = line.strip_prefix('[')?.strip_suffix(']')?;
                // Brackets, braces and commas within an item would mean something.
                let inner = !items.contains(['[', ']', '{', '}']);
                inner.then(|| items.split(',').map(|item| scalar(item.trim_matches(' '))).collect()).flatten()
            }
        }
    }
}

/// A key that stands twice is a problem.
fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// A text in quotation marks without any of the same kind and without escapes, or one that begins with a letter and holds
/// nothing that could end it.
fn scalar(written: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = written.strip_prefix(quote) {
            let text = rest.strip_suffix(quote)?;
            return (!text.contains([quote, '\\'])).then(|| text.to_owned());
        }
    }
    let sound = written.starts_with(char::is_alphabetic)
        && !written.ends_with([':', ' '])
        && !written.contains(": ")
        && !written.contains(" #")
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(written));
    sound.then(|| written.to_owned())
}

/// Characters that are themselves wherever they stand.
fn plain(c: char) -> bool {
    match c {
        '\n' | ' '..='~' => true,
        // Line ends to some, marks of byte order, and what nobody prints.
        '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}' => false,
        _ => c >= '\u{A0}',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::newsroom::yaml::{Source, parse};

    fn by_the_library(text: &str) -> Option<Head> {
        let document = parse::<Head>(Source { text, file: "a.md", first_line: 1 }, &[]);
        document.value.filter(|_| document.problems.is_empty() && document.unusable.is_empty())
    }

    #[test]
    fn usual_metadata_is_plain() {
        let text = "id: \"tag:acero-advocate.example,1996:article-000123\"\ntitle: \"The modest bicycle, and: the rest\"\n\
                    date: 1996-01-02T06:45:00+00:00\nupdated: 2026-02-24\nauthors:\n  - José Peña\n  - 'Ren Itō'\n\
                    contributors: [Ada Okoye]\n\
                    section: travel\nslug: article-000123\nsummary: Nobody disputes that – or so it seems.\n\
                    image: /images/1.jpg\nalt: A picture\nimage: x\n";
        let text = text.replace("image: /images/1.jpg\n", "").replace("image: x\n", "image: \"/images/1.jpg\"\n");
        let text = text + "tags: [food, \"Middle East\", élections]\n";
        let head = read(&text);
        assert!(head.is_some());
        assert_eq!(head, by_the_library(&text));
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_library() {
        for text in [
            "title: a\ntitle: b\n",
            "title: a: b\n",
            "title: a #b\n",
            "title: yes\n",
            "title: 'it''s'\n",
            "title: \"a\\n\"\n",
            "title: |\n  a\n",
            "title: a\n  b\n",
            "title:\n",
            "title: \n",
            "authors:\n- a\n",
            "authors:\n  - name: a\n",
            "authors: []\n",
            "tags: [a, [b]]\n",
            "tags: [2026]\n",
            "draft: true\n",
            "corrections: []\n",
            "unknown: a\n",
            "title: a\r\n",
            "# a\n",
            "title: a\n\n",
            "title: a\u{85}b\n",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    fn value() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-zA-Zé日.,;'’/-]{1,6}",
            "[\"'\\[\\]{}:#&*!|>%@`,?\\\\ ~=-]",
            "[0-9]{1,4}",
            prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
            Just("NULL".to_owned()),
            Just(": ".to_owned()),
            Just(" ".to_owned()),
            Just(", ".to_owned()),
            "\\PC",
        ];
        let text = prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat());
        let quoted = prop_oneof![
            text.clone(),
            text.clone().prop_map(|text| format!("\"{text}\"")),
            text.prop_map(|text| format!("'{text}'")),
            Just("2026-02-24T07:30:00-06:00".to_owned()),
            "[0-9]{1,4}[-:.+][0-9]{1,2}[-:.eEx_+]?[0-9TZ]{0,2}",
        ];
        let list = prop::collection::vec(quoted.clone(), 0..4);
        prop_oneof![
            4 => quoted,
            1 => list.clone().prop_map(|items| format!("[{}]", items.join(", "))),
            1 => list.prop_map(|items| items.into_iter().flat_map(|item| ["\n  - ".to_owned(), item]).collect()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_plain_is_what_the_library_reads(
            lines in prop::collection::vec(
                (prop::sample::select(vec!["title", "date", "authors", "contributors", "tags", "image", "id", "summary"]), value()),
                1..4,
            ),
        ) {
            for end in ["", "\n"] {
                let text: Vec<String> = lines.iter().map(|(key, value)| format!("{key}: {value}").replace(": \n", ":\n")).collect();
                let text = text.join("\n") + end;
                if let Some(head) = read(&text) {
                    prop_assert_eq!(Some(head), by_the_library(&text), "{:?}", text);
                }
            }
        }
    }
}
