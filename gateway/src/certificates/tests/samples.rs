//! Certificates made for the tests, at moments of their own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_vault::Time;
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::{CertBuilder, CertRevocationBuilder, CipherSuite};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Signature, UserID};
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{Features, HashAlgorithm, ReasonForRevocation, SignatureType};

pub(super) const NOW: Time = 1_790_000_000;
pub(super) const DAY: Time = 24 * 60 * 60;
pub(super) const YEAR: Time = 365 * DAY;
pub(super) const ANNA: &str = "Anna Weber <anna@klinik.example>";

pub(super) fn at(moment: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(moment).unwrap())
}

pub(super) fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 24 * 60 * 60))
}

/// Begun: version 4, made a year ago, as GnuPG makes them: SEIPDv1 announced and nothing else.
pub(super) fn builder(user_id: &str) -> CertBuilder<'static> {
    CertBuilder::new()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_features(Features::empty().set_seipdv1())
        .unwrap()
        .set_creation_time(at(NOW - YEAR))
        .add_userid(user_id)
}

pub(super) fn made(builder: CertBuilder<'static>) -> Cert {
    builder.generate().unwrap().0
}

pub(super) fn anna() -> Cert {
    made(builder(ANNA).add_transport_encryption_subkey())
}

pub(super) fn signer(cert: &Cert) -> KeyPair {
    cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

pub(super) fn revocation(cert: &Cert, reason: ReasonForRevocation, moment: Time) -> Signature {
    CertRevocationBuilder::new()
        .set_signature_creation_time(at(moment))
        .unwrap()
        .set_reason_for_revocation(reason, b"")
        .unwrap()
        .build(&mut signer(cert), cert, None)
        .unwrap()
}

pub(super) fn revoked(cert: Cert, reason: ReasonForRevocation, moment: Time) -> Cert {
    let revocation = revocation(&cert, reason, moment);
    with(cert, vec![revocation.into()])
}

pub(super) fn with(cert: Cert, packets: Vec<sequoia_openpgp::Packet>) -> Cert {
    cert.insert_packets(packets).unwrap().0
}

/// One more User ID, signed by whomever.
pub(super) fn naming(cert: Cert, user_id: &str, by: &Cert, hash: HashAlgorithm) -> Cert {
    let user_id = UserID::from(user_id);
    let signature = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_hash_algo(hash)
        .set_signature_creation_time(at(NOW - 100 * DAY))
        .unwrap();
    let signature = user_id.bind(&mut signer(by), &cert, signature).unwrap();
    with(cert, vec![user_id.into(), signature.into()])
}

/// The public half, binary.
pub(super) fn bytes(cert: &Cert) -> Vec<u8> {
    cert.to_vec().unwrap()
}

/// A packet of the current format.
pub(super) fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc0 | tag, 255];
    packet.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    packet.extend(body);
    packet
}

/// An RSA key of version 4 with these numbers; nobody has its secret.
pub(super) fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let mut body = vec![4];
    body.extend(u32::try_from(NOW - YEAR).unwrap().to_be_bytes());
    body.push(1);
    for number in [modulus, exponent] {
        let bits = number.len() * 8 - usize::try_from(number[0].leading_zeros()).unwrap();
        body.extend(u16::try_from(bits).unwrap().to_be_bytes());
        body.extend(number);
    }
    packet(6, &body)
}
