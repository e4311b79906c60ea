//! Sessions that signed in, and the steps by which a session signs in or enrols.
//!
//! A step is an errand; it belongs to the session that began it, and the second step of signing in counts once.
//! Who is signed in may read as long as the session lives, and as long as the account is what it was: a changed passphrase or
//! recovery code ends all other sessions, a reset ends all of them.
//!
//! Security: another session's step, an old one and one that never was are one answer.

use super::{IDLE, LONGEST, SessionHash, SessionId, delete, insert, is_alive, renew};
use crate::address::Identity;
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::id::{AccountId, ErrandId, PickupId};

/// A sign-in's second step comes within this time of the first, in seconds.
pub const SIGN_IN: Time = 120;
/// An enrolment comes within this time of its registration, in seconds.
pub const REGISTERED: Time = 3600;
/// A code shown for an account counts this long for recovery, in seconds. The gateway counts 30 minutes from when it minted
/// the code, which lives ten.
const PROOF: Time = 1200;
/// A shown code is named to the gateway this long after it was asked for, in seconds.
const SHOWN: Time = 1800;

/// How a session came to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Passphrase,
    /// A mailed code and the recovery code.
    Recovery,
    /// It made the account. Counts while nobody has changed passphrase or recovery code: an enrolment may be asked after for
    /// as long as its session lives, and must not bring back a session that such a change has ended.
    Enrolment,
}

impl How {
    /// As the table and the browser take it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery",
            Self::Enrolment => "enrolment",
        }
    }

    fn parse(word: &str) -> Result<Self, StoreError> {
        match word {
            "passphrase" => Ok(Self::Passphrase),
            "recovery" => Ok(Self::Recovery),
            "enrolment" => Ok(Self::Enrolment),
            _ => Err(StoreError::Corrupt("how a session signed in")),
        }
    }
}

/// A session that is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub session: SessionHash,
    pub account: AccountId,
    pub reader: Identity,
    pub how: How,
}

/// What a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first step of signing in.
    SignIn,
    /// An OPAQUE registration for an account that is to be, by a session that proved itself for the pickup.
    Register(AccountId, PickupId),
}

