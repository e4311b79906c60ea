//! What is signed, and by which keys. That others believe the signatures is tested with their programs, in the stories.

use std::os::unix::fs::PermissionsExt;

use ring::digest::{SHA256, digest};

use super::*;

const FROM: &str = "From: Anna <anna@klinik.example>\r\n";

fn keys(made: &[(NewKey, &str, &str)]) -> Vec<DkimKey> {
    let directory = tempfile::tempdir().unwrap();
    let key = |(n, (kind, domain, selector)): (usize, &(NewKey, &str, &str))| {
        kind.write(domain, selector, &directory.path().join(n.to_string())).unwrap()
    };
    made.iter().enumerate().map(key).collect()
}

fn one_key() -> Vec<DkimKey> {
    keys(&[(NewKey::Ed25519, "klinik.example", "e1")])
}

fn anna() -> ReversePath {
    ReversePath::Address("anna@klinik.example".parse().unwrap())
}

/// A tag's value in a signature's field.
fn tag(field: &str, name: &str) -> String {
    let unfolded: String = field.split_once(':').unwrap().1.chars().filter(|c| !c.is_whitespace()).collect();
    let value = unfolded.split(';').find_map(|tag| tag.strip_prefix(&format!("{name}=")).map(str::to_owned));
    value.unwrap_or_default()
}

/// Each signature's `s=`.
fn selectors(fields: &str) -> Vec<String> {
    let fields = fields.split("DKIM-Signature:").skip(1);
    fields.map(|field| tag(&format!(":{field}"), "s")).collect()
}

/// RFC 6376 3.4.4, word by word.
fn relaxed(body: &str) -> String {
    let mut lines: Vec<String> = body
        .split("\r\n")
        .map(|line| {
            let mut out = String::new();
            for c in line.chars() {
                match c {
                    ' ' | '\t' if out.ends_with(' ') => {}
                    ' ' | '\t' => out.push(' '),
                    c => out.push(c),
                }
            }
            out.trim_end_matches(' ').to_owned()
        })
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.into_iter().map(|line| line + "\r\n").collect()
}

