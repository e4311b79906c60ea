//! Parsing of what an administrator hands over: text or bytes, one certificate or many; a pure function with all bounds inside.
//!
//! Security: secret keys are refused before anything is kept. What isn't the owner's (signatures of others, pictures) is
//! left out before the library sees it; what remains is small, and only what verifies is kept of it.
//! Standards: RFC 9580 4.3 (kinds of packets), 10.1 (what follows what in a certificate).

use std::borrow::Cow;

use sequoia_openpgp::crypto::mpi::{MPI, PublicKey};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::{Cert, Packet};

use sealpost_vault::db::StoreError;

use super::armor;
use super::minimal::{MOST_FOREIGN_REVOCATIONS, Size, minimal};
use super::packets::{self, FramingError, Packets, RawPacket};

/// Longer input is refused unread.
pub const LONGEST_INPUT: usize = 4 << 20;

const MOST_CERTIFICATES: usize = 1000;
const LONGEST_KEY: usize = 4 << 10;
const LONGEST_USER_ID: usize = 1 << 10;
const LONGEST_SIGNATURE: usize = 16 << 10;
const LONGEST_RSA: usize = 8192;
const LONGEST_RSA_EXPONENT: usize = 64;
const LONGEST_DISCRETE_LOGARITHM: usize = 4096;

/// Why nothing of an input was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the input is empty")]
    Empty,
    #[error("the input is longer than 4 MiB: export fewer certificates, or with `--export-options export-minimal`")]
    TooLong,
    #[error(
        "the input has a secret key; import certificates (public keys) only. It was not stored. If it is still in use, think of who could read this file"
    )]
    SecretKey,
    #[error("this is no OpenPGP certificate, armored or binary")]
    NotOpenPgp,
    #[error("this is a web page and no OpenPGP certificate; save the certificate itself")]
    WebPage,
    #[error("the input is UTF-16 text (PowerShell's `>` writes it); save it as ASCII or UTF-8")]
    Utf16,
    #[error("this is GnuPG's own keybox file; export certificates with `gpg --export`")]
    Keybox,
    #[error("the block `BEGIN PGP {0}` is no certificate")]
    OtherBlock(String),
    #[error("the armored block has no end: the input is truncated")]
    TruncatedArmor,
    #[error("the armor is damaged before or in line {line}; perhaps a mail program changed it: use a binary file")]
    Armor { line: usize },
    #[error("this is an OpenPGP message, no certificate")]
    Message,
    #[error(
        "this is a signature alone. A revocation is imported with its certificate: merge it with `gpg --import`, then export the certificate"
    )]
    SignatureAlone,
    #[error("byte {at}: {cause}")]
    Framing { at: usize, cause: FramingError },
    #[error("more than 1000 certificates: import them in parts")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One certificate of the input.
#[derive(Debug)]
pub struct Candidate {
    /// Counted from 1.
    pub place: usize,
    /// Upper-case hexadecimal; empty where not even that could be read.
    pub fingerprint: String,
    pub result: Result<Cert, Unfit>,
}

/// Why a certificate of an input can't be taken. The others can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("a key of version {0}; only versions 4 (RFC 4880) and 6 (RFC 9580) are supported")]
    Version(u8),
    #[error("it can't be read")]
    Unreadable,
    #[error("a packet of {length} bytes, where at most {most} make sense")]
    Packet { length: usize, most: usize },
    #[error("a packet of an unknown kind, {0}, which must not be ignored")]
    UnknownPacket(u8),
    #[error("an RSA key of {0} bits; at most 8192 are accepted")]
    Rsa(usize),
    #[error("an RSA key with an exponent of {0} bits; at most 64 are accepted")]
    RsaExponent(usize),
    #[error("a {name} key of {bits} bits; at most 4096 are accepted")]
    Bits { name: &'static str, bits: usize },
    #[error("more than 64 User IDs")]
    UserIds,
    #[error("more than 64 subkeys")]
    Subkeys,
    #[error("more than 512 signatures that claim to be its owner's")]
    Signatures,
    #[error("more than 256 KiB without what others signed")]
    TooLong,
    #[error(
        "no User ID of it, signed by its owner, names an e-mail address; before the @ only ASCII can be written to"
    )]
    NoAddress,
    #[error("fewer revocations than before")]
    Revocation,
    #[error("it doesn't name {wanted}; it names {}", join(.named))]
    OtherAddress { wanted: String, named: Vec<String> },
    #[error("merged with what is known of it, it would not be kept: {0}; what is known stays as it is")]
    Merged(Box<Unfit>),
    #[error("32 certificates are known for {0} already; remove some first")]
    Crowded(String),
}

