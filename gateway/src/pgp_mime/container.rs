//! The container of version 1: encrypted as it comes, with a digest at its end that shows a change.
//!
//! Written here because the digest must be SHA-1, and the library's looks for collisions in all that it digests. That protects
//! whoever believes a signature. Here secret random octets are digested first, so that nobody can have prepared a collision, and the
//! digest is encrypted; looking took a quarter of the time of encrypting a mail. Cipher and digest are OpenSSL's.
//!
//! Standards: RFC 9580 5.13.1 (packet), 4.2.1 (lengths), FIPS 197, SP 800-38A (CFB).

use std::io;
use std::sync::LazyLock;

use ossl::OsslContext;
use ossl::OsslSecret;
use ossl::cipher::{AesSize, EncAlg, OsslCipher};
use ossl::digest::{DigestAlg, OsslDigest};
use sequoia_openpgp::Error;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::types::SymmetricAlgorithm;
use zeroize::Zeroizing;

use sealpost_vault::id::random;

/// Tag 18, new format.
const TAG: u8 = 0xc0 | 18;
const VERSION: u8 = 1;
/// Octets of a block of AES.
const BLOCK: usize = 16;
/// What the digest's packet begins with: tag 19, twenty octets.
const DIGEST: [u8; 2] = [0xc0 | 19, 20];
const DIGEST_LENGTH: usize = 20;
/// Octets of each part but the last, as a power of two.
const PART: usize = 1 << PART_POWER;
const PART_POWER: u8 = 16;

static OPENSSL: LazyLock<Result<OsslContext, ossl::Error>> = LazyLock::new(OsslContext::new_lib_ctx_checked);

/// Ends with [`SeipdV1::finish`].
pub(super) struct SeipdV1<W> {
    out: W,
    cipher: OsslCipher,
    digest: OsslDigest,
    /// The packet's octets that are no part yet.
    begun: Vec<u8>,
    has_tag: bool,
}

impl<W: io::Write> SeipdV1<W> {
    pub(super) fn new(out: W, cipher: SymmetricAlgorithm, session_key: &SessionKey) -> sequoia_openpgp::Result<Self> {
        // Behind it nobody looks at the length any more.
        if session_key.len() != cipher.key_size()? {
            return Err(Error::InvalidArgument(format!("a session key of {} octets", session_key.len())).into());
        }
        let size = match cipher {
            SymmetricAlgorithm::AES128 => AesSize::Aes128,
            SymmetricAlgorithm::AES192 => AesSize::Aes192,
            SymmetricAlgorithm::AES256 => AesSize::Aes256,
            other => return Err(Error::UnsupportedSymmetricAlgorithm(other).into()),
        };
        let openssl = OPENSSL.as_ref().map_err(Clone::clone)?;
        let key = OsslSecret::from_slice(session_key);
        let cipher = OsslCipher::new(openssl, EncAlg::AesCfb128(size), true, key, Some(vec![0; BLOCK]), None)?;
        let digest = OsslDigest::new(openssl, DigestAlg::Sha1, None)?;
        let mut begun = Vec::with_capacity(PART + BLOCK);
        begun.push(VERSION);
        let mut container = Self { out, cipher, digest, begun, has_tag: false };
        let mut prefix = Zeroizing::new([0; BLOCK + 2]);
        let block = Zeroizing::new(random::<BLOCK>()?);
        // The last two octets once more: for quick checks, which nobody should make any more.
        let again = block.iter().skip(BLOCK - 2);
        prefix.iter_mut().zip(block.iter().chain(again)).for_each(|(to, from)| *to = *from);
        container.encrypt(&*prefix)?;
        Ok(container)
    }

    /// Writes what is left, with the digest.
    pub(super) fn finish(mut self) -> sequoia_openpgp::Result<()> {
        self.encrypt(&DIGEST)?;
        let mut digest = [0; DIGEST_LENGTH];
        self.digest.finalize(&mut digest)?;
        self.encrypt_only(&digest)?;
        self.write_tag()?;
        let length = u32::try_from(self.begun.len())?.to_be_bytes();
        self.out.write_all(&[u8::MAX])?;
        self.out.write_all(&length)?;
        Ok(self.out.write_all(&self.begun)?)
    }

    fn encrypt(&mut self, bytes: &[u8]) -> sequoia_openpgp::Result<()> {
        self.digest.update(bytes)?;
        self.encrypt_only(bytes)
    }

