//! Tests of replies: believed with the right voice only, each field compared.

use ring::hmac;
use sequoia_openpgp::Cert;
use sequoia_openpgp::packet::pkesk::PKESK6;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::keyring::tests::keyring;
use crate::seal::content::{literal, seal_content};
use crate::seal::slip::hash_of;

/// A reply on its way, made as a browser makes one; tests change it before it is sealed.
struct Draft {
    keyring: Keyring,
    _home: TempDir,
    voice: Voice,
    reader: Identity,
    pickup: PickupId,
    letter: LetterId,
    conversation: ConversationId,
    reply: ReplyId,
    session_key: SessionKey,
    packets: Vec<Vec<u8>>,
    slip: Value,
}

impl Draft {
    fn new(text: &[u8], enclosures: &[(&str, &[u8])]) -> Self {
        let (keyring, home) = keyring();
        let session_key = SessionKey::new(32).unwrap();
        let seal = |bytes: &[u8]| seal_content(&session_key, literal(bytes).unwrap()).unwrap();
        let body = seal(text);
        let mut parts = vec![
            json!({"n": 1, "kind": "body", "name": "", "type": "text/plain", "size": text.len(), "sha256": hash_of(&body)}),
        ];
        let mut packets = vec![body];
        for (n, (name, bytes)) in (2..).zip(enclosures) {
            let packet = seal(bytes);
            parts.push(json!({"n": n, "kind": "enclosure", "name": name, "type": "application/pdf",
                "size": bytes.len(), "sha256": hash_of(&packet)}));
            packets.push(packet);
        }
        let (letter, conversation, reply) =
            (LetterId::random().unwrap(), ConversationId::random().unwrap(), ReplyId::random().unwrap());
        let slip = json!({"is": "sealpost/v1/reply", "reply": reply, "letter": letter, "conversation": conversation,
            "from": "anna@home.example", "organisation": keyring.fingerprint_hex(), "subject": "Re: Befund",
            "parts": parts});
        Self {
            keyring,
            _home: home,
            voice: Voice::from_bytes([5; 32]),
            reader: Identity::from_stored("anna@home.example".into()),
            pickup: PickupId::random().unwrap(),
            letter,
            conversation,
            reply,
            session_key,
            packets,
            slip,
        }
    }

    fn usual() -> Self {
        Self::new("Danke schön".as_bytes(), &[("a.pdf", b"%PDF-1"), ("b.pdf", &[0; 50_000])])
    }

    fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        seal_content(&self.session_key, literal(bytes).unwrap()).unwrap()
    }

    fn mac(&self, json: &[u8]) -> Vec<u8> {
        let fields: [&[u8]; 6] = [
            self.pickup.bytes(),
            self.letter.bytes(),
            self.reader.as_str().as_bytes(),
            self.keyring.fingerprint(),
            self.reply.bytes(),
            &sha256(json),
        ];
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.voice.bytes());
        hmac::sign(&key, &ctx("say/reply", &fields).unwrap()).as_ref().to_vec()
    }

    fn uploaded(&self) -> Vec<Vec<u8>> {
        self.uploaded_with(&serde_json::to_vec(&self.slip).unwrap())
    }

    fn uploaded_with(&self, json: &[u8]) -> Vec<Vec<u8>> {
        let slip = self.seal(&[self.mac(json).as_slice(), json].concat());
        std::iter::once(slip).chain(self.packets.iter().cloned()).collect()
    }

    fn context(&self) -> ReplyContext<'_> {
        ReplyContext {
            vouching: Vouching::Voice(&self.voice),
            pickup: self.pickup,
            letter: self.letter,
            conversation: self.conversation,
            reader: &self.reader,
            reply: self.reply,
        }
    }

    fn open(&self, parts: &[Vec<u8>]) -> Result<OpenedReply, ReplyError> {
        open_reply(&self.keyring, &self.context(), &wrapped(&self.keyring, &self.session_key), parts)
    }

    /// What is wrong with it, as the error's name says it.
    fn refusal(&self, parts: &[Vec<u8>]) -> String {
        self.open(parts).err().map(|e| format!("{e:?}")).unwrap_or_default()
    }
}

fn wrapped(keyring: &Keyring, session_key: &SessionKey) -> Vec<u8> {
    let cert = Cert::from_bytes(&keyring.certificate()).unwrap();
    let policy = StandardPolicy::new();
    let key = cert.keys().with_policy(&policy, None).for_transport_encryption().next().unwrap();
    Packet::from(PKESK6::for_recipient(session_key, key.key()).unwrap()).to_vec().unwrap()
}

