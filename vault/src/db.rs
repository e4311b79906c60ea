//! One database behind one SQL text: SQLite by default, PostgreSQL past one machine.
//!
//! SQLite has one writer connection per process and a pool of readers; PostgreSQL has one pool for both. Statements are
//! run-time literals with `$1` placeholders, TEXT ids, BIGINT times, and no NULLs, so that both engines take them.
//! Durability: WAL with `synchronous=FULL` (a commit is on stable storage), `secure_delete` (what is deleted is overwritten).

mod rows;
mod together;

use std::str::FromStr;
use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Executor, Transaction};

use crate::derive::FieldTooLong;
use crate::id::{IdError, NoRandomness};

pub use rows::{Kind, Rows, Statement, Value};
pub use together::{Write, Written};

/// What can go wrong between us and the stores. Never shown to a peer: callers log it and say something fixed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database can't be reached")]
    Unreachable,
    #[error("the database was lost at a commit: nobody can tell whether it was done")]
    Uncertain,
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("file: {0}")]
    File(#[from] std::io::Error),
    #[error("the store's URL begins neither with sqlite: nor with postgres:")]
    UnknownEngine,
    /// Our own trouble, and not that of what was to be written: it may be better later.
    #[error("not now: {0}")]
    NotNow(&'static str),
    #[error("a stored row is not what was written: {0}")]
    Corrupt(&'static str),
    #[error("an update met {found} rows where it should meet {wanted}")]
    RowCount { found: u64, wanted: u64 },
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
}

impl StoreError {
    /// There is no room, on the disk or on the database's.
    pub fn is_full(&self) -> bool {
        match self {
            Self::File(error) => {
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            // SQLITE_FULL, and PostgreSQL's disk_full.
            Self::Database(error) => error
                .as_database_error()
                .and_then(|error| error.code())
                .is_some_and(|code| matches!(code.as_ref(), "13" | "53100")),
            _ => false,
        }
    }

    /// Not what was asked is at fault, but the way to the database.
    fn is_of_the_connection(&self) -> bool {
        matches!(
            self,
            Self::Database(
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed
            )
        )
    }
}

impl From<IdError> for StoreError {
    fn from(_: IdError) -> Self {
        Self::Corrupt("an id")
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(_: serde_json::Error) -> Self {
        Self::Corrupt("a JSON body")
    }
}

/// Which database answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Whether a commit that was answered with this code was certainly not done. What isn't known here is not certain.
    fn says_undone(self, code: &str) -> bool {
        match self {
            // Anything but SQLITE_IOERR, whose low octet is 10: a frame that couldn't be synced may be there after a crash.
            Self::Sqlite => code.parse::<u32>().is_ok_and(|code| code & 0xff != 10),
            // Nobody knows how it ended: says so itself, whatever its class.
            Self::Postgres if code == "40003" => false,
            // Constraints that are checked at the end; serialization and deadlock; ended before it was told to commit.
            // Not class 08, which a pooler between us and the database uses for a server that it lost, and not 57P01
            // and its like: whoever ends a session may end one that waits for its standby, with the commit done.
            Self::Postgres => code.starts_with("23") || code.starts_with("40") || code == "25P03",
        }
    }
}

/// A store's tables: which migrations, and which schema on PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Vault,
    Gateway,
}

impl Schema {
    fn search_path(self) -> &'static str {
        match self {
            Self::Vault => "set search_path to vault",
            Self::Gateway => "set search_path to gateway",
        }
    }

    fn create(self) -> &'static str {
        match self {
            Self::Vault => "create schema if not exists vault",
            Self::Gateway => "create schema if not exists gateway",
        }
    }
}

/// A connected store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    schema: Schema,
    writer: AnyPool,
    reader: AnyPool,
    together: Arc<together::Together>,
    gathered: Arc<rows::Gathered>,
}

/// A store that doesn't answer within this time isn't ready.
const PING: Duration = Duration::from_secs(3);

