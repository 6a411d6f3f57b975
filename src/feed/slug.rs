//! Names in addresses.

use unicode_normalization::UnicodeNormalization;

/// A name as a folder: lower case, Latin letters without their accents, words parted by `-`. Letters of other scripts stay.
/// `C++` and `C#` are not `C`. Never empty.
pub fn slug(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let plain = name.nfkd().filter(|c| !('\u{300}'..='\u{36F}').contains(c)).nfc();
    for c in plain.flat_map(char::to_lowercase) {
        let word = match c {
            '+' => "-plus-",
            '#' => "-sharp-",
            '&' => "-and-",
            'ß' => "ss",
            'æ' => "ae",
            'ø' => "o",
            'œ' => "oe",
            'ł' => "l",
            '\'' | '’' => "",
            _ if c.is_alphanumeric() || is_mark(c) => {
                out.push(c);
                continue;
            }
            _ => "-",
        };
        for c in word.chars() {
            if c != '-' || !(out.is_empty() || out.ends_with('-')) {
                out.push(c);
            }
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    if out.is_empty() { format!("x{}", short_hash(name)) } else { out }
}

/// Vowel signs and the like, without which words of some scripts cannot be read.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Six hexadecimal digits of a text (FNV-1a, because it must never change).
pub fn short_hash(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    format!("{:06x}", (hash >> 40) & 0xFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_folders() {
        for (name, wanted) in [
            ("Nadia Cavner", "nadia-cavner"),
            ("  Élodie  Œuvre-Müller ", "elodie-oeuvre-muller"),
            ("C++", "c-plus-plus"),
            ("C#", "c-sharp"),
            ("C", "c"),
            ("O’Neill & Söhne", "oneill-and-sohne"),
            ("نادية", "نادية"),
            ("日本", "日本"),
            ("हिन्दी", "हिन्दी"),
            ("../../etc/passwd", "etc-passwd"),
            ("A/B", "a-b"),
        ] {
            assert_eq!(slug(name), wanted, "{name}");
        }
        assert!(slug("!!!").starts_with('x') && slug("!!!") != slug("???"));
    }
}
