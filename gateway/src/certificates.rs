//! Certificates of recipients: imported, looked up, judged usable or not, and why.
//!
//! A certificate is stored once, with the addresses that its User IDs name; whether mail to one of them may be encrypted to
//! it is judged each time, at that moment, by [`check`]. Where several are usable for an address, the one whose primary key
//! was made last is used (of two made in the same second, the one with the higher fingerprint): so a new key replaces the old one when it is imported, whatever
//! is prolonged later, and the order of imports doesn't matter.
//!
//! Security: what is imported comes from outside; [`import`] bounds it before a library sees it. Public keys and what
//! their owners signed are stored, nothing else. A revocation that was ever imported stays until an administrator removes
//! the certificate.
//! Standards: RFC 9580, RFC 4880 (version 4 keys); addresses compare canonically, as in Autocrypt Level 1.

mod armor;
mod check;
mod import;
mod listing;
mod minimal;
mod packets;
mod parse;
mod policy;
mod reason;
mod shelf;
#[cfg(test)]
mod tests;
mod user_id;

pub use check::{Container, UsableCert};
pub use import::{Imported, News, Scope, Source, Taken, import};
pub use listing::{Filter, Listed, Removed, State, Stored, find, list, remove};
pub use packets::FramingError;
pub use parse::{Candidate, ImportError, LONGEST_INPUT, Unfit, parse};
pub use reason::{Check, Fact, Fault, KeyFault, Requirement, Weakness};
pub use shelf::Shelf;

use std::sync::Arc;

use check::Admission;
use sealpost_vault::db::{Db, StoreError};
use sealpost_vault::{EmailAddress, Identity, Time};
use sequoia_openpgp::Cert;
use serde::Serialize;
use sqlx::Row;

/// The certificate that mail to an address is encrypted to, if one is usable at `now`.
pub async fn usable_for(store: &Db, address: &EmailAddress, now: Time) -> Result<Option<UsableCert>, StoreError> {
    stored(store, address).await?.usable(&Shelf::default(), now)
}

/// What the store has for an address, not parsed yet.
pub(crate) async fn stored(store: &Db, address: &EmailAddress) -> Result<Candidates, StoreError> {
    let address = address.identity();
    let rows = sqlx::query(
        "select c.certificate, a.admitted from certificate_addresses a
         join certificates c on c.fingerprint = a.fingerprint
         where a.address = $1",
    )
    .bind(address.as_str())
    .fetch_all(store.reader())
    .await?;
    let found = rows.iter().map(|row| {
        let admitted: i64 = row.try_get("admitted")?;
        Ok((row.try_get("certificate")?, Admission::from_stored(admitted)))
    });
    Ok(Candidates { found: found.collect::<Result<_, StoreError>>()?, address })
}

/// Certificates that name an address, as they are stored.
#[derive(Debug)]
pub(crate) struct Candidates {
    address: Identity,
    found: Vec<(Vec<u8>, Admission)>,
}

impl Candidates {
    /// Whether judging them takes no longer than a look.
    pub fn are_known(&self, shelf: &Shelf) -> bool {
        self.found.iter().all(|(bytes, _)| shelf.find(bytes).is_some())
    }

    /// The one in use at `now`.
    pub fn usable(&self, shelf: &Shelf, now: Time) -> Result<Option<UsableCert>, StoreError> {
        let known = self.parsed(shelf)?;
        let usable = known.iter().filter_map(|known| {
            check::examine(&known.cert, &self.address, known.admission, now, shelf.trials()).usable
        });
        Ok(usable.max_by_key(|usable| rank(usable.cert())))
    }

    fn parsed(&self, shelf: &Shelf) -> Result<Vec<Known>, StoreError> {
        let parsed =
            |(bytes, admission): &(Vec<u8>, Admission)| Ok(Known { cert: shelf.parse(bytes)?, admission: *admission });
        self.found.iter().map(parsed).collect()
    }
}

struct Known {
    cert: Arc<Cert>,
    admission: Admission,
}

/// What is known of an address: every certificate that names it, with each check and what it found.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub address: Identity,
    pub certificates: Vec<Explained>,
}

/// One certificate of an [`Explanation`].
#[derive(Debug, Serialize)]
pub struct Explained {
    pub fingerprint: String,
    pub made_at: Time,
    pub checks: Vec<Check>,
    pub outcome: Outcome,
}

/// What a certificate comes to for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Mail to the address is encrypted to this one.
    Used,
    /// Usable, but another usable one was made later.
    Outdone,
    Unusable,
}

impl Explanation {
    pub fn used(&self) -> Option<&Explained> {
        self.certificates.iter().find(|certificate| certificate.outcome == Outcome::Used)
    }
}

/// Says of every certificate that names an address whether it is usable at `now`, and why or why not. The one in use first,
/// then the others, those made last first.
pub async fn explain(store: &Db, address: &EmailAddress, now: Time) -> Result<Explanation, StoreError> {
    let candidates = stored(store, address).await?;
    let address = candidates.address.clone();
    let mut examined: Vec<_> = candidates
        .parsed(&Shelf::default())?
        .into_iter()
        .map(|known| {
            (rank(&known.cert), check::examine(&known.cert, &address, known.admission, now, &check::Trials::default()))
        })
        .collect();
    examined.sort_by(|(left, one), (right, other)| (other.usable.is_some(), right).cmp(&(one.usable.is_some(), left)));
    let certificates =
        examined.into_iter().enumerate().map(|(place, ((made_at, fingerprint), examination))| Explained {
            fingerprint,
            made_at,
            checks: examination.checks,
            outcome: match (examination.usable, place) {
                (None, _) => Outcome::Unusable,
                (Some(_), 0) => Outcome::Used,
                (Some(_), _) => Outcome::Outdone,
            },
        });
    Ok(Explanation { certificates: certificates.collect(), address })
}

/// Of several usable certificates the greatest is used.
fn rank(cert: &Cert) -> (Time, String) {
    (check::seconds(cert.primary_key().key().creation_time()), cert.fingerprint().to_hex())
}

/// A canonical address as one to write to; every one that a User ID names is.
fn written(address: &Identity) -> Result<EmailAddress, StoreError> {
    address.as_str().parse().map_err(|_| StoreError::Corrupt("a certificate's address"))
}
