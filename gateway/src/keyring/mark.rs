//! Marks: MACs under a key of the root's, for what the gateway must know again when it comes back through strangers' hands.
//!
//! A mark names the epoch of its key, so that those from before a change of keys still count.
//!
//! Standards: RFC 2104 (HMAC), RFC 5869 (HKDF).

use ring::hmac::{HMAC_SHA256, Key, sign, verify};
use sealpost_vault::derive::ctx;

use super::epochs::Epochs;
use super::{KeyringError, storage};

/// A key's epoch and a MAC under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: u32,
    pub(crate) mac: [u8; 32],
}

/// `message` begins with a label of its own, as [`ctx`] makes it.
pub(super) fn mark(root: &Epochs, purpose: &str, message: &[u8]) -> Result<Mark, KeyringError> {
    let (epoch, root) = root.present();
    let mut mac = [0; 32];
    for (to, from) in mac.iter_mut().zip(sign(&key(root, purpose)?, message).as_ref()) {
        *to = *from;
    }
    Ok(Mark { epoch, mac })
}

/// Whether [`mark`] made it, with these or with earlier keys. In constant time.
pub(super) fn is_marked(root: &Epochs, purpose: &str, message: &[u8], mark: &Mark) -> Result<bool, KeyringError> {
    let Some(root) = root.get(mark.epoch) else { return Ok(false) };
    Ok(verify(&key(root, purpose)?, message, &mark.mac).is_ok())
}

fn key(root: &[u8; 32], purpose: &str) -> Result<Key, KeyringError> {
    let key = storage::hkdf(&[], root, &ctx("mark", &[purpose.as_bytes()])?).map_err(|_| KeyringError::Cipher)?;
    Ok(Key::new(HMAC_SHA256, key.as_slice()))
}
