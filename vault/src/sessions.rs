//! Browsers that proved themselves: sessions, the codes they asked for, and what a right code opened.
//!
//! A session is a random id in a cookie; stored is its SHA-256. A right code gives the session a new id, so that whoever
//! knew the old one (fixation) has nothing. A code's hash is bound to the id under which it was asked for, which
//! therefore stays with the request (`asked_by`). The tables have one writer: the portal.
//!
//! Security: a thief of these tables can't make a cookie of a hash. Tries are counted before they are judged, in one
//! statement, so that parallel tries can't outrun the limit; whatever is wrong looks the same from outside.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::derive::{code_hash, sha256};
use crate::errands::{self, Answer};
use crate::id::{ErrandId, NoRandomness, PickupId, random};

/// A session ends when its browser was silent for this long, in seconds. Long answers are written without a request.
pub const IDLE: Time = 2 * 3600;
/// A session, and whatever it proved, ends this long after its last proof at the latest, in seconds.
pub const LONGEST: Time = 12 * 3600;
/// Tries at one code; then it is dead.
pub const TRIES: i64 = 5;
/// Replies that one session may have begun and not sent.
pub const OPEN_UPLOADS: i64 = 10;

/// A request counts as a sign of life at most this often, in seconds: reading must not mean writing.
const SEEN_GRAIN: Time = 60;

/// What the cookie carries: whoever has it is the session.
pub struct SessionId(Zeroizing<[u8; 32]>);

impl SessionId {
    /// A new random one.
    pub fn random() -> Result<Self, NoRandomness> {
        random().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// From a cookie's value; `None` where it can't be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        <[u8; 32]>::try_from(bytes.as_slice()).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// As the cookie carries it.
    pub fn written(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// The name under which it is stored.
    pub fn hash(&self) -> SessionHash {
        SessionHash(sha256(self.0.as_slice()))
    }
}

/// The name under which a session is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionHash([u8; 32]);

impl SessionHash {
    /// Nobody's: for callers without a cookie, so that they cost the same work.
    pub fn nobody() -> Self {
        Self([0; 32])
    }

    /// As [`code_hash`] and [`crate::errands::Errand::Code`] take it.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As the tables take it.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    fn from_hex(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHash(..)")
    }
}

/// What a code is asked for, as a request remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeScope {
    Pickup(PickupId),
    /// All letters of an address. Which one, only the errand says.
    Address,
}

impl CodeScope {
    fn written(self) -> String {
        match self {
            Self::Pickup(pickup) => pickup.to_string(),
            Self::Address => "address".to_owned(),
        }
    }
}

/// A session after a right code.
pub struct Proven {
    /// The new id: the old one is worthless now.
    pub session: SessionId,
    /// What the code opened.
    pub pickups: Vec<PickupId>,
}

/// Begins a session that has proved nothing yet.
pub async fn begin(db: &Db, now: Time) -> Result<SessionId, StoreError> {
    let session = SessionId::random()?;
    sqlx::query("insert into sessions (session_hash, created_at, seen_at, expires_at) values ($1, $2, $2, $3)")
        .bind(session.hash().hex())
        .bind(now)
        .bind(now.saturating_add(LONGEST))
        .execute(db.writer())
        .await?;
    Ok(session)
}

/// Whether the session lives; a sign of life if it does.
pub async fn is_alive(db: &Db, session: SessionHash, now: Time) -> Result<bool, StoreError> {
    let row: Option<(i64,)> =
        sqlx::query_as("select seen_at from sessions where session_hash = $1 and expires_at > $2 and seen_at > $3")
            .bind(session.hex())
            .bind(now)
            .bind(now.saturating_sub(IDLE))
            .fetch_optional(db.reader())
            .await?;
    let Some((seen_at,)) = row else { return Ok(false) };
    if seen_at < now.saturating_sub(SEEN_GRAIN) {
        sqlx::query("update sessions set seen_at = $1 where session_hash = $2 and seen_at < $1")
            .bind(now)
            .bind(session.hex())
            .execute(db.writer())
            .await?;
    }
    Ok(true)
}

/// Remembers that the session asks for a code; its older codes for the same thing are dead.
pub async fn ask_code(
    db: &Db,
    session: SessionHash,
    errand: ErrandId,
    scope: CodeScope,
    now: Time,
) -> Result<(), StoreError> {
    let mut transaction = db.begin().await?;
    sqlx::query("update code_requests set state = 'dead' where session_hash = $1 and scope = $2 and state = 'open'")
        .bind(session.hex())
        .bind(scope.written())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "insert into code_requests (errand_id, session_hash, asked_by, scope, tries, state, created_at)
         values ($1, $2, $2, $3, 0, 'open', $4)",
    )
    .bind(errand.to_string())
    .bind(session.hex())
    .bind(scope.written())
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Nobody may use this code any more: the gateway didn't answer in time.
pub async fn drop_code(db: &Db, errand: ErrandId) -> Result<(), StoreError> {
    sqlx::query("update code_requests set state = 'dead' where errand_id = $1 and state = 'open'")
        .bind(errand.to_string())
        .execute(db.writer())
        .await?;
    Ok(())
}

