//! What administrators see of the stored certificates, and how one is removed.

use std::sync::Arc;

use std::fmt;

use sealpost_vault::db::{Db, StoreError, met};
use sealpost_vault::{EmailAddress, Identity, Time};
use sequoia_openpgp::Cert;
use sequoia_openpgp::armor::Kind;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::{Serialize as Writing, SerializeInto};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::audit::{self, Event};

use super::check::{self, Admission};
use super::reason::{Check, Fault};
use super::user_id;

/// Which certificates are asked for.
#[derive(Clone, Debug)]
pub enum Filter {
    Everything,
    Address(EmailAddress),
    /// A host name, as [`EmailAddress::domain`] gives it.
    Domain(String),
}

/// Where a certificate stands, over all addresses that it was imported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// For one of them at least.
    Usable,
    Expired,
    Revoked,
    /// For another reason.
    Unusable,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Usable => "usable",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unusable => "unusable",
        })
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
pub struct Listed {
    pub fingerprint: String,
    /// That it was imported for.
    pub addresses: Vec<Identity>,
    /// 0: never.
    pub expires_at: Time,
    pub state: State,
    pub source: String,
    pub imported_at: Time,
}

/// One certificate, with everything known of it.
#[derive(Debug)]
pub struct Stored {
    cert: Cert,
    pub listed: Listed,
    pub made_at: Time,
    /// As they can be shown on a terminal.
    pub user_ids: Vec<String>,
    /// Each address that it names, and every check.
    pub addresses: Vec<(Identity, Vec<Check>)>,
}

impl Stored {
    /// ASCII armor.
    pub fn armored(&self) -> Result<Vec<u8>, StoreError> {
        let corrupt = |_| StoreError::Corrupt("a certificate");
        let mut writer = sequoia_openpgp::armor::Writer::new(Vec::new(), Kind::PublicKey).map_err(StoreError::File)?;
        self.cert.serialize(&mut writer).map_err(corrupt)?;
        writer.finalize().map_err(StoreError::File)
    }

    /// Binary.
    pub fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        self.cert.to_vec().map_err(|_| StoreError::Corrupt("a certificate"))
    }
}

/// At most `limit`, by fingerprint.
pub async fn list(store: &Db, filter: &Filter, limit: i64, now: Time) -> Result<Vec<Listed>, StoreError> {
    let rows =
        match filter {
            Filter::Everything => sqlx::query(
                "select fingerprint, certificate, source, imported_at from certificates order by fingerprint limit $1",
            )
            .bind(limit)
            .fetch_all(store.reader())
            .await?,
            Filter::Address(address) => {
                sqlx::query(
                    "select c.fingerprint, c.certificate, c.source, c.imported_at from certificates c
                 join certificate_addresses a on a.fingerprint = c.fingerprint
                 where a.admitted = 1 and a.address = $2 order by c.fingerprint limit $1",
                )
                .bind(limit)
                .bind(address.identity().as_str())
                .fetch_all(store.reader())
                .await?
            }
            Filter::Domain(domain) => {
                // A host name has none of the characters that stand for others here.
                sqlx::query(
                    "select fingerprint, certificate, source, imported_at from certificates where fingerprint in
                 (select fingerprint from certificate_addresses where admitted = 1 and address like $2)
                 order by fingerprint limit $1",
                )
                .bind(limit)
                .bind(format!("%@{domain}"))
                .fetch_all(store.reader())
                .await?
            }
        };
    let mut listed = Vec::new();
    for row in &rows {
        listed.push(stored(store, row, now).await?.listed);
    }
    Ok(listed)
}

/// By its whole fingerprint, upper-case hexadecimal.
pub async fn find(store: &Db, fingerprint: &str, now: Time) -> Result<Option<Stored>, StoreError> {
    let row =
        sqlx::query("select fingerprint, certificate, source, imported_at from certificates where fingerprint = $1")
            .bind(fingerprint)
            .fetch_optional(store.reader())
            .await?;
    match row {
        Some(row) => stored(store, &row, now).await.map(Some),
        None => Ok(None),
    }
}

/// What a removal met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The certificate, with everything known of it.
    Certificate,
    /// It stays for other addresses.
    Address,
    /// There is none, or it wasn't imported for this address.
    Nothing,
}

