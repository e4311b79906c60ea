//! The gateway's keys: its root key, the spool's key, the organisation's two certificates with their secret parts, the
//! audit's key, and the server's half of OPAQUE.
//!
//! They are made once, by [`Keyring::create`], and loaded ever after: a gateway that made new ones by itself would lose
//! everything that hangs on the old ones without anybody noticing. Other modules never see key bytes; they ask the
//! keyring to seal, open and sign. Changed keys come beside the old ones, which go on opening and verifying.
//!
//! Security: everything lies encrypted under the master key, in files readable by their owner only; a keyring whose files
//! others can read isn't loaded. Key bytes are zeroed when the keyring goes; there is no `Clone`, no `Debug` and no way to
//! get them out but a backup, which is encrypted.
//! Standards: RFC 9580 (certificates), RFC 5869 (HKDF), NIST SP 800-38D (AES-256-GCM), RFC 8032 (Ed25519), RFC 9807 (OPAQUE).

mod audit_key;
mod certificate;
mod change;
mod chunks;
mod contents;
mod epochs;
mod files;
mod generation;
mod mail;
mod mark;
mod master;
mod opaque;
mod organisation;
mod passphrase;
mod sealed;
mod signer;
mod storage;
mod upgrade;

use std::io::{Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER;
use sealpost_vault::derive::FieldTooLong;
use sealpost_vault::id::{NoRandomness, QueueId};
use sealpost_vault::{StoreError, Time};
use zeroize::Zeroizing;

pub use audit_key::audit_verify;
pub use change::{Backup, Change, Primary, Rotating};
pub use generation::{UseError, Used};
pub use master::{Made, MasterError, MasterKey, MasterSource};
pub use passphrase::{LockedError, Passphrase};
pub use upgrade::Upgraded;

pub(crate) use chunks::{SpoolReader, SpoolWriter, is_spooled_in_chunks};
pub(crate) use mail::MailKey;
pub(crate) use mark::Mark;
#[allow(unused_imports, reason = "accounts evaluate OPAQUE with them")]
pub(crate) use opaque::{OpaqueSuite, Randomness};
pub(crate) use organisation::Organisation;
pub(crate) use signer::OwnSigner;
pub(crate) use storage::hkdf;

use contents::Contents;
use files::{Files, Layout};
use sealed::NotOpened;

/// Why there is no keyring, or why it didn't do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(
        "no keys in {}. `sealpost init` makes them, once. If this gateway had keys before, restore them from the backup \
         instead (`sealpost keys restore`): with new ones, mail in its spool could not be delivered, no letter waiting in \
         the portal could be opened, no reply to one could be read, and nobody's passphrase would be right",
        .0.display()
    )]
    Absent(PathBuf),
    #[error(
        "the key file {} is missing: restore the keys from the backup (`sealpost keys restore`, into an empty directory). \
         Without it, {loss}",
        .file.display()
    )]
    Missing { file: PathBuf, loss: &'static str },
    #[error(
        "{} has keys but not the file `format`, which is written last: `sealpost init` or `sealpost keys restore` was \
         interrupted. Empty the directory and run it again; keys that were in use before come from their backup",
        .0.display()
    )]
    Unfinished(PathBuf),
    #[error(
        "the keys in {} are unencrypted, as an earlier version wrote them. `sealpost keys upgrade` puts them under a \
         master key; make a copy of the directory before",
        .0.display()
    )]
    Unencrypted(PathBuf),
    #[error(
        "unencrypted keys are left in {}: an upgrade was interrupted. `sealpost keys upgrade` finishes it",
        .0.display()
    )]
    LeftUnencrypted(PathBuf),
    #[error("{} is not empty: keys are never overwritten", .0.display())]
    AlreadyThere(PathBuf),
    #[error("another command is changing the keys in {}: try again when it has ended", .0.display())]
    Busy(PathBuf),
    #[error(
        "others than its owner may access {} (mode {mode:04o}): take their rights away (chmod go= ...), and consider \
         whether the keys were read",
        .path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} was written in a format that this version does not know: it takes a newer Sealpost", .0.display())]
    UnknownFormat(PathBuf),
    #[error(
        "{} is damaged: restore the keys from the backup (`sealpost keys restore`, into an empty directory)",
        .0.display()
    )]
    Corrupt(PathBuf),
    #[error(
        "{} was encrypted under another master key than the one in keys.master: put the right one back, or restore the \
         keys from their backup under the new one (`sealpost keys restore`, into an empty directory)",
        .0.display()
    )]
    OtherMaster(PathBuf),
    #[error("cannot read or write {}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the organisation's name and address do not make a User ID: no line breaks, no angle brackets")]
    UserId,
    #[error("the organisation's certificate has no key that signs")]
    NoSigner,
    #[error(
        "the organisation's primary key was taken out of these keys: its file and passphrase are needed (--primary \
         FILE). The other keys can be named, and rotated without it"
    )]
    PrimaryIsOut,
    #[error("this is the primary key of another organisation's certificate")]
    OtherPrimary,
    #[error("the OpenPGP library refused")]
    OpenPgp(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("what was kept does not open: other keys, another row or owner, or changed bytes")]
    NotOurs,
    #[error("the cipher refused its input")]
    Cipher,
    #[error("cannot read or write spooled mail")]
    Spool(#[source] std::io::Error),
    #[error(transparent)]
    Master(#[from] MasterError),
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl KeyringError {
    /// As what the store says of mail that it keeps.
    pub(crate) fn of_mail(self) -> StoreError {
        match self {
            Self::Spool(error) => StoreError::File(error),
            error => {
                tracing::error!(?error, "mail can't be sealed or opened");
                StoreError::Corrupt("mail that this spool key can't seal or open")
            }
        }
    }
}

/// A certificate of the organisation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// What readers' browsers hold letters against.
    Organisation,
    /// What mail is signed with.
    Mail,
}

/// The gateway's keys, in memory.
pub struct Keyring(Contents);

impl Keyring {
    /// Makes all keys and writes them into `directory`, which must be empty or not there yet, under the master key, which
    /// is made too where its file isn't there.
    ///
    /// `organisation` and `address` become the certificates' User ID, `Name <address>`. They are dated a minute before
    /// `now`, so that a browser whose clock is slow doesn't take them for some from the future.
    pub fn create(
        directory: &Path,
        master: &MasterSource,
        organisation: &str,
        address: &str,
        now: Time,
    ) -> Result<Self, KeyringError> {
        Self::write_new(&Contents::generate(organisation, address, now)?, directory, master)
    }

    fn write_new(contents: &Contents, directory: &Path, master: &MasterSource) -> Result<Self, KeyringError> {
        let files = Files::create(directory)?;
        let (master, _) = master.load_or_make()?;
        write_checked(&files, &master, contents)?;
        files.finish()?;
        // What was written is what will be loaded after the next start: find out now whether it can be.
        Self::open_sealed(&files, &master)
    }

    /// Loads what [`Keyring::create`] wrote.
    pub fn load(directory: &Path, master: &MasterSource) -> Result<Self, KeyringError> {
        let (files, layout) = Files::open(directory)?;
        if layout == Layout::Plain {
            return Err(KeyringError::Unencrypted(directory.to_owned()));
        }
        if files.has_plain() {
            return Err(KeyringError::LeftUnencrypted(directory.to_owned()));
        }
        Self::open_sealed(&files, &master.load()?)
    }

    fn open_sealed(files: &Files, master: &MasterKey) -> Result<Self, KeyringError> {
        let plain = match sealed::open(master, &files.read()?)? {
            Ok(plain) => plain,
            Err(NotOpened::OtherMaster) => return Err(KeyringError::OtherMaster(files.path())),
            Err(NotOpened::Damaged) => return Err(KeyringError::Corrupt(files.path())),
        };
        // It is authentic, so what can't be read in it was written by a program that knows more.
        Contents::from_bytes(&plain).map(Self).ok_or_else(|| KeyringError::UnknownFormat(files.path()))
    }

    /// `O`: the fingerprint of the organisation's primary key (version 6).
    pub fn fingerprint(&self) -> &[u8; 32] {
        self.0.organisation.fingerprint()
    }

    /// The fingerprint as JSON carries it: 64 upper-case hexadecimal digits.
    pub fn fingerprint_hex(&self) -> String {
        HEXUPPER.encode(self.0.organisation.fingerprint())
    }

    /// Whether the secret part of the organisation's primary key is here, or was taken out.
    pub fn has_primary(&self) -> bool {
        self.0.organisation.has_primary()
    }

    /// The fingerprint of the certificate for mail: 40 upper-case hexadecimal digits.
    pub fn mail_fingerprint(&self) -> String {
        self.0.mail.certificate_ref().fingerprint().to_hex()
    }

    /// A certificate as text, without secrets, for those who are to have it.
    pub fn published(&self, published: Published) -> Result<String, KeyringError> {
        match published {
            Published::Organisation => self.0.organisation.armored(),
            Published::Mail => self.0.mail.armored(),
        }
    }

    /// The organisation's certificate, binary, without secrets.
    pub fn certificate(&self) -> Vec<u8> {
        self.0.organisation.certificate()
    }

    /// Seals a secret that the gateway keeps: only this gateway opens it, and only as the same kind, row and owner.
    pub fn keep(&self, kind: &str, row: &[u8], owner: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyringError> {
        storage::keep(&self.0.root, kind, row, owner, plain)
    }

    /// Opens what [`Keyring::keep`] sealed.
    pub fn open_kept(
        &self,
        kind: &str,
        row: &[u8],
        owner: &[u8],
        kept: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        storage::open_kept(&self.0.root, kind, row, owner, kept)
    }

    /// A name for what must not be readable in a store: the same each time, and nobody without the root finds out what it
    /// stands for. With another root all names are others.
    pub(crate) fn blind(&self, label: &str, fields: &[&[u8]]) -> Result<[u8; 32], KeyringError> {
        storage::blind(&self.0.root, label, fields)
    }

    /// A MAC for what comes back through others' hands; `message` is a `ctx(..)` of the same purpose.
    pub(crate) fn mark(&self, purpose: &str, message: &[u8]) -> Result<Mark, KeyringError> {
        mark::mark(&self.0.root, purpose, message)
    }

    /// Whether [`Keyring::mark`] made it.
    pub(crate) fn is_marked(&self, purpose: &str, message: &[u8], mark: &Mark) -> Result<bool, KeyringError> {
        mark::is_marked(&self.0.root, purpose, message, mark)
    }

    /// Seals a spooled message: it opens only as the message with this id.
    pub fn spool_seal(&self, id: &QueueId, plain: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
        storage::spool_seal(&self.0.spool, id, plain)
    }

    /// Opens what [`Keyring::spool_seal`] sealed.
    pub fn spool_open(&self, id: &QueueId, sealed: Vec<u8>) -> Result<Vec<u8>, KeyringError> {
        storage::spool_open(&self.0.spool, id, sealed)
    }

    /// Seals a large spooled message into `to` while it is written: it opens only as the message with this id.
    pub(crate) fn spool_writer<W: Write>(&self, id: &QueueId, to: W) -> Result<SpoolWriter<W>, KeyringError> {
        SpoolWriter::new(&self.0.spool, id, to)
    }

    /// Opens what is read of a spooled message in a blob of `size` octets, in whatever format it lies there.
    pub(crate) fn spool_reader<R: Read + Seek>(
        &self,
        id: &QueueId,
        from: R,
        size: u64,
    ) -> Result<SpoolReader<R>, KeyringError> {
        SpoolReader::new(&self.0.spool, id, from, size)
    }

    /// The whole mail of a blob's bytes.
    pub fn spool_read(&self, id: &QueueId, blob: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let size = u64::try_from(blob.len()).unwrap_or(u64::MAX);
        let mut mail = Vec::new();
        let mut reader = self.spool_reader(id, Cursor::new(blob), size)?;
        reader.read_to_end(&mut mail).map_err(|_| KeyringError::NotOurs)?;
        Ok(mail)
    }

    /// Signs a `ctx(vouch, ..)` or `ctx(registered, ..)` with the organisation's signing subkey: the octets of a detached
    /// signature of version 6.
    pub(crate) fn vouch(&self, message: &[u8]) -> Result<Vec<u8>, KeyringError> {
        self.0.organisation.sign(message)
    }

    /// Whether this organisation vouched for it, with any signing subkey that it ever had.
    pub(crate) fn verify_vouch(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.organisation.verify(message, signature)
    }

    /// The server's half of OPAQUE, serialized.
    pub(crate) fn opaque_setup(&self) -> &[u8] {
        &self.0.opaque
    }

    /// The certificate that signs mail.
    pub(crate) fn mail(&self) -> &MailKey {
        &self.0.mail
    }

    /// Signs a piece of the audit's chain (Ed25519).
    pub fn audit_sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.audit.sign(message)
    }

    /// The key that verifies what [`Keyring::audit_sign`] signs now.
    pub fn audit_public(&self) -> [u8; 32] {
        self.0.audit.public()
    }

    /// All keys that the audit was ever signed with: oldest first, the present one last.
    pub fn audit_publics(&self) -> Vec<[u8; 32]> {
        self.0.audit.retired().iter().copied().chain([self.audit_public()]).collect()
    }

    pub(crate) fn organisation(&self) -> &Organisation {
        &self.0.organisation
    }
}

/// Seals, opens what was sealed as a later start would, and only then puts it in its place.
fn write_checked(files: &Files, master: &MasterKey, contents: &Contents) -> Result<(), KeyringError> {
    let sealed = sealed::seal(master, &contents.to_bytes()?)?;
    let opens = sealed::open(master, &sealed)?.is_ok_and(|plain| Contents::from_bytes(&plain).is_some());
    if !opens {
        return Err(KeyringError::Cipher);
    }
    files.write(&sealed)
}

#[cfg(test)]
pub(crate) mod tests;
