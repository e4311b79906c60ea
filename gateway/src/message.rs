//! The message: what a mail says about itself, what of it leaves, and what of it is made ready for reading.
//!
//! Nothing here does I/O. The header is taken apart once, strictly, because policy decides on it; the MIME structure is
//! walked by a loop of our own (never by recursion) and nested messages are never entered, so that nesting costs
//! nothing. MIME that can't be walked or decoded is no reason to refuse a mail: it is sealed whole.
//!
//! Security: every byte here was written by somebody else. Size, field count, depth, part count and the weight of HTML
//! are bounded ([`limits`]); subjects, names and content are never logged.
//! Standards: RFC 5322, RFC 2045-2047, RFC 2183, RFC 2231.

mod bodies;
mod decode;
mod enclosure;
mod facts;
mod flowed;
mod header;
mod html;
mod outgoing;
mod prepare;
mod rewrite;
mod structure;
mod subject;
mod trace;

#[cfg(test)]
mod samples;

use std::fmt;

use sealpost_vault::{EmailAddress, Time};

use crate::rejection::Rejection;
use crate::smtp::ReceivedMessage;

pub(crate) use header::{Field, Header, Strictness, first_field};
pub(crate) use structure::{Node, Structure};

pub use facts::{Author, Facts, Protect, Sensitivity};
pub use outgoing::outgoing;
pub use prepare::prepare;
pub use subject::{Tag, without_tags};
pub use trace::trace_header;

/// How much of a stranger's message is looked at.
pub mod limits {
    /// Octets of one header section.
    pub const HEADER: usize = 256 * 1024;
    /// Fields of one header section.
    pub const FIELDS: usize = 1_000;
    /// Received fields: more mean a loop (RFC 5321 6.3).
    pub const RECEIVED: usize = 50;
    /// Multiparts within each other.
    pub const DEPTH: usize = 100;
    /// Parts of one message, multiparts included.
    pub const PARTS: usize = 10_000;
}

/// A name and an address out of a header: for showing, never for deciding.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Decoded; empty where the header gave none.
    pub name: String,
    pub address: EmailAddress,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({:?})", self.address)
    }
}

/// A message whose header was understood.
pub struct ParsedMessage {
    pub received: ReceivedMessage,
    pub facts: Facts,
}

impl ParsedMessage {
    /// Reads the header and walks the structure; decodes every part once to know that it can be. Not for an async thread.
    ///
    /// # Errors
    /// [`Rejection::LOOP`] for more than 50 Received fields; [`Rejection::UNREADABLE_HEADER`] for a header section that is
    /// too large or holds a line that is no field: nobody can say then which control headers the sender meant.
    pub fn parse(received: ReceivedMessage) -> Result<Self, Rejection> {
        let facts = facts::read(&received.bytes, &received.queue_id)?;
        Ok(Self { received, facts })
    }
}

/// The content made ready for reading: what gets sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Without tags.
    pub subject: String,
    pub from: Vec<Mailbox>,
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    /// The Date field, or when the message came in.
    pub date: Time,
    /// Bodies first (HTML before text), then enclosures.
    pub parts: Vec<Part>,
}

/// What a part is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    Body,
    Enclosure,
}

/// One part of a letter.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    pub kind: PartKind,
    /// A safe file name, unique within the letter; empty for bodies.
    pub name: String,
    /// `type/subtype` in lower case without parameters; bodies are `text/plain` or `text/html` in UTF-8.
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Part {
    /// Without name and content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({:?}, {}, {} octets)", self.kind, self.media_type, self.bytes.len())
    }
}
