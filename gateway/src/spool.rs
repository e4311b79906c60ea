//! The spool: accepted messages, encrypted, from the moment of the `250` until everything that comes of them is queued.
//!
//! Envelope, judgement and bytes are sealed as one under the spool key, in the row or, if they are large, in a blob, so that
//! no column can change what was decided. A worker claims a row for a while, does its work, and deletes the row in the transaction that queues the result:
//! a process that dies in between gives its claim back.
//!
//! Security: nothing of a spooled message is in clear on disk but its size and time.

mod claim;
mod ending;
mod frame;
mod fresh;
mod orders;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use sealpost_vault::blobs::{BlobStore, IN_ROW, Placed};
use sealpost_vault::clock::{Clock, Time};
use sealpost_vault::db::{Db, Engine, Kind, Rows, Statement, StoreError, met};
use sealpost_vault::id::{ConversationId, QueueId, Token, random};
use sealpost_vault::{EmailAddress, Identity};

use crate::audit::{self, Event, Treated, Treatment};
use crate::envelope::Envelope;
use crate::keyring::{Keyring, KeyringError};
use crate::policy::Clearance;
use crate::smtp::ReceivedMessage;

use claim::{Adrift, Claim, Row};
use frame::{decode, encode};
use fresh::Fresh;

pub use ending::Ending;
use ending::Endings;
pub use orders::Waiting;

/// How long a worker may hold a message before another takes it.
const LEASE: Time = 600;
/// After this long, a blob without a row isn't on its way into one.
const ORPHANED: Time = 3_600;
/// What is sealed is a little longer.
const LONGEST_IN_ROW: usize = IN_ROW - 64;
/// Larger ones are sealed and opened off the async threads, in bytes.
const QUICK: usize = 64 * 1024;
/// Of messages that are being worked on, in mebibytes: what is larger than this, together, waits for its turn. Encrypting
/// or sealing one takes several times its size.
const IN_HAND: u32 = 64;
/// First and longest wait after a failed attempt.
const RETRY: (Time, Time) = (30, 1_800);

static ACCEPTED: Statement = Statement {
    order: 1,
    kind: Kind::Insert {
        into: "spool (queue_id, size, blob_key, sealed, received_at, attempts, next_at, claimed_until, claim, last_error)",
        row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
    },
};
static DONE: Statement = Statement { order: 2, kind: Kind::Delete { from: "spool", key: "queue_id", guard: "claim" } };

/// What was decided for one recipient before the `250`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Decision {
    /// Goes on as it came, by the rule that the clearance names.
    Relay { recipient: EmailAddress, clearance: Clearance },
    /// Is encrypted to the recipient's OpenPGP key, which was usable when this was decided.
    Encrypt { recipient: EmailAddress, rule: String, fallback: Fallback },
    /// Is sealed for the recipient; a new letter.
    Hold { recipient: EmailAddress, rule: String },
    /// An answer from inside: is sealed into its conversation.
    Continue { conversation: ConversationId, reader: Identity, recipient: EmailAddress },
    /// Came to the return address of a notification.
    Returned { token: Token },
    /// An automatic answer to a reply address: goes nowhere.
    Drop,
}

/// What becomes of a message whose recipient's key is no longer usable when it is to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// It is sealed for the portal.
    Hold,
    /// Its sender is told that it wasn't sent.
    Return,
}

/// A message with one decision per recipient: what the spool keeps.
pub struct Judged {
    pub received: ReceivedMessage,
    pub decisions: Vec<Decision>,
}

/// A message that a worker has claimed.
pub struct Claimed {
    pub judged: Judged,
    pub attempts: i64,
    claim: String,
    claimed_until: Time,
    blob_key: String,
    /// Taken until it is done with.
    room: Option<OwnedSemaphorePermit>,
}

/// Keeps accepted messages.
#[derive(Clone)]
pub struct Spool {
    store: Db,
    blobs: BlobStore,
    keyring: Arc<Keyring>,
    clock: Clock,
    /// Claims that could not be ended, or of which the store didn't say whether they were made: their leases are long.
    adrift: Arc<Mutex<Vec<Adrift>>>,
    /// Claimed, and not yet in a worker's hands.
    at_hand: Arc<tokio::sync::Mutex<VecDeque<Row>>>,
    room: Arc<Semaphore>,
    fresh: Arc<Fresh>,
    endings: Arc<Endings>,
}

impl Spool {
    pub fn new(store: Db, blobs: BlobStore, keyring: Arc<Keyring>, clock: Clock) -> Self {
        let room = Arc::new(Semaphore::new(usize::try_from(IN_HAND).unwrap_or(1)));
        Self {
            store,
            blobs,
            keyring,
            clock,
            adrift: Arc::default(),
            at_hand: Arc::default(),
            room,
            fresh: Arc::default(),
            endings: Arc::default(),
        }
    }

