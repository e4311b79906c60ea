//! A reader's account made by OpenPGP.js: the published one, and one that is made anew by the same program, both believed by
//! our own code.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::hkdf::{HKDF_SHA256, Salt};
use sealpost_gateway::keyring::Keyring;
use sealpost_gateway::seal::{
    LinkSecret, ReaderCertificate, ReplyContext, Vouching, account_file, key_packet_to_certificate, open_reply,
    signature,
};
use sealpost_vault::Identity;
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::id::AccountId;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::{Cert, Packet, packet::PKESK, packet::SKESK};
use serde_json::Value;

use crate::{Vectors, directory, keyring, packets};

struct Account {
    letter: Vectors,
    made: Vectors,
    certificate: ReaderCertificate,
    secret: Cert,
}

impl Account {
    fn new(made: Vectors) -> Self {
        let letter = Vectors::load();
        let reader = Identity::from_stored(made.text("/reader").to_owned());
        let certificate = ReaderCertificate::check(&made.base64("/certificate/certificate"), &reader).unwrap();
        let secret = Cert::from_bytes(&made.base64("/certificate/secretKey")).unwrap();
        Self { letter, made, certificate, secret }
    }

    fn reader(&self) -> Identity {
        Identity::from_stored(self.made.text("/reader").to_owned())
    }

    fn id(&self) -> AccountId {
        self.made.text("/account/account").parse().unwrap()
    }

    fn hash(&self, place: &str) -> [u8; 32] {
        sha256(&self.made.base64(place))
    }

    /// pid, lid, A, O, then what is said.
    fn said(&self, label: &str, more: &[&[u8]]) -> Vec<u8> {
        let (pickup, letter, reader) = (self.letter.pickup(), self.letter.letter(), self.reader());
        let organisation = self.letter.hex("/organisation/fingerprint");
        let pickup: &[u8] = if label == "say/opened" { &[] } else { pickup.bytes() };
        let mut fields: Vec<&[u8]> = vec![pickup, letter.bytes(), reader.as_str().as_bytes(), &organisation];
        fields.extend(more);
        ctx(label, &fields).unwrap()
    }

    /// The session key in a key packet to the reader's certificate.
    fn unwrap(&self, packet: &[u8]) -> Vec<u8> {
        let Ok(Packet::PKESK(PKESK::V6(packet))) = Packet::from_bytes(packet) else { panic!() };
        let policy = StandardPolicy::new();
        let key = self.secret.keys().with_policy(&policy, None).for_transport_encryption().secret().next().unwrap();
        packet.decrypt(&mut key.key().clone().into_keypair().unwrap(), None).unwrap().to_vec()
    }
}

fn published() -> Account {
    let bytes = std::fs::read(directory().join("accounts-v1.json")).unwrap();
    Account::new(Vectors(serde_json::from_slice(&bytes).unwrap()))
}

/// Made now, so that what a browser makes today is looked at too.
fn fresh() -> Account {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("node").arg(root.join("tests/interop/account.mjs")).arg(directory()).output();
    let run = run.expect("this test needs Node.js: install `nodejs`");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Account::new(Vectors(serde_json::from_slice::<Value>(&run.stdout).unwrap()))
}

fn hkdf(salt: &[u8], secret: &[u8], label: &str) -> Vec<u8> {
    let info = ctx(label, &[]).unwrap();
    let mut out = vec![0; 32];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    extracted.expand(&[&info], HKDF_SHA256).unwrap().fill(&mut out).unwrap();
    out
}

