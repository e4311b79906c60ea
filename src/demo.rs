//! `sealpost demo`: shows the main job on one machine to somebody who has never seen it.
//!
//! Makes keys and a configuration in a local directory, starts both doors exactly as `serve` does, plus a mail catcher that
//! stands for everybody's mailbox, sends sample mails through the real SMTP port, prints what to click next, and stays.
//! The catcher's page has another loopback name than the portal, because cookies don't tell ports apart.

mod catcher;
mod key_holder;
mod samples;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::configuration::Configuration;
use crate::doors::{self, Keeper};
use crate::exit::Failure;
use crate::{init, serve};
use key_holder::Gnupg;

#[derive(Args)]
pub struct Demo {
    #[command(subcommand)]
    action: Option<Action>,
    /// Where the demo keeps everything; made if it isn't there
    #[arg(long, default_value = "sealpost-demo", value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Port on which Sealpost takes mail
    #[arg(long, default_value_t = 2525, value_name = "PORT")]
    smtp_port: u16,
    /// Port of the portal
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    portal_port: u16,
    /// Port of the mail server that catches what Sealpost sends
    #[arg(long, default_value_t = 2526, value_name = "PORT")]
    catcher_port: u16,
    /// Port of the mailbox's page
    #[arg(long, default_value_t = 8025, value_name = "PORT")]
    mailbox_port: u16,
}

#[derive(Subcommand)]
enum Action {
    /// Send the sample mails again, to a demo that runs (with the same ports)
    Send,
}

/// How long the doors may take to open.
const PATIENCE: Duration = Duration::from_secs(30);

impl Demo {
    pub async fn run(self) -> Result<(), Failure> {
        let smtp = SocketAddr::from((Ipv4Addr::LOCALHOST, self.smtp_port));
        if let Some(Action::Send) = self.action {
            return self.send(smtp).await;
        }
        let (configuration, directory) = self.prepare()?;
        let stop = doors::stop_signal(Keeper::Nobody)?;
        let gnupg = key_holder::prepare(&configuration, &directory).await?;
        let ended = self.run_doors(&configuration, &directory, gnupg.as_ref().map(Gnupg::home), smtp, stop).await;
        if let Some(gnupg) = gnupg {
            gnupg.end().await;
        }
        ended
    }

    async fn run_doors(
        &self,
        configuration: &Configuration,
        directory: &Path,
        gnupg: Option<&Path>,
        smtp: SocketAddr,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let mailbox = format!("http://127.0.0.1:{}", self.mailbox_port);
        let settings = catcher::Settings {
            catcher: SocketAddr::from((Ipv4Addr::LOCALHOST, self.catcher_port)),
            page: SocketAddr::from((Ipv4Addr::LOCALHOST, self.mailbox_port)),
            gateway: smtp,
            encrypted: directory.join("encrypted"),
            gnupg: gnupg.map(Path::to_owned),
        };
        let caught = catcher::start(settings, stop.clone()).await?;
        let (opened, open) = tokio::sync::oneshot::channel::<()>();
        let doors = serve::both(configuration, stop.clone(), serve::Logs::Quiet, move || {
            let _ = opened.send(());
        });
        let next_steps = self.next_steps(&mailbox, gnupg);
        let show = self.show(open, smtp, &next_steps, &stop);
        let (doors, shown) = tokio::join!(doors, show);
        caught.await;
        doors.and(shown)
    }

    async fn show(
        &self,
        open: tokio::sync::oneshot::Receiver<()>,
        smtp: SocketAddr,
        next_steps: &str,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let opened = tokio::select! {
            opened = tokio::time::timeout(PATIENCE, open) => opened,
            () = stop.cancelled() => return Ok(()),
        };
        let failure = match opened {
            Ok(Ok(())) => samples::send(smtp).await.err(),
            Ok(Err(_)) => None,
            Err(_) => Some(Failure::unavailable("the doors did not open; is another program on one of the ports?")),
        };
        if let Some(failure) = failure {
            stop.cancel();
            return Err(failure);
        }
        say(next_steps);
        Ok(())
    }

