//! What the command line and readiness see of the queue, and what an administrator may do to it.
//!
//! An id names a row, or by the id of the accepted message (as in its `250`) all rows that came of it. A row that is just
//! being delivered is left alone: what is said about it comes too late.
//!
//! Security: addresses and replies, no content; content can't be shown at all.

use sealpost_vault::id::{PickupId, QueueId};
use sealpost_vault::{EmailAddress, StoreError, Time};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::{Kind, Queue, Route, UnknownWord, words};
use crate::audit::{self, Event, Order};

/// Whether a row is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Active,
    /// Waits for an administrator.
    Held,
}

words!(State { Active = "active", Held = "held" });

/// One row, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub queue_id: QueueId,
    pub origin: QueueId,
    pub kind: Kind,
    pub route: Route,
    /// Empty: null.
    pub reverse_path: String,
    pub recipient: EmailAddress,
    pub pickup: Option<PickupId>,
    pub state: State,
    pub attempts: i64,
    pub next_at: Time,
    pub created_at: Time,
    pub expires_at: Time,
    /// A worker has it until then, if that is in the future.
    pub claimed_until: Time,
    /// One line of printable ASCII; empty before the first attempt.
    pub last_reply: String,
    /// Of the sealed body, in bytes.
    pub size: i64,
}

/// Which rows are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    /// A row, or all rows of an accepted message.
    Id(QueueId),
}

/// What an administrator's order met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub changed: u64,
    /// Rows that were meant, but are just being delivered.
    pub busy: u64,
}

/// How the queue is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not tried yet.
    pub fresh: i64,
    /// Tried, and waiting.
    pub deferred: i64,
    pub held: i64,
    /// When the oldest row that is not held was inserted; 0 where there is none.
    pub oldest: Time,
}

impl Selection {
    /// `$1` in `($1 = '' or queue_id = $1 or origin_id = $1)`.
    pub(crate) fn bound(self) -> String {
        self.id().map_or_else(String::new, |id| id.to_string())
    }

    /// `None`: all.
    pub(crate) fn id(self) -> Option<QueueId> {
        match self {
            Self::All => None,
            Self::Id(id) => Some(id),
        }
    }
}

impl Queue {
    /// All rows, oldest first.
    pub async fn list(&self) -> Result<Vec<Entry>, StoreError> {
        self.entries(Selection::All).await
    }

    /// The rows that an id names; none if it names nothing.
    pub async fn show(&self, id: QueueId) -> Result<Vec<Entry>, StoreError> {
        self.entries(Selection::Id(id)).await
    }

