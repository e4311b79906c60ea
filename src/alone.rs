//! One gateway for a state directory, where its store is SQLite: at its start it takes back what a dead one had, and must not
//! take it from a living one.
//!
//! A lock on a file says who lives: the system ends it with the process, however that ends. Commands that run beside don't
//! ask for it. With PostgreSQL several gateways share a directory, and leases say who lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::parts;

/// A process that was killed lives until its last write to the disk is done.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(50);

/// The state directory is this process's, as long as this lives.
#[must_use]
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "its end is the lock's end")] Option<File>);

impl Alone {
    /// Before anything in the directory is looked at.
    pub async fn claim(configuration: &Configuration) -> Result<Self, Failure> {
        if !configuration.gateway_url().starts_with("sqlite:") {
            return Ok(Self(None));
        }
        let directory = configuration.gateway_directory();
        parts::private_directory(&directory)?;
        let path = directory.join("lock");
        let system = |cause| Failure::system(format!("{}: {cause}", path.display()));
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(system)?;
        let asked = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(Some(file))),
                Err(TryLockError::WouldBlock) if asked.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::unavailable(format!(
                        "another gateway runs with {}, and with SQLite there can be one: stop it, or give this one a \
                         [store] directory of its own",
                        configuration.store.directory.display()
                    )));
                }
                Err(TryLockError::Error(cause)) => return Err(system(cause)),
            }
        }
    }
}
