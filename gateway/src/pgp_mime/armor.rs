//! ASCII armor of a message, written line by line as the octets come, with CRLF as mail wants it.
//!
//! The checksum, which RFC 9580 makes optional, stays: there are programs that miss it.
//!
//! Standards: RFC 9580 6.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crc::{CRC_24_OPENPGP, Crc, Digest, Table};

const HEAD: &[u8] = b"-----BEGIN PGP MESSAGE-----\r\n\r\n";
const FOOT: &[u8] = b"-----END PGP MESSAGE-----\r\n";
/// Octets of one line, and the characters that they become.
const OCTETS: usize = 48;
const CHARACTERS: usize = 64;

static CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_24_OPENPGP);

/// Ends with [`Armor::finish`].
pub(super) struct Armor<'a> {
    out: &'a mut Vec<u8>,
    checksum: Digest<'static, u32, Table<16>>,
    /// Octets that aren't a line yet.
    begun: [u8; OCTETS],
    length: usize,
}

impl<'a> Armor<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(HEAD);
        Self { out, checksum: CHECKSUM.digest(), begun: [0; OCTETS], length: 0 }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        if let Some(rest) = self.begun.get(..self.length).filter(|rest| !rest.is_empty()) {
            line(self.out, rest)?;
        }
        let [_, checksum @ ..] = self.checksum.finalize().to_be_bytes();
        self.out.push(b'=');
        line(self.out, &checksum)?;
        self.out.extend_from_slice(FOOT);
        Ok(())
    }
}

/// At most [`OCTETS`].
fn line(out: &mut Vec<u8>, octets: &[u8]) -> io::Result<()> {
    let mut characters = [0; CHARACTERS];
    let length = BASE64_STANDARD.encode_slice(octets, &mut characters).map_err(io::Error::other)?;
    out.extend_from_slice(characters.get(..length).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

impl io::Write for Armor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.checksum.update(bytes);
        let mut rest = bytes;
        if self.length > 0 {
            let room = self.begun.get_mut(self.length..).unwrap_or_default();
            let (now, later) = rest.split_at(room.len().min(rest.len()));
            room.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.length += now.len();
            rest = later;
            if self.length < OCTETS {
                return Ok(bytes.len());
            }
            line(self.out, &self.begun)?;
            self.length = 0;
        }
        let (lines, rest) = rest.as_chunks::<OCTETS>();
        for octets in lines {
            line(self.out, octets)?;
        }
        self.begun.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.length = rest.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use sequoia_openpgp::armor::{Kind, Writer};

    use super::*;

    /// OpenPGP's library writes the same, but for the line endings.
    #[test]
    fn as_the_library_writes_it_however_the_octets_come() {
        for length in (0..200).chain([4_095, 4_096, 100_003]) {
            let bytes: Vec<u8> = (0..length).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
            let mut theirs = Writer::new(Vec::new(), Kind::Message).unwrap();
            theirs.write_all(&bytes).unwrap();
            let theirs = String::from_utf8(theirs.finalize().unwrap()).unwrap().replace('\n', "\r\n");
            for piece in [1, 7, 47, 48, 49, 100_003] {
                let mut ours = b"before".to_vec();
                let mut armor = Armor::new(&mut ours);
                bytes.chunks(piece).for_each(|piece| armor.write_all(piece).unwrap());
                armor.finish().unwrap();
                // Nothing at all is no message, and the library writes nothing.
                if length > 0 {
                    assert_eq!(String::from_utf8(ours).unwrap(), format!("before{theirs}"), "{length} in {piece}");
                }
            }
        }
    }
}
