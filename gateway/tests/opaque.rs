//! OPAQUE with the library that browsers get: an implementation of RFC 9807 in WebAssembly, driven under Node.js.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use opaque_ke::argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::rand::{CryptoRng, Error, RngCore};
use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, CredentialResponse, Identifiers, Ristretto255, ServerSetup,
    TripleDh,
};
use ring::rand::{SecureRandom, SystemRandom};
use sealpost_gateway::accounts::opaque::{self, CredentialRequest, Finalization, Record, RegistrationRequest, Server};
use sealpost_vault::Identity;
use serde_json::{Value, json};

struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2::Sha512>;
    type Ksf = Argon2<'static>;
}

struct Random;

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next_u64() >> 32).unwrap()
    }
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_be_bytes(bytes)
    }
    fn fill_bytes(&mut self, target: &mut [u8]) {
        SystemRandom::new().fill(target).unwrap();
    }
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(target);
        Ok(())
    }
}

impl CryptoRng for Random {}

/// SEALING.md, accounts: what browsers stretch with.
fn stretching() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(65_536, 3, 4, None).unwrap())
}

/// The gateway's side of the line protocol.
struct Gateway {
    server: Server,
    reader: Identity,
    record: Option<Vec<u8>>,
    begun: Option<Vec<u8>>,
}

impl Gateway {
    fn answer(&mut self, name: &str, bytes: &[u8]) -> Vec<u8> {
        match name {
            "register" => self.server.register(&self.reader, RegistrationRequest::parse(bytes).unwrap()).unwrap(),
            "record" => {
                Record::parse(bytes).unwrap();
                self.record = Some(bytes.to_vec());
                Vec::new()
            }
            "forget" => {
                self.record = None;
                Vec::new()
            }
            "sign-in" => {
                let record = self.record.as_ref().map(|bytes| Record::parse(bytes).unwrap());
                let begun = self.server.begin(&self.reader, record, CredentialRequest::parse(bytes).unwrap()).unwrap();
                self.begun = Some(begun.state.to_vec());
                begun.response
            }
            "finalization" => {
                let ended = opaque::end(&self.begun.take().unwrap(), Finalization::parse(bytes).unwrap());
                if ended.is_ok() { b"in".to_vec() } else { b"out".to_vec() }
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn browsers_register_and_sign_in_as_sealing_md_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(
        root.join("portal/web/node_modules/@serenity-kit/opaque/package.json").is_file(),
        "this test needs the portal's browser libraries: `npm ci --ignore-scripts` in portal/web"
    );
    let setup = ServerSetup::<Suite>::new(&mut Random).serialize().to_vec();
    let reader = Identity::from_stored("anna@home.example".into());
    let mut gateway = Gateway { server: Server::new(&setup).unwrap(), reader, record: None, begun: None };
    let mut node = Command::new("node")
        .arg(root.join("tests/interop/opaque.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs Node.js: install `nodejs`");
    let mut to_node = node.stdin.take().unwrap();
    let mut report = Value::Null;
    let mut record = None;
    for line in BufReader::new(node.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (name, rest) = line.split_once(' ').unwrap();
        if name == "report" {
            report = serde_json::from_str(rest).unwrap();
            break;
        }
        let answer = gateway.answer(name, &URL_SAFE_NO_PAD.decode(rest).unwrap());
        record = gateway.record.clone().or(record);
        writeln!(to_node, "{}", URL_SAFE_NO_PAD.encode(answer)).unwrap();
    }
    assert!(node.wait().unwrap().success());

    let [accepted, key] = [URL_SAFE_NO_PAD.encode("in"), report["exportKey"].as_str().unwrap().to_owned()];
    assert_eq!(report["sizes"], json!({"request": 32, "response": 64, "record": 192, "exportKey": 64}));
    let sizes = json!({"request": 96, "response": 320, "finalization": 64});
    for right in ["right", "writtenOut"] {
        assert_eq!(report[right], json!({"sizes": sizes, "answer": accepted, "exportKey": key}), "{right}");
    }
    for other in ["wrong", "withoutIdentifier", "unknown"] {
        let unsent = json!({"sizes": {"request": 96, "response": 320}, "answer": "not sent"});
        assert_eq!(report[other], unsent, "{other}");
    }

    // The same passphrase, by opaque-ke with the parameters that SEALING.md names: the same export key.
    let passphrase = "sieben graue Reiher stehen".as_bytes();
    let started = ClientLogin::<Suite>::start(&mut Random, passphrase).unwrap();
    gateway.record = record;
    let response = gateway.answer("sign-in", &started.message.serialize());
    let (ksf, response) = (stretching(), CredentialResponse::deserialize(&response).unwrap());
    let identifiers = Identifiers { client: None, server: Some(b"sealpost/v1/opaque") };
    let parameters = ClientLoginFinishParameters::new(None, identifiers, Some(&ksf));
    let finished = started.state.finish(&mut Random, passphrase, response, parameters).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(finished.export_key), key);
    assert_eq!(gateway.answer("finalization", &finished.message.serialize()), b"in");
}
