//! Sealpost: a secure mail gateway for organisations that write to people who have no keys.
//!
//! The only place that wires the parts together: one file per subcommand, the configuration, TLS and the sandbox.

mod accounts;
mod alone;
mod audit;
mod check_config;
mod configuration;
mod demo;
mod dkim;
mod doors;
mod exit;
mod init;
mod keys;
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

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Mail in over SMTP, sealed, picked up and answered in a browser.
#[derive(Parser)]
#[command(name = "sealpost", version, about, long_about = None, max_term_width = 100)]
#[command(
    after_help = "To see it at work, run `sealpost demo`: it needs no configuration and sends nothing to anybody.\n\
    Each command explains itself: `sealpost letters --help`, `sealpost letters withdraw --help`."
)]
struct Cli {
    /// The configuration file
    #[arg(
        long,
        short,
        global = true,
        env = "SEALPOST_CONFIG",
        default_value = "/etc/sealpost/sealpost.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the organisation's keys; once, before the first start
    #[command(
        long_about = "Make the organisation's keys, in the directory that [keys] of the configuration names.\n\n\
        They are made once, before the first start. Without them nothing that is stored can be opened again: back them up, \
        apart from the rest. Existing keys are never overwritten."
    )]
    Init(init::Init),
    /// Run the gateway (mail) and the portal (web)
    #[command(long_about = "Run the gateway (mail) and the portal (web).\n\n\
        Without an argument both run, each in a process of its own; one that ends is started again. With one of them named \
        only that one runs, in this process: for two users, or two machines that share a PostgreSQL database.\n\n\
        It stays in the foreground, logs to standard error, and stops in order on SIGTERM or Ctrl-C. SEALPOST_LOG=debug logs \
        more, SEALPOST_LOG_FORMAT=json for machines.")]
    Serve(serve::Serve),
    /// Try Sealpost on this machine: sample mails, and a mailbox in the browser that catches everything
    #[command(
        long_about = "Try Sealpost on this machine: sample mails, and a mailbox in the browser that catches everything.\n\n\
        Makes keys and a configuration in a directory of its own, runs gateway and portal, sends three sample mails, and prints \
        what to click next. It reads no configuration file, and nothing leaves this machine. Ctrl-C ends it; the directory stays, and can be deleted."
    )]
    Demo(demo::Demo),
    /// Try on a message what the policy would do with it
    Policy(policy_test::PolicyCommand),
    /// Look after mail that Sealpost has accepted and not yet handed on
    Queue(queue::QueueCommand),
    /// Look after readers' accounts: list, show, reset
    Accounts(accounts::AccountsCommand),
    /// Look after sealed letters: list, send the notification again, withdraw
    Letters(letters::LettersCommand),
    /// What happened: verify that the audit is whole, and export it
    Audit(audit::AuditCommand),
    /// Look after keys: the organisation's own, and OpenPGP certificates of recipients
    Keys(keys::KeysCommand),
    /// Make keys for DKIM, and print their DNS records
    Dkim(dkim::DkimCommand),
    /// Check configuration, policy, certificates and keys, and say what is wrong; starts nothing
    CheckConfig,
}

fn main() -> ExitCode {
    // Whatever is written from here on is for its owner only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let Cli { config, command } = Cli::parse();
    logging::start(matches!(command, Command::Serve(_)));
    match obey(command, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn obey(command: Command, config: &Path) -> Result<(), Failure> {
    match command {
        Command::Init(init) => on_runtime(init.run(config)),
        Command::Serve(serve) => {
            // The portal's process gives up its rights while it has one thread; the runtime starts more.
            let fit = serve.fit(config)?;
            on_runtime(fit.run())
        }
        Command::Demo(demo) => on_runtime(demo.run()),
        Command::Policy(policy) => on_runtime(policy.run(config)),
        Command::Queue(queue) => on_runtime(queue.run(config)),
        Command::Accounts(accounts) => on_runtime(accounts.run(config)),
        Command::Letters(letters) => on_runtime(letters.run(config)),
        Command::Audit(audit) => on_runtime(audit.run(config)),
        Command::Keys(keys) => on_runtime(keys.run(config)),
        Command::Dkim(dkim) => dkim.run(config),
        Command::CheckConfig => on_runtime(check_config::run(config)),
    }
}

fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::system)?;
    let outcome = runtime.block_on(work);
    // Work that still blocks (a long decryption) doesn't keep a finished program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    outcome
}
