//! Many spellings, one mailbox: for limits only.

use std::fmt;
use unicode_normalization::UnicodeNormalization;

use super::address::Address;

/// Domains that lead to the same mailboxes; the first stands for all.
const SAME: &[&[&str]] = &[
    &["gmail.com", "googlemail.com"],
    &["proton.me", "protonmail.com", "pm.me"],
    &["icloud.com", "me.com", "mac.com"],
];

/// What sign-ups are counted by, so that nobody fills one inbox through `n.adia+1@…`, `na.dia+2@…` and so on.
///
/// Folds more than is true everywhere: at some domains `na.dia` and `nadia` are two people, who then share a limit for a
/// while. So it is a type of its own, that cannot be mailed, shown or kept in place of an [`Address`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKey(String);

impl LimitKey {
    /// Letter case and wide letters are folded in every script, what follows a `+` is cut off, dots are taken out, and
    /// domains of one provider are one.
    pub fn of(address: &Address) -> Self {
        let local = address.local().nfkc().flat_map(char::to_lowercase).collect::<String>();
        let untagged = local.split('+').next().unwrap_or_default();
        let mut key: String = untagged.chars().filter(|c| *c != '.').collect();
        // `+news@…` is all tag: there it is the mailbox itself.
        if key.is_empty() {
            key = local;
        }
        let domain = address.domain();
        let domain = SAME.iter().find(|same| same.contains(&domain)).map_or(domain, |same| same[0]);
        key.push('@');
        key.push_str(domain);
        Self(key)
    }

    /// For a keyed hash, where counts outlive the process.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Does not print the address.
impl fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitKey(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> LimitKey {
        LimitKey::of(&text.parse().unwrap())
    }

    #[test]
    fn spellings_of_one_mailbox_share_a_limit() {
        for spelling in [
            "NADIA@gmail.com",
            "n.a.d.i.a@gmail.com",
            "nadia+1@gmail.com",
            "na.dia+a+b@GoogleMail.com",
            "ｎadia@gmail.com",
        ] {
            assert_eq!(key(spelling), key("nadia@gmail.com"), "{spelling}");
        }
        assert_eq!(key("n@pm.me"), key("n@protonmail.com"));
        assert_eq!(key("ÉLOÏSE@example.org"), key("éloïse@example.org"));
    }

    #[test]
    fn different_mailboxes_do_not() {
        assert_ne!(key("nadia@example.org"), key("nadia@example.net"));
        assert_ne!(key("nadia@example.org"), key("omar@example.org"));
        assert_ne!(key("+1@example.org"), key("+2@example.org"), "a local part that is all tag is kept");
        assert_ne!(key("nadia@gmail.com"), key("nadia@notgmail.com"));
    }

    #[test]
    fn the_debug_form_holds_no_address() {
        assert_eq!(format!("{:?}", key("nadia@example.org")), "LimitKey(…)");
    }

    proptest! {
        #[test]
        fn equal_addresses_share_a_limit_and_tags_change_nothing(
            local in "[a-zA-Zé][a-zA-Z0-9é]{0,8}(\\.[a-z]{1,3})?",
            tag in "[a-z0-9+]{0,8}",
        ) {
            let plain = key(&format!("{local}@example.org"));
            prop_assert_eq!(&plain, &key(&format!("{local}+{tag}@example.org")));
            prop_assert_eq!(&plain, &key(&format!("{}@example.org", local.to_ascii_uppercase())));
            prop_assert_eq!(&plain, &key(&format!("{}@example.org", local.replace('.', ""))));
        }
    }
}
