//! Replies that their writers may read again: what an enrolled reader's browser sealed to its own certificate too.
//!
//! The sealed packets are the upload's; what is kept beside them is their session key for the writer's certificate. They live
//! as long as the letter that they answer would, or the account. Writer: the portal.
//!
//! Security: opaque bytes. Number and size are bounded per account, because they outlive the session that sent them.

use sqlx::Row;

use crate::blobs::BlobStore;
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::errands::{self, Answer};
use crate::id::{AccountId, ConversationId, ErrandId, LetterId, PickupId, ReplyId};
use crate::uploads::{self, MAX_PART};

/// Most replies that are kept for one account.
pub const MOST: i64 = 2000;
/// Most bytes that are kept for one account.
pub const MOST_BYTES: i64 = 1024 * 1024 * 1024;
/// Largest slip that a list carries, in bytes: the gateway takes no larger one.
const MAX_SLIP: usize = 256 * 1024;

/// What the gateway said of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    /// Not believed; nothing of it is kept.
    Refused,
}

/// A reply to keep.
#[derive(Debug)]
pub struct NewOwnReply {
    pub reply_id: ReplyId,
    pub account_id: AccountId,
    pub pickup_id: PickupId,
    pub letter_id: LetterId,
    pub conversation_id: ConversationId,
    /// One PKESKv6.
    pub key_packet: Vec<u8>,
    pub sent_at: Time,
    pub expires_at: Time,
}

/// A kept reply as its writer's browser gets it.
#[derive(Debug)]
pub struct OwnReply {
    pub reply_id: ReplyId,
    pub pickup_id: PickupId,
    pub letter_id: LetterId,
    pub conversation_id: ConversationId,
    pub key_packet: Vec<u8>,
    /// Whether the gateway has taken it.
    pub taken: bool,
    pub slip: Vec<u8>,
    /// Stored sizes of the packets, in bytes, by `n`; the slip is the first.
    pub part_sizes: Vec<i64>,
    pub sent_at: Time,
    pub expires_at: Time,
}

/// Where a page of replies ended: the next begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    pub sent_at: Time,
    pub reply_id: ReplyId,
}

/// Keeps a reply that is being sent. False where the account has as much as one may; the reply is sent all the same.
/// The first key counts.
pub async fn keep(db: &Db, new: &NewOwnReply) -> Result<bool, StoreError> {
    if kept(db, new.reply_id).await? {
        return Ok(true);
    }
    let (count, bytes): (i64, i64) = sqlx::query_as(
        "select count(distinct o.reply_id), cast(coalesce(sum(p.size), 0) as bigint)
         from own_replies o left join upload_parts p on p.reply_id = o.reply_id where o.account_id = $1",
    )
    .bind(new.account_id.to_string())
    .fetch_one(db.reader())
    .await?;
    let size = uploads::size_without(db, new.reply_id, -1).await?;
    if count >= MOST || bytes.saturating_add(size) > MOST_BYTES {
        return Ok(false);
    }
    sqlx::query(
        "insert into own_replies (reply_id, account_id, pickup_id, letter_id, conversation_id, packet, state, sent_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, 'waiting', $7, $8) on conflict (reply_id) do nothing",
    )
    .bind(new.reply_id.to_string())
    .bind(new.account_id.to_string())
    .bind(new.pickup_id.to_string())
    .bind(new.letter_id.to_string())
    .bind(new.conversation_id.to_string())
    .bind(new.key_packet.as_slice())
    .bind(new.sent_at)
    .bind(new.expires_at)
    .execute(db.writer())
    .await?;
    Ok(true)
}

/// Whether the reply is kept.
pub async fn kept(db: &Db, reply: ReplyId) -> Result<bool, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select reply_id from own_replies where reply_id = $1")
        .bind(reply.to_string())
        .fetch_optional(db.reader())
        .await?;
    Ok(row.is_some())
}

/// The gateway has answered: a reply that was taken stays if it is kept; of all others the sealed packets go, and what is
/// left tells a browser which missed the answer.
pub async fn settle(db: &Db, blobs: &BlobStore, reply: ReplyId, verdict: Verdict) -> Result<(), StoreError> {
    if verdict == Verdict::Taken {
        let taken = sqlx::query("update own_replies set state = 'taken' where reply_id = $1")
            .bind(reply.to_string())
            .execute(db.writer())
            .await?;
        if taken.rows_affected() == 1 {
            return Ok(());
        }
    }
    sqlx::query("delete from own_replies where reply_id = $1").bind(reply.to_string()).execute(db.writer()).await?;
    uploads::empty(db, blobs, reply).await
}

