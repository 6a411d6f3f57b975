//! The last part of an address.

use unicode_normalization::UnicodeNormalization;

/// The longest slug; file systems end names at 255 bytes, and a feed's folder adds to it.
pub const MAX_BYTES: usize = 180;

/// Whether a text can stand as one part of an address: letters and digits of any script, `-`, `_` and `.` inside.
pub fn is_valid(slug: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || is_mark(c) || matches!(c, '-' | '_' | '.');
    !slug.is_empty() && slug.len() <= MAX_BYTES && slug.chars().all(inside) && !slug.starts_with('.')
}

/// A slug made from a name or a title: small letters, and a hyphen for everything else. Empty where nothing is left.
pub fn from(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.nfc().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() || is_mark(c) || c == '_' {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') && !matches!(c, '\'' | '’' | '"') {
            slug.push('-');
        }
    }
    let mut end = slug.len().min(MAX_BYTES);
    while !slug.is_char_boundary(end) {
        end -= 1;
    }
    slug.truncate(end);
    slug.trim_end_matches('-').to_owned()
}

/// Combining marks that some scripts cannot be written without.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_titles_become_slugs() {
        for (text, slug) in [
            ("Al-Hol Exodus", "al-hol-exodus"),
            ("Une année à Québec", "une-année-à-québec"),
            ("It’s  here!", "its-here"),
            ("كلمات سافرت", "كلمات-سافرت"),
            ("…", ""),
        ] {
            assert_eq!(from(text), slug);
        }
    }

    #[test]
    fn every_slug_that_is_made_is_valid() {
        for text in ["a", "A b/c?d", "../../etc/passwd", ".hidden", &"é".repeat(500), "हिन्दी"] {
            assert!(is_valid(&from(text)), "{text}");
        }
        for text in ["", ".hidden", "a b", "a/b", "a?b", &"x".repeat(MAX_BYTES + 1)] {
            assert!(!is_valid(text), "{text}");
        }
        assert!(is_valid(&"x".repeat(MAX_BYTES)));
    }
}
