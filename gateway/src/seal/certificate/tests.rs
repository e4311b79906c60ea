//! Tests of readers' certificates: what a browser makes passes, and nothing else does.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sequoia_openpgp::cert::{CertBuilder, CipherSuite};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Tag, UserID};
use sequoia_openpgp::types::{KeyFlags, ReasonForRevocation, SignatureType};
use sequoia_openpgp::{PacketPile, Profile};
use serde_json::Value;

use super::*;

const ANNA: &str = "anna.weber@home.example";

/// Made by OpenPGP.js; a published one.
fn from_a_browser() -> Vec<u8> {
    let vectors: Value = serde_json::from_str(include_str!("../../../../tests/vectors/accounts-v1.json")).unwrap();
    URL_SAFE_NO_PAD.decode(vectors["certificate"]["certificate"].as_str().unwrap()).unwrap()
}

fn anna() -> Identity {
    Identity::from_stored(ANNA.into())
}

fn builder() -> CertBuilder<'static> {
    CertBuilder::new()
        .set_profile(Profile::RFC9580)
        .unwrap()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
}

fn whole() -> CertBuilder<'static> {
    builder().add_userid(ANNA).add_transport_encryption_subkey()
}

fn made(builder: CertBuilder) -> Vec<u8> {
    builder.generate().unwrap().0.to_vec().unwrap()
}

fn packets(bytes: &[u8]) -> Vec<Packet> {
    PacketPile::from_bytes(bytes).unwrap().into_children().collect()
}

fn written(packets: &[Packet]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet.to_vec().unwrap()).collect()
}

#[test]
fn what_browsers_make_passes() {
    let bytes = from_a_browser();
    let certificate = ReaderCertificate::check(&bytes, &anna()).unwrap();
    assert_eq!(certificate.bytes(), bytes);
    assert_eq!(certificate.made_at(), 1_760_000_000);
    ReaderCertificate::check(&made(whole()), &anna()).unwrap();
}

