//! Claims: which spooled messages one process has, until its lease ends.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sqlx::{Any, Transaction};

use sealpost_vault::clock::Time;
use sealpost_vault::db::{StoreError, Write, Written};
use sealpost_vault::id::QueueId;

use super::LEASE;

/// Messages claimed at once, for all workers of this process: each claim is a commit.
const CLAIMED_AT_ONCE: i64 = 32;

/// Whose claim is to be ended.
#[derive(Clone, PartialEq)]
pub(super) enum Adrift {
    /// All rows that have it.
    All(String),
    /// This row alone: others of the same claim are being worked on.
    One(String, QueueId),
}

/// A claimed row as it is stored.
pub(super) struct Row {
    pub(super) queue_id: QueueId,
    pub(super) size: i64,
    pub(super) attempts: i64,
    pub(super) blob_key: String,
    pub(super) sealed: Vec<u8>,
    pub(super) claim: String,
    pub(super) claimed_until: Time,
}

/// Takes what is due. Several processes may want the same rows: the outer condition leaves each row to one of them.
pub(super) struct Claim {
    pub(super) id: String,
    pub(super) now: Time,
    pub(super) rows: Mutex<VecDeque<Row>>,
}

impl Write for Claim {
    fn write<'t>(&'t self, transaction: &'t mut Transaction<'static, Any>) -> Written<'t> {
        Box::pin(async move {
            let claimed_until = self.now.saturating_add(LEASE);
            let found: Vec<(String, i64, i64, String, Vec<u8>)> = sqlx::query_as(
                "update spool set claimed_until = $1, claim = $2, attempts = attempts + 1
                 where queue_id in (select queue_id from spool where state = 'active' and next_at <= $3 and claimed_until < $3
                                    order by next_at limit $4)
                   and state = 'active' and next_at <= $3 and claimed_until < $3
                 returning queue_id, size, attempts, blob_key, sealed",
            )
            .bind(claimed_until)
            .bind(self.id.clone())
            .bind(self.now)
            .bind(CLAIMED_AT_ONCE)
            .fetch_all(&mut **transaction)
            .await?;
            let rows: Result<VecDeque<Row>, StoreError> = found
                .into_iter()
                .map(|(queue_id, size, attempts, blob_key, sealed)| {
                    let (queue_id, claim) = (queue_id.parse()?, self.id.clone());
                    Ok(Row { queue_id, size, attempts, blob_key, sealed, claim, claimed_until })
                })
                .collect();
            *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows?;
            Ok(())
        })
    }
}
