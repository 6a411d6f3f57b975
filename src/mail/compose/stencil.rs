//! An edition's message with the places left open.

use super::anew::build;
use super::place::{PLACES, Place, fill};
use super::{Identity, Reader, StencilError};
use crate::digest::Sealed;
use crate::mail::Mail;

/// An edition's message with the readers' places left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stencil {
    identity: Identity,
    /// Up to the first place.
    head: Vec<u8>,
    /// Each place, and the fixed bytes after it.
    rest: Vec<(Place, Vec<u8>)>,
    /// How long all fixed bytes are.
    fixed: usize,
}

/// Opens a place in [`Stencil::new`]; the place's index follows. No message has a NUL: the header gate takes it out and
/// quoted-printable encodes it.
const OPEN: u8 = 0;

impl Stencil {
    /// Builds the message once.
    ///
    /// # Errors
    /// [`StencilError`], where `sealed` is not as rendering makes it.
    pub fn new(sealed: &Sealed, identity: Identity) -> Result<Self, StencilError> {
        let message = build(sealed, &|place, out| {
            let index = PLACES.iter().position(|p| *p == place).unwrap_or_default();
            out.extend_from_slice(&[OPEN, b'0' + u8::try_from(index).unwrap_or_default()]);
        })?;
        let mut pieces = message.split(|b| *b == OPEN);
        let head = pieces.next().unwrap_or_default().to_vec();
        let rest: Vec<(Place, Vec<u8>)> = pieces
            .filter_map(|piece| {
                let (index, bytes) = piece.split_first()?;
                Some((*PLACES.get(usize::from(index.checked_sub(b'0')?))?, bytes.to_vec()))
            })
            .collect();
        Ok(Stencil { identity, head, rest, fixed: message.len() })
    }

    /// The fixed bytes, in order; before each but the first stands one value.
    pub fn constants(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.head.as_slice()).chain(self.rest.iter().map(|(_, bytes)| bytes.as_slice()))
    }

    /// What stands in the places of one reader's mail, in order.
    pub fn values(&self, reader: &Reader) -> Values {
        let mut values = Values { bytes: Vec::with_capacity(PLACES_TAKE), ends: Vec::with_capacity(self.rest.len()) };
        for (place, _) in &self.rest {
            fill(*place, &self.identity, reader, &mut values.bytes);
            values.ends.push(values.bytes.len());
        }
        values
    }

    /// Writes one reader's mail.
    pub fn mail(&self, reader: &Reader) -> Mail {
        self.signed(reader, &self.values(reader), "")
    }

    /// Writes one reader's mail, of which `values` are, with these header fields before it.
    pub fn signed(&self, reader: &Reader, values: &Values, fields: &str) -> Mail {
        let mut message = Vec::with_capacity(fields.len() + self.fixed + values.bytes.len());
        message.extend_from_slice(fields.as_bytes());
        message.extend_from_slice(&self.head);
        for (value, (_, bytes)) in values.iter().zip(&self.rest) {
            message.extend_from_slice(value);
            message.extend_from_slice(bytes);
        }
        Mail { return_path: self.identity.return_path.clone(), to: reader.address.clone(), message }
    }
}

/// More bytes than all places together take for nearly every reader.
const PLACES_TAKE: usize = 2_000;

/// What stands in the places of one reader's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    bytes: Vec<u8>,
    /// Where in `bytes` each ends.
    ends: Vec<usize>,
}

impl Values {
    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// In order, as [`crate::mail::dkim::Prepared`] takes them.
    pub fn as_slices(&self) -> Vec<&[u8]> {
        self.iter().collect()
    }
}
