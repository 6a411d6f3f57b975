//! What every command needs: the configuration as meant, and the ledger.

use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::returns::Counters;
use super::{Common, failures, keys, output};
use crate::config::{LedgerAddress, Overrides, Refused, Settings, secret};
use crate::delivery::Ledger;
use crate::delivery::ledger::Counts;
use crate::digest::render::{self, TemplateFile, Templates};
use crate::digest::{Digest, Edition, EditionId, EditionState, Editions};
use crate::error::{Failure, Kind};
use crate::newsroom::Problem;
use crate::newsroom::problem;
use crate::press::{Meter, PressLock, Stop};
use crate::store::{PostgresStore, SqliteStore, postgres};

/// The ledger's database.
pub(crate) type Store = Arc<crate::store::Store>;

/// The configuration, and what runs asynchronous work.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    /// What the press counts.
    pub(crate) meter: Arc<Meter>,
    /// What came back, counted.
    pub(crate) returned: Arc<Counters>,
    stop: OnceLock<Stop>,
    runtime: tokio::runtime::Runtime,
}

impl Context {
    /// Reads the configuration; lists all that is wrong with it.
    pub(crate) fn load(common: &Common) -> Result<Self, Failure> {
        Self::load_for(common, &mut tokio::runtime::Builder::new_multi_thread())
    }

    /// The same, for commands that do little else than send: one thread for all connections and the ledger (decision 27). A
    /// second would mostly be woken, and take the core that the other needs, or the relay beside it.
    pub(crate) fn load_to_send(common: &Common) -> Result<Self, Failure> {
        Self::load_for(common, &mut tokio::runtime::Builder::new_current_thread())
    }

    fn load_for(common: &Common, runtime: &mut tokio::runtime::Builder) -> Result<Self, Failure> {
        let overrides = Overrides { transport: common.transport.clone(), ..Overrides::from_environment() };
        let settings = Settings::load(&common.config, &overrides).map_err(|refused| match refused {
            Refused::Failure(failure) => failure,
            Refused::Problems(problems) => {
                output::problems(common, &problems);
                output::found(problems.len(), Kind::Configuration).hint(format!("mend {}", common.config.display()))
            }
        })?;
        let runtime = start(runtime)?;
        Ok(Context {
            settings,
            meter: Arc::default(),
            returned: Arc::new(Counters::new()),
            stop: OnceLock::new(),
            runtime,
        })
    }

    /// Another one for a thread that does little else than send, beside this: same settings, counters and end.
    pub(crate) fn beside_to_send(&self) -> Result<Self, Failure> {
        Ok(Context {
            settings: self.settings.clone(),
            meter: Arc::clone(&self.meter),
            returned: Arc::clone(&self.returned),
            stop: OnceLock::from(self.stop()?),
            runtime: start(&mut tokio::runtime::Builder::new_current_thread())?,
        })
    }

    /// Set when a signal asks this process to end.
    pub(crate) fn stop(&self) -> Result<Stop, Failure> {
        if let Some(stop) = self.stop.get() {
            return Ok(stop.clone());
        }
        let stop = self.block_on(async { Stop::on_signals() });
        let stop = stop.map_err(|e| Failure::new(Kind::Unavailable, "cannot listen for signals").because(e))?;
        Ok(self.stop.get_or_init(|| stop).clone())
    }