    async fn entries(&self, selection: Selection) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(
            "select q.queue_id, q.origin_id, q.kind, q.route, q.reverse_path, q.recipient, q.pickup_id, q.state, q.attempts,
             q.next_at, q.created_at, q.expires_at, q.claimed_until, q.last_reply, o.size
             from queue q join outgoing o on o.body_id = q.body_id
             where ($1 = '' or q.queue_id = $1 or q.origin_id = $1) order by q.created_at, q.queue_id",
        )
        .bind(selection.bound())
        .fetch_all(self.store.reader())
        .await?;
        rows.iter().map(entry).collect()
    }

    /// Tries again now, held rows too. A row whose lifetime is over gets another one of the same length.
    pub async fn retry(&self, selection: Selection) -> Result<Changed, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let done = sqlx::query(
            "update queue set state = 'active', next_at = $2,
             expires_at = case when expires_at <= $2 then $2 + (expires_at - created_at) else expires_at end
             where ($1 = '' or queue_id = $1 or origin_id = $1) and claimed_until <= $2",
        )
        .bind(selection.bound())
        .bind(now)
        .execute(&mut *tx)
        .await?;
        self.ordered(&mut tx, Order::Retry, selection, done.rows_affected()).await?;
        tx.commit().await?;
        self.wake();
        self.changed(selection, done.rows_affected()).await
    }

    /// Keeps rows from being tried. A lease that ended belongs to nobody any more, not even to who had it.
    pub async fn hold(&self, selection: Selection) -> Result<Changed, StoreError> {
        let mut tx = self.store.begin().await?;
        let done = sqlx::query(
            "update queue set state = 'held', claim = '', claimed_until = 0 where ($1 = '' or queue_id = $1 or origin_id = $1)
             and state = 'active' and claimed_until <= $2",
        )
        .bind(selection.bound())
        .bind(self.clock.now())
        .execute(&mut *tx)
        .await?;
        self.ordered(&mut tx, Order::Hold, selection, done.rows_affected()).await?;
        tx.commit().await?;
        self.changed(selection, done.rows_affected()).await
    }

    /// Ends [`Queue::hold`]; the rows are tried when they are due.
    pub async fn release(&self, selection: Selection) -> Result<Changed, StoreError> {
        let mut tx = self.store.begin().await?;
        let done = sqlx::query(
            "update queue set state = 'active' where ($1 = '' or queue_id = $1 or origin_id = $1) and state = 'held'",
        )
        .bind(selection.bound())
        .execute(&mut *tx)
        .await?;
        self.ordered(&mut tx, Order::Release, selection, done.rows_affected()).await?;
        tx.commit().await?;
        self.wake();
        self.changed(selection, done.rows_affected()).await
    }

    /// Deletes rows, and bodies with their last row. Nobody is told.
    pub async fn delete(&self, selection: Selection) -> Result<Changed, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let bodies: Vec<(String,)> = sqlx::query_as(
            "select distinct body_id from queue where ($1 = '' or queue_id = $1 or origin_id = $1) order by body_id",
        )
        .bind(selection.bound())
        .fetch_all(&mut *tx)
        .await?;
        let mut deleted = 0;
        for (body_id,) in &bodies {
            let rows: Vec<(String, String, String, String)> = sqlx::query_as(
                "delete from queue where body_id = $3 and ($1 = '' or queue_id = $1 or origin_id = $1) and claimed_until <= $2
                 returning queue_id, origin_id, kind, recipient",
            )
            .bind(selection.bound())
            .bind(now)
            .bind(body_id)
            .fetch_all(&mut *tx)
            .await?;
            for row in &rows {
                self.deleted(&mut tx, row).await?;
            }
            deleted += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            Self::delete_small_body(&mut tx, body_id).await?;
        }
        tx.commit().await?;
        for (body_id,) in &bodies {
            self.sweep_body(body_id).await?;
        }
        self.changed(selection, deleted).await
    }

    /// When a letter ends: the notifications of it that haven't left yet shan't. One that is just being delivered stays.
    pub async fn withdraw_notifications(
        &self,
        tx: &mut Transaction<'static, Any>,
        pickup: PickupId,
    ) -> Result<u64, StoreError> {
        let bodies: Vec<(String,)> = sqlx::query_as(
            "select distinct body_id from queue where pickup_id = $1 and kind = 'notification' order by body_id",
        )
        .bind(pickup.to_string())
        .fetch_all(&mut **tx)
        .await?;
        let mut deleted = 0;
        for (body_id,) in bodies {
            deleted += sqlx::query("delete from queue where body_id = $1 and claimed_until <= $2")
                .bind(&body_id)
                .bind(self.clock.now())
                .execute(&mut **tx)
                .await?
                .rows_affected();
            Self::delete_small_body(tx, &body_id).await?;
        }
        Ok(deleted)
    }

    /// For readiness and the command line.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let (fresh, deferred, held, oldest): (i64, i64, i64, i64) = sqlx::query_as(
            "select count(case when state = 'active' and attempts = 0 then 1 end),
             count(case when state = 'active' and attempts > 0 then 1 end), count(case when state = 'held' then 1 end),
             coalesce(min(case when state = 'active' then created_at end), 0) from queue",
        )
        .fetch_one(self.store.reader())
        .await?;
        Ok(Counts { fresh, deferred, held, oldest })
    }

    /// An administrator's order, in the transaction that obeys it; one that changed nothing leaves no record.
    async fn ordered(
        &self,
        tx: &mut Transaction<'static, Any>,
        order: Order,
        selection: Selection,
        rows: u64,
    ) -> Result<(), StoreError> {
        if rows == 0 {
            return Ok(());
        }
        audit::record(tx, Event::QueueOrdered { order, of: selection.id(), rows }, self.clock.now()).await
    }

    /// What was deleted undelivered is named row by row.
    async fn deleted(
        &self,
        tx: &mut Transaction<'static, Any>,
        (row, message, kind, recipient): &(String, String, String, String),
    ) -> Result<(), StoreError> {
        let kind: Kind = kind.parse().map_err(|_: UnknownWord| StoreError::Corrupt("a word of the queue"))?;
        let recipient = recipient.parse().map_err(|_| StoreError::Corrupt("a recipient"))?;
        let (row, message, mail) = (row.parse()?, message.parse()?, kind.as_str());
        let deleted = Event::QueueDeleted { row, message, mail, recipient: &recipient };
        audit::record(tx, deleted, self.clock.now()).await
    }

    async fn changed(&self, selection: Selection, changed: u64) -> Result<Changed, StoreError> {
        let (busy,): (i64,) = sqlx::query_as(
            "select count(*) from queue where ($1 = '' or queue_id = $1 or origin_id = $1) and claimed_until > $2",
        )
        .bind(selection.bound())
        .bind(self.clock.now())
        .fetch_one(self.store.reader())
        .await?;
        Ok(Changed { changed, busy: u64::try_from(busy).unwrap_or(0) })
    }
}

fn entry(row: &AnyRow) -> Result<Entry, StoreError> {
    let word = |_: UnknownWord| StoreError::Corrupt("a word of the queue");
    Ok(Entry {
        queue_id: row.try_get::<String, _>("queue_id")?.parse()?,
        origin: row.try_get::<String, _>("origin_id")?.parse()?,
        kind: row.try_get::<String, _>("kind")?.parse().map_err(word)?,
        route: row.try_get::<String, _>("route")?.parse().map_err(word)?,
        reverse_path: row.try_get("reverse_path")?,
        recipient: row.try_get::<String, _>("recipient")?.parse().map_err(|_| StoreError::Corrupt("a recipient"))?,
        pickup: match row.try_get::<String, _>("pickup_id")? {
            id if id.is_empty() => None,
            id => Some(id.parse()?),
        },
        state: row.try_get::<String, _>("state")?.parse().map_err(word)?,
        attempts: row.try_get("attempts")?,
        next_at: row.try_get("next_at")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        claimed_until: row.try_get("claimed_until")?,
        last_reply: row.try_get("last_reply")?,
        size: row.try_get("size")?,
    })
}
