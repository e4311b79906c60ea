//! From format 1, one unencrypted file per key, to the sealed keyring: on command, in steps that a crash can't break.
//!
//! The sealed file is written first and read back; `format` is the step that counts; the unencrypted files go last. A crash
//! before it leaves format 1, whole; a crash after it leaves unencrypted files, over which no keyring is loaded until the
//! command has run again. The keys stay what they were, and get those beside them that format 1 doesn't have.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::Time;
use sealpost_vault::derive::{ctx, sha256};
use zeroize::Zeroizing;

use super::contents::Contents;
use super::epochs::{Epochs, Key};
use super::files::{Files, Layout};
use super::master::{Made, MasterSource};
use super::organisation::Organisation;
use super::{Keyring, KeyringError, write_checked};

/// What an upgrade found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgraded {
    /// The keys were unencrypted; they lie under the master key now.
    Sealed(Made),
    /// Only unencrypted files of an interrupted upgrade were left; they are gone.
    Finished,
    /// There was nothing to do.
    AlreadySealed,
}

impl Keyring {
    /// Seals a keyring of format 1 under the master key, which is made where its file isn't there.
    pub fn upgrade(
        directory: &Path,
        master: &MasterSource,
        organisation: &str,
        address: &str,
        now: Time,
    ) -> Result<Upgraded, KeyringError> {
        let (files, layout) = Files::open(directory)?;
        let _lock = files.lock()?;
        if layout == Layout::Sealed {
            // Nothing is deleted before what replaces it was opened.
            drop(Self::open_sealed(&files, &master.load()?)?);
            let found = if files.has_plain() { Upgraded::Finished } else { Upgraded::AlreadySealed };
            files.remove_plain()?;
            return Ok(found);
        }
        let root = key(&files, "gateway-root")?;
        let spool = key(&files, "spool")?;
        let (path, bytes) = read(&files, "organisation")?;
        let certificate = Organisation::from_secret_bytes(&bytes).ok_or(KeyringError::Corrupt(path))?;
        let contents =
            Contents::around(certificate, Epochs::first(root), Epochs::first(spool), organisation, address, now)?;
        let (master, made) = master.load_or_make()?;
        write_checked(&files, &master, &contents)?;
        files.finish()?;
        files.remove_plain()?;
        Ok(Upgraded::Sealed(made))
    }
}

fn key(files: &Files, name: &'static str) -> Result<Key, KeyringError> {
    let (path, bytes) = read(files, name)?;
    let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyringError::Corrupt(path))?;
    Ok(Zeroizing::new(key))
}

/// One line: the key's name, its bytes in base64url, and the first 6 bytes of a hash over both.
fn read(files: &Files, name: &'static str) -> Result<(std::path::PathBuf, Zeroizing<Vec<u8>>), KeyringError> {
    let (path, bytes) = files.read_plain(name)?;
    match parse(name, &bytes) {
        Some(key) => Ok((path, key)),
        None => Err(KeyringError::Corrupt(path)),
    }
}

fn parse(name: &str, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (key, written) = line.strip_prefix(name)?.strip_prefix(' ')?.split_once(' ')?;
    let key = Zeroizing::new(URL_SAFE_NO_PAD.decode(key).ok()?);
    let hash = sha256(&Zeroizing::new(ctx("keyring-file", &[name.as_bytes(), &key]).ok()?));
    let check: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    (check == written).then_some(key)
}
