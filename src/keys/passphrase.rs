//! Passphrases: typed without echo, twice where a file is written, or read from a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use sealpost_gateway::keyring::Passphrase;

use crate::exit::Failure;

/// Nobody types more.
const LONGEST: u64 = 4096;

#[derive(Args)]
pub struct Source {
    /// Read the passphrase from the first line of a file instead of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Source {
    /// For a file that is there: once.
    pub fn known(&self, of: &str) -> Result<Passphrase, Failure> {
        match &self.passphrase_file {
            Some(path) => from_file(path),
            None => checked(typed(&format!("Passphrase of {of}: "))?),
        }
    }

    /// For a new file: twice.
    pub fn chosen(&self, of: &str) -> Result<Passphrase, Failure> {
        let Some(path) = &self.passphrase_file else {
            let first = typed(&format!("New passphrase for {of}, at least 12 characters: "))?;
            let again = typed("Again: ")?;
            if first != again {
                return Err(Failure::usage("the two passphrases differ; nothing was written"));
            }
            return checked(first);
        };
        from_file(path)
    }
}

fn typed(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|cause| {
        Failure::usage(format!("no passphrase can be asked for here ({cause}); use --passphrase-file"))
    })
}

fn from_file(path: &Path) -> Result<Passphrase, Failure> {
    let failed = |cause| Failure::usage(format!("{}: {cause}", path.display()));
    let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize));
    File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)).map_err(failed)?;
    checked(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn checked(text: Zeroizing<String>) -> Result<Passphrase, Failure> {
    Passphrase::new(text).map_err(Failure::usage)
}
