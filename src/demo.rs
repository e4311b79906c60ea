//! `sealpost demo`: shows the main job on one machine to somebody who has never seen it.
//!
//! Makes keys and a configuration in a local directory, starts both doors exactly as `serve` does, plus a mail catcher that
//! stands for everybody's mailbox, sends sample mails through the real SMTP port, prints what to click next, and stays.
//! The catcher's page has another loopback name than the portal, because cookies don't tell ports apart.

mod catcher;
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
        let configuration = self.prepare()?;
        let stop = doors::stop_signal(Keeper::Nobody)?;
        let mailbox = format!("http://127.0.0.1:{}", self.mailbox_port);
        let caught = catcher::start(
            SocketAddr::from((Ipv4Addr::LOCALHOST, self.catcher_port)),
            SocketAddr::from((Ipv4Addr::LOCALHOST, self.mailbox_port)),
            stop.clone(),
        )
        .await?;
        let (opened, open) = tokio::sync::oneshot::channel::<()>();
        let doors = serve::both(&configuration, stop.clone(), serve::Logs::Quiet, move || {
            let _ = opened.send(());
        });
        let show = self.show(open, smtp, &mailbox, &stop);
        let (doors, shown) = tokio::join!(doors, show);
        caught.await;
        doors.and(shown)
    }

    async fn show(
        &self,
        open: tokio::sync::oneshot::Receiver<()>,
        smtp: SocketAddr,
        mailbox: &str,
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
        say(&self.next_steps(mailbox));
        Ok(())
    }

    fn next_steps(&self, mailbox: &str) -> String {
        let program = std::env::args_os().next().unwrap_or_else(|| "sealpost".into());
        let ports = if (self.smtp_port, self.mailbox_port) == (2525, 8025) {
            String::new()
        } else {
            format!(" --smtp-port {} --mailbox-port {}", self.smtp_port, self.mailbox_port)
        };
        format!(
            "\nSealpost is running. Two mails went in over SMTP: a lab result for a patient without a key, which was sealed,\n\
             and a lunch note, which passed.\n\n\
             1. Open the mailbox of everybody in this demo:   {mailbox}\n\
             2. Read the notification that the patient got and follow its link.\n\
             3. Ask for a code; it arrives in the same mailbox. Type it, read the letter, save the PDF.\n\
             4. Answer it. The answer arrives in the mailbox of Dr. Weber.\n\n\
             Send the samples again:    {program} demo{ports} send\n\
             Send a mail of your own:   swaks --server 127.0.0.1:{smtp} --from anna.weber@klinik.example \\\n\
             {pad}--to you@example.net --header 'Subject: [secure] hello'\n\
             Stop with Ctrl-C. Everything lies in {directory}.\n",
            program = program.to_string_lossy(),
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
    fn prepare(&self) -> Result<Configuration, Failure> {
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
        Ok(configuration)
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
