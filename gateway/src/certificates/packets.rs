//! Packets of a certificate from outside: where they begin and end, and who says to have made a signature; seen before a
//! library parses them.
//!
//! Certificates from key servers can be flooded: thousands of signatures by strangers, packets of any size, signatures
//! inside signatures. What isn't wanted is left out here, by a walk over the bytes.
//!
//! Security: no allocation, no recursion beyond one embedded signature, time linear in the bytes; lengths are never trusted.
//! Standards: RFC 9580 4.2 (framing), 5.2.2 (version 3 signatures), 5.2.3 (versions 4 and 6), 5.2.3.7 (subpackets).

/// A packet as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawPacket<'a> {
    pub tag: u8,
    pub body: &'a [u8],
    /// With its header.
    pub whole: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("what stands there is no OpenPGP packet")]
    Format,
    #[error("a packet ends before its length: the file is truncated")]
    Truncated,
    #[error("a packet of unknown length, which no certificate has")]
    Pieces,
}

/// Packets one after another, to the first fault.
pub(super) struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    // RFC 9580 4.2
    fn read(&mut self) -> Result<RawPacket<'a>, FramingError> {
        use FramingError::{Format, Pieces, Truncated};
        let start = self.rest;
        let (first, after) = start.split_first().ok_or(Truncated)?;
        if first & 0x80 == 0 {
            return Err(Format);
        }
        let (tag, length, body) = if first & 0x40 != 0 {
            let (length, body) = match new_length(after).ok_or(Truncated)? {
                (NewLength::Whole(length), body) => (length, body),
                (NewLength::Piece, _) => return Err(Pieces),
            };
            (first & 0x3f, length, body)
        } else {
            // RFC 9580 4.2.2: the legacy format
            let octets = match first & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => return Err(Pieces),
            };
            let (length, body) = after.split_at_checked(octets).ok_or(Truncated)?;
            ((first >> 2) & 0x0f, number(length), body)
        };
        let (body, rest) = body.split_at_checked(length).ok_or(Truncated)?;
        let (whole, _) = start.split_at_checked(start.len() - rest.len()).ok_or(Truncated)?;
        self.rest = rest;
        Ok(RawPacket { tag, body, whole })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<RawPacket<'a>, FramingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

/// What a signature says of itself; nothing of it is verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub kind: u8,
    pub claims_us: bool,
}

/// Reads a signature's claim to be made by the key with this fingerprint. A signature that names nobody may be its own.
/// `None`: not a signature of a version that we know, or with more than one signature inside another.
pub(super) fn claim(body: &[u8], fingerprint: &[u8]) -> Option<Claim> {
    let (version, rest) = body.split_first()?;
    match version {
        // RFC 9580 5.2.2: octets that are hashed (5), kind, time, key ID
        3 => {
            let kind = *rest.get(1)?;
            let claims_us = rest.get(6..14)? == key_id(fingerprint)?;
            Some(Claim { kind, claims_us })
        }
        4 => subpackets_claim(rest, 2, fingerprint, Depth::Outer),
        6 => subpackets_claim(rest, 4, fingerprint, Depth::Outer),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Outer,
    /// Inside another signature.
    Embedded,
}

const ISSUER: u8 = 16;
const EMBEDDED_SIGNATURE: u8 = 32;
const ISSUER_FINGERPRINT: u8 = 33;

fn subpackets_claim(rest: &[u8], length_octets: usize, fingerprint: &[u8], depth: Depth) -> Option<Claim> {
    let (head, mut rest) = rest.split_at_checked(3)?;
    let kind = *head.first()?;
    let (mut anybody, mut us) = (false, false);
    // hashed, then unhashed
    for _ in 0..2 {
        let (length, after) = rest.split_at_checked(length_octets)?;
        let (mut area, after) = after.split_at_checked(number(length))?;
        rest = after;
        while !area.is_empty() {
            let (subpacket, after) = subpacket(area)?;
            area = after;
            let (kind, value) = subpacket.split_first()?;
            match kind & 0x7f {
                ISSUER => {
                    anybody = true;
                    us |= value == key_id(fingerprint)?;
                }
                ISSUER_FINGERPRINT => {
                    anybody = true;
                    us |= value.get(1..)? == fingerprint;
                }
                EMBEDDED_SIGNATURE => {
                    if depth == Depth::Embedded {
                        return None;
                    }
                    let (version, inner) = value.split_first()?;
                    match version {
                        3 => {}
                        4 => {
                            subpackets_claim(inner, 2, fingerprint, Depth::Embedded)?;
                        }
                        6 => {
                            subpackets_claim(inner, 4, fingerprint, Depth::Embedded)?;
                        }
                        _ => return None,
                    }
                }
                _ => {}
            }
        }
    }
    Some(Claim { kind, claims_us: us || !anybody })
}

// RFC 9580 5.2.3.7: lengths as of packets, without pieces
fn subpacket(area: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, after) = area.split_first()?;
    let (length, after) = match first {
        0..=191 => (usize::from(*first), after),
        192..=254 => {
            let (second, after) = after.split_first()?;
            (((usize::from(*first) - 192) << 8) + usize::from(*second) + 192, after)
        }
        255 => {
            let (length, after) = after.split_at_checked(4)?;
            (number(length), after)
        }
    };
    after.split_at_checked(length)
}

