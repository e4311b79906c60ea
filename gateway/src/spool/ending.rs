//! The end of a claim whose outcome is still on its way: the mail that came of the message is being delivered.
//!
//! Whoever has it writes its rows with those of the outcome. Until then the message is in the spool and claimed; whoever lets
//! go of it without an end gives it back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Rows, StoreError};
use sealpost_vault::id::QueueId;
use tokio::sync::OwnedSemaphorePermit;

use super::{Adrift, Claimed, LEASE, Spool};

/// A message that leaves the spool with the outcome of its delivery.
pub struct Ending {
    spool: Spool,
    queue_id: QueueId,
    claim: String,
    claimed_until: Time,
    blob_key: String,
    rows: Rows,
    is_over: AtomicBool,
    _room: Option<OwnedSemaphorePermit>,
}

/// Those of this process that have begun and aren't over.
#[derive(Default)]
pub(super) struct Endings(Mutex<BTreeSet<(Time, QueueId)>>);

impl Endings {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<(Time, QueueId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a claim may end before its outcome is written: the store has been away for long.
    pub(super) fn are_late(&self, now: Time) -> bool {
        self.lock().first().is_some_and(|(claimed_until, _)| claimed_until.saturating_sub(now) < LEASE / 4)
    }
}

impl Spool {
    /// Whether enough of the lease is left for a delivery to begin before anything is written.
    pub fn can_go_ahead(&self, claimed: &Claimed) -> bool {
        claimed.claimed_until.saturating_sub(self.clock.now()) > LEASE / 2
    }

    /// As [`Spool::finish`], later: `rows` and what ends the claim are written with the outcome.
    pub fn finish_later(&self, mut rows: Rows, claimed: &mut Claimed) -> Result<Ending, StoreError> {
        self.finish(&mut rows, claimed)?;
        let (queue_id, claimed_until) = (claimed.judged.received.queue_id, claimed.claimed_until);
        Ok(Ending {
            spool: self.clone(),
            queue_id,
            claimed_until,
            claim: claimed.claim.clone(),
            blob_key: claimed.blob_key.clone(),
            rows,
            is_over: AtomicBool::new(false),
            _room: claimed.room.take(),
        })
    }
}

impl Ending {
    /// From now on it may be delivered: nobody of this process takes the message again before its outcome is written.
    pub fn begin(&self) {
        self.spool.endings.lock().insert((self.claimed_until, self.queue_id));
    }

    /// To be written in the transaction that makes the outcome true. An error of the count: somebody else has the message.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// After that transaction: what lay beside the row goes.
    pub async fn done(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Err(error) = self.spool.blobs.delete(&self.blob_key).await {
            tracing::warn!(queue_id = %self.queue_id, %error, "a finished message's blob stays until the next start");
        }
    }

    /// Nothing came of it: the message is as due as before.
    pub async fn give_back(self) -> Result<(), StoreError> {
        let spool = self.spool.clone();
        drop(self);
        spool.give_back().await
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.spool.endings.lock().remove(&(self.claimed_until, self.queue_id));
        if !self.is_over.load(Ordering::SeqCst) {
            self.spool.adrift().push(Adrift::One(std::mem::take(&mut self.claim), self.queue_id));
        }
    }
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending").field("queue_id", &self.queue_id).finish_non_exhaustive()
    }
}
