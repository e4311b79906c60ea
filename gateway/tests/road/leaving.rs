//! What leaves by each way: lines that end with CRLF and nothing that another server could take for an end, whatever came in.
//!
//! The delivery itself refuses all else and doubles dots; here nothing needs refusing.

use sealpost_gateway::queue::Kind;
use sealpost_vault::errands::Answer;
use serde_json::json;

use crate::bench::{Road, SENDER};
use crate::encrypted::with_key;
use crate::mail::Queued;
use crate::reply::Reply;

/// Every end of data that somebody ever took for one, and what would follow it.
const WILD: &str = "one\n.\nMAIL FROM:<eve@klinik.example>\r.\rtwo\r\n.\r\nRCPT TO:<eve@klinik.example>\n.\r\nthree\r\n.\nfour\0\r\n.\0\r\n\
    \r\r\n.\r\r\nfive\r\n\r.\r\n.";

/// The same as a header field can hold it: in an encoded word.
fn encoded(text: &str) -> String {
    use base64::Engine;
    format!("=?utf-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(text))
}

fn whole_lines(mail: &Queued) {
    let mut before = b'\n';
    for &octet in &mail.bytes {
        assert!(octet != 0 && (before == b'\r') == (octet == b'\n'), "{mail:?}");
        before = octet;
    }
    assert!(mail.bytes.ends_with(b"\r\n"), "{mail:?}");
    let header = String::from_utf8_lossy(&mail.bytes).split("\r\n\r\n").next().unwrap().to_lowercase();
    assert!(!header.contains("\r\nbcc:") && !header.contains("eve@klinik.example>\r\n"), "{header}");
}

pub async fn a_reply_leaves_in_whole_lines_whatever_was_written(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let name = "scan\r\nBcc: eve@klinik.example\n.\n\0.pdf";
    let reply = Reply::new(&road, &anna, WILD, &[(name, "text/plain", WILD.as_bytes())]);
    assert_eq!(reply.send(&road, &anna).await, Answer::Taken);
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail.kind, Kind::Answer);
    whole_lines(mail);
    assert!(mail.text().contains("three") && mail.text().contains("five"), "all of it: {}", mail.text());
    assert_eq!(mail.enclosures()[0].2, WILD.as_bytes(), "an enclosure octet for octet");

    // Members that no browser of ours writes: whatever becomes of such a reply, nothing else leaves.
    for (member, value) in
        [("subject", json!("Re: x\r\nBcc: eve@klinik.example\r\n\r\n.\r\n")), ("from", json!("a\r\n.\r\n@x"))]
    {
        let mut odd = Reply::new(&road, &anna, "text", &[]);
        odd.slip[member] = value;
        odd.send(&road, &anna).await;
        road.deliver().await.iter().for_each(whole_lines);
    }
}

pub async fn sealing_encrypting_and_passing_leave_whole_lines(road: Road) {
    with_key(&road, "kim@friends.example", None).await;
    let (name, subject) = (encoded("Dr.\r\nBcc: eve@klinik.example\0"), encoded("[secure] a\r\n.\r\nb\n.\nc\0"));
    let text = format!(
        "From: {name} <{SENDER}>\r\nTo: anna@home.example\r\nSubject: [secure] {subject}\r\n\r\n.\r\n..\r\nMAIL FROM:<x@y>\r\n.a\r\n"
    );
    for (to, kind) in [
        ("anna@home.example", Kind::Notification),
        ("kim@friends.example", Kind::Encrypted),
        ("store@archive.example", Kind::Relayed),
    ] {
        road.send(SENDER, &[to], &text).await;
        let mails = road.deliver().await;
        let [mail] = mails.as_slice() else { panic!("{to}: {mails:?}") };
        assert_eq!(mail.kind, kind);
        whole_lines(mail);
        if kind == Kind::Relayed {
            assert!(
                mail.bytes.ends_with(b"\r\n\r\n.\r\n..\r\nMAIL FROM:<x@y>\r\n.a\r\n"),
                "dots are doubled when they leave"
            );
        }
    }
}
