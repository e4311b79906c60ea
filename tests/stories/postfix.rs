//! Real Postfix instances: the organisation's own server in front, and the next hop behind.
//!
//! Each instance has its configuration, queue and data in a story's scratch directory, listens on loopback ports only,
//! asks no DNS, and delivers into one Maildir. The machine's own Postfix service isn't touched and needn't run.
//! The instance in front is configured by the very files that deploy/postfix/README.md gives to a user.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::maildir::Maildir;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::process::{Running, run};
use crate::scratch::{Scratch, User};
use crate::smtp;

/// The organisation's domain: its people's mailboxes are at the instance in front.
pub const HOME: &str = "klinik.example";
/// The reply domain: return addresses of notifications and reply addresses of conversations.
pub const REPLY: &str = "reply.klinik.example";

const MAIN: &str = include_str!("postfix/main.cf");
const MASTER: &str = include_str!("postfix/master.cf");

const RECIPE_MASTER: &str = include_str!("../../deploy/postfix/master.cf");
const RECIPE_TRANSPORT: &str = include_str!("../../deploy/postfix/transport");

/// Where the instance in front sends what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Front {
    /// The port that people's mail programs submit to.
    pub submission: u16,
    /// The port for what comes back from Sealpost, and from outside.
    pub back: u16,
    /// Sealpost's port for mail from inside: everything submitted goes there. None: straight on to `beyond`.
    pub sealpost: Option<u16>,
    /// Sealpost's port for what comes from outside to the reply domain.
    pub returns: Option<u16>,
    /// The next hop for foreign domains.
    pub beyond: u16,
}

/// Where the instance behind sends what it doesn't keep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behind {
    pub port: u16,
    /// Sealpost's port for bounces to the reply domain.
    pub returns: Option<u16>,
    /// The organisation's server, for its domain.
    pub home: Option<u16>,
}

/// How a transport map is written.
enum Routes {
    Exact,
    Patterns,
}

/// Local parts beginning so are accepted by the instance behind and bounced by it later.
pub const GONE: &str = "gone-";

pub struct Postfix {
    name: String,
    directory: PathBuf,
    port: u16,
    master: Option<Running>,
    maildir: Maildir,
}

impl Postfix {
    /// The organisation's mail server.
    pub async fn front(scratch: &Scratch, front: Front) -> Self {
        let replaced = |text: &str, was: &str, is: String| {
            assert!(text.contains(was), "the recipe has no {was}");
            text.replace(was, &is)
        };
        let doors = replaced(RECIPE_MASTER, "submission inet", format!("127.0.0.1:{} inet", front.submission));
        let doors = replaced(&doors, "127.0.0.1:10026", format!("127.0.0.1:{}", front.back));
        let doors = replaced(&doors, " n - y ", " n - n ".to_owned());
        let doors = match front.sealpost {
            Some(port) => replaced(&doors, "[127.0.0.1]:2525", format!("[127.0.0.1]:{port}")),
            None => replaced(&doors, "content_filter=smtp:[127.0.0.1]:2525", "content_filter=".to_owned()),
        };
        let routes = match front.returns {
            Some(port) => replaced(RECIPE_TRANSPORT, "[127.0.0.1]:2526", format!("[127.0.0.1]:{port}")),
            None => String::new(),
        };
        let settings = [
            ("myhostname", format!("mail.{HOME}")),
            ("virtual_mailbox_domains", HOME.to_owned()),
            ("relayhost", format!("[127.0.0.1]:{}", front.beyond)),
            ("relay_domains", REPLY.to_owned()),
        ];
        Self::start_new(scratch, "front", front.submission, &settings, &doors, (Routes::Exact, &routes)).await
    }

    /// The rest of the world: takes mail for any address and keeps it.
    pub async fn behind(scratch: &Scratch, behind: Behind) -> Self {
        // A door behind the door, which refuses what the first has accepted.
        let inner = ports::free();
        let refusal = "{ smtpd_recipient_restrictions = check_recipient_access static:{550 5.1.1 Mailbox is gone} }";
        let doors = format!(
            "127.0.0.1:{} inet n - n - - smtpd\n\
             127.0.0.1:{inner} inet n - n - - smtpd\n  -o myhostname=inner.outside.example\n  -o {refusal}\n",
            behind.port
        );
        let gone = format!("/^{GONE}/ smtp:[127.0.0.1]:{inner}\n");
        let routes = [gone, route(REPLY, behind.returns), route(HOME, behind.home)].concat();
        let settings =
            [("myhostname", "mx.outside.example".to_owned()), ("virtual_mailbox_domains", "static:all".to_owned())];
        Self::start_new(scratch, "behind", behind.port, &settings, &doors, (Routes::Patterns, &routes)).await
    }

