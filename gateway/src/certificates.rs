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
#[cfg(test)]
mod tests;
mod user_id;

pub use check::{Container, UsableCert};
pub use import::{Imported, News, Scope, Source, Taken, import};
pub use listing::{Filter, Listed, Removed, State, Stored, find, list, remove};
pub use packets::FramingError;
pub use parse::{Candidate, ImportError, LONGEST_INPUT, Unfit, parse};
pub use reason::{Check, Fact, Fault, KeyFault, Requirement, Weakness};

use check::Admission;
use sealpost_vault::db::{Db, StoreError};
use sealpost_vault::{EmailAddress, Identity, Time};
use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse;
use serde::Serialize;
use sqlx::Row;

/// The certificate that mail to an address is encrypted to, if one is usable at `now`.
pub async fn usable_for(store: &Db, address: &EmailAddress, now: Time) -> Result<Option<UsableCert>, StoreError> {
    let address = address.identity();
    let candidates = of_address(store, &address).await?;
    let usable =
        candidates.iter().filter_map(|known| check::examine(&known.cert, &address, known.admission, now).usable);
    Ok(usable.max_by_key(|usable| rank(usable.cert())))
}

struct Known {
    cert: Cert,
    admission: Admission,
}

async fn of_address(store: &Db, address: &Identity) -> Result<Vec<Known>, StoreError> {
    let rows = sqlx::query(
        "select c.certificate, a.admitted from certificate_addresses a
         join certificates c on c.fingerprint = a.fingerprint
         where a.address = $1",
    )
    .bind(address.as_str())
    .fetch_all(store.reader())
    .await?;
    let known = rows.iter().map(|row| {
        let admitted: i64 = row.try_get("admitted")?;
        let bytes: Vec<u8> = row.try_get("certificate")?;
        Ok(Known {
            cert: Cert::from_bytes(&bytes).map_err(|_| StoreError::Corrupt("a certificate"))?,
            admission: Admission::from_stored(admitted),
        })
    });
    known.collect()
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
    let address = address.identity();
    let mut examined: Vec<_> = of_address(store, &address)
        .await?
        .into_iter()
        .map(|known| (rank(&known.cert), check::examine(&known.cert, &address, known.admission, now)))
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
