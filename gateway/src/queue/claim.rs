//! Claims: which rows one worker has, for as long as it renews its lease.
//!
//! Several workers, and on PostgreSQL several processes, claim from the same rows. The claiming update repeats its
//! condition in the outer `where`: a row that somebody else took in between is looked at again by the database, and left.
//! Whatever happens to a claimed row afterwards is conditional on the claim's token, so that whoever lost a claim can't
//! touch what another one has now.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sealpost_vault::db::Kind::WhereAny;
use sealpost_vault::db::{Rows, Statement, Write, Written, met};
use sealpost_vault::id::{PickupId, QueueId, Token, random};
use sealpost_vault::{EmailAddress, Engine, StoreError, Time};
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, Row, Transaction};

use super::{Kind, Queue, Route, later};
use crate::deliver::Requests;
use crate::envelope::{Charset, DsnError, Notify, OriginalRecipient, RecipientDsn, Return, ReversePath, Xtext};

/// How long a claim lasts without being renewed.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// How often it is renewed.
pub(super) const RENEWAL: Duration = Duration::from_secs(10);
/// Bodies looked at in one search: with more workers than this, some find nothing and look again.
const CANDIDATES: i64 = 32;

static GIVEN_BACK: Statement = Statement {
    order: 12,
    kind: WhereAny { what: "update queue set claimed_until = 0, claim = ''", one: "(body_id = ? and claim = ?)" },
};

/// Rows of one body that are ours: one SMTP transaction. Ends in [`Queue::settle`] or [`Queue::give_back`]; if neither
/// happens, its lease ends it.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) token: String,
    pub(super) body_id: QueueId,
    pub(super) origin: QueueId,
    pub(super) kind: Kind,
    pub(super) route: Route,
    pub(super) reverse_path: ReversePath,
    pub(super) pickup: Option<PickupId>,
    pub(super) created_at: Time,
    pub(super) expires_at: Time,
    /// What its sender asked for, but for the recipients' own.
    pub(super) requests: Requests,
    /// One to [`crate::deliver::MOST_RECIPIENTS`].
    pub(super) rows: Vec<ClaimedRow>,
}

/// One recipient.
#[derive(Debug)]
pub(super) struct ClaimedRow {
    pub(super) queue_id: QueueId,
    pub(super) recipient: EmailAddress,
    /// Before this one.
    pub(super) attempts: i64,
    pub(super) request: RecipientDsn,
    pub(super) warning: Warning,
}

/// Whether the sender was told that it takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warning {
    Unsent,
    Sent,
}

impl Claim {
    /// What is to be passed on to the next hop with the mail.
    pub(super) fn requests(&self) -> Requests {
        Requests { recipients: self.rows.iter().map(|row| row.request.clone()).collect(), ..self.requests.clone() }
    }

    pub(super) fn without_rows(mut self) -> (Self, Vec<ClaimedRow>) {
        let rows = std::mem::take(&mut self.rows);
        (self, rows)
    }
}

