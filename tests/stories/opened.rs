//! A letter as its reader gets it, without a browser: out of the vault, with the secret of a notification's link, as
//! SEALING.md says; opened by Sequoia.

use std::path::Path;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sealpost_gateway::seal::LinkSecret;
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::id::PickupId;
use sealpost_vault::{BlobStore, Db, access, db::Schema, letters};
use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse;
use serde_json::Value;

use crate::sequoia;

/// The stores that gateway and portal share, with nobody at work in them.
pub struct Vault {
    rows: Db,
    blobs: BlobStore,
}

impl Vault {
    pub async fn of(state: &Path) -> Self {
        let directory = state.join("vault");
        let rows =
            Db::connect(&format!("sqlite:{}", directory.join("vault.db").display()), Schema::Vault).await.unwrap();
        Self { rows, blobs: BlobStore::local(&directory.join("blobs")).unwrap() }
    }

    /// Who the letter is for, and its parts, the text first; checked against its signed slip.
    pub async fn open(&self, link: &str) -> (String, Vec<Vec<u8>>) {
        let (_, link) = link.split_once("/p/").unwrap();
        let (pickup, secret) = link.split_once('#').unwrap();
        let (pickup, secret): (PickupId, _) = (pickup.parse().unwrap(), LinkSecret::parse(secret).unwrap());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let mut letter = access::letter(&self.rows, pickup, now).await.unwrap().expect("a letter behind the link");
        let by_link = letter.by_link.take().expect("a way by link");

        let organisation = Cert::from_bytes(&letter.certificate).unwrap().fingerprint();
        let (letter_id, reader) = (letter.letter_id, letter.reader.as_str().to_owned());
        let bound = ctx("open", &[letter_id.bytes(), reader.as_bytes(), organisation.as_bytes()]).unwrap();
        // HKDF with SHA-256, written out: one block is enough.
        let halves = [secret.bytes().as_slice(), &by_link.share].concat();
        let extracted = mac(pickup.bytes(), &halves);
        let password = URL_SAFE_NO_PAD.encode(mac(extracted.as_ref(), &[bound.as_slice(), &[1]].concat()));
        let open = |packet: &[u8]| sequoia::open(&letter.certificate, &password, &by_link.key_packet, packet).unwrap();

        let (slip, signatures) = open(&letter.slip);
        assert_eq!(signatures, 1);
        let slip: Value = serde_json::from_slice(&slip).unwrap();
        let mut parts = Vec::new();
        for (n, entry) in (0..).zip(slip["parts"].as_array().unwrap()) {
            let packet = letters::part(&self.rows, &self.blobs, pickup, n, now).await.unwrap().expect("a part");
            assert_eq!(entry["sha256"], data_encoding::HEXLOWER.encode(&sha256(&packet)));
            parts.push(open(&packet).0);
        }
        (reader, parts)
    }
}

fn mac(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
}
