//! Accounts of enrolled readers: the gateway writes them, the portal hands them to a session that signed in.
//!
//! An account is a certificate, the organisation's word for it, and the account file, from which the reader's browser unlocks
//! the secret key. An account key is a letter's session key for that certificate; it lies beside the link's way in until the
//! link's way ends. Nothing here is believed by the gateway: its own store has the pins.
//!
//! Security: opaque bytes. What the portal changes here it can break, not open.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::address::Identity;
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::id::{AccountId, ContentId, ConversationId, LetterId, PickupId};

/// An account as its reader's browser gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    pub account_id: AccountId,
    pub reader: Identity,
    /// Fingerprint of the organisation's certificate, upper-case hex.
    pub organisation: String,
    /// Fingerprint of the reader's certificate, upper-case hex.
    pub fingerprint: String,
    pub certificate: Vec<u8>,
    /// How many certificates the address has had, this one included.
    pub counter: i64,
    pub vouched_at: Time,
    /// The organisation's signature over the statement `vouch`.
    pub vouch: Vec<u8>,
    /// One OpenPGP message (SEALING.md, accounts).
    pub file: Vec<u8>,
    /// How often the file was changed: 0 after enrolment. Part of the statement `change`.
    pub changes: i64,
    pub changed_at: Time,
}

/// A letter as the account's list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLetter {
    pub pickup_id: PickupId,
    pub letter_id: LetterId,
    pub content_id: ContentId,
    pub conversation_id: ConversationId,
    /// Fingerprint of the organisation's certificate, upper-case hex.
    pub organisation: String,
    /// One PKESKv6, where the letter has been wrapped for the account.
    pub key_packet: Option<Vec<u8>>,
    /// Whether the link opens it (still).
    pub by_link: bool,
    pub slip: Vec<u8>,
    /// Stored sizes of the parts, in bytes, by `n`.
    pub part_sizes: Vec<i64>,
    pub created_at: Time,
    pub expires_at: Time,
}

/// Where a page of letters ended: the next begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    pub created_at: Time,
    pub pickup_id: PickupId,
}

/// Stores an account (writer: gateway). What an earlier attempt left for this reader is replaced, under whatever id it was:
/// whether the reader may enrol is decided before, in the gateway's own store.
pub async fn store_account(db: &Db, account: &AccountRow) -> Result<(), StoreError> {
    let account_id = account.account_id.to_string();
    let mut transaction = db.begin().await?;
    let others: Vec<(String,)> =
        sqlx::query_as("delete from accounts where reader = $1 and account_id <> $2 returning account_id")
            .bind(account.reader.as_str())
            .bind(&account_id)
            .fetch_all(&mut *transaction)
            .await?;
    for (other,) in others {
        delete_keys(&mut transaction, &other).await?;
    }
    sqlx::query(
        "insert into accounts (account_id, reader, organisation, fingerprint, certificate, counter, vouched_at, vouch, file,
         changes, changed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (account_id) do update set reader = excluded.reader, organisation = excluded.organisation,
         fingerprint = excluded.fingerprint, certificate = excluded.certificate, counter = excluded.counter,
         vouched_at = excluded.vouched_at, vouch = excluded.vouch, file = excluded.file, changes = excluded.changes,
         changed_at = excluded.changed_at",
    )
    .bind(&account_id)
    .bind(account.reader.as_str())
    .bind(&account.organisation)
    .bind(&account.fingerprint)
    .bind(&account.certificate)
    .bind(account.counter)
    .bind(account.vouched_at)
    .bind(&account.vouch)
    .bind(&account.file)
    .bind(account.changes)
    .bind(account.changed_at)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Puts another account file in the place of the one that is there (writer: gateway), and destroys that: whoever knows an
/// old passphrase must not find what it opens. False where the account is gone, or has had a later change.
pub async fn replace_file(
    db: &Db,
    account_id: AccountId,
    file: &[u8],
    changes: i64,
    now: Time,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update accounts set file = $1, changes = $2, changed_at = $3 where account_id = $4 and changes <= $2",
    )
    .bind(file)
    .bind(changes)
    .bind(now)
    .bind(account_id.to_string())
    .execute(db.writer())
    .await?;
    db.forget_deleted().await?;
    Ok(done.rows_affected() == 1)
}

/// Destroys an account with its keys (writer: gateway): what was sealed to its certificate alone can't be opened any more.
/// One that is gone already is fine.
pub async fn delete_account(db: &Db, account_id: AccountId) -> Result<(), StoreError> {
    let mut transaction = db.begin().await?;
    delete_keys(&mut transaction, &account_id.to_string()).await?;
    sqlx::query("delete from accounts where account_id = $1")
        .bind(account_id.to_string())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    db.forget_deleted().await
}

async fn delete_keys(transaction: &mut Transaction<'static, Any>, account_id: &str) -> Result<(), StoreError> {
    sqlx::query("delete from account_keys where account_id = $1").bind(account_id).execute(&mut **transaction).await?;
    Ok(())
}

