//! As written: every key of `config.yaml`. What is required and what is sound is decided in `meant`.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;

use crate::digest::{Approval, BodyLength, Missed};
use crate::feed::{By, Content};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Required.
    pub newsroom: Option<Newsroom>,
    /// A folder.
    pub articles: Option<String>,
    /// How feeds are made.
    pub feeds: Option<Feeds>,
    /// Required: at least one.
    pub sections: Option<Vec<Section>>,
    /// The newsletters.
    pub digests: Option<Vec<Digest>>,
    /// A list of subscribers.
    pub subscribers: Option<Subscribers>,
    /// A folder.
    pub templates: Option<String>,
    /// A file, or `postgres://…`.
    pub ledger: Option<String>,
    /// `directory:…`, `smtp://…`, `smtps://…`; several relays are a list.
    pub transport: Option<OneOrMany>,
    /// How to talk to relays.
    pub smtp: Option<Smtp>,
    /// How mails are signed.
    pub dkim: Option<Dkim>,
    /// How the press works.
    pub press: Option<Press>,
    /// What links in mails point to.
    pub public: Option<Public>,
    /// Where the feeds are published to.
    pub publish: Option<Vec<Publish>>,
    /// How `pressrun serve` answers.
    pub serve: Option<Serve>,
    /// What `pressrun doctor` cannot know by itself.
    pub doctor: Option<Doctor>,
    /// Mail that comes back.
    pub returns: Option<Returns>,
}

/// A target of publishing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `PublishSettings`, as written")]
pub struct Publish {
    pub to: Option<String>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub settle: Option<String>,
}

/// The newsroom's own data.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `Masthead`, as written")]
pub struct Newsroom {
    pub title: Option<String>,
    pub description: Option<String>,
    pub url: Option<String>,
    pub language: Option<String>,
    pub copyright: Option<String>,
    pub authority: Option<String>,
    pub icon: Option<String>,
    pub logo: Option<String>,
    /// Who hears of drafts and of what became of editions; a digest may name others.
    pub editors: Vec<String>,
    /// Where article dates without an offset are meant, and schedules without a zone. Default: UTC.
    pub time_zone: Option<String>,
}

/// How feeds are made.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `feed::Options`, as written")]
pub struct Feeds {
    pub folder: Option<String>,
    pub url: Option<String>,
    pub items: Option<usize>,
    pub content: Option<Content>,
    pub ttl: Option<u32>,
    pub hubs: Vec<String>,
    pub also: Vec<Also>,
}

/// One more family of feeds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `feed::Extra`, as written")]
pub struct Also {
    pub by: Option<By>,
    pub content: Option<Content>,
}

/// A section.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `Section`, as written")]
pub struct Section {
    pub slug: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub language: Option<String>,
}

/// A newsletter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `Digest`, as written")]
pub struct Digest {
    pub slug: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub sections: Option<Vec<String>>,
    pub from: Option<String>,
    pub reply_to: Option<String>,
    pub subject: Option<String>,
    pub preheader: Option<String>,
    pub template: Option<String>,
    pub schedule: Option<String>,
    pub time_zone: Option<String>,
    pub missed: Option<Missed>,
    pub late: Option<String>,
    pub quiet: Option<String>,
    pub editors: Option<Vec<String>>,
    pub pieces: Option<usize>,
    pub at_least: Option<usize>,
    pub body: Option<BodyLength>,
    pub approval: Option<Approval>,
    pub language: Option<String>,
    pub list_id: Option<String>,
    pub postal_address: Option<String>,
}

/// A list of subscribers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `SubscriberFile`, as written")]
pub struct Subscribers {
    pub file: Option<String>,
    pub consent: Option<String>,
}

/// How to talk to relays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `transport::smtp::Options`, as written")]
pub struct Smtp {
    pub login: Option<Login>,
    pub password_file: Option<String>,
    pub trust: Option<String>,
    pub hello: Option<String>,
    pub timeout: Option<String>,
    pub message_timeout: Option<String>,
    pub mails_per_connection: Option<u32>,
}

/// What the relay's password is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Login {
    /// A password.
    Password,
    /// An OAuth 2 access token.
    Token,
}

/// How mails are signed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dkim {
    /// The domain that answers for the mails. Default: the newsroom's authority.
    pub domain: Option<String>,
    /// Required: at least one.
    pub keys: Option<Vec<DkimKey>>,
}

/// A key that mails are signed with.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `signing::KeyFile`, as written")]
pub struct DkimKey {
    pub selector: Option<String>,
    pub file: Option<String>,
}

/// How the press works.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `press::Options`, as written")]
pub struct Press {
    pub connections: Option<u16>,
    pub uncertain: Option<Uncertain>,
    pub lease: Option<String>,
    pub linger: Option<String>,
    pub retry: Option<Retry>,
    pub per_minute: Option<u32>,
    pub per_destination: Option<Rates>,
    pub destinations: Vec<Destination>,
    pub warm_up: Option<WarmUp>,
}

/// What each destination may get.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `pace::Limit`, as written")]
pub struct Rates {
    pub per_minute: Option<u32>,
    pub connections: Option<u16>,
}

/// What some domains may get together.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `pace::Destination`, as written")]
pub struct Destination {
    pub domains: Vec<String>,
    pub per_minute: Option<u32>,
    pub connections: Option<u16>,
}

/// How a new sender grows.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `WarmUp`, as written")]
pub struct WarmUp {
    pub start: Option<u32>,
    pub factor: Option<f64>,
    pub until: Option<u32>,
}

/// What to do with deliveries that may have gone out and may have not.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uncertain {
    /// Send again.
    Resend,
    /// Wait for an operator.
    Hold,
}

/// When to try again.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `retry::Policy`, as written")]
pub struct Retry {
    pub first: Option<String>,
    pub factor: Option<f64>,
    pub longest: Option<String>,
    pub give_up_after: Option<String>,
}

/// What links in mails point to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `Public`, as written")]
pub struct Public {
    pub url: Option<String>,
    pub unsubscribe_mailbox: Option<String>,
    pub return_path: Option<String>,
}

/// How `pressrun serve` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `ServeSettings`, as written")]
pub struct Serve {
    pub bind: Option<String>,
    pub press: Option<bool>,
    pub trusted_proxies: Vec<String>,
    pub confirm_within: Option<String>,
    pub one_letter_in: Option<String>,
    pub fill_time: Option<String>,
    pub per_network: Option<u32>,
    pub per_domain: Option<u32>,
    pub in_all: Option<u32>,
}

/// What `pressrun doctor` cannot know by itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `DoctorSettings`, as written")]
pub struct Doctor {
    pub resolver: Option<String>,
    pub sends_from: Vec<String>,
}

/// Mail that comes back.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `ReturnsSettings`, as written")]
pub struct Returns {
    pub address: Option<String>,
    pub inbox: Option<OneOrMany>,
    pub every: Option<String>,
    pub filed: Option<String>,
    pub password_file: Option<String>,
    pub login: Option<Login>,
    pub trust: Option<String>,
    pub patience: Option<Patience>,
}

/// When bounces that are not final become so.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `delivery::returns::Patience`, as written")]
pub struct Patience {
    pub bounces: Option<u32>,
    pub within: Option<String>,
}

/// One text, or a list.
#[derive(Debug, Default, Clone)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a list of addresses")
            }
            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = access.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}
