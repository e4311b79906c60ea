//! A directory for one story, gone afterwards.
//!
//! Programs that run as other users (Postfix's delivery agents, PostgreSQL) must be able to walk through it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::disk::Disk;

pub struct Scratch {
    /// Before the directory: what is mounted below can't be deleted.
    disks: Mutex<Vec<Arc<Disk>>>,
    directory: TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("sealpost-story-").tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        Self { disks: Mutex::default(), directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new directory below.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A new directory below with a small disk of its own.
    pub fn disk(&self, name: &str, megabytes: u32) -> Arc<Disk> {
        let disk = Arc::new(Disk::mount(&self.directory(name), megabytes));
        self.disks.lock().unwrap().push(Arc::clone(&disk));
        disk
    }
}

/// A user of this machine.
#[derive(Clone, Copy, Debug)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// Panics if there is no such user: the program that brings it isn't installed.
    pub fn named(name: &str) -> Self {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(name))
            .unwrap_or_else(|| panic!("no user {name}: is its program installed?"));
        let fields: Vec<&str> = line.split(':').collect();
        Self { uid: fields[2].parse().unwrap(), gid: fields[3].parse().unwrap() }
    }

    pub fn own(self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid)).unwrap_or_else(|cause| {
            panic!("{} can't be given away ({cause}): the stories run as root", path.display())
        });
    }
}
