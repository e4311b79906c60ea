//! The queue: every mail that leaves, our own included, is rows on stable storage until each recipient's end, or, as long as
//! its first delivery lasts, the spooled message that it is made of ([`ahead`]).
//!
//! A mail is one body, sealed under the spool key, and one row per recipient. Whoever has something to send first
//! [`Queue::place`]s the body, then [`Queue::insert`]s the rows in the transaction that makes it true, then
//! [`Queue::wake`]s the workers ([`run`]). A worker claims the rows of one body with a lease, hands them over in one
//! SMTP transaction, and settles each row in one database transaction right after the reply. A process that dies gives
//! its claims back when the lease ends; a mail may then be sent twice, but none is lost.
//!
//! A row that failed for good is ended by its [`Kind`]: the sender of a relayed or encrypted mail gets a report (RFC 3464), the sender
//! of a letter is told by [`Undeliverable`], an answer is held and the postmaster told.
//!
//! Security: bodies rest encrypted; rows carry addresses and the next hop's sanitized replies, no content.
//! Standards: RFC 5321 4.5.4.1 (retries), RFC 3461 and RFC 3464 (reports).

use std::sync::Arc;
use std::time::Duration;

use sealpost_vault::db::{Rows, Statement};
use sealpost_vault::id::{PickupId, QueueId};
use sealpost_vault::{BlobStore, Clock, Db, EmailAddress, StoreError, Time, blobs};
use sqlx::{Any, Transaction};
use tokio::sync::{Notify, Semaphore};

use crate::deliver::Requests;
use crate::departure::Departure;
use crate::envelope::{Charset, Envelope, RecipientDsn, ReversePath};
use crate::keyring::Keyring;

mod ahead;
mod at_hand;
mod backoff;
mod body;
mod claim;
mod listing;
mod report;
mod settle;
mod worker;

#[cfg(test)]
mod bench;
#[cfg(test)]
#[path = "../tests/support/postgres.rs"]
pub(crate) mod postgres;
#[cfg(test)]
mod tests;

pub use backoff::backoff;
pub use listing::{Changed, Counts, Entry, Selection, State};
pub use report::{ReportError, Reporter};
pub use worker::{Manner, run};

/// How long a mail is tried, unless it says otherwise (RFC 5321 4.5.4.1: at least 4 to 5 days).
pub const LIFETIME: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// Which way a mail leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To our own domains: answers, bounces, reports.
    Inside,
    /// To everybody else.
    Outside,
}

/// What a mail is; decides how its failure ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Passed on as it came. Failure: a report to its sender.
    Relayed,
    /// Encrypted to its recipients' OpenPGP keys. Failure: a report to its sender.
    Encrypted,
    /// Tells a reader about a letter. Failure: [`Undeliverable::notification`].
    Notification,
    /// Carries a code. Failure: dropped; another one can be asked for.
    Code,
    /// A reader's answer. Failure: held, never lost; the postmaster is told.
    Answer,
    /// A report about another mail. Failure: dropped; no report about reports.
    Report,
}

/// The text is none of the words that we wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a word of the queue")]
pub struct UnknownWord;

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// As it stands in the row, and in what the command line shows.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(UnknownWord) }
            }
        }
    };
}
pub(crate) use words;

words!(Route { Inside = "inside", Outside = "outside" });
words!(Kind {
    Relayed = "relayed",
    Encrypted = "encrypted",
    Notification = "notification",
    Code = "code",
    Answer = "answer",
    Report = "report",
});

static BODIES: Statement = Statement {
    order: 10,
    kind: sealpost_vault::db::Kind::Insert {
        into: "outgoing (body_id, size, blob_key, sealed, created_at)",
        row: "(?, ?, ?, ?, ?)",
    },
};
static RECIPIENTS: Statement = Statement {
    order: 11,
    kind: sealpost_vault::db::Kind::Insert {
        into: "queue (queue_id, body_id, origin_id, kind, route, reverse_path, recipient, pickup_id, state, attempts,
               next_at, created_at, expires_at, claimed_until, claim, last_reply, notify, orcpt, ret, envid, utf8, warned)",
        row: "(?, ?, ?, ?, ?, ?, ?, ?, 'active', 0, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, 0)",
    },
};

/// A mail that is to leave.
pub struct Mail {
    /// The accepted message that it comes from; in the log.
    pub origin: QueueId,
    pub kind: Kind,
    pub route: Route,
    pub reverse_path: ReversePath,
    /// At least one.
    pub recipients: Vec<EmailAddress>,
    /// Lines end with CRLF.
    pub bytes: Vec<u8>,
    /// The letter that a notification tells of.
    pub pickup: Option<PickupId>,
    pub lifetime: Duration,
}

