//! Tests of sealed letters: slips, parts, pickups.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sealpost_vault::derive::{ctx, sha256};
use sequoia_openpgp::crypto::Password;
use sequoia_openpgp::packet::SKESK;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::*;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::SymmetricAlgorithm;
use sequoia_openpgp::{Cert, KeyHandle, Packet, anyhow};
use std::io::Read;

use super::*;
use crate::keyring::tests::keyring;
use crate::message::{Mailbox, Part, PartKind};
use crate::seal::shape::{data_packet, key_packet_by_password};
use crate::seal::{LinkSecret, PickupSecrets};

pub(crate) fn reader(address: &str) -> Identity {
    Identity::from_stored(address.to_owned())
}

pub(crate) fn prepared() -> Prepared {
    let mailbox = |name: &str, address: &str| Mailbox { name: name.into(), address: address.parse().unwrap() };
    let part = |kind, name: &str, media_type: &str, bytes: &[u8]| Part {
        kind,
        name: name.into(),
        media_type: media_type.into(),
        bytes: bytes.to_vec(),
    };
    Prepared {
        subject: "Ihr Befund \u{2603} \"</script>".into(),
        from: vec![mailbox("Dr. Weber", "Weber@klinik.example")],
        to: vec![mailbox("", "anna@home.example")],
        cc: vec![],
        date: 1_750_000_100,
        parts: vec![
            part(PartKind::Body, "", "text/html", b"<p>Guten Tag</p>"),
            part(PartKind::Body, "", "text/plain", b"Guten Tag"),
            part(PartKind::Enclosure, "befund.pdf", "application/pdf", &vec![b'%'; 100_000]),
        ],
    }
}

pub(crate) fn plan(readers: &[&str]) -> SlipPlan {
    SlipPlan {
        letter_id: LetterId::random().unwrap(),
        conversation_id: ConversationId::random().unwrap(),
        readers: readers.iter().map(|address| reader(address)).collect(),
    }
}

/// HKDF written out: another way to the same bytes than the one that is tested.
pub(crate) fn expand(pid: &[u8], halves: &[u8], info: &[u8]) -> Vec<u8> {
    let prk = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, pid), halves);
    let block = [info, &[1]].concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()), &block).as_ref().to_vec()
}

struct Reader<'a> {
    password: Password,
    certificate: &'a Cert,
    signatures: usize,
}

impl VerificationHelper for Reader<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> anyhow::Result<Vec<Cert>> {
        Ok(vec![self.certificate.clone()])
    }
    fn check(&mut self, structure: MessageStructure) -> anyhow::Result<()> {
        for layer in structure {
            if let MessageLayer::SignatureGroup { results } = layer {
                for result in results {
                    let good = result.map_err(|e| anyhow::anyhow!("{e}"))?;
                    assert_eq!(good.sig.hash_algo(), sequoia_openpgp::types::HashAlgorithm::SHA256);
                    self.signatures += 1;
                }
            }
        }
        Ok(())
    }
}

impl DecryptionHelper for Reader<'_> {
    fn decrypt(
        &mut self,
        _: &[sequoia_openpgp::packet::PKESK],
        skesks: &[SKESK],
        _: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> anyhow::Result<Option<Cert>> {
        for skesk in skesks {
            let (algorithm, key) = skesk.decrypt(&self.password)?;
            if decrypt(algorithm, &key) {
                return Ok(None);
            }
        }
        anyhow::bail!("does not open")
    }
}

/// A reader with an ordinary OpenPGP program: content and number of good signatures.
fn read(certificate: &[u8], password: &str, key_packet: &[u8], packet: &[u8]) -> anyhow::Result<(Vec<u8>, usize)> {
    let certificate = Cert::from_bytes(certificate)?;
    let policy = StandardPolicy::new();
    let message = [key_packet, packet].concat();
    let helper = Reader { password: password.into(), certificate: &certificate, signatures: 0 };
    let mut reader = DecryptorBuilder::from_bytes(&message)?.with_policy(&policy, None, helper)?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content)?;
    Ok((content, reader.into_helper().signatures))
}

fn password(pid: &[u8], l: &[u8], s: &[u8], lid: &[u8], a: &str, o: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(expand(pid, &[l, s].concat(), &ctx("open", &[lid, a.as_bytes(), o]).unwrap()))
}

