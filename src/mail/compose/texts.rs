//! The texts of an edition as people read them, without MIME.

use super::place::{Part, Piece, Slot, splice, value};
use super::{Identity, Reader, StencilError};
use crate::digest::Sealed;
use crate::markup::escape;

/// One reader's HTML and text part, decoded: for previews and pages.
///
/// # Errors
/// [`StencilError::Slot`].
pub fn texts(sealed: &Sealed, identity: &Identity, reader: &Reader) -> Result<(String, String), StencilError> {
    let filled = |text: &str, part| {
        let mut out = String::with_capacity(text.len());
        splice(text, &sealed.mark, |piece| match piece {
            Piece::Fixed(fixed) => out.push_str(fixed),
            Piece::Open(slot) => out.push_str(&value(slot, part, identity, reader)),
        })?;
        Ok(out)
    };
    Ok((filled(&sealed.html, Part::Html)?, filled(&sealed.text, Part::Text)?))
}

/// The HTML part for everybody: `link` instead of a reader's own links, `readers` instead of an address, and no
/// name.
///
/// # Errors
/// [`StencilError::Slot`].
pub fn for_all(sealed: &Sealed, link: &str, readers: &str) -> Result<String, StencilError> {
    let mut out = String::with_capacity(sealed.html.len());
    splice(&sealed.html, &sealed.mark, |piece| match piece {
        Piece::Fixed(fixed) => out.push_str(fixed),
        Piece::Open(Slot::Unsubscribe | Slot::Preferences) => out.push_str(&escape::attribute(link)),
        Piece::Open(Slot::Address) => out.push_str(&escape::attribute(readers)),
        Piece::Open(Slot::Name) => {}
    })?;
    Ok(out)
}
