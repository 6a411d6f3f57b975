//! Signatures, judged by two programs that are not ours: dkimpy (Python) and mail-auth (Rust).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};
use pressrun::digest::Sealed;
use pressrun::mail::compose::{Identity, Reader, Stencil};
use pressrun::mail::dkim::{Algorithm, DnsRecord, Key, KeyError, KeyName, Signature, Signer, generate};
use pressrun::mail::headers::message_id;
use pressrun::subscriber::{Address, SubscriberId};
use proptest::prelude::*;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

/// Signs with RSA and Ed25519; its records.
static SIGNER: LazyLock<(Signer, Vec<DnsRecord>)> = LazyLock::new(|| {
    let key = |algorithm, selector| {
        (KeyName::new("acero-advocate.example", selector).unwrap(), generate(algorithm).unwrap().0)
    };
    let signer = Signer::new(vec![key(Algorithm::Rsa, "r2026"), key(Algorithm::Ed25519, "e2026")]).unwrap();
    let records = signer.dns_records().unwrap();
    (signer, records)
});

fn when() -> DateTime<Utc> {
    DateTime::from_timestamp(1_763_791_200, 0).unwrap()
}

/// As a digest is: long folded fields, two parts, quoted-printable.
const DIGEST: &str = "From: =?utf-8?b?VGhlIEFjZXJvIEFkdm9jYXRl?= <digest@acero-advocate.example>\r\n\
    Reply-To: desk@acero-advocate.example\r\n\
    List-Id: \"The Weekly\" <weekly.acero-advocate.example>\r\n\
    List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
    Feedback-ID: 12:weekly:digest:acero\r\n\
    Auto-Submitted: auto-generated\r\n\
    Precedence: bulk\r\n\
    To: \"Jane Q. Reader\" <jane@reader.example>\r\n\
    Subject: Weekly: the council votes, the library opens, and a very long line\r\n\
    \x20that is folded\r\n\tmore than   once\r\n\
    Date: Sun, 22 Nov 2026 06:00:00 +0000\r\n\
    Message-ID: <0123456789abcdef0123456789abcdef@acero-advocate.example>\r\n\
    List-Unsubscribe: <https://acero-advocate.example/unsubscribe/0123456789abcdef0123456789abcdef0123>,\r\n\
    \x20<mailto:unsubscribe@acero-advocate.example?subject=0123456789abcdef0123456789abcdef0123>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative;\r\n\
    \x20boundary=\"=_abc\"\r\n\
    \r\n\
    --=_abc\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\
    \r\n\
    Dear =\r\n\
    Jane=\r\n\
    ,\r\n\
    \r\n\
    \x20 * the council\r\n\
    \t* the library  \r\n\
    \r\n\
    --=_abc\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    \r\n\
    <p>Dear Jane,</p>\r\n\
    --=_abc--\r\n";

/// Each with its name: what has a form that verifiers might read otherwise than we do.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    const HEADER: &str = "From: a@acero-advocate.example\r\nTo: b@reader.example\r\nSubject: s\r\n";
    let with_body = |body: &str| format!("{HEADER}\r\n{body}").into_bytes();
    let with_header = |header: &str| format!("{header}{HEADER}\r\nText\r\n").into_bytes();
    vec![
        ("a digest", DIGEST.into()),
        ("an empty body", with_body("")),
        ("a body of empty lines", with_body("\r\n\r\n")),
        ("a body of white space", with_body("  \r\n\t\r\n")),
        ("a body that ends with spaces and empty lines", with_body("Text \t\r\n\r\n\r\n\r\n")),
        ("a body that ends with lines of white space", with_body("Text \r\n\r\n \r\n\t\r\n")),
        ("a body that begins with empty lines", with_body("\r\n \r\n\tText  text\r\n")),
        ("a body whose last line has no end", with_body("Text")),
        ("a body whose last line has a space and no end", with_body("Text ")),
        ("a body of 8-bit text", with_body("Grüße, \u{a0} 新聞\r\n")),
        ("a body with lines of dots", with_body(".\r\n..\r\n")),
        ("8-bit text in the header", with_header("Reply-To: Redaktion für alle <r@acero-advocate.example>\r\n")),
        ("repeated fields", with_header("Reply-To: one@a.example\r\nList-Id: <a>\r\nReply-To: two@a.example\r\n")),
        ("a repeated over-signed field", with_header("Date: one\r\nDate: two\r\nDate: three\r\n")),
        ("names in other letters", with_header("MESSAGE-ID: <a@b>\r\ncontent-type: text/plain\r\n")),
        ("an empty field", with_header("Reply-To:\r\nFeedback-ID:  \t\r\n")),
        ("a field whose fold comes first", with_header("List-Id:\r\n <a.example>\r\n")),
        ("a field that ends in white space", with_header("List-Id: <a.example> \t \r\n")),
        (
            "a signature of somebody else",
            with_header("DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=x; h=from; bh=AAAA; b=AAAA\r\n"),
        ),
    ]
}