#[test]
fn a_letter_opens_with_both_halves_in_an_ordinary_program() {
    let (keyring, _home) = keyring();
    let plans = [plan(&["anna@home.example", "ben@home.example"]), plan(&["hidden@home.example"])];
    let sealed = seal(&keyring, &prepared(), "archive-7", &plans, 1_752_000_000).unwrap();
    assert_eq!((sealed.parts.len(), sealed.slips.len()), (3, 2));
    for packet in sealed.parts.iter().chain(&sealed.slips) {
        assert_eq!(data_packet(packet), Ok(()));
        assert!(packet.len() >= 4096);
    }
    for (plan, slip) in plans.iter().zip(&sealed.slips) {
        for address in plan.readers.iter().map(Identity::as_str) {
            let pid = PickupId::random().unwrap();
            let secrets: PickupSecrets = sealed.pickup(&keyring, pid, plan.letter_id, &reader(address)).unwrap();
            assert_eq!(key_packet_by_password(&secrets.key_packet), Ok(()));
            let password = password(
                pid.bytes(),
                secrets.link.bytes(),
                &secrets.share,
                plan.letter_id.bytes(),
                address,
                keyring.fingerprint(),
            );
            let open = |packet: &[u8]| read(&keyring.certificate(), &password, &secrets.key_packet, packet).unwrap();
            let (json, signatures) = open(slip);
            assert_eq!(signatures, 1);
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(json["is"], "sealpost/v1/slip");
            assert_eq!(json["letter"], plan.letter_id.to_string());
            assert_eq!(json["conversation"], plan.conversation_id.to_string());
            let readers: Vec<_> = plan.readers.iter().map(Identity::as_str).collect();
            assert_eq!(json["for"], serde_json::json!(readers));
            assert_eq!(json["from"], serde_json::json!([{"name": "Dr. Weber", "address": "Weber@klinik.example"}]));
            assert_eq!(json["to"], serde_json::json!([{"name": "", "address": "anna@home.example"}]));
            assert_eq!(json["cc"], serde_json::json!([]));
            assert_eq!(json["date"], 1_750_000_100);
            assert_eq!(json["expires"], 1_752_000_000);
            assert_eq!(json["subject"], prepared().subject);
            assert_eq!(json["archive"], "archive-7");
            assert_eq!(json["organisation"], keyring.fingerprint_hex());
            let entries = json["parts"].as_array().unwrap();
            assert_eq!(entries.len(), 3);
            for (n, ((entry, packet), part)) in entries.iter().zip(&sealed.parts).zip(prepared().parts).enumerate() {
                let hash: String = sha256(packet).iter().map(|b| format!("{b:02x}")).collect();
                let kind = if part.kind == PartKind::Body { "body" } else { "enclosure" };
                assert_eq!(
                    *entry,
                    serde_json::json!({"n": n, "kind": kind, "name": part.name, "type": part.media_type,
                        "size": part.bytes.len(), "sha256": hash})
                );
                assert_eq!(open(packet), (part.bytes, 0));
            }
        }
    }
}

#[test]
fn a_wrong_half_or_another_context_opens_nothing() {
    let (keyring, _home) = keyring();
    let (other, _home2) = self::keyring();
    let plan = plan(&["anna@home.example"]);
    let sealed = seal(&keyring, &prepared(), "", std::slice::from_ref(&plan), 0).unwrap();
    let (pid, lid) = (PickupId::random().unwrap(), plan.letter_id);
    let secrets = sealed.pickup(&keyring, pid, lid, &reader("anna@home.example")).unwrap();
    let (l, s, a, o) = (*secrets.link.bytes(), secrets.share, "anna@home.example", *keyring.fingerprint());
    let other_id = *LetterId::random().unwrap().bytes();
    let cases = [
        ("the right one", password(pid.bytes(), &l, &s, lid.bytes(), a, &o), true),
        ("no link secret", password(pid.bytes(), &[0; 20], &s, lid.bytes(), a, &o), false),
        (
            "another link secret",
            {
                let link = LinkSecret::random().unwrap();
                password(pid.bytes(), link.bytes(), &s, lid.bytes(), a, &o)
            },
            false,
        ),
        ("no share", password(pid.bytes(), &l, &[0; 32], lid.bytes(), a, &o), false),
        ("another pickup", password(&other_id, &l, &s, lid.bytes(), a, &o), false),
        ("another letter", password(pid.bytes(), &l, &s, &other_id, a, &o), false),
        ("another reader", password(pid.bytes(), &l, &s, lid.bytes(), "ben@home.example", &o), false),
        ("another spelling", password(pid.bytes(), &l, &s, lid.bytes(), "Anna@home.example", &o), false),
        ("another organisation", password(pid.bytes(), &l, &s, lid.bytes(), a, other.fingerprint()), false),
        ("the voice key", URL_SAFE_NO_PAD.encode(secrets.voice.bytes()), false),
    ];
    let Packet::SKESK(skesk) = Packet::from_bytes(&secrets.key_packet).unwrap() else { panic!() };
    for (name, password, opens) in cases {
        assert_eq!(skesk.decrypt(&password.as_str().into()).is_ok(), opens, "{name}");
        for packet in sealed.parts.iter().chain(&sealed.slips) {
            let read = read(&keyring.certificate(), &password, &secrets.key_packet, packet);
            assert_eq!(read.is_ok(), opens, "{name}");
        }
    }
}

