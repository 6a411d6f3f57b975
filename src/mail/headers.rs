//! The one gate through which text becomes a header.
//!
//! Whatever stands in a name, a title or a pattern, a `HeaderText` cannot hold a line break, so nothing that is made
//! from one can begin another header. The encoding itself (RFC 2047, folding) is lettre's.

use base64::Engine;
use lettre::message::header::{HeaderName, HeaderValue};
use std::fmt;

use crate::digest::seal::hex;
use crate::subscriber::{Address, SubscriberId};

/// One line of text without control characters, line breaks, bidirectional overrides, or anything that reads as an
/// encoded-word (`=?…?=`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderText(String);

impl HeaderText {
    /// The longest text that is kept, in characters; the rest is cut off. No subject or name is read to here.
    pub const MAX: usize = 300;

    /// Makes any text fit for a header: white space becomes single spaces, what must not be there goes.
    pub fn clean(text: &str) -> Self {
        if text.len() <= Self::MAX && is_clean(text) {
            return HeaderText(text.to_owned());
        }
        let mut kept = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            let before = kept.len();
            kept.extend(word.chars().filter(|c| !is_forbidden(*c)));
            if kept.len() > before {
                kept.push(' ');
            }
        }
        let kept: String = kept.replace("=?", "= ?").chars().take(Self::MAX).collect();
        HeaderText(kept.trim_end().to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Nearly all texts: printable ASCII with single spaces.
fn is_clean(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|b| matches!(b, b' '..=b'~'))
        && !text.contains("  ")
        && !text.contains("=?")
        && !text.starts_with(' ')
        && !text.ends_with(' ')
}

/// Control characters, bidirectional overrides and isolates, interlinear marks, byte order marks and noncharacters.
/// Joiners stay: Persian and emoji need them.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// A Message-ID (RFC 5322, section 3.6.4), with its angle brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The Message-ID of an edition's mail to a subscriber: always the same, so that receivers can fold a resend into the
/// first; and a hash, so that it tells a stranger nothing. The domain is that of `from`, which is the sender's.
pub fn message_id(digest: &str, number: u32, subscriber: SubscriberId, from: &Address) -> MessageId {
    hashed(&format!("pressrun message 1|{digest}|{number}|{}", subscriber.0), from)
}

/// The Message-ID of a note to one of the newsroom's own: the same for the same occasion and reader.
pub fn note_id(occasion: &str, to: &Address, from: &Address) -> MessageId {
    hashed(&format!("pressrun note 1|{occasion}|{to}"), from)
}

fn hashed(text: &str, from: &Address) -> MessageId {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let domain = from.as_str().rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    MessageId(format!("<{}@{domain}>", hex(&hash.as_ref()[..16])))
}

/// The value of a header that is a mailbox (RFC 5322, section 3.4): the name as it is, quoted, or as encoded-words. `field` is
/// the header's name; the address goes to a line of its own where one line would be too long.
pub fn mailbox(field: &str, name: &HeaderText, address: &Address) -> String {
    /// RFC 5322, section 2.1.1.
    const LINE: usize = 78;
    let (name, address) = (name.as_str(), address.as_str());
    if name.is_empty() {
        return address.to_owned();
    }
    let mut value = String::with_capacity(name.len() + address.len() + 8);
    if !name.is_ascii() {
        value.push_str(&encoded_words(name));
    } else if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        value.push_str(name);
    } else {
        value.push('"');
        for c in name.chars() {
            if matches!(c, '"' | '\\') {
                value.push('\\');
            }
            value.push(c);
        }
        value.push('"');
    }
    let column = value.rfind('\n').map_or(field.len() + 2 + value.len(), |at| value.len() - at - 1);
    value.push_str(if column + 3 + address.len() > LINE { "\r\n <" } else { " <" });
    value.push_str(address);
    value.push('>');
    value
}

/// [`mailbox`] as a header. lettre reads its own note of the value, for which the address is enough.
pub fn mailbox_header(field: &'static str, name: &HeaderText, address: &Address) -> HeaderValue {
    let field_name = HeaderName::new_from_ascii_str(field);
    HeaderValue::dangerous_new_pre_encoded(field_name, address.to_string(), mailbox(field, name, address))
}

/// An unstructured header: ASCII as it is, in one line; anything else as encoded-words (RFC 2047), as many lines as it
/// takes.
///
/// lettre would fold ASCII too, and encode only the words that need it. Some readers keep the fold in the text, or lose the
/// space between an encoded word and a plain one; all read this.
pub fn unstructured(name: &'static str, text: &HeaderText) -> HeaderValue {
    let text = text.as_str();
    let encoded = if text.is_ascii() { text.to_owned() } else { encoded_words(text) };
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), text.to_owned(), encoded)
}

/// Encoded-words of whole characters, a line each; with `Subject: ` before the first, no line is over 78 octets.
fn encoded_words(text: &str) -> String {
    /// base64 makes 56 of them; with `=?utf-8?b?` and `?=` that is 68.
    const OCTETS: usize = 42;
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = OCTETS.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let word = base64::engine::general_purpose::STANDARD.encode(&rest[..end]);
        words.push(format!("=?utf-8?b?{word}?="));
        rest = &rest[end..];
    }
    words.join("\r\n ")
}

