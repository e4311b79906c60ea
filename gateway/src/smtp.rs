//! The SMTP server: takes messages from an organisation's mail server and hands them to an [`Intake`].
//!
//! Our own, because no crate of the field ends lines and data only where the standard does, and that is what keeps two
//! servers from disagreeing about where one message ends and the next begins (SMTP smuggling).
//! The core does no I/O: [`line`] and [`data`] are fed byte slices, [`command`] parses, [`dialogue`] knows the order of
//! things. Around it, [`wire`] reads and writes within limits, [`session`] holds one conversation, [`listener`] accepts.
//!
//! Security: everything here speaks with the network before anything is trusted. Every line, message, wait and count
//! has a limit in [`Settings`]; what a client is told comes from [`crate::rejection`] and [`reply`] alone.
//!
//! Standards: RFC 5321, RFC 1870 (SIZE), RFC 2034 (ENHANCEDSTATUSCODES), RFC 2920 (PIPELINING), RFC 3207 (STARTTLS),
//! RFC 6152 (8BITMIME), RFC 3030 (CHUNKING), RFC 6531 (SMTPUTF8), RFC 3461 (DSN), RFC 4954 (AUTH), RFC 8314 (TLS from the
//! start).

mod admission;
mod chunk;
mod client_certificate;
mod command;
mod data;
mod dialogue;
mod header_size;
mod line;
mod listener;
mod memory;
mod overflow;
mod patience;
mod proxy;
mod reply;
mod sasl;
mod session;
mod settings;
mod users;
mod wire;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use sealpost_vault::id::QueueId;
use sealpost_vault::{EmailAddress, Time};
use tokio::sync::OwnedSemaphorePermit;

use crate::{Envelope, Rejection, ReversePath};

pub use client_certificate::{AuthoritiesError, ClientCertificates, Fingerprint};
pub use listener::serve;
pub use overflow::Scratch;
pub use settings::{Encryption, Settings};
pub use users::{Users, UsersError};

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// Takes mail from the networks that may relay.
    Inside,
    /// Takes only bounces to our return addresses, from anybody.
    Returns,
}

/// By which of two words a client greets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    Helo,
    #[default]
    Ehlo,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub address: IpAddr,
    /// What it called itself: a name or an address literal, printable ASCII, not verified.
    pub helo: String,
    #[serde(default)]
    pub greeting: Greeting,
    /// Whether the session is encrypted.
    pub tls: bool,
    /// Whether it has shown a password that counts.
    #[serde(default)]
    pub signed_in: bool,
    pub door: Door,
}

impl Client {
    /// In clear and unknown; it says EHLO.
    pub fn new(address: IpAddr, helo: &str, door: Door) -> Self {
        Self { address, helo: helo.to_owned(), greeting: Greeting::default(), tls: false, signed_in: false, door }
    }
}

/// A message as it came, not yet answered for.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    pub queue_id: QueueId,
    pub envelope: Envelope,
    pub client: Client,
    pub received_at: Time,
    /// Header and body: lines end with CRLF, dot-stuffing undone, no trace header of ours yet. May be empty.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for ReceivedMessage {
    /// Without content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedMessage")
            .field("queue_id", &self.queue_id)
            .field("octets", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What stands behind the dialogue.
pub trait Intake: Send + Sync + 'static {
    /// Whether a message from `from` may go to `to`.
    fn recipient(
        &self,
        client: &Client,
        from: &ReversePath,
        to: &EmailAddress,
    ) -> impl Future<Output = Result<(), Rejection>> + Send;

    /// Whether a message can be kept now; asked before the client is told to send it.
    fn ready(&self) -> impl Future<Output = Result<(), Rejection>> + Send;

    /// Where a large message can lie while it comes in; `None`: in memory.
    fn scratch(&self) -> Option<Scratch> {
        None
    }

    /// Waited for before a message of so many octets is brought into memory, and given back when it was taken over. `None`: it
    /// needs no turn, and its memory is counted.
    fn turn(&self, octets: usize) -> impl Future<Output = Option<OwnedSemaphorePermit>> + Send {
        let _ = octets;
        std::future::ready(None)
    }

    /// Takes the message over. `Ok` means that it is durable: the client will forget it.
    fn message(&self, message: ReceivedMessage) -> impl Future<Output = Result<(), Rejection>> + Send;
}
