//! Mail loops: a message that we passed on and that comes back for the same recipients is refused.
//!
//! Everything that leaves carries `Sealpost-Passed`, a marker whose MAC only this gateway's keys make. What the MAC covers
//! must be the same when the message comes back through a loop, and different when it comes back for a good reason:
//!
//! - The fields that say which message it is: Message-ID, Date, From, and the fields of who sent it again (Resent-). Servers
//!   may not change these, and refolding them counts as no change. Body and Subject stay out: servers on the way re-encode,
//!   append disclaimers and write `[EXTERNAL]`, each time round.
//! - The envelope recipients. A list's copy or a forwarded mail that passes us again is for others than the first time, and
//!   one for the same recipients isn't. A message that a loop divides among several envelopes is known on its next round.
//! - Our host name and the time: other gateways' markers say nothing to us, and one older than [`COUNTS_FOR`] counts no more.
//!
//! A reply or a forwarded message has fields of its own and no marker in its header; an enclosed one isn't looked at. What
//! this doesn't find, for instance where somebody on the way takes the marker out, ends at the number of Received fields
//! ([`limits::RECEIVED`](crate::message::limits::RECEIVED)).
//!
//! Security: the header is a stranger's. A marker that isn't ours, was changed, or was copied onto another message or to other
//! recipients is ignored, never an error, and stays where it is. Who sees a marker learns our host name and a time, which
//! the trace header has too; of the recipients it tells nothing, not even their number.
//! Standards: RFC 5321 6.3 (loops), RFC 5322 3.6.4, 3.6.6, RFC 2104.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{Context, SHA256};
use sealpost_vault::derive::ctx;
use sealpost_vault::{EmailAddress, Identity, Time};

use crate::keyring::{Keyring, KeyringError, Mark};
use crate::message::{Field, Header, Strictness};

/// The marker's field. Not `X-Sealpost-`: those are orders to a gateway, and taken out.
const FIELD: &str = "Sealpost-Passed";
const PURPOSE: &str = "passed";
/// How long a marker counts, in seconds. Loops are faster; and who sends the same message once more the day after may.
const COUNTS_FOR: Time = 24 * 60 * 60;
/// How far other hosts' clocks may be ahead of ours, in seconds.
const AHEAD: Time = 60 * 60;
/// Markers of one message that are looked at; ours are the uppermost.
const MOST: usize = 64;
/// Which message it is.
const IDENTITY: [&str; 6] = ["message-id", "date", "from", "resent-message-id", "resent-date", "resent-from"];

/// Marks what leaves, and knows it again.
#[derive(Clone)]
pub struct Loops {
    keyring: Arc<Keyring>,
    hostname: String,
}

impl Loops {
    /// `hostname` is ours.
    pub fn new(keyring: Arc<Keyring>, hostname: &str) -> Self {
        Self { keyring, hostname: hostname.to_ascii_lowercase() }
    }

    /// The marker's field with its CRLF, for a message to these recipients.
    pub(crate) fn marker(&self, message: &[u8], to: &[EmailAddress], now: Time) -> Result<String, KeyringError> {
        let covered = self.covered(&identity(&fields(message)), &recipients(to), now)?;
        let Mark { epoch, mac } = self.keyring.mark(PURPOSE, &covered)?;
        let mac = BASE64URL_NOPAD.encode(&mac);
        Ok(format!("{FIELD}: by={}; t={now}; k={epoch};\r\n\tm={mac}\r\n", self.hostname))
    }

    /// Whether this message has left here lately, for these recipients.
    pub(crate) fn know(&self, message: &[u8], to: &[EmailAddress], now: Time) -> bool {
        let fields = fields(message);
        let ours = |marker: &Marker<'_>| {
            marker.by.eq_ignore_ascii_case(&self.hostname)
                && (now.saturating_sub(COUNTS_FOR)..=now.saturating_add(AHEAD)).contains(&marker.time)
        };
        let mut markers =
            fields.iter().filter(|field| field.is(FIELD)).filter_map(Marker::parse).filter(ours).take(MOST).peekable();
        if markers.peek().is_none() {
            return false;
        }
        let (identity, recipients) = (identity(&fields), recipients(to));
        markers.any(|marker| {
            let covered = self.covered(&identity, &recipients, marker.time);
            let known = covered.and_then(|covered| self.keyring.is_marked(PURPOSE, &covered, &marker.mark));
            known.unwrap_or(false)
        })
    }

    fn covered(&self, identity: &[u8], recipients: &[u8], time: Time) -> Result<Vec<u8>, KeyringError> {
        Ok(ctx(PURPOSE, &[self.hostname.as_bytes(), &time.to_be_bytes(), identity, recipients])?)
    }
}

fn fields(message: &[u8]) -> Vec<Field<'_>> {
    // What has no readable header isn't let in, and nothing of ours is without one.
    Header::read(message, Strictness::Part).map(|header| header.fields).unwrap_or_default()
}

/// A hash of the fields in [`IDENTITY`], in their order, each as `name:value` and LF; runs of blanks and line ends in a
/// value are one blank.
fn identity(fields: &[Field<'_>]) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    for field in fields {
        let name = field.name.to_ascii_lowercase();
        if !IDENTITY.contains(&name.as_str()) {
            continue;
        }
        hash.update(name.as_bytes());
        hash.update(b":");
        let words = field.value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for (n, word) in words.enumerate() {
            if n > 0 {
                hash.update(b" ");
            }
            hash.update(word);
        }
        hash.update(b"\n");
    }
    finish(hash)
}

/// A hash of the set of recipients, each and LF.
fn recipients(to: &[EmailAddress]) -> [u8; 32] {
    let mut identities: Vec<Identity> = to.iter().map(EmailAddress::identity).collect();
    identities.sort_unstable();
    identities.dedup();
    let mut hash = Context::new(&SHA256);
    for identity in identities {
        hash.update(identity.as_str().as_bytes());
        hash.update(b"\n");
    }
    finish(hash)
}

fn finish(hash: Context) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    out
}

/// A marker as it stands in a header; whose it is isn't known yet.
struct Marker<'a> {
    by: &'a str,
    time: Time,
    mark: Mark,
}

impl<'a> Marker<'a> {
    fn parse(field: &Field<'a>) -> Option<Self> {
        let mut values = std::str::from_utf8(field.value).ok()?.split(';');
        let mut next = |name: &str| values.next()?.trim().strip_prefix(name)?.strip_prefix('=');
        let (by, time, epoch, mac) = (next("by")?, next("t")?, next("k")?, next("m")?);
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { by, time: time.parse().ok()?, mark: Mark { epoch: epoch.parse().ok()?, mac } })
    }
}

#[cfg(test)]
mod tests;
