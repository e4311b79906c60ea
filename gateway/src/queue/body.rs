//! Bodies: sealed when they are placed, opened when they are sent, deleted with their last row. Large ones are never in
//! memory as a whole when they are sent.
//!
//! A large body is deleted in three steps (rows, blob, body's row), each of which can be repeated: a process that dies in
//! between leaves a body without rows, and the next [`Queue::sweep`] goes on from there.
//!
//! Security: the key is bound to the body's id; a body in another one's place doesn't open.

use std::io::Write;
use std::sync::Arc;

use sealpost_vault::blobs::{IN_ROW, Placed};
use sealpost_vault::id::QueueId;
use sealpost_vault::{StoreError, Time};
use sqlx::{Any, Transaction};
use tokio::sync::Semaphore;

use super::Queue;
use crate::deliver::{Content, Found, Stored};
use crate::keyring::{Keyring, KeyringError};

/// What is sealed is a little longer.
const LONGEST_IN_ROW: usize = IN_ROW - 64;
/// After this long, a blob without a row isn't on its way into one, in seconds.
const ORPHANED: Time = 3_600;

/// Where a body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Row,
    /// In a blob, or nobody could tell.
    Blob,
}

/// Larger ones wait for one another, in bytes.
const LARGE: i64 = 4 * 1024 * 1024;
/// Large bodies that are being sent: they take long, and leave connections to the others.
pub(super) const LARGE_ROOM: usize = 8;

/// What a body needs before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    NotNeeded,
    Wanted,
}

/// A body that is to be sent.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Vec<u8>),
    /// Too large for that: it is read while it is sent.
    Stored(Stored),
}

impl Body {
    pub(super) fn content(&self) -> Content<'_> {
        match self {
            Self::Whole(bytes) => Content::Whole(bytes),
            Self::Stored(stored) => Content::Stored(stored),
        }
    }

    /// Nothing of what is only read while it is sent.
    pub(super) fn whole(&self) -> &[u8] {
        self.content().whole()
    }
}

impl Place {
    pub(super) fn of(blob_key: &str) -> Self {
        if blob_key.is_empty() { Self::Row } else { Self::Blob }
    }
}

fn open(keyring: &Keyring, id: QueueId, sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    keyring.spool_open(&id, sealed).map_err(|error| refused(id, &error, "a body doesn't open"))
}

fn refused(id: QueueId, error: &KeyringError, what: &'static str) -> StoreError {
    tracing::error!(body_id = %id, ?error, "{what}");
    StoreError::Corrupt(what)
}

impl Queue {
    pub(super) fn large_room(&self) -> Arc<Semaphore> {
        Arc::clone(&self.large_room)
    }

    /// What a body needs. One that isn't there needs nothing: reading it says so.
    pub(super) async fn room_for(&self, body_id: QueueId) -> Result<Room, StoreError> {
        let size: Option<(i64,)> = sqlx::query_as("select size from outgoing where body_id = $1")
            .bind(body_id.to_string())
            .fetch_optional(self.store.reader())
            .await?;
        Ok(match size {
            Some((size,)) if size > LARGE => Room::Wanted,
            _ => Room::NotNeeded,
        })
    }

    /// What is small is sealed for its row, anything else into a blob.
    pub(super) async fn seal(&self, id: QueueId, plain: Vec<u8>) -> Result<Placed, StoreError> {
        let key = format!("outgoing/{id}");
        if plain.len() <= LONGEST_IN_ROW {
            let sealed = self.keyring.spool_seal(&id, plain);
            let sealed = sealed.map_err(|error| refused(id, &error, "a body can't be sealed"))?;
            return self.blobs.place(key, sealed).await;
        }
        let keyring = Arc::clone(&self.keyring);
        let written = self.blobs.write(key, move |staged| {
            let mut writer = keyring.spool_writer(&id, staged).map_err(KeyringError::of_mail)?;
            writer.write_all(&plain)?;
            writer.finish()?;
            Ok(())
        });
        Ok(written.await?.0)
    }

