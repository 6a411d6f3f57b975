//! An edition's message with the places left open.

use std::sync::Arc;

use super::anew::build;
use super::place::{PLACES, Place, fill};
use super::{Identity, Reader, StencilError};
use crate::digest::Sealed;
use crate::mail::Mail;
use crate::mail::message::{Message, Pieces, Shared};

/// An edition's message with the readers' places left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stencil {
    identity: Identity,
    /// In order.
    places: Vec<Place>,
    /// The bytes before, between and after them: one more.
    fixed: Arc<Shared>,
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
        let (mut places, mut fixed) = (vec![], Pieces::default());
        let mut pieces = message.split(|b| *b == OPEN);
        fixed.push(|out| out.extend_from_slice(pieces.next().unwrap_or_default()));
        for piece in pieces {
            let Some((index, bytes)) = piece.split_first() else { continue };
            let Some(place) = PLACES.get(usize::from(index.wrapping_sub(b'0'))) else { continue };
            places.push(*place);
            fixed.push(|out| out.extend_from_slice(bytes));
        }
        Ok(Stencil { identity, places, fixed: Arc::new(fixed.into()) })
    }

    /// The fixed bytes, in order; before each but the first stands one value.
    pub fn constants(&self) -> impl Iterator<Item = &[u8]> {
        self.fixed.iter()
    }

    /// What stands in the places of one reader's mail, in order.
    pub fn values(&self, reader: &Reader) -> Pieces {
        let mut values = Pieces::with_capacity(self.places.len(), PLACES_TAKE);
        for place in &self.places {
            values.push(|out| fill(*place, &self.identity, reader, out));
        }
        values
    }

    /// Writes one reader's mail.
    pub fn mail(&self, reader: &Reader) -> Mail {
        self.signed(reader, self.values(reader), String::new())
    }

    /// Writes one reader's mail, of which `values` are, with these header fields before it.
    pub fn signed(&self, reader: &Reader, values: Pieces, fields: String) -> Mail {
        let message = Message::spliced(fields.into_bytes(), Arc::clone(&self.fixed), values);
        Mail { return_path: self.identity.return_path.clone(), to: reader.address.clone(), message }
    }
}

/// More bytes than all places together take for nearly every reader.
const PLACES_TAKE: usize = 2_000;
