//! The organisation's OpenPGP certificate: what readers trust, what slips are signed with, what replies are sealed to.
//!
//! Version 6: an Ed25519 primary that only certifies (so that it can go offline one day and subkeys can be changed
//! without another fingerprint), an Ed25519 subkey that signs slips, an X25519 subkey that opens replies, one User ID.
//! It never signs mail.
//!
//! Standards: RFC 9580.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_vault::Time;
use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::UserID;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};
use sequoia_openpgp::{Fingerprint, Packet, Profile};
use zeroize::Zeroizing;

use super::KeyringError;

pub(crate) struct Organisation {
    certificate: Cert,
    public: Vec<u8>,
    fingerprint: [u8; 32],
}

impl Organisation {
    pub(super) fn generate(name: &str, address: &str, made: Time) -> Result<Self, KeyringError> {
        if [name, address].iter().any(|text| text.chars().any(|c| c.is_control() || matches!(c, '<' | '>')))
            || name.trim().is_empty()
            || !address.contains('@')
        {
            return Err(KeyringError::UserId);
        }
        let made = UNIX_EPOCH + Duration::from_secs(u64::try_from(made).unwrap_or(0));
        let refused = |e: sequoia_openpgp::anyhow::Error| KeyringError::OpenPgp(e.into());
        let (certificate, _revocation) = CertBuilder::new()
            .set_profile(Profile::RFC9580)
            .map_err(refused)?
            .set_cipher_suite(CipherSuite::Cv25519)
            .set_primary_key_flags(KeyFlags::empty().set_certification())
            .add_userid(UserID::from(format!("{name} <{address}>")))
            .add_signing_subkey()
            .add_transport_encryption_subkey()
            .set_creation_time(made)
            .generate()
            .map_err(refused)?;
        Self::from_certificate(certificate).ok_or(KeyringError::UserId)
    }

    /// `None`: not a certificate like the ones that `generate` makes.
    pub(super) fn from_secret_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_certificate(Cert::from_bytes(bytes).ok()?)
    }

    fn from_certificate(certificate: Cert) -> Option<Self> {
        let Fingerprint::V6(fingerprint) = certificate.fingerprint() else { return None };
        let public = certificate.to_vec().ok()?;
        let organisation = Self { certificate, public, fingerprint };
        organisation.signer()?;
        (!organisation.openers().is_empty()).then_some(organisation)
    }

    pub(super) fn secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        self.certificate.as_tsk().to_vec().map(Zeroizing::new).map_err(|e| KeyringError::OpenPgp(e.into()))
    }

    pub(super) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub(super) fn certificate(&self) -> Vec<u8> {
        self.public.clone()
    }

    /// When a signature is made now, it says so; never before the certificate itself, however wrong the clock is.
    pub(crate) fn time_of_signing(&self) -> SystemTime {
        SystemTime::now().max(self.certificate.primary_key().key().creation_time())
    }

    /// The subkey that signs slips.
    pub(crate) fn signer(&self) -> Option<KeyPair> {
        self.certificate
            .keys()
            .with_policy(&StandardPolicy::new(), self.time_of_signing())
            .supported()
            .alive()
            .revoked(false)
            .for_signing()
            .unencrypted_secret()
            .next()
            .and_then(|key| key.key().clone().into_keypair().ok())
    }

    pub(super) fn vouch(&self, message: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let refused = |e: sequoia_openpgp::anyhow::Error| KeyringError::OpenPgp(e.into());
        let mut signer = self.signer().ok_or(KeyringError::Cipher)?;
        let signature = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA256)
            .set_signature_creation_time(self.time_of_signing())
            .map_err(refused)?
            .sign_message(&mut signer, message)
            .map_err(refused)?;
        Packet::from(signature).to_vec().map_err(refused)
    }

    pub(super) fn verify_vouch(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(Packet::Signature(signature)) = Packet::from_bytes(signature) else { return false };
        self.certificate
            .keys()
            .subkeys()
            .filter(|key| key.self_signatures().any(|made| made.key_flags().is_some_and(|flags| flags.for_signing())))
            .any(|key| signature.verify_message(key.key(), message).is_ok())
    }

    /// The subkeys that replies may be sealed to: the present one, and earlier ones while their letters live.
    pub(crate) fn openers(&self) -> Vec<KeyPair> {
        self.certificate
            .keys()
            .with_policy(&StandardPolicy::new(), self.time_of_signing())
            .supported()
            .for_transport_encryption()
            .unencrypted_secret()
            .filter_map(|key| key.key().clone().into_keypair().ok())
            .collect()
    }
}
