//! The end of a claim: what each recipient's outcome makes of its row, in one transaction.
//!
//! Delivered rows go. "Not now" waits. "Never", and "not now" past the lifetime, end as their [`Kind`] says: reports about
//! them are rows of the same transaction, so that none is lost and none is sent twice. So are the warning that it takes
//! longer and the word that a next hop without DSN has it, where the sender wants these.
//!
//! Standards: RFC 3461 4.1, 5.2.2, 5.2.3.

use std::time::Duration;

use sealpost_vault::db::{Rows, Statement};
use sealpost_vault::id::{Token, random};
use sealpost_vault::{EmailAddress, StoreError, Time};
use sqlx::{Any, Transaction};

use super::body::Place;
use super::claim::{Claim, ClaimedRow, Warning};
use super::report::{Action, Fate, Report, ReportError, Reported, Reporter};
use super::{Kind, LIFETIME, Mail, Queue, Route, Undeliverable, backoff, later};
use crate::audit::{self, Event, FailureCause};
use crate::deliver::{Failure, Outcome, Speaker, Taken};
use crate::envelope::{Notify, ReversePath};

/// What becomes of a row.
enum End<'a> {
    Deliver(&'a str),
    Wait { until: Time, reply: &'a str, warning: Warning },
    Fail(&'a Failure),
}

static DELIVERED: Statement =
    Statement { order: 20, kind: sealpost_vault::db::Kind::Delete { from: "queue", key: "queue_id", guard: "claim" } };
/// Bodies in the database whose last row went. Two transactions that delete the last two rows of a body don't see each
/// other's: the next sweep finds what is left.
static LAST_ROW: Statement = Statement {
    order: 21,
    kind: sealpost_vault::db::Kind::DeleteIf {
        from: "outgoing",
        key: "body_id",
        condition: "blob_key = '' and not exists (select 1 from queue where queue.body_id = outgoing.body_id)",
    },
};

/// Who helps to settle.
pub(super) struct Aftermath<'a, U> {
    pub(super) undeliverable: &'a U,
    pub(super) reporter: &'a Reporter,
    /// The next hop's name, for reports.
    pub(super) hop: &'a str,
    /// Whether it was told what the sender asked for.
    pub(super) requests: Taken,
    pub(super) warn_after: Option<Duration>,
    /// Where the body lies.
    pub(super) lies: Place,
    /// The mail as it was sent, or its header; `None` where it couldn't be read.
    pub(super) original: Option<&'a [u8]>,
}

impl Queue {
    /// Settles all rows of a claim; `outcomes` are in their order. Can be repeated if it fails.
    pub(super) async fn settle<U: Undeliverable>(
        &self,
        claim: &Claim,
        outcomes: &[Outcome],
        aftermath: &Aftermath<'_, U>,
    ) -> Result<(), StoreError> {
        if is_simple(claim, outcomes, aftermath.requests)
            && self.settle_delivered(claim, outcomes, aftermath.lies).await?
        {
            return Ok(());
        }
        let now = self.clock.now();
        let body_id = claim.body_id.to_string();
        let [a, b, c, d] = random::<4>()?;
        // One draw for all: rows of one body wait together and go out in one transaction again.
        let jitter = u32::from_be_bytes([a, b, c, d]);
        let some_delivered = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_)));

        let warn_at = aftermath.warn_after.map(|after| later(claim.created_at, after));

        let mut tx = self.store.begin().await?;
        let mut told = Vec::new();
        for (row, outcome) in claim.rows.iter().zip(outcomes) {
            let mut warns = false;
            let end = match outcome {
                Outcome::Delivered(reply) => End::Deliver(reply),
                Outcome::Refused(failure) => End::Fail(failure),
                Outcome::Later(failure) if now >= claim.expires_at => End::Fail(failure),
                Outcome::Later(failure) => {
                    // Too many for one transaction: the others are gone, so this one needn't wait.
                    let at_once = some_delivered && failure.status == "4.5.3";
                    let wait = later(now, backoff(row.attempts + 1, jitter));
                    // One last attempt when the lifetime ends, not an hour after it.
                    let until = if at_once { now } else { wait.min(claim.expires_at) };
                    warns = row.warning == Warning::Unsent && warn_at.is_some_and(|at| now >= at);
                    let warning = if warns { Warning::Sent } else { row.warning };
                    End::Wait { until, reply: &failure.text, warning }
                }
            };
            if !self.end_row(&mut tx, claim, row, &end).await? {
                tracing::warn!(queue_id = %row.queue_id, origin = %claim.origin, "the row was taken by somebody else meanwhile");
                continue;
            }
            if let Some(event) = event(claim, row, outcome, &end) {
                audit::record(&mut tx, event, now).await?;
            }
            let (failure, fate) = match (end, outcome) {
                (End::Deliver(reply), _) if aftermath.requests == Taken::Not => {
                    let text = reply.to_owned();
                    (Failure { status: "2.0.0".to_owned(), text, said_by: Speaker::NextHop }, Fate::Relayed)
                }
                (End::Fail(failure), Outcome::Later(_)) => (failure.clone(), Fate::Expired),
                (End::Fail(failure), _) => (failure.clone(), Fate::Refused),
                (End::Wait { .. }, Outcome::Later(failure)) if warns => {
                    (failure.clone(), Fate::Delayed { until: claim.expires_at })
                }
                (End::Deliver(_) | End::Wait { .. }, _) => continue,
            };
            told.push((row.request.notify, Reported::new(&row.recipient, row.request.orcpt.as_ref(), failure, fate)));
        }
        let reported = self.report(&mut tx, claim, told, aftermath, now).await?;
        Self::delete_small_body(&mut tx, &body_id).await?;
        tx.commit().await?;
        if reported {
            self.wake();
        }
        // What is left to do is repeated by the next sweep if it fails now.
        if let Err(error) = self.sweep_body(&body_id).await {
            tracing::warn!(body_id = %claim.body_id, %error, "a delivered body could not be deleted yet");
        }
        Ok(())
    }

    /// What [`is_simple`] is rows in a batch. `false`: some are somebody else's now.
    async fn settle_delivered(&self, claim: &Claim, outcomes: &[Outcome], body: Place) -> Result<bool, StoreError> {
        let mut rows = Rows::new();
        for row in &claim.rows {
            rows.push(&DELIVERED, [row.queue_id.to_string().into(), claim.token.as_str().into()]);
        }
        record_delivered(&mut rows, claim, outcomes, self.clock.now())?;
        rows.push(&LAST_ROW, [claim.body_id.to_string().into()]);
        match self.store.write_rows(rows).await {
            Ok(()) => {}
            // Some were taken by somebody else meanwhile: each is looked at.
            Err(StoreError::RowCount { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        say_delivered(claim, outcomes);
        if body == Place::Blob
            && let Err(error) = self.sweep_body(&claim.body_id.to_string()).await
        {
            tracing::warn!(body_id = %claim.body_id, %error, "a delivered body could not be deleted yet");
        }
        Ok(true)
    }

    /// `false`: the row isn't ours any more.
    async fn end_row(
        &self,
        tx: &mut Transaction<'static, Any>,
        claim: &Claim,
        row: &ClaimedRow,
        end: &End<'_>,
    ) -> Result<bool, StoreError> {
        let (queue_id, origin, recipient) = (row.queue_id, claim.origin, &row.recipient);
        let kind = claim.kind.as_str();
        let done = match end {
            End::Deliver(reply) => {
                said_delivered(claim, row, reply);
                delete(tx, row, claim).await?
            }
            End::Wait { until, reply, warning } => {
                tracing::info!(%queue_id, %origin, kind, %recipient, reply, until, "deferred");
                sqlx::query(
                    "update queue set attempts = attempts + 1, next_at = $1, last_reply = $2, claimed_until = 0, claim = '',
                     warned = $5 where queue_id = $3 and claim = $4",
                )
                .bind(*until)
                .bind((*reply).to_owned())
                .bind(queue_id.to_string())
                .bind(&claim.token)
                .bind(i64::from(*warning == Warning::Sent))
                .execute(&mut **tx)
                .await?
            }
            End::Fail(failure) => {
                let reply = failure.text.as_str();
                tracing::warn!(%queue_id, %origin, kind, %recipient, reply, "failed for good");
                match claim.kind {
                    Kind::Answer => sqlx::query(
                        "update queue set state = 'held', attempts = attempts + 1, last_reply = $1, claimed_until = 0,
                             claim = '' where queue_id = $2 and claim = $3",
                    )
                    .bind(reply.to_owned())
                    .bind(queue_id.to_string())
                    .bind(&claim.token)
                    .execute(&mut **tx)
                    .await?,
                    Kind::Relayed | Kind::Encrypted | Kind::Notification | Kind::Code | Kind::Report => {
                        delete(tx, row, claim).await?
                    }
                }
            }
        };
        Ok(done.rows_affected() == 1)
    }

    /// Tells whoever must know. Whether a report was inserted.
    async fn report<U: Undeliverable>(
        &self,
        tx: &mut Transaction<'static, Any>,
        claim: &Claim,
        told: Vec<(Option<Notify>, Reported<'_>)>,
        aftermath: &Aftermath<'_, U>,
        now: Time,
    ) -> Result<bool, StoreError> {
        match (claim.kind, claim.reverse_path.address()) {
            (Kind::Relayed | Kind::Encrypted, Some(sender)) => {
                let mut reported = false;
                for action in Action::ALL {
                    let recipients: Vec<&Reported<'_>> = told
                        .iter()
                        .filter(|(notify, told)| told.fate.action() == action && action.is_asked(*notify))
                        .map(|(_, told)| told)
                        .collect();
                    if !recipients.is_empty() {
                        let id = Token::random()?.to_string();
                        let report = claim.report(&recipients, aftermath.hop, &id, now);
                        let bytes = aftermath.reporter.to_sender(&report, action, sender, aftermath.original);
                        reported |= self.insert_report(tx, claim, sender, bytes).await?;
                    }
                }
                Ok(reported)
            }
            (Kind::Answer, _) => {
                let failed: Vec<&Reported<'_>> = failures(&told).collect();
                if failed.is_empty() {
                    return Ok(false);
                }
                let id = Token::random()?.to_string();
                let report = claim.report(&failed, aftermath.hop, &id, now);
                let bytes = aftermath.reporter.held_answer(&report, claim.origin);
                self.insert_report(tx, claim, aftermath.reporter.postmaster(), bytes).await
            }
            (Kind::Notification, _) => {
                let Some(pickup) = claim.pickup else { return Ok(false) };
                for recipient in failures(&told) {
                    aftermath.undeliverable.notification(pickup, tx, &recipient.failure.text).await?;
                }
                Ok(false)
            }
            (Kind::Relayed | Kind::Encrypted, None) | (Kind::Code | Kind::Report, _) => Ok(false),
        }
    }

    async fn insert_report(
        &self,
        tx: &mut Transaction<'static, Any>,
        claim: &Claim,
        recipient: &EmailAddress,
        bytes: Result<Vec<u8>, ReportError>,
    ) -> Result<bool, StoreError> {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                // The rows' ends stand: a report that can't be written must not keep the queue from going on.
                tracing::error!(origin = %claim.origin, %error, "no report could be composed");
                return Ok(false);
            }
        };
        let mail = Mail {
            origin: claim.origin,
            kind: Kind::Report,
            route: Route::Inside,
            reverse_path: ReversePath::Null,
            recipients: vec![recipient.clone()],
            bytes,
            pickup: None,
            lifetime: LIFETIME,
        };
        // Reports are small: the body lies in the row, and no blob is written within the transaction.
        let placed = self.place(mail).await?;
        self.insert(tx, placed).await?;
        Ok(true)
    }
}

/// What almost every claim comes to: all of it is delivered, and nobody is to be told.
pub(super) fn is_simple(claim: &Claim, outcomes: &[Outcome], requests: Taken) -> bool {
    let all_delivered = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered(_)));
    // Where the next hop wasn't told what the sender asked for, the sender may have to be told that it was relayed.
    let is_asked = |row: &ClaimedRow| Action::Relayed.is_asked(row.request.notify);
    all_delivered && (requests != Taken::Not || !claim.rows.iter().any(is_asked))
}

