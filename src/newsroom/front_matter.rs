//! The metadata at the head of an article's file, as written.

// In its plainest form, without the YAML library.
mod plain;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

use super::problem::Problem;
use super::yaml::{self, Document, Source};

/// The line before and after the metadata.
const FENCE: &str = "---";

/// A file's metadata and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split<'a> {
    /// The YAML between the fences; `None` where the file does not begin with a fence.
    pub head: Option<&'a str>,
    /// The line of the file on which the head begins, from 1.
    pub head_line: u32,
    /// What follows.
    pub body: &'a str,
}

/// Splits a file at its fences: lines with `---` and nothing else, of which the first is the file's first line.
///
/// # Errors
/// The first fence has no second.
pub fn split<'a>(text: &'a str, file: &str) -> Result<Split<'a>, Problem> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    let opening = match lines.next() {
        Some(line) if line.trim_end() == FENCE => line.len(),
        _ => return Ok(Split { head: None, head_line: 1, body: text }),
    };
    let mut at = opening;
    for line in lines {
        if line.trim_end() == FENCE {
            return Ok(Split { head: Some(&text[opening..at]), head_line: 2, body: &text[at + line.len()..] });
        }
        at += line.len();
    }
    Err(Problem::in_text(file, text, 1, 0..FENCE.len(), "the metadata that begins here has no end")
        .help("close it with a second line `---` before the text"))
}

/// The metadata of an article, as written in front matter, in a sidecar or in a line of a stream.
/// What is required, and what is sound, is decided in [`super::manuscript`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Head {
    /// A URI; made and kept where it is absent.
    pub id: Option<String>,
    /// Required.
    pub title: Option<String>,
    /// Required, but for drafts.
    pub date: Option<String>,
    /// When it was last changed for readers.
    pub updated: Option<String>,
    /// Names, or names with addresses.
    pub authors: Option<Authors>,
    /// Who had a part in it without being an author; as `authors`.
    pub contributors: Option<Authors>,
    /// A section's slug; the folder's where it is absent.
    pub section: Option<String>,
    /// The last part of the address; the file's name where it is absent.
    pub slug: Option<String>,
    /// The page, where it is not `<newsroom>/<section>/<slug>`.
    pub url: Option<String>,
    /// What a link post points to.
    pub link: Option<String>,
    /// One or two sentences.
    pub summary: Option<String>,
    /// Words to find it by.
    pub tags: Option<Tags>,
    /// The leading picture.
    pub image: Option<Picture>,
    /// The picture's description, where `image` is only an address.
    pub alt: Option<String>,
    /// The picture's caption, where `image` is only an address.
    pub caption: Option<String>,
    /// The picture's maker, where `image` is only an address.
    pub credit: Option<String>,
    /// A sound or a film.
    pub enclosure: Option<Attachment>,
    /// BCP 47.
    pub language: Option<String>,
    /// Not to be published.
    pub draft: Option<bool>,
    /// What was wrong and is right now.
    pub corrections: Vec<Corrected>,
    /// It was published and is no more.
    pub withdrawn: Option<Retraction>,
    /// Streams only: the text.
    pub body: Option<String>,
    /// Streams only: `markdown`, `html` or `text`.
    pub format: Option<String>,
}

/// Reads metadata. Keys that only streams have are not suggested to anybody.
pub fn read(source: Source<'_>) -> Document<Head> {
    match plain::read(source.text) {
        Some(head) => Document { value: Some(head), unusable: Vec::new(), problems: Vec::new() },
        None => yaml::parse(source, &["body", "format"]),
    }
}

/// An author as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Person {
    /// Required.
    pub name: Option<String>,
    /// A page about the author.
    pub url: Option<String>,
}

/// One name, or a list of names or of [`Person`]s.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Authors(pub Vec<Person>);

/// One text with commas, or a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tags(pub Vec<String>);

/// A picture as written: an address, or a mapping.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Picture {
    /// Required.
    pub src: Option<String>,
    /// What is to be seen.
    pub alt: Option<String>,
    /// Printed below it.
    pub caption: Option<String>,
    /// Who made it.
    pub credit: Option<String>,
}

/// An enclosure as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attachment {
    /// Required.
    pub url: Option<String>,
    /// Required: the media type.
    #[serde(rename = "type")]
    pub media_type: Option<String>,
    /// Required: bytes.
    pub length: Option<u64>,
    /// Seconds, or `28:32`, or `1:02:03`.
    pub duration: Option<Playtime>,
}

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Playtime(pub u64);

/// A correction as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Corrected {
    /// Required.
    pub date: Option<String>,
    /// Required.
    pub text: Option<String>,
}

/// A withdrawal as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retraction {
    /// Required.
    pub date: Option<String>,
    /// For readers.
    pub reason: Option<String>,
}

