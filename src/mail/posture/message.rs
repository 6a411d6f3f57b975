//! A finished mail, held against what large providers demand of bulk mail (Google's, Yahoo's and Microsoft's rules for
//! senders; RFC 5322, RFC 8058).

use mail_parser::{HeaderValue, Message, MessageParser};

use super::Finding;
use crate::mail::Mail;

/// Gmail shows so many bytes of HTML ("102 KB", of a thousand bytes each) and cuts off the rest, the link to unsubscribe
/// first of all.
pub const CLIP: usize = 100 * 1_024;

/// Above this a mail is near the clip; what counts there exactly is not told.
const NEAR_THE_CLIP: usize = 85 * 1_000;

/// A line is no longer, without its end (RFC 5322, section 2.1.1).
const LINE: usize = 998;

/// Headers that stand exactly once (RFC 5322, section 3.6, and what providers demand beyond).
const ONCE: [&str; 5] = ["From", "To", "Subject", "Date", "Message-ID"];

/// The last part of a `Feedback-ID`, which names the sender, has so many characters (Google).
const SENDER_ID: std::ops::RangeInclusive<usize> = 5..=15;

/// What receivers will think of this mail.
pub fn message(mail: &Mail) -> Vec<Finding> {
    let bytes = mail.message.to_vec();
    let Some(message) = MessageParser::default().parse(&bytes) else {
        return vec![Finding::wrong("headers", "the mail cannot be read", "this is a fault of Pressrun; please tell")];
    };
    vec![size(&message, bytes.len()), lines(&bytes), headers(&message), one_click(&message), signed(&message)]
}

fn size(message: &Message<'_>, total: usize) -> Finding {
    let shorter = "fewer `pieces:` in an edition, or `body: summary`";
    let part = message.html_body.first().and_then(|&part| message.part(part));
    let html = part.map_or(0, |part| {
        let encoded = part.raw_end_offset().saturating_sub(part.raw_body_offset());
        part.len().max(encoded as usize)
    });
    let told = format!("{} KB, of which {} KB are HTML", total.div_ceil(1_024), html.div_ceil(1_024));
    match html {
        html if html > CLIP => Finding::wrong("size", format!("{told}: Gmail cuts it off after 102 KB"), shorter),
        html if html > NEAR_THE_CLIP => Finding::note("size", format!("{told}: Gmail cuts off after 102 KB"), shorter),
        _ => Finding::fine("size", told),
    }
}

fn lines(bytes: &[u8]) -> Finding {
    let longest = bytes.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).len()).max();
    match longest.unwrap_or(0) {
        long if long > LINE => Finding::wrong(
            "lines",
            format!("a line has {long} characters, and servers take {LINE}"),
            "this is a fault of Pressrun; please tell",
        ),
        long => Finding::fine("lines", format!("the longest has {long} characters")),
    }
}

fn count(message: &Message<'_>, name: &str) -> usize {
    message.headers().iter().filter(|header| header.name().eq_ignore_ascii_case(name)).count()
}

fn headers(message: &Message<'_>) -> Finding {
    let mut wrong = Vec::new();
    for name in ONCE {
        match count(message, name) {
            1 => {}
            0 => wrong.push(format!("{name} is missing")),
            n => wrong.push(format!("{name} stands there {n} times")),
        }
    }
    if message.from().is_some_and(|from| from.iter().count() != 1) {
        wrong.push("From has more than one address".to_owned());
    }
    let sound = |id: &str| id.split_once('@').is_some_and(|(left, right)| !left.is_empty() && right.contains('.'));
    if message.message_id().is_some_and(|id| !sound(id)) {
        wrong.push("the Message-ID is not of the form id@domain".to_owned());
    }
    if matches!(message.list_id(), HeaderValue::Empty) {
        wrong.push("List-Id is missing".to_owned());
    }
    if let Some(id) = message.header_raw("Feedback-ID").map(str::trim) {
        let parts: Vec<&str> = id.split(':').collect();
        if parts.len() != 4 || !parts.last().is_some_and(|sender| SENDER_ID.contains(&sender.len())) {
            wrong.push("the Feedback-ID has not four parts with a sender of 5 to 15 characters at its end".to_owned());
        }
    }
    if wrong.is_empty() {
        Finding::fine("headers", "each stands there once, and well-formed")
    } else {
        Finding::wrong("headers", wrong.join("; "), "see `digests:` in the configuration")
    }
}

fn one_click(message: &Message<'_>) -> Finding {
    let uris = message.header_raw("List-Unsubscribe").unwrap_or_default();
    let https = uris.split(',').filter(|uri| uri.trim().starts_with("<https://")).count();
    let post = message.header_raw("List-Unsubscribe-Post").map(str::trim) == Some("List-Unsubscribe=One-Click");
    match (https, post) {
        (1, true) => Finding::fine("one-click", "one https address to unsubscribe, by one click (RFC 8058)"),
        (0, _) => Finding::wrong(
            "one-click",
            "List-Unsubscribe has no https address",
            "`public: url:` must be an https address at which pressrun serve is reached",
        ),
        _ => Finding::wrong(
            "one-click",
            "List-Unsubscribe is not as RFC 8058 wants it",
            "this is a fault of Pressrun; please tell",
        ),
    }
}

