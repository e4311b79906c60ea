//! Sealpost as an administrator runs it: both doors, SQLite, a policy that sends each domain of the benchmark its own way.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BenchError;
use crate::load::Worker;
use crate::process::{Process, run};
use crate::scratch::{Scratch, free_port, io, write};

const POLICY: &str = r#"[[rule]]
name = "as it is"
when = { to = ["@plain.example"] }
then = "relay"

[[rule]]
name = "to a key"
when = { to = ["@key.example"] }
then = "openpgp"

[[rule]]
name = "in the portal"
when = { to = ["@held.example"] }
then = "hold"

[default]
then = "refuse"
"#;

pub struct Sealpost {
    process: Process,
    port: u16,
}

impl Sealpost {
    pub fn start(scratch: &Scratch, executable: &Path, sink: u16) -> Result<Self, BenchError> {
        let (port, portal) = (free_port()?, free_port()?);
        let directory = scratch.directory(&format!("sealpost-{port}"))?;
        let here = directory.display();
        let config = directory.join("sealpost.toml");
        let text = format!(
            "[organisation]\nname = \"Klinik am See\"\ntelephone = \"+49 30 5550100\"\nportal = \"http://localhost:{portal}\"\n\
             [store]\ndirectory = \"{here}/state\"\n[keys]\ndirectory = \"{here}/keys\"\n\
             [smtp]\nlisten = \"127.0.0.1:{port}\"\nhostname = \"sealpost.klinik.example\"\n\
             [portal]\nlisten = \"127.0.0.1:{portal}\"\n\
             [inside]\ndomains = [\"klinik.example\"]\nnext-hop = \"127.0.0.1:{sink}\"\n\
             [outside]\nnext-hop = \"127.0.0.1:{sink}\"\n\
             [mail]\nfrom = \"post@klinik.example\"\nreply-domain = \"reply.klinik.example\"\npostmaster = \"postmaster@klinik.example\"\n\
             [policy]\nfile = \"policy.toml\"\n"
        );
        write(&config, &text)?;
        write(&directory.join("policy.toml"), POLICY)?;
        // The command changes nothing of where it runs: a relative path stays good.
        let executable = std::fs::canonicalize(executable).map_err(|cause| io(executable, cause))?;
        let sealpost = |arguments: &[&str]| {
            let mut command = Command::new(&executable);
            // As a service is started: causes of errors are caught with backtraces only where somebody wants to see them.
            command.env_remove("RUST_BACKTRACE").arg("--config").arg(&config).args(arguments);
            command
        };
        run(sealpost(&["init"]))?;
        let certificate = x25519_certificate(scratch, "reader@key.example")?;
        run(sealpost(&["keys", "import", &certificate.display().to_string()]))?;
        let log = directory.join("log");
        let process = Process::start(sealpost(&["serve"]), &log)?;
        process.answers(port, "Sealpost", log.clone())?;
        process.answers(portal, "Sealpost", log)?;
        Ok(Self { process, port })
    }
}

impl Worker for Sealpost {
    fn port(&self) -> u16 {
        self.port
    }

    fn process(&self) -> &Process {
        &self.process
    }
}

/// What GnuPG makes: Ed25519 and X25519.
fn x25519_certificate(scratch: &Scratch, address: &str) -> Result<PathBuf, BenchError> {
    let home = scratch.directory("gnupg")?;
    let gpg = |arguments: &[&str]| {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(&home).args(["--batch", "--quiet", "--no-permission-warning"]).args(arguments);
        command
    };
    let path = home.join("certificate.asc");
    if !path.exists() {
        run(gpg(&["--passphrase", "", "--quick-gen-key", &format!("<{address}>"), "future-default", "default"]))?;
        let certificate = run(gpg(&["--armor", "--export"]))?;
        std::fs::write(&path, certificate).map_err(|cause| io(&path, cause))?;
        let mut end = Command::new("gpgconf");
        end.arg("--homedir").arg(&home).args(["--kill", "all"]);
        run(end)?;
    }
    Ok(path)
}
