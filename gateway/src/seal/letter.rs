//! Sealing a message: each part once, a signed slip per letter, all under one session key.

use sealpost_vault::derive::FieldTooLong;
use sealpost_vault::id::{ConversationId, LetterId, NoRandomness, PickupId};
use sealpost_vault::{Identity, Time};
use sequoia_openpgp::crypto::SessionKey;

use super::certificate::ReaderCertificate;
use super::content::{literal, seal_content, signed};
use super::pickup::{Binding, PickupSecrets};
use super::slip::{Entry, IS_SLIP, Slip, hash_of, people};
use crate::keyring::Keyring;
use crate::message::Prepared;

/// Why a message could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the letter has no readers, or the pickup is for somebody who is not one of them")]
    NotAReader,
    #[error("a part is larger than a packet can be")]
    TooLarge,
    #[error("the organisation's certificate has no key that signs")]
    NoSigningKey,
    #[error("a key could not be derived")]
    Derivation,
    #[error("the slip could not be written")]
    Slip(#[from] serde_json::Error),
    #[error("the OpenPGP library refused")]
    OpenPgp(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a packet could not be written")]
    Write(#[from] std::io::Error),
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<sequoia_openpgp::anyhow::Error> for SealError {
    fn from(error: sequoia_openpgp::anyhow::Error) -> Self {
        Self::OpenPgp(error.into())
    }
}

/// One letter over the parts of a message: readers who may know of each other share one.
#[derive(Clone)]
pub struct SlipPlan {
    pub letter_id: LetterId,
    pub conversation_id: ConversationId,
    pub readers: Vec<Identity>,
}

/// A message, sealed. The session key lives as long as this value.
pub struct SealedMessage {
    /// In the order of the prepared parts; each is one packet.
    pub parts: Vec<Vec<u8>>,
    /// One packet per plan, in the plans' order.
    pub slips: Vec<Vec<u8>>,
    plans: Vec<SlipPlan>,
    session_key: SessionKey,
}

/// Seals a prepared message for the letters of `plans`. `archive` may be empty.
pub fn seal(
    keyring: &Keyring,
    prepared: &Prepared,
    archive: &str,
    plans: &[SlipPlan],
    expires_at: Time,
) -> Result<SealedMessage, SealError> {
    if plans.is_empty() || plans.iter().any(|plan| plan.readers.is_empty()) {
        return Err(SealError::NotAReader);
    }
    let session_key = SessionKey::new(32)?;
    let mut parts = Vec::with_capacity(prepared.parts.len());
    let mut entries = Vec::with_capacity(prepared.parts.len());
    for (n, part) in (0..).zip(&prepared.parts) {
        let packet = seal_content(&session_key, literal(&part.bytes)?)?;
        entries.push(Entry {
            n,
            kind: part.kind.into(),
            name: part.name.clone(),
            media_type: part.media_type.clone(),
            size: part.bytes.len() as u64,
            sha256: hash_of(&packet),
        });
        parts.push(packet);
    }
    let mut slips = Vec::with_capacity(plans.len());
    for plan in plans {
        let json = serde_json::to_vec(&Slip {
            is: IS_SLIP,
            letter: plan.letter_id,
            conversation: plan.conversation_id,
            readers: plan.readers.iter().map(Identity::as_str).collect(),
            from: people(&prepared.from),
            to: people(&prepared.to),
            cc: people(&prepared.cc),
            date: prepared.date,
            subject: &prepared.subject,
            expires: expires_at,
            archive,
            organisation: keyring.fingerprint_hex(),
            parts: &entries,
        })?;
        slips.push(seal_content(&session_key, signed(keyring.organisation(), &json)?)?);
    }
    Ok(SealedMessage { parts, slips, plans: plans.to_vec(), session_key })
}

impl SealedMessage {
    /// Lets one of the letter's readers open it. Secrets are new each time.
    pub fn pickup(
        &self,
        keyring: &Keyring,
        pickup: PickupId,
        letter: LetterId,
        reader: &Identity,
    ) -> Result<PickupSecrets, SealError> {
        // A browser refuses a letter that doesn't name its reader; here is where that would go wrong.
        if !self.is_for(letter, reader) {
            return Err(SealError::NotAReader);
        }
        let binding = Binding { pickup, letter, reader, organisation: keyring.fingerprint() };
        PickupSecrets::new(&binding, &self.session_key)
    }

    /// Lets one of the letter's readers open it with a certificate that is pinned to the address: one PKESK.
    pub fn account_key(
        &self,
        certificate: &ReaderCertificate,
        letter: LetterId,
        reader: &Identity,
    ) -> Result<Vec<u8>, SealError> {
        if !self.is_for(letter, reader) {
            return Err(SealError::NotAReader);
        }
        certificate.wrap(&self.session_key)
    }

    fn is_for(&self, letter: LetterId, reader: &Identity) -> bool {
        self.plans.iter().any(|plan| plan.letter_id == letter && plan.readers.contains(reader))
    }
}

#[cfg(test)]
mod tests;