    fn encrypt_only(&mut self, bytes: &[u8]) -> sequoia_openpgp::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // The last part has a length of its own, and may be as long as the others.
            if self.begun.len() == PART {
                self.write_tag()?;
                self.out.write_all(&[0xe0 | PART_POWER])?;
                self.out.write_all(&self.begun)?;
                self.begun.clear();
            }
            let (now, later) = rest.split_at(rest.len().min(PART - self.begun.len()));
            let from = self.begun.len();
            self.begun.extend_from_slice(now);
            let written = self.cipher.update_in_place(self.begun.get_mut(from..).unwrap_or_default())?;
            if written != now.len() {
                return Err(Error::InvalidOperation("a cipher of streams that keeps octets back".to_owned()).into());
            }
            rest = later;
        }
        Ok(())
    }

    fn write_tag(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_tag, true) {
            self.out.write_all(&[TAG])?;
        }
        Ok(())
    }
}

impl<W: io::Write> io::Write for SeipdV1<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encrypt(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use sequoia_openpgp::packet::{PKESK, SKESK};
    use sequoia_openpgp::parse::Parse;
    use sequoia_openpgp::parse::stream::{DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper};
    use sequoia_openpgp::policy::StandardPolicy;
    use sequoia_openpgp::serialize::stream::{LiteralWriter, Message};
    use sequoia_openpgp::{Cert, KeyHandle};

    use super::*;

    /// Knows the session key.
    struct Holder(SymmetricAlgorithm, SessionKey);

    impl VerificationHelper for Holder {
        fn get_certs(&mut self, _: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
            Ok(Vec::new())
        }

        fn check(&mut self, _: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
            Ok(())
        }
    }

    impl DecryptionHelper for Holder {
        fn decrypt(
            &mut self,
            _: &[PKESK],
            _: &[SKESK],
            _: Option<SymmetricAlgorithm>,
            decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
        ) -> sequoia_openpgp::Result<Option<Cert>> {
            assert!(decrypt(Some(self.0), &self.1));
            Ok(None)
        }
    }

    fn sealed(content: &[u8], piece: usize, cipher: SymmetricAlgorithm) -> (Vec<u8>, SessionKey) {
        let session_key = SessionKey::new(cipher.key_size().unwrap()).unwrap();
        let mut out = Vec::new();
        let mut container = SeipdV1::new(&mut out, cipher, &session_key).unwrap();
        let mut literal = LiteralWriter::new(Message::new(&mut container)).build().unwrap();
        content.chunks(piece).for_each(|piece| literal.write_all(piece).unwrap());
        literal.finalize().unwrap();
        container.finish().unwrap();
        (out, session_key)
    }

    /// Opened by OpenPGP's library, which had no part in the container.
    fn opened(message: &[u8], cipher: SymmetricAlgorithm, key: &SessionKey) -> sequoia_openpgp::Result<Vec<u8>> {
        let policy = StandardPolicy::new();
        let holder = Holder(cipher, key.clone());
        let mut reader = DecryptorBuilder::from_bytes(message)?.with_policy(&policy, None, holder)?;
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn the_library_opens_every_length_and_cipher() {
        let content: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let ciphers = [SymmetricAlgorithm::AES128, SymmetricAlgorithm::AES192, SymmetricAlgorithm::AES256];
        // Around the end of the first part, and of the second, whatever the packets within take.
        let ends = [1, 2].into_iter().flat_map(|parts| parts * PART - 80..parts * PART + 2);
        for (n, length) in [0, 1, 17, 200_000].into_iter().chain(ends).enumerate() {
            let content = &content[..length];
            let cipher = ciphers[n % 3];
            let (message, key) = sealed(content, [1_000, 70_000][n % 2], cipher);
            assert!(opened(&message, cipher, &key).unwrap() == content, "{length}");
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for length in [0, 16, 31, 33] {
            let key = SessionKey::new(length).unwrap();
            assert!(SeipdV1::new(Vec::new(), SymmetricAlgorithm::AES256, &key).is_err(), "{length}");
        }
    }

    #[test]
    fn a_changed_octet_is_found() {
        let cipher = SymmetricAlgorithm::AES256;
        let (message, key) = sealed(&[b'x'; 100], 100, cipher);
        for back in 1..60 {
            let mut changed = message.clone();
            let at = changed.len() - back;
            changed[at] ^= 1;
            assert!(opened(&changed, cipher, &key).is_err(), "{back} from the end");
        }
    }
}
