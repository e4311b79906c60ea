//! The organisation's OpenPGP certificate: what readers trust, what slips and vouches are signed with, what replies are
//! sealed to.
//!
//! Version 6: an Ed25519 primary that only certifies (so that it can go offline and subkeys can be changed without
//! another fingerprint), Ed25519 subkeys that sign, X25519 subkeys that open replies, one User ID. It never signs mail.
//!
//! Standards: RFC 9580.

use std::time::SystemTime;

use sealpost_vault::Time;
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{HashAlgorithm, SignatureType};
use sequoia_openpgp::{Fingerprint, Packet};
use zeroize::Zeroizing;

use super::KeyringError;
use super::certificate::{self, Kind, SignerAtHand, refused};
use super::signer::OwnSigner;

/// Larger than any signature of ours.
const LARGEST_SIGNATURE: usize = 1024;

pub(crate) struct Organisation {
    certificate: Cert,
    public: Vec<u8>,
    fingerprint: [u8; 32],
    signer: SignerAtHand,
}

impl Organisation {
    pub(super) fn generate(name: &str, address: &str, now: Time) -> Result<Self, KeyringError> {
        Self::from_certificate(certificate::generate(Kind::Organisation, name, address, now)?)
            .ok_or(KeyringError::UserId)
    }

    /// `None`: not a certificate like the ones that `generate` makes.
    pub(super) fn from_secret_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_certificate(certificate::parse(bytes)?)
    }

    fn from_certificate(certificate: Cert) -> Option<Self> {
        let Fingerprint::V6(fingerprint) = certificate.fingerprint() else { return None };
        let public = certificate.to_vec().ok()?;
        let organisation = Self { certificate, public, fingerprint, signer: SignerAtHand::default() };
        organisation.signer()?;
        (!organisation.openers().is_empty()).then_some(organisation)
    }

    pub(super) fn secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        certificate::secret_bytes(&self.certificate)
    }

    /// With new subkeys. The primary binds them: the one at hand, or `offline` where it was taken out.
    pub(super) fn rotated(&self, offline: Option<KeyPair>, now: Time) -> Result<Self, KeyringError> {
        let primary = self.certificate.primary_key();
        if let Some(offline) = &offline {
            if offline.public().fingerprint() != primary.key().fingerprint() {
                return Err(KeyringError::OtherPrimary);
            }
        } else if !self.has_primary() {
            return Err(KeyringError::PrimaryIsOut);
        }
        let certificate = certificate::with_new_subkeys(&self.certificate, offline, now)?;
        Self::from_certificate(certificate).ok_or(KeyringError::NoSigner)
    }

    /// Whether the primary's secret part is here.
    pub(super) fn has_primary(&self) -> bool {
        self.certificate.primary_key().key().has_secret()
    }

    /// The certificate with the secrets of its subkeys only, and the bytes of one with the primary's only.
    pub(super) fn without_primary(&self) -> Result<(Self, Zeroizing<Vec<u8>>), KeyringError> {
        if !self.has_primary() {
            return Err(KeyringError::PrimaryIsOut);
        }
        let primary = self.certificate.fingerprint();
        let without = self.certificate.as_tsk().set_filter(|key| key.fingerprint() != primary).to_vec();
        let alone = self.certificate.as_tsk().set_filter(|key| key.fingerprint() == primary).to_vec();
        let without = Zeroizing::new(without.map_err(refused)?);
        let without = Self::from_secret_bytes(&without).ok_or(KeyringError::NoSigner)?;
        Ok((without, Zeroizing::new(alone.map_err(refused)?)))
    }

    pub(super) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub(super) fn certificate(&self) -> Vec<u8> {
        self.public.clone()
    }

    pub(super) fn armored(&self) -> Result<String, KeyringError> {
        certificate::armored(&self.certificate)
    }

    /// When a signature is made now, it says so; never before the key itself, however wrong the clock is.
    pub(crate) fn time_of_signing(&self) -> SystemTime {
        certificate::time_of_signing(&self.certificate)
    }

    /// The subkey that signs slips, vouches and answers to registrations.
    pub(crate) fn signer(&self) -> Option<OwnSigner> {
        self.signer.of(&self.certificate)
    }

    /// The subkeys that replies may be sealed to: the present one, and earlier ones while their letters live.
    pub(crate) fn openers(&self) -> Vec<KeyPair> {
        certificate::openers(&self.certificate)
    }

    /// A detached signature: the octets of one packet.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let mut signer = self.signer().ok_or(KeyringError::NoSigner)?;
        SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA512)
            .set_signature_creation_time(self.time_of_signing())
            .and_then(|builder| builder.sign_message(&mut signer, message))
            .and_then(|signature| Packet::from(signature).to_vec())
            .map_err(refused)
    }

    /// Whether a signing subkey of this certificate, present or retired, made this signature packet.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() > LARGEST_SIGNATURE {
            return false;
        }
        let Ok(packet) = Packet::from_bytes(signature) else { return false };
        // Nothing before or behind it.
        if packet.to_vec().ok().as_deref() != Some(signature) {
            return false;
        }
        let Packet::Signature(signature @ Signature::V6(_)) = packet else { return false };
        let hash = matches!(signature.hash_algo(), HashAlgorithm::SHA256 | HashAlgorithm::SHA512);
        hash && signature.typ() == SignatureType::Binary
            && self
                .certificate
                .keys()
                .subkeys()
                .with_policy(&StandardPolicy::new(), self.time_of_signing())
                .supported()
                .for_signing()
                .any(|key| signature.verify_message(key.key(), message).is_ok())
    }
}
