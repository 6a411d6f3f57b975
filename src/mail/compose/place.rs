//! What differs from reader to reader: where it stands, and how it is written there.
//!
//! `Sealed::html` and `Sealed::text` hold marks, `<mark>-<slot>-`, one of `SLOTS`. The header fields To, Message-ID and
//! List-Unsubscribe differ too.

use std::borrow::Cow;
use url::Url;

use super::{Identity, Reader, StencilError};
use crate::mail::headers::{self, HeaderText};
use crate::markup::{escape, quoted_printable};

/// A place that differs from reader to reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    To,
    MessageId,
    ListUnsubscribe,
    Body(Slot, Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Unsubscribe,
    Preferences,
    Address,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Text,
    Html,
}

/// Every place; its index stands for it in [`super::Stencil::new`].
pub(super) const PLACES: [Place; 11] = [
    Place::To,
    Place::MessageId,
    Place::ListUnsubscribe,
    Place::Body(Slot::Unsubscribe, Part::Text),
    Place::Body(Slot::Preferences, Part::Text),
    Place::Body(Slot::Address, Part::Text),
    Place::Body(Slot::Name, Part::Text),
    Place::Body(Slot::Unsubscribe, Part::Html),
    Place::Body(Slot::Preferences, Part::Html),
    Place::Body(Slot::Address, Part::Html),
    Place::Body(Slot::Name, Part::Html),
];

/// A part of a sealed text.
pub(super) enum Piece<'a> {
    /// The same for every reader.
    Fixed(&'a str),
    /// A marked place.
    Open(Slot),
}

/// Goes through a sealed text, piece by piece.
pub(super) fn splice<'a>(text: &'a str, mark: &str, mut each: impl FnMut(Piece<'a>)) -> Result<(), StencilError> {
    let opening = format!("{mark}-");
    let mut pieces = text.split(opening.as_str());
    each(Piece::Fixed(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let (slot, rest) = piece.split_once('-').ok_or_else(|| StencilError::Slot(piece.chars().take(20).collect()))?;
        each(Piece::Open(match slot {
            "unsubscribe" => Slot::Unsubscribe,
            "preferences" => Slot::Preferences,
            "address" => Slot::Address,
            "name" => Slot::Name,
            other => return Err(StencilError::Slot(other.to_owned())),
        }));
        each(Piece::Fixed(rest));
    }
    Ok(())
}

/// What stands in a marked place of one reader's part.
pub(super) fn value<'a>(slot: Slot, part: Part, identity: &Identity, reader: &'a Reader) -> Cow<'a, str> {
    let text = match slot {
        Slot::Address => Cow::Borrowed(reader.address.as_str()),
        Slot::Name => Cow::Owned(HeaderText::clean(reader.name).as_str().to_owned()),
        Slot::Unsubscribe => page(&identity.unsubscribe_url, reader.token),
        Slot::Preferences => page(&identity.preferences_url, reader.preferences),
    };
    match part {
        Part::Text => text,
        Part::Html => Cow::Owned(escape::attribute(&text)),
    }
}

/// The address of a reader's own page.
fn page<'a>(below: &Url, token: &str) -> Cow<'a, str> {
    let mut url = below.as_str().as_bytes().to_vec();
    percent_encode(token, &mut url);
    Cow::Owned(String::from_utf8(url).unwrap_or_default())
}

/// Writes one reader's value of a place.
pub(super) fn fill(place: Place, identity: &Identity, reader: &Reader, out: &mut Vec<u8>) {
    match place {
        Place::To => {
            let name = HeaderText::clean(reader.name);
            out.extend_from_slice(headers::mailbox("To", &name, reader.address).as_bytes());
        }
        Place::MessageId => out.extend_from_slice(reader.message_id.as_str().as_bytes()),
        // RFC 2369: the first is the one to prefer. Folded between the two always: they never fit one line.
        Place::ListUnsubscribe => {
            out.push(b'<');
            out.extend_from_slice(identity.unsubscribe_url.as_str().as_bytes());
            percent_encode(reader.token, out);
            out.extend_from_slice(b">,\r\n <mailto:");
            percent_encode(identity.unsubscribe_mailbox.as_str(), out);
            out.extend_from_slice(b"?subject=");
            percent_encode(reader.token, out);
            out.push(b'>');
        }
        Place::Body(slot, part) => quoted_printable::encode(&value(slot, part, identity, reader), out),
    }
}

/// Appends what may stand in any part of a URI; `@` and `+` stay as they are.
fn percent_encode(text: &str, out: &mut Vec<u8>) {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@' | b'+');
    // Nearly all.
    if text.bytes().all(stays) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        if stays(byte) {
            out.push(byte);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_with_special_characters_is_written_for_a_uri() {
        let mut out = Vec::new();
        percent_encode("un?sub&\u{e9}@b.example", &mut out);
        assert_eq!(out, b"un%3Fsub%26%C3%A9@b.example");
    }
}
