//! Pins: which certificate belongs to which address, as the organisation vouched for it.
//!
//! From its pin on, a reader's letters are sealed to the certificate, and only the certificate speaks for the reader. The
//! counter of a pin counts enrolments and resets of the address; it never falls, so what was said of an earlier one is
//! never what is meant now.
//!
//! Security: the vouch is verified whenever a pin is used. One that doesn't verify is an error and never "no pin": a row
//! that somebody damaged must not bring letters back to links.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use sealpost_vault::Identity;
use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, StoreError, met};
use sealpost_vault::derive::{FieldTooLong, ctx, sha256};
use sealpost_vault::id::{AccountId, PickupId};

use crate::keyring::Keyring;
use crate::seal::ReaderCertificate;

/// Whether an address has a certificate now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Enrolled,
    /// The administration took it away; the counter stays.
    Reset,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Reset => "reset",
        }
    }
}

/// What the organisation's signature says: SEALING.md, `vouch`.
pub(crate) struct Claim<'a> {
    pub(crate) reader: &'a Identity,
    /// Empty where the address was reset.
    pub(crate) fingerprint: &'a [u8],
    /// Empty where the address was reset.
    pub(crate) certificate: &'a [u8],
    pub(crate) counter: i64,
    pub(crate) at: Time,
    pub(crate) state: State,
}

impl Claim<'_> {
    /// The bytes that are signed.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, FieldTooLong> {
        ctx(
            "vouch",
            &[
                self.reader.as_str().as_bytes(),
                self.fingerprint,
                &sha256(self.certificate),
                &self.counter.to_be_bytes(),
                &self.at.to_be_bytes(),
                self.state.word().as_bytes(),
            ],
        )
    }
}

/// A reader's pin, verified.
pub struct Pinned {
    pub reader: Identity,
    pub account: AccountId,
    /// Enrolments and resets of this address so far, this one included.
    pub counter: i64,
    pub certificate: ReaderCertificate,
    pub vouch: Vec<u8>,
    pub vouched_at: Time,
    /// The letter that the reader enrolled with.
    pub pickup: PickupId,
}

impl Pinned {
    /// Whether `signature`, one detached signature packet, was made over `message` by the pinned certificate.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.certificate.verify(message, signature)
    }

    /// The fingerprint as people read it, upper-case hexadecimal.
    pub fn fingerprint_hex(&self) -> String {
        data_encoding::HEXUPPER.encode(self.certificate.fingerprint())
    }
}

/// What is known of an address that was pinned once, its vouch verified.
pub(crate) enum Pin {
    Enrolled(Box<Pinned>),
    Reset { counter: i64 },
}

/// The pin of a reader, if there is one now.
pub async fn current(store: &Db, keyring: &Keyring, reader: &Identity) -> Result<Option<Pinned>, StoreError> {
    Ok(match find(store, keyring, reader).await? {
        Some(Pin::Enrolled(pinned)) => Some(*pinned),
        Some(Pin::Reset { .. }) | None => None,
    })
}

macro_rules! columns {
    () => {
        "reader, account_id, state, counter, fingerprint, certificate, vouch, vouched_at, pickup_id"
    };
}

/// What is known of a reader's pin.
pub(crate) async fn find(store: &Db, keyring: &Keyring, reader: &Identity) -> Result<Option<Pin>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from pins where reader = $1"))
        .bind(reader.as_str())
        .fetch_optional(store.reader())
        .await?;
    row.map(|row| verified(keyring, &row)).transpose()
}

/// The pin of an account.
pub async fn of_account(store: &Db, keyring: &Keyring, account: AccountId) -> Result<Option<Pinned>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from pins where account_id = $1 and state = 'enrolled'"))
        .bind(account.to_string())
        .fetch_optional(store.reader())
        .await?;
    Ok(match row.map(|row| verified(keyring, &row)).transpose()? {
        Some(Pin::Enrolled(pinned)) => Some(*pinned),
        Some(Pin::Reset { .. }) | None => None,
    })
}

/// A pin to be set.
pub(crate) struct NewPin<'a> {
    pub(crate) claim: Claim<'a>,
    pub(crate) account: AccountId,
    /// The organisation's signature over the claim.
    pub(crate) vouch: &'a [u8],
    pub(crate) pickup: PickupId,
}

