//! Loops: what comes back is refused, and what only looks so isn't.

use crate::hop::Hop;
use crate::maildir::Mail;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::postfix::{Behind, Postfix};
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::{MAIL, SENDER};

const OUTSIDE: &str = "list@partner.example";

fn mail(id: u32, body: &str) -> Vec<u8> {
    format!(
        "From: {SENDER}\r\nTo: {OUTSIDE}\r\nSubject: Lunch\r\nDate: Tue, 24 Nov 2026 10:00:00 +0100\r\n\
         Message-ID: <{id}@klinik.example>\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

/// Two servers between us and ourselves: each takes the other's word for where our domain is.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_through_two_servers_ends_and_its_sender_is_told() {
    let (scratch, second_scratch) = (Scratch::new(), Scratch::new());
    let (one, two) = (ports::free(), ports::free());
    let setup = Setup::between(one, one);
    let sealpost = Sealpost::start(&scratch, setup).await;
    let back = Some(sealpost.setup().smtp);
    let second = Postfix::behind(&second_scratch, Behind { port: two, returns: None, home: back }).await;
    let first = Postfix::behind(&scratch, Behind { port: one, returns: None, home: Some(two) }).await;
    let stranger = "max@outside.example";
    let outcome = smtp::send(sealpost.setup().smtp, stranger, &[SENDER], &mail(1, "round and round")).await;
    assert!(outcome.accepted(), "{outcome:?}");
    let told = |mail: &Mail| String::from_utf8_lossy(&mail.bytes).contains("5.4.6");
    // The second hop bounces it; the bounce takes its own way to the sender.
    let bounce = second.maildir().wait_for(stranger, MAIL, told).await;
    assert!(bounce.return_path().is_empty());
    let log = sealpost.log();
    assert_eq!(log.matches("it has passed here before").count(), 1, "{log}");
    assert_eq!(first.maildir().all().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_marker_on_the_same_message_counts() {
    let scratch = Scratch::new();
    let hop = Hop::start(ports::free());
    let sealpost = Sealpost::start(&scratch, Setup::between(hop.port(), hop.port())).await;
    let port = sealpost.setup().smtp;
    let taken = async |body: &str| {
        let found = async || {
            hop.taken()
                .into_iter()
                .find(|taken| String::from_utf8_lossy(&taken.bytes).contains(body))
                .map(|taken| taken.bytes)
        };
        until("a mail", PATIENCE, found).await
    };
    let send = async |to: &str, bytes: &[u8]| {
        let reply = smtp::send(port, SENDER, &[to], bytes).await.data.expect("a reply to the data");
        format!("{} {}", reply.code, reply.text())
    };
    const LOOP: &str = "554 5.4.6 Routing loop: this message has passed here before";
    assert!(send(OUTSIDE, &mail(1, "the first one")).await.starts_with("250"));
    let passed = String::from_utf8(taken("the first one").await).unwrap();
    // Our trace first, then the marker, then every byte as it came.
    let original = String::from_utf8(mail(1, "the first one")).unwrap();
    let fields = passed.strip_suffix(&original).expect("the mail as it came");
    let (trace, marker) = fields.split_at(fields.find("Sealpost-Passed:").expect("a marker"));
    assert!(trace.starts_with("Received: from ") && trace.matches("Received:").count() == 1, "{fields}");
    assert_eq!(marker.lines().count(), 2, "{marker}");

    let marked = |mail: &[u8], marker: &str| [marker.as_bytes(), mail].concat();
    let forged = format!("Sealpost-Passed: by=sealpost.klinik.example; t=1; k=1;\r\n\tm={}\r\n", "A".repeat(43));
    let others = marker.replace("by=sealpost.", "by=other.");
    for (name, to, bytes, expected) in [
        ("as it left", OUTSIDE, passed.clone().into_bytes(), LOOP),
        (
            "as it left, through more servers",
            OUTSIDE,
            format!("Received: x\r\nX-Spam: 0\r\n{passed}").into_bytes(),
            LOOP,
        ),
        ("with a disclaimer", OUTSIDE, passed.replace("the first", "the well-known first").into_bytes(), LOOP),
        ("the same without its marker", OUTSIDE, mail(1, "again, from its sender"), "250"),
        ("a list's copy", "member@partner.example", passed.replace("Lunch", "[list] Lunch").into_bytes(), "250"),
        (
            "sent again by somebody",
            OUTSIDE,
            format!("Resent-From: b@klinik.example\r\nResent-Date: x\r\n{passed}").into_bytes(),
            "250",
        ),
        (
            "forwarded as an enclosure",
            OUTSIDE,
            format!("From: {SENDER}\r\nContent-Type: message/rfc822\r\n\r\n{passed}").into_bytes(),
            "250",
        ),
        ("a bare marker", OUTSIDE, marked(&mail(2, "bare"), "Sealpost-Passed: yes\r\n"), "250"),
        ("a forged marker", OUTSIDE, marked(&mail(3, "forged"), &forged), "250"),
        ("another's marker", OUTSIDE, marked(&mail(4, "others"), &others), "250"),
        ("replayed on another message", OUTSIDE, marked(&mail(5, "replayed"), marker), "250"),
    ] {
        let reply = send(to, &bytes).await;
        assert!(reply.starts_with(expected), "{name}: {reply}");
    }
    // What isn't ours stays where it is.
    for (body, field) in [("others", others.as_str()), ("replayed", marker), ("forged", &forged)] {
        let arrived = String::from_utf8(taken(&format!("\r\n\r\n{body}\r\n")).await).unwrap();
        assert!(arrived.contains(&format!("{field}From: {SENDER}\r\n")), "{arrived}");
        assert_eq!(arrived.matches("Sealpost-Passed:").count(), 2, "{arrived}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_fifty_received_fields_are_a_loop() {
    let scratch = Scratch::new();
    let hop = Hop::start(ports::free());
    let sealpost = Sealpost::start(&scratch, Setup::between(hop.port(), hop.port())).await;
    for (fields, code) in [(50, 250), (51, 554)] {
        let message = [b"Received: x\r\n".repeat(fields), mail(7, "far travelled")].concat();
        let reply = smtp::send(sealpost.setup().smtp, SENDER, &[OUTSIDE], &message).await.data.unwrap();
        assert_eq!(reply.code, code, "{fields}: {reply:?}");
        assert!(code == 250 || reply.text() == "5.4.6 Too many hops", "{reply:?}");
    }
}
