//! Memory for messages on their way in: all sessions of a listener share one budget, so that many large messages at
//! once are put off instead of ending the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is left of the budget, in octets.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<AtomicUsize>);

/// One message's part of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    octets: usize,
}

/// The budget is spent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Memory {
    pub fn new(octets: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(octets)))
    }

    /// An empty share.
    pub fn share(&self) -> Share {
        Share { memory: self.clone(), octets: 0 }
    }
}

impl Share {
    /// Grows the share to `octets`, if there are so many.
    pub fn cover(&mut self, octets: usize) -> Result<(), Spent> {
        let more = octets.saturating_sub(self.octets);
        self.memory
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(more))
            .map_err(|_| Spent)?;
        self.octets += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.fetch_add(self.octets, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_and_come_back() {
        let memory = Memory::new(100);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert_eq!(one.cover(60), Ok(()));
        assert_eq!(other.cover(41), Err(Spent));
        assert_eq!(other.cover(40), Ok(()));
        assert_eq!(one.cover(50), Ok(()), "never shrinks");
        drop(one);
        assert_eq!(other.cover(100), Ok(()));
        assert_eq!(other.cover(101), Err(Spent));
    }
}
