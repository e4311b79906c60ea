//! What is usable and what isn't, and the reason that is given.

use std::sync::Arc;

use sealpost_vault::{EmailAddress, Identity, Time};
use sequoia_openpgp::cert::{CipherSuite, KeyBuilder, SubkeyRevocationBuilder, UserIDRevocationBuilder};
use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::packet::key::{Key4, PrimaryRole, PublicParts, SecretParts, SubordinateRole};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Key, UserID};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::{
    Curve, HashAlgorithm, KeyFlags, PublicKeyAlgorithm, ReasonForRevocation, RevocationKey, SignatureType,
    SymmetricAlgorithm,
};
use sequoia_openpgp::{Cert, Packet, Profile};

use super::samples::*;
use crate::certificates::check::{Admission, Container, Trials, UsableCert, examine};
use crate::certificates::minimal::minimal;
use crate::certificates::reason::{Fault, Requirement};

/// `Ok`: usable for Anna. `Err`: the first requirement that fails, and words of the reason.
type Expected<'a> = Result<(), (Requirement, &'a str)>;

#[track_caller]
fn check(cert: &Cert, now: Time, expected: Expected<'_>) {
    check_for("anna@klinik.example", cert, now, expected);
}

#[track_caller]
fn check_for(address: &str, cert: &Cert, now: Time, expected: Expected<'_>) {
    let address: EmailAddress = address.parse().unwrap();
    let cert = &Arc::new(stored(cert));
    let examination = examine(cert, &address.identity(), Admission::Admitted, now, &Trials::default());
    let failed = examination.checks.iter().find_map(|check| Some((check.requirement, check.result.as_ref().err()?)));
    match (expected, failed) {
        (Ok(()), None) => {
            let usable = examination.usable.expect("every check passed");
            assert_eq!(usable.address(), &address.identity());
            assert_eq!(usable.cert().fingerprint(), cert.fingerprint());
            assert!(!usable.encryption_keys().is_empty());
            assert_eq!(usable.encryption_keys().len(), usable.recipients().len());
        }
        (Err((requirement, reason)), Some((failed, fault))) => {
            assert_eq!(failed, requirement, "{fault}");
            assert!(fault.to_string().contains(reason), "{fault}");
            assert!(examination.usable.is_none());
        }
        (_, failed) => panic!("expected {expected:?}, found {failed:?}"),
    }
}

/// As it comes out of the store.
fn stored(cert: &Cert) -> Cert {
    minimal(&cert.clone().strip_secret_key_material()).unwrap()
}

fn identity(address: &str) -> Identity {
    address.parse::<EmailAddress>().unwrap().identity()
}

fn usable(cert: &Cert) -> UsableCert {
    UsableCert::judged(cert, &"anna@klinik.example".parse().unwrap(), NOW).expect("usable")
}

#[test]
fn good_ones() {
    for suite in [CipherSuite::Cv25519, CipherSuite::RSA2k, CipherSuite::P256, CipherSuite::P521] {
        check(&made(builder(ANNA).set_cipher_suite(suite).add_transport_encryption_subkey()), NOW, Ok(()));
    }
    let v6 = builder(ANNA).set_profile(Profile::RFC9580).unwrap().add_transport_encryption_subkey();
    check(&made(v6), NOW, Ok(()));
    check(&made(builder("ANNA@Klinik.Example").add_transport_encryption_subkey()), NOW, Ok(()));
}

#[test]
fn the_container_is_what_was_announced() {
    assert_eq!(usable(&anna()).container(), Container::SeipdV1);
    let announced = sequoia_openpgp::types::Features::empty().set_seipdv1().set_seipdv2();
    let newer = builder(ANNA).set_features(announced).unwrap().add_transport_encryption_subkey();
    assert_eq!(usable(&made(newer)).container(), Container::SeipdV2);
}

#[test]
fn only_for_its_addresses() {
    use Requirement::Bound;
    let cert = made(builder(ANNA).add_userid("anna@praxis.example").add_transport_encryption_subkey());
    check_for("anna@praxis.example", &cert, NOW, Ok(()));
    check_for("Anna@PRAXIS.example", &cert, NOW, Ok(()));
    let none = Err((Bound, "no User ID names exactly this address"));
    check_for("jonas@klinik.example", &cert, NOW, none);
    check_for("anna@klinik.example.evil.example", &cert, NOW, none);
    for deceiving in [
        "Anna <anna@klinik.example> <eve@evil.example>",
        "Anna <anna@klinik.example\0@evil.example>",
        "anna@klinik.example (Eve) <eve@evil.example>",
        "Anna Weber <anna@kl\u{456}nik.example>",
    ] {
        check(&made(builder(deceiving).add_transport_encryption_subkey()), NOW, none);
    }
}

