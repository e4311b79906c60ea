//! Delivery: our own SMTP client, which hands one mail to a next hop and says for each recipient what became of it.
//!
//! It is our own because a relay needs what a submission library leaves out: a verdict per recipient, PIPELINING, the
//! waiting times of the standard, and a STARTTLS that can't be talked over. One mail, one transaction, up to
//! [`MOST_RECIPIENTS`] recipients. A connection survives its transaction; [`Pool`] keeps it for the next one, and goes on to
//! a destination's other hosts where one can't be reached.
//!
//! Security: a next hop is not believed. Its replies are bounded in length, lines and time; what doesn't look like a reply
//! ends the connection and is tried again later, never taken for a "yes". Whatever was sent in clear behind the `220` to
//! STARTTLS ends the connection too. Where TLS is required, nothing is ever sent in clear.
//! Standards: RFC 5321, RFC 1870 (SIZE), RFC 2034 (enhanced status), RFC 2920 (PIPELINING), RFC 3207 (STARTTLS), RFC 3461
//! (DSN), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8).

use std::time::Duration;

use sealpost_vault::EmailAddress;

use crate::envelope::ReversePath;

mod connection;
mod content;
mod hops;
mod pool;
mod reply;
mod requests;
mod stored;
mod tls;
mod transaction;
mod wire;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use connection::{Client, Connection};
pub use hops::{Choice, Destination, Hops, NextHop, TlsMode};
pub use pool::{Delivery, Limits, Pool};
pub(crate) use stored::Found;

pub use requests::{Requests, Taken};
pub use stored::Stored;
pub use tls::Trust;

/// Recipients in one transaction: what every server must take (RFC 5321 4.5.3.1.8).
pub const MOST_RECIPIENTS: usize = 100;

/// One mail to hand over.
#[derive(Clone, Copy, Debug)]
pub struct Transmission<'a> {
    pub reverse_path: &'a ReversePath,
    /// One to [`MOST_RECIPIENTS`].
    pub recipients: &'a [EmailAddress],
    pub content: Content<'a>,
}

/// Lines end with CRLF; not dot-stuffed.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    Whole(&'a [u8]),
    /// Read while it is sent.
    Stored(&'a Stored),
}

impl<'a> Content<'a> {
    /// What has the whole header.
    pub(crate) fn header(self) -> &'a [u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Stored(stored) => stored.header(),
        }
    }

    /// Nothing of what is stored.
    pub(crate) fn whole(self) -> &'a [u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Stored(_) => &[],
        }
    }
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop has taken responsibility; its reply.
    Delivered(String),
    /// Not now.
    Later(Failure),
    /// Never.
    Refused(Failure),
}

/// Why a recipient didn't get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// RFC 3463, such as `5.1.1`.
    pub status: String,
    /// One line of printable ASCII, at most [`LONGEST_TEXT`] characters.
    pub text: String,
    pub said_by: Speaker,
}

/// Longest text of a [`Failure`], in characters.
pub const LONGEST_TEXT: usize = 400;

/// Who found that it can't be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The next hop, by a reply.
    NextHop,
    /// We ourselves.
    Us,
}

impl Failure {
    /// A failure that we found ourselves; `text` is a fixed text.
    pub(crate) fn ours(status: &str, text: &str) -> Self {
        Self { status: status.to_owned(), text: reply::one_line(text), said_by: Speaker::Us }
    }
}

/// What came of handing over one mail.
#[derive(Debug)]
pub struct Handover {
    /// One for each recipient, in their order.
    pub outcomes: Vec<Outcome>,
    /// Still open where the dialogue ended well: use it again, or [`Connection::quit`] it.
    pub connection: Option<Connection>,
}

/// How long the next hop may take (RFC 5321 4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the greeting.
    pub greeting: Duration,
    /// For EHLO, HELO, RSET, STARTTLS, MAIL and each RCPT.
    pub command: Duration,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the `354` to DATA.
    pub data: Duration,
    /// For each block of content.
    pub block: Duration,
    /// For the reply to the final dot.
    pub end: Duration,
    /// For the reply to QUIT, which nothing depends on.
    pub quit: Duration,
    /// For everything together, so that a hop that drips can't hold a worker for ever.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            command: minutes(5),
            handshake: minutes(1),
            data: minutes(2),
            block: minutes(3),
            end: minutes(10),
            quit: Duration::from_secs(5),
            whole: minutes(60),
        }
    }
}
