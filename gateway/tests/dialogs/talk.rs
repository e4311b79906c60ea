//! Holds one dialogue with a fresh server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sealpost_gateway::smtp::ReceivedMessage;
use sealpost_gateway::{BodyType, Charset};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::script::{Script, Step};
use crate::server::{NOW, Tls, start};

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How texts are cut on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    Whole,
    Octets,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client that reads replies line by line.
pub struct Talk {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

impl Talk {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// A connection that is reset when it is dropped.
    async fn resetting(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_zero_linger().unwrap();
        Self { stream: Box::new(socket.connect(address).await.unwrap()), unread: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8], pieces: Pieces) {
        let size = if pieces == Pieces::Whole { bytes.len().max(1) } else { 1 };
        for piece in bytes.chunks(size) {
            // A server that has closed already says why in what it wrote before.
            if self.stream.write_all(piece).await.is_err() || self.stream.flush().await.is_err() {
                return;
            }
        }
    }

    /// Octet by octet, each after a pause.
    async fn trickle(&mut self, bytes: &[u8], pause: Duration) {
        for octet in bytes {
            sleep(pause).await;
            self.send(&[*octet], Pieces::Whole).await;
        }
    }

    /// The server's next line; `None` at the end of the connection.
    pub async fn line(&mut self) -> Result<Option<String>, String> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").ok_or("a reply doesn't end with CRLF")?;
                return String::from_utf8(line.to_vec()).map(Some).map_err(|error| error.to_string());
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await {
                Err(_) => return Err("the server says nothing and stays".into()),
                Ok(Ok(0)) if self.unread.is_empty() => return Ok(None),
                Ok(Ok(0)) => return Err("the connection ended within a reply".into()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Ok(Err(error)) => return Err(error.to_string()),
            }
        }
    }

    /// Expects the next line.
    pub async fn expect(&mut self, pattern: &str) -> Result<(), String> {
        match self.line().await? {
            Some(line) if matches(pattern, &line) => Ok(()),
            Some(line) => Err(format!("expected {pattern:?}, the server said {line:?}")),
            None => Err(format!("expected {pattern:?}, the server closed")),
        }
    }

    pub async fn closed(&mut self) -> Result<(), String> {
        match self.line().await? {
            None => Ok(()),
            Some(line) => Err(format!("expected the end, the server said {line:?}")),
        }
    }

    /// Expects the end, after octets that are no reply (such as a TLS alert).
    async fn cut(&mut self) -> Result<(), String> {
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut self.unread)).await;
        match read.map_err(|_| "the server stays")? {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error.to_string()),
            _ if self.unread.windows(3).any(|octets| octets.iter().all(u8::is_ascii_digit)) => {
                Err("the server has replied".into())
            }
            _ => Ok(()),
        }
    }

    async fn handshake(self, config: Arc<ClientConfig>) -> Result<Self, String> {
        if !self.unread.is_empty() {
            return Err("the server said something before the handshake".into());
        }
        let name = ServerName::try_from("gateway.example").unwrap();
        let secured = timeout(PATIENCE, TlsConnector::from(config).connect(name, self.stream)).await;
        let stream = secured.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Ok(Self { stream: Box::new(stream), unread: Vec::new() })
    }
}

/// Drops a connection, and takes the only place that there is when it is free.
async fn successor(gone: Talk, server: SocketAddr) -> Result<Talk, String> {
    drop(gone);
    let readmitted = async {
        loop {
            let mut next = Talk::to(server).await;
            if next.line().await.is_ok_and(|line| line.is_some_and(|line| line.starts_with("220 "))) {
                return next;
            }
        }
    };
    timeout(PATIENCE, readmitted).await.map_err(|_| "the session of a client that is gone goes on".to_owned())
}