#[test]
fn a_user_id_counts_only_if_its_owner_signed_it() {
    use Requirement::Bound;
    let eve = made(builder("eve@evil.example").add_transport_encryption_subkey());
    let claimed = with(eve.clone(), vec![UserID::from(ANNA).into()]);
    // Signed by Anna's real key, which certifies strangers' User IDs all the time.
    let certified = naming(eve.clone(), ANNA, &anna(), HashAlgorithm::SHA256);
    for cert in [claimed, certified].map(Arc::new) {
        let examination =
            examine(&cert, &identity("anna@klinik.example"), Admission::Admitted, NOW, &Trials::default());
        assert!(examination.fault().unwrap().to_string().ends_with("no signature of its owner verifies"));
        // What isn't signed isn't stored either.
        check(&cert, NOW, Err((Bound, "no User ID names exactly this address")));
    }
    let weak = naming(eve.clone(), ANNA, &eve, HashAlgorithm::SHA1);
    check(&weak, NOW, Err((Bound, "SHA1")));
    check(&naming(eve.clone(), ANNA, &eve, HashAlgorithm::SHA256), NOW, Ok(()));
}

#[test]
fn one_good_user_id_is_enough() {
    let twice = builder(ANNA).add_userid("anna@klinik.example").add_transport_encryption_subkey();
    let cert = made(twice);
    let (first, second) =
        (revoked_user_id(cert.clone(), ANNA, NOW - DAY), revoked_user_id(cert, "anna@klinik.example", NOW - DAY));
    check(&first, NOW, Ok(()));
    check(&second, NOW, Ok(()));
    check(
        &revoked_user_id(first, "anna@klinik.example", NOW - DAY),
        NOW,
        Err((Requirement::Bound, "revoked on 2026-09-20")),
    );
}

fn revoked_user_id(cert: Cert, user_id: &str, moment: Time) -> Cert {
    let revocation = UserIDRevocationBuilder::new()
        .set_signature_creation_time(at(moment))
        .unwrap()
        .set_reason_for_revocation(ReasonForRevocation::UIDRetired, b"")
        .unwrap()
        .build(&mut signer(&cert), &cert, &UserID::from(user_id), None)
        .unwrap();
    with(cert, vec![revocation.into()])
}

#[test]
fn alive() {
    use Requirement::{Alive, SelfSigned};
    let mail = KeyFlags::empty().set_transport_encryption();
    let expiring = made(builder(ANNA).set_validity_period(days(365)).add_subkey(mail, days(3650), None));
    check(&expiring, NOW - 1, Ok(()));
    check(&expiring, NOW, Err((Alive, "expired on 2026-09-21")));
    check(&expiring, NOW + YEAR, Err((Alive, "expired on 2026-09-21")));
    check(&expiring, NOW - YEAR, Ok(()));
    let quarter = 15 * 60;
    check(&expiring, NOW - YEAR - quarter, Ok(()));
    check(&expiring, NOW - YEAR - quarter - 1, Err((SelfSigned, "dated 2025-09-21, which is in the future")));
    // Prolonged: the newest signature counts.
    let later = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_signature_creation_time(at(NOW - DAY))
        .unwrap()
        .set_key_validity_period(days(730))
        .unwrap();
    let later = UserID::from(ANNA).bind(&mut signer(&expiring), &expiring, later).unwrap();
    let prolonged = with(expiring.clone(), vec![later.into()]);
    check(&prolonged, NOW + DAY, Ok(()));
    check(&prolonged, NOW + YEAR + DAY, Err((Alive, "expired on")));
}

/// A subkey may outlive its certificate, as GnuPG's do by default: the end is told once, and nothing of the future.
#[test]
fn an_expired_certificate_is_told_as_that_alone() {
    let mail = KeyFlags::empty().set_transport_encryption();
    let cert = stored(&made(builder(ANNA).set_validity_period(days(30)).add_subkey(mail, days(3650), None)));
    let examination =
        examine(&Arc::new(cert), &identity("anna@klinik.example"), Admission::Admitted, NOW, &Trials::default());
    let failed: Vec<_> = examination.checks.into_iter().filter(|check| check.result.is_err()).collect();
    let [check] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!(check.requirement, Requirement::Alive);
    assert!(examination.usable.is_none());
}

