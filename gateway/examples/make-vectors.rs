//! Makes the test vectors of SEALING.md: `cargo run -p sealpost-gateway --example make-vectors -- tests/vectors`.
//!
//! Everything in them is random, so they are made once and kept; a second run needs an empty directory. What is derived
//! here is derived by hand, not by the code that the vectors test. Those that are kept have their keyring in the first,
//! unencrypted format, which everybody can read; a new run writes the present one.
//!
//! Security: the keys in the vectors are published. They protect nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a tool for developers: it may stop where anything is wrong"
)]

use std::fs;
use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use data_encoding::HEXLOWER;
use ring::hmac;
use sealpost_gateway::keyring::{Keyring, MasterSource};
use sealpost_gateway::message::{Mailbox, Part, PartKind, Prepared};
use sealpost_gateway::seal::{SlipPlan, seal};
use sealpost_vault::Identity;
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::id::{ConversationId, LetterId, PickupId, ReplyId};
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::pkesk::PKESK6;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::serialize::stream::padding::padme;
use sequoia_openpgp::serialize::stream::{Encryptor, LiteralWriter, Message};
use sequoia_openpgp::types::{AEADAlgorithm, SymmetricAlgorithm};
use sequoia_openpgp::{Packet, packet::SKESK};
use serde_json::{Value, json};

const MADE: i64 = 1_750_000_000;
const READER: &str = "anna.weber@home.example";

