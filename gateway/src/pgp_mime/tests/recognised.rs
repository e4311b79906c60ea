//! What counts as protected by the sender, and what only claims to be. S/MIME comes from OpenSSL's command line.

use std::process::Command;

use super::*;

const NO: Option<Protection> = None;

fn is_encrypted(message: &[u8]) -> bool {
    matches!(already_protected(message), Some(Protection::Encrypted(_)))
}

/// A sender's own PGP/MIME, with the armored text replaced.
fn with_armor(armor: &[u8]) -> Vec<u8> {
    let frame = "From: a@klinik.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/encrypted; boundary=b;\r\n\
        \tprotocol=\"application/pgp-encrypted\"\r\n\r\nThis is an OpenPGP/MIME encrypted message.\r\n--b\r\n\
        Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n";
    [frame.as_bytes(), armor, b"\r\n--b--\r\n"].concat()
}

fn inline(text: &[u8]) -> Vec<u8> {
    [b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n".as_slice(), text].concat()
}

/// Armor around any packets.
fn armor_of(packets: &[u8]) -> Vec<u8> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(packets);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PGP MESSAGE-----\r\n\r\n{}\r\n-----END PGP MESSAGE-----\r\n", lines.join("\r\n")).into_bytes()
}

#[test]
fn encrypted_mail_is_recognised() {
    let (ours, one, two) = (old(), old(), new());
    let secret = b"Subject: x\r\n\r\nbody\r\n";
    for (name, mail) in [("v4", protected(secret, &[&one], &ours)), ("v6", protected(secret, &[&two], &ours))] {
        assert!(is_encrypted(&mail), "{name}: our own mail");
        let armor = armored(&mail);
        assert!(is_encrypted(&with_armor(&armor)), "{name}");
        assert!(is_encrypted(&inline(&armor)), "{name}");
        assert!(is_encrypted(&inline(&[b"\r\n \r\n".as_slice(), &armor, b"\r\n\r\n"].concat())), "{name}: blank lines");
        let commented =
            String::from_utf8(armor.clone()).unwrap().replacen("\r\n\r\n", "\r\nComment: a\r\nVersion: b\r\n\r\n", 1);
        assert!(is_encrypted(&inline(commented.as_bytes())), "{name}: armor header");
        assert!(is_encrypted(&with_armor(&packets(&armor))), "{name}: without armor");
        let encoded = base64::engine::general_purpose::STANDARD.encode(&armor);
        let head = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        assert!(is_encrypted(format!("{head}{encoded}\r\n").as_bytes()), "{name}: base64");
    }
}

