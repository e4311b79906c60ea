//! Letters as the gateway must believe them: one row per reader, in the gateway's own store.
//!
//! What the vault says about a pickup is input from outside; whom it belongs to, whom a mail goes to and what state it is
//! in stands here. Secrets in a row are AEAD under the gateway's root, bound to the row and its reader.
//!
//! Security: once a letter was opened or has ended the link can't be sent again; once it has ended, or its reader is enrolled,
//! its voice no longer counts.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, Kind, Rows, Statement, StoreError, met};
use sealpost_vault::id::{ContentId, ConversationId, LetterId, PickupId, QueueId, Token};
use sealpost_vault::{EmailAddress, Identity};

use sealpost_texts::Language;

/// Where a letter stands with one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The notification is on its way or delivered.
    Notified,
    /// The notification could not be delivered; the sender was told.
    Undelivered,
    /// The portal says that it released the sealed letter to a session that had a code.
    Released,
    /// The reader's browser proved that it opened the letter.
    Opened,
    /// Taken back by the organisation: destroyed.
    Withdrawn,
    /// Past its date: destroyed.
    Expired,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Notified, Self::Undelivered, Self::Released, Self::Opened, Self::Withdrawn, Self::Expired];

    pub fn word(self) -> &'static str {
        match self {
            Self::Notified => "notified",
            Self::Undelivered => "undelivered",
            Self::Released => "released",
            Self::Opened => "opened",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// Whether the letter can still be read.
    pub fn lives(self) -> bool {
        match self {
            Self::Notified | Self::Undelivered | Self::Released | Self::Opened => true,
            Self::Withdrawn | Self::Expired => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for State {
    type Err = StoreError;
    fn from_str(word: &str) -> Result<Self, StoreError> {
        Self::ALL.into_iter().find(|state| state.word() == word).ok_or(StoreError::Corrupt("a pickup's state"))
    }
}

/// How a letter is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// With link and share; since the reader enrolled perhaps with the account too, but no receipt has said so.
    Link,
    /// With the reader's account alone.
    Account,
}

impl Way {
    pub fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Account => "account",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Way {
    type Err = StoreError;
    fn from_str(word: &str) -> Result<Self, StoreError> {
        [Self::Link, Self::Account]
            .into_iter()
            .find(|way| way.word() == word)
            .ok_or(StoreError::Corrupt("how a pickup is opened"))
    }
}

/// One letter for one reader.
#[derive(Debug)]
pub struct Pickup {
    pub pickup_id: PickupId,
    pub letter_id: LetterId,
    pub content_id: ContentId,
    pub conversation_id: ConversationId,
    pub return_token: Token,
    /// The message that it came from.
    pub origin: QueueId,
    pub sender: EmailAddress,
    pub sender_name: String,
    pub reader: Identity,
    /// The reader's address as mail is delivered to it.
    pub delivery: EmailAddress,
    /// Fingerprint of the organisation's certificate that the pickup is bound to, upper-case hex.
    pub organisation: String,
    pub language: Language,
    /// Of the message that it came from, without angle brackets; empty where it had none.
    pub message_id: String,
    /// SHA-256 of the slip as stored.
    pub slip_hash: Vec<u8>,
    pub state: State,
    pub way: Way,
    /// AEAD; empty where the link can't be sent again, or there is none.
    pub kept_link: Vec<u8>,
    /// AEAD; empty where the pickup has ended, or its reader is enrolled.
    pub kept_voice: Vec<u8>,
    pub created_at: Time,
    pub expires_at: Time,
    /// 0: not yet.
    pub released_at: Time,
    /// 0: not yet.
    pub opened_at: Time,
    /// 0: not yet.
    pub answered_at: Time,
}

/// What a kept secret is bound to.
pub const KEEP_LINK: &str = "link";
pub const KEEP_VOICE: &str = "voice";
pub const KEEP_CODE: &str = "code";

macro_rules! columns {
    () => {
        "pickup_id, letter_id, content_id, conversation_id, return_token, origin_id, sender, sender_name, reader, delivery, \
         organisation, language, message_id, slip_hash, state, way, kept_link, kept_voice, created_at, expires_at, \
         released_at, opened_at, answered_at"
    };
}

fn from_row(row: &AnyRow) -> Result<Pickup, StoreError> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let address = |name: &str| -> Result<EmailAddress, StoreError> {
        text(name)?.parse().map_err(|_| StoreError::Corrupt("a pickup's address"))
    };
    Ok(Pickup {
        pickup_id: text("pickup_id")?.parse()?,
        letter_id: text("letter_id")?.parse()?,
        content_id: text("content_id")?.parse()?,
        conversation_id: text("conversation_id")?.parse()?,
        return_token: text("return_token")?.parse()?,
        origin: text("origin_id")?.parse()?,
        sender: address("sender")?,
        sender_name: text("sender_name")?,
        reader: Identity::from_stored(text("reader")?),
        delivery: address("delivery")?,
        organisation: text("organisation")?,
        language: Language::from_tag(&text("language")?).unwrap_or_default(),
        message_id: text("message_id")?,
        slip_hash: row.try_get("slip_hash")?,
        state: text("state")?.parse()?,
        way: text("way")?.parse()?,
        kept_link: row.try_get("kept_link")?,
        kept_voice: row.try_get("kept_voice")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        released_at: row.try_get("released_at")?,
        opened_at: row.try_get("opened_at")?,
        answered_at: row.try_get("answered_at")?,
    })
}

fn from_rows(rows: Vec<AnyRow>) -> Result<Vec<Pickup>, StoreError> {
    rows.iter().map(from_row).collect()
}

static PICKUPS: Statement = Statement {
    order: 12,
    kind: Kind::Insert {
        into: concat!("pickups (", columns!(), ")"),
        row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    },
};
/// Empties what [`silence`] does.
static OF_THE_ENROLLED: Statement = Statement {
    order: 13,
    kind: Kind::UpdateIf {
        table: "pickups",
        set: "kept_link = substr(kept_link, 1, 0), kept_voice = substr(kept_voice, 1, 0)",
        key: "pickup_id",
        condition: "exists (select 1 from pins where pins.reader = pickups.reader and pins.state = 'enrolled')",
    },
};

/// Adds a new one. If its reader enrolled while the letter was being sealed, it opens with its link, like those that came
/// before.
pub(crate) fn insert(rows: &mut Rows, pickup: &Pickup) {
    rows.push(
        &PICKUPS,
        [
            pickup.pickup_id.to_string().into(),
            pickup.letter_id.to_string().into(),
            pickup.content_id.to_string().into(),
            pickup.conversation_id.to_string().into(),
            pickup.return_token.to_string().into(),
            pickup.origin.to_string().into(),
            pickup.sender.to_string().into(),
            pickup.sender_name.as_str().into(),
            pickup.reader.as_str().into(),
            pickup.delivery.to_string().into(),
            pickup.organisation.as_str().into(),
            pickup.language.code().into(),
            pickup.message_id.as_str().into(),
            pickup.slip_hash.clone().into(),
            pickup.state.word().into(),
            pickup.way.word().into(),
            pickup.kept_link.clone().into(),
            pickup.kept_voice.clone().into(),
            pickup.created_at.into(),
            pickup.expires_at.into(),
            pickup.released_at.into(),
            pickup.opened_at.into(),
            pickup.answered_at.into(),
        ],
    );
    if pickup.way == Way::Link {
        rows.push(&OF_THE_ENROLLED, [pickup.pickup_id.to_string().into()]);
    }
}

/// By its id.
pub async fn find(store: &Db, pickup_id: PickupId) -> Result<Option<Pickup>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from pickups where pickup_id = $1"))
        .bind(pickup_id.to_string())
        .fetch_optional(store.reader())
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// The same within a transaction: on PostgreSQL a second connection, asked for while the first is held, may not come.
pub async fn find_within(
    transaction: &mut Transaction<'static, Any>,
    pickup_id: PickupId,
) -> Result<Option<Pickup>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from pickups where pickup_id = $1"))
        .bind(pickup_id.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// By the token of its return address.
pub async fn by_return_token(store: &Db, token: Token) -> Result<Option<Pickup>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from pickups where return_token = $1"))
        .bind(token.to_string())
        .fetch_optional(store.reader())
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// All readers' rows of a letter.
pub async fn of_letter(store: &Db, letter_id: LetterId) -> Result<Vec<Pickup>, StoreError> {
    let rows = sqlx::query(concat!("select ", columns!(), " from pickups where letter_id = $1 order by reader"))
        .bind(letter_id.to_string())
        .fetch_all(store.reader())
        .await?;
    from_rows(rows)
}

/// Whether somebody else can still read this pickup's letter.
pub async fn others_read(store: &Db, pickup: &Pickup) -> Result<bool, StoreError> {
    let (others,): (i64,) = sqlx::query_as(
        "select count(*) from pickups where letter_id = $1 and pickup_id <> $2
         and state in ('notified', 'undelivered', 'released', 'opened')",
    )
    .bind(pickup.letter_id.to_string())
    .bind(pickup.pickup_id.to_string())
    .fetch_one(store.reader())
    .await?;
    Ok(others > 0)
}

/// Ended ones of which a notification still waits: it was being delivered when they ended, and came back.
pub async fn ended_with_notifications(store: &Db) -> Result<Vec<PickupId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select distinct q.pickup_id from queue q join pickups p on p.pickup_id = q.pickup_id
         where q.kind = 'notification' and p.state in ('withdrawn', 'expired')",
    )
    .fetch_all(store.reader())
    .await?;
    rows.into_iter().map(|(id,)| id.parse().map_err(StoreError::from)).collect()
}

/// What a reader can still read, newest first, at most 50.
pub async fn living_of(store: &Db, reader: &Identity, now: Time) -> Result<Vec<Pickup>, StoreError> {
    let rows = sqlx::query(concat!(
        "select ",
        columns!(),
        " from pickups where reader = $1 and expires_at > $2 and state in ('notified', 'undelivered', 'released', 'opened')
          order by created_at desc, pickup_id limit 50"
    ))
    .bind(reader.as_str())
    .bind(now)
    .fetch_all(store.reader())
    .await?;
    from_rows(rows)
}

/// The newest letter of a reader, whatever became of it.
pub async fn newest_of(store: &Db, reader: &Identity) -> Result<Option<Pickup>, StoreError> {
    let row = sqlx::query(concat!(
        "select ",
        columns!(),
        " from pickups where reader = $1 order by created_at desc, pickup_id limit 1"
    ))
    .bind(reader.as_str())
    .fetch_optional(store.reader())
    .await?;
    row.as_ref().map(from_row).transpose()
}

/// Newest first, at most `limit`.
pub async fn list(store: &Db, limit: i64) -> Result<Vec<Pickup>, StoreError> {
    let rows =
        sqlx::query(concat!("select ", columns!(), " from pickups order by created_at desc, pickup_id limit $1"))
            .bind(limit)
            .fetch_all(store.reader())
            .await?;
    from_rows(rows)
}

/// Past their date and still living, oldest first, at most 100 after the first `skipped`.
pub async fn overdue(store: &Db, now: Time, skipped: i64) -> Result<Vec<Pickup>, StoreError> {
    let rows = sqlx::query(concat!(
        "select ",
        columns!(),
        " from pickups where expires_at <= $1 and state in ('notified', 'undelivered', 'released', 'opened')
          order by expires_at, pickup_id limit 100 offset $2"
    ))
    .bind(now)
    .bind(skipped)
    .fetch_all(store.reader())
    .await?;
    from_rows(rows)
}

/// Ids of letters that some reader can still read: what the vault should have, and no more.
pub async fn living_letters(store: &Db) -> Result<std::collections::HashSet<LetterId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select distinct letter_id from pickups where state in ('notified', 'undelivered', 'released', 'opened')",
    )
    .fetch_all(store.reader())
    .await?;
    rows.into_iter().map(|(id,)| id.parse().map_err(StoreError::from)).collect()
}