const SQLITE_PRAGMAS: &str = "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; \
     pragma busy_timeout = 10000; pragma trusted_schema = off; pragma secure_delete = on; \
     pragma temp_store = memory; pragma journal_size_limit = 67108864; pragma wal_autocheckpoint = 8000;";

/// A commit is on the disk whatever the database's default, and nobody holds a lock, or waits for one, as long as a peer's
/// patience lasts.
const POSTGRES_SETTINGS: &str = "set synchronous_commit = on; set lock_timeout = '20s'; \
     set idle_in_transaction_session_timeout = '60s'";

/// A connection that doesn't answer within this time won't: what hangs on it must not hang for ever.
const HUNG: Duration = Duration::from_secs(60);

/// `work`, if it ends in time.
async fn within_reason<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(HUNG, work).await.unwrap_or(Err(StoreError::Unreachable))
}

impl Db {
    /// Connects; `url` is `sqlite:<file>` or `postgres://..`. A missing SQLite file is made.
    pub async fn connect(url: &str, schema: Schema) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let engine = match url.split_once(':') {
            Some(("sqlite", _)) => Engine::Sqlite,
            Some(("postgres" | "postgresql", _)) => Engine::Postgres,
            _ => return Err(StoreError::UnknownEngine),
        };
        let url = match engine {
            Engine::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        };
        let options = AnyConnectOptions::from_str(&url)?;
        let pool = |connections: u32| {
            let options = AnyPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(20));
            // A file needs no look at whether it is still there; each would go to another thread and back.
            options.test_before_acquire(engine == Engine::Postgres).after_connect(move |connection, _| {
                Box::pin(async move {
                    match engine {
                        Engine::Sqlite => connection.execute(SQLITE_PRAGMAS).await?,
                        Engine::Postgres => {
                            connection.execute(POSTGRES_SETTINGS).await?;
                            connection.execute(schema.search_path()).await?
                        }
                    };
                    Ok(())
                })
            })
        };
        let writer = match engine {
            Engine::Sqlite => pool(1).connect_with(options.clone()).await?,
            Engine::Postgres => pool(10).connect_with(options.clone()).await?,
        };
        let reader = match engine {
            Engine::Sqlite => pool(4).connect_with(options).await?,
            Engine::Postgres => writer.clone(),
        };
        Ok(Self { engine, schema, writer, reader, together: Arc::default(), gathered: Arc::default() })
    }

    /// Brings the schema up to date. One process does this: `serve` before its doors, or the gateway.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if self.engine == Engine::Postgres {
            self.writer.execute(self.schema.create()).await?;
        }
        match (self.engine, self.schema) {
            (Engine::Sqlite, Schema::Vault) => sqlx::migrate!("../migrations/sqlite/vault").run(&self.writer).await?,
            (Engine::Sqlite, Schema::Gateway) => {
                sqlx::migrate!("../migrations/sqlite/gateway").run(&self.writer).await?
            }
            (Engine::Postgres, Schema::Vault) => {
                sqlx::migrate!("../migrations/postgres/vault").run(&self.writer).await?
            }
            (Engine::Postgres, Schema::Gateway) => {
                sqlx::migrate!("../migrations/postgres/gateway").run(&self.writer).await?
            }
        }
        Ok(())
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// For statements that only read.
    pub fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// For a single writing statement.
    pub fn writer(&self) -> &AnyPool {
        &self.writer
    }

    /// A writing transaction: SQLite's is immediate, so that it never fails half-way for want of the lock.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        Ok(match self.engine {
            Engine::Sqlite => match self.writer.begin_with("begin immediate").await {
                // A commit that found the disk full was rolled back by SQLite itself, and the connection waits for a
                // rollback that can't come any more. It is the only one that writes: another takes its place.
                Err(sqlx::Error::InvalidSavePointStatement) => {
                    self.writer.acquire().await?.close().await?;
                    self.writer.begin_with("begin immediate").await?
                }
                begun => begun?,
            },
            Engine::Postgres => self.writer.begin().await?,
        })
    }

    /// Commits, or says whether that is known to have failed.
    async fn commit(&self, transaction: Transaction<'static, Any>) -> Result<(), StoreError> {
        match tokio::time::timeout(HUNG, transaction.commit()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if self.is_undone(&error) => Err(error.into()),
            Ok(Err(error)) => {
                tracing::error!(%error, "nobody can tell whether a commit was done");
                Err(StoreError::Uncertain)
            }
            Err(_) => {
                tracing::error!("a commit doesn't come to an end");
                Err(StoreError::Uncertain)
            }
        }
    }

    /// Whether a commit that ended so was not done.
    fn is_undone(&self, error: &sqlx::Error) -> bool {
        let code = error.as_database_error().and_then(|error| error.code());
        code.is_some_and(|code| self.engine.says_undone(&code))
    }

    /// Whether the store answers and takes a write: for readiness. Who asks doesn't wait as long as one who has work to do.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answered = async {
            let transaction = self.begin().await?;
            transaction.rollback().await?;
            Ok(())
        };
        tokio::time::timeout(PING, answered).await.unwrap_or(Err(StoreError::Database(sqlx::Error::PoolTimedOut)))
    }

    /// After something was destroyed: nothing of it may stay in the write-ahead log.
    /// On PostgreSQL, autovacuum and WAL recycling decide; SEALING.md says so.
    pub async fn forget_deleted(&self) -> Result<(), StoreError> {
        if self.engine == Engine::Sqlite {
            let row: (i64, i64, i64) =
                sqlx::query_as("pragma wal_checkpoint(truncate)").fetch_one(&self.writer).await?;
            if row.0 != 0 {
                tracing::warn!(
                    "the write-ahead log could not be truncated: a reader holds it; the next destruction tries again"
                );
            }
        }
        Ok(())
    }
}

