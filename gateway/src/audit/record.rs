//! A record: one event as JSON text, written beside the change that it tells of.

use serde::Serialize;
use sqlx::{Any, Transaction};

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, StoreError, met};
use sealpost_vault::id::QueueId;

use super::Event;

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
    let body = serde_json::to_string(&Body { at: now, event: &event })?;
    let done = sqlx::query(
        "insert into audit_records (record_id, position, recorded_at, body)
         select $1, coalesce(max(position), 0) + 1, $2, $3 from audit_records",
    )
    .bind(QueueId::random()?.to_string())
    .bind(now)
    .bind(body)
    .execute(&mut **transaction)
    .await?;
    met(&done, 1)
}

/// Records an event that changes no row of ours: something was refused.
pub async fn record_alone(store: &Db, event: Event<'_>, now: Time) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    record(&mut transaction, event, now).await?;
    Ok(transaction.commit().await?)
}
