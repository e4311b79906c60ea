//! Mails that wait in the queue, opened and parsed by a MIME library.

use std::fmt;

use mail_parser::{Message, MessageParser, MimeHeaders};
use sealpost_gateway::queue::{Kind, Route};
use sealpost_vault::id::{PickupId, QueueId};
use sqlx::Row;

use crate::bench::Road;

pub struct Queued {
    pub kind: Kind,
    pub route: Route,
    /// Empty: null.
    pub reverse_path: String,
    pub recipients: Vec<String>,
    pub pickup: Option<PickupId>,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.kind.as_str(), self.route.as_str(), self.recipients)
    }
}

impl Queued {
    /// One per body, in the order of insertion.
    pub async fn all(road: &Road) -> Vec<Self> {
        let rows = sqlx::query(
            "select q.body_id, q.kind, q.route, q.reverse_path, q.recipient, q.pickup_id, o.blob_key, o.sealed
             from queue q join outgoing o on o.body_id = q.body_id order by q.created_at, q.body_id, q.recipient",
        )
        .fetch_all(road.stores.own.reader())
        .await
        .unwrap();
        let mut mails: Vec<(String, Self)> = Vec::new();
        for row in rows {
            let text = |name: &str| row.get::<String, _>(name);
            let body_id = text("body_id");
            if let Some((known, mail)) = mails.last_mut()
                && *known == body_id
            {
                mail.recipients.push(text("recipient"));
                continue;
            }
            let sealed = road.stores.own_blobs.fetch(&text("blob_key"), row.get("sealed")).await.unwrap();
            let id: QueueId = body_id.parse().unwrap();
            let mail = Self {
                kind: text("kind").parse().unwrap(),
                route: text("route").parse().unwrap(),
                reverse_path: text("reverse_path"),
                recipients: vec![text("recipient")],
                pickup: text("pickup_id").parse().ok(),
                bytes: road.keyring.spool_read(&id, &sealed).unwrap(),
            };
            mails.push((body_id, mail));
        }
        mails.into_iter().map(|(_, mail)| mail).collect()
    }

    pub fn parsed(&self) -> Message<'_> {
        MessageParser::default().parse(&self.bytes).unwrap()
    }

    /// The plain text body, decoded.
    pub fn text(&self) -> String {
        self.parsed().body_text(0).unwrap().into_owned()
    }

    /// A header field's value as it stands there, unfolded.
    pub fn header(&self, name: &str) -> String {
        let message = self.parsed();
        let raw = message.header_raw(name).unwrap_or_default();
        raw.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Anywhere in the mail, in whatever encoding its parts are.
    pub fn mentions(&self, needle: &str) -> bool {
        let message = self.parsed();
        let decoded = message.parts.iter().any(|part| String::from_utf8_lossy(part.contents()).contains(needle));
        decoded || String::from_utf8_lossy(&self.bytes).contains(needle)
    }

    /// Name, media type and bytes of each enclosure.
    pub fn enclosures(&self) -> Vec<(String, String, Vec<u8>)> {
        let message = self.parsed();
        message
            .attachments()
            .map(|part| {
                let kind = part.content_type().unwrap();
                let media_type = format!("{}/{}", kind.ctype(), kind.subtype().unwrap());
                (part.attachment_name().unwrap().to_owned(), media_type, part.contents().to_vec())
            })
            .collect()
    }

    /// The eight digits of a code mail.
    pub fn code(&self) -> String {
        let text = self.text();
        let line = text.lines().find(|line| {
            line.len() == 9 && line.chars().enumerate().all(|(n, c)| if n == 4 { c == ' ' } else { c.is_ascii_digit() })
        });
        line.expect("a code").replace(' ', "")
    }
}
