//! What an administrator sees of the spool, and may do to it.
//!
//! A message that a worker has just now isn't held: what is said about it comes too late.
//!
//! Security: sizes, times and our own words about failures; nothing of a message.

use serde::Serialize;

use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::id::QueueId;
use sqlx::{Any, Transaction};

use super::Spool;
use crate::audit::{self, Event, Order};
use crate::queue::{Changed, Selection, State, UnknownWord};

/// A message as an administrator sees it.
#[derive(Debug, Serialize)]
pub struct Waiting {
    pub queue_id: QueueId,
    pub size: i64,
    pub received_at: Time,
    pub state: State,
    pub attempts: i64,
    pub next_at: Time,
    pub last_error: String,
}

impl Spool {
    /// What waits, oldest first.
    pub async fn list(&self) -> Result<Vec<Waiting>, StoreError> {
        let rows: Vec<(String, i64, i64, String, i64, i64, String)> = sqlx::query_as(
            "select queue_id, size, received_at, state, attempts, next_at, last_error from spool
             order by received_at, queue_id",
        )
        .fetch_all(self.store.reader())
        .await?;
        rows.into_iter()
            .map(|(id, size, received_at, state, attempts, next_at, last_error)| {
                let state = state.parse().map_err(|_: UnknownWord| StoreError::Corrupt("a word of the spool"))?;
                Ok(Waiting { queue_id: id.parse()?, size, received_at, state, attempts, next_at, last_error })
            })
            .collect()
    }

    /// Makes waiting messages due now, held ones too.
    pub async fn retry(&self, selection: Selection) -> Result<Changed, StoreError> {
        let mut transaction = self.store.begin().await?;
        let done = sqlx::query("update spool set state = 'active', next_at = 0 where ($1 = '' or queue_id = $1)")
            .bind(selection.bound())
            .execute(&mut *transaction)
            .await?;
        self.ordered(transaction, Order::Retry, selection, done.rows_affected()).await
    }

    /// Keeps messages from being worked on. Whoever had one for longer than its lease can't end its work any more.
    pub async fn hold(&self, selection: Selection) -> Result<Changed, StoreError> {
        let mut transaction = self.store.begin().await?;
        let done = sqlx::query(
            "update spool set state = 'held', claimed_until = 0, claim = ''
             where ($1 = '' or queue_id = $1) and state = 'active' and claimed_until < $2",
        )
        .bind(selection.bound())
        .bind(self.clock.now())
        .execute(&mut *transaction)
        .await?;
        let changed = self.ordered(transaction, Order::Hold, selection, done.rows_affected()).await?;
        let (busy,): (i64,) = sqlx::query_as(
            "select count(*) from spool where ($1 = '' or queue_id = $1) and state = 'active' and claimed_until >= $2",
        )
        .bind(selection.bound())
        .bind(self.clock.now())
        .fetch_one(self.store.reader())
        .await?;
        Ok(Changed { busy: u64::try_from(busy).unwrap_or(0), ..changed })
    }

    /// Ends [`Spool::hold`]; the messages are worked on when they are due.
    pub async fn release(&self, selection: Selection) -> Result<Changed, StoreError> {
        let mut transaction = self.store.begin().await?;
        let done = sqlx::query("update spool set state = 'active' where ($1 = '' or queue_id = $1) and state = 'held'")
            .bind(selection.bound())
            .execute(&mut *transaction)
            .await?;
        self.ordered(transaction, Order::Release, selection, done.rows_affected()).await
    }

    /// Deletes a waiting message for good. What is being worked on may have reached its next hop by now, and is left.
    pub async fn delete(&self, queue_id: QueueId) -> Result<Changed, StoreError> {
        let mut transaction = self.store.begin().await?;
        let row: Option<(String,)> =
            sqlx::query_as("delete from spool where queue_id = $1 and claimed_until < $2 returning blob_key")
                .bind(queue_id.to_string())
                .bind(self.clock.now())
                .fetch_optional(&mut *transaction)
                .await?;
        let Some((blob_key,)) = row else {
            let busy: Option<(i64,)> = sqlx::query_as("select size from spool where queue_id = $1")
                .bind(queue_id.to_string())
                .fetch_optional(&mut *transaction)
                .await?;
            return Ok(Changed { changed: 0, busy: u64::from(busy.is_some()) });
        };
        audit::record(&mut transaction, Event::SpoolDeleted { message: queue_id }, self.clock.now()).await?;
        transaction.commit().await?;
        self.blobs.delete(&blob_key).await?;
        Ok(Changed { changed: 1, busy: 0 })
    }

    /// Commits an order with its record; one that changed nothing leaves none.
    async fn ordered(
        &self,
        mut transaction: Transaction<'static, Any>,
        order: Order,
        selection: Selection,
        rows: u64,
    ) -> Result<Changed, StoreError> {
        if rows > 0 {
            let ordered = Event::QueueOrdered { order, of: selection.id(), rows };
            audit::record(&mut transaction, ordered, self.clock.now()).await?;
            transaction.commit().await?;
        }
        Ok(Changed { changed: rows, busy: 0 })
    }
}
