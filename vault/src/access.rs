//! What may be handed to whom: a pickup's letter with each way in that it still has, and whose it is.
//!
//! A letter has a way by link (share and SKESK), a way by its reader's account (a PKESK), or both for a while after its
//! reader enrolled. The portal decides by the session which one it hands out.

use sqlx::Row;

use crate::address::Identity;
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::id::{AccountId, ConversationId, LetterId, PickupId};

/// A pickup's letter, while it lives.
#[derive(Debug)]
pub struct Letter {
    pub pickup_id: PickupId,
    pub letter_id: LetterId,
    pub conversation_id: ConversationId,
    pub reader: Identity,
    /// Fingerprint of the organisation's certificate, upper-case hex.
    pub organisation: String,
    pub certificate: Vec<u8>,
    pub by_link: Option<ByLink>,
    pub by_account: Option<ByAccount>,
    /// Whether its reader has an account.
    pub enrolled: bool,
    pub slip: Vec<u8>,
    /// Stored sizes of the parts, in bytes, by `n`.
    pub part_sizes: Vec<i64>,
    pub expires_at: Time,
}

/// The way by link: what the server adds to the link's secret.
#[derive(Debug)]
pub struct ByLink {
    pub share: Vec<u8>,
    /// One SKESKv6.
    pub key_packet: Vec<u8>,
}

/// The way by account.
#[derive(Debug)]
pub struct ByAccount {
    pub account_id: AccountId,
    /// One PKESKv6.
    pub key_packet: Vec<u8>,
}

/// A pickup's letter with its ways in, while it lives.
pub async fn letter(db: &Db, pickup_id: PickupId, now: Time) -> Result<Option<Letter>, StoreError> {
    let row = sqlx::query(
        "select l.letter_id, l.content_id, l.conversation_id, l.slip, p.reader, p.organisation, p.expires_at, o.certificate
         from pickups p
         join letters l on l.letter_id = p.letter_id
         join organisation o on o.fingerprint = p.organisation
         where p.pickup_id = $1 and p.expires_at > $2",
    )
    .bind(pickup_id.to_string())
    .bind(now)
    .fetch_optional(db.reader())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let by_link: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "select s.share, k.packet from shares s join key_packets k on k.pickup_id = s.pickup_id where s.pickup_id = $1",
    )
    .bind(pickup_id.to_string())
    .fetch_optional(db.reader())
    .await?;
    let by_account: Option<(String, Vec<u8>)> =
        sqlx::query_as("select account_id, packet from account_keys where pickup_id = $1")
            .bind(pickup_id.to_string())
            .fetch_optional(db.reader())
            .await?;
    let by_account = match by_account {
        Some((account, key_packet)) => Some(ByAccount { account_id: account.parse()?, key_packet }),
        None => None,
    };
    let sizes: Vec<(i64,)> = sqlx::query_as("select size from parts where content_id = $1 order by n")
        .bind(row.try_get::<String, _>("content_id")?)
        .fetch_all(db.reader())
        .await?;
    Ok(Some(Letter {
        pickup_id,
        letter_id: row.try_get::<String, _>("letter_id")?.parse()?,
        conversation_id: row.try_get::<String, _>("conversation_id")?.parse()?,
        reader: Identity::from_stored(row.try_get("reader")?),
        organisation: row.try_get("organisation")?,
        certificate: row.try_get("certificate")?,
        by_link: by_link.map(|(share, key_packet)| ByLink { share, key_packet }),
        by_account,
        enrolled: enrolled(db, pickup_id).await?,
        slip: row.try_get("slip")?,
        part_sizes: sizes.into_iter().map(|(size,)| size).collect(),
        expires_at: row.try_get("expires_at")?,
    }))
}

/// Whether the living pickup's reader is the account's.
pub async fn owns(db: &Db, account: AccountId, pickup: PickupId, now: Time) -> Result<bool, StoreError> {
    let row: Option<(String,)> = sqlx::query_as(
        "select p.pickup_id from pickups p join accounts a on a.reader = p.reader
         where p.pickup_id = $1 and a.account_id = $2 and p.expires_at > $3",
    )
    .bind(pickup.to_string())
    .bind(account.to_string())
    .bind(now)
    .fetch_optional(db.reader())
    .await?;
    Ok(row.is_some())
}

/// Whether the pickup's reader has an account.
pub async fn enrolled(db: &Db, pickup: PickupId) -> Result<bool, StoreError> {
    let row: Option<(String,)> = sqlx::query_as(
        "select a.account_id from pickups p join accounts a on a.reader = p.reader where p.pickup_id = $1",
    )
    .bind(pickup.to_string())
    .fetch_optional(db.reader())
    .await?;
    Ok(row.is_some())
}

/// Whether the pickup is there, and its link opens nothing any more, or never did.
pub async fn by_account_alone(db: &Db, pickup: PickupId) -> Result<bool, StoreError> {
    let row: Option<(String,)> = sqlx::query_as(
        "select p.pickup_id from pickups p
         where p.pickup_id = $1 and not exists (select 1 from shares s where s.pickup_id = p.pickup_id)",
    )
    .bind(pickup.to_string())
    .fetch_optional(db.reader())
    .await?;
    Ok(row.is_some())
}
