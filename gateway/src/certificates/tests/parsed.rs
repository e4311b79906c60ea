//! What an input may be, and what is left of it.

use std::time::{Duration, Instant};

use sequoia_openpgp::Cert;
use sequoia_openpgp::packet::{Packet, UserAttribute, UserID};
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{HashAlgorithm, ReasonForRevocation, SignatureType};

use super::samples::*;
use crate::certificates::parse::{ImportError, LONGEST_INPUT, Unfit, parse};

/// What kept the whole input out.
#[track_caller]
fn refused(input: &[u8]) -> String {
    parse(input).expect_err("refused").to_string()
}

/// What kept its only certificate out.
#[track_caller]
fn unfit(input: &[u8]) -> Unfit {
    let mut candidates = parse(input).unwrap();
    assert_eq!(candidates.len(), 1);
    candidates.remove(0).result.expect_err("unfit")
}

#[track_caller]
fn certs(input: &[u8]) -> Vec<Cert> {
    parse(input).unwrap().into_iter().map(|candidate| candidate.result.unwrap()).collect()
}

fn armored(cert: &Cert) -> String {
    String::from_utf8(cert.armored().to_vec().unwrap()).unwrap()
}

#[test]
fn text_and_bytes() {
    let anna = anna();
    let text = armored(&anna);
    for input in [
        bytes(&anna),
        text.clone().into_bytes(),
        text.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{text}").into_bytes(),
        format!("Hello Jonas,\n\nmy key: see below\n\n{text}\n-- \nAnna\n").into_bytes(),
        format!("Änne schickt:\n{text}").into_bytes(),
        text.replacen("\n\n", "\nVersion: GnuPG v2\nComment: äöü\n\n", 1).into_bytes(),
    ] {
        let found = certs(&input);
        assert_eq!(found.iter().map(Cert::fingerprint).collect::<Vec<_>>(), [anna.fingerprint()]);
        assert!(!found[0].is_tsk());
    }
}

#[test]
fn many_at_once() {
    let (one, two, three) = (anna(), anna(), anna());
    let fingerprints = [&one, &two, &three].map(Cert::fingerprint);
    let found = |input: &[u8]| certs(input).iter().map(Cert::fingerprint).collect::<Vec<_>>();
    assert_eq!(found(&[bytes(&one), bytes(&two), bytes(&three)].concat()), fingerprints);
    assert_eq!(found([armored(&one), armored(&two), armored(&three)].concat().as_bytes()), fingerprints);
}

