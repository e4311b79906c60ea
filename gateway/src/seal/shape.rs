//! Shapes: what a sealed packet and a key packet look like from outside, checked before a library parses them.
//!
//! An OpenPGP library accepts more than one message form, and some of them (SEIPD version 1, a second packet behind the
//! first, an S2K that takes a gigabyte) would be a way around what sealing promises. Here only the one form passes.
//!
//! Security: a walk over the bytes, without allocation, in time linear in their number; lengths are never trusted.
//! Standards: RFC 9580 4.2 (framing), 5.1.2 (PKESK version 6), 5.3.2 (SKESK version 6), 5.13.2 (SEIPD version 2).

/// No key packet is longer.
const LONGEST_KEY_PACKET: usize = 1024;

const AES_256: u8 = 9;
const GCM: u8 = 3;
const X25519: u8 = 25;
const ED25519: u8 = 27;
const SHA_256: u8 = 8;
const SHA_512: u8 = 10;
const ITERATED: u8 = 3;

/// No certificate of a reader is longer.
const LONGEST_CERTIFICATE: usize = 4 * 1024;
/// No account file is longer, and none has more ways to unlock it.
const LONGEST_ACCOUNT_FILE: usize = 8 * 1024;
const MOST_WAYS: usize = 8;
/// No signature of a reader is longer.
const LONGEST_SIGNATURE: usize = 1024;

/// What is wrong with a packet from outside.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum ShapeError {
    #[error("not an OpenPGP packet of the new format")]
    Format,
    #[error("not the kind of packet that belongs here")]
    Kind,
    #[error("the packet ends before its length")]
    Truncated,
    #[error("something follows the packet")]
    Trailing,
    #[error("a key packet in pieces, or a first piece of fewer than 512 octets")]
    Pieces,
    #[error("not the version that belongs here")]
    Version,
    #[error(
        "not the algorithms that belong here: AES-256 with GCM, X25519, iterated SHA-256, Ed25519 with SHA-256 or -512"
    )]
    Algorithm,
    #[error("a chunk size above 2^22 octets")]
    ChunkSize,
    #[error("not as long as such a packet is")]
    Length,
    #[error("not the reader's address")]
    Address,
}

/// Exactly one SEIPD packet of version 2 with AES-256 and GCM.
pub fn data_packet(bytes: &[u8]) -> Result<(), ShapeError> {
    let packet = Packet::walk(bytes)?;
    if packet.tag != 18 {
        return Err(ShapeError::Kind);
    }
    let (version, rest) = packet.start.split_first().ok_or(ShapeError::Length)?;
    if *version != 2 {
        return Err(ShapeError::Version);
    }
    let [cipher, aead, chunk_size] = *rest.first_chunk().ok_or(ShapeError::Length)?;
    if (cipher, aead) != (AES_256, GCM) {
        return Err(ShapeError::Algorithm);
    }
    // The octet counts from 2^6; RFC 9580 5.13.2 allows no more than this.
    if chunk_size > 16 {
        return Err(ShapeError::ChunkSize);
    }
    // Version and algorithms, salt, the tags of one chunk and of the end.
    if packet.length < 4 + 32 + 16 + 16 { Err(ShapeError::Length) } else { Ok(()) }
}

/// Exactly one PKESK packet of version 6, to a version 6 X25519 key that it names, with a key of 32 bytes.
pub fn key_packet_to_certificate(bytes: &[u8]) -> Result<(), ShapeError> {
    let body = key_packet(bytes, 1)?;
    // 33 octets follow: key version 6 and its fingerprint. Then the algorithm.
    match (body.get(1), body.get(2), body.get(35)) {
        (Some(33), Some(6), Some(&X25519)) => {}
        (Some(_), Some(_), Some(_)) => return Err(ShapeError::Algorithm),
        _ => return Err(ShapeError::Length),
    }
    // An ephemeral key of 32 octets, then 40 octets of wrapped key with their length before them.
    if body.len() == 36 + 32 + 1 + 40 && body.get(68) == Some(&40) { Ok(()) } else { Err(ShapeError::Length) }
}

