//! Accepts connections until it is told to stop, and then waits for the conversations to end.
//!
//! Security: a flood costs one short write per refused connection and no memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use sealpost_vault::{Clock, seldom};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::admission::Admission;
use super::memory::Memory;
use super::reply::Reply;
use super::session::{House, attend};
use super::settings::Settings;
use super::{Door, Intake};

/// After a failed accept (no more file descriptors): let sessions end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For the last reply of a session that was in the middle of a message when we stopped.
const STOP_SLACK: Duration = Duration::from_secs(5);

/// Serves one listener. Returns when `stop` was cancelled and every session has ended: idle ones at once with 421,
/// one in the middle of a message when it is through, at the latest after [`Settings::stop_grace`].
/// STARTTLS is offered if there is a `tls`.
pub async fn serve<I: Intake>(
    listener: TcpListener,
    door: Door,
    settings: Arc<Settings>,
    tls: Option<Arc<ServerConfig>>,
    intake: Arc<I>,
    clock: Clock,
    stop: CancellationToken,
) {
    let memory = Memory::new(settings.max_memory, settings.max_size, settings.memory_wait);
    let stop_grace = settings.stop_grace;
    let scratch = intake.scratch();
    let house = Arc::new(House { door, settings, tls, intake, clock, memory, scratch, stop: stop.clone() });
    let admission = Admission::default();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = sessions.join_next() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => open(&house, &admission, &mut sessions, stream, peer.ip().to_canonical()).await,
                Err(error) => {
                    seldom!(error, |left_out| warn!(%error, left_out, "can't accept a connection"));
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async {
        while let Some(ended) = sessions.join_next().await {
            report(ended);
        }
    };
    if timeout(stop_grace + STOP_SLACK, ended).await.is_err() {
        warn!(sessions = sessions.len(), "sessions cut off at the stop");
        sessions.shutdown().await;
    }
}

/// Begins a session, or turns the client away.
async fn open<I: Intake>(
    house: &Arc<House<I>>,
    admission: &Admission,
    sessions: &mut JoinSet<()>,
    mut stream: TcpStream,
    address: IpAddr,
) {
    let span = info_span!("smtp", door = ?house.door, client = %address);
    let admitted = admission.admit(&house.settings).and_then(|mut admitted| {
        // Who speaks for others is counted as them.
        if !house.settings.is_proxy(address) && !house.settings.may_introduce(address) {
            admitted.belongs_to(address, &house.settings)?;
        }
        Ok(admitted)
    });
    match admitted {
        Ok(admitted) => {
            // Replies are gathered already.
            if let Err(error) = stream.set_nodelay(true) {
                warn!(parent: &span, %error, "can't set TCP_NODELAY");
            }
            let house = Arc::clone(house);
            let session = async move {
                attend(&house, stream, address, admitted).await;
            };
            sessions.spawn(session.instrument(span));
        }
        Err(rejection) => {
            info!(parent: &span, %rejection, "turned away");
            let mut words = Vec::new();
            Reply::from(rejection).write(&mut words);
            // The send buffer is empty: this doesn't wait, or the client is gone.
            let _gone = timeout(ACCEPT_PAUSE, stream.write_all(&words)).await;
        }
    }
}

/// A session that panicked has lost its own client only; the message is still the client's.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a session ended by a defect");
    }
}
