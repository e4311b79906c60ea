//! Browsers that proved themselves: sessions, the codes they asked for, what a right code opened, and who signed in.
//!
//! A session is a random id in a cookie; stored is its SHA-256. A right code, and signing in, give the session a new id, so
//! that whoever knew the old one (fixation) has nothing. The tables have one writer: the portal.
//!
//! Security: a thief of these tables can't make a cookie of a hash. Whatever is wrong looks the same from outside.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use sqlx::{Any, Transaction};
use zeroize::Zeroizing;

use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::derive::sha256;
use crate::id::{NoRandomness, random};

pub use self::account::{
    How, REGISTERED, SIGN_IN, SignedIn, Step, account_proof, begin_step, enrolment, enrolment_of, first_receipt,
    keep_up, registered, shown_code, sign_in, sign_out, signed_in, take_sign_in,
};
pub use self::codes::{CODE_LIFETIME, CodeScope, Proven, TRIES, ask_code, drop_code, try_code};
pub use self::proofs::{Milestone, has_proven, reach, reach_as_owner};

mod account;
mod codes;
mod proofs;

/// A session ends when its browser was silent for this long, in seconds, signed in or not. Long answers are written on phones
/// without a request; what a session hands out is sealed, and an account's key leaves the tab's memory earlier.
pub const IDLE: Time = 2 * 3600;
/// A session, and whatever it proved, ends this long after its last proof or sign-in at the latest, in seconds.
pub const LONGEST: Time = 12 * 3600;
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

/// Begins a session that has proved nothing yet.
pub async fn begin(db: &Db, now: Time) -> Result<SessionId, StoreError> {
    let session = SessionId::random()?;
    let mut transaction = db.begin().await?;
    insert(&mut transaction, &session.hash().hex(), now).await?;
    transaction.commit().await?;
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

/// Gives a session another id, with all that it has. `None` where it is gone: somebody else was quicker.
async fn renew(
    transaction: &mut Transaction<'static, Any>,
    session: SessionHash,
    now: Time,
) -> Result<Option<SessionId>, StoreError> {
    let renewed = SessionId::random()?;
    let (old, new) = (session.hex(), renewed.hash().hex());
    insert(transaction, &new, now).await?;
    for moved in [
        "update code_requests set session_hash = $1 where session_hash = $2",
        "update proofs set session_hash = $1 where session_hash = $2",
        "update uploads set session_hash = $1 where session_hash = $2",
        "update session_accounts set session_hash = $1 where session_hash = $2",
        "update account_requests set session_hash = $1 where session_hash = $2",
        "update account_proofs set session_hash = $1 where session_hash = $2",
    ] {
        sqlx::query(moved).bind(&new).bind(&old).execute(&mut **transaction).await?;
    }
    Ok(delete(transaction, &old).await?.then_some(renewed))
}

async fn insert(transaction: &mut Transaction<'static, Any>, hash: &str, now: Time) -> Result<(), StoreError> {
    sqlx::query("insert into sessions (session_hash, created_at, seen_at, expires_at) values ($1, $2, $2, $3)")
        .bind(hash)
        .bind(now)
        .bind(now.saturating_add(LONGEST))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Codes, proofs and accounts go with their session (on delete cascade).
async fn delete(transaction: &mut Transaction<'static, Any>, hash: &str) -> Result<bool, StoreError> {
    let gone =
        sqlx::query("delete from sessions where session_hash = $1").bind(hash).execute(&mut **transaction).await?;
    Ok(gone.rows_affected() == 1)
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
    for old in [
        "delete from code_requests where created_at <= $1",
        "delete from account_requests where created_at <= $1",
        "delete from account_proofs where proven_at <= $1",
    ] {
        sqlx::query(old).bind(now.saturating_sub(LONGEST)).execute(db.writer()).await?;
    }
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests;