#[test]
fn revoked_certificates() {
    use ReasonForRevocation::{KeyCompromised, KeyRetired, KeySuperseded, Unspecified};
    use Requirement::NotRevoked;
    check(&revoked(anna(), KeyRetired, NOW - DAY), NOW, Err((NotRevoked, "revoked on 2026-09-20: no longer used")));
    check(&revoked(anna(), KeySuperseded, NOW - DAY), NOW, Err((NotRevoked, "replaced by another")));
    check(&revoked(anna(), KeyCompromised, NOW - DAY), NOW, Err((NotRevoked, "somebody else may have the secret key")));
    check(&revoked(anna(), Unspecified, NOW - DAY), NOW, Err((NotRevoked, "revoked on 2026-09-20")));
    // A soft one begins to count on its day; a hard one counts for all times.
    check(&revoked(anna(), KeyRetired, NOW + DAY), NOW, Ok(()));
    check(&revoked(anna(), KeyRetired, NOW + DAY), NOW + DAY, Err((NotRevoked, "no longer used")));
    check(&revoked(anna(), KeyCompromised, NOW + DAY), NOW, Err((NotRevoked, "revoked")));
    // Somebody else's revocation is none.
    let eve = made(builder("eve@evil.example").add_transport_encryption_subkey());
    let foreign = sequoia_openpgp::cert::CertRevocationBuilder::new()
        .set_signature_creation_time(at(NOW - DAY))
        .unwrap()
        .set_reason_for_revocation(KeyCompromised, b"")
        .unwrap();
    let foreign = foreign.build(&mut signer(&eve), &anna(), None).unwrap();
    check(&with(anna(), vec![foreign.into()]), NOW, Ok(()));
}

#[test]
fn a_revocation_by_a_key_that_the_owner_named_is_heeded() {
    let keeper = made(builder("keeper@klinik.example").add_transport_encryption_subkey());
    let named = builder(ANNA).set_revocation_keys(vec![RevocationKey::from(&keeper)]);
    let cert = made(named.add_transport_encryption_subkey());
    check(&cert, NOW, Ok(()));
    let by_keeper = sequoia_openpgp::cert::CertRevocationBuilder::new()
        .set_signature_creation_time(at(NOW - DAY))
        .unwrap()
        .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
        .unwrap();
    let by_keeper = by_keeper.build(&mut signer(&keeper), &cert, None).unwrap();
    check(&with(cert, vec![by_keeper.into()]), NOW, Err((Requirement::NotRevoked, "another key that the owner named")));
}

#[test]
fn subkeys() {
    use Requirement::Encrypts;
    let mail = KeyFlags::empty().set_transport_encryption();
    check(&made(builder(ANNA)), NOW, Err((Encrypts, "no subkey for encrypting mail")));
    check(&made(builder(ANNA).add_signing_subkey()), NOW, Err((Encrypts, "no subkey for encrypting mail")));
    check(&made(builder(ANNA).add_storage_encryption_subkey()), NOW, Err((Encrypts, "no subkey for encrypting mail")));
    let expired = builder(ANNA).add_subkey(mail.clone(), days(30), None);
    check(&made(expired), NOW, Err((Encrypts, "expired on 2025-10-21")));
    let beside = made(builder(ANNA).add_subkey(mail.clone(), days(30), None).add_subkey(mail.clone(), None, None));
    check(&beside, NOW, Ok(()));
    let fresh = beside.keys().subkeys().map(|key| key.key().fingerprint()).collect::<Vec<_>>();
    let used: Vec<_> = usable(&beside).encryption_keys().iter().map(|key| key.fingerprint()).collect();
    assert_eq!(used.len(), 1);
    assert!(fresh.contains(&used[0]));
    // The one that expires is the one that isn't used.
    let until = usable(&made(builder(ANNA).add_subkey(mail.clone(), days(366), None).add_subkey(mail, None, None)));
    assert_eq!(until.encryption_keys().len(), 2);
}

#[test]
fn a_revoked_subkey_is_none() {
    let mail = KeyFlags::empty().set_transport_encryption();
    let cert = made(builder(ANNA).add_subkey(mail.clone(), None, None).add_subkey(mail, None, None));
    let revoke = |cert: Cert, place: usize| {
        let key = cert.keys().subkeys().nth(place).unwrap().key().clone();
        let revocation = SubkeyRevocationBuilder::new()
            .set_signature_creation_time(at(NOW - DAY))
            .unwrap()
            .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
            .unwrap()
            .build(&mut signer(&cert), &cert, key.role_as_subordinate(), None)
            .unwrap();
        with(cert, vec![revocation.into()])
    };
    let one = revoke(cert.clone(), 0);
    check(&one, NOW, Ok(()));
    let left = cert.keys().subkeys().nth(1).unwrap().key().fingerprint();
    assert_eq!(usable(&one).encryption_keys().iter().map(|key| key.fingerprint()).collect::<Vec<_>>(), [left]);
    check(&revoke(one, 1), NOW, Err((Requirement::Encrypts, "somebody else may have the secret key")));
}

