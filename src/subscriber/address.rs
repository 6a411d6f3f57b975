//! An e-mail address, parsed once.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::unseen::is_unseen;

/// Octets before the `@` (RFC 5321, 4.5.3.1.1).
pub const MAX_LOCAL: usize = 64;
/// Octets of the whole: a path has 256 with its angle brackets (RFC 5321, 4.5.3.1.3; RFC 3696, erratum 1690).
pub const MAX_TOTAL: usize = 254;
/// Octets of one part of a domain (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// What stands in an atom beside letters and digits (RFC 5322, 3.2.3).
const ATOM_SIGNS: &str = "!#$%&'*+-/=?^_`{|}~";

/// An address that can be mailed: a dot-atom (RFC 5321, with RFC 6531's letters), `@`, and a domain in lower-case ASCII
/// (IDNA, UTS 46 without transition). The local part keeps the letter case it came with, in Unicode's form NFC.
///
/// Two spellings that differ only in the case of ASCII letters are one address: they compare, sort and hash alike.
/// What is accepted, and why, is in `docs/ADDRESSES.md`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Address {
    text: String,
    at: usize,
}

/// Why a text is no address that can be mailed. Never holds the text itself, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct AddressError {
    /// What is wrong, and what to do about it where that is known.
    pub what: &'static str,
}

/// Something to look at in an address that can be mailed nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Warning {
    /// `info@`, `office@`: several people read it, and the one who asked is perhaps not the one who complains.
    Role,
    /// A mailbox made to be thrown away.
    Disposable,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "this is an address of an office, not of a person",
            Self::Disposable => "this mailbox is of the kind that is thrown away",
        })
    }
}

/// Local parts that belong to an office (RFC 2142, and what forms are filled in with).
const ROLES: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "billing",
    "contact",
    "contacto",
    "editor",
    "help",
    "hostmaster",
    "info",
    "kontakt",
    "mail",
    "mailer-daemon",
    "marketing",
    "newsletter",
    "no-reply",
    "noc",
    "noreply",
    "office",
    "postmaster",
    "press",
    "root",
    "sales",
    "security",
    "support",
    "webmaster",
];

/// Well-known makers of throw-away mailboxes; their subdomains count too.
const DISPOSABLE: &[&str] = &[
    "10minutemail.com",
    "burnermail.io",
    "discard.email",
    "dispostable.com",
    "emailondeck.com",
    "fakeinbox.com",
    "getnada.com",
    "grr.la",
    "guerrillamail.com",
    "maildrop.cc",
    "mailinator.com",
    "mailnesia.com",
    "mintemail.com",
    "moakt.com",
    "mohmal.com",
    "sharklasers.com",
    "spamgourmet.com",
    "temp-mail.org",
    "tempmail.com",
    "throwawaymail.com",
    "trashmail.com",
    "yopmail.com",
];

impl Address {
    /// `local@domain`, as it goes into an envelope.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`, in the case it was given.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands after the `@`: lower-case ASCII.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The folded form: equal for two spellings of one mailbox. What a store keeps unique.
    pub fn key(&self) -> String {
        self.text.to_ascii_lowercase()
    }

    /// The local part has letters beyond ASCII: only a server that offers SMTPUTF8 (RFC 6531) takes it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }

    /// For people: the domain in its own script. Stays in ASCII where the Unicode form has characters that nobody sees.
    pub fn shown(&self) -> String {
        let (domain, sound) = idna::domain_to_unicode(self.domain());
        if sound.is_err() || domain.chars().any(is_unseen) {
            return self.text.clone();
        }
        format!("{}@{domain}", self.local())
    }

    /// For logs: `n…@example.org`. A local part of one character disappears whole.
    pub fn masked(&self) -> String {
        let mut letters = self.local().chars();
        match (letters.next(), letters.next()) {
            (Some(first), Some(_)) => format!("{first}…@{}", self.domain()),
            _ => format!("…@{}", self.domain()),
        }
    }

    /// What an operator should look at; nothing is refused for it.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut found = Vec::new();
        let local = self.local().to_ascii_lowercase();
        let person = local.split('+').next().unwrap_or_default();
        if ROLES.contains(&person) {
            found.push(Warning::Role);
        }
        let is_or_is_below = |known: &str| {
            self.domain().strip_suffix(known).is_some_and(|front| front.is_empty() || front.ends_with('.'))
        };
        if DISPOSABLE.iter().any(|known| is_or_is_below(known)) {
            found.push(Warning::Disposable);
        }
        found
    }

    /// The bytes of [`Address::key`], without making it.
    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.text.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Takes exactly an address: no spaces around it, no name, no angle brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match plain(text) {
            Some(at) => Ok(Self { text: text.to_owned(), at }),
            None => Self::checked(text),
        }
    }
}

