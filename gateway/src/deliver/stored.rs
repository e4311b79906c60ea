//! Content that is too large to be held in memory: it is read from its blob while it is sent, at each attempt anew.
//!
//! It is read twice: once to its end before anybody hears of it, because whether it may leave, its size and what a server
//! must be able to take are to be known at the beginning of a transaction; and once while it is sent.
//!
//! Security: no byte leaves whose chunk doesn't open. Where one doesn't in the middle, the connection ends without the end of the message.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use sealpost_vault::id::QueueId;
use sealpost_vault::{BlobStore, StoreError};
use tokio::task::spawn_blocking;

use super::content::{Check, ContentError};
use crate::envelope::BodyType;
use crate::keyring::{Keyring, KeyringError, SpoolReader, is_spooled_in_chunks};

/// What is read at once, in bytes: a way to another thread for each chunk would cost as much as opening it.
const PIECE: usize = 256 * 1024;
/// Of a header, in bytes; what comes in has less than this, and so much more than ours is never before it.
const LONGEST_HEADER: usize = 512 * 1024;
/// Mail in an earlier version's format lies in memory as a whole while it is read: one at a time.
static RENEWING: Mutex<()> = Mutex::new(());

/// What lies in a blob.
#[derive(Debug)]
pub(crate) enum Found {
    /// One piece, not worth reading twice.
    Small(Vec<u8>),
    Large(Stored),
}

/// A mail in its blob, and what is known of it.
pub struct Stored {
    blobs: BlobStore,
    keyring: Arc<Keyring>,
    id: QueueId,
    blob_key: String,
    facts: Facts,
}

struct Facts {
    length: u64,
    /// Up to and with the empty line.
    header: Vec<u8>,
    may_leave: Result<BodyType, ContentError>,
}

/// What one look at a blob comes to.
enum Look {
    Small(Vec<u8>),
    Large(Facts),
    Renewed,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("id", &self.id).field("length", &self.facts.length).finish_non_exhaustive()
    }
}

impl Stored {
    /// Reads it to its end.
    pub(crate) async fn find(
        blobs: &BlobStore,
        keyring: &Arc<Keyring>,
        id: QueueId,
        blob_key: &str,
    ) -> Result<Found, StoreError> {
        for _ in 0..2 {
            let (there, keyring2, key) = (blobs.clone(), Arc::clone(keyring), blob_key.to_owned());
            let read = blobs.read(blob_key, move |file, size| read_through(&there, &keyring2, id, &key, file, size));
            match read.await? {
                Look::Small(bytes) => return Ok(Found::Small(bytes)),
                Look::Large(facts) => {
                    let (blobs, keyring, blob_key) = (blobs.clone(), Arc::clone(keyring), blob_key.to_owned());
                    return Ok(Found::Large(Self { blobs, keyring, id, blob_key, facts }));
                }
                Look::Renewed => {}
            }
        }
        Err(StoreError::Corrupt("a mail that is never in the present format"))
    }

    pub(super) fn length(&self) -> u64 {
        self.facts.length
    }

    pub(crate) fn header(&self) -> &[u8] {
        &self.facts.header
    }

    pub(super) fn may_leave(&self) -> Result<BodyType, ContentError> {
        self.facts.may_leave
    }

    pub(super) async fn open(&self) -> Result<Pieces, StoreError> {
        let (keyring, id) = (Arc::clone(&self.keyring), self.id);
        let opened = self.blobs.read(&self.blob_key, move |file, size| {
            keyring.spool_reader(&id, file, size).map_err(KeyringError::of_mail)
        });
        Ok(Pieces { reader: Some(opened.await?), left: self.facts.length })
    }
}

/// A mail while it is read.
pub(super) struct Pieces {
    /// `None`: an error ended it.
    reader: Option<SpoolReader<File>>,
    left: u64,
}

impl Pieces {
    /// The next piece, in place of what is in `buffer`; nothing at the end.
    pub(super) async fn next(&mut self, mut buffer: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        const CUT: StoreError = StoreError::Corrupt("a mail that has changed while it was read");
        let Some(mut reader) = self.reader.take() else { return Err(CUT) };
        let read = spawn_blocking(move || {
            read_piece(&mut reader, &mut buffer)?;
            Ok::<_, StoreError>((reader, buffer))
        });
        let (reader, buffer) = read.await.map_err(|_| StoreError::Corrupt("reading a mail panicked"))??;
        self.left = u64::try_from(buffer.len()).ok().and_then(|read| self.left.checked_sub(read)).ok_or(CUT)?;
        if buffer.is_empty() && self.left > 0 {
            return Err(CUT);
        }
        self.reader = Some(reader);
        Ok(buffer)
    }
}

fn read_piece(reader: &mut SpoolReader<File>, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
    buffer.clear();
    buffer.reserve_exact(PIECE);
    reader.take(u64::try_from(PIECE).unwrap_or(u64::MAX)).read_to_end(buffer)?;
    Ok(())
}

fn read_through(
    blobs: &BlobStore,
    keyring: &Keyring,
    id: QueueId,
    key: &str,
    mut file: File,
    size: u64,
) -> Result<Look, StoreError> {
    if !is_spooled_in_chunks(&mut file)? {
        return renew(blobs, keyring, id, key, file, size);
    }
    let mut reader = keyring.spool_reader(&id, file, size).map_err(KeyringError::of_mail)?;
    let length = reader.length();
    let mut buffer = Vec::new();
    read_piece(&mut reader, &mut buffer)?;
    if u64::try_from(buffer.len()).is_ok_and(|read| read == length) {
        // Its end too was seen, if it fills the piece.
        return if reader.read(&mut [0])? == 0 { Ok(Look::Small(buffer)) } else { Err(StoreError::Corrupt("a mail")) };
    }
    let (mut header, mut ends, mut check) = (Vec::new(), None, Check::default());
    while !buffer.is_empty() {
        if ends.is_none() {
            let seen = header.len().saturating_sub(3);
            header.extend_from_slice(buffer.get(..buffer.len().min(LONGEST_HEADER)).unwrap_or_default());
            ends = header.get(seen..).and_then(|new| memmem::find(new, b"\r\n\r\n")).map(|at| seen + at + 4);
            ends = ends.or((header.len() >= LONGEST_HEADER).then_some(LONGEST_HEADER));
        }
        check.feed(&buffer);
        read_piece(&mut reader, &mut buffer)?;
    }
    header.truncate(ends.unwrap_or(header.len()));
    header.shrink_to_fit();
    Ok(Look::Large(Facts { length, header, may_leave: check.end() }))
}

/// What an earlier version wrote in one piece is written again in chunks. The mail is the same, so it changes nothing for
/// whoever is reading it, or does the same.
fn renew(
    blobs: &BlobStore,
    keyring: &Keyring,
    id: QueueId,
    key: &str,
    file: File,
    size: u64,
) -> Result<Look, StoreError> {
    let _alone = RENEWING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut reader = keyring.spool_reader(&id, file, size).map_err(KeyringError::of_mail)?;
    if reader.length() <= u64::try_from(PIECE).unwrap_or(u64::MAX) {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        return Ok(Look::Small(bytes));
    }
    let mut writer = keyring.spool_writer(&id, blobs.stage(key)?).map_err(KeyringError::of_mail)?;
    std::io::copy(&mut reader, &mut writer)?;
    writer.finish()?.commit()?;
    Ok(Look::Renewed)
}
