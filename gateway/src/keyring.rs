//! The gateway's keys: its root key, the spool's key, and the organisation's OpenPGP certificate with its secret parts.
//!
//! They are made once, by [`Keyring::create`], and loaded ever after: a gateway that made new ones by itself would lose
//! everything that hangs on the old ones without anybody noticing. Other modules never see key bytes; they ask the
//! keyring to seal, open and sign.
//!
//! Security: the files are readable by their owner only, and a keyring whose files others can read isn't loaded. Key
//! bytes are zeroed when the keyring goes; there is no `Clone`, no `Debug` and no way to get them out.
//! Standards: RFC 9580 (certificate), RFC 5869 (HKDF), NIST SP 800-38D (AES-256-GCM).

mod files;
mod organisation;
mod storage;

use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER;
use sealpost_vault::Time;
use sealpost_vault::derive::FieldTooLong;
use sealpost_vault::id::{NoRandomness, QueueId, random};
use zeroize::Zeroizing;

pub(crate) use organisation::Organisation;
pub(crate) use storage::hkdf;

use files::{Files, KeyFile};

/// Why there is no keyring, or why it didn't do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(
        "no keys in {}. `sealpost init` makes them, once. If this gateway had keys before, restore them from the backup \
         instead: with new ones, mail in its spool could not be delivered, no letter waiting in the portal could be \
         opened, and no reply to one could be read",
        .0.display()
    )]
    Absent(PathBuf),
    #[error("the key file {} is missing: restore it from the backup. Without it, {loss}", .file.display())]
    Missing { file: PathBuf, loss: &'static str },
    #[error(
        "{} has keys but not the file `format`, which is written last: `sealpost init` was interrupted. Keys that were \
         never used can be removed and made again; keys that were in use need `format` back from the backup",
        .0.display()
    )]
    Unfinished(PathBuf),
    #[error("{} is not empty: keys are never overwritten", .0.display())]
    AlreadyThere(PathBuf),
    #[error(
        "others than its owner may access {} (mode {mode:04o}): take their rights away (chmod go= ...), and consider \
         whether the keys were read",
        .path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} was written in a format that this version does not know: it takes a newer Sealpost", .0.display())]
    UnknownFormat(PathBuf),
    #[error("{} is damaged: restore it from the backup", .0.display())]
    Corrupt(PathBuf),
    #[error("cannot read or write {}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the organisation's name and address do not make a User ID: no line breaks, no angle brackets")]
    UserId,
    #[error("the OpenPGP library refused")]
    OpenPgp(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("what was kept does not open: other keys, another row or owner, or changed bytes")]
    NotOurs,
    #[error("the cipher refused its input")]
    Cipher,
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The gateway's keys, in memory.
pub struct Keyring {
    root: Zeroizing<[u8; 32]>,
    spool: Zeroizing<[u8; 32]>,
    organisation: Organisation,
}

impl Keyring {
    /// Makes all keys and writes them into `directory`, which must be empty or not there yet.
    ///
    /// `organisation` and `address` become the certificate's User ID, `Name <address>`. The certificate is dated a
    /// minute before `now`, so that a browser whose clock is slow doesn't take it for one from the future.
    pub fn create(directory: &Path, organisation: &str, address: &str, now: Time) -> Result<Self, KeyringError> {
        let certificate = Organisation::generate(organisation, address, now.saturating_sub(60))?;
        let root = Zeroizing::new(random::<32>()?);
        let spool = Zeroizing::new(random::<32>()?);
        let files = Files::create(directory)?;
        files.write(KeyFile::GatewayRoot, root.as_slice())?;
        files.write(KeyFile::Spool, spool.as_slice())?;
        files.write(KeyFile::Organisation, &certificate.secret_bytes()?)?;
        files.finish()?;
        // What was written is what will be loaded after the next start: find out now whether it can be.
        Self::load(directory)
    }

    /// Loads what [`Keyring::create`] wrote.
    pub fn load(directory: &Path) -> Result<Self, KeyringError> {
        let files = Files::open(directory)?;
        let key = |file: KeyFile| -> Result<Zeroizing<[u8; 32]>, KeyringError> {
            let bytes = files.read(file)?;
            let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyringError::Corrupt(files.path(file)))?;
            Ok(Zeroizing::new(key))
        };
        let organisation = Organisation::from_secret_bytes(&files.read(KeyFile::Organisation)?)
            .ok_or_else(|| KeyringError::Corrupt(files.path(KeyFile::Organisation)))?;
        Ok(Self { root: key(KeyFile::GatewayRoot)?, spool: key(KeyFile::Spool)?, organisation })
    }

    /// `O`: the fingerprint of the organisation's primary key (version 6).
    pub fn fingerprint(&self) -> &[u8; 32] {
        self.organisation.fingerprint()
    }

    /// The fingerprint as JSON carries it: 64 upper-case hexadecimal digits.
    pub fn fingerprint_hex(&self) -> String {
        HEXUPPER.encode(self.organisation.fingerprint())
    }

    /// The organisation's certificate, binary, without secrets.
    pub fn certificate(&self) -> Vec<u8> {
        self.organisation.certificate()
    }

    /// Seals a secret that the gateway keeps: only this gateway opens it, and only as the same kind, row and owner.
    pub fn keep(&self, kind: &str, row: &[u8], owner: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyringError> {
        storage::keep(&self.root, kind, row, owner, plain)
    }

    /// Opens what [`Keyring::keep`] sealed.
    pub fn open_kept(
        &self,
        kind: &str,
        row: &[u8],
        owner: &[u8],
        kept: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        storage::open_kept(&self.root, kind, row, owner, kept)
    }

    /// Seals a spooled message: it opens only as the message with this id.
    pub fn spool_seal(&self, id: &QueueId, plain: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
        storage::spool_seal(&self.spool, id, plain)
    }

    /// Opens what [`Keyring::spool_seal`] sealed.
    pub fn spool_open(&self, id: &QueueId, sealed: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
        storage::spool_open(&self.spool, id, sealed)
    }

    /// A detached signature by the organisation's signing key, one packet.
    pub(crate) fn vouch(&self, message: &[u8]) -> Result<Vec<u8>, KeyringError> {
        self.organisation.vouch(message)
    }

    /// Whether a signing key of this organisation made `signature` over `message`.
    pub(crate) fn verify_vouch(&self, message: &[u8], signature: &[u8]) -> bool {
        self.organisation.verify_vouch(message, signature)
    }

    pub(crate) fn organisation(&self) -> &Organisation {
        &self.organisation
    }
}

#[cfg(test)]
pub(crate) mod tests;
