//! The trace header that we put in front of what we pass on.
//!
//! Security: no `for` clause, so that recipients of one message don't learn of each other (RFC 5321 7.6).
//! Standards: RFC 5321 4.4, RFC 3848 (ESMTP, ESMTPS), RFC 5322 3.3 (dates).

use std::net::IpAddr;

use sealpost_vault::Time;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::smtp::ReceivedMessage;

/// `Received: from .. by .. with .. id ..; date`, folded, with its CRLF.
pub fn trace_header(received: &ReceivedMessage, hostname: &str) -> String {
    let helo = &received.client.helo;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let helo = if helo.is_empty() || helo.len() > 255 || !helo.bytes().all(plain) { "unknown" } else { helo };
    // RFC 5321 4.1.3
    let address = match received.client.address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    };
    let protocol = if received.client.tls { "ESMTPS" } else { "ESMTP" };
    format!(
        "Received: from {helo} ({address})\r\n\tby {hostname} with {protocol} id {};\r\n\t{}\r\n",
        received.queue_id,
        date(received.received_at)
    )
}

/// As in a Date field, in UTC.
fn date(time: Time) -> String {
    let epoch = OffsetDateTime::UNIX_EPOCH;
    OffsetDateTime::from_unix_timestamp(time).unwrap_or(epoch).format(&Rfc2822).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sealpost_vault::id::QueueId;

    use super::*;
    use crate::smtp::{Client, Door};
    use crate::{BodyType, Envelope, ReversePath};

    fn received(helo: &str, address: &str, tls: bool) -> ReceivedMessage {
        let client = Client { address: address.parse().unwrap(), helo: helo.to_owned(), tls, door: Door::Inside };
        let recipients = vec!["secret@x.example".parse().unwrap()];
        let envelope = Envelope::plain(ReversePath::Null, recipients, BodyType::SevenBit);
        ReceivedMessage {
            queue_id: QueueId::from_bytes([7; 16]),
            envelope,
            client,
            received_at: 1_767_225_600,
            bytes: vec![],
        }
    }

    #[test]
    fn trace_headers() {
        for (helo, address, tls, expected) in [
            (
                "mail.klinik.example",
                "192.0.2.1",
                true,
                "from mail.klinik.example ([192.0.2.1])\r\n\tby gw.example with ESMTPS id ",
            ),
            ("[IPv6:::1]", "::1", false, "from [IPv6:::1] ([IPv6:::1])\r\n\tby gw.example with ESMTP id "),
            ("x", "::ffff:192.0.2.1", false, "from x ([192.0.2.1])\r\n"),
            ("a\r\nBcc: b", "192.0.2.1", false, "from unknown ([192.0.2.1])\r\n"),
            ("a (b", "192.0.2.1", false, "from unknown ("),
            ("", "192.0.2.1", false, "from unknown ("),
        ] {
            let header = trace_header(&received(helo, address, tls), "gw.example");
            assert!(header.starts_with(&format!("Received: {expected}")), "{header}");
            assert!(
                header.ends_with(&format!(
                    "id {};\r\n\tThu, 01 Jan 2026 00:00:00 +0000\r\n",
                    QueueId::from_bytes([7; 16])
                ))
            );
            assert!(!header.contains("secret"));
        }
    }
}
