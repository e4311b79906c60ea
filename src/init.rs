//! `sealpost init`: makes the organisation's keys, once.

use std::path::Path;

use clap::Args;

use sealpost_gateway::keyring::{Keyring, Made, MasterSource, Upgraded};
use sealpost_vault::clock::Clock;

use crate::configuration::Configuration;
use crate::exit::Failure;

#[derive(Args)]
pub struct Init {}

impl Init {
    pub fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
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