#[test]
fn certificates_statements_and_vouches_of_accounts_are_those_of_the_vectors() {
    for account in [published(), fresh()] {
        let Account { made, certificate, letter, .. } = &account;
        assert_eq!(certificate.fingerprint().as_slice(), made.hex("/certificate/fingerprint"));
        assert_eq!(account.secret.fingerprint().as_bytes(), certificate.fingerprint());

        let recovery = sha256(&made.hex("/account/recoveryHash"));
        let enrol = account.said(
            "say/enrol",
            &[
                certificate.fingerprint(),
                &sha256(certificate.bytes()),
                &account.hash("/account/file"),
                &account.hash("/enrol/upload"),
                &recovery,
            ],
        );
        assert_eq!(enrol, made.hex("/enrol/context"));
        assert!(letter.voice().verify(&enrol, &made.hex("/enrol/mac")).is_ok());

        let receipt = account.said("say/opened", &[&letter.hex("/slip/sha256"), &account.hash("/rewrap/keyPacket")]);
        let rewrap = account.said("say/rewrap", &[&account.hash("/rewrap/keyPacket")]);
        let (id, reader) = (account.id(), account.reader());
        let change = ctx(
            "say/change",
            &[
                id.bytes(),
                reader.as_str().as_bytes(),
                &letter.hex("/organisation/fingerprint"),
                &account.hash("/change/file"),
                &account.hash("/change/upload"),
                &sha256(&[]),
                &0_u64.to_be_bytes(),
            ],
        )
        .unwrap();
        let statements = [("receipt", receipt), ("rewrap", rewrap), ("change", change)];
        for (name, statement) in &statements {
            assert_eq!(*statement, made.hex(&format!("/{name}/context")), "{name}");
            let signed = made.base64(&format!("/{name}/signature"));
            assert_eq!(signature(&signed), Ok(()));
            // Each is good for itself and for no other.
            for (other, of) in &statements {
                assert_eq!(certificate.verify(of, &signed), name == other, "{name} {other}");
            }
        }

        let registered = ctx(
            "registered",
            &[
                id.bytes(),
                reader.as_str().as_bytes(),
                &letter.hex("/organisation/fingerprint"),
                &account.hash("/registered/request"),
                &account.hash("/registered/response"),
            ],
        )
        .unwrap();
        assert_eq!(registered, made.hex("/registered/context"));
        let time = made.0["vouch"]["time"].as_u64().unwrap();
        let vouch = ctx(
            "vouch",
            &[
                reader.as_str().as_bytes(),
                certificate.fingerprint(),
                &sha256(certificate.bytes()),
                &1_u64.to_be_bytes(),
                &time.to_be_bytes(),
                b"enrolled",
            ],
        )
        .unwrap();
        assert_eq!(vouch, made.hex("/vouch/context"));
        let organisation = Cert::from_bytes(&letter.base64("/organisation/certificate")).unwrap();
        let by_the_organisation = |said: &[u8], signed: &[u8]| {
            let Ok(Packet::Signature(signed)) = Packet::from_bytes(signed) else { panic!() };
            organisation.keys().subkeys().any(|key| signed.verify_message(key.key(), said).is_ok())
        };
        let said = [("registered", &registered), ("vouch", &vouch)];
        for (name, statement) in said {
            let signed = made.base64(&format!("/{name}/signature"));
            assert_eq!(signature(&signed), Ok(()));
            for (other, of) in said {
                assert_eq!(by_the_organisation(of, &signed), name == other, "{name} {other}");
            }
            assert!(!certificate.verify(statement, &signed));
        }
    }
}

