//! The product as an administrator runs it: the built executable, a configuration file, a state directory, a log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::certificates::{Certificate, Speech};
use crate::http;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::postfix::{HOME, REPLY};
use crate::process::{Running, run, signal};
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
    /// Those that stand in for it.
    pub others: Vec<u16>,
    pub store: Store,
    /// More lines for tables that are there, by their names.
    pub lines: Vec<(&'static str, String)>,
    /// The certificate that the portal shows, if it has one.
    pub shown: Option<Certificate>,
    /// More lines of configuration, whole tables.
    pub more: String,
}

impl Setup {
    /// Free ports for our own doors, SQLite, and these next hops.
    pub fn between(inside: u16, outside: u16) -> Self {
        let (smtp, returns, portal) = (ports::free(), ports::free(), ports::free());
        Self {
            smtp,
            returns,
            portal,
            inside,
            outside,
            others: Vec::new(),
            store: Store::Embedded,
            lines: Vec::new(),
            shown: None,
            more: String::new(),
        }
    }

    /// Several next hops outside, in their order.
    pub fn several(&mut self, hops: &[u16]) {
        let (first, others) = hops.split_first().unwrap();
        (self.outside, self.others) = (*first, others.to_vec());
    }

    /// One more line in a table that is there.
    pub fn set(&mut self, table: &'static str, line: impl Into<String>) {
        self.lines.push((table, line.into()));
    }

    /// The configuration file's text, with state and keys below `directory`.
    fn toml(&self, directory: &Path) -> String {
        let Self { smtp, returns, portal, inside, outside, others, store, lines, shown: _, more } = self;
        let directory = directory.display();
        let outside: Vec<String> =
            std::iter::once(outside).chain(others).map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let outside = outside.join(", ");
        let store = match store {
            Store::Embedded => String::new(),
            Store::Postgres { vault, gateway, portal, role } => format!(
                "vault-url = \"{vault}\"\ngateway-url = \"{gateway}\"\nportal-url = \"{portal}\"\nportal-role = \"{role}\"\n"
            ),
            Store::PortalAlone { portal } => format!("portal-url = \"{portal}\"\n"),
        };
        let text = format!(
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
next-hop = [{outside}]

[mail]
from = "letters@{HOME}"
reply-domain = "{REPLY}"
postmaster = "postmaster@{HOME}"

{more}"##
        );
        lines.iter().fold(text, |text, (table, line)| {
            let heading = format!("[{table}]\n");
            assert!(text.contains(&heading), "no table {table}");
            text.replacen(&heading, &format!("{heading}{line}\n"), 1)
        })
    }
}

