//! What is fuzzed: every reader of bytes that strangers send, as a function that must hold for any input.
//!
//! `fuzz/` runs one of them under libFuzzer; the tests here run all of them over the kept corpus and over small changes to
//! it. A target doesn't only not panic: it compares two ways that must agree wherever there are two.

use std::net::{IpAddr, Ipv4Addr};

use sealpost_vault::Identity;
use sealpost_vault::id::QueueId;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::serialize::SerializeInto;

use crate::accounts::opaque::{CredentialRequest, Finalization, Record, RegistrationRequest};
use crate::certificates;
use crate::deliver;
use crate::envelope::{BodyType, Envelope, ReversePath};
use crate::message::{ParsedMessage, outgoing};
use crate::pgp_mime;
use crate::policy::Policy;
use crate::seal::{LinkSecret, ReaderCertificate, shape};
use crate::smtp::{self, Client, Door, ReceivedMessage};

/// Its name, which is also its corpus's, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("auth", smtp::fuzzing::auth),
    ("bdat", smtp::fuzzing::bdat),
    ("certificate-import", certificate_import),
    ("command-lines", smtp::fuzzing::command_lines),
    ("data", smtp::fuzzing::data),
    ("enrolment", enrolment),
    ("link", link),
    ("message", message),
    ("opaque", opaque),
    ("policy", policy),
    ("protected", protected),
    ("proxy", smtp::fuzzing::proxy),
    ("reply-lines", deliver::fuzzing::reply_lines),
    ("shapes", shapes),
];

fn link(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(secret) = LinkSecret::parse(text) {
        let again = LinkSecret::parse(&secret.grouped());
        assert!(again.is_ok_and(|again| again.bytes() == secret.bytes()), "a link secret that its own text isn't");
    }
}

fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Policy::from_toml(text) {
        assert!(error.to_string().starts_with("line "), "an error without its line");
    }
}

/// A message as a session hands it over; what passes on has no bare line ending that wasn't there.
fn message(bytes: &[u8]) {
    let received = ReceivedMessage {
        queue_id: QueueId::from_bytes([0; 16]),
        envelope: Envelope::plain(ReversePath::Null, Vec::new(), BodyType::default()),
        client: Client::new(IpAddr::V4(Ipv4Addr::LOCALHOST), "client", Door::Inside),
        received_at: 1_750_000_000,
        bytes: bytes.to_vec(),
    };
    if let Ok(parsed) = ParsedMessage::parse(received) {
        let out = outgoing(&parsed.received.bytes, "", &|_| None);
        assert!(bare(&out) <= bare(bytes), "relaying made a bare line ending");
        let lines = bytes.split_inclusive(|octet| *octet == b'\n');
        let header: usize = lines.take_while(|line| !matches!(**line, [b'\n'] | [b'\r', b'\n'])).map(<[u8]>::len).sum();
        assert!(out.ends_with(bytes.get(header..).unwrap_or_default()), "relaying changed a body");
    }
}

/// Line endings that are half of one.
fn bare(bytes: &[u8]) -> usize {
    let count = |wanted: u8| bytes.iter().filter(|octet| **octet == wanted).count();
    let whole = bytes.windows(2).filter(|pair| *pair == b"\r\n").count();
    count(b'\r') + count(b'\n') - 2 * whole
}

/// A message that a sender may have encrypted; what is encrypted around it holds its body as it is.
fn protected(bytes: &[u8]) {
    let _ = pgp_mime::already_protected(bytes);
    pgp_mime::fuzzing::fields(bytes);
}

/// The address in the corpus's certificate.
const ENROLLED: &str = "anna.weber@home.example";

/// A certificate that passes has the one shape, says again what it says, and takes a session key.
fn enrolment(bytes: &[u8]) {
    let reader = Identity::from_stored(ENROLLED.to_owned());
    let Ok(certificate) = ReaderCertificate::check(bytes, &reader) else { return };
    assert!(shape::reader_certificate(bytes, ENROLLED.as_bytes()).is_ok(), "a certificate of another shape");
    assert!(!certificate.verify(b"", bytes), "a certificate that is a signature");
    let packet = SessionKey::new(32).ok().and_then(|key| certificate.wrap(&key).ok());
    assert!(packet.is_some_and(|packet| certificate.is_named_in(&packet)), "a certificate that takes no session key");
}

/// A recipient's certificate on its way in: what passes has no secret, and passes again as it is stored.
fn certificate_import(bytes: &[u8]) {
    for candidate in certificates::parse(bytes).into_iter().flatten() {
        let Ok(cert) = candidate.result else { continue };
        assert!(!cert.is_tsk(), "a secret key got through");
        let stored = cert.to_vec().unwrap_or_default();
        let again = certificates::parse(&stored).unwrap_or_default();
        let same = matches!(again.as_slice(), [only] if only.result.as_ref().is_ok_and(|again| *again == cert));
        assert!(same, "a stored certificate that isn't taken again as it is");
    }
}

/// The four messages of OPAQUE: each has one length, and none is taken for another that is longer.
fn opaque(bytes: &[u8]) {
    let taken = [
        (RegistrationRequest::parse(bytes).is_ok(), 32),
        (Record::parse(bytes).is_ok(), 192),
        (CredentialRequest::parse(bytes).is_ok(), 96),
        (Finalization::parse(bytes).is_ok(), 64),
    ];
    for (taken, length) in taken {
        assert!(!taken || bytes.len() == length, "an OPAQUE message of another length");
    }
}

/// No two shapes fit the same bytes.
fn shapes(bytes: &[u8]) {
    let fits = [
        shape::data_packet(bytes).is_ok(),
        shape::key_packet_by_password(bytes).is_ok(),
        shape::key_packet_to_certificate(bytes).is_ok(),
        shape::account_file(bytes).is_ok(),
        shape::signature(bytes).is_ok(),
        shape::reader_certificate(bytes, ENROLLED.as_bytes()).is_ok(),
    ];
    assert!(fits.iter().filter(|fits| **fits).count() <= 1, "two shapes at once");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A small generator with fixed seed: the same changes in every run.
    struct Changes(u64);

    impl Changes {
        fn next(&mut self) -> u64 {
            // xorshift64
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, limit: usize) -> usize {
            (self.next() % limit.max(1) as u64) as usize
        }

        fn change(&mut self, seed: &[u8]) -> Vec<u8> {
            let mut bytes = seed.to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(bytes.len() + 1);
                match self.below(5) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, self.next() as u8),
                    2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                    3 if at < bytes.len() => drop(bytes.remove(at)),
                    _ => {
                        let piece = seed[self.below(seed.len() + 1)..].to_vec();
                        bytes.splice(at..at, piece.into_iter().take(64));
                    }
                }
            }
            bytes
        }
    }

    #[test]
    fn every_target_holds_on_its_corpus_and_near_it() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        for (name, target) in TARGETS {
            let directory = corpora.join(name);
            let seeds: Vec<Vec<u8>> = std::fs::read_dir(&directory)
                .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
                .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
                .collect();
            assert!(!seeds.is_empty(), "{name} has no corpus");
            let mut changes = Changes(0x9e37_79b9_7f4a_7c15);
            target(b"");
            for seed in &seeds {
                target(seed);
                for _ in 0..200 {
                    target(&changes.change(seed));
                }
            }
        }
    }
}
