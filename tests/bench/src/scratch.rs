//! A directory for one run, gone afterwards, on the disk of /var/tmp: a file system in memory would make syncing free.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::BenchError;

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Result<Self, BenchError> {
        let path = PathBuf::from(format!("/var/tmp/sealpost-bench-{}", std::process::id()));
        let made = Self(path.clone());
        fs::create_dir(&path).map_err(|cause| io(&path, cause))?;
        // Postfix's processes walk through it under users of their own.
        fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(|cause| io(&path, cause))?;
        Ok(made)
    }

    /// A new directory below.
    pub fn directory(&self, name: &str) -> Result<PathBuf, BenchError> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).map_err(|cause| io(&path, cause))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("BENCH_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

pub fn io(what: &Path, cause: std::io::Error) -> BenchError {
    BenchError::Io(what.display().to_string(), cause)
}

pub fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    fs::write(path, text).map_err(|cause| io(path, cause))
}

/// Gives a directory to a user of this machine.
pub fn give(path: &Path, user: &str) -> Result<(), BenchError> {
    let passwd = fs::read_to_string("/etc/passwd").map_err(|cause| io(Path::new("/etc/passwd"), cause))?;
    let fields: Option<Vec<&str>> =
        passwd.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<&str>| fields.first() == Some(&user));
    let id = |n: usize| fields.as_ref().and_then(|fields| fields.get(n)).and_then(|id| id.parse().ok());
    chown(path, id(2), id(3)).map_err(|cause| io(path, cause))
}

/// A port on 127.0.0.1 that nobody listens on.
pub fn free_port() -> Result<u16, BenchError> {
    let found = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    found.map(|address| address.port()).map_err(|cause| BenchError::Io("a free port".to_owned(), cause))
}