#[test]
fn the_body_is_hashed_in_its_relaxed_form() {
    let dkim = Dkim::new(one_key(), Passing::Signed);
    let hash = |body: &str| {
        let message = format!("{FROM}\r\n{body}");
        tag(&dkim.signatures(Kind::Relayed, &anna(), message.as_bytes()).unwrap(), "bh")
    };
    let expected = |body: &str| data_encoding::BASE64.encode(digest(&SHA256, relaxed(body).as_bytes()).as_ref());
    // The one of nothing stands in RFC 6376 3.4.4.
    assert_eq!(hash(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    // Every body of up to six of these.
    const PIECES: [&str; 5] = ["\r\n", " ", "\t", "a", "."];
    let mut bodies = vec![String::new()];
    for _ in 0..6 {
        let longer: Vec<String> =
            bodies.iter().flat_map(|body| PIECES.iter().map(move |piece| format!("{body}{piece}"))).collect();
        for body in &longer {
            assert_eq!(hash(body), expected(body), "{body:?}");
        }
        bodies = longer;
    }
    for body in ["\u{fc}ber \u{20ac}  \r\n", "\u{0}\u{c}\u{b} \u{a0}\r\n \u{c} \r\n", "no end"] {
        assert_eq!(hash(body), expected(body), "{body:?}");
    }
    // Without an empty line there is no body.
    let without = dkim.signatures(Kind::Relayed, &anna(), FROM.as_bytes()).unwrap();
    assert_eq!(tag(&without, "bh"), hash(""));
}

#[test]
fn ours_is_always_signed_and_what_passes_if_wanted() {
    let message = format!("{FROM}\r\nx\r\n");
    for (kind, by_default) in [
        (Kind::Relayed, false),
        (Kind::Encrypted, false),
        (Kind::Notification, true),
        (Kind::Code, true),
        (Kind::Answer, true),
        (Kind::Report, true),
    ] {
        for (passing, signed) in [(Passing::Unsigned, by_default), (Passing::Signed, true)] {
            let dkim = Dkim::new(one_key(), passing);
            let fields = dkim.signatures(kind, &anna(), message.as_bytes()).unwrap();
            assert_eq!(!fields.is_empty(), signed, "{kind:?} {passing:?}");
            // A report has no envelope sender; what passes without one is a stranger's.
            let fields = dkim.signatures(kind, &ReversePath::Null, message.as_bytes()).unwrap();
            assert_eq!(!fields.is_empty(), by_default, "{kind:?} {passing:?}");
        }
    }
    let none = Dkim::default().signatures(Kind::Notification, &anna(), message.as_bytes()).unwrap();
    assert_eq!(none, "");
}

#[test]
fn all_keys_of_the_nearest_domain_sign() {
    let dkim = Dkim::new(
        keys(&[
            (NewKey::Rsa, "klinik.example", "r1"),
            (NewKey::Ed25519, "Klinik.example", "E1"),
            (NewKey::Ed25519, "reply.klinik.example", "reply"),
        ]),
        Passing::Unsigned,
    );
    for (domain, expected) in [
        ("klinik.example", &["r1", "e1"][..]),
        ("KLINIK.example", &["r1", "e1"]),
        ("ward.klinik.example", &["r1", "e1"]),
        ("reply.klinik.example", &["reply"]),
        ("x.reply.klinik.example", &["reply"]),
        ("otherklinik.example", &[]),
        ("example", &[]),
        ("klinik.example.example", &[]),
    ] {
        let message = format!("From: a@{domain}\r\n\r\n");
        let fields = dkim.signatures(Kind::Answer, &ReversePath::Null, message.as_bytes()).unwrap();
        assert_eq!(selectors(&fields), expected, "{domain}");
    }
}

#[test]
fn every_field_is_named_once_more_than_it_is_there() {
    let dkim = Dkim::new(one_key(), Passing::Signed);
    let message = format!("Subject: a\r\n{FROM}subject: b\r\nSUBJECT : c\r\nX-Other: d\r\nAuto-Submitted: no\r\n\r\n");
    let field = dkim.signatures(Kind::Relayed, &anna(), message.as_bytes()).unwrap();
    let names = tag(&field, "h").to_ascii_lowercase();
    let count = |wanted: &str| names.split(':').filter(|name| *name == wanted).count();
    for name in SIGNED {
        let name = name.to_ascii_lowercase();
        let there = match name.as_str() {
            "subject" => 3,
            "from" | "auto-submitted" => 1,
            _ => 0,
        };
        assert!(count(&name) > there, "{name}: {names}");
    }
    assert_eq!(count("x-other"), 0);
    assert_eq!(
        [tag(&field, "c"), tag(&field, "l"), tag(&field, "x"), tag(&field, "a")],
        ["relaxed/relaxed", "", "", "ed25519-sha256"]
    );
    assert!(field.ends_with("\r\n") && field.lines().all(|line| line.len() <= 100), "{field}");
    assert!(field.lines().skip(1).all(|line| line.starts_with('\t')), "{field}");
}

#[test]
fn a_new_key_is_its_owners_and_never_written_over_another() {
    let directory = tempfile::tempdir().unwrap();
    for (kind, algorithm, p) in [(NewKey::Rsa, Algorithm::Rsa(2048), 392), (NewKey::Ed25519, Algorithm::Ed25519, 44)] {
        let path = directory.path().join(format!("{kind:?}"));
        let key = kind.write("klinik.example", "s1", &path).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let record = key.record();
        assert_eq!(record.split_once("p=").unwrap().1.len(), p, "{record}");
        let written = std::fs::read(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let again = kind.write("klinik.example", "s1", &path).unwrap_err();
        assert!(matches!(again, DkimKeyError::Unwritten { .. }), "{again}");
        assert_eq!(std::fs::read(&path).unwrap(), written);
        let secret = String::from_utf8(written).unwrap();
        let secret = secret.lines().nth(1).unwrap();
        assert!(!format!("{key:?} {key} {again} {again:?}").contains(secret));
    }
    for (domain, selector) in [("..", "a"), ("[127.0.0.1]", "a"), ("klinik.example", "a_b"), ("klinik.example", "a.")] {
        let path = directory.path().join("never");
        assert!(NewKey::Ed25519.write(domain, selector, &path).is_err(), "{domain} {selector}");
        assert!(!path.exists());
    }
}
