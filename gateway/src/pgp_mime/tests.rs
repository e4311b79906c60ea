//! Which field goes where, what is byte for byte, what is recognised: tables, opened with the library that wrote them.
//! Other people's programs open the same mail in [`programs`].

mod programs;
mod recognised;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite};
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::{PKESK, SKESK};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageLayer, MessageStructure, VerificationHelper,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::{AEADAlgorithm, Features, SymmetricAlgorithm};
use sequoia_openpgp::{KeyHandle, Profile as Version};

use super::openpgp::Profile;
use super::*;
use crate::certificates::Container;
use crate::message::{Header, Strictness, Structure};

const TRACE: &str = "Received: from here\r\n\tby there\r\n";

fn now() -> Time {
    i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn certificate(version: Version, features: Features) -> Cert {
    let builder = CertBuilder::new().set_profile(version).unwrap().set_features(features).unwrap();
    let builder = builder.set_cipher_suite(CipherSuite::Cv25519).add_userid("<p@mail.example>");
    builder.add_signing_subkey().add_transport_encryption_subkey().generate().unwrap().0
}

fn old() -> Cert {
    certificate(Version::RFC4880, Features::empty().set_seipdv1())
}

fn new() -> Cert {
    certificate(Version::RFC9580, Features::empty().set_seipdv1().set_seipdv2())
}

/// As the check makes it.
fn target(cert: &Cert) -> Target<'_> {
    let policy = StandardPolicy::new();
    let valid = cert.with_policy(&policy, None).unwrap();
    let v2 = sequoia_openpgp::cert::Preferences::features(&valid).is_some_and(|features| features.supports_seipdv2());
    let usable = cert.keys().with_policy(&policy, None).supported().alive().revoked(false).for_transport_encryption();
    let wanted: Vec<_> = usable.map(|key| key.key().fingerprint()).collect();
    let keys = cert.keys().map(|key| key.key()).filter(|key| wanted.contains(&key.fingerprint())).collect();
    Target { cert, keys, container: if v2 { Container::SeipdV2 } else { Container::SeipdV1 } }
}

fn signer(cert: &Cert) -> OwnSigner {
    let policy = StandardPolicy::new();
    let mut keys = cert.keys().with_policy(&policy, None).for_signing().unencrypted_secret();
    OwnSigner::from(keys.next().unwrap().key().clone().into_keypair().unwrap())
}

fn protected(message: &[u8], to: &[&Cert], from: &Cert) -> Vec<u8> {
    let targets: Vec<Target<'_>> = to.iter().map(|cert| target(cert)).collect();
    wrap(message, TRACE, &targets, Some(signer(from)), now()).unwrap()
}

/// The armored part of a mail of ours.
fn armored(mail: &[u8]) -> Vec<u8> {
    let begin = memchr::memmem::find(mail, b"-----BEGIN PGP MESSAGE-----").unwrap();
    let end = b"-----END PGP MESSAGE-----\r\n";
    let after = memchr::memmem::find(mail, end).unwrap() + end.len();
    mail[begin..after].to_vec()
}

/// What armor holds.
fn packets(armor: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    sequoia_openpgp::armor::Reader::from_bytes(armor, None).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The header section with its last line ending, and the body.
fn halves(mail: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = mail.strip_prefix(b"\r\n") {
        return (b"", body);
    }
    match memchr::memmem::find(mail, b"\r\n\r\n") {
        Some(at) => (&mail[..at + 2], &mail[at + 4..]),
        None => (mail, b""),
    }
}

struct Opener<'a> {
    secret: &'a Cert,
    signer: &'a Cert,
    good_signatures: usize,
    container: Option<(u8, SymmetricAlgorithm, Option<AEADAlgorithm>)>,
    compressed: bool,
    key_packets: usize,
}

impl VerificationHelper for &mut Opener<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        Ok(vec![self.signer.clone()])
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        for layer in structure {
            match layer {
                MessageLayer::SignatureGroup { results } => {
                    self.good_signatures += results.iter().filter(|result| result.is_ok()).count();
                }
                MessageLayer::Encryption { sym_algo, aead_algo } => {
                    let version = if aead_algo.is_some() { 2 } else { 1 };
                    self.container = Some((version, sym_algo, aead_algo));
                }
                MessageLayer::Compression { .. } => self.compressed = true,
            }
        }
        Ok(())
    }
}

