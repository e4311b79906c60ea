//! Symmetric sealing of what is too large to be sealed in one piece: mail in a blob, written and read chunk by chunk.
//!
//! Format 3: key epoch (4, big-endian), salt (32, random), the chunks, one octet of format. A chunk is [`CHUNK`] octets
//! of mail, the last one less, and a tag. Each writing has a key of its own, by its salt, so that a chunk's number can be
//! its nonce; the nonce says as well whether the chunk is the last, so that nothing can be cut off, dropped, swapped or
//! appended.
//!
//! Security: nothing of a chunk is seen before its tag was verified. That there is no more to come is known when the last
//! chunk was read, and no sooner: whoever acts on the first ones must be able to undo it.
//! Standards: NIST SP 800-38D (AES-256-GCM), RFC 5869 (HKDF); the construction is STREAM (Hoang, Reyhanitabar, Rogaway,
//! Vizár: Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015).

use std::io::{self, Read, Seek, SeekFrom, Write};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sealpost_vault::derive::ctx;
use sealpost_vault::id::{QueueId, random};

use super::KeyringError;
use super::epochs::Epochs;
use super::storage::{EPOCH_LEN, hkdf};

/// Octets of mail in each chunk but the last.
const CHUNK: usize = 64 * 1024;
const SPOOL_FORMAT_3: u8 = 3;
const TAG: usize = 16;
const SALT_LEN: usize = 32;

/// Whether more follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Inner,
    Last,
}

/// The key of one writing, and the number of the next chunk.
struct Chain {
    key: LessSafeKey,
    next: u64,
}

impl Chain {
    fn new(root: &[u8; 32], id: &QueueId, epoch: [u8; EPOCH_LEN], salt: &[u8; SALT_LEN]) -> Result<Self, KeyringError> {
        let info = ctx("spool/chunks", &[id.bytes(), &epoch])?;
        let key = hkdf(salt, root, &info).map_err(|_| KeyringError::Cipher)?;
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| KeyringError::Cipher)?;
        Ok(Self { key: LessSafeKey::new(key), next: 0 })
    }

    /// Three zero octets, the number (8, big-endian), and 1 for the last.
    fn nonce(&mut self, position: Position) -> io::Result<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        let number = self.next.to_be_bytes();
        let last = [u8::from(position == Position::Last)];
        for (to, from) in nonce.iter_mut().skip(3).zip(number.iter().chain(&last)) {
            *to = *from;
        }
        self.next = self.next.checked_add(1).ok_or_else(|| io::Error::other("too many chunks"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, position: Position) -> io::Result<()> {
        let nonce = self.nonce(position)?;
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), chunk);
        sealed.map_err(|_| io::Error::other("the cipher refused its input"))
    }

    fn open(&mut self, chunk: &mut Vec<u8>, position: Position) -> io::Result<()> {
        let nonce = self.nonce(position)?;
        let opened = self.key.open_in_place(nonce, Aad::empty(), chunk).map(|plain| plain.len());
        let Ok(length) = opened else {
            // What was deciphered before the tag was compared is nobody's to see.
            chunk.clear();
            return Err(damaged());
        };
        chunk.truncate(length);
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a spooled mail doesn't open: other keys, another id, or changed bytes")
}

/// Seals what is written to it. Without [`SpoolWriter::finish`] nothing of it opens.
pub(crate) struct SpoolWriter<W> {
    chain: Chain,
    chunk: Vec<u8>,
    to: W,
}

impl<W: Write> SpoolWriter<W> {
    pub(super) fn new(spool: &Epochs, id: &QueueId, mut to: W) -> Result<Self, KeyringError> {
        let (epoch, root) = spool.present();
        let epoch = epoch.to_be_bytes();
        let salt = random::<SALT_LEN>()?;
        let chain = Chain::new(root, id, epoch, &salt)?;
        to.write_all(&[epoch.as_slice(), &salt].concat()).map_err(KeyringError::Spool)?;
        Ok(Self { chain, chunk: Vec::with_capacity(CHUNK + TAG), to })
    }

