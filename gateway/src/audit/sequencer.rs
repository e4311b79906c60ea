//! The sequencer: gives each record its place in the chain and signs the chain's end.
//!
//! One at a time: on SQLite the writer's lock, on PostgreSQL an advisory lock keeps several gateways from chaining at once,
//! and the chain's primary key would refuse the second of them anyway. A batch is one transaction, so that a crash leaves
//! records either waiting or chained. Order is the order of writing; of transactions that ran at the same time, which only
//! PostgreSQL has, nobody can know one, and the order of chaining is it.
//!
//! The newest head is also kept in a file outside the database: who cuts off the database's end, heads included, must reach
//! that file too. It is never overwritten with what contradicts it.
//!
//! Security: who can write the own store can add false records before they are chained, and take out what isn't chained yet
//! (about a second's worth); what is chained can't be changed unnoticed without the audit key.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::error;

use sealpost_vault::clock::Clock;
use sealpost_vault::db::{Db, Engine, Kind, Rows, Statement, StoreError};
use sealpost_vault::derive::sha256;
use sealpost_vault::id::random;
use sealpost_vault::seldom;

use crate::keyring::Keyring;
use crate::pipeline::Gateway;

use super::chain::{BEGINNING, Hash, Head, Signer, link};

/// Records chained in one transaction: SQLite's only writer must not be held for long.
const BATCH: i64 = 200;
/// The chain's next records.
static CHAINED: Statement =
    Statement { order: 1, kind: Kind::Insert { into: "audit_chain (n, hash, body)", row: "(?, ?, ?)" } };
/// They wait no longer.
static TAKEN: Statement = Statement { order: 2, kind: Kind::DeleteKeys { from: "audit_records", key: "position" } };
/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// Keeps two gateways on PostgreSQL from chaining at once.
const LOCK: i64 = 0x7365_616c_6175_6469;
/// Of each such span, in seconds, the last head is kept; of the newest one all go but the last.
const KEEP_A_HEAD: i64 = 3_600;

/// Chains and signs.
pub struct Sequencer<S> {
    store: Db,
    signer: Arc<S>,
    clock: Clock,
    head_file: PathBuf,
    kept: Mutex<Kept>,
}

/// What is known of the head file.
enum Kept {
    Unknown,
    /// It holds this head.
    Head(Head),
    /// It contradicts the database; that was said.
    Contradiction,
}

impl Gateway {
    /// The one that chains this gateway's records; `head_file` is outside the database.
    pub fn sequencer(&self, head_file: PathBuf) -> Sequencer<Keyring> {
        Sequencer::new(self.stores.own.clone(), Arc::clone(&self.keyring), self.clock.clone(), head_file)
    }
}

/// One pass's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chained {
    /// So many records, and no more were waiting.
    All(u64),
    /// A full batch: there may be more.
    Some,
    /// Another gateway is at it.
    Busy,
}

impl<S: Signer> Sequencer<S> {
    pub fn new(store: Db, signer: Arc<S>, clock: Clock, head_file: PathBuf) -> Self {
        Self { store, signer, clock, head_file, kept: Mutex::new(Kept::Unknown) }
    }