/// Exactly one SKESK packet of version 6 with AES-256, GCM, iterated SHA-256 and a key of 32 bytes.
pub fn key_packet_by_password(bytes: &[u8]) -> Result<(), ShapeError> {
    let body = key_packet(bytes, 3)?;
    // After the version: octets that follow, cipher, AEAD, octets of the S2K, its kind and hash.
    let [following, cipher, aead, s2k_octets, s2k, hash] =
        *body.get(1..).and_then(|rest| rest.first_chunk()).ok_or(ShapeError::Length)?;
    if (cipher, aead, s2k, hash) != (AES_256, GCM, ITERATED, SHA_256) {
        return Err(ShapeError::Algorithm);
    }
    // S2K: kind, hash, salt of 8, count; 12 octets of nonce; the key and its tag.
    let fits = s2k_octets == 11 && following == 3 + 11 + 12 && body.len() == 2 + 26 + 32 + 16;
    match body.get(15) {
        // The smallest count: the password is a key, and a larger one would be work that a stranger makes us do.
        Some(0) if fits => Ok(()),
        Some(_) if fits => Err(ShapeError::Algorithm),
        _ => Err(ShapeError::Length),
    }
}

/// A reader's certificate: an Ed25519 primary with its own signature, the User ID `address` with one, an X25519 subkey with
/// one, in this order and nothing else. Whether the signatures are right isn't looked at.
pub fn reader_certificate(bytes: &[u8], address: &[u8]) -> Result<(), ShapeError> {
    if bytes.len() > LONGEST_CERTIFICATE {
        return Err(ShapeError::Length);
    }
    let mut rest = bytes;
    for (tag, check) in CERTIFICATE {
        let (packet, behind) = Packet::first(rest)?;
        if packet.tag != tag {
            return Err(ShapeError::Kind);
        }
        if packet.in_pieces {
            return Err(ShapeError::Pieces);
        }
        match check {
            Inside::Key(algorithm) => public_key(packet.start, algorithm)?,
            Inside::Signature(kind) => signature_body(packet.start, kind)?,
            Inside::Address if packet.start == address => {}
            Inside::Address => return Err(ShapeError::Address),
        }
        rest = behind;
    }
    if rest.is_empty() { Ok(()) } else { Err(ShapeError::Trailing) }
}

/// Exactly one signature packet of version 6 over a binary document, Ed25519 with SHA-256 or SHA-512.
pub fn signature(bytes: &[u8]) -> Result<(), ShapeError> {
    if bytes.len() > LONGEST_SIGNATURE {
        return Err(ShapeError::Length);
    }
    let packet = Packet::walk(bytes)?;
    if packet.tag != 2 {
        return Err(ShapeError::Kind);
    }
    if packet.in_pieces {
        return Err(ShapeError::Pieces);
    }
    signature_body(packet.start, 0x00)
}

/// An account file: one to eight key packets by password, then exactly one data packet.
pub fn account_file(bytes: &[u8]) -> Result<(), ShapeError> {
    if bytes.len() > LONGEST_ACCOUNT_FILE {
        return Err(ShapeError::Length);
    }
    let mut rest = bytes;
    for way in 0..=MOST_WAYS {
        let (packet, behind) = Packet::first(rest)?;
        let whole = rest.get(..rest.len() - behind.len()).ok_or(ShapeError::Truncated)?;
        if packet.tag == 18 && way > 0 {
            // To the end: what stands behind it is found there.
            return data_packet(rest);
        }
        key_packet_by_password(whole)?;
        rest = behind;
    }
    Err(ShapeError::Kind)
}

/// What stands where in a reader's certificate.
enum Inside {
    /// A public key of this algorithm, with 32 octets.
    Key(u8),
    /// A signature of this type.
    Signature(u8),
    Address,
}

/// RFC 9580 10.1.1, 5.2.1: direct-key signature, positive certification, subkey binding.
const CERTIFICATE: [(u8, Inside); 6] = [
    (6, Inside::Key(ED25519)),
    (2, Inside::Signature(0x1f)),
    (13, Inside::Address),
    (2, Inside::Signature(0x13)),
    (14, Inside::Key(X25519)),
    (2, Inside::Signature(0x18)),
];

