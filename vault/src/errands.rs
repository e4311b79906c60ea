//! Errands: rows by which the portal asks the gateway for something; the gateway answers in rows of its own.
//!
//! Security: the gateway treats an errand as input from outside. It names a pickup or an address; whom a mail goes to,
//! what quota is left and what is believed, the gateway looks up in its own store. Answers never tell whether a pickup
//! or an address exists.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::bell::LOOK_ANYWAY;
use crate::clock::Time;
use crate::db::{Db, StoreError};
use crate::id::{AccountId, ErrandId, PickupId, ReplyId};

/// Largest body of an errand that the gateway looks at, in bytes.
pub const MAX_BODY: usize = 16 * 1024;

/// How much longer a reply waits for a gateway that is down, in seconds: its reader was told that it is on its way.
pub const UNHEARD: Time = 14 * 24 * 3600;

/// Bytes that travel as base64url in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        URL_SAFE_NO_PAD.decode(text).map(Self)
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> String {
        URL_SAFE_NO_PAD.encode(bytes.0)
    }
}

/// What a code is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One pickup: the reader followed a link.
    Pickup(PickupId),
    /// All pickups of an address, as typed: the reader has a pickup code on paper or from a broken link.
    Address(String),
    /// The account of an address, as typed: its passphrase was forgotten, or tries at it must wait.
    Account(String),
}

/// What an OPAQUE registration is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// A first passphrase, by a session that proved itself for this pickup.
    Enrol(PickupId),
    /// Another passphrase, by a session that is signed in.
    Change(AccountId),
}

/// A letter's session key for its reader's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    pub pickup: PickupId,
    /// One PKESKv6.
    pub packet: Bytes,
}

/// What the portal asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Errand {
    /// Mint a code and mail it. `session` is the SHA-256 under which the session is stored.
    Code { session: Bytes, scope: Scope, language: String },
    /// Send the notifications of this address's living letters again.
    Resend { address: String, language: String },
    /// The share was released to a session that proved itself.
    Released { pickup: PickupId },
    /// The reader's browser opened the letter: HMAC under the voice key.
    Opened { pickup: PickupId, mac: Bytes },
    /// Take a sealed reply: `key_packet` is one PKESKv6 to the organisation, `parts` uploaded parts, the slip first.
    Reply { pickup: PickupId, reply: ReplyId, key_packet: Bytes, parts: u32 },
    /// Evaluate an OPAQUE registration request.
    Register { purpose: Registration, request: Bytes },
    /// Enrol: bind a certificate to the pickup's reader. `upload` is the OPAQUE record, `file` the account file, `recovery`
    /// the SHA-256 of the recovery proof, `mac` the statement `enrol` under the voice key, `keys` letters wrapped anew.
    Enrol {
        pickup: PickupId,
        account: AccountId,
        certificate: Bytes,
        file: Bytes,
        upload: Bytes,
        recovery: Bytes,
        mac: Bytes,
        keys: Vec<WrappedKey>,
    },
    /// First step of signing in: evaluate an OPAQUE credential request. `prefix` is where the browser is, for the back-off;
    /// `code` the errand of a code that this session showed.
    SignIn { address: String, prefix: String, code: Option<ErrandId>, request: Bytes },
    /// Second step: check the OPAQUE finalization of the sign-in that this errand began.
    SignInEnd { sign_in: ErrandId, finalization: Bytes },
    /// The browser is signed out.
    SignedOut { account: AccountId },
    /// Check a recovery code's proof, by a session that showed the code of `code`.
    Recover { account: AccountId, code: ErrandId, prefix: String, proof: Bytes },
    /// Another passphrase: a new OPAQUE record and account file, and the hash of a new recovery proof, or nothing where the
    /// recovery code stays. `signature` is the statement `change`.
    Change { account: AccountId, upload: Bytes, file: Bytes, recovery: Bytes, signature: Bytes },
    /// Take a letter that was opened by link into its reader's account. `signature` is the statement `rewrap`.
    Rewrap { pickup: PickupId, packet: Bytes, signature: Bytes },
    /// An enrolled reader's browser opened the letter with the account's key. `signature` is the statement `opened`.
    Receipt { pickup: PickupId, signature: Bytes },
}

impl Errand {
    /// Its kind, as stored beside it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Code { .. } => "code",
            Self::Resend { .. } => "resend",
            Self::Released { .. } => "released",
            Self::Opened { .. } => "opened",
            Self::Reply { .. } => "reply",
            Self::Register { .. } => "register",
            Self::Enrol { .. } => "enrol",
            Self::SignIn { .. } => "sign-in",
            Self::SignInEnd { .. } => "sign-in-end",
            Self::SignedOut { .. } => "signed-out",
            Self::Recover { .. } => "recover",
            Self::Change { .. } => "change",
            Self::Rewrap { .. } => "rewrap",
            Self::Receipt { .. } => "receipt",
        }
    }
}