#[test]
fn a_reply_opens() {
    let draft = Draft::usual();
    let opened = draft.open(&draft.uploaded()).unwrap();
    assert_eq!((opened.subject.as_str(), opened.text.as_str()), ("Re: Befund", "Danke schön"));
    let enclosures: Vec<_> =
        opened.enclosures.iter().map(|e| (e.name.as_str(), e.media_type.as_str(), e.bytes.len())).collect();
    assert_eq!(enclosures, [("a.pdf", "application/pdf", 6), ("b.pdf", "application/pdf", 50_000)]);
    assert!(Draft::new(b"", &[]).open(&Draft::new(b"", &[]).uploaded()).is_err());
    let empty = Draft::new(b"", &[]);
    assert_eq!(empty.open(&empty.uploaded()).unwrap().text, "");
}

#[test]
fn unknown_members_are_ignored() {
    let mut draft = Draft::usual();
    draft.slip["later"] = json!({"deep": [1, 2, 3]});
    assert!(draft.open(&draft.uploaded()).is_ok());
}

#[test]
fn a_slip_that_names_something_else_is_refused() {
    let other = LetterId::random().unwrap().to_string();
    for (member, value, expected) in [
        ("is", json!("sealpost/v2/reply"), "Mismatch(Is)"),
        ("is", json!("sealpost/v1/slip"), "Mismatch(Is)"),
        ("is", json!(1), "Malformed"),
        ("reply", json!(other), "Mismatch(Reply)"),
        ("letter", json!(other), "Mismatch(Letter)"),
        ("letter", json!("nonsense"), "Malformed"),
        ("conversation", json!(other), "Mismatch(Conversation)"),
        ("conversation", Value::Null, "Malformed"),
        ("from", json!("ben@home.example"), "Mismatch(From)"),
        ("from", json!("Anna@home.example"), "Mismatch(From)"),
        ("organisation", json!("00".repeat(32)), "Mismatch(Organisation)"),
        ("subject", json!("x".repeat(5000)), "TooLong"),
        ("parts", json!([]), "Malformed"),
        ("parts", json!("none"), "Malformed"),
    ] {
        let mut draft = Draft::usual();
        draft.slip[member] = value.clone();
        assert_eq!(draft.refusal(&draft.uploaded()), expected, "{member}: {value}");
    }
}

#[test]
fn entries_that_do_not_fit_are_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 11] = [
        ("body is an enclosure", |p| p[0]["kind"] = json!("enclosure"), "Part(1)"),
        ("second body", |p| p[1]["kind"] = json!("body"), "Part(2)"),
        ("unknown kind", |p| p[1]["kind"] = json!("slip"), "Malformed"),
        ("HTML body", |p| p[0]["type"] = json!("text/html"), "Part(1)"),
        ("wrong number", |p| p[1]["n"] = json!(3), "Part(2)"),
        ("negative number", |p| p[1]["n"] = json!(-1), "Malformed"),
        ("body's size", |p| p[0]["size"] = json!(3), "Part(1)"),
        ("enclosure's size", |p| p[2]["size"] = json!(50_001), "Part(3)"),
        ("hash", |p| p[2]["sha256"] = json!("00".repeat(32)), "Part(3)"),
        ("short hash", |p| p[2]["sha256"] = json!("00"), "Part(3)"),
        ("no hash", |p| p[2]["sha256"] = json!("zz"), "Malformed"),
    ];
    for (name, change, expected) in cases {
        let mut draft = Draft::usual();
        change(&mut draft.slip["parts"]);
        assert_eq!(draft.refusal(&draft.uploaded()), expected, "{name}");
    }
}

#[test]
fn parts_more_fewer_or_exchanged_are_refused() {
    let draft = Draft::usual();
    let parts = draft.uploaded();
    let mut more = parts.clone();
    more.push(parts[2].clone());
    let mut exchanged = parts.clone();
    exchanged.swap(2, 3);
    let mut first = parts.clone();
    first.swap(1, 2);
    let mut slip_twice = parts.clone();
    slip_twice[1] = parts[0].clone();
    for (name, parts, expected) in [
        ("more", more, "Count"),
        ("fewer", parts[..3].to_vec(), "Count"),
        ("only a slip", parts[..1].to_vec(), "Count"),
        ("nothing", Vec::new(), "Count"),
        ("far too many", vec![parts[0].clone(); 103], "Count"),
        ("exchanged", exchanged, "Part(2)"),
        ("body exchanged", first, "Part(1)"),
        ("slip as body", slip_twice, "Part(1)"),
    ] {
        assert_eq!(draft.refusal(&parts), expected, "{name}");
    }
}

