//! The benchmark: Sealpost beside Postfix as a plain relay, on the same machine, alternating in one run.
//!
//! `smtp-source` in front and `smtp-sink` behind are Debian's, from the postfix package. A run ends when the sink has
//! counted the last message; processor time is that of all processes of the one who is measured, until they rest again.
//! What is printed are medians and their ratios. Nothing here passes or fails: a busy machine is no defect.
//!
//! usage: `sealpost-bench <sealpost executable> [--rounds N] [--scale PERCENT] [--only WORD] [--reconnect] [--no-memory]`

mod load;
mod memory;
mod postfix;
mod process;
mod scratch;
mod sealpost;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::load::{Load, Sink};
use crate::postfix::Postfix;
use crate::scratch::{Scratch, free_port};
use crate::sealpost::Sealpost;
use crate::table::{Row, Table};

/// What can go wrong; the benchmark ends with it.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    #[error("{program} failed: {said}")]
    Program { program: String, said: String },
    #[error("{0}")]
    Usage(&'static str),
    #[error("of {sent} messages {counted} came to the sink")]
    Lost { sent: u64, counted: u64 },
    #[error("{0} isn't ready after a minute; see {1}")]
    NotReady(&'static str, PathBuf),
}

/// How much is measured.
struct Arguments {
    executable: PathBuf,
    rounds: usize,
    /// Of each row's number of messages, in percent.
    scale: u64,
    only: Option<String>,
    reconnect: bool,
    memory: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, BenchError> {
        const USAGE: BenchError = BenchError::Usage(
            "usage: sealpost-bench <sealpost executable> [--rounds N] [--scale PERCENT] [--only WORD] [--reconnect] [--no-memory]",
        );
        let executable = words.next().map(PathBuf::from).ok_or(USAGE)?;
        let mut arguments = Self { executable, rounds: 5, scale: 100, only: None, reconnect: false, memory: true };
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or(USAGE);
            match word.as_str() {
                "--rounds" => arguments.rounds = usize::try_from(number()?).map_err(|_| USAGE)?.max(1),
                "--scale" => arguments.scale = number()?,
                "--only" => arguments.only = Some(words.next().ok_or(USAGE)?),
                "--reconnect" => arguments.reconnect = true,
                "--no-memory" => arguments.memory = false,
                _ => return Err(USAGE),
            }
        }
        Ok(arguments)
    }
}

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Name, recipient's domain, payload in bytes, sessions, messages; least throughput and most processor time, as ratios to
/// Postfix's.
type Work = (&'static str, &'static str, u64, u64, u64, f64, Option<f64>);

const ROWS: [Work; 5] = [
    ("plain relay, 4 KiB, 50 sessions", "plain.example", 4_096, 50, 4_000, 5.0, Some(1.0 / 8.0)),
    ("plain relay, 4 KiB, 1 session", "plain.example", 4_096, 1, 500, 1.0, None),
    ("OpenPGP, 4 KiB, 50 sessions", "key.example", 4_096, 50, 4_000, 4.0, Some(1.0 / 4.0)),
    ("OpenPGP, 100 KiB, 50 sessions", "key.example", 102_400, 50, 1_500, 1.5, None),
    ("hold in the portal, 4 KiB, 50 sessions", "held.example", 4_096, 50, 2_000, 2.0, None),
];

fn measure(arguments: &Arguments) -> Result<(), BenchError> {
    let scratch = Scratch::new()?;
    let sink = Sink::start(&scratch, free_port()?)?;
    let mut postfix = Postfix::start(&scratch, sink.port())?;
    let mut sealpost = Sealpost::start(&scratch, &arguments.executable, sink.port())?;
    let mut table = Table::default();
    for (name, domain, octets, sessions, messages, throughput, processor) in ROWS {
        if arguments.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let messages = (messages * arguments.scale / 100).max(sessions);
        let load = |domain| Load { domain, octets, sessions, messages, reconnect: arguments.reconnect };
        let mut row = Row::new(name, throughput, processor);
        // One round that doesn't count: caches fill and processes start.
        for round in 0..=arguments.rounds {
            let theirs = load("plain.example").run(&mut postfix, &sink)?;
            let ours = load(domain).run(&mut sealpost, &sink)?;
            if round > 0 {
                eprintln!("{name}, round {round}: Postfix {theirs}; Sealpost {ours}");
                row.add(theirs, ours);
            }
        }
        println!("{}", row.line());
        table.add(row);
    }
    println!("\n{table}");
    if arguments.memory {
        drop(sealpost);
        memory::measure(&scratch, &arguments.executable, &sink, arguments.only.as_deref())?;
    }
    Ok(())
}
