//! The two doors, each in a process of its own: gateway (SMTP) and portal (HTTP).
//!
//! A door that is open says `ready` on standard output. One that was started by `serve` ends when its standard input does,
//! so that no door outlives the process that looks after it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use sealpost_gateway::audit::{self, Event};
use sealpost_gateway::keyring::{Keyring, MasterSource, Used};
use sealpost_gateway::queue::{Queue, Reporter};
use sealpost_gateway::{Gateway, queue, smtp};
use sealpost_vault::bell::{self, Listener};
use sealpost_vault::clock::Clock;
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::grants::{self, Separation};
use sealpost_vault::letters::publish_certificate;
use sealpost_vault::seldom;

use crate::alone::Alone;
use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::sandbox::Confined;
use crate::{parts, tls};

/// How long a graceful stop may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often the gateway looks whether its keys were changed.
const LOOK_AT_KEYS: Duration = Duration::from_secs(3);
/// Messages that are carried from the spool to the queue at once. Results that are ready together share a commit.
const WORKERS: usize = 48;

/// Who looks after this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// systemd or a person: ends on a signal.
    Nobody,
    /// `sealpost serve`: ends on a signal, and when standard input ends.
    Supervisor,
}

/// Cancelled by SIGTERM or SIGINT, and by the end of standard input where a supervisor holds it.
pub fn stop_signal(keeper: Keeper) -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).map_err(Failure::system)?,
        signal(SignalKind::interrupt()).map_err(Failure::system)?,
    );
    let token = stop.clone();
    tokio::spawn(async move {
        let supervisor_gone = async {
            match keeper {
                Keeper::Nobody => std::future::pending().await,
                Keeper::Supervisor => {
                    let mut byte = [0; 1];
                    let _ = tokio::io::stdin().read(&mut byte).await;
                }
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = supervisor_gone => {}
        }
        token.cancel();
    });
    Ok(stop)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| Failure::unavailable(format!("can't listen on {address}: {cause}")))
}

fn say_ready(keeper: Keeper, door: &str) {
    info!(door, "open");
    match keeper {
        Keeper::Supervisor => println!("ready"),
        Keeper::Nobody => tell_systemd(&[sd_notify::NotifyState::Ready]),
    }
}

/// Tells systemd, if it listens.
pub fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(states) {
        warn!(%cause, "systemd could not be told");
    }
}

/// Runs the gateway until it is told to stop.
pub async fn gateway(configuration: &Configuration, keeper: Keeper) -> Result<(), Failure> {
    let stop = stop_signal(keeper)?;
    let clock = Clock::system();
    let _alone = Alone::claim(configuration).await?;
    let (gateway, queue) = parts::gateway(configuration, clock.clone()).await?;
    let gateway = Arc::new(gateway);
    let keyring = gateway.keyring();
    publish_certificate(gateway.vault(), &keyring.fingerprint_hex(), &keyring.certificate(), clock.now()).await?;

    let client_certificates = configuration.smtp.client_certificates()?;
    let smtp_tls = match (&configuration.smtp.certificate, &configuration.smtp.key) {
        (Some(certificate), Some(key)) => {
            let clients = client_certificates.clone();
            Some(tls::smtp_config(certificate, key, clients).map_err(Failure::configuration)?)
        }
        _ => None,
    };
    let settings = Arc::new(configuration.smtp.settings(client_certificates)?);
    let inside = listen(configuration.smtp.listen).await?;
    let encrypted = match configuration.smtp.tls_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let returns = match configuration.smtp.returns_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let health = match configuration.smtp.health_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    // After the doors are ours: whoever has them already still works on what would be taken back.
    queue.take_back().await?;
    gateway.spool().take_back().await?;
    let reporter = Reporter::new(
        &configuration.smtp.hostname,
        configuration.mail.postmaster.clone(),
        &configuration.organisation.name,
        configuration.organisation.language,
    )
    .map_err(Failure::configuration)?;

    let sequencer = Arc::new(gateway.sequencer(configuration.audit_head()));
    let started = Event::GatewayStarted { version: env!("CARGO_PKG_VERSION") };
    audit::record_alone(gateway.own_store(), started, clock.now()).await?;

    let tasks = Tasks::new(&stop);
    tasks.spawn(Arc::clone(&sequencer).run(stop.clone()));
    let bell = Listener::bind(gateway.vault(), &configuration.vault_directory(), bell::Door::Gateway);
    // More than may do heavy work at once: the others wait for the disk.
    for _ in 0..WORKERS {
        tasks.spawn(Arc::clone(&gateway).work(stop.clone()));
    }
    tasks.spawn(Arc::clone(&gateway).answer_errands(bell, stop.clone()));
    tasks.spawn(Arc::clone(&gateway).keep_dates(stop.clone()));
    tasks.spawn(queue::run(
        queue.clone(),
        Arc::new(configuration.hops()?),
        configuration.manner(),
        Arc::clone(&gateway),
        reporter,
        stop.clone(),
    ));
    tasks.spawn(smtp::serve(
        inside,
        smtp::Door::Inside,
        Arc::clone(&settings),
        smtp_tls.clone(),
        Arc::clone(&gateway),
        clock.clone(),
        stop.clone(),
    ));
    if let Some(encrypted) = encrypted {
        tasks.spawn(smtp::serve(
            encrypted,
            smtp::Door::Inside,
            Arc::new(smtp::Settings { encryption: smtp::Encryption::FromTheStart, ..(*settings).clone() }),
            smtp_tls.clone(),
            Arc::clone(&gateway),
            clock.clone(),
            stop.clone(),
        ));
    }
    if let Some(returns) = returns {
        tasks.spawn(smtp::serve(
            returns,
            smtp::Door::Returns,
            settings,
            smtp_tls,
            Arc::clone(&gateway),
            clock.clone(),
            stop.clone(),
        ));
    }
    let keys = (configuration.keys.directory.clone(), configuration.master()?);
    tasks.spawn(until_keys_change(keys, Arc::clone(&gateway), stop.clone()));
    if let Some(health) = health {
        tasks.spawn(answer_health(health, queue, stop.clone()));
    }
    say_ready(keeper, "gateway");
    stop.cancelled().await;
    let ended = tasks.wind_up().await;
    // The last record is chained by whoever stops, so that nothing waits while nobody is there to chain it.
    let last = async {
        audit::record_alone(gateway.own_store(), Event::GatewayStopped, clock.now()).await?;
        sequencer.catch_up().await
    };
    if let Err(cause) = last.await {
        error!(%cause, "the audit doesn't say that the gateway stopped, or it isn't chained yet");
    }
    ended
}