/// The message as a receiver has it: signed, and SMTP sees to it that the last line has an end.
fn signed(message: &[u8]) -> Vec<u8> {
    let end: &[u8] = if message.ends_with(b"\r\n") { b"" } else { b"\r\n" };
    [SIGNER.0.sign(message, when()).unwrap().as_bytes(), message, end].concat()
}

/// mail-auth 0.13.3 counts a line of white space at a body's end as a line that is not empty. RFC 6376, section 3.4.4, and
/// dkimpy take the white space away first. No mail of ours ends so.
const MAIL_AUTH_MISREADS: [&str; 2] = ["a body of white space", "a body that ends with lines of white space"];

#[test]
fn mail_auth_verifies_both_signatures_of_every_case_but_those_it_misreads() {
    let holds = |message: &[u8]| mail_auth(&signed(message), &SIGNER.1)[..2] == [true, true];
    let refused: Vec<_> = cases().iter().filter(|(_, message)| !holds(message)).map(|(name, _)| *name).collect();
    assert_eq!(refused, MAIL_AUTH_MISREADS);
}

#[test]
fn dkimpy_verifies_both_signatures_of_every_case() {
    let messages: Vec<_> = cases().iter().map(|(_, message)| signed(message)).collect();
    let Some(held) = dkimpy(&messages, &SIGNER.1) else { return };
    let cases = cases();
    let refused: Vec<_> = cases.iter().zip(held).filter(|(_, held)| held[..2] != [true, true]).collect();
    assert!(refused.is_empty(), "{:?}", refused.iter().map(|((name, _), _)| name).collect::<Vec<_>>());
}

