//! Links from one article's file to another's: `[as I wrote](../culture/varda.md)`.

use std::ops::Range;

/// The endings of files that hold a body.
pub const BODY_ENDINGS: [&str; 5] = ["md", "markdown", "html", "htm", "txt"];

/// Longer addresses of files are not looked for.
const MAX_TARGET: usize = 1024;

/// A link to a file, as it stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLink {
    /// The bytes of the text that name the file, without a fragment.
    pub range: Range<usize>,
    /// The file, relative to the folder of articles.
    pub file: String,
}

/// The links in an article's source that may name another article's file. `file` is the article's own, relative to the
/// folder of articles.
pub fn to_files(text: &str, file: &str) -> Vec<FileLink> {
    let bytes = text.as_bytes();
    let mut links = Vec::new();
    let mut from = 0;
    while let Some(dot) = memchr::memchr(b'.', &bytes[from..]).map(|i| from + i) {
        from = dot + 1;
        let rest = &bytes[dot + 1..];
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        if length < 2 || !BODY_ENDINGS.contains(&&text[dot + 1..dot + 1 + length]) {
            continue;
        }
        let end = dot + 1 + length;
        if !matches!(bytes.get(end), Some(b')' | b'"' | b'\'' | b'>' | b'#' | b' ' | b'\n' | b'\r') | None) {
            continue;
        }
        let begins = |b: &u8| matches!(b, b'(' | b'"' | b'\'' | b'<' | b' ' | b'\n');
        let first = dot.saturating_sub(MAX_TARGET);
        let Some(start) = bytes[first..dot].iter().rposition(begins).map(|i| first + i + 1) else { continue };
        let opened = match bytes[start - 1] {
            b' ' => text[..start].trim_end_matches(' ').ends_with("]:"),
            b'\n' => false,
            _ => true,
        };
        let target = &text[start..end];
        if opened
            && !target.contains(':')
            && !target.starts_with('/')
            && let Some(file) = resolve(file, target)
        {
            links.push(FileLink { range: start..end, file });
        }
        from = end;
    }
    links
}

/// The text with addresses in the place of files; links that `address` does not know stay as they are.
pub fn with_addresses(text: &str, file: &str, address: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for link in to_files(text, file) {
        if let Some(address) = address(&link.file) {
            out.push_str(&text[from..link.range.start]);
            out.push_str(&address);
            from = link.range.end;
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Where a relative address leads from a file; `None` where it leads out of the folder.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/").replace("%20", " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<String> {
        to_files(text, "culture/a.md").into_iter().map(|l| l.file).collect()
    }

    #[test]
    fn links_to_files_are_found_in_markdown_and_in_html() {
        assert_eq!(files("see [it](b.md) and [that](../politics/c.html#x)"), ["culture/b.md", "politics/c.html"]);
        assert_eq!(files("<a href=\"./b.txt\">b</a> [r]\n\n[r]: b%20c.md"), ["culture/b.txt", "culture/b c.md"]);
        assert_eq!(files("[x](<b.md>) [y](b.md \"title\")"), ["culture/b.md", "culture/b.md"]);
    }

    #[test]
    fn other_links_and_words_are_left_alone() {
        assert_eq!(files("[x](https://a.example/b.md) [y](/b.md) README.md and b.mdx (b.me) [z](../../b.md)"), [""; 0]);
    }

    #[test]
    fn known_files_become_addresses_and_the_rest_stays() {
        let text = "[a](b.md#x) [c](unknown.md)";
        let known = |file: &str| (file == "culture/b.md").then(|| "https://n.example/b".to_owned());
        assert_eq!(with_addresses(text, "culture/a.md", known), "[a](https://n.example/b#x) [c](unknown.md)");
    }
}
