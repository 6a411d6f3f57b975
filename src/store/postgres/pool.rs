//! Connections, and what is done when one breaks.

use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, Transaction,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;
use std::error::Error as _;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;

use super::{Options, Tls};
use crate::store::StoreError;

/// How long a connection may take to come about, and how long one is waited for when all are in use.
const CONNECT: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(30);
/// A peer that has not confirmed what it was sent, or that it is there, for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a lost server is looked for, before the caller is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks, at first and at most.
const LOOK: Duration = Duration::from_millis(50);
const LOOK_MOST: Duration = Duration::from_secs(2);
/// How often a transaction that got into others' way is tried anew.
const COLLISIONS: u32 = 20;
/// What a session of ours sets. No transaction of ours waits for anything but the database; one that idles has lost its
/// program, and must not hold its locks. Every statement sees what was committed while it waited for a lock, and what was
/// answered survives a power cut, whatever the role or the database is set to; who wants more than that keeps it.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '60s'; SET timezone = 'UTC';
    SET default_transaction_isolation = 'read committed';
    SELECT set_config('synchronous_commit', 'on', FALSE) WHERE current_setting('synchronous_commit') = 'off'";

/// Connections; opened when needed, kept for the next.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
    limit: Duration,
}

/// Why a piece of work failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// As it is told to the caller.
    Told(StoreError),
    /// As the driver says it.
    Said(tokio_postgres::Error),
    /// No connection is to be had.
    Away(String),
    /// It took longer than it may. What was written is not known.
    Late,
}

/// What may be done about a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing: the caller is told.
    None,
    /// The same once more: others were in the way, and nothing was written.
    Again,
    /// The same on another connection, once the server is back. What was written is not known.
    Reconnect,
}

impl Pool {
    /// So many connections, on which no statement takes longer than the limit.
    pub(super) fn new(options: &Options, most: usize, limit: Duration) -> Result<Self, StoreError> {
        let mut config = tokio_postgres::Config::new();
        if options.host.starts_with('/') {
            config.host_path(&options.host);
        } else {
            config.host(&options.host);
        }
        config
            .port(options.port)
            .user(&options.user)
            .dbname(&options.database)
            .application_name("pressrun")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE / 2)
            .keepalives_interval(SILENCE / 6)
            .keepalives_retries(3);
        if let Some(password) = &options.password {
            config.password(password.expose_secret());
        }
        let keeping = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &options.tls {
            Tls::Off => Manager::from_config(config.ssl_mode(SslMode::Disable).clone(), NoTls, keeping),
            Tls::Verified(trust) => {
                let tls = tokio_postgres_rustls::MakeRustlsConnect::new(trusting(trust.as_deref())?);
                Manager::from_config(config.ssl_mode(SslMode::Require).clone(), tls, keeping)
            }
        };
        // The server gives up a little sooner than we do, so that it is not still at work on what we have told to have failed.
        let session = format!("{SESSION}; SET statement_timeout = '{}ms'", limit.mul_f64(0.9).as_millis());
        let settings = Hook::async_fn(move |client, _| {
            let session = session.clone();
            Box::pin(async move { client.batch_execute(&session).await.map_err(HookError::Backend) })
        });
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(most)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .post_create(settings)
            .build()
            .map_err(|e| StoreError::Database(e.to_string()))?;
        Ok(Pool { connections, limit })
    }

    /// As many connections as there may be.
    pub(super) fn most(&self) -> usize {
        self.connections.status().max_size
    }

    /// A connection.
    pub(super) async fn client(&self) -> Result<Client, Fault> {
        self.connections.get().await.map_err(|error| match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => Fault::Said(error),
            PoolError::Timeout(_) => Fault::Away("no connection came about in time".to_owned()),
            other => Fault::Away(other.to_string()),
        })
    }

    /// Does a piece of work, within the limit. Whoever takes everything and answers nothing looks alive to TCP.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let done = tokio::time::timeout(self.limit, work).await.unwrap_or(Err(Fault::Late));
        if done.as_ref().is_err_and(Fault::is_of_the_server) {
            // The idle ones lead to the same place. New ones may lead elsewhere.
            self.connections.retain(|_, _| false);
        }
        done
    }

    /// Whether a transaction whose answer was lost was committed. It may still be at work: then it is waited for.
    pub(super) async fn committed(&self, transaction: i64) -> Result<bool, StoreError> {
        let mut tries = Tries::new(PATIENCE);
        loop {
            let asked: Result<Option<String>, Fault> = self
                .within(async {
                    let client = self.client().await?;
                    let row = client.query_one("SELECT txid_status($1)", &[&transaction]).await?;
                    Ok(row.try_get(0)?)
                })
                .await;
            let fault = match asked.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Ok(true),
                Ok(Some("aborted")) => return Ok(false),
                Ok(_) => Fault::Away("it does not say what became of a transaction".to_owned()),
                Err(_) => asked.err().unwrap_or(Fault::Told(StoreError::Stopped)),
            };
            tries.after(fault).await?;
        }
    }
}