/// Holds `script`; what went wrong names the file and the line.
pub async fn hold(script: &Script, pieces: Pieces) -> Result<(), String> {
    let tls = script.tls.then(|| Tls::new(script.shown));
    let config = tls.as_ref().map(|tls| Arc::clone(&tls.server));
    let mut settings = script.settings.clone();
    settings.certificates = tls.as_ref().map(|tls| Arc::clone(&tls.certificates));
    let server = start(settings, script.door, config, script.mood, 1000).await;
    let mut talk = if script.resets { Talk::resetting(server.address).await } else { Talk::to(server.address).await };
    let (mut sent, mut heard) = (Instant::now(), Instant::now());
    for (number, step) in &script.steps {
        let last = || server.intake.accepted.lock().unwrap().last().cloned().ok_or("nothing was accepted".to_owned());
        let outcome = match step {
            Step::Send(bytes) => {
                sent = Instant::now();
                talk.send(bytes, pieces).await;
                Ok(())
            }
            Step::Trickle(pause, bytes) => {
                sent = Instant::now();
                talk.trickle(bytes, *pause).await;
                Ok(())
            }
            Step::Expect(pattern) => {
                let outcome = talk.expect(pattern).await;
                heard = Instant::now();
                outcome
            }
            Step::Waited(least) => match heard.saturating_duration_since(sent) {
                waited if waited >= *least => Ok(()),
                waited => Err(format!("the reply came after {waited:?}, not {least:?}")),
            },
            Step::Half => talk.stream.shutdown().await.map_err(|error| error.to_string()),
            Step::Goes => {
                talk = successor(talk, server.address).await?;
                Ok(())
            }
            Step::Closed => talk.closed().await,
            Step::Cut => talk.cut().await,
            Step::Handshake => {
                let config = Arc::clone(&tls.as_ref().unwrap().client);
                match talk.handshake(config).await {
                    Ok(secured) => {
                        talk = secured;
                        Ok(())
                    }
                    Err(error) => return Err(format!("{}:{number}: {error}", script.name)),
                }
            }
            Step::Accepted(count) => same(&server.intake.accepted.lock().unwrap().len(), count),
            fact => last().and_then(|message| check(fact, &message)),
        };
        outcome.map_err(|error| format!("{}:{number}: {error}", script.name))?;
    }
    drop(talk);
    server.stop.cancel();
    timeout(PATIENCE, server.task).await.map_err(|_| format!("{}: the server doesn't stop", script.name))?.unwrap();
    Ok(())
}

fn check(fact: &Step, message: &ReceivedMessage) -> Result<(), String> {
    assert_eq!(message.received_at, NOW);
    match fact {
        Step::From(address) => same(&message.envelope.reverse_path.to_string(), address),
        Step::To(addresses) => same(&message.envelope.recipients.iter().map(ToString::to_string).collect(), addresses),
        Step::Body(word) => same(
            &message.envelope.body,
            &match word.as_str() {
                "8bitmime" => BodyType::EightBitMime,
                _ => BodyType::SevenBit,
            },
        ),
        Step::Tls(active) => same(&message.client.tls, active),
        Step::Charset(word) => same(&(message.envelope.charset == Charset::Utf8), &(word == "utf8")),
        Step::Client(address) => same(&message.client.address.to_string(), address),
        Step::Dsn(wishes) => {
            let dsn = &message.envelope.dsn;
            same(&format!("{} {}", said(dsn.ret.as_ref()), said(dsn.envid.as_ref())), wishes)
        }
        Step::Asked(wishes) => {
            let address = wishes.split(' ').next().unwrap_or_default();
            let dsn = message.envelope.dsn.of(&address.parse().map_err(|_| "no address")?);
            same(&format!("{address} {} {}", said(dsn.notify.as_ref()), said(dsn.orcpt.as_ref())), wishes)
        }
        Step::Bytes(bytes) => same(&String::from_utf8_lossy(&message.bytes), &String::from_utf8_lossy(bytes)),
        other => Err(format!("{other:?} is no fact")),
    }
}

fn said(wish: Option<&impl std::fmt::Display>) -> String {
    wish.map_or("-".to_owned(), ToString::to_string)
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}")) }
}

/// `*` stands for any octets, the rest for itself.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).filter_map(|at| text.get(at..)).any(|tail| matches(rest, tail))),
    }
}
