//! Large sealed content: content up to [`IN_ROW`] lies in its row, larger content here.
//!
//! The default is a local directory in which every write is synced before it counts (`with_fsync`).
//! Order: the blob is durable before the row that names it; a blob without a row is an orphan and swept.

use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, path::Path as Key};

use crate::clock::Time;
use crate::db::StoreError;

/// Largest content kept in a row, in bytes.
pub const IN_ROW: usize = 128 * 1024;

/// Where blobs lie. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BlobStore(Arc<dyn ObjectStore>);

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
        std::fs::create_dir_all(directory)?;
        let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self(Arc::new(store)))
    }

    /// Puts `content` where it belongs; `key` is used if that is the blob store. Durable when this returns.
    pub async fn place(&self, key: String, content: Vec<u8>) -> Result<Placed, StoreError> {
        let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
        if content.len() <= IN_ROW {
            return Ok(Placed { blob_key: String::new(), in_row: content, size });
        }
        self.0.put(&Key::from(key.as_str()), PutPayload::from(content)).await?;
        Ok(Placed { blob_key: key, in_row: Vec::new(), size })
    }

    /// What [`BlobStore::place`] placed.
    pub async fn fetch(&self, blob_key: &str, in_row: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if blob_key.is_empty() {
            return Ok(in_row);
        }
        Ok(self.0.get(&Key::from(blob_key)).await?.bytes().await?.to_vec())
    }

    /// The same for what somebody else placed: `None` where it is missing or larger than `most` bytes.
    pub async fn fetch_bounded(
        &self,
        blob_key: &str,
        in_row: Vec<u8>,
        most: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if blob_key.is_empty() {
            return Ok((in_row.len() <= most).then_some(in_row));
        }
        let found = match self.0.get(&Key::from(blob_key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if usize::try_from(found.meta.size).map_or(true, |size| size > most) {
            return Ok(None);
        }
        Ok(Some(found.bytes().await?.to_vec()))
    }

    /// Keys below `directory` that were written before `moment`: what may have lost its row.
    pub async fn older_than(&self, directory: &str, moment: Time) -> Result<Vec<String>, StoreError> {
        let found: Vec<ObjectMeta> = self.0.list(Some(&Key::from(directory))).try_collect().await?;
        let old = found.into_iter().filter(|blob| blob.last_modified.timestamp() < moment);
        Ok(old.map(|blob| blob.location.to_string()).collect())
    }

    /// Deletes a blob; one that is gone already is fine.
    pub async fn delete(&self, blob_key: &str) -> Result<(), StoreError> {
        if blob_key.is_empty() {
            return Ok(());
        }
        match self.0.delete(&Key::from(blob_key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
