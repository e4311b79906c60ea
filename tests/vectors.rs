//! The published vectors (tests/vectors/v1.json) opened by four readers: our own code, Sequoia as an ordinary OpenPGP
//! program, rPGP, and OpenPGP.js under Node.js, which also writes a reply that the gateway opens.
//!
//! Needs Node.js and the portal's npm packages: `npm ci --ignore-scripts` in portal/web.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "vectors/accounts.rs"]
mod accounts;
#[path = "vectors/rpgp.rs"]
mod rpgp;
#[path = "vectors/sequoia.rs"]
mod sequoia;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::hmac;
use sealpost_gateway::keyring::{Change, Keyring, MasterSource, Rotating};
use sealpost_gateway::seal::{
    LinkSecret, ReplyContext, ReplyError, Voice, Vouching, data_packet, key_packet_by_password,
    key_packet_to_certificate, open_reply, verify_opened,
};
use sealpost_vault::Identity;
use sealpost_vault::derive::{code_hash, ctx, sha256};
use sealpost_vault::id::{ConversationId, LetterId, PickupId};
use serde_json::Value;
use tempfile::TempDir;

/// The vectors, and where a value stands in them: `/pickup/share`.
pub struct Vectors(Value);

impl Vectors {
    fn load() -> Self {
        Self(serde_json::from_slice(&fs::read(directory().join("v1.json")).unwrap()).unwrap())
    }

    pub fn text(&self, place: &str) -> &str {
        self.0.pointer(place).and_then(Value::as_str).unwrap_or_else(|| panic!("{place}"))
    }

    pub fn base64(&self, place: &str) -> Vec<u8> {
        B64.decode(self.text(place)).unwrap()
    }

    pub fn hex(&self, place: &str) -> Vec<u8> {
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        self.text(place).as_bytes().chunks(2).map(octet).collect()
    }

    pub fn parts(&self) -> usize {
        self.0["parts"].as_array().unwrap().len()
    }

    /// The key packet and a data packet behind it: an ordinary OpenPGP message.
    pub fn message(&self, packet: &str) -> Vec<u8> {
        [self.base64("/pickup/keyPacket"), self.base64(packet)].concat()
    }

    fn reader(&self) -> Identity {
        Identity::from_stored(self.text("/pickup/reader").to_owned())
    }

    fn voice(&self) -> Voice {
        Voice::from_bytes(self.hex("/pickup/voice").try_into().unwrap())
    }

    fn pickup(&self) -> PickupId {
        self.text("/pickup/pickup").parse().unwrap()
    }

    fn letter(&self) -> LetterId {
        self.text("/letter/letter").parse().unwrap()
    }

