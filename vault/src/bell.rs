//! The bell: a wake-up without content. Who is rung looks into the vault.
//!
//! Beside SQLite a bell is a Unix datagram socket in the vault's directory; on PostgreSQL it is `NOTIFY`, which reaches other
//! hosts too. Ringing one that nobody hears is fine, because every listener also looks by itself once in [`LOOK_ANYWAY`].
//! Nothing is ever read from it but "look": a channel that anybody in the database can ring costs us a look.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::net::UnixDatagram;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::db::{Db, Engine};

/// How long a listener waits for a ring before it looks anyway.
pub const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// Between a lost connection and the next one.
const AGAIN: Duration = Duration::from_secs(1);

/// Whose bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Gateway,
    Portal,
}

impl Door {
    fn socket(self, directory: &Path) -> PathBuf {
        directory.join(match self {
            Self::Gateway => "gateway.bell",
            Self::Portal => "portal.bell",
        })
    }

    fn channel(self) -> &'static str {
        match self {
            Self::Gateway => "sealpost_gateway",
            Self::Portal => "sealpost_portal",
        }
    }

    fn notify(self) -> &'static str {
        match self {
            Self::Gateway => "notify sealpost_gateway",
            Self::Portal => "notify sealpost_portal",
        }
    }
}

/// Rings the other side.
#[derive(Debug)]
pub struct Ringer(Rope);

#[derive(Debug)]
enum Rope {
    Socket { socket: Option<UnixDatagram>, target: PathBuf },
    // The task ends with the set.
    Channel { pulled: Arc<Notify>, _passes_on: JoinSet<()> },
}

impl Ringer {
    /// `directory` holds the socket where the vault is SQLite. Needs a runtime.
    pub fn new(vault: &Db, directory: &Path, door: Door) -> Self {
        match vault.engine() {
            Engine::Sqlite => {
                Self(Rope::Socket { socket: UnixDatagram::unbound().ok(), target: door.socket(directory) })
            }
            Engine::Postgres => {
                let pulled = Arc::new(Notify::new());
                let mut passes_on = JoinSet::new();
                passes_on.spawn(pass_on(vault.clone(), door, Arc::clone(&pulled)));
                Self(Rope::Channel { pulled, _passes_on: passes_on })
            }
        }
    }

    /// Never blocks, never fails: the listener looks by itself too.
    pub fn ring(&self) {
        match &self.0 {
            Rope::Socket { socket: Some(socket), target } => {
                let _ = socket.try_send_to(b"!", target);
            }
            Rope::Socket { socket: None, .. } => {}
            Rope::Channel { pulled, .. } => pulled.notify_one(),
        }
    }
}

/// One statement at a time, however often the rope is pulled meanwhile: several pulls are one look.
async fn pass_on(vault: Db, door: Door, pulled: Arc<Notify>) {
    loop {
        pulled.notified().await;
        if let Err(error) = vault.writer().execute(door.notify()).await {
            tracing::debug!(%error, ?door, "a ring was lost; the door looks by itself");
        }
    }
}

/// Hears one's own bell.
#[derive(Debug)]
pub struct Listener(Ear);

#[derive(Debug)]
enum Ear {
    Socket(Option<UnixDatagram>),
    // The task ends with the set.
    Channel { rung: Arc<Notify>, _hears: JoinSet<()> },
}

impl Listener {
    /// Takes the place of a listener that died. Needs a runtime.
    pub fn bind(vault: &Db, directory: &Path, door: Door) -> Self {
        match vault.engine() {
            Engine::Sqlite => {
                let path = door.socket(directory);
                let _ = std::fs::remove_file(&path);
                let bound = UnixDatagram::bind(&path);
                if let Err(error) = &bound {
                    tracing::warn!(%error, "no bell: looking once a second instead");
                }
                Self(Ear::Socket(bound.ok()))
            }
            Engine::Postgres => {
                let rung = Arc::new(Notify::new());
                let mut hears = JoinSet::new();
                hears.spawn(hear(vault.clone(), door, Arc::clone(&rung)));
                Self(Ear::Channel { rung, _hears: hears })
            }
        }
    }

    /// Returns when rung, or after [`LOOK_ANYWAY`].
    pub async fn wait(&self) {
        self.rung_within(LOOK_ANYWAY).await;
    }

    /// Returns true when rung, false after `patience`. Rings since the last call count, as one.
    pub async fn rung_within(&self, patience: Duration) -> bool {
        let rung = async {
            match &self.0 {
                Ear::Socket(Some(socket)) => {
                    let mut buffer = [0; 16];
                    let _ = socket.recv(&mut buffer).await;
                    while socket.try_recv(&mut buffer).is_ok() {}
                }
                Ear::Socket(None) => std::future::pending().await,
                Ear::Channel { rung, .. } => rung.notified().await,
            }
        };
        tokio::time::timeout(patience, rung).await.is_ok()
    }
}

/// Listens on a connection of its own, and on a new one when that is lost. A task of its own, because an interrupted wait
/// on the connection would lose what it had half read.
async fn hear(vault: Db, door: Door, rung: Arc<Notify>) {
    loop {
        let Err(error) = hear_until_lost(&vault, door, &rung).await;
        tracing::warn!(%error, "the bell is not heard: looking once a second until it is again");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn hear_until_lost(vault: &Db, door: Door, rung: &Notify) -> Result<std::convert::Infallible, sqlx::Error> {
    let any = vault.reader().connect_options();
    let options = PgConnectOptions::try_from(any.as_ref())?.application_name("sealpost bell");
    // A pool for each listener: one connection, of which nothing is taken over to the next.
    let pool =
        PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_with(options).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    // What is lost is reported to us instead of mended unseen: what rang meanwhile is made up for by one look.
    listener.eager_reconnect(false);
    listener.listen(door.channel()).await?;
    tracing::debug!(?door, "the bell is heard");
    rung.notify_one();
    while listener.try_recv().await?.is_some() {
        rung.notify_one();
    }
    Err(sqlx::Error::WorkerCrashed)
}
