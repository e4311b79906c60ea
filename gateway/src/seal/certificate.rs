//! A reader's certificate: made in the reader's browser, checked here before anything is sealed to it or believed from it.
//!
//! It never expires and can't be revoked: an account ends by another enrolment or by its administration, and the pin says
//! so. That keeps clocks of browsers out of the question whether a letter can be sealed.
//!
//! Security: a stranger's bytes. Their shape is walked over before the OpenPGP library sees them; what passes has exactly
//! one key for each purpose, each bound by a signature that verifies.
//! Standards: RFC 9580 10.1 (certificates), 5.1.2 (PKESK version 6), 5.2 (signatures).

use std::time::UNIX_EPOCH;

use sealpost_vault::{Identity, Time};
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::key::{PublicParts, SubordinateRole};
use sequoia_openpgp::packet::{Key, PKESK, Signature};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{HashAlgorithm, RevocationStatus, SignatureType};
use sequoia_openpgp::{Fingerprint, Packet};

use super::letter::SealError;
use super::shape::{self, ShapeError};

/// A certificate that passed, for one address.
#[derive(Clone)]
pub struct ReaderCertificate {
    bytes: Vec<u8>,
    fingerprint: [u8; 32],
    certificate: Cert,
    encryption: Key<PublicParts, SubordinateRole>,
    made_at: Time,
}

/// Why a certificate isn't taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum CertificateError {
    #[error("the certificate's shape: {0}")]
    Shape(#[from] ShapeError),
    #[error("the OpenPGP library can't read it")]
    Unreadable,
    #[error("one of its own signatures is missing or wrong")]
    Unbound,
    #[error("it expires or was revoked")]
    Ends,
    #[error("its keys are not for certifying, signing and encrypting")]
    Flags,
}

impl ReaderCertificate {
    /// Checks a certificate for a reader; nothing is left open but whose it is.
    pub fn check(bytes: &[u8], reader: &Identity) -> Result<Self, CertificateError> {
        shape::reader_certificate(bytes, reader.as_str().as_bytes())?;
        let certificate = Cert::from_bytes(bytes).map_err(|_| CertificateError::Unreadable)?;
        let Fingerprint::V6(fingerprint) = certificate.fingerprint() else { return Err(CertificateError::Unreadable) };
        // What verified, and nothing besides: the walk counted three.
        let signatures: Vec<&Signature> = certificate
            .primary_key()
            .self_signatures()
            .chain(certificate.userids().flat_map(|user| user.self_signatures()))
            .chain(certificate.keys().subkeys().flat_map(|key| key.self_signatures()))
            .collect();
        if signatures.len() != 3 || certificate.bad_signatures().next().is_some() {
            return Err(CertificateError::Unbound);
        }
        if signatures
            .iter()
            .any(|made| made.key_validity_period().is_some() || made.signature_validity_period().is_some())
        {
            return Err(CertificateError::Ends);
        }
        let last = signatures.iter().filter_map(|made| made.signature_creation_time()).max();
        let last = last.ok_or(CertificateError::Unbound)?.max(certificate.primary_key().key().creation_time());
        // As of its own making: neither the browser's clock nor ours decides.
        let policy = StandardPolicy::new();
        let valid = certificate.with_policy(&policy, last).map_err(|_| CertificateError::Unbound)?;
        if valid.alive().is_err() || !matches!(valid.revocation_status(), RevocationStatus::NotAsFarAsWeKnow) {
            return Err(CertificateError::Ends);
        }
        let primary = valid.primary_key();
        if !primary.for_certification() || !primary.for_signing() || valid.userids().count() != 1 {
            return Err(CertificateError::Flags);
        }
        let encryption = valid
            .keys()
            .subkeys()
            .supported()
            .alive()
            .revoked(false)
            .for_transport_encryption()
            .next()
            .ok_or(CertificateError::Flags)?
            .key()
            .clone();
        let made_at = last.duration_since(UNIX_EPOCH).ok().and_then(|since| Time::try_from(since.as_secs()).ok());
        Ok(Self {
            bytes: bytes.to_vec(),
            fingerprint,
            encryption,
            made_at: made_at.ok_or(CertificateError::Unbound)?,
            certificate,
        })
    }

    /// As it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// When it was made, by the browser's clock.
    pub fn made_at(&self) -> Time {
        self.made_at
    }

    /// Seals a session key for this certificate: one PKESK.
    pub(crate) fn wrap(&self, session_key: &SessionKey) -> Result<Vec<u8>, SealError> {
        let packet = PKESK::V6(sequoia_openpgp::packet::pkesk::PKESK6::for_recipient(session_key, &self.encryption)?);
        Ok(Packet::from(packet).to_vec()?)
    }

    /// Whether a key packet names this certificate's encryption key, and has the one shape. What is inside, only the
    /// reader's browser finds out.
    pub fn is_named_in(&self, key_packet: &[u8]) -> bool {
        if shape::key_packet_to_certificate(key_packet).is_err() {
            return false;
        }
        let Ok(Packet::PKESK(PKESK::V6(packet))) = Packet::from_bytes(key_packet) else { return false };
        packet.recipient() == Some(&self.encryption.fingerprint())
    }

    /// Whether `signature`, one detached signature packet, was made over `message` by the primary key.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        if shape::signature(signature).is_err() {
            return false;
        }
        matches!(Packet::from_bytes(signature), Ok(Packet::Signature(signature)) if self.made(&signature, message))
    }

    /// Whether the primary key made a signature over a binary document. When it was made doesn't matter: what is stated
    /// says by itself what it is about.
    pub(super) fn made(&self, signature: &Signature, message: &[u8]) -> bool {
        signature.version() == 6
            && signature.typ() == SignatureType::Binary
            && matches!(signature.hash_algo(), HashAlgorithm::SHA256 | HashAlgorithm::SHA512)
            && signature.verify_message(self.certificate.primary_key().key(), message).is_ok()
    }
}

#[cfg(test)]
mod tests;
