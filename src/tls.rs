//! The certificate of our listeners: read from PEM files, and read again when they change, so that a renewed one is
//! taken up without a restart.
//!
//! A changed file that can't be used is logged, and the certificate before it stays: half-written files are normal
//! while a renewal runs.
//!
//! Security: ring as the one provider, TLS 1.2 and 1.3 only. The key stays in this process.
//!
//! Standards: RFC 8446, RFC 9325.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use sealpost_gateway::smtp::ClientCertificates;
use tracing::{error, info};

/// How often the files are looked at, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("can't read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is not a PEM file with what it should hold: {source}", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", path.display())]
    Empty { path: PathBuf },
    #[error("certificate and key can't be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// What a listener needs to speak TLS: `certificate` is a PEM chain with the server's own first, `key` its private key.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    with_clients(certificate, key, WebPkiClientVerifier::no_client_auth())
}

/// The same, where clients may be inside by a certificate of theirs.
pub fn smtp_config(
    certificate: &Path,
    key: &Path,
    clients: Option<Arc<ClientCertificates>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    match clients {
        Some(clients) => with_clients(certificate, key, clients),
        None => server_config(certificate, key),
    }
}

fn with_clients(
    certificate: &Path,
    key: &Path,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let certificate = Reloading::load(certificate, key, INTERVAL)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(certificate));
    Ok(Arc::new(config))
}

/// The certificate in use.
#[derive(Debug)]
struct Reloading {
    files: Files,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct State {
    current: Arc<CertifiedKey>,
    /// Of the files that were read last, whether they could be used or not.
    stamp: Option<Stamp>,
    looked_at: Instant,
}

/// How a change is noticed.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    certificate: (SystemTime, u64),
    key: (SystemTime, u64),
}

