//! Certificates that were parsed lately, by the bytes that they were parsed from.
//!
//! Parsing one and verifying what binds its parts takes about a hundred times as long as looking at it again. What the store
//! says is asked each time, and so is the moment; only the same bytes come to the same certificate, and the same key to the
//! same outcome of a trial.
//!
//! Security: the key is the SHA-256 of the bytes, so that nobody's certificate takes another one's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_vault::derive::sha256;
use sealpost_vault::{Identity, StoreError, Time};
use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse;

use super::Candidates;
use super::check::Trials;

/// Of all bytes that the certificates were parsed from; in memory they take several times as much.
const ROOM: usize = 1024 * 1024;

/// Addresses of one second that are remembered: more are asked for again.
const LOOKS: usize = 1_000;

/// Cheap to make; remembers nothing at first.
#[derive(Debug, Default)]
pub struct Shelf {
    books: Mutex<Books>,
    looks: Mutex<Looks>,
    trials: Trials,
}

/// What the store said in the present second.
#[derive(Debug, Default)]
struct Looks {
    at: Time,
    found: HashMap<Identity, Arc<Candidates>>,
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

    /// What the store said of an address in this very second.
    pub(crate) fn seen(&self, address: &Identity, now: Time) -> Option<Arc<Candidates>> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.found.get(address).filter(|_| looks.at == now).cloned()
    }

    /// The store was asked at `now`.
    pub(crate) fn saw(&self, candidates: &Arc<Candidates>, now: Time) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.at != now || looks.found.len() >= LOOKS {
            *looks = Looks { at: now, found: HashMap::new() };
        }
        looks.found.insert(candidates.address.clone(), Arc::clone(candidates));
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