    async fn start_new(
        scratch: &Scratch,
        name: &str,
        port: u16,
        settings: &[(&str, String)],
        doors: &str,
        (form, routes): (Routes, &str),
    ) -> Self {
        let directory = scratch.directory(name);
        let mail = scratch.directory(&format!("{name}/mail"));
        let deliverer = User::named("nobody");
        deliverer.own(&mail);
        User::named("postfix").own(&scratch.directory(&format!("{name}/data")));
        let queue = scratch.directory(&format!("{name}/queue"));
        let config = scratch.directory(&format!("{name}/config"));

        let mut main = MAIN.replace("DIRECTORY", &directory.display().to_string());
        main.push_str(&format!("queue_directory = {}\n", queue.display()));
        main.push_str(&format!("virtual_uid_maps = static:{}\n", deliverer.uid));
        main.push_str(&format!("virtual_gid_maps = static:{}\n", deliverer.gid));
        for (key, value) in settings {
            main.push_str(&format!("{key} = {value}\n"));
        }
        let form = match form {
            Routes::Exact => "texthash",
            Routes::Patterns => "regexp",
        };
        main.push_str(&format!("transport_maps = {form}:{}\n", config.join("routes").display()));
        let master = format!("{doors}{MASTER}");

        write(&config.join("main.cf"), &main);
        write(&config.join("master.cf"), &master);
        write(&config.join("routes"), routes);
        write(&config.join("access"), "");

        let maildir = Maildir::at(&mail.join("all"));
        let mut postfix = Self { name: format!("Postfix {name}"), directory, port, master: None, maildir };
        postfix.compile_access();
        let mut check = Command::new("postfix");
        check.arg("-c").arg(postfix.config()).arg("check");
        run(check);
        postfix.start().await;
        postfix
    }

    /// Starts it (again) and waits until it answers.
    pub async fn start(&mut self) {
        assert!(self.master.is_none(), "{} runs", self.name);
        // `postfix start-fg` would put the master into a session of its own, out of reach of the guard of its group.
        let mut daemons = Command::new("postconf");
        daemons.args(["-h", "daemon_directory"]).arg("-c").arg(self.config());
        let mut master = Command::new(Path::new(run(daemons).trim()).join("master"));
        master.arg("-d").arg("-c").arg(self.config());
        let mut running = Running::start(&self.name, master, &self.directory.join("log"));
        let (name, port) = (&self.name, self.port);
        until(&format!("the banner of {name}"), PATIENCE, async || {
            assert!(running.ended().is_none(), "{name} ended before its banner:\n{}", running.log());
            smtp::Client::try_connect(port).await
        })
        .await;
        self.master = Some(running);
    }

    /// Stops it; its queue stays.
    pub async fn stop(&mut self) {
        self.master.take().expect("a running Postfix").terminate(Duration::from_secs(20)).await;
    }

    /// Another setting, from the next start on.
    pub fn set(&self, name: &str, value: &str) {
        let mut edit = Command::new("postconf");
        edit.arg("-c").arg(self.config()).args(["-e", &format!("{name} = {value}")]);
        run(edit);
    }

    /// From now on this recipient gets this refusal, for example `550 5.1.1 No such person` or `450 4.2.1 Come back`.
    pub fn refuse(&self, recipient: &str, reply: &str) {
        let path = self.config().join("access");
        let others = self.others(recipient);
        write(&path, &format!("{others}{recipient} {reply}\n"));
        self.compile_access();
    }

    /// Takes a refusal back.
    pub fn accept(&self, recipient: &str) {
        write(&self.config().join("access"), &self.others(recipient));
        self.compile_access();
    }

    fn others(&self, recipient: &str) -> String {
        let all = fs::read_to_string(self.config().join("access")).unwrap();
        let others = all.lines().filter(|line| line.split(' ').next() != Some(recipient));
        others.map(|line| format!("{line}\n")).collect()
    }

    fn compile_access(&self) {
        let mut postmap = Command::new("postmap");
        postmap.arg("-c").arg(self.config()).arg(format!("hash:{}", self.config().join("access").display()));
        run(postmap);
        // Postfix sees a change by a file time in whole seconds; two changes within one must differ all the same.
        static CHANGES: AtomicU64 = AtomicU64::new(1);
        let ahead = Duration::from_secs(2 * CHANGES.fetch_add(1, Ordering::Relaxed));
        let map = File::options().write(true).open(self.config().join("access.db")).unwrap();
        map.set_modified(SystemTime::now() + ahead).unwrap();
    }

    /// A server looks for changed refusals between clients, and clients keep their connections a while.
    pub async fn has_no_client(&self) {
        until(&format!("the end of all connections to {}", self.name), PATIENCE, async || {
            let log = self.log();
            (log.matches(": connect from ").count() == log.matches(": disconnect from ").count()).then_some(())
        })
        .await;
    }

    fn config(&self) -> PathBuf {
        self.directory.join("config")
    }

    /// The first door: submission in front, the only one behind.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn maildir(&self) -> &Maildir {
        &self.maildir
    }

    /// What Postfix logged about its mails.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("maillog")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} logged last:\n{}---", self.name, crate::process::tail(&self.log(), 40));
        }
    }
}

/// A line of a transport map, if there is a port to send the domain's mail to.
fn route(domain: &str, port: Option<u16>) -> String {
    let pattern = domain.replace('.', "\\.");
    port.map(|port| format!("/@{pattern}$/ smtp:[127.0.0.1]:{port}\n")).unwrap_or_default()
}

/// Ports for one instance in front, all different and free.
pub fn front_ports() -> (u16, u16) {
    (ports::free(), ports::free())
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
