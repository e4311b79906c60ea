//! Runs a script under Node.js, where OpenPGP.js can be asked for its opinion without a browser.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;

/// The browser code's directory: where npm put its packages.
pub fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("portal/web")
}

/// What an ES module printed that was given as text; imports are found from `directory`.
pub fn module(source: &str, directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("node");
    command.args(["--input-type=module", "--eval", source, "--"]).args(arguments).current_dir(directory);
    run(command)
}