#[test]
fn what_is_no_certificate_is_named() {
    let text = armored(&anna());
    let secret = anna();
    let half = text.split_at(text.len() / 2).0;
    let mut cut = bytes(&anna());
    cut.truncate(cut.len() - 5);
    let message = sequoia_openpgp::packet::Literal::new(sequoia_openpgp::types::DataFormat::Binary);
    let revocation = Packet::from(revocation(&anna(), ReasonForRevocation::KeyRetired, NOW));
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let mut keybox = vec![0, 0, 0, 32, 1, 1, 0, 2];
    keybox.extend(b"KBXf\0\0\0\0");
    for (input, words) in [
        (Vec::new(), "empty"),
        (b" \r\n".to_vec(), "empty"),
        (b"anna@klinik.example".to_vec(), "no OpenPGP certificate"),
        (b"\n<!DOCTYPE html>\n<html><body>404".to_vec(), "web page"),
        (b"<HTML>".to_vec(), "web page"),
        (vec![0xff; 100], "no OpenPGP certificate"),
        (vec![0x99; 100], "truncated"),
        (half.as_bytes().to_vec(), "truncated"),
        (cut, "truncated"),
        (text.replace("=", "=3D").into_bytes(), "damaged"),
        (text.replacen("\n\n", "\n\n> ", 1).into_bytes(), "damaged before or in line"),
        (utf16, "UTF-16"),
        (keybox, "keybox"),
        (Packet::from(message).to_vec().unwrap(), "OpenPGP message"),
        (revocation.to_vec().unwrap(), "signature alone"),
        (b"-----BEGIN PGP MESSAGE-----\n\nxxxx\n-----END PGP MESSAGE-----\n".to_vec(), "BEGIN PGP MESSAGE"),
        (secret.as_tsk().to_vec().unwrap(), "secret key"),
        (secret.as_tsk().armored().to_vec().unwrap(), "secret key"),
        ([bytes(&anna()), secret.as_tsk().to_vec().unwrap()].concat(), "secret key"),
        (
            format!("{text}{}", String::from_utf8(secret.as_tsk().armored().to_vec().unwrap()).unwrap()).into_bytes(),
            "secret key",
        ),
        ([bytes(&anna()), b"</html>".to_vec()].concat(), "no OpenPGP packet"),
        (vec![0x80; LONGEST_INPUT + 1], "longer than 4 MiB"),
    ] {
        let said = refused(&input);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn one_bad_certificate_does_not_keep_the_others_out() {
    let old = packet(6, &[3, 0, 0, 0, 0, 0, 0, 1, 0, 8, 0xff, 0, 8, 0xff]);
    let found = parse(&[bytes(&anna()), old, packet(13, b"old@klinik.example"), bytes(&anna())].concat()).unwrap();
    let results: Vec<_> = found.iter().map(|found| (found.place, found.result.as_ref().err())).collect();
    assert_eq!(results, [(1, None), (2, Some(&Unfit::Version(3))), (3, None)]);
    assert_eq!(found[1].fingerprint, "");
}

/// Third parties' signatures, pictures, what doesn't verify.
#[test]
fn only_what_the_owner_signed_is_left() {
    let (anna, eve) = (anna(), anna());
    let user_id = UserID::from(ANNA);
    let certified = user_id
        .certify(&mut signer(&eve), &anna, SignatureType::GenericCertification, HashAlgorithm::SHA256, at(NOW))
        .unwrap();
    let picture =
        UserAttribute::new(&[sequoia_openpgp::packet::user_attribute::Subpacket::Unknown(100, vec![7; 5000].into())])
            .unwrap();
    let own = sequoia_openpgp::packet::signature::SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_signature_creation_time(at(NOW))
        .unwrap();
    let own = picture.bind(&mut signer(&anna), &anna, own).unwrap();
    let more = with(
        anna.clone(),
        vec![certified.into(), picture.into(), own.into(), UserID::from("unsigned@klinik.example").into()],
    );
    assert!(bytes(&more).len() > bytes(&anna).len() + 5000);
    // Broken by one bit: it doesn't verify.
    let mut broken = bytes(&more);
    broken.extend(Packet::from(revocation(&anna, ReasonForRevocation::KeyRetired, NOW)).to_vec().unwrap());
    let last = broken.len() - 1;
    broken[last] ^= 1;
    let found = certs(&broken).remove(0);
    assert_eq!(bytes(&found), bytes(&certs(&bytes(&anna))[0]));
}

#[test]
fn a_revocation_in_the_wrong_place_is_found() {
    let cert = anna();
    let revocation = Packet::from(revocation(&cert, ReasonForRevocation::KeyCompromised, NOW));
    let found = certs(&[bytes(&cert), revocation.to_vec().unwrap()].concat()).remove(0);
    assert_eq!(found.primary_key().self_revocations().count(), 1);
    let on_picture = [bytes(&cert), packet(17, &[2, 100, 0]), revocation.to_vec().unwrap()].concat();
    assert_eq!(certs(&on_picture).remove(0).primary_key().self_revocations().count(), 1);
}

/// 35,000 signatures by strangers are passed over; as many in the owner's name are refused.
#[test]
fn flooded() {
    let cert = anna();
    let flood = |issuer: [u8; 8]| {
        let mut hashed = vec![5, 2, 0x6a, 0, 0, 0, 9, 16];
        hashed.extend(issuer);
        let mut body = vec![4, 0x10, 22, 8];
        body.extend(u16::try_from(hashed.len()).unwrap().to_be_bytes());
        body.extend(hashed);
        body.extend([0, 0, 0xaa, 0xbb, 0, 255]);
        body.extend([0xff; 32]);
        body.extend([0, 255]);
        body.extend([0xff; 32]);
        let signature = packet(2, &body);
        [bytes(&cert), signature.repeat(35_000)].concat()
    };
    let begun = Instant::now();
    let strangers = flood([7; 8]);
    assert!(strangers.len() > 3 << 20 && strangers.len() < LONGEST_INPUT);
    assert_eq!(bytes(&certs(&strangers)[0]), bytes(&certs(&bytes(&cert))[0]));
    let ours = cert.keyid().as_bytes().try_into().unwrap();
    assert_eq!(unfit(&flood(ours)), Unfit::Signatures);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // A hundred thousand are more than an input may be.
    assert!(matches!(parse(&strangers.repeat(4)), Err(ImportError::TooLong)));
}

#[test]
fn too_much_of_anything() {
    let cert = bytes(&anna());
    let many = |one: Vec<u8>, times: usize| [cert.clone(), one.repeat(times)].concat();
    let subkey = anna().keys().subkeys().next().unwrap().key().clone().take_secret().0;
    let subkey = Packet::from(subkey.role_into_subordinate()).to_vec().unwrap();
    assert_eq!(unfit(&many(packet(13, b"a@b.example"), 64)), Unfit::UserIds);
    assert_eq!(unfit(&many(subkey, 64)), Unfit::Subkeys);
    assert_eq!(unfit(&many(packet(13, &[b'a'; 1025]), 1)), Unfit::Packet { length: 1025, most: 1024 });
    assert_eq!(unfit(&many(packet(14, &[4; 5000]), 1)), Unfit::Packet { length: 5000, most: 4096 });
    assert_eq!(unfit(&many(packet(30, b"?"), 1)), Unfit::UnknownPacket(30));
    assert_eq!(unfit(&many(packet(8, b"?"), 1)), Unfit::UnknownPacket(8));
    assert_eq!(certs(&many(packet(60, b"private"), 5000)).len(), 1);
    assert_eq!(refused(&packet(6, b"").repeat(1001)), ImportError::TooMany.to_string());
    assert_eq!(parse(&packet(6, b"").repeat(1000)).unwrap().len(), 1000);
}

#[test]
fn slow_keys() {
    assert_eq!(unfit(&rsa_key(&[0xff; 2048], &[1, 0, 1])), Unfit::Rsa(16_384));
    assert_eq!(unfit(&rsa_key(&[0xff; 1025], &[1, 0, 1])), Unfit::Rsa(8200));
    assert_eq!(unfit(&rsa_key(&[0xff; 256], &[0xff; 256])), Unfit::RsaExponent(2048));
    // These are read; without a signature they name nobody.
    assert!(certs(&rsa_key(&[0xff; 1024], &[1, 0, 1]))[0].userids().next().is_none());
    let mut dsa = vec![4, 0x60, 0, 0, 0, 17];
    for _ in 0..4 {
        dsa.extend([0x20, 0x08]);
        dsa.extend([0xff; 1025]);
    }
    assert_eq!(unfit(&packet(6, &dsa)), Unfit::Packet { length: 4114, most: 4096 });
    dsa.truncate(6);
    dsa.extend([0x10, 0x08]);
    dsa.extend([0xff; 513]);
    dsa.extend([0, 1, 1, 0, 1, 1, 0, 1, 1]);
    assert_eq!(unfit(&packet(6, &dsa)), Unfit::Bits { name: "DSA", bits: 4104 });
    // Numbers that claim to be longer than they are, keys of nothing.
    for body in [&[4][..], &[6, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff], &[4, 0, 0, 0, 0, 1, 0xff, 0xff, 1]] {
        assert!(matches!(unfit(&packet(6, body)), Unfit::Unreadable | Unfit::Version(_)));
    }
}

/// Whatever bytes are changed, cut or doubled: an error or a certificate, never a panic, and never a secret.
#[test]
fn mutilated() {
    let source = revoked(anna(), ReasonForRevocation::KeyRetired, NOW);
    let (whole, text) = (bytes(&source), armored(&source).into_bytes());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let (mut taken, mut not_taken) = (0, 0);
    for round in 0..3000 {
        let mut input = if round % 4 == 0 { text.clone() } else { whole.clone() };
        for _ in 0..=random(3) {
            let place = random(input.len());
            match random(4) {
                0 => input.truncate(place.max(1)),
                1 => input.insert(place, u8::try_from(random(256)).unwrap()),
                2 => drop(input.splice(place..place, whole.iter().take(random(60)).copied().collect::<Vec<_>>())),
                _ => input[place] = u8::try_from(random(256)).unwrap(),
            }
        }
        match parse(&input) {
            Ok(found) if found.iter().any(|found| found.result.is_ok()) => taken += 1,
            _ => not_taken += 1,
        }
    }
    assert!(taken > 100 && not_taken > 100, "{taken} {not_taken}");
}