/// Ends when the keys on this machine were changed, and all with it: what commands queue from then on is sealed under
/// keys that only a gateway started anew has.
async fn until_keys_change(
    (directory, master): (PathBuf, MasterSource),
    gateway: Arc<Gateway>,
    stop: CancellationToken,
) {
    let here = gateway.keyring().generation();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AT_KEYS) => {}
            () = stop.cancelled() => return,
        }
        let Ok(Some(used)) = Used::of(gateway.own_store()).await else { continue };
        // Another machine's may be newer than ours: then nothing is gained.
        let are_there =
            || Keyring::load(&directory, &master).is_ok_and(|keyring| keyring.generation() >= used.generation);
        if used.generation > here && are_there() {
            info!(generation = used.generation, "the keys were changed: the gateway starts anew to use them");
            return;
        }
    }
}

/// What the gateway does at once. A part that ends before it is told to takes all with it: a gateway that takes mail and
/// answers no errands would look alive, and whoever looks after it starts a whole one.
struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    broken: Arc<AtomicBool>,
}

impl Tasks {
    fn new(stop: &CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop: stop.clone(), broken: Arc::default() }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (work, stop, broken) = (tokio::spawn(work), self.stop.clone(), Arc::clone(&self.broken));
        self.tracker.spawn(async move {
            let ended = work.await;
            if ended.is_err() || !stop.is_cancelled() {
                error!("a part of the gateway ended by itself: all of it stops");
                broken.store(true, Ordering::SeqCst);
                stop.cancel();
            }
        });
    }

    async fn wind_up(self) -> Result<(), Failure> {
        self.tracker.close();
        if tokio::time::timeout(PATIENCE, self.tracker.wait()).await.is_err() {
            warn!("stopped before everything was finished; what was begun is taken up at the next start");
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err(Failure::system("a part of the gateway ended by itself"));
        }
        Ok(())
    }
}

/// `/health`: the process lives. `/ready`: its store takes a write.
async fn answer_health(listener: TcpListener, queue: Queue, stop: CancellationToken) {
    async fn ready(State(queue): State<Queue>) -> (StatusCode, &'static str) {
        match queue.ping().await {
            Ok(()) => (StatusCode::OK, "ready\n"),
            Err(cause) => {
                seldom!(cause, |left_out| error!(%cause, left_out, "not ready"));
                (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
            }
        }
    }
    let routes = Router::new().route("/health", get(async || "ok\n")).route("/ready", get(ready)).with_state(queue);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(cause) = served {
        error!(%cause, "health is no longer answered");
    }
}

/// Runs the portal until it is told to stop, locked out of everything but the vault.
pub async fn portal(configuration: &Configuration, keeper: Keeper, _confined: Confined) -> Result<(), Failure> {
    let stop = stop_signal(keeper)?;
    let tls = match (&configuration.portal.certificate, &configuration.portal.key) {
        (Some(certificate), Some(key)) => Some(tls::server_config(certificate, key).map_err(Failure::configuration)?),
        _ => None,
    };
    let listener = listen(configuration.portal.listen).await?;
    let settings = sealpost_portal::Settings {
        organisation: configuration.organisation.clone(),
        proxies: configuration.portal.proxies.clone(),
    };
    let vault = Db::connect(&configuration.portal_url(), Schema::Vault).await?;
    if grants::check(&vault).await? == Separation::Missing {
        warn!(
            "the portal's role could write the gateway's tables: give it one of its own (store.portal-url, store.portal-role)"
        );
    }
    let blobs = configuration.vault_blobs()?;
    say_ready(keeper, "portal");
    sealpost_portal::serve(
        listener,
        tls,
        vault,
        blobs,
        &configuration.vault_directory(),
        settings,
        Clock::system(),
        stop,
    )
    .await
    .map_err(Failure::unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_by_itself_stops_the_others() {
        let stop = CancellationToken::new();
        let tasks = Tasks::new(&stop);
        tasks.spawn(stop.clone().cancelled_owned());
        tasks.spawn(async { panic!("as the test wants") });
        stop.cancelled().await;
        assert!(tasks.wind_up().await.is_err());

        let stop = CancellationToken::new();
        let tasks = Tasks::new(&stop);
        tasks.spawn(stop.clone().cancelled_owned());
        stop.cancel();
        assert!(tasks.wind_up().await.is_ok());
    }
}
