//! Sealed replies on their way in: the portal stores what a browser uploads, the gateway reads it on an errand.
//!
//! Security: opaque packets of bounded size and number; a reply belongs to the session and pickup that began it.

use crate::blobs::BlobStore;
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::errands::UNHEARD;
use crate::id::{ErrandId, PickupId, ReplyId};

/// Most parts of one reply: the slip, the body, and 20 enclosures.
pub const MAX_PARTS: i64 = 22;
/// Largest sealed part, in bytes.
pub const MAX_PART: usize = 26 * 1024 * 1024;
/// Largest sealed reply, all parts together, in bytes.
pub const MAX_REPLY: i64 = 27 * 1024 * 1024;

/// Begins a reply (writer: portal). False where the id is taken.
pub async fn begin(
    db: &Db,
    reply: ReplyId,
    session_hash: &str,
    pickup: PickupId,
    now: Time,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into uploads (reply_id, session_hash, pickup_id, errand_id, created_at) values ($1, $2, $3, '', $4)
         on conflict (reply_id) do nothing",
    )
    .bind(reply.to_string())
    .bind(session_hash)
    .bind(pickup.to_string())
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An upload as its owner sees it.
#[derive(Debug)]
pub struct Upload {
    pub pickup_id: PickupId,
    /// Set once the reply was handed to the gateway.
    pub errand_id: Option<ErrandId>,
    pub parts: i64,
    pub size: i64,
}

/// The session's own upload.
pub async fn find(db: &Db, reply: ReplyId, session_hash: &str) -> Result<Option<Upload>, StoreError> {
    let row: Option<(String, String, i64, i64)> = sqlx::query_as(
        "select u.pickup_id, u.errand_id,
                (select count(*) from upload_parts p where p.reply_id = u.reply_id),
                (select cast(coalesce(sum(p.size), 0) as bigint) from upload_parts p where p.reply_id = u.reply_id)
         from uploads u where u.reply_id = $1 and u.session_hash = $2",
    )
    .bind(reply.to_string())
    .bind(session_hash)
    .fetch_optional(db.reader())
    .await?;
    row.map(|(pickup, errand, parts, size)| {
        let errand_id = if errand.is_empty() { None } else { Some(errand.parse()?) };
        Ok(Upload { pickup_id: pickup.parse()?, errand_id, parts, size })
    })
    .transpose()
}

/// Stores one part (writer: portal); a part that is uploaded again replaces the first.
pub async fn put_part(db: &Db, blobs: &BlobStore, reply: ReplyId, n: i64, packet: Vec<u8>) -> Result<(), StoreError> {
    let key = format!("replies/{reply}/{n}");
    let placed = blobs.place(key.clone(), packet).await?;
    let in_row = placed.blob_key.is_empty();
    sqlx::query(
        "insert into upload_parts (reply_id, n, size, blob_key, packet) values ($1, $2, $3, $4, $5)
         on conflict (reply_id, n) do update set size = excluded.size, blob_key = excluded.blob_key, packet = excluded.packet",
    )
    .bind(reply.to_string())
    .bind(n)
    .bind(placed.size)
    .bind(placed.blob_key)
    .bind(placed.in_row)
    .execute(db.writer())
    .await?;
    if in_row {
        // A larger packet in this place was a blob.
        blobs.delete(&key).await?;
    }
    Ok(())
}

/// Size of all parts but `n`, in bytes: what a part that is uploaded again comes on top of.
pub async fn size_without(db: &Db, reply: ReplyId, n: i64) -> Result<i64, StoreError> {
    let (size,): (i64,) = sqlx::query_as(
        "select cast(coalesce(sum(size), 0) as bigint) from upload_parts where reply_id = $1 and n <> $2",
    )
    .bind(reply.to_string())
    .bind(n)
    .fetch_one(db.reader())
    .await?;
    Ok(size)
}

