//! Exports: the chain as JSON lines, and checking them without the store.
//!
//! ```text
//! {"audit":"sealpost/v1","organisation":"..","first":1,"previous":"00..","last":2}
//! {"n":1,"hash":"..","record":{"at":1764030000,"kind":"accepted",..}}
//! {"n":2,"hash":"..","record":{..}}
//! {"head":2,"hash":"..","at":1764030001,"organisation":"..","signer":"..","signature":".."}
//! ```
//!
//! What stands after `"record":`, up to the line's last brace, is the very text that is hashed: whoever keeps an export
//! keeps its lines as they are. It ends with a head, so that nothing in it is unsigned.

use std::io::{BufRead, Read, Write};

use data_encoding::HEXUPPER;
use serde::{Deserialize, Serialize};

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, StoreError};

use super::chain::{BEGINNING, Hash, Head, hex, unhex};
use super::check::{Checker, Fault, Findings, Source, Trusted};
use super::sequencer::hash_of;
use super::verify::{Link, Stored, at, heads, links, newest_and_last};

/// Longest line of an export that is read: a record with a thousand recipients has some hundred KiB.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;
const VERSION: &str = "sealpost/v1";

/// Where an export begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Beginning,
    /// With this record.
    From(i64),
    /// With the first record of this moment or later.
    Since(Time),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    audit: String,
    organisation: String,
    first: i64,
    previous: String,
    last: i64,
}

/// Writes what is chained, from `start` to the newest head. Returns how many records.
///
/// # Errors
/// Also where the chain is damaged so that it can't be written as one: [`super::verify()`] says how.
pub async fn export(
    store: &Db,
    organisation: Hash,
    start: Start,
    out: &mut (impl Write + Send),
) -> Result<u64, StoreError> {
    let last = match newest_and_last(store).await? {
        (Some(newest), _) => at(&newest),
        (None, _) => 0,
    };
    let first = first(store, start, last).await?;
    let before = first.saturating_sub(1);
    let previous = match before {
        0 => BEGINNING,
        _ => hash_of(store, before).await?.ok_or(StoreError::Corrupt("the audit's chain: `audit verify` says how"))?,
    };
    let opening = Opening {
        audit: VERSION.to_owned(),
        organisation: HEXUPPER.encode(&organisation),
        first,
        previous: hex(&previous),
        last,
    };
    writeln!(out, "{}", serde_json::to_string(&opening)?)?;
    let (mut done, mut count) = (before, 0);
    loop {
        let page = links(store, done, last).await?;
        let Some(reached) = page.last().map(|link| link.n) else { break };
        let mut heads = heads(store, done, reached).await?.into_iter().peekable();
        for Link { n, hash, body } in page {
            let hash = hash.map_or_else(String::new, |hash| hex(&hash));
            writeln!(out, "{{\"n\":{n},\"hash\":\"{hash}\",\"record\":{body}}}")?;
            count += 1;
            while let Some(head) = heads.next_if(|head| at(head) <= n) {
                if let Stored::Head(head) = head {
                    writeln!(out, "{}", head.line()?)?;
                }
            }
        }
        done = reached;
    }
    out.flush()?;
    Ok(count)
}

async fn first(store: &Db, start: Start, last: i64) -> Result<i64, StoreError> {
    #[derive(Deserialize)]
    struct Dated {
        at: Time,
    }
    let since = match start {
        Start::Beginning => return Ok(1),
        Start::From(n) => return Ok(n.clamp(1, last.saturating_add(1))),
        Start::Since(time) => time,
    };
    // What was signed before that moment was recorded before it.
    let (mut done,): (i64,) = sqlx::query_as("select coalesce(max(n), 0) from audit_heads where signed_at < $1")
        .bind(since)
        .fetch_one(store.reader())
        .await?;
    loop {
        let page = links(store, done, last).await?;
        let Some(reached) = page.last().map(|link| link.n) else { return Ok(last.saturating_add(1)) };
        for link in page {
            if serde_json::from_str(&link.body).is_ok_and(|dated: Dated| dated.at >= since) {
                return Ok(link.n);
            }
        }
        done = reached;
    }
}

/// Checks an export.
pub fn verify_export(mut lines: impl BufRead, trusted: &Trusted, given: Vec<Head>) -> std::io::Result<Findings> {
    let mut line = String::new();
    let opening = match next(&mut lines, &mut line)? {
        Some(Ok(())) => serde_json::from_str(&line).ok(),
        _ => None,
    };
    let opening: Option<(Opening, Hash)> = opening.and_then(|opening: Opening| {
        let previous = unhex(&opening.previous)?;
        (opening.audit == VERSION && opening.first >= 1).then_some((opening, previous))
    });
    let Some((opening, previous)) = opening else {
        return Ok(Findings { faults: vec![Fault::Unreadable { line: 1 }], ..Findings::default() });
    };
    let mut checker = Checker::new(trusted, opening.first, previous);
    for head in given {
        checker.hold_against(Source::Given, head);
    }
    let mut number = 1;
    while let Some(read) = next(&mut lines, &mut line)? {
        number += 1;
        if read.is_err() {
            checker.unreadable(number);
        } else if let Some((n, hash, body)) = record(&line) {
            checker.record(n, hash, body);
        } else if let Some(head) = Head::from_line(&line) {
            checker.head(head);
        } else {
            checker.unreadable(number);
        }
    }
    let mut findings = checker.finish();
    let last = findings.last.max(opening.first.saturating_sub(1));
    if last < opening.last {
        findings.add(Fault::Missing { first: last.saturating_add(1), last: opening.last });
    }
    Ok(findings)
}

struct NotALine;

/// The next line without its end; `None` at the end.
fn next(lines: &mut impl BufRead, line: &mut String) -> std::io::Result<Option<Result<(), NotALine>>> {
    let mut bytes = Vec::new();
    if lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    line.clear();
    if bytes.pop_if(|byte| *byte == b'\n').is_some() {
        bytes.pop_if(|byte| *byte == b'\r');
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            line.push_str(&text);
            Ok(Some(Ok(())))
        }
        Err(_) => Ok(Some(Err(NotALine))),
    }
}

/// A record's line: its number, its hash, and the very text of its body.
fn record(line: &str) -> Option<(i64, Option<Hash>, &str)> {
    let (n, rest) = line.strip_prefix("{\"n\":")?.split_once(",\"hash\":\"")?;
    let (hash, rest) = rest.split_once("\",\"record\":")?;
    Some((n.parse().ok()?, unhex(hash), rest.strip_suffix('}')?))
}
