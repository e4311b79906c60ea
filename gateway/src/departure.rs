//! The last that happens to a mail before it is queued: the loop's marker, and DKIM signatures over what it has become.
//!
//! The marker goes behind our trace field, where there is one, and the signatures in front of all: whoever verifies them
//! finds everything below as it was signed. Every other byte stays.

use std::sync::Arc;

use sealpost_vault::{StoreError, Time};

use crate::dkim::Dkim;
use crate::loops::Loops;
use crate::message::first_field;
use crate::queue::Mail;

/// Larger mails are hashed off the async threads, in bytes.
const QUICK: usize = 256 * 1024;

/// What mails get.
#[derive(Clone)]
pub struct Departure {
    loops: Loops,
    dkim: Arc<Dkim>,
}

impl Departure {
    pub fn new(loops: Loops, dkim: Dkim) -> Self {
        Self { loops, dkim: Arc::new(dkim) }
    }

    /// The mail as it leaves.
    pub(crate) async fn ready(&self, mail: Mail, now: Time) -> Result<Mail, StoreError> {
        let quick = mail.bytes.len() <= QUICK || self.dkim.keys().is_empty();
        if quick {
            return self.dress(mail, now);
        }
        let departure = self.clone();
        let dressed = tokio::task::spawn_blocking(move || departure.dress(mail, now)).await;
        dressed.map_err(|_| StoreError::Corrupt("a mail that makes the program panic"))?
    }

    fn dress(&self, mut mail: Mail, now: Time) -> Result<Mail, StoreError> {
        let marker = self.loops.marker(&mail.bytes, &mail.recipients, now).map_err(|error| {
            tracing::error!(origin = %mail.origin, %error, "no marker can be made");
            StoreError::Corrupt("a mail that can't be marked")
        })?;
        let signatures = self.dkim.signatures(mail.kind, &mail.reverse_path, &mail.bytes).map_err(|error| {
            tracing::error!(origin = %mail.origin, %error, "no DKIM signature can be made");
            StoreError::NotNow("a mail can't be signed")
        })?;
        let mut front = signatures.into_bytes();
        let (first, _) = first_field(&mail.bytes);
        let trace =
            if first.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"Received:")) { first } else { &[] };
        let replaced = trace.len();
        front.extend_from_slice(trace);
        front.extend_from_slice(marker.as_bytes());
        mail.bytes.splice(..replaced, front);
        Ok(mail)
    }
}
