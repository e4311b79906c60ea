//! The trace header that we put in front of what we pass on.
//!
//! Security: no `for` clause, so that recipients of one message don't learn of each other (RFC 5321 7.6).
//! Standards: RFC 5321 4.4, RFC 3848 and RFC 6531 4.3 (what it came with), RFC 5322 3.3 (dates).

use std::net::IpAddr;

use sealpost_vault::Time;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::Charset;
use crate::smtp::{Client, Greeting, ReceivedMessage};

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
    let protocol = protocol(&received.client, received.envelope.charset);
    format!(
        "Received: from {helo} ({address})\r\n\tby {hostname} with {protocol} id {};\r\n\t{}\r\n",
        received.queue_id,
        date(received.received_at)
    )
}

/// What the registry of mail transmission types calls it. HELO has no types with TLS or AUTH.
fn protocol(client: &Client, charset: Charset) -> &'static str {
    match (client.greeting, charset, client.tls, client.signed_in) {
        (Greeting::Helo, Charset::Ascii, _, _) => "SMTP",
        (Greeting::Ehlo, Charset::Ascii, false, false) => "ESMTP",
        (Greeting::Ehlo, Charset::Ascii, false, true) => "ESMTPA",
        (Greeting::Ehlo, Charset::Ascii, true, false) => "ESMTPS",
        (Greeting::Ehlo, Charset::Ascii, true, true) => "ESMTPSA",
        (_, Charset::Utf8, false, false) => "UTF8SMTP",
        (_, Charset::Utf8, false, true) => "UTF8SMTPA",
        (_, Charset::Utf8, true, false) => "UTF8SMTPS",
        (_, Charset::Utf8, true, true) => "UTF8SMTPSA",
    }
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
    use crate::smtp::Door;
    use crate::{BodyType, Envelope, ReversePath};

    fn received(helo: &str, address: &str, tls: bool) -> ReceivedMessage {
        let client = Client { tls, ..Client::new(address.parse().unwrap(), helo, Door::Inside) };
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

    #[test]
    fn it_says_what_it_came_with() {
        for (greeting, tls, signed_in, charset, expected) in [
            (Greeting::Helo, false, false, Charset::Ascii, "SMTP"),
            (Greeting::Helo, true, false, Charset::Ascii, "SMTP"),
            (Greeting::Ehlo, false, false, Charset::Ascii, "ESMTP"),
            (Greeting::Ehlo, true, false, Charset::Ascii, "ESMTPS"),
            (Greeting::Ehlo, true, true, Charset::Ascii, "ESMTPSA"),
            (Greeting::Ehlo, false, true, Charset::Ascii, "ESMTPA"),
            (Greeting::Ehlo, false, false, Charset::Utf8, "UTF8SMTP"),
            (Greeting::Ehlo, true, false, Charset::Utf8, "UTF8SMTPS"),
            (Greeting::Ehlo, true, true, Charset::Utf8, "UTF8SMTPSA"),
            (Greeting::Ehlo, false, true, Charset::Utf8, "UTF8SMTPA"),
        ] {
            let mut received = received("x", "192.0.2.1", tls);
            received.client.greeting = greeting;
            received.client.signed_in = signed_in;
            received.envelope.charset = charset;
            let header = trace_header(&received, "gw.example");
            assert!(header.contains(&format!(" with {expected} id ")), "{header}");
        }
    }
}
