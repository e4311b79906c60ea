//! Sealpost: a secure mail gateway for organisations that write to people who have no keys.
//!
//! The only place that wires the parts together: one file per subcommand, the configuration, TLS and the sandbox.

mod check_config;
mod configuration;
mod demo;
mod doors;
mod exit;
mod init;
mod letters;
mod logging;
mod parts;
mod policy_test;
mod queue;
mod sandbox;
mod serve;
mod tls;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// Mail in over SMTP, sealed, picked up and answered in a browser.
#[derive(Parser)]
#[command(name = "sealpost", version, about, long_about = None, max_term_width = 100)]
struct Cli {
    /// The configuration file
    #[arg(long, short, global = true, env = "SEALPOST_CONFIG", default_value = "/etc/sealpost/sealpost.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the organisation's keys; once, before the first start
    #[command(long_about = "Make the organisation's keys: gateway root, spool key and OpenPGP certificate.\n\n\
        They are made once, before the first start. Without them nothing that is stored can be opened again: back them up.\n\
        Existing keys are never overwritten.")]
    Init(init::Init),
    /// Run the gateway and the portal
    #[command(long_about = "Run the gateway and the portal.\n\n\
        Without a door named, both run as child processes of this one, each with only what it needs; with one named, only \
        that door runs, in this process.")]
    Serve(serve::Serve),
    /// Show the main job on this machine: keys, both doors, a mail catcher and sample mails
    Demo(demo::Demo),
    /// Try the policy on a message
    Policy(policy_test::PolicyCommand),
    /// Look after mail that waits
    Queue(queue::QueueCommand),
    /// Look after sealed letters
    Letters(letters::LettersCommand),
    /// Check configuration, policy and keys, and say what is wrong
    CheckConfig,
}

fn main() -> ExitCode {
    let Cli { config, command } = Cli::parse();
    logging::start(matches!(command, Command::Serve(_) | Command::Demo(_)));
    match obey(command, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn obey(command: Command, config: &Path) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init.run(config),
        Command::Serve(serve) => {
            // The portal's process gives up its rights while it has one thread; the runtime starts more.
            let fit = serve.fit(config)?;
            on_runtime(fit.run())
        }
        Command::Demo(demo) => on_runtime(demo.run()),
        Command::Policy(policy) => policy.run(config),
        Command::Queue(queue) => on_runtime(queue.run(config)),
        Command::Letters(letters) => on_runtime(letters.run(config)),
        Command::CheckConfig => check_config::run(config),
    }
}

fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::system)?;
    let outcome = runtime.block_on(work);
    // Work that still blocks (a long decryption) doesn't keep a finished program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    outcome
}