fn join(named: &[String]) -> String {
    if named.is_empty() { "none".to_owned() } else { named.join(", ") }
}

/// Takes an input apart. Whole inputs are refused for what makes them no certificates at all; single certificates for
/// what is wrong with them.
pub fn parse(input: &[u8]) -> Result<Vec<Candidate>, ImportError> {
    if input.len() > LONGEST_INPUT {
        return Err(ImportError::TooLong);
    }
    let bytes = decode(input)?;
    let groups = group(&bytes)?;
    let candidates = groups.into_iter().zip(1..).map(|(packets, place)| candidate(&packets, place));
    Ok(candidates.collect())
}

/// Text to bytes, or bytes as they are.
fn decode(input: &[u8]) -> Result<Cow<'_, [u8]>, ImportError> {
    if input.starts_with(&[0xff, 0xfe]) || input.starts_with(&[0xfe, 0xff]) {
        return Err(ImportError::Utf16);
    }
    if input.get(8..12) == Some(b"KBXf") {
        return Err(ImportError::Keybox);
    }
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    match input.first() {
        None => Err(ImportError::Empty),
        // RFC 9580 4.2: the first bit of a packet is set, of text it isn't.
        Some(first) if first & 0x80 != 0 && !is_text(input) => Ok(Cow::Borrowed(input)),
        Some(_) => {
            let text = String::from_utf8_lossy(input);
            match armor::decode(&text)? {
                Some(bytes) => Ok(Cow::Owned(bytes)),
                None if text.trim().is_empty() => Err(ImportError::Empty),
                None if is_web_page(&text) => Err(ImportError::WebPage),
                None => Err(ImportError::NotOpenPgp),
            }
        }
    }
}

/// Text may begin with a letter that isn't ASCII, and have armor further down.
fn is_text(input: &[u8]) -> bool {
    std::str::from_utf8(input).is_ok()
}

fn is_web_page(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(200).collect::<String>().to_ascii_lowercase();
    start.starts_with('<') && (start.contains("<!doctype") || start.contains("<html") || start.contains("<head"))
}

const SIGNATURE: u8 = 2;
const PUBLIC_KEY: u8 = 6;
const USER_ID: u8 = 13;
const PUBLIC_SUBKEY: u8 = 14;
const USER_ATTRIBUTE: u8 = 17;

/// Packets of each certificate, the primary key first; what is ignored anyway is left out.
fn group(bytes: &[u8]) -> Result<Vec<Vec<RawPacket<'_>>>, ImportError> {
    let mut groups: Vec<Vec<RawPacket<'_>>> = Vec::new();
    let mut at = 0;
    for packet in Packets::of(bytes) {
        let packet = packet.map_err(|cause| match (cause, at) {
            (FramingError::Truncated, 0) if begins_with_key(bytes) => ImportError::Framing { at, cause },
            (_, 0) => ImportError::NotOpenPgp,
            _ => ImportError::Framing { at, cause },
        })?;
        at += packet.whole.len();
        match packet.tag {
            5 | 7 => return Err(ImportError::SecretKey),
            // Markers, trust (of somebody's own key ring), padding; what is private or new and not critical.
            10 | 12 | 21 | 40.. => {}
            PUBLIC_KEY => {
                if groups.len() == MOST_CERTIFICATES {
                    return Err(ImportError::TooMany);
                }
                groups.push(vec![packet]);
            }
            tag => match (groups.last_mut(), tag) {
                (Some(group), _) => group.push(packet),
                (None, SIGNATURE) => return Err(ImportError::SignatureAlone),
                (None, 1 | 3 | 4 | 8 | 9 | 11 | 18 | 20) => return Err(ImportError::Message),
                (None, _) => return Err(ImportError::NotOpenPgp),
            },
        }
    }
    if groups.is_empty() { Err(ImportError::NotOpenPgp) } else { Ok(groups) }
}