#[test]
fn claims_are_not_recognised() {
    let (ours, theirs) = (old(), old());
    let mail = protected(b"Subject: x\r\n\r\nbody\r\n", &[&theirs], &ours);
    let armor = armored(&mail);
    let bytes = packets(&armor);
    let pile = sequoia_openpgp::PacketPile::from_bytes(&bytes).unwrap();
    let kept = |wanted: &dyn Fn(&sequoia_openpgp::Packet) -> bool| {
        let mut out = Vec::new();
        for packet in pile.children().filter(|packet| wanted(packet)) {
            sequoia_openpgp::serialize::Serialize::serialize(packet, &mut out).unwrap();
        }
        out
    };
    let is_key = |packet: &sequoia_openpgp::Packet| matches!(packet, sequoia_openpgp::Packet::PKESK(_));
    let literal = [&[0xcb, 11, b'b', 0, 0, 0, 0, 0][..], b"hello"].concat();
    let text = |text: &str| text.as_bytes().to_vec();
    let whole = String::from_utf8(with_armor(&armor)).unwrap();
    for (name, message) in [
        ("nothing", Vec::new()),
        ("plain", text("Subject: x\r\n\r\nhello\r\n")),
        ("a header that claims", text("X-Encrypted: yes\r\nContent-Type: application/pgp-encrypted\r\n\r\nhello\r\n")),
        ("a subject that claims", text("Subject: [...]\r\n\r\nhello\r\n")),
        ("armor around text", inline(&armor_of(b"hello, this is quite an ordinary text and no packet at all"))),
        (
            "armor that isn't base64",
            inline(b"-----BEGIN PGP MESSAGE-----\r\n\r\nhello, you\r\n-----END PGP MESSAGE-----\r\n"),
        ),
        ("empty armor", inline(b"-----BEGIN PGP MESSAGE-----\r\n\r\n-----END PGP MESSAGE-----\r\n")),
        ("a literal packet", inline(&armor_of(&literal))),
        ("key packets alone", inline(&armor_of(&kept(&is_key)))),
        ("no key packets", inline(&armor_of(&kept(&|packet| !is_key(packet))))),
        ("clear text behind", inline(&armor_of(&[bytes.clone(), literal.clone()].concat()))),
        ("clear text before", inline(&armor_of(&[literal.clone(), bytes.clone()].concat()))),
        ("cut off", inline(&armor_of(&bytes[..bytes.len() - 5]))),
        ("an old packet without integrity", inline(&armor_of(&[kept(&is_key), vec![0xc9, 40], vec![7; 40]].concat()))),
        ("text before the armor", inline(&[b"Hello\r\n".as_slice(), &armor].concat())),
        ("a footer", inline(&[armor.as_slice(), b"\r\n-- \r\nThis mail is confidential\r\n"].concat())),
        ("a second block", inline(&[armor.as_slice(), &armor].concat())),
        (
            "a letter in the armor header",
            inline(
                String::from_utf8(armor.clone())
                    .unwrap()
                    .replacen("\r\n\r\n", &format!("\r\nComment: {}\r\n\r\n", "secret ".repeat(100)), 1)
                    .as_bytes(),
            ),
        ),
        (
            "text between the lines",
            inline(
                String::from_utf8(armor.clone())
                    .unwrap()
                    .replacen("\r\n-----END", "\r\n\r\nhello you\r\n-----END", 1)
                    .as_bytes(),
            ),
        ),
        ("another protocol", text(&whole.replace("\"application/pgp-encrypted\"", "\"application/x\""))),
        ("another version", text(&whole.replace("Version: 1", "Version: 2"))),
        (
            "no version part",
            text(&whole.replace("Content-Type: application/pgp-encrypted\r\n", "Content-Type: text/plain\r\n")),
        ),
        ("a third part", text(&whole.replace("--b--", "--b\r\n\r\nhello\r\n--b--"))),
        ("a letter before the parts", text(&whole.replace("This is", &"This is secret. ".repeat(40)))),
        ("a footer behind the parts", [whole.as_bytes(), b"This mail is confidential\r\n"].concat()),
        ("two types", text(&whole.replace("MIME-Version", "Content-Type: text/plain\r\nMIME-Version"))),
        ("mixed", text(&whole.replace("multipart/encrypted", "multipart/mixed"))),
        ("a fake in the right frame", with_armor(&armor_of(&literal))),
        ("text in the right frame", with_armor(b"hello\r\n")),
        ("html", [b"Content-Type: text/html\r\n\r\n".as_slice(), &armor].concat()),
        ("unended", text(whole.trim_end_matches("--b--\r\n"))),
    ] {
        assert_eq!(already_protected(&message), NO, "{name}");
    }
}

fn openssl(input: &[u8], arguments: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let run = |arguments: Vec<String>| {
        let done = Command::new("openssl").args(&arguments).output().expect("openssl (Debian: openssl)");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -days 9";
    run(request
        .split(' ')
        .map(str::to_owned)
        .chain(["-keyout".into(), path("key"), "-out".into(), path("cert")])
        .collect());
    std::fs::write(path("in"), input).unwrap();
    let place = |argument: &&str| match *argument {
        "KEY" => path("key"),
        "CERT" => path("cert"),
        other => other.to_owned(),
    };
    run(["cms".to_owned(), "-in".into(), path("in"), "-out".into(), path("out")]
        .into_iter()
        .chain(arguments.iter().map(place))
        .collect());
    std::fs::read(path("out")).unwrap()
}

fn smime(der: &[u8]) -> Vec<u8> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let head = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    format!("{head}{}\r\n", lines.join("\r\n")).into_bytes()
}

