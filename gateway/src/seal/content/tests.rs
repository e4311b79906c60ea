//! Tests of sealed contents: one packet, padded, opened only by its own session key.

use sequoia_openpgp::packet::{Literal, Marker};
use sequoia_openpgp::serialize::Serialize;
use sequoia_openpgp::serialize::stream::Compressor;
use sequoia_openpgp::types::DataFormat;

use super::*;
use crate::seal::shape::data_packet;

fn sealed(key: &SessionKey, bytes: &[u8]) -> Vec<u8> {
    seal_content(key, literal(bytes).unwrap()).unwrap()
}

fn open(key: &SessionKey, packet: &[u8]) -> Result<Vec<u8>, anyhow::Error> {
    open_content(key, &[], packet).map(|mut bytes| std::mem::take(&mut *bytes))
}

#[test]
fn sizes_tell_the_padded_length_and_nothing_more() {
    let key = SessionKey::new(32).unwrap();
    let mut sizes = std::collections::BTreeMap::new();
    for length in (0..6000).step_by(7).chain(6000..6200).chain((6200..70_000).step_by(977)).chain([1_000_000]) {
        let content = literal(&vec![b'x'; length]).unwrap();
        let padded = padme(content.len() as u64 + 6).max(4096);
        let packet = seal_content(&key, content).unwrap();
        assert_eq!(data_packet(&packet), Ok(()));
        assert!(packet.len() >= 4096);
        let overhead = packet.len() as u64 - padded;
        assert!(overhead < 200 + padded / 128, "{length}: {overhead}");
        assert_eq!(*sizes.entry(padded).or_insert(packet.len()), packet.len(), "{length}");
    }
    assert!(sizes.contains_key(&4096) && sizes.len() > 20);
}

#[test]
fn content_comes_back() {
    let key = SessionKey::new(32).unwrap();
    for length in [0, 1, 4000, 4096, 70_000, 5_000_000] {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        assert_eq!(open(&key, &sealed(&key, &bytes)).unwrap(), bytes, "{length}");
    }
}

#[test]
fn every_changed_byte_is_found() {
    let key = SessionKey::new(32).unwrap();
    let packet = sealed(&key, b"content");
    for place in (0..60).chain((60..packet.len()).step_by(37)).chain(packet.len() - 40..packet.len()) {
        let mut changed = packet.clone();
        changed[place] ^= 1;
        assert!(data_packet(&changed).is_err() || open(&key, &changed).is_err(), "byte {place}");
    }
    assert!(open(&SessionKey::new(32).unwrap(), &packet).is_err());
}

#[test]
fn a_cut_end_is_found_behind_many_chunks() {
    let key = SessionKey::new(32).unwrap();
    // Larger than what the library holds back before it hands out content.
    let bytes = vec![3; 30 * 1024 * 1024];
    let mut packet = sealed(&key, &bytes);
    assert_eq!(open(&key, &packet).unwrap().len(), bytes.len());
    if let Some(last) = packet.last_mut() {
        *last ^= 1;
    }
    assert!(open(&key, &packet).is_err());
}

/// Seals a content as it is, however wrong it is.
fn sealed_raw(key: &SessionKey, fill: impl FnOnce(Message) -> anyhow::Result<()>) -> Vec<u8> {
    let mut packet = Vec::new();
    let message = Encryptor::with_session_key(Message::new(&mut packet), SymmetricAlgorithm::AES256, key.clone())
        .unwrap()
        .aead_algo(AEADAlgorithm::GCM)
        .build()
        .unwrap();
    fill(message).unwrap();
    packet
}

fn a_literal() -> Literal {
    let mut literal = Literal::new(DataFormat::Binary);
    literal.set_body(b"text".to_vec());
    literal
}

#[test]
fn only_literal_data_and_padding_are_taken() {
    let key = SessionKey::new(32).unwrap();
    let plain = sealed_raw(&key, |mut message| {
        sequoia_openpgp::Packet::from(a_literal()).serialize(&mut message)?;
        message.finalize()
    });
    assert_eq!(open(&key, &plain).unwrap(), b"text");

    let compressed = sealed_raw(&key, |message| {
        let mut writer = LiteralWriter::new(Compressor::new(message).build()?).build()?;
        writer.write_all(&vec![0; 1 << 20])?;
        writer.finalize()
    });
    let two = sealed_raw(&key, |mut message| {
        for _ in 0..2 {
            sequoia_openpgp::Packet::from(a_literal()).serialize(&mut message)?;
        }
        message.finalize()
    });
    let marked = sealed_raw(&key, |mut message| {
        sequoia_openpgp::Packet::from(Marker::default()).serialize(&mut message)?;
        sequoia_openpgp::Packet::from(a_literal()).serialize(&mut message)?;
        message.finalize()
    });
    let nothing = sealed_raw(&key, |message| message.finalize());
    assert!(data_packet(&nothing).is_err() && open(&key, &nothing).is_err());
    let noise = sealed_raw(&key, |mut message| {
        message.write_all(&[0x55; 100])?;
        message.finalize()
    });
    let twice = sealed_raw(&key, |mut message| {
        message.write_all(&sealed(&key, b"inner"))?;
        message.finalize()
    });
    for (name, packet) in
        [("compressed", compressed), ("two", two), ("marked", marked), ("noise", noise), ("twice", twice)]
    {
        assert_eq!(data_packet(&packet), Ok(()), "{name}");
        assert!(open(&key, &packet).is_err(), "{name}");
    }
}
