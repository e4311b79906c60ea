//! `sealpost audit`: verify that what was recorded is all there and unchanged, and export it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use sealpost_gateway::audit::{self, Fault, Findings, Head, Start, Trusted};
use sealpost_vault::Time;
use sealpost_vault::clock::Clock;

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::logging::time as moment;
use crate::parts;

const VERIFY: &str = "Verify that the audit is whole: nothing cut off, taken out, edited, put in or reordered.\n\n\
    Walks along all records, checks each one's hash, the signed heads, and the head that the gateway keeps in a file outside \
    the database. Says on standard error which record is wrong and how, \
    and ends with code 65 if one is; the gateway can run meanwhile.\n\n\
    Whoever can change the database and that file can still cut off the end. Export the audit now and then to where nobody \
    here can change it, and give it with --head: what it holds must still be there.";

#[derive(Args)]
pub struct AuditCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Verify that the audit is whole: nothing cut off, taken out, edited, put in or reordered
    #[command(long_about = VERIFY)]
    Verify(Verify),
    /// Write the audit's records and signed heads as JSON lines
    #[command(long_about = "Write the audit's records and signed heads as JSON lines.\n\n\
        Each line has a record as it was chained, or a signed head. Keep the lines as they are: `audit verify --file` \
        checks their very bytes. What was recorded in the last second or so may not be chained yet, and is left out.")]
    Export(Export),
    /// Show the public keys that sign the audit, oldest first: for `verify --file` on a machine without the keys
    Keys,
}

#[derive(Args)]
struct Verify {
    /// A head that was kept elsewhere: an export, or a copy of the head file. Its last head must be in the audit
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    /// Verify this export instead of the database
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// With --file: a public key that may sign, as `audit keys` shows it; no configuration is read then
    #[arg(long, value_name = "KEY", requires = "file", value_parser = key)]
    key: Vec<Key>,
}

#[derive(Args)]
struct Export {
    /// Begin with this record
    #[arg(long, value_name = "NUMBER", conflicts_with = "since", value_parser = clap::value_parser!(i64).range(1..))]
    from: Option<i64>,
    /// Begin with the first record of this moment or later, such as 2026-11-25 or 2026-11-25T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Time>,
    /// A new file, or - for standard output
    file: PathBuf,
}

#[derive(Clone, Copy)]
struct Key([u8; 32]);

fn key(text: &str) -> Result<Key, &'static str> {
    audit::unhex(text).map(Key).ok_or("not a key: 64 hexadecimal digits, as `audit keys` shows them")
}

fn since(text: &str) -> Result<Time, &'static str> {
    let day = || Date::parse(text, format_description!("[year]-[month]-[day]")).map(|day| day.midnight().assume_utc());
    OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| day())
        .map(OffsetDateTime::unix_timestamp)
        .map_err(|_| "not a moment: 2026-11-25 or 2026-11-25T08:00:00Z")
}

impl AuditCommand {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        match &self.action {
            Action::Verify(verify) => verify.run(config).await,
            Action::Export(export) => export.run(config).await,
            Action::Keys => {
                for key in Configuration::load(config)?.keyring()?.audit_publics() {
                    println!("{}", audit::hex(&key));
                }
                Ok(())
            }
        }
    }
}

impl Verify {
    async fn run(&self, config: &Path) -> Result<(), Failure> {
        let given = self.head.iter().map(|file| last_head(file)).collect::<Result<Vec<Head>, Failure>>()?;
        let findings = match &self.file {
            Some(file) => {
                let trusted = if self.key.is_empty() {
                    trusted(&Configuration::load(config)?)?
                } else {
                    Trusted { keys: self.key.iter().map(|key| key.0).collect(), organisation: None }
                };
                audit::verify_export(open(file)?, &trusted, given).map_err(|cause| unreadable(file, &cause))?
            }
            None => {
                let configuration = Configuration::load(config)?;
                let trusted = trusted(&configuration)?;
                let store = parts::stores(&configuration).await?.own;
                audit::verify(&store, &trusted, &configuration.audit_head(), given, Clock::system().now()).await?
            }
        };
        report(&findings)
    }
}

fn trusted(configuration: &Configuration) -> Result<Trusted, Failure> {
    let keyring = configuration.keyring()?;
    Ok(Trusted { keys: keyring.audit_publics(), organisation: Some(*keyring.fingerprint()) })
}

fn report(findings: &Findings) -> Result<(), Failure> {
    match (findings.last, &findings.head) {
        (0, _) => println!("no records"),
        (last, Some(head)) => println!(
            "records {} to {last}; the last signed head that fits is of record {}, {}",
            findings.first,
            head.n,
            moment(head.at)
        ),
        (last, None) => println!("records {} to {last}; no signed head fits", findings.first),
    }
    if let Some((count, since)) = findings.waiting {
        println!(
            "{count} not chained yet, the oldest since {}; a running gateway does it within seconds",
            moment(since)
        );
    }
    if findings.is_good() {
        println!("nothing is missing or changed");
        return Ok(());
    }
    for fault in &findings.faults {
        match fault {
            Fault::HeadFile { there: false } => {
                eprintln!(
                    "{fault}; a gateway that runs writes it anew, so it was taken away, or the database was moved here"
                )
            }
            _ => eprintln!("{fault}"),
        }
    }
    if findings.further > 0 {
        eprintln!("and {} more records that don't fit", findings.further);
    }
    Err(Failure::data("the audit is not as it was written"))
}

/// The last head in a file: an export, or a head file.
fn last_head(file: &Path) -> Result<Head, Failure> {
    let mut last = None;
    for line in open(file)?.lines() {
        last = Head::from_line(&line.map_err(|cause| unreadable(file, &cause))?).or(last);
    }
    last.ok_or_else(|| Failure::data(format!("{}: there is no signed head in it", file.display())))
}

fn open(file: &Path) -> Result<BufReader<File>, Failure> {
    File::open(file).map(BufReader::new).map_err(|cause| unreadable(file, &cause))
}

fn unreadable(file: &Path, cause: &std::io::Error) -> Failure {
    Failure::data(format!("{}: {cause}", file.display()))
}

impl Export {
    async fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        let organisation = *configuration.keyring()?.fingerprint();
        let store = parts::stores(&configuration).await?.own;
        let start = match (self.from, self.since) {
            (Some(n), _) => Start::From(n),
            (None, Some(time)) => Start::Since(time),
            (None, None) => Start::Beginning,
        };
        if self.file.as_os_str() == "-" {
            audit::export(&store, organisation, start, &mut BufWriter::new(std::io::stdout())).await?;
            return Ok(());
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .map_err(|cause| Failure::usage(format!("{}: {cause}", self.file.display())))?;
        let mut out = BufWriter::new(file);
        let count = audit::export(&store, organisation, start, &mut out).await?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(Failure::system)?;
        println!("{count} records");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(since("2026-11-25"), Ok(1_795_564_800));
        assert_eq!(since("2026-11-25T01:00:00+01:00"), Ok(1_795_564_800));
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-25T08:00:00"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
