//! Postfix as a plain relay: its defaults, everything to one next hop, logging to its own file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BenchError;
use crate::load::Worker;
use crate::process::{Process, run};
use crate::scratch::{Scratch, free_port, give, write};

const MAIN: &str = "compatibility_level = 3.6
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.klinik.example
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
notify_classes =
smtp_dns_support_level = disabled
smtp_host_lookup = native
message_size_limit = 104857600
mailbox_size_limit = 0
";

const MASTER: &str = "pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
";

pub struct Postfix {
    process: Process,
    port: u16,
}

impl Postfix {
    pub fn start(scratch: &Scratch, sink: u16) -> Result<Self, BenchError> {
        let port = free_port()?;
        let directory = scratch.directory("postfix")?;
        let (config, queue) = (scratch.directory("postfix/config")?, scratch.directory("postfix/queue")?);
        let data = scratch.directory("postfix/data")?;
        give(&data, "postfix")?;
        let main = format!(
            "{MAIN}data_directory = {}\nqueue_directory = {}\nmaillog_file = {directory}/maillog\n\
             maillog_file_prefixes = {directory}\nrelayhost = [127.0.0.1]:{sink}\n",
            data.display(),
            queue.display(),
            directory = directory.display()
        );
        write(&config.join("main.cf"), &main)?;
        write(&config.join("master.cf"), &format!("127.0.0.1:{port} inet n - n - - smtpd\n{MASTER}"))?;
        let with_config = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.arg("-c").arg(&config).args(arguments);
            command
        };
        run(with_config(Path::new("postfix"), &["check"]))?;
        let daemons = run(with_config(Path::new("postconf"), &["-h", "daemon_directory"]))?;
        let master = PathBuf::from(String::from_utf8_lossy(&daemons).trim()).join("master");
        let log = directory.join("log");
        let process = Process::start(with_config(&master, &["-d"]), &log)?;
        process.answers(port, "Postfix", log)?;
        Ok(Self { process, port })
    }
}

impl Worker for Postfix {
    fn port(&self) -> u16 {
        self.port
    }

    fn process(&self) -> &Process {
        &self.process
    }
}
