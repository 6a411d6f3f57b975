//! Return paths that say which delivery comes back (VERP): an address with a place for a signed token.

use crate::subscriber::Address;
use crate::subscriber::token::RETURN_LENGTH;

/// Stands for the token where the operator writes such an address.
pub const PLACE: &str = "{token}";
/// Octets before the `@` (RFC 5321 section 4.5.3.1.1).
const LONGEST_LOCAL: usize = 64;

/// An address with a place for a token: `bounces+{token}@return.paper.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath {
    before: String,
    after: String,
}

impl std::fmt::Display for ReturnPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.after)
    }
}

/// Why a text is no return path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReturnPathError {
    /// There is no place for the token, or more than one.
    #[error("it has no place for the token, or more than one")]
    Place,
    /// The part before the `@` becomes too long.
    #[error("with its token, the part before the @ has {0} characters, and 64 are allowed")]
    Long(usize),
    /// With a token in it, it is no address.
    #[error("it is no address")]
    Address,
}

impl ReturnPath {
    /// Reads `bounces+{token}@return.paper.example`.
    ///
    /// # Errors
    /// [`ReturnPathError`].
    pub fn parse(text: &str) -> Result<Self, ReturnPathError> {
        let (before, after) = text.trim().split_once(PLACE).ok_or(ReturnPathError::Place)?;
        let local = after.split_once('@').map_or(0, |(rest, _)| before.len() + RETURN_LENGTH + rest.len());
        if after.contains(PLACE) || before.contains('@') {
            return Err(ReturnPathError::Place);
        }
        if local > LONGEST_LOCAL {
            return Err(ReturnPathError::Long(local));
        }
        let path = ReturnPath { before: before.to_owned(), after: after.to_owned() };
        let address = path.address(&"a".repeat(RETURN_LENGTH)).ok_or(ReturnPathError::Address)?;
        // Not every server on the way back speaks SMTPUTF8.
        if address.as_str().is_ascii() { Ok(path) } else { Err(ReturnPathError::Address) }
    }

    /// The address with a token. `None` never comes of a token of [`crate::subscriber::token::Keys::sign_return`].
    pub fn address(&self, token: &str) -> Option<Address> {
        format!("{}{token}{}", self.before, self.after).parse().ok()
    }

    /// What stands in the token's place, where such an address stands in a text. Small and capital letters are the same. It
    /// has the token's length and characters, and need not be one.
    pub fn token<'t>(&self, text: &'t str) -> Option<&'t str> {
        let small = text.to_ascii_lowercase();
        let (before, after) = (self.before.to_ascii_lowercase(), self.after.to_ascii_lowercase());
        let mut from = 0;
        while let Some(at) = small[from..].find(&before).map(|at| from + at + before.len()) {
            let end = at + RETURN_LENGTH;
            let token = text.get(at..end).filter(|token| token.bytes().all(|b| b.is_ascii_alphanumeric()));
            if token.is_some() && small.get(end..).is_some_and(|rest| rest.starts_with(&after)) {
                return token;
            }
            from = at + small[at..].chars().next().map_or(1, char::len_utf8);
            if from >= small.len() {
                break;
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz234567abcdefgh";

    #[test]
    fn a_token_is_found_again_wherever_its_address_stands() {
        let path = ReturnPath::parse("bounces+{token}@Return.paper.example").unwrap();
        let address = path.address(TOKEN).unwrap();
        assert_eq!(address.as_str(), format!("bounces+{TOKEN}@return.paper.example"));
        let shouted = address.as_str().to_uppercase();
        assert_eq!(path.token(&format!("rfc822; <{shouted}>")), Some(TOKEN.to_uppercase().as_str()));
        assert_eq!(path.token(&format!("bounces+x@a, {address}, é")), Some(TOKEN));
        for other in ["", "bounces+", "bounces+short@return.paper.example", &format!("bounces+{TOKEN}@other.example")] {
            assert_eq!(path.token(other), None, "{other}");
        }
        assert_eq!(path.token(&format!("bounces+{}é{}@return.paper.example", &TOKEN[..19], &TOKEN[..19])), None);
        let bare = ReturnPath::parse("{token}@r.example").unwrap();
        assert_eq!(bare.token(&format!("{TOKEN}@r.example")), Some(TOKEN));
    }

    #[test]
    fn what_cannot_be_a_return_path_is_refused() {
        use ReturnPathError::{Address, Long, Place};
        let refused = |text: &str| ReturnPath::parse(text).unwrap_err();
        assert_eq!(refused("bounces@r.example"), Place);
        assert_eq!(refused("{token}{token}@r.example"), Place);
        assert_eq!(refused("b@{token}.example"), Place);
        assert_eq!(refused("b{token}"), Address);
        assert_eq!(refused("b {token}@r.example"), Address);
        assert_eq!(refused("bü{token}@r.example"), Address);
        assert_eq!(refused(&format!("{}{{token}}@r.example", "b".repeat(25))), Long(65));
        assert!(ReturnPath::parse(&format!("{}{{token}}@r.example", "b".repeat(24))).is_ok());
    }
}
