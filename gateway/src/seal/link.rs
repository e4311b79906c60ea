//! The link secret: the half of a pickup that never reaches a server.
//!
//! Written, it is 32 characters of Crockford base32 and 4 check characters, so that a typing error is found before it
//! looks like a wrong letter, and whatever a mail client appends to a link doesn't hurt.

use sealpost_vault::derive::{FieldTooLong, ctx, sha256};
use sealpost_vault::id::{NoRandomness, random};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS: usize = 36;

/// `L`: 20 random bytes.
pub struct LinkSecret(Zeroizing<[u8; 20]>);

/// The text is not the written form of a link secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LinkSecretError {
    #[error("a character that does not occur in a pickup code")]
    Character,
    #[error("too short for a pickup code")]
    Length,
    #[error("a typing error in the pickup code: its check does not fit")]
    Check,
}

impl LinkSecret {
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// For keeping it under the gateway's root key.
    pub fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// 36 characters, upper case: the fragment of a link.
    pub fn written(&self) -> String {
        // 160 bits are 32 whole groups of five; the check is the first 20 bits of a hash.
        let check = self.check().unwrap_or_default();
        symbols(self.0.as_slice()).chain(symbols(&check).take(4)).collect()
    }

    /// The same in groups of four with `-` between them: to be read and typed.
    pub fn grouped(&self) -> String {
        let mut text = String::with_capacity(44);
        for (place, symbol) in self.written().chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                text.push('-');
            }
            text.push(symbol);
        }
        text
    }

    /// Takes the first 36 characters, in any case; `O` is read as 0, `I` and `L` as 1, spaces and `-` are skipped.
    pub fn parse(text: &str) -> Result<Self, LinkSecretError> {
        let mut values = Zeroizing::new([0u8; CHARACTERS]);
        let mut written = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        for place in values.iter_mut() {
            *place = value(written.next().ok_or(LinkSecretError::Length)?).ok_or(LinkSecretError::Character)?;
        }
        let (secret, check) = values.split_at_checked(32).ok_or(LinkSecretError::Length)?;
        let mut bytes = Zeroizing::new([0u8; 20]);
        for (to, group) in bytes.chunks_exact_mut(5).zip(secret.chunks_exact(8)) {
            let bits = group.iter().fold(0u64, |bits, value| bits << 5 | u64::from(*value));
            // The lower five of eight bytes: eight groups of five bits.
            for (byte, from) in to.iter_mut().zip(bits.to_be_bytes().into_iter().skip(3)) {
                *byte = from;
            }
        }
        let secret = Self(bytes);
        let expected = secret.check().map_err(|_| LinkSecretError::Check)?;
        let expected: Vec<u8> = groups(&expected).take(4).collect();
        if bool::from(expected.ct_eq(check)) { Ok(secret) } else { Err(LinkSecretError::Check) }
    }

    fn check(&self) -> Result<[u8; 5], FieldTooLong> {
        let hash = sha256(&Zeroizing::new(ctx("check", &[self.0.as_slice()])?));
        Ok(hash.first_chunk().copied().unwrap_or_default())
    }
}

/// Groups of five bits, from the front.
fn groups(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.chunks(5).flat_map(|five| {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |group| (bits >> (5 * group)) as u8 & 31)
    })
}

fn symbols(bytes: &[u8]) -> impl Iterator<Item = char> {
    groups(bytes).filter_map(|group| SYMBOLS.get(usize::from(group)).map(|symbol| char::from(*symbol)))
}

fn value(c: char) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    };
    SYMBOLS.iter().position(|symbol| char::from(*symbol) == c).and_then(|place| u8::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_form_has_a_fixed_length_and_comes_back() {
        for bytes in [[0; 20], [0xff; 20], *b"abcdefghijklmnopqrst", core::array::from_fn(|i| i as u8 * 13)] {
            let secret = LinkSecret::from_bytes(bytes);
            assert_eq!(secret.written().len(), 36);
            assert_eq!(secret.grouped().len(), 44);
            for text in [
                secret.written(),
                secret.grouped(),
                secret.written().to_lowercase(),
                secret.grouped().replace('-', " ").replace('0', "o").replace('1', "l"),
                secret.grouped().replace('1', "I"),
                format!("{}?utm_source=mail&x=%20", secret.written()),
                format!("  {}\u{a0}.", secret.grouped()),
            ] {
                assert_eq!(LinkSecret::parse(&text).unwrap().bytes(), &bytes, "{text}");
            }
        }
    }

    #[test]
    fn written_form_is_crockfords() {
        // 20 bytes counting up, encoded by an implementation other than this one.
        let bytes: [u8; 20] = core::array::from_fn(|i| i as u8);
        let crockford = data_encoding::BASE32HEX_NOPAD.encode(&bytes);
        let from = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
        let expected: String = crockford.chars().map(|c| char::from(SYMBOLS[from.find(c).unwrap()])).collect();
        assert_eq!(LinkSecret::from_bytes(bytes).written().get(..32), Some(expected.as_str()));
    }

    #[test]
    fn every_single_typing_error_is_found_or_changes_the_secret() {
        let secret = LinkSecret::from_bytes(*b"abcdefghijklmnopqrst");
        let written = secret.written();
        let mut passed = 0;
        for place in 0..36 {
            for symbol in SYMBOLS {
                let mut text = written.clone().into_bytes();
                if text[place] == *symbol {
                    continue;
                }
                text[place] = *symbol;
                match LinkSecret::parse(std::str::from_utf8(&text).unwrap()) {
                    Err(error) => assert_eq!(error, LinkSecretError::Check),
                    Ok(other) => {
                        assert_ne!(other.bytes(), secret.bytes());
                        passed += 1;
                    }
                }
            }
        }
        // 1,116 errors against 20 bits: more than a stray one means that the check checks nothing.
        assert!(passed <= 1, "{passed}");
    }

    #[test]
    fn what_is_no_pickup_code_is_refused() {
        let written = LinkSecret::from_bytes([7; 20]).written();
        for (text, why) in [
            (String::new(), LinkSecretError::Length),
            (written.chars().take(35).collect(), LinkSecretError::Length),
            (format!("u{written}"), LinkSecretError::Character),
            (format!("%23{written}"), LinkSecretError::Character),
            ("ÄÄ".repeat(40), LinkSecretError::Character),
            ("-".repeat(100_000), LinkSecretError::Length),
        ] {
            assert_eq!(LinkSecret::parse(&text).err(), Some(why), "{text:.20}");
        }
    }
}