    /// A body, as far as it is needed to begin to send it.
    pub(super) async fn body(&self, body_id: QueueId) -> Result<(Body, Place), StoreError> {
        let (blob_key, in_row): (String, Vec<u8>) =
            sqlx::query_as("select blob_key, sealed from outgoing where body_id = $1")
                .bind(body_id.to_string())
                .fetch_optional(self.store.reader())
                .await?
                .ok_or(StoreError::Corrupt("a row without its body"))?;
        let place = Place::of(&blob_key);
        if place == Place::Row {
            return Ok((Body::Whole(open(&self.keyring, body_id, in_row)?), place));
        }
        let body = match Stored::find(&self.blobs, &self.keyring, body_id, &blob_key).await? {
            Found::Small(bytes) => Body::Whole(bytes),
            Found::Large(stored) => Body::Stored(stored),
        };
        Ok((body, place))
    }

    /// After rows were deleted: the body, if that was its last row and it lies in the database. Two transactions that
    /// delete the last two rows don't see each other's; then [`Queue::sweep_body`] after the commit finds what is left.
    pub(super) async fn delete_small_body(tx: &mut Transaction<'static, Any>, body_id: &str) -> Result<(), StoreError> {
        sqlx::query(
            "delete from outgoing where body_id = $1 and blob_key = ''
             and not exists (select 1 from queue where queue.body_id = outgoing.body_id)",
        )
        .bind(body_id)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Bodies for which no commit was tried must not keep the room that was too little.
    pub(crate) async fn forget_unqueued(&self, blob_keys: &[String]) {
        for blob_key in blob_keys {
            if let Err(error) = self.blobs.delete(blob_key).await {
                tracing::warn!(blob_key, %error, "a body without rows stays until it is swept");
            }
        }
    }

    /// Blobs without a body's row that were written before `moment`.
    pub(super) async fn sweep_orphans(&self, moment: Time) -> Result<(), StoreError> {
        for blob in self.blobs.older_than("outgoing", moment).await? {
            let named: Option<(i64,)> = sqlx::query_as("select size from outgoing where blob_key = $1")
                .bind(&blob)
                .fetch_optional(self.store.reader())
                .await?;
            if named.is_none() {
                tracing::info!(blob, "a body without a row is deleted");
                self.blobs.delete(&blob).await?;
            }
        }
        Ok(())
    }

    /// All bodies of which no row is left, and blobs that never got one.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let done: Vec<(String, String)> = sqlx::query_as(
            "select body_id, blob_key from outgoing
             where not exists (select 1 from queue where queue.body_id = outgoing.body_id)",
        )
        .fetch_all(self.store.reader())
        .await?;
        for (body_id, blob_key) in done {
            self.forget_body(&body_id, &blob_key).await?;
        }
        self.sweep_orphans(self.clock.now().saturating_sub(ORPHANED)).await
    }

    /// After a transaction that deleted rows of this body: the body, if none is left.
    pub(super) async fn sweep_body(&self, body_id: &str) -> Result<(), StoreError> {
        let done: Option<(String,)> = sqlx::query_as(
            "select blob_key from outgoing where body_id = $1
             and not exists (select 1 from queue where queue.body_id = outgoing.body_id)",
        )
        .bind(body_id)
        .fetch_optional(self.store.reader())
        .await?;
        match done {
            Some((blob_key,)) => self.forget_body(body_id, &blob_key).await,
            None => Ok(()),
        }
    }

    async fn forget_body(&self, body_id: &str, blob_key: &str) -> Result<(), StoreError> {
        self.blobs.delete(blob_key).await?;
        // Another process may have swept it at the same time: no row is as good as one.
        sqlx::query(
            "delete from outgoing where body_id = $1
             and not exists (select 1 from queue where queue.body_id = outgoing.body_id)",
        )
        .bind(body_id)
        .execute(self.store.writer())
        .await?;
        Ok(())
    }
}
