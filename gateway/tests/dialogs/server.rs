//! A real server on a loopback port, with an intake that remembers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sealpost_gateway::smtp::{
    Client, ClientCertificates, Door, Intake, ReceivedMessage, Scratch, Settings, Users, serve,
};
use sealpost_gateway::{Rejection, ReversePath};
use sealpost_vault::{Clock, EmailAddress, Time};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// 2026-01-01.
pub const NOW: Time = 1_767_225_600;

/// How the intake takes what it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Willing,
    /// No space: says so before the data.
    Full,
    /// No space: finds out after the data.
    FullAfterwards,
    /// The store doesn't answer: known before the data.
    Trouble,
    /// The same: found out after the data.
    TroubleAfterwards,
    Policy,
    /// Ends the connection.
    Leaving,
}

impl Mood {
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "full" => Self::Full,
            "full-afterwards" => Self::FullAfterwards,
            "trouble" => Self::Trouble,
            "trouble-afterwards" => Self::TroubleAfterwards,
            "policy" => Self::Policy,
            "leaving" => Self::Leaving,
            _ => return None,
        })
    }
}

/// Refuses recipients named nobody, puts off those named later, keeps everything else.
pub struct Remembering {
    mood: Mood,
    pub accepted: Mutex<Vec<ReceivedMessage>>,
    /// A message is taken only with a permit.
    pub gate: Semaphore,
    /// One permit for each message that has come here.
    pub offered: Semaphore,
    pub scratch: Option<Scratch>,
}

impl Intake for Remembering {
    async fn recipient(&self, _: &Client, _: &ReversePath, to: &EmailAddress) -> Result<(), Rejection> {
        match to.local() {
            "nobody" => Err(Rejection::NOT_A_RETURN),
            "later" => Err(Rejection::TEMPORARY),
            _ => Ok(()),
        }
    }

    async fn ready(&self) -> Result<(), Rejection> {
        match self.mood {
            Mood::Full => Err(Rejection::STORAGE_FULL),
            Mood::Trouble => Err(Rejection::TEMPORARY),
            _ => Ok(()),
        }
    }

    fn scratch(&self) -> Option<Scratch> {
        self.scratch.clone()
    }

    async fn message(&self, message: ReceivedMessage) -> Result<(), Rejection> {
        self.offered.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        match self.mood {
            Mood::Willing => {
                self.accepted.lock().unwrap().push(message);
                Ok(())
            }
            Mood::Full | Mood::FullAfterwards => Err(Rejection::STORAGE_FULL),
            Mood::Trouble | Mood::TroubleAfterwards => Err(Rejection::TEMPORARY),
            Mood::Policy => Err(Rejection::POLICY),
            Mood::Leaving => Err(Rejection::SHUTTING_DOWN),
        }
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub intake: Arc<Remembering>,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

/// Starts a server whose intake takes `permits` messages.
pub async fn start(
    settings: Settings,
    door: Door,
    tls: Option<Arc<ServerConfig>>,
    mood: Mood,
    permits: usize,
) -> Server {
    start_with(settings, door, tls, mood, permits, None).await
}

/// The same; large messages lie in `scratch` while they come in.
pub async fn start_with(
    settings: Settings,
    door: Door,
    tls: Option<Arc<ServerConfig>>,
    mood: Mood,
    permits: usize,
    scratch: Option<Scratch>,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let intake = Arc::new(Remembering {
        mood,
        accepted: Mutex::default(),
        gate: Semaphore::new(permits),
        offered: Semaphore::new(0),
        scratch,
    });
    let stop = CancellationToken::new();
    let clock = Clock::fixed(NOW);
    let serving = serve(listener, door, Arc::new(settings), tls, Arc::clone(&intake), clock, stop.clone());
    Server { address, intake, stop, task: tokio::spawn(serving) }
}

/// The certificate that a client shows, and why it should count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    /// Listed by its fingerprint.
    Listed,
    /// Issued by a listed authority.
    Issued,
    /// Names the authority, which has not issued it.
    Forged,
    /// Issued, but for servers only.
    ForServers,
    Stranger,
}

impl Shown {
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "listed" => Self::Listed,
            "issued" => Self::Issued,
            "forged" => Self::Forged,
            "for-servers" => Self::ForServers,
            "stranger" => Self::Stranger,
            _ => return None,
        })
    }

    /// What the server lists, and what the client shows.
    fn make(self) -> (ClientCertificates, Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>) {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            (certificate, Issuer::new(params, key))
        };
        let (listed, issuer) = authority("authority");
        let (_, forger) = authority("authority");
        let mut params = CertificateParams::new(["client.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![match self {
            Self::ForServers => ExtendedKeyUsagePurpose::ServerAuth,
            _ => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate().unwrap();
        let certificate = match self {
            Self::Issued | Self::ForServers => params.signed_by(&key, &issuer),
            Self::Forged => params.signed_by(&key, &forger),
            Self::Nothing | Self::Listed | Self::Stranger => params.self_signed(&key),
        };
        let certificate = certificate.unwrap().der().clone();
        let fingerprint = ring::digest::digest(&ring::digest::SHA256, &certificate).as_ref().try_into().unwrap();
        let fingerprints = if self == Self::Listed { vec![fingerprint] } else { vec![[0; 32]] };
        let mut roots = RootCertStore::empty();
        roots.add(listed.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let shown = (self != Self::Nothing).then_some((certificate, key));
        (ClientCertificates::new(fingerprints, roots).unwrap(), shown)
    }
}

/// `name password`, hashed as cheaply as it gets.
pub fn users(pair: &str) -> Arc<Users> {
    let (name, password) = pair.split_once(' ').unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let salt = SaltString::from_b64("c2FsdHNhbHQ").unwrap();
    let hash = argon2.hash_password(password.as_bytes(), &salt).unwrap();
    Arc::new(Users::parse(&format!("{name}:{hash}")).unwrap())
}

/// Both sides of a TLS connection to `gateway.example`.
pub struct Tls {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
    pub certificates: Arc<ClientCertificates>,
}

impl Tls {
    pub fn new(shown: Shown) -> Self {
        let (certificates, shown) = shown.make();
        let certificates = Arc::new(certificates);
        let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&certificates) as _)
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match shown {
            None => client.with_no_client_auth(),
            Some((certificate, key)) => client.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        Self { server: Arc::new(server), client: Arc::new(client), certificates }
    }
}
