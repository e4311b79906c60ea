//! Memory of a Sealpost that was just started: with fifty sessions, and with twenty large messages at once.

use std::path::Path;

use crate::BenchError;
use crate::load::{Load, Sink, Worker};
use crate::scratch::Scratch;
use crate::sealpost::Sealpost;

/// Header and lines are added by the source: together just below 50 MiB.
const LARGE: u64 = 52_000_000;

/// What is sent, where, in octets, sessions, messages.
const LOADS: [(&str, &str, u64, u64, u64); 5] = [
    ("50 sessions x 4 KiB, relayed", "plain.example", 4_096, 50, 10_000),
    ("50 sessions x 4 KiB, encrypted", "key.example", 4_096, 50, 5_000),
    ("50 sessions x 4 KiB, held", "held.example", 4_096, 50, 3_000),
    ("20 messages of 50 MiB at once, relayed", "plain.example", LARGE, 20, 20),
    ("20 messages of 50 MiB at once, encrypted", "key.example", LARGE, 20, 20),
];

pub fn measure(scratch: &Scratch, executable: &Path, sink: &Sink, only: Option<&str>) -> Result<(), BenchError> {
    for (name, domain, octets, sessions, messages) in LOADS {
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let mut sealpost = Sealpost::start(scratch, executable, sink.port())?;
        sealpost.process().rest();
        let idle = sealpost.process().memory();
        let watch = sealpost.process().watch();
        Load { domain, octets, sessions, messages, reconnect: false }.run(&mut sealpost, sink)?;
        let most = watch.most();
        println!("memory, {name}: at most {most} (idle: {idle}; afterwards: {})", sealpost.process().memory());
    }
    Ok(())
}
