//! The keyring's files: written once and durably, read only while nobody else can read them.
//!
//! A directory (mode 0700) with one file per key (mode 0600). A key file is one line: the key's name, its bytes in
//! base64url, and a check over both, so that damage and mixed-up files are noticed before something is sealed under
//! a key that was never made. The file `format` holds the layout's version; it is written last and thus says that the
//! others are whole. The secret parts lie there unencrypted: whoever is the gateway's user or root has them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::derive::{ctx, sha256};
use zeroize::Zeroizing;

use super::KeyringError;

const FORMAT: &str = "format";
const VERSION_1: &[u8] = b"sealpost-keyring 1\n";
/// Far more than the largest key file; no more is read whatever lies there.
const LONGEST_FILE: u64 = 64 * 1024;

#[derive(Clone, Copy)]
pub(super) enum KeyFile {
    GatewayRoot,
    Spool,
    Organisation,
}

impl KeyFile {
    const ALL: [Self; 3] = [Self::GatewayRoot, Self::Spool, Self::Organisation];

    fn name(self) -> &'static str {
        match self {
            Self::GatewayRoot => "gateway-root",
            Self::Spool => "spool",
            Self::Organisation => "organisation",
        }
    }

    /// What a new one could not do.
    fn loss(self) -> &'static str {
        match self {
            Self::GatewayRoot => {
                "link secrets and voice keys that the gateway keeps cannot be opened: no notification can be sent \
                 again, and no reply or receipt to a letter that was sent already can be believed"
            }
            Self::Spool => "mail that was accepted and not yet delivered cannot be opened, and is lost",
            Self::Organisation => {
                "no letter that waits in the portal opens (the link's secret is bound to this certificate), no reply \
                 to one can be read, and every reader would meet another organisation"
            }
        }
    }
}

/// A keyring's directory.
pub(super) struct Files(PathBuf);

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
        match directory.parent() {
            Some(here) if here.as_os_str().is_empty() => sync_directory(Path::new("."))?,
            Some(parent) => sync_directory(parent)?,
            None => {}
        }
        Ok(Self(directory.to_owned()))
    }

    /// A directory with keys.
    pub(super) fn open(directory: &Path) -> Result<Self, KeyringError> {
        let files = Self(directory.to_owned());
        let metadata = match fs::metadata(directory) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(KeyringError::Absent(directory.to_owned())),
            Err(e) => return Err(at(directory)(e)),
        };
        refuse_exposed(directory, metadata.permissions().mode())?;
        let format = directory.join(FORMAT);
        match read_private(&format)? {
            None if KeyFile::ALL.iter().any(|file| files.path(*file).exists()) => {
                Err(KeyringError::Unfinished(directory.to_owned()))
            }
            None => Err(KeyringError::Absent(directory.to_owned())),
            Some(bytes) if bytes.as_slice() == VERSION_1 => Ok(files),
            Some(bytes) if bytes.starts_with(b"sealpost-keyring ") => Err(KeyringError::UnknownFormat(format)),
            Some(_) => Err(KeyringError::Corrupt(format)),
        }
    }

    pub(super) fn path(&self, file: KeyFile) -> PathBuf {
        self.0.join(file.name())
    }

    pub(super) fn write(&self, file: KeyFile, key: &[u8]) -> Result<(), KeyringError> {
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(key));
        let line = Zeroizing::new(format!("{} {} {}\n", file.name(), encoded.as_str(), check(file, key)?));
        write_private(&self.path(file), line.as_bytes())
    }

    /// Says that all keys are written.
    pub(super) fn finish(&self) -> Result<(), KeyringError> {
        sync_directory(&self.0)?;
        write_private(&self.0.join(FORMAT), VERSION_1)?;
        sync_directory(&self.0)
    }

    pub(super) fn read(&self, file: KeyFile) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let path = self.path(file);
        let Some(bytes) = read_private(&path)? else {
            return Err(KeyringError::Missing { file: path, loss: file.loss() });
        };
        parse(file, &bytes).ok_or(KeyringError::Corrupt(path))
    }
}

fn parse(file: KeyFile, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (key, written) = line.strip_prefix(file.name())?.strip_prefix(' ')?.split_once(' ')?;
    let key = Zeroizing::new(URL_SAFE_NO_PAD.decode(key).ok()?);
    (check(file, &key).ok()? == written).then_some(key)
}

/// Tells damage from a key; 48 bits of a hash give nothing away about 256 random ones.
fn check(file: KeyFile, key: &[u8]) -> Result<String, KeyringError> {
    let hash = sha256(&Zeroizing::new(ctx("keyring-file", &[file.name().as_bytes(), key])?));
    Ok(hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    let failed = at(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    // The opened file's, not the path's: nobody can exchange it in between.
    refuse_exposed(path, file.metadata().map_err(&failed)?.permissions().mode())?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LONGEST_FILE).read_to_end(&mut bytes).map_err(&failed)?;
    Ok(Some(bytes))
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let failed = at(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(&failed)?;
    file.write_all(bytes).map_err(&failed)?;
    file.sync_all().map_err(&failed)
}

fn sync_directory(path: &Path) -> Result<(), KeyringError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(at(path))
}

fn refuse_exposed(path: &Path, mode: u32) -> Result<(), KeyringError> {
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyringError::Exposed { path: path.to_owned(), mode: mode & 0o7777 }) }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> KeyringError {
    move |source| KeyringError::Io { path: path.to_owned(), source }
}
