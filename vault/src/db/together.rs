//! One commit for all who have something to write at the same moment.
//!
//! A commit costs a sync of the disk, however little is in it. So writers take turns in one open transaction: the first
//! begins it, each writes its part, and whoever finds nobody waiting behind commits it for all. While that commit is being
//! synced, the next ones gather. Nobody waits for company: who is alone commits at once.
//!
//! If one part fails, all of them are undone, and each is tried again in a transaction of its own, so that what is wrong with
//! one is nobody else's trouble.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{Any, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::{Db, StoreError, within_reason};

/// Parts in one transaction at most: the first of them waits for all.
const MOST: usize = 100;

/// What [`Write::write`] returns.
pub type Written<'t> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 't>>;

/// Something to write in a transaction that isn't its own.
pub trait Write: Sync {
    /// May be called a second time, after everything that the first time wrote was undone.
    fn write<'t>(&'t self, transaction: &'t mut Transaction<'static, Any>) -> Written<'t>;
}

/// Where the writers of a store meet.
#[derive(Debug, Default)]
pub(super) struct Together {
    turn: Arc<Mutex<Option<Open>>>,
    waiting: AtomicUsize,
}

/// A transaction that others may join. Dropped, it is rolled back, and whoever wrote in it finds out.
struct Open {
    transaction: Transaction<'static, Any>,
    parts: usize,
    committed: watch::Sender<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ahead,
    Committed,
    /// Nobody can tell.
    Uncertain,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Together {
    fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }
}

/// Counts who waits for a turn. Who stops waiting may be the one that others count on to commit: then what is open is undone.
struct Waiting<'a>(&'a Together);

impl<'a> Waiting<'a> {
    fn new(together: &'a Together) -> Self {
        together.waiting.fetch_add(1, Ordering::SeqCst);
        Self(together)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let was = self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        // Whoever has the turn sees the new count before, or just after, it gives the turn up.
        if was == 1
            && let Ok(mut open) = self.0.turn.try_lock()
        {
            drop(open.take());
        }
    }
}

/// Whoever doesn't come to the end of its turn undoes the transaction: its part may be half there.
struct Turn(Option<OwnedMutexGuard<Option<Open>>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(open) = &mut self.0 {
            drop(open.take());
        }
    }
}

impl Db {
    /// Writes in one transaction with whoever else writes now. When this returns `Ok`, it is on stable storage.
    pub async fn together(&self, part: &(impl Write + ?Sized)) -> Result<(), StoreError> {
        if self.join(part).await? {
            return Ok(());
        }
        let transaction = within_reason(async {
            let mut transaction = self.begin().await?;
            part.write(&mut transaction).await?;
            Ok(transaction)
        });
        let transaction = transaction.await?;
        self.commit(transaction).await
    }

    /// Commits what is open, unless somebody comes who will. On a task of its own: who stops waiting must not leave others
    /// in doubt. The turn ends after the commit.
    fn commit_shared(&self, mut turn: OwnedMutexGuard<Option<Open>>) {
        let Some(Open { transaction, committed, .. }) = turn.take() else { return };
        let db = self.clone();
        tokio::spawn(async move {
            match db.commit(transaction).await {
                Ok(()) => drop(committed.send(End::Committed)),
                Err(StoreError::Uncertain) => drop(committed.send(End::Uncertain)),
                Err(error) => tracing::debug!(%error, "a shared transaction can't be committed, its parts go on alone"),
            }
            drop(turn);
        });
    }

