//! One program for all fuzz targets: `SEALPOST_FUZZ` names the one to run. `fuzz/run` builds and starts it.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealpost_gateway::fuzzing::TARGETS;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("SEALPOST_FUZZ").unwrap_or_default();
        match TARGETS.iter().find(|(known, _)| *known == name) {
            Some((_, target)) => *target,
            None => {
                let names: Vec<&str> = TARGETS.iter().map(|(known, _)| *known).collect();
                panic!("SEALPOST_FUZZ must be one of {}", names.join(", "))
            }
        }
    });
    target(bytes);
});
