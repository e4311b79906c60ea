//! Symmetric sealing under the gateway's own keys: secrets that it keeps, and mail in its spool.
//!
//! Kept bytes are key epoch (4, big-endian), nonce (12), ciphertext, tag (16). Spooled bytes are ciphertext, tag, nonce,
//! one octet of format: in that order a message of many megabytes is sealed where it lies, without a copy.
//!
//! Each row has a key of its own, so a place is part of what opens: bytes moved to another row, kind or owner don't.
//! A nonce could then be fixed, if every row were sealed once. It is random all the same: a row that is written again,
//! or an id that two callers use, would otherwise repeat key and nonce, and GCM fails completely when that happens.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use sealpost_vault::derive::ctx;
use sealpost_vault::id::{QueueId, random};
use zeroize::Zeroizing;

use super::KeyringError;

/// Counts up when the gateway's root key is changed.
const EPOCH: [u8; 4] = 1u32.to_be_bytes();
const SPOOL_FORMAT: u8 = 1;

pub(super) fn keep(
    root: &[u8; 32],
    kind: &str,
    row: &[u8],
    owner: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, KeyringError> {
    let key = row_key(root, &ctx("keep", &[kind.as_bytes(), row, owner, &EPOCH])?)?;
    let nonce = random::<NONCE_LEN>()?;
    let mut sealed = Zeroizing::new(plain.to_vec());
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
        .map_err(|_| KeyringError::Cipher)?;
    Ok([&EPOCH, nonce.as_slice(), &sealed, tag.as_ref()].concat())
}

pub(super) fn open_kept(
    root: &[u8; 32],
    kind: &str,
    row: &[u8],
    owner: &[u8],
    kept: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let rest = kept.strip_prefix(EPOCH.as_slice()).ok_or(KeyringError::NotOurs)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KeyringError::NotOurs)?;
    let key = row_key(root, &ctx("keep", &[kind.as_bytes(), row, owner, &EPOCH])?)?;
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let length = open_in_place(&key, *nonce, &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

pub(super) fn spool_seal(spool: &[u8; 32], id: &QueueId, mut bytes: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
    let key = row_key(spool, &ctx("spool", &[id.bytes()])?)?;
    let nonce = random::<NONCE_LEN>()?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes)
        .map_err(|_| KeyringError::Cipher)?;
    bytes.extend_from_slice(&nonce);
    bytes.push(SPOOL_FORMAT);
    Ok(bytes)
}

pub(super) fn spool_open(spool: &[u8; 32], id: &QueueId, mut bytes: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
    if bytes.pop() != Some(SPOOL_FORMAT) {
        return Err(KeyringError::NotOurs);
    }
    let nonce = *bytes.last_chunk::<NONCE_LEN>().ok_or(KeyringError::NotOurs)?;
    bytes.truncate(bytes.len().saturating_sub(NONCE_LEN));
    let key = row_key(spool, &ctx("spool", &[id.bytes()])?)?;
    let length = open_in_place(&key, nonce, &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// HKDF-SHA-256 (extract and expand), 32 bytes.
pub(crate) fn hkdf(salt: &[u8], secret: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let mut out = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, salt).extract(secret).expand(&[info], Length32)?.fill(out.as_mut_slice())?;
    Ok(out)
}

struct Length32;

impl KeyType for Length32 {
    fn len(&self) -> usize {
        32
    }
}

fn row_key(secret: &[u8; 32], info: &[u8]) -> Result<LessSafeKey, KeyringError> {
    let key = hkdf(&[], secret, info).map_err(|_| KeyringError::Cipher)?;
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new).map_err(|_| KeyringError::Cipher)
}

fn open_in_place(key: &LessSafeKey, nonce: [u8; NONCE_LEN], bytes: &mut [u8]) -> Result<usize, KeyringError> {
    key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), bytes)
        .map(|plain| plain.len())
        .map_err(|_| KeyringError::NotOurs)
}