fn main() {
    let target = std::env::args().nth(1).expect("name the directory for the vectors");
    let target = Path::new(&target);
    let keyring = Keyring::create(
        &target.join("keyring"),
        &MasterSource::beside(&target.join("keyring")),
        "Klinikum Beispiel",
        "post@klinik.example",
        MADE,
    )
    .unwrap();
    let prepared = prepared();
    let plan = SlipPlan {
        letter_id: LetterId::random().unwrap(),
        conversation_id: ConversationId::random().unwrap(),
        readers: vec![Identity::from_stored(READER.into()), Identity::from_stored("ben@home.example".into())],
    };
    let sealed = seal(&keyring, &prepared, "", std::slice::from_ref(&plan), MADE + 30 * 86_400).unwrap();
    let pickup = PickupId::random().unwrap();
    let secrets = sealed.pickup(&keyring, pickup, plan.letter_id, &plan.readers[0]).unwrap();

    let bound: [&[u8]; 3] = [plan.letter_id.bytes(), READER.as_bytes(), keyring.fingerprint()];
    let p = mac(pickup.bytes(), &[secrets.link.bytes().as_slice(), &secrets.share].concat());
    let expand = |info: &[u8]| mac(&p, &[info, &[1]].concat());
    let (open_info, voice_info) = (ctx("open", &bound).unwrap(), ctx("voice", &bound).unwrap());
    let (password, voice) = (B64.encode(expand(&open_info)), expand(&voice_info));
    let Packet::SKESK(SKESK::V6(skesk)) = Packet::from_bytes(&secrets.key_packet).unwrap() else { unreachable!() };
    let session_key = skesk.decrypt(&password.as_str().into()).unwrap();

    let slip_hash = sha256(&sealed.slips[0]);
    let opened = ctx("say/opened", &[pickup.bytes(), bound[0], bound[1], bound[2], &slip_hash]).unwrap();
    let parts: Vec<Value> = sealed
        .parts
        .iter()
        .zip(&prepared.parts)
        .map(|(packet, part)| {
            json!({"packet": B64.encode(packet), "sha256": HEXLOWER.encode(&sha256(packet)),
                "plain": B64.encode(&part.bytes), "name": part.name, "type": part.media_type,
                "kind": if part.kind == PartKind::Body { "body" } else { "enclosure" }})
        })
        .collect();
    let code = ctx("code", &[&[0x11; 32], pickup.bytes(), b"12345678"]).unwrap();

    let vectors = json!({
        "version": 1,
        "organisation": {
            "fingerprint": keyring.fingerprint_hex(),
            "certificate": B64.encode(keyring.certificate()),
        },
        "letter": {
            "letter": plan.letter_id, "letterBytes": HEXLOWER.encode(plan.letter_id.bytes()),
            "conversation": plan.conversation_id, "readers": plan.readers, "subject": prepared.subject,
            "date": prepared.date, "expires": MADE + 30 * 86_400,
        },
        "pickup": {
            "pickup": pickup, "pickupBytes": HEXLOWER.encode(pickup.bytes()), "reader": READER,
            "linkSecret": HEXLOWER.encode(secrets.link.bytes()), "linkSecretWritten": secrets.link.written(),
            "share": HEXLOWER.encode(&secrets.share), "extracted": HEXLOWER.encode(&p),
            "openContext": HEXLOWER.encode(&open_info), "password": password,
            "voiceContext": HEXLOWER.encode(&voice_info), "voice": HEXLOWER.encode(&voice),
            "keyPacket": B64.encode(&secrets.key_packet), "sessionKey": HEXLOWER.encode(&session_key),
        },
        "slip": {"packet": B64.encode(&sealed.slips[0]), "sha256": HEXLOWER.encode(&slip_hash)},
        "parts": parts,
        "opened": {"context": HEXLOWER.encode(&opened), "mac": HEXLOWER.encode(&mac(&voice, &opened))},
        "code": {"session": "11".repeat(32), "scope": pickup, "code": "12345678", "hash": HEXLOWER.encode(&sha256(&code))},
        "reply": reply(&keyring, &plan, pickup, &voice),
    });
    fs::write(target.join("v1.json"), serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
}

fn prepared() -> Prepared {
    let mailbox = |name: &str, address: &str| Mailbox { name: name.into(), address: address.parse().unwrap() };
    let part = |kind, name: &str, media_type: &str, bytes: Vec<u8>| Part {
        kind,
        name: name.into(),
        media_type: media_type.into(),
        bytes,
    };
    Prepared {
        subject: "Ihr Befund \u{2013} Labor".into(),
        from: vec![mailbox("Dr. J\u{f6}rg Weber", "joerg.weber@klinik.example")],
        to: vec![mailbox("Anna Weber", "Anna.Weber@home.example")],
        cc: vec![mailbox("", "ben@home.example")],
        date: MADE + 60,
        parts: vec![
            part(PartKind::Body, "", "text/html", "<p>Sch\u{f6}ne Gr\u{fc}\u{df}e</p>".into()),
            part(PartKind::Body, "", "text/plain", "Sch\u{f6}ne Gr\u{fc}\u{df}e\r\n\nzwei Zeilenenden\n".into()),
            part(
                PartKind::Enclosure,
                "Befund \u{2603}.pdf",
                "application/pdf",
                (0..9000u32).map(|i| ((i * i) >> 3) as u8).collect(),
            ),
            part(PartKind::Enclosure, "leer.txt", "text/plain", Vec::new()),
        ],
    }
}

/// A reply, sealed as a browser seals it.
fn reply(keyring: &Keyring, plan: &SlipPlan, pickup: PickupId, voice: &[u8]) -> Value {
    let reply = ReplyId::random().unwrap();
    let session_key = SessionKey::new(32).unwrap();
    let (text, enclosure) = ("Vielen Dank f\u{fc}r den Befund.\n", vec![0xfe; 5000]);
    let (body, enclosed) = (packet(&session_key, text.as_bytes()), packet(&session_key, &enclosure));
    let entry = |n: u32, kind: &str, name: &str, media_type: &str, size: usize, packet: &[u8]| {
        json!({"n": n, "kind": kind, "name": name, "type": media_type, "size": size,
            "sha256": HEXLOWER.encode(&sha256(packet))})
    };
    let slip = json!({
        "is": "sealpost/v1/reply", "reply": reply, "letter": plan.letter_id, "conversation": plan.conversation_id,
        "from": READER, "organisation": keyring.fingerprint_hex(), "subject": "Re: Ihr Befund",
        "parts": [entry(1, "body", "", "text/plain", text.len(), &body),
            entry(2, "enclosure", "foto.jpg", "image/jpeg", enclosure.len(), &enclosed)],
    })
    .to_string();
    let context = ctx(
        "say/reply",
        &[
            pickup.bytes(),
            plan.letter_id.bytes(),
            READER.as_bytes(),
            keyring.fingerprint(),
            reply.bytes(),
            &sha256(slip.as_bytes()),
        ],
    )
    .unwrap();
    let statement = mac(voice, &context);
    let slip_packet = packet(&session_key, &[statement.as_slice(), slip.as_bytes()].concat());

    let certificate = Cert::from_bytes(&keyring.certificate()).unwrap();
    let policy = StandardPolicy::new();
    let key = certificate.keys().with_policy(&policy, None).for_transport_encryption().next().unwrap();
    let key_packet = Packet::from(PKESK6::for_recipient(&session_key, key.key()).unwrap()).to_vec().unwrap();
    json!({
        "reply": reply, "replyBytes": HEXLOWER.encode(reply.bytes()), "json": slip,
        "context": HEXLOWER.encode(&context), "mac": HEXLOWER.encode(&statement),
        "sessionKey": HEXLOWER.encode(&session_key), "keyPacket": B64.encode(key_packet),
        "packets": [B64.encode(slip_packet), B64.encode(body), B64.encode(enclosed)],
        "subject": "Re: Ihr Befund", "text": text,
        "enclosures": [{"name": "foto.jpg", "type": "image/jpeg", "plain": B64.encode(&enclosure)}],
    })
}

fn packet(session_key: &SessionKey, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut literal = LiteralWriter::new(Message::new(&mut content)).build().unwrap();
    literal.write_all(bytes).unwrap();
    literal.finalize().unwrap();
    let padded = padme(content.len() as u64 + 6).max(4096) as usize;
    let padding = padded - content.len() - 6;
    content.extend_from_slice(&[0xd5, 0xff]);
    content.extend_from_slice(&(padding as u32).to_be_bytes());
    content.resize(padded, 0);
    let mut packet = Vec::new();
    let aes = SymmetricAlgorithm::AES256;
    let message = Encryptor::with_session_key(Message::new(&mut packet), aes, session_key.clone()).unwrap();
    let mut message = message.aead_algo(AEADAlgorithm::GCM).build().unwrap();
    message.write_all(&content).unwrap();
    message.finalize().unwrap();
    packet
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}