/// Marks the reply as handed over (writer: portal). False where it was handed over before.
pub async fn hand_over(db: &Db, reply: ReplyId, errand: ErrandId) -> Result<bool, StoreError> {
    let done = sqlx::query("update uploads set errand_id = $1 where reply_id = $2 and errand_id = ''")
        .bind(errand.to_string())
        .bind(reply.to_string())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The parts of a reply in order (reader: gateway), `None` where one is missing, too large or the total is.
pub async fn parts(db: &Db, blobs: &BlobStore, reply: ReplyId, count: u32) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
    let count = i64::from(count);
    if !(1..=MAX_PARTS).contains(&count) {
        return Ok(None);
    }
    let sizes: Vec<(i64, i64)> =
        sqlx::query_as("select n, size from upload_parts where reply_id = $1 order by n limit $2")
            .bind(reply.to_string())
            .bind(count.saturating_add(1))
            .fetch_all(db.reader())
            .await?;
    let in_order = sizes.iter().zip(0..).all(|((n, size), expected)| *n == expected && *size >= 0);
    let total: i64 = sizes.iter().map(|(_, size)| *size).fold(0, i64::saturating_add);
    if i64::try_from(sizes.len()) != Ok(count) || !in_order || total > MAX_REPLY {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(sizes.len());
    for (n, _) in sizes {
        // The row's own claim about its key isn't believed: a reply's blobs lie under its id and nowhere else.
        let row: Option<(String, Vec<u8>)> = sqlx::query_as(
            "select blob_key, packet from upload_parts where reply_id = $1 and n = $2 and length(packet) <= 131072",
        )
        .bind(reply.to_string())
        .bind(n)
        .fetch_optional(db.reader())
        .await?;
        let Some((key, in_row)) = row else { return Ok(None) };
        if !key.is_empty() && key != format!("replies/{reply}/{n}") {
            return Ok(None);
        }
        let packet = blobs.fetch_bounded(&key, in_row, MAX_PART).await?;
        let Some(packet) = packet else { return Ok(None) };
        parts.push(packet);
    }
    Ok(Some(parts))
}

/// Deletes the sealed parts once the gateway has answered (writer: portal); that the reply was sent stays known, so that a
/// browser which missed the answer can still ask for it.
pub async fn empty(db: &Db, blobs: &BlobStore, reply: ReplyId) -> Result<(), StoreError> {
    let keys: Vec<(String,)> = sqlx::query_as("select blob_key from upload_parts where reply_id = $1")
        .bind(reply.to_string())
        .fetch_all(db.reader())
        .await?;
    sqlx::query("delete from upload_parts where reply_id = $1").bind(reply.to_string()).execute(db.writer()).await?;
    for (key,) in keys {
        blobs.delete(&key).await?;
    }
    Ok(())
}

/// The session's uploads that were never sent (writer: portal): for when it ends.
pub async fn unsent(db: &Db, session_hash: &str) -> Result<Vec<ReplyId>, StoreError> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select reply_id from uploads where session_hash = $1 and errand_id = ''")
            .bind(session_hash)
            .fetch_all(db.reader())
            .await?;
    rows.into_iter().map(|(id,)| id.parse().map_err(StoreError::from)).collect()
}

/// Deletes a reply's upload (writer: portal).
pub async fn delete(db: &Db, blobs: &BlobStore, reply: ReplyId) -> Result<(), StoreError> {
    let keys: Vec<(String,)> = sqlx::query_as("select blob_key from upload_parts where reply_id = $1")
        .bind(reply.to_string())
        .fetch_all(db.reader())
        .await?;
    sqlx::query("delete from uploads where reply_id = $1").bind(reply.to_string()).execute(db.writer()).await?;
    for (key,) in keys {
        blobs.delete(&key).await?;
    }
    Ok(())
}

/// Uploads begun before `before` (writer: portal), for housekeeping; what was sent and the gateway has not answered stays
/// [`UNHEARD`] longer. What its writer may read again is not among them.
pub async fn older_than(db: &Db, before: Time) -> Result<Vec<ReplyId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select reply_id from uploads where created_at < $1 and (errand_id = '' or created_at < $2
         or exists (select 1 from errand_answers a where a.errand_id = uploads.errand_id))
         and not exists (select 1 from own_replies o where o.reply_id = uploads.reply_id)",
    )
    .bind(before)
    .bind(before.saturating_sub(UNHEARD))
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(|(id,)| id.parse().map_err(StoreError::from)).collect()
}