/// Remembers a step that the session begins.
pub async fn begin_step(
    db: &Db,
    session: SessionHash,
    errand: ErrandId,
    step: Step,
    now: Time,
) -> Result<(), StoreError> {
    let (kind, account, pickup) = match step {
        Step::SignIn => ("sign-in", String::new(), String::new()),
        Step::Register(account, pickup) => ("register", account.to_string(), pickup.to_string()),
    };
    let mut transaction = db.begin().await?;
    // What nobody can go on with any more.
    sqlx::query("delete from account_requests where session_hash = $1 and kind = 'sign-in' and created_at <= $2")
        .bind(session.hex())
        .bind(now.saturating_sub(SIGN_IN))
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "insert into account_requests (errand_id, session_hash, kind, account_id, pickup_id, created_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(errand.to_string())
    .bind(session.hex())
    .bind(kind)
    .bind(account)
    .bind(pickup)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether the session may go on with this sign-in. True once.
pub async fn take_sign_in(db: &Db, session: SessionHash, errand: ErrandId, now: Time) -> Result<bool, StoreError> {
    let taken = sqlx::query(
        "delete from account_requests where errand_id = $1 and session_hash = $2 and kind = 'sign-in' and created_at > $3
         and exists (select 1 from sessions s where s.session_hash = account_requests.session_hash
                     and s.expires_at > $4 and s.seen_at > $5)",
    )
    .bind(errand.to_string())
    .bind(session.hex())
    .bind(now.saturating_sub(SIGN_IN))
    .bind(now)
    .bind(now.saturating_sub(IDLE))
    .execute(db.writer())
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Whether the session registered this account for this pickup, not long ago.
pub async fn registered(
    db: &Db,
    session: SessionHash,
    account: AccountId,
    pickup: PickupId,
    now: Time,
) -> Result<bool, StoreError> {
    let row: Option<(i64,)> = sqlx::query_as(
        "select created_at from account_requests
         where session_hash = $1 and kind = 'register' and account_id = $2 and pickup_id = $3 and created_at > $4",
    )
    .bind(session.hex())
    .bind(account.to_string())
    .bind(pickup.to_string())
    .bind(now.saturating_sub(REGISTERED))
    .fetch_optional(db.reader())
    .await?;
    Ok(row.is_some())
}

/// The errand of the session's enrolment as this account: the one that it has begun, or `errand`.
pub async fn enrolment_of(
    db: &Db,
    session: SessionHash,
    account: AccountId,
    errand: ErrandId,
    now: Time,
) -> Result<ErrandId, StoreError> {
    let mut transaction = db.begin().await?;
    // One at a time for each session, on PostgreSQL too.
    sqlx::query("update sessions set seen_at = seen_at where session_hash = $1")
        .bind(session.hex())
        .execute(&mut *transaction)
        .await?;
    let begun: Option<(String,)> = sqlx::query_as(
        "select errand_id from account_requests where session_hash = $1 and kind = 'enrol' and account_id = $2",
    )
    .bind(session.hex())
    .bind(account.to_string())
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some((begun,)) = begun {
        return Ok(begun.parse()?);
    }
    sqlx::query(
        "insert into account_requests (errand_id, session_hash, kind, account_id, pickup_id, created_at)
         values ($1, $2, 'enrol', $3, '', $4)",
    )
    .bind(errand.to_string())
    .bind(session.hex())
    .bind(account.to_string())
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(errand)
}

/// Whether the living session began this enrolment.
pub async fn enrolment(db: &Db, session: SessionHash, errand: ErrandId, now: Time) -> Result<bool, StoreError> {
    let alive = is_alive(db, session, now).await?;
    let row: Option<(i64,)> = sqlx::query_as(
        "select created_at from account_requests where errand_id = $1 and session_hash = $2 and kind = 'enrol'",
    )
    .bind(errand.to_string())
    .bind(session.hex())
    .fetch_optional(db.reader())
    .await?;
    Ok(alive && row.is_some())
}

/// True for the session's first receipt for this pickup: tell the gateway then.
pub async fn first_receipt(
    db: &Db,
    session: SessionHash,
    pickup: PickupId,
    errand: ErrandId,
    now: Time,
) -> Result<bool, StoreError> {
    let noted = sqlx::query(
        "insert into account_requests (errand_id, session_hash, kind, account_id, pickup_id, created_at)
         select $1, session_hash, 'receipt', '', $3, $4 from sessions where session_hash = $2 and not exists
         (select 1 from account_requests r where r.session_hash = $2 and r.kind = 'receipt' and r.pickup_id = $3)",
    )
    .bind(errand.to_string())
    .bind(session.hex())
    .bind(pickup.to_string())
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Signs the session in under a new id: the old one is worthless now. What the session has stays with it, unless it was
/// signed in as somebody else. `None` where the session or the account is gone, or what it signs in with counts no more.
pub async fn sign_in(
    db: &Db,
    session: SessionHash,
    account: AccountId,
    how: How,
    now: Time,
) -> Result<Option<SessionId>, StoreError> {
    let mut transaction = db.begin().await?;
    let before: Option<(String,)> = sqlx::query_as("select account_id from session_accounts where session_hash = $1")
        .bind(session.hex())
        .fetch_optional(&mut *transaction)
        .await?;
    let renewed = if before.is_some_and(|(before,)| before != account.to_string()) {
        let renewed = SessionId::random()?;
        insert(&mut transaction, &renewed.hash().hex(), now).await?;
        delete(&mut transaction, &session.hex()).await?.then_some(renewed)
    } else {
        renew(&mut transaction, session, now).await?
    };
    let Some(renewed) = renewed else { return Ok(None) };
    let signed_in = sqlx::query(
        "insert into session_accounts (session_hash, account_id, how, changes, since)
         select $1, account_id, $3, changes, $4 from accounts where account_id = $2 and (changes = 0 or $3 <> 'enrolment')
         on conflict (session_hash) do update set how = excluded.how, changes = excluded.changes, since = excluded.since",
    )
    .bind(renewed.hash().hex())
    .bind(account.to_string())
    .bind(how.word())
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    if signed_in.rows_affected() != 1 {
        return Ok(None);
    }
    sqlx::query("delete from account_proofs where session_hash = $1")
        .bind(renewed.hash().hex())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Some(renewed))
}

/// Who is signed in, while the session lives and the account is what it was; a sign of life if so.
pub async fn signed_in(db: &Db, session: SessionHash, now: Time) -> Result<Option<SignedIn>, StoreError> {
    let row: Option<(String, String, String)> = sqlx::query_as(
        "select a.account_id, a.reader, sa.how from session_accounts sa
         join accounts a on a.account_id = sa.account_id and a.changes = sa.changes
         where sa.session_hash = $1 and sa.since > $2",
    )
    .bind(session.hex())
    .bind(now.saturating_sub(LONGEST))
    .fetch_optional(db.reader())
    .await?;
    let Some((account, reader, how)) = row else { return Ok(None) };
    if !is_alive(db, session, now).await? {
        return Ok(None);
    }
    Ok(Some(SignedIn {
        session,
        account: account.parse()?,
        reader: Identity::from_stored(reader),
        how: How::parse(&how)?,
    }))
}

/// The session itself changed the account, and knows the new passphrase: it stays signed in.
pub async fn keep_up(db: &Db, signed_in: &SignedIn) -> Result<(), StoreError> {
    sqlx::query(
        "update session_accounts set how = $1,
         changes = (select a.changes from accounts a where a.account_id = session_accounts.account_id)
         where session_hash = $2 and account_id = $3
         and exists (select 1 from accounts a where a.account_id = session_accounts.account_id)",
    )
    .bind(How::Passphrase.word())
    .bind(signed_in.session.hex())
    .bind(signed_in.account.to_string())
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Ends the session with all that it had. The account that it was signed in to.
pub async fn sign_out(db: &Db, session: SessionHash) -> Result<Option<AccountId>, StoreError> {
    let mut transaction = db.begin().await?;
    let account: Option<(String,)> = sqlx::query_as("select account_id from session_accounts where session_hash = $1")
        .bind(session.hex())
        .fetch_optional(&mut *transaction)
        .await?;
    delete(&mut transaction, &session.hex()).await?;
    transaction.commit().await?;
    account.map(|(account,)| account.parse().map_err(StoreError::from)).transpose()
}

/// The newest code that the session showed for an account or one of its letters, while it counts: the errand that minted it,
/// and the account.
pub async fn account_proof(
    db: &Db,
    session: SessionHash,
    now: Time,
) -> Result<Option<(ErrandId, AccountId)>, StoreError> {
    let row: Option<(String, String)> = sqlx::query_as(
        "select p.errand_id, p.account_id from account_proofs p join sessions s on s.session_hash = p.session_hash
         where p.session_hash = $1 and p.proven_at > $2 and s.expires_at > $3 and s.seen_at > $4",
    )
    .bind(session.hex())
    .bind(now.saturating_sub(PROOF))
    .bind(now)
    .bind(now.saturating_sub(IDLE))
    .fetch_optional(db.reader())
    .await?;
    row.map(|(errand, account)| Ok((errand.parse()?, account.parse()?))).transpose()
}

/// The newest code that the session showed lately, for its account or any of its letters: its reader's tries at the passphrase
/// aren't a stranger's. The same work whether there is one.
pub async fn shown_code(db: &Db, session: SessionHash, now: Time) -> Result<Option<ErrandId>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as(
        "select c.errand_id from code_requests c join sessions s on s.session_hash = c.session_hash
         where c.session_hash = $1 and c.state = 'used' and c.created_at > $2 and s.expires_at > $3 and s.seen_at > $4
         order by c.created_at desc, c.errand_id limit 1",
    )
    .bind(session.hex())
    .bind(now.saturating_sub(SHOWN))
    .bind(now)
    .bind(now.saturating_sub(IDLE))
    .fetch_optional(db.reader())
    .await?;
    row.map(|(errand,)| errand.parse().map_err(StoreError::from)).transpose()
}
