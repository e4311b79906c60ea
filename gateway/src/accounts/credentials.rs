//! What a passphrase and a recovery code are checked with: one row per account, in the gateway's own store.
//!
//! Security: the OPAQUE record lies under the gateway's root. With record and set-up somebody could guess a passphrase
//! offline; a record that was replaced is overwritten at once. Of the recovery code there is a hash of a proof, 160 random
//! bits behind it.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use sealpost_vault::Identity;
use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, StoreError, met};
use sealpost_vault::derive::sha256;
use sealpost_vault::id::AccountId;

use super::opaque::Record;
use crate::keyring::Keyring;

const KEEP_RECORD: &str = "opaque-record";
const PROOF: usize = 32;

/// An account's credentials.
pub(crate) struct Credentials {
    pub(crate) account: AccountId,
    pub(crate) reader: Identity,
    /// How often they were changed: 0 after enrolment.
    pub(crate) changes: i64,
    record: Zeroizing<Vec<u8>>,
    recovery_hash: Vec<u8>,
}

impl Credentials {
    pub(crate) fn record(&self) -> Result<Record, StoreError> {
        Record::parse(&self.record).map_err(|_| StoreError::Corrupt("an OPAQUE record"))
    }

    /// Whether somebody knows the recovery code.
    pub(crate) fn recovers(&self, proof: &[u8]) -> bool {
        proof.len() == PROOF && self.recovery_hash.ct_eq(&sha256(proof)).into()
    }
}

/// New ones, for an account or a change: the record as uploaded, and the SHA-256 of the recovery proof.
pub(crate) struct New<'a> {
    pub(crate) account: AccountId,
    pub(crate) reader: &'a Identity,
    /// Parsed as [`Record`] before.
    pub(crate) upload: &'a [u8],
    /// 32 bytes; where an account is changed, nothing keeps the recovery code as it is.
    pub(crate) recovery_hash: &'a [u8],
}

impl New<'_> {
    fn kept(&self, keyring: &Keyring) -> Result<Vec<u8>, StoreError> {
        keyring
            .keep(KEEP_RECORD, self.account.bytes(), self.reader.as_str().as_bytes(), self.upload)
            .map_err(|_| StoreError::Corrupt("an OPAQUE record that can't be kept"))
    }
}

macro_rules! select {
    ($which:literal) => {
        concat!("select account_id, reader, kept_record, recovery_hash, changes from opaque_records where ", $which)
    };
}

/// Of an address.
pub(crate) async fn of_reader(
    store: &Db,
    keyring: &Keyring,
    reader: &Identity,
) -> Result<Option<Credentials>, StoreError> {
    let row = sqlx::query(select!("reader = $1")).bind(reader.as_str()).fetch_optional(store.reader()).await?;
    row.map(|row| from_row(keyring, &row)).transpose()
}

/// Of an account.
pub(crate) async fn of_account(
    store: &Db,
    keyring: &Keyring,
    account: AccountId,
) -> Result<Option<Credentials>, StoreError> {
    let row = sqlx::query(select!("account_id = $1")).bind(account.to_string()).fetch_optional(store.reader()).await?;
    row.map(|row| from_row(keyring, &row)).transpose()
}

fn from_row(keyring: &Keyring, row: &AnyRow) -> Result<Credentials, StoreError> {
    let account: AccountId = row.try_get::<String, _>("account_id")?.parse()?;
    let reader = Identity::from_stored(row.try_get("reader")?);
    let kept: Vec<u8> = row.try_get("kept_record")?;
    let record = keyring
        .open_kept(KEEP_RECORD, account.bytes(), reader.as_str().as_bytes(), &kept)
        .map_err(|_| StoreError::Corrupt("an OPAQUE record that this gateway root doesn't open"))?;
    Ok(Credentials {
        account,
        changes: row.try_get("changes")?,
        recovery_hash: row.try_get("recovery_hash")?,
        record,
        reader,
    })
}

/// How often an account's credentials were changed by now; `None` where there is no account any more.
pub(crate) async fn changes(
    transaction: &mut Transaction<'static, Any>,
    account: &str,
) -> Result<Option<i64>, StoreError> {
    let row: Option<(i64,)> = sqlx::query_as("select changes from opaque_records where account_id = $1")
        .bind(account)
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.map(|(changes,)| changes))
}

/// The first ones of an account.
pub(crate) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    keyring: &Keyring,
    new: &New<'_>,
    now: Time,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "insert into opaque_records (account_id, reader, kept_record, recovery_hash, changes, changed_at)
         values ($1, $2, $3, $4, 0, $5)",
    )
    .bind(new.account.to_string())
    .bind(new.reader.as_str())
    .bind(new.kept(keyring)?)
    .bind(new.recovery_hash)
    .bind(now)
    .execute(&mut **transaction)
    .await?;
    met(&done, 1)
}

/// Others in the place of those that were changed so many times. False where they aren't the present ones.
pub(crate) async fn replace(
    transaction: &mut Transaction<'static, Any>,
    keyring: &Keyring,
    new: &New<'_>,
    changes: i64,
    now: Time,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update opaque_records set kept_record = $1, changes = changes + 1, changed_at = $2,
         recovery_hash = case when $3 = 0 then recovery_hash else $4 end
         where account_id = $5 and changes = $6",
    )
    .bind(new.kept(keyring)?)
    .bind(now)
    .bind(i64::try_from(new.recovery_hash.len()).unwrap_or(0))
    .bind(new.recovery_hash)
    .bind(new.account.to_string())
    .bind(changes)
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes an account's credentials away.
pub(crate) async fn delete(transaction: &mut Transaction<'static, Any>, account: AccountId) -> Result<(), StoreError> {
    for statement in [
        "delete from opaque_records where account_id = $1",
        "delete from passphrase_changes where account_id = $1",
        "delete from sign_ins where account_id = $1",
        "delete from account_codes where account_id = $1",
    ] {
        sqlx::query(statement).bind(account.to_string()).execute(&mut **transaction).await?;
    }
    Ok(())
}