/// Tries a code. Right: the session has proved itself for what the gateway named, and has a new id.
/// `None` for wrong, late, dead, unknown and other sessions' codes alike, after the same work.
pub async fn try_code(
    db: &Db,
    session: SessionHash,
    errand: ErrandId,
    code: &str,
    now: Time,
) -> Result<Option<Proven>, StoreError> {
    let counted: Option<(String, String)> = sqlx::query_as(
        "update code_requests set tries = tries + 1
         where errand_id = $1 and session_hash = $2 and state = 'open' and tries < $3
         and exists (select 1 from sessions s where s.session_hash = code_requests.session_hash
                     and s.expires_at > $4 and s.seen_at > $5)
         returning asked_by, scope",
    )
    .bind(errand.to_string())
    .bind(session.hex())
    .bind(TRIES)
    .bind(now)
    .bind(now.saturating_sub(IDLE))
    .fetch_optional(db.writer())
    .await?;
    let (stored, pickups) = match errands::answer(db, errand).await? {
        Some(Answer::Code { code_hash, expires_at, pickups, .. }) if expires_at > now => (code_hash.0, pickups),
        _ => (vec![0; 32], Vec::new()),
    };
    let (asked_by, scope) = match &counted {
        Some((asked_by, scope)) => (SessionHash::from_hex(asked_by), scope.parse::<PickupId>().ok()),
        None => (None, None),
    };
    let scope = scope.as_ref().map_or(errand.bytes(), PickupId::bytes);
    let computed = code_hash(asked_by.unwrap_or_else(SessionHash::nobody).bytes(), scope, code)?;
    let equal = bool::from(computed.ct_eq(stored.as_slice()));
    if !equal || counted.is_none() || asked_by.is_none() {
        return Ok(None);
    }
    prove(db, session, errand, pickups, now).await
}

async fn prove(
    db: &Db,
    session: SessionHash,
    errand: ErrandId,
    pickups: Vec<PickupId>,
    now: Time,
) -> Result<Option<Proven>, StoreError> {
    let renewed = SessionId::random()?;
    let (old, new) = (session.hex(), renewed.hash().hex());
    let mut transaction = db.begin().await?;
    let used = sqlx::query("update code_requests set state = 'used' where errand_id = $1 and state = 'open'")
        .bind(errand.to_string())
        .execute(&mut *transaction)
        .await?;
    if used.rows_affected() != 1 {
        return Ok(None);
    }
    sqlx::query("insert into sessions (session_hash, created_at, seen_at, expires_at) values ($1, $2, $2, $3)")
        .bind(&new)
        .bind(now)
        .bind(now.saturating_add(LONGEST))
        .execute(&mut *transaction)
        .await?;
    for moved in [
        "update code_requests set session_hash = $1 where session_hash = $2",
        "update proofs set session_hash = $1 where session_hash = $2",
        "update uploads set session_hash = $1 where session_hash = $2",
    ] {
        sqlx::query(moved).bind(&new).bind(&old).execute(&mut *transaction).await?;
    }
    let gone =
        sqlx::query("delete from sessions where session_hash = $1").bind(&old).execute(&mut *transaction).await?;
    if gone.rows_affected() != 1 {
        return Ok(None);
    }
    for pickup in &pickups {
        sqlx::query(
            "insert into proofs (session_hash, pickup_id, proven_at, released_at, opened_at) values ($1, $2, $3, 0, 0)
             on conflict (session_hash, pickup_id) do update set proven_at = excluded.proven_at",
        )
        .bind(&new)
        .bind(pickup.to_string())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(Some(Proven { session: renewed, pickups }))
}

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

/// Replies that the session began and has not sent.
pub async fn open_uploads(db: &Db, session: SessionHash) -> Result<i64, StoreError> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from uploads where session_hash = $1 and errand_id = ''")
        .bind(session.hex())
        .fetch_one(db.reader())
        .await?;
    Ok(count)
}

/// Forgets sessions that ended, with their requests and proofs. How many.
pub async fn forget(db: &Db, now: Time) -> Result<u64, StoreError> {
    let done = sqlx::query("delete from sessions where expires_at <= $1 or seen_at <= $2")
        .bind(now)
        .bind(now.saturating_sub(IDLE))
        .execute(db.writer())
        .await?;
    sqlx::query("delete from code_requests where created_at <= $1")
        .bind(now.saturating_sub(LONGEST))
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests;
