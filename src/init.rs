//! `sealpost init`: makes the organisation's keys, once.

use std::path::Path;

use clap::Args;

use sealpost_gateway::keyring::{Keyring, Made, MasterSource, Upgraded, Used};
use sealpost_vault::clock::Clock;

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::parts;

#[derive(Args)]
pub struct Init {}

impl Init {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        refuse_used_store(&configuration).await?;
        let (keyring, made) = make_keys(&configuration)?;
        println!("Keys made in {}", configuration.keys.directory.display());
        println!("Organisation's certificate: {}", keyring.fingerprint_hex());
        println!("Certificate for mail:       {}", keyring.mail_fingerprint());
        say_master(&configuration.master()?, made);
        println!(
            "Back the keys up now (sealpost keys backup FILE): without them nothing that is stored can be opened again."
        );
        Ok(())
    }
}

/// New keys would open nothing of what a store holds that was used before: whoever has lost the keys needs their backup.
async fn refuse_used_store(configuration: &Configuration) -> Result<(), Failure> {
    // A store that doesn't answer, or isn't made yet, says nothing against new keys.
    let Ok(Some(store)) = parts::own_store_if_there(configuration).await else { return Ok(()) };
    match Used::of(&store).await {
        Ok(Some(_)) => Err(Failure::configuration(format!(
            "the store in {} was used with keys before, and nothing in it opens with new ones: restore the backup of the \
             keys (`sealpost keys restore`). For another organisation, name another store directory",
            configuration.store.directory.display()
        ))),
        _ => Ok(()),
    }
}

/// Makes the keys of a configuration; refuses where there are some.
pub fn make_keys(configuration: &Configuration) -> Result<(Keyring, Made), Failure> {
    let master = configuration.master()?;
    let there = master.load().is_ok();
    let keyring = Keyring::create(
        &configuration.keys.directory,
        &master,
        &configuration.organisation.name,
        &configuration.mail.from.to_string(),
        Clock::system().now(),
    )?;
    Ok((keyring, if there { Made::WasThere } else { Made::New }))
}

/// Puts keys that an earlier version left unencrypted under the master key.
pub fn upgrade_keys(configuration: &Configuration) -> Result<Upgraded, Failure> {
    Ok(Keyring::upgrade(
        &configuration.keys.directory,
        &configuration.master()?,
        &configuration.organisation.name,
        &configuration.mail.from.to_string(),
        Clock::system().now(),
    )?)
}

/// Says where the master key is, and what it is for where it is new.
pub fn say_master(master: &MasterSource, made: Made) {
    match made {
        Made::New => println!(
            "Master key made: {master}. The keys are encrypted under it: keep a copy apart from them. It isn't in their backup."
        ),
        Made::WasThere => println!("They are encrypted under the master key: {master}"),
    }
}
