//! A newsroom's pages on a port of their own, and what comes out of them.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use mail_parser::MessageParser;
use pressrun::config::{Overrides, Settings};
use pressrun::store::SqliteStore;
use pressrun::subscriber::request::Terms;
use pressrun::subscriber::token::{About, Grant, KEY_OCTETS, Keys, Purpose};
use pressrun::subscriber::{
    Address, Consent, EVERYTHING, Entry, ErasureKey, Held, SubscriberId, Subscribers, SubscriptionState,
};
use pressrun::transport::{Transport, smtp};
use pressrun::web;
use pressrun::web::public::{Brakes, Options, Own, Public};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::form_urlencoded;

use crate::support::smtp_server::{Kept, Script, Server};
use crate::wire::{Answer, Served};

pub const PUBLIC: &str = "https://news.acero-advocate.example/";
pub const KEY: [u8; KEY_OCTETS] = [9; KEY_OCTETS];

pub struct Site {
    pub served: Served,
    pub store: Arc<SqliteStore>,
    pub server: Server,
    pub runtime: Runtime,
    _folder: TempDir,
}

/// Limits that no test but those of limits reaches.
pub fn wide() -> Brakes {
    let many = 1_000_000.try_into().unwrap();
    Brakes { per_network: many, per_domain: many, in_all: many, fill_time: Duration::ZERO }
}

pub fn terms() -> Terms {
    Terms { every: Duration::ZERO, within: Duration::from_hours(24 * 7) }
}

impl Site {
    pub fn open() -> Site {
        Site::with(wide(), terms())
    }

    pub fn with(brakes: Brakes, terms: Terms) -> Site {
        Site::behind(vec!["127.0.0.1/32".parse().unwrap()], brakes, terms, web::Limits::default())
    }

    /// The same behind these proxies, with these limits of connections.
    pub fn behind(trusted: Vec<IpNet>, brakes: Brakes, terms: Terms, limits: web::Limits) -> Site {
        Site::at(PUBLIC, trusted, brakes, terms, limits)
    }

    /// The same under another address.
    pub fn at(public: &str, trusted: Vec<IpNet>, brakes: Brakes, terms: Terms, limits: web::Limits) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("ledger.sqlite")).unwrap();
        let store = Arc::new(store.with_erasure_key(ErasureKey::new([7; 32])));
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(Script::default()));
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(top.join("config.yaml")).unwrap();
        let settings = Settings::parse(&text, "config.yaml", top, &Overrides::default()).unwrap();
        let options = Options {
            digests: settings.digests,
            paper: settings.masthead.title,
            home: settings.masthead.url,
            public: public.parse().unwrap(),
            language: "en".to_owned(),
            keys: Keys::fresh(KEY),
            return_path: settings.public.return_path,
            own_return_path: settings.returns.path,
            signer: None,
            terms,
            brakes,
            trusted,
            own: Own::default(),
        };
        let public = Public::new(options, store.clone()).unwrap();
        let relay = smtp::Relay {
            host: "127.0.0.1".to_owned(),
            port: server.address.port(),
            security: smtp::Security::Loopback,
        };
        let transport = Transport::Smtp(
            smtp::Smtp::new(smtp::Options {
                relays: vec![relay],
                login: None,
                trust: None,
                hello: Some("client.example".to_owned()),
                timeout: Duration::from_secs(5),
                message_timeout: Duration::from_secs(5),
                mails_per_connection: 100,
            })
            .unwrap(),
        );
        runtime.spawn(public.clone().post(Arc::new(transport)));
        let mut web =
            web::Options::new(folder.path().join("feeds"), "https://acero-advocate.example/feeds/".parse().unwrap());
        web.limits = limits;
        web.counters.push(public.metrics());
        Site { served: Served::beside(web, public.router()), store, server, runtime, _folder: folder }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.served.get(path, &[])
    }

    /// Sends a form as a browser does.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("192.0.2.1", path, fields)
    }

    /// The same from a client behind the proxy.
    pub fn post_from(&self, client: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = "application/x-www-form-urlencoded";
        self.send(path, &[("X-Forwarded-For", client), ("Content-Type", kind)], &body)
    }

    /// Sends a POST with this body.
    pub fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: String = headers.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: news.acero-advocate.example\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        Answer::read(&self.served.send(request.as_bytes()))
    }

    /// The stamp of a fresh form.
    pub fn stamp(&self) -> String {
        let page = self.get("/subscribe").text();
        page.split("name=\"stamp\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    /// Fills in the form and sends it.
    pub fn subscribe(&self, address: &str, digests: &[&str]) -> Answer {
        let stamp = self.stamp();
        let mut fields = vec![("address", address), ("stamp", stamp.as_str())];
        fields.extend(digests.iter().map(|digest| ("digest", *digest)));
        self.post("/subscribe", &fields)
    }

    /// The `n`-th mail that the server took, as soon as it is there.
    pub fn mail(&self, n: usize) -> Kept {
        let begun = Instant::now();
        loop {
            if let Some(mail) = self.server.kept().get(n) {
                return mail.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no mail {n}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A while in which a mail would have come.
    pub fn no_mail_after(&self, n: usize) {
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(self.server.kept().len(), n);
    }

    /// Somebody in the ledger who gets these digests.
    pub fn reader(&self, address: &str, digests: &[&str]) -> SubscriberId {
        let entries = digests.iter().map(|digest| entry(address, digest)).collect();
        self.runtime.block_on(self.store.add(entries, Utc::now())).unwrap();
        self.held(address).unwrap().subscriber.unwrap().id
    }

    pub fn held(&self, address: &str) -> Option<Held> {
        self.runtime.block_on(self.store.show(&address.parse().unwrap())).unwrap()
    }

    /// How an address's subscriptions to digests stand.
    pub fn states(&self, address: &str) -> Vec<(String, SubscriptionState)> {
        let held = self.held(address).unwrap_or_default();
        held.subscriptions.into_iter().filter(|s| s.digest != EVERYTHING).map(|s| (s.digest, s.state)).collect()
    }
}

pub fn entry(address: &str, digest: &str) -> Entry {
    Entry {
        address: address.parse::<Address>().unwrap(),
        name: String::new(),
        language: None,
        digest: digest.to_owned(),
        state: SubscriptionState::Confirmed,
        since: None,
        consent: Consent { source: "open day".to_owned(), when: None::<DateTime<Utc>> },
        suppressed: None,
        note: String::new(),
    }
}

pub fn sign(purpose: Purpose, subscriber: SubscriberId, about: About) -> String {
    Keys::fresh(KEY).sign(purpose, Grant { subscriber, about })
}

/// The path of the first link of ours in a mail.
pub fn link(mail: &Kept) -> String {
    let read = MessageParser::default().parse(&mail.message).unwrap();
    let text = read.body_text(0).unwrap().into_owned();
    let link = text.split_whitespace().find(|word| word.starts_with(PUBLIC)).unwrap();
    format!("/{}", &link[PUBLIC.len()..])
}

pub fn subject(mail: &Kept) -> String {
    MessageParser::default().parse(&mail.message).unwrap().subject().unwrap().to_owned()
}
