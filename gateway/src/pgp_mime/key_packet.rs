//! Key packets of version 3: the session key, wrapped for one key.
//!
//! Most keys that programs like GnuPG make are Curve25519 under ECDH, and for these the wrapping is written here: the agreement
//! by `ring`, which takes less than half of the time that OpenPGP's library needs for it. Everything else is the library's.
//!
//! Security: the ephemeral key is made anew for each packet and forgotten; a recipient's key of small order is refused.
//! Standards: RFC 9580 5.1.3 (packet), 11.5 (ECDH, with its key derivation), RFC 3394 (key wrap), RFC 7748 (X25519).

use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{Context, SHA256, SHA384, SHA512};
use ring::rand::SystemRandom;
use sequoia_openpgp::Error;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::crypto::ecdh::aes_key_wrap;
use sequoia_openpgp::crypto::mem::Protected;
use sequoia_openpgp::crypto::mpi::{Ciphertext, MPI, PublicKey};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::pkesk::PKESK3;
use sequoia_openpgp::types::{Curve, HashAlgorithm, PublicKeyAlgorithm, SymmetricAlgorithm};

/// The OID 1.3.6.1.4.1.3029.1.5.1 (Curve25519Legacy), with its length.
const CURVE: [u8; 11] = [10, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x97, 0x55, 0x01, 0x05, 0x01];
/// In front of a point that is one coordinate.
const NATIVE_POINT: u8 = 0x40;
/// Whom the derived key is for, in octets that everybody uses.
const SENDER: &[u8; 20] = b"Anonymous Sender    ";
/// To this length what is wrapped is padded, so that it doesn't show the cipher.
const PADDED: usize = 40;

/// The session key of `cipher` for `key`.
pub(super) fn key_packet(
    key: &Key<PublicParts, UnspecifiedRole>,
    cipher: SymmetricAlgorithm,
    session_key: &SessionKey,
) -> sequoia_openpgp::Result<PKESK3> {
    match curve25519(key, cipher, session_key)? {
        Some(wrapped) => PKESK3::new(Some(key.keyid()), PublicKeyAlgorithm::ECDH, wrapped),
        None => PKESK3::for_recipient(cipher, session_key, key),
    }
}

/// `None`: another kind of key.
fn curve25519(
    key: &Key<PublicParts, UnspecifiedRole>,
    cipher: SymmetricAlgorithm,
    session_key: &SessionKey,
) -> sequoia_openpgp::Result<Option<Ciphertext>> {
    let PublicKey::ECDH { curve: Curve::Cv25519, q, hash, sym } = key.mpis() else { return Ok(None) };
    let digest = match hash {
        HashAlgorithm::SHA256 => &SHA256,
        HashAlgorithm::SHA384 => &SHA384,
        HashAlgorithm::SHA512 => &SHA512,
        _ => return Ok(None),
    };
    let Some(point) = q.value().strip_prefix(&[NATIVE_POINT]) else { return Ok(None) };
    let failed = |_| Error::InvalidOperation("no key can be agreed with this recipient".to_owned());

    let ephemeral = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).map_err(failed)?;
    let public = ephemeral.compute_public_key().map_err(failed)?;
    let derived = agree_ephemeral(ephemeral, &UnparsedPublicKey::new(&X25519, point), |shared| {
        let mut derivation = Context::new(digest);
        for piece in [
            &[0, 0, 0, 1],
            shared,
            &CURVE,
            &[u8::from(PublicKeyAlgorithm::ECDH), 3, 1, u8::from(*hash), u8::from(*sym)],
            SENDER,
            key.fingerprint().as_bytes(),
        ] {
            derivation.update(piece);
        }
        let derived = derivation.finish();
        sym.key_size().map(|length| derived.as_ref().get(..length).map(Protected::from))
    });
    let Some(wrapping) = derived.map_err(failed)?? else { return Ok(None) };
    let ciphertext = aes_key_wrap(*sym, &wrapping, &padded(cipher, session_key)?)?;
    let point = [&[NATIVE_POINT], public.as_ref()].concat();
    Ok(Some(Ciphertext::ECDH { e: MPI::new(&point), key: ciphertext.into() }))
}

