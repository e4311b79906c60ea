//! The voice key: it opens nothing, but vouches for what a reader without an account says.
//!
//! Standards: RFC 2104 (HMAC), with SHA-256.

use ring::hmac;
use zeroize::Zeroizing;

/// A reader's voice key, kept by the gateway until the pickup ends.
pub struct Voice(Zeroizing<[u8; 32]>);

/// The MAC wasn't made with this voice key over this statement.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the statement was not made with the reader's voice key")]
pub struct WrongVoice;

impl Voice {
    /// For keeping it under the gateway's root key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Compares in constant time.
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> Result<(), WrongVoice> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        hmac::verify(&key, message, mac).map_err(|_| WrongVoice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_right_mac_passes() {
        let voice = Voice::from_bytes([9; 32]);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[9; 32]);
        let mac = hmac::sign(&key, b"statement");
        let mac = mac.as_ref();
        assert_eq!(voice.verify(b"statement", mac), Ok(()));
        for wrong in [&mac[..31], &mac[..16], &[], &[0; 32], &[mac, &[0]].concat()] {
            assert_eq!(voice.verify(b"statement", wrong), Err(WrongVoice));
        }
        assert_eq!(voice.verify(b"another", mac), Err(WrongVoice));
        assert_eq!(Voice::from_bytes([8; 32]).verify(b"statement", mac), Err(WrongVoice));
    }
}
