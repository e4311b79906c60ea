//! The master key: what the keyring lies encrypted under, and where it comes from.
//!
//! It opens nothing but the keyring, and the keyring holds nothing that opens it: a copy of the key directory alone, or of
//! a database alone, is of no use to anybody. Written, it is one word of 48 characters: 32 random bytes and 4 of a check,
//! in base64url, so that a word that lost a character is told from the key of another keyring.
//!
//! Security: zeroed when it goes, no `Clone`, no `Debug`. Where it comes from the environment, it stays in the memory that
//! the kernel shows to the process's own user and to root; taking a variable out of the running process is not possible
//! without unsafe code. Children that must not have it are started without it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::derive::{FieldTooLong, ctx, sha256};
use sealpost_vault::id::{NoRandomness, random};
use zeroize::Zeroizing;

use super::files::sync_directory_of;
use super::storage::hkdf;

const CHECK: usize = 4;
/// A written key has 48 characters; no more than this is read, whatever lies there.
const LONGEST: u64 = 256;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    #[error(
        "keys.master: {0:?} is none of \"file:/path\", \"credential:NAME\" and \"environment:NAME\" (a name has letters, \
         digits, `-`, `_` and `.`)"
    )]
    UnknownSource(String),
    #[error(
        "the master key is missing: {source}. The keys are encrypted under it. Put it back from where you keep it, apart \
         from the keys' backup. If it is lost, restore a backup of the keys with `sealpost keys restore` under a new one"
    )]
    Missing { source: Where },
    #[error(
        "the master key is not set: {source}. For a credential, the unit needs LoadCredential= or LoadCredentialEncrypted=, \
         and a command by hand needs it too (`systemd-run --pipe --wait --uid=sealpost --property=LoadCredential=...`). A \
         new one for new keys is printed by `sealpost keys new-master`"
    )]
    NotSet { source: Where },
    #[error(
        "{source} holds no master key: cut, mistyped or another file. It is one word of 48 characters. Put it back from \
         where you keep it"
    )]
    Damaged { source: Where },
    #[error(
        "others than its owner may access the master key {} (mode {mode:04o}): take their rights away (chmod go= ...), and \
         consider whether it was read",
        .path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("cannot read or write the master key {}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("a key could not be derived")]
    Derivation,
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// A source, as errors name it.
#[derive(Debug)]
pub struct Where(String);

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Where {}

/// Where the master key comes from: `file:`, `credential:` or `environment:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterSource {
    File(PathBuf),
    /// A file of this name in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    Environment(String),
}

/// Whether a master key was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    New,
    WasThere,
}

impl MasterSource {
    /// As the configuration writes it; a relative path begins at `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, MasterError> {
        let unknown = || MasterError::UnknownSource(text.to_owned());
        let name = |name: &str| {
            let fine = !name.is_empty()
                && Path::new(name).components().all(|c| matches!(c, Component::Normal(_)))
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            fine.then(|| name.to_owned()).ok_or_else(unknown)
        };
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(base.join(path))),
            Some(("credential", rest)) => name(rest).map(Self::Credential),
            Some(("environment", rest)) => name(rest).map(Self::Environment),
            _ => Err(unknown()),
        }
    }

    /// The default: a file beside the key directory, whose name has `.master` behind the directory's.
    pub fn beside(directory: &Path) -> Self {
        let mut name = directory.file_name().unwrap_or_default().to_owned();
        name.push(".master");
        Self::File(directory.with_file_name(name))
    }

    /// The environment variable that holds the key: children that must not have it are started without it.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Environment(name) => Some(name),
            Self::File(_) | Self::Credential(_) => None,
        }
    }

    /// The file that holds it, as far as this process can tell.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Credential(name) => Some(Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name)),
            Self::Environment(_) => None,
        }
    }

    /// Reads the key.
    pub fn load(&self) -> Result<MasterKey, MasterError> {
        match self {
            // What `load_or_make` may fill holds no key yet.
            Self::File(path) => match read(path, 0o077)? {
                Some(text) if text.is_empty() => Err(MasterError::Missing { source: self.named() }),
                Some(text) => self.parsed(&text),
                None => Err(MasterError::Missing { source: self.named() }),
            },
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| MasterError::NotSet { source: self.named() })?;
                // systemd lets the service's user in by an access list, whose mask shows as the group's right to read.
                let text = read(&Path::new(&directory).join(name), 0o037)?;
                self.parsed(&text.ok_or_else(|| MasterError::NotSet { source: self.named() })?)
            }
            Self::Environment(name) => {
                let text = std::env::var(name).map_err(|_| MasterError::NotSet { source: self.named() })?;
                self.parsed(&Zeroizing::new(text))
            }
        }
    }

    /// Reads the key; where its file is missing or empty, makes one. Credentials and variables are made elsewhere.
    pub fn load_or_make(&self) -> Result<(MasterKey, Made), MasterError> {
        match (self, self.load()) {
            (Self::File(path), Err(MasterError::Missing { .. })) => {
                let key = MasterKey::random()?;
                write(path, &key).map_err(|source| MasterError::Io { path: path.clone(), source })?;
                Ok((self.load()?, Made::New))
            }
            (_, loaded) => loaded.map(|key| (key, Made::WasThere)),
        }
    }

    fn parsed(&self, text: &str) -> Result<MasterKey, MasterError> {
        MasterKey::parse(text).ok_or_else(|| MasterError::Damaged { source: self.named() })
    }

    fn named(&self) -> Where {
        Where(self.to_string())
    }
}

impl fmt::Display for MasterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Credential(name) => write!(f, "the systemd credential {name}"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// The key itself.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    pub fn random() -> Result<Self, MasterError> {
        Ok(Self(Zeroizing::new(random::<32>()?)))
    }

    /// One word.
    pub fn written(&self) -> Result<Zeroizing<String>, MasterError> {
        let bytes = Zeroizing::new([self.0.as_slice(), &check(&self.0)?].concat());
        Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.trim_ascii()).ok()?);
        let (key, written) = bytes.split_first_chunk::<32>()?;
        let key = Zeroizing::new(*key);
        (check(&key).ok()? == written).then_some(Self(key))
    }

    /// A key for one use.
    pub(super) fn derive(&self, label: &str, name: &str) -> Result<Zeroizing<[u8; 32]>, MasterError> {
        hkdf(&[], self.0.as_slice(), &ctx(label, &[name.as_bytes()])?).map_err(|_| MasterError::Derivation)
    }
}

fn check(key: &[u8; 32]) -> Result<[u8; CHECK], FieldTooLong> {
    let hash = sha256(&Zeroizing::new(ctx("master-key", &[key])?));
    Ok(*hash.first_chunk().unwrap_or(&[0; CHECK]))
}

fn read(path: &Path, others: u32) -> Result<Option<Zeroizing<String>>, MasterError> {
    let failed = |source| MasterError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & others != 0 {
        return Err(MasterError::Exposed { path: path.to_owned(), mode: mode & 0o7777 });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(1024));
    file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
    // Bytes that are no text are no key either; the caller says so.
    Ok(Some(Zeroizing::new(String::from_utf8_lossy(&text).into_owned())))
}

/// Whole or not at all; over an empty file, which the administrator may have made where this user may make none.
fn write(path: &Path, key: &MasterKey) -> std::io::Result<()> {
    let line = key.written().map_err(std::io::Error::other)?;
    let line = Zeroizing::new([line.as_bytes(), b"\n"].concat());
    if fs::metadata(path).is_ok_and(|there| there.len() == 0) {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(&line)?;
        return file.sync_all();
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&line)?;
    file.sync_all()?;
    sync_directory_of(path)
}