    /// Puts a message on stable storage. When this returns `Ok`, it is ours, and may lie at hand for a worker already.
    pub async fn commit(&self, judged: Judged) -> Result<QueueId, StoreError> {
        let queue_id = judged.received.queue_id;
        let (judged, placed) = self.put(judged).await?;
        let hand = self.fresh.room_for(&judged).await;
        let (now, mut rows) = (self.clock.now(), Rows::new());
        let claim = match hand {
            Some(_) => QueueId::random()?.to_string(),
            None => String::new(),
        };
        let (attempts, claimed_until) = if hand.is_some() { (1, now.saturating_add(LEASE)) } else { (0, 0) };
        rows.push(
            &ACCEPTED,
            [
                queue_id.to_string().into(),
                placed.size.into(),
                placed.blob_key.as_str().into(),
                placed.in_row.into(),
                now.into(),
                attempts.into(),
                now.into(),
                claimed_until.into(),
                claim.as_str().into(),
            ],
        );
        record_accepted(&mut rows, queue_id, &judged.received.envelope, &judged.decisions, now)?;
        if let Err(error) = self.store.write_rows(rows).await {
            self.take_out(queue_id, &placed.blob_key, &error).await;
            return Err(error);
        }
        if let Some(room) = hand {
            let claimed =
                Claimed { judged, attempts, claim, claimed_until, blob_key: placed.blob_key, room: Some(room) };
            self.fresh.push(claimed);
        }
        Ok(queue_id)
    }

    /// What is small is sealed for its row, anything else into a blob.
    async fn put(&self, judged: Judged) -> Result<(Judged, Placed), StoreError> {
        let queue_id = judged.received.queue_id;
        let key = format!("spool/{queue_id}");
        let head = frame::head(&judged)?;
        if head.len().saturating_add(judged.received.bytes.len()) <= LONGEST_IN_ROW {
            let sealed = self.seal(queue_id, encode(head, &judged.received.bytes)).await?;
            return Ok((judged, self.blobs.place(key, sealed).await?));
        }
        let keyring = Arc::clone(&self.keyring);
        let written = self.blobs.write(key, move |staged| {
            let mut writer = keyring.spool_writer(&queue_id, staged).map_err(KeyringError::of_mail)?;
            writer.write_all(&head)?;
            writer.write_all(&judged.received.bytes)?;
            writer.finish()?;
            Ok(judged)
        });
        let (placed, judged) = written.await?;
        Ok((judged, placed))
    }

    async fn seal(&self, queue_id: QueueId, plain: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let keyring = Arc::clone(&self.keyring);
        let size = plain.len();
        let seal = move || keyring.spool_seal(&queue_id, plain);
        let sealed = if size <= QUICK {
            seal()
        } else {
            let sealed = tokio::task::spawn_blocking(seal).await;
            sealed.map_err(|_| StoreError::Corrupt("a message whose encryption panicked"))?
        };
        sealed.map_err(|_| StoreError::Corrupt("a message that can't be encrypted"))
    }

    /// What could not be committed must not take the room that was too little. Where nobody can tell whether the row is
    /// there, the blob stays, and is swept if it isn't.
    async fn take_out(&self, queue_id: QueueId, blob_key: &str, cause: &StoreError) {
        if blob_key.is_empty() || matches!(cause, StoreError::Uncertain) {
            return;
        }
        if let Err(error) = self.blobs.delete(blob_key).await {
            tracing::warn!(%queue_id, %error, "the blob of a refused message stays until it is swept");
        }
    }

    /// Deletes blobs without a row that are old enough not to be on their way into one.
    pub async fn sweep_orphans(&self) -> Result<(), StoreError> {
        self.sweep_orphans_before(self.clock.now().saturating_sub(ORPHANED)).await
    }

    async fn sweep_orphans_before(&self, moment: Time) -> Result<(), StoreError> {
        for blob in self.blobs.older_than("spool", moment).await? {
            let named: Option<(i64,)> = sqlx::query_as("select size from spool where blob_key = $1")
                .bind(&blob)
                .fetch_optional(self.store.reader())
                .await?;
            if named.is_none() {
                tracing::info!(blob, "a spooled blob without a row is deleted");
                self.blobs.delete(&blob).await?;
            }
        }
        Ok(())
    }

