//! Which header fields are signed, and how a signature is written as one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::canonical::{self, CRLF};
use super::{Key, KeyName, SignError};

/// The fields that are signed, in this order, and whether an absence is signed too: once more than the field is there
/// (RFC 6376, section 5.4.2), so that nobody can add one. List-Unsubscribe and its Post are what RFC 8058 asks to be covered.
const SIGNED: [(&str, bool); 14] = [
    ("From", true),
    ("Subject", true),
    ("Date", true),
    ("To", true),
    ("List-Unsubscribe", true),
    ("List-Unsubscribe-Post", true),
    ("Reply-To", false),
    ("Message-ID", false),
    ("MIME-Version", false),
    ("Content-Type", false),
    ("Content-Transfer-Encoding", false),
    ("List-Id", false),
    ("Feedback-ID", false),
    ("Auto-Submitted", false),
];

/// The longest line we write, in characters without its end (RFC 5322, section 2.1.1). A longer domain stands alone on its line.
const LINE_MAX: usize = 78;

/// A header's fields that are signed.
pub(super) struct Covered {
    /// The tag `h=`: an index into [`SIGNED`] for each name.
    pub(super) names: Vec<usize>,
    /// The fields' canonical form, as it is hashed.
    pub(super) canonical: Vec<u8>,
}

/// Finds what is signed in a header: the fields' lines, with or without the last line end.
pub(super) fn cover(header: &[u8]) -> Result<Covered, SignError> {
    let mut found: [Vec<(&[u8], &[u8])>; SIGNED.len()] = Default::default();
    let mut rest = header;
    while !rest.is_empty() {
        let (field, after) = split_field(rest)?;
        rest = after;
        let colon = field.iter().position(|b| *b == b':').ok_or(SignError::Header)?;
        let (name, value) = (field[..colon].trim_ascii_end(), &field[colon + 1..]);
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(SignError::Header);
        }
        if let Some(index) = SIGNED.iter().position(|(signed, _)| signed.as_bytes().eq_ignore_ascii_case(name)) {
            found[index].push((name, value));
        }
    }
    if found[0].is_empty() {
        return Err(SignError::NoFrom);
    }
    let mut covered = Covered { names: Vec::new(), canonical: Vec::with_capacity(header.len()) };
    for (index, fields) in found.iter().enumerate() {
        // From the bottom up (section 5.4.2).
        for (name, value) in fields.iter().rev() {
            covered.names.push(index);
            canonical::header(name, value, &mut covered.canonical);
            covered.canonical.extend_from_slice(CRLF);
        }
        if SIGNED[index].1 {
            covered.names.push(index);
        }
    }
    Ok(covered)
}

/// The first field with its folds, without its line end; and what follows.
fn split_field(header: &[u8]) -> Result<(&[u8], &[u8]), SignError> {
    let mut end = 0;
    loop {
        let line = &header[end..];
        let Some(length) = line.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
            return Ok((header, &[]));
        };
        end += length;
        let after = header[end..].strip_prefix(CRLF).ok_or(SignError::BareLineBreak)?;
        if !matches!(after.first(), Some(b' ' | b'\t')) {
            return Ok((&header[..end], after));
        }
        end += CRLF.len();
    }
}

/// The field up to the value of `bh=`, which differs from mail to mail.
pub(super) fn begin(name: &KeyName, key: &Key, seconds: i64, names: &[usize]) -> String {
    let mut lines = Lines { text: "DKIM-Signature:".to_owned(), column: "DKIM-Signature:".len() };
    for tag in ["v=1", &format!("a={}", key.algorithm().as_str()), "c=relaxed/relaxed"] {
        lines.word(&format!(" {tag};"));
    }
    lines.word(&format!(" d={};", name.domain()));
    lines.word(&format!(" s={};", name.selector()));
    lines.word(&format!(" t={seconds};"));
    for (i, index) in names.iter().enumerate() {
        let before = if i == 0 { " h=" } else { "" };
        let after = if i + 1 == names.len() { ";" } else { ":" };
        lines.word(&format!("{before}{}{after}", SIGNED[*index].0));
    }
    lines.text.push_str("\r\n bh=");
    lines.text
}

/// What follows `bh=`, up to where the signature will stand: the end of what is signed.
pub(super) fn body_hash(hash: &[u8; 32]) -> String {
    format!("{};\r\n b=", BASE64_STANDARD.encode(hash))
}

/// Appends a signature, folded, and the line end.
pub(super) fn signature(bytes: &[u8], out: &mut String) {
    let base64 = BASE64_STANDARD.encode(bytes);
    let (mut rest, mut room) = (base64.as_str(), LINE_MAX - " b=".len());
    loop {
        let (line, after) = rest.split_at(room.min(rest.len()));
        out.push_str(line);
        out.push_str("\r\n");
        if after.is_empty() {
            return;
        }
        out.push(' ');
        (rest, room) = (after, LINE_MAX - 1);
    }
}

/// Text with folds before words that would not fit. A word may begin with the space at which it can be folded; one
/// without can be folded all the same, as in `h=`.
struct Lines {
    text: String,
    column: usize,
}

