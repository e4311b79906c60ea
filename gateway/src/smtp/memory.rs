//! Memory for messages on their way in: all sessions of a listener share one budget, and where it is spent they stop
//! reading until there is some again, instead of ending the process.
//!
//! What is large lies on the disk while it comes in, but for what has just come ([`super::overflow`]).
//!
//! As much as one message takes is kept back for the first that finds no more: it can always be read to its end and be
//! done with, so that those who hold a part of the budget never wait for one another. Small messages may use what is kept back too,
//! so that they don't wait for large ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// A message of up to so many octets is small.
const SMALL: usize = 256 * 1024;
/// The budget.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    left: Mutex<Left>,
    freed: Notify,
    /// For one message.
    reserve: usize,
    /// Who waited so long is put off.
    wait: Duration,
}

#[derive(Debug)]
struct Left {
    octets: usize,
    /// Somebody may use the reserve.
    is_reserved: bool,
}

/// One message's part of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    octets: usize,
    has_reserve: bool,
}

/// The budget is spent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Memory {
    /// `octets` for all messages, of which each has at most `largest`, and waits for its part no longer than `wait`.
    pub fn new(octets: usize, largest: usize, wait: Duration) -> Self {
        // A buffer that grows doubles its size.
        let reserve = largest.checked_next_power_of_two().unwrap_or(largest).min(octets / 2);
        let left = Mutex::new(Left { octets, is_reserved: false });
        Self(Arc::new(Budget { left, freed: Notify::new(), reserve, wait }))
    }

    /// An empty share.
    pub fn share(&self) -> Share {
        Share { memory: self.clone(), octets: 0, has_reserve: false }
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Grows the share to `octets`, when there are so many.
    pub async fn cover(&mut self, octets: usize) -> Result<(), Spent> {
        if self.cover_now(octets) {
            return Ok(());
        }
        let memory = self.memory.clone();
        let there = async {
            loop {
                let freed = memory.0.freed.notified();
                tokio::pin!(freed);
                // Whatever is freed from now on is heard of.
                freed.as_mut().enable();
                if self.cover_now(octets) {
                    return;
                }
                freed.await;
            }
        };
        timeout(memory.0.wait, there).await.map_err(|_| Spent)
    }

    /// Gives back what is more than `octets`.
    pub fn shrink(&mut self, octets: usize) {
        let less = self.octets.saturating_sub(octets);
        if less == 0 {
            return;
        }
        let mut left = self.memory.left();
        self.octets -= less;
        left.octets += less;
        // Who doesn't need the reserve any more leaves it to the next.
        if left.octets >= self.memory.0.reserve {
            left.is_reserved &= !std::mem::take(&mut self.has_reserve);
        }
        drop(left);
        self.memory.0.freed.notify_waiters();
    }

    fn cover_now(&mut self, octets: usize) -> bool {
        let more = octets.saturating_sub(self.octets);
        let mut left = self.memory.left();
        let kept_back = if self.has_reserve || octets <= SMALL { 0 } else { self.memory.0.reserve };
        let enough =
            |left: &Left, kept_back: usize| left.octets.checked_sub(more).is_some_and(|rest| rest >= kept_back);
        if !enough(&left, kept_back) {
            if left.is_reserved || kept_back == 0 {
                return false;
            }
            left.is_reserved = true;
            self.has_reserve = true;
            if !enough(&left, 0) {
                return false;
            }
        }
        left.octets -= more;
        self.octets += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut left = self.memory.left();
        left.octets += self.octets;
        left.is_reserved &= !self.has_reserve;
        drop(left);
        self.memory.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[tokio::test]
    async fn shares_are_bounded_and_come_back() {
        let memory = Memory::new(100 * MIB, 30 * MIB, Duration::from_millis(50));
        let (mut one, mut other, mut third) = (memory.share(), memory.share(), memory.share());
        assert_eq!(one.cover(60 * MIB).await, Ok(()), "all that isn't kept back, but 8");
        assert_eq!(one.cover(50 * MIB).await, Ok(()), "never shrinks");
        assert_eq!(other.cover(32 * MIB).await, Ok(()), "what is kept back, for the first that needs it");
        assert_eq!(third.cover(9 * MIB).await, Err(Spent), "after its time");
        assert_eq!(third.cover(SMALL).await, Ok(()), "a small one finds what is left");
        drop(other);
        assert_eq!(third.cover(9 * MIB).await, Ok(()));
        one.shrink(MIB);
        assert_eq!(memory.left().octets, 100 * MIB - MIB - 9 * MIB);
        one.shrink(2 * MIB);
        assert_eq!(one.cover(50 * MIB).await, Ok(()));
        drop((one, third));
        let left = memory.left();
        assert_eq!((left.octets, left.is_reserved), (100 * MIB, false));
    }

    #[tokio::test]
    async fn twenty_that_grow_at_once_all_come_to_their_end() {
        let memory = Memory::new(100 * MIB, 32 * MIB, Duration::from_secs(60));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let mut share = memory.share();
            all.spawn(async move {
                for octets in 1..=32 {
                    share.cover(octets * MIB).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
        }
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
        assert_eq!(memory.left().octets, 100 * MIB);
    }
}