impl DecryptionHelper for &mut Opener<'_> {
    fn decrypt(
        &mut self,
        pkesks: &[PKESK],
        _: &[SKESK],
        cipher: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> sequoia_openpgp::Result<Option<Cert>> {
        self.key_packets = pkesks.len();
        for key in self.secret.keys().unencrypted_secret() {
            let mut pair = key.key().clone().into_keypair()?;
            let opened = pkesks.iter().any(|pkesk| {
                pkesk.decrypt(&mut pair, cipher).is_some_and(|(cipher, session_key)| decrypt(cipher, &session_key))
            });
            if opened {
                return Ok(Some(self.secret.clone()));
            }
        }
        Err(sequoia_openpgp::Error::InvalidOperation("not for this key".into()).into())
    }
}

struct Opened {
    inner: Vec<u8>,
    container: (u8, SymmetricAlgorithm, Option<AEADAlgorithm>),
    key_packets: usize,
}

/// Opens a mail of ours: there must be one good signature.
fn open(mail: &[u8], secret: &Cert, signer: &Cert) -> sequoia_openpgp::Result<Opened> {
    let armored = armored(mail);
    let mut opener = Opener { secret, signer, good_signatures: 0, container: None, compressed: false, key_packets: 0 };
    let mut inner = Vec::new();
    DecryptorBuilder::from_bytes(&armored)?
        .with_policy(&StandardPolicy::new(), None, &mut opener)?
        .read_to_end(&mut inner)?;
    assert_eq!(opener.good_signatures, 1);
    assert!(!opener.compressed);
    Ok(Opened { inner, container: opener.container.unwrap(), key_packets: opener.key_packets })
}

/// The mails of tests/messages, and worse ones.
fn samples() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/messages");
    let mut samples = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes: Vec<u8> = fs::read(&path).unwrap();
        let bytes =
            bytes.iter().flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] }).collect::<Vec<_>>();
        let readable = Header::read(&bytes, Strictness::Message).is_ok();
        if readable && path.extension().is_some_and(|extension| extension == "eml") {
            samples.push((path.file_stem().unwrap().to_string_lossy().into_owned(), bytes));
        }
    }
    let every_octet: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for (name, message) in [
        ("eight bits", b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\xe2\x82\xac\r\n".to_vec()),
        ("not utf-8", b"Subject: \xe4\xf6\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe4\xf6\xfc\r\n".to_vec()),
        ("binary", [b"Content-Type: application/x; a=b\r\nContent-Transfer-Encoding: binary\r\n\r\n".as_slice(), &every_octet].concat()),
        ("long lines", [b"Subject: x\r\n\r\n".as_slice(), &b"long ".repeat(30_000)].concat()),
        ("from lines", b"Subject: x\r\n\r\nFrom here\r\n>From there\r\n- dash\r\n--\r\n.\r\n..\r\n-----BEGIN PGP MESSAGE-----\r\n".to_vec()),
        ("trailing blanks", b"Subject: x\r\n\r\nblanks  \t \r\n\r\n\r\n \r\n".to_vec()),
        ("lone line feeds", b"Subject: x\r\n\r\na\nb\rc\r\r\n\n".to_vec()),
        ("empty body", b"Subject: x\r\n\r\n".to_vec()),
        ("no body", b"Subject: x\r\n".to_vec()),
        ("no end", b"Subject: x".to_vec()),
        ("no header", b"\r\nbody\r\n".to_vec()),
        ("nothing", Vec::new()),
        ("two types", b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n".to_vec()),
        ("a type that is none", b"Content-Type: \r\n\t;;;\r\n\r\nx\r\n".to_vec()),
        ("folded", b"Content-Type:\r\n multipart/mixed\r\n ;boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n".to_vec()),
        ("commented", b"Content-Type: (a) text/html (b; c=d)\r\n\r\nx\r\n".to_vec()),
        ("marked", b"Content-Type: text/plain; hp=clear\r\n\r\nx\r\n".to_vec()),
    ] {
        samples.push((name.to_owned(), message));
    }
    samples
}

#[test]
fn bodies_are_byte_for_byte() {
    let (ours, theirs) = (old(), old());
    let samples = samples();
    assert!(samples.len() > 30);
    for (name, message) in samples {
        let mail = protected(&message, &[&theirs], &ours);
        let inner = open(&mail, &theirs, &ours).unwrap().inner;
        let body = halves(&message).1;
        let (header, found) = halves(&inner);
        let parsed = Header::read(header, Strictness::Message).unwrap();
        let types: Vec<_> = parsed.all("Content-Type").collect();
        assert_eq!(types.len(), 1, "{name}");
        let kind = types[0].content_type().unwrap();
        assert_eq!(kind.attribute("hp"), Some("cipher"), "{name}");
        if found == body {
            let before = Header::read(&message, Strictness::Message).unwrap();
            let written = before.first("Content-Type").and_then(|field| field.content_type());
            let text = |kind: &mail_parser::ContentType<'_>| format!("{}/{:?}", kind.ctype(), kind.subtype());
            assert_eq!(written.map_or("text/Some(\"plain\")".to_owned(), |kind| text(&kind)), text(&kind), "{name}");
            continue;
        }
        // Wrapped: one part with the fields and the body as they were.
        let boundary = format!("--{}", kind.attribute("boundary").unwrap());
        assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("mixed")), "{name}");
        let part = found.strip_prefix(format!("{boundary}\r\n").as_bytes()).unwrap();
        let part = part.strip_suffix(format!("\r\n{boundary}--\r\n").as_bytes()).unwrap();
        assert_eq!(halves(part).1, body, "{name}");
        let content = |bytes: &[u8]| {
            let header = Header::read(bytes, Strictness::Message).unwrap();
            let content = header.fields.iter().filter(|f| f.name.to_ascii_lowercase().starts_with("content-"));
            content.flat_map(|field| field.whole.to_vec()).collect::<Vec<u8>>()
        };
        assert_eq!(content(part), content(&message), "{name}");
    }
}

