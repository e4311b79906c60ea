//! Client certificates as a reason to be inside: one that is listed by its fingerprint, or that a listed authority has issued.
//!
//! Whoever shows another one, or none, is a stranger and goes on: the certificate is asked for, never demanded.
//!
//! Security: the handshake proves that the client has the key; an authority's certificate is checked with its dates and its
//! purpose (client authentication), a listed one stands for itself.
//!
//! Standards: RFC 5280, RFC 8446 4.4.2.

use std::fmt;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

/// SHA-256 of a certificate in DER.
pub type Fingerprint = [u8; 32];

/// Whose certificates are inside.
pub struct ClientCertificates {
    fingerprints: Vec<Fingerprint>,
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").field("fingerprints", &self.fingerprints.len()).finish_non_exhaustive()
    }
}

/// The authorities' certificates can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the authorities of client certificates can't be used: {0}")]
pub struct AuthoritiesError(String);

impl ClientCertificates {
    /// Both lists may be empty.
    pub fn new(fingerprints: Vec<Fingerprint>, authorities: RootCertStore) -> Result<Self, AuthoritiesError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities = if authorities.is_empty() {
            None
        } else {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider)).build();
            Some(verifier.map_err(|cause| AuthoritiesError(cause.to_string()))?)
        };
        Ok(Self { fingerprints, authorities, provider })
    }

    /// Whether who has shown this chain, its own certificate first, is inside.
    pub(super) fn admit(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((own, intermediates)) = chain.split_first() else { return false };
        let fingerprint = digest(&SHA256, own);
        let listed = self.fingerprints.iter().any(|listed| listed == fingerprint.as_ref());
        let issued = || {
            let verifier = self.authorities.as_ref()?;
            verifier.verify_client_cert(own, intermediates, UnixTime::now()).ok()
        };
        listed || issued().is_some()
    }
}

/// Takes any certificate whose key the client has. Whether it means anything is asked afterwards, by `admit`.
impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // With hints, a client that is listed by fingerprint would think that its certificate isn't wanted.
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
