//! How a session begins: the proxy's header, TLS where it comes first, the banner; and how it goes on after STARTTLS.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::info;

use super::super::admission::Admitted;
use super::super::proxy::{self, ProxyError, Speaker};
use super::super::reply::{Reply, Security};
use super::super::settings::Encryption;
use super::super::wire::Wire;
use super::super::{Client, Intake};
use super::{Farewell, House, Outcome, Session, Standing};
use crate::Rejection;

/// A handshake is two round trips; who needs longer is holding a place. A proxy's header is less.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Talks with one client until it leaves.
pub(in crate::smtp) async fn attend<I: Intake>(
    house: &House<I>,
    mut stream: TcpStream,
    peer: IpAddr,
    mut seat: Admitted,
) {
    let settings = &house.settings;
    let mut client = peer;
    if settings.is_proxy(peer) {
        let heard = tokio::select! {
            () = house.stop.cancelled() => return,
            heard = timeout(settings.command_timeout.min(HANDSHAKE), speaker(&mut stream)) => heard,
        };
        let refused = match heard {
            Ok(Ok(Ok(Speaker::Client(address)))) => {
                info!(client = %address, "spoken for by a proxy");
                client = address;
                seat.belongs_to(address, settings)
            }
            Ok(Ok(Ok(Speaker::Itself))) => seat.belongs_to(peer, settings),
            Ok(Ok(Err(error))) => {
                info!(%error, "a proxy can't be understood");
                Err(Rejection::NO_PROXY_HEADER)
            }
            Ok(Err(_)) | Err(_) => return,
        };
        if let Err(rejection) = refused {
            info!(%rejection, "turned away");
            return Wire::new(stream).leave(Some(rejection.into()), &house.stop).await;
        }
    }
    let mut session = Session::new(house, client, seat);
    if settings.encryption == Encryption::FromTheStart {
        let Some(config) = &house.tls else { return };
        let Some(stream) = handshake(house, config, stream).await else { return };
        session.secure(&stream);
        let mut wire = Wire::new(stream);
        if let Some(farewell) = session.greeted(&mut wire).await {
            wire.leave(farewell.words(), &house.stop).await;
        }
        return;
    }
    let mut wire = Wire::new(stream);
    match (session.greeted(&mut wire).await, &house.tls) {
        (Some(farewell), _) => wire.leave(farewell.words(), &house.stop).await,
        (None, None) => {}
        (None, Some(config)) => {
            let Some(stream) = handshake(house, config, wire.into_stream()).await else { return };
            let Session { peer, client: Client { address, .. }, seat, is_introduced, patience, failures, .. } = session;
            let mut session = Session { is_introduced, patience, failures, ..Session::new(house, peer, seat) };
            session.client.address = address;
            session.secure(&stream);
            let mut wire = Wire::new(stream);
            if let Outcome::Left(farewell) = session.converse(&mut wire).await {
                wire.leave(farewell.words(), &house.stop).await;
            }
        }
    }
}

/// Reads a proxy's header and not an octet more.
async fn speaker(stream: &mut TcpStream) -> io::Result<Result<Speaker, ProxyError>> {
    let mut prefix = [0; proxy::PREFIX];
    stream.read_exact(&mut prefix).await?;
    let mut body = match proxy::length(&prefix) {
        Ok(length) => vec![0; length],
        Err(error) => return Ok(Err(error)),
    };
    stream.read_exact(&mut body).await?;
    Ok(proxy::speaker(&prefix, &body))
}

async fn handshake<I>(house: &House<I>, config: &Arc<ServerConfig>, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
    let secured = tokio::select! {
        () = house.stop.cancelled() => return None,
        secured = timeout(house.settings.command_timeout.min(HANDSHAKE), handshake) => secured,
    };
    match secured {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => info!(%error, "TLS handshake failed"),
        Err(_) => info!("TLS handshake timed out"),
    }
    None
}

impl<I: Intake> Session<'_, I> {
    /// After a handshake: what the client has shown in it, if it is the client who made it.
    fn secure(&mut self, stream: &TlsStream<TcpStream>) {
        self.security = Security::Active;
        self.client.tls = true;
        if self.is_introduced {
            return;
        }
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        if self.house.settings.certificates.as_ref().is_some_and(|listed| listed.admit(chain)) {
            info!("inside by its certificate");
            self.standing = Standing::Certificate;
        }
    }

    /// The banner and all that follows. `None` is a handshake.
    async fn greeted<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> Option<Farewell> {
        // RFC 5321 4.3.1: a client waits for the greeting. Who doesn't, isn't a mail server.
        match wire.is_early(self.house.settings.greet_wait).await {
            Err(_) => return Some(Farewell::Silent),
            Ok(true) => {
                let farewell = Farewell::Refused(Rejection::EARLY_TALKER);
                farewell.log();
                return Some(farewell);
            }
            Ok(false) => wire.say(&Reply::greeting(&self.house.settings)),
        }
        match self.converse(wire).await {
            Outcome::Left(farewell) => Some(farewell),
            Outcome::Handshake => None,
        }
    }
}
