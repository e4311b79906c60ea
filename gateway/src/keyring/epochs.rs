//! A symmetric key that is changed from time to time: the present one seals, earlier ones go on opening.

use sealpost_vault::id::{NoRandomness, random};
use zeroize::Zeroizing;

pub(super) type Key = Zeroizing<[u8; 32]>;

pub(super) struct Epochs {
    present: (u32, Key),
    /// Oldest first.
    earlier: Vec<(u32, Key)>,
}

impl Epochs {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        Ok(Self { present: (1, Zeroizing::new(random::<32>()?)), earlier: Vec::new() })
    }

    /// One epoch, the first: what a keyring of format 1 has.
    pub(super) fn first(key: Key) -> Self {
        Self { present: (1, key), earlier: Vec::new() }
    }

    /// `None`: none at all, or not in rising order.
    pub(super) fn from_stored(mut keys: Vec<(u32, Key)>) -> Option<Self> {
        if !keys.is_sorted_by(|(a, _), (b, _)| a < b) {
            return None;
        }
        keys.pop().map(|present| Self { present, earlier: keys })
    }

    pub(super) fn present(&self) -> (u32, &[u8; 32]) {
        (self.present.0, &self.present.1)
    }

    pub(super) fn get(&self, epoch: u32) -> Option<&[u8; 32]> {
        self.all().find(|(there, _)| *there == epoch).map(|(_, key)| key)
    }

    /// Oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.earlier.iter().chain(std::iter::once(&self.present)).map(|(epoch, key)| (*epoch, &**key))
    }

    pub(super) fn rotate(&mut self) -> Result<u32, NoRandomness> {
        let epoch = self.present.0.saturating_add(1);
        let new = (epoch, Zeroizing::new(random::<32>()?));
        self.earlier.push(std::mem::replace(&mut self.present, new));
        Ok(epoch)
    }
}
