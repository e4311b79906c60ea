//! A real OpenSMTPD as next hop, and in front.
//!
//! Debian's package conflicts with Postfix, so it is unpacked and never installed (deploy/install-debian). It looks for its
//! users, its queue and its delivery program at places of the system: this process sees them there and no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::maildir::Maildir;
use crate::patience::{PATIENCE, until};
use crate::process::Running;
use crate::scratch::{Scratch, User};
use crate::{ports, smtp};

const CONFIGURATION: &str = include_str!("opensmtpd/smtpd.conf");
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/opensmtpd");

const BEGIN: &str = r#"
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
for place in /var/spool /var/lib /run; do mount -t tmpfs -o mode=0755 opensmtpd "$place"; done
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 0711 /var/spool/smtpd
mount --bind "$2/usr/libexec" /usr/libexec
exec "$2/usr/sbin/smtpd" -d -f "$1/smtpd.conf"
"#;

pub struct OpenSmtpd {
    behind: u16,
    front: u16,
    directory: PathBuf,
    maildir: Maildir,
    _running: Running,
}

impl OpenSmtpd {
    /// What comes in front goes to this port.
    pub async fn start(scratch: &Scratch, through: u16) -> Self {
        assert!(Path::new(PACKAGE).exists(), "no OpenSMTPD in {PACKAGE}: `deploy/install-debian test` brings it");
        let directory = scratch.directory("opensmtpd");
        let (behind, front) = (ports::free(), ports::free());
        let nobody = User::named("nobody");
        let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
        let mut group = fs::read_to_string("/etc/group").unwrap();
        for name in ["opensmtpd", "opensmtpq", "sink"] {
            let home = if name == "sink" { directory.display().to_string() } else { "/var/lib/opensmtpd/empty".into() };
            passwd.push_str(&format!("{name}:x:{}:{}::{home}:/bin/sh\n", nobody.uid, nobody.gid));
            group.push_str(&format!("{name}:x:{}:\n", nobody.gid));
        }
        fs::write(directory.join("passwd"), passwd).unwrap();
        fs::write(directory.join("group"), group).unwrap();
        let text = CONFIGURATION
            .replace("DIRECTORY", &directory.display().to_string())
            .replace("BEHIND", &behind.to_string())
            .replace("FRONT", &front.to_string())
            .replace("THROUGH", &through.to_string());
        fs::write(directory.join("smtpd.conf"), text).unwrap();
        nobody.own(&directory);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", BEGIN, "sh"]).arg(&directory).arg(PACKAGE);
        let mut running = Running::start("OpenSMTPD", command, &directory.join("output"));
        until("OpenSMTPD's banner", PATIENCE, async || {
            assert!(running.ended().is_none(), "OpenSMTPD ended before its banner:\n{}", running.log());
            smtp::Client::try_connect(behind).await
        })
        .await;
        Self { behind, front, maildir: Maildir::at(&directory.join("mail")), directory, _running: running }
    }

    /// What comes here is delivered to [`OpenSmtpd::maildir`].
    pub fn behind(&self) -> u16 {
        self.behind
    }

    /// What comes here goes through.
    pub fn front(&self) -> u16 {
        self.front
    }

    pub fn maildir(&self) -> &Maildir {
        &self.maildir
    }
}

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.join("output")).unwrap_or_default();
            eprintln!("--- OpenSMTPD said last:\n{}---", crate::process::tail(&log, 40));
        }
    }
}
