//! What comes back for a notification: a bounce marks the letter undelivered and tells the sender, without the link.
//!
//! Security: the return address is a token that whoever has the notification knows. The worst that it does is to tell the
//! sender that a letter that nobody has opened yet may not arrive.
//! Standards: RFC 3461, RFC 3464 (delivery status notifications).

use mail_parser::{MessageParser, MimeHeaders};
use tracing::info;

use sealpost_vault::db::StoreError;
use sealpost_vault::id::PickupId;

use crate::envelope::ReversePath;
use crate::message::ParsedMessage;
use crate::notify;
use crate::pickups::{self, Pickup, State};
use crate::pipeline::Gateway;
use crate::queue::{Kind, Mail, Route};
use crate::seal::LinkSecret;
use crate::spool::Decision;

impl Gateway {
    /// Looks at what came to return addresses: which notifications failed, and what their senders are told.
    pub(crate) async fn take_back(
        &self,
        parsed: &ParsedMessage,
        decisions: &[Decision],
    ) -> Result<Vec<(PickupId, Mail)>, StoreError> {
        let mut returned: Vec<(PickupId, Mail)> = Vec::new();
        for decision in decisions {
            let Decision::Returned { token } = decision else { continue };
            let Some(pickup) = pickups::by_return_token(&self.stores.own, *token).await? else { continue };
            let queue_id = parsed.received.queue_id;
            let bytes = parsed.received.bytes.clone();
            let Some(diagnosis) = self.heavily(move || failure(&bytes)).await? else {
                info!(%queue_id, pickup = %pickup.pickup_id, "came to a return address and is no report of a failure: dropped");
                continue;
            };
            if pickup.state != State::Notified || returned.iter().any(|(known, _)| *known == pickup.pickup_id) {
                continue;
            }
            info!(%queue_id, pickup = %pickup.pickup_id, "the notification was returned");
            let report = self.undelivered_report(&pickup, &diagnosis)?;
            returned.push((pickup.pickup_id, report));
        }
        Ok(returned)
    }

    /// Tells the sender that a notification can't be delivered.
    pub(crate) fn undelivered_report(&self, pickup: &Pickup, diagnosis: &str) -> Result<Mail, StoreError> {
        let original = about(pickup);
        let bytes = notify::undelivered(
            &self.letterhead,
            &original,
            &without_link(diagnosis, pickup.pickup_id),
            &self.new_message_id()?,
            self.letterhead.organisation.language,
            self.clock.now(),
        )
        .map_err(|_| StoreError::Corrupt("a report that can't be written"))?;
        Ok(self.report(pickup, bytes))
    }

    /// A report about a pickup, to its sender.
    pub(crate) fn report(&self, pickup: &Pickup, bytes: Vec<u8>) -> Mail {
        Mail {
            origin: pickup.origin,
            kind: Kind::Report,
            route: Route::Inside,
            reverse_path: ReversePath::Null,
            recipients: vec![pickup.sender.clone()],
            bytes,
            pickup: None,
            lifetime: self.settings.queue_lifetime,
        }
    }
}

/// What a report says of a pickup.
pub(crate) fn about(pickup: &Pickup) -> notify::Original<'_> {
    notify::Original {
        sender: &pickup.sender,
        recipient: &pickup.delivery,
        sent_at: pickup.created_at,
        message_id: (!pickup.message_id.is_empty()).then_some(pickup.message_id.as_str()),
        references: &[],
    }
}

/// The diagnosis of a delivery status notification that reports a failure; `None` for everything else: delays, relays,
/// out-of-office notices, chatter.
fn failure(bytes: &[u8]) -> Option<String> {
    let message = MessageParser::default().parse(bytes)?;
    let kind = message.content_type()?;
    let is_report = kind.ctype().eq_ignore_ascii_case("multipart")
        && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("report"));
    if !is_report {
        return None;
    }
    let status = message.parts.iter().find(|part| {
        part.content_type().is_some_and(|kind| {
            kind.ctype().eq_ignore_ascii_case("message")
                && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("delivery-status"))
        })
    })?;
    let text = String::from_utf8_lossy(status.contents()).into_owned();
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    if !field("Action")?.eq_ignore_ascii_case("failed") {
        return None;
    }
    let diagnosis = field("Diagnostic-Code").or_else(|| field("Status")).unwrap_or_default();
    Some(diagnosis.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(200).collect())
}

/// Mail servers quote what they don't like in a mail, and that may be the notification's link or its secret to type.
fn without_link(diagnosis: &str, pickup: PickupId) -> String {
    let pickup = pickup.to_string();
    let gives_away = |word: &str| {
        word.to_ascii_lowercase().contains(&pickup) || LinkSecret::parse(word.trim_matches(QUOTES)).is_ok()
    };
    let words = diagnosis.split(' ').map(|word| if gives_away(word) { "[...]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// What may stand around a quoted word.
const QUOTES: [char; 7] = ['"', '\'', '<', '(', '[', '{', '`'];

#[cfg(test)]
mod tests {
    use super::*;

    fn report(action: &str, kind: &str) -> Vec<u8> {
        format!(
            "From: MAILER-DAEMON@mx.example\r\nTo: return@x.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
             Content-Type: {kind}; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
             Final-Recipient: rfc822; p@x.example\r\nAction: {action}\r\nStatus: 5.1.1\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n--b--\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn only_reports_of_failure_count() {
        let kind = "multipart/report; report-type=delivery-status";
        assert_eq!(failure(&report("failed", kind)).as_deref(), Some("smtp; 550 5.1.1 no such user"));
        assert_eq!(failure(&report("delayed", kind)), None);
        assert_eq!(failure(&report("failed", "multipart/mixed")), None);
        assert_eq!(failure(b"Subject: I am on holiday\r\nAuto-Submitted: auto-replied\r\n\r\nBye\r\n"), None);
    }

    #[test]
    fn a_quoted_link_is_left_out() {
        let pickup = PickupId::from_bytes([0xa5; 16]);
        let secret = LinkSecret::from_bytes([7; 20]);
        for (word, left) in [
            (format!("https://x.example/p/{pickup}#{}", secret.written()), "[...]"),
            (format!("hxxps[:]//x[.]example/p/{}#{:.9}", pickup.to_string().to_uppercase(), secret.written()), "[...]"),
            (secret.written(), "[...]"),
            (format!("\"{}\",", secret.grouped()), "[...]"),
            ("<p@x.example>:".to_owned(), "<p@x.example>:"),
        ] {
            let told = without_link(&format!("550 5.7.1 {word} is on a list"), pickup);
            assert_eq!(told, format!("550 5.7.1 {left} is on a list"));
        }
    }
}
