//! The configuration as written ([`mod@file`]), and as meant ([`Settings`]).

// `ledger:` as written.
pub mod database;
// Times as people write them.
pub mod duration;
// As written: serde types of `config.yaml`; unknown keys are refused.
pub mod file;
// From as written to as meant.
mod meant;
pub(crate) use meant::mbox;
// `transport:` as written.
pub mod relay;
// Passwords, from the environment or a file; never from the configuration itself.
pub mod secret;
// The keys that mails are signed with.
pub mod signing;
#[cfg(test)]
mod tests;

use ipnet::IpNet;
use secrecy::SecretString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

use crate::delivery::returns::Patience;
use crate::digest::Digest;
use crate::error::{Failure, Kind};
use crate::mail::return_path::ReturnPath;
use crate::newsroom::yaml::{self, Source};
use crate::newsroom::{Masthead, Problem, Section};
use crate::subscriber::request::Terms;
use crate::transport::inbox::Inbox;
use crate::web::public::Brakes;
use crate::{feed, press, publish, source, transport};

/// The configuration as meant: every path absolute, every default filled in, every reference checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of `config.yaml`.
    pub root: PathBuf,
    /// The newsroom's own data.
    pub masthead: Masthead,
    /// Where dates without an offset are meant.
    pub time_zone: chrono_tz::Tz,
    /// In order.
    pub sections: Vec<Section>,
    /// The folder of articles.
    pub articles: PathBuf,
    /// The folder of articles as it is written.
    pub articles_name: String,
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
    /// The database's password, where the environment has one.
    pub ledger_password: Option<SecretString>,
    /// What builds remember; beside the ledger, or in `var/` where that is on a server. It need not be there.
    pub cache: PathBuf,
    /// Where mails go.
    pub transport: TransportSettings,
    /// The keys that mails are signed with; without any they are not signed.
    pub dkim: Vec<signing::KeyFile>,
    /// How the press works.
    pub press: press::Options,
    /// What readers' links point to.
    pub public: Public,
    /// Where the feeds are published to, in order.
    pub publish: Vec<PublishSettings>,
    /// How the feeds are served.
    pub serve: ServeSettings,
    /// What `pressrun doctor` cannot know by itself.
    pub doctor: DoctorSettings,
    /// Mail that comes back.
    pub returns: ReturnsSettings,
}

/// Mail that comes back.
#[derive(Debug, Clone)]
pub struct ReturnsSettings {
    /// How the envelope sender of each mail is written, where each has its own.
    pub path: Option<ReturnPath>,
    /// Where it is read from, each with its name for people; or why it cannot be.
    pub inboxes: Vec<(String, Result<Inbox, Failure>)>,
    /// How often `pressrun serve` looks.
    pub every: Duration,
    /// When bounces that are not final become so.
    pub patience: Patience,
    /// The folder for what nobody understood, and for how far files were read.
    pub folder: PathBuf,
}

/// A target of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishSettings {
    /// As it is written; its name on the command line.
    pub to: String,
    /// What that means.
    pub address: publish::Address,
    /// A bucket's store, if it is not Amazon's.
    pub endpoint: Option<Url>,
    /// A bucket's region; `AWS_REGION` if `None`.
    pub region: Option<String>,
    /// How long caches in between may still give out the old feed.
    pub settle: Duration,
}

/// How the feeds are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSettings {
    /// Where it listens.
    pub bind: SocketAddr,
    /// The press runs beside it.
    pub press: bool,
    /// Proxies whose word about clients is believed.
    pub trusted: Vec<IpNet>,
    /// How long requests of readers hold, and how often one inbox is written to.
    pub terms: Terms,
    /// What may be asked.
    pub brakes: Brakes,
}

/// What `pressrun doctor` cannot know by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoctorSettings {
    /// The resolver to ask; `None`: the system's.
    pub resolver: Option<SocketAddr>,
    /// The addresses from which mails reach the world; empty: not told.
    pub sends_from: Vec<IpAddr>,
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
    /// A database on a server.
    Postgres(PostgresAddress),
}