impl Reloading {
    fn load(certificate: &Path, key: &Path, interval: Duration) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        // The stamp first: a change while we read is seen as a change later.
        let stamp = files.stamp().ok();
        let current = Arc::new(files.read()?);
        Ok(Self { files, interval, state: Mutex::new(State { current, stamp, looked_at: Instant::now() }) })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() >= self.interval {
            state.looked_at = Instant::now();
            self.refresh(&mut state);
        }
        Arc::clone(&state.current)
    }

    fn refresh(&self, state: &mut State) {
        // A file that is missing for a moment is no change yet.
        let Ok(stamp) = self.files.stamp() else { return };
        if state.stamp.as_ref() == Some(&stamp) {
            return;
        }
        let path = self.files.certificate.display();
        match self.files.read() {
            Ok(certificate) => {
                info!(%path, "certificate reloaded");
                state.current = Arc::new(certificate);
            }
            Err(error) => error!(%path, %error, "the changed certificate can't be used; the one before it stays"),
        }
        state.stamp = Some(stamp);
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl Files {
    fn stamp(&self) -> io::Result<Stamp> {
        let of = |metadata: Metadata| Ok::<_, io::Error>((metadata.modified()?, metadata.len()));
        Ok(Stamp { certificate: of(self.certificate.metadata()?)?, key: of(self.key.metadata()?)? })
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
            .map_err(|source| failed(&self.certificate, source))?;
        if chain.is_empty() {
            return Err(TlsError::Empty { path: self.certificate.clone() });
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| failed(&self.key, source))?;
        // Also finds a key that belongs to another certificate.
        Ok(CertifiedKey::from_der(chain, key, &ring::default_provider())?)
    }
}

fn failed(path: &Path, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::File { path, source },
        source => TlsError::Pem { path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
    use tempfile::TempDir;

    use super::*;

    /// Two PEM files, and a way to replace them.
    struct Pair {
        _directory: TempDir,
        certificate: PathBuf,
        key: PathBuf,
    }

    struct Made {
        certificate: String,
        key: String,
        der: CertificateDer<'static>,
    }

    fn make() -> Made {
        let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
        Made { certificate: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }

    impl Pair {
        fn with(made: &Made) -> Self {
            let directory = TempDir::new().unwrap();
            let pair = Self {
                certificate: directory.path().join("certificate.pem"),
                key: directory.path().join("key.pem"),
                _directory: directory,
            };
            fs::write(&pair.certificate, &made.certificate).unwrap();
            fs::write(&pair.key, &made.key).unwrap();
            pair
        }

        /// Replaces a file as renewals do; `minutes` sets it apart from every version before.
        fn replace(path: &Path, text: &str, minutes: u64) {
            fs::write(path, text).unwrap();
            let modified = SystemTime::now() + Duration::from_secs(60 * minutes);
            fs::File::options().append(true).open(path).unwrap().set_modified(modified).unwrap();
        }

        fn load(&self, interval: Duration) -> Result<Reloading, TlsError> {
            Reloading::load(&self.certificate, &self.key, interval)
        }
    }

    fn served(reloading: &Reloading) -> CertificateDer<'static> {
        reloading.current().cert.first().unwrap().clone()
    }

    #[test]
    fn replaced_certificate_is_taken_up_and_a_broken_one_is_not() {
        let (one, two, three) = (make(), make(), make());
        let pair = Pair::with(&one);
        let reloading = pair.load(Duration::ZERO).unwrap();
        assert_eq!(served(&reloading), one.der);

        // Half of the renewal: the key doesn't fit yet.
        Pair::replace(&pair.certificate, &two.certificate, 1);
        assert_eq!(served(&reloading), one.der);
        Pair::replace(&pair.key, &two.key, 1);
        assert_eq!(served(&reloading), two.der);

        for (minutes, broken) in [(2, ""), (3, "no PEM"), (4, two.certificate.get(..200).unwrap())] {
            Pair::replace(&pair.certificate, broken, minutes);
            assert_eq!(served(&reloading), two.der, "{broken:?}");
        }
        fs::remove_file(&pair.certificate).unwrap();
        assert_eq!(served(&reloading), two.der);

        Pair::replace(&pair.certificate, &three.certificate, 5);
        Pair::replace(&pair.key, &three.key, 5);
        assert_eq!(served(&reloading), three.der);
    }

    #[test]
    fn files_are_not_looked_at_for_each_handshake() {
        let (one, two) = (make(), make());
        let pair = Pair::with(&one);
        let reloading = pair.load(Duration::from_secs(3600)).unwrap();
        Pair::replace(&pair.certificate, &two.certificate, 1);
        Pair::replace(&pair.key, &two.key, 1);
        assert_eq!(served(&reloading), one.der);
    }

    #[test]
    fn unusable_files_are_refused_at_the_start() {
        let (one, two) = (make(), make());
        let check = |certificate: &str, key: &str, expected: fn(&TlsError) -> bool| {
            let pair = Pair::with(&one);
            fs::write(&pair.certificate, certificate).unwrap();
            fs::write(&pair.key, key).unwrap();
            let error = server_config(&pair.certificate, &pair.key).unwrap_err();
            assert!(expected(&error), "{error:?}");
        };
        check("", &one.key, |error| matches!(error, TlsError::Empty { .. }));
        check(&one.certificate, "", |error| matches!(error, TlsError::Pem { .. }));
        check(&one.certificate, &two.key, |error| matches!(error, TlsError::Unusable(_)));
        let nowhere = Path::new("/nonexistent/certificate.pem");
        assert!(matches!(server_config(nowhere, nowhere), Err(TlsError::File { .. })));
    }

    #[test]
    fn handshake_is_made_with_the_certificate() {
        let (one, other) = (make(), make());
        let pair = Pair::with(&one);
        let config = server_config(&pair.certificate, &pair.key).unwrap();
        for version in [&TLS12, &TLS13] {
            assert_eq!(shake(&config, &one.der, version), Ok(()), "{version:?}");
            assert!(shake(&config, &other.der, version).is_err(), "another certificate is not believed");
        }
    }

    /// A handshake in memory, with a client that trusts `root` only.
    fn shake(
        config: &Arc<ServerConfig>,
        root: &CertificateDer<'static>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone())?;
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("gateway.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::clone(config))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut sent).unwrap();
            }
            server.read_tls(&mut sent.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut answered = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut answered).unwrap();
            }
            client.read_tls(&mut answered.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }
}
