//! Import: certificates into the store, merged with what is known of them.
//!
//! A merge adds; nothing that was ever imported is lost by it, least of all a revocation. An older copy that comes later
//! changes nothing. Two imports at once: the one that finds the row changed begins anew.

use std::sync::Arc;

use sealpost_vault::db::{Db, StoreError, met};
use sealpost_vault::{EmailAddress, Identity, Time};
use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::SerializeInto;
use sqlx::{Any, Row, Transaction};

use crate::audit::{self, Event};

use super::check::{self, Admission};
use super::minimal::{minimal, revocations};
use super::parse::{ImportError, Unfit, parse};
use super::reason::Fault;

/// No more certificates are kept for one address.
const MOST_PER_ADDRESS: i64 = 32;
/// Somebody else changes the same certificate more often than this only if something is wrong.
const TRIES: u32 = 8;

/// Where a certificate came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From an administrator's hand.
    Import,
}

impl Source {
    pub fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
        }
    }
}

/// For which addresses a certificate may be used from now on.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// All that its User IDs name.
    AllNamed,
    Only(&'a EmailAddress),
}

/// What became of one certificate of an input.
#[derive(Debug)]
pub struct Imported {
    /// Counted from 1.
    pub place: usize,
    /// Upper-case hexadecimal; empty where not even that could be read.
    pub fingerprint: String,
    pub result: Result<Taken, Unfit>,
}

/// A certificate that is in the store now.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    pub news: News,
    /// The addresses that it was imported for, and what is wrong with it for each, if something is.
    pub addresses: Vec<(Identity, Option<Fault>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    New,
    /// Known before; what was new in it was added.
    Merged,
    /// Known before, with everything in it.
    Known,
}

/// Imports all certificates of an input. One that can't be taken doesn't keep the others from it.
pub async fn import(
    store: &Db,
    input: &[u8],
    source: Source,
    scope: Scope<'_>,
    now: Time,
) -> Result<Vec<Imported>, ImportError> {
    let mut imported = Vec::new();
    for candidate in parse(input)? {
        let result = match candidate.result {
            Ok(cert) => take(store, &cert, source, scope, now).await?,
            Err(unfit) => Err(unfit),
        };
        imported.push(Imported { place: candidate.place, fingerprint: candidate.fingerprint, result });
    }
    Ok(imported)
}

async fn take(
    store: &Db,
    cert: &Cert,
    source: Source,
    scope: Scope<'_>,
    now: Time,
) -> Result<Result<Taken, Unfit>, StoreError> {
    for _ in 0..TRIES {
        let known = known(store, cert).await?;
        let (merged, news) = match &known {
            None => (cert.clone(), News::New),
            Some(known) => match merge(&known.cert, cert) {
                Ok(merged) if merged == known.cert => (merged, News::Known),
                Ok(merged) => (merged, News::Merged),
                Err(unfit) => return Ok(Err(Unfit::Merged(Box::new(unfit)))),
            },
        };
        let named = check::named(&merged);
        let admitted = match admitted(&named, scope) {
            Ok(admitted) => admitted,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let mut transaction = store.begin().await?;
        if !write(&mut transaction, &merged, known.map(|known| known.changes), source, now).await? {
            transaction.rollback().await?;
            continue;
        }
        let fingerprint = merged.fingerprint().to_hex();
        for address in &named {
            let wanted = if admitted.contains(address) { Admission::Admitted } else { Admission::KnownOnly };
            let found = admission(&mut transaction, address, &fingerprint).await?;
            if found.is_none() && others(&mut transaction, address, &fingerprint).await? >= MOST_PER_ADDRESS {
                transaction.rollback().await?;
                return Ok(Err(Unfit::Crowded(address.to_string())));
            }
            // What was admitted once stays so.
            if found.is_none() || (found == Some(Admission::KnownOnly) && wanted == Admission::Admitted) {
                admit(&mut transaction, address, &fingerprint, wanted).await?;
            }
            let is_news = news != News::Known || found != Some(Admission::Admitted);
            if wanted == Admission::Admitted && is_news {
                let address = &super::written(address)?;
                audit::record(&mut transaction, Event::CertificateImported { address, fingerprint: &fingerprint }, now)
                    .await?;
            }
        }
        transaction.commit().await?;
        let merged = Arc::new(merged);
        let addresses = admitted.into_iter().map(|address| {
            let fault = check::examine(&merged, &address, Admission::Admitted, now, &check::Trials::default()).fault();
            (address, fault)
        });
        return Ok(Ok(Taken { news, addresses: addresses.collect() }));
    }
    Err(StoreError::RowCount { found: 0, wanted: 1 })
}

/// What both copies have. Fails rather than lose a revocation.
fn merge(known: &Cert, new: &Cert) -> Result<Cert, Unfit> {
    let merged = known.clone().merge_public(new.clone()).map_err(|_| Unfit::Unreadable)?;
    let merged = minimal(&merged)?;
    let kept = revocations(&merged);
    let is_kept = |(of, revocation): &(Vec<u8>, &sequoia_openpgp::packet::Signature)| {
        kept.iter().any(|(kept_of, kept)| kept_of == of && kept.normalized_eq(revocation))
    };
    if revocations(known).iter().chain(&revocations(new)).all(is_kept) { Ok(merged) } else { Err(Unfit::Revocation) }
}

fn admitted(named: &[Identity], scope: Scope<'_>) -> Result<Vec<Identity>, Unfit> {
    match scope {
        Scope::AllNamed if named.is_empty() => Err(Unfit::NoAddress),
        Scope::AllNamed => Ok(named.to_vec()),
        Scope::Only(wanted) => {
            let wanted = wanted.identity();
            if named.contains(&wanted) {
                return Ok(vec![wanted]);
            }
            let named = named.iter().map(ToString::to_string).collect();
            Err(Unfit::OtherAddress { wanted: wanted.to_string(), named })
        }
    }
}

struct Known {
    cert: Cert,
    changes: i64,
}

async fn known(store: &Db, cert: &Cert) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query("select certificate, changes from certificates where fingerprint = $1")
        .bind(cert.fingerprint().to_hex())
        .fetch_optional(store.reader())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let bytes: Vec<u8> = row.try_get("certificate")?;
    let cert = Cert::from_bytes(&bytes).map_err(|_| StoreError::Corrupt("a certificate"))?;
    Ok(Some(Known { cert, changes: row.try_get("changes")? }))
}

