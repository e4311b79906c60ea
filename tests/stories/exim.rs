//! A real Exim as next hop.
//!
//! Debian's package conflicts with Postfix, so it is unpacked and never installed (deploy/install-debian). The user that
//! it was built for is one that this process sees and no other: its view of /etc/passwd is its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::maildir::Maildir;
use crate::patience::{PATIENCE, until};
use crate::process::Running;
use crate::scratch::{Scratch, User};
use crate::{ports, smtp};

const CONFIGURATION: &str = include_str!("exim/exim.conf");
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/exim4-daemon-light/usr/sbin/exim4");

pub struct Exim {
    port: u16,
    directory: PathBuf,
    maildir: Maildir,
    _running: Running,
}

impl Exim {
    pub async fn start(scratch: &Scratch) -> Self {
        assert!(Path::new(PROGRAM).exists(), "no Exim in {PROGRAM}: `deploy/install-debian test` brings it");
        let directory = scratch.directory("exim");
        let port = ports::free();
        let nobody = User::named("nobody");
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        fs::write(
            directory.join("passwd"),
            format!("{passwd}Debian-exim:x:{}:{}::/nonexistent:/usr/sbin/nologin\n", nobody.uid, nobody.gid),
        )
        .unwrap();
        let group = fs::read_to_string("/etc/group").unwrap();
        fs::write(directory.join("group"), format!("{group}Debian-exim:x:{}:\n", nobody.gid)).unwrap();
        let text = CONFIGURATION
            .replace("EXIM", PROGRAM)
            .replace("DIRECTORY", &directory.display().to_string())
            .replace("PORT", &port.to_string());
        fs::write(directory.join("exim.conf"), text).unwrap();
        nobody.own(&directory);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec"]).arg(
            "mount --bind \"$1/passwd\" /etc/passwd; mount --bind \"$1/group\" /etc/group; exec \"$2\" -C \"$1/exim.conf\" -bdf",
        );
        command.arg("sh").arg(&directory).arg(PROGRAM);
        let mut running = Running::start("Exim", command, &directory.join("output"));
        until("Exim's banner", PATIENCE, async || {
            assert!(running.ended().is_none(), "Exim ended before its banner:\n{}", running.log());
            smtp::Client::try_connect(port).await
        })
        .await;
        Self { port, maildir: Maildir::at(&directory.join("mail")), directory, _running: running }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn maildir(&self) -> &Maildir {
        &self.maildir
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.join("mainlog")).unwrap_or_default();
            eprintln!("--- Exim logged last:\n{}---", crate::process::tail(&log, 40));
        }
    }
}