/// The notification came back. False where the letter was read or has ended meanwhile.
pub async fn mark_undelivered(
    transaction: &mut Transaction<'static, Any>,
    pickup_id: PickupId,
) -> Result<bool, StoreError> {
    let done = sqlx::query("update pickups set state = 'undelivered' where pickup_id = $1 and state = 'notified'")
        .bind(pickup_id.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The notification was sent again.
pub async fn mark_notified(transaction: &mut Transaction<'static, Any>, pickup_id: PickupId) -> Result<(), StoreError> {
    sqlx::query("update pickups set state = 'notified' where pickup_id = $1 and state = 'undelivered'")
        .bind(pickup_id.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The portal says that it released the letter; false where it had said so before, or the letter has ended.
pub async fn mark_released(
    transaction: &mut Transaction<'static, Any>,
    pickup_id: PickupId,
    now: Time,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update pickups set state = 'released', released_at = $1
         where pickup_id = $2 and state in ('notified', 'undelivered')",
    )
    .bind(now)
    .bind(pickup_id.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The reader's browser proved that it opened the letter: the link can't be sent again from now on. False where it had done
/// so before, or the pickup has ended.
pub async fn mark_opened(
    transaction: &mut Transaction<'static, Any>,
    pickup_id: PickupId,
    now: Time,
) -> Result<bool, StoreError> {
    let nothing: &[u8] = &[];
    let done = sqlx::query(
        "update pickups set state = 'opened', opened_at = $1, kept_link = $2
         where pickup_id = $3 and state in ('notified', 'undelivered', 'released')",
    )
    .bind(now)
    .bind(nothing)
    .bind(pickup_id.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The reader is enrolled: links can't be sent again, and no voice counts any more. Of all of the reader's pickups.
pub async fn silence(transaction: &mut Transaction<'static, Any>, reader: &Identity) -> Result<(), StoreError> {
    let nothing: &[u8] = &[];
    sqlx::query("update pickups set kept_link = $1, kept_voice = $2 where reader = $3")
        .bind(nothing)
        .bind(nothing)
        .bind(reader.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The link opens the letter no longer, the account does. False where it had done so before, or the pickup has ended.
pub async fn end_link_way(
    transaction: &mut Transaction<'static, Any>,
    pickup_id: PickupId,
) -> Result<bool, StoreError> {
    let nothing: &[u8] = &[];
    let done = sqlx::query(
        "update pickups set way = 'account', kept_link = $1, kept_voice = $2
         where pickup_id = $3 and way = 'link' and state in ('notified', 'undelivered', 'released', 'opened')",
    )
    .bind(nothing)
    .bind(nothing)
    .bind(pickup_id.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Who wrote letters that a reader can still read, the latest first, at most 20.
pub async fn senders_to(store: &Db, reader: &Identity, now: Time) -> Result<Vec<EmailAddress>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select sender from pickups where reader = $1 and expires_at > $2
           and state in ('notified', 'undelivered', 'released', 'opened')
         group by sender order by max(created_at) desc, sender limit 20",
    )
    .bind(reader.as_str())
    .bind(now)
    .fetch_all(store.reader())
    .await?;
    rows.into_iter().map(|(sender,)| sender.parse().map_err(|_| StoreError::Corrupt("a pickup's address"))).collect()
}

/// The reader answered.
pub async fn mark_answered(
    transaction: &mut Transaction<'static, Any>,
    pickup_id: PickupId,
    now: Time,
) -> Result<(), StoreError> {
    let done = sqlx::query("update pickups set answered_at = $1 where pickup_id = $2")
        .bind(now)
        .bind(pickup_id.to_string())
        .execute(&mut **transaction)
        .await?;
    met(&done, 1)
}

/// Ends a pickup: its secrets are gone. False where it had ended before.
pub async fn end(
    transaction: &mut Transaction<'static, Any>,
    pickup_id: PickupId,
    state: State,
) -> Result<bool, StoreError> {
    let nothing: &[u8] = &[];
    let done = sqlx::query(
        "update pickups set state = $1, kept_link = $2, kept_voice = $3
         where pickup_id = $4 and state in ('notified', 'undelivered', 'released', 'opened')",
    )
    .bind(state.word())
    .bind(nothing)
    .bind(nothing)
    .bind(pickup_id.to_string())
    .execute(&mut **transaction)
    .await?;
    sqlx::query("delete from codes where pickup_id = $1")
        .bind(pickup_id.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() == 1)
}
