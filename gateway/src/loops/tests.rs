//! Which messages are known again.

use super::*;
use crate::keyring::tests::keyring;
use crate::keyring::{Change, MasterSource, Rotating};

const NOW: Time = 1_767_225_600;
const MAIL: &str = "From: Anna <anna@klinik.example>\r\nTo: list@x.example\r\nSubject: Lunch\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@klinik.example>\r\n\r\nThursday?\r\n";

fn to(recipients: &[&str]) -> Vec<EmailAddress> {
    recipients.iter().map(|recipient| recipient.parse().unwrap()).collect()
}

fn passed(loops: &Loops, mail: &str, recipients: &[&str]) -> String {
    loops.marker(mail.as_bytes(), &to(recipients), NOW).unwrap() + mail
}

#[test]
fn what_comes_back_is_known() {
    let (keyring, _directory) = keyring();
    let loops = Loops::new(Arc::new(keyring), "GW.klinik.example");
    let passed = passed(&loops, MAIL, &["list@x.example", "b@x.example"]);
    assert!(passed.starts_with("Sealpost-Passed: by=gw.klinik.example; t=1767225600; k=1;\r\n\tm="), "{passed}");
    assert!(passed.split("\r\n").all(|line| line.len() <= 78), "{passed}");
    let same = ["list@x.example", "b@x.example"];
    let in_front = |fields: &str| format!("{fields}{passed}");
    for (name, message, recipients, now, known) in [
        ("at once", passed.clone(), &same[..], NOW, true),
        ("through servers", in_front("Return-Path: <a@b>\r\nReceived: x\r\nX-Spam: no\r\n"), &same, NOW, true),
        ("a day later", passed.clone(), &same, NOW + 86_400, true),
        ("clocks apart", passed.clone(), &same, NOW - 3_600, true),
        ("other order, case, twice", passed.clone(), &["B@X.example", "list@x.example", "b@x.example"], NOW, true),
        ("another body", passed.replace("Thursday?", "Thursday!=\r\n-- \r\nOur disclaimer"), &same, NOW, true),
        ("another subject", passed.replace("Lunch", "[EXTERNAL] Lunch"), &same, NOW, true),
        (
            "folded anew",
            passed.replace("From: Anna <", "FROM:\r\n\tAnna\r\n  <").replace("k=1;\r\n\t", "k=1; "),
            &same,
            NOW,
            true,
        ),
        (
            "behind many others'",
            in_front(&format!("Sealpost-Passed: by=other.example; t={NOW}; k=1; m=AAAA\r\n").repeat(500)),
            &same,
            NOW,
            true,
        ),
        ("never passed", MAIL.to_owned(), &same, NOW, false),
        ("a marker that is none", in_front("").replace("Sealpost-Passed", "X-Sealpost-Passed"), &same, NOW, false),
        ("later than a day", passed.clone(), &same, NOW + 86_401, false),
        ("from the future", passed.clone(), &same, NOW - 3_601, false),
        ("a time that is not its own", passed.replace("t=1767225600", "t=1767225601"), &same, NOW, false),
        ("another gateway's name", passed.replace("by=gw.", "by=gw2."), &same, NOW, false),
        ("another epoch", passed.replace("k=1", "k=2"), &same, NOW, false),
        ("for one of them", passed.clone(), &["list@x.example"], NOW, false),
        ("for somebody else", passed.clone(), &["c@x.example"], NOW, false),
        ("for one more", passed.clone(), &["list@x.example", "b@x.example", "c@x.example"], NOW, false),
        ("on another message", passed.replace("<1@klinik", "<2@klinik"), &same, NOW, false),
        ("on another day's message", passed.replace("01 Jan", "02 Jan"), &same, NOW, false),
        ("on another's message", passed.replace("Anna <anna@", "Anna <berta@"), &same, NOW, false),
        ("sent again by somebody", in_front("Resent-From: c@klinik.example\r\nResent-Date: x\r\n"), &same, NOW, false),
        ("with two ids", in_front("Message-ID: <0@klinik.example>\r\n"), &same, NOW, false),
        ("in the body", MAIL.replace("Thursday?", &passed), &same, NOW, false),
    ] {
        assert_eq!(loops.know(message.as_bytes(), &to(recipients), now), known, "{name}: {message}");
    }
}

#[test]
fn markers_that_are_not_ours_are_no_harm() {
    let (keyring, _directory) = keyring();
    let (other, _other_directory) = crate::keyring::tests::keyring();
    let (loops, other) = (Loops::new(Arc::new(keyring), "gw.example"), Loops::new(Arc::new(other), "gw.example"));
    let recipients = ["a@x.example"];
    let others = passed(&other, MAIL, &recipients);
    assert!(other.know(others.as_bytes(), &to(&recipients), NOW));
    assert!(!loops.know(others.as_bytes(), &to(&recipients), NOW), "the name alone is nothing");
    let mac = BASE64URL_NOPAD.encode(&[0; 32]);
    let long = "x".repeat(100_000);
    for value in [
        "",
        ";;;",
        "by=gw.example",
        "yes",
        &format!("by=gw.example; t={NOW}; k=1; m="),
        &format!("by=gw.example; t={NOW}; k=1; m={mac}"),
        &format!("by=gw.example; t={NOW}; k=1; m={mac}A"),
        &format!("by=gw.example; t={NOW}; k=1; m=====;"),
        &format!("by=gw.example; t={NOW}; k=99999999999; m={mac}"),
        &format!("by=gw.example; t=99999999999999999999; k=1; m={mac}"),
        &format!("by=gw.example; t=-9223372036854775808; k=1; m={mac}"),
        &format!("t={NOW}; by=gw.example; k=1; m={mac}"),
        &format!("by={long}; t={NOW}; k=1; m={mac}"),
        "by=gw.example; t=\u{661}; k=1; m=AAAA",
    ] {
        let message = format!("Sealpost-Passed: {value}\r\n{MAIL}");
        assert!(!loops.know(message.as_bytes(), &to(&recipients), NOW), "{value:.80}");
        let message = format!("Sealpost-Passed: {value}\r\n{}", passed(&loops, MAIL, &recipients));
        assert!(loops.know(message.as_bytes(), &to(&recipients), NOW), "{value:.80}: hides nothing");
    }
    for bytes in [&b""[..], b"\r\n", b"Sealpost-Passed", b"Sealpost-Passed: \xff\xfe\r\n\r\n", b"\xff: x"] {
        assert!(!loops.know(bytes, &to(&recipients), NOW));
        assert!(loops.marker(bytes, &to(&recipients), NOW).is_ok());
    }
}

#[test]
fn a_marker_from_before_a_change_of_keys_counts() {
    let (before, home) = keyring();
    let recipients = ["a@x.example"];
    let passed = passed(&Loops::new(Arc::new(before), "gw.example"), MAIL, &recipients);
    let keys = home.path().join("keys");
    let mut change = Change::begin(&keys, &MasterSource::beside(&keys)).unwrap();
    change.rotate(Rotating::Root, None, NOW).unwrap();
    let after = Loops::new(Arc::new(change.commit().unwrap()), "gw.example");
    assert!(after.know(passed.as_bytes(), &to(&recipients), NOW));
    let new = after.marker(MAIL.as_bytes(), &to(&recipients), NOW).unwrap();
    assert!(new.contains("k=2;"), "{new}");
}
