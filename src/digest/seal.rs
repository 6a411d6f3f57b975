//! What an editor approved, as one number.

use aws_lc_rs::digest::{Context, SHA256};

use super::Sealed;

/// SHA-256 of everything in `sealed`, in lower-case hexadecimal.
///
/// Each part goes in with its length before it, so that no two different editions can give the same bytes. The order is
/// part of the format: what is in ledgers must keep its seal.
pub fn seal(sealed: &Sealed) -> String {
    let mut hash = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(b"pressrun edition 1");
    let Sealed { subject, preheader, html, text, mark, shortened, headers, date } = sealed;
    for part in [subject, preheader, html, text, mark] {
        add(part.as_bytes());
    }
    add(&[u8::from(*shortened)]);
    add(&date.timestamp().to_be_bytes());
    add(&(headers.len() as u64).to_be_bytes());
    for (name, value) in headers {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    hex(hash.finish().as_ref())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};

    fn sealed() -> Sealed {
        Sealed {
            subject: "Subject".into(),
            preheader: "Preheader".into(),
            html: "<p>html</p>".into(),
            text: "text".into(),
            mark: "slot0".into(),
            shortened: false,
            headers: vec![("From".into(), "a@b.example".into()), ("List-Id".into(), "<a.b.example>".into())],
            date: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_part_is_under_the_seal() {
        let original = sealed();
        let changed = [
            Sealed { subject: "Subject!".into(), ..sealed() },
            Sealed { preheader: String::new(), ..sealed() },
            Sealed { html: "<p>HTML</p>".into(), ..sealed() },
            Sealed { text: "text ".into(), ..sealed() },
            Sealed { mark: "slot1".into(), ..sealed() },
            Sealed { shortened: true, ..sealed() },
            Sealed { headers: sealed().headers[..1].to_vec(), ..sealed() },
            Sealed { headers: sealed().headers.into_iter().rev().collect(), ..sealed() },
            Sealed { date: original.date + TimeDelta::seconds(1), ..sealed() },
        ];
        let mut seals: Vec<String> = changed.iter().chain([&original]).map(seal).collect();
        seals.sort();
        seals.dedup();
        assert_eq!(seals.len(), changed.len() + 1);
    }

    #[test]
    fn moving_a_letter_from_one_part_to_the_next_breaks_the_seal() {
        let moved = Sealed { subject: "SubjectP".into(), preheader: "reheader".into(), ..sealed() };
        assert_ne!(seal(&moved), seal(&sealed()));
    }

    #[test]
    fn a_seal_stays_the_same_through_versions_of_this_program() {
        assert_eq!(seal(&sealed()), "6fda71b755907cc13fb3f69d1dfb269bc44029da0a9303be6588765654ee37b3");
    }
}
