//! Codes by mail: asked for, tried, and what a right one opens.
//!
//! A code's hash is bound to the session's id under which it was asked for, which therefore stays with the request
//! (`asked_by`) when the session gets another.
//!
//! A code went to one mailbox, whatever it was asked for: a right one for a letter leads to its reader's account too, so that
//! who uses up an address's codes doesn't keep its owner from recovering.
//!
//! Security: tries are counted before they are judged, in one statement, so that parallel tries can't outrun the limit.

use sqlx::{Any, Transaction};
use subtle::ConstantTimeEq;

use super::{IDLE, SessionHash, SessionId, renew};
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::derive::code_hash;
use crate::errands::{self, Answer};
use crate::id::{AccountId, ErrandId, PickupId};

/// How long a code is good after it was minted, in seconds.
pub const CODE_LIFETIME: Time = 600;
/// Tries at one code; then it is dead.
pub const TRIES: i64 = 5;

/// What a code is asked for, as a request remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeScope {
    Pickup(PickupId),
    /// All letters of an address. Which one, only the errand says.
    Address,
    /// The account of an address. Which one, only the errand says.
    Account,
}

impl CodeScope {
    fn written(self) -> String {
        match self {
            Self::Pickup(pickup) => pickup.to_string(),
            Self::Address => "address".to_owned(),
            Self::Account => "account".to_owned(),
        }
    }
}

/// A session after a right code.
pub struct Proven {
    /// The new id: the old one is worthless now.
    pub session: SessionId,
    /// What the code opened.
    pub pickups: Vec<PickupId>,
    /// The account of the mailbox that the code went to.
    pub account: Option<AccountId>,
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
    let (stored, pickups, account) = match errands::answer(db, errand).await? {
        Some(Answer::Code { code_hash, expires_at, pickups, account }) if expires_at > now => {
            (code_hash.0, pickups, account)
        }
        _ => (vec![0; 32], Vec::new(), None),
    };
    let (asked_by, scope, of_account) = match &counted {
        Some((asked_by, scope)) => {
            (SessionHash::from_hex(asked_by), scope.parse::<PickupId>().ok(), *scope == CodeScope::Account.written())
        }
        None => (None, None, false),
    };
    let scope = scope.as_ref().map_or(errand.bytes(), PickupId::bytes);
    let computed = code_hash(asked_by.unwrap_or_else(SessionHash::nobody).bytes(), scope, code)?;
    let equal = bool::from(computed.ct_eq(stored.as_slice()));
    if !equal || counted.is_none() || asked_by.is_none() {
        return Ok(None);
    }
    prove(db, session, errand, Opened { pickups, account: account.filter(|_| of_account) }, now).await
}

/// What a right code opens.
struct Opened {
    pickups: Vec<PickupId>,
    account: Option<AccountId>,
}

/// The account of the reader whose letters these are.
async fn account_of(
    transaction: &mut Transaction<'static, Any>,
    pickups: &[PickupId],
) -> Result<Option<AccountId>, StoreError> {
    let Some(pickup) = pickups.first() else { return Ok(None) };
    let row: Option<(String,)> = sqlx::query_as(
        "select a.account_id from pickups p join accounts a on a.reader = p.reader where p.pickup_id = $1",
    )
    .bind(pickup.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    row.map(|(account,)| account.parse().map_err(StoreError::from)).transpose()
}

async fn prove(
    db: &Db,
    session: SessionHash,
    errand: ErrandId,
    Opened { pickups, account }: Opened,
    now: Time,
) -> Result<Option<Proven>, StoreError> {
    let mut transaction = db.begin().await?;
    let used = sqlx::query("update code_requests set state = 'used' where errand_id = $1 and state = 'open'")
        .bind(errand.to_string())
        .execute(&mut *transaction)
        .await?;
    if used.rows_affected() != 1 {
        return Ok(None);
    }
    let Some(renewed) = renew(&mut transaction, session, now).await? else { return Ok(None) };
    let new = renewed.hash().hex();
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
    let account = match account {
        Some(account) => Some(account),
        None => account_of(&mut transaction, &pickups).await?,
    };
    if let Some(account) = account {
        sqlx::query(
            "insert into account_proofs (session_hash, errand_id, account_id, proven_at) values ($1, $2, $3, $4)
             on conflict (session_hash) do update set errand_id = excluded.errand_id, account_id = excluded.account_id,
             proven_at = excluded.proven_at",
        )
        .bind(&new)
        .bind(errand.to_string())
        .bind(account.to_string())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(Some(Proven { session: renewed, pickups, account }))
}
