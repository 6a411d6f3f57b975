//! The metadata at the head of an article, scanned by hand: no YAML but the little that the corpus uses.

/// What a feed needs to know of an article beside its text. Borrowed from the file's text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head<'a> {
    /// A URI.
    pub id: &'a str,
    /// Plain text.
    pub title: &'a str,
    /// RFC 3339, always with the offset `+00:00`; so its bytes sort as the times do.
    pub date: &'a str,
    /// Names.
    pub authors: Vec<&'a str>,
    /// The section's slug.
    pub section: &'a str,
    /// The last part of the address.
    pub slug: &'a str,
    /// Plain text.
    pub summary: &'a str,
    /// In the order given.
    pub tags: Vec<&'a str>,
}

/// Parts a file's text into its head and its body. Nothing where it has no head.
pub fn split(text: &str) -> Option<(Head<'_>, &str)> {
    let (lines, body) = text.strip_prefix("---\n")?.split_once("\n---\n")?;
    let mut head = Head::default();
    for line in lines.lines() {
        if let Some(author) = line.strip_prefix("  - ") {
            head.authors.push(author);
            continue;
        }
        let (key, value) = line.split_once(':')?;
        let value = value.trim().trim_matches('"');
        match key {
            "id" => head.id = value,
            "title" => head.title = value,
            "date" => head.date = value,
            "section" => head.section = value,
            "slug" => head.slug = value,
            "summary" => head.summary = value,
            "tags" => head.tags = value.trim_matches(['[', ']']).split(", ").collect(),
            _ => {}
        }
    }
    Some((head, body))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::article::article;

    #[test]
    fn every_part_of_a_head_is_read_back() {
        let text = "---\nid: \"tag:a.example,1996:b\"\ntitle: \"A: b\"\ndate: 1996-01-01T00:15:00+00:00\nauthors:\n  - Zoë\n  - Ren Itō\nsection: campus\nslug: b\nsummary: \"So.\"\ntags: [x, y]\n---\n\nText --- more\n";
        let (head, body) = split(text).unwrap();
        let wanted = Head {
            id: "tag:a.example,1996:b",
            title: "A: b",
            date: "1996-01-01T00:15:00+00:00",
            authors: vec!["Zoë", "Ren Itō"],
            section: "campus",
            slug: "b",
            summary: "So.",
            tags: vec!["x", "y"],
        };
        assert_eq!(head, wanted);
        assert_eq!(body, "\nText --- more\n");
    }

    #[test]
    fn the_corpus_is_understood() {
        for number in 1..=200 {
            let made = article(number);
            let (head, body) = split(&made.text).unwrap();
            assert_eq!((head.section, head.slug), (made.section, made.slug.as_str()));
            assert!(!head.title.is_empty() && !head.summary.is_empty() && !head.authors.is_empty());
            assert!(body.len() > 3000, "article {number}");
        }
    }

    #[test]
    fn a_file_without_a_head_is_none() {
        assert_eq!(split("# Only text\n"), None);
    }
}