/// Settles what the gateway has answered meanwhile, for writers who didn't wait for it. Before errands are forgotten.
pub async fn catch_up(db: &Db, blobs: &BlobStore) -> Result<(), StoreError> {
    let waiting: Vec<(String, String)> = sqlx::query_as(
        "select o.reply_id, u.errand_id from own_replies o join uploads u on u.reply_id = o.reply_id
         where o.state = 'waiting' and exists (select 1 from errand_answers a where a.errand_id = u.errand_id)",
    )
    .fetch_all(db.reader())
    .await?;
    for (reply, errand) in waiting {
        let reply: ReplyId = reply.parse()?;
        let Ok(errand) = errand.parse::<ErrandId>() else { continue };
        match errands::answer(db, errand).await? {
            Some(Answer::Taken) => settle(db, blobs, reply, Verdict::Taken).await?,
            Some(_) => settle(db, blobs, reply, Verdict::Refused).await?,
            None => {}
        }
    }
    Ok(())
}

/// The account's living replies, newest first, at most `limit` behind `after`.
pub async fn list(
    db: &Db,
    blobs: &BlobStore,
    account: AccountId,
    after: Option<After>,
    limit: i64,
    now: Time,
) -> Result<Vec<OwnReply>, StoreError> {
    let (sent_at, reply) =
        after.map_or_else(|| (i64::MAX, String::new()), |after| (after.sent_at, after.reply_id.to_string()));
    let rows = sqlx::query(
        "select reply_id, pickup_id, letter_id, conversation_id, packet, state, sent_at, expires_at from own_replies
         where account_id = $1 and expires_at > $2 and (sent_at < $3 or (sent_at = $3 and reply_id > $4))
         order by sent_at desc, reply_id limit $5",
    )
    .bind(account.to_string())
    .bind(now)
    .bind(sent_at)
    .bind(reply)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    let mut replies = Vec::with_capacity(rows.len());
    for row in rows {
        let reply: String = row.try_get("reply_id")?;
        let reply_id: ReplyId = reply.parse()?;
        let sizes: Vec<(i64,)> = sqlx::query_as("select size from upload_parts where reply_id = $1 order by n")
            .bind(reply)
            .fetch_all(db.reader())
            .await?;
        replies.push(OwnReply {
            reply_id,
            pickup_id: row.try_get::<String, _>("pickup_id")?.parse()?,
            letter_id: row.try_get::<String, _>("letter_id")?.parse()?,
            conversation_id: row.try_get::<String, _>("conversation_id")?.parse()?,
            key_packet: row.try_get("packet")?,
            taken: row.try_get::<String, _>("state")? == "taken",
            slip: packet(db, blobs, reply_id, 0, MAX_SLIP).await?.unwrap_or_default(),
            part_sizes: sizes.into_iter().map(|(size,)| size).collect(),
            sent_at: row.try_get("sent_at")?,
            expires_at: row.try_get("expires_at")?,
        });
    }
    Ok(replies)
}

/// One sealed packet of the account's own living reply.
pub async fn part(
    db: &Db,
    blobs: &BlobStore,
    account: AccountId,
    reply: ReplyId,
    n: i64,
    now: Time,
) -> Result<Option<Vec<u8>>, StoreError> {
    let own: Option<(String,)> =
        sqlx::query_as("select reply_id from own_replies where reply_id = $1 and account_id = $2 and expires_at > $3")
            .bind(reply.to_string())
            .bind(account.to_string())
            .bind(now)
            .fetch_optional(db.reader())
            .await?;
    if own.is_none() {
        return Ok(None);
    }
    packet(db, blobs, reply, n, MAX_PART).await
}

async fn packet(
    db: &Db,
    blobs: &BlobStore,
    reply: ReplyId,
    n: i64,
    most: usize,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<(String, Vec<u8>)> =
        sqlx::query_as("select blob_key, packet from upload_parts where reply_id = $1 and n = $2")
            .bind(reply.to_string())
            .bind(n)
            .fetch_optional(db.reader())
            .await?;
    match row {
        Some((key, in_row)) => blobs.fetch_bounded(&key, in_row, most).await,
        None => Ok(None),
    }
}

/// Replies that nobody may read any more: expired, their account gone, or forgotten by both sides before the gateway said
/// anything. For housekeeping, which deletes their uploads.
pub async fn ended(db: &Db, before: Time, now: Time) -> Result<Vec<ReplyId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select o.reply_id from own_replies o join uploads u on u.reply_id = o.reply_id
         where o.expires_at <= $1
         or not exists (select 1 from accounts a where a.account_id = o.account_id)
         or (o.state = 'waiting' and o.sent_at < $2
             and not exists (select 1 from errands e where e.errand_id = u.errand_id))",
    )
    .bind(now)
    .bind(before)
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(|(id,)| id.parse().map_err(StoreError::from)).collect()
}
