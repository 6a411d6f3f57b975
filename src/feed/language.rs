//! Languages and the directions they are written in.

/// Languages and scripts that run from right to left.
const RIGHT_TO_LEFT: [&str; 14] =
    ["ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku-arab", "ps", "sd", "syr", "ug", "ur", "yi"];

/// `rtl` or `ltr`, of a BCP 47 tag.
pub fn direction(tag: &str) -> &'static str {
    let tag = tag.to_ascii_lowercase();
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    // A script says more than a language: `az-Arab`, `ar-Latn`.
    let script = parts.find(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_alphabetic()));
    let right = match script {
        Some(script) => ["arab", "hebr", "thaa", "syrc", "nkoo", "adlm", "rohg"].contains(&script),
        None => RIGHT_TO_LEFT.contains(&language),
    };
    if right { "rtl" } else { "ltr" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_more_than_a_language() {
        for (tag, wanted) in [
            ("ar", "rtl"),
            ("AR-eg", "rtl"),
            ("he-IL", "rtl"),
            ("fa", "rtl"),
            ("en", "ltr"),
            ("de-CH", "ltr"),
            ("az-Arab-IR", "rtl"),
            ("ar-Latn", "ltr"),
            ("", "ltr"),
            ("art", "ltr"),
        ] {
            assert_eq!(direction(tag), wanted, "{tag}");
        }
    }
}