impl Lines {
    fn word(&mut self, word: &str) {
        if self.column + word.len() > LINE_MAX {
            let word = word.trim_start();
            self.text.push_str("\r\n ");
            self.text.push_str(word);
            self.column = 1 + word.len();
        } else {
            self.text.push_str(word);
            self.column += word.len();
        }
    }
}

/// A signature's own field in canonical form, the signature itself left out (section 3.7).
pub(super) fn unsigned(parts: [&str; 2]) -> Vec<u8> {
    let field = parts.concat();
    let (name, value) = field.split_once(':').unwrap_or_default();
    let mut out = Vec::with_capacity(field.len());
    canonical::header(name.as_bytes(), value.as_bytes(), &mut out);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mail::dkim::canonical::BodyHasher;
    use aws_lc_rs::digest::{Context, SHA256};
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    fn names(covered: &Covered) -> Vec<&'static str> {
        covered.names.iter().map(|index| SIGNED[*index].0).collect()
    }

    #[test]
    fn what_matters_is_signed_once_more_than_it_is_there() {
        let header = b"from: a\r\nList-Id: <a>\r\nX-Other: b\r\nTo : c";
        let covered = cover(header).unwrap();
        assert_eq!(
            names(&covered),
            "From From Subject Date To To List-Unsubscribe List-Unsubscribe-Post List-Id"
                .split(' ')
                .collect::<Vec<_>>()
        );
        assert_eq!(covered.canonical, b"from:a\r\nto:c\r\nlist-id:<a>\r\n");
    }

    #[test]
    fn repeated_fields_are_signed_from_the_bottom_up() {
        let covered = cover(b"From: a\r\nReply-To: b\r\nFrom: c\r\n\td\r\nReply-To: e").unwrap();
        assert_eq!(covered.canonical, b"from:c d\r\nfrom:a\r\nreply-to:e\r\nreply-to:b\r\n");
        assert_eq!(names(&covered).iter().filter(|name| **name == "From").count(), 3);
        assert_eq!(names(&covered).iter().filter(|name| **name == "Reply-To").count(), 2);
    }

    #[test]
    fn lines_are_short_even_with_every_field_and_a_long_name() {
        let header: Vec<String> = SIGNED.iter().map(|(name, _)| format!("{name}: x")).collect();
        let covered = cover(header.join("\r\n").as_bytes()).unwrap();
        let (key, _) = crate::mail::dkim::generate(crate::mail::dkim::Algorithm::Ed25519).unwrap();
        for domain in ["paper.example".to_owned(), format!("{}.example", "a".repeat(63))] {
            let name = KeyName::new(&domain, "a-rather-long-selector.of-two-parts").unwrap();
            let mut text = begin(&name, &key, 1_795_327_200, &covered.names) + &body_hash(&[255; 32]);
            signature(&[255; 512], &mut text);
            let lines: Vec<&str> = text.strip_suffix("\r\n").unwrap().split("\r\n").collect();
            assert!(lines.iter().all(|line| line.len() <= LINE_MAX && line.trim_end() == *line), "{text}");
            assert!(lines[1..].iter().all(|line| line.starts_with(' ') && line.len() > 1), "{text}");
        }
        let mut text = String::new();
        signature(&[0; 56], &mut text);
        assert_eq!(text.len(), 76 + "\r\n \r\n".len());
    }

    /// RFC 8463, appendix A: its message, its key, its field. (Its own way to write the field is not ours; what is hashed
    /// and signed is.)
    #[test]
    fn the_example_of_rfc_8463() {
        let header = "From: Joe SixPack <joe@football.example.com>\r\n\
            To: Suzie Q <suzie@shopping.example.net>\r\n\
            Subject: Is dinner ready?\r\n\
            Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
            Message-ID: <20030712040037.46341.5F8J@football.example.com>";
        let field = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
            d=football.example.com; i=@football.example.com;\r\n \
            q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
            subject : date : message-id : from : subject : date;\r\n bh=";
        let mut body = BodyHasher::default();
        body.update(b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n");
        let tail = body_hash(&body.finish().unwrap());
        assert_eq!(tail, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=");

        let mut hash = Context::new(&SHA256);
        for line in ["From", "To", "Subject", "Date", "Message-ID"] {
            let (name, value) =
                header.split("\r\n").find_map(|l| l.split_once(':').filter(|(n, _)| *n == line)).unwrap();
            let mut canonical = Vec::new();
            canonical::header(name.as_bytes(), value.as_bytes(), &mut canonical);
            hash.update(&canonical);
            hash.update(CRLF);
        }
        hash.update(&unsigned([field, &tail]));

        // The seed as PKCS#8 (RFC 8410, section 7).
        let seed = BASE64_STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
        let pkcs8 = [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &seed].concat();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", BASE64_STANDARD.encode(pkcs8));
        let key = Key::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(BASE64_STANDARD.encode(key.public().unwrap()), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");

        let wanted = "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==";
        let mut signed = Vec::new();
        key.sign(hash.clone(), &mut signed).unwrap();
        assert_eq!(BASE64_STANDARD.encode(&signed), wanted);
        UnparsedPublicKey::new(&ED25519, key.public().unwrap()).verify(hash.finish().as_ref(), &signed).unwrap();
    }
}