impl<'de> Deserialize<'de> for Authors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Authors;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a list of names")
            }
            fn visit_str<E>(self, name: &str) -> Result<Authors, E> {
                Ok(Authors(vec![Person { name: Some(name.to_owned()), url: None }]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Authors, A::Error> {
                let mut people = Vec::new();
                while let Some(NameOrPerson(person)) = access.next_element()? {
                    people.push(person);
                }
                Ok(Authors(people))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

struct NameOrPerson(Person);

impl<'de> Deserialize<'de> for NameOrPerson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = NameOrPerson;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or `name:` and `url:`")
            }
            fn visit_str<E>(self, name: &str) -> Result<NameOrPerson, E> {
                Ok(NameOrPerson(Person { name: Some(name.to_owned()), url: None }))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, access: A) -> Result<NameOrPerson, A::Error> {
                Person::deserialize(de::value::MapAccessDeserializer::new(access)).map(NameOrPerson)
            }
        }
        deserializer.deserialize_any(One)
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Tags;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tags")
            }
            fn visit_str<E>(self, tags: &str) -> Result<Tags, E> {
                Ok(Tags(tags.split(',').map(str::to_owned).collect()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = access.next_element()? {
                    tags.push(tag);
                }
                Ok(Tags(tags))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl<'de> Deserialize<'de> for Picture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Fields {
            src: Option<String>,
            alt: Option<String>,
            caption: Option<String>,
            credit: Option<String>,
        }
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Picture;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or `src:`, `alt:`, `caption:` and `credit:`")
            }
            fn visit_str<E>(self, src: &str) -> Result<Picture, E> {
                Ok(Picture { src: Some(src.to_owned()), ..Picture::default() })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, access: A) -> Result<Picture, A::Error> {
                let Fields { src, alt, caption, credit } =
                    Fields::deserialize(de::value::MapAccessDeserializer::new(access))?;
                Ok(Picture { src, alt, caption, credit })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Playtime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = Playtime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds, or a time like 28:32")
            }
            fn visit_u64<E>(self, seconds: u64) -> Result<Playtime, E> {
                Ok(Playtime(seconds))
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Playtime, E> {
                u64::try_from(seconds)
                    .map(Playtime)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Playtime, E> {
                text.split(':')
                    .try_fold(0_u64, |sum, part| sum.checked_mul(60)?.checked_add(part.trim().parse().ok()?))
                    .map(Playtime)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::newsroom::yaml::{Source, parse};

    #[test]
    fn a_file_is_split_at_its_fences_whatever_its_line_ends() {
        for (text, head, body) in [
            ("---\ntitle: x\n---\nBody", Some("title: x\n"), "Body"),
            ("\u{FEFF}---\r\ntitle: x\r\n---\r\nBody", Some("title: x\r\n"), "Body"),
            ("---\n---\n", Some(""), ""),
            ("---  \ntitle: x\n---", Some("title: x\n"), ""),
            ("---\ntitle: x\n---\nA\n---\nB", Some("title: x\n"), "A\n---\nB"),
            ("Only a body\n---\n", None, "Only a body\n---\n"),
            ("----\nx", None, "----\nx"),
            ("", None, ""),
        ] {
            let split = split(text, "a.md").unwrap();
            assert_eq!((split.head, split.body), (head, body), "{text:?}");
        }
    }

    #[test]
    fn metadata_without_an_end_is_told_where_it_begins() {
        let problem = split("---\ntitle: x\n\nBody", "a.md").unwrap_err();
        assert_eq!((problem.place.line, problem.span), (1, 3));
    }

    #[test]
    fn names_pictures_and_times_are_read_in_each_of_their_forms() {
        let read = |text: &str| {
            let document = parse::<Head>(Source { text, file: "a.md", first_line: 1 }, &[]);
            assert_eq!(document.problems, [], "{text}");
            document.value.unwrap()
        };
        let names = |head: Head| head.authors.unwrap().0.into_iter().map(|p| p.name.unwrap()).collect::<Vec<_>>();
        assert_eq!(names(read("authors: Ada\n")), ["Ada"]);
        assert_eq!(names(read("authors: [Ada, Grace]\n")), ["Ada", "Grace"]);
        assert_eq!(names(read("authors:\n  - name: Ada\n    url: https://a.example/\n  - Grace\n")), ["Ada", "Grace"]);
        assert_eq!(read("contributors: [Ada]\n").contributors, read("authors: [Ada]\n").authors);
        assert_eq!(read("image: /a.png\nalt: A\n").image.unwrap().src.as_deref(), Some("/a.png"));
        assert_eq!(read("image: {src: /a.png, alt: A}\n").image.unwrap().alt.as_deref(), Some("A"));
        assert_eq!(read("tags: a, b\n").tags.unwrap().0, ["a", " b"]);
        for (text, seconds) in [("1712", 1712), ("28:32", 1712), ("\"1:00:01\"", 3601)] {
            let head = read(&format!("enclosure:\n  duration: {text}\n"));
            assert_eq!(head.enclosure.unwrap().duration, Some(Playtime(seconds)));
        }
    }
}
