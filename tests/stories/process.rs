//! Programs that a story starts and that never outlive it.
//!
//! Each program leads a process group. A guard, one `sh` in a group of its own, waits at the end of a pipe that we
//! hold: when the pipe closes, because the story ended, panicked, or was itself killed, the guard kills the group.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::patience::until;

/// A started program with its process group and its log.
pub struct Running {
    name: String,
    child: Child,
    guard: Child,
    leash: Option<ChildStdin>,
    log: PathBuf,
}

impl Running {
    /// Starts the program with standard output and error appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|cause| panic!("{name} doesn't start ({:?}): {cause}", command.get_program()));
        let mut guard = Command::new("sh")
            .arg("-c")
            .arg(format!("read word; kill -s KILL -- -{} 2>/dev/null", child.id()))
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let leash = guard.stdin.take();
        Self { name: name.to_owned(), child, guard, leash, log: log.to_owned() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if the program has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// `kill -9` for the whole group; returns when it is dead.
    pub fn kill(&mut self) {
        self.leash = None;
        self.guard.wait().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the program, not its children, to end (SIGTERM), and waits for it; then makes sure of the rest.
    pub async fn terminate(&mut self, patience: Duration) -> ExitStatus {
        signal("TERM", self.pid());
        let what = format!("the end of {}", self.name);
        let status = until(&what, patience, async || self.child.try_wait().unwrap()).await;
        self.kill();
        status
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.leash = None;
        let _ = self.guard.wait();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} wrote last:\n{}---", self.name, tail(&self.log(), 40));
        }
    }
}

/// Sends a signal to one process.
pub fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -s {name} {pid}")).status().unwrap();
    assert!(status.success(), "no process {pid} to send {name} to");
}

/// Runs a program to its end and returns what it printed; panics, with what it said, if it failed.
pub fn run(mut command: Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|cause| panic!("{:?} doesn't start: {cause}", command.get_program()));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{printed}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let mut last = all[all.len().saturating_sub(lines)..].join("\n");
    last.push('\n');
    last
}
