//! Changing keys: new ones come beside the old ones, all at once, or not at all.
//!
//! The organisation's certificate and the one for mail get new subkeys, and keep their fingerprint. The root and the spool
//! get a new epoch. The audit's key is replaced, and its public half kept. The set-up of OPAQUE is never changed.
//! A gateway that runs has the old keys in memory; it starts anew when it sees that the store was used with newer ones.
//!
//! The organisation's primary key can be taken out into a file of its own. Only a rotation of that certificate needs it.

use std::path::Path;

use data_encoding::HEXUPPER;
use sealpost_vault::Time;
use sequoia_openpgp::crypto::{KeyPair, Signer};
use zeroize::Zeroizing;

use super::contents::Contents;
use super::files::{Files, Layout, Lock};
use super::master::{MasterKey, MasterSource};
use super::passphrase::{Locked, LockedError, Passphrase};
use super::signer::OwnSigner;
use super::{Keyring, KeyringError, certificate, write_checked};

/// A key that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotating {
    Organisation,
    Mail,
    Root,
    Spool,
    Audit,
}

impl Rotating {
    pub const ALL: [Self; 5] = [Self::Organisation, Self::Mail, Self::Root, Self::Spool, Self::Audit];

    pub fn word(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Mail => "mail",
            Self::Root => "root",
            Self::Spool => "spool",
            Self::Audit => "audit",
        }
    }
}

/// The organisation's primary key, out of its file.
pub struct Primary(KeyPair);

impl Primary {
    /// Opens what [`Change::take_primary_out`] locked.
    pub fn unlock(file: &[u8], passphrase: &Passphrase) -> Result<Self, LockedError> {
        let plain = Locked::Primary.open(file, passphrase)?;
        certificate::parse(&plain)
            .and_then(|certificate| certificate.primary_key().key().clone().parts_into_secret().ok())
            .and_then(|key| key.into_keypair().ok())
            .map(Self)
            .ok_or(LockedError::Damaged)
    }
}

/// Keys that are being changed. Nobody else changes them meanwhile; nothing is changed before [`Change::commit`].
pub struct Change {
    files: Files,
    _lock: Lock,
    master: MasterKey,
    keyring: Keyring,
}

impl Change {
    pub fn begin(directory: &Path, master: &MasterSource) -> Result<Self, KeyringError> {
        let (files, layout) = Files::open(directory)?;
        let lock = files.lock()?;
        if layout == Layout::Plain {
            return Err(KeyringError::Unencrypted(directory.to_owned()));
        }
        if files.has_plain() {
            return Err(KeyringError::LeftUnencrypted(directory.to_owned()));
        }
        let master = master.load()?;
        let keyring = Keyring::open_sealed(&files, &master)?;
        Ok(Self { files, _lock: lock, master, keyring })
    }

    /// The keys as they are now.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// A new key beside the old one; gives the new one's fingerprint, where it has one. `primary` is asked for where the
    /// organisation's was taken out.
    pub fn rotate(&mut self, key: Rotating, primary: Option<&Primary>, now: Time) -> Result<String, KeyringError> {
        let contents = &mut self.keyring.0;
        match key {
            Rotating::Organisation => {
                let primary = primary.map(|primary| primary.0.clone());
                contents.organisation = contents.organisation.rotated(primary, now)?;
                Ok(fingerprint(contents.organisation.signer()))
            }
            Rotating::Mail => {
                contents.mail = contents.mail.rotated(now)?;
                Ok(fingerprint(contents.mail.signer()))
            }
            Rotating::Root => contents.root.rotate().map(|_| String::new()).map_err(KeyringError::from),
            Rotating::Spool => contents.spool.rotate().map(|_| String::new()).map_err(KeyringError::from),
            Rotating::Audit => {
                contents.audit.rotate()?;
                Ok(HEXUPPER.encode(&contents.audit.public()))
            }
        }
    }

    /// Takes the organisation's primary key out: what is to be written somewhere else, before the commit.
    pub fn take_primary_out(&mut self, passphrase: &Passphrase) -> Result<Vec<u8>, KeyringError> {
        let (without, primary) = self.keyring.0.organisation.without_primary()?;
        let locked = Locked::Primary.seal(&primary, passphrase)?;
        self.keyring.0.organisation = without;
        Ok(locked)
    }

    /// Writes the changed keys, as the next generation.
    pub fn commit(mut self) -> Result<Keyring, KeyringError> {
        self.keyring.0.generation = self.keyring.0.generation.saturating_add(1);
        write_checked(&self.files, &self.master, &self.keyring.0)?;
        Ok(self.keyring)
    }
}

fn fingerprint(signer: Option<OwnSigner>) -> String {
    signer.map(|key| key.public().fingerprint().to_hex()).unwrap_or_default()
}

/// A backup, opened and not yet restored.
pub struct Backup {
    keyring: Keyring,
    /// When it was made.
    pub made: Time,
}

impl Keyring {
    /// All keys as one file that opens with the passphrase, without the master key.
    pub fn backup(&self, passphrase: &Passphrase, now: Time) -> Result<Vec<u8>, KeyringError> {
        let contents = self.0.to_bytes()?;
        let plain = Zeroizing::new([format!("made {now}\n").as_bytes(), &contents].concat());
        Locked::Backup.seal(&plain, passphrase)
    }
}

impl Backup {
    pub fn open(file: &[u8], passphrase: &Passphrase) -> Result<Self, LockedError> {
        let plain = Locked::Backup.open(file, passphrase)?;
        // It is authentic, so what can't be read in it was written by a program that knows more.
        let read = || {
            let end = plain.iter().position(|byte| *byte == b'\n')?;
            let (line, contents) = plain.split_at_checked(end.saturating_add(1))?;
            let made = std::str::from_utf8(line).ok()?.strip_prefix("made ")?.trim_end().parse().ok()?;
            Some(Self { keyring: Keyring(Contents::from_bytes(contents)?), made })
        };
        read().ok_or(LockedError::Newer)
    }

    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Lifts keys that are older than the store above the generation that it remembers.
    pub fn accept_older(&mut self, remembered: u64) {
        self.keyring.0.generation = remembered.saturating_add(1).max(self.keyring.0.generation);
    }

    /// Writes the keys into a directory that is empty or not there yet, under the master key, which is made where its
    /// file isn't there.
    pub fn restore(self, directory: &Path, master: &MasterSource) -> Result<Keyring, KeyringError> {
        Keyring::write_new(&self.keyring.0, directory, master)
    }
}
