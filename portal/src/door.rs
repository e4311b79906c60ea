//! The door itself: accepts connections, with TLS or without, within limits, until it is told to stop.
//!
//! Our own loop instead of the framework's, because a door to the Internet needs what that one doesn't limit: connections
//! at once, time for a handshake, time and size for a request's head. At a stop, what is being answered is finished.
//!
//! Security: whoever connects is unknown. A slow or silent client costs one connection for a bounded time.
//! Standards: RFC 9112, RFC 8446.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use sealpost_vault::bell::{Door, Listener};
use sealpost_vault::{BlobStore, Clock, Db, seldom};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::places::Places;
use self::unstalled::Unstalled;
use crate::housekeeping;
use crate::portal::{Portal, PortalError, Settings};
use crate::visitor::Peer;

mod places;
mod unstalled;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 1000;
/// Of one address; more are closed at once. Many readers may sit behind one address of a mobile network.
const PER_CLIENT: usize = 200;
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For a request's head, and for the silence before the next one.
const HEAD: Duration = Duration::from_secs(15);
/// Of a request's head, in bytes.
const HEAD_SIZE: usize = 16 * 1024;
/// Header fields of a request.
const FIELDS: usize = 64;
/// For a client to take a piece of an answer.
const STALL: Duration = Duration::from_secs(60);
/// For what is being answered when we are told to stop.
const FAREWELL: Duration = Duration::from_secs(20);

/// Serves the portal until `stop`. HTTPS where `tls` is given; the vault must be migrated.
#[expect(clippy::too_many_arguments, reason = "called once, by the composition root, with what it made")]
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    vault: Db,
    blobs: BlobStore,
    bell_directory: &Path,
    settings: Settings,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), PortalError> {
    let bell = Listener::bind(&vault, bell_directory, Door::Portal);
    let portal = Portal::new(vault, blobs, bell_directory, settings, clock)?;
    // Answers are still heard while the last requests are finished.
    let closed = CancellationToken::new();
    let hearing = tokio::spawn(portal.clone().hear(bell, closed.clone()));
    let sweeping = tokio::spawn(housekeeping::run(portal.clone(), stop.clone()));
    let places = Places::new(PER_CLIENT, portal.proxies.clone());
    accept(listener, tls.map(TlsAcceptor::from), portal.router(), places, stop).await;
    closed.cancel();
    let _ = tokio::join!(hearing, sweeping);
    Ok(())
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Places,
    stop: CancellationToken,
) {
    let all = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let next = async || {
        let one_of_all = all.clone().acquire_owned().await.ok()?;
        Some((one_of_all, listener.accept().await))
    };
    while let Some(Some((one_of_all, accepted))) = stop.run_until_cancelled(next()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a client that left: others may leave soon.
                seldom!(error, |left_out| tracing::warn!(%error, left_out, "a connection could not be accepted"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = places.take(peer.ip()) else {
            tracing::debug!("a client has too many connections");
            continue;
        };
        let (tls, router, watcher) = (tls.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection(stream, peer, tls, router, watcher).await;
            drop((place, one_of_all));
        });
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router, watcher: Watcher) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(stream, peer, router, watcher).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, peer, router, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn converse<S>(stream: S, peer: SocketAddr, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_SIZE)
        .max_headers(FIELDS)
        .serve_connection(TokioIo::new(Unstalled::new(stream, STALL)), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