#[test]
fn a_subkey_that_the_owner_did_not_bind_is_none() {
    let eve = made(builder("eve@evil.example").add_transport_encryption_subkey());
    let hers = eve.keys().subkeys().next().unwrap().key().clone().take_secret().0;
    let signature = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_signature_creation_time(at(NOW - DAY))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_transport_encryption())
        .unwrap();
    let bare = made(builder(ANNA));
    let signature = hers.role_as_subordinate().bind(&mut signer(&eve), &bare, signature).unwrap();
    let grafted = with(bare, vec![Packet::from(hers.role_into_subordinate()), signature.into()]);
    check(&grafted, NOW, Err((Requirement::Encrypts, "no subkey for encrypting mail")));
}

/// The owner's signature is good, and nothing can be encrypted to the numbers: no message may get stuck on them.
#[test]
fn a_subkey_of_impossible_numbers_is_none() {
    let ecdh = |curve: Curve, q: Vec<u8>| PublicKey::ECDH {
        curve,
        q: q.into(),
        hash: HashAlgorithm::SHA256,
        sym: SymmetricAlgorithm::AES256,
    };
    let point = |length: usize| [&[4][..], &vec![0x55; length]].concat();
    for (algorithm, numbers) in [
        (PublicKeyAlgorithm::ECDH, ecdh(Curve::Cv25519, [&[0x40][..], &[0; 32]].concat())),
        (PublicKeyAlgorithm::ECDH, ecdh(Curve::NistP256, point(64))),
        (PublicKeyAlgorithm::ECDH, ecdh(Curve::NistP256, point(31))),
        (PublicKeyAlgorithm::ECDH, ecdh(Curve::NistP521, Vec::new())),
        (PublicKeyAlgorithm::X25519, PublicKey::X25519 { u: [0; 32] }),
    ] {
        let bare = made(builder(ANNA));
        let subkey = Key4::<PublicParts, SubordinateRole>::new(at(NOW - YEAR), algorithm, numbers.clone()).unwrap();
        let subkey = Key::from(subkey);
        let signature = SignatureBuilder::new(SignatureType::SubkeyBinding)
            .set_signature_creation_time(at(NOW - DAY))
            .unwrap()
            .set_key_flags(KeyFlags::empty().set_transport_encryption())
            .unwrap();
        let signature = subkey.bind(&mut signer(&bare), &bare, signature).unwrap();
        let impossible = with(bare, vec![Packet::from(subkey), signature.into()]);
        check(&impossible, NOW, Err((Requirement::Encrypts, "nothing can be encrypted to it")));
        // Another one beside it is used.
        let good = KeyBuilder::new(KeyFlags::empty().set_transport_encryption())
            .set_creation_time(at(NOW - DAY))
            .subkey(impossible.with_policy(&StandardPolicy::new(), at(NOW)).unwrap())
            .unwrap()
            .attach()
            .unwrap();
        check(&with(impossible, good), NOW, Ok(()));
    }
}

#[test]
fn weak_algorithms() {
    use Requirement::SelfSigned;
    let eve = made(builder("eve@evil.example").add_transport_encryption_subkey());
    check(&naming(eve.clone(), ANNA, &eve, HashAlgorithm::SHA1), NOW, Err((Requirement::Bound, "SHA1")));
    // All of it with SHA-1, as keys from before 2010 are.
    check(&by_hand(2048, HashAlgorithm::SHA1), NOW, Err((SelfSigned, "the owner's signature was made with SHA1")));
    check(&by_hand(2048, HashAlgorithm::SHA256), NOW, Ok(()));
    check(&by_hand(1024, HashAlgorithm::SHA256), NOW, Err((SelfSigned, "RSA with 1024 bits")));
}

/// A single RSA key that certifies and encrypts.
fn by_hand(bits: usize, hash: HashAlgorithm) -> Cert {
    let mut key: Key<SecretParts, PrimaryRole> = Key4::generate_rsa(bits).unwrap().into();
    key.set_creation_time(at(NOW - YEAR)).unwrap();
    let cert = Cert::try_from(vec![Packet::from(key)]).unwrap();
    let user_id = UserID::from(ANNA);
    let signature = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_hash_algo(hash)
        .set_signature_creation_time(at(NOW - YEAR))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_certification().set_transport_encryption())
        .unwrap();
    let signature = user_id.bind(&mut signer(&cert), &cert, signature).unwrap();
    with(cert, vec![user_id.into(), signature.into()])
}

#[test]
fn what_was_not_imported_for_an_address_is_not_used_for_it() {
    let examination =
        examine(&Arc::new(anna()), &identity("anna@klinik.example"), Admission::KnownOnly, NOW, &Trials::default());
    assert!(examination.usable.is_none());
    assert_eq!(examination.fault(), Some(Fault::NotAdmitted));
}