    /// The next message that is due, claimed for this worker.
    pub async fn claim(&self) -> Result<Option<Claimed>, StoreError> {
        self.give_back().await?;
        while let Some(claimed) = self.fresh.take() {
            if self.is_young(claimed.claimed_until) {
                return Ok(Some(claimed));
            }
            self.adrift().push(Adrift::One(claimed.claim, claimed.judged.received.queue_id));
        }
        let Some(row) = self.next_row().await? else { return Ok(None) };
        let room = self.room_for(&row).await;
        let Row { queue_id, attempts, blob_key, sealed, claim, claimed_until, .. } = row;
        match self.open(queue_id, &blob_key, sealed).await {
            Ok(judged) => Ok(Some(Claimed { judged, attempts, claim, claimed_until, blob_key, room })),
            Err(error) => {
                // Stays in the spool for an administrator; it must not be lost and can't be opened.
                self.put_off(queue_id, &claim, attempts, "can't be opened with this spool key").await?;
                Err(error)
            }
        }
    }

    async fn next_row(&self) -> Result<Option<Row>, StoreError> {
        let mut at_hand = self.at_hand.lock().await;
        let now = self.clock.now();
        let (young, old) = std::mem::take(&mut *at_hand).into_iter().partition(|row| self.is_young(row.claimed_until));
        *at_hand = young;
        self.adrift().extend(VecDeque::into_iter(old).map(|row| Adrift::One(row.claim, row.queue_id)));
        if at_hand.is_empty() {
            // What lay here for too long is as due as before.
            self.give_back().await?;
            // Delivered, and not written down yet: it would be sent again.
            if self.endings.are_late(now) {
                return Ok(None);
            }
            let claim = Claim { id: QueueId::from_bytes(random()?).to_string(), now, rows: Mutex::default() };
            let claimed = self.store.together(&claim).await;
            claimed.inspect_err(|_| self.adrift().push(Adrift::All(claim.id.clone())))?;
            *at_hand = claim.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        }
        Ok(at_hand.pop_front())
    }

    /// Whoever takes one must have most of the lease left.
    fn is_young(&self, claimed_until: Time) -> bool {
        claimed_until.saturating_sub(self.clock.now()) > LEASE / 2
    }

    /// Small messages never wait. Large ones may, for less long than the lease lasts by far.
    async fn room_for(&self, row: &Row) -> Option<OwnedSemaphorePermit> {
        if row.blob_key.is_empty() {
            return None;
        }
        let mebibytes = u32::try_from(row.size / (1024 * 1024)).unwrap_or(IN_HAND).saturating_add(1);
        Arc::clone(&self.room).acquire_many_owned(mebibytes.min(IN_HAND)).await.ok()
    }