#[test]
fn without_the_voice_nothing_is_believed() {
    let draft = Draft::usual();
    let json = serde_json::to_vec(&draft.slip).unwrap();
    let with_slip = |literal: &[u8]| {
        let mut parts = draft.uploaded();
        parts[0] = draft.seal(literal);
        draft.refusal(&parts)
    };
    assert_eq!(with_slip(&[draft.mac(&json).as_slice(), &json].concat()), "");
    assert_eq!(with_slip(&[&[0; 32], json.as_slice()].concat()), "Voice(WrongVoice)");
    assert_eq!(with_slip(&json), "Voice(WrongVoice)");
    assert_eq!(with_slip(b"short"), "Malformed");
    assert_eq!(with_slip(b""), "Malformed");
    // Nothing is parsed before the MAC: what isn't JSON at all gets the same refusal.
    assert_eq!(with_slip(&[0xff; 100]), "Voice(WrongVoice)");
    assert_eq!(draft.refusal(&draft.uploaded_with(b"{")), "Malformed");
    assert_eq!(draft.refusal(&draft.uploaded_with(b"")), "Malformed");
    assert_eq!(draft.refusal(&draft.uploaded_with("[".repeat(5000).as_bytes())), "Malformed");

    // A good reply, uploaded for another pickup, letter, reader or reply.
    let parts = draft.uploaded();
    let key = wrapped(&draft.keyring, &draft.session_key);
    let ben = Identity::from_stored("ben@home.example".into());
    let stolen = Voice::from_bytes([6; 32]);
    for context in [
        ReplyContext { pickup: PickupId::random().unwrap(), ..draft.context() },
        ReplyContext { letter: LetterId::random().unwrap(), ..draft.context() },
        ReplyContext { reply: ReplyId::random().unwrap(), ..draft.context() },
        ReplyContext { reader: &ben, ..draft.context() },
        ReplyContext { vouching: Vouching::Voice(&stolen), ..draft.context() },
    ] {
        assert!(matches!(open_reply(&draft.keyring, &context, &key, &parts), Err(ReplyError::Voice(_))));
    }
    let context = ReplyContext { conversation: ConversationId::random().unwrap(), ..draft.context() };
    let refused = open_reply(&draft.keyring, &context, &key, &parts);
    assert!(matches!(refused, Err(ReplyError::Mismatch(Field::Conversation))));
}

#[test]
fn key_packets_that_open_nothing_are_refused() {
    let draft = Draft::usual();
    let parts = draft.uploaded();
    let (other, _home) = keyring();
    let open = |key_packet: &[u8]| {
        open_reply(&draft.keyring, &draft.context(), key_packet, &parts).err().map(|e| format!("{e:?}"))
    };
    let key = wrapped(&draft.keyring, &draft.session_key);
    assert_eq!(open(&key), None);
    assert_eq!(open(&wrapped(&other, &draft.session_key)).as_deref(), Some("NotForUs"));
    let another = wrapped(&draft.keyring, &SessionKey::new(32).unwrap());
    assert_eq!(open(&another).as_deref(), Some("Tampered(0)"));
    let short = wrapped(&draft.keyring, &SessionKey::new(16).unwrap());
    assert_eq!(open(&short).as_deref(), Some("KeyPacket(Length)"));
    assert_eq!(open(&[]).as_deref(), Some("KeyPacket(Truncated)"));
    assert_eq!(open(&[key.clone(), key.clone()].concat()).as_deref(), Some("KeyPacket(Trailing)"));
    assert_eq!(open(&[key.clone(), parts[0].clone()].concat()).as_deref(), Some("KeyPacket(Length)"));
    for place in 0..key.len() {
        let mut changed = key.clone();
        changed[place] ^= 1;
        assert!(open(&changed).is_some(), "byte {place}");
    }
}

#[test]
fn changed_packets_are_refused() {
    let draft = Draft::usual();
    let parts = draft.uploaded();
    for (n, part) in parts.iter().enumerate() {
        for place in (0..part.len()).step_by(1 + part.len() / 40) {
            let mut changed = parts.clone();
            changed[n][place] ^= 1;
            assert!(draft.open(&changed).is_err(), "byte {place} of part {n}");
        }
        let mut cut = parts.clone();
        cut[n].pop();
        assert_eq!(draft.refusal(&cut), format!("Shape {{ part: {n}, shape: Truncated }}"));
    }
}

#[test]
fn a_part_under_another_key_is_refused_even_if_its_hash_fits() {
    let mut draft = Draft::usual();
    let foreign = seal_content(&SessionKey::new(32).unwrap(), literal(&[0; 6]).unwrap()).unwrap();
    draft.slip["parts"][1]["sha256"] = json!(hash_of(&foreign));
    draft.packets[1] = foreign;
    assert_eq!(draft.refusal(&draft.uploaded()), "Tampered(2)");
}

