//! A record: one event as JSON text, written beside the change that it tells of.

use serde::Serialize;
use sqlx::{Any, Transaction};

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, Kind, Rows, Statement, StoreError};

use super::Event;

static RECORDS: Statement =
    Statement { order: 50, kind: Kind::Insert { into: "audit_records (recorded_at, body)", row: "(?, ?)" } };

#[derive(Serialize)]
struct Body<'a> {
    at: Time,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// Records an event in the transaction that makes it true: both are committed, or neither is.
pub async fn record(
    transaction: &mut Transaction<'static, Any>,
    event: Event<'_>,
    now: Time,
) -> Result<(), StoreError> {
    let mut rows = Rows::new();
    record_with(&mut rows, event, now)?;
    rows.write(transaction).await
}

/// Records an event together with the rows that make it true.
pub fn record_with(rows: &mut Rows, event: Event<'_>, now: Time) -> Result<(), StoreError> {
    let body = serde_json::to_string(&Body { at: now, event: &event })?;
    rows.push(&RECORDS, [now.into(), body.into()]);
    Ok(())
}

/// Records an event that changes no row of ours: something was refused.
pub async fn record_alone(store: &Db, event: Event<'_>, now: Time) -> Result<(), StoreError> {
    let mut rows = Rows::new();
    record_with(&mut rows, event, now)?;
    store.write_rows(rows).await
}
