//! The organisation's certificate for mail: signs what we send to people who have OpenPGP keys.
//!
//! Version 4 and the older codes of Ed25519 and X25519, so that GnuPG 2.2 reads it; its features don't offer SEIPD
//! version 2, which GnuPG can't. It signs mail and never slips or vouches: who can get a mail signed gets no statement.
//!
//! Standards: RFC 9580 (version 4 keys, EdDSALegacy).

use sealpost_vault::Time;
use sequoia_openpgp::cert::Cert;
use zeroize::Zeroizing;

use super::KeyringError;
use super::certificate::{self, Kind, SignerAtHand};
use super::signer::OwnSigner;

pub(crate) struct MailKey {
    secret: Cert,
    public: Cert,
    signer: SignerAtHand,
}

impl MailKey {
    pub(super) fn generate(name: &str, address: &str, now: Time) -> Result<Self, KeyringError> {
        Self::from_certificate(certificate::generate(Kind::Mail, name, address, now)?).ok_or(KeyringError::UserId)
    }

    /// `None`: not a certificate like the ones that `generate` makes.
    pub(super) fn from_secret_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_certificate(certificate::parse(bytes)?)
    }

    fn from_certificate(secret: Cert) -> Option<Self> {
        let public = secret.clone().strip_secret_key_material();
        let fits = secret.primary_key().key().version() == 4;
        let mail = Self { secret, public, signer: SignerAtHand::default() };
        mail.signer()?;
        fits.then_some(mail)
    }

    /// With new subkeys.
    pub(super) fn rotated(&self, now: Time) -> Result<Self, KeyringError> {
        let secret = certificate::with_new_subkeys(&self.secret, None, now)?;
        Self::from_certificate(secret).ok_or(KeyringError::NoSigner)
    }

    pub(super) fn secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        certificate::secret_bytes(&self.secret)
    }

    pub(super) fn armored(&self) -> Result<String, KeyringError> {
        certificate::armored(&self.public)
    }

    /// Binary, without secrets.
    #[cfg(test)]
    pub(crate) fn certificate(&self) -> Vec<u8> {
        sequoia_openpgp::serialize::SerializeInto::to_vec(&self.public).unwrap_or_default()
    }

    /// Without secrets.
    pub(crate) fn certificate_ref(&self) -> &Cert {
        &self.public
    }

    /// The subkey that signs mail.
    pub(crate) fn signer(&self) -> Option<OwnSigner> {
        self.signer.of(&self.secret)
    }
}
