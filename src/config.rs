//! The configuration as written ([`file`]), and as meant ([`Settings`]).

/// As written: serde types of `config.yaml`; unknown keys are refused.
pub mod file;
/// Passwords and keys, from the environment or a file; never from the configuration itself.
pub mod secret;

use std::path::PathBuf;
use url::Url;

use crate::digest::Digest;
use crate::newsroom::{Masthead, Section};
use crate::{feed, press, transport};

/// The configuration as meant: every path absolute, every default filled in, every reference checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of `config.yaml`.
    pub root: PathBuf,
    /// The newsroom's own data.
    pub masthead: Masthead,
    /// In order.
    pub sections: Vec<Section>,
    /// The folder of articles.
    pub articles: PathBuf,
    /// The folder that feeds are built into.
    pub feeds: PathBuf,
    /// How feeds are made.
    pub feed: feed::Options,
    /// The newsletters.
    pub digests: Vec<Digest>,
    /// A list that `run` syncs into the ledger.
    pub subscribers: Option<SubscriberFile>,
    /// The folder whose templates stand in for the embedded ones; it need not be there.
    pub templates: PathBuf,
    /// The ledger's database.
    pub ledger: LedgerAddress,
    /// Where mails go.
    pub transport: TransportSettings,
    /// How the press works.
    pub press: press::Options,
    /// What readers' links point to.
    pub public: Public,
}

/// A CSV that `run` syncs into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberFile {
    /// Where it is.
    pub path: PathBuf,
    /// Where the consent of those in it comes from.
    pub consent: String,
}

/// The ledger's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerAddress {
    /// A file.
    Sqlite(PathBuf),
}

/// Where mails go.
#[derive(Debug, Clone)]
pub enum TransportSettings {
    /// A folder.
    Directory(PathBuf),
    /// Relays.
    Smtp(transport::smtp::Options),
}

/// What readers' links point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// The https address of `pressrun serve`, ends in `/`: unsubscribe is `<url>unsubscribe/<token>`, "view in browser"
    /// `<url>archive/<digest>/<number>`.
    pub url: Url,
    /// The mailbox that takes unsubscribe mails.
    pub unsubscribe_mailbox: crate::subscriber::Address,
    /// The envelope sender of digests.
    pub return_path: crate::subscriber::Address,
}
