//! The subkey that signs, as it signs: made ready once, because making it ready takes longer than a signature.
//!
//! Our subkeys are Ed25519. RFC 9580 has two forms of it: EdDSALegacy in certificates of version 4, Ed25519 in those of
//! version 6. Whatever else a certificate may have signs as OpenPGP's library does it.
//!
//! Security: the secret lies in memory in clear as long as the keyring does.
//! Standards: RFC 9580 5.2.3.1.2 to 5.2.3.1.5, RFC 8032.

use std::sync::Arc;

use ring::signature::Ed25519KeyPair;
use sequoia_openpgp::crypto::mpi::{MPI, PublicKey, SecretKeyMaterial, Signature};
use sequoia_openpgp::crypto::{KeyPair, Signer};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::types::{Curve, HashAlgorithm};
use zeroize::Zeroizing;

/// Length of an Ed25519 secret, and of each half of a signature, in octets.
const LENGTH: usize = 32;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) enum OwnSigner {
    Ed25519 { public: Arc<Key<PublicParts, UnspecifiedRole>>, pair: Arc<Ed25519KeyPair>, form: Form },
    Other(Box<KeyPair>),
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    EdDsaLegacy,
    Ed25519,
}

impl From<KeyPair> for OwnSigner {
    fn from(pair: KeyPair) -> Self {
        match ed25519(&pair) {
            Some((ready, form)) => {
                Self::Ed25519 { public: Arc::new(pair.public().clone()), pair: Arc::new(ready), form }
            }
            None => Self::Other(Box::new(pair)),
        }
    }
}

/// The pair, if it is one.
fn ed25519(pair: &KeyPair) -> Option<(Ed25519KeyPair, Form)> {
    let (public, form) = match pair.public().mpis() {
        PublicKey::EdDSA { curve: Curve::Ed25519, q } => (q.value().strip_prefix(&[0x40])?.to_vec(), Form::EdDsaLegacy),
        PublicKey::Ed25519 { a } => (a.to_vec(), Form::Ed25519),
        _ => return None,
    };
    let seed = pair.secret().map(|secret| match secret {
        // A number, without its leading zeros.
        SecretKeyMaterial::EdDSA { scalar } => Some(Zeroizing::new(scalar.value_padded(LENGTH).to_vec())),
        SecretKeyMaterial::Ed25519 { x } => Some(Zeroizing::new(x.to_vec())),
        _ => None,
    })?;
    Some((Ed25519KeyPair::from_seed_and_public_key(&seed, &public).ok()?, form))
}

impl Signer for OwnSigner {
    fn public(&self) -> &Key<PublicParts, UnspecifiedRole> {
        match self {
            Self::Ed25519 { public, .. } => public,
            Self::Other(pair) => pair.public(),
        }
    }

    fn sign(&mut self, algorithm: HashAlgorithm, digest: &[u8]) -> sequoia_openpgp::Result<Signature> {
        let (pair, form) = match self {
            Self::Ed25519 { pair, form, .. } => (pair, form),
            Self::Other(pair) => return pair.sign(algorithm, digest),
        };
        let made = pair.sign(digest);
        let octets: [u8; 2 * LENGTH] = made.as_ref().try_into()?;
        Ok(match form {
            Form::Ed25519 => Signature::Ed25519 { s: Box::new(octets) },
            Form::EdDsaLegacy => {
                let (r, s) = octets.split_at(LENGTH);
                Signature::EdDSA { r: MPI::new(r), s: MPI::new(s) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use sequoia_openpgp::cert::{CertBuilder, CipherSuite};
    use sequoia_openpgp::packet::signature::SignatureBuilder;
    use sequoia_openpgp::types::SignatureType;
    use sequoia_openpgp::{Cert, Profile};

    use super::*;

    fn signing(profile: Profile, suite: CipherSuite) -> Cert {
        let builder = CertBuilder::new().set_profile(profile).unwrap().set_cipher_suite(suite);
        builder.add_signing_subkey().generate().unwrap().0
    }

    fn pair(cert: &Cert) -> KeyPair {
        let key = cert.keys().subkeys().next().unwrap().key().clone().role_into_unspecified();
        key.parts_into_secret().unwrap().into_keypair().unwrap()
    }

    fn check(cert: &Cert, form: Option<Form>) {
        let pair = pair(cert);
        let mut signer = OwnSigner::from(pair.clone());
        match (&signer, form) {
            (OwnSigner::Ed25519 { form, .. }, Some(wanted)) => assert_eq!(*form, wanted),
            (OwnSigner::Other(_), None) => {}
            _ => panic!("the wrong kind for {form:?}"),
        }
        assert_eq!(signer.public(), pair.public());
        let made = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA256)
            .sign_message(&mut signer, b"message")
            .unwrap();
        made.verify_message(pair.public(), b"message").unwrap();
        assert!(made.verify_message(pair.public(), b"another").is_err());
    }

    #[test]
    fn what_is_signed_is_verified_by_the_library() {
        // Secrets and halves of signatures with leading zeros are among so many.
        for _ in 0..600 {
            check(&signing(Profile::RFC4880, CipherSuite::Cv25519), Some(Form::EdDsaLegacy));
        }
        for _ in 0..20 {
            check(&signing(Profile::RFC9580, CipherSuite::Cv25519), Some(Form::Ed25519));
        }
        check(&signing(Profile::RFC4880, CipherSuite::P256), None);
    }
}