// RFC 9580 5.5.2: version, time of making, algorithm, length of what follows, 32 octets.
fn public_key(body: &[u8], algorithm: u8) -> Result<(), ShapeError> {
    match body {
        [6, _, _, _, _, of, 0, 0, 0, 32, ..] if *of == algorithm => {
            if body.len() == 42 {
                Ok(())
            } else {
                Err(ShapeError::Length)
            }
        }
        [6, _, _, _, _, of, ..] if *of != algorithm => Err(ShapeError::Algorithm),
        [6, ..] | [] => Err(ShapeError::Length),
        _ => Err(ShapeError::Version),
    }
}

// RFC 9580 5.2.3: version, type, key algorithm, hash algorithm; then subpackets, salt and the signature itself.
fn signature_body(body: &[u8], kind: u8) -> Result<(), ShapeError> {
    match body {
        [6, of, ..] if *of != kind => Err(ShapeError::Kind),
        [6, _, ED25519, SHA_256 | SHA_512, ..] => Ok(()),
        [6, _, _, _, ..] => Err(ShapeError::Algorithm),
        [6, ..] | [] => Err(ShapeError::Length),
        _ => Err(ShapeError::Version),
    }
}

fn key_packet(bytes: &[u8], tag: u8) -> Result<&[u8], ShapeError> {
    if bytes.len() > LONGEST_KEY_PACKET {
        return Err(ShapeError::Length);
    }
    let packet = Packet::walk(bytes)?;
    if packet.tag != tag {
        return Err(ShapeError::Kind);
    }
    if packet.in_pieces {
        return Err(ShapeError::Pieces);
    }
    match packet.start.first() {
        Some(6) => Ok(packet.start),
        Some(_) => Err(ShapeError::Version),
        None => Err(ShapeError::Length),
    }
}

struct Packet<'a> {
    tag: u8,
    /// The body, or its first piece.
    start: &'a [u8],
    /// Of the body, all pieces together.
    length: usize,
    in_pieces: bool,
}

enum Length {
    Whole(usize),
    Piece(usize),
}

impl<'a> Packet<'a> {
    fn walk(bytes: &'a [u8]) -> Result<Self, ShapeError> {
        let (packet, rest) = Self::first(bytes)?;
        if rest.is_empty() { Ok(packet) } else { Err(ShapeError::Trailing) }
    }

    /// The first packet, and what stands behind it.
    fn first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ShapeError> {
        let (head, rest) = bytes.split_first().ok_or(ShapeError::Truncated)?;
        // Both upper bits: the new format. The old one can leave the length open.
        if head & 0xc0 != 0xc0 {
            return Err(ShapeError::Format);
        }
        let (first, rest) = length(rest)?;
        let in_pieces = matches!(first, Length::Piece(_));
        let (Length::Whole(octets) | Length::Piece(octets)) = first;
        // RFC 9580 4.2.1.4: the first piece has at least 512 octets.
        if in_pieces && octets < 512 {
            return Err(ShapeError::Pieces);
        }
        let (start, mut rest) = rest.split_at_checked(octets).ok_or(ShapeError::Truncated)?;
        let mut total = octets;
        let mut more = in_pieces;
        while more {
            let (next, after) = length(rest)?;
            let (Length::Whole(octets) | Length::Piece(octets)) = next;
            more = matches!(next, Length::Piece(_));
            (_, rest) = after.split_at_checked(octets).ok_or(ShapeError::Truncated)?;
            total += octets;
        }
        Ok((Self { tag: head & 0x3f, start, length: total, in_pieces }, rest))
    }
}

// RFC 9580 4.2.1
fn length(bytes: &[u8]) -> Result<(Length, &[u8]), ShapeError> {
    let (first, rest) = bytes.split_first().ok_or(ShapeError::Truncated)?;
    match *first {
        short @ 0..=191 => Ok((Length::Whole(usize::from(short)), rest)),
        high @ 192..=223 => {
            let (low, rest) = rest.split_first().ok_or(ShapeError::Truncated)?;
            Ok((Length::Whole(((usize::from(high) - 192) << 8) + usize::from(*low) + 192), rest))
        }
        power @ 224..=254 => Ok((Length::Piece(1 << (power & 0x1f)), rest)),
        255 => {
            let (octets, rest) = rest.split_first_chunk::<4>().ok_or(ShapeError::Truncated)?;
            let octets = usize::try_from(u32::from_be_bytes(*octets)).map_err(|_| ShapeError::Truncated)?;
            Ok((Length::Whole(octets), rest))
        }
    }
}

#[cfg(test)]
mod tests;
