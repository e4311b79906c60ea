//! Certificates that were parsed lately, by the bytes that they were parsed from.
//!
//! Parsing one and verifying what binds its parts takes about a hundred times as long as looking at it again. What the store
//! says is asked each time, and so is the moment; only the same bytes come to the same certificate, and the same key to the
//! same outcome of a trial.
//!
//! Security: the key is the SHA-256 of the bytes, so that nobody's certificate takes another one's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_vault::StoreError;
use sealpost_vault::derive::sha256;
use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse;

use super::check::Trials;

/// Of all bytes that the certificates were parsed from; in memory they take several times as much.
const ROOM: usize = 1024 * 1024;

/// Cheap to make; remembers nothing at first.
#[derive(Debug, Default)]
pub struct Shelf {
    books: Mutex<Books>,
    trials: Trials,
}

#[derive(Debug, Default)]
struct Books {
    parsed: HashMap<[u8; 32], Arc<Cert>>,
    octets: usize,
}

impl Shelf {
    pub(super) fn trials(&self) -> &Trials {
        &self.trials
    }

    /// One that is there.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<Arc<Cert>> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.parsed.get(&sha256(bytes)).cloned()
    }

    /// One that is there now.
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Arc<Cert>, StoreError> {
        if let Some(known) = self.find(bytes) {
            return Ok(known);
        }
        let cert = Arc::new(Cert::from_bytes(bytes).map_err(|_| StoreError::Corrupt("a certificate"))?);
        if bytes.len() <= ROOM / 8 {
            let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
            if books.octets.saturating_add(bytes.len()) > ROOM {
                *books = Books::default();
            }
            if books.parsed.insert(sha256(bytes), Arc::clone(&cert)).is_none() {
                books.octets = books.octets.saturating_add(bytes.len());
            }
        }
        Ok(cert)
    }
}
