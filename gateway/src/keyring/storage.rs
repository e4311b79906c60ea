//! Symmetric sealing under the gateway's own keys: secrets that it keeps, and mail in its spool.
//!
//! Kept bytes are key epoch (4, big-endian), nonce (12), ciphertext, tag (16). Spooled bytes are ciphertext, tag, nonce,
//! epoch (4), one octet of format: in that order a message is sealed where it lies, without a copy. Format 1 has no epoch:
//! it is the first. What is too large for a row lies in chunks, format 3: see [`super::chunks`].
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
use super::epochs::Epochs;

pub(super) const EPOCH_LEN: usize = 4;
const SPOOL_FORMAT_1: u8 = 1;
const SPOOL_FORMAT_2: u8 = 2;

pub(super) fn keep(root: &Epochs, kind: &str, row: &[u8], owner: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyringError> {
    let (epoch, root) = root.present();
    let epoch = epoch.to_be_bytes();
    let key = row_key(root, &ctx("keep", &[kind.as_bytes(), row, owner, &epoch])?)?;
    let nonce = random::<NONCE_LEN>()?;
    let mut sealed = Zeroizing::new(plain.to_vec());
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
        .map_err(|_| KeyringError::Cipher)?;
    Ok([&epoch, nonce.as_slice(), &sealed, tag.as_ref()].concat())
}

pub(super) fn open_kept(
    root: &Epochs,
    kind: &str,
    row: &[u8],
    owner: &[u8],
    kept: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let (epoch, rest) = kept.split_first_chunk::<EPOCH_LEN>().ok_or(KeyringError::NotOurs)?;
    let root = root.get(u32::from_be_bytes(*epoch)).ok_or(KeyringError::NotOurs)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KeyringError::NotOurs)?;
    let key = row_key(root, &ctx("keep", &[kind.as_bytes(), row, owner, epoch])?)?;
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let length = open_in_place(&key, *nonce, &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

pub(super) fn blind(root: &Epochs, label: &str, fields: &[&[u8]]) -> Result<[u8; 32], KeyringError> {
    let fields: Vec<&[u8]> = std::iter::once(label.as_bytes()).chain(fields.iter().copied()).collect();
    Ok(*hkdf(&[], root.present().1, &ctx("blind", &fields)?).map_err(|_| KeyringError::Cipher)?)
}

pub(super) fn spool_seal(spool: &Epochs, id: &QueueId, mut bytes: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
    let (epoch, spool) = spool.present();
    let epoch = epoch.to_be_bytes();
    let key = row_key(spool, &ctx("spool", &[id.bytes(), &epoch])?)?;
    let nonce = random::<NONCE_LEN>()?;
    bytes.reserve_exact(16 + NONCE_LEN + EPOCH_LEN + 1);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes)
        .map_err(|_| KeyringError::Cipher)?;
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&epoch);
    bytes.push(SPOOL_FORMAT_2);
    Ok(bytes)
}

pub(super) fn spool_open(spool: &Epochs, id: &QueueId, mut bytes: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
    let (spool, context) = match bytes.pop() {
        Some(SPOOL_FORMAT_1) => (spool.get(1), ctx("spool", &[id.bytes()])?),
        Some(SPOOL_FORMAT_2) => {
            let epoch = take_last::<EPOCH_LEN>(&mut bytes)?;
            (spool.get(u32::from_be_bytes(epoch)), ctx("spool", &[id.bytes(), &epoch])?)
        }
        _ => return Err(KeyringError::NotOurs),
    };
    let nonce = take_last::<NONCE_LEN>(&mut bytes)?;
    let key = row_key(spool.ok_or(KeyringError::NotOurs)?, &context)?;
    let length = open_in_place(&key, nonce, &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn take_last<const N: usize>(bytes: &mut Vec<u8>) -> Result<[u8; N], KeyringError> {
    let last = *bytes.last_chunk::<N>().ok_or(KeyringError::NotOurs)?;
    bytes.truncate(bytes.len().saturating_sub(N));
    Ok(last)
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
