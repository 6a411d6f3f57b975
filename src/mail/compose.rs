//! From a sealed edition and a reader to the bytes on the wire.
//!
//! An edition's MIME is built once, by lettre, into a `Stencil`; for each reader only the marked places are written,
//! each in the transfer encoding of where it stands. `anew` is the same the slow way, and the measure: a stencil gives
//! its bytes exactly.
//!
//! **Places.** `Sealed::html` and `Sealed::text` hold marks, `<mark>-<slot>-`, one of `SLOTS`. Quoted-printable would
//! cut a value at its line ends, so what is between the marks is encoded piece by piece, and the pieces are joined by soft
//! line breaks. The header To, Message-ID and List-Unsubscribe differ too.
//!
//! **Signing** takes the same two halves: [`Stencil::constants`] once an edition, [`Stencil::values`] for each reader (see
//! [`super::dkim`]); [`Stencil::signed`] puts the signature before the mail.

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Message, MessageBuilder, MultiPart, MultiPartKind, SinglePart};
use std::borrow::Cow;
use std::time::SystemTime;
use url::Url;

use super::Mail;
use super::headers::{self, HeaderText, MessageId};
use crate::digest::Sealed;
use crate::markup::{escape, quoted_printable};
use crate::subscriber::Address;

/// The names of the marked places in texts.
pub const SLOTS: [&str; 4] = ["unsubscribe", "preferences", "address", "name"];

/// What a mail needs to know beside the edition and the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Where bounces go.
    pub return_path: Address,
    /// A reader's token after it is the reader's unsubscribe page; https, ends in `/`.
    pub unsubscribe_url: Url,
    /// A reader's token for her preferences after it is the page on which she changes what she gets; https, ends in `/`.
    pub preferences_url: Url,
    /// Takes mails whose subject is a reader's token.
    pub unsubscribe_mailbox: Address,
}

/// Whom a mail is for.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Where to.
    pub address: &'a Address,
    /// How the person wants to be called; may be empty.
    pub name: &'a str,
    /// The signed unsubscribe token.
    pub token: &'a str,
    /// The signed token for her preferences.
    pub preferences: &'a str,
    /// From [`headers::message_id`].
    pub message_id: &'a MessageId,
}

/// Why an edition cannot become mails. Cannot happen to one that [`crate::digest::render`] made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StencilError {
    /// A header that editions do not have, or whose value has not its form.
    #[error("the sealed edition has a header `{0}` that cannot be written")]
    Header(String),
    /// A marked place that nobody fills.
    #[error("the sealed edition has a place `{0}` that no reader fills")]
    Slot(String),
    /// What lettre said of the message.
    #[error("the sealed edition makes no message: {0}")]
    Message(String),
}

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

/// A place that differs from reader to reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    To,
    MessageId,
    ListUnsubscribe,
    Body(Slot, Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Unsubscribe,
    Preferences,
    Address,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Text,
    Html,
}

/// Every place; its index stands for it in [`Stencil::new`].
const PLACES: [Place; 11] = [
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

    /// In order, as [`super::dkim::Prepared`] takes them.
    pub fn as_slices(&self) -> Vec<&[u8]> {
        self.iter().collect()
    }
}

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

/// One reader's message, built from nothing: what [`Stencil::mail`] must give, byte for byte.
///
/// # Errors
/// As [`Stencil::new`].
pub fn anew(sealed: &Sealed, identity: &Identity, reader: &Reader) -> Result<Vec<u8>, StencilError> {
    build(sealed, &|place, out| fill(place, identity, reader, out))
}

