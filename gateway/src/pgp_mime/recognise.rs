//! What the sender protected himself: recognised by its content, not by what its header claims.
//!
//! Encrypted counts only as a whole: every octet of the body belongs to an encrypted message that has key packets and
//! integrity protection. What has clear text beside it (a footer, another part), what only looks like armor, and what is
//! encrypted in parts, isn't recognised, and is protected like any other mail.
//! What can't be known: whether the recipient has the key, and whether the ciphertext is one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sequoia_openpgp::Packet;
use sequoia_openpgp::parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse};

use super::cms::{self, ContentType};
use crate::message::{Header, Node, Strictness, Structure};

/// What the sender did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nobody but who has the key reads it: needs no second layer.
    Encrypted(Encrypted),
    /// Everybody reads it: where a mail must be protected, it is encrypted around the signed part, byte for byte.
    Signed,
}

/// Proof that a body is encrypted as a whole. Only [`already_protected`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted {
    _recognised: (),
}

const ENCRYPTED: Option<Protection> = Some(Protection::Encrypted(Encrypted { _recognised: () }));

/// Octets before the first part: mail programs say there what the mail is.
const PREAMBLE: usize = 512;
/// Octets of armor header fields.
const ARMOR_HEADER: usize = 512;
/// Key packets of one message.
const KEY_PACKETS: usize = 1_000;
/// Octets of an SEIPDv1 packet that holds nothing: version, random block with its repetition, modification detection code.
const SMALLEST: usize = 1 + 18 + 22;

/// What the sender did to the content, if it is recognised. Not for an async thread.
pub fn already_protected(message: &[u8]) -> Option<Protection> {
    let structure = Structure::read(message).ok()?;
    let top = structure.nodes.first()?;
    // Two of them: programs disagree on which counts.
    if top.header.all("Content-Type").count() > 1 {
        return None;
    }
    match (top.main.as_str(), top.sub.as_str()) {
        ("multipart", "encrypted") => pgp_mime(message, &structure),
        ("multipart", "signed") => signed(&structure),
        ("application", "pkcs7-mime" | "x-pkcs7-mime") => match cms::recognise(&top.decoded().ok()?)? {
            ContentType::Enveloped => ENCRYPTED,
            ContentType::Signed => Some(Protection::Signed),
        },
        ("text", "plain") => is_armored(&top.decoded().ok()?).then_some(ENCRYPTED)?,
        _ => None,
    }
}

// RFC 3156 4
fn pgp_mime(message: &[u8], structure: &Structure<'_>) -> Option<Protection> {
    let [top, version, content] = structure.nodes.as_slice() else { return None };
    let is_pgp =
        attribute(top, "protocol").is_some_and(|found| found.eq_ignore_ascii_case("application/pgp-encrypted"));
    let is_version = version.is("application", "pgp-encrypted")
        && version.decoded().ok()?.trim_ascii().eq_ignore_ascii_case(b"Version: 1");
    let is_content = content.is("application", "octet-stream");
    let boundary = attribute(top, "boundary")?;
    if !(is_pgp && is_version && is_content && stands_alone(message, boundary.trim_ascii_end())) {
        return None;
    }
    let content = content.decoded().ok()?;
    (is_armored(&content) || is_encrypted(&content)).then_some(ENCRYPTED)?
}

/// Whether nothing but a note stands before the first part, and nothing behind the last.
fn stands_alone(message: &[u8], boundary: &str) -> bool {
    let Ok(header) = Header::read(message, Strictness::Message) else { return false };
    let open = format!("--{boundary}");
    let close = format!("--{boundary}--");
    let first = memchr::memmem::find(header.body, open.as_bytes());
    let last = memchr::memmem::rfind(header.body, close.as_bytes());
    let behind = last.and_then(|at| header.body.get(at.saturating_add(close.len())..));
    first.is_some_and(|at| at <= PREAMBLE) && behind.is_some_and(|rest| rest.trim_ascii().is_empty())
}

// RFC 1847, RFC 3156 5, RFC 8551 3.5.3
fn signed(structure: &Structure<'_>) -> Option<Protection> {
    let children = &structure.nodes.first()?.children;
    let [_, signature] = children.as_slice() else { return None };
    let node = structure.nodes.get(*signature)?;
    let content = node.decoded().ok()?;
    let found = match (node.main.as_str(), node.sub.as_str()) {
        ("application", "pgp-signature") => {
            let bytes = dearmored(&content, "SIGNATURE");
            bytes.is_some_and(|bytes| matches!(Packet::from_bytes(&bytes), Ok(Packet::Signature(_))))
        }
        ("application", "pkcs7-signature" | "x-pkcs7-signature") => {
            matches!(cms::recognise(&content), Some(ContentType::Signed))
        }
        _ => false,
    };
    found.then_some(Protection::Signed)
}

fn attribute<'n>(node: &'n Node<'_>, name: &str) -> Option<&'n str> {
    node.content_type.as_ref()?.attribute(name)
}

fn is_armored(text: &[u8]) -> bool {
    dearmored(text, "MESSAGE").is_some_and(|bytes| is_encrypted(&bytes))
}

/// The bytes of an armored block that is the whole text. Stricter than readers must be (RFC 9580 6.2): a line that is no
/// base64 could be a message of its own.
fn dearmored(text: &[u8], kind: &str) -> Option<Vec<u8>> {
    let block = text.trim_ascii().strip_prefix(format!("-----BEGIN PGP {kind}-----").as_bytes())?;
    let block = block.strip_suffix(format!("-----END PGP {kind}-----").as_bytes())?;
    let mut encoded = Vec::with_capacity(block.len());
    let mut header = 0_usize;
    let mut lines = block.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end);
    if !lines.next()?.is_empty() {
        return None;
    }
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        header = header.saturating_add(line.len());
        if header > ARMOR_HEADER || !line.contains(&b':') {
            return None;
        }
    }
    let mut ended = false;
    for line in lines {
        match line {
            [] => {}
            [b'=', checksum @ ..] if checksum.len() == 4 => ended = true,
            _ if ended => return None,
            _ => encoded.extend_from_slice(line),
        }
    }
    STANDARD.decode(encoded).ok()
}

/// Key packets, then one encrypted packet with integrity protection, and nothing else.
fn is_encrypted(bytes: &[u8]) -> bool {
    let parser = PacketParserBuilder::from_bytes(bytes).and_then(|builder| builder.dearmor(Dearmor::Disabled).build());
    let Ok(mut at) = parser else { return false };
    let mut keys = 0_usize;
    let mut sealed = false;
    while let PacketParserResult::Some(packet) = at {
        match &packet.packet {
            Packet::PKESK(_) | Packet::SKESK(_) if !sealed && keys < KEY_PACKETS => keys = keys.saturating_add(1),
            Packet::Marker(_) | Packet::Padding(_) if !sealed => {}
            Packet::SEIP(_) if keys > 0 && !sealed => sealed = true,
            // What GnuPG 2.3 and later write to each other; it was never standardised.
            Packet::Unknown(unknown) if u8::from(unknown.tag()) == AEAD && keys > 0 && !sealed => sealed = true,
            _ => return false,
        }
        match packet.next() {
            Ok((_, next)) => at = next,
            Err(_) => return false,
        }
    }
    sealed && bytes.len() > SMALLEST
}

const AEAD: u8 = 20;
