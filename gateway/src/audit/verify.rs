//! Verifying the chain in the store: every record, every head, what waits, and the head file.
//!
//! Reads page by page, while the gateway goes on: the chain only grows, and what grew since is left for the next time.

use std::path::Path;

use sqlx::Row;
use sqlx::any::AnyRow;

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, StoreError};

use super::chain::{Hash, Head};
use super::check::{Checker, Fault, Findings, Source, Trusted};
use super::sequencer::{head_from_row, read_head_file};

/// Records read at once; one with a thousand recipients is some hundred KiB.
const PAGE: i64 = 100;
/// A record that waits for longer than this, in seconds, while others are chained, was passed over.
const WAITS: Time = 3_600;

/// One record of the chain, in whatever state it is.
pub(super) struct Link {
    pub n: i64,
    /// `None` where it has another length than hashes have.
    pub hash: Option<Hash>,
    pub body: String,
}

/// Checks all of it. `head_file` is where the gateway keeps its newest head; `given` are heads that were kept elsewhere.
pub async fn verify(
    store: &Db,
    trusted: &Trusted,
    head_file: &Path,
    given: Vec<Head>,
    now: Time,
) -> Result<Findings, StoreError> {
    let mut checker = Checker::from_the_beginning(trusted);
    for head in given {
        checker.hold_against(Source::Given, head);
    }
    // Before the database: what the gateway adds in between makes the database the longer of the two.
    let kept = read_head_file(head_file)?;
    if let Some(Some(head)) = &kept {
        checker.hold_against(Source::HeadFile, head.clone());
    }
    // The newest head may be replaced while we read, so it is read first, and the others are those before it.
    let (mut newest, end) = newest_and_last(store).await?;
    let before_newest = newest.as_ref().map_or(end, |head| at(head).saturating_sub(1));
    let mut done = 0;
    loop {
        let page = links(store, done, end).await?;
        let Some(reached) = page.last().map(|link| link.n) else { break };
        let mut heads = heads(store, done, reached.min(before_newest)).await?.into_iter().peekable();
        for link in page {
            checker.record(link.n, link.hash, &link.body);
            while let Some(head) = heads.next_if(|head| at(head) <= link.n) {
                take(&mut checker, head);
            }
            if let Some(head) = newest.take_if(|head| at(head) <= link.n) {
                take(&mut checker, head);
            }
        }
        done = reached;
    }
    if let Some(head) = newest {
        take(&mut checker, head);
    }
    let mut findings = checker.finish();
    match kept {
        Some(Some(_)) => {}
        None if findings.last == 0 => {}
        None => findings.add(Fault::HeadFile { there: false }),
        Some(None) => findings.add(Fault::HeadFile { there: true }),
    }
    waiting(store, &mut findings, now).await?;
    Ok(findings)
}

/// A head as stored: readable, or only its number.
pub(super) enum Stored {
    Head(Box<Head>),
    Damaged(i64),
}

pub(super) fn at(head: &Stored) -> i64 {
    match head {
        Stored::Head(head) => head.n,
        Stored::Damaged(n) => *n,
    }
}

fn take(checker: &mut Checker<'_>, head: Stored) {
    match head {
        Stored::Head(head) => checker.head(*head),
        Stored::Damaged(n) => checker.damaged_head(n),
    }
}

/// Records after `done`, up to `end`: a page.
pub(super) async fn links(store: &Db, done: i64, end: i64) -> Result<Vec<Link>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, String)> =
        sqlx::query_as("select n, hash, body from audit_chain where n > $1 and n <= $2 order by n limit $3")
            .bind(done)
            .bind(end)
            .bind(PAGE)
            .fetch_all(store.reader())
            .await?;
    Ok(rows.into_iter().map(|(n, hash, body)| Link { n, hash: hash.try_into().ok(), body }).collect())
}

/// Heads of records after `done`, up to `end`.
pub(super) async fn heads(store: &Db, done: i64, end: i64) -> Result<Vec<Stored>, StoreError> {
    let rows = sqlx::query(
        "select n, hash, signed_at, organisation, signer, signature from audit_heads where n > $1 and n <= $2 order by n",
    )
    .bind(done)
    .bind(end)
    .fetch_all(store.reader())
    .await?;
    rows.iter().map(stored).collect()
}

/// The newest head and the last record's number, of one moment: the sequencer is at work meanwhile.
pub(super) async fn newest_and_last(store: &Db) -> Result<(Option<Stored>, i64), StoreError> {
    let row = sqlx::query(
        "select n, hash, signed_at, organisation, signer, signature, (select coalesce(max(n), 0) from audit_chain) as last
         from audit_heads order by n desc limit 1",
    )
    .fetch_optional(store.reader())
    .await?;
    if let Some(row) = row {
        return Ok((Some(stored(&row)?), row.try_get("last")?));
    }
    let (last,): (i64,) =
        sqlx::query_as("select coalesce(max(n), 0) from audit_chain").fetch_one(store.reader()).await?;
    Ok((None, last))
}

fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    match head_from_row(row) {
        Ok(head) => Ok(Stored::Head(Box::new(head))),
        Err(StoreError::Corrupt(_)) => Ok(Stored::Damaged(row.try_get("n")?)),
        Err(cause) => Err(cause),
    }
}

async fn waiting(store: &Db, findings: &mut Findings, now: Time) -> Result<(), StoreError> {
    let (count, since): (i64, i64) =
        sqlx::query_as("select count(*), coalesce(min(recorded_at), 0) from audit_records")
            .fetch_one(store.reader())
            .await?;
    if count == 0 {
        return Ok(());
    }
    findings.waiting = Some((count, since));
    let overdue = since < now.saturating_sub(WAITS);
    let passed_over = findings.head.as_ref().is_some_and(|head| head.at > since.saturating_add(WAITS));
    if overdue && passed_over {
        findings.add(Fault::Stuck { count, since });
    }
    Ok(())
}
