//! Sealed letters: the gateway writes them, the portal hands them out.
//!
//! A content is one sealed message's parts; a letter is a slip over them; a pickup is a letter for one reader: by link, with
//! its key packet and the server's share in tables of their own, or by account, with its key packet in another. Destroying
//! the key packets destroys the letter.
//! Writing is idempotent per content: a gateway that died half-way seals again and replaces what it had written. Attempts
//! are numbered, and a later one replaces an earlier one, never the other way round: whoever stood still for so long that
//! another took its place, and was believed, finds that out here, in the transaction itself.

use data_encoding::HEXLOWER;
use sqlx::{Any, Transaction};

use crate::address::Identity;
use crate::blobs::BlobStore;
use crate::clock::Time;
use crate::db::{Db, Kind, Rows, Statement, StoreError};
use crate::id::{AccountId, ContentId, ConversationId, LetterId, PickupId, random};

// pickups, key packets and shares go with their letter, parts with their content (on delete cascade)
static EARLIER_LETTERS: Statement = Statement {
    order: 0,
    kind: Kind::WhereAny {
        what: "delete from letters",
        one: "content_id = (select content_id from contents where content_id = ? and attempt < ?)",
    },
};
static EARLIER_CONTENT: Statement = Statement {
    order: 1,
    kind: Kind::WhereAny { what: "delete from contents", one: "(content_id = ? and attempt < ?)" },
};
static CONTENTS: Statement =
    Statement { order: 2, kind: Kind::Insert { into: "contents (content_id, attempt, created_at)", row: "(?, ?, ?)" } };
static PARTS: Statement = Statement {
    order: 3,
    kind: Kind::Insert { into: "parts (content_id, n, size, blob_key, packet)", row: "(?, ?, ?, ?, ?)" },
};
static LETTERS: Statement = Statement {
    order: 4,
    kind: Kind::Insert {
        into: "letters (letter_id, content_id, conversation_id, slip, created_at, expires_at)",
        row: "(?, ?, ?, ?, ?, ?)",
    },
};
static PICKUPS: Statement = Statement {
    order: 5,
    kind: Kind::Insert {
        into: "pickups (pickup_id, letter_id, reader, organisation, expires_at)",
        row: "(?, ?, ?, ?, ?)",
    },
};
static KEY_PACKETS: Statement =
    Statement { order: 6, kind: Kind::Insert { into: "key_packets (pickup_id, packet)", row: "(?, ?)" } };
static SHARES: Statement =
    Statement { order: 6, kind: Kind::Insert { into: "shares (pickup_id, share)", row: "(?, ?)" } };
static ACCOUNT_KEYS: Statement = Statement {
    order: 6,
    kind: Kind::Insert { into: "account_keys (pickup_id, account_id, packet)", row: "(?, ?, ?)" },
};