/// The value of List-Id (RFC 2919): a phrase and the id. An encoded phrase is read wrongly by some, so a phrase that is not
/// ASCII is left out.
pub fn list_id(phrase: &HeaderText, id: &str) -> HeaderText {
    let phrase = phrase.as_str();
    if phrase.is_empty() || !phrase.is_ascii() {
        return HeaderText::clean(&format!("<{id}>"));
    }
    let quoted = phrase.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderText::clean(&format!("\"{quoted}\" <{id}>"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_text_can_begin_another_header() {
        for (text, cleaned) in [
            ("Jane\r\nBcc: all@example.org", "Jane Bcc: all@example.org"),
            ("Jane\nBcc: x", "Jane Bcc: x"),
            ("Jane\u{2028}Bcc: x\u{85}y", "Jane Bcc: x y"),
            (" \t Jane \u{a0} Doe \r\n", "Jane Doe"),
            ("Ja\0ne\u{7f}\u{9b}", "Jane"),
            ("\u{202e}enaJ\u{2066}", "enaJ"),
            ("=?utf-8?q?Bcc?=", "= ?utf-8?q?Bcc?="),
            ("=\u{feff}?utf-8?b?QQ==?=", "= ?utf-8?b?QQ== ?="),
            ("سلمى \u{200d}👩‍🔬", "سلمى \u{200d}👩‍🔬"),
            ("\u{1}\u{2}", ""),
            ("\u{1} a \u{2} b", "a b"),
        ] {
            assert_eq!(HeaderText::clean(text).as_str(), cleaned, "{text:?}");
        }
    }

    #[test]
    fn a_text_is_cut_at_the_limit() {
        assert_eq!(HeaderText::clean(&"é".repeat(HeaderText::MAX)).as_str().chars().count(), HeaderText::MAX);
        assert_eq!(HeaderText::clean(&"é".repeat(HeaderText::MAX + 1)).as_str().chars().count(), HeaderText::MAX);
        assert_eq!(HeaderText::clean(&"e".repeat(HeaderText::MAX + 1)).as_str().len(), HeaderText::MAX);
    }

    #[test]
    fn a_message_id_depends_on_edition_and_subscriber_and_shows_neither() {
        let from: Address = "desk@paper.example".parse().unwrap();
        let id = message_id("weekly", 3, SubscriberId(7), &from);
        assert_eq!(id, message_id("weekly", 3, SubscriberId(7), &from));
        assert_ne!(id, message_id("weekly", 4, SubscriberId(7), &from));
        assert_ne!(id, message_id("weekly", 3, SubscriberId(8), &from));
        assert_ne!(id, message_id("daily", 3, SubscriberId(7), &from));
        assert!(id.as_str().ends_with("@paper.example>") && id.as_str().len() == 32 + "<@paper.example>".len());
    }

    #[test]
    fn a_name_is_written_as_plainly_as_it_can_be() {
        let address: Address = "m@b.example".parse().unwrap();
        let value = |name: &str| mailbox("To", &HeaderText::clean(name), &address);
        assert_eq!(value(""), "m@b.example");
        assert_eq!(value("Rana"), "Rana <m@b.example>");
        assert_eq!(value("Rana O'Neill, M.A."), "\"Rana O'Neill, M.A.\" <m@b.example>");
        assert_eq!(value("a \"b\" \\c"), "\"a \\\"b\\\" \\\\c\" <m@b.example>");
        assert_eq!(value("Zoë"), "=?utf-8?b?Wm/Dqw==?= <m@b.example>");
        assert_eq!(value(&"a b ".repeat(14)), format!("\"{}\" <m@b.example>", "a b ".repeat(14).trim_end()));
        assert_eq!(value(&"a b ".repeat(15)), format!("\"{}\"\r\n <m@b.example>", "a b ".repeat(15).trim_end()));
    }

    #[test]
    fn a_subject_is_one_line_of_ascii_or_all_encoded_words() {
        let wire = |text: &str| {
            let mut headers = lettre::message::header::Headers::new();
            headers.insert_raw(unstructured("Subject", &HeaderText::clean(text)));
            headers.to_string()
        };
        let long = "Middle-East Outreach: After Al-Hol: Does an Emptied Camp Raise the Next ISIS?";
        assert_eq!(wire(long), format!("Subject: {long}\r\n"));
        let text = format!("“{long}” – عربي عربي عربي");
        let encoded = wire(&text);
        assert!(encoded.lines().all(|l| l.len() <= 78) && encoded.lines().count() > 2);
        let message = format!("{encoded}From: a@b.example\r\n\r\n");
        let read = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
        assert_eq!(read.subject(), Some(text.as_str()));
    }

    #[test]
    fn a_list_id_is_ascii() {
        let id = |phrase| list_id(&HeaderText::clean(phrase), "weekly.paper.example").to_string();
        assert_eq!(id("The \"Weekly\""), "\"The \\\"Weekly\\\"\" <weekly.paper.example>");
        assert_eq!(id("Die Wöchentliche"), "<weekly.paper.example>");
        assert_eq!(id(""), "<weekly.paper.example>");
    }

    proptest! {
        #[test]
        fn cleaning_is_safe_and_done_once(text in "\\PC{0,40}|(\\r|\\n|\\t| |=|\\?|a|é|\u{202e}|\u{0}){0,400}") {
            let clean = HeaderText::clean(&text);
            prop_assert!(!clean.as_str().contains("=?") && !clean.as_str().chars().any(is_forbidden));
            prop_assert!(clean.as_str().chars().count() <= HeaderText::MAX);
            prop_assert_eq!(&HeaderText::clean(clean.as_str()), &clean);
            let address = "desk@paper.example".parse().unwrap();
            let wire = lettre::message::header::Headers::to_string(&{
                let mut headers = lettre::message::header::Headers::new();
                headers.insert_raw(mailbox_header("From", &clean, &address));
                headers.insert_raw(unstructured("Subject", &clean));
                headers
            });
            prop_assert_eq!(wire.split("\r\n").filter(|l| !l.starts_with(' ') && !l.is_empty()).count(), 2, "{:?}", wire);
            prop_assert!(wire.is_ascii() && !wire.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
