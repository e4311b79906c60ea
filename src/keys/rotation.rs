//! `sealpost keys rotate` and `detach-primary`: keys are changed in one step, and the change is recorded.

use std::path::Path;

use sealpost_gateway::audit::{self, Event};
use sealpost_gateway::keyring::{Change, Primary, Rotating};
use sealpost_vault::clock::{Clock, Time};
use sealpost_vault::{Db, StoreError};

use super::{backup, passphrase};
use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::parts;

const AFTERWARDS: &str = "A gateway that runs starts anew with them within seconds.\nBack the keys up again, an older backup lacks what is new: sealpost keys backup FILE";

pub async fn rotate(
    configuration: &Configuration,
    keys: &[Rotating],
    primary: Option<&Path>,
    passphrase: &passphrase::Source,
) -> Result<(), Failure> {
    let primary = match primary {
        Some(path) => {
            let file = backup::read(path)?;
            let passphrase = passphrase.known("the primary key")?;
            let primary = Primary::unlock(&file, &passphrase);
            Some(primary.map_err(|cause| Failure::data(format!("{}: {cause}", path.display())))?)
        }
        None => None,
    };
    let now = Clock::system().now();
    let (mut change, store) = begin(configuration, now).await?;
    let mut rotated = Vec::with_capacity(keys.len());
    for key in Rotating::ALL.into_iter().filter(|key| keys.contains(key)) {
        rotated.push((key, change.rotate(key, primary.as_ref(), now)?));
    }
    let keyring = change.commit()?;
    if let Some(store) = &store {
        let mut transaction = store.begin().await?;
        keyring.take_up_in(&mut transaction, now).await?;
        for (key, fingerprint) in &rotated {
            audit::record(&mut transaction, Event::KeyRotated { key: key.word(), fingerprint }, now).await?;
        }
        transaction.commit().await.map_err(StoreError::from)?;
    }
    let words: Vec<&str> = rotated.iter().map(|(key, _)| key.word()).collect();
    println!("Changed: {}. The keys are of generation {} now.", words.join(", "), keyring.generation());
    if keys.contains(&Rotating::Organisation) {
        println!("Organisation's certificate, with the same fingerprint: {}", keyring.fingerprint_hex());
    }
    println!("{AFTERWARDS}");
    Ok(())
}

/// Before anything is changed: a store that doesn't answer, or that was used with newer keys, stops it here.
async fn begin(configuration: &Configuration, now: Time) -> Result<(Change, Option<Db>), Failure> {
    let store = parts::own_store_if_there(configuration).await?;
    let change = Change::begin(&configuration.keys.directory, &configuration.master()?)?;
    if let Some(store) = &store {
        store.migrate().await?;
        change.keyring().take_up(store, now).await?;
    }
    Ok((change, store))
}

pub async fn detach_primary(
    configuration: &Configuration,
    file: &Path,
    passphrase: &passphrase::Source,
) -> Result<(), Failure> {
    backup::refuse_existing(file)?;
    let now = Clock::system().now();
    let (mut change, store) = begin(configuration, now).await?;
    if !change.keyring().has_primary() {
        return Err(Failure::usage("the organisation's primary key was taken out before"));
    }
    let locked = change.take_primary_out(&passphrase.chosen("the primary key")?)?;
    // It lies on stable storage before it goes here.
    backup::write_new(file, &locked)?;
    let keyring = change.commit()?;
    if let Some(store) = &store {
        let mut transaction = store.begin().await?;
        keyring.take_up_in(&mut transaction, now).await?;
        audit::record(&mut transaction, Event::PrimaryDetached, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
    }
    println!(
        "The organisation's primary key lies in {} alone now: take the file off this machine, in two copies, with its \
         passphrase apart.\nIt is needed for: sealpost keys rotate organisation --primary FILE\nA gateway that runs forgets it within seconds, when \
         it starts anew.\nBack the keys up again, and destroy the older backups when you have the two copies: they \
         have the primary key too.",
        file.display()
    );
    Ok(())
}