/// An update that must have met exactly `wanted` rows.
pub fn met(result: &sqlx::any::AnyQueryResult, wanted: u64) -> Result<(), StoreError> {
    let found = result.rows_affected();
    if found == wanted { Ok(()) } else { Err(StoreError::RowCount { found, wanted }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_undone_only_where_that_is_certain() {
        for (engine, code, undone) in [
            (Engine::Postgres, "23505", true),
            (Engine::Postgres, "23503", true),
            (Engine::Postgres, "40001", true),
            (Engine::Postgres, "40P01", true),
            (Engine::Postgres, "40002", true),
            (Engine::Postgres, "25P03", true),
            // "statement completion unknown"
            (Engine::Postgres, "40003", false),
            // A pooler's "server conn crashed?" and "server_login_retry", and lost connections.
            (Engine::Postgres, "08P01", false),
            (Engine::Postgres, "08006", false),
            (Engine::Postgres, "08007", false),
            // Shut down, crashed, starting, cancelled.
            (Engine::Postgres, "57P01", false),
            (Engine::Postgres, "57P02", false),
            (Engine::Postgres, "57P03", false),
            (Engine::Postgres, "57014", false),
            (Engine::Postgres, "53100", false),
            (Engine::Postgres, "58030", false),
            (Engine::Postgres, "XX000", false),
            (Engine::Postgres, "", false),
            // SQLITE_BUSY, SQLITE_FULL, SQLITE_CONSTRAINT_FOREIGNKEY
            (Engine::Sqlite, "5", true),
            (Engine::Sqlite, "13", true),
            (Engine::Sqlite, "787", true),
            // SQLITE_IOERR, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE
            (Engine::Sqlite, "10", false),
            (Engine::Sqlite, "1034", false),
            (Engine::Sqlite, "778", false),
            (Engine::Sqlite, "", false),
        ] {
            assert_eq!(engine.says_undone(code), undone, "{engine:?} {code}");
        }
    }
}
