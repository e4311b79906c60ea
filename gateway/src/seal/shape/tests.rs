//! Tests of the shapes: hostile packets are refused before a library sees them.

use super::*;

/// A SEIPD body: version, cipher, AEAD, chunk size, then `rest` octets.
fn seipd(version: u8, cipher: u8, aead: u8, chunk: u8, rest: usize) -> Vec<u8> {
    [vec![version, cipher, aead, chunk], vec![0x55; rest]].concat()
}

/// New format, five octets of length.
fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[0xc0 | tag, 0xff], (body.len() as u32).to_be_bytes().as_slice(), body].concat()
}

fn old_format(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[0x80 | tag << 2 | 2], (body.len() as u32).to_be_bytes().as_slice(), body].concat()
}

fn in_pieces(tag: u8, body: &[u8], power: u8) -> Vec<u8> {
    let mut out = vec![0xc0 | tag];
    let mut rest = body;
    while rest.len() >= 1 << power {
        let (piece, after) = rest.split_at(1 << power);
        out.push(224 + power);
        out.extend_from_slice(piece);
        rest = after;
    }
    out.push(0xff);
    out.extend_from_slice(&(rest.len() as u32).to_be_bytes());
    out.extend_from_slice(rest);
    out
}

#[test]
fn data_packets() {
    use ShapeError::*;
    let good = seipd(2, 9, 3, 16, 5000);
    let whole = packet(18, &good);
    let pieces = in_pieces(18, &good, 9);
    let cases: Vec<(&str, Vec<u8>, Result<(), ShapeError>)> = vec![
        ("definite", whole.clone(), Ok(())),
        ("in pieces", pieces.clone(), Ok(())),
        ("pieces that end with an empty one", in_pieces(18, &seipd(2, 9, 3, 6, 1020), 10), Ok(())),
        ("two octets of length", [&[0xd2, 192, 8], seipd(2, 9, 3, 0, 196).as_slice()].concat(), Ok(())),
        ("one octet of length", [&[0xd2, 68], seipd(2, 9, 3, 0, 64).as_slice()].concat(), Ok(())),
        ("nothing", vec![], Err(Truncated)),
        ("only a head", vec![0xd2], Err(Truncated)),
        ("half a length", vec![0xd2, 0xff, 0, 0], Err(Truncated)),
        ("half a short length", vec![0xd2, 200], Err(Truncated)),
        ("two packets", [whole.clone(), whole.clone()].concat(), Err(Trailing)),
        ("a packet before it", [packet(21, b"x"), whole.clone()].concat(), Err(Trailing)),
        ("a key packet before it", [packet(3, &[6; 70]), whole.clone()].concat(), Err(Trailing)),
        ("one octet more", [whole.clone(), vec![0]].concat(), Err(Trailing)),
        ("one octet more behind pieces", [pieces.clone(), vec![0xd2]].concat(), Err(Trailing)),
        ("one octet less", whole[..whole.len() - 1].to_vec(), Err(Truncated)),
        ("pieces cut", pieces[..pieces.len() - 1].to_vec(), Err(Truncated)),
        ("pieces cut at a border", pieces[..1 + 513].to_vec(), Err(Truncated)),
        ("pieces without an end", [&[0xd2, 224 + 9], vec![0x55; 512].as_slice()].concat(), Err(Truncated)),
        ("a piece of a gigabyte", [&[0xd2, 254], good.as_slice()].concat(), Err(Truncated)),
        ("four gigabytes", [&[0xd2, 255, 255, 255, 255, 255], good.as_slice()].concat(), Err(Truncated)),
        ("a short first piece", in_pieces(18, &good, 8), Err(Pieces)),
        ("a first piece of one octet", [&[0xd2, 224, 2, 0xff], [0; 4].as_slice()].concat(), Err(Pieces)),
        ("old format", old_format(9, &good), Err(Format)),
        ("old format, open end", [&[0x80 | 9 << 2 | 3], good.as_slice()].concat(), Err(Format)),
        ("no packet at all", b"-----BEGIN PGP MESSAGE-----".to_vec(), Err(Format)),
        ("SED", packet(9, &good), Err(Kind)),
        ("GnuPG's AEAD", packet(20, &good), Err(Kind)),
        ("compressed", packet(8, &good), Err(Kind)),
        ("literal", packet(11, &good), Err(Kind)),
        ("SEIPD version 1", packet(18, &seipd(1, 9, 3, 16, 5000)), Err(Version)),
        ("SEIPD version 3", packet(18, &seipd(3, 9, 3, 16, 5000)), Err(Version)),
        ("AES-128", packet(18, &seipd(2, 7, 3, 16, 5000)), Err(Algorithm)),
        ("unencrypted", packet(18, &seipd(2, 0, 3, 16, 5000)), Err(Algorithm)),
        ("EAX", packet(18, &seipd(2, 9, 1, 16, 5000)), Err(Algorithm)),
        ("OCB", packet(18, &seipd(2, 9, 2, 16, 5000)), Err(Algorithm)),
        ("chunks too large", packet(18, &seipd(2, 9, 3, 17, 5000)), Err(ChunkSize)),
        ("chunks of 2^261", packet(18, &seipd(2, 9, 3, 255, 5000)), Err(ChunkSize)),
        ("empty", packet(18, b""), Err(Length)),
        ("version only", packet(18, &[2]), Err(Length)),
        ("too short for salt and tags", packet(18, &seipd(2, 9, 3, 16, 63)), Err(Length)),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(data_packet(&bytes), expected, "{name}");
    }
}