#[test]
fn an_edition_s_mails_are_signed_ahead_and_hold_when_they_are_sent() {
    let headers = [
        ("From", "The Acero Advocate, “Weekly” <digest@acero-advocate.example>"),
        ("Reply-To", "desk@acero-advocate.example"),
        ("List-Id", "The Weekly <weekly.acero-advocate.example>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Auto-Submitted", "auto-generated"),
    ];
    let sealed = Sealed {
        subject: "The council votes – and what that means for the library, the night bus and everybody else".into(),
        html:
            "<p>Dear mark0-name-,  = 100 % – عربي. </p>\n\n<a href=\"mark0-unsubscribe-\">leave</a> mark0-address- \n\n"
                .into(),
        text: "mark0-name-\n\n  Leave: mark0-unsubscribe-\n mark0-address-\n\n\n".into(),
        mark: "mark0".into(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        date: when(),
        preheader: String::new(),
        shortened: false,
    };
    let address = |text: &str| text.parse::<Address>().unwrap();
    let identity = Identity {
        return_path: address("bounces@acero-advocate.example"),
        unsubscribe_url: "https://acero-advocate.example/unsubscribe/".parse().unwrap(),
        preferences_url: "https://acero-advocate.example/preferences/".parse().unwrap(),
        unsubscribe_mailbox: address("unsubscribe@acero-advocate.example"),
    };
    let addresses = ["jane@reader.example", "a.long.address.with-many+parts@a-long-domain.reader.example"].map(address);
    let names = ["", "Jane", "Jane Q. Reader, \"the\" Third", "سلمى  Zoë", &"Very Long ".repeat(12)];
    let readers: Vec<_> = addresses.iter().flat_map(|address| names.iter().map(move |name| (address, *name))).collect();

    // At approval.
    let kept: Vec<Vec<u8>> = {
        let stencil = Stencil::new(&sealed, identity.clone()).unwrap();
        let prepared = SIGNER.0.prepare(stencil.constants(), sealed.date).unwrap();
        let sign = |&(address, name): &(&Address, &str)| {
            let message_id = message_id("weekly", 3, SubscriberId(7), address);
            let reader = Reader { address, name, token: "to-k_en.1", preferences: "pre.f", message_id: &message_id };
            prepared.sign(&stencil.values(&reader).as_slices()).unwrap().as_bytes().to_vec()
        };
        readers.iter().map(sign).collect()
    };

    // When they are sent.
    let stencil = Stencil::new(&sealed, identity).unwrap();
    let prepared = SIGNER.0.prepare(stencil.constants(), sealed.date).unwrap();
    let mut sent = Vec::new();
    for (&(address, name), kept) in readers.iter().zip(kept) {
        let message_id = message_id("weekly", 3, SubscriberId(7), address);
        let reader = Reader { address, name, token: "to-k_en.1", preferences: "pre.f", message_id: &message_id };
        let values = stencil.values(&reader);
        let fields = prepared.fields(&values.as_slices(), &Signature::from(kept)).unwrap();
        assert_eq!(fields, SIGNER.0.sign(&stencil.mail(&reader).message.to_vec(), sealed.date).unwrap());
        sent.push(stencil.signed(&reader, values, fields).message.to_vec());
    }
    assert!(sent.iter().all(|message| mail_auth(message, &SIGNER.1) == [true, true]));
    if let Some(held) = dkimpy(&sent, &SIGNER.1) {
        assert_eq!(held, vec![[true, true]; sent.len()]);
    }
}

#[test]
fn keys_as_openssl_writes_them_sign() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |line: &str| {
        let done = Command::new("openssl").args(line.split(' ')).current_dir(&folder).output();
        let done = match done {
            Err(error) if !must_be_complete() => {
                eprintln!("not run: openssl: {error}");
                return false;
            }
            done => done.unwrap(),
        };
        assert!(done.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&done.stderr));
        true
    };
    if !openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem") {
        return;
    }
    for line in [
        "rsa -in rsa.pem -traditional -out rsa1.pem",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out rsa4096.pem",
        "genpkey -algorithm ED25519 -out ed.pem",
        "pkey -in rsa.pem -pubout -out public.pem",
        "rsa -in rsa.pem -RSAPublicKey_out -out public1.pem",
        "pkey -in rsa.pem -aes256 -passout pass:x -out encrypted.pem",
        "rsa -in rsa.pem -traditional -aes256 -passout pass:x -out encrypted1.pem",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short.pem",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2040 -out nearly.pem",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4104 -out long.pem",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem",
        "ecparam -name prime256v1 -genkey -out ec1.pem",
        "genpkey -algorithm ED448 -out ed448.pem",
        "req -x509 -key rsa.pem -subj /CN=a -out certificate.pem",
    ] {
        openssl(line);
    }
    let read = |name: &str| Key::from_pem(&std::fs::read(folder.path().join(name)).unwrap());
    for file in ["rsa.pem", "rsa1.pem", "rsa4096.pem", "ed.pem"] {
        let key = read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let signer = Signer::new(vec![(KeyName::new("acero-advocate.example", "s").unwrap(), key)]).unwrap();
        let message = [signer.sign(DIGEST.as_bytes(), when()).unwrap().as_bytes(), DIGEST.as_bytes()].concat();
        let records = signer.dns_records().unwrap();
        assert_eq!(mail_auth(&message, &records), [true], "{file}");
        if let Some(held) = dkimpy(&[message], &records) {
            assert_eq!(held, [[true]], "{file}");
        }
    }
    for (file, error) in [
        ("public.pem", KeyError::Public),
        ("public1.pem", KeyError::Public),
        ("encrypted.pem", KeyError::Encrypted),
        ("encrypted1.pem", KeyError::Encrypted),
        ("short.pem", KeyError::TooShort),
        ("nearly.pem", KeyError::TooShort),
        ("long.pem", KeyError::TooLong),
        ("ec.pem", KeyError::Unsupported),
        ("ec1.pem", KeyError::Unsupported),
        ("ed448.pem", KeyError::Unsupported),
        ("certificate.pem", KeyError::Other("CERTIFICATE".into())),
    ] {
        assert_eq!(read(file).map(drop), Err(error), "{file}");
    }
}

#[test]
fn nobody_can_add_what_is_over_signed() {
    let message = signed(DIGEST.as_bytes());
    let added = |field: &str| [field.as_bytes(), &message].concat();
    let messages: Vec<_> =
        ["From: x@x.example", "Subject: x", "Date: x", "To: x", "List-Unsubscribe: <https://x.example>"]
            .map(|field| added(&format!("{field}\r\n")))
            .into();
    for message in &messages {
        assert_eq!(mail_auth(message, &SIGNER.1), [false, false]);
    }
    if let Some(held) = dkimpy(&messages, &SIGNER.1) {
        assert_eq!(held, vec![[false, false]; messages.len()]);
    }
    // And what is not signed at all may come and go, as relays do.
    assert_eq!(mail_auth(&added("Received: from here\r\n"), &SIGNER.1), [true, true]);
}

