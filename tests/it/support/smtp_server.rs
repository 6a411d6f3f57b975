//! A mail server inside the test: it keeps every message, says what the test wants, and breaks where the test wants.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A moment at which a test may step in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// While the message arrives.
    Middle,
    /// The final dot is there.
    Dot,
    Rset,
}

/// Where the server is, for the test to decide.
#[derive(Debug)]
pub struct At<'a> {
    pub moment: Moment,
    /// The recipient, once known.
    pub to: &'a str,
    /// Connections so far, this one among them.
    pub connection: usize,
}

/// What the server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// What a friendly server does.
    Usual,
    /// These bytes instead; what begins with 2 (or 354 to DATA) goes on as usual.
    Say(&'static [u8]),
    /// Takes the message, says something else.
    KeepAndSay(&'static [u8]),
    /// These bytes, and the connection is closed.
    SayAndClose(&'static [u8]),
    /// Closed without a word.
    Close,
    /// Takes the message, and closes without a word.
    KeepAndClose,
    /// Nothing is ever said.
    Mute,
}

type Decide = Box<dyn Fn(&At<'_>) -> Act + Send + Sync>;

pub struct Script {
    pub extensions: Vec<&'static str>,
    pub tls: Option<TlsAcceptor>,
    /// TLS from the first byte.
    pub implicit: bool,
    pub login: Option<(&'static str, &'static str)>,
    pub decide: Decide,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            extensions: vec!["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"],
            tls: None,
            implicit: false,
            login: None,
            decide: Box::new(|_| Act::Usual),
        }
    }
}

/// A message that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub from: String,
    pub to: String,
    pub message: Vec<u8>,
    pub secure: bool,
    pub user: Option<String>,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub kept: Vec<Kept>,
    pub connections: usize,
    pub quits: usize,
    /// Commands, as they came.
    pub commands: Vec<String>,
    /// Commands that were there before the one before them was answered.
    pub ahead: usize,
}

pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 until the runtime ends.
    pub async fn start(script: Script) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    /// As [`Server::start`], where the test listens already.
    pub fn listen(listener: TcpListener, script: Script) -> Self {
        let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (script, seen) = (Arc::new(script), server.seen.clone());
        tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                tcp.set_nodelay(true).unwrap();
                let (script, seen) = (script.clone(), seen.clone());
                tokio::spawn(async move {
                    let connection = {
                        let mut seen = seen.lock().unwrap();
                        seen.connections += 1;
                        seen.connections
                    };
                    let session = |secure| Session {
                        script: script.clone(),
                        seen: seen.clone(),
                        connection,
                        to: String::new(),
                        from: String::new(),
                        user: None,
                        secure,
                        unread: vec![],
                    };
                    if script.implicit {
                        let Ok(mut tls) = script.tls.clone().unwrap().accept(tcp).await else { return };
                        session(true).talk(&mut tls, true).await;
                        let _ = tls.shutdown().await;
                        return;
                    }
                    let mut tcp = tcp;
                    if session(false).talk(&mut tcp, true).await == End::StartTls {
                        let Ok(mut tls) = script.tls.clone().unwrap().accept(tcp).await else { return };
                        session(true).talk(&mut tls, false).await;
                    }
                });
            }
        });
        server
    }

    pub fn kept(&self) -> Vec<Kept> {
        self.seen.lock().unwrap().kept.clone()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    StartTls,
}

struct Session {
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
    connection: usize,
    from: String,
    to: String,
    user: Option<String>,
    secure: bool,
    unread: Vec<u8>,
}

/// The connection is over.
struct Gone;