#[test]
fn what_stands_outside_and_what_inside() {
    let (ours, theirs) = (old(), old());
    let message = b"Received: from pc\r\n\tby mail\r\nReturn-Path: <anna@klinik.example>\r\nFrom: \"Anna\"\r\n <anna@klinik.example>\r\n\
        To: p@mail.example\r\nCC : q@mail.example\r\nBcc: secret@mail.example\r\nresent-bcc: secret@mail.example\r\n\
        Delivered-To: secret@mail.example\r\nReply-To: a@klinik.example\r\nSubject: The lab\r\n results\r\nSubject: again\r\n\
        Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@klinik.example>\r\nReferences: <0@klinik.example>\r\n\
        In-Reply-To: <0@klinik.example>\r\nThread-Topic: The lab results\r\nUser-Agent: X\r\nList-Id: <l.example>\r\n\
        Keywords: lab\r\nComments: lab\r\nAuto-Submitted: no\r\nX-Mailer: X\r\nHP-Outer: Subject: forged\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain;charset=utf-8\r\nContent-Language: en\r\n\r\nbody\r\n";
    let mail = protected(message, &[&theirs], &ours);
    let (outer, _) = halves(&mail);
    let outer = String::from_utf8(outer.to_vec()).unwrap();
    let boundary = outer.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(
        outer.replace(boundary, "B"),
        "Received: from here\r\n\tby there\r\nReceived: from pc\r\n\tby mail\r\nFrom: \"Anna\"\r\n <anna@klinik.example>\r\n\
         To: p@mail.example\r\nCC : q@mail.example\r\nReply-To: a@klinik.example\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <1@klinik.example>\r\nReferences: <0@klinik.example>\r\nIn-Reply-To: <0@klinik.example>\r\n\
         Auto-Submitted: no\r\nSubject: [...]\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n\tboundary=\"B\"\r\n"
    );
    let inner = String::from_utf8(open(&mail, &theirs, &ours).unwrap().inner).unwrap();
    assert_eq!(
        inner,
        "From: \"Anna\"\r\n <anna@klinik.example>\r\nTo: p@mail.example\r\nCC : q@mail.example\r\nReply-To: a@klinik.example\r\n\
         Subject: The lab\r\n results\r\nSubject: again\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@klinik.example>\r\n\
         References: <0@klinik.example>\r\nIn-Reply-To: <0@klinik.example>\r\nThread-Topic: The lab results\r\nUser-Agent: X\r\n\
         List-Id: <l.example>\r\nKeywords: lab\r\nComments: lab\r\nAuto-Submitted: no\r\nX-Mailer: X\r\nMIME-Version: 1.0\r\n\
         HP-Outer: From: \"Anna\"\r\n <anna@klinik.example>\r\nHP-Outer: To: p@mail.example\r\nHP-Outer: CC: q@mail.example\r\n\
         HP-Outer: Reply-To: a@klinik.example\r\nHP-Outer: Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
         HP-Outer: Message-ID: <1@klinik.example>\r\nHP-Outer: References: <0@klinik.example>\r\n\
         HP-Outer: In-Reply-To: <0@klinik.example>\r\nHP-Outer: Auto-Submitted: no\r\nHP-Outer: Subject: [...]\r\n\
         Content-Type: text/plain; hp=\"cipher\"; protected-headers=\"v1\";charset=utf-8\r\nContent-Language: en\r\n\r\nbody\r\n"
    );
}

