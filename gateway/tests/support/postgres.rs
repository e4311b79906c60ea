//! A PostgreSQL server of a test's own, in a temporary directory; gone with the value.
//!
//! Needs Debian's `postgresql` package. As root, the server runs as user `postgres`. Without fsync: no test cuts its power.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct Postgres {
    directory: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("postgres-").tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(directory.path()));
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { directory, programs: programs(), port };
        let data = server.data();
        run(server
            .program("initdb")
            .args(["--auth=trust", "--username=postgres", "--no-sync", "-E", "UTF8", "-D"])
            .arg(&data));
        let options = format!(
            "-p {port} -h 127.0.0.1 -k {} -c max_connections=200 -c fsync=off",
            server.directory.path().display()
        );
        let log = server.directory.path().join("log");
        run(server.program("pg_ctl").arg("-D").arg(&data).arg("-l").arg(log).args(["-w", "-o", &options, "start"]));
        server
    }

    /// A new database's URL.
    pub(crate) fn database(&self, name: &str) -> String {
        let port = self.port.to_string();
        run(self.program("createdb").args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, name]));
        format!("postgres://postgres@127.0.0.1:{port}/{name}")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.directory.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self.program("pg_ctl").arg("-D").arg(data).args(["-m", "immediate", "-w", "stop"]).output();
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// The newest installed version's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(Path::new("/usr/lib/postgresql")).expect("the package postgresql is installed");
    let newest = versions.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok()).max();
    PathBuf::from(format!("/usr/lib/postgresql/{}/bin", newest.expect("a version of PostgreSQL is installed")))
}

fn run(command: &mut Command) {
    // Not `output()`: the server would inherit the pipe, and its end would never come.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
