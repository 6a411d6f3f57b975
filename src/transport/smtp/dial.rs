//! From a relay's name to a connection that takes mail.

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension};
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::{Connection, read};
use super::offers::Offers;
use super::wire::{Tray, Wire};
use super::{Login, Options, Relay, Security, Tls};
use crate::transport::OpenError;

/// An address that does not answer so fast is not waited for alone: the next one is tried beside it (RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Opens one connection to one relay.
pub(super) async fn dial(relay: &Relay, options: &Options, tls: &Tls) -> Result<Connection, OpenError> {
    let host = relay.host.trim_start_matches('[').trim_end_matches(']');
    let hello = options.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
    let call = Call { relay: format!("{}:{}", relay.host, relay.port), host, limit: options.timeout, hello, tls };

    let tcp = call.step(connect(host, relay.port)).await?.map_err(|e| call.unreachable(e))?;
    let (mut smtp, tray) = match relay.security {
        Security::Implicit => call.greet(Wire::tls(call.handshake(tcp).await?)).await?,
        security => call.upgrade(tcp, security).await?,
    };
    let ehlo = call.step(smtp.command(Ehlo::new(call.hello.clone()))).await?;
    let ehlo = ehlo.map_err(|e| call.unreachable(words(e)))?;
    let offers = Offers::read(ehlo.message());
    if let Some(login) = &options.login {
        call.log_in(&mut smtp, login).await?;
    }
    Ok(Connection::new(smtp, tray, offers, options))
}

/// One relay being called.
struct Call<'a> {
    relay: String,
    host: &'a str,
    limit: Duration,
    hello: ClientId,
    tls: &'a Tls,
}

impl Call<'_> {
    /// One step within its time limit.
    async fn step<T>(&self, step: impl Future<Output = T>) -> Result<T, OpenError> {
        let late = |_| self.unreachable(format!("no answer within {} seconds", self.limit.as_secs_f32()));
        tokio::time::timeout(self.limit, step).await.map_err(late)
    }

    async fn greet(&self, (wire, tray): (Wire, Tray)) -> Result<(AsyncSmtpConnection, Tray), OpenError> {
        let greeted = self.step(AsyncSmtpConnection::connect_with_transport(Box::new(wire), &self.hello)).await?;
        Ok((greeted.map_err(|e| self.unreachable(words(e)))?, tray))
    }

    async fn handshake(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, OpenError> {
        let name = ServerName::try_from(self.host.to_owned()).map_err(|e| self.untrusted(e))?;
        let tls = self.tls.as_ref().map_err(|e| self.untrusted(e))?;
        let shaken = self.step(TlsConnector::from(tls.clone()).connect(name, tcp)).await?;
        shaken.map_err(|e| match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(cause) => self.untrusted(cause),
            None => self.unreachable(e),
        })
    }

    /// STARTTLS (RFC 3207). What was read in the clear is thrown away with the connection that read it (section 6).
    async fn upgrade(&self, tcp: TcpStream, security: Security) -> Result<(AsyncSmtpConnection, Tray), OpenError> {
        let tcp = tcp.into_std().map_err(|e| self.unreachable(e))?;
        let twin = tcp.try_clone().map_err(|e| self.unreachable(e))?;
        let tcp = TcpStream::from_std(tcp).map_err(|e| self.unreachable(e))?;
        let (mut smtp, tray) = self.greet(Wire::clear(tcp)).await?;
        if !smtp.server_info().supports_feature(Extension::StartTls) {
            return match security {
                Security::Loopback => Ok((smtp, tray)),
                _ => Err(self.untrusted("it does not offer STARTTLS, and a connection in the clear is not allowed")),
            };
        }
        let ready = self.step(smtp.command(Starttls)).await?;
        ready.map_err(|e| self.unreachable(format!("STARTTLS: {}", words(e))))?;
        drop(smtp);
        let twin = TcpStream::from_std(twin).map_err(|e| self.unreachable(e))?;
        let (wire, tray) = Wire::tls(self.handshake(twin).await?);
        self.greet((wire.greeted(), tray)).await
    }

    async fn log_in(&self, smtp: &mut AsyncSmtpConnection, login: &Login) -> Result<(), OpenError> {
        let refused = |cause: String| OpenError::Login { relay: self.relay.clone(), cause };
        let ways: &[Mechanism] =
            if login.token { &[Mechanism::Xoauth2] } else { &[Mechanism::Plain, Mechanism::Login] };
        if smtp.server_info().get_auth_mechanism(ways).is_none() {
            return Err(refused("it offers no way to log in that we know".to_owned()));
        }
        let fresh = login.fresh.as_deref().map(|file| fresh(file).map_err(|e| self.unreachable(e))).transpose()?;
        let password = fresh.as_ref().unwrap_or(&login.password);
        let with = Credentials::new(login.user.clone(), password.expose_secret().to_owned());
        match self.step(smtp.auth(ways, &with)).await? {
            Ok(_) => Ok(()),
            // lettre's own error: a challenge that the way to log in does not know, as XOAUTH2 answers a bad token.
            Err(e) if e.is_permanent() || e.is_client() => Err(refused(words(e))),
            Err(e) => Err(self.unreachable(words(e))),
        }
    }

    fn unreachable(&self, cause: impl Display) -> OpenError {
        OpenError::Unreachable { relay: self.relay.clone(), cause: cause.to_string() }
    }

    fn untrusted(&self, cause: impl Display) -> OpenError {
        OpenError::Untrusted { relay: self.relay.clone(), cause: cause.to_string() }
    }
}

/// A token that something else keeps fresh, as it stands in its file now. A file that is just being written is no token, and will
/// be one at the next try.
fn fresh(file: &Path) -> Result<SecretString, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("the token's file {}: {e}", file.display()))?;
    let token = text.trim_end_matches(['\n', '\r']);
    if token.is_empty() || token.contains(char::is_control) {
        return Err(format!("the token's file {} holds no token", file.display()));
    }
    Ok(SecretString::from(token.to_owned()))
}

/// What the server said, or what broke.
fn words(error: lettre::transport::smtp::Error) -> String {
    match read(Err(error)) {
        Ok(reply) => reply.to_string(),
        Err(broke) => broke,
    }
}

/// A socket without delay, to the first address of the host that answers.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut addresses = in_turn(tokio::net::lookup_host((host, port)).await?.collect());
    let mut calls = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = addresses.pop_front() {
            calls.spawn(TcpStream::connect(address));
        }
        let patience = if addresses.is_empty() { Duration::MAX } else { NEXT_ADDRESS };
        match tokio::time::timeout(patience, calls.join_next()).await {
            Ok(Some(Ok(Ok(tcp)))) => return tcp.set_nodelay(true).map(|()| tcp),
            Ok(Some(Ok(Err(error)))) => last = error,
            Ok(None) => return Err(last),
            Ok(Some(Err(_))) | Err(_) => {}
        }
    }
}

/// IPv6 and IPv4 by turns, the family of the first one first (RFC 8305 section 4).
fn in_turn(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let six = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == six);
    let mut mixed = VecDeque::new();
    while !(first.is_empty() && second.is_empty()) {
        mixed.extend(first.pop_front());
        mixed.extend(second.pop_front());
    }
    mixed
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let list = |all: &[&str]| all.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = list(&["[::1]:25", "[::2]:25", "[::3]:25", "127.0.0.1:25"]);
        let wanted = list(&["[::1]:25", "127.0.0.1:25", "[::2]:25", "[::3]:25"]);
        assert_eq!(in_turn(given), wanted);
    }
}
