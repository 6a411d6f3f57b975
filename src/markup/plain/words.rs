//! HTML's words, in one line.

use crate::markup::nesting::{Tag, Tags};

/// The words only, in one line.
pub fn strip(html: &str) -> String {
    words(html, |_| false)
}

/// The first real paragraph's words, at most `max_chars` characters: cut after a sentence if one ends in the second half,
/// otherwise after a word with `…`.
pub fn summary(html: &str, max_chars: usize) -> String {
    let mut first = String::new();
    let mut aside = 0_usize;
    let mut start = None;
    for tag in Tags(html, 0) {
        let name = tag.name.to_ascii_lowercase();
        if ["figure", "aside", "table", "blockquote", "footer", "header", "section"].contains(&name.as_str()) {
            aside = if tag.closes { aside.saturating_sub(1) } else { aside + 1 };
        } else if name == "p" && aside == 0 {
            if let Some(from) = start.take() {
                let words = strip(&html[from..tag.start]);
                if words.chars().count() >= SHORTEST_PARAGRAPH {
                    first = words;
                    break;
                }
            }
            if !tag.closes {
                start = Some(tag.end);
            }
        }
    }
    if first.is_empty() {
        first = words(html, |name| ["figure", "table", "section"].contains(&name));
    }
    if first.is_empty() {
        first = strip(html);
    }
    shortened(&first, max_chars)
}

/// A shorter paragraph is a by-line or a place and date.
const SHORTEST_PARAGRAPH: usize = 40;

/// At most `max_chars` characters of a text: cut after a sentence if one ends in the second half, otherwise after a word
/// with `…`.
pub fn shortened(text: &str, max_chars: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let ends = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    let most = &text[..ends(max_chars)];
    let mut sentences = most.char_indices().filter(|(at, c)| {
        let behind = &text[at + c.len_utf8()..];
        matches!(c, '.' | '!' | '?' | '…' | '。' | '؟')
            && behind.trim_start_matches(['”', '’', '"', '»', ')']).starts_with(char::is_whitespace)
    });
    if let Some((at, c)) = sentences.next_back()
        && most[..at].chars().count() >= max_chars / 2
    {
        let end = at + c.len_utf8();
        let quotes: usize =
            most[end..].chars().take_while(|c| matches!(c, '”' | '’' | '"' | '»' | ')')).map(char::len_utf8).sum();
        return most[..end + quotes].to_owned();
    }
    let room = &text[..ends(max_chars.saturating_sub(1))];
    let whole = text[room.len()..].starts_with(char::is_whitespace);
    let space = room.rfind(char::is_whitespace).filter(|at| !whole && *at > room.len() / 2);
    let word = space.map_or(room, |at| &room[..at]);
    format!("{}…", word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '–' | '—' | '-')))
}

/// The words outside of elements that `skipped` names, white space made one.
pub(super) fn words(html: &str, skipped: impl Fn(&str) -> bool) -> String {
    const UNSEEN: [&str; 4] = ["script", "style", "template", "title"];
    const INLINE: [&str; 24] = [
        "a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "i", "ins", "kbd", "mark", "q", "s",
        "samp", "small", "span", "strong", "sub", "sup", "u", "wbr",
    ];
    let mut out = String::with_capacity(html.len() / 2);
    let (mut at, mut inside, mut note) = (0, 0_usize, false);
    let mut add = |piece: &str, inside: usize| {
        if inside == 0 {
            out.push_str(&unescaped(piece));
        }
    };
    let without_comments = |piece: &str| piece.find("<!--").map_or(piece.len(), |n| n);
    for tag in Tags(html, 0) {
        let piece = &html[at..tag.start];
        add(&piece[..without_comments(piece)], inside);
        let name = tag.name.to_ascii_lowercase();
        if UNSEEN.contains(&name.as_str()) || skipped(&name) || name == "sup" && (note || is_note(html, &tag)) {
            note = name == "sup" && !tag.closes;
            inside = if tag.closes { inside.saturating_sub(1) } else { inside + 1 };
        }
        if !INLINE.contains(&name.as_str()) {
            add(" ", inside);
        }
        at = tag.end;
    }
    let piece = &html[at..];
    add(&piece[..without_comments(piece)], inside);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A footnote's number is no word.
fn is_note(html: &str, tag: &Tag) -> bool {
    html[tag.start..tag.end].contains("class=\"footnote-ref\"")
}

/// Character references as characters: those that sanitised HTML has, and numeric ones.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|b| b == b';');
        let character = end.and_then(|end| match &rest[1..end] {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some('\u{A0}'),
            name => {
                let number = name.strip_prefix('#')?;
                let code = number
                    .strip_prefix(['x', 'X'])
                    .map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
                char::from_u32(code?)
            }
        });
        if let (Some(end), Some(character)) = (end, character) {
            out.push(character);
            rest = &rest[end + 1..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}