#[test]
fn the_account_file_of_the_vectors_opens_by_passphrase_and_by_recovery_code() {
    for account in [published(), fresh()] {
        let Account { made, .. } = &account;
        let (id, file) = (account.id(), made.base64("/account/file"));
        assert_eq!(id.bytes().as_slice(), made.hex("/account/accountBytes"));
        assert_eq!(account_file(&file), Ok(()));
        assert_eq!(account_file(&made.base64("/change/file")), Ok(()));

        let recovery_code = LinkSecret::parse(made.text("/account/recoveryCodeWritten")).unwrap();
        assert_eq!(recovery_code.bytes().as_slice(), made.hex("/account/recoveryCode"));
        let proof = hkdf(id.bytes(), recovery_code.bytes(), "recovery-proof");
        assert_eq!(proof, made.hex("/account/recoveryProof"));
        assert_eq!(sha256(&proof).as_slice(), made.hex("/account/recoveryHash"));
        let by_code = B64.encode(hkdf(id.bytes(), recovery_code.bytes(), "unlock/recovery"));
        let by_passphrase = B64.encode(hkdf(id.bytes(), &made.hex("/account/exportKey"), "unlock/passphrase"));
        assert_eq!(by_code, made.text("/account/unlockByRecoveryCode"));
        assert_eq!(by_passphrase, made.text("/account/unlockByPassphrase"));

        // Two key packets of 78 octets, in this order; each password opens one of them.
        for (at, password) in [(0, &by_passphrase), (78, &by_code)] {
            let Ok(Packet::SKESK(SKESK::V6(packet))) = Packet::from_bytes(&file[at..at + 78]) else { panic!() };
            let key = packet.decrypt(&password.as_str().into()).unwrap();
            assert_eq!(key.as_ref(), made.hex("/account/accountKey"));
            for wrong in [&by_passphrase, &by_code].into_iter().filter(|wrong| *wrong != password) {
                assert!(packet.decrypt(&wrong.as_str().into()).is_err());
            }
        }
        let content: Value = serde_json::from_slice(&made.base64("/account/content")).unwrap();
        assert_eq!(content["is"], "sealpost/v1/account");
        assert_eq!(content["account"], made.0["account"]["account"]);
        assert_eq!(content["address"], made.0["reader"]);
        assert_eq!(content["organisation"], account.letter.0["organisation"]["fingerprint"]);
        assert_eq!(content["key"], made.0["certificate"]["secretKey"]);
    }
}

#[test]
fn key_packets_and_the_signed_reply_of_the_vectors_open() {
    let keyring: Keyring = keyring();
    for account in [published(), fresh()] {
        let Account { made, certificate, letter, .. } = &account;
        let wrapped = made.base64("/rewrap/keyPacket");
        assert!(certificate.is_named_in(&wrapped));
        assert_eq!(account.unwrap(&wrapped), letter.hex("/pickup/sessionKey"));
        let own = made.base64("/reply/ownKeyPacket");
        assert!(certificate.is_named_in(&own));
        assert_eq!(account.unwrap(&own), made.hex("/reply/sessionKey"));

        let key_packet = made.base64("/reply/keyPacket");
        assert_eq!(key_packet_to_certificate(&key_packet), Ok(()));
        assert!(!certificate.is_named_in(&key_packet));
        let reader = account.reader();
        let (voice, uploaded) = (letter.voice(), packets(&made.0["reply"]["packets"]));
        let context = |vouching| ReplyContext {
            vouching,
            pickup: letter.pickup(),
            letter: letter.letter(),
            conversation: letter.conversation(),
            reader: &reader,
            reply: made.text("/reply/reply").parse().unwrap(),
        };
        let opened = open_reply(&keyring, &context(Vouching::Pinned(certificate)), &key_packet, &uploaded).unwrap();
        assert_eq!(
            (opened.subject.as_str(), opened.text.as_str()),
            (made.text("/reply/subject"), made.text("/reply/text"))
        );
        // Another certificate for the same address, or the voice that counted before: not believed.
        let other = fresh();
        assert!(open_reply(&keyring, &context(Vouching::Pinned(&other.certificate)), &key_packet, &uploaded).is_err());
        assert!(open_reply(&keyring, &context(Vouching::Voice(&voice)), &key_packet, &uploaded).is_err());
        // And what a voice vouches for, no certificate does.
        let voiced = packets(&letter.0["reply"]["packets"]);
        let by_voice = ReplyContext {
            reply: letter.text("/reply/reply").parse().unwrap(),
            ..context(Vouching::Pinned(certificate))
        };
        assert!(open_reply(&keyring, &by_voice, &letter.base64("/reply/keyPacket"), &voiced).is_err());
    }
}