/// A mail whose body is sealed and, if large, on stable storage: ready to be inserted.
pub struct Placed {
    body_id: QueueId,
    body: blobs::Placed,
    origin: QueueId,
    kind: Kind,
    route: Route,
    reverse_path: ReversePath,
    recipients: Vec<EmailAddress>,
    pickup: Option<PickupId>,
    lifetime: Duration,
    requests: Requests,
    hand: Option<at_hand::Hand>,
}

impl Placed {
    /// With what the envelope of the accepted message asks, where this is that message. Mail of our own has no such sender.
    #[must_use]
    pub(crate) fn asking(mut self, envelope: &Envelope) -> Self {
        if matches!(self.kind, Kind::Relayed | Kind::Encrypted) {
            self.requests = Requests::new(&envelope.dsn, envelope.charset, &self.recipients);
        }
        self
    }

    /// Empty where the body will lie in its row.
    pub(crate) fn blob_key(&self) -> &str {
        &self.body.blob_key
    }
}

/// A mail as its rows say it.
struct Written<'a> {
    body_id: QueueId,
    origin: QueueId,
    kind: Kind,
    route: Route,
    reverse_path: &'a ReversePath,
    pickup: Option<PickupId>,
    requests: &'a Requests,
    created_at: Time,
    expires_at: Time,
    claimed_until: Time,
    /// Empty where nobody has claimed it.
    token: &'a str,
}

impl Written<'_> {
    fn body(&self, rows: &mut Rows, body: &blobs::Placed) {
        rows.push(
            &BODIES,
            [
                self.body_id.to_string().into(),
                body.size.into(),
                body.blob_key.as_str().into(),
                body.in_row.clone().into(),
                self.created_at.into(),
            ],
        );
    }

    fn recipient(&self, rows: &mut Rows, queue_id: QueueId, recipient: &EmailAddress, request: &RecipientDsn) {
        let ret = self.requests.ret.map(|ret| ret.to_string()).unwrap_or_default();
        let envid = self.requests.envid.as_ref().map(ToString::to_string).unwrap_or_default();
        rows.push(
            &RECIPIENTS,
            [
                queue_id.to_string().into(),
                self.body_id.to_string().into(),
                self.origin.to_string().into(),
                self.kind.as_str().into(),
                self.route.as_str().into(),
                self.reverse_path.to_string().into(),
                recipient.to_string().into(),
                self.pickup.map_or_else(String::new, |pickup| pickup.to_string()).into(),
                self.created_at.into(),
                self.created_at.into(),
                self.expires_at.into(),
                self.claimed_until.into(),
                self.token.into(),
                request.notify.map(|notify| notify.to_string()).unwrap_or_default().into(),
                request.orcpt.as_ref().map(ToString::to_string).unwrap_or_default().into(),
                ret.into(),
                envid.into(),
                i64::from(self.requests.charset == Charset::Utf8).into(),
            ],
        );
    }
}

/// What follows the commit of what is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// [`Queue::go_on`]: mail is kept at hand for it.
    GoOn,
    /// [`Queue::wake`].
    Wait,
}

/// Who must be told when a notification can't be delivered, in the transaction that ends its row.
pub trait Undeliverable: Send + Sync + 'static {
    /// `reply` is one line of printable ASCII. Called again if the transaction fails.
    fn notification(
        &self,
        pickup: PickupId,
        tx: &mut Transaction<'static, Any>,
        reply: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The queue's handle. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    store: Db,
    blobs: BlobStore,
    keyring: Arc<Keyring>,
    clock: Clock,
    departure: Option<Departure>,
    bells: Arc<Bells>,
    lanes: Arc<Lanes>,
    large_room: Arc<Semaphore>,
}

/// Mail that is delivered from memory.
#[derive(Default)]
struct Lanes {
    inside: at_hand::Lane,
    outside: at_hand::Lane,
    room: at_hand::Room,
}

/// Wakes the workers of each route.
#[derive(Default)]
struct Bells {
    inside: Notify,
    outside: Notify,
}

impl Queue {
    /// `store` and `blobs` are the gateway's own.
    pub fn new(store: Db, blobs: BlobStore, keyring: Arc<Keyring>, clock: Clock) -> Self {
        let large_room = Arc::new(Semaphore::new(body::LARGE_ROOM));
        Self { store, blobs, keyring, clock, departure: None, bells: Arc::default(), lanes: Arc::default(), large_room }
    }

    /// What is placed from now on gets a loop's marker and DKIM signatures.
    #[must_use]
    pub fn departing(mut self, departure: Departure) -> Self {
        self.departure = Some(departure);
        self
    }

