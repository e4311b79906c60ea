//! A small SMTP client that sends exactly the given bytes, and swaks for what a user would type.
//!
//! Standards: RFC 5321.

use std::process::Command;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::patience::PATIENCE;
use crate::process::run;

/// A reply with all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// What became of one message: a reply for each recipient, and the one after the data, if it came to that.
#[derive(Debug)]
pub struct Outcome {
    pub recipients: Vec<Reply>,
    pub data: Option<Reply>,
}

impl Outcome {
    pub fn accepted(&self) -> bool {
        self.recipients.iter().all(|reply| reply.code == 250)
            && self.data.as_ref().is_some_and(|reply| reply.code == 250)
    }
}

pub struct Client {
    stream: BufReader<TcpStream>,
    pub banner: Reply,
}

impl Client {
    /// None if nobody listens or the server hangs up before its banner.
    pub async fn try_connect(port: u16) -> Option<Self> {
        let stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.ok()?);
        let mut client = Self { stream, banner: Reply { code: 0, lines: Vec::new() } };
        client.banner = client.reply().await?;
        Some(client)
    }

    pub async fn connect(port: u16) -> Self {
        Self::try_connect(port).await.unwrap_or_else(|| panic!("no SMTP server on port {port}"))
    }

    /// Bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// One command line, and its reply.
    pub async fn command(&mut self, line: &str) -> Reply {
        self.raw(format!("{line}\r\n").as_bytes()).await;
        self.reply().await.unwrap_or_else(|| panic!("the server hung up after {line}"))
    }

    /// The next reply; None if the server hangs up.
    pub async fn reply(&mut self) -> Option<Reply> {
        tokio::time::timeout(PATIENCE, self.read_reply()).await.expect("an SMTP reply in time")
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if (&mut self.stream).take(4096).read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']);
            let (code, rest) = line.split_at_checked(3)?;
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            // RFC 5321 4.2.1: a hyphen after the code says that more lines follow.
            if !rest.starts_with('-') {
                return Some(Reply { code: code.parse().ok()?, lines });
            }
        }
    }

    /// MAIL, RCPT and DATA for one message; the data is dot-stuffed and otherwise sent as it is.
    pub async fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> Outcome {
        let reply = self.command(&format!("MAIL FROM:<{from}>")).await;
        assert_eq!(reply.code, 250, "MAIL FROM:<{from}>: {reply:?}");
        let mut recipients = Vec::new();
        for address in to {
            recipients.push(self.command(&format!("RCPT TO:<{address}>")).await);
        }
        if recipients.iter().all(|reply| reply.code != 250) {
            return Outcome { recipients, data: None };
        }
        let reply = self.command("DATA").await;
        if reply.code != 354 {
            return Outcome { recipients, data: Some(reply) };
        }
        self.raw(&dot_stuffed(message)).await;
        self.raw(b".\r\n").await;
        let data = Some(self.reply().await.expect("a reply after the data"));
        Outcome { recipients, data }
    }
}

/// One message in a session of its own.
pub async fn send(port: u16, from: &str, to: &[&str], message: &[u8]) -> Outcome {
    let mut client = Client::connect(port).await;
    client.command("EHLO client.klinik.example").await;
    let outcome = client.deliver(from, to, message).await;
    client.command("QUIT").await;
    outcome
}

/// What swaks printed; panics if it failed.
pub fn swaks(port: u16, arguments: &[&str]) -> String {
    let mut command = Command::new("swaks");
    command.args(["--server", "127.0.0.1", "--port", &port.to_string(), "--helo", "client.klinik.example"]);
    command.args(arguments);
    run(command)
}

/// RFC 5321 4.5.2; ends with CRLF.
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
}
