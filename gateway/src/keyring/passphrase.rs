//! Files that leave the machine: a backup of all keys, and the organisation's primary key, each under a passphrase.
//!
//! A line that says what it is and which version, a salt (16), a nonce (12), ciphertext, tag. The line and the salt are
//! covered by the tag. How much the stretching costs is fixed by the version: a file can't ask for more.
//!
//! Standards: RFC 9106 (Argon2id), NIST SP 800-38D (AES-256-GCM).

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sealpost_vault::id::random;
use zeroize::Zeroizing;

use super::KeyringError;

const SALT: usize = 16;
/// In KiB: 128 MiB. Rare, and guarded for years: it may take a second.
const MEMORY: u32 = 128 * 1024;
const PASSES: u32 = 4;
/// Characters.
const SHORTEST: usize = 12;

/// Why a file under a passphrase doesn't open.
#[derive(Debug, thiserror::Error)]
pub enum LockedError {
    #[error("the passphrase needs at least {SHORTEST} characters: this file opens everything")]
    TooShort,
    #[error("this is not {0}")]
    NotThis(&'static str),
    #[error("this file was written by a newer Sealpost")]
    Newer,
    #[error("it does not open: a wrong passphrase, or the file was cut or changed")]
    WrongOrDamaged,
    #[error("it opens, but holds no key")]
    Damaged,
    #[error("the cipher refused its input")]
    Cipher,
}

/// Typed or read by the administrator.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    pub fn new(text: Zeroizing<String>) -> Result<Self, LockedError> {
        if text.chars().count() < SHORTEST { Err(LockedError::TooShort) } else { Ok(Self(text)) }
    }
}

/// What lies in such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    Backup,
    Primary,
}

impl Locked {
    fn header(self) -> &'static [u8] {
        match self {
            Self::Backup => b"sealpost-backup 1\n",
            Self::Primary => b"sealpost-primary 1\n",
        }
    }

    fn named(self) -> LockedError {
        LockedError::NotThis(match self {
            Self::Backup => "a backup of keys",
            Self::Primary => "an organisation's primary key",
        })
    }

    pub(super) fn seal(self, plain: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, KeyringError> {
        let head = [self.header(), &random::<SALT>()?].concat();
        let nonce = random::<NONCE_LEN>()?;
        let mut bytes = Zeroizing::new(plain.to_vec());
        let salt = head.strip_prefix(self.header()).unwrap_or_default();
        let tag = key(passphrase, salt)
            .and_then(|key| {
                key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&head), &mut bytes)
                    .map_err(|_| LockedError::Cipher)
            })
            .map_err(|_| KeyringError::Cipher)?;
        Ok([head.as_slice(), &nonce, &bytes, tag.as_ref()].concat())
    }

    pub(super) fn open(self, file: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, LockedError> {
        let Some(rest) = file.strip_prefix(self.header()) else {
            let (name, _) = self.header().split_at_checked(self.header().len().saturating_sub(2)).unwrap_or_default();
            return Err(if file.starts_with(name) { LockedError::Newer } else { self.named() });
        };
        let cut = LockedError::WrongOrDamaged;
        let Some((salt, sealed)) = rest.split_at_checked(SALT) else { return Err(cut) };
        let Some((nonce, sealed)) = sealed.split_first_chunk::<NONCE_LEN>() else { return Err(cut) };
        let head = [self.header(), salt].concat();
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let length = key(passphrase, salt)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(&head), &mut bytes)
            .map(|plain| plain.len())
            .map_err(|_| cut)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

fn key(passphrase: &Passphrase, salt: &[u8]) -> Result<LessSafeKey, LockedError> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(MEMORY, PASSES, 1, Some(32)).map_err(|_| LockedError::Cipher)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.0.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| LockedError::Cipher)?;
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new).map_err(|_| LockedError::Cipher)
}