#[test]
fn the_text_is_text_of_bounded_length() {
    let latin1 = Draft::new(b"sch\xf6n", &[]);
    assert_eq!(latin1.refusal(&latin1.uploaded()), "NotText");
    let long = Draft::new(&vec![b'x'; LONGEST_TEXT + 1], &[]);
    assert_eq!(long.refusal(&long.uploaded()), "TooLong");
    let draft = Draft::usual();
    let mut parts = draft.uploaded();
    parts[0] = draft.seal(&vec![b'x'; LONGEST_SLIP]);
    assert_eq!(draft.refusal(&parts), "TooLong");
}

#[test]
fn errors_carry_no_content() {
    let mut draft = Draft::usual();
    draft.slip["letter"] = json!("Befund-canary");
    let error = draft.open(&draft.uploaded()).err().unwrap();
    let mut texts = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        texts.push_str(&error.to_string());
        source = error.source();
    }
    assert!(!texts.contains("canary"), "{texts}");
}

/// A reader's key pair, and the certificate of it that is pinned.
fn reader_with_a_key() -> (Cert, ReaderCertificate) {
    use sequoia_openpgp::Profile;
    use sequoia_openpgp::cert::{CertBuilder, CipherSuite};
    use sequoia_openpgp::types::KeyFlags;
    let (secret, _) = CertBuilder::new()
        .set_profile(Profile::RFC9580)
        .unwrap()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .add_userid("anna@home.example")
        .add_transport_encryption_subkey()
        .generate()
        .unwrap();
    let reader = Identity::from_stored("anna@home.example".into());
    let checked = ReaderCertificate::check(&secret.to_vec().unwrap(), &reader).unwrap();
    (secret, checked)
}

/// Bytes with one signature around them for each of the keys.
fn signed_by(keys: &[&Cert], bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    use sequoia_openpgp::serialize::stream::{LiteralWriter, Message, Signer};
    use std::io::Write;
    let pair = |cert: &Cert| cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let mut content = Zeroizing::new(Vec::new());
    let mut message = Message::new(&mut *content);
    if let Some((first, others)) = keys.split_first() {
        let mut signer = Signer::new(message, pair(first)).unwrap();
        for other in others {
            signer = signer.add_signer(pair(other)).unwrap();
        }
        message = signer.build().unwrap();
    }
    let mut writer = LiteralWriter::new(message).build().unwrap();
    writer.write_all(bytes).unwrap();
    writer.finalize().unwrap();
    content
}

#[test]
fn an_enrolled_reader_signs_once_with_the_pinned_key() {
    let draft = Draft::usual();
    let ((secret, pinned), (stranger, _)) = (reader_with_a_key(), reader_with_a_key());
    let json = serde_json::to_vec(&draft.slip).unwrap();
    let open = |content: Zeroizing<Vec<u8>>, vouching: Vouching| {
        let slip = seal_content(&draft.session_key, content).unwrap();
        let parts: Vec<Vec<u8>> = std::iter::once(slip).chain(draft.packets.iter().cloned()).collect();
        open_reply(
            &draft.keyring,
            &ReplyContext { vouching, ..draft.context() },
            &wrapped(&draft.keyring, &draft.session_key),
            &parts,
        )
    };
    let opened = open(signed_by(&[&secret], &json), Vouching::Pinned(&pinned)).unwrap();
    assert_eq!((opened.text.as_str(), opened.enclosures.len()), ("Danke schön", 2));

    let voiced = [draft.mac(&json), json.clone()].concat();
    let mut other_end = signed_by(&[&secret], &json);
    other_end.extend_from_slice(&signed_by(&[&secret], &json));
    let cut = Zeroizing::new(signed_by(&[&secret], &json)[..json.len() + 20].to_vec());
    for (name, content) in [
        ("by a stranger", signed_by(&[&stranger], &json)),
        ("unsigned", signed_by(&[], &json)),
        ("twice", signed_by(&[&secret, &secret], &json)),
        ("by a stranger too", signed_by(&[&secret, &stranger], &json)),
        ("two messages", other_end),
        ("without its signature", cut),
        ("with a MAC instead", literal(&voiced).unwrap()),
        ("with a MAC besides", signed_by(&[&secret], &voiced)),
    ] {
        assert!(open(content, Vouching::Pinned(&pinned)).is_err(), "{name}");
    }
    // The other way round: where a voice counts, no signature does.
    assert!(open(signed_by(&[&secret], &voiced), Vouching::Voice(&draft.voice)).is_err());
    assert!(open(literal(&voiced).unwrap(), Vouching::Voice(&draft.voice)).is_ok());
}