impl Address {
    /// By all the rules.
    fn checked(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return refuse("there is no address");
        }
        if text.chars().any(|c| c == ' ') {
            return refuse("there is a space in the address");
        }
        if text.chars().any(is_unseen) {
            return refuse("there is a character in the address that nobody sees; type it anew");
        }
        let Some((local, domain)) = text.rsplit_once('@') else {
            return refuse("there is no `@` in the address");
        };
        let local = checked_local(local)?;
        let domain = checked_domain(domain)?;
        let at = local.len();
        let text = format!("{local}@{domain}");
        if text.len() > MAX_TOTAL {
            return refuse("the address is longer than 254 octets");
        }
        Ok(Self { text, at })
    }
}

/// Where the `@` stands in an address that keeps all rules, being of few characters and simple form, as nearly every one is: for
/// each mail of an edition one is read. `None` says nothing: it may be an address too.
fn plain(text: &str) -> Option<usize> {
    let (local, domain) = text.split_once('@')?;
    let sound = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let local_sign = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
    if local.is_empty() || local.len() > MAX_LOCAL || !local.bytes().all(local_sign) || !sound(local) {
        return None;
    }
    let label = |label: &str| {
        let sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(sign)
            && !(label.starts_with('-') || label.ends_with('-') || label.contains("--"))
    };
    let (front, top) = domain.rsplit_once('.')?;
    let top = top.len() >= 2 && top.len() <= MAX_LABEL && top.bytes().all(|b| b.is_ascii_lowercase());
    (top && text.len() <= MAX_TOTAL && front.split('.').all(label)).then_some(local.len())
}

fn refuse<T>(what: &'static str) -> Result<T, AddressError> {
    Err(AddressError { what })
}

/// A dot-atom. The quoted form (`"a b"@…`) is legal, and refused by nearly every provider's sign-up and by many relays.
fn checked_local(local: &str) -> Result<String, AddressError> {
    let local: String = if local.is_ascii() { local.to_owned() } else { local.nfc().collect() };
    if local.is_empty() {
        return refuse("there is nothing before the `@`");
    }
    if local.contains('"') {
        return refuse("the part before the `@` is in quotation marks; such mailboxes cannot be reached reliably");
    }
    if local.contains('@') {
        return refuse("there is more than one `@` in the address");
    }
    if local.len() > MAX_LOCAL {
        return refuse("the part before the `@` is longer than 64 octets");
    }
    if local.starts_with('.') || local.ends_with('.') {
        return refuse("the part before the `@` begins or ends with a dot");
    }
    if local.contains("..") {
        return refuse("there are two dots in a row before the `@`");
    }
    if local.starts_with(is_combining_mark) {
        return refuse("the part before the `@` begins with an accent that belongs to no letter");
    }
    let fits = |c: char| c == '.' || c.is_ascii_alphanumeric() || ATOM_SIGNS.contains(c) || !c.is_ascii();
    if !local.chars().all(fits) {
        return refuse("there is a character before the `@` that cannot stand there");
    }
    Ok(local)
}

/// The domain in lower-case ASCII.
fn checked_domain(domain: &str) -> Result<String, AddressError> {
    if domain.is_empty() {
        return refuse("there is nothing after the `@`");
    }
    if domain.starts_with('[') {
        return refuse("there is a number in brackets after the `@` where a domain should be");
    }
    if domain.contains(',') {
        return refuse("there is a comma after the `@`; a dot is probably meant");
    }
    if domain.starts_with('.') || domain.ends_with('.') {
        return refuse("the domain begins or ends with a dot");
    }
    if domain.contains("..") {
        return refuse("there are two dots in a row in the domain");
    }
    // UTS 46 without transition, STD3 rules, hyphens checked, lengths of RFC 1035.
    let Ok(domain) = idna::domain_to_ascii_strict(domain) else {
        return refuse("the part after the `@` is no domain");
    };
    let Some((_, top)) = domain.rsplit_once('.') else {
        return refuse("the domain has no dot; an ending like `.org` is missing");
    };
    let alphabetic = top.len() >= 2 && top.bytes().all(|b| b.is_ascii_lowercase());
    if !alphabetic && !top.starts_with("xn--") {
        return refuse("the domain does not end in letters, as `.org` does");
    }
    Ok(domain)
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for Address {}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Masked: what is printed for debugging ends up in logs.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.masked())
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.text
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests;
