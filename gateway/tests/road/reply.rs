//! A reply on its way, made as a browser makes one; tests change it before it is sent.

use sealpost_vault::derive::sha256;
use sealpost_vault::errands::{Answer, Bytes, Errand};
use sealpost_vault::id::{PickupId, ReplyId};
use sealpost_vault::uploads;
use sequoia_openpgp::crypto::SessionKey;
use serde_json::{Value, json};

use crate::account::Key;
use crate::bench::Road;
use crate::openpgp;
use crate::reader::Reader;

pub struct Reply {
    pub id: ReplyId,
    /// What the errand says.
    pub pickup: PickupId,
    session_key: SessionKey,
    key_packet: Vec<u8>,
    /// Body and enclosures, sealed.
    pub packets: Vec<Vec<u8>>,
    pub slip: Value,
    pub mac_over_another_slip: bool,
}

/// Who speaks for a reply.
pub enum By<'a> {
    Voice(&'a Reader),
    Key(&'a Key),
    Nobody,
}

impl Reply {
    pub fn new(road: &Road, reader: &Reader, text: &str, enclosures: &[(&str, &str, &[u8])]) -> Self {
        Self::to(road, reader.pickup, &reader.slip(), reader.released.reader.as_str(), text, enclosures)
    }

    /// To a letter whose slip is known, however it was opened.
    pub fn to(
        road: &Road,
        pickup: PickupId,
        letter: &Value,
        from: &str,
        text: &str,
        enclosures: &[(&str, &str, &[u8])],
    ) -> Self {
        let (session_key, key_packet) = openpgp::session_key_for(&road.keyring.certificate());
        let id = ReplyId::random().unwrap();
        let mut packets = vec![openpgp::seal(&session_key, text.as_bytes())];
        let hash = |packet: &[u8]| data_encoding::HEXLOWER.encode(&sha256(packet));
        let mut parts = vec![json!({"n": 1, "kind": "body", "name": "", "type": "text/plain", "size": text.len(),
            "sha256": hash(&packets[0])})];
        for (n, (name, media_type, bytes)) in (2..).zip(enclosures) {
            let packet = openpgp::seal(&session_key, bytes);
            parts.push(json!({"n": n, "kind": "enclosure", "name": name, "type": media_type, "size": bytes.len(),
                "sha256": hash(&packet)}));
            packets.push(packet);
        }
        let slip = json!({"is": "sealpost/v1/reply", "reply": id, "letter": letter["letter"],
            "conversation": letter["conversation"], "from": from,
            "organisation": road.keyring.fingerprint_hex(), "subject": "Re: Befund", "parts": parts});
        Self { id, pickup, session_key, key_packet, packets, slip, mac_over_another_slip: false }
    }

    /// Uploads it as the portal does and hands it over; `voice` speaks for it.
    pub async fn send(&self, road: &Road, voice: &Reader) -> Answer {
        self.send_by(road, By::Voice(voice)).await
    }

    pub async fn send_by(&self, road: &Road, by: By<'_>) -> Answer {
        let (vault, blobs) = (&road.stores.vault, &road.stores.vault_blobs);
        assert!(uploads::begin(vault, self.id, "session", self.pickup, road.now()).await.unwrap());
        let json = serde_json::to_vec(&self.slip).unwrap();
        let slip = match by {
            By::Voice(voice) => {
                let said = if self.mac_over_another_slip { sha256(b"another") } else { sha256(&json) };
                let mac = voice.say(road, "say/reply", &[self.id.bytes(), &said]);
                openpgp::seal(&self.session_key, &[mac, json].concat())
            }
            By::Key(key) => key.seal_signed(&self.session_key, &json),
            By::Nobody => openpgp::seal(&self.session_key, &json),
        };
        for (n, packet) in (0..).zip(std::iter::once(slip).chain(self.packets.iter().cloned())) {
            uploads::put_part(vault, blobs, self.id, n, packet).await.unwrap();
        }
        road.ask(&self.errand()).await
    }

    pub fn errand(&self) -> Errand {
        Errand::Reply {
            pickup: self.pickup,
            reply: self.id,
            key_packet: Bytes(self.key_packet.clone()),
            parts: u32::try_from(self.packets.len() + 1).unwrap(),
        }
    }
}