impl Queue {
    /// The rows of one body that are due on this route. `None`: nothing is due, or others were faster.
    pub(super) async fn claim(&self, route: Route) -> Result<Option<Claim>, StoreError> {
        let now = self.clock.now();
        let mut bodies = self.due(route, now).await?;
        if bodies.is_empty() {
            return Ok(None);
        }
        // Everybody sees the same candidates: each begins somewhere else.
        let [start] = random::<1>()?;
        let start = usize::from(start) % bodies.len();
        bodies.rotate_left(start);
        for body_id in bodies {
            if let Some(claim) = claim_body(&mut *self.store.writer().acquire().await?, &body_id, route, now).await? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Claims of up to `most` bodies. On SQLite, where nobody else claims, one commit is enough for all of them.
    pub(super) async fn claim_some(&self, route: Route, most: usize) -> Result<Vec<Claim>, StoreError> {
        if self.store.engine() == Engine::Postgres {
            return Ok(self.claim(route).await?.into_iter().collect());
        }
        let now = self.clock.now();
        let mut bodies = self.due(route, now).await?;
        bodies.truncate(most);
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let some = Several { bodies, route, now, claims: Mutex::default() };
        self.store.together(&some).await?;
        Ok(some.claims.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bodies with rows that are due, the longest due first.
    async fn due(&self, route: Route, now: Time) -> Result<Vec<String>, StoreError> {
        // Rows of one body are due at the same time and lie beside each other; no order among those that are due at the
        // same time, which may be thousands and would all be sorted.
        let mut bodies: Vec<(String,)> = sqlx::query_as(
            "select body_id from queue where state = 'active' and route = $1 and next_at <= $2 and claimed_until <= $2
             order by next_at limit $3",
        )
        .bind(route.as_str())
        .bind(now)
        .bind(CANDIDATES)
        .fetch_all(self.store.reader())
        .await?;
        bodies.dedup();
        Ok(bodies.into_iter().map(|(body_id,)| body_id).collect())
    }

    /// Divides a claim: each part is one of its own, with its own token and a whole lease, however long the database took.
    pub(super) async fn split(&self, claim: Claim, parts: Vec<Vec<ClaimedRow>>) -> Result<Vec<Claim>, StoreError> {
        let mut claims = Vec::new();
        let mut tx = if parts.len() > 1 { Some(self.store.begin().await?) } else { None };
        let claimed_until = later(self.clock.now(), LEASE);
        for (n, rows) in parts.into_iter().enumerate() {
            let token = if n > 0 { Token::random()?.to_string() } else { claim.token.clone() };
            if let Some(tx) = &mut tx {
                for row in &rows {
                    let statement =
                        "update queue set claim = $1, claimed_until = $2 where queue_id = $3 and claim = $4";
                    let done = sqlx::query(statement)
                        .bind(&token)
                        .bind(claimed_until)
                        .bind(row.queue_id.to_string())
                        .bind(&claim.token)
                        .execute(&mut **tx)
                        .await?;
                    met(&done, 1)?;
                }
            }
            let requests = claim.requests.clone();
            let reverse_path = claim.reverse_path.clone();
            claims.push(Claim { token, reverse_path, requests, rows, ..claim });
        }
        if let Some(tx) = tx {
            tx.commit().await?;
        }
        Ok(claims)
    }

    /// Extends the lease. An error of the count: the claim was lost, somebody else delivers these rows.
    pub(super) async fn renew(&self, claim: &Claim) -> Result<(), StoreError> {
        let done =
            sqlx::query("update queue set claimed_until = $1 where body_id = $2 and claim = $3 and state = 'active'")
                .bind(later(self.clock.now(), LEASE))
                .bind(claim.body_id.to_string())
                .bind(&claim.token)
                .execute(self.store.writer())
                .await?;
        met(&done, u64::try_from(claim.rows.len()).unwrap_or(u64::MAX))
    }

    /// Ends a claim without an outcome: the rows are as due as before.
    pub(super) async fn give_back(&self, claim: Claim) -> Result<(), StoreError> {
        self.release_claim(&claim).await
    }

    pub(super) async fn release_claim(&self, claim: &Claim) -> Result<(), StoreError> {
        // Rows that were lost in between are somebody else's: their number doesn't matter.
        let mut rows = Rows::new();
        rows.push(&GIVEN_BACK, [claim.body_id.to_string().into(), claim.token.as_str().into()]);
        self.store.write_rows(rows).await
    }

    /// At the start of the only process that delivers, before anything is placed: what its predecessor had claimed when it
    /// died is free at once, and bodies that it hadn't queued are nobody's. On PostgreSQL others may work too; there, leases
    /// end claims, and orphans are swept when they are old.
    pub async fn take_back(&self) -> Result<(), StoreError> {
        match self.store.engine() {
            Engine::Postgres => {}
            Engine::Sqlite => {
                sqlx::query("update queue set claimed_until = 0, claim = '' where claimed_until > 0")
                    .execute(self.store.writer())
                    .await?;
                self.sweep_orphans(Time::MAX).await?;
            }
        }
        Ok(())
    }
}

/// What is due of some bodies, taken in one transaction.
struct Several {
    bodies: Vec<String>,
    route: Route,
    now: Time,
    claims: Mutex<Vec<Claim>>,
}

impl Write for Several {
    fn write<'t>(&'t self, transaction: &'t mut Transaction<'static, Any>) -> Written<'t> {
        Box::pin(async move {
            let mut claims = Vec::with_capacity(self.bodies.len());
            for body_id in &self.bodies {
                claims.extend(claim_body(transaction, body_id, self.route, self.now).await?);
            }
            *self.claims.lock().unwrap_or_else(PoisonError::into_inner) = claims;
            Ok(())
        })
    }
}

async fn claim_body(
    connection: &mut AnyConnection,
    body_id: &str,
    route: Route,
    now: Time,
) -> Result<Option<Claim>, StoreError> {
    let token = Token::random()?.to_string();
    // 100 is `MOST_RECIPIENTS`.
    let rows = sqlx::query(
        "update queue set claimed_until = $1, claim = $2 where queue_id in (
                 select queue_id from queue where body_id = $3 and route = $4 and state = 'active' and next_at <= $5
                 and claimed_until <= $5 order by queue_id limit 100)
             and state = 'active' and next_at <= $5 and claimed_until <= $5
             returning queue_id, origin_id, kind, reverse_path, recipient, pickup_id, attempts, created_at, expires_at,
             notify, orcpt, ret, envid, utf8, warned",
    )
    .bind(later(now, LEASE))
    .bind(&token)
    .bind(body_id)
    .bind(route.as_str())
    .bind(now)
    .fetch_all(&mut *connection)
    .await?;
    match read_claim(&rows, token.clone(), body_id, route) {
        Ok(claim) => Ok(claim),
        // Tried for ever it would keep others waiting, and its sender is told nothing: an administrator sees it.
        Err(cause) => {
            tracing::error!(body_id, %cause, "rows that can't be read are held");
            sqlx::query(
                "update queue set state = 'held', claim = '', claimed_until = 0, last_reply = $1 where body_id = $2 and claim = $3",
            )
            .bind(cause.to_string())
            .bind(body_id)
            .bind(&token)
            .execute(connection)
            .await?;
            Ok(None)
        }
    }
}

fn read_claim(rows: &[AnyRow], token: String, body_id: &str, route: Route) -> Result<Option<Claim>, StoreError> {
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(Claim {
        token,
        body_id: body_id.parse()?,
        origin: first.try_get::<String, _>("origin_id")?.parse()?,
        kind: first.try_get::<String, _>("kind")?.parse().map_err(|_| StoreError::Corrupt("a kind"))?,
        route,
        reverse_path: reverse_path(first.try_get("reverse_path")?)?,
        pickup: match first.try_get::<String, _>("pickup_id")? {
            id if id.is_empty() => None,
            id => Some(id.parse()?),
        },
        created_at: first.try_get("created_at")?,
        expires_at: first.try_get("expires_at")?,
        requests: Requests {
            ret: asked(first, "ret", Return::parse)?,
            envid: asked(first, "envid", Xtext::envid)?,
            recipients: Vec::new(),
            charset: if first.try_get::<i64, _>("utf8")? == 0 { Charset::Ascii } else { Charset::Utf8 },
        },
        rows: rows.iter().map(claimed_row).collect::<Result<_, _>>()?,
    }))
}

