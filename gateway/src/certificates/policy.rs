//! Which algorithms are accepted: Sequoia's standard policy, without ElGamal at any date; and, for explaining, everything.

use std::time::SystemTime;

use sequoia_openpgp::Packet;
use sequoia_openpgp::Result;
use sequoia_openpgp::cert::amalgamation::key::ValidErasedKeyAmalgamation;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::key::PublicParts;
use sequoia_openpgp::policy::{AsymmetricAlgorithm, HashAlgoSecurity, Policy, StandardPolicy};
use sequoia_openpgp::types::{AEADAlgorithm, SymmetricAlgorithm};

/// What mail may be encrypted with: RSA from 2048 bits, elliptic curves; no SHA-1 and no MD5 in what binds a key or a
/// User ID, beyond the dates of Sequoia's standard policy.
#[derive(Clone, Debug)]
pub(super) struct Acceptance<'a>(StandardPolicy<'a>);

impl Acceptance<'static> {
    pub fn at(moment: SystemTime) -> Self {
        use AsymmetricAlgorithm::{DSA1024, ElGamal1024, ElGamal2048, ElGamal3072, ElGamal4096, RSA1024};
        let mut standard = StandardPolicy::at(moment);
        for weak in [RSA1024, DSA1024, ElGamal1024, ElGamal2048, ElGamal3072, ElGamal4096] {
            standard.reject_asymmetric_algo(weak);
        }
        Self(standard)
    }
}

impl Policy for Acceptance<'_> {
    fn signature(&self, signature: &Signature, security: HashAlgoSecurity) -> Result<()> {
        self.0.signature(signature, security)
    }

    fn key(&self, key: &ValidErasedKeyAmalgamation<PublicParts>) -> Result<()> {
        self.0.key(key)
    }

    fn symmetric_algorithm(&self, algorithm: SymmetricAlgorithm) -> Result<()> {
        self.0.symmetric_algorithm(algorithm)
    }

    fn aead_algorithm(&self, algorithm: AEADAlgorithm) -> Result<()> {
        self.0.aead_algorithm(algorithm)
    }

    fn packet(&self, packet: &Packet) -> Result<()> {
        self.0.packet(packet)
    }
}

/// Accepts every algorithm: to find out what a weak certificate says, and to heed every revocation. Never to encrypt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anything;

impl Policy for Anything {
    fn signature(&self, _: &Signature, _: HashAlgoSecurity) -> Result<()> {
        Ok(())
    }

    fn key(&self, _: &ValidErasedKeyAmalgamation<PublicParts>) -> Result<()> {
        Ok(())
    }

    fn packet(&self, _: &Packet) -> Result<()> {
        Ok(())
    }
}
