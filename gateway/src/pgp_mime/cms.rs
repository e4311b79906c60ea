//! S/MIME by its bytes: whether they are a CMS message that is encrypted, or signed.
//!
//! The first levels are read, as far as they have to be there in every such message; certificates and ciphertext are not.
//! Nothing is skipped whose length isn't written, so that the work doesn't depend on what is nested.
//! Standards: RFC 5652 (EnvelopedData, SignedData), RFC 5083 (AuthEnvelopedData), X.690 (BER: both forms of length).

/// What a CMS message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    /// envelopedData, authEnvelopedData.
    Enveloped,
    Signed,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// [0], constructed and primitive.
const TAGGED: u8 = 0xa0;
const TAGGED_PRIMITIVE: u8 = 0x80;

// RFC 5652 5.1, 6.1; RFC 5083 2.1.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
const AUTH_ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x17];

/// What the bytes are as a whole: nothing may follow.
pub(super) fn recognise(bytes: &[u8]) -> Option<ContentType> {
    let info = open(bytes, SEQUENCE)?;
    let alone = match info.length {
        Length::Known => info.behind.is_empty(),
        Length::Open => bytes.ends_with(&[0, 0]),
    };
    let (identifier, rest) = element(info.content, OBJECT_IDENTIFIER)?;
    let content = open(open(rest, TAGGED)?.content, SEQUENCE)?.content;
    let (_, rest) = element(content, INTEGER)?;
    if !alone {
        return None;
    }
    if identifier == SIGNED_DATA {
        let (_, rest) = element(rest, SET)?;
        element(open(rest, SEQUENCE)?.content, OBJECT_IDENTIFIER)?;
        return Some(ContentType::Signed);
    }
    if identifier != ENVELOPED_DATA && identifier != AUTH_ENVELOPED_DATA {
        return None;
    }
    // OriginatorInfo may stand there.
    let rest = element(rest, TAGGED).map_or(rest, |(_, rest)| rest);
    let (recipients, rest) = element(rest, SET)?;
    let (_, rest) = element(open(rest, SEQUENCE)?.content, OBJECT_IDENTIFIER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let content = open(rest, TAGGED_PRIMITIVE).or_else(|| open(rest, TAGGED))?.content;
    (!recipients.is_empty() && !content.is_empty()).then_some(ContentType::Enveloped)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Known,
    /// It ends with two zero octets, somewhere.
    Open,
}

struct Element<'a> {
    content: &'a [u8],
    behind: &'a [u8],
    length: Length,
}

/// An element of known length, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let found = open(bytes, tag)?;
    (found.length == Length::Known).then_some((found.content, found.behind))
}

fn open(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let length = match length {
        0x80 => return Some(Element { content: rest, behind: &[], length: Length::Open }),
        0..0x80 => (usize::from(*length), rest),
        _ => {
            let octets = usize::from(*length & 0x7f);
            let (octets, rest) = rest.split_at_checked(octets).filter(|(octets, _)| octets.len() <= 5)?;
            (octets.iter().fold(0_usize, |length, octet| (length << 8) | usize::from(*octet)), rest)
        }
    };
    let (content, behind) = length.1.split_at_checked(length.0)?;
    Some(Element { content, behind, length: Length::Known })
}