    /// Chains what is recorded, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(cause) = self.catch_up().await {
                seldom!(cause, |left_out| error!(%cause, left_out, "audit records could not be chained: they wait"));
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Chains everything that waits, and keeps the head file up to date.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        while self.chain().await? == Chained::Some {}
        self.keep_head().await
    }

    /// Chains one batch.
    pub async fn chain(&self) -> Result<Chained, StoreError> {
        let waiting: Option<(i64,)> =
            sqlx::query_as("select position from audit_records limit 1").fetch_optional(self.store.reader()).await?;
        if waiting.is_none() {
            return Ok(Chained::All(0));
        }
        let mut transaction = self.store.begin().await?;
        if !self.alone(&mut transaction).await? {
            return Ok(Chained::Busy);
        }
        let (mut n, mut hash) = last_link(&mut transaction).await?;
        let waiting: Vec<(i64, String)> =
            sqlx::query_as("select position, body from audit_records order by position limit $1")
                .bind(BATCH)
                .fetch_all(&mut *transaction)
                .await?;
        let count = waiting.len();
        let mut rows = Rows::new();
        for (position, body) in waiting {
            n = n.saturating_add(1);
            hash = link(n, &hash, &sha256(body.as_bytes()))?;
            rows.push(&CHAINED, [n.into(), hash.to_vec().into(), body.into()]);
            rows.push(&TAKEN, [position.into()]);
        }
        rows.write(&mut transaction).await?;
        if count > 0 {
            self.sign(&mut transaction, n, hash).await?;
        }
        transaction.commit().await?;
        let full = usize::try_from(BATCH).is_ok_and(|batch| count >= batch);
        Ok(if full { Chained::Some } else { Chained::All(u64::try_from(count).unwrap_or(u64::MAX)) })
    }

    async fn alone(&self, transaction: &mut Transaction<'static, Any>) -> Result<bool, StoreError> {
        if self.store.engine() == Engine::Sqlite {
            return Ok(true);
        }
        let (alone,): (bool,) =
            sqlx::query_as("select pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(&mut **transaction).await?;
        Ok(alone)
    }

    async fn sign(&self, transaction: &mut Transaction<'static, Any>, n: i64, hash: Hash) -> Result<(), StoreError> {
        let head = Head::sign(n, hash, self.clock.now(), &*self.signer)?;
        // One head an hour is enough to say between which two something was changed.
        sqlx::query("delete from audit_heads where n < $1 and signed_at >= $2")
            .bind(n)
            .bind(head.at.saturating_sub(head.at.rem_euclid(KEEP_A_HEAD)))
            .execute(&mut **transaction)
            .await?;
        sqlx::query(
            "insert into audit_heads (n, hash, signed_at, organisation, signer, signature) values ($1, $2, $3, $4, $5, $6)",
        )
            .bind(head.n)
            .bind(head.hash.as_slice())
            .bind(head.at)
            .bind(head.organisation.as_slice())
            .bind(head.signer.as_slice())
            .bind(head.signature.as_slice())
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }

    /// Brings the head file up to the newest head, whoever signed it, if the chain still holds what the file says.
    async fn keep_head(&self) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().await;
        if matches!(*kept, Kept::Unknown) {
            *kept = match read_head_file(&self.head_file)? {
                None => Kept::Unknown,
                Some(Some(head)) => Kept::Head(head),
                Some(None) => {
                    error!(file = %self.head_file.display(), "the audit's head file is damaged: it is left as it is");
                    Kept::Contradiction
                }
            };
        }
        let newest = newest_head(&self.store).await?;
        match (&*kept, newest) {
            (Kept::Contradiction, _) | (Kept::Unknown, None) => Ok(()),
            (Kept::Head(known), Some(newest)) if known.n == newest.n && known.hash == newest.hash => Ok(()),
            (Kept::Head(known), newest) => {
                let holds = hash_of(&self.store, known.n).await?.is_some_and(|hash| hash == known.hash);
                match newest {
                    Some(newest) if holds && newest.n > known.n => {
                        write_head_file(&self.head_file, &newest)?;
                        *kept = Kept::Head(newest);
                    }
                    _ => {
                        error!(
                            file = %self.head_file.display(), record = known.n,
                            "the audit's chain no longer holds what its head file says: it was cut or changed, or the \
                             database is older than the file. The file is left as it is"
                        );
                        *kept = Kept::Contradiction;
                    }
                }
                Ok(())
            }
            (Kept::Unknown, Some(newest)) => {
                write_head_file(&self.head_file, &newest)?;
                *kept = Kept::Head(newest);
                Ok(())
            }
        }
    }
}

async fn last_link(transaction: &mut Transaction<'static, Any>) -> Result<(i64, Hash), StoreError> {
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as("select n, hash from audit_chain order by n desc limit 1")
        .fetch_optional(&mut **transaction)
        .await?;
    row.map_or(Ok((0, BEGINNING)), |(n, hash)| Ok((n, exact(hash)?)))
}

/// The hash of record `n`; `None` where there is no such record.
pub(super) async fn hash_of(store: &Db, n: i64) -> Result<Option<Hash>, StoreError> {
    let row: Option<(Vec<u8>,)> =
        sqlx::query_as("select hash from audit_chain where n = $1").bind(n).fetch_optional(store.reader()).await?;
    // A hash of another length fits nothing; that is for the verifier to say.
    Ok(row.and_then(|(hash,)| hash.try_into().ok()))
}

/// The newest signed head.
pub async fn newest_head(store: &Db) -> Result<Option<Head>, StoreError> {
    let row = sqlx::query(
        "select n, hash, signed_at, organisation, signer, signature from audit_heads order by n desc limit 1",
    )
    .fetch_optional(store.reader())
    .await?;
    row.as_ref().map(head_from_row).transpose()
}

pub(super) fn head_from_row(row: &AnyRow) -> Result<Head, StoreError> {
    Ok(Head {
        n: row.try_get("n")?,
        hash: exact(row.try_get("hash")?)?,
        at: row.try_get("signed_at")?,
        organisation: exact(row.try_get("organisation")?)?,
        signer: exact(row.try_get("signer")?)?,
        signature: exact(row.try_get("signature")?)?,
    })
}

pub(super) fn exact<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Corrupt("a hash, key or signature of the audit"))
}

/// `None`: no file. `Some(None)`: not a head.
pub fn read_head_file(path: &Path) -> std::io::Result<Option<Option<Head>>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Head::from_line(text.trim_end()))),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) if cause.kind() == ErrorKind::InvalidData => Ok(Some(None)),
        Err(cause) => Err(cause),
    }
}

/// Whole or not at all, and on stable storage.
fn write_head_file(path: &Path, head: &Head) -> Result<(), StoreError> {
    // Gateways that share a directory write it in turn, and none may take another's half for its own.
    let beside = path.with_extension(format!("new-{}", HEXLOWER.encode(&random::<8>()?)));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let line = format!("{}\n", head.line()?);
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    drop(file);
    if let Err(cause) = written.and_then(|()| std::fs::rename(&beside, path)) {
        let _ = std::fs::remove_file(&beside);
        return Err(cause.into());
    }
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}
