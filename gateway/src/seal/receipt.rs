//! The receipt: a reader's browser says that it has opened a slip.

use sealpost_vault::Identity;
use sealpost_vault::derive::{FieldTooLong, ctx};
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

/// Checks the MAC over `say/opened`: whoever made it had the link's secret and the share, and the slip packet whose SHA-256
/// is `slip_hash` - the gateway's own record of it, not what the vault has now.
pub fn verify_opened(
    keyring: &Keyring,
    voice: &Voice,
    pickup: PickupId,
    letter: LetterId,
    reader: &Identity,
    slip_hash: &[u8],
    mac: &[u8],
) -> Result<(), ReceiptError> {
    let fields: [&[u8]; 5] =
        [pickup.bytes(), letter.bytes(), reader.as_str().as_bytes(), keyring.fingerprint(), slip_hash];
    Ok(voice.verify(&ctx("say/opened", &fields)?, mac)?)
}

#[cfg(test)]
mod tests {
    use ring::hmac;
    use sealpost_vault::derive::sha256;

    use super::*;
    use crate::keyring::tests::keyring;

    #[test]
    fn a_receipt_counts_for_its_own_pickup_and_slip() {
        let (keyring, _home) = keyring();
        let (other, _home2) = self::keyring();
        let (pickup, letter) = (PickupId::from_bytes([1; 16]), LetterId::from_bytes([2; 16]));
        let anna = Identity::from_stored("anna@home.example".into());
        let ben = Identity::from_stored("ben@home.example".into());
        let (voice, foreign) = (Voice::from_bytes([3; 32]), Voice::from_bytes([4; 32]));
        let slip = sha256(b"slip");
        let say = |label| {
            let fields: [&[u8]; 5] =
                [&[1; 16], &[2; 16], b"anna@home.example", keyring.fingerprint(), &sha256(b"slip")];
            let key = hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]);
            hmac::sign(&key, &ctx(label, &fields).unwrap()).as_ref().to_vec()
        };
        let mac = say("say/opened");
        assert!(verify_opened(&keyring, &voice, pickup, letter, &anna, &slip, &mac).is_ok());
        assert!(verify_opened(&keyring, &foreign, pickup, letter, &anna, &slip, &mac).is_err());
        assert!(verify_opened(&other, &voice, pickup, letter, &anna, &slip, &mac).is_err());
        assert!(verify_opened(&keyring, &voice, pickup, letter, &ben, &slip, &mac).is_err());
        assert!(verify_opened(&keyring, &voice, pickup, letter, &anna, &sha256(b"another"), &mac).is_err());
        assert!(verify_opened(&keyring, &voice, pickup, letter, &anna, &slip, &mac[..31]).is_err());
        assert!(verify_opened(&keyring, &voice, pickup, letter, &anna, &slip, &say("say/reply")).is_err());
        let (other_pickup, other_letter) = (PickupId::from_bytes([9; 16]), LetterId::from_bytes([9; 16]));
        assert!(verify_opened(&keyring, &voice, other_pickup, letter, &anna, &slip, &mac).is_err());
        assert!(verify_opened(&keyring, &voice, pickup, other_letter, &anna, &slip, &mac).is_err());
    }
}
