//! The demo's recipient with an OpenPGP key, and their GnuPG: a home directory of the demo's own, never the user's.
//!
//! Without a GnuPG that works the key is a sample certificate whose secret nobody has: the mail can be looked at, not opened.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use sealpost_gateway::certificates::{self, Scope, Source};
use sealpost_gateway::keyring::Published;
use sealpost_vault::clock::Clock;

use super::samples::KEY_HOLDER;
use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::parts;

const SAMPLE: &[u8] = include_bytes!("../../templates/demo/emil.asc");
/// Making a key waits for random numbers on some machines.
const PATIENCE: Duration = Duration::from_secs(60);
/// Trusts what is in it: the organisation's certificate came from the demo itself.
const SETTINGS: &str = "trust-model always\n";

/// Somebody's GnuPG.
pub struct Gnupg {
    home: PathBuf,
}

/// Gives the gateway the recipient's certificate; the GnuPG that has its secret, where there is one.
pub async fn prepare(configuration: &Configuration, directory: &Path) -> Result<Option<Gnupg>, Failure> {
    let signer = configuration.keyring()?.published(Published::Mail)?;
    let home = directory.join("gnupg");
    parts::private_directory(&home)?;
    let gnupg = Gnupg { home };
    let own = gnupg.certificate(&signer).await;
    let store = parts::own_store(configuration).await?;
    let certificate = own.as_deref().unwrap_or(SAMPLE);
    certificates::import(&store, certificate, Source::Import, Scope::AllNamed, Clock::system().now())
        .await
        .map_err(Failure::data)?;
    if own.is_none() {
        gnupg.end().await;
    }
    Ok(own.is_some().then_some(gnupg))
}

impl Gnupg {
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The certificate of a key that it has or makes; `None` where GnuPG isn't there or doesn't work.
    async fn certificate(&self, signer: &str) -> Option<Vec<u8>> {
        std::fs::write(self.home.join("gpg.conf"), SETTINGS).ok()?;
        let (name, address) = KEY_HOLDER;
        let export = ["--export-options", "export-minimal", "--export", address];
        let there = self.run(&["--list-secret-keys", address], b"").await.is_some();
        if !there {
            let user_id = format!("{name} <{address}>");
            self.run(&["--passphrase", "", "--quick-gen-key", &user_id, "future-default", "default", "never"], b"")
                .await?;
        }
        self.run(&["--import"], signer.as_bytes()).await?;
        self.run(&export, b"").await.filter(|certificate| !certificate.is_empty())
    }

    /// What it says on standard output; `None` if it fails.
    async fn run(&self, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(&self.home)
            .args(["--batch", "--quiet", "--no-tty"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take()?;
        let done = tokio::time::timeout(PATIENCE, async {
            // Who doesn't read it says so by its exit code.
            let _ = stdin.write_all(input).await;
            drop(stdin);
            child.wait_with_output().await
        });
        done.await.ok()?.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    }

    /// Ends the agent, which GnuPG starts by itself and leaves running.
    pub async fn end(&self) {
        let mut command = Command::new("gpgconf");
        command.arg("--homedir").arg(&self.home).args(["--kill", "all"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let _ = tokio::time::timeout(PATIENCE, command.status()).await;
    }
}