    /// Writes the last chunk.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end_chunk(Position::Last)?;
        self.to.write_all(&[SPOOL_FORMAT_3])?;
        Ok(self.to)
    }

    fn end_chunk(&mut self, position: Position) -> io::Result<()> {
        self.chain.seal(&mut self.chunk, position)?;
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for SpoolWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is sealed when it is known not to be the last.
        if self.chunk.len() >= CHUNK && !bytes.is_empty() {
            self.end_chunk(Position::Inner)?;
        }
        let fits = bytes.len().min(CHUNK.saturating_sub(self.chunk.len()));
        self.chunk.extend_from_slice(bytes.get(..fits).unwrap_or_default());
        Ok(fits)
    }

    /// Changes nothing: a chunk is written when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the mail in a blob. An error says that what was read before may not be all.
pub(crate) struct SpoolReader<R> {
    content: Content<R>,
    /// Verified, and read up to `at`.
    chunk: Vec<u8>,
    at: usize,
    /// Octets of the mail.
    length: u64,
}

enum Content<R> {
    Chunks {
        chain: Box<Chain>,
        from: R,
        /// Octets of sealed chunks that weren't read yet.
        left: u64,
    },
    /// Nothing follows. Formats 1 and 2 are in one piece.
    End,
    Damaged,
}

/// Whether a blob is in the present format. What is read next is its beginning.
pub(crate) fn is_spooled_in_chunks<R: Read + Seek>(from: &mut R) -> io::Result<bool> {
    let mut format = [0];
    from.seek(SeekFrom::End(-1))?;
    from.read_exact(&mut format)?;
    from.rewind()?;
    Ok(format == [SPOOL_FORMAT_3])
}

impl<R: Read + Seek> SpoolReader<R> {
    /// `size` octets are in `from`.
    pub(super) fn new(spool: &Epochs, id: &QueueId, mut from: R, size: u64) -> Result<Self, KeyringError> {
        if !is_spooled_in_chunks(&mut from).map_err(KeyringError::Spool)? {
            let mut sealed = Vec::with_capacity(usize::try_from(size).map_err(|_| KeyringError::NotOurs)?);
            from.take(size).read_to_end(&mut sealed).map_err(KeyringError::Spool)?;
            let chunk = super::storage::spool_open(spool, id, sealed)?;
            let length = octets(chunk.len());
            return Ok(Self { content: Content::End, chunk, at: 0, length });
        }
        let (mut epoch, mut salt) = ([0; EPOCH_LEN], [0; SALT_LEN]);
        from.read_exact(&mut epoch).and_then(|()| from.read_exact(&mut salt)).map_err(|_| KeyringError::NotOurs)?;
        let left = size.checked_sub(octets(EPOCH_LEN + SALT_LEN + 1)).ok_or(KeyringError::NotOurs)?;
        let tags = left.div_ceil(octets(CHUNK + TAG)).saturating_mul(octets(TAG));
        let length = left.checked_sub(tags).filter(|_| left > 0).ok_or(KeyringError::NotOurs)?;
        let root = spool.get(u32::from_be_bytes(epoch)).ok_or(KeyringError::NotOurs)?;
        let chain = Chain::new(root, id, epoch, &salt)?;
        let chunk = Vec::with_capacity(CHUNK + TAG);
        Ok(Self { content: Content::Chunks { chain: Box::new(chain), from, left }, chunk, at: 0, length })
    }

    /// Octets of the whole mail.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        self.chunk.clear();
        self.at = 0;
        let Content::Chunks { chain, from, left } = &mut self.content else {
            return Err(damaged());
        };
        let size = (*left).min(octets(CHUNK + TAG));
        *left -= size;
        let position = if *left == 0 { Position::Last } else { Position::Inner };
        let opened = from.take(size).read_to_end(&mut self.chunk).and_then(|read| {
            if octets(read) < size {
                return Err(damaged());
            }
            chain.open(&mut self.chunk, position)
        });
        if opened.is_err() {
            self.chunk.clear();
            self.content = Content::Damaged;
        } else if position == Position::Last {
            self.content = Content::End;
        }
        opened
    }
}

impl<R: Read + Seek> Read for SpoolReader<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.chunk.len() && !matches!(self.content, Content::End) {
            self.next_chunk()?;
        }
        let mut rest = self.chunk.get(self.at..).unwrap_or_default();
        let read = rest.read(to)?;
        self.at += read;
        Ok(read)
    }
}

fn octets(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
