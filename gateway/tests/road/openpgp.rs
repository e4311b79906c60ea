//! A browser's OpenPGP, by Sequoia: opens what has a password, seals what goes to the organisation.

use std::io::{Read, Write};

use sequoia_openpgp::crypto::{KeyPair, SessionKey};
use sequoia_openpgp::packet::pkesk::PKESK6;
use sequoia_openpgp::packet::{PKESK, Padding, SKESK};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageLayer, MessageStructure, VerificationHelper,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::serialize::stream::{Encryptor, LiteralWriter, Message, Signer};
use sequoia_openpgp::types::{AEADAlgorithm, SymmetricAlgorithm};
use sequoia_openpgp::{Cert, KeyHandle, Packet, anyhow};

struct Opener {
    password: String,
    certificate: Cert,
    signatures: usize,
}

impl VerificationHelper for Opener {
    fn get_certs(&mut self, _: &[KeyHandle]) -> anyhow::Result<Vec<Cert>> {
        Ok(vec![self.certificate.clone()])
    }

    fn check(&mut self, structure: MessageStructure) -> anyhow::Result<()> {
        for layer in structure {
            if let MessageLayer::SignatureGroup { results } = layer {
                for result in results {
                    result.map_err(|e| anyhow::anyhow!("{e}"))?;
                    self.signatures += 1;
                }
            }
        }
        Ok(())
    }
}

impl DecryptionHelper for Opener {
    fn decrypt(
        &mut self,
        _: &[PKESK],
        skesks: &[SKESK],
        _: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> anyhow::Result<Option<Cert>> {
        let skesk = skesks.first().ok_or_else(|| anyhow::anyhow!("no key packet"))?;
        let (algorithm, key) = skesk.decrypt(&self.password.as_str().into())?;
        anyhow::ensure!(decrypt(algorithm, &key), "does not open");
        Ok(None)
    }
}

/// Content and number of good signatures; an error where the password isn't the one.
pub fn open(certificate: &[u8], password: &str, key_packet: &[u8], packet: &[u8]) -> anyhow::Result<(Vec<u8>, usize)> {
    let certificate = Cert::from_bytes(certificate)?;
    let policy = StandardPolicy::new();
    let message = [key_packet, packet].concat();
    let opener = Opener { password: password.to_owned(), certificate, signatures: 0 };
    let mut reader = DecryptorBuilder::from_bytes(&message)?.with_policy(&policy, None, opener)?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content)?;
    Ok((content, reader.into_helper().signatures))
}

/// A session key for a reply, and its packet for the organisation.
pub fn session_key_for(certificate: &[u8]) -> (SessionKey, Vec<u8>) {
    let certificate = Cert::from_bytes(certificate).unwrap();
    let policy = StandardPolicy::new();
    let key = certificate.keys().with_policy(&policy, None).for_transport_encryption().next().unwrap();
    let session_key = SessionKey::new(32).unwrap();
    let packet = PKESK6::for_recipient(&session_key, key.key()).unwrap();
    (session_key, Packet::from(packet).to_vec().unwrap())
}

/// The session key that a key packet holds for a password.
pub fn session_key(password: &str, key_packet: &[u8]) -> SessionKey {
    let Ok(Packet::SKESK(SKESK::V6(packet))) = Packet::from_bytes(key_packet) else { panic!("no SKESK") };
    packet.decrypt(&password.into()).unwrap()
}

struct KeyHolder<'a>(&'a SessionKey);

impl VerificationHelper for KeyHolder<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> anyhow::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    fn check(&mut self, _: MessageStructure) -> anyhow::Result<()> {
        Ok(())
    }
}

impl DecryptionHelper for KeyHolder<'_> {
    fn decrypt(
        &mut self,
        _: &[PKESK],
        _: &[SKESK],
        _: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> anyhow::Result<Option<Cert>> {
        anyhow::ensure!(decrypt(None, self.0), "does not open");
        Ok(None)
    }
}

/// What a session key opens; signatures aren't looked at.
pub fn open_with(session_key: &SessionKey, key_packet: &[u8], packet: &[u8]) -> Option<Vec<u8>> {
    let policy = StandardPolicy::new();
    let message = [key_packet, packet].concat();
    let mut reader =
        DecryptorBuilder::from_bytes(&message).ok()?.with_policy(&policy, None, KeyHolder(session_key)).ok()?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content).ok()?;
    Some(content)
}

/// Literal data and padding, as one SEIPD packet of version 2.
pub fn seal(session_key: &SessionKey, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = LiteralWriter::new(Message::new(&mut content)).build().unwrap();
    writer.write_all(bytes).unwrap();
    writer.finalize().unwrap();
    seal_content(session_key, content)
}

/// Signed literal data and padding.
pub fn seal_signed(session_key: &SessionKey, bytes: &[u8], signer: KeyPair) -> Vec<u8> {
    let mut content = Vec::new();
    let signer = Signer::new(Message::new(&mut content), signer).unwrap().build().unwrap();
    let mut writer = LiteralWriter::new(signer).build().unwrap();
    writer.write_all(bytes).unwrap();
    writer.finalize().unwrap();
    seal_content(session_key, content)
}

fn seal_content(session_key: &SessionKey, mut content: Vec<u8>) -> Vec<u8> {
    let room = 4096_usize.saturating_sub(content.len()).max(64);
    content.extend(Packet::from(Padding::new(room).unwrap()).to_vec().unwrap());
    let mut packet = Vec::new();
    let message = Message::new(&mut packet);
    let mut writer = Encryptor::with_session_key(message, SymmetricAlgorithm::AES256, session_key.clone())
        .unwrap()
        .aead_algo(AEADAlgorithm::GCM)
        .build()
        .unwrap();
    writer.write_all(&content).unwrap();
    writer.finalize().unwrap();
    packet
}