/// RFC 9580 5.5.4: the last 8 octets of a version 4 fingerprint, the first 8 of a version 6 one.
fn key_id(fingerprint: &[u8]) -> Option<&[u8]> {
    match fingerprint.len() {
        20 => fingerprint.get(12..),
        _ => fingerprint.get(..8),
    }
}

enum NewLength {
    Whole(usize),
    Piece,
}

// RFC 9580 4.2.1
fn new_length(after: &[u8]) -> Option<(NewLength, &[u8])> {
    let (first, rest) = after.split_first()?;
    Some(match first {
        0..=191 => (NewLength::Whole(usize::from(*first)), rest),
        192..=223 => {
            let (second, rest) = rest.split_first()?;
            (NewLength::Whole(((usize::from(*first) - 192) << 8) + usize::from(*second) + 192), rest)
        }
        224..=254 => (NewLength::Piece, rest),
        255 => {
            let (length, rest) = rest.split_at_checked(4)?;
            (NewLength::Whole(number(length)), rest)
        }
    })
}

/// Big-endian; at most four octets.
fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(bytes: &[u8]) -> Vec<Result<(u8, usize), FramingError>> {
        Packets::of(bytes).map(|packet| packet.map(|packet| (packet.tag, packet.body.len()))).collect()
    }

    #[test]
    fn framing() {
        use FramingError::{Format, Pieces, Truncated};
        assert_eq!(walk(b""), []);
        assert_eq!(walk(&[0xcd, 1, b'a', 0xb4, 2, b'b', b'c']), [Ok((13, 1)), Ok((13, 2))]);
        assert_eq!(walk(&[0xb5, 0, 1, b'a']), [Ok((13, 1))]);
        assert_eq!(walk(&[0xb6, 0, 0, 0, 1, b'a']), [Ok((13, 1))]);
        assert_eq!(walk(&[0xcd, 255, 0, 0, 0, 0]), [Ok((13, 0))]);
        assert_eq!(walk(&[0xcd, 2, b'a']), [Err(Truncated)]);
        assert_eq!(walk(&[0xcd]), [Err(Truncated)]);
        assert_eq!(walk(&[0xcd, 255, 0xff, 0xff, 0xff, 0xff, 0]), [Err(Truncated)]);
        assert_eq!(walk(&[0xb7, b'a']), [Err(Pieces)]);
        assert_eq!(walk(&[0xcd, 0xe0, b'a']), [Err(Pieces)]);
        // What follows a fault isn't looked at.
        assert_eq!(walk(&[0xcd, 0, b'<', 0xcd, 0]), [Ok((13, 0)), Err(Format)]);
    }

    /// A version 4 signature with these subpackets in its hashed area.
    fn signature(kind: u8, hashed: &[u8]) -> Vec<u8> {
        let mut body = vec![4, kind, 1, 8];
        body.extend(u16::try_from(hashed.len()).unwrap().to_be_bytes());
        body.extend(hashed);
        body.extend([0, 0, 0xaa, 0xbb]);
        body
    }

    fn embedding(depth: usize) -> Vec<u8> {
        let mut body = signature(0x19, &[]);
        for _ in 0..depth {
            let mut subpacket = vec![255];
            subpacket.extend(u32::try_from(body.len() + 1).unwrap().to_be_bytes());
            subpacket.push(32);
            subpacket.extend(&body);
            body = signature(0x18, &subpacket);
        }
        body
    }

    #[test]
    fn claims() {
        let us = [7; 20];
        let said = |hashed: &[u8]| claim(&signature(0x13, hashed), &us).map(|claim| claim.claims_us);
        assert_eq!(said(&[]), Some(true));
        assert_eq!(said(&[9, 16, 7, 7, 7, 7, 7, 7, 7, 7]), Some(true));
        assert_eq!(said(&[9, 16, 7, 7, 7, 7, 7, 7, 7, 8]), Some(false));
        assert_eq!(said(&[&[22, 33, 4][..], &us].concat()), Some(true));
        assert_eq!(said(&[&[22, 33, 4][..], &[8; 20]].concat()), Some(false));
        assert_eq!(said(&[22, 33, 4, 7]), None, "the subpacket is cut");
        assert_eq!(said(&[1, 33]), None, "no fingerprint at all");
        assert_eq!(said(&[0]), None, "a subpacket without a kind");
        assert_eq!(claim(&[], &us), None);
        assert_eq!(claim(&[5, 0x13, 1, 8, 0, 0, 0, 0], &us), None);
        assert_eq!(
            claim(&[3, 5, 0x20, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7], &us),
            Some(Claim { kind: 0x20, claims_us: true })
        );
    }

    #[test]
    fn one_signature_inside_another_and_no_more() {
        assert!(claim(&embedding(1), &[7; 20]).is_some());
        for depth in [2, 3, 1000] {
            assert_eq!(claim(&embedding(depth), &[7; 20]), None, "{depth}");
        }
    }
}