/// Into the audit, with the rows that end them.
pub(super) fn record_delivered(
    rows: &mut Rows,
    claim: &Claim,
    outcomes: &[Outcome],
    now: Time,
) -> Result<(), StoreError> {
    for (row, outcome) in claim.rows.iter().zip(outcomes) {
        if let Outcome::Delivered(reply) = outcome
            && let Some(event) = event(claim, row, outcome, &End::Deliver(reply))
        {
            audit::record_with(rows, event, now)?;
        }
    }
    Ok(())
}

/// Into the log, after the commit.
pub(super) fn say_delivered(claim: &Claim, outcomes: &[Outcome]) {
    for (row, outcome) in claim.rows.iter().zip(outcomes) {
        if let Outcome::Delivered(reply) = outcome {
            said_delivered(claim, row, reply);
        }
    }
}

impl Claim {
    fn report<'a>(&'a self, recipients: &'a [&'a Reported<'a>], hop: &'a str, id: &'a str, now: Time) -> Report<'a> {
        Report {
            recipients,
            hop,
            envid: self.requests.envid.as_ref(),
            arrived_at: self.created_at,
            message_id: id,
            now,
        }
    }
}

fn failures<'a, 'b>(told: &'a [(Option<Notify>, Reported<'b>)]) -> impl Iterator<Item = &'a Reported<'b>> {
    told.iter().map(|(_, told)| told).filter(|told| told.fate.action() == Action::Failed)
}

