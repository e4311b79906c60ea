//! The receipt: a reader's browser says that it has opened a slip.

use sealpost_vault::Identity;
use sealpost_vault::derive::{FieldTooLong, ctx, sha256};
use sealpost_vault::id::{LetterId, PickupId};

use super::voice::{Voice, WrongVoice};
use crate::keyring::Keyring;

/// Why a letter isn't marked opened.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    #[error(transparent)]
    Voice(#[from] WrongVoice),
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
}

/// Checks the MAC over `say/opened`: whoever made it had the link's secret and the share, and this very slip packet.
pub fn verify_opened(
    keyring: &Keyring,
    voice: &Voice,
    pickup: PickupId,
    letter: LetterId,
    reader: &Identity,
    slip_packet: &[u8],
    mac: &[u8],
) -> Result<(), ReceiptError> {
    let fields: [&[u8]; 5] = [
        pickup.bytes(),
        letter.bytes(),
        reader.as_str().as_bytes(),
        keyring.fingerprint(),
        &sha256(slip_packet),
    ];
    Ok(voice.verify(&ctx("say/opened", &fields)?, mac)?)
}