#[test]
fn smime_is_recognised_by_its_content() {
    let text = b"Content-Type: text/plain\r\n\r\nhello\r\n";
    let encrypted = openssl(text, &["-encrypt", "-binary", "-outform", "DER", "-aes-256-cbc", "CERT"]);
    let streamed = openssl(text, &["-encrypt", "-binary", "-stream", "-outform", "DER", "-aes-256-cbc", "CERT"]);
    let authenticated = openssl(text, &["-encrypt", "-binary", "-outform", "DER", "-aes-256-gcm", "CERT"]);
    let signed =
        openssl(text, &["-sign", "-nodetach", "-binary", "-outform", "DER", "-signer", "CERT", "-inkey", "KEY"]);
    assert_ne!(streamed, encrypted);
    for (name, der) in [("DER", &encrypted), ("BER", &streamed), ("AEAD", &authenticated)] {
        assert!(is_encrypted(&smime(der)), "{name}");
    }
    // Signed is readable for everybody, whatever the type's parameter says.
    assert_eq!(already_protected(&smime(&signed)), Some(Protection::Signed));
    let mut renamed = signed.clone();
    let at = memchr::memmem::find(&renamed, &[0x01, 0x07, 0x02]).unwrap();
    renamed[at + 2] = 3;
    for (name, der) in [
        ("text", b"hello".to_vec()),
        ("signed data that is called enveloped", renamed),
        ("cut off", encrypted[..encrypted.len() - 1].to_vec()),
        ("something behind", [encrypted.as_slice(), b"hello"].concat()),
        ("the first octets", encrypted[..40].to_vec()),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(already_protected(&smime(&der)), NO, "{name}");
    }
    // Every cut and every changed length: an outcome, never a panic.
    for at in 0..encrypted.len() {
        let _ = super::super::cms::recognise(&encrypted[..at]);
        let mut changed = encrypted.clone();
        changed[at] ^= 0x80;
        let _ = super::super::cms::recognise(&changed);
    }
}

#[test]
fn signed_mail_is_encrypted_around_its_signature() {
    let (ours, theirs, sender) = (old(), old(), old());
    let content = b"Content-Type: text/plain\r\n\r\nhello\r\n";
    let mut signature = Vec::new();
    let message = sequoia_openpgp::serialize::stream::Message::new(&mut signature);
    let message = sequoia_openpgp::serialize::stream::Armorer::new(message)
        .kind(sequoia_openpgp::armor::Kind::Signature)
        .build()
        .unwrap();
    let mut detached =
        sequoia_openpgp::serialize::stream::Signer::new(message, signer(&sender)).unwrap().detached().build().unwrap();
    std::io::Write::write_all(&mut detached, content).unwrap();
    detached.finalize().unwrap();
    let signature = String::from_utf8(signature).unwrap().replace('\n', "\r\n");
    let body = [
        b"--s\r\n".as_slice(),
        content,
        b"\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\n",
        signature.as_bytes(),
        b"\r\n--s--\r\n",
    ]
    .concat();
    let head = b"Subject: x\r\nContent-Type: multipart/signed; boundary=s; protocol=\"application/pgp-signature\"; micalg=pgp-sha512\r\n\r\n";
    let message = [head.as_slice(), &body].concat();
    assert_eq!(already_protected(&message), Some(Protection::Signed));
    let fake = String::from_utf8(message.clone())
        .unwrap()
        .replace(&signature, "-----BEGIN PGP SIGNATURE-----\r\n\r\naGVsbG8=\r\n-----END PGP SIGNATURE-----\r\n");
    assert_eq!(already_protected(fake.as_bytes()), NO);
    let inner = open(&protected(&message, &[&theirs], &ours), &theirs, &ours).unwrap().inner;
    assert!(memchr::memmem::find(&inner, &body).is_some(), "the signed part is byte for byte");
    let structure = Structure::read(&inner).unwrap();
    let kinds: Vec<_> = structure.nodes.iter().map(|node| format!("{}/{}", node.main, node.sub)).collect();
    assert_eq!(kinds, ["multipart/mixed", "multipart/signed", "text/plain", "application/pgp-signature"]);
}

#[test]
fn hostile_octets_never_panic() {
    let (ours, theirs) = (old(), old());
    let mail = with_armor(&armored(&protected(b"Subject: x\r\n\r\nbody\r\n", &[&theirs], &ours)));
    for at in (0..mail.len() - 2).step_by(3) {
        assert!(!is_encrypted(&mail[..at]));
        let mut changed = mail.clone();
        changed[at] ^= 0x41;
        let _ = already_protected(&changed);
        let target = target(&theirs);
        let _ = wrap(&changed, TRACE, &[target], None, now());
    }
    // A thousand levels, and very many key packets.
    let nested = "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n".repeat(1_000);
    assert_eq!(already_protected(nested.as_bytes()), NO);
    let bytes = packets(&armored(&mail));
    let pile = sequoia_openpgp::PacketPile::from_bytes(&bytes).unwrap();
    let mut many = Vec::new();
    for _ in 0..2_000 {
        sequoia_openpgp::serialize::Serialize::serialize(pile.children().next().unwrap(), &mut many).unwrap();
    }
    assert_eq!(already_protected(&with_armor(&armor_of(&[many, bytes].concat()))), NO);
}
