//! A mailbox on a server (IMAP, RFC 3501).
//!
//! Mails that nobody has seen are read, without being marked so; once they are filed, they are marked, and moved where the
//! operator wants them. Marks and moves are the only changes.

use async_imap::types::Flag;
use futures_util::TryStreamExt;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{BATCH, BATCH_BYTES, InboxError, Item, LARGEST, Ticket};
use crate::transport::OpenError;
use crate::transport::smtp::{Relay, Security, client_trust};

/// How to reach a mailbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub server: Relay,
    /// Who logs in.
    pub user: String,
    /// With which password; never printed.
    pub password: SecretString,
    /// The password is an OAuth 2 access token: log in by XOAUTH2, and by nothing else.
    pub token: bool,
    /// The folder that is read.
    pub folder: String,
    /// Where mails go that were read; `None`: they stay.
    pub filed: Option<String>,
    /// One more certificate (PEM) to trust beside the system's.
    pub trust: Option<PathBuf>,
    /// Limit of every step.
    pub timeout: Duration,
}

/// A mailbox being read.
pub struct Mailbox {
    session: async_imap::Session<Stream>,
    server: String,
    left: VecDeque<u32>,
    filed: Option<String>,
    /// RFC 6851, RFC 4315.
    moves: bool,
    expunges: bool,
    timeout: Duration,
}

impl Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("server", &self.server).field("left", &self.left.len()).finish_non_exhaustive()
    }
}

impl Mailbox {
    pub(super) async fn open(options: &Options) -> Result<Self, InboxError> {
        let server = format!("{}:{}", options.server.host, options.server.port);
        let call = Call { server: &server, timeout: options.timeout };
        let client = call.dial(options).await?;
        let login = async {
            let password = options.password.expose_secret();
            let session = if options.token {
                client.authenticate("XOAUTH2", Bearer::new(&options.user, password)).await
            } else {
                client.login(&options.user, password).await
            };
            session.map_err(|(error, _)| error)
        };
        let mut session = call.step(login).await.map_err(|error| match error {
            Failed::Said(cause) => OpenError::Login { relay: server.clone(), cause },
            Failed::Broke(cause) => OpenError::Unreachable { relay: server.clone(), cause },
        })?;
        let capabilities = call.done(session.capabilities()).await?;
        let (moves, expunges) = (capabilities.has_str("MOVE"), capabilities.has_str("UIDPLUS"));
        if let Some(filed) = &options.filed {
            // It may be there already.
            let _ = call.step(session.create(filed)).await;
        }
        call.done(session.select(&options.folder)).await?;
        let found = call.done(session.uid_search("UNSEEN UNDELETED")).await?;
        let mut left: Vec<u32> = found.into_iter().collect();
        left.sort_unstable();
        let filed = options.filed.clone().filter(|filed| *filed != options.folder);
        Ok(Mailbox { session, server, left: left.into(), filed, moves, expunges, timeout: options.timeout })
    }

    pub(super) fn waiting(&self) -> usize {
        self.left.len()
    }

    pub(super) async fn next(&mut self) -> Result<Vec<Item>, InboxError> {
        let (mut items, mut bytes) = (vec![], 0);
        while items.len() < BATCH && bytes < BATCH_BYTES && !self.left.is_empty() {
            let most = BATCH.min(self.left.len());
            let set = list(self.left.drain(..most));
            let call = Call { server: &self.server, timeout: self.timeout };
            let session = &mut self.session;
            let fetched = async {
                let query = format!("(UID FLAGS BODY.PEEK[]<0.{LARGEST}>)");
                session.uid_fetch(set, query).await?.try_collect::<Vec<_>>().await
            };
            for mail in call.done(fetched).await? {
                // Seen by somebody else meanwhile, or gone.
                let (Some(uid), Some(body)) = (mail.uid, mail.body()) else { continue };
                if mail.flags().any(|flag| flag == Flag::Seen) {
                    continue;
                }
                bytes += body.len();
                items.push(Item { message: body.to_vec(), ticket: Ticket::Number(uid) });
            }
        }
        Ok(items)
    }

    pub(super) async fn done(&mut self, items: &[(Item, bool)]) -> Result<(), InboxError> {
        let numbers = |aside: bool| {
            items.iter().filter(move |(_, a)| *a == aside).filter_map(|(item, _)| match item.ticket {
                Ticket::Number(uid) => Some(uid),
                _ => None,
            })
        };
        let (read, aside) = (list(numbers(false)), list(numbers(true)));
        // For people: flagged, and left where it is.
        self.mark(&aside, "+FLAGS.SILENT (\\Seen \\Flagged)").await?;
        self.mark(&read, "+FLAGS.SILENT (\\Seen)").await?;
        let Some(filed) = self.filed.clone().filter(|_| !read.is_empty()) else { return Ok(()) };
        let call = Call { server: &self.server, timeout: self.timeout };
        if self.moves {
            call.done(self.session.uid_mv(&read, &filed)).await?;
        } else {
            call.done(self.session.uid_copy(&read, &filed)).await?;
            self.mark(&read, "+FLAGS.SILENT (\\Deleted)").await?;
            if self.expunges {
                let call = Call { server: &self.server, timeout: self.timeout };
                let session = &mut self.session;
                call.done(async { session.uid_expunge(&read).await?.try_collect::<Vec<_>>().await }).await?;
            }
        }
        Ok(())
    }

