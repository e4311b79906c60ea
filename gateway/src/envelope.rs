//! The SMTP envelope: who a message comes from and whom it goes to. The envelope decides, headers never.
//!
//! Standards: RFC 5321 2.3.1, 4.1.2; RFC 3461 (DSN), RFC 6152 (BODY), RFC 6531 (SMTPUTF8).

mod dsn;

use std::fmt;

use sealpost_vault::EmailAddress;
use serde::{Deserialize, Serialize};

pub use dsn::{Dsn, DsnError, Notify, OriginalRecipient, RecipientDsn, Return, Xtext};

/// Where bounces go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`: bounces and automatic notices. Never answered with a bounce.
    Null,
    Address(EmailAddress),
}

impl ReversePath {
    /// The address, unless it is null.
    pub fn address(&self) -> Option<&EmailAddress> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// As in a command, without the angle brackets; empty for the null path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What the client declared about its bytes (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyType {
    #[default]
    SevenBit,
    EightBitMime,
}

/// Whether addresses and header may hold more than ASCII (RFC 6531).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Charset {
    #[default]
    Ascii,
    /// The client said SMTPUTF8: the next hop must know it as well, or the message goes back.
    Utf8,
}

/// One mail transaction's envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub reverse_path: ReversePath,
    /// At least one, in the order given, without repetition.
    pub recipients: Vec<EmailAddress>,
    pub body: BodyType,
    #[serde(default)]
    pub charset: Charset,
    /// What the client wants to hear of the message's fate.
    #[serde(default)]
    pub dsn: Dsn,
}

impl Envelope {
    /// Without wishes of the client's.
    pub fn plain(reverse_path: ReversePath, recipients: Vec<EmailAddress>, body: BodyType) -> Self {
        Self { reverse_path, recipients, body, charset: Charset::default(), dsn: Dsn::default() }
    }
}
