//! The bell: a wake-up without content. Who is rung looks into the vault.
//!
//! On one machine a bell is a Unix datagram socket in the vault's directory; ringing one that nobody hears is fine,
//! because every listener also looks by itself once in [`LOOK_ANYWAY`]. Nothing is ever read from it but "look".

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixDatagram;

/// How long a listener waits for a ring before it looks anyway.
pub const LOOK_ANYWAY: Duration = Duration::from_secs(1);

/// Whose bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Gateway,
    Portal,
}

fn socket(directory: &Path, door: Door) -> PathBuf {
    directory.join(match door {
        Door::Gateway => "gateway.bell",
        Door::Portal => "portal.bell",
    })
}

/// Rings the other side.
#[derive(Debug)]
pub struct Ringer {
    socket: Option<UnixDatagram>,
    target: PathBuf,
}

impl Ringer {
    pub fn new(directory: &Path, door: Door) -> Self {
        Self { socket: UnixDatagram::unbound().ok(), target: socket(directory, door) }
    }

    /// Never blocks, never fails: the listener looks by itself too.
    pub fn ring(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.try_send_to(b"!", &self.target);
        }
    }
}

/// Hears one's own bell.
#[derive(Debug)]
pub struct Listener(Option<UnixDatagram>);

impl Listener {
    /// Takes the place of a listener that died.
    pub fn bind(directory: &Path, door: Door) -> Self {
        let path = socket(directory, door);
        let _ = std::fs::remove_file(&path);
        let bound = UnixDatagram::bind(&path);
        if let Err(error) = &bound {
            tracing::warn!(%error, "no bell: looking once a second instead");
        }
        Self(bound.ok())
    }

    /// Returns when rung, or after [`LOOK_ANYWAY`].
    pub async fn wait(&self) {
        let rung = async {
            match &self.0 {
                Some(socket) => {
                    let mut buffer = [0; 16];
                    let _ = socket.recv(&mut buffer).await;
                    while socket.try_recv(&mut buffer).is_ok() {}
                }
                None => std::future::pending().await,
            }
        };
        let _ = tokio::time::timeout(LOOK_ANYWAY, rung).await;
    }
}