    async fn mark(&mut self, set: &str, flags: &str) -> Result<(), InboxError> {
        if set.is_empty() {
            return Ok(());
        }
        let call = Call { server: &self.server, timeout: self.timeout };
        let session = &mut self.session;
        call.done(async { session.uid_store(set, flags).await?.try_collect::<Vec<_>>().await }).await?;
        // What the server tells beside its answers is not of interest, and must not pile up.
        while self.session.unsolicited_responses.try_recv().is_ok() {}
        Ok(())
    }

    pub(super) async fn close(mut self) {
        let _ = tokio::time::timeout(self.timeout, self.session.logout()).await;
    }
}

/// Logs in with an OAuth 2 access token, as Gmail and Microsoft 365 want it (XOAUTH2).
struct Bearer(String);

impl Bearer {
    fn new(user: &str, token: &str) -> Self {
        Bearer(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
    }
}

impl async_imap::Authenticator for Bearer {
    type Response = String;

    /// What comes after the first is why we are refused; an empty answer lets the server say so.
    fn process(&mut self, _: &[u8]) -> String {
        std::mem::take(&mut self.0)
    }
}

/// Numbers as a command takes them.
fn list(numbers: impl Iterator<Item = u32>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

/// One server being called.
struct Call<'a> {
    server: &'a str,
    timeout: Duration,
}

/// Why a step failed.
enum Failed {
    /// The server said no.
    Said(String),
    /// The line broke, or the server was silent.
    Broke(String),
}

impl Call<'_> {
    /// One step within its time limit.
    async fn step<T, E: Into<async_imap::error::Error>>(
        &self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failed> {
        match tokio::time::timeout(self.timeout, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(match error.into() {
                async_imap::error::Error::No(text) | async_imap::error::Error::Bad(text) => Failed::Said(text),
                other => Failed::Broke(other.to_string()),
            }),
            Err(_) => Err(Failed::Broke(format!("no answer within {} s", self.timeout.as_secs()))),
        }
    }

    async fn done<T, E: Into<async_imap::error::Error>>(
        &self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, OpenError> {
        self.step(step).await.map_err(|(Failed::Said(cause) | Failed::Broke(cause))| self.unreachable(cause))
    }

    fn unreachable(&self, cause: String) -> OpenError {
        OpenError::Unreachable { relay: self.server.to_owned(), cause }
    }

    /// A connection that has said hello, encrypted unless it stays on this machine.
    async fn dial(&self, options: &Options) -> Result<async_imap::Client<Stream>, OpenError> {
        let Relay { host, port, security } = &options.server;
        let tcp = self.done(async { TcpStream::connect((host.as_str(), *port)).await.map_err(Io) }).await?;
        tcp.set_nodelay(true).map_err(|e| self.unreachable(e.to_string()))?;
        if *security == Security::Implicit {
            let stream = Stream::Tls(Box::new(self.handshake(tcp, options).await?));
            return self.greeted(async_imap::Client::new(stream)).await;
        }
        let mut client = self.greeted(async_imap::Client::new(Stream::Clear(tcp))).await?;
        if *security == Security::Loopback {
            return Ok(client);
        }
        // RFC 3501 section 6.2.1; what was read in the clear is thrown away with the client.
        self.step(client.run_command_and_check_ok("STARTTLS", None)).await.map_err(|_| OpenError::Untrusted {
            relay: self.server.to_owned(),
            cause: "it does not offer STARTTLS".to_owned(),
        })?;
        let Stream::Clear(tcp) = client.into_inner() else { return Err(self.unreachable("no line".to_owned())) };
        Ok(async_imap::Client::new(Stream::Tls(Box::new(self.handshake(tcp, options).await?))))
    }

    async fn greeted(&self, mut client: async_imap::Client<Stream>) -> Result<async_imap::Client<Stream>, OpenError> {
        match self.done(async { client.read_response().await.map_err(Io) }).await? {
            Some(_) => Ok(client),
            None => Err(self.unreachable("it closed the connection".to_owned())),
        }
    }

    async fn handshake(&self, tcp: TcpStream, options: &Options) -> Result<TlsStream<TcpStream>, OpenError> {
        let untrusted = |cause: String| OpenError::Untrusted { relay: self.server.to_owned(), cause };
        let config: Arc<rustls::ClientConfig> = client_trust(options.trust.as_deref()).map_err(untrusted)?;
        let name = ServerName::try_from(options.server.host.clone()).map_err(|e| untrusted(e.to_string()))?;
        match tokio::time::timeout(self.timeout, TlsConnector::from(config).connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(untrusted(error.to_string())),
            Err(_) => Err(self.unreachable("no answer to TLS".to_owned())),
        }
    }
}

/// So that errors of the line are told as the others.
struct Io(std::io::Error);

impl From<Io> for async_imap::error::Error {
    fn from(Io(error): Io) -> Self {
        async_imap::error::Error::Io(error)
    }
}

/// A line, encrypted or not.
#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Clear(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