/// RFC 8058, section 4: a signature must cover both headers of one-click.
fn signed(message: &Message<'_>) -> Finding {
    const MUST: [&str; 3] = ["from", "list-unsubscribe", "list-unsubscribe-post"];
    let mut signatures = 0;
    for header in message.headers() {
        let Some(text) = header.name().eq_ignore_ascii_case("DKIM-Signature").then(|| raw(message, header)).flatten()
        else {
            continue;
        };
        signatures += 1;
        let covered = text.split(';').find_map(|tag| tag.trim().strip_prefix("h=").map(str::to_ascii_lowercase));
        let covered = covered.unwrap_or_default();
        let names: Vec<&str> = covered.split(':').map(str::trim).collect();
        if let Some(missing) = MUST.iter().find(|name| !names.contains(*name)) {
            let what = format!("a signature does not cover {missing}");
            return Finding::wrong("signature", what, "this is a fault of Pressrun; please tell");
        }
    }
    match signatures {
        0 => Finding::note(
            "signature",
            "mails are not signed here",
            "the relay's signature must cover From, List-Unsubscribe and List-Unsubscribe-Post; or make a key: pressrun dkim new",
        ),
        n => Finding::fine("signature", format!("{n}, over From and both headers of one-click")),
    }
}

fn raw<'m>(message: &'m Message<'_>, header: &mail_parser::Header<'_>) -> Option<&'m str> {
    let (from, to) = (header.offset_start() as usize, header.offset_end() as usize);
    std::str::from_utf8(message.raw_message.get(from..to)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Verdict;
    use super::*;

    const GOOD: &str = "From: Paper <news@paper.example>\r\nTo: <r@example.net>\r\nSubject: News\r\n\
        Date: Mon, 23 Nov 2026 07:00:00 +0000\r\nMessage-ID: <1.2@paper.example>\r\nList-Id: News <news.paper.example>\r\n\
        List-Unsubscribe: <https://paper.example/u/x>,\r\n <mailto:u@paper.example>\r\n\
        List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: 1:news:digest:paperexample\r\n\
        DKIM-Signature: v=1; a=rsa-sha256; d=paper.example; s=s;\r\n h=From:From:List-Unsubscribe:\r\n List-Unsubscribe-Post; b=x\r\n\
        MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Text</p>\r\n";

    fn verdicts(text: &str) -> Vec<(&'static str, Verdict)> {
        let mail = Mail {
            return_path: "bounces@paper.example".parse().unwrap(),
            to: "r@example.net".parse().unwrap(),
            message: text.as_bytes().to_vec().into(),
        };
        message(&mail).into_iter().map(|finding| (finding.about, finding.verdict)).collect()
    }

    fn changed(old: &str, new: &str) -> Vec<&'static str> {
        assert!(GOOD.contains(old), "{old}");
        let found = verdicts(&GOOD.replacen(old, new, 1));
        found.into_iter().filter(|(_, verdict)| *verdict == Verdict::Wrong).map(|(about, _)| about).collect()
    }

    #[test]
    fn a_good_mail_has_only_ticks() {
        assert!(verdicts(GOOD).iter().all(|(_, verdict)| *verdict == Verdict::Fine), "{:?}", verdicts(GOOD));
    }

    #[test]
    fn what_providers_refuse_has_a_cross() {
        for (old, new, about) in [
            ("Subject: News\r\n", "", "headers"),
            ("Subject: News\r\n", "Subject: News\r\nSubject: More\r\n", "headers"),
            ("<news@paper.example>", "<news@paper.example>, <b@paper.example>", "headers"),
            ("<1.2@paper.example>", "<12>", "headers"),
            ("List-Id: News <news.paper.example>\r\n", "", "headers"),
            (":digest:paperexample", ":paperexample", "headers"),
            (":digest:paperexample", ":digest:paperexamplepaperexample", "headers"),
            ("<https://paper.example/u/x>", "<http://paper.example/u/x>", "one-click"),
            ("<mailto:u@paper.example>", "<https://paper.example/v>", "one-click"),
            ("One-Click", "Two-Clicks", "one-click"),
            ("From:From:List-Unsubscribe:\r\n", "From:\r\n", "signature"),
            ("<p>Text</p>", &"a".repeat(LINE + 1), "lines"),
        ] {
            assert_eq!(changed(old, new), [about], "{old:?} {new:?}");
        }
        assert_eq!(changed("<p>Text</p>", &"a".repeat(LINE)), [""; 0]);
    }

    #[test]
    fn a_mail_that_gmail_would_clip_is_told_and_one_near_it_too() {
        let body = |length: usize| {
            let text = "<p>Text</p>\r\n".repeat(length / 13 + 1)[..length].to_owned();
            verdicts(&GOOD.replacen("<p>Text</p>\r\n", &text, 1))[0].1
        };
        assert_eq!(body(NEAR_THE_CLIP), Verdict::Fine);
        assert_eq!(body(NEAR_THE_CLIP + 1), Verdict::Note);
        assert_eq!(body(CLIP), Verdict::Note);
        assert_eq!(body(CLIP + 1), Verdict::Wrong);
    }
}
