//! What leaves: the message as it came, but for our own control headers, subject tags and addresses.
//!
//! Only the message's own header section is touched; bodies and the headers of nested messages are not even looked at.
//! Every other octet stays, so that signatures of others still hold.

use super::header::{Field, first_field, first_line, is_empty_line};
use super::{rewrite, subject};

/// Fields of ours: meant for this gateway, never for those behind it.
const CONTROL: &str = "x-sealpost-";

/// Fields whose addresses are rewritten.
const ADDRESSES: [&str; 4] = ["From", "To", "Cc", "Reply-To"];

/// The bytes for the way out: `trace` in front, control headers and subject tags out, and each address (addr-spec) in
/// From, To, Cc and Reply-To replaced for which `rewrite` has a replacement.
pub fn outgoing(bytes: &[u8], trace: &str, rewrite: &dyn Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().saturating_add(trace.len()));
    out.extend_from_slice(trace.as_bytes());
    let mut rest = bytes;
    while !rest.is_empty() && !is_empty_line(first_line(rest).0) {
        let (whole, after) = first_field(rest);
        rest = after;
        match Field::read(whole) {
            Some(field) if is_control(&field) => {}
            Some(field) if field.is("Subject") => match subject::field_without_tags(&field) {
                Some(changed) => out.extend_from_slice(&changed),
                None => out.extend_from_slice(whole),
            },
            Some(field) if ADDRESSES.iter().any(|name| field.is(name)) => {
                out.extend_from_slice(&rewrite::addresses(whole, rewrite));
            }
            _ => out.extend_from_slice(whole),
        }
    }
    out.extend_from_slice(rest);
    out
}

fn is_control(field: &Field<'_>) -> bool {
    field.name.get(..CONTROL.len()).is_some_and(|start| start.eq_ignore_ascii_case(CONTROL))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "Received: here\r\n";

    fn check(bytes: &[u8], expected: &[u8]) {
        let rewrite = |address: &str| (address == "r@reply.example").then(|| "anna@klinik.example".to_owned());
        let out = outgoing(bytes, TRACE, &rewrite);
        let rest = out.strip_prefix(TRACE.as_bytes()).unwrap();
        assert_eq!(String::from_utf8_lossy(rest), String::from_utf8_lossy(expected));
        assert_eq!(rest, expected);
    }

    fn unchanged(bytes: &[u8]) {
        check(bytes, bytes);
    }

    #[test]
    fn unchanged_byte_for_byte() {
        unchanged(b"");
        unchanged(b"\r\n");
        unchanged(b"\r\nbody only");
        unchanged(b"Subject: no body, no end");
        unchanged(b"Subject: x\r\n\r\nno final CRLF");
        unchanged(b"SUBJECT:x\r\nsUbJeCt : \xff\xfe\r\n \t y\r\n\t\r\n z\r\nX:\r\n\r\n\xff\x00\r\n.\r\n..\r\n");
        unchanged(b"Subject: bare\rCR and\nLF: x\n\nbody\n");
        unchanged(b" starts folded\r\nno field at all\r\n\r\nX-Sealpost-Protect: no\r\n");
        unchanged(&[b"X: ".as_slice(), &b"y".repeat(100_000), b"\r\n\r\n", &b"z".repeat(100_000)].concat());
        unchanged(b"DKIM-Signature: v=1; h=from:to;\r\n\tb=abc\r\nTo: other@x.example\r\n\r\n");
    }

    #[test]
    fn nested_messages_are_not_touched() {
        unchanged(
            b"Content-Type: message/rfc822\r\n\r\nX-Sealpost-Protect: yes\r\nSubject: [secure] in\r\nTo: r@reply.example\r\n\r\n",
        );
    }

    #[test]
    fn control_headers_go_as_a_whole() {
        check(
            b"X-Sealpost-Protect: yes\r\nA: 1\r\nx-SEALPOST-anything : a\r\n\tb\r\n c\r\nB: 2\r\nX-Sealpost-: \r\n\r\nX-Sealpost-Protect: body\r\n",
            b"A: 1\r\nB: 2\r\n\r\nX-Sealpost-Protect: body\r\n",
        );
        check(b"X-Sealpost-Protect: no", b"");
        unchanged(b"X-Sealpos: 1\r\nX-Sealpostx: 2\r\nXX-Sealpost-: 3\r\n\r\n");
    }

    #[test]
    fn tags_and_addresses() {
        check(
            b"Subject: [Secure] Lab\r\nTo: \"A\"\r\n <r@reply.example>\r\nSubject: again [encrypt]\r\nSender: r@reply.example\r\n\r\n[secure]\r\n",
            b"Subject: Lab\r\nTo: \"A\"\r\n <anna@klinik.example>\r\nSubject: again\r\nSender: r@reply.example\r\n\r\n[secure]\r\n",
        );
        // A tag alone in the last folded line must not leave an empty line: it would end the header.
        check(b"Subject: Lab\r\n [secure]\r\nB: 2\r\n\r\nx", b"Subject: Lab\r\nB: 2\r\n\r\nx");
    }

    #[test]
    fn never_panics() {
        let pieces: [&[u8]; 12] = [
            b"\r",
            b"\n",
            b"\r\n",
            b" ",
            b":",
            b"Subject:",
            b"[secure]",
            b"To:",
            b"\"",
            b"(",
            b"<r@reply.example>",
            b"=?utf-8?B?",
        ];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    for d in pieces {
                        let _ = outgoing(&[a, b, c, d].concat(), TRACE, &|_| Some("x@y".to_owned()));
                    }
                }
            }
        }
    }
}
