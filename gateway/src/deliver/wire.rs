//! The bytes between us and the next hop: commands out, replies in, in clear or under TLS.
//!
//! Security: a reply is bounded in line length, lines and time. What lies in the buffer before we asked is no answer to
//! what we ask next: it ends the connection, unless it says that the server is closing.
//! Standards: RFC 5321 4.2, RFC 3207 6 (nothing from before TLS is believed).

use std::io;
use std::time::Duration;

use futures::FutureExt;
use sealpost_vault::StoreError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::Failure;
use super::reply::{Reply, ReplyReader};

/// Why a connection can't be used any more. Nothing of this is a verdict on a recipient.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("The next hop can't be reached")]
    Unreachable(#[source] io::Error),
    #[error("The next hop took too long")]
    TooSlow,
    #[error("The connection to the next hop broke")]
    Lost(#[source] io::Error),
    #[error("The next hop closed the connection")]
    Closed,
    #[error("The next hop is closing the connection")]
    Closing(Reply),
    #[error("The next hop is not ready for mail")]
    NotReady(Reply),
    #[error("The next hop sent something that is no reply")]
    Garbage,
    #[error("The next hop sent a reply that nothing asked for")]
    Unasked,
    #[error("The next hop sent something in clear after the start of TLS")]
    Injected,
    #[error("TLS with the next hop failed")]
    Tls(#[source] io::Error),
    #[error("The next hop's name can't stand in a certificate")]
    Name,
    #[error("The next hop doesn't offer TLS, which is required")]
    TlsMissing,
    #[error("The message can't be read from the queue now")]
    Unreadable(#[source] StoreError),
}

impl Broken {
    /// As a "not now" for whoever had no verdict yet.
    pub(super) fn failure(&self) -> Failure {
        match self {
            // Whatever class the code has: the server refuses this session, not a recipient.
            Self::Closing(reply) | Self::NotReady(reply) => {
                let said = reply.failure();
                let status = if said.status.starts_with('4') { said.status } else { "4.3.0".to_owned() };
                Failure { status, ..said }
            }
            Self::Unreachable(_) => Failure::ours("4.4.1", &self.to_string()),
            Self::TooSlow | Self::Lost(_) | Self::Closed => Failure::ours("4.4.2", &self.to_string()),
            Self::Unreadable(_) => Failure::ours("4.3.0", &self.to_string()),
            Self::Garbage | Self::Unasked => Failure::ours("4.5.0", &self.to_string()),
            Self::Tls(cause) => {
                Failure::ours("4.7.5", &distrust(cause).map_or_else(|| self.to_string(), ToOwned::to_owned))
            }
            Self::Injected | Self::Name | Self::TlsMissing => Failure::ours("4.7.5", &self.to_string()),
        }
    }
}

/// What an administrator must know to mend it, if it was the certificate.
fn distrust(cause: &io::Error) -> Option<&'static str> {
    use rustls::CertificateError as Wrong;
    let rustls::Error::InvalidCertificate(wrong) = cause.get_ref()?.downcast_ref::<rustls::Error>()? else {
        return None;
    };
    Some(match wrong {
        Wrong::UnknownIssuer => "The next hop's certificate comes from no authority that this system trusts",
        Wrong::Expired | Wrong::ExpiredContext { .. } => "The next hop's certificate has expired",
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => "The next hop's certificate is not valid yet",
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            "The next hop's certificate is for another name than the configured one"
        }
        Wrong::Revoked => "The next hop's certificate was revoked",
        _ => "The next hop's certificate can't be verified",
    })
}

/// The stream, before and after STARTTLS.
#[derive(Debug)]
pub(super) enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream with what was read ahead.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    replies: ReplyReader,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, replies: ReplyReader::default() }
    }

    pub(super) fn is_clear(&self) -> bool {
        matches!(self.stream, Stream::Clear(_))
    }

    /// The TCP stream, for TLS. Fails if anything was sent in clear behind the reply.
    pub(super) fn into_tcp(self) -> Result<TcpStream, Broken> {
        if !self.replies.is_empty() {
            return Err(Broken::Injected);
        }
        match self.stream {
            Stream::Clear(tcp) => Ok(tcp),
            Stream::Tls(_) => Err(Broken::Garbage),
        }
    }

    /// Sends commands; what follows must be read with [`Wire::reply`], as often as there are commands.
    pub(super) async fn send(&mut self, bytes: &[u8], patience: Duration) -> Result<(), Broken> {
        self.nothing_ahead(patience).await?;
        self.write(bytes, patience).await
    }

    /// Fails if the server has said something that nothing asked for: it would be taken for the next answer.
    pub(super) async fn nothing_ahead(&mut self, patience: Duration) -> Result<(), Broken> {
        if self.replies.is_empty() {
            return Ok(());
        }
        // A `421` says itself why.
        self.reply(patience).await?;
        Err(Broken::Unasked)
    }

    /// Whether the server has said nothing that isn't read yet. Doesn't wait.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.replies.is_empty() && self.read_some().now_or_never().is_none() && self.replies.is_empty()
    }

    /// Sends content, which has no reply before its end.
    pub(super) async fn write(&mut self, bytes: &[u8], patience: Duration) -> Result<(), Broken> {
        let write = async {
            match &mut self.stream {
                Stream::Clear(tcp) => tcp.write_all(bytes).await,
                Stream::Tls(tls) => {
                    tls.write_all(bytes).await?;
                    tls.flush().await
                }
            }
        };
        timeout(patience, write).await.map_err(|_| Broken::TooSlow)?.map_err(Broken::Lost)
    }

    /// The next reply, whole, within `patience`. A `421` ends the connection, whatever it answers (RFC 5321 3.8).
    pub(super) async fn reply(&mut self, patience: Duration) -> Result<Reply, Broken> {
        let reply = timeout(patience, self.read_reply()).await.map_err(|_| Broken::TooSlow)??;
        if reply.code == 421 { Err(Broken::Closing(reply)) } else { Ok(reply) }
    }

    async fn read_reply(&mut self) -> Result<Reply, Broken> {
        loop {
            if let Some(reply) = self.replies.reply().map_err(|_| Broken::Garbage)? {
                return Ok(reply);
            }
            self.read_some().await?;
        }
    }

    async fn read_some(&mut self) -> Result<(), Broken> {
        let mut block = [0; 4096];
        let read = match &mut self.stream {
            Stream::Clear(tcp) => tcp.read(&mut block).await,
            Stream::Tls(tls) => tls.read(&mut block).await,
        };
        match read.map_err(Broken::Lost)? {
            0 => Err(Broken::Closed),
            n => {
                self.replies.take(block.get(..n).unwrap_or_default());
                Ok(())
            }
        }
    }
}
