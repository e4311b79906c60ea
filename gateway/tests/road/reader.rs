//! The reader's side, as SEALING.md says it: link and share become a password and a voice.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sealpost_gateway::seal::LinkSecret;
use sealpost_vault::access::{self, ByLink, Letter};
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::errands::{Bytes, Errand};
use sealpost_vault::id::{LetterId, PickupId};
use sealpost_vault::letters;
use sequoia_openpgp::crypto::SessionKey;
use serde_json::Value;

use crate::bench::Road;
use crate::mail::Queued;
use crate::openpgp;

const PORTAL: &str = "https://letters.klinik.example/p/";

/// A browser with an open letter.
pub struct Reader {
    pub pickup: PickupId,
    pub letter: LetterId,
    /// The address that the notification went to.
    pub address: String,
    /// Where the notification's bounces go.
    pub return_address: String,
    /// As the link carries it.
    pub secret: String,
    pub released: Letter,
    pub by_link: ByLink,
    password: String,
    pub voice: Vec<u8>,
}

/// HKDF with SHA-256, written out: one block is enough.
fn expand(salt: &[u8], input: &[u8], info: &[u8]) -> Vec<u8> {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), input);
    let block = [info, &[1]].concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()), &block).as_ref().to_vec()
}

/// Pickup and secret out of a notification's link.
pub fn link(notification: &Queued) -> (PickupId, String) {
    let text = notification.text();
    let (_, rest) = text.split_once(PORTAL).expect("a link");
    let link = rest.split_whitespace().next().unwrap();
    let (pickup, secret) = link.split_once('#').unwrap();
    (pickup.parse().unwrap(), secret.to_owned())
}

impl Reader {
    pub async fn of(road: &Road, notification: &Queued) -> Self {
        let (pickup, secret) = link(notification);
        assert_eq!(notification.pickup, Some(pickup));
        let mut released = access::letter(&road.stores.vault, pickup, road.now()).await.unwrap().expect("released");
        let by_link = released.by_link.take().expect("a way by link");
        let link = LinkSecret::parse(&secret).unwrap();
        let halves = [link.bytes().as_slice(), &by_link.share].concat();
        let bound: [&[u8]; 3] =
            [released.letter_id.bytes(), released.reader.as_str().as_bytes(), road.keyring.fingerprint()];
        let derive = |label| expand(pickup.bytes(), &halves, &ctx(label, &bound).unwrap());
        Self {
            pickup,
            letter: released.letter_id,
            address: notification.recipients.concat(),
            return_address: notification.reverse_path.clone(),
            secret,
            password: URL_SAFE_NO_PAD.encode(derive("open")),
            voice: derive("voice"),
            released,
            by_link,
        }
    }

    fn open(&self, packet: &[u8]) -> (Vec<u8>, usize) {
        openpgp::open(&self.released.certificate, &self.password, &self.by_link.key_packet, packet).unwrap()
    }

    /// What all packets of the letter are sealed with.
    pub fn session_key(&self) -> SessionKey {
        openpgp::session_key(&self.password, &self.by_link.key_packet)
    }

    /// The slip, verified.
    pub fn slip(&self) -> Value {
        let (json, signatures) = self.open(&self.released.slip);
        assert_eq!(signatures, 1);
        serde_json::from_slice(&json).unwrap()
    }

    /// Name, media type and bytes of each part, checked against the slip.
    pub async fn parts(&self, road: &Road) -> Vec<(String, String, Vec<u8>)> {
        let slip = self.slip();
        let mut parts = Vec::new();
        for (n, entry) in (0..).zip(slip["parts"].as_array().unwrap()) {
            let packet = letters::part(&road.stores.vault, &road.stores.vault_blobs, self.pickup, n, road.now())
                .await
                .unwrap()
                .expect("a part");
            assert_eq!(entry["sha256"], data_encoding::HEXLOWER.encode(&sha256(&packet)));
            let (bytes, _) = self.open(&packet);
            assert_eq!(entry["size"], bytes.len());
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            parts.push((text("name"), text("type"), bytes));
        }
        parts
    }

    /// A statement in this reader's voice: pickup, letter, reader, organisation, then what is said.
    pub fn say(&self, road: &Road, label: &str, more: &[&[u8]]) -> Vec<u8> {
        let mut fields: Vec<&[u8]> = vec![
            self.pickup.bytes(),
            self.letter.bytes(),
            self.released.reader.as_str().as_bytes(),
            road.keyring.fingerprint(),
        ];
        fields.extend(more);
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.voice), &ctx(label, &fields).unwrap()).as_ref().to_vec()
    }

    pub fn receipt(&self, road: &Road) -> Errand {
        let mac = self.say(road, "say/opened", &[&sha256(&self.released.slip)]);
        Errand::Opened { pickup: self.pickup, mac: Bytes(mac) }
    }

    /// The browser opened the letter and says so.
    pub async fn opens(&self, road: &Road) {
        self.slip();
        road.ask(&Errand::Released { pickup: self.pickup }).await;
        road.ask(&self.receipt(road)).await;
    }
}
