//! Sealed letters: the gateway writes them, the portal hands them out.
//!
//! A content is one sealed message's parts; a letter is a slip over them; a pickup is a letter for one reader: by link, with
//! its key packet and the server's share in tables of their own, or by account, with its key packet in another. Destroying
//! the key packets destroys the letter.
//! Writing is idempotent per content: a gateway that died half-way seals again and replaces what it had written.

use sqlx::{Any, Transaction};

use crate::address::Identity;
use crate::blobs::BlobStore;
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::id::{AccountId, ContentId, ConversationId, LetterId, PickupId};

/// One sealed message, ready to be stored. Every packet is one SEIPDv2 packet.
#[derive(Debug)]
pub struct NewContent {
    pub content_id: ContentId,
    /// Body and enclosures, in the slip's order; `n` counts from 0.
    pub parts: Vec<Vec<u8>>,
    pub letters: Vec<NewLetter>,
    pub created_at: Time,
    pub expires_at: Time,
}

/// A slip over a content's parts, and who may read it.
#[derive(Debug)]
pub struct NewLetter {
    pub letter_id: LetterId,
    pub conversation_id: ConversationId,
    pub slip: Vec<u8>,
    pub pickups: Vec<NewPickup>,
}

/// One reader's way in.
#[derive(Debug)]
pub struct NewPickup {
    pub pickup_id: PickupId,
    pub reader: Identity,
    /// Fingerprint of the organisation's certificate, upper-case hex.
    pub organisation: String,
    pub way: NewWay,
}

/// What opens a new pickup.
#[derive(Debug)]
pub enum NewWay {
    /// A link, with the server's share. `key_packet` is one SKESKv6.
    Link { share: [u8; 32], key_packet: Vec<u8> },
    /// The reader's account. `key_packet` is one PKESKv6.
    Account { account_id: AccountId, key_packet: Vec<u8> },
}

