//! What a server said, in a line of text.

/// What a server said of a mail that it did not take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The reply's code, for instance 550; 0 where there is none.
    pub code: u16,
    /// Enhanced status (RFC 3463), for instance `5.1.1`.
    pub status: Option<String>,
    /// Its words, on one line.
    pub text: String,
}

/// Bytes of text that are kept.
const LONGEST: usize = 1_000;

impl Said {
    /// From a `Diagnostic-Code` (RFC 3464 section 2.3.6) and a `Status`. The diagnostic is what the last server itself said, so its
    /// status goes before the other, which somebody has translated.
    pub(super) fn of_fields(diagnostic: &str, status: &str) -> Self {
        let text = match diagnostic.split_once(';') {
            Some((kind, text)) if !kind.trim().contains(' ') && kind.trim().len() < 20 => text,
            _ => diagnostic,
        };
        let mut said = Self::in_text(text).unwrap_or_default();
        said.text = one_line(text);
        let stated = status.split([' ', '(', ';']).find(|word| is_status(word)).map(str::to_owned);
        let says_nothing = |status: &str| status.ends_with(".0.0");
        said.status = match (said.status, stated) {
            (Some(own), Some(stated)) if says_nothing(&own) && !says_nothing(&stated) => Some(stated),
            (own, stated) => own.or(stated),
        };
        said
    }

    /// The first reply in a text for people: `550 5.1.1 …`, `550-5.1.1 …`, `(#5.1.1)`, `550 …`. `None` where there is none.
    /// Its words are those from there on.
    pub(super) fn in_text(text: &str) -> Option<Self> {
        let mut found: Option<Said> = None;
        for (at, word) in words(text) {
            let (code, rest) = match word.split_at_checked(3) {
                Some((digits, rest)) if is_code(digits) && (rest.is_empty() || rest.starts_with(['-', '#'])) => {
                    (digits.parse().unwrap_or_default(), rest.trim_start_matches(['-', '#']))
                }
                _ => (0, word),
            };
            let next = || words(&text[at + word.len()..]).next().map(|(_, next)| next).unwrap_or_default();
            let status = if code > 0 && rest.is_empty() { next().trim_start_matches('#') } else { rest };
            let status = status.trim_start_matches('#');
            let marked = code > 0 || word.starts_with('#') || text[..at].ends_with('#');
            match (code, is_status(status) && marked) {
                (0, false) => {}
                (_, true) => {
                    let code = if code > 0 { code } else { found.as_ref().map_or(0, |said| said.code) };
                    let text = found.map_or_else(|| one_line(&text[at..]), |said| said.text);
                    return Some(Said { code, status: Some(status.to_owned()), text });
                }
                // Without a status it may be anything that has three digits: one with a status is better.
                (code, false) => {
                    let words_follow = next().chars().next().is_some_and(char::is_alphabetic) || rest.len() > 2;
                    if found.is_none() && (words_follow || !rest.is_empty()) {
                        found = Some(Said { code, status: None, text: one_line(&text[at..]) });
                    }
                }
            }
        }
        found
    }

    /// As a text without any number says it.
    pub(super) fn in_words(text: &str) -> Self {
        Said { text: one_line(text), ..Said::default() }
    }
}

/// The words of a text, without what stands around them, each with its place.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let around = |c: char| c.is_whitespace() || "()[]<>{}\"',;:=".contains(c);
    let mut rest = 0;
    text.split(around).filter_map(move |word| {
        let at = rest;
        rest += word.len() + text[at + word.len()..].chars().next().map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((at, word.trim_end_matches('.')))
    })
}

fn is_code(digits: &str) -> bool {
    digits.len() == 3
        && digits.bytes().all(|b| b.is_ascii_digit())
        && matches!(digits.as_bytes()[0], b'4' | b'5')
        && digits.as_bytes()[1] <= b'7'
}

/// `5.1.1`, of class 2, 4 or 5.
pub(super) fn is_status(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    parts.len() == 3
        && ["2", "4", "5"].contains(&parts[0])
        && parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() + word.len() >= LONGEST {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(u16, String)> {
        Said::in_text(text).map(|said| (said.code, said.status.unwrap_or_default()))
    }

    #[test]
    fn a_reply_is_found_in_any_text() {
        for (text, code, status) in [
            ("550 5.1.1 no", 550, "5.1.1"),
            ("host a said: 550-5.1.1 The account", 550, "5.1.1"),
            ("Remote host said: 554 delivery error", 554, ""),
            ("Sorry, no mailbox here by that name. (#5.1.1)", 0, "5.1.1"),
            ("550 #5.1.0 Address rejected", 550, "5.1.0"),
            ("<a@b.example>... 550 User unknown", 550, ""),
            ("(reason: 550 5.7.1 <a>: denied)", 550, "5.7.1"),
            ("on port 587; 452-4.2.2 Full", 452, "4.2.2"),
            ("sent 500 mails; 550 5.2.2 full", 550, "5.2.2"),
        ] {
            assert_eq!(found(text), Some((code, status.to_owned())), "{text}");
        }
        for text in ["", "version 5.1.1 of it", "192.0.2.5", "at 550", "call 0551 5010"] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn what_the_last_server_said_goes_before_what_another_made_of_it() {
        let said = |diagnostic, status| Said::of_fields(diagnostic, status).status.unwrap_or_default();
        assert_eq!(said("smtp; 550 5.1.1 no", "5.0.0"), "5.1.1");
        assert_eq!(said("smtp; 550 5.1.10 no", "5.1.1"), "5.1.10");
        assert_eq!(said("smtp; 550 5.0.0 no", "5.1.1"), "5.1.1");
        assert_eq!(said("X-Notes; no such person", "5.1.1 (bad)"), "5.1.1");
        assert_eq!(Said::of_fields("", "").status, None);
    }
}