    /// Before a stop: what no worker has taken is as due as before.
    pub async fn let_go(&self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut *self.at_hand.lock().await);
        let fresh = self.fresh.empty();
        self.adrift().extend(fresh.map(|claimed| Adrift::One(claimed.claim, claimed.judged.received.queue_id)));
        self.adrift().extend(rows.into_iter().map(|row| Adrift::One(row.claim, row.queue_id)));
        self.give_back().await
    }

    async fn open(&self, queue_id: QueueId, blob_key: &str, in_row: Vec<u8>) -> Result<Judged, StoreError> {
        let keyring = Arc::clone(&self.keyring);
        if !blob_key.is_empty() {
            let read = self.blobs.read(blob_key, move |file, size| {
                let mut reader = keyring.spool_reader(&queue_id, file, size).map_err(KeyringError::of_mail)?;
                let length = reader.length();
                frame::read(queue_id, &mut reader, length)
            });
            return read.await;
        }
        let size = in_row.len();
        let unseal = move || {
            let frame = keyring
                .spool_open(&queue_id, in_row)
                .map_err(|_| StoreError::Corrupt("a spooled message that this spool key doesn't open"))?;
            decode(queue_id, frame)
        };
        if size <= QUICK {
            return unseal();
        }
        let opened = tokio::task::spawn_blocking(unseal).await;
        opened.map_err(|_| StoreError::Corrupt("a spooled message whose decryption panicked"))?
    }

    /// Before what only the holder of a claim may do: an error where somebody else has it. Costs nothing as long as most of
    /// the lease is left; the process may have stood still since.
    pub async fn keep(&self, claimed: &Claimed) -> Result<(), StoreError> {
        let now = self.clock.now();
        if claimed.claimed_until.saturating_sub(now) > LEASE / 2 {
            return Ok(());
        }
        let done = sqlx::query("update spool set claimed_until = $1 where queue_id = $2 and claim = $3")
            .bind(now.saturating_add(LEASE))
            .bind(claimed.judged.received.queue_id.to_string())
            .bind(claimed.claim.clone())
            .execute(self.store.writer())
            .await?;
        met(&done, 1)
    }

    /// Ends a claim with success, together with the rows that queue the result. Delete the blob afterwards with [`Spool::sweep`].
    pub fn finish(&self, rows: &mut Rows, claimed: &Claimed) -> Result<(), StoreError> {
        let Judged { received, decisions } = &claimed.judged;
        rows.push(&DONE, [received.queue_id.to_string().into(), claimed.claim.as_str().into()]);
        record_relayed(rows, received.queue_id, decisions, self.clock.now())
    }

    /// Deletes what lay beside a finished row.
    pub async fn sweep(&self, claimed: &Claimed) {
        if let Err(error) = self.blobs.delete(&claimed.blob_key).await {
            tracing::warn!(%error, "a finished message's blob stays until the next start");
        }
    }

    /// Ends a claim without success: the message is tried again later, or at once when a store that is away comes back.
    pub async fn fail(&self, claimed: &Claimed, cause: &str) -> Result<(), StoreError> {
        let ended = self.put_off(claimed.judged.received.queue_id, &claimed.claim, claimed.attempts, cause).await;
        if ended.is_err() {
            self.adrift().push(Adrift::One(claimed.claim.clone(), claimed.judged.received.queue_id));
        }
        ended
    }

    fn adrift(&self) -> MutexGuard<'_, Vec<Adrift>> {
        self.adrift.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the claims that nobody works on.
    async fn give_back(&self) -> Result<(), StoreError> {
        loop {
            let Some(adrift) = self.adrift().last().cloned() else { return Ok(()) };
            let ended = match &adrift {
                Adrift::All(claim) => {
                    sqlx::query("update spool set claimed_until = 0, claim = '' where claim = $1").bind(claim.clone())
                }
                Adrift::One(claim, queue_id) => {
                    sqlx::query("update spool set claimed_until = 0, claim = '' where claim = $1 and queue_id = $2")
                        .bind(claim.clone())
                        .bind(queue_id.to_string())
                }
            };
            ended.execute(self.store.writer()).await?;
            self.adrift().retain(|other| *other != adrift);
        }
    }

    async fn put_off(&self, queue_id: QueueId, claim: &str, attempts: i64, cause: &str) -> Result<(), StoreError> {
        let (first, longest) = RETRY;
        let doublings = u32::try_from(attempts.clamp(1, 16) - 1).unwrap_or(16);
        let wait = first.saturating_mul(2_i64.saturating_pow(doublings)).min(longest);
        let done = sqlx::query(
            "update spool set claimed_until = 0, claim = '', next_at = $1, last_error = $2 where queue_id = $3 and claim = $4",
        )
        .bind(self.clock.now().saturating_add(wait))
        .bind(cause)
        .bind(queue_id.to_string())
        .bind(claim)
        .execute(self.store.writer())
        .await?;
        met(&done, 1)
    }

    /// Call once before any worker and any client: on SQLite, where one gateway works, a dead predecessor's claims end at
    /// once, and what it was writing is nobody's. On PostgreSQL both may be a living one's, and end by themselves.
    pub async fn take_back(&self) -> Result<(), StoreError> {
        if self.store.engine() == Engine::Sqlite {
            sqlx::query("update spool set claimed_until = 0, claim = ''").execute(self.store.writer()).await?;
            self.sweep_orphans_before(Time::MAX).await?;
        }
        Ok(())
    }

    /// How long a worker waits for the next due message at most.
    pub const LOOK_ANYWAY: Duration = Duration::from_secs(2);
}

/// Says in the audit that a message was taken over, with the rows that do it.
pub(crate) fn record_accepted(
    rows: &mut Rows,
    message: QueueId,
    envelope: &Envelope,
    decisions: &[Decision],
    now: Time,
) -> Result<(), StoreError> {
    let recipients = decisions.iter().map(treated).collect();
    let from = envelope.reverse_path.address();
    audit::record_with(rows, Event::Accepted { message, from, recipients }, now)
}

/// Says in the audit which recipients' mail left the spool as it came, with the rows that queue it.
fn record_relayed(rows: &mut Rows, message: QueueId, decisions: &[Decision], now: Time) -> Result<(), StoreError> {
    for decision in decisions {
        if let Decision::Relay { recipient, clearance } = decision {
            audit::record_with(rows, Event::Relayed { message, recipient, rule: clearance.rule() }, now)?;
        }
    }
    Ok(())
}

/// A decision as the audit says it: without the tokens of our own addresses.
fn treated(decision: &Decision) -> Treated<'_> {
    let (recipient, treatment, rule) = match decision {
        Decision::Relay { recipient, clearance } => (Some(recipient), Treatment::Relay, clearance.rule()),
        Decision::Encrypt { recipient, rule, .. } => (Some(recipient), Treatment::Encrypt, rule.as_str()),
        Decision::Hold { recipient, rule } => (Some(recipient), Treatment::Hold, rule.as_str()),
        Decision::Continue { recipient, .. } => (Some(recipient), Treatment::Continue, ""),
        Decision::Returned { .. } => (None, Treatment::Return, ""),
        Decision::Drop => (None, Treatment::Drop, ""),
    };
    Treated { recipient, treatment, rule }
}