#[test]
fn a_mail_is_ascii_with_crlf_and_lines_that_smtp_carries() {
    let (ours, theirs) = (old(), new());
    for (name, message) in samples() {
        let mail = protected(&message, &[&theirs], &ours);
        let (header, body) = halves(&mail);
        assert!(body.is_ascii(), "{name}");
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{name}");
        assert!(text.lines().all(|line| line.len() <= 76), "{name}");
        assert!(Header::read(header, Strictness::Message).is_ok(), "{name}");
        let structure = Structure::read(&mail).unwrap_or_else(|e| panic!("{name}: {e}"));
        let kinds: Vec<_> = structure.nodes.iter().map(|node| format!("{}/{}", node.main, node.sub)).collect();
        assert_eq!(kinds, ["multipart/encrypted", "application/pgp-encrypted", "application/octet-stream"], "{name}");
    }
}

#[test]
fn the_profile_is_what_all_accept() {
    use AEADAlgorithm::{GCM, OCB};
    use SymmetricAlgorithm::{AES128, AES192, AES256, Camellia256};
    let v2 = || Features::empty().set_seipdv1().set_seipdv2();
    let make = |version, features, ciphers: &[SymmetricAlgorithm], modes: &[(SymmetricAlgorithm, AEADAlgorithm)]| {
        // What a certificate prefers stands in its direct key signature.
        let made = certificate(version, features);
        let policy = StandardPolicy::new();
        let primary = made.primary_key().key().clone().parts_into_secret().unwrap();
        let mut pair = primary.clone().into_keypair().unwrap();
        let template = made.with_policy(&policy, None).unwrap().direct_key_signature().unwrap().clone();
        let mut builder = sequoia_openpgp::packet::signature::SignatureBuilder::from(template);
        builder = builder.set_preferred_symmetric_algorithms(ciphers.to_vec()).unwrap();
        builder = builder.set_preferred_aead_ciphersuites(modes.to_vec()).unwrap();
        let soon = SystemTime::now();
        builder = builder.set_signature_creation_time(soon).unwrap();
        let signature = builder.sign_direct_key(&mut pair, None).unwrap();
        let userid = made.userids().next().unwrap();
        let binding = userid.self_signatures().next().unwrap().clone();
        let binding = sequoia_openpgp::packet::signature::SignatureBuilder::from(binding)
            .set_preferred_symmetric_algorithms(ciphers.to_vec())
            .unwrap()
            .set_signature_creation_time(soon)
            .unwrap()
            .sign_userid_binding(&mut pair, None, userid.userid())
            .unwrap();
        made.clone().insert_packets([signature, binding]).unwrap().0
    };
    let v4 = |ciphers: &[SymmetricAlgorithm]| make(Version::RFC4880, Features::empty().set_seipdv1(), ciphers, &[]);
    let v6 = |modes: &[(SymmetricAlgorithm, AEADAlgorithm)]| make(Version::RFC9580, v2(), &[AES256], modes);
    for (certs, expected) in [
        (vec![v4(&[AES256, AES128])], Profile::SeipdV1(AES256)),
        (vec![v4(&[AES192, AES128])], Profile::SeipdV1(AES192)),
        (vec![v4(&[Camellia256, AES128])], Profile::SeipdV1(AES128)),
        (vec![v4(&[AES256]), v4(&[AES128])], Profile::SeipdV1(AES128)),
        (vec![v6(&[(AES256, OCB)])], Profile::SeipdV2(AES256, OCB)),
        (vec![v6(&[(AES256, OCB), (AES256, GCM)])], Profile::SeipdV2(AES256, GCM)),
        (vec![v6(&[(AES256, OCB), (AES256, GCM)]), v6(&[(AES256, OCB)])], Profile::SeipdV2(AES256, OCB)),
        (vec![v6(&[(AES256, GCM)]), v6(&[(AES256, OCB)])], Profile::SeipdV2(AES128, OCB)),
        // One who can't is enough.
        (vec![v6(&[(AES256, GCM)]), v4(&[AES256])], Profile::SeipdV1(AES256)),
        (vec![make(Version::RFC4880, v2(), &[AES256], &[(AES256, GCM)])], Profile::SeipdV2(AES256, GCM)),
    ] {
        let targets: Vec<Target<'_>> = certs.iter().map(target).collect();
        let all: Vec<&Target<'_>> = targets.iter().collect();
        assert_eq!(super::openpgp::profile(&all, SystemTime::now()), expected);
        // And that is what is written, for each of them to open.
        let ours = old();
        let mail = protected(b"Subject: x\r\n\r\nbody\r\n", &certs.iter().collect::<Vec<_>>(), &ours);
        for cert in &certs {
            let opened = open(&mail, cert, &ours).unwrap();
            let written = match expected {
                Profile::SeipdV1(cipher) => (1, cipher, None),
                Profile::SeipdV2(cipher, mode) => (2, cipher, Some(mode)),
            };
            assert_eq!(opened.container, written);
            assert_eq!(opened.key_packets, certs.len());
        }
    }
}

