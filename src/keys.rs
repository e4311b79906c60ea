//! `sealpost keys`: the organisation's own keys, and the certificates of those that we write to.

mod backup;
mod certificates;
mod passphrase;
mod rotation;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use sealpost_gateway::keyring::{MasterKey, Published, Rotating, Upgraded};

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::init;

const ROTATE: &str = "Change keys: new ones come beside the old ones, which go on opening and verifying what is older.\n\n\
    Without an argument all of them:\n\
    organisation  new subkeys that sign letters and open replies; the fingerprint that readers know stays\n\
    mail          new subkeys that sign mail to people with OpenPGP keys\n\
    root          secrets that the gateway keeps are encrypted under a new key from now on\n\
    spool         so is mail that waits\n\
    audit         the audit's chain is signed with a new key; the old secret is destroyed, its public half is kept\n\n\
    The OPAQUE key is never changed: every passphrase hangs on it. A rotation is no remedy for stolen keys, because the old \
    ones go on being believed.\n\n\
    A running gateway starts anew with the new keys within seconds. Back the keys up again: a store that was used with new keys refuses older ones.";

#[derive(Args)]
pub struct KeysCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    #[command(flatten)]
    Certificates(certificates::Action),
    /// Change keys; what old ones sealed or signed stays good
    #[command(long_about = ROTATE)]
    Rotate {
        /// Which; without any, all
        #[arg(value_enum, value_name = "KEY")]
        keys: Vec<Which>,
        /// The organisation's primary key, if it was taken out with `detach-primary`
        #[arg(long, value_name = "FILE")]
        primary: Option<PathBuf>,
        #[command(flatten)]
        passphrase: passphrase::Source,
    },
    /// Write all keys into one file that opens with a passphrase
    #[command(long_about = "Write all keys into one file that opens with a passphrase.\n\n\
        The passphrase is asked for twice, or read from a file. It can't be recovered: write it down and keep it apart from \
        the file. The master key isn't in the backup and isn't needed to restore it. An existing file is never overwritten. \
        Make a backup after `init` and after each `rotate`.")]
    Backup {
        /// The file to write
        file: PathBuf,
        #[command(flatten)]
        passphrase: passphrase::Source,
    },
    /// Put the keys of a backup into an empty key directory
    #[command(long_about = "Put the keys of a backup into an empty key directory.\n\n\
        They are encrypted under the master key that [keys] of the configuration names; where that is a file that isn't there, \
        a new one is made. Keys that are there are never overwritten. A backup that is older than the store is refused: what \
        was sealed since it was made would not open.")]
    Restore {
        /// What `keys backup` wrote
        file: PathBuf,
        /// Restore it although the store was used with newer keys: when there is no newer backup. What was sealed under the
        /// newer keys is lost
        #[arg(long)]
        accept_older: bool,
        #[command(flatten)]
        passphrase: passphrase::Source,
    },
    /// Take the organisation's primary key out into a file, to be kept off this machine
    #[command(long_about = "Take the organisation's primary key out into a file, to be kept off this machine.\n\n\
        Nothing of the daily work needs it. Who steals the other keys then can't make new ones in the organisation's name. \
        `sealpost keys rotate organisation` asks for it, with --primary FILE. It isn't in later backups: keep two copies of the \
        file, with its passphrase apart. Backups from before still have it.")]
    DetachPrimary {
        /// The file to write
        file: PathBuf,
        #[command(flatten)]
        passphrase: passphrase::Source,
    },
    /// Print a certificate of the organisation's, without secrets
    #[command(long_about = "Print a certificate of the organisation's, without secrets, as text.\n\n\
        mail: for people with OpenPGP programs, who check signatures on our mail with it. organisation: what readers' browsers \
        hold letters against; its fingerprint is the one that can be published.")]
    Export {
        #[arg(value_enum, value_name = "CERTIFICATE")]
        certificate: Certificate,
    },
    /// Put keys that an earlier version left unencrypted under a master key
    #[command(long_about = "Put keys that an earlier version left unencrypted under a master key.\n\n\
        The keys stay the same, and get those beside them that the earlier version didn't have. Make a copy of the key directory \
        before, and stop Sealpost. If it is interrupted, run it again.")]
    Upgrade,
    /// Print a new master key, for a systemd credential or the environment
    #[command(long_about = "Print a new master key, for a systemd credential or the environment.\n\n\
        For keys that are made or restored afterwards; keys that are there stay under their own. For example:\n\
        sealpost keys new-master | systemd-creds encrypt --name=sealpost-master - /etc/sealpost/master.cred")]
    NewMaster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Organisation,
    Mail,
    Root,
    Spool,
    Audit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Certificate {
    Mail,
    Organisation,
}

impl From<Certificate> for Published {
    fn from(certificate: Certificate) -> Self {
        match certificate {
            Certificate::Mail => Self::Mail,
            Certificate::Organisation => Self::Organisation,
        }
    }
}

impl From<Which> for Rotating {
    fn from(which: Which) -> Self {
        match which {
            Which::Organisation => Self::Organisation,
            Which::Mail => Self::Mail,
            Which::Root => Self::Root,
            Which::Spool => Self::Spool,
            Which::Audit => Self::Audit,
        }
    }
}

impl KeysCommand {
    pub async fn run(self, config: &Path) -> Result<(), Failure> {
        if matches!(self.action, Action::NewMaster) {
            println!("{}", MasterKey::random().and_then(|key| key.written()).map_err(Failure::system)?.as_str());
            return Ok(());
        }
        if let Action::Certificates(action) = &self.action {
            return action.run(config).await;
        }
        let configuration = Configuration::load(config)?;
        match self.action {
            Action::Rotate { keys, primary, passphrase } => {
                let keys: Vec<Rotating> = if keys.is_empty() {
                    Rotating::ALL.to_vec()
                } else {
                    keys.into_iter().map(Rotating::from).collect()
                };
                rotation::rotate(&configuration, &keys, primary.as_deref(), &passphrase).await
            }
            Action::Backup { file, passphrase } => backup::write(&configuration, &file, &passphrase).await,
            Action::Restore { file, accept_older, passphrase } => {
                let older = if accept_older { backup::Older::Accepted } else { backup::Older::Refused };
                backup::restore(&configuration, &file, older, &passphrase).await
            }
            Action::DetachPrimary { file, passphrase } => {
                rotation::detach_primary(&configuration, &file, &passphrase).await
            }
            Action::Export { certificate } => {
                print!("{}", configuration.keyring()?.published(certificate.into())?);
                Ok(())
            }
            Action::Upgrade => upgrade(&configuration),
            Action::NewMaster | Action::Certificates(_) => Ok(()),
        }
    }
}

fn upgrade(configuration: &Configuration) -> Result<(), Failure> {
    let master = configuration.master()?;
    match init::upgrade_keys(configuration)? {
        Upgraded::Sealed(made) => {
            println!("The keys in {} are encrypted now.", configuration.keys.directory.display());
            init::say_master(&master, made);
            println!(
                "The unencrypted files were overwritten and deleted. Disks and backups may still have copies: destroy those \
                 that you can reach.\nBack the keys up now: sealpost keys backup FILE"
            );
        }
        Upgraded::Finished => println!("An upgrade that was interrupted is finished: no unencrypted key is left."),
        Upgraded::AlreadySealed => println!("Nothing to do: the keys are encrypted already."),
    }
    Ok(())
}