/// Builds the message, with `fill` writing the readers' places in their encoding.
fn build(sealed: &Sealed, fill: &dyn Fn(Place, &mut Vec<u8>)) -> Result<Vec<u8>, StencilError> {
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

/// A part of a sealed text.
enum Piece<'a> {
    /// The same for every reader.
    Fixed(&'a str),
    /// A marked place.
    Open(Slot),
}

/// Goes through a sealed text, piece by piece.
fn splice<'a>(text: &'a str, mark: &str, mut each: impl FnMut(Piece<'a>)) -> Result<(), StencilError> {
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
fn value<'a>(slot: Slot, part: Part, identity: &Identity, reader: &'a Reader) -> Cow<'a, str> {
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
fn fill(place: Place, identity: &Identity, reader: &Reader, out: &mut Vec<u8>) {
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
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte) {
            out.push(byte);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::subscriber::SubscriberId;
    use lettre::message::header;
    use mail_parser::MessageParser;
    use proptest::prelude::*;

    const MARK: &str = "slot0123456789abcdef";

    fn sealed() -> Sealed {
        let places = |a: &str| a.replace('{', &format!("{MARK}-")).replace('}', "-");
        Sealed {
            subject: "Al-Hol empties – what we know, and what the numbers do not say about those who left".into(),
            preheader: "Preheader".into(),
            html: places(
                "<p>Dear {name}, = 100 % – عربي.\n<a href=\"{unsubscribe}\">leave</a> <a href=\"{preferences}\">change</a> {address}{name}</p> \n",
            ),
            text: places(
                "{name}\n\nFrom us to {address}: = 100 % – عربي.\n.\nChange: {preferences}\nLeave: {unsubscribe}",
            ),
            mark: MARK.into(),
            shortened: false,
            headers: [
                ("From", "Zoë “Ed” Cavner, Editor <desk@paper.example>"),
                ("Reply-To", "letters@paper.example"),
                ("List-Id", "Middle-East Outreach <middle-east-outreach.paper.example>"),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
                ("Feedback-ID", "weekly-3:weekly:digest:paperexample"),
                ("Auto-Submitted", "auto-generated"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            date: "2026-11-22T10:00:00Z".parse().unwrap(),
        }
    }

    fn identity() -> Identity {
        Identity {
            return_path: "bounces@paper.example".parse().unwrap(),
            unsubscribe_url: "https://news.paper.example/unsubscribe/".parse().unwrap(),
            preferences_url: "https://news.paper.example/preferences/".parse().unwrap(),
            unsubscribe_mailbox: "unsubscribe@paper.example".parse().unwrap(),
        }
    }

    fn with_reader<T>(address: &str, name: &str, token: &str, then: impl FnOnce(&Reader) -> T) -> T {
        let address: Address = address.parse().unwrap();
        let id = headers::message_id("weekly", 3, SubscriberId(7), &"desk@paper.example".parse().unwrap());
        then(&Reader { address: &address, name, token, preferences: "pre.f-1", message_id: &id })
    }

    /// The same mail as a programmer would build it with lettre, who knows nothing of stencils.
    fn by_lettre_alone(sealed: &Sealed, reader: &Reader) -> Vec<u8> {
        let name = HeaderText::clean(reader.name);
        let url = format!("https://news.paper.example/unsubscribe/{}", reader.token);
        let put = |text: &str, escape: fn(&str) -> String| {
            text.replace(&format!("{MARK}-name-"), &escape(name.as_str()))
                .replace(&format!("{MARK}-address-"), &escape(reader.address.as_str()))
                .replace(&format!("{MARK}-unsubscribe-"), &escape(&url))
                .replace(&format!("{MARK}-preferences-"), &escape("https://news.paper.example/preferences/pre.f-1"))
        };
        let mailbox = |name: &str, address: &str| {
            lettre::message::Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address.parse().unwrap())
        };
        let raw = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        Message::builder()
            .from(mailbox("Zoë “Ed” Cavner, Editor", "desk@paper.example"))
            .reply_to(mailbox("", "letters@paper.example"))
            .raw_header(raw("List-Id", "\"Middle-East Outreach\" <middle-east-outreach.paper.example>"))
            .raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
            .raw_header(raw("Feedback-ID", "weekly-3:weekly:digest:paperexample"))
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .to(mailbox(name.as_str(), reader.address.as_str()))
            .subject(&sealed.subject)
            .date(SystemTime::from(sealed.date))
            .header(header::MessageId::from(reader.message_id.to_string()))
            .raw_header(raw(
                "List-Unsubscribe",
                &format!("<{url}>, <mailto:unsubscribe@paper.example?subject={}>", reader.token),
            ))
            .multipart(MultiPart::alternative_plain_html(
                put(&sealed.text, str::to_owned),
                put(&sealed.html, escape::attribute),
            ))
            .unwrap()
            .formatted()
    }

    /// Everything a mail program would show or act on.
    fn read(message: &[u8]) -> (Vec<(String, String)>, String, String) {
        let parsed = MessageParser::default().parse(message).unwrap();
        let fields = parsed
            .headers()
            .iter()
            .filter(|h| h.name() != "Content-Type") // its boundary differs
            .map(|h| (h.name().to_owned(), format!("{:?}", h.value())))
            .collect();
        let body = |text: std::borrow::Cow<str>| text.replace("\r\n", "\n").trim_end().to_owned();
        (fields, body(parsed.body_text(0).unwrap()), body(parsed.body_html(0).unwrap()))
    }

    fn line_lengths_hold(message: &[u8]) -> bool {
        String::from_utf8_lossy(message).split("\r\n").all(|l| l.len() <= 998 && !l.contains(['\r', '\n']))
    }

    proptest! {
        #[test]
        fn a_stencil_gives_what_building_the_mail_anew_would_give(
            name in "(\\PC{0,30})|([A-Za-z .-]{0,90})|([É-ÿ ا-ي'\"\\\\<>&@,;=?]{0,60})|(\r\n|a| ){0,9}",
            user in "u[a-z0-9+=_-]{0,19}(\\.[a-z0-9+=_-]{1,21}){0,2}",
            domain in "[a-z0-9]{1,60}(\\.[a-z0-9]{1,60}){0,2}\\.example",
            token in "[A-Za-z0-9_.-]{1,200}",
        ) {
            with_reader(&format!("{user}@{domain}"), &name, &token, |reader| {
                let mail = Stencil::new(&sealed(), identity()).unwrap().mail(reader);
                let anew = anew(&sealed(), &identity(), reader).unwrap();
                prop_assert_eq!(String::from_utf8_lossy(&mail.message), String::from_utf8_lossy(&anew));
                prop_assert!(line_lengths_hold(&mail.message) && mail.message.is_ascii());
                prop_assert_eq!(read(&mail.message), read(&by_lettre_alone(&sealed(), reader)));
                Ok(())
            })?;
        }
    }

    #[test]
    fn a_mail_reads_as_it_was_meant() {
        with_reader("salma+news@mail.example", "Salma \"S\" O'Neill <x>", "to-k_en.1", |reader| {
            let mail = Stencil::new(&sealed(), identity()).unwrap().mail(reader);
            assert_eq!(
                (mail.to.as_str(), mail.return_path.as_str()),
                ("salma+news@mail.example", "bounces@paper.example")
            );
            let (fields, text, html) = read(&mail.message);
            let names: Vec<&str> = fields.iter().map(|(n, _)| n.as_str()).collect();
            assert_eq!(
                names,
                [
                    "From",
                    "Reply-To",
                    "List-ID",
                    "List-Unsubscribe-Post",
                    "Feedback-ID",
                    "Auto-Submitted",
                    "To",
                    "Subject",
                    "Date",
                    "Message-ID",
                    "List-Unsubscribe",
                    "MIME-Version"
                ]
            );
            assert!(
                text.starts_with("Salma \"S\" O'Neill <x>\n\nFrom us to salma+news@mail.example: = 100 % – عربي.\n.\n")
            );
            assert!(text.ends_with("Leave: https://news.paper.example/unsubscribe/to-k_en.1"));
            assert!(html.contains("Dear Salma &quot;S&quot; O&#39;Neill &lt;x&gt;, ="));
            assert!(html.contains("href=\"https://news.paper.example/unsubscribe/to-k_en.1\""));
            assert!(html.contains("href=\"https://news.paper.example/preferences/pre.f-1\""));
            let wire = String::from_utf8(mail.message).unwrap();
            assert!(wire.contains(
                "\r\nList-Unsubscribe: <https://news.paper.example/unsubscribe/to-k_en.1>,\r\n \
                 <mailto:unsubscribe@paper.example?subject=to-k_en.1>\r\n"
            ));
            let long: Vec<&str> = wire.split("\r\n").filter(|l| l.len() > 78).collect();
            assert_eq!(long, Vec::<&str>::new(), "all lines are short when the parts are");
            assert!(!wire.contains(MARK.get(..20).unwrap()) || wire.matches(MARK).count() == 4, "only in the boundary");
        });
    }

    #[test]
    fn a_name_cannot_add_a_header_or_leave_its_place() {
        with_reader("a@b.example", "X\r\nBcc: all@b.example\r\n\r\n<script>", "t", |reader| {
            let mail = Stencil::new(&sealed(), identity()).unwrap().mail(reader);
            let (fields, _, html) = read(&mail.message);
            assert!(fields.iter().all(|(name, _)| name != "Bcc") && !html.contains("<script>"));
        });
    }

    #[test]
    fn a_mailbox_with_special_characters_is_written_for_a_uri() {
        let mut out = Vec::new();
        percent_encode("un?sub&\u{e9}@b.example", &mut out);
        assert_eq!(out, b"un%3Fsub%26%C3%A9@b.example");
    }

    #[test]
    fn what_rendering_does_not_make_is_refused() {
        let stencil = |sealed| Stencil::new(&sealed, identity()).unwrap_err().to_string();
        let mut odd = sealed();
        odd.headers.push(("Bcc".into(), "all@b.example".into()));
        assert_eq!(stencil(odd), "the sealed edition has a header `Bcc` that cannot be written");
        let odd = Sealed { text: format!("{MARK}-shoe_size-"), ..sealed() };
        assert_eq!(stencil(odd), "the sealed edition has a place `shoe_size` that no reader fills");
        let odd = Sealed { headers: Vec::new(), ..sealed() };
        assert!(stencil(odd).starts_with("the sealed edition makes no message: "));
    }

    #[test]
    fn a_rendered_edition_becomes_a_mail_with_every_place_filled() {
        use crate::digest::{edition::Edits, render, specimen};
        let digest = specimen::digest();
        let masthead = specimen::masthead();
        let pieces: Vec<_> = specimen::pieces().into_iter().map(|(a, b)| (std::sync::Arc::new(a), b)).collect();
        let sealed = render::render(
            &render::Contents {
                digest: &digest,
                masthead: &masthead,
                sections: &specimen::sections(),
                number: 3,
                date: sealed().date,
                pieces: &pieces,
                edits: &Edits::default(),
                view_url: &masthead.url,
            },
            &render::Templates::new(&digest, render::Overrides::default()).unwrap(),
        )
        .unwrap();
        with_reader("a@b.example", "", "token", |reader| {
            let mail = Stencil::new(&sealed, identity()).unwrap().mail(reader);
            assert_eq!(mail.message, anew(&sealed, &identity(), reader).unwrap());
            let (_, text, html) = read(&mail.message);
            for body in [text, html] {
                assert!(body.contains("https://news.paper.example/unsubscribe/token") && body.contains("a@b.example"));
                assert!(!body.contains(&sealed.mark));
            }
            assert!(mail.message.len() < render::LARGEST_MAIL);
        });
    }

    #[test]
    fn only_an_address_beyond_ascii_needs_smtputf8() {
        let mail = |to: &str| with_reader(to, "Zoë", "t", |r| Stencil::new(&sealed(), identity()).unwrap().mail(r));
        assert!(!mail("zoe@b.example").needs_smtputf8());
        assert!(mail("zoë@b.example").needs_smtputf8());
    }

    #[test]
    fn every_place_has_its_number() {
        assert!(PLACES.len() < 10);
        assert_eq!(SLOTS.len() * 2 + 3, PLACES.len());
    }
}
