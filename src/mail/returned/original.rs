//! The mail of ours that came back: whole, or its head, attached or written out.

use aws_lc_rs::digest;
use mail_parser::{Message, MimeHeaders, PartType};

use super::{Parts, head, text_of};

/// What is left of the mail of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Original {
    /// Its Message-ID, with its angle brackets.
    pub message_id: Option<String>,
    /// The value of its List-Unsubscribe, which holds its reader's token.
    pub unsubscribe: Option<String>,
    /// Texts that may hold its return path.
    pub(super) paths: Vec<String>,
    /// Microsoft's mark on mails that readers report.
    pub(super) junk_report: bool,
}

/// Fields that hold the address a mail is returned to: of the head as mail servers extend it, of reports, and of the mail
/// inside. In small letters.
pub(super) const PATHS: [&str; 6] = [
    "x-postfix-sender",
    "original-mail-from",
    "return-path",
    "x-envelope-from",
    "x-actual-recipient-sender",
    "arrival-sender",
];

/// Where the mail of ours begins, where it is written out below a text. In small letters.
pub(super) const SEPARATORS: [&str; 21] = [
    "--- below this line is a copy of the message",
    "------ this is a copy of the message",
    "------ this is a copy of your message",
    "--- original message",
    "---- original message",
    "original message headers:",
    "original message follows",
    "original headers:",
    "----- unsent message",
    "--- the header of the original",
    "--- returned message",
    "--- message header",
    "--- message headers",
    "message headers follow",
    "message header follows",
    "headers of the original message",
    "the message you sent:",
    "your message follows",
    "copy of your message",
    "----------- message text",
    "return-path: <",
];

/// Lines of a head that are looked at.
const MOST_LINES: usize = 400;

impl Original {
    pub(super) fn of(mail: &Message, parts: &Parts) -> Self {
        for part in &mail.parts {
            if let PartType::Message(message) = &part.body {
                return Self::in_head(&String::from_utf8_lossy(head_of(&message.raw_message, message)));
            }
            let kind = part.content_type();
            let subtype = kind.and_then(|kind| kind.subtype()).unwrap_or_default().to_ascii_lowercase();
            if matches!(subtype.as_str(), "rfc822-headers" | "global-headers" | "rfc822" | "global") {
                return Self::in_head(&text_of(&part.body));
            }
        }
        match split(&parts.text).1 {
            "" => Original::default(),
            below => Self::in_head(below),
        }
    }

    /// From a text with header fields in it, perhaps cited.
    fn in_head(text: &str) -> Self {
        let mut found = Original::default();
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines().take(MOST_LINES) {
            let line = line.trim_end();
            let line = line.strip_prefix("> ").or(line.strip_prefix('>')).unwrap_or(line);
            match line.split_once(':') {
                Some((name, value)) if is_name(name.trim_start()) && !line.starts_with('\t') => {
                    fields.push((name.trim_start().to_ascii_lowercase(), value.trim().to_owned()));
                }
                _ => {
                    if let Some((_, value)) = fields.last_mut()
                        && line.starts_with([' ', '\t'])
                    {
                        value.push(' ');
                        value.push_str(line.trim());
                    }
                }
            }
        }
        for (name, value) in fields {
            match name.as_str() {
                "message-id" if found.message_id.is_none() => {
                    found.message_id = value.split_whitespace().next().map(str::to_owned);
                }
                "list-unsubscribe" if found.unsubscribe.is_none() => found.unsubscribe = Some(value),
                "x-hmxmroriginalrecipient" | "x-hmxmrsrcid" => found.junk_report = true,
                name if PATHS.contains(&name) => found.paths.push(value),
                _ => {}
            }
        }
        found
    }
}

/// The bytes of a nested mail's head.
fn head_of<'a>(raw: &'a [u8], message: &Message) -> &'a [u8] {
    let root = message.parts.first();
    let (begin, end) = root.map_or((0, 0), |part| (part.offset_header as usize, part.offset_body as usize));
    raw.get(begin..end).unwrap_or(raw)
}

fn is_name(text: &str) -> bool {
    (2..=60).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A text for people, and the mail of ours that is written out below it.
pub(super) fn split(text: &str) -> (&str, &str) {
    let small = text.to_ascii_lowercase();
    let at = SEPARATORS.iter().filter_map(|separator| small.find(separator)).min();
    at.map_or((text, ""), |at| text.split_at(at))
}

/// The texts of a mail's head that may hold the address it was returned to, the envelope's first.
pub(super) fn envelope(mail: &Message) -> Vec<String> {
    let names =
        ["X-Original-To", "Delivered-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To", "X-Rcpt-To", "To", "Cc"];
    let mut paths: Vec<String> = Vec::new();
    for name in names {
        paths
            .extend(mail.headers_raw().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned()));
    }
    // `for <…>` as the last server before us wrote it.
    let received = mail.headers_raw().filter(|(name, _)| name.eq_ignore_ascii_case("Received"));
    paths.extend(received.filter_map(|(_, value)| value.split_once(" for ").map(|(_, rest)| rest.trim().to_owned())));
    paths
}

/// What stays the same when a mail is read again, whatever way it comes: not the trace above it, nor line ends, nor what a
/// mailbox file does to lines that begin with "From ".
pub(super) fn mark(mail: &Message, message: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut add = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    let id = head(mail, "Message-ID").unwrap_or_default();
    for name in ["Message-ID", "From", "Date", "Subject"] {
        let value = head(mail, name).unwrap_or_default();
        add(value.split_whitespace().collect::<Vec<_>>().join(" ").as_bytes());
    }
    if id.is_empty() {
        let body = mail.parts.first().and_then(|part| message.get(part.offset_body as usize..)).unwrap_or_default();
        for line in body.trim_ascii_end().split(|byte| *byte == b'\n') {
            let line = line.trim_ascii_end();
            let bare = line.iter().position(|byte| *byte != b'>').unwrap_or_default();
            add(if line[bare..].starts_with(b"From ") { &line[bare..] } else { line });
        }
    }
    let mut mark = [0; 32];
    mark.copy_from_slice(context.finish().as_ref());
    mark
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;

    fn marked(text: &str) -> [u8; 32] {
        mark(&MessageParser::default().parse(text.as_bytes()).unwrap(), text.as_bytes())
    }

    #[test]
    fn a_mail_is_known_again_whatever_way_it_comes() {
        let head = "From: a@b.example\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: Returned\n";
        let mail = format!("{head}\nDear you,\nFrom here it came back.\n");
        let again = format!("Delivered-To: x\n{head}\nDear you,\n>From here it came back.\n\n").replace('\n', "\r\n");
        assert_eq!(marked(&mail), marked(&again));
        assert_ne!(marked(&mail), marked(&mail.replace("Dear", "dear")));
        assert_ne!(marked(&mail), marked(&mail.replace("10:00:00", "10:00:01")));
        let named = format!("Message-ID: <1@b.example>\n{mail}");
        assert_eq!(marked(&named), marked(&named.replace("Dear", "dear")));
        assert_ne!(marked(&named), marked(&named.replace("<1@", "<2@")));
    }

    #[test]
    fn a_cited_head_is_read_and_unfolded() {
        let text =
            "> Message-ID: <m@paper.example>\n> List-Unsubscribe: <https://a.example/x>,\n>  <mailto:u@a.example>\n";
        let read = Original::in_head(text);
        assert_eq!(read.message_id.as_deref(), Some("<m@paper.example>"));
        assert_eq!(read.unsubscribe.as_deref(), Some("<https://a.example/x>, <mailto:u@a.example>"));
    }
}