/// Publishes the organisation's certificate for browsers (writer: gateway).
pub async fn publish_certificate(db: &Db, fingerprint: &str, certificate: &[u8], now: Time) -> Result<(), StoreError> {
    sqlx::query(
        "insert into organisation (fingerprint, certificate, created_at) values ($1, $2, $3)
         on conflict (fingerprint) do update set certificate = excluded.certificate",
    )
    .bind(fingerprint)
    .bind(certificate)
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// The organisation's certificate with this fingerprint.
pub async fn certificate(db: &Db, fingerprint: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<(Vec<u8>,)> = sqlx::query_as("select certificate from organisation where fingerprint = $1")
        .bind(fingerprint)
        .fetch_optional(db.reader())
        .await?;
    Ok(row.map(|(certificate,)| certificate))
}

/// Stores a sealed message with its letters and pickups (writer: gateway).
/// What an earlier attempt at the same content left is replaced.
pub async fn store(db: &Db, blobs: &BlobStore, content: NewContent) -> Result<(), StoreError> {
    let content_id = content.content_id.to_string();
    let mut placed = Vec::with_capacity(content.parts.len());
    for (n, packet) in content.parts.into_iter().enumerate() {
        placed.push(blobs.place(format!("content/{content_id}/{n}"), packet).await?);
    }
    let mut transaction = db.begin().await?;
    delete_content(&mut transaction, &content_id).await?;
    sqlx::query("insert into contents (content_id, created_at) values ($1, $2)")
        .bind(&content_id)
        .bind(content.created_at)
        .execute(&mut *transaction)
        .await?;
    for (n, part) in placed.into_iter().enumerate() {
        sqlx::query("insert into parts (content_id, n, size, blob_key, packet) values ($1, $2, $3, $4, $5)")
            .bind(&content_id)
            .bind(i64::try_from(n).unwrap_or(i64::MAX))
            .bind(part.size)
            .bind(part.blob_key)
            .bind(part.in_row)
            .execute(&mut *transaction)
            .await?;
    }
    for letter in content.letters {
        let letter_id = letter.letter_id.to_string();
        sqlx::query(
            "insert into letters (letter_id, content_id, conversation_id, slip, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&letter_id)
        .bind(&content_id)
        .bind(letter.conversation_id.to_string())
        .bind(letter.slip)
        .bind(content.created_at)
        .bind(content.expires_at)
        .execute(&mut *transaction)
        .await?;
        for pickup in letter.pickups {
            insert_pickup(&mut transaction, &letter_id, pickup, content.expires_at).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

async fn insert_pickup(
    transaction: &mut Transaction<'static, Any>,
    letter_id: &str,
    pickup: NewPickup,
    expires_at: Time,
) -> Result<(), StoreError> {
    let pickup_id = pickup.pickup_id.to_string();
    sqlx::query(
        "insert into pickups (pickup_id, letter_id, reader, organisation, expires_at) values ($1, $2, $3, $4, $5)",
    )
    .bind(&pickup_id)
    .bind(letter_id)
    .bind(pickup.reader.as_str())
    .bind(pickup.organisation)
    .bind(expires_at)
    .execute(&mut **transaction)
    .await?;
    match pickup.way {
        NewWay::Link { share, key_packet } => {
            sqlx::query("insert into key_packets (pickup_id, packet) values ($1, $2)")
                .bind(&pickup_id)
                .bind(key_packet)
                .execute(&mut **transaction)
                .await?;
            sqlx::query("insert into shares (pickup_id, share) values ($1, $2)")
                .bind(&pickup_id)
                .bind(share.to_vec())
                .execute(&mut **transaction)
                .await?;
        }
        NewWay::Account { account_id, key_packet } => {
            sqlx::query("insert into account_keys (pickup_id, account_id, packet) values ($1, $2, $3)")
                .bind(&pickup_id)
                .bind(account_id.to_string())
                .bind(key_packet)
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}

async fn delete_content(transaction: &mut Transaction<'static, Any>, content_id: &str) -> Result<(), StoreError> {
    // pickups, key packets and shares go with their letter, parts with their content (on delete cascade)
    sqlx::query("delete from letters where content_id = $1").bind(content_id).execute(&mut **transaction).await?;
    sqlx::query("delete from contents where content_id = $1").bind(content_id).execute(&mut **transaction).await?;
    Ok(())
}

/// Destroys a letter at once (writer: gateway): key packets, shares, slip; and the parts, if no other letter shows them.
/// A letter that is gone already is fine.
pub async fn destroy(db: &Db, blobs: &BlobStore, letter_id: LetterId) -> Result<(), StoreError> {
    let mut transaction = db.begin().await?;
    let content: Option<(String,)> = sqlx::query_as("delete from letters where letter_id = $1 returning content_id")
        .bind(letter_id.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
    let mut orphans = Vec::new();
    if let Some((content_id,)) = content {
        let (others,): (i64,) = sqlx::query_as("select count(*) from letters where content_id = $1")
            .bind(&content_id)
            .fetch_one(&mut *transaction)
            .await?;
        if others == 0 {
            // Whoever writes here could name any key in a row: a content's blobs lie under its id and nowhere else.
            let blobs: Vec<(i64,)> = sqlx::query_as("select n from parts where content_id = $1 and blob_key <> ''")
                .bind(&content_id)
                .fetch_all(&mut *transaction)
                .await?;
            orphans.extend(blobs.into_iter().map(|(n,)| format!("content/{content_id}/{n}")));
            delete_content(&mut transaction, &content_id).await?;
        }
    }
    transaction.commit().await?;
    db.forget_deleted().await?;
    for key in orphans {
        // Without key packets it is noise: a file that can't be deleted must not keep a letter from its end.
        if let Err(error) = blobs.delete(&key).await {
            tracing::warn!(key, %error, "a destroyed letter's part can't be deleted");
        }
    }
    Ok(())
}

/// Ends one reader's pickup of a letter that others keep (writer: gateway).
pub async fn end_pickup(db: &Db, pickup_id: PickupId) -> Result<(), StoreError> {
    sqlx::query("delete from pickups where pickup_id = $1").bind(pickup_id.to_string()).execute(db.writer()).await?;
    db.forget_deleted().await
}

/// What the link's way of a pickup has in the vault: share and key packet. `None` where one is missing or of no size that it
/// can have (reader: gateway, which believes neither).
pub async fn link_halves(db: &Db, pickup_id: PickupId) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
    Ok(sqlx::query_as(
        "select s.share, k.packet from shares s join key_packets k on k.pickup_id = s.pickup_id
         where s.pickup_id = $1 and length(s.share) = 32 and length(k.packet) <= 1024",
    )
    .bind(pickup_id.to_string())
    .fetch_optional(db.reader())
    .await?)
}

/// One part of a pickup's letter.
pub async fn part(
    db: &Db,
    blobs: &BlobStore,
    pickup_id: PickupId,
    n: i64,
    now: Time,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<(String, Vec<u8>)> = sqlx::query_as(
        "select pa.blob_key, pa.packet from parts pa
         join letters l on l.content_id = pa.content_id
         join pickups p on p.letter_id = l.letter_id
         where p.pickup_id = $1 and pa.n = $2 and p.expires_at > $3",
    )
    .bind(pickup_id.to_string())
    .bind(n)
    .bind(now)
    .fetch_optional(db.reader())
    .await?;
    match row {
        Some((key, in_row)) => Ok(Some(blobs.fetch(&key, in_row).await?)),
        None => Ok(None),
    }
}

/// Letters sealed before `before` (reader: gateway): for its sweep of what a crash left behind. Rows whose id is no id were
/// not written by the gateway, and stay.
pub async fn older_than(db: &Db, before: Time) -> Result<Vec<LetterId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as("select letter_id from letters where created_at < $1")
        .bind(before)
        .fetch_all(db.reader())
        .await?;
    Ok(rows.into_iter().filter_map(|(id,)| id.parse().ok()).collect())
}
