//! From a sealed edition and a reader to the bytes on the wire.
//!
//! An edition's MIME is built once, by lettre, into a [`Stencil`]; for each reader only the marked places are written,
//! each in the transfer encoding of where it stands. [`anew`] is the same the slow way, and the measure: a stencil gives
//! its bytes exactly.
//!
//! ```text
//!   place     what differs from reader to reader, and how each is written
//!   anew      the message with any places filled, by lettre; slow
//!   stencil   `anew` once with the places open, then one reader after the other; fast
//!   texts     the two texts as people read them, without MIME
//! ```
//!
//! **Signing** takes the same two halves: [`Stencil::constants`] once an edition, [`Stencil::values`] for each reader (see
//! [`super::dkim`]); [`Stencil::signed`] puts the signature before the mail.

// One message, built by lettre from nothing.
mod anew;
// What differs from reader to reader.
mod place;
// An edition's message with the places left open.
mod stencil;
// The texts of an edition as people read them.
mod texts;

pub use anew::anew;
pub use stencil::Stencil;
pub use texts::{for_all, texts};

use url::Url;

use super::headers::MessageId;
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
    /// From [`crate::mail::headers::message_id`].
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::place::PLACES;
    use super::*;
    use crate::digest::Sealed;
    use crate::mail::dkim::{Algorithm, KeyName, Signer, generate};
    use crate::mail::headers::{self, HeaderText};
    use crate::markup::escape;
    use crate::subscriber::SubscriberId;
    use lettre::message::header::{self, HeaderName, HeaderValue};
    use lettre::message::{Message, MultiPart};
    use mail_parser::MessageParser;
    use proptest::prelude::*;
    use std::sync::LazyLock;
    use std::time::SystemTime;

    const MARK: &str = "slot0123456789abcdef";

    /// `{name}` becomes the place of the name.
    fn places(text: &str) -> String {
        SLOTS
            .iter()
            .fold(text.to_owned(), |text, slot| text.replace(&format!("{{{slot}}}"), &format!("{MARK}-{slot}-")))
    }

    fn sealed() -> Sealed {
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

    const NAMES: &str = "(\\PC{0,30})|([A-Za-z .-]{0,90})|([É-ÿ ا-ي'\"\\\\<>&@,;=?]{0,60})|(\r\n|a| ){0,9}";

    static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
        let key =
            |selector, algorithm| (KeyName::new("paper.example", selector).unwrap(), generate(algorithm).unwrap().0);
        Signer::new(vec![key("ed", Algorithm::Ed25519), key("rsa", Algorithm::Rsa)]).unwrap()
    });

    proptest! {
        #[test]
        fn a_stencil_gives_what_building_the_mail_anew_would_give(
            name in NAMES,
            user in "u[a-z0-9+=_-]{0,19}(\\.[a-z0-9+=_-]{1,21}){0,2}",
            domain in "[a-z0-9]{1,60}(\\.[a-z0-9]{1,60}){0,2}\\.example",
            token in "[A-Za-z0-9_.-]{1,200}",
        ) {
            with_reader(&format!("{user}@{domain}"), &name, &token, |reader| {
                let mail = Stencil::new(&sealed(), identity()).unwrap().mail(reader);
                let anew = anew(&sealed(), &identity(), reader).unwrap();
                let spliced = mail.message.to_vec();
                prop_assert_eq!(String::from_utf8_lossy(&spliced), String::from_utf8_lossy(&anew));
                prop_assert!(line_lengths_hold(&spliced) && mail.message.is_ascii());
                prop_assert_eq!(read(&spliced), read(&by_lettre_alone(&sealed(), reader)));
                Ok(())
            })?;
        }

        /// Texts and subjects of any characters, so that every encoding of header and body is met; the places anywhere in them.
        #[test]
        fn a_signed_mail_of_any_edition_is_what_signing_the_one_built_anew_would_give(
            subject in "\\PC{0,120}",
            from in NAMES,
            html in "((\\PC{0,90})|[=.\t \r\n\u{0}é]{0,5}|\\{(name|address|unsubscribe|preferences)\\}){0,9}",
            text in "((\\PC{0,90})|[=.\t \r\n\u{0}é]{0,5}|\\{(name|address|unsubscribe|preferences)\\}){0,9}",
            name in NAMES,
        ) {
            let mut sealed = Sealed { subject, html: places(&html), text: places(&text), ..sealed() };
            sealed.headers[0].1 = format!("{} <desk@paper.example>", HeaderText::clean(&from).as_str());
            with_reader("jane@reader.example", &name, "to-k_en.1", |reader| {
                let stencil = Stencil::new(&sealed, identity()).unwrap();
                let prepared = SIGNER.prepare(stencil.constants(), sealed.date).unwrap();
                let values = stencil.values(reader);
                let kept = prepared.sign(&values.as_slices()).unwrap();
                let fields = prepared.fields(&values.as_slices(), &kept).unwrap();
                let spliced = stencil.signed(reader, values, fields).message.to_vec();
                let anew = anew(&sealed, &identity(), reader).unwrap();
                let whole = [SIGNER.sign(&anew, sealed.date).unwrap().as_bytes(), &anew].concat();
                prop_assert_eq!(String::from_utf8_lossy(&spliced), String::from_utf8_lossy(&whole));
                prop_assert!(line_lengths_hold(&spliced) && spliced.is_ascii());
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
            let (fields, text, html) = read(&mail.message.to_vec());
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
            let wire = String::from_utf8(mail.message.to_vec()).unwrap();
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
            let (fields, _, html) = read(&mail.message.to_vec());
            assert!(fields.iter().all(|(name, _)| name != "Bcc") && !html.contains("<script>"));
        });
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
            assert_eq!(mail.message.to_vec(), anew(&sealed, &identity(), reader).unwrap());
            let (_, text, html) = read(&mail.message.to_vec());
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
        // Each stands as one byte that is printed.
        assert!(PLACES.len() <= usize::from(b'~' - b'0'));
        assert_eq!(SLOTS.len() * 2 + 3, PLACES.len());
    }
}
