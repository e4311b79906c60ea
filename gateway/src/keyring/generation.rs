//! Keys and store compared: keys from an old backup, or of another organisation, are noticed before they are used.
//!
//! A keyring has a random set id, made with it, and a generation that counts up with every change. The gateway's own store
//! remembers the highest generation that it was used with. Older keys lack what was sealed since; keys of another set open
//! nothing at all. Keys that are newer than the store pass: a store may come from an older backup.

use data_encoding::HEXLOWER;
use sealpost_vault::Time;
use sealpost_vault::db::{Db, StoreError};
use sqlx::{Any, Transaction};

use super::Keyring;
use crate::audit::{self, Event};

/// Why these keys are not for this store.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    #[error(
        "the keys are older than the store: they are of generation {keys}, and the store was used with generation {store} \
         of the same keys. What was sealed since would not open. Restore the newer backup of the keys (`sealpost keys \
         restore`, into an empty directory; with --accept-older where no newer one exists)"
    )]
    Older { keys: u64, store: u64 },
    #[error(
        "the keys are not those of this store: it was used with another set, and nothing in it opens with these. Restore \
         the backup of its own keys (`sealpost keys restore`, into an empty directory), or the store that belongs to these"
    )]
    OtherSet,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a store remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    set: String,
    pub generation: u64,
}

impl Used {
    /// `None`: the store was never used with keys.
    pub async fn of(store: &Db) -> Result<Option<Self>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("select set_id, generation from keyring_used").fetch_optional(store.reader()).await?;
        Self::from_row(row)
    }

    fn from_row(row: Option<(String, i64)>) -> Result<Option<Self>, StoreError> {
        row.map(|(set, generation)| {
            let generation = u64::try_from(generation).map_err(|_| StoreError::Corrupt("a keyring's generation"))?;
            Ok(Self { set, generation })
        })
        .transpose()
    }
}

impl Keyring {
    /// Counts up with every change of a key.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Which keys these are, whatever was changed in them.
    pub fn set(&self) -> String {
        HEXLOWER.encode(&self.0.set)
    }

    /// Whether these keys may be used with a store that remembers this.
    pub fn fits(&self, used: Option<&Used>) -> Result<(), UseError> {
        match used {
            Some(used) if used.set != self.set() => Err(UseError::OtherSet),
            Some(used) if used.generation > self.generation() => {
                Err(UseError::Older { keys: self.generation(), store: used.generation })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Compares, and lets the store remember these keys.
    pub async fn take_up(&self, store: &Db, now: Time) -> Result<(), UseError> {
        let mut transaction = store.begin().await?;
        self.take_up_in(&mut transaction, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// As [`Keyring::take_up`], beside what the caller records.
    pub async fn take_up_in(&self, transaction: &mut Transaction<'static, Any>, now: Time) -> Result<(), UseError> {
        let row: Option<(String, i64)> = sqlx::query_as("select set_id, generation from keyring_used")
            .fetch_optional(&mut **transaction)
            .await
            .map_err(StoreError::from)?;
        let used = Used::from_row(row)?;
        self.fits(used.as_ref())?;
        if used.is_some_and(|used| used.generation == self.generation()) {
            return Ok(());
        }
        let generation = i64::try_from(self.generation()).map_err(|_| StoreError::Corrupt("a keyring's generation"))?;
        sqlx::query(
            "insert into keyring_used (set_id, generation, used_at) values ($1, $2, $3)
             on conflict (set_id) do update set generation = excluded.generation, used_at = excluded.used_at",
        )
        .bind(self.set())
        .bind(generation)
        .bind(now)
        .execute(&mut **transaction)
        .await
        .map_err(StoreError::from)?;
        // A change that a crash kept from being recorded leaves its trace here.
        audit::record(transaction, Event::KeysTakenUp { generation: self.generation() }, now).await?;
        Ok(())
    }
}
