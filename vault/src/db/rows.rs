//! Rows of many writers in few statements and one commit.
//!
//! Going to the database costs more than a row does, and a commit costs a sync of the disk. So whoever only inserts and
//! deletes says so as [`Rows`] and hands them to [`Db::write_rows`]: what gathers while one batch is being written is the next
//! batch, in one statement for all rows of a [`Statement`]. Nobody waits for company: who is alone is written at once.
//!
//! If anything in a batch fails, all of it is undone, and each writer's rows are tried again in a transaction of their own, so
//! that what is wrong with one is nobody else's trouble. Where the database can't be reached everybody is told so at once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use sqlx::{Any, AssertSqlSafe, Transaction};
use tokio::sync::oneshot;

use super::{Db, Engine, StoreError, within_reason};

/// Writers in one transaction at most: the first of them waits for all.
const MOST: usize = 256;
/// Rows in one statement. Few sizes, so that each statement is prepared once.
const SIZES: [usize; 7] = [MOST_IN_ONE, 32, 16, 8, 4, 2, 1];
const MOST_IN_ONE: usize = 64;

/// What is done with rows of one kind.
#[derive(Debug)]
pub struct Statement {
    /// Statements of one batch run by this number: what others refer to comes first, and goes last.
    pub order: u8,
    pub kind: Kind,
}

/// The shape of a [`Statement`]; `?` is a row's next value.
#[derive(Debug)]
pub enum Kind {
    /// `insert into {into} values {row}, {row}..`
    Insert { into: &'static str, row: &'static str },
    /// `insert into {into} values {row}`, where a row is made with a look at the rows that have the same first value: such
    /// rows go in statements of their own, one after the other.
    Append { into: &'static str, row: &'static str },
    /// As `Insert`, `on conflict ({unique}) do nothing`: what is there already stays as it is.
    InsertNew { into: &'static str, row: &'static str, unique: &'static str },
    /// `update {table} set {set} where {key} in (..) and {condition}`; a row is a key. What doesn't meet the condition stays.
    UpdateIf { table: &'static str, set: &'static str, key: &'static str, condition: &'static str },
    /// `delete from {from} where {key} in (..)`, each with its own guard; a row is a key, which has no blanks, and its guard.
    /// Each must still be there.
    Delete { from: &'static str, key: &'static str, guard: &'static str },
    /// `delete from {from} where {key} in (..)`; a row is a key. Each must still be there.
    DeleteKeys { from: &'static str, key: &'static str },
    /// `delete from {from} where {key} in (..) and {condition}`; a row is a key. What doesn't meet the condition stays.
    DeleteIf { from: &'static str, key: &'static str, condition: &'static str },
    /// `{what} where {one} or {one}..`; a row is the values of one condition. What meets none stays.
    WhereAny { what: &'static str, one: &'static str },
}

/// A value in a row.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Integer(i64),
    Blob(Arc<[u8]>),
}

impl Value {
    /// As the database writes it into text.
    fn written(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Blob(bytes) => String::from_utf8_lossy(bytes),
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes.into())
    }
}

/// Rows that are written together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Rows(Vec<(&'static Statement, Vec<Value>)>);

impl Statement {
    fn columns(&self) -> usize {
        match self.kind {
            Kind::Insert { row, .. } | Kind::Append { row, .. } | Kind::InsertNew { row, .. } => {
                row.matches('?').count()
            }
            Kind::WhereAny { one, .. } => one.matches('?').count(),
            Kind::Delete { .. } => 2,
            Kind::DeleteKeys { .. } | Kind::DeleteIf { .. } | Kind::UpdateIf { .. } => 1,
        }
    }

    /// Whether a row that stands in it twice is as good as once.
    fn may_repeat(&self) -> bool {
        match self.kind {
            Kind::Insert { .. } | Kind::Append { .. } | Kind::InsertNew { .. } => false,
            Kind::UpdateIf { .. }
            | Kind::Delete { .. }
            | Kind::DeleteKeys { .. }
            | Kind::DeleteIf { .. }
            | Kind::WhereAny { .. } => true,
        }
    }

    fn must_meet_all(&self) -> bool {
        match self.kind {
            Kind::Insert { .. } | Kind::Append { .. } | Kind::Delete { .. } | Kind::DeleteKeys { .. } => true,
            Kind::InsertNew { .. } | Kind::DeleteIf { .. } | Kind::UpdateIf { .. } | Kind::WhereAny { .. } => false,
        }
    }