    fn next_steps(&self, mailbox: &str, gnupg: Option<&Path>) -> String {
        let program = std::env::args_os().next().unwrap_or_else(|| "sealpost".into());
        let program = quoted(Path::new(&program));
        let ports = if (self.smtp_port, self.mailbox_port) == (2525, 8025) {
            String::new()
        } else {
            format!(" --smtp-port {} --mailbox-port {}", self.smtp_port, self.mailbox_port)
        };
        let opens = match gnupg {
            Some(_) => "its page shows the command line with which his\n    GnuPG opens it",
            None => "GnuPG isn't there to open it; install it (Debian: gnupg) and\n    start the demo again",
        };
        format!(
            "\nSealpost is running. Three mails went in over SMTP: a lab result for Paula, a patient without a key, which was sealed;\n\
             a referral for Emil, who has an OpenPGP key, which was encrypted to it; and a lunch note, which passed.\n\n\
             A letter\n\
             \x20 1. Open the mailbox of everybody in this demo:   {mailbox}\n\
             \x20 2. Read the notification that Paula got and follow its link.\n\
             \x20 3. Ask for a code; it arrives in the same mailbox. Type it, read the letter, save the PDF.\n\
             \x20 4. Answer it. The answer arrives in the mailbox of Dr. Weber.\n\n\
             An account\n\
             \x20 5. Below the letter, make an account: choose a passphrase, keep the recovery code.\n\
             \x20 6. In the mailbox, let Dr. Weber write to Paula again. Follow this link: no code, the passphrase at most.\n\
             \x20 7. With another browser, sign in as {patient}:   http://localhost:{portal}/sign-in\n\n\
             An OpenPGP key\n\
             \x20 8. Look at the mail that Emil got; {opens}.\n\n\
             For the administrator\n\
             \x20   {program} -c {config} keys explain {key_holder}\n\
             \x20   {program} -c {config} accounts list\n\
             \x20   {program} -c {config} letters list\n\
             \x20   {program} -c {config} audit verify\n\n\
             Send the samples again:    {program} demo{ports} send\n\
             Send a mail of your own:   swaks --server 127.0.0.1:{smtp} --from anna.weber@klinik.example \\\n\
             {pad}--to you@example.net --header 'Subject: [secure] hello'\n\
             Stop with Ctrl-C. Everything lies in {directory}.\n",
            portal = self.portal_port,
            patient = samples::PATIENT.1,
            key_holder = samples::KEY_HOLDER.1,
            config = quoted(&self.directory.join("sealpost.toml")),
            smtp = self.smtp_port,
            pad = "                           ",
            directory = self.directory.display(),
        )
    }

    async fn send(&self, smtp: SocketAddr) -> Result<(), Failure> {
        samples::send(smtp).await?;
        println!("Sent. Look at http://127.0.0.1:{}", self.mailbox_port);
        Ok(())
    }

    /// Configuration and keys: made where they are missing, kept where they are there.
    fn prepare(&self) -> Result<(Configuration, PathBuf), Failure> {
        let said = |path: &Path| {
            let path = path.display().to_string();
            move |cause: std::io::Error| Failure::system(format!("{path}: {cause}"))
        };
        std::fs::create_dir_all(&self.directory).map_err(said(&self.directory))?;
        let directory = self.directory.canonicalize().map_err(said(&self.directory))?;
        let path = directory.join("sealpost.toml");
        // The ports may have changed since the last time.
        std::fs::write(&path, self.configuration()).map_err(said(&path))?;
        let logo = directory.join("logo.svg");
        std::fs::write(&logo, samples::LOGO).map_err(said(&logo))?;
        let configuration = Configuration::load(&path)?;
        if configuration.keys.directory.exists() {
            // Those of an earlier demo, perhaps.
            init::upgrade_keys(&configuration)?;
        } else {
            init::make_keys(&configuration)?;
        }
        Ok((configuration, directory))
    }

    fn configuration(&self) -> String {
        format!(
            "# Written by `sealpost demo` at each start.\n\
             [organisation]\n\
             name = \"Klinikum Musterstadt\"\n\
             telephone = \"+49 30 5550 100\"\n\
             website = \"https://klinik.example\"\n\
             portal = \"http://localhost:{portal}\"\n\
             colour = \"#0f6b6b\"\n\
             logo = \"logo.svg\"\n\
             language = \"en\"\n\n\
             [store]\ndirectory = \"state\"\n\n\
             [keys]\ndirectory = \"keys\"\n\n\
             [smtp]\nlisten = \"127.0.0.1:{smtp}\"\nhostname = \"sealpost.klinik.example\"\n\n\
             [portal]\nlisten = \"127.0.0.1:{portal}\"\n\n\
             [inside]\ndomains = [\"klinik.example\"]\nnext-hop = \"127.0.0.1:{catcher}\"\n\n\
             [outside]\nnext-hop = \"127.0.0.1:{catcher}\"\n\n\
             [mail]\nfrom = \"letters@reply.klinik.example\"\nreply-domain = \"reply.klinik.example\"\n\
             postmaster = \"postmaster@klinik.example\"\n",
            portal = self.portal_port,
            smtp = self.smtp_port,
            catcher = self.catcher_port,
        )
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Who closed our output doesn't want to read it.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c)) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
