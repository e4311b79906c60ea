//! `sealpost keys backup` and `restore`: all keys in one file under a passphrase, and back into an empty directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sealpost_gateway::audit::{self, Event};
use sealpost_gateway::keyring::{Backup, UseError, Used};
use sealpost_vault::StoreError;
use sealpost_vault::clock::Clock;

use super::passphrase;
use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::logging::time;
use crate::{init, parts};

/// More than any keyring.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What is done with a backup that is older than the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    Refused,
    Accepted,
}

pub async fn write(configuration: &Configuration, file: &Path, passphrase: &passphrase::Source) -> Result<(), Failure> {
    refuse_existing(file)?;
    let keyring = configuration.keyring()?;
    let store = parts::own_store_if_there(configuration).await?;
    let now = Clock::system().now();
    if let Some(store) = &store {
        store.migrate().await?;
        // A backup of keys that this store would refuse helps nobody.
        keyring.take_up(store, now).await?;
    }
    let locked = keyring.backup(&passphrase.chosen("the backup")?, now)?;
    write_new(file, &locked)?;
    if let Some(store) = &store {
        let mut transaction = store.begin().await?;
        audit::record(&mut transaction, Event::KeysBackedUp, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
    }
    println!(
        "All keys, of generation {}, lie in {}. Keep it off this machine and apart from backups of the store, and its \
         passphrase apart from it.",
        keyring.generation(),
        file.display()
    );
    if !keyring.has_primary() {
        println!("The organisation's primary key isn't in it: it was taken out, into a file of its own.");
    }
    Ok(())
}

pub async fn restore(
    configuration: &Configuration,
    file: &Path,
    older: Older,
    passphrase: &passphrase::Source,
) -> Result<(), Failure> {
    let locked = read(file)?;
    let passphrase = passphrase.known("the backup")?;
    let mut backup =
        Backup::open(&locked, &passphrase).map_err(|cause| Failure::data(format!("{}: {cause}", file.display())))?;
    let store = parts::own_store_if_there(configuration).await?;
    // A store of an earlier version remembers nothing, and isn't migrated here: it may still be restored itself.
    let used = match &store {
        Some(store) => Used::of(store).await.ok(),
        None => None,
    };
    match backup.keyring().fits(used.as_ref().and_then(Option::as_ref)) {
        Err(UseError::Older { store, .. }) if older == Older::Accepted => backup.accept_older(store),
        fits => fits?,
    }
    let made = backup.made;
    let master = configuration.master()?;
    let made_master = master.load_or_make().map_err(Failure::configuration)?.1;
    let keyring = backup.restore(&configuration.keys.directory, &master)?;
    let now = Clock::system().now();
    if let (Some(store), Some(_)) = (&store, &used) {
        let mut transaction = store.begin().await?;
        keyring.take_up_in(&mut transaction, now).await?;
        audit::record(&mut transaction, Event::KeysRestored, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
    }
    println!(
        "Keys of generation {}, backed up on {}, restored to {}",
        keyring.generation(),
        time(made),
        configuration.keys.directory.display()
    );
    println!("Organisation's certificate: {}", keyring.fingerprint_hex());
    init::say_master(&master, made_master);
    println!("Check with `sealpost check-config` before you start Sealpost.");
    Ok(())
}

/// Early, so that nobody types a passphrase for nothing.
pub fn refuse_existing(file: &Path) -> Result<(), Failure> {
    if file.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("{} is there: nothing is overwritten", file.display())));
    }
    Ok(())
}

/// For its owner only, durable; refuses where there is a file.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    };
    write().map_err(|cause: std::io::Error| Failure::system(format!("{}: {cause}", path.display())))
}

pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    read.map_err(|cause| Failure::usage(format!("{}: {cause}", path.display())))?;
    Ok(bytes)
}