fn claimed_row(row: &AnyRow) -> Result<ClaimedRow, StoreError> {
    Ok(ClaimedRow {
        queue_id: row.try_get::<String, _>("queue_id")?.parse()?,
        recipient: row.try_get::<String, _>("recipient")?.parse().map_err(|_| StoreError::Corrupt("a recipient"))?,
        attempts: row.try_get("attempts")?,
        request: RecipientDsn {
            notify: asked(row, "notify", Notify::parse)?,
            orcpt: asked(row, "orcpt", OriginalRecipient::from_stored)?,
        },
        warning: if row.try_get::<i64, _>("warned")? == 0 { Warning::Unsent } else { Warning::Sent },
    })
}

/// As it was written: empty is nothing.
fn asked<T>(
    row: &AnyRow,
    column: &'static str,
    parse: impl Fn(&str) -> Result<T, DsnError>,
) -> Result<Option<T>, StoreError> {
    match row.try_get::<String, _>(column)? {
        text if text.is_empty() => Ok(None),
        text => parse(&text).map(Some).map_err(|_| StoreError::Corrupt("what a sender asked for")),
    }
}

/// As it was written: empty is null.
fn reverse_path(text: String) -> Result<ReversePath, StoreError> {
    if text.is_empty() {
        return Ok(ReversePath::Null);
    }
    text.parse().map(ReversePath::Address).map_err(|_| StoreError::Corrupt("a reverse path"))
}

#[cfg(test)]
mod tests;
