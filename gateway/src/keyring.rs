//! The organisation's keys: here, the spool key, under which mail rests on stable storage.
//!
//! Security: AES-256-GCM under a key derived per row, so that no two rows share a key and a row can't be put in another's place.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use sealpost_vault::Time;
use sealpost_vault::derive::{FieldTooLong, ctx};
use sealpost_vault::id::{NoRandomness, QueueId, random};
use zeroize::Zeroizing;

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("key file: {0}")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
    #[error("the cipher refused")]
    Cipher,
    #[error("sealed under another key, for another row, or damaged")]
    NotAuthentic,
}

/// Holds the keys while the gateway runs.
pub struct Keyring {
    spool: Zeroizing<[u8; 32]>,
}

impl Keyring {
    /// Makes the keys; refuses to overwrite.
    pub fn create(directory: &Path, _organisation: &str, _address: &str, _now: Time) -> Result<Keyring, KeyringError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let spool = Zeroizing::new(random::<32>()?);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join("spool.key"))?;
        file.write_all(spool.as_ref())?;
        file.sync_all()?;
        Ok(Self { spool })
    }

    /// Reads them.
    pub fn load(directory: &Path) -> Result<Keyring, KeyringError> {
        let mut spool = Zeroizing::new([0; 32]);
        std::fs::File::open(directory.join("spool.key"))?.read_exact(spool.as_mut())?;
        Ok(Self { spool })
    }

    /// Seals bytes that rest under `id`.
    pub fn spool_seal(&self, id: &QueueId, mut plain: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
        let nonce = random::<NONCE_LEN>()?;
        let tag = self
            .row_key(id)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut plain)
            .map_err(|_| KeyringError::Cipher)?;
        plain.extend_from_slice(tag.as_ref());
        plain.extend_from_slice(&nonce);
        Ok(plain)
    }

    /// Opens what [`Keyring::spool_seal`] sealed under the same `id`.
    pub fn spool_open(&self, id: &QueueId, mut sealed: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
        let at = sealed.len().checked_sub(NONCE_LEN).ok_or(KeyringError::NotAuthentic)?;
        let nonce: [u8; NONCE_LEN] =
            sealed.get(at..).and_then(|nonce| nonce.try_into().ok()).ok_or(KeyringError::NotAuthentic)?;
        sealed.truncate(at);
        let length = self
            .row_key(id)?
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| KeyringError::NotAuthentic)?
            .len();
        sealed.truncate(length);
        Ok(sealed)
    }

    fn row_key(&self, id: &QueueId) -> Result<LessSafeKey, KeyringError> {
        let info = ctx("spool", &[id.bytes()])?;
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, &[])
            .extract(self.spool.as_ref())
            .expand(&[&info], HKDF_SHA256)
            .and_then(|material| material.fill(key.as_mut()))
            .map_err(|_| KeyringError::Cipher)?;
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| KeyringError::Cipher)?))
    }
}