/// Cipher, key and checksum, padded.
fn padded(cipher: SymmetricAlgorithm, session_key: &SessionKey) -> sequoia_openpgp::Result<Protected> {
    let checksum = session_key.iter().fold(0_u16, |sum, octet| sum.wrapping_add(u16::from(*octet)));
    let mut plain = Protected::new(PADDED);
    let pieces = [&[u8::from(cipher)], session_key.as_ref(), &checksum.to_be_bytes()];
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let padding = PADDED.checked_sub(length).filter(|padding| *padding > 0);
    let padding = padding.and_then(|padding| u8::try_from(padding).ok());
    let padding =
        padding.ok_or_else(|| Error::InvalidOperation(format!("a session key of {} octets", session_key.len())))?;
    plain.fill(padding);
    for (to, from) in plain.iter_mut().zip(pieces.into_iter().flatten()) {
        *to = *from;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite};
    use sequoia_openpgp::packet::key::Key4;
    use sequoia_openpgp::serialize::SerializeInto;
    use sequoia_openpgp::{Packet, Profile};

    use super::*;

    fn certificate(suite: CipherSuite) -> Cert {
        let builder = CertBuilder::new().set_profile(Profile::RFC4880).unwrap().set_cipher_suite(suite);
        builder.add_transport_encryption_subkey().generate().unwrap().0
    }

    /// Opened by OpenPGP's library, which had no part in the wrapping.
    fn check(cert: &Cert, cipher: SymmetricAlgorithm) {
        let session_key = SessionKey::new(cipher.key_size().unwrap()).unwrap();
        let key = cert.keys().subkeys().next().unwrap().key().clone().role_into_unspecified();
        let packet = key_packet(&key.clone().parts_into_public(), cipher, &session_key).unwrap();
        let length = Packet::from(packet.clone()).to_vec().unwrap().len();
        let mut pair = key.parts_into_secret().unwrap().into_keypair().unwrap();
        let (opened_cipher, opened) = packet.decrypt(&mut pair, None).expect("opens");
        assert_eq!((opened_cipher, &opened), (cipher, &session_key));
        let theirs = PKESK3::for_recipient(cipher, &session_key, pair.public()).unwrap();
        // An ephemeral point is one octet shorter where it begins with zeros.
        assert!(length.abs_diff(Packet::from(theirs).to_vec().unwrap().len()) <= 1);
    }

    #[test]
    fn every_cipher_opens_with_every_kind_of_key() {
        let ciphers = [SymmetricAlgorithm::AES128, SymmetricAlgorithm::AES192, SymmetricAlgorithm::AES256];
        for suite in [CipherSuite::Cv25519, CipherSuite::P256, CipherSuite::RSA2k] {
            let cert = certificate(suite);
            ciphers.into_iter().for_each(|cipher| check(&cert, cipher));
        }
        for _ in 0..300 {
            check(&certificate(CipherSuite::Cv25519), SymmetricAlgorithm::AES256);
        }
    }

    #[test]
    fn every_derivation_that_a_key_may_ask_for() {
        let cert = certificate(CipherSuite::Cv25519);
        let key = cert.keys().subkeys().next().unwrap().key().clone().role_into_unspecified();
        let pair = key.clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let PublicKey::ECDH { q, .. } = pair.public().mpis() else { panic!("no ECDH") };
        for hash in [HashAlgorithm::SHA256, HashAlgorithm::SHA384, HashAlgorithm::SHA512] {
            for sym in [SymmetricAlgorithm::AES128, SymmetricAlgorithm::AES192, SymmetricAlgorithm::AES256] {
                let mpis = PublicKey::ECDH { curve: Curve::Cv25519, q: q.clone(), hash, sym };
                let public: Key4<PublicParts, UnspecifiedRole> =
                    Key4::new(key.creation_time(), PublicKeyAlgorithm::ECDH, mpis).unwrap();
                let public = Key::from(public);
                let session_key = SessionKey::new(32).unwrap();
                let packet = key_packet(&public, SymmetricAlgorithm::AES256, &session_key).unwrap();
                let mut pair = sequoia_openpgp::crypto::KeyPair::new(public.clone(), pair.secret().clone()).unwrap();
                let (_, opened) = packet.decrypt(&mut pair, None).expect("opens");
                assert_eq!(opened, session_key);
                // Bound to this key: the same numbers of another day are another key.
                let date = key.creation_time() + std::time::Duration::from_secs(1);
                let mpis = PublicKey::ECDH { curve: Curve::Cv25519, q: q.clone(), hash, sym };
                let other: Key4<PublicParts, UnspecifiedRole> =
                    Key4::new(date, PublicKeyAlgorithm::ECDH, mpis).unwrap();
                let mut other = sequoia_openpgp::crypto::KeyPair::new(Key::from(other), pair.secret().clone()).unwrap();
                assert!(packet.decrypt(&mut other, None).is_none());
            }
        }
    }

    #[test]
    fn a_point_of_small_order_is_refused() {
        for point in [[0_u8; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let q = MPI::new(&[&[NATIVE_POINT][..], &point].concat());
            let (hash, sym) = (HashAlgorithm::SHA256, SymmetricAlgorithm::AES128);
            let mpis = PublicKey::ECDH { curve: Curve::Cv25519, q, hash, sym };
            let public: Key4<PublicParts, UnspecifiedRole> =
                Key4::new(std::time::UNIX_EPOCH, PublicKeyAlgorithm::ECDH, mpis).unwrap();
            let session_key = SessionKey::new(32).unwrap();
            assert!(key_packet(&Key::from(public), SymmetricAlgorithm::AES256, &session_key).is_err());
        }
    }
}