/// One sealed message, ready to be stored. Every packet is one SEIPDv2 packet.
#[derive(Debug)]
pub struct NewContent {
    pub content_id: ContentId,
    /// Body and enclosures, in the slip's order; `n` counts from 0.
    pub parts: Vec<Vec<u8>>,
    pub letters: Vec<NewLetter>,
    pub created_at: Time,
    pub expires_at: Time,
    /// Which attempt at this message writes it, from 1: what earlier ones left is replaced, and what a later one wrote stays,
    /// with an error for who comes late.
    pub attempt: i64,
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
/// What an earlier attempt at the same content left is replaced; see [`NewContent::attempt`].
pub async fn store(db: &Db, blobs: &BlobStore, content: NewContent) -> Result<(), StoreError> {
    let (content_id, attempt) = (content.content_id.to_string(), content.attempt);
    // Blobs have no transaction: nobody may put one in another's place.
    let own = HEXLOWER.encode(&random::<8>()?);
    let (mut placed, mut keys) = (Vec::with_capacity(content.parts.len()), Vec::new());
    for (n, packet) in content.parts.into_iter().enumerate() {
        match blobs.place(format!("{}{attempt}-{n}-{own}", folder(&content_id)), packet).await {
            Ok(part) => {
                keys.push(part.blob_key.clone());
                placed.push(part);
            }
            Err(error) => {
                // The disk may be full: the next attempt needs the room.
                delete_blobs(blobs, keys).await;
                return Err(error);
            }
        }
    }
    let mut rows = Rows::new();
    if attempt > 1 {
        rows.push(&EARLIER_LETTERS, [content_id.as_str().into(), attempt.into()]);
        rows.push(&EARLIER_CONTENT, [content_id.as_str().into(), attempt.into()]);
    }
    rows.push(&CONTENTS, [content_id.as_str().into(), attempt.into(), content.created_at.into()]);
    for (n, part) in placed.into_iter().enumerate() {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let (size, key, in_row) = (part.size, part.blob_key, part.in_row);
        rows.push(&PARTS, [content_id.as_str().into(), n.into(), size.into(), key.into(), in_row.into()]);
    }
    for letter in content.letters {
        let letter_id = letter.letter_id.to_string();
        let conversation_id = letter.conversation_id.to_string();
        rows.push(
            &LETTERS,
            [
                letter_id.as_str().into(),
                content_id.as_str().into(),
                conversation_id.into(),
                letter.slip.into(),
                content.created_at.into(),
                content.expires_at.into(),
            ],
        );
        for pickup in letter.pickups {
            push_pickup(&mut rows, &letter_id, pickup, content.expires_at);
        }
    }
    let written = db.write_rows(rows).await;
    match &written {
        // Nobody can tell whether the rows are there: the next attempt, or the letter's end, takes what is nobody's.
        Err(StoreError::Uncertain) => {}
        Err(_) => delete_blobs(blobs, keys).await,
        Ok(()) if attempt > 1 => {
            let earlier = blobs.within(folder(&content_id)).await.unwrap_or_default();
            let is_earlier = |key: &String| attempt_of(key, &content_id).is_some_and(|of| of < attempt);
            delete_blobs(blobs, earlier.into_iter().filter(is_earlier)).await;
        }
        Ok(()) => {}
    }
    written
}

/// Where a content's blobs lie, and nothing else.
fn folder(content_id: &str) -> String {
    format!("content/{content_id}/")
}

/// Whose blob it is. Those of earlier versions have no attempt in their names.
fn attempt_of(key: &str, content_id: &str) -> Option<i64> {
    let name = key.strip_prefix(&folder(content_id))?;
    name.split_once('-').map_or(Some(0), |(attempt, _)| attempt.parse().ok())
}

/// Without key packets it is noise: a file that can't be deleted must not keep anybody from what is to be done.
async fn delete_blobs(blobs: &BlobStore, keys: impl IntoIterator<Item = String>) {
    for key in keys {
        if let Err(error) = blobs.delete(&key).await {
            tracing::warn!(key, %error, "a part that no letter shows can't be deleted");
        }
    }
}

fn push_pickup(rows: &mut Rows, letter_id: &str, pickup: NewPickup, expires_at: Time) {
    let pickup_id = pickup.pickup_id.to_string();
    let reader = pickup.reader.as_str();
    rows.push(
        &PICKUPS,
        [pickup_id.as_str().into(), letter_id.into(), reader.into(), pickup.organisation.into(), expires_at.into()],
    );
    match pickup.way {
        NewWay::Link { share, key_packet } => {
            rows.push(&KEY_PACKETS, [pickup_id.as_str().into(), key_packet.into()]);
            rows.push(&SHARES, [pickup_id.into(), share.to_vec().into()]);
        }
        NewWay::Account { account_id, key_packet } => {
            rows.push(&ACCOUNT_KEYS, [pickup_id.into(), account_id.to_string().into(), key_packet.into()]);
        }
    }
}

async fn delete_content(transaction: &mut Transaction<'static, Any>, content_id: &str) -> Result<(), StoreError> {
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
    let mut ended = None;
    if let Some((content_id,)) = content {
        let (others,): (i64,) = sqlx::query_as("select count(*) from letters where content_id = $1")
            .bind(&content_id)
            .fetch_one(&mut *transaction)
            .await?;
        if others == 0 {
            delete_content(&mut transaction, &content_id).await?;
            ended = Some(content_id);
        }
    }
    transaction.commit().await?;
    db.forget_deleted().await?;
    if let Some(content_id) = ended {
        // Whoever writes here could name any key in a row: a content's blobs lie under its id and nowhere else.
        match blobs.within(folder(&content_id)).await {
            Ok(all) => delete_blobs(blobs, all).await,
            Err(error) => tracing::warn!(%error, "a destroyed letter's parts can't be found"),
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