/// False where somebody else wrote meanwhile.
async fn write(
    transaction: &mut Transaction<'static, Any>,
    cert: &Cert,
    changes: Option<i64>,
    source: Source,
    now: Time,
) -> Result<bool, StoreError> {
    let fingerprint = cert.fingerprint().to_hex();
    let bytes = cert.to_vec().map_err(|_| StoreError::Corrupt("a certificate"))?;
    let done = match changes {
        None => {
            sqlx::query(
                "insert into certificates (fingerprint, certificate, source, imported_at, changes)
                 values ($1, $2, $3, $4, 0) on conflict (fingerprint) do nothing",
            )
            .bind(fingerprint)
            .bind(bytes)
            .bind(source.word())
            .bind(now)
            .execute(&mut **transaction)
            .await?
        }
        Some(changes) => {
            sqlx::query(
                "update certificates set certificate = $1, changes = changes + 1
                 where fingerprint = $2 and changes = $3",
            )
            .bind(bytes)
            .bind(fingerprint)
            .bind(changes)
            .execute(&mut **transaction)
            .await?
        }
    };
    Ok(done.rows_affected() == 1)
}

async fn others(
    transaction: &mut Transaction<'static, Any>,
    address: &Identity,
    fingerprint: &str,
) -> Result<i64, StoreError> {
    let (others,): (i64,) =
        sqlx::query_as("select count(*) from certificate_addresses where address = $1 and fingerprint <> $2")
            .bind(address.as_str())
            .bind(fingerprint)
            .fetch_one(&mut **transaction)
            .await?;
    Ok(others)
}

async fn admission(
    transaction: &mut Transaction<'static, Any>,
    address: &Identity,
    fingerprint: &str,
) -> Result<Option<Admission>, StoreError> {
    let row: Option<(i64,)> =
        sqlx::query_as("select admitted from certificate_addresses where address = $1 and fingerprint = $2")
            .bind(address.as_str())
            .bind(fingerprint)
            .fetch_optional(&mut **transaction)
            .await?;
    Ok(row.map(|(admitted,)| Admission::from_stored(admitted)))
}

async fn admit(
    transaction: &mut Transaction<'static, Any>,
    address: &Identity,
    fingerprint: &str,
    admission: Admission,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "insert into certificate_addresses (address, fingerprint, admitted) values ($1, $2, $3)
         on conflict (address, fingerprint) do update set admitted = excluded.admitted",
    )
    .bind(address.as_str())
    .bind(fingerprint)
    .bind(admission.stored())
    .execute(&mut **transaction)
    .await?;
    met(&done, 1)
}