/// In the format of either day.
fn begins_with_key(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first == 0xc0 | PUBLIC_KEY || first & 0xfc == 0x80 | (PUBLIC_KEY << 2))
}

fn candidate(packets: &[RawPacket<'_>], place: usize) -> Candidate {
    let key = packets.first().and_then(|packet| read_key(packet).ok());
    let fingerprint = key.as_ref().map_or_else(String::new, |key| key.fingerprint().to_hex());
    let result = certificate(packets);
    Candidate { place, fingerprint, result }
}

fn certificate(packets: &[RawPacket<'_>]) -> Result<Cert, Unfit> {
    let (primary, rest) = packets.split_first().ok_or(Unfit::Unreadable)?;
    let fingerprint = read_key(primary)?.fingerprint();
    let mut bytes = primary.whole.to_vec();
    let mut size = Size::default();
    let mut foreign = 0;
    let mut on_attribute = false;
    for packet in rest {
        match packet.tag {
            USER_ATTRIBUTE => {
                on_attribute = true;
                continue;
            }
            USER_ID => {
                on_attribute = false;
                size.user_ids += 1;
                at_most(packet, LONGEST_USER_ID)?;
            }
            PUBLIC_SUBKEY => {
                on_attribute = false;
                size.subkeys += 1;
                read_key(packet)?;
            }
            SIGNATURE => {
                let Some(claim) = packets::claim(packet.body, fingerprint.as_bytes()) else { continue };
                let is_kept = match claim.kind {
                    KEY_REVOCATION if !claim.claims_us => {
                        foreign += 1;
                        foreign <= MOST_FOREIGN_REVOCATIONS
                    }
                    // On a picture nothing is said about addresses or keys.
                    0x10..=0x16 | CERTIFICATION_REVOCATION => claim.claims_us && !on_attribute,
                    _ => claim.claims_us,
                };
                if !is_kept {
                    continue;
                }
                at_most(packet, LONGEST_SIGNATURE)?;
                size.signatures += 1;
            }
            tag => return Err(Unfit::UnknownPacket(tag)),
        }
        bytes.extend_from_slice(packet.whole);
        size.bytes = bytes.len();
        size.check()?;
    }
    minimal(&Cert::from_bytes(&bytes).map_err(|_| Unfit::Unreadable)?)
}

const KEY_REVOCATION: u8 = 0x20;
const CERTIFICATION_REVOCATION: u8 = 0x30;

fn at_most(packet: &RawPacket<'_>, most: usize) -> Result<(), Unfit> {
    let length = packet.body.len();
    if length > most { Err(Unfit::Packet { length, most }) } else { Ok(()) }
}

/// A key, if computing with it takes no longer than it should.
fn read_key(packet: &RawPacket<'_>) -> Result<Key<PublicParts, UnspecifiedRole>, Unfit> {
    match packet.body.first() {
        Some(4 | 6) => {}
        Some(version) => return Err(Unfit::Version(*version)),
        None => return Err(Unfit::Unreadable),
    }
    at_most(packet, LONGEST_KEY)?;
    let key = match Packet::from_bytes(packet.whole) {
        Ok(Packet::PublicKey(key)) => key.role_into_unspecified(),
        Ok(Packet::PublicSubkey(key)) => key.role_into_unspecified(),
        _ => return Err(Unfit::Unreadable),
    };
    match key.mpis() {
        PublicKey::RSA { n, .. } if n.bits() > LONGEST_RSA => Err(Unfit::Rsa(n.bits())),
        PublicKey::RSA { e, .. } if e.bits() > LONGEST_RSA_EXPONENT => Err(Unfit::RsaExponent(e.bits())),
        PublicKey::DSA { p, q, g, y } => bits("DSA", &[p, q, g, y]).map(|()| key),
        PublicKey::ElGamal { p, g, y } => bits("ElGamal", &[p, g, y]).map(|()| key),
        _ => Ok(key),
    }
}

fn bits(name: &'static str, numbers: &[&MPI]) -> Result<(), Unfit> {
    let bits = numbers.iter().map(|number| number.bits()).max().unwrap_or(0);
    if bits > LONGEST_DISCRETE_LOGARITHM { Err(Unfit::Bits { name, bits }) } else { Ok(()) }
}
