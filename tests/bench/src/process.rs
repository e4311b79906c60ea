//! A started program, everything that it starts, and what they use: processor time and memory, from /proc.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::scratch::io;

/// Clock ticks in a second, as /proc counts them on every Linux that this runs on.
const TICKS: f64 = 100.0;

pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(mut command: Command, log: &Path) -> Result<Self, BenchError> {
        let out = File::options().create(true).append(true).open(log).map_err(|cause| io(log, cause))?;
        let err = out.try_clone().map_err(|cause| io(log, cause))?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.map_err(|cause| io(Path::new(command.get_program()), cause))?;
        Ok(Self { child })
    }

    /// Seconds of processor time of this process, all below it, and all of those that have ended.
    pub fn processor(&self) -> f64 {
        let all = stats();
        below(self.child.id(), &all).iter().filter_map(|pid| all.get(pid)).map(|stat| stat.ticks).sum::<f64>() / TICKS
    }

    /// Resident memory of this process and all below it, in KiB.
    pub fn memory(&self) -> Memory {
        memory(self.child.id())
    }

    /// Looks at the memory again and again, until it is asked what it saw.
    pub fn watch(&self) -> Watch {
        let (root, enough) = (self.child.id(), Arc::new(AtomicBool::new(false)));
        let looking = {
            let enough = Arc::clone(&enough);
            move || {
                let mut most = Memory::default();
                while !enough.load(Ordering::SeqCst) {
                    let now = memory(root);
                    most = Memory { added: most.added.max(now.added), shared: most.shared.max(now.shared) };
                    std::thread::sleep(Duration::from_millis(20));
                }
                most
            }
        };
        Watch { enough, looking: std::thread::spawn(looking) }
    }

    /// Waits until nothing of it uses the processor any more.
    pub fn rest(&self) {
        let mut before = self.processor();
        let mut still = 0;
        while still < 3 {
            std::thread::sleep(Duration::from_millis(400));
            let now = self.processor();
            // A tick in this time is what an idle process uses for looking around.
            still = if now - before <= 0.011 { still + 1 } else { 0 };
            before = now;
        }
    }

    /// Waits until it listens.
    pub fn answers(&self, port: u16, name: &'static str, log: PathBuf) -> Result<(), BenchError> {
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begin.elapsed() > Duration::from_secs(60) {
                return Err(BenchError::NotReady(name, log));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end; what it printed.
pub fn run(mut command: Command) -> Result<Vec<u8>, BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|cause| BenchError::Io(program.clone(), cause))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Err(BenchError::Program { program, said })
}

struct Stat {
    parent: u32,
    /// Its own, and of its children that ended and were waited for.
    ticks: f64,
}

fn stats() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold spaces and brackets: what counts comes after the last one.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let parent = fields.get(1)?.parse().ok()?;
        let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Some((pid, Stat { parent, ticks }))
    })
    .collect()
}

/// What several processes have resident, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The sum of what each has.
    pub added: u64,
    /// The same, pages that they share (the program itself, most of all) counted once.
    pub shared: u64,
}

/// Looks at memory.
pub struct Watch {
    enough: Arc<AtomicBool>,
    looking: JoinHandle<Memory>,
}

impl Watch {
    /// The most that was seen.
    pub fn most(self) -> Memory {
        self.enough.store(true, Ordering::SeqCst);
        self.looking.join().unwrap_or_default()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB, shared pages once {} MiB", self.added / 1024, self.shared / 1024)
    }
}

fn memory(root: u32) -> Memory {
    let mut all = Memory::default();
    for pid in below(root, &stats()) {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let field = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
        };
        all.added += field("Rss:");
        all.shared += field("Pss:");
    }
    all
}

fn below(root: u32, all: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(all.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}