/// Where a changed byte must break both signatures: not in the signatures' own fields (it breaks one of them), not in fields
/// that are not signed, and not in white space.
fn positions(message: &[u8], own: usize) -> Vec<usize> {
    let text = std::str::from_utf8(message).unwrap();
    let precedence = text.find("Precedence").unwrap();
    let unsigned = precedence..text[precedence..].find("\r\n").unwrap() + precedence;
    (own..message.len()).filter(|at| message[*at].is_ascii_graphic() && !unsigned.contains(at)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_changed_byte_breaks_both_signatures(at in any::<prop::sample::Index>(), by in 1_u8..128) {
        let message = signed(DIGEST.as_bytes());
        let positions = positions(&message, message.len() - DIGEST.len());
        let at = positions[at.index(positions.len())];
        let mut changed = message.clone();
        changed[at] ^= by;
        // Names of fields compare without regard to case, and white space is another matter.
        prop_assume!(changed[at].is_ascii_graphic() && !changed[at].eq_ignore_ascii_case(&message[at]));
        prop_assert_eq!(mail_auth(&changed, &SIGNER.1), [false, false], "byte {}", at);
    }
}

#[test]
fn dkimpy_too_refuses_changed_bytes() {
    let message = signed(DIGEST.as_bytes());
    let positions = positions(&message, message.len() - DIGEST.len());
    let changed: Vec<_> = (positions.iter().step_by(7))
        .map(|at| {
            let mut changed = message.clone();
            changed[*at] = if changed[*at] == b'x' { b'y' } else { b'x' };
            changed
        })
        .collect();
    let Some(held) = dkimpy(&changed, &SIGNER.1) else { return };
    assert!(held.len() > 100);
    for (held, at) in held.iter().zip(positions.iter().step_by(7)) {
        assert_eq!(held, &[false, false], "byte {at}");
    }
}

#[test]
fn a_changed_byte_in_a_signature_s_own_field_breaks_it() {
    let message = signed(DIGEST.as_bytes());
    let second = message.windows(14).skip(1).position(|bytes| bytes == b"DKIM-Signature").unwrap() + 1;
    // The values of t=, h=, bh= and b= in turn.
    for tag in ["t=1", "h=From", " bh=", " b="] {
        let at = message.windows(tag.len()).position(|bytes| bytes == tag.as_bytes()).unwrap() + tag.len() + 3;
        assert!(at < second);
        let mut changed = message.clone();
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        assert_ne!(mail_auth(&changed, &SIGNER.1).first(), Some(&true), "{tag}");
        assert_eq!(mail_auth(&changed, &SIGNER.1).last(), Some(&true), "{tag}");
    }
}

/// The records, as mail-auth looks them up: it never asks the network.
struct Records(HashMap<Box<str>, Txt>);

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(
            self.0
                .get(name)
                .cloned()
                .unwrap_or(Txt::Error(mail_auth::Error::Dns(mail_auth::DnsError::InvalidRecordType))),
        )
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: std::time::Instant) {}
}

/// Knows no server that it could ask.
static RESOLVER: LazyLock<(tokio::runtime::Runtime, MessageAuthenticator)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let nowhere = ResolverConfig::from_parts(None, vec![], vec![]);
    let resolver = runtime.block_on(async { MessageAuthenticator::new(nowhere, ResolverOpts::default()).unwrap() });
    (runtime, resolver)
});

/// What mail-auth says of each signature, from the top.
pub fn mail_auth(message: &[u8], records: &[DnsRecord]) -> Vec<bool> {
    let record = |r: &DnsRecord| {
        let key = DomainKey::parse(r.value.as_bytes()).unwrap();
        (format!("{}.", r.name).into_boxed_str(), Txt::DomainKey(Arc::new(key)))
    };
    let records = Records(records.iter().map(record).collect());
    let message = AuthenticatedMessage::parse(message).unwrap();
    let (runtime, resolver) = &*RESOLVER;
    let verified = resolver.verify_dkim(Parameters::new(&message).with_txt_cache(&records));
    runtime.block_on(verified).iter().map(|output| *output.result() == DkimResult::Pass).collect()
}

/// Whether a missing tool fails the test.
fn must_be_complete() -> bool {
    std::env::var("PRESSRUN_TESTS_COMPLETE").as_deref() == Ok("1")
}

/// What dkimpy says of each signature of each message. `None` where it is not installed and need not be.
pub fn dkimpy(messages: &[Vec<u8>], records: &[DnsRecord]) -> Option<Vec<Vec<bool>>> {
    let python = std::env::var("PRESSRUN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_dkimpy = Command::new(&python).args(["-c", "import dkim, nacl"]).stderr(Stdio::null()).status();
    if !has_dkimpy.is_ok_and(|status| status.success()) {
        assert!(!must_be_complete(), "{python} has no dkimpy with PyNaCl: python3-dkim python3-nacl");
        eprintln!("not run: {python} has no dkimpy with PyNaCl (python3-dkim, python3-nacl)");
        return None;
    }
    let asked = serde_json::json!({
        "records": records.iter().map(|r| (&r.name, &r.value)).collect::<HashMap<_, _>>(),
        "messages": messages.iter().map(|m| BASE64_STANDARD.encode(m)).collect::<Vec<_>>(),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/dkim/verify.py");
    let mut child = Command::new(&python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let held: Vec<Vec<bool>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(held.len(), messages.len());
    Some(held)
}
