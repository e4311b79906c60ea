//! The keyring's one file, sealed under the master key.
//!
//! A line that says what it is, 8 bytes by which another master key is told from damage, a nonce (12), ciphertext, tag.
//! The line and the 8 bytes are covered by the tag.
//!
//! Standards: NIST SP 800-38D (AES-256-GCM), RFC 5869 (HKDF).

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sealpost_vault::id::random;
use zeroize::Zeroizing;

use super::KeyringError;
use super::master::MasterKey;

pub(super) const FILE: &str = "keyring";
const HEADER: &[u8] = b"sealpost-keyring 2\n";
const HINT: usize = 8;

/// Why a sealed keyring doesn't open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotOpened {
    OtherMaster,
    Damaged,
}

pub(super) fn seal(master: &MasterKey, plain: &[u8]) -> Result<Vec<u8>, KeyringError> {
    let nonce = random::<NONCE_LEN>()?;
    let head = [HEADER, &hint(master)?].concat();
    let mut bytes = Zeroizing::new(plain.to_vec());
    let tag = key(master)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&head), &mut bytes)
        .map_err(|_| KeyringError::Cipher)?;
    Ok([head.as_slice(), &nonce, &bytes, tag.as_ref()].concat())
}

pub(super) fn open(master: &MasterKey, sealed: &[u8]) -> Result<Result<Zeroizing<Vec<u8>>, NotOpened>, KeyringError> {
    let Some((head, rest)) = sealed.split_at_checked(HEADER.len() + HINT) else { return Ok(Err(NotOpened::Damaged)) };
    let Some(written) = head.strip_prefix(HEADER) else { return Ok(Err(NotOpened::Damaged)) };
    if written != hint(master)? {
        return Ok(Err(NotOpened::OtherMaster));
    }
    let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_LEN>() else { return Ok(Err(NotOpened::Damaged)) };
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let opened = key(master)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(head), &mut bytes)
        .map(|plain| plain.len());
    let Ok(length) = opened else { return Ok(Err(NotOpened::Damaged)) };
    bytes.truncate(length);
    Ok(Ok(bytes))
}

fn key(master: &MasterKey) -> Result<LessSafeKey, KeyringError> {
    let key = master.derive("keyring-file", FILE)?;
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new).map_err(|_| KeyringError::Cipher)
}

fn hint(master: &MasterKey) -> Result<[u8; HINT], KeyringError> {
    master.derive("keyring-hint", FILE)?.first_chunk().copied().ok_or(KeyringError::Cipher)
}