#[test]
fn only_the_recipients_open_it() {
    let (ours, one, two, stranger) = (old(), old(), new(), old());
    let mail = protected(b"Subject: x\r\n\r\nbody\r\n", &[&one, &two, &one], &ours);
    // A certificate that is there twice is encrypted to once.
    assert_eq!(open(&mail, &one, &ours).unwrap().key_packets, 2);
    assert!(open(&mail, &two, &ours).is_ok());
    assert!(open(&mail, &stranger, &ours).is_err());
    assert!(open(&mail, &ours, &ours).is_err(), "the organisation's own key isn't a recipient");
    assert!(matches!(wrap(b"Subject: x\r\n\r\n", TRACE, &[], None, now()), Err(PgpMimeError::NoRecipients)));
    let keyless = Target { cert: &one, keys: Vec::new(), container: Container::SeipdV1 };
    assert!(matches!(
        wrap(b"Subject: x\r\n\r\n", TRACE, &[target(&two), keyless], None, now()),
        Err(PgpMimeError::NoRecipients)
    ));
}

#[test]
fn a_copy_names_nobody_but_its_recipients() {
    // What an observer sees of a hidden recipient's copy: his own key id. Of the others': nothing of him.
    let (ours, visible, hidden) = (old(), old(), old());
    let ids = |mail: &[u8]| {
        let bytes = armored(mail);
        let pile = sequoia_openpgp::PacketPile::from_bytes(&bytes).unwrap();
        let named = pile.children().filter_map(|packet| match packet {
            sequoia_openpgp::Packet::PKESK(pkesk) => Some(pkesk.recipient().unwrap()),
            _ => None,
        });
        named.collect::<Vec<_>>()
    };
    let id = |cert: &Cert| KeyHandle::from(target(cert).keys[0].keyid());
    let message = b"To: v@mail.example\r\nBcc: h@mail.example\r\nSubject: x\r\n\r\nbody\r\n";
    let (for_all, apart) = (protected(message, &[&visible], &ours), protected(message, &[&hidden], &ours));
    assert_eq!(ids(&for_all), [id(&visible)]);
    assert_eq!(ids(&apart), [id(&hidden)]);
    for (mail, cert) in [(for_all, &visible), (apart, &hidden)] {
        let inner = open(&mail, cert, &ours).unwrap().inner;
        // Random letters of the ciphertext may say anything.
        let told = [halves(&mail).0, &inner].concat();
        assert!(memchr::memmem::find(&told.to_ascii_lowercase(), b"bcc:").is_none());
        assert!(memchr::memmem::find(&told, b"h@mail.example").is_none());
    }
}

#[test]
fn twenty_megabytes() {
    let (ours, theirs) = (old(), new());
    let attachment: Vec<u8> =
        (0..20_u32 << 20).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    let message = [b"Subject: x\r\nContent-Type: application/octet-stream\r\n\r\n".as_slice(), &attachment].concat();
    let mail = protected(&message, &[&theirs], &ours);
    assert!(mail.len() < message.len() * 7 / 5 + 8192, "no second allocation");
    assert_eq!(halves(&open(&mail, &theirs, &ours).unwrap().inner).1, attachment);
}

#[test]
fn changed_octets_do_not_open() {
    let (ours, theirs) = (old(), old());
    let mail = protected(b"Subject: x\r\n\r\nbody\r\n", &[&theirs], &ours);
    let bytes = packets(&armored(&mail));
    for at in (0..bytes.len()).step_by(29) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let mut opener = Opener {
            secret: &theirs,
            signer: &ours,
            good_signatures: 0,
            container: None,
            compressed: false,
            key_packets: 0,
        };
        let mut inner = Vec::new();
        let policy = StandardPolicy::new();
        let opened = DecryptorBuilder::from_bytes(&changed)
            .and_then(|builder| builder.with_policy(&policy, None, &mut opener))
            .is_ok_and(|mut reader| reader.read_to_end(&mut inner).is_ok());
        // A key packet's own header may differ without anybody minding; content never does.
        assert!(!opened || inner == open(&mail, &theirs, &ours).unwrap().inner, "octet {at}");
    }
}