/// What the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// A code may be on its way. `code_hash` is [`crate::derive::code_hash`] over the pickup's id (or, for an address,
    /// the errand's id); for what doesn't exist it is random, and looks the same. `pickups` are what the code opens.
    /// `account` is there where the code was asked for an account; for one that doesn't exist it is made up.
    Code {
        code_hash: Bytes,
        expires_at: Time,
        pickups: Vec<PickupId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
    },
    /// Done, or ignored: the portal needn't know.
    Done,
    /// The reply is on its way to the sender's mailbox: the sealed upload can be deleted.
    Taken,
    /// The reply was not believed or not well-formed, or its pickup has ended: nothing was sent.
    Refused,
    /// The OPAQUE registration response, and the account's id, the salt of what unlocks it. `signature` is the
    /// organisation's over both and the request, so that the browser takes no answer but the gateway's.
    Register { account: AccountId, response: Bytes, signature: Bytes },
    /// The certificate is bound to the address.
    Enrolled { account: AccountId },
    /// The address has an account already: the first enrolment counts.
    Conflict,
    /// The OPAQUE credential response; for an address without an account it is made up.
    SignIn { response: Bytes },
    /// Too many tries: none is looked at for so many seconds.
    Later { seconds: Time },
    /// Passphrase or recovery code was right.
    SignedIn { account: AccountId },
}

/// An errand as the gateway finds it.
#[derive(Debug)]
pub struct Asked {
    pub errand_id: ErrandId,
    /// `None` where the row is not an errand that we know.
    pub errand: Option<Errand>,
    pub created_at: Time,
}

/// Asks (writer: portal). Ring the gateway's bell afterwards.
pub async fn ask(db: &Db, errand_id: ErrandId, errand: &Errand, now: Time) -> Result<(), StoreError> {
    sqlx::query("insert into errands (errand_id, kind, body, created_at) values ($1, $2, $3, $4)")
        .bind(errand_id.to_string())
        .bind(errand.kind())
        .bind(serde_json::to_string(errand)?)
        .bind(now)
        .execute(db.writer())
        .await?;
    Ok(())
}

/// The answer, if there is one.
pub async fn answer(db: &Db, errand_id: ErrandId) -> Result<Option<Answer>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select body from errand_answers where errand_id = $1")
        .bind(errand_id.to_string())
        .fetch_optional(db.reader())
        .await?;
    row.map(|(body,)| serde_json::from_str(&body).map_err(StoreError::from)).transpose()
}

/// Waits for the answer; `rung` is notified whenever the portal's bell rings. `None` after `patience`.
pub async fn wait(
    db: &Db,
    rung: &Notify,
    errand_id: ErrandId,
    patience: Duration,
) -> Result<Option<Answer>, StoreError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let notified = rung.notified();
        if let Some(answer) = answer(db, errand_id).await? {
            return Ok(Some(answer));
        }
        if tokio::time::Instant::now() >= deadline {
            return Ok(None);
        }
        let _ = tokio::time::timeout(LOOK_ANYWAY, notified).await;
    }
}

/// Errands without an answer, oldest first, at most `limit` (reader: gateway). Oversized or unknown ones come as `None`.
pub async fn unanswered(db: &Db, limit: i64) -> Result<Vec<Asked>, StoreError> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select e.errand_id, case when length(e.body) > 16384 then '' else e.body end, e.created_at from errands e
         where not exists (select 1 from errand_answers a where a.errand_id = e.errand_id)
         order by e.created_at, e.errand_id limit $1",
    )
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    // A row whose id is no id can't be answered; the portal's own housekeeping removes it.
    Ok(rows
        .into_iter()
        .filter_map(|(id, body, created_at)| {
            Some(Asked { errand_id: id.parse().ok()?, errand: serde_json::from_str(&body).ok(), created_at })
        })
        .collect())
}

/// Answers (writer: gateway); a second answer to the same errand changes nothing. Ring the portal's bell afterwards.
pub async fn reply(db: &Db, errand_id: ErrandId, answer: &Answer, now: Time) -> Result<(), StoreError> {
    sqlx::query(
        "insert into errand_answers (errand_id, body, answered_at) values ($1, $2, $3) on conflict (errand_id) do nothing",
    )
    .bind(errand_id.to_string())
    .bind(serde_json::to_string(answer)?)
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Forgets errands older than `before` (writer: portal). Replies that the gateway has not answered stay [`UNHEARD`] longer.
pub async fn forget(db: &Db, before: Time) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "delete from errands where created_at < $1 and (kind <> 'reply' or created_at < $2
         or exists (select 1 from errand_answers a where a.errand_id = errands.errand_id))",
    )
    .bind(before)
    .bind(before.saturating_sub(UNHEARD))
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected())
}

/// Forgets answers older than `before` whose errand is gone (writer: gateway).
pub async fn forget_answers(db: &Db, before: Time) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "delete from errand_answers where answered_at < $1
         and not exists (select 1 from errands e where e.errand_id = errand_answers.errand_id)",
    )
    .bind(before)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected())
}
