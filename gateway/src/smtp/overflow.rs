//! Large messages on their way in: what has come of one lies sealed in a file without a name, so that many slow clients hold
//! next to no memory. When a message is whole, it is read back to be judged.
//!
//! The file has no name from the beginning: however a message or the process ends, the system takes it back.
//!
//! Security: on the disk is nothing that was not sealed.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::Arc;

use sealpost_vault::id::QueueId;
use sealpost_vault::{BlobStore, StoreError};
use tracing::error;

use super::chunk::ChunkReader;
use super::data::DataReader;
use super::header_size;
use super::memory::Share;
use super::settings::Settings;
use crate::Rejection;
use crate::keyring::{Keyring, KeyringError, SpoolWriter};

/// A message of up to so many octets stays in memory. More than the longest header, with what is read at once.
const IN_MEMORY: usize = 960 * 1024;
/// Of a larger one, what gathers before it is written.
const AT_ONCE: usize = 256 * 1024;
/// What gathers is written when it has passed that by no more than what is read at once.
const BUFFER: usize = AT_ONCE + 64 * 1024;

const PANICKED: StoreError = StoreError::Corrupt("writing down a message panicked");

/// Where large messages lie meanwhile. Cheap to clone.
#[derive(Clone)]
pub struct Scratch {
    blobs: BlobStore,
    keyring: Arc<Keyring>,
}

impl Scratch {
    pub fn new(blobs: BlobStore, keyring: Arc<Keyring>) -> Self {
        Self { blobs, keyring }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// What of one message isn't in its reader any more.
pub(super) struct Overflow {
    queue_id: QueueId,
    scratch: Option<Scratch>,
    written: Option<Written>,
}

struct Written {
    /// `None`: lost by an error.
    writer: Option<SpoolWriter<File>>,
    octets: usize,
    header: Result<(), Rejection>,
}

/// What messages are gathered by.
pub(super) trait Gathers {
    fn gathered(&mut self) -> &mut Vec<u8>;
    fn dropped(&self) -> Option<Rejection>;
    fn drop_for(&mut self, why: Rejection);
}

impl Gathers for DataReader {
    fn gathered(&mut self) -> &mut Vec<u8> {
        &mut self.message
    }

    fn dropped(&self) -> Option<Rejection> {
        self.dropped
    }

    fn drop_for(&mut self, why: Rejection) {
        Self::drop_for(self, why);
    }
}

impl Gathers for ChunkReader {
    fn gathered(&mut self) -> &mut Vec<u8> {
        &mut self.message
    }

    fn dropped(&self) -> Option<Rejection> {
        Self::dropped(self)
    }

    fn drop_for(&mut self, why: Rejection) {
        Self::drop_for(self, why);
    }
}

impl Overflow {
    /// Without a `scratch` everything stays in memory.
    pub fn new(queue_id: QueueId, scratch: Option<Scratch>) -> Self {
        Self { queue_id, scratch, written: None }
    }

    /// Of a message that is refused already.
    pub fn none() -> Self {
        Self { queue_id: QueueId::from_bytes([0; 16]), scratch: None, written: None }
    }

    /// Writes down what has gathered, if it is much. Where that fails, the message is dropped, and the rest of it read for its end.
    pub async fn relieve(&mut self, from: &mut impl Gathers, settings: &Settings) {
        if from.dropped().is_some() {
            self.written = None;
            return;
        }
        let most = if self.written.is_some() { AT_ONCE } else { IN_MEMORY };
        if self.scratch.is_none() || from.gathered().len() < most {
            return;
        }
        let bytes = std::mem::take(from.gathered());
        match self.write(bytes, settings).await {
            Ok(buffer) => *from.gathered() = buffer,
            Err(cause) => from.drop_for(self.refuse(&cause)),
        }
    }

    fn refuse(&mut self, cause: &StoreError) -> Rejection {
        self.written = None;
        error!(%cause, "a message that comes in can't be written down");
        if cause.is_full() { Rejection::STORAGE_FULL } else { Rejection::TEMPORARY }
    }

    /// Gives the buffer back, empty.
    async fn write(&mut self, mut bytes: Vec<u8>, settings: &Settings) -> Result<Vec<u8>, StoreError> {
        let written = match &mut self.written {
            Some(written) => written,
            none => {
                let scratch = self.scratch.clone().ok_or(PANICKED)?;
                let file = scratch.blobs.scratch("spool").await?;
                let writer = scratch.keyring.spool_writer(&self.queue_id, file).map_err(KeyringError::of_mail)?;
                let header = header_size::check(&bytes, settings);
                none.insert(Written { writer: Some(writer), octets: 0, header })
            }
        };
        let mut writer = written.writer.take().ok_or(PANICKED)?;
        let octets = bytes.len();
        let done = tokio::task::spawn_blocking(move || {
            writer.write_all(&bytes)?;
            bytes.clear();
            bytes.shrink_to(BUFFER);
            Ok::<_, StoreError>((writer, bytes))
        });
        let (writer, bytes) = done.await.map_err(|_| PANICKED)??;
        written.writer = Some(writer);
        written.octets = written.octets.saturating_add(octets);
        Ok(bytes)
    }

    /// Octets that were written down.
    pub fn octets(&self) -> usize {
        self.written.as_ref().map_or(0, |written| written.octets)
    }

    /// Whether the header is one that we read, of the message that ends with `rest`.
    pub fn check_header(&self, rest: &[u8], settings: &Settings) -> Result<(), Rejection> {
        self.written.as_ref().map_or_else(|| header_size::check(rest, settings), |written| written.header)
    }

    /// The whole message, which ends with `rest`. Its memory is in `share`, where there is one.
    pub async fn read_back(mut self, rest: Vec<u8>, share: Option<&mut Share>) -> Result<Vec<u8>, Rejection> {
        let Some(written) = self.written.take() else { return Ok(rest) };
        let octets = written.octets.saturating_add(rest.len());
        if let Some(share) = share {
            share.cover(octets).await.map_err(|_| Rejection::STORAGE_FULL)?;
        }
        let (scratch, queue_id) = (self.scratch.clone(), self.queue_id);
        let read = tokio::task::spawn_blocking(move || {
            let (writer, scratch) = written.writer.zip(scratch).ok_or(PANICKED)?;
            let mut file = writer.finish()?;
            file.rewind()?;
            let size = file.metadata()?.len();
            let mut reader = scratch.keyring.spool_reader(&queue_id, file, size).map_err(KeyringError::of_mail)?;
            let mut bytes = Vec::with_capacity(octets);
            reader.read_to_end(&mut bytes)?;
            bytes.extend_from_slice(&rest);
            if bytes.len() == octets { Ok(bytes) } else { Err(StoreError::Corrupt("a message that was cut")) }
        });
        let read = read.await.map_err(|_| PANICKED).and_then(|read| read);
        read.map_err(|cause| self.refuse(&cause))
    }
}

impl fmt::Debug for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overflow").field("octets", &self.octets()).finish_non_exhaustive()
    }
}