/// Puts a letter's session key, wrapped for the account, beside its other ways in (writer: gateway); a later one replaces it.
/// False where the pickup is gone.
pub async fn put_account_key(
    db: &Db,
    pickup_id: PickupId,
    account_id: AccountId,
    packet: &[u8],
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into account_keys (pickup_id, account_id, packet)
         select pickup_id, $2, $3 from pickups where pickup_id = $1
         on conflict (pickup_id) do update set account_id = excluded.account_id, packet = excluded.packet",
    )
    .bind(pickup_id.to_string())
    .bind(account_id.to_string())
    .bind(packet)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the way by link of a letter that its reader's account opens (writer: gateway): share and SKESK are destroyed. Ended
/// before is fine.
pub async fn end_link_way(db: &Db, pickup_id: PickupId) -> Result<(), StoreError> {
    let mut transaction = db.begin().await?;
    sqlx::query("delete from shares where pickup_id = $1")
        .bind(pickup_id.to_string())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("delete from key_packets where pickup_id = $1")
        .bind(pickup_id.to_string())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    db.forget_deleted().await
}

/// The account's key for a letter, of a size that it can have (reader: gateway, which believes nothing of it).
pub async fn account_key(db: &Db, pickup_id: PickupId, account_id: AccountId) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<(Vec<u8>,)> = sqlx::query_as(
        "select packet from account_keys where pickup_id = $1 and account_id = $2 and length(packet) <= 1024",
    )
    .bind(pickup_id.to_string())
    .bind(account_id.to_string())
    .fetch_optional(db.reader())
    .await?;
    Ok(row.map(|(packet,)| packet))
}

/// Accounts that were written before `before` (reader: gateway): for its sweep of those without a pin. Rows whose id is no id
/// were not written by the gateway, and stay.
pub async fn older_than(db: &Db, before: Time) -> Result<Vec<AccountId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as("select account_id from accounts where changed_at < $1")
        .bind(before)
        .fetch_all(db.reader())
        .await?;
    Ok(rows.into_iter().filter_map(|(id,)| id.parse().ok()).collect())
}

/// An account by its id.
pub async fn account(db: &Db, account_id: AccountId) -> Result<Option<AccountRow>, StoreError> {
    let row = sqlx::query(
        "select account_id, reader, organisation, fingerprint, certificate, counter, vouched_at, vouch, file, changes,
         changed_at from accounts where account_id = $1",
    )
    .bind(account_id.to_string())
    .fetch_optional(db.reader())
    .await?;
    row.as_ref().map(account_of).transpose()
}

fn account_of(row: &AnyRow) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        account_id: row.try_get::<String, _>("account_id")?.parse()?,
        reader: Identity::from_stored(row.try_get("reader")?),
        organisation: row.try_get("organisation")?,
        fingerprint: row.try_get("fingerprint")?,
        certificate: row.try_get("certificate")?,
        counter: row.try_get("counter")?,
        vouched_at: row.try_get("vouched_at")?,
        vouch: row.try_get("vouch")?,
        file: row.try_get("file")?,
        changes: row.try_get("changes")?,
        changed_at: row.try_get("changed_at")?,
    })
}

/// The account's reader's letters that live, newest first, at most `limit` behind `after`; those that the account doesn't
/// open yet too.
pub async fn letters_of(
    db: &Db,
    account_id: AccountId,
    after: Option<After>,
    limit: i64,
    now: Time,
) -> Result<Vec<AccountLetter>, StoreError> {
    let (created_at, pickup_id) =
        after.map_or_else(|| (i64::MAX, String::new()), |after| (after.created_at, after.pickup_id.to_string()));
    let rows = sqlx::query(
        "select p.pickup_id, l.letter_id, l.content_id, l.conversation_id, p.organisation, l.slip, l.created_at,
         p.expires_at, k.packet, cast(case when s.pickup_id is null then 0 else 1 end as bigint) as by_link
         from accounts a
         join pickups p on p.reader = a.reader
         join letters l on l.letter_id = p.letter_id
         left join account_keys k on k.pickup_id = p.pickup_id and k.account_id = a.account_id
         left join shares s on s.pickup_id = p.pickup_id
         where a.account_id = $1 and p.expires_at > $2
           and (l.created_at < $3 or (l.created_at = $3 and p.pickup_id > $4))
         order by l.created_at desc, p.pickup_id limit $5",
    )
    .bind(account_id.to_string())
    .bind(now)
    .bind(created_at)
    .bind(pickup_id)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    let mut letters = Vec::with_capacity(rows.len());
    for row in rows {
        let content: String = row.try_get("content_id")?;
        let sizes: Vec<(i64,)> = sqlx::query_as("select size from parts where content_id = $1 order by n")
            .bind(&content)
            .fetch_all(db.reader())
            .await?;
        letters.push(AccountLetter {
            pickup_id: row.try_get::<String, _>("pickup_id")?.parse()?,
            letter_id: row.try_get::<String, _>("letter_id")?.parse()?,
            content_id: content.parse()?,
            conversation_id: row.try_get::<String, _>("conversation_id")?.parse()?,
            organisation: row.try_get("organisation")?,
            key_packet: row.try_get("packet")?,
            by_link: row.try_get::<i64, _>("by_link")? == 1,
            slip: row.try_get("slip")?,
            part_sizes: sizes.into_iter().map(|(size,)| size).collect(),
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
        });
    }
    Ok(letters)
}
