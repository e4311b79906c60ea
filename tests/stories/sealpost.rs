//! The product as an administrator runs it: the built executable, a configuration file, a state directory, a log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::http;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::postfix::{HOME, REPLY};
use crate::process::{Running, run};
use crate::scratch::Scratch;
use crate::smtp;

pub const EXECUTABLE: &str = env!("CARGO_BIN_EXE_sealpost");

/// Where letters and the queue are kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// Two SQLite files in the state directory.
    Embedded,
    /// PostgreSQL URLs, and the role in the portal's.
    Postgres { vault: String, gateway: String, portal: String, role: String },
    /// The portal's PostgreSQL URL and nothing else, as on a host with that door alone.
    PortalAlone { portal: String },
}

/// What a story chooses; the rest of the configuration is the same for all.
#[derive(Clone, Debug)]
pub struct Setup {
    pub smtp: u16,
    pub returns: u16,
    pub portal: u16,
    /// Next hop for the organisation's domain.
    pub inside: u16,
    /// Next hop for everybody else.
    pub outside: u16,
    pub store: Store,
    /// More lines of configuration, whole tables.
    pub more: String,
}

impl Setup {
    /// Free ports for our own doors, SQLite, and these next hops.
    pub fn between(inside: u16, outside: u16) -> Self {
        let (smtp, returns, portal) = (ports::free(), ports::free(), ports::free());
        Self { smtp, returns, portal, inside, outside, store: Store::Embedded, more: String::new() }
    }

    /// The configuration file's text, with state and keys below `directory`.
    fn toml(&self, directory: &Path) -> String {
        let Self { smtp, returns, portal, inside, outside, store, more } = self;
        let directory = directory.display();
        let store = match store {
            Store::Embedded => String::new(),
            Store::Postgres { vault, gateway, portal, role } => format!(
                "vault-url = \"{vault}\"\ngateway-url = \"{gateway}\"\nportal-url = \"{portal}\"\nportal-role = \"{role}\"\n"
            ),
            Store::PortalAlone { portal } => format!("portal-url = \"{portal}\"\n"),
        };
        format!(
            r##"
[organisation]
name = "Klinik am See"
telephone = "+49 30 5550100"
website = "https://klinik.example"
portal = "http://localhost:{portal}"
language = "en"

[store]
directory = "{directory}/state"
{store}
[keys]
directory = "{directory}/keys"

[smtp]
listen = "127.0.0.1:{smtp}"
returns-listen = "127.0.0.1:{returns}"
hostname = "sealpost.{HOME}"

[portal]
listen = "127.0.0.1:{portal}"

[inside]
domains = ["{HOME}"]
next-hop = "127.0.0.1:{inside}"

[outside]
next-hop = "127.0.0.1:{outside}"

[mail]
from = "letters@{HOME}"
reply-domain = "{REPLY}"
postmaster = "postmaster@{HOME}"

{more}"##
        )
    }
}

pub struct Sealpost {
    setup: Setup,
    directory: PathBuf,
    doors: Option<Running>,
}

impl Sealpost {
    /// Writes the configuration, makes keys, starts both doors, and waits until they are open.
    pub async fn start(scratch: &Scratch, setup: Setup) -> Self {
        let sealpost = Self::prepare(scratch, setup);
        sealpost.command(&["init"]);
        let mut sealpost = sealpost;
        sealpost.open().await;
        sealpost
    }

    /// Only the directory and the configuration.
    pub fn prepare(scratch: &Scratch, setup: Setup) -> Self {
        let directory = scratch.directory("sealpost");
        fs::write(directory.join("sealpost.toml"), setup.toml(&directory)).unwrap();
        Self { setup, directory, doors: None }
    }

    /// Runs `sealpost serve` and waits for the portal's readiness and the banners of both SMTP doors.
    pub async fn open(&mut self) {
        if let Err((status, log)) = self.try_open().await {
            panic!("sealpost serve ended before its doors were open ({status}):\n{log}");
        }
    }

    /// As [`Self::open`]; the exit status and the log if it ends instead.
    pub async fn try_open(&mut self) -> Result<(), (ExitStatus, String)> {
        assert!(self.doors.is_none(), "sealpost runs");
        let mut serve = self.executable();
        serve.arg("serve").env("SEALPOST_LOG", "debug,sqlx=info");
        let mut running = Running::start("sealpost", serve, &self.log_file());
        let Setup { smtp, returns, portal, .. } = self.setup;
        until("the doors of sealpost", PATIENCE, async || {
            if let Some(status) = running.ended() {
                return Some(Err((status, running.log())));
            }
            let ready = http::get(portal, "/ready").await?;
            if ready.status != 200 {
                return None;
            }
            smtp::Client::try_connect(smtp).await?;
            smtp::Client::try_connect(returns).await?;
            Some(Ok(()))
        })
        .await?;
        self.doors = Some(running);
        Ok(())
    }

    /// `kill -9` of the parent and both doors at once.
    pub fn kill(&mut self) {
        self.doors.take().expect("a running sealpost").kill();
    }

    /// A graceful stop.
    pub async fn stop(&mut self) -> ExitStatus {
        self.doors.take().expect("a running sealpost").terminate(Duration::from_secs(30)).await
    }

    /// What one of the other subcommands printed; panics if it failed.
    pub fn command(&self, arguments: &[&str]) -> String {
        let mut command = self.executable();
        command.args(arguments);
        run(command)
    }

    /// Exit code and standard error of a subcommand that is to fail.
    pub fn failing(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.executable();
        let output = command.args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?} was to fail");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn executable(&self) -> Command {
        let mut command = Command::new(EXECUTABLE);
        command.arg("--config").arg(self.directory.join("sealpost.toml")).current_dir(&self.directory);
        command
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Everything that all runs so far wrote to standard output and error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("sealpost.log")
    }
}