/// What the audit says of a row's end; nothing where it waits. The next hop's words stay out of it.
fn event<'a>(claim: &Claim, row: &'a ClaimedRow, outcome: &Outcome, end: &End<'a>) -> Option<Event<'a>> {
    let (message, mail, recipient) = (claim.origin, claim.kind.as_str(), &row.recipient);
    match end {
        End::Wait { .. } => None,
        End::Deliver(_) => Some(Event::Delivered { row: row.queue_id, message, mail, recipient }),
        End::Fail(failure) => {
            let cause = match outcome {
                Outcome::Later(_) => FailureCause::Expired,
                Outcome::Delivered(_) | Outcome::Refused(_) => FailureCause::Refused,
            };
            Some(Event::Failed { row: row.queue_id, message, mail, recipient, status: &failure.status, cause })
        }
    }
}

fn said_delivered(claim: &Claim, row: &ClaimedRow, reply: &str) {
    let (queue_id, origin, kind, recipient) = (row.queue_id, claim.origin, claim.kind.as_str(), &row.recipient);
    tracing::info!(%queue_id, %origin, kind, %recipient, reply, "delivered");
}

async fn delete(
    tx: &mut Transaction<'static, Any>,
    row: &ClaimedRow,
    claim: &Claim,
) -> Result<sqlx::any::AnyQueryResult, StoreError> {
    Ok(sqlx::query("delete from queue where queue_id = $1 and claim = $2")
        .bind(row.queue_id.to_string())
        .bind(&claim.token)
        .execute(&mut **tx)
        .await?)
}
