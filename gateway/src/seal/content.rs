//! One sealed packet: padded content under a session key, and back.
//!
//! The padding packet's length is always written with five octets. With the shortest form its header, and with it the
//! stored size, would depend on how much was padded, and would tell what the padding hides.
//!
//! Security: content is handed out only after the end of its packet was authenticated; inside are literal data and
//! padding, in a signed one a signature too, and nothing else, so no compressed packet is ever inflated.
//! Standards: RFC 9580 5.9 (literal data), 5.13.2 (SEIPD version 2), 5.14 (padding).

use std::io::{Read, Write};

use ring::rand::{SecureRandom, SystemRandom};
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::{PKESK, SKESK, Signature, Tag};
use sequoia_openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
};
use sequoia_openpgp::parse::{PacketParser, Parse};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::stream::padding::padme;
use sequoia_openpgp::serialize::stream::{Encryptor, LiteralWriter, Message, Signer};
use sequoia_openpgp::types::{AEADAlgorithm, HashAlgorithm, SymmetricAlgorithm};
use sequoia_openpgp::{KeyHandle, anyhow};
use zeroize::Zeroizing;

use super::letter::SealError;
use crate::keyring::Organisation;

/// Nothing stored is smaller.
const SMALLEST: u64 = 4096;
/// Tag 21, then a length of five octets.
const PADDING_HEADER: u64 = 6;

/// Bytes as one literal packet: binary, without file name and date.
pub(super) fn literal(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut content = Zeroizing::new(Vec::with_capacity(room(bytes)));
    let mut writer = LiteralWriter::new(Message::new(&mut *content)).build()?;
    writer.write_all(bytes)?;
    writer.finalize()?;
    Ok(content)
}

/// Bytes as literal data with one signature of the organisation around it.
pub(super) fn signed(organisation: &Organisation, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let signer = organisation.signer().ok_or(SealError::NoSigningKey)?;
    let mut content = Zeroizing::new(Vec::with_capacity(room(bytes)));
    let signer = Signer::new(Message::new(&mut *content), signer)?
        .hash_algo(HashAlgorithm::SHA256)?
        .creation_time(organisation.time_of_signing())
        .build()?;
    let mut writer = LiteralWriter::new(signer).build()?;
    writer.write_all(bytes)?;
    writer.finalize()?;
    Ok(content)
}

/// Pads a content and seals it as exactly one SEIPD packet of version 2, AES-256 and GCM.
pub(super) fn seal_content(key: &SessionKey, mut content: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, SealError> {
    pad(&mut content)?;
    let mut packet = Vec::with_capacity(content.len() + 256);
    let mut writer = Encryptor::with_session_key(Message::new(&mut packet), SymmetricAlgorithm::AES256, key.clone())?
        .aead_algo(AEADAlgorithm::GCM)
        .build()?;
    writer.write_all(&content)?;
    writer.finalize()?;
    Ok(packet)
}

/// Opens one packet whose shape was checked. `key_packet` is any key packet: with it the two are an OpenPGP message.
pub(super) fn open_content(
    key: &SessionKey,
    key_packet: &[u8],
    packet: &[u8],
) -> Result<Zeroizing<Vec<u8>>, anyhow::Error> {
    let (content, signatures) = open(Opener::new(key, Signed::Never), key_packet, packet)?;
    anyhow::ensure!(signatures.is_empty(), "a signature where none belongs");
    Ok(content)
}

/// The same for a packet in which literal data is signed once. The signature is handed out and not judged.
pub(super) fn open_signed_content(
    key: &SessionKey,
    key_packet: &[u8],
    packet: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, Signature), anyhow::Error> {
    let (content, mut signatures) = open(Opener::new(key, Signed::Once), key_packet, packet)?;
    match (signatures.pop(), signatures.pop()) {
        (Some(signature), None) => Ok((content, signature)),
        _ => anyhow::bail!("not exactly one signature"),
    }
}

fn open(
    opener: Opener,
    key_packet: &[u8],
    packet: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, Vec<Signature>), anyhow::Error> {
    let message = Read::chain(key_packet, packet);
    let policy = StandardPolicy::new();
    let mut decryptor = DecryptorBuilder::from_reader(message)?.with_policy(&policy, None, opener)?;
    let mut content = Zeroizing::new(Vec::with_capacity(packet.len()));
    decryptor.read_to_end(&mut content)?;
    anyhow::ensure!(decryptor.message_processed(), "the message does not end");
    Ok((content, std::mem::take(&mut decryptor.helper_mut().signatures)))
}

/// Enough for the padded content: a vector that grows would leave copies of it behind.
fn room(bytes: &[u8]) -> usize {
    bytes.len() + bytes.len() / 8 + 2 * SMALLEST as usize
}

fn pad(content: &mut Vec<u8>) -> Result<(), SealError> {
    let length = content.len() as u64;
    let padded = padme(length + PADDING_HEADER).max(SMALLEST);
    let amount = padded - length - PADDING_HEADER;
    let octets = u32::try_from(amount).map_err(|_| SealError::TooLarge)?;
    content.extend_from_slice(&[0xc0 | 21, 0xff]);
    content.extend_from_slice(&octets.to_be_bytes());
    let from = content.len();
    content.resize(from + octets as usize, 0);
    if let Some(padding) = content.get_mut(from..) {
        SystemRandom::new().fill(padding).map_err(|_| sealpost_vault::id::NoRandomness)?;
    }
    Ok(())
}

/// Whether a signature belongs inside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Never,
    Once,
}

struct Opener<'a> {
    key: &'a SessionKey,
    signed: Signed,
    containers: usize,
    literals: usize,
    signatures: Vec<Signature>,
}

impl<'a> Opener<'a> {
    fn new(key: &'a SessionKey, signed: Signed) -> Self {
        Self { key, signed, containers: 0, literals: 0, signatures: Vec::new() }
    }
}

impl DecryptionHelper for Opener<'_> {
    fn decrypt(
        &mut self,
        _: &[PKESK],
        _: &[SKESK],
        _: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> anyhow::Result<Option<Cert>> {
        anyhow::ensure!(decrypt(None, self.key), "the session key does not fit");
        Ok(None)
    }
}

impl VerificationHelper for Opener<'_> {
    fn inspect(&mut self, packet: &PacketParser) -> anyhow::Result<()> {
        match packet.packet.tag() {
            Tag::SEIP => self.containers += 1,
            Tag::Literal => self.literals += 1,
            Tag::OnePassSig | Tag::Signature if self.signed == Signed::Once => {}
            Tag::PKESK | Tag::SKESK | Tag::Padding => {}
            _ => anyhow::bail!("a packet that does not belong here"),
        }
        anyhow::ensure!(self.containers <= 1, "sealed twice");
        anyhow::ensure!(self.literals <= 1, "two contents");
        Ok(())
    }

    // None is given away: whose signature it must be, the caller knows, and no clock has a say in it.
    fn get_certs(&mut self, _: &[KeyHandle]) -> anyhow::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    fn check(&mut self, structure: MessageStructure) -> anyhow::Result<()> {
        for layer in structure {
            match layer {
                MessageLayer::Encryption { .. } => {}
                MessageLayer::SignatureGroup { results } if self.signed == Signed::Once => {
                    for result in results {
                        let Err(VerificationError::MissingKey { sig }) = result else {
                            anyhow::bail!("a signature that is none");
                        };
                        self.signatures.push(sig.clone());
                    }
                }
                _ => anyhow::bail!("a layer that does not belong here"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
