//! Messages that were spooled a moment ago: a worker takes them from memory, claimed from the beginning.
//!
//! Nothing depends on it. Where there is no room, or no worker yet, a message's row waits for whoever claims it.
//!
//! Security: clear bytes stay in memory until a worker has done with them, [`ROOM`] at most.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Claimed, Judged};

/// Of all messages that lie here or are being worked on, in bytes.
const ROOM: usize = 16 * 1024 * 1024;
/// Longer ones are read from their store, in bytes.
const LONGEST: usize = 256 * 1024;
/// Clients that are faster than the workers are slowed down a little: whatever overflows costs the workers more.
const WAIT: Duration = Duration::from_millis(50);
/// What a message takes beside its bytes, and each recipient of it, with what the sender asked for.
const OVERHEAD: usize = 2 * 1024;
const RECIPIENT: usize = 1024;

pub(super) struct Fresh {
    messages: Mutex<VecDeque<Claimed>>,
    room: Arc<Semaphore>,
    is_taken_from: AtomicBool,
}

impl Default for Fresh {
    fn default() -> Self {
        Self { messages: Mutex::default(), room: Arc::new(Semaphore::new(ROOM)), is_taken_from: AtomicBool::new(false) }
    }
}

impl Fresh {
    fn messages(&self) -> MutexGuard<'_, VecDeque<Claimed>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where there is a worker, and room within [`WAIT`].
    pub(super) async fn room_for(&self, judged: &Judged) -> Option<OwnedSemaphorePermit> {
        let octets = judged.received.bytes.len();
        if octets > LONGEST || !self.is_taken_from.load(Ordering::SeqCst) {
            return None;
        }
        let recipients = judged.received.envelope.recipients.len().saturating_mul(RECIPIENT);
        let octets = u32::try_from(octets.saturating_add(OVERHEAD).saturating_add(recipients)).ok()?;
        timeout(WAIT, Arc::clone(&self.room).acquire_many_owned(octets)).await.ok()?.ok()
    }

    pub(super) fn push(&self, claimed: Claimed) {
        self.messages().push_back(claimed);
    }

    /// The next one; it may have lain here for too long.
    pub(super) fn take(&self) -> Option<Claimed> {
        self.is_taken_from.store(true, Ordering::SeqCst);
        self.messages().pop_front()
    }

    /// Before a stop: what no worker has taken. Nothing comes any more but what was on its way, whose lease ends it.
    pub(super) fn empty(&self) -> impl Iterator<Item = Claimed> {
        self.is_taken_from.store(false, Ordering::SeqCst);
        std::mem::take(&mut *self.messages()).into_iter()
    }
}