    fn conversation(&self) -> ConversationId {
        self.text("/letter/conversation").parse().unwrap()
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn keyring() -> Keyring {
    keyring_at_home().1
}

/// The vectors' keyring, with the modes that a repository doesn't keep, upgraded from the unencrypted format that the
/// vectors publish.
fn keyring_at_home() -> (TempDir, Keyring) {
    let home = TempDir::new().unwrap();
    let keys = home.path().join("keyring");
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(directory().join("keyring")).unwrap() {
        let entry = entry.unwrap();
        let copy = keys.join(entry.file_name());
        fs::copy(entry.path(), &copy).unwrap();
        fs::set_permissions(copy, Permissions::from_mode(0o600)).unwrap();
    }
    let master = MasterSource::beside(&keys);
    Keyring::upgrade(&keys, &master, "Klinikum Beispiel", "post@klinik.example", 1_750_000_000).unwrap();
    let keyring = Keyring::load(&keys, &master).unwrap();
    (home, keyring)
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

fn packets(value: &Value) -> Vec<Vec<u8>> {
    value.as_array().unwrap().iter().map(|packet| B64.decode(packet.as_str().unwrap()).unwrap()).collect()
}

#[test]
fn derivations_are_those_of_the_vectors() {
    let (vectors, keyring) = (Vectors::load(), keyring());
    assert_eq!(keyring.fingerprint_hex(), vectors.text("/organisation/fingerprint"));
    assert_eq!(keyring.certificate(), vectors.base64("/organisation/certificate"));
    assert_eq!(vectors.pickup().bytes().as_slice(), vectors.hex("/pickup/pickupBytes"));
    assert_eq!(vectors.letter().bytes().as_slice(), vectors.hex("/letter/letterBytes"));

    let link = LinkSecret::parse(vectors.text("/pickup/linkSecretWritten")).unwrap();
    assert_eq!(link.bytes().as_slice(), vectors.hex("/pickup/linkSecret"));
    assert_eq!(link.written(), vectors.text("/pickup/linkSecretWritten"));

    let halves = [link.bytes().as_slice(), &vectors.hex("/pickup/share")].concat();
    let extracted = mac(vectors.pickup().bytes(), &halves);
    assert_eq!(extracted, vectors.hex("/pickup/extracted"));
    let (letter, reader) = (vectors.letter(), vectors.reader());
    let bound: [&[u8]; 3] = [letter.bytes(), reader.as_str().as_bytes(), keyring.fingerprint()];
    for (label, context) in [("open", "/pickup/openContext"), ("voice", "/pickup/voiceContext")] {
        assert_eq!(ctx(label, &bound).unwrap(), vectors.hex(context));
    }
    let expand = |label| mac(&extracted, &[ctx(label, &bound).unwrap(), vec![1]].concat());
    assert_eq!(B64.encode(expand("open")), vectors.text("/pickup/password"));
    assert_eq!(expand("voice"), vectors.hex("/pickup/voice"));

    let session = vectors.hex("/code/session").try_into().unwrap();
    let hash = code_hash(&session, vectors.pickup().bytes(), vectors.text("/code/code")).unwrap();
    assert_eq!(hash.as_slice(), vectors.hex("/code/hash"));
}

#[test]
fn packets_have_their_shape_and_hash() {
    let vectors = Vectors::load();
    assert_eq!(key_packet_by_password(&vectors.base64("/pickup/keyPacket")), Ok(()));
    assert_eq!(key_packet_to_certificate(&vectors.base64("/reply/keyPacket")), Ok(()));
    let places = (0..vectors.parts()).map(|n| format!("/parts/{n}")).chain(["/slip".to_owned()]);
    for place in places {
        let packet = vectors.base64(&format!("{place}/packet"));
        assert_eq!(data_packet(&packet), Ok(()));
        assert!(packet.len() >= 4096);
        assert_eq!(sha256(&packet).as_slice(), vectors.hex(&format!("{place}/sha256")));
    }
    for packet in packets(&vectors.0["reply"]["packets"]) {
        assert_eq!(data_packet(&packet), Ok(()));
    }
    // One session key opens every part: what tells an exchanged one is its hash.
    let hashes: std::collections::BTreeSet<_> =
        (0..vectors.parts()).map(|n| vectors.hex(&format!("/parts/{n}/sha256"))).collect();
    assert_eq!(hashes.len(), vectors.parts());
}

#[test]
fn the_gateway_believes_the_receipt_and_opens_the_reply() {
    let (vectors, keyring) = (Vectors::load(), keyring());
    let (voice, slip) = (vectors.voice(), vectors.base64("/slip/packet"));
    let believed = |mac: &[u8]| {
        let hash = sha256(&slip);
        verify_opened(&keyring, &voice, vectors.pickup(), vectors.letter(), &vectors.reader(), &hash, mac).is_ok()
    };
    assert!(believed(&vectors.hex("/opened/mac")));
    assert!(!believed(&vectors.hex("/reply/mac")));

    let opened = open(&vectors, &keyring, &vectors.0["reply"]).unwrap();
    assert_eq!(opened.0, vectors.text("/reply/subject"));
    assert_eq!(opened.1, vectors.text("/reply/text"));
    assert_eq!(opened.2, [("foto.jpg".to_owned(), vectors.base64("/reply/enclosures/0/plain"))]);
}

/// Subject, text, and name and bytes of each enclosure.
type Opened = (String, String, Vec<(String, Vec<u8>)>);

fn open(vectors: &Vectors, keyring: &Keyring, reply: &Value) -> Result<Opened, ReplyError> {
    let context = ReplyContext {
        vouching: Vouching::Voice(&vectors.voice()),
        pickup: vectors.pickup(),
        letter: vectors.letter(),
        conversation: vectors.conversation(),
        reader: &vectors.reader(),
        reply: reply["reply"].as_str().unwrap().parse().unwrap(),
    };
    let key_packet = B64.decode(reply["keyPacket"].as_str().unwrap()).unwrap();
    let opened = open_reply(keyring, &context, &key_packet, &packets(&reply["packets"]))?;
    let enclosures = opened.enclosures.into_iter().map(|enclosure| (enclosure.name, enclosure.bytes)).collect();
    Ok((opened.subject, opened.text, enclosures))
}

/// What every other implementation has to find in the vectors.
pub fn check_slip(vectors: &Vectors, json: &[u8]) {
    let slip: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(slip["is"], "sealpost/v1/slip");
    assert_eq!(slip["subject"], vectors.0["letter"]["subject"]);
    assert_eq!(slip["for"], vectors.0["letter"]["readers"]);
    assert_eq!(slip["organisation"], vectors.0["organisation"]["fingerprint"]);
    for (n, part) in vectors.0["parts"].as_array().unwrap().iter().enumerate() {
        for member in ["kind", "name", "type", "sha256"] {
            assert_eq!(slip["parts"][n][member], part[member], "{n} {member}");
        }
        assert_eq!(slip["parts"][n]["size"], B64.decode(part["plain"].as_str().unwrap()).unwrap().len());
    }
}

/// What OpenPGP.js found in the vectors of a directory.
fn openpgpjs(directory: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/openpgpjs.mjs");
    let run = Command::new("node").arg(script).arg(directory).output();
    let run = run.expect("this test needs Node.js: install `nodejs`");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn after_a_rotation_openpgpjs_opens_what_is_older_and_answers_to_the_newest_subkey() {
    let (home, old) = keyring_at_home();
    let keys = home.path().join("keyring");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut change = Change::begin(&keys, &MasterSource::beside(&keys)).unwrap();
    change.rotate(Rotating::Organisation, None, i64::try_from(now).unwrap()).unwrap();
    let new = change.commit().unwrap();
    assert_ne!(new.certificate(), old.certificate());

    let vectors = Vectors::load();
    let mut changed = vectors.0.clone();
    changed["organisation"]["certificate"] = B64.encode(new.certificate()).into();
    fs::write(home.path().join("v1.json"), changed.to_string()).unwrap();
    let said = openpgpjs(home.path());
    // The slip was signed by the subkey that is retired now.
    check_slip(&vectors, &B64.decode(said["slip"].as_str().unwrap()).unwrap());
    let (subject, ..) = open(&vectors, &new, &said["reply"]).unwrap();
    assert_eq!(subject, "Re: Ihr Befund \u{2013} Labor");
    assert!(matches!(open(&vectors, &old, &said["reply"]), Err(ReplyError::NotForUs)));
    // And the reply that was sealed before it opens with the new keys.
    open(&vectors, &new, &vectors.0["reply"]).unwrap();
}

#[test]
fn openpgpjs_opens_the_vectors_and_the_gateway_opens_its_reply() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        root.join("portal/web/node_modules/openpgp/package.json").is_file(),
        "OpenPGP.js is not installed: run `npm ci --ignore-scripts` in portal/web"
    );
    let said = openpgpjs(&directory());
    let vectors = Vectors::load();
    assert_eq!(said["sessionKey"], vectors.0["pickup"]["sessionKey"]);
    assert_eq!(said["voice"], vectors.0["pickup"]["voice"]);
    assert_eq!(said["opened"], vectors.0["opened"]["mac"]);
    check_slip(&vectors, &B64.decode(said["slip"].as_str().unwrap()).unwrap());
    for n in 0..vectors.parts() {
        assert_eq!(said["parts"][n], vectors.0["parts"][n]["plain"], "part {n}");
    }
    let closed = said["closed"].as_object().unwrap();
    assert_eq!(closed.len(), 10);
    for (name, closed) in closed {
        assert_eq!(*closed, true, "{name}");
    }

    let reply = &said["reply"];
    for packet in packets(&reply["packets"]) {
        assert_eq!(data_packet(&packet), Ok(()));
        assert!(packet.len() >= 4096);
    }
    let (subject, text, enclosures) = open(&vectors, &keyring(), reply).unwrap();
    assert_eq!(subject, "Re: Ihr Befund \u{2013} Labor");
    assert_eq!(B64.encode(text), reply["text"]);
    let [(name, bytes)] = enclosures.as_slice() else { panic!() };
    assert_eq!((name.as_str(), B64.encode(bytes).as_str()), ("bild.png", reply["enclosure"].as_str().unwrap()));
}