pub struct Sealpost {
    setup: Setup,
    directory: PathBuf,
    /// Of configuration and log.
    name: &'static str,
    environment: Vec<(String, String)>,
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
        Self { setup, directory, name: "sealpost", environment: Vec::new(), doors: None }
    }

    /// Another one with these doors, on the same keys and stores. One is enough.
    pub fn beside(&self, setup: Setup) -> Self {
        let (directory, name) = (self.directory.clone(), "beside");
        fs::write(directory.join("beside.toml"), setup.toml(&directory)).unwrap();
        Self { setup, directory, name, environment: self.environment.clone(), doors: None }
    }

    /// A variable in the environment of everything that runs from now on.
    pub fn give(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs `sealpost serve` and waits for the portal's readiness and the banners of both SMTP doors.
    pub async fn open(&mut self) {
        if let Err((status, log)) = self.try_open().await {
            panic!("sealpost serve ended before its doors were open ({status}):\n{log}");
        }
    }

    /// Runs the gateway alone, and waits for its SMTP door.
    pub async fn open_gateway(&mut self) {
        assert!(self.doors.is_none(), "sealpost runs");
        let mut serve = self.executable();
        serve.args(["serve", "gateway"]).env("SEALPOST_LOG", "debug,sqlx=info");
        let mut running = Running::start(self.name, serve, &self.log_file());
        until("the gateway's door", PATIENCE, async || {
            assert!(running.ended().is_none(), "it ended before its door was open:\n{}", running.log());
            smtp::Client::try_connect(self.setup.smtp).await
        })
        .await;
        self.doors = Some(running);
    }

    /// Runs the gateway alone below strace, which writes these calls to `trace`, and waits for its SMTP door.
    pub async fn open_traced(&mut self, trace: &Path, calls: &str) {
        assert!(self.doors.is_none(), "sealpost runs");
        let sealpost = self.executable();
        let mut strace = Command::new("strace");
        // What is written whole, and the names of files beside their numbers.
        strace.args(["-f", "-y", "-s", "300000", "-e", &format!("trace={calls}"), "-o"]).arg(trace);
        strace.arg(sealpost.get_program()).args(sealpost.get_args()).args(["serve", "gateway"]);
        let mut running = Running::start("strace", strace, &self.log_file());
        until("the gateway below strace", PATIENCE, async || {
            assert!(running.ended().is_none(), "it ended before its door was open:\n{}", running.log());
            smtp::Client::try_connect(self.setup.smtp).await
        })
        .await;
        self.doors = Some(running);
    }

    /// A graceful stop of what [`Self::open_traced`] started; the trace is whole then.
    pub async fn stop_traced(&mut self) {
        let mut strace = self.doors.take().expect("a running strace");
        for traced in children_of(strace.pid()) {
            signal("TERM", traced);
        }
        until("the end of strace", PATIENCE, async || strace.ended()).await;
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
            let ready = match &self.setup.shown {
                Some(certificate) => certificate.is_shown(portal, Speech::Https),
                None => http::get(portal, "/ready").await?.status == 200,
            };
            if !ready {
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
    pub async fn kill(&mut self) {
        // The doors lead process groups of their own. A stopped parent starts none again.
        signal("STOP", self.supervisor());
        let doors = children_of(self.supervisor());
        for door in &doors {
            signal("KILL", *door);
        }
        self.doors.take().expect("a running sealpost").kill();
        until("the end of both doors", PATIENCE, async || doors.iter().all(|door| !is_alive(*door)).then_some(()))
            .await;
    }

    /// A graceful stop.
    pub async fn stop(&mut self) -> ExitStatus {
        self.doors.take().expect("a running sealpost").terminate(Duration::from_secs(30)).await
    }

    /// The process that looks after the doors.
    pub fn supervisor(&self) -> u32 {
        self.doors.as_ref().expect("a running sealpost").pid()
    }

    /// The living process of a door, `gateway` or `portal`, below the supervisor.
    pub fn door(&self, name: &str) -> Option<u32> {
        children_of(self.supervisor()).into_iter().find(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == name.as_bytes())
        })
    }

    /// Asks the supervisor alone to end, without waiting for it.
    pub fn ask_to_stop(&self) {
        signal("TERM", self.supervisor());
    }

    /// After `serve` has ended by itself: it can be opened again.
    pub fn forget(&mut self) {
        assert!(self.ended().is_some(), "sealpost runs");
        self.doors = None;
    }

    /// Whether `serve` has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.doors.as_mut().expect("a running sealpost").ended()
    }

    /// What one of the other subcommands printed; panics if it failed.
    pub fn command(&self, arguments: &[&str]) -> String {
        let mut command = self.executable();
        command.args(arguments);
        run(command)
    }

    /// Standard output of a subcommand that reads this file as its standard input.
    pub fn command_reading(&self, input: &Path, arguments: &[&str]) -> String {
        let output = self.executable().args(arguments).stdin(fs::File::open(input).unwrap()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
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
        command.arg("--config").arg(self.directory.join(format!("{}.toml", self.name))).current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
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
        self.directory.join(format!("{}.log", self.name))
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string()))
    })
    .collect()
}

/// Whether a process runs: one that ended and isn't waited for yet doesn't.
pub fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("State:").is_some_and(|state| !state.trim().starts_with(['Z', 'X'])))
}
