//! `sealpost init`: makes the organisation's keys, once.

use std::path::Path;

use clap::Args;

use sealpost_gateway::keyring::Keyring;
use sealpost_vault::clock::Clock;

use crate::configuration::Configuration;
use crate::exit::Failure;

#[derive(Args)]
pub struct Init {}

impl Init {
    pub fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        let keyring = make_keys(&configuration)?;
        println!("Keys made in {}", configuration.keys.directory.display());
        println!("Organisation's certificate: {}", keyring.fingerprint_hex());
        println!(
            "Back the directory up now, apart from the stores: without it nothing that is stored can be opened again."
        );
        Ok(())
    }
}

/// Makes the keys of a configuration; refuses where there are some.
pub fn make_keys(configuration: &Configuration) -> Result<Keyring, Failure> {
    Ok(Keyring::create(
        &configuration.keys.directory,
        &configuration.master()?,
        &configuration.organisation.name,
        &configuration.mail.from.to_string(),
        Clock::system().now(),
    )?)
}