    /// False: it was undone, by its own fault or another's.
    async fn join(&self, part: &(impl Write + ?Sized)) -> Result<bool, StoreError> {
        let together = &*self.together;
        let waiting = Waiting::new(together);
        let mut turn = Turn(Some(Arc::clone(&together.turn).lock_owned().await));
        drop(waiting);
        let Some(open) = &mut turn.0 else { return Ok(false) };
        let joined = match open.as_mut() {
            Some(joined) => joined,
            None => {
                let transaction = within_reason(self.begin()).await?;
                open.insert(Open { transaction, parts: 0, committed: watch::Sender::new(End::Ahead) })
            }
        };
        if let Err(error) = within_reason(part.write(&mut joined.transaction)).await {
            tracing::debug!(%error, parts = joined.parts, "a shared transaction is undone, its parts go on alone");
            return Ok(false);
        }
        joined.parts += 1;
        let full = joined.parts >= MOST;
        let mut committed = joined.committed.subscribe();
        let open = turn.0.take();
        if full || !together.is_awaited() {
            open.into_iter().for_each(|open| self.commit_shared(open));
        } else {
            drop(open);
            // Who was waited for has gone in between?
            if !together.is_awaited()
                && let Ok(open) = Arc::clone(&together.turn).try_lock_owned()
            {
                self.commit_shared(open);
            }
        }
        match committed.wait_for(|end| *end != End::Ahead).await.as_deref() {
            Ok(End::Committed) => Ok(true),
            Ok(End::Uncertain) => Err(StoreError::Uncertain),
            // An error: the sender is gone, and the transaction with it.
            Ok(End::Ahead) | Err(_) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Schema;

    /// Writes a row; may fail, or never come to an end.
    struct Row {
        n: i64,
        then: Then,
        calls: AtomicUsize,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Then {
        Good,
        Fail,
        Hang,
    }

    impl Row {
        fn new(n: i64, then: Then) -> Self {
            Self { n, then, calls: AtomicUsize::new(0) }
        }
    }

    impl Write for Row {
        fn write<'t>(&'t self, transaction: &'t mut Transaction<'static, Any>) -> Written<'t> {
            Box::pin(async move {
                self.calls.fetch_add(1, Ordering::SeqCst);
                sqlx::query("insert into parts (n) values ($1)").bind(self.n).execute(&mut **transaction).await?;
                match self.then {
                    Then::Good => Ok(()),
                    Then::Fail => Err(StoreError::Corrupt("as the test wants")),
                    Then::Hang => std::future::pending().await,
                }
            })
        }
    }

    async fn store(directory: &tempfile::TempDir) -> Db {
        let url = format!("sqlite:{}", directory.path().join("x.db").display());
        let db = Db::connect(&url, Schema::Gateway).await.unwrap();
        sqlx::query("create table parts (n integer primary key) strict").execute(db.writer()).await.unwrap();
        db
    }

    async fn rows(db: &Db) -> Vec<i64> {
        let rows: Vec<(i64,)> = sqlx::query_as("select n from parts order by n").fetch_all(db.reader()).await.unwrap();
        rows.into_iter().map(|(n,)| n).collect()
    }

    /// All of them at once; which of them were written.
    async fn at_once(db: &Db, rows: Vec<Row>) -> (Vec<i64>, usize) {
        let rows: Vec<Arc<Row>> = rows.into_iter().map(Arc::new).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for row in &rows {
            let (db, row) = (db.clone(), Arc::clone(row));
            tasks.spawn(async move { (row.n, db.together(&*row).await.is_ok()) });
        }
        let mut written: Vec<i64> =
            tasks.join_all().await.into_iter().filter(|done| done.1).map(|done| done.0).collect();
        written.sort_unstable();
        (written, rows.iter().map(|row| row.calls.load(Ordering::SeqCst)).sum())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn all_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let db = store(&directory).await;
        let (written, calls) = at_once(&db, (0..500).map(|n| Row::new(n, Then::Good)).collect()).await;
        assert_eq!(written, (0..500).collect::<Vec<i64>>());
        assert_eq!(rows(&db).await, written);
        assert_eq!(calls, 500, "each once");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_that_fails_is_nobody_elses_trouble() {
        let directory = tempfile::tempdir().unwrap();
        let db = store(&directory).await;
        let then = |n: i64| if n % 10 == 3 { Then::Fail } else { Then::Good };
        let (written, _) = at_once(&db, (0..100).map(|n| Row::new(n, then(n))).collect()).await;
        assert_eq!(written, (0..100).filter(|n| n % 10 != 3).collect::<Vec<i64>>());
        assert_eq!(rows(&db).await, written, "what was answered for is there, and nothing else");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_is_dropped_in_its_turn_leaves_nothing_and_holds_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let db = store(&directory).await;
        for round in 0..10 {
            let hanging = Row::new(1_000 + round, Then::Hang);
            let (good, other) = (Row::new(round * 2, Then::Good), Row::new(round * 2 + 1, Then::Good));
            let (one, two, _) = tokio::join!(
                db.together(&good),
                db.together(&other),
                tokio::time::timeout(std::time::Duration::from_millis(50), db.together(&hanging)),
            );
            one.unwrap();
            two.unwrap();
        }
        assert_eq!(rows(&db).await, (0..20).collect::<Vec<i64>>());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_stops_waiting_leaves_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let db = store(&directory).await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..400 {
            let db = db.clone();
            tasks.spawn(async move {
                let row = Row::new(n, Then::Good);
                let patience = std::time::Duration::from_micros(u64::try_from(n).unwrap() * 37 % 3_000);
                let done = db.together(&row);
                if n % 2 == 0 {
                    let _ = tokio::time::timeout(patience, done).await;
                    None
                } else {
                    done.await.unwrap();
                    Some(n)
                }
            });
        }
        let mut patient: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
        patient.sort_unstable();
        assert_eq!(patient, (0..400).filter(|n| n % 2 == 1).collect::<Vec<i64>>());
        let written = rows(&db).await;
        assert!(patient.iter().all(|n| written.contains(n)));
    }
}