/// Removes a certificate, or takes it from one address; from its last address it is removed.
pub async fn remove(
    store: &Db,
    fingerprint: &str,
    from: Option<&EmailAddress>,
    now: Time,
) -> Result<Removed, StoreError> {
    let mut transaction = store.begin().await?;
    let admitted: Vec<(String,)> = sqlx::query_as(
        "select address from certificate_addresses where fingerprint = $1 and admitted = 1 order by address",
    )
    .bind(fingerprint)
    .fetch_all(&mut *transaction)
    .await?;
    let from = from.map(EmailAddress::identity);
    let is_meant = |address: &Identity| from.as_ref().is_none_or(|from| from == address);
    let (gone, left): (Vec<_>, Vec<_>) =
        admitted.into_iter().map(|(address,)| Identity::from_stored(address)).partition(is_meant);
    let removed = if from.is_some() && gone.is_empty() {
        Removed::Nothing
    } else if left.is_empty() {
        delete(&mut transaction, fingerprint).await?
    } else {
        for address in &gone {
            take_from(&mut transaction, fingerprint, address).await?;
        }
        Removed::Address
    };
    for address in &gone {
        let address = &super::written(address)?;
        audit::record(&mut transaction, Event::CertificateRemoved { address, fingerprint }, now).await?;
    }
    transaction.commit().await?;
    Ok(removed)
}

async fn take_from(
    transaction: &mut Transaction<'static, Any>,
    fingerprint: &str,
    address: &Identity,
) -> Result<(), StoreError> {
    let done = sqlx::query("update certificate_addresses set admitted = 0 where fingerprint = $1 and address = $2")
        .bind(fingerprint)
        .bind(address.as_str())
        .execute(&mut **transaction)
        .await?;
    met(&done, 1)
}

async fn delete(transaction: &mut Transaction<'static, Any>, fingerprint: &str) -> Result<Removed, StoreError> {
    sqlx::query("delete from certificate_addresses where fingerprint = $1")
        .bind(fingerprint)
        .execute(&mut **transaction)
        .await?;
    let done = sqlx::query("delete from certificates where fingerprint = $1")
        .bind(fingerprint)
        .execute(&mut **transaction)
        .await?;
    Ok(if done.rows_affected() == 1 { Removed::Certificate } else { Removed::Nothing })
}

async fn stored(store: &Db, row: &AnyRow, now: Time) -> Result<Stored, StoreError> {
    let fingerprint: String = row.try_get("fingerprint")?;
    let bytes: Vec<u8> = row.try_get("certificate")?;
    let cert = Cert::from_bytes(&bytes).map_err(|_| StoreError::Corrupt("a certificate"))?;
    let named: Vec<(String, i64)> =
        sqlx::query_as("select address, admitted from certificate_addresses where fingerprint = $1 order by address")
            .bind(&fingerprint)
            .fetch_all(store.reader())
            .await?;
    let cert = Arc::new(cert);
    let mut admitted = Vec::new();
    let mut addresses = Vec::new();
    for (address, is_admitted) in named {
        let address = Identity::from_stored(address);
        let admission = Admission::from_stored(is_admitted);
        if admission == Admission::Admitted {
            admitted.push(address.clone());
        }
        let checks = check::examine(&cert, &address, admission, now, &check::Trials::default()).checks;
        addresses.push((address, checks));
    }
    let listed = Listed {
        fingerprint,
        state: state(addresses.iter().filter(|(address, _)| admitted.contains(address)).map(|(_, checks)| checks)),
        addresses: admitted,
        expires_at: check::expires_at(&cert, now),
        source: row.try_get("source")?,
        imported_at: row.try_get("imported_at")?,
    };
    Ok(Stored {
        made_at: check::seconds(cert.primary_key().key().creation_time()),
        user_ids: cert.userids().map(|found| user_id::shown(found.userid().value())).collect(),
        listed,
        addresses,
        cert: Arc::unwrap_or_clone(cert),
    })
}

/// Over the addresses that it was imported for.
fn state<'a>(addresses: impl Iterator<Item = &'a Vec<Check>>) -> State {
    let states: Vec<_> = addresses.map(|checks| state_of(checks)).collect();
    let first = states.first().copied().unwrap_or(State::Unusable);
    states.into_iter().find(|state| *state == State::Usable).unwrap_or(first)
}

fn state_of(checks: &[Check]) -> State {
    let faults: Vec<&Fault> = checks.iter().filter_map(|check| check.result.as_ref().err()).collect();
    let of = |wanted: fn(&Fault) -> bool| faults.iter().any(|fault| wanted(fault));
    if faults.is_empty() {
        State::Usable
    } else if of(|fault| matches!(fault, Fault::Revoked { .. } | Fault::PerhapsRevoked)) {
        State::Revoked
    } else if of(Fault::is_expiry) {
        State::Expired
    } else {
        State::Unusable
    }
}
