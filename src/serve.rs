//! `sealpost serve`: both doors as child processes that are looked after, or one door in this process.
//!
//! The supervisor migrates the stores first, starts each door with the same executable, starts a door again that ended
//! (later and later), tells systemd when both are open, and ends both when it ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use sealpost_gateway::keyring::MasterSource;
use sealpost_vault::clock::Clock;

use crate::alone::Alone;
use crate::configuration::Configuration;
use crate::doors::{self, Keeper};
use crate::exit::Failure;
use crate::parts;
use crate::sandbox::{self, Confined};

#[derive(Args)]
pub struct Serve {
    /// Run only this one, in this process
    #[arg(value_enum, value_name = "PART")]
    door: Option<Door>,
    /// End when standard input ends (set by the supervisor)
    #[arg(long, hide = true)]
    supervised: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Door {
    /// Takes mail in, seals, delivers; needs the keys
    Gateway,
    /// Serves readers' browsers; has no keys
    Portal,
}

impl Door {
    fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Portal => "portal",
        }
    }
}

/// Waits before a door is started again, doubled up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A door that was open this long starts with the first wait again.
const STEADY: Duration = Duration::from_secs(60);

/// A process that is fit for what it is to run.
pub struct Fit {
    configuration: Configuration,
    keeper: Keeper,
    role: Role,
}

enum Role {
    Both,
    Gateway,
    Portal(Confined),
}

impl Serve {
    /// Reads the configuration, and gives up what this process must not have. Called before there is a second thread.
    pub fn fit(&self, config: &Path) -> Result<Fit, Failure> {
        let configuration = Configuration::load(config)?;
        let role = match self.door {
            None => Role::Both,
            Some(Door::Gateway) => Role::Gateway,
            Some(Door::Portal) => {
                if configuration.is_portals_alone() {
                    // Nobody else makes it on this host.
                    parts::private_directory(&configuration.vault_directory())?;
                }
                Role::Portal(sandbox::confine_portal(&configuration)?)
            }
        };
        let keeper = if self.supervised { Keeper::Supervisor } else { Keeper::Nobody };
        Ok(Fit { configuration, keeper, role })
    }
}

impl Fit {
    pub async fn run(self) -> Result<(), Failure> {
        let Self { configuration, keeper, role } = self;
        match role {
            Role::Gateway => doors::gateway(&configuration, keeper).await,
            Role::Portal(confined) => doors::portal(&configuration, keeper, confined).await,
            Role::Both => {
                let stop = doors::stop_signal(Keeper::Nobody)?;
                both(&configuration, stop, Logs::AsUsual, || {
                    doors::tell_systemd(&[sd_notify::NotifyState::Ready]);
                })
                .await
            }
        }
    }
}

/// How much the doors log where `SEALPOST_LOG` says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    AsUsual,
    /// Only what goes wrong: somebody reads the terminal for something else.
    Quiet,
}

/// Runs both doors until `stop`; `opened` is called once, when both are open.
pub async fn both(
    configuration: &Configuration,
    stop: CancellationToken,
    logs: Logs,
    opened: impl FnOnce(),
) -> Result<(), Failure> {
    // Refuses without keys of ours, or of DKIM, before anything is started, and brings the schemas up to date in one process.
    let keyring = configuration.keyring()?;
    configuration.policy()?;
    configuration.dkim()?;
    // Says it at once, and not as a door that ends again and again; the gateway's door claims it for itself.
    drop(Alone::claim(configuration).await?);
    let stores = parts::stores(configuration).await?;
    keyring.take_up(&stores.own, Clock::system().now()).await?;
    drop((keyring, stores));
    let master = configuration.master()?;
    let (open, mut opening) = mpsc::channel(8);
    let tasks = TaskTracker::new();
    for door in [Door::Gateway, Door::Portal] {
        let start = Start { door, config: configuration.path().to_owned(), logs, master: master.clone() };
        tasks.spawn(look_after(start, open.clone(), stop.clone()));
    }
    let mut waiting = vec![Door::Gateway, Door::Portal];
    let mut opened = Some(opened);
    loop {
        tokio::select! {
            Some(door) = opening.recv() => {
                waiting.retain(|other| *other != door);
                if waiting.is_empty() && let Some(opened) = opened.take() {
                    opened();
                }
            }
            () = stop.cancelled() => break,
        }
    }
    doors::tell_systemd(&[sd_notify::NotifyState::Stopping]);
    tasks.close();
    tasks.wait().await;
    info!("stopped");
    Ok(())
}

/// How a door is started.
struct Start {
    door: Door,
    config: PathBuf,
    logs: Logs,
    master: MasterSource,
}

async fn look_after(start: Start, open: mpsc::Sender<Door>, stop: CancellationToken) {
    let door = start.door;
    let (first, longest) = AGAIN;
    let mut wait = first;
    while !stop.is_cancelled() {
        let started = Instant::now();
        match start.process() {
            Ok((mut child, stdin)) => {
                if let Some(stdout) = child.stdout.take() {
                    let open = open.clone();
                    tokio::spawn(async move {
                        let mut lines = BufReader::new(stdout).lines();
                        while let Ok(Some(line)) = lines.next_line().await {
                            if line == "ready" {
                                let _ = open.send(door).await;
                            }
                        }
                    });
                }
                tokio::select! {
                    ended = child.wait() => {
                        error!(door = door.word(), ?ended, "a door ended by itself and is started again");
                    }
                    () = stop.cancelled() => {
                        // The end of its standard input tells it to finish what it has begun.
                        drop(stdin);
                        if tokio::time::timeout(Duration::from_secs(45), child.wait()).await.is_err() {
                            error!(door = door.word(), "did not stop in time and is killed");
                            let _ = child.kill().await;
                        }
                        return;
                    }
                }
            }
            Err(cause) => error!(door = door.word(), %cause, "can't be started"),
        }
        if started.elapsed() >= STEADY {
            wait = first;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = wait.saturating_mul(2).min(longest);
    }
}

impl Start {
    fn process(&self) -> std::io::Result<(Child, Option<ChildStdin>)> {
        // The running executable itself, also after an upgrade has replaced the file that it was started from.
        let mut command = Command::new("/proc/self/exe");
        if self.logs == Logs::Quiet && std::env::var_os("SEALPOST_LOG").is_none() {
            command.env("SEALPOST_LOG", "warn");
        }
        if self.door == Door::Portal
            && let Some(variable) = self.master.variable()
        {
            // It has no business with the master key. Where a credential lies it may know: its sandbox keeps it out.
            command.env_remove(variable);
        }
        let mut child = command
            .arg0("sealpost")
            .arg("--config")
            .arg(&self.config)
            .args(["serve", self.door.word(), "--supervised"])
            // systemd is told by the supervisor alone
            .env_remove("NOTIFY_SOCKET")
            // a signal to the terminal's process group reaches the supervisor, which stops its doors in order
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take();
        Ok((child, stdin))
    }
}