    /// Runs asynchronous work to its end.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Opens the ledger.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        let store = self.open(&self.settings.ledger)?;
        if let crate::store::Store::Postgres(server) = &store {
            keys::shared(self, self.block_on(server.is_new()).map_err(failures::ledger)?)?;
        }
        let store = Arc::new(store.with_erasure_key(keys::erasure(self)?));
        keys::agree(self, &store)?;
        Ok(store)
    }

    /// Opens the ledger at an address.
    pub(crate) fn open(&self, address: &LedgerAddress) -> Result<crate::store::Store, Failure> {
        match address {
            LedgerAddress::Sqlite(path) => SqliteStore::open(path)
                .map(crate::store::Store::Sqlite)
                .map_err(|e| failures::opening(&self.shown(path), &e)),
            LedgerAddress::Postgres(at) => {
                let password =
                    secret::ledger_password(self.settings.ledger_password.as_ref(), at.password_file.as_deref())?;
                let options = postgres::Options {
                    host: at.host.clone(),
                    port: at.port,
                    user: at.user.clone(),
                    password,
                    database: at.database.clone(),
                    tls: if at.tls { postgres::Tls::Verified(at.trust.clone()) } else { postgres::Tls::Off },
                    connections: at.connections,
                    limit: postgres::LIMIT,
                };
                self.block_on(PostgresStore::open(&options))
                    .map(crate::store::Store::Postgres)
                    .map_err(|e| failures::opening(&at.to_string(), &e))
            }
        }
    }

    /// Whether whoever holds the press's lock is the only press: not so on a server, where leases tell who is gone.
    pub(crate) fn alone(&self) -> bool {
        matches!(self.settings.ledger, LedgerAddress::Sqlite(_))
    }

    /// Takes the press's lock: only one run at a time on a ledger in a file. On a server there is none.
    pub(crate) fn press_lock(&self) -> Result<Option<PressLock>, Failure> {
        let LedgerAddress::Sqlite(path) = &self.settings.ledger else { return Ok(None) };
        crate::press::lock(path).map(Some).map_err(|e| match e {
            crate::press::LockError::Held => Failure::new(Kind::Unavailable, "another run is at work on this ledger")
                .hint("wait until it ends; nothing is lost, and nothing is sent twice"),
            crate::press::LockError::File(error) => {
                Failure::new(Kind::Unavailable, format!("cannot lock the ledger {}", self.shown(path)))
                    .because(error)
                    .hint("the ledger's folder must be writable")
            }
        })
    }

    /// The digest with this slug.
    pub(crate) fn digest(&self, slug: &str) -> Result<&Digest, Failure> {
        let slugs = || self.settings.digests.iter().map(|d| d.slug.as_str());
        self.settings.digests.iter().find(|d| d.slug == slug).ok_or_else(|| {
            let hint = if self.settings.digests.is_empty() {
                "the configuration has none: add one to `digests:`".to_owned()
            } else {
                problem::suggest(slug, slugs())
            };
            Failure::new(Kind::Usage, format!("there is no digest `{slug}`")).hint(hint)
        })
    }

    /// An edition by its number in the ledger.
    pub(crate) fn edition(&self, store: &Store, id: i64) -> Result<Edition, Failure> {
        let found = self.block_on(store.edition(EditionId(id))).map_err(failures::ledger)?;
        found.ok_or_else(|| {
            Failure::new(Kind::Usage, format!("there is no edition {id}"))
                .hint("pressrun edition list shows those there are")
        })
    }

    /// The digest's draft, where one waits.
    pub(crate) fn draft(&self, store: &Store, digest: &Digest) -> Result<Option<Edition>, Failure> {
        let editions = self.block_on(store.editions(Some(&digest.slug))).map_err(failures::ledger)?;
        let Some(draft) = editions.iter().find(|e| e.state == EditionState::Draft) else { return Ok(None) };
        self.edition(store, draft.id.0).map(Some)
    }

    /// How an edition's deliveries stand.
    pub(crate) fn counts(&self, store: &Store, edition: EditionId) -> Result<Counts, Failure> {
        self.block_on(store.counts(edition)).map_err(failures::ledger)
    }

    /// The newsroom's own template in a folder of templates, where there is one.
    pub(crate) fn own_template(&self, folder: &str, name: &str) -> Result<Option<TemplateFile>, Problem> {
        let path = self.settings.templates.join(folder).join(name);
        let file = self.shown(&path);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(TemplateFile { file, text })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Problem::new(file, format!("the template cannot be read: {error}"))),
        }
    }

    /// The digest's templates, read and tried.
    pub(crate) fn templates(&self, digest: &Digest) -> Result<Templates, Vec<Problem>> {
        let own = |name: &str| self.own_template(&digest.template, name);
        let [html, text] = render::templates::FILES;
        match (own(html), own(text)) {
            (Ok(html), Ok(text)) => Templates::new(digest, render::Overrides { html, text }),
            (html, text) => Err([html.err(), text.err()].into_iter().flatten().collect()),
        }
    }

    /// As [`Context::templates`]; lists what is wrong with them.
    pub(crate) fn templates_or_fail(&self, common: &Common, digest: &Digest) -> Result<Templates, Failure> {
        self.templates(digest).map_err(|problems| {
            output::problems(common, &problems);
            output::found(problems.len(), Kind::Material)
                .hint("mend the template, or take it away: then the embedded one is used")
        })
    }

    /// A moment as the digest's readers name it.
    pub(crate) fn local(digest: &Digest, moment: DateTime<Utc>) -> String {
        moment.with_timezone(&digest.time_zone).format("%A, %-d %B %Y, %H:%M %Z").to_string()
    }

    /// A path as a person would name it: relative to the configuration's folder.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.settings.root).unwrap_or(path).display().to_string()
    }

    /// A path that the command line names: relative to where the person stands.
    pub(crate) fn here(path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    }
}

fn start(runtime: &mut tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    runtime.enable_all().build().map_err(|e| Failure::new(Kind::Unavailable, "cannot start").because(e))
}
