//! One reader's way to one letter: a link secret, a share, and a key packet that opens with both.
//!
//! When the reader enrols, the gateway takes the way itself where it still has the link, and wraps what it finds for the
//! reader's certificate.
//!
//! Security: the password of the key packet is derived from both halves and bound to pickup, letter, reader and the
//! organisation's certificate; either half alone is worth nothing. It has 256 bits, so nothing is stretched.
//! Standards: RFC 5869 (HKDF), RFC 9580 5.3.2 (SKESK version 6).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::Identity;
use sealpost_vault::derive::ctx;
use sealpost_vault::id::{LetterId, PickupId, random};
use sequoia_openpgp::Packet;
use sequoia_openpgp::crypto::{Password, S2K, SessionKey};
use sequoia_openpgp::packet::SKESK;
use sequoia_openpgp::packet::skesk::SKESK6;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{AEADAlgorithm, HashAlgorithm, SymmetricAlgorithm};
use zeroize::Zeroizing;

use super::certificate::ReaderCertificate;
use super::letter::SealError;
use super::link::LinkSecret;
use super::shape::{ShapeError, key_packet_by_password};
use super::voice::Voice;
use crate::keyring::{Keyring, hkdf};

/// The smallest count that an iterated S2K can have: the password is a key.
const SMALLEST_COUNT: u32 = 1024;

/// What one reader needs, for the four places where it goes.
pub struct PickupSecrets {
    /// Into the notification's link, and kept under the root key so that it can be sent again.
    pub link: LinkSecret,
    /// `S`: into the vault, released to a session that proved itself.
    pub share: [u8; 32],
    /// Kept under the root key.
    pub voice: Voice,
    /// One SKESK: into the vault.
    pub key_packet: Vec<u8>,
}

/// What the halves of a pickup are bound to.
pub(super) struct Binding<'a> {
    pub(super) pickup: PickupId,
    pub(super) letter: LetterId,
    pub(super) reader: &'a Identity,
    pub(super) organisation: &'a [u8; 32],
}

impl PickupSecrets {
    pub(super) fn new(binding: &Binding, session_key: &SessionKey) -> Result<Self, SealError> {
        let (link, share) = (LinkSecret::random()?, random::<32>()?);
        let (password, voice) = binding.derive(&link, &share)?;
        let s2k = S2K::new_iterated(HashAlgorithm::SHA256, SMALLEST_COUNT)?;
        let (cipher, aead) = (SymmetricAlgorithm::AES256, AEADAlgorithm::GCM);
        let packet = SKESK6::with_password(cipher, cipher, aead, s2k, session_key, &password)?;
        Ok(Self { link, share, voice, key_packet: Packet::from(packet).to_vec()? })
    }
}

/// Why a pending letter couldn't be wrapped for its reader's certificate: it stays with its link.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    #[error("the stored key packet's shape: {0}")]
    Shape(#[from] ShapeError),
    #[error("the stored share and key packet don't open with the kept link")]
    Closed,
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A pickup as both stores have it: the link that the gateway kept, and what lies in the vault, which may be anything.
pub struct Stored<'a> {
    pub pickup: PickupId,
    pub letter: LetterId,
    pub reader: &'a Identity,
    pub link: &'a LinkSecret,
    pub share: &'a [u8],
    /// One SKESK.
    pub key_packet: &'a [u8],
}

/// Opens a pickup's key packet as its reader would, and wraps the session key for the reader's certificate: one PKESK.
pub fn rewrap(keyring: &Keyring, stored: &Stored, certificate: &ReaderCertificate) -> Result<Vec<u8>, RewrapError> {
    key_packet_by_password(stored.key_packet)?;
    let share: &[u8; 32] = stored.share.try_into().map_err(|_| RewrapError::Closed)?;
    let (pickup, letter, reader) = (stored.pickup, stored.letter, stored.reader);
    let binding = Binding { pickup, letter, reader, organisation: keyring.fingerprint() };
    let (password, _) = binding.derive(stored.link, share)?;
    let Ok(Packet::SKESK(SKESK::V6(packet))) = Packet::from_bytes(stored.key_packet) else {
        return Err(RewrapError::Closed);
    };
    let session_key = packet.decrypt(&password).map_err(|_| RewrapError::Closed)?;
    if session_key.len() != 32 {
        return Err(RewrapError::Closed);
    }
    Ok(certificate.wrap(&session_key)?)
}

impl Binding<'_> {
    /// The key packet's password and the voice key.
    pub(super) fn derive(&self, link: &LinkSecret, share: &[u8; 32]) -> Result<(Password, Voice), SealError> {
        let halves = Zeroizing::new([link.bytes().as_slice(), share].concat());
        let bound: [&[u8]; 3] = [self.letter.bytes(), self.reader.as_str().as_bytes(), self.organisation];
        let expand =
            |label| hkdf(self.pickup.bytes(), &halves, &ctx(label, &bound)?).map_err(|_| SealError::Derivation);
        let password = Password::from(URL_SAFE_NO_PAD.encode(expand("open")?.as_slice()));
        Ok((password, Voice::from_bytes(*expand("voice")?)))
    }
}