impl Session {
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut self, io: &mut S, greet: bool) -> End {
        match self.converse(io, greet).await {
            Ok(end) => end,
            Err(Gone) => End::Closed,
        }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut S, greet: bool) -> Result<End, Gone> {
        if greet {
            self.act(io, Moment::Greeting, b"220 test.example ready\r\n").await?;
        }
        loop {
            let line = self.line(io).await?;
            let (ahead, word) = (!self.unread.is_empty(), line.split([' ', ':']).next().unwrap_or("").to_uppercase());
            {
                let mut seen = self.seen.lock().unwrap();
                seen.commands.push(if word == "AUTH" { word.clone() } else { line.clone() });
                seen.ahead += usize::from(ahead);
            }
            match word.as_str() {
                "EHLO" => {
                    let mut lines = vec!["test.example".to_owned()];
                    lines.extend(self.script.extensions.iter().map(ToString::to_string));
                    if self.script.tls.is_some() && !self.secure {
                        lines.push("STARTTLS".to_owned());
                    }
                    if self.script.login.is_some() {
                        lines.push("AUTH LOGIN PLAIN XOAUTH2".to_owned());
                    }
                    let last = lines.pop().unwrap_or_default();
                    let mut reply: String = lines.iter().flat_map(|line| ["250-", line, "\r\n"]).collect();
                    reply.extend(["250 ", &last, "\r\n"]);
                    self.act(io, Moment::Ehlo, reply.as_bytes()).await?;
                }
                "STARTTLS" => {
                    if self.act(io, Moment::StartTls, b"220 go\r\n").await? {
                        return Ok(End::StartTls);
                    }
                }
                "AUTH" => {
                    let (user, password) = self.script.login.unwrap_or_default();
                    let plain = format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}")));
                    let token = format!("user={user}\x01auth=Bearer {password}\x01\x01");
                    let bearer = format!("AUTH XOAUTH2 {}", STANDARD.encode(token));
                    let reply: &[u8] = if line == plain || line == bearer {
                        b"235 2.7.0 welcome\r\n"
                    } else {
                        b"535 5.7.8 wrong user or password\r\n"
                    };
                    if self.act(io, Moment::Auth, reply).await? && reply[0] == b'2' {
                        self.user = Some(user.to_owned());
                    }
                }
                "MAIL" => {
                    self.to.clear();
                    let nested = !self.from.is_empty();
                    let reply: &[u8] = if nested { b"503 5.5.1 nested MAIL\r\n" } else { b"250 2.1.0 ok\r\n" };
                    if self.act(io, Moment::Mail, reply).await? && !nested {
                        self.from = line;
                    }
                }
                "RCPT" => {
                    let to = line.split(['<', '>']).nth(1).unwrap_or("").to_owned();
                    self.to.clone_from(&to);
                    let reply: &[u8] =
                        if self.from.is_empty() { b"503 5.5.1 no MAIL\r\n" } else { b"250 2.1.5 ok\r\n" };
                    let taken = self.act(io, Moment::Rcpt, reply).await? && !self.from.is_empty();
                    self.to = if taken { to } else { String::new() };
                }
                "DATA" => {
                    let reply: &[u8] = if self.to.is_empty() { b"503 5.5.1 no RCPT\r\n" } else { b"354 go\r\n" };
                    if self.act(io, Moment::Data, reply).await? {
                        self.message(io).await?;
                    }
                }
                "RSET" => {
                    self.from.clear();
                    self.to.clear();
                    self.act(io, Moment::Rset, b"250 2.0.0 ok\r\n").await?;
                }
                "QUIT" => {
                    self.seen.lock().unwrap().quits += 1;
                    let _ = io.write_all(b"221 2.0.0 bye\r\n").await;
                    return Ok(End::Closed);
                }
                _ => self.say(io, b"500 5.5.2 what?\r\n").await?,
            }
        }
    }

    async fn message<S: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut S) -> Result<(), Gone> {
        match self.decide(Moment::Middle) {
            Act::Close => {
                if self.unread.is_empty() {
                    self.read(io).await?;
                }
                return Err(Gone);
            }
            // Nothing is read any more.
            Act::Mute => return self.mute().await,
            _ => {}
        }
        let mut message = vec![];
        loop {
            let line = self.raw_line(io).await?;
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.seen.lock().unwrap().ahead += usize::from(!self.unread.is_empty());
        let kept = Kept {
            from: std::mem::take(&mut self.from),
            to: self.to.clone(),
            message,
            secure: self.secure,
            user: self.user.clone(),
        };
        let keep = |kept| self.seen.lock().unwrap().kept.push(kept);
        match self.decide(Moment::Dot) {
            Act::Usual if kept.to.is_empty() => self.say(io, b"554 5.5.1 no valid recipients\r\n").await,
            Act::Usual => {
                keep(kept);
                self.say(io, b"250 2.0.0 kept\r\n").await
            }
            Act::Say(bytes) => self.say(io, bytes).await,
            Act::KeepAndSay(bytes) => {
                keep(kept);
                self.say(io, bytes).await
            }
            Act::SayAndClose(bytes) => {
                self.say(io, bytes).await?;
                Err(Gone)
            }
            Act::Close => Err(Gone),
            Act::KeepAndClose => {
                keep(kept);
                Err(Gone)
            }
            Act::Mute => self.mute().await,
        }
    }

    fn decide(&self, moment: Moment) -> Act {
        (self.script.decide)(&At { moment, to: &self.to, connection: self.connection })
    }

    /// Answers whether the step was taken.
    async fn act<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        moment: Moment,
        usual: &[u8],
    ) -> Result<bool, Gone> {
        match self.decide(moment) {
            Act::Usual => {
                self.say(io, usual).await?;
                Ok(matches!(usual[0], b'2' | b'3'))
            }
            Act::Say(bytes) | Act::KeepAndSay(bytes) => {
                self.say(io, bytes).await?;
                Ok(bytes[0] == if moment == Moment::Data { b'3' } else { b'2' })
            }
            Act::SayAndClose(bytes) => {
                self.say(io, bytes).await?;
                Err(Gone)
            }
            Act::Close | Act::KeepAndClose => Err(Gone),
            Act::Mute => self.mute().await,
        }
    }

    async fn mute<T>(&self) -> Result<T, Gone> {
        tokio::time::sleep(Duration::from_hours(1)).await;
        Err(Gone)
    }

    async fn say<S: AsyncWrite + Unpin>(&self, io: &mut S, bytes: &[u8]) -> Result<(), Gone> {
        io.write_all(bytes).await.map_err(|_| Gone)?;
        io.flush().await.map_err(|_| Gone)
    }

    async fn line<S: AsyncRead + Unpin>(&mut self, io: &mut S) -> Result<String, Gone> {
        let line = self.raw_line(io).await?;
        Ok(String::from_utf8(line).map_err(|_| Gone)?.trim_end().to_owned())
    }

    async fn raw_line<S: AsyncRead + Unpin>(&mut self, io: &mut S) -> Result<Vec<u8>, Gone> {
        loop {
            if let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
                return Ok(self.unread.drain(..=end).collect());
            }
            self.read(io).await?;
        }
    }

    async fn read<S: AsyncRead + Unpin>(&mut self, io: &mut S) -> Result<(), Gone> {
        self.unread.reserve(64 * 1024);
        match io.read_buf(&mut self.unread).await {
            Ok(n) if n > 0 => Ok(()),
            _ => Err(Gone),
        }
    }
}
