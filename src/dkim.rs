//! `sealpost dkim`: the DNS records of the configured DKIM keys.

use std::path::Path;

use clap::Args;
use sealpost_gateway::dkim::DkimKey;

use crate::configuration::Configuration;
use crate::exit::Failure;

#[derive(Args)]
pub struct Records {
    /// Name and text of each record, a line each, for a form of a DNS provider's
    #[arg(long)]
    plain: bool,
}

impl Records {
    pub fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        let dkim = configuration.dkim()?;
        if dkim.keys().is_empty() {
            return Err(Failure::configuration(format!("{}: dkim.keys names no key", config.display())));
        }
        for key in dkim.keys() {
            println!("{}", if self.plain { plain(key) } else { zone(key) });
        }
        Ok(())
    }
}

fn plain(key: &DkimKey) -> String {
    format!("{}\n{}", key.record_name(), key.record())
}

fn zone(key: &DkimKey) -> String {
    format!("; {}\n{}", key.algorithm(), key.zone_line())
}
