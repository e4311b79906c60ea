//! Large sealed content: content up to [`IN_ROW`] lies in its row, larger content here.
//!
//! A local directory in which every write is synced before it counts.
//! Order: the blob is durable before the row that names it; a blob without a row is an orphan and swept.
//!
//! Security: where the portal writes too, a key out of a row is the portal's word: [`directory`] keeps it inside.

mod directory;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::directory::Directory;
pub use self::directory::Staged;
use crate::clock::Time;
use crate::db::StoreError;

/// Largest content kept in a row, in bytes.
pub const IN_ROW: usize = 128 * 1024;

/// Where blobs lie. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BlobStore(Arc<Directory>);

/// Content as a row carries it: in the row, or a key that leads to the blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Empty where the content is in the row.
    pub blob_key: String,
    /// Empty where the content is in the blob store.
    pub in_row: Vec<u8>,
    /// Of the content, in bytes.
    pub size: i64,
}

impl BlobStore {
    /// A local directory, made if missing.
    pub fn local(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Directory::open(directory)?)))
    }

    /// Puts `content` where it belongs; `key` is used if that is the blob store. Durable when this returns.
    pub async fn place(&self, key: String, content: Vec<u8>) -> Result<Placed, StoreError> {
        let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
        if content.len() <= IN_ROW {
            return Ok(Placed { blob_key: String::new(), in_row: content, size });
        }
        let blob_key = key.clone();
        self.blocking(move |directory| directory.write(&key, &content)).await?;
        Ok(Placed { blob_key, in_row: Vec::new(), size })
    }

    /// What [`BlobStore::place`] placed.
    pub async fn fetch(&self, blob_key: &str, in_row: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let found = self.fetch_bounded(blob_key, in_row, usize::MAX).await?;
        found.ok_or(StoreError::Corrupt("a row without its blob"))
    }

    /// The same for what somebody else placed: `None` where it is missing, no plain file or larger than `most` bytes.
    pub async fn fetch_bounded(
        &self,
        blob_key: &str,
        in_row: Vec<u8>,
        most: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if blob_key.is_empty() {
            return Ok((in_row.len() <= most).then_some(in_row));
        }
        let key = blob_key.to_owned();
        self.blocking(move |directory| directory.read(&key, most)).await
    }

    /// Begins to write what will have this key. Blocks, as all that is done with it.
    pub fn stage(&self, key: &str) -> Result<Staged, StoreError> {
        Ok(self.0.stage(key)?)
    }

    /// Puts what `work` writes into a blob, off the async threads. Durable when this returns; nothing is there where it fails.
    pub async fn write<T: Send + 'static>(
        &self,
        key: String,
        work: impl FnOnce(&mut Staged) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(Placed, T), StoreError> {
        let blob_key = key.clone();
        let written = self.blocking(move |directory| {
            let mut staged = directory.stage(&key)?;
            Ok(match work(&mut staged) {
                Ok(made) => Ok((staged.commit()?, made)),
                Err(error) => Err(error),
            })
        });
        let (size, made) = written.await??;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        Ok((Placed { blob_key, in_row: Vec::new(), size }, made))
    }

    /// A file without a name, to be written and read: it is gone when it is closed, or the process ends.
    pub async fn scratch(&self, folder: &'static str) -> Result<File, StoreError> {
        self.blocking(move |directory| directory.scratch(folder)).await
    }

    /// Lets `work` read a blob, of which it is told the size in bytes, off the async threads.
    pub async fn read<T: Send + 'static>(
        &self,
        blob_key: &str,
        work: impl FnOnce(File, u64) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let key = blob_key.to_owned();
        let read = self.blocking(move |directory| {
            Ok(match directory.open_file(&key)? {
                Some((file, size)) => work(file, size),
                None => Err(StoreError::Corrupt("a row without its blob")),
            })
        });
        read.await?
    }

    /// Deletes a blob; one that is gone already is fine.
    pub async fn delete(&self, blob_key: &str) -> Result<(), StoreError> {
        if blob_key.is_empty() {
            return Ok(());
        }
        let key = blob_key.to_owned();
        self.blocking(move |directory| directory.delete(&key)).await
    }

    /// Keys of the blobs that lie in a folder itself and were written before `moment`: what may have lost its row.
    pub async fn older_than(&self, folder: &'static str, moment: Time) -> Result<Vec<String>, StoreError> {
        let found = self.blocking(move |directory| directory.list(folder)).await?;
        Ok(found.into_iter().filter(|found| found.written < moment).map(|found| found.key).collect())
    }

    /// Keys of the blobs that lie in a message's folder, `common/own/`; not all at once, if they are very many.
    pub async fn within(&self, folder: String) -> Result<Vec<String>, StoreError> {
        self.blocking(move |directory| directory.within(&folder)).await
    }

    /// Deletes what somebody began to write before `moment` into a folder of the messages in this one, and never ended.
    pub async fn sweep_unfinished(&self, folder: &'static str, moment: Time) -> Result<(), StoreError> {
        let found = self.blocking(move |directory| directory.unfinished(folder, moment)).await?;
        for key in found {
            tracing::info!(key, "an unfinished blob is deleted");
            self.delete(&key).await?;
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let directory = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&directory)).await;
        Ok(done.map_err(|_| StoreError::Corrupt("work on a blob that panicked"))??)
    }
}
