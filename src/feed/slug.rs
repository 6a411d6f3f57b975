//! Names in addresses.

use unicode_normalization::UnicodeNormalization;

/// A longer name is cut, in bytes: file systems end names at 255, and a hash comes after it.
const LONGEST: usize = 120;

/// By what two spellings of a name are the same: neither the size of letters, nor how words are parted, nor the dot behind
/// an initial, nor which apostrophe it is tells two people, or two tags, from each other. Empty where there is no name.
pub fn shared(name: &str) -> String {
    let mut words = String::with_capacity(name.len());
    for word in name.split(|c: char| c.is_whitespace() || c == '-') {
        let word = word.trim_end_matches('.');
        if !words.is_empty() && !word.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().filter(|c| !matches!(c, '\'' | '’')));
    }
    let lower = words.to_lowercase();
    if lower.is_ascii() { lower } else { lower.nfc().collect() }
}

/// The folder of what spellings [`shared`] in a family of feeds. Where the folder's name does not say all of the name, it
/// has a hash: so it is the same whatever other names there are, and no newcomer takes over another's address.
pub fn folder(shared: &str) -> String {
    let slug = slug(shared);
    if slug == shared.replace(' ', "-") { slug } else { format!("{slug}-{}", short_hash(shared)) }
}

/// A name as a part of an address: lower case, Latin letters without their accents, words parted by `-`. Letters of other
/// scripts stay. `C++` and `C#` are not `C`. Never empty, and never longer than file systems bear.
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
    if out.len() > LONGEST {
        out.truncate(out.floor_char_boundary(LONGEST));
        out.truncate(out.trim_end_matches('-').len());
        return format!("{out}-{}", short_hash(name));
    }
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

    #[test]
    fn a_long_name_is_cut_and_still_told_from_others() {
        assert_eq!(slug(&"a".repeat(LONGEST)), "a".repeat(LONGEST));
        let longer = "a".repeat(LONGEST + 1);
        assert_eq!(slug(&longer), format!("{}-{}", "a".repeat(LONGEST), short_hash(&longer)));
        // Between two characters, and never so long that a folder of it cannot be made.
        for name in ["é".repeat(500), "日本".repeat(500), format!("{}-b", "a".repeat(LONGEST - 1))] {
            assert!(folder(&shared(&name)).len() <= LONGEST + 14, "{name}");
        }
        assert_ne!(slug(&format!("{longer}b")), slug(&format!("{longer}c")));
    }

    #[test]
    fn a_folder_hangs_on_the_name_alone() {
        let named = |name: &str| folder(&shared(name));
        for (name, wanted) in [
            ("Nadia  Cavner ", "nadia-cavner"),
            ("student-life", "student-life"),
            ("日本", "日本"),
            ("J. R. O’Neill", "j-r-oneill"),
        ] {
            assert_eq!(named(name), wanted, "{name}");
        }
        assert_eq!(named("Student Life"), named("student-life"));
        assert_eq!(named("Jack O'Neill"), named("jack o’neill"));
        assert_eq!(named("JÜRG"), named("Ju\u{308}rg"));
        let similar = ["Jurg", "Jürg", "Jùrg", "C", "C++", "c plus plus", "A.B", "A B", "!!!", "???"];
        let folders: std::collections::BTreeSet<String> = similar.iter().map(|name| named(name)).collect();
        assert_eq!(folders.len(), similar.len(), "{folders:?}");
        assert!(folders.contains("jurg") && folders.contains("c") && folders.contains("c-plus-plus"));
    }
}