/// Ends a transaction. Where its answer was lost: its number, by which the server knows what became of it.
pub(super) async fn commit(db: Transaction<'_>) -> Result<Option<i64>, Fault> {
    // No number: nothing was written.
    let number: Option<i64> = db.query_one("SELECT txid_current_if_assigned()", &[]).await?.try_get(0)?;
    match db.commit().await.map_err(Fault::Said) {
        Ok(()) => Ok(None),
        Err(fault) if fault.remedy() == Remedy::Reconnect && number.is_some() => Ok(number),
        Err(fault) => Err(fault),
    }
}

/// Tries of one piece of work.
#[derive(Debug)]
pub(super) struct Tries {
    since: Instant,
    patience: Duration,
    tried: u32,
    wait: Duration,
}

impl Tries {
    pub(super) fn new(patience: Duration) -> Self {
        Tries { since: Instant::now(), patience, tried: 0, wait: LOOK }
    }

    /// Waits a moment where it may be tried again; otherwise tells why not.
    pub(super) async fn after(&mut self, fault: Fault) -> Result<(), StoreError> {
        self.tried += 1;
        match fault.remedy() {
            Remedy::Again if self.tried <= COLLISIONS => {
                tokio::time::sleep(Duration::from_millis(u64::from(self.tried)).mul_f64(chance())).await;
                Ok(())
            }
            Remedy::Reconnect if self.since.elapsed() < self.patience => {
                tracing::debug!(%fault, "the ledger's database is looked for");
                tokio::time::sleep(self.wait.mul_f64(0.5 + chance())).await;
                self.wait = (self.wait * 2).min(LOOK_MOST);
                Ok(())
            }
            _ => Err(fault.into()),
        }
    }
}

impl Fault {
    pub(super) fn remedy(&self) -> Remedy {
        let error = match self {
            Fault::Told(_) | Fault::Late => return Remedy::None,
            Fault::Away(_) => return Remedy::Reconnect,
            Fault::Said(error) => error,
        };
        let Some(code) = error.code() else {
            return if is_broken(error) { Remedy::Reconnect } else { Remedy::None };
        };
        match code.code() {
            // Serialization failure, deadlock; and two settlements of one delivery at the same moment.
            "40001" | "40P01" => Remedy::Again,
            "23505" if error.as_db_error().and_then(|e| e.constraint()) == Some("attempt_pkey") => Remedy::Again,
            code if is_of_the_connection(code) => Remedy::Reconnect,
            // It only reads, since another has taken its place; or somebody has called the statement off, the server itself
            // among them. Nothing was written.
            "25006" | "57014" => Remedy::Reconnect,
            _ => Remedy::None,
        }
    }

    /// Whether other connections to the same server are of no use either.
    pub(super) fn is_of_the_server(&self) -> bool {
        match self {
            Fault::Late => true,
            Fault::Said(error) => error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
            Fault::Told(_) | Fault::Away(_) => false,
        }
    }
}

/// Shutting down, starting up, too many connections, idle for too long, a connection's failure.
fn is_of_the_connection(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03") || code.starts_with("08")
}

/// The line broke, or did not come about.
fn is_broken(error: &tokio_postgres::Error) -> bool {
    let late = error.source().is_none() && error.to_string().starts_with("timeout");
    late || error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Told(error) => error.fmt(f),
            Fault::Said(error) => f.write_str(&words(error)),
            Fault::Away(why) => f.write_str(why),
            Fault::Late => f.write_str("it does not answer"),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Fault::Said(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Told(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let error = match fault {
            Fault::Told(error) => return error,
            Fault::Away(why) => return StoreError::Unreachable(why),
            Fault::Late => return StoreError::Unreachable("it does not answer".to_owned()),
            Fault::Said(error) => error,
        };
        let said = words(&error);
        let Some(code) = error.code() else {
            return match () {
                () if said.starts_with("error performing TLS") => StoreError::Refused(said),
                () if is_broken(&error) => StoreError::Unreachable(said),
                // The driver's own words: the server asks for one, and there is none.
                () if said.contains("password missing") => StoreError::Refused("it asks for a password".to_owned()),
                () => StoreError::Database(said),
            };
        };
        match code {
            &SqlState::DISK_FULL => StoreError::DiskFull,
            &SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED => StoreError::Locked,
            &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::Unwritable(said),
            &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => StoreError::Damaged(said),
            // No such database is told with the same words as a wrong password: what is to be done is the same.
            code if code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME => {
                StoreError::Refused(said)
            }
            code if is_of_the_connection(code.code()) => StoreError::Unreachable(said),
            _ => StoreError::Database(said),
        }
    }
}

/// What the server or the driver says. Neither names a password, and a row's values (`detail`) are left out.
fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => said.message().to_owned(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// TLS 1.2 or 1.3, trusting the system's authorities and those in `file`.
fn trusting(file: Option<&Path>) -> Result<rustls::ClientConfig, StoreError> {
    let wrong = |why: String| StoreError::Refused(format!("no certificates to trust: {why}"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut own = vec![];
    if let Some(file) = file {
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))? {
            own.push(certificate.map_err(|e| wrong(e.to_string()))?);
        }
    }
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(own, provider.clone())
        .map_err(|e| wrong(e.to_string()))?;
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// A number from 0 to 1, by chance.
#[allow(clippy::cast_precision_loss)]
fn chance() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}
