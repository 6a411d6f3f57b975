//! One message, built by lettre from nothing.
//!
//! Quoted-printable would cut a reader's value at its line ends, so what is between the marks is encoded piece by piece,
//! and the pieces are joined by soft line breaks.

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Message, MessageBuilder, MultiPart, MultiPartKind, SinglePart};
use std::time::SystemTime;

use super::place::{Part, Piece, Place, fill, splice};
use super::{Identity, Reader, StencilError};
use crate::digest::Sealed;
use crate::mail::headers::{self, HeaderText};
use crate::markup::quoted_printable;
use crate::subscriber::Address;

/// One reader's message, built from nothing: what [`super::Stencil::mail`] must give, byte for byte.
///
/// # Errors
/// As [`super::Stencil::new`].
pub fn anew(sealed: &Sealed, identity: &Identity, reader: &Reader) -> Result<Vec<u8>, StencilError> {
    build(sealed, &|place, out| fill(place, identity, reader, out))
}

/// Builds the message, with `fill` writing the readers' places in their encoding.
pub(super) fn build(sealed: &Sealed, fill: &dyn Fn(Place, &mut Vec<u8>)) -> Result<Vec<u8>, StencilError> {
    let value = |place| {
        let mut out = Vec::new();
        fill(place, &mut out);
        String::from_utf8(out).unwrap_or_default()
    };
    let open = |name, place| {
        HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), String::new(), value(place))
    };
    let mut message = Message::builder();
    for (name, text) in &sealed.headers {
        message = fixed(message, name, text)?;
    }
    let part = |kind, text: &str, part| {
        let body = Body::dangerous_pre_encoded(
            encode(text, &sealed.mark, part, fill)?,
            ContentTransferEncoding::QuotedPrintable,
        );
        Ok::<_, StencilError>(SinglePart::builder().header(kind).body(body))
    };
    let parts = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        // `=_` is nothing that quoted-printable ever writes (RFC 2045, section 6.7).
        .boundary(format!("=_{}", sealed.mark))
        .singlepart(part(ContentType::TEXT_PLAIN, &sealed.text, Part::Text)?)
        .singlepart(part(ContentType::TEXT_HTML, &sealed.html, Part::Html)?);
    // The envelope is the transport's; lettre wants one, and cannot read it from a place that is open.
    let nobody = lettre::Address::new_dangerous("nobody", "invalid");
    let envelope =
        lettre::address::Envelope::new(None, vec![nobody]).map_err(|e| StencilError::Message(e.to_string()))?;
    let message = message
        .raw_header(open("To", Place::To))
        .raw_header(headers::unstructured("Subject", &HeaderText::clean(&sealed.subject)))
        .date(SystemTime::from(sealed.date))
        .raw_header(open("Message-ID", Place::MessageId))
        .raw_header(open("List-Unsubscribe", Place::ListUnsubscribe))
        .envelope(envelope)
        .multipart(parts)
        .map_err(|e| StencilError::Message(e.to_string()))?;
    Ok(message.formatted())
}

/// Adds a header that is the same for every reader.
fn fixed(message: MessageBuilder, name: &str, text: &str) -> Result<MessageBuilder, StencilError> {
    let wrong = || StencilError::Header(name.to_owned());
    let sender = || {
        let (name, address) = text.rsplit_once('<').map_or(("", text), |(n, a)| (n, a.trim_end_matches('>')));
        let address = address.parse::<Address>().map_err(|_| wrong())?;
        Ok((HeaderText::clean(name), address))
    };
    let plain = |name| headers::unstructured(name, &HeaderText::clean(text));
    Ok(match name {
        "From" => {
            let (name, address) = sender()?;
            message.raw_header(headers::mailbox_header("From", &name, &address))
        }
        "Reply-To" => {
            let (name, address) = sender()?;
            message.raw_header(headers::mailbox_header("Reply-To", &name, &address))
        }
        "List-Id" => {
            let (phrase, id) = text.rsplit_once('<').ok_or_else(wrong)?;
            let value = headers::list_id(&HeaderText::clean(phrase), id.trim_end_matches('>'));
            message.raw_header(headers::unstructured("List-Id", &value))
        }
        "List-Unsubscribe-Post" => message.raw_header(plain("List-Unsubscribe-Post")),
        "Feedback-ID" => message.raw_header(plain("Feedback-ID")),
        "Auto-Submitted" => message.raw_header(plain("Auto-Submitted")),
        "Precedence" => message.raw_header(plain("Precedence")),
        _ => return Err(wrong()),
    })
}

/// A text as quoted-printable, piece by piece.
fn encode(text: &str, mark: &str, part: Part, fill: &dyn Fn(Place, &mut Vec<u8>)) -> Result<Vec<u8>, StencilError> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    splice(text, mark, |piece| match piece {
        Piece::Fixed(fixed) => quoted_printable::encode(fixed, &mut out),
        Piece::Open(slot) => {
            out.extend_from_slice(quoted_printable::SOFT_BREAK);
            fill(Place::Body(slot, part), &mut out);
            out.extend_from_slice(quoted_printable::SOFT_BREAK);
        }
    })?;
    Ok(out)
}
