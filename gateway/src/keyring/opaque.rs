//! The server's half of OPAQUE: made once, and never changed.
//!
//! Every passphrase's record hangs on it. With another one nobody's passphrase is right any more, so there is no command
//! that rotates it: readers would have to recover with their recovery codes, one by one.
//!
//! Standards: RFC 9807; the suite is Ristretto255, TripleDH with SHA-512 (SEALING.md, *Accounts*).

use opaque_ke::rand::{CryptoRng, Error, RngCore};
use opaque_ke::{CipherSuite, Ristretto255, ServerSetup, TripleDh};
use ring::hmac::{HMAC_SHA256, Key, sign};
use sealpost_vault::id::{NoRandomness, random};
use zeroize::Zeroizing;

/// The suite of SEALING.md. The stretching runs in browsers only, with parameters of their own.
pub(crate) struct OpaqueSuite;

impl CipherSuite for OpaqueSuite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2::Sha512>;
    type Ksf = opaque_ke::argon2::Argon2<'static>;
}

/// Randomness in the shape that the library asks for: it wants a source that never fails, so the operating system is asked
/// once, where failing is possible, and HMAC-SHA-256 makes as much of that as is needed.
pub(crate) struct Randomness {
    key: Key,
    block: u64,
}

impl Randomness {
    pub(crate) fn new() -> Result<Self, NoRandomness> {
        let seed = Zeroizing::new(random::<32>()?);
        Ok(Self { key: Key::new(HMAC_SHA256, seed.as_slice()), block: 0 })
    }
}

impl RngCore for Randomness {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_be_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    fn fill_bytes(&mut self, target: &mut [u8]) {
        // A block's rest is thrown away: no two calls share one.
        for chunk in target.chunks_mut(32) {
            let block = sign(&self.key, &self.block.to_be_bytes());
            self.block = self.block.wrapping_add(1);
            for (to, from) in chunk.iter_mut().zip(block.as_ref()) {
                *to = *from;
            }
        }
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(target);
        Ok(())
    }
}

impl CryptoRng for Randomness {}

pub(super) fn new_setup() -> Result<Zeroizing<Vec<u8>>, NoRandomness> {
    Ok(Zeroizing::new(ServerSetup::<OpaqueSuite>::new(&mut Randomness::new()?).serialize().to_vec()))
}

/// Whether these bytes are a set-up that the library takes.
pub(super) fn is_setup(bytes: &[u8]) -> bool {
    ServerSetup::<OpaqueSuite>::deserialize(bytes).is_ok_and(|setup| setup.serialize().as_slice() == bytes)
}