fn pkesk() -> Vec<u8> {
    [&[6, 33, 6], [0xaa; 32].as_slice(), &[25], &[0xbb; 32], &[40], &[0xcc; 40]].concat()
}

fn skesk() -> Vec<u8> {
    let s2k = [&[3, 8], [0xaa; 8].as_slice(), &[0]].concat();
    [&[6, 26, 9, 3, 11], s2k.as_slice(), &[0xbb; 12], &[0xcc; 48]].concat()
}

fn with(mut body: Vec<u8>, place: usize, value: u8) -> Vec<u8> {
    body[place] = value;
    body
}

#[test]
fn key_packets_to_the_certificate() {
    use ShapeError::*;
    let good = packet(1, &pkesk());
    let cases: Vec<(&str, Vec<u8>, Result<(), ShapeError>)> = vec![
        ("as it should be", good.clone(), Ok(())),
        ("one octet of length", [&[0xc1, 109], pkesk().as_slice()].concat(), Ok(())),
        ("two", [good.clone(), good.clone()].concat(), Err(Trailing)),
        ("with data behind it", [good.clone(), packet(18, &seipd(2, 9, 3, 16, 100))].concat(), Err(Trailing)),
        ("cut", good[..good.len() - 1].to_vec(), Err(Truncated)),
        ("by password", packet(3, &skesk()), Err(Kind)),
        ("old format", old_format(1, &pkesk()), Err(Format)),
        ("version 3", packet(1, &with(pkesk(), 0, 3)), Err(Version)),
        ("to nobody", packet(1, &with(pkesk(), 1, 0)), Err(Algorithm)),
        ("to a version 4 key", packet(1, &with(pkesk(), 2, 4)), Err(Algorithm)),
        ("RSA", packet(1, &with(pkesk(), 35, 1)), Err(Algorithm)),
        ("ECDH", packet(1, &with(pkesk(), 35, 18)), Err(Algorithm)),
        ("a key of 16 octets", packet(1, &with(pkesk(), 68, 24)), Err(Length)),
        ("one octet more inside", packet(1, &[pkesk(), vec![0]].concat()), Err(Length)),
        ("empty", packet(1, b""), Err(Length)),
        ("version only", packet(1, &[6]), Err(Length)),
        ("in pieces", in_pieces(1, &[pkesk(), vec![0; 600]].concat(), 9), Err(Pieces)),
        ("more than a kilobyte", packet(1, &[pkesk(), vec![0; 1000]].concat()), Err(Length)),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(key_packet_to_certificate(&bytes), expected, "{name}");
    }
}

