//! A PostgreSQL server of one story's own.
//!
//! It runs as the user postgres in a scratch directory, answers on loopback and a socket in that directory, and trusts
//! everybody who can reach it. The machine's own cluster isn't touched and needn't run.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::process::{Running, run, signal};
use crate::scratch::{Scratch, User};

pub struct Postgres {
    port: u16,
    data: PathBuf,
    log: PathBuf,
    server: Option<Running>,
}

impl Postgres {
    pub async fn start(scratch: &Scratch) -> Self {
        let user = User::named("postgres");
        let data = scratch.directory("postgres");
        user.own(&data);
        let mut make = as_user("initdb", user);
        make.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        make.arg("--pgdata").arg(&data);
        run(make);

        let log = scratch.path().join("postgres.log");
        let mut postgres = Self { port: ports::free(), data, log, server: None };
        postgres.restart().await;
        postgres
    }

    /// Starts it (again) and waits until it answers.
    pub async fn restart(&mut self) {
        assert!(self.server.is_none(), "PostgreSQL runs");
        let port = self.port.to_string();
        let mut serve = as_user("postgres", User::named("postgres"));
        serve.arg("-D").arg(&self.data).arg("-k").arg(&self.data).args(["-p", &port]);
        // Without fsync: stories kill our processes, never the machine.
        serve.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        let mut server = Running::start("PostgreSQL", serve, &self.log);
        until("PostgreSQL", PATIENCE, async || {
            assert!(server.ended().is_none(), "PostgreSQL ended:\n{}", server.log());
            let mut ask = Command::new(programs().join("pg_isready"));
            ask.args(["--quiet", "--host=127.0.0.1", "--port", &port]);
            ask.status().unwrap().success().then_some(())
        })
        .await;
        self.server = Some(server);
    }

    /// Ends it under its clients: their transactions are rolled back.
    pub async fn stop(&mut self) {
        let mut server = self.server.take().expect("a running PostgreSQL");
        // Its own word for it is a fast shutdown; SIGTERM would wait for all clients to leave.
        signal("INT", server.pid());
        until("the end of PostgreSQL", PATIENCE, async || server.ended()).await;
    }

    /// A connection URL for a role and a database.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Statements as the superuser, given to psql; returns what it printed, unaligned and without headings.
    pub fn psql(&self, database: &str, statements: &str) -> String {
        let mut command = Command::new(programs().join("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        command.arg(self.url("postgres", database)).args(["--command", statements]);
        run(command)
    }

    /// The database `sealpost`, its owner `sealpost`, and the portal's role `sealpost_portal`, which can only log in.
    pub fn create_roles_apart(&self) {
        self.psql("postgres", "create role sealpost login");
        self.psql("postgres", "create role sealpost_portal login");
        self.psql("postgres", "create database sealpost owner sealpost");
    }

    pub fn create_database(&self, name: &str) {
        self.psql("postgres", &format!("create database {name}"));
    }

    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("a running PostgreSQL").pid()
    }
}

/// Debian keeps the server's programs out of the PATH, in a directory per version.
fn programs() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL's server is installed");
    let mut versions: Vec<PathBuf> = found.map(|entry| entry.unwrap().path().join("bin")).collect();
    versions.retain(|path| path.join("initdb").exists());
    versions.sort();
    versions.pop().expect("PostgreSQL's server is installed")
}

fn as_user(program: &str, user: User) -> Command {
    let mut command = Command::new(programs().join(program));
    command.uid(user.uid).gid(user.gid).current_dir("/");
    command
}