/// A database on a PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    /// A name, an address, or the folder of a socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who.
    pub user: String,
    /// The database's name.
    pub database: String,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Whether the line is encrypted, and the server's name checked.
    pub tls: bool,
    /// One more certificate to trust.
    pub trust: Option<PathBuf>,
    /// Connections at once, at most.
    pub connections: usize,
}

impl std::fmt::Display for PostgresAddress {
    /// As people name it; without the user.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}:{}", self.database, self.host, self.port)
    }
}

/// Where mails go.
#[derive(Debug, Clone)]
pub enum TransportSettings {
    /// A folder.
    Directory(PathBuf),
    /// Relays.
    Smtp(transport::smtp::Options),
    /// Relays that cannot be used as things are, for instance without their password. All that sends no mail works; who
    /// wants to send tells this.
    Unusable(Failure),
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

/// What goes before the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Instead of `transport:`; the flag `--transport`.
    pub transport: Option<String>,
    /// The relay's password; the environment's [`secret::SMTP_PASSWORD`].
    pub smtp_password: Option<SecretString>,
    /// The password of the mailbox of returned mail; the environment's [`secret::IMAP_PASSWORD`].
    pub imap_password: Option<SecretString>,
    /// The password of the ledger's database; the environment's [`secret::LEDGER_PASSWORD`].
    pub ledger_password: Option<SecretString>,
}

impl Overrides {
    /// What the environment says: passwords.
    pub fn from_environment() -> Overrides {
        let password = |name| std::env::var(name).ok().filter(|password| !password.is_empty()).map(SecretString::from);
        Overrides {
            transport: None,
            smtp_password: password(secret::SMTP_PASSWORD),
            ledger_password: password(secret::LEDGER_PASSWORD),
            imap_password: password(secret::IMAP_PASSWORD),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub enum Refused {
    /// It cannot be read at all.
    Failure(Failure),
    /// It was read; all that is wrong with it, in the order of lines.
    Problems(Vec<Problem>),
}

impl Settings {
    /// Reads and checks a configuration. `path` is its file, or the folder with a `config.yaml` in it.
    ///
    /// # Errors
    /// [`Refused`], with all problems at once.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Settings, Refused> {
        let path = if path.is_dir() { path.join("config.yaml") } else { path.to_owned() };
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let failed = |what: String, cause: String, hint: &str| {
            Refused::Failure(Failure::new(Kind::Configuration, what).because(cause).hint(hint))
        };
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed(
                format!("there is no configuration: {} is missing", path.display()),
                error.to_string(),
                "Run this in the folder of a newsroom, or name its configuration with `--config FILE`.",
            ),
            _ => failed(
                format!("the configuration, {}, cannot be read", path.display()),
                error.to_string(),
                "Check that you may read it.",
            ),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            failed(
                format!("the configuration, {}, is not UTF-8 text", path.display()),
                error.to_string(),
                "Save it as UTF-8.",
            )
        })?;
        let path = std::path::absolute(&path).unwrap_or(path);
        let root = path.parent().map(Path::to_owned).unwrap_or_default();
        Settings::parse(&text, &name, &root, overrides).map_err(Refused::Problems)
    }

    /// Checks a configuration's text. `file` stands in problems; paths begin at `root`.
    ///
    /// # Errors
    /// All problems, in the order of lines.
    pub fn parse(text: &str, file: &str, root: &Path, overrides: &Overrides) -> Result<Settings, Vec<Problem>> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let source = Source { text, file, first_line: 1 };
        let document = yaml::parse::<file::ConfigFile>(source, &[]);
        let mut problems = document.problems;
        let Some(written) = document.value else { return Err(problems) };
        let settings = meant::settings(written, &document.unusable, source, root, overrides, &mut problems);
        if problems.is_empty() {
            return Ok(settings);
        }
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Err(problems)
    }

    /// What reading articles needs to know.
    pub fn source(&self) -> source::Options {
        source::Options {
            folder: self.articles.clone(),
            name: self.articles_name.clone(),
            masthead: self.masthead.clone(),
            sections: self.sections.clone(),
            time_zone: self.time_zone,
        }
    }
}