#[test]
fn key_packets_by_password() {
    use ShapeError::*;
    let good = packet(3, &skesk());
    let cases: Vec<(&str, Vec<u8>, Result<(), ShapeError>)> = vec![
        ("as it should be", good.clone(), Ok(())),
        ("two", [good.clone(), good.clone()].concat(), Err(Trailing)),
        ("to a certificate", packet(1, &pkesk()), Err(Kind)),
        ("version 4", packet(3, &with(skesk(), 0, 4)), Err(Version)),
        ("version 5", packet(3, &with(skesk(), 0, 5)), Err(Version)),
        ("AES-128", packet(3, &with(skesk(), 2, 7)), Err(Algorithm)),
        ("OCB", packet(3, &with(skesk(), 3, 2)), Err(Algorithm)),
        ("Argon2", packet(3, &with(skesk(), 5, 4)), Err(Algorithm)),
        ("SHA-1", packet(3, &with(skesk(), 6, 2)), Err(Algorithm)),
        ("another count of octets", packet(3, &with(skesk(), 1, 27)), Err(Length)),
        ("another S2K length", packet(3, &with(skesk(), 4, 20)), Err(Length)),
        ("one octet more inside", packet(3, &[skesk(), vec![0]].concat()), Err(Length)),
        ("empty", packet(3, b""), Err(Length)),
        ("more than a kilobyte", packet(3, &vec![6; 1100]), Err(Length)),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(key_packet_by_password(&bytes), expected, "{name}");
    }
}

#[test]
fn no_prefix_and_no_random_bytes_pass() {
    let good = in_pieces(18, &seipd(2, 9, 3, 16, 2000), 9);
    for length in 0..good.len() {
        assert!(data_packet(&good[..length]).is_err(), "{length}");
    }
    let mut state = 1u64;
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        assert!(data_packet(&bytes).is_err());
        assert!(key_packet_to_certificate(&bytes).is_err());
        assert!(key_packet_by_password(&bytes).is_err());
    }
}

#[test]
fn account_files() {
    use ShapeError::*;
    let (way, data) = ([&[0xc3, 76], skesk().as_slice()].concat(), packet(18, &seipd(2, 9, 3, 12, 4200)));
    assert_eq!(key_packet_by_password(&way), Ok(()));
    let mut laborious = way.clone();
    laborious[2 + 15] = 96;
    let file = |ways: usize| [way.repeat(ways), data.clone()].concat();
    for (name, bytes, expected) in [
        ("one way", file(1), Ok(())),
        ("eight ways", file(8), Ok(())),
        ("nine ways", file(9), Err(Kind)),
        ("no way", file(0), Err(Length)),
        ("nothing", vec![], Err(Truncated)),
        ("ways to nothing", way.repeat(2), Err(Truncated)),
        ("something behind it", [file(2), vec![0]].concat(), Err(Trailing)),
        ("a way behind it", [file(2), way.clone()].concat(), Err(Trailing)),
        ("two contents", [file(2), packet(18, &seipd(2, 9, 3, 12, 1000))].concat(), Err(Trailing)),
        ("a way that takes a while", [laborious, data.clone()].concat(), Err(Algorithm)),
        ("a key packet to a certificate", [packet(1, &[6; 100]), data.clone()].concat(), Err(Kind)),
        ("padding in front", [packet(21, &[6; 100]), file(1)].concat(), Err(Kind)),
        ("another cipher", [way.clone(), packet(18, &seipd(2, 7, 3, 12, 4200))].concat(), Err(Algorithm)),
        ("SEIPD version 1", [way.clone(), packet(18, &seipd(1, 9, 3, 12, 4200))].concat(), Err(Version)),
        ("cut", file(2)[..4000].to_vec(), Err(Truncated)),
        ("too long", [way.clone(), packet(18, &seipd(2, 9, 3, 12, 8192))].concat(), Err(Length)),
    ] {
        assert_eq!(account_file(&bytes), expected, "{name}");
    }
}
