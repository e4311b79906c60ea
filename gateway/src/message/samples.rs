//! Whole messages: `NN-name.eml` in tests/messages beside `NN-name.expect`, which tells what is read out of it, what is
//! prepared of it and which header lines change on its way out. The files have LF lines; here they get CRLF.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use sealpost_vault::id::QueueId;

use super::*;
use crate::smtp::{Client, Door};
use crate::{BodyType, Envelope, ReversePath};

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] }).collect()
}

fn received(bytes: Vec<u8>) -> ReceivedMessage {
    let client = Client::new([127, 0, 0, 1].into(), "x", Door::Inside);
    let envelope = Envelope::plain(ReversePath::Null, vec![], BodyType::EightBitMime);
    ReceivedMessage { queue_id: QueueId::from_bytes([1; 16]), envelope, client, received_at: 1_000_000_000, bytes }
}

fn mailboxes(label: &str, list: &[Mailbox], out: &mut String) {
    for mailbox in list {
        writeln!(out, "{label}: {} <{}>", mailbox.name, mailbox.address).unwrap();
    }
}

fn told(bytes: Vec<u8>) -> String {
    let mut out = String::new();
    let message = match ParsedMessage::parse(received(bytes)) {
        Ok(message) => message,
        Err(rejection) => return format!("rejected: {rejection}\n"),
    };
    let facts = &message.facts;
    let bytes = &message.received.bytes;
    writeln!(out, "subject: {}", facts.subject).unwrap();
    mailboxes("from", &facts.from, &mut out);
    mailboxes("to", &facts.to, &mut out);
    mailboxes("cc", &facts.cc, &mut out);
    for (label, value) in [
        ("tags", facts.tags.iter().map(Tag::to_string).collect::<Vec<_>>().join(" ")),
        ("message-id", facts.message_id.clone().unwrap_or_default()),
        ("references", facts.references.join(" ")),
        ("sensitivity", facts.sensitivity.map(|s| s.written().to_owned()).unwrap_or_default()),
        ("protect", facts.protect.iter().map(|p| p.written()).collect::<Vec<_>>().join(" ")),
        ("automatic", if facts.automatic { "yes" } else { "" }.to_owned()),
        ("unreadable", if facts.readable { "" } else { "yes" }.to_owned()),
    ] {
        if !value.is_empty() {
            writeln!(out, "{label}: {value}").unwrap();
        }
    }
    let prepared = prepare(bytes, facts, message.received.received_at, &|_| None);
    writeln!(out, "prepared: {} at {}", prepared.subject, prepared.date).unwrap();
    for part in &prepared.parts {
        match part.kind {
            PartKind::Body => writeln!(out, "body {}", part.media_type).unwrap(),
            PartKind::Enclosure => {
                writeln!(out, "enclosure {} {} {} octets", part.name, part.media_type, part.bytes.len()).unwrap();
            }
        }
        if part.kind == PartKind::Body || part.media_type.starts_with("text/") {
            let text = std::str::from_utf8(&part.bytes).map_or_else(|_| format!("{:02x?}", part.bytes), str::to_owned);
            text.lines().for_each(|line| writeln!(out, "| {line}").unwrap());
        }
    }
    let leaving = outgoing(bytes, "", &|address| {
        address.strip_suffix("@reply.example").map(|name| format!("{name}@real.example"))
    });
    let [before, after] = [bytes.as_slice(), leaving.as_slice()].map(|message| {
        let end = memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 2);
        message.split_at(end)
    });
    assert_eq!(before.1, after.1, "the body must not change");
    let lines = |header: &[u8]| String::from_utf8_lossy(header).lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(before.0), lines(after.0));
    before.iter().filter(|line| !after.contains(line)).for_each(|line| writeln!(out, "- {line}").unwrap());
    after.iter().filter(|line| !before.contains(line)).for_each(|line| writeln!(out, "+ {line}").unwrap());
    out
}

#[test]
fn messages() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/messages");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let told = told(with_crlf(&fs::read(&path).unwrap()));
        let expected = fs::read_to_string(path.with_extension("expect")).unwrap_or_default();
        assert!(told == expected, "{}:\n{told}", path.display());
        count += 1;
    }
    assert!(count >= 20, "{count} files");
}

#[test]
fn hostile_bytes_never_panic() {
    // Each sample truncated and with an octet changed, at many places: no outcome is expected but an outcome.
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/messages");
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let sample = with_crlf(&fs::read(&path).unwrap());
        if path.extension().is_none_or(|extension| extension != "eml") || sample.len() > 20_000 {
            continue;
        }
        for at in (0..sample.len()).step_by(7) {
            let _ = told(sample[..at].to_vec());
            let mut changed = sample.clone();
            changed[at] = [0, b'\r', b'\n', b'"', b'=', b'(', 0xff, b';'][at % 8];
            let message = ParsedMessage::parse(received(changed));
            if let Ok(message) = message {
                let _ = prepare(&message.received.bytes, &message.facts, 0, &|_| None);
                let _ = outgoing(&message.received.bytes, "", &|_| Some("a@x.example".to_owned()));
            }
        }
    }
}

#[test]
fn many_nested_messages_cost_nothing() {
    let head = "From: a@x.example\r\n".to_owned();
    let bytes = (head + &"Content-Type: message/rfc822\r\n\r\n".repeat(200_000)).into_bytes();
    let message = ParsedMessage::parse(received(bytes)).unwrap();
    assert!(message.facts.readable);
    let parts = prepare(&message.received.bytes, &message.facts, 0, &|_| None).parts;
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].media_type, "message/rfc822");
}

#[test]
fn ten_thousand_enclosures_of_one_name() {
    let part = "--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nx\r\n".repeat(limits::PARTS - 1);
    let bytes = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{part}--b--\r\n").into_bytes();
    let message = ParsedMessage::parse(received(bytes)).unwrap();
    let parts = prepare(&message.received.bytes, &message.facts, 0, &|_| None).parts;
    assert_eq!(parts.len(), limits::PARTS - 1);
    assert_eq!(parts.last().unwrap().name, format!("a ({}).pdf", limits::PARTS - 1));
}

#[test]
fn html_that_is_too_heavy_is_enclosed() {
    let heavy = "<div>".repeat(1_000);
    let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n";
    let bytes = format!("{head}Content-Type: text/html\r\n\r\n{heavy}\r\n--b--\r\n").into_bytes();
    let message = ParsedMessage::parse(received(bytes)).unwrap();
    assert!(message.facts.readable);
    let parts = prepare(&message.received.bytes, &message.facts, 0, &|_| None).parts;
    let shown: Vec<_> = parts.iter().map(|part| (part.kind, part.media_type.as_str(), part.name.as_str())).collect();
    assert_eq!(shown, [(PartKind::Body, "text/plain", ""), (PartKind::Enclosure, "text/html", "page.html")]);
    assert_eq!(parts[1].bytes, heavy.as_bytes());
}

#[test]
fn debug_output_tells_no_content() {
    let bytes = b"Subject: canary\r\nFrom: canary <a@x.example>\r\n\r\ncanary\r\n".to_vec();
    let message = ParsedMessage::parse(received(bytes)).unwrap();
    let prepared = prepare(&message.received.bytes, &message.facts, 0, &|_| None);
    let shown = format!("{:?} {:?} {:?}", message.facts, prepared.parts, message.facts.from);
    assert!(!shown.contains("canary"), "{shown}");
}