    /// For so many rows.
    fn sql(&self, engine: Engine, rows: usize) -> String {
        let list = |one: &str| vec![one; rows].join(", ");
        let text = match self.kind {
            Kind::Insert { into, row } | Kind::Append { into, row } => {
                format!("insert into {into} values {}", list(row))
            }
            Kind::InsertNew { into, row, unique } => {
                format!("insert into {into} values {} on conflict ({unique}) do nothing", list(row))
            }
            Kind::UpdateIf { table, set, key, condition } => {
                format!("update {table} set {set} where {key} in ({}) and {condition}", list("?"))
            }
            Kind::Delete { from, key, guard } => {
                let (keys, pairs) = (list("?"), list("?"));
                format!("delete from {from} where {key} in ({keys}) and {key} || ' ' || {guard} in ({pairs})")
            }
            Kind::DeleteKeys { from, key } => format!("delete from {from} where {key} in ({})", list("?")),
            Kind::DeleteIf { from, key, condition } => {
                format!("delete from {from} where {key} in ({}) and {condition}", list("?"))
            }
            Kind::WhereAny { what, one } => format!("{what} where {}", vec![one; rows].join(" or ")),
        };
        match engine {
            // For a numbered one the driver looks through the names of all that come before it.
            Engine::Sqlite => text,
            Engine::Postgres => numbered(&text),
        }
    }

    /// The same text each time, so that the driver finds what it prepared.
    fn prepared(&'static self, engine: Engine, rows: usize) -> Arc<str> {
        /// By the statement's address and the number of rows.
        type Texts = HashMap<(usize, Engine, usize), Arc<str>>;
        static TEXTS: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
        let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (std::ptr::from_ref(self).addr(), engine, rows);
        Arc::clone(texts.entry(key).or_insert_with(|| self.sql(engine, rows).into()))
    }
}

/// With `$1`, `$2`.. where there are question marks.
fn numbered(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for (n, piece) in text.split('?').enumerate() {
        if n > 0 {
            out.push_str(&format!("${n}"));
        }
        out.push_str(piece);
    }
    out
}

impl Rows {
    pub fn new() -> Self {
        Self::default()
    }

    /// One more row; as many values as the statement has question marks.
    pub fn push<const N: usize>(&mut self, statement: &'static Statement, values: [Value; N]) {
        debug_assert_eq!(N, statement.columns(), "{statement:?}");
        self.0.push((statement, values.into()));
    }

    pub fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Within somebody's transaction.
    pub async fn write(&self, transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        write(&[self], transaction).await
    }
}

async fn write(all: &[&Rows], transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
    let mut groups: Vec<(&'static Statement, Vec<&[Value]>)> = Vec::new();
    for (statement, values) in all.iter().flat_map(|rows| &rows.0) {
        match groups.iter_mut().find(|(known, _)| std::ptr::eq(*known, *statement)) {
            Some((_, rows)) => rows.push(values),
            None => groups.push((statement, vec![values])),
        }
    }
    groups.sort_by_key(|(statement, _)| statement.order);
    for (statement, rows) in groups {
        let rounds = if matches!(statement.kind, Kind::Append { .. }) { rounds(rows) } else { vec![rows] };
        for rows in rounds {
            let mut rows = rows.as_slice();
            while !rows.is_empty() {
                let size = size(statement, rows.len());
                let (now, later) = rows.split_at(size.min(rows.len()));
                execute(statement, now, size, transaction).await?;
                rows = later;
            }
        }
    }
    Ok(())
}

/// Of the next statement for so many rows that are left. What only names rows may name one of them again, so that one
/// statement is enough.
fn size(statement: &Statement, left: usize) -> usize {
    let mut sizes = SIZES.into_iter();
    let size = if statement.may_repeat() {
        sizes.rev().find(|size| *size >= left).unwrap_or(MOST_IN_ONE)
    } else {
        sizes.find(|size| *size <= left).unwrap_or(1)
    };
    size.max(1)
}

/// In each round one row at most with the same first value; the order among those stays.
fn rounds<'r>(rows: Vec<&'r [Value]>) -> Vec<Vec<&'r [Value]>> {
    let mut rounds: Vec<Vec<&[Value]>> = Vec::new();
    let mut seen: HashMap<Cow<'r, str>, usize> = HashMap::new();
    for row in rows {
        let round = seen.entry(row.first().map(Value::written).unwrap_or_default()).or_default();
        match rounds.get_mut(*round) {
            Some(rows) => rows.push(row),
            None => rounds.push(vec![row]),
        }
        *round += 1;
    }
    rounds
}

async fn execute(
    statement: &'static Statement,
    rows: &[&[Value]],
    size: usize,
    transaction: &mut Transaction<'static, Any>,
) -> Result<(), StoreError> {
    let engine = if transaction.backend_name() == "SQLite" { Engine::Sqlite } else { Engine::Postgres };
    let mut query = sqlx::query(AssertSqlSafe(statement.prepared(engine, size)));
    let is_guarded = matches!(statement.kind, Kind::Delete { .. });
    let last = rows.last().into_iter().cycle().take(size.saturating_sub(rows.len()));
    let filled = rows.iter().chain(last);
    for value in filled.clone().flat_map(|row| row.get(..if is_guarded { 1 } else { row.len() }).unwrap_or_default()) {
        query = match value {
            Value::Text(text) => query.bind(text.as_str()),
            Value::Integer(number) => query.bind(*number),
            Value::Blob(bytes) => query.bind(&**bytes),
        };
    }
    if is_guarded {
        // Behind all keys: each with its guard.
        for row in filled {
            query = query.bind(row.iter().map(Value::written).collect::<Vec<_>>().join(" "));
        }
    }
    let found = query.execute(&mut **transaction).await?.rows_affected();
    let wanted = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if statement.must_meet_all() && found != wanted {
        return Err(StoreError::RowCount { found, wanted });
    }
    Ok(())
}

