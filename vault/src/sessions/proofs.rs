//! Proofs: which pickups a session may see, and what the gateway was told of them.

use super::{LONGEST, SessionHash, is_alive};
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::id::PickupId;

/// Whether the session lives and proved itself for this pickup; a sign of life if so.
pub async fn has_proven(db: &Db, session: SessionHash, pickup: PickupId, now: Time) -> Result<bool, StoreError> {
    let alive = is_alive(db, session, now).await?;
    let row: Option<(i64,)> =
        sqlx::query_as("select proven_at from proofs where session_hash = $1 and pickup_id = $2 and proven_at > $3")
            .bind(session.hex())
            .bind(pickup.to_string())
            .bind(now.saturating_sub(LONGEST))
            .fetch_optional(db.reader())
            .await?;
    Ok(alive && row.is_some())
}

/// Something about a proven pickup that the gateway is told once per session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// The share was handed out.
    Released,
    /// The browser says that it opened the letter.
    Opened,
}

/// True for the first who reaches it: tell the gateway then.
pub async fn reach(
    db: &Db,
    session: SessionHash,
    pickup: PickupId,
    milestone: Milestone,
    now: Time,
) -> Result<bool, StoreError> {
    let statement = match milestone {
        Milestone::Released => {
            "update proofs set released_at = $1 where session_hash = $2 and pickup_id = $3 and released_at = 0"
        }
        Milestone::Opened => {
            "update proofs set opened_at = $1 where session_hash = $2 and pickup_id = $3 and opened_at = 0"
        }
    };
    let done =
        sqlx::query(statement).bind(now).bind(session.hex()).bind(pickup.to_string()).execute(db.writer()).await?;
    Ok(done.rows_affected() == 1)
}

/// The same for a session whose account owns the pickup: no code was shown for it, so there may be nothing to note it by.
pub async fn reach_as_owner(
    db: &Db,
    session: SessionHash,
    pickup: PickupId,
    milestone: Milestone,
    now: Time,
) -> Result<bool, StoreError> {
    // proven_at 0 proves nothing.
    sqlx::query(
        "insert into proofs (session_hash, pickup_id, proven_at, released_at, opened_at) values ($1, $2, 0, 0, 0)
         on conflict (session_hash, pickup_id) do nothing",
    )
    .bind(session.hex())
    .bind(pickup.to_string())
    .execute(db.writer())
    .await?;
    reach(db, session, pickup, milestone, now).await
}