    /// As [`Queue::place`], and keeps the mail at hand if it can: for whoever calls [`Queue::go_on`] after the commit.
    async fn place_at_hand(&self, mail: Mail) -> Result<Placed, StoreError> {
        let mail = self.leaving(mail).await?;
        let hand = self.hand(mail.route, &mail.recipients, mail.bytes.len())?;
        let hand = hand.map(|hand| hand.holding(mail.bytes.clone()));
        Ok(Placed { hand, ..self.put(mail).await? })
    }

    /// Seals the body and, if it is large, puts it on stable storage. Touches no row.
    pub async fn place(&self, mail: Mail) -> Result<Placed, StoreError> {
        self.put(self.leaving(mail).await?).await
    }

    async fn leaving(&self, mail: Mail) -> Result<Mail, StoreError> {
        match &self.departure {
            Some(departure) => departure.ready(mail, self.clock.now()).await,
            None => Ok(mail),
        }
    }

    async fn put(&self, mail: Mail) -> Result<Placed, StoreError> {
        let body_id = QueueId::random()?;
        let body = self.seal(body_id, mail.bytes).await?;
        Ok(Placed {
            body_id,
            body,
            origin: mail.origin,
            kind: mail.kind,
            route: mail.route,
            reverse_path: mail.reverse_path,
            recipients: mail.recipients,
            pickup: mail.pickup,
            lifetime: mail.lifetime,
            requests: Requests::default(),
            hand: None,
        })
    }

    /// Places all, or leaves nothing behind.
    pub(crate) async fn place_all(
        &self,
        mails: impl IntoIterator<Item = Mail>,
        then: Then,
    ) -> Result<Vec<Placed>, StoreError> {
        let mut placed: Vec<Placed> = Vec::new();
        for mail in mails {
            let placing = match then {
                Then::GoOn => self.place_at_hand(mail).await,
                Then::Wait => self.place(mail).await,
            };
            match placing {
                Ok(body) => placed.push(body),
                Err(error) => {
                    let blobs: Vec<String> = placed.iter().map(|body| body.blob_key().to_owned()).collect();
                    self.forget_unqueued(&blobs).await;
                    return Err(error);
                }
            }
        }
        Ok(placed)
    }

    /// The body's row and one row per recipient. [`Queue::wake`] after the commit.
    pub async fn insert(&self, tx: &mut Transaction<'static, Any>, placed: Placed) -> Result<(), StoreError> {
        let mut rows = Rows::new();
        self.rows(&mut rows, &placed)?;
        rows.write(tx).await
    }

    /// The same as rows for somebody's batch. [`Queue::go_on`] after the commit.
    pub(crate) fn rows(&self, rows: &mut Rows, placed: &Placed) -> Result<(), StoreError> {
        if placed.recipients.is_empty() {
            return Err(StoreError::RowCount { found: 0, wanted: 1 });
        }
        let now = placed.hand.as_ref().map_or_else(|| self.clock.now(), |hand| hand.claimed_at);
        let (claimed_until, token) = match &placed.hand {
            None => (0, ""),
            Some(hand) => (later(now, claim::LEASE), hand.token.as_str()),
        };
        let mail = Written {
            body_id: placed.body_id,
            origin: placed.origin,
            kind: placed.kind,
            route: placed.route,
            reverse_path: &placed.reverse_path,
            pickup: placed.pickup,
            requests: &placed.requests,
            created_at: now,
            expires_at: later(now, placed.lifetime),
            claimed_until,
            token,
        };
        mail.body(rows, &placed.body);
        for (n, recipient) in placed.recipients.iter().enumerate() {
            let request = placed.requests.recipients.get(n).cloned().unwrap_or_default();
            let queue_id = match &placed.hand {
                None => QueueId::random()?,
                Some(hand) => *hand.queue_ids.get(n).ok_or(StoreError::Corrupt("a claim without its rows"))?,
            };
            mail.recipient(rows, queue_id, recipient, &request);
        }
        Ok(())
    }

    /// Whether the store takes a write: for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    /// Something was inserted, or may be due: look now.
    pub fn wake(&self) {
        self.bells.inside.notify_one();
        self.bells.outside.notify_one();
    }

    fn lane(&self, route: Route) -> &at_hand::Lane {
        match route {
            Route::Inside => &self.lanes.inside,
            Route::Outside => &self.lanes.outside,
        }
    }

    fn bell(&self, route: Route) -> &Notify {
        match route {
            Route::Inside => &self.bells.inside,
            Route::Outside => &self.bells.outside,
        }
    }
}

fn later(now: Time, by: Duration) -> Time {
    now.saturating_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX))
}
