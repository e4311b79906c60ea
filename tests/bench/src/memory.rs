//! Memory with large messages: twenty at once, as large as we take them.

use std::path::Path;
use std::process::Command;

use crate::BenchError;
use crate::load::{Sink, Worker};
use crate::process::run;
use crate::scratch::Scratch;
use crate::sealpost::Sealpost;

/// Header and lines are added by the source: together just below 50 MiB.
const OCTETS: u64 = 52_000_000;
const MESSAGES: u64 = 20;

pub fn measure(scratch: &Scratch, executable: &Path, sink: &Sink) -> Result<(), BenchError> {
    for (name, domain) in [("relayed", "plain.example"), ("encrypted", "key.example")] {
        let sealpost = Sealpost::start(scratch, executable, sink.port())?;
        sealpost.process().rest();
        let idle = sealpost.memory()?;
        let counted = sink.counted();
        let mut source = Command::new("smtp-source");
        source.args(["-f", "anna@klinik.example", "-t", &format!("reader@{domain}"), "-M", "client.klinik.example"]);
        source.args(["-s", &MESSAGES.to_string(), "-m", &MESSAGES.to_string(), "-l", &OCTETS.to_string()]);
        source.arg(format!("127.0.0.1:{}", sealpost.port()));
        run(source)?;
        sink.wait_for(counted + MESSAGES)?;
        sealpost.process().rest();
        println!("memory, 20 messages of 50 MiB at once, {name}: {} (idle: {idle})", sealpost.memory()?);
    }
    Ok(())
}