#[test]
fn the_voice_key_is_derived_beside_the_password() {
    let (keyring, _home) = keyring();
    let plan = plan(&["anna@home.example"]);
    let sealed = seal(&keyring, &prepared(), "", std::slice::from_ref(&plan), 0).unwrap();
    let pid = PickupId::random().unwrap();
    let secrets = sealed.pickup(&keyring, pid, plan.letter_id, &reader("anna@home.example")).unwrap();
    let info = ctx("voice", &[plan.letter_id.bytes(), b"anna@home.example", keyring.fingerprint()]).unwrap();
    let halves = [secrets.link.bytes().as_slice(), &secrets.share].concat();
    assert_eq!(secrets.voice.bytes().as_slice(), expand(pid.bytes(), &halves, &info));
}

#[test]
fn a_signature_by_somebody_else_is_no_slip() {
    let (keyring, _home) = keyring();
    let (other, _home2) = self::keyring();
    let plan = plan(&["anna@home.example"]);
    let sealed = seal(&keyring, &prepared(), "", std::slice::from_ref(&plan), 0).unwrap();
    let pid = PickupId::random().unwrap();
    let secrets = sealed.pickup(&keyring, pid, plan.letter_id, &reader("anna@home.example")).unwrap();
    let password = password(
        pid.bytes(),
        secrets.link.bytes(),
        &secrets.share,
        plan.letter_id.bytes(),
        "anna@home.example",
        keyring.fingerprint(),
    );
    let [slip] = sealed.slips.as_slice() else { panic!() };
    assert!(read(&keyring.certificate(), &password, &secrets.key_packet, slip).is_ok());
    assert!(read(&other.certificate(), &password, &secrets.key_packet, slip).is_err());
}

#[test]
fn pickups_are_for_the_letters_readers_only() {
    let (keyring, _home) = keyring();
    let plans = [plan(&["anna@home.example"]), plan(&["hidden@home.example"])];
    let sealed = seal(&keyring, &prepared(), "", &plans, 0).unwrap();
    let pid = PickupId::random().unwrap();
    for (letter, address) in [
        (plans[0].letter_id, "hidden@home.example"),
        (plans[1].letter_id, "anna@home.example"),
        (plans[0].letter_id, "Anna@home.example"),
        (LetterId::random().unwrap(), "anna@home.example"),
    ] {
        assert!(matches!(sealed.pickup(&keyring, pid, letter, &reader(address)), Err(SealError::NotAReader)));
    }
    assert!(matches!(seal(&keyring, &prepared(), "", &[], 0), Err(SealError::NotAReader)));
    assert!(matches!(seal(&keyring, &prepared(), "", &[plan(&[])], 0), Err(SealError::NotAReader)));
}

#[test]
fn nothing_of_the_content_shows() {
    let (keyring, _home) = keyring();
    let plan = plan(&["anna@home.example"]);
    let sealed = seal(&keyring, &prepared(), "", &[plan], 0).unwrap();
    for packet in sealed.parts.iter().chain(&sealed.slips) {
        for canary in [&b"Guten Tag"[..], b"befund.pdf", b"Befund", b"anna@home", b"%%%%%%"] {
            assert!(!packet.windows(canary.len()).any(|bytes| bytes == canary));
        }
    }
    // One message sealed twice shares nothing that could be compared.
    let again = seal(&keyring, &prepared(), "", &[self::plan(&["anna@home.example"])], 0).unwrap();
    assert_ne!(sealed.parts, again.parts);
}
