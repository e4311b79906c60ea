//! Keys in DER: the few structures that DKIM's keys need, written only.
//!
//! Security: what is written of private keys is zeroed.
//! Standards: X.690 8, 10; RFC 8017 A.1 (RSA), RFC 5208 (PKCS #8), RFC 8410 7 (Ed25519 in it), RFC 5280 4.1.2.7.

use zeroize::Zeroizing;

/// rsaEncryption (1.2.840.113549.1.1.1), which has parameters of no value.
const RSA: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// id-Ed25519 (1.3.101.112), without parameters.
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// An RSAPublicKey as SubjectPublicKeyInfo, which is what `p=` has (RFC 6376 errata 3017).
pub(super) fn rsa_public(key: &[u8]) -> Vec<u8> {
    let bits = tagged(BIT_STRING, &[&[0], key]);
    tagged(SEQUENCE, &[&RSA, &bits]).to_vec()
}

/// An RSA key's numbers, big-endian, in PKCS #8: n, e, d, p, q, d mod (p-1), d mod (q-1), 1/q mod p.
pub(super) fn rsa_private(numbers: [&[u8]; 8]) -> Zeroizing<Vec<u8>> {
    let version = integer(&[]);
    let numbers: Vec<_> = std::iter::once(version).chain(numbers.into_iter().map(integer)).collect();
    let numbers: Vec<&[u8]> = numbers.iter().map(|number| number.as_slice()).collect();
    pkcs8(&RSA, &tagged(SEQUENCE, &numbers))
}

/// An Ed25519 key's seed in PKCS #8.
pub(super) fn ed25519_private(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    pkcs8(&ED25519, &tagged(OCTET_STRING, &[seed]))
}

fn pkcs8(algorithm: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    tagged(SEQUENCE, &[&integer(&[]), algorithm, &tagged(OCTET_STRING, &[key])])
}

/// A number that isn't negative; nothing is zero.
fn integer(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let digits = bytes.get(start..).unwrap_or_default();
    // The first bit is the sign.
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    tagged(INTEGER, &[sign, digits])
}

/// A value in DER; of at most 65,535 bytes, as keys are.
fn tagged(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let [high, low] = u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes();
    let length: &[u8] = match (high, low) {
        (0, ..=0x7f) => &[low],
        (0, _) => &[0x81, low],
        _ => &[0x82, high, low],
    };
    // Never grows: what a vector leaves behind when it does isn't zeroed.
    let mut value = Zeroizing::new(Vec::with_capacity(size.saturating_add(4)));
    value.push(tag);
    for part in std::iter::once(&length).chain(parts) {
        value.extend_from_slice(part);
    }
    value
}