/// Rows that wait for their turn, and who waits for them.
#[derive(Debug, Default)]
pub(super) struct Gathered(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Entry>,
    /// Somebody writes, and will look again.
    is_written: bool,
}

#[derive(Debug)]
struct Entry {
    rows: Rows,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Entry {
    fn tell(self, written: Result<(), StoreError>) {
        // Who stopped waiting doesn't want to know.
        let _ = self.done.send(written);
    }
}

impl Gathered {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch; none: whoever asked has no more to do.
    fn next(&self) -> Option<Vec<Entry>> {
        let mut waiting = self.lock();
        if waiting.entries.is_empty() {
            waiting.is_written = false;
            return None;
        }
        let most = waiting.entries.len().min(MOST);
        let rest = waiting.entries.split_off(most);
        Some(std::mem::replace(&mut waiting.entries, rest))
    }

    /// All that wait.
    fn all(&self) -> Vec<Entry> {
        std::mem::take(&mut self.lock().entries)
    }
}

/// The writing went away without an end: the runtime stops, or there was a panic. Nobody may wait for it.
struct Writing<'a> {
    gathered: &'a Gathered,
    ended: bool,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let mut waiting = self.gathered.lock();
            waiting.is_written = false;
            waiting.entries.clear();
        }
    }
}

impl Db {
    /// Writes rows in one transaction with those of whoever else writes now. When this returns `Ok`, they are on stable
    /// storage; after an error nothing of them is, unless it is [`StoreError::Uncertain`]. Who stops waiting doesn't stop
    /// the writing.
    pub async fn write_rows(&self, rows: Rows) -> Result<(), StoreError> {
        let (done, told) = oneshot::channel();
        let begins = {
            let mut waiting = self.gathered.lock();
            waiting.entries.push(Entry { rows, done });
            !std::mem::replace(&mut waiting.is_written, true)
        };
        if begins {
            let db = self.clone();
            tokio::spawn(async move { db.write_gathered().await });
        }
        // Nobody says anything any more: the runtime stops, or there was a panic.
        told.await.unwrap_or(Err(StoreError::Uncertain))
    }

    async fn write_gathered(&self) {
        let mut writing = Writing { gathered: &self.gathered, ended: false };
        while let Some(batch) = self.gathered.next() {
            let all: Vec<&Rows> = batch.iter().map(|entry| &entry.rows).collect();
            match self.write_in_one(&all).await {
                Ok(()) => batch.into_iter().for_each(|entry| entry.tell(Ok(()))),
                Err(StoreError::Uncertain) => {
                    batch.into_iter().for_each(|entry| entry.tell(Err(StoreError::Uncertain)));
                }
                Err(StoreError::Unreachable) => self.give_up(batch),
                Err(error) if batch.len() > 1 => {
                    tracing::debug!(%error, writers = batch.len(), "a batch is undone, its parts go on alone");
                    self.write_apart(batch).await;
                }
                Err(error) => {
                    if let Some(alone) = batch.into_iter().next() {
                        alone.tell(Err(error));
                    }
                }
            }
        }
        writing.ended = true;
    }

    async fn write_apart(&self, batch: Vec<Entry>) {
        let mut batch = batch.into_iter();
        while let Some(entry) = batch.next() {
            let written = self.write_in_one(&[&entry.rows]).await;
            let is_lost = matches!(written, Err(StoreError::Unreachable));
            entry.tell(written);
            if is_lost {
                return self.give_up(batch.collect());
            }
        }
    }

    /// Whoever came meanwhile has waited as long as one waits for a connection.
    fn give_up(&self, mut batch: Vec<Entry>) {
        batch.extend(self.gathered.all());
        batch.into_iter().for_each(|entry| entry.tell(Err(StoreError::Unreachable)));
    }

    async fn write_in_one(&self, all: &[&Rows]) -> Result<(), StoreError> {
        let written = within_reason(async {
            let mut transaction = self.begin().await?;
            write(all, &mut transaction).await?;
            Ok(transaction)
        });
        let transaction = written.await.map_err(|error| {
            if !error.is_of_the_connection() {
                return error;
            }
            tracing::warn!(%error, "rows can't be written");
            StoreError::Unreachable
        })?;
        self.commit(transaction).await
    }
}

#[cfg(test)]
mod tests;
