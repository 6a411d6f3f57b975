//! Who unsubscribes by mail (RFC 2369, `mailto:` in `List-Unsubscribe`).

use mail_parser::MessageParser;

use crate::subscriber::token::{Grant, Keys, LENGTH, Purpose};

/// What a mail asks for: whom its subject names by a token for leaving. `None` where it is anything else: an answer, a
/// holiday note, spam.
///
/// Mail programs and people put words around a subject (`Re: `, spaces, line breaks), so the token is looked for in it.
pub fn unsubscribes(message: &[u8], keys: &Keys) -> Option<Grant> {
    let parsed = MessageParser::default().parse(message)?;
    let subject = parsed.subject()?;
    let words = subject.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words.filter(|word| word.len() == LENGTH).find_map(|word| keys.verify(Purpose::Unsubscribe, word).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::subscriber::SubscriberId;
    use crate::subscriber::token::{About, KEY_OCTETS};

    #[test]
    fn the_subject_names_who_leaves_and_nothing_else_does() {
        let keys = Keys::fresh([5; KEY_OCTETS]);
        let grant = Grant { subscriber: SubscriberId(7), about: About::Everything };
        let token = keys.sign(Purpose::Unsubscribe, grant);
        let confirm = keys.sign(Purpose::Confirm, grant);
        let read = |subject: &str, body: &str| {
            unsubscribes(format!("From: a@b.example\r\nSubject: {subject}\r\n\r\n{body}\r\n").as_bytes(), &keys)
        };
        for subject in
            [token.clone(), format!("Re: {token}"), format!("Unsubscribe\r\n {token} please"), format!("\"{token}\"")]
        {
            assert_eq!(read(&subject, ""), Some(grant), "{subject}");
        }
        for subject in ["", "unsubscribe", &token[..45], &format!("{token}x"), &confirm] {
            assert_eq!(read(subject, &token), None, "{subject}");
        }
        assert_eq!(unsubscribes(b"", &keys), None);
        assert_eq!(unsubscribes(&[0xff; 300], &keys), None);
    }
}