/// Sets a reader's first pin, or, where the address was reset, the one behind the counter `before`. False where somebody was
/// faster: the first one counts.
pub(crate) async fn enrol(
    transaction: &mut Transaction<'static, Any>,
    pin: &NewPin<'_>,
    before: Option<i64>,
) -> Result<bool, StoreError> {
    let done = sqlx::query(concat!(
        "insert into pins (",
        columns!(),
        ") values ($1, $2, 'enrolled', $3, $4, $5, $6, $7, $8)
         on conflict (reader) do update set account_id = excluded.account_id, state = excluded.state,
         counter = excluded.counter, fingerprint = excluded.fingerprint, certificate = excluded.certificate,
         vouch = excluded.vouch, vouched_at = excluded.vouched_at, pickup_id = excluded.pickup_id
         where pins.state = 'reset' and pins.counter = $9 and excluded.counter > pins.counter"
    ))
    .bind(pin.claim.reader.as_str())
    .bind(pin.account.to_string())
    .bind(pin.claim.counter)
    .bind(data_encoding::HEXUPPER.encode(pin.claim.fingerprint))
    .bind(pin.claim.certificate)
    .bind(pin.vouch)
    .bind(pin.claim.at)
    .bind(pin.pickup.to_string())
    .bind(before.unwrap_or(-1))
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes a reader's certificate away; the counter counts it. False where the pin is another one by now.
pub(crate) async fn reset(
    transaction: &mut Transaction<'static, Any>,
    keyring: &Keyring,
    pinned: &Pinned,
    now: Time,
) -> Result<bool, StoreError> {
    let counter = pinned.counter.saturating_add(1);
    let claim =
        Claim { reader: &pinned.reader, fingerprint: &[], certificate: &[], counter, at: now, state: State::Reset };
    let vouch =
        keyring.vouch(&claim.bytes()?).map_err(|_| StoreError::Corrupt("an organisation's key that doesn't sign"))?;
    let nothing: &[u8] = &[];
    let done = sqlx::query(
        "update pins set state = 'reset', counter = $1, fingerprint = '', certificate = $2, vouch = $3, vouched_at = $4
         where reader = $5 and state = 'enrolled' and counter = $6",
    )
    .bind(counter)
    .bind(nothing)
    .bind(vouch)
    .bind(now)
    .bind(pinned.reader.as_str())
    .bind(pinned.counter)
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Within a transaction: the account's pin stays as it is until the transaction ends. An error where it is there no more.
/// Callers with several accounts name them in their order, so that two at once don't wait for each other.
pub(crate) async fn stays(transaction: &mut Transaction<'static, Any>, account: AccountId) -> Result<(), StoreError> {
    // Takes the row's lock on either engine.
    let done = sqlx::query("update pins set state = state where account_id = $1 and state = 'enrolled'")
        .bind(account.to_string())
        .execute(&mut **transaction)
        .await?;
    met(&done, 1)
}

fn verified(keyring: &Keyring, row: &AnyRow) -> Result<Pin, StoreError> {
    let reader = Identity::from_stored(row.try_get("reader")?);
    let state = match row.try_get::<String, _>("state")?.as_str() {
        "enrolled" => State::Enrolled,
        "reset" => State::Reset,
        _ => return Err(StoreError::Corrupt("a pin's state")),
    };
    let counter: i64 = row.try_get("counter")?;
    let vouched_at: Time = row.try_get("vouched_at")?;
    let bytes: Vec<u8> = row.try_get("certificate")?;
    let vouch: Vec<u8> = row.try_get("vouch")?;
    let fingerprint = data_encoding::HEXUPPER
        .decode(row.try_get::<String, _>("fingerprint")?.as_bytes())
        .map_err(|_| StoreError::Corrupt("a pin's fingerprint"))?;
    let claim =
        Claim { reader: &reader, fingerprint: &fingerprint, certificate: &bytes, counter, at: vouched_at, state };
    let said = claim.bytes().map_err(|_| StoreError::Corrupt("a pin's address"))?;
    if !keyring.verify_vouch(&said, &vouch) {
        return Err(StoreError::Corrupt("a pin that the organisation did not vouch for"));
    }
    if state == State::Reset {
        return Ok(Pin::Reset { counter });
    }
    let certificate = ReaderCertificate::check(&bytes, &reader)
        .ok()
        .filter(|certificate| certificate.fingerprint().as_slice() == fingerprint)
        .ok_or(StoreError::Corrupt("a pin's certificate"))?;
    Ok(Pin::Enrolled(Box::new(Pinned {
        account: row.try_get::<String, _>("account_id")?.parse()?,
        counter,
        certificate,
        vouch,
        vouched_at,
        pickup: row.try_get::<String, _>("pickup_id")?.parse()?,
        reader,
    })))
}

#[cfg(test)]
pub(crate) mod tests;