#[test]
fn nothing_else_passes() {
    use CertificateError::{Ends, Flags, Shape, Unbound};
    let good = made(whole());
    let parts = packets(&good);
    let stranger = packets(&made(whole()));
    let year = Duration::from_secs(31_536_000);
    let revoked = {
        let (certificate, revocation) = whole().generate().unwrap();
        certificate.insert_packets(Packet::from(revocation)).unwrap().0.to_vec().unwrap()
    };
    let revoked_subkey = {
        let certificate = whole().generate().unwrap().0;
        let mut signer = certificate.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let subkey = certificate.keys().subkeys().next().unwrap();
        let said = sequoia_openpgp::cert::SubkeyRevocationBuilder::new()
            .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
            .unwrap()
            .build(&mut signer, &certificate, subkey.key(), None)
            .unwrap();
        certificate.insert_packets(said).unwrap().0.to_vec().unwrap()
    };
    let secret = whole().generate().unwrap().0.as_tsk().to_vec().unwrap();
    let swapped = |at: usize| {
        let mut mixed = parts.clone();
        mixed[at] = stranger[at].clone();
        written(&mixed)
    };
    let without = |at: usize| {
        let mut fewer = parts.clone();
        fewer.remove(at);
        written(&fewer)
    };
    let with = |packet: &Packet, at: usize| {
        let mut more = parts.clone();
        more.insert(at, packet.clone());
        written(&more)
    };
    let cases: Vec<(&str, Vec<u8>, CertificateError)> = vec![
        ("nothing", vec![], Shape(ShapeError::Truncated)),
        ("noise", vec![0x55; 600], Shape(ShapeError::Format)),
        ("four thousand octets of it", vec![0xc6; 4097], Shape(ShapeError::Length)),
        (
            "another address",
            made(builder().add_userid("ben@home.example").add_transport_encryption_subkey()),
            Shape(ShapeError::Address),
        ),
        (
            "a name",
            made(builder().add_userid("Anna <anna.weber@home.example>").add_transport_encryption_subkey()),
            Shape(ShapeError::Address),
        ),
        (
            "angle brackets",
            made(builder().add_userid("<anna.weber@home.example>").add_transport_encryption_subkey()),
            Shape(ShapeError::Address),
        ),
        (
            "another case",
            made(builder().add_userid("Anna.Weber@home.example").add_transport_encryption_subkey()),
            Shape(ShapeError::Address),
        ),
        ("two addresses", made(whole().add_userid("ben@home.example")), Shape(ShapeError::Kind)),
        ("no address", made(builder().add_transport_encryption_subkey()), Shape(ShapeError::Kind)),
        ("no subkey", made(builder().add_userid(ANNA)), Shape(ShapeError::Truncated)),
        ("two subkeys", made(whole().add_transport_encryption_subkey()), Shape(ShapeError::Trailing)),
        ("a subkey that signs", made(builder().add_userid(ANNA).add_signing_subkey()), Shape(ShapeError::Algorithm)),
        (
            "version 4",
            made(
                CertBuilder::new()
                    .set_cipher_suite(CipherSuite::Cv25519)
                    .add_userid(ANNA)
                    .add_transport_encryption_subkey(),
            ),
            Shape(ShapeError::Version),
        ),
        ("RSA", made(whole().set_cipher_suite(CipherSuite::RSA2k)), Shape(ShapeError::Algorithm)),
        ("P-256", made(whole().set_cipher_suite(CipherSuite::P256)), Shape(ShapeError::Algorithm)),
        ("with its secrets", secret, Shape(ShapeError::Kind)),
        ("a second certificate behind it", [good.clone(), made(whole())].concat(), Shape(ShapeError::Trailing)),
        ("an octet behind it", [good.clone(), vec![0]].concat(), Shape(ShapeError::Trailing)),
        ("an octet less", good[..good.len() - 1].to_vec(), Shape(ShapeError::Truncated)),
        ("padding in it", with(&parts[1], 1), Shape(ShapeError::Kind)),
        ("a stranger's certification", with(&stranger[3], 4), Shape(ShapeError::Kind)),
        ("no direct-key signature", without(1), Shape(ShapeError::Kind)),
        ("an unbound address", without(3), Shape(ShapeError::Kind)),
        ("an unbound subkey", without(5), Shape(ShapeError::Truncated)),
        ("a stranger's primary", swapped(0), Unbound),
        ("a stranger's direct-key signature", swapped(1), Unbound),
        ("a stranger's binding of the address", swapped(3), Unbound),
        ("a stranger's subkey", swapped(4), Unbound),
        ("a stranger's binding of the subkey", swapped(5), Unbound),
        ("revoked", revoked, Shape(ShapeError::Kind)),
        ("with a revoked subkey", revoked_subkey, Shape(ShapeError::Kind)),
        ("for a year", made(whole().set_validity_period(year)), Ends),
        (
            "a subkey for a year",
            made(builder().add_userid(ANNA).add_subkey(KeyFlags::empty().set_transport_encryption(), year, None)),
            Ends,
        ),
        (
            "a primary that doesn't sign",
            made(whole().set_primary_key_flags(KeyFlags::empty().set_certification())),
            Flags,
        ),
        (
            "a subkey for authentication only",
            {
                // RFC 9580 5.2.3.29: the flags decide, not the algorithm.
                let certificate = builder().add_userid(ANNA).generate().unwrap().0;
                bound_for(certificate, &KeyFlags::empty().set_authentication())
            },
            Flags,
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(ReaderCertificate::check(&bytes, &anna()).err(), Some(expected), "{name}");
    }
}

/// A certificate without a subkey, and an X25519 subkey for something.
fn bound_for(certificate: Cert, flags: &KeyFlags) -> Vec<u8> {
    use sequoia_openpgp::packet::key::{Key6, SecretParts};
    let mut signer = certificate.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let subkey: Key<SecretParts, SubordinateRole> = Key::from(Key6::generate_x25519().unwrap());
    let binding = SignatureBuilder::new(SignatureType::SubkeyBinding).set_key_flags(flags.clone()).unwrap();
    let binding = subkey.bind(&mut signer, &certificate, binding).unwrap();
    let certificate = certificate.insert_packets(vec![Packet::from(subkey), binding.into()]).unwrap().0;
    certificate.to_vec().unwrap()
}

#[test]
fn every_changed_octet_is_found() {
    let good = from_a_browser();
    let fingerprint = *ReaderCertificate::check(&good, &anna()).unwrap().fingerprint();
    for place in 0..good.len() {
        let mut changed = good.clone();
        changed[place] ^= 0x41;
        if let Ok(passed) = ReaderCertificate::check(&changed, &anna()) {
            // The first octets of a hash that a signature repeats bind nothing; the keys are the same.
            assert_eq!((passed.fingerprint(), passed.bytes()), (&fingerprint, changed.as_slice()), "octet {place}");
            assert!(is_hash_prefix(&good, place), "octet {place}");
        }
    }
}

/// The two octets in front of a version 6 signature's salt, which has 16 or 32 octets with its length before it.
fn is_hash_prefix(bytes: &[u8], place: usize) -> bool {
    [place, place.wrapping_sub(1)].iter().any(|at| {
        bytes.get(at + 2).is_some_and(|salt| matches!(salt, 16 | 32)) && bytes.get(at - 4..*at) == Some(&[0; 4])
    })
}

#[test]
fn a_key_packet_names_its_certificate() {
    let (anna_s, other) = (
        ReaderCertificate::check(&made(whole()), &anna()).unwrap(),
        ReaderCertificate::check(&made(whole()), &anna()).unwrap(),
    );
    let session_key = SessionKey::new(32).unwrap();
    let packet = anna_s.wrap(&session_key).unwrap();
    assert!(anna_s.is_named_in(&packet));
    assert!(!other.is_named_in(&packet));
    assert!(!anna_s.is_named_in(&packet[..packet.len() - 1]));
    assert!(!anna_s.is_named_in(&[packet.clone(), packet.clone()].concat()));
    assert!(!anna_s.is_named_in(&[]));
    // To the primary's fingerprint instead of the subkey's: a browser would try it, but nobody should write it.
    let at = packet.windows(32).position(|octets| octets == anna_s.encryption.fingerprint().as_bytes()).unwrap();
    let mut named = packet;
    named[at..at + 32].copy_from_slice(anna_s.fingerprint());
    assert!(!anna_s.is_named_in(&named));
}

#[test]
fn a_statement_is_signed_by_the_primary_in_one_form() {
    let (certificate, _) = whole().generate().unwrap();
    let checked = ReaderCertificate::check(&certificate.to_vec().unwrap(), &anna()).unwrap();
    let mut signer = certificate.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let mut sign = |kind: SignatureType, hash: HashAlgorithm, message: &[u8]| {
        let made = SignatureBuilder::new(kind).set_hash_algo(hash).sign_message(&mut signer, message).unwrap();
        Packet::from(made).to_vec().unwrap()
    };
    let binary = SignatureType::Binary;
    let good = sign(binary, HashAlgorithm::SHA512, b"said");
    assert!(checked.verify(b"said", &good));
    assert!(checked.verify(b"said", &sign(binary, HashAlgorithm::SHA256, b"said")));
    for (name, message, signature) in [
        ("another statement", b"Said".as_slice(), good.clone()),
        ("as text", b"said", sign(SignatureType::Text, HashAlgorithm::SHA512, b"said")),
        ("SHA-384", b"said", sign(binary, HashAlgorithm::SHA384, b"said")),
        ("twice", b"said", [good.clone(), good.clone()].concat()),
        ("cut", b"said", good[..good.len() - 1].to_vec()),
        ("nothing", b"said", vec![]),
        ("too long", b"said", vec![0xc2; 1025]),
    ] {
        assert!(!checked.verify(message, &signature), "{name}");
    }
    let stranger = ReaderCertificate::check(&made(whole()), &anna()).unwrap();
    assert!(!stranger.verify(b"said", &good));
    for place in 0..good.len() {
        let mut changed = good.clone();
        changed[place] ^= 1;
        assert!(!checked.verify(b"said", &changed) || is_hash_prefix(&good, place), "octet {place}");
    }
}

#[test]
fn certificates_of_any_clock_pass() {
    for made_at in [1_000_000_000, 4_000_000_000] {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(made_at);
        let certificate = ReaderCertificate::check(&made(whole().set_creation_time(at)), &anna()).unwrap();
        assert_eq!(certificate.made_at(), Time::try_from(made_at).unwrap());
    }
    // The User ID is bytes: letters outside ASCII are those of the canonical address, not folded or normalised again.
    let umlaut = Identity::from_stored("müller@home.example".into());
    let certificate = made(builder().add_userid("müller@home.example").add_transport_encryption_subkey());
    assert_eq!(packets(&certificate)[2].tag(), Tag::UserID);
    assert!(ReaderCertificate::check(&certificate, &umlaut).is_ok());
    let decomposed = UserID::from("mu\u{308}ller@home.example");
    let certificate = made(builder().add_userid(decomposed).add_transport_encryption_subkey());
    assert!(ReaderCertificate::check(&certificate, &umlaut).is_err());
}
