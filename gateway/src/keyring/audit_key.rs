//! The key that signs the audit's chain, and the public halves of those before it.
//!
//! A retired key's secret is destroyed when it is changed: who steals the keys later can't sign another past.
//!
//! Standards: RFC 8032 (Ed25519).

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sealpost_vault::id::random;
use zeroize::Zeroizing;

use super::KeyringError;

pub(super) struct AuditKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    /// Oldest first.
    retired: Vec<[u8; 32]>,
}

impl AuditKey {
    pub(super) fn new() -> Result<Self, KeyringError> {
        Self::from_stored(Zeroizing::new(random::<32>()?), Vec::new())
    }

    pub(super) fn from_stored(seed: Zeroizing<[u8; 32]>, retired: Vec<[u8; 32]>) -> Result<Self, KeyringError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyringError::Cipher)?;
        Ok(Self { seed, pair, retired })
    }

    pub(super) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    pub(super) fn retired(&self) -> &[[u8; 32]] {
        &self.retired
    }

    pub(super) fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        for (to, from) in public.iter_mut().zip(self.pair.public_key().as_ref()) {
            *to = *from;
        }
        public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        for (to, from) in signature.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        signature
    }

    pub(super) fn rotate(&mut self) -> Result<(), KeyringError> {
        let mut retired = std::mem::take(&mut self.retired);
        retired.push(self.public());
        *self = Self::from_stored(Zeroizing::new(random::<32>()?), retired)?;
        Ok(())
    }
}

/// Whether one of these keys signed the message.
pub fn audit_verify(publics: &[[u8; 32]], message: &[u8], signature: &[u8]) -> bool {
    publics.iter().any(|public| UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok())
}
