//! `sealpost dkim`: makes keys that sign mail, and prints the DNS records that make others believe them.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use sealpost_gateway::dkim::{DkimKey, DkimKeyError, NewKey};

use crate::configuration::Configuration;
use crate::exit::Failure;

#[derive(Args)]
pub struct DkimCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key, in a file for its owner only, and print its DNS record
    #[command(long_about = "Make a key, in a file for its owner only, and print its DNS record.\n\n\
        Run it as the user that runs Sealpost. The configuration isn't read and isn't changed: publish the record first, and \
        put the key into [dkim] when it can be looked up. An existing file is never overwritten.")]
    New {
        /// The domain in From, or one above it
        domain: String,
        /// Tells this key from the domain's others: letters, digits and hyphens, for instance sealpost2026a
        selector: String,
        /// The file to write
        file: PathBuf,
        /// RSA of 2,048 bits, which everybody can verify, or Ed25519, which not everybody can: only beside an RSA key
        #[arg(long, value_enum, default_value_t = Kind::Rsa)]
        algorithm: Kind,
        #[command(flatten)]
        form: Form,
    },
    /// Print the DNS records of the keys in the configuration
    #[command(long_about = "Print the DNS records of the keys in the configuration.\n\n\
        One TXT record for each key of [dkim]. deploy/ADMIN.md says how a key is changed for another.")]
    Records {
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Rsa,
    Ed25519,
}

#[derive(Args)]
struct Form {
    /// Name and text of each record, a line each, for a form of a DNS provider's; otherwise lines of a zone file
    #[arg(long)]
    plain: bool,
}

impl DkimCommand {
    pub fn run(self, config: &Path) -> Result<(), Failure> {
        match self.action {
            Action::New { domain, selector, file, algorithm, form } => {
                let kind = match algorithm {
                    Kind::Rsa => NewKey::Rsa,
                    Kind::Ed25519 => NewKey::Ed25519,
                };
                let key = kind.write(&domain, &selector, &file).map_err(|cause| match cause {
                    DkimKeyError::Domain(_) | DkimKeyError::Selector(_) => Failure::usage(cause),
                    _ => Failure::system(cause),
                })?;
                println!("{}", form.record(&key));
            }
            Action::Records { form } => {
                let configuration = Configuration::load(config)?;
                let dkim = configuration.dkim()?;
                if dkim.keys().is_empty() {
                    return Err(Failure::configuration(format!("{}: dkim.keys names no key", config.display())));
                }
                for key in dkim.keys() {
                    println!("{}", form.record(key));
                }
            }
        }
        Ok(())
    }
}

impl Form {
    fn record(&self, key: &DkimKey) -> String {
        if self.plain {
            format!("{}\n{}", key.record_name(), key.record())
        } else {
            format!("; {}\n{}", key.algorithm(), key.zone_line())
        }
    }
}
