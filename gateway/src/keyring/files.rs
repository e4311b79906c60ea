//! The keyring's directory: written whole or not at all, read only while nobody else can read it.
//!
//! A directory (mode 0700) with two files (0600): `keyring`, everything sealed under the master key, and `format`, the
//! layout's version. `format` is written last and thus says that the other is whole. One file for all keys, because a
//! change of several keys, or of one and the generation, is then one `rename`: there is no state in between. Nothing is
//! needed of the directory around it, which often belongs to root.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyringError;
use super::sealed::FILE;

const FORMAT: &str = "format";
const VERSION_1: &[u8] = b"sealpost-keyring 1\n";
const VERSION_2: &[u8] = b"sealpost-keyring 2\n";
const TEMPORARY: &str = "keyring.new";
/// What a keyring of format 1 consists of.
pub(super) const PLAIN_FILES: [&str; 3] = ["gateway-root", "spool", "organisation"];
/// Thousands of changed keys; no more is read whatever lies there.
const LONGEST_FILE: u64 = 1024 * 1024;

/// A keyring's directory.
pub(super) struct Files(PathBuf);

/// Held while keys are changed: two commands at once would lose one's work.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // It ends with the file; so it is with every end of the process.
        let _ = self.0.unlock();
    }
}

/// How a directory's keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One file per key, unencrypted.
    Plain,
    Sealed,
}

impl Files {
    /// An empty directory for new keys, made if it isn't there.
    pub(super) fn create(directory: &Path) -> Result<Self, KeyringError> {
        let failed = at(directory);
        match DirBuilder::new().recursive(true).mode(0o700).create(directory) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(failed(e)),
            _ => {}
        }
        if fs::read_dir(directory).map_err(&failed)?.next().is_some() {
            return Err(KeyringError::AlreadyThere(directory.to_owned()));
        }
        fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(&failed)?;
        sync_directory_of(directory).map_err(&failed)?;
        Ok(Self(directory.to_owned()))
    }

    /// A directory with keys.
    pub(super) fn open(directory: &Path) -> Result<(Self, Layout), KeyringError> {
        let files = Self(directory.to_owned());
        let metadata = match fs::metadata(directory) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(KeyringError::Absent(directory.to_owned())),
            Err(e) => return Err(at(directory)(e)),
        };
        refuse_exposed(directory, metadata.permissions().mode())?;
        let format = directory.join(FORMAT);
        match read_private(&format)? {
            None if directory.join(FILE).exists() || files.has_plain() => {
                Err(KeyringError::Unfinished(directory.to_owned()))
            }
            None => Err(KeyringError::Absent(directory.to_owned())),
            Some(bytes) if bytes.as_slice() == VERSION_1 => Ok((files, Layout::Plain)),
            Some(bytes) if bytes.as_slice() == VERSION_2 => Ok((files, Layout::Sealed)),
            Some(bytes) if bytes.starts_with(b"sealpost-keyring ") => Err(KeyringError::UnknownFormat(format)),
            Some(_) => Err(KeyringError::Corrupt(format)),
        }
    }

    pub(super) fn lock(&self) -> Result<Lock, KeyringError> {
        let directory = File::open(&self.0).map_err(at(&self.0))?;
        match directory.try_lock() {
            Ok(()) => Ok(Lock(directory)),
            Err(TryLockError::WouldBlock) => Err(KeyringError::Busy(self.0.clone())),
            Err(TryLockError::Error(e)) => Err(at(&self.0)(e)),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.join(FILE)
    }

    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let path = self.path();
        read_private(&path)?.ok_or(KeyringError::Missing { file: path, loss: "nothing that is stored can be opened" })
    }

    /// Puts a new file in the place of the old one: after a crash one of the two is there, whole.
    pub(super) fn write(&self, sealed: &[u8]) -> Result<(), KeyringError> {
        self.replace(FILE, sealed)
    }

    /// Says that all keys are written.
    pub(super) fn finish(&self) -> Result<(), KeyringError> {
        self.replace(FORMAT, VERSION_2)
    }

    /// Whether unencrypted keys lie here.
    pub(super) fn has_plain(&self) -> bool {
        PLAIN_FILES.iter().any(|name| self.0.join(name).symlink_metadata().is_ok())
    }

    /// One of the [`PLAIN_FILES`].
    pub(super) fn read_plain(&self, name: &'static str) -> Result<(PathBuf, Zeroizing<Vec<u8>>), KeyringError> {
        let path = self.0.join(name);
        match read_private(&path)? {
            Some(bytes) => Ok((path, bytes)),
            None => Err(KeyringError::Missing { file: path, loss: "the upgrade would lose what hangs on it" }),
        }
    }

    /// Deletes the unencrypted keys, overwritten first. What the file system or disk copied elsewhere stays.
    pub(super) fn remove_plain(&self) -> Result<(), KeyringError> {
        for name in PLAIN_FILES {
            let path = self.0.join(name);
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let failed = at(&path);
            if metadata.is_file() {
                let mut file = OpenOptions::new().write(true).open(&path).map_err(&failed)?;
                let length = usize::try_from(metadata.len().min(LONGEST_FILE)).unwrap_or(0);
                file.write_all(&vec![0; length]).map_err(&failed)?;
                file.sync_all().map_err(&failed)?;
            }
            fs::remove_file(&path).map_err(&failed)?;
        }
        sync(&self.0).map_err(at(&self.0))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), KeyringError> {
        let temporary = self.0.join(TEMPORARY);
        let failed = at(&temporary);
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        write_new(&temporary, bytes).map_err(&failed)?;
        fs::rename(&temporary, self.0.join(name)).map_err(&failed)?;
        sync(&self.0).map_err(at(&self.0))
    }
}

/// A new file for its owner only, durable; refuses where there is one.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes an entry of the directory around this path durable.
pub(super) fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(here) if here.as_os_str().is_empty() => sync(Path::new(".")),
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory).and_then(|directory| directory.sync_all())
}

/// A file of the owner's only; `None` where there is none. What is longer than any of ours is read as damage.
fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    let failed = at(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let metadata = file.metadata().map_err(&failed)?;
    // The opened file's, not the path's: nobody can exchange it in between.
    refuse_exposed(path, metadata.permissions().mode())?;
    if !metadata.is_file() || metadata.len() > LONGEST_FILE {
        return Err(KeyringError::Corrupt(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).max(4096)));
    file.take(LONGEST_FILE).read_to_end(&mut bytes).map_err(&failed)?;
    Ok(Some(bytes))
}

fn refuse_exposed(path: &Path, mode: u32) -> Result<(), KeyringError> {
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyringError::Exposed { path: path.to_owned(), mode: mode & 0o7777 }) }
}

pub(super) fn at(path: &Path) -> impl Fn(std::io::Error) -> KeyringError {
    move |source| KeyringError::Io { path: path.to_owned(), source }
}
