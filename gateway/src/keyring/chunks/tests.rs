//! What opens, and what must not: everything that can be done to a blob without the key.

use std::io::Cursor;

use super::*;

const ID: [u8; 16] = [1; 16];
const HEAD: usize = EPOCH_LEN + SALT_LEN;
const SEALED: usize = CHUNK + TAG;

fn id() -> QueueId {
    QueueId::from_bytes(ID)
}

fn mail(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn seal(spool: &Epochs, mail: &[u8], piece: usize) -> Vec<u8> {
    let mut writer = SpoolWriter::new(spool, &id(), Vec::new()).unwrap();
    for piece in mail.chunks(piece) {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap()
}

fn open_as(spool: &Epochs, id: QueueId, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut reader = SpoolReader::new(spool, &id, Cursor::new(sealed), octets(sealed.len())).ok()?;
    let mut mail = Vec::new();
    let whole = reader.read_to_end(&mut mail).is_ok();
    if !whole {
        // Once damaged, always: nobody may take the end of the bytes for the end of the mail.
        assert!(reader.read(&mut [0; 10]).is_err());
    }
    whole.then_some(mail)
}

fn open(spool: &Epochs, sealed: &[u8]) -> Option<Vec<u8>> {
    open_as(spool, id(), sealed)
}

#[test]
fn what_was_written_is_read_whatever_its_length() {
    let spool = Epochs::new().unwrap();
    for length in [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 3 * CHUNK + 5] {
        for piece in [1_000, CHUNK, length.max(1)] {
            let mail = mail(length);
            let sealed = seal(&spool, &mail, piece);
            assert_eq!(open(&spool, &sealed), Some(mail.clone()), "{length} in pieces of {piece}");
            let reader = SpoolReader::new(&spool, &id(), Cursor::new(&sealed), octets(sealed.len())).unwrap();
            assert_eq!(reader.length(), octets(length));
            assert!(is_spooled_in_chunks(&mut Cursor::new(&sealed)).unwrap());
            assert!(length < 16 || !sealed.windows(16).any(|window| window == &mail[..16]));
            assert_eq!(open_as(&spool, QueueId::from_bytes([2; 16]), &sealed), None, "as another message");
        }
    }
    let (one, other) = (seal(&spool, b"mail", 4), seal(&spool, b"mail", 4));
    assert_ne!(one[HEAD..HEAD + 4], other[HEAD..HEAD + 4], "each writing has its own key");
}

#[test]
fn earlier_formats_and_keys_open() {
    let mut spool = Epochs::new().unwrap();
    let mail = mail(300_000);
    let whole = super::super::storage::spool_seal(&spool, &id(), mail.clone()).unwrap();
    let chunks = seal(&spool, &mail, 9_999);
    spool.rotate().unwrap();
    assert_eq!(open(&spool, &whole), Some(mail.clone()));
    assert_eq!(open(&spool, &chunks), Some(mail.clone()));
    assert_ne!(seal(&spool, &mail, 9_999)[..EPOCH_LEN], chunks[..EPOCH_LEN]);
    assert_eq!(open(&Epochs::new().unwrap(), &chunks), None, "other keys");
    assert!(!is_spooled_in_chunks(&mut Cursor::new(&whole)).unwrap());
}

#[test]
fn what_was_cut_moved_or_put_together_does_not_open() {
    let spool = Epochs::new().unwrap();
    // Two messages with chunks of the same lengths, and one that ends with a full chunk.
    let (three, full) = (mail(3 * CHUNK + 100), mail(3 * CHUNK));
    let sealed = seal(&spool, &three, CHUNK);
    let other = seal(&spool, &three, CHUNK);
    let full = seal(&spool, &full, CHUNK);
    let parts = |sealed: &[u8]| -> (Vec<u8>, Vec<Vec<u8>>) {
        let (head, rest) = sealed.split_at(HEAD);
        let (chunks, _) = rest.split_at(rest.len() - 1);
        (head.to_vec(), chunks.chunks(SEALED).map(<[u8]>::to_vec).collect())
    };
    let (head, chunks) = parts(&sealed);
    let (other_head, other_chunks) = parts(&other);
    let (full_head, full_chunks) = parts(&full);
    let join = |head: &[u8], chunks: &[&Vec<u8>]| -> Vec<u8> {
        let mut sealed = head.to_vec();
        chunks.iter().for_each(|chunk| sealed.extend_from_slice(chunk));
        sealed.push(SPOOL_FORMAT_3);
        sealed
    };
    let [a, b, c, last] = chunks.as_slice() else { panic!("{}", chunks.len()) };
    let [oa, ob, _, olast] = other_chunks.as_slice() else { panic!("{}", other_chunks.len()) };
    let [fa, fb, flast] = full_chunks.as_slice() else { panic!("{}", full_chunks.len()) };
    assert!(open(&spool, &join(&head, &[a, b, c, last])).is_some(), "the test takes it apart rightly");
    assert!(open(&spool, &join(&full_head, &[fa, fb, flast])).is_some());
    for (what, forged) in [
        ("the last one cut", join(&head, &[a, b, c])),
        ("two cut", join(&head, &[a, b])),
        ("all cut", join(&head, &[])),
        ("the first one dropped", join(&head, &[b, c, last])),
        ("an inner one dropped", join(&head, &[a, c, last])),
        ("two swapped", join(&head, &[b, a, c, last])),
        ("one twice", join(&head, &[a, a, c, last])),
        ("one put in", join(&head, &[a, b, b, c, last])),
        ("the last one twice", join(&head, &[a, b, c, last, last])),
        ("an inner one as the last", join(&head, &[a, b, c, b])),
        ("one appended to a full last one", join(&full_head, &[fa, fb, flast, last])),
        ("an empty chunk appended", join(&full_head, &[fa, fb, flast, &vec![0; TAG]])),
        ("one of another writing", join(&head, &[oa, b, c, last])),
        ("an inner one of another writing", join(&head, &[a, ob, c, last])),
        ("the last one of another writing", join(&head, &[a, b, c, olast])),
        ("the header of another writing", join(&other_head, &[a, b, c, last])),
        ("no header", join(&[], &[a, b, c, last])),
    ] {
        assert_eq!(open(&spool, &forged), None, "{what}");
    }
    let mut longer = sealed.clone();
    longer.insert(sealed.len() - 1, 0);
    assert_eq!(open(&spool, &longer), None, "an octet appended");
    longer.extend_from_slice(&[3; 50]);
    assert_eq!(open(&spool, &longer), None, "octets behind the end");
    for format in [0, 1, 2, 4, 255] {
        *longer.last_mut().unwrap() = format;
        assert_eq!(open(&spool, &longer), None, "format {format}");
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() = format;
        assert_eq!(open(&spool, &changed), None, "format {format}");
    }
}

#[test]
fn every_changed_or_missing_octet_is_found() {
    let spool = Epochs::new().unwrap();
    let sealed = seal(&spool, &mail(2 * CHUNK + 50), CHUNK);
    let edges = [0, HEAD, HEAD + SEALED, HEAD + 2 * SEALED, sealed.len()];
    let near = edges.iter().flat_map(|edge| edge.saturating_sub(20)..edge + 20);
    for place in near.chain((0..sealed.len()).step_by(997)).filter(|place| *place < sealed.len()) {
        let mut changed = sealed.clone();
        changed[place] ^= 0x80;
        assert_eq!(open(&spool, &changed), None, "octet {place}");
        assert_eq!(open(&spool, &sealed[..place]), None, "cut at {place}");
        let mut cut = sealed[..place].to_vec();
        cut.push(SPOOL_FORMAT_3);
        assert!(cut == sealed || open(&spool, &cut).is_none(), "cut at {place} and ended");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_no_end() {
    let spool = Epochs::new().unwrap();
    let sealed = seal(&spool, &mail(2 * CHUNK + 50), CHUNK);
    for missing in [1, 60, SEALED, 2 * SEALED] {
        // Its last octet was read when it was whole.
        let mut there = sealed[..sealed.len() - missing - 1].to_vec();
        there.push(SPOOL_FORMAT_3);
        let mut reader = SpoolReader::new(&spool, &id(), Cursor::new(&there), octets(sealed.len())).unwrap();
        assert!(reader.read_to_end(&mut Vec::new()).is_err(), "{missing}");
    }
}

#[test]
fn what_was_not_finished_does_not_open() {
    let spool = Epochs::new().unwrap();
    let mut written = Vec::new();
    let mut writer = SpoolWriter::new(&spool, &id(), &mut written).unwrap();
    writer.write_all(&mail(2 * CHUNK + 1)).unwrap();
    drop(writer);
    assert_eq!(written.len(), HEAD + 2 * SEALED);
    assert_eq!(open(&spool, &written), None);
    written.push(SPOOL_FORMAT_3);
    assert_eq!(open(&spool, &written), None);
}
